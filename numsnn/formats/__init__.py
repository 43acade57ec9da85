"""File formats of the field, read and written with NumPy, Numba, h5py and SciPy alone."""

from .problems import FormatError, Problems

__all__ = ["FORMATS", "FormatError", "Problems", "Signals", "guess", "read", "read_signals",
           "stream", "write"]


def __getattr__(name):
    # the decoders are compiled: only who reads events needs Numba
    if name in ("Signals", "read_signals"):
        from . import signal_files
        return getattr(signal_files, name)
    if name in __all__:
        from . import recordings
        return getattr(recordings, name)
    raise AttributeError(f"module {__name__} has no attribute {name!r}")
