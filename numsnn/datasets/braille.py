"""Braille letters read by a robot's fingertip: 12 tactile channels, 256 steps of 5 ms, seven letters."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..checked import checked
from ..formats import hdf5
from ..formats.problems import FormatError
from ..signals.spikes import Spikes
from .dataset import Dataset

CITATION = ("Mueller-Cleve et al., Braille letter reading: A benchmark for spatio-temporal pattern "
            "recognition, Front. Neurosci. 16:951164 (2022)")


@checked
def braille(path: Path | str) -> Dataset:
    """Spikes (256, B, 12) with a letter each.

    path: HDF5 with spikes uint8 (B, T, N) of 0 and 1, labels (B,), letters (names).
    """
    spikes, labels, letters = _read(path)
    if labels.shape != spikes.shape[:1] or not spikes.size or spikes.max() > 1:
        raise FormatError(path, f"expected spikes (B, T, N) of 0 and 1 with labels (B,); got {spikes.dtype} "
                                f"{spikes.shape} and {labels.shape}")
    if labels.min() < 0 or labels.max() >= len(letters):
        raise FormatError(path, f"labels should be from 0 to {len(letters) - 1}; "
                                f"got {labels.dtype} up to {labels.max()}")
    time_first = np.moveaxis(spikes.astype(bool), 1, 0)
    classes = tuple(letter.decode("utf-8", "replace") for letter in letters)
    return Dataset(Spikes.from_dense(time_first), labels.astype(np.int64), classes=classes,
                   name="Braille letters", source=CITATION)


def _read(path):
    """(spikes, labels, letters) as the file has them."""
    kind = "a file of Braille letters"
    with hdf5.opened(path) as file:
        try:
            spikes = hdf5.dataset(path, file, "spikes", "uib", 3, kind)[()]
            labels = hdf5.dataset(path, file, "labels", "ui", 1, kind)[()]
            letters = hdf5.dataset(path, file, "letters", "S", 1, kind)[()]
        except FormatError:
            raise
        except hdf5.DAMAGED as error:
            raise FormatError(path, f"damaged HDF5 data: {error}") from error
    return spikes, labels, letters
