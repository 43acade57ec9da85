"""`Spikes`: binned spike trains as lists of unit indices, the form in which event data and spikes travel between layers.

A train has the shape (T, B, N): time steps, samples, units.  Row r = t * B + b holds the units that spiked in step t of sample
b, in ascending order: `index[start[r] : start[r] + count[r]]`.  Where units can spike several times in one step, `multiplicity`
(float32, aligned with `index`) says how often; without it every entry counts 1.

Rows may lie anywhere in `index`, so that a slice in time or a choice of samples shares the buffer of the whole.
"""

from __future__ import annotations

import numpy as np


class Spikes:
    """Binned spike trains of shape (T, B, N) from compact rows.

    offsets: (T * B + 1,) integers, row r is index[offsets[r] : offsets[r + 1]]; index: unit of each entry, ascending in a row;
    multiplicity: None or a positive number for each entry.
    """

    __slots__ = ("count", "index", "multiplicity", "shape", "start")

    def __init__(self, shape: tuple[int, int, int], offsets, index, multiplicity=None):
        shape = tuple(int(n) for n in shape)
        if len(shape) != 3 or min(shape) < 0:
            raise ValueError(f"Spikes need a shape (T, B, N): time, samples, units; got {shape}")
        offsets, index = np.asarray(offsets, np.int64), np.asarray(index)
        if offsets.shape != (shape[0] * shape[1] + 1,) or offsets[0] != 0 or (np.diff(offsets) < 0).any():
            raise ValueError(f"offsets must hold T * B + 1 = {shape[0] * shape[1] + 1} ascending numbers from 0; "
                             f"got shape {offsets.shape}")
        if offsets[-1] != index.size or index.ndim != 1:
            raise ValueError(f"index must be a vector of offsets[-1] = {offsets[-1]} entries; got shape {index.shape}")
        if index.size and not (np.issubdtype(index.dtype, np.integer) and 0 <= index.min() and index.max() < shape[2]):
            raise ValueError(f"unit indices must be integers from 0 to N - 1 = {shape[2] - 1}; "
                             f"got {index.min()} to {index.max()} ({index.dtype})")
        same_row = np.ones(max(index.size - 1, 0), bool)
        inner = offsets[1:-1]
        same_row[inner[(inner > 0) & (inner < index.size)] - 1] = False
        if (np.diff(index.astype(np.int64))[same_row] <= 0).any():
            raise ValueError("unit indices must ascend within each row, each unit once (use multiplicity for repeats)")
        if multiplicity is not None:
            multiplicity = np.ascontiguousarray(multiplicity, np.float32)
            if multiplicity.shape != index.shape or not (np.isfinite(multiplicity) & (multiplicity > 0)).all():
                raise ValueError(f"multiplicity must hold {index.size} positive numbers; got shape {multiplicity.shape}")
        self._set(shape, offsets[:-1].copy(), np.diff(offsets).astype(np.int32),
                  np.ascontiguousarray(index, index_dtype(shape[2])), multiplicity)

    def _set(self, shape, start, count, index, multiplicity):
        self.shape, self.start, self.count, self.index, self.multiplicity = shape, start, count, index, multiplicity

    @classmethod
    def of_rows(cls, shape, start, count, index, multiplicity=None) -> Spikes:
        """From rows that are known to be valid (loops and slices); nothing is checked or copied."""
        spikes = cls.__new__(cls)
        spikes._set(tuple(shape), start, count, index, multiplicity)
        return spikes

    @classmethod
    def from_dense(cls, x) -> Spikes:
        """From an array (T, B, N) of zeros and ones, or of counts."""
        x = np.asarray(x)
        if x.ndim != 3:
            raise ValueError(f"expected an array (T, B, N): time, samples, units; got shape {x.shape}. "
                             f"One sample (T, N) is x[:, None, :]")
        if x.dtype != bool and not (x >= 0).all():
            raise ValueError("spikes and counts are zero or positive; this array has negative or undefined values. "
                             "Real-valued input goes to the network as a float array")
        flat = x.reshape(-1, x.shape[2])
        row, index = np.nonzero(flat)
        values = flat[row, index]
        count = np.bincount(row, minlength=len(flat)).astype(np.int32)
        start = np.zeros(len(flat), np.int64)
        np.cumsum(count[:-1], out=start[1:])
        multiplicity = None if x.dtype == bool or (values == 1).all() else values.astype(np.float32)
        return cls.of_rows(x.shape, start, count, index.astype(index_dtype(x.shape[2])), multiplicity)

    def dense(self, dtype=np.float32) -> np.ndarray:
        """The array (T, B, N)."""
        x = np.zeros(self.shape, dtype)
        row, entry = self.entries()
        x.reshape(-1, self.shape[2])[row, self.index[entry]] = 1 if self.multiplicity is None else self.multiplicity[entry]
        return x

    def entries(self):
        """Row and position in `index` of every entry, row by row."""
        row = np.repeat(np.arange(self.count.size), self.count)
        first = np.cumsum(self.count) - self.count
        return row, np.arange(row.size) + np.repeat(self.start - first, self.count)

    def __getitem__(self, time: slice) -> Spikes:
        """A slice in time, sharing the buffers: spikes[100:200]."""
        if not isinstance(time, slice) or time.step not in (None, 1):
            raise TypeError("Spikes are sliced in time only, spikes[first:last]; choose samples with .select(...)")
        first, last, _ = time.indices(self.shape[0])
        last = max(first, last)
        batch, units = self.shape[1:]
        rows = slice(first * batch, last * batch)
        return self.of_rows((last - first, batch, units), self.start[rows], self.count[rows], self.index, self.multiplicity)

    def select(self, samples) -> Spikes:
        """The given samples (indices along B), sharing the buffers."""
        steps, batch, units = self.shape
        pick = samples if isinstance(samples, slice) else np.arange(batch)[samples]
        start, count = self.start.reshape(steps, batch)[:, pick], self.count.reshape(steps, batch)[:, pick]
        return self.of_rows((steps, start.shape[1], units), start.ravel(), count.ravel(), self.index, self.multiplicity)

    def repeated(self, times: int) -> Spikes:
        """Every step so many times in a row, sharing the buffers."""
        steps, batch, units = self.shape
        start, count = (np.repeat(a.reshape(steps, batch), times, 0).ravel() for a in (self.start, self.count))
        return self.of_rows((steps * times, batch, units), start, count, self.index, self.multiplicity)

    @classmethod
    def join(cls, parts: list, axis: int) -> Spikes:
        """Trains one after the other in time (axis 0), or samples (axis 1) or units (axis 2) beside each other."""
        shape = list(parts[0].shape)
        shape[axis] = sum(p.shape[axis] for p in parts)
        index_type = index_dtype(shape[2])
        start, count = ([getattr(p, a).reshape(p.shape[:2]) for p in parts] for a in ("start", "count"))
        index, many = parts[0].index, parts[0].multiplicity
        if axis == 2 or any(p.index is not index for p in parts):       # pieces of one train share its buffer
            units = np.cumsum([0] + [p.shape[2] for p in parts[:-1]]) if axis == 2 else [0] * len(parts)
            index = np.concatenate([p.index.astype(index_type) + index_type(n) for p, n in zip(parts, units, strict=True)])
            if any(p.multiplicity is not None for p in parts):
                many = np.concatenate([np.ones(p.index.size, np.float32) if p.multiplicity is None else p.multiplicity for p in parts])
            ahead = np.cumsum([0] + [p.index.size for p in parts[:-1]])
            start = [a + n for a, n in zip(start, ahead, strict=True)]
        if axis < 2:
            return cls.of_rows(shape, *(np.ascontiguousarray(np.concatenate(a, axis)).ravel() for a in (start, count)), index, many)
        # the rows of all parts, interleaved: first those of the first part, then of the second, ...
        laid = cls.of_rows((shape[0], shape[1] * len(parts), shape[2]), *(np.stack(a, 2).ravel() for a in (start, count)), index, many)
        _, entry = laid.entries()
        total = laid.count.reshape(-1, len(parts)).sum(1, dtype=np.int32)
        return cls.of_rows(shape, np.cumsum(total, dtype=np.int64) - total, total, index[entry], None if many is None else many[entry])

    @property
    def ndim(self) -> int:
        return 3

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def n_spikes(self) -> int:
        """Number of entries."""
        return int(self.count.sum())

    @property
    def rate(self) -> float:
        """Mean number of entries per unit and step."""
        return self.n_spikes / max(1, int(np.prod(self.shape)))

    def __repr__(self) -> str:
        return f"Spikes(shape={self.shape}, n_spikes={self.n_spikes}, rate={self.rate:.4f})"


def index_dtype(n_units: int):
    """The smallest type that the loops use for unit indices."""
    return np.uint16 if n_units <= 1 << 16 else np.uint32
