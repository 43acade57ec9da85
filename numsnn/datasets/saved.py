"""A whole `Dataset` in one HDF5 file: framed once, then trained from without reading it into memory.

    /                 attributes format = "numsnn data set", format_version, numsnn_version, name, source,
                      units, options and classes (JSON)
    /row_offsets      (B + 1,) steps of each sequence: sequence b has the rows
                      row_offsets[b] : row_offsets[b + 1]
    spikes:  /count   spikes in each row, /entry_offsets (B + 1,), /index unit of each spike,
                      /multiplicity where units spike several times
    values:  /values  (rows, units)
    /y                labels (B,) or (T, B), or floats, targets (B, K) or (T, B, K); and where the set has
                      them /mask, /labelled (T, B), /groups (B,)

Nothing is compressed: a batch is read in less time than it takes to train on it.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ..checked import checked
from ..formats import hdf5
from ..formats.problems import FormatError
from ..signals.spikes import Spikes
from .checks import is_per_step
from .dataset import Dataset, Sequences
from .saving import FORMAT, VERSION, save

__all__ = ["FORMAT", "VERSION", "load", "save"]


class _Saved(Sequences):
    """The sequences of a file, read when they are asked for."""

    draws = False

    def __init__(self, path, columns, rows, entries, units, steps):
        self.path = path
        self.columns = columns
        self.rows = rows
        self.entries = entries
        self.units = units
        self.steps = steps          # of every sequence with its padding; None: of a batch's longest
        self.padded = bool((np.diff(rows) != steps).any())

    def __len__(self) -> int:
        return len(self.rows) - 1

    def fetch(self, samples: np.ndarray, rng: np.random.Generator | None = None) -> tuple:
        """(x (T, B, units), lengths (B,) or None) of the given sequences."""
        lengths = np.diff(self.rows)[samples]
        steps = int(lengths.max(initial=0)) if self.steps is None else self.steps
        valid = np.arange(steps) < lengths[:, None]
        known = lengths if self.padded else None
        if "values" in self.columns:
            x = np.zeros((steps, len(samples), self.units), self.columns["values"].dtype)
            np.moveaxis(x, 1, 0)[valid] = self._read("values", self.rows, samples)
            return x, known
        return self._spikes(valid, samples), known

    def _spikes(self, valid, samples):
        """The spikes of the samples; valid (B, T): the steps that they have."""
        count = np.zeros(valid.shape, np.int32)
        count[valid] = self._read("count", self.rows, samples)
        index = self._read("index", self.entries, samples)
        if count.min(initial=0) < 0 or count.sum() != len(index) or index.max(initial=0) >= self.units:
            raise FormatError(self.path, "counts and units of spikes do not fit together",
                              remedy="save the data set again")
        multiplicity = None
        if "multiplicity" in self.columns:
            multiplicity = self._read("multiplicity", self.entries, samples)
        # rows may lie anywhere in the buffer, so that nothing needs to be sorted by time
        start = np.cumsum(count, dtype=np.int64).reshape(count.shape) - count
        shape = (valid.shape[1], len(samples), self.units)
        return Spikes.of_rows(shape, _time_first(start), _time_first(count), index, multiplicity)

    def _read(self, name, offsets, samples):
        """The parts of a column that belong to the samples, one after the other."""
        column = self.columns[name]
        bounds = np.stack((offsets[samples], offsets[np.asarray(samples) + 1]), 1)
        try:
            parts = [column[a:b] for a, b in bounds]
        except hdf5.DAMAGED as error:
            raise FormatError(self.path, f"damaged HDF5 data in {name}: {error}") from error
        return np.concatenate(parts) if parts else column[:0]


def _time_first(a):
    """(B, T) as the rows t * B + b of `Spikes`."""
    return np.ascontiguousarray(a.T).ravel()


@checked
def load(path: Path | str, *, memory: bool = False) -> Dataset:
    """A data set that `save` wrote.

    memory: read everything now; False: batches are read when they are needed, ahead by a thread.
    """
    file = hdf5.opened(path)
    try:
        form, version = hdf5.text(file, "format"), hdf5.number(file, "format_version")
        if form != FORMAT or version != VERSION:
            raise FormatError(path, f"not a data set that this version saved (format {form!r}, "
                                    f"version {version})")
        units = hdf5.number(file, "units")
        if units is None:
            raise FormatError(path, "damaged HDF5 data: no number of units")
        units = int(units)
        classes = tuple(json.loads(hdf5.text(file, "classes")))
        rows = hdf5.dataset(path, file, "row_offsets", "i", 1)[()]
        y = hdf5.dataset(path, file, "y", "if")[()]
        mask = hdf5.dataset(path, file, "mask", "b", 2)[()] if "mask" in file else None
        labelled = hdf5.dataset(path, file, "labelled", "b", 2)[()] if "labelled" in file else None
        groups = _texts(path, file, "groups") if "groups" in file else None
        columns = {name: hdf5.dataset(path, file, name, "iufb") for name in _names(file)}
        entries = None if "values" in columns else hdf5.dataset(path, file, "entry_offsets", "i", 1)[()]
    except FormatError:
        raise
    except hdf5.DAMAGED as error:
        raise FormatError(path, f"damaged HDF5 data: {error}") from error
    _check(path, rows, entries, columns, y, units)
    sequences = _Saved(path, columns, rows, entries, units, _steps(path, np.diff(rows), y))
    x, lengths = sequences.fetch(np.arange(len(sequences))) if memory else (sequences, None)
    try:
        return Dataset(x, y, lengths=lengths, mask=mask, labelled=labelled, groups=groups, classes=classes,
                       name=hdf5.text(file, "name"), source=hdf5.text(file, "source"), time_first=True)
    except ValueError as error:
        raise FormatError(path, str(error)) from error


def _steps(path, lengths, y):
    """Steps of every sequence with its padding, None where it is padded with its batch."""
    if not is_per_step(y):
        return int(lengths[0]) if (lengths == lengths[0]).all() else None
    if lengths.max() > len(y):
        raise FormatError(path, f"labels of {len(y)} steps for sequences of up to {lengths.max()}",
                          remedy="save the data set again")
    return len(y)


def _texts(path, file, key):
    return np.char.decode(hdf5.dataset(path, file, key, "S", 1)[()], "utf-8")


def _names(file):
    """The names of the columns that hold the sequences."""
    if "values" in file:
        return ("values",)
    return ("count", "index", "multiplicity") if "multiplicity" in file else ("count", "index")


def _check(path, rows, entries, columns, y, units):
    """Refuse parts that do not fit together."""
    if y.ndim - (y.dtype.kind == "f") not in (1, 2):
        raise FormatError(path, f"y should hold labels or targets; got {y.dtype} of shape {y.shape}")
    for offsets, name in ((rows, "values" if entries is None else "count"), (entries, "index")):
        if offsets is None:
            continue
        fit = len(offsets) == y.shape[is_per_step(y)] + 1 and len(offsets) >= 2 and offsets[0] == 0
        if not fit or (np.diff(offsets) < 0).any() or offsets[-1] != len(columns[name]):
            raise FormatError(path, f"offsets, labels and {name} do not fit together",
                              remedy="save the data set again")
    if units < 1 or ("values" in columns and columns["values"].shape[1:] != (units,)):
        shape = columns["values"].shape if "values" in columns else ""
        raise FormatError(path, f"{units} units, but values of shape {shape}")
