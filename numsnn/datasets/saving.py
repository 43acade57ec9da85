"""Writing a data set to the HDF5 file that saved.py reads and describes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..checked import checked, what_it_is
from ..formats.storage import check
from ..formats.whole import as_json, whole_hdf5
from ..signals.spikes import Spikes, index_dtype

FORMAT, VERSION = "numsnn data set", 1
LIBVER = ("v110", "v110")
CHUNK = 1 << 15
BATCH = 128                         # sequences that are held at once while a lazy set is written


@checked
def save(data: Any, path: Path | str, options: dict | None = None) -> None:
    """Write a `Dataset`; of a lazy one a batch at a time is held in memory.

    data: a Dataset.  options: what made the set, kept in the file.  The file appears when it is complete.
    """
    if not hasattr(data, "batches"):
        raise TypeError(f"save: data must be a Dataset; got {what_it_is(data)}")
    with whole_hdf5(path, libver=LIBVER) as file:
        _write_about(file, data, options)
        writer = None
        for batch in data.batches(BATCH):
            writer = writer or _Writer(file, batch.x)
            writer.append(batch.x, batch.lengths)
            check(file)
        if writer is None:
            raise ValueError(f"data set {data.name!r} is empty; there is nothing to save")
        writer.close()


def _write_about(file, data, options):
    from .. import __version__
    texts = {
        "format": FORMAT,
        "numsnn_version": __version__,
        "name": data.name,
        "source": data.source,
        "classes": as_json(data.classes),
        "options": as_json(options or {}, sort_keys=True),
    }
    for key, text in texts.items():
        file.attrs[key] = np.bytes_(text.encode())
    file.attrs.update(format_version=VERSION, units=data.units)
    file["y"] = data.y
    for key in ("mask", "labelled"):
        if getattr(data, key) is not None:
            file[key] = getattr(data, key)
    if data.groups is not None:
        file["groups"] = np.char.encode(data.groups.astype(str), "utf-8")


def _growing(file, name, dtype, *shape):
    """A new data set of rows of this shape."""
    rows = max(CHUNK // max((1, *shape)), 1)
    return file.create_dataset(name, (0, *shape), dtype, maxshape=(None, *shape), chunks=(rows, *shape))


class _Writer:
    """Sequences, one after the other."""

    def __init__(self, file, x):
        self.file = file
        self.spikes = isinstance(x, Spikes)
        self.rows = [0]
        self.entries = [0]
        units = x.shape[2]
        if self.spikes:
            self.sets = {
                "count": _growing(file, "count", "i4"),
                "index": _growing(file, "index", index_dtype(units)),
                "multiplicity": _growing(file, "multiplicity", "f4"),
            }
        else:
            self.sets = {"values": _growing(file, "values", x.dtype, units)}
        self.counted = False

    def append(self, x, lengths):
        steps, batch, _ = x.shape
        lengths = np.full(batch, steps) if lengths is None else lengths
        self.rows += (self.rows[-1] + np.cumsum(lengths)).tolist()
        valid = np.arange(steps) < np.asarray(lengths)[:, None]                        # (B, T)
        if not self.spikes:
            self._add("values", np.moveaxis(x, 1, 0)[valid])
            return
        counts = x.count.reshape(steps, batch).T                                       # (B, T)
        spikes_of_each = np.where(valid, counts, 0).sum(1)
        self.entries += (self.entries[-1] + np.cumsum(spikes_of_each)).tolist()
        count = counts[valid]
        start = x.start.reshape(steps, batch).T[valid]
        entry = np.arange(count.sum()) + np.repeat(start - (np.cumsum(count) - count), count)
        self._add("count", count)
        self._add("index", x.index[entry])
        self.counted |= x.multiplicity is not None
        self._add("multiplicity", np.ones(len(entry), np.float32) if x.multiplicity is None else
                  x.multiplicity[entry])

    def _add(self, name, values):
        dataset = self.sets[name]
        n = len(dataset)
        dataset.resize(n + len(values), 0)
        dataset[n:] = values

    def close(self):
        self.file["row_offsets"] = self.rows
        if self.spikes:
            self.file["entry_offsets"] = self.entries
            if not self.counted:
                del self.file["multiplicity"]
