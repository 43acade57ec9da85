"""A whole `Dataset` in one HDF5 file: framed once, then trained from without reading it into memory.

    /                 attributes format = "numsnn data set", format_version, numsnn_version, name, source, options and classes (JSON), units
    /row_offsets      (B + 1,) steps of each sequence: sequence b has the rows row_offsets[b] : row_offsets[b + 1]
    spikes:  /count   spikes in each row, /entry_offsets (B + 1,), /index unit of each spike, /multiplicity where units spike several times
    values:  /values  (rows, units)
    /y                (B,) or (T, B), and where the set has them /mask, /labelled (T, B), /groups (B,)

Nothing is compressed: a batch is read in less time than it takes to train on it.
"""

from __future__ import annotations

import json

import numpy as np

from ..formats import hdf5
from ..formats.problems import FormatError
from ..signals.spikes import Spikes
from .dataset import Dataset, Sequences
from .saving import FORMAT, VERSION, save

__all__ = ["FORMAT", "VERSION", "load", "save"]


class _Saved(Sequences):
    """The sequences of a file, read when they are asked for."""

    def __init__(self, path, columns, rows, entries, units, steps):
        self.path, self.columns, self.rows, self.entries, self.units, self.steps = path, columns, rows, entries, units, steps

    def __len__(self):
        return len(self.rows) - 1

    def fetch(self, samples, rng=None):
        lengths = np.diff(self.rows)[samples]
        steps = int(lengths.max(initial=0)) if self.steps is None else self.steps
        valid = np.arange(steps) < lengths[:, None]
        known = None if self.steps is not None else lengths
        if "values" in self.columns:
            x = np.zeros((steps, len(samples), self.units), self.columns["values"].dtype)
            np.moveaxis(x, 1, 0)[valid] = self._read("values", self.rows, samples)
            return x, known
        count = np.zeros((len(samples), steps), np.int32)
        count[valid] = self._read("count", self.rows, samples)
        index = self._read("index", self.entries, samples)
        if count.min(initial=0) < 0 or count.sum() != len(index) or index.max(initial=0) >= self.units:
            raise FormatError(self.path, "counts and units of spikes do not fit together", remedy="save the data set again")
        start = np.cumsum(count, dtype=np.int64).reshape(count.shape) - count
        many = self._read("multiplicity", self.entries, samples) if "multiplicity" in self.columns else None
        # rows may lie anywhere in the buffer, so that nothing needs to be sorted by time
        return Spikes.of_rows((steps, len(samples), self.units), np.ascontiguousarray(start.T).ravel(), np.ascontiguousarray(count.T).ravel(),
                              index, many), known

    def _read(self, name, offsets, samples):
        """The parts of a column that belong to the samples, one after the other."""
        column, bounds = self.columns[name], np.stack((offsets[samples], offsets[np.asarray(samples) + 1]), 1)
        try:
            parts = [column[a:b] for a, b in bounds]
        except hdf5.DAMAGED as error:
            raise FormatError(self.path, f"damaged HDF5 data in {name}: {error}") from error
        return np.concatenate(parts) if parts else column[:0]


def load(path, *, memory: bool = False) -> Dataset:
    """A data set that `save` wrote.  memory: read everything now; False: batches are read when they are needed, ahead by a thread."""
    file = hdf5.opened(path)
    try:
        if hdf5.text(file, "format") != FORMAT or hdf5.number(file, "format_version") != VERSION:
            raise FormatError(path, f"not a data set that this version saved (format {hdf5.text(file, 'format')!r}, version "
                                    f"{hdf5.number(file, 'format_version')})")
        units, classes = int(hdf5.number(file, "units")), tuple(json.loads(hdf5.text(file, "classes")))
        rows = hdf5.dataset(path, file, "row_offsets", "i", 1)[()]
        y = hdf5.dataset(path, file, "y", "i")[()]
        extra = {key: hdf5.dataset(path, file, key, "b", 2)[()] for key in ("mask", "labelled") if key in file}
        groups = np.char.decode(hdf5.dataset(path, file, "groups", "S", 1)[()], "utf-8") if "groups" in file else None
        names = ("values",) if "values" in file else ("count", "index", *(["multiplicity"] if "multiplicity" in file else []))
        columns = {name: hdf5.dataset(path, file, name, "iufb") for name in names}
        entries = None if "values" in columns else hdf5.dataset(path, file, "entry_offsets", "i", 1)[()]
    except FormatError:
        raise
    except hdf5.DAMAGED as error:
        raise FormatError(path, f"damaged HDF5 data: {error}") from error
    _check(path, rows, entries, columns, y, units)
    lengths = np.diff(rows)
    steps = int(lengths[0]) if (lengths == lengths[0]).all() else None
    if y.ndim == 2 and steps != len(y):
        raise FormatError(path, f"labels of {len(y)} steps for sequences of {lengths.min()} to {lengths.max()}", remedy="save the data set again")
    sequences = _Saved(path, columns, rows, entries, units, steps)
    about = {**extra, "groups": groups, "classes": classes, "name": hdf5.text(file, "name"), "source": hdf5.text(file, "source")}
    if memory:
        x, lengths = sequences.fetch(np.arange(len(sequences)))
        return Dataset(x, y, lengths=lengths, **about)
    return Dataset(sequences, y, **about)


def _check(path, rows, entries, columns, y, units):
    """Refuse parts that do not fit together."""
    for offsets, name in ((rows, "count" if entries is not None else "values"), (entries, "index")):
        if offsets is None:
            continue
        if len(offsets) != y.shape[-1] + 1 or len(offsets) < 2 or offsets[0] != 0 or (np.diff(offsets) < 0).any() or offsets[-1] != len(columns[name]):
            raise FormatError(path, f"offsets, labels and {name} do not fit together", remedy="save the data set again")
    if units < 1 or ("values" in columns and columns["values"].shape[1:] != (units,)):
        raise FormatError(path, f"{units} units, but values of shape {columns['values'].shape if 'values' in columns else ''}")
