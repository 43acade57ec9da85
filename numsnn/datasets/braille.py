"""Braille letters read by a robot's fingertip: 12 tactile channels, 256 steps of 5 ms, seven letters."""

from __future__ import annotations

import numpy as np

from ..spikes import Spikes
from .dataset import Dataset
from .formats.problems import FormatError, existing

CITATION = "Mueller-Cleve et al., Braille letter reading: A benchmark for spatio-temporal pattern recognition, Front. Neurosci. 16:951164 (2022)"


def braille(path) -> Dataset:
    """Spikes (256, B, 12) with a letter each.

    path: HDF5 with spikes uint8 (B, T, N) of 0 and 1, labels (B,), letters (names).
    """
    import h5py
    try:
        with h5py.File(existing(path), "r") as file:
            missing = [key for key in ("spikes", "labels", "letters") if not isinstance(file.get(key), h5py.Dataset)]
            if missing:
                raise FormatError(path, f"no data set {', '.join(missing)}; the file has {', '.join(file) or 'nothing'}")
            spikes, labels, letters = (file[key][()] for key in ("spikes", "labels", "letters"))
    except (OSError, RuntimeError) as error:
        raise FormatError(path, f"cannot be read as HDF5: damaged, cut short, or something else ({error})") from error
    if spikes.ndim != 3 or labels.shape != spikes.shape[:1] or not spikes.size or spikes.dtype.kind not in "uib" or spikes.max() > 1:
        raise FormatError(path, f"expected spikes (B, T, N) of 0 and 1 with labels (B,); got {spikes.dtype} {spikes.shape} and {labels.shape}")
    if labels.dtype.kind not in "ui" or labels.max() >= len(letters):
        raise FormatError(path, f"labels should be from 0 to {len(letters) - 1}; got {labels.dtype} up to {labels.max()}")
    return Dataset(Spikes.from_dense(np.moveaxis(spikes.astype(bool), 1, 0)), labels.astype(np.int64),
                   classes=tuple(letter.decode("utf-8", "replace") for letter in letters), name="Braille letters", source=CITATION)
