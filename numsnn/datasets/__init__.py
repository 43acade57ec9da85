"""Data sets; nothing downloads by itself."""

from . import qtdb, synthetic
from .dataset import Batch, Dataset

__all__ = ["Batch", "Dataset", "qtdb", "synthetic"]
