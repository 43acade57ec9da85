"""Data sets; nothing downloads by itself.  data/README.md says where they come from."""

from importlib import import_module

from ..formats import FormatError
from . import qtdb, synthetic
from .dataset import Batch, Dataset, Sequences, stratified

_LATER = ("babi", "braille", "cameras", "converted", "mnist", "recordings", "saved", "shd", "speech", "stand_in", "synthetic_gestures")   # imported where they are used

__all__ = ["Batch", "Dataset", "FormatError", "Sequences", "formats", "qtdb", "stratified", "synthetic"]
__all__ += list(_LATER)


def __getattr__(name):
    if name in _LATER:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__} has no attribute {name!r}")
