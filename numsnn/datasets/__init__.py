"""Data sets; nothing downloads by itself.  data/README.md says where they come from."""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from .. import moved
from ..formats import FormatError
from . import qtdb, synthetic
from .checks import AxesWarning
from .dataset import Batch, Dataset, Sequences, stratified

if TYPE_CHECKING:           # imported where they are used, see __getattr__
    from . import (
        babi,
        braille,
        cameras,
        converted,
        mnist,
        recordings,
        saved,
        shd,
        speech,
        stand_in,
        synthetic_gestures,
    )

__all__ = [
    "AxesWarning",
    "Batch",
    "Dataset",
    "FormatError",
    "Sequences",
    "babi",
    "braille",
    "cameras",
    "converted",
    "mnist",
    "qtdb",
    "recordings",
    "saved",
    "shd",
    "speech",
    "stand_in",
    "stratified",
    "synthetic",
    "synthetic_gestures",
]


def __getattr__(name: str) -> ModuleType:
    return import_module(f".{name}", __name__) if name in __all__ else moved.attribute(__name__, name)
