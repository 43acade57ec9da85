"""File formats of the field, read and written with NumPy, Numba, h5py and SciPy alone."""

from .problems import FormatError, Problems

__all__ = ["FormatError", "Problems"]
