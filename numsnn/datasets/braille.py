"""Braille letters read by a robot's fingertip: 12 tactile channels, 256 steps of 5 ms, seven letters."""

from __future__ import annotations

import numpy as np

from ..formats import hdf5
from ..formats.problems import FormatError
from ..signals.spikes import Spikes
from .dataset import Dataset

CITATION = "Mueller-Cleve et al., Braille letter reading: A benchmark for spatio-temporal pattern recognition, Front. Neurosci. 16:951164 (2022)"


def braille(path) -> Dataset:
    """Spikes (256, B, 12) with a letter each.

    path: HDF5 with spikes uint8 (B, T, N) of 0 and 1, labels (B,), letters (names).
    """
    with hdf5.opened(path) as file:
        try:
            spikes, labels, letters = (hdf5.dataset(path, file, key, kinds, ndim, "a file of Braille letters")[()]
                                       for key, kinds, ndim in (("spikes", "uib", 3), ("labels", "ui", 1), ("letters", "S", 1)))
        except FormatError:
            raise
        except hdf5.DAMAGED as error:
            raise FormatError(path, f"damaged HDF5 data: {error}") from error
    if labels.shape != spikes.shape[:1] or not spikes.size or spikes.max() > 1:
        raise FormatError(path, f"expected spikes (B, T, N) of 0 and 1 with labels (B,); got {spikes.dtype} {spikes.shape} and {labels.shape}")
    if labels.min() < 0 or labels.max() >= len(letters):
        raise FormatError(path, f"labels should be from 0 to {len(letters) - 1}; got {labels.dtype} up to {labels.max()}")
    return Dataset(Spikes.from_dense(np.moveaxis(spikes.astype(bool), 1, 0)), labels.astype(np.int64),
                   classes=tuple(letter.decode("utf-8", "replace") for letter in letters), name="Braille letters", source=CITATION)
