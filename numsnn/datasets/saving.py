"""Writing a data set to the HDF5 file that saved.py reads and describes."""

import json

import numpy as np

from ..formats.whole import whole
from ..signals.spikes import Spikes, index_dtype

FORMAT, VERSION = "numsnn data set", 1
LIBVER = ("v110", "v110")
CHUNK = 1 << 15
BATCH = 128                         # sequences that are held at once while a lazy set is written


def save(data, path, options: dict | None = None) -> None:
    """Write a `Dataset`; of a lazy one a batch at a time is held in memory.  The file appears when it is complete.

    options: what made the set, kept in the file.
    """
    import h5py
    with whole(path) as part, h5py.File(part, "w", libver=LIBVER) as file:
        _write_about(file, data, options)
        writer = None
        for batch in data.batches(BATCH):
            writer = writer or _Writer(file, batch.x)
            writer.append(batch.x, batch.lengths)
        if writer is None:
            raise ValueError(f"data set {data.name!r} is empty; there is nothing to save")
        writer.close()


def _write_about(file, data, options):
    from .. import __version__
    for key, text in (("format", FORMAT), ("numsnn_version", __version__), ("name", data.name), ("source", data.source),
                      ("classes", json.dumps(data.classes)), ("options", json.dumps(options or {}, sort_keys=True))):
        file.attrs[key] = np.bytes_(text.encode())
    file.attrs.update(format_version=VERSION, units=data.units)
    file["y"] = data.y
    for key in ("mask", "labelled"):
        if getattr(data, key) is not None:
            file[key] = getattr(data, key)
    if data.groups is not None:
        file["groups"] = np.char.encode(data.groups.astype(str), "utf-8")


class _Writer:
    """Sequences, one after the other."""

    def __init__(self, file, x):
        self.file, self.spikes, self.rows, self.entries = file, isinstance(x, Spikes), [0], [0]
        units = x.shape[2]
        kinds = (("count", (), "i4"), ("index", (), index_dtype(units)), ("multiplicity", (), "f4")) if self.spikes else \
            (("values", (units,), x.dtype),)
        self.sets = {name: file.create_dataset(name, (0, *shape), dtype, maxshape=(None, *shape), chunks=(max(CHUNK // max(1, *shape, 1), 1), *shape))
                     for name, shape, dtype in kinds}
        self.counted = False

    def append(self, x, lengths):
        steps, batch, _ = x.shape
        lengths = np.full(batch, steps) if lengths is None else lengths
        self.rows += (self.rows[-1] + np.cumsum(lengths)).tolist()
        valid = np.arange(steps) < np.asarray(lengths)[:, None]                        # (B, T)
        if not self.spikes:
            self._add("values", np.moveaxis(x, 1, 0)[valid])
            return
        count, start = (a.reshape(steps, batch).T[valid] for a in (x.count, x.start))
        self.entries += (self.entries[-1] + np.cumsum(np.where(valid, x.count.reshape(steps, batch).T, 0).sum(1))).tolist()
        entry = np.arange(count.sum()) + np.repeat(start - (np.cumsum(count) - count), count)
        self._add("count", count)
        self._add("index", x.index[entry])
        self.counted |= x.multiplicity is not None
        self._add("multiplicity", np.ones(len(entry), np.float32) if x.multiplicity is None else x.multiplicity[entry])

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
