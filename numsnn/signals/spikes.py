"""`Spikes`: binned spike trains as lists of unit indices.

This is the form in which event data and spikes travel between layers.  A train has the shape (T, B, N): time
steps, samples, units.  Row r = t * B + b holds the units that spiked in step t of sample b, in ascending
order: `index[start[r] : start[r] + count[r]]`.  Where units can spike several times in one step,
`multiplicity` (float32, aligned with `index`) says how often; without it every entry counts 1.

Rows may lie anywhere in `index`, so that a slice in time or a choice of samples shares the buffer of the
whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..checked import MOST, checked, chosen, in_range
from .integers import integers, whole

Shape = tuple[int, int, int]        # (T, B, N)


class Spikes:
    """Binned spike trains of shape (T, B, N) from compact rows.

    offsets: (T * B + 1,) integers, row r is index[offsets[r] : offsets[r + 1]]; index: unit of each entry,
    ascending in a row; multiplicity: None or a positive number for each entry.
    """

    __slots__ = ("count", "index", "multiplicity", "shape", "start")

    @checked
    def __init__(self, shape: Sequence[int], offsets: ArrayLike, index: ArrayLike,
                 multiplicity: ArrayLike | None = None):
        shape = tuple(integers("the shape", np.ravel(shape)).tolist())
        if len(shape) != 3 or min(shape) < 0:
            raise ValueError(f"Spikes need a shape (T, B, N): time, samples, units; got {shape}")
        offsets = integers("offsets", offsets)
        index = np.asarray(index)
        _check_rows(shape, offsets, index)
        if multiplicity is not None:
            multiplicity = _multiplicity(multiplicity)
            if multiplicity.shape != index.shape:
                raise ValueError(f"multiplicity must hold {index.size} positive numbers; "
                                 f"got shape {multiplicity.shape}")
        count = np.diff(offsets).astype(np.int32)
        index = np.ascontiguousarray(index, index_dtype(shape[2]))
        self._set(shape, offsets[:-1].copy(), count, index, multiplicity)

    def _set(self, shape: Shape, start: np.ndarray, count: np.ndarray, index: np.ndarray,
             multiplicity: np.ndarray | None) -> None:
        self.shape = shape
        self.start = start
        self.count = count
        self.index = index
        self.multiplicity = multiplicity

    @classmethod
    def of_rows(cls, shape: Sequence[int], start: np.ndarray, count: np.ndarray, index: np.ndarray,
                multiplicity: np.ndarray | None = None) -> Spikes:
        """From rows that are known to be valid (loops and slices); nothing is checked or copied."""
        steps, batch, units = shape
        spikes = cls.__new__(cls)
        spikes._set((steps, batch, units), start, count, index, multiplicity)
        return spikes

    @classmethod
    @checked
    def from_dense(cls, x: ArrayLike) -> Spikes:
        """From an array (T, B, N) of zeros and ones, or of counts."""
        x = np.asarray(x)
        if x.ndim != 3:
            raise ValueError(f"expected an array (T, B, N): time, samples, units; got shape {x.shape}. "
                             f"One sample (T, N) is x[:, None, :]")
        if x.dtype.kind not in "biuf":
            raise ValueError(f"spikes and counts are real numbers; got {x.dtype} of shape {x.shape}")
        if x.dtype != bool and not (x >= 0).all():
            raise ValueError("spikes and counts are zero or positive; this array has negative or undefined "
                             "values. Real-valued input goes to the network as a float array")
        flat = x.reshape(x.shape[0] * x.shape[1], x.shape[2])
        row, index = np.nonzero(flat)
        values = flat[row, index]
        count = np.bincount(row, minlength=len(flat)).astype(np.int32)
        start = np.zeros(len(flat), np.int64)
        np.cumsum(count[:-1], out=start[1:])
        multiplicity = None if x.dtype == bool or (values == 1).all() else _multiplicity(values)
        return cls.of_rows(x.shape, start, count, index.astype(index_dtype(x.shape[2])), multiplicity)

    @checked
    def dense(self, dtype: DTypeLike = np.float32) -> np.ndarray:
        """The array (T, B, N); bool says whether, an integer type too small for the counts is refused."""
        x = np.zeros(self.shape, dtype)
        row, entry = self.entries()
        rows = x.reshape(len(self.count), self.shape[2])
        if self.multiplicity is None:
            rows[row, self.index[entry]] = 1
            return x
        counts = self.multiplicity[entry]
        fits = x.dtype.kind not in "iu" or counts.max(initial=0) <= np.iinfo(x.dtype).max
        if not fits or x.dtype.kind in "iu" and (counts != np.floor(counts)).any():
            raise ValueError(f"counts up to {counts.max():g} are no numbers of {x.dtype}; "
                             f"take a larger type, or float32")
        rows[row, self.index[entry]] = counts
        return x

    def entries(self) -> tuple[np.ndarray, np.ndarray]:
        """Row and position in `index` of every entry, row by row."""
        row = np.repeat(np.arange(self.count.size), self.count)
        first = np.cumsum(self.count) - self.count
        return row, np.arange(row.size) + np.repeat(self.start - first, self.count)

    @checked
    def __getitem__(self, time: slice) -> Spikes:
        """A slice in time, sharing the buffers: spikes[100:200]."""
        if not isinstance(time, slice) or time.step not in (None, 1):
            raise TypeError("Spikes are sliced in time only, spikes[first:last]; "
                            "choose samples with .select(...)")
        first, last, _ = time.indices(self.shape[0])
        last = max(first, last)
        batch, units = self.shape[1:]
        rows = slice(first * batch, last * batch)
        return self._sharing((last - first, batch, units), self.start[rows], self.count[rows])

    def select(self, samples: slice | Sequence[int] | np.ndarray) -> Spikes:
        """The given samples (indices along B), sharing the buffers."""
        steps, batch, units = self.shape
        pick = samples if isinstance(samples, slice) else np.atleast_1d(
            chosen(samples, batch, "select: samples"))
        start = self.start.reshape(steps, batch)[:, pick]
        count = self.count.reshape(steps, batch)[:, pick]
        return self._sharing((steps, start.shape[1], units), start.ravel(), count.ravel())

    @checked
    def repeated(self, times: int) -> Spikes:
        """Every step so many times in a row, sharing the buffers."""
        times = whole("times", times, 0)
        in_range(0, MOST, times=times)
        steps, batch, units = self.shape
        start = np.repeat(self.start.reshape(steps, batch), times, 0)
        count = np.repeat(self.count.reshape(steps, batch), times, 0)
        return self._sharing((steps * times, batch, units), start.ravel(), count.ravel())

    @checked
    def reshaped(self, steps: int, batch: int) -> Spikes:
        """The same rows as so many steps of so many samples, sharing the buffers."""
        steps, batch = whole("steps", steps, 0), whole("batch", batch, 0)
        if steps * batch != self.count.size:
            raise ValueError(f"{self.count.size} rows are not {steps} steps of {batch} samples")
        return self._sharing((steps, batch, self.shape[2]), self.start, self.count)

    def parted(self, n: int) -> list[Spikes]:
        """The units in groups of n, each a train of its own; n divides their number."""
        steps, batch, units = self.shape
        n = whole("n", n, 1)
        if units % n:
            raise ValueError(f"{units} units are not parted into groups of {n}")
        row, entry = self.entries()
        part, index = np.divmod(self.index[entry].astype(np.int64), n)
        order = np.argsort(part, kind="stable")
        rows, kept = self.count.size, entry[order]
        count = np.bincount(part * rows + row, minlength=units // n * rows)
        start, count = np.cumsum(count) - count, count.astype(np.int32)
        index = index[order].astype(index_dtype(n))
        multiplicity = None if self.multiplicity is None else self.multiplicity[kept]
        return [self.of_rows((steps, batch, n), start[first:first + rows], count[first:first + rows], index,
                             multiplicity) for first in range(0, count.size, rows)]

    def _sharing(self, shape: Shape, start: np.ndarray, count: np.ndarray) -> Spikes:
        """Other rows of the same buffers."""
        return self.of_rows(shape, start, count, self.index, self.multiplicity)

    @classmethod
    @checked
    def join(cls, parts: list[Spikes], axis: int) -> Spikes:
        """Trains one after the other in time (axis 0), or samples (axis 1) or units (axis 2) side by side."""
        parts = list(parts)
        if not parts or not all(isinstance(p, Spikes) for p in parts):
            raise ValueError("join: expected Spikes, at least one")
        axis = whole("axis", axis, 0)
        in_range(0, 2, axis=axis)
        sizes = list(parts[0].shape)
        sizes[axis] = sum(p.shape[axis] for p in parts)
        steps, batch, units = sizes
        starts = [p.start.reshape(p.shape[:2]) for p in parts]
        counts = [p.count.reshape(p.shape[:2]) for p in parts]
        index, multiplicity = parts[0].index, parts[0].multiplicity
        pieces_of_one = axis < 2 and all(p.index is index for p in parts)       # they share its buffer
        if not pieces_of_one:
            index = _joined_index(parts, axis, index_dtype(units))
            multiplicity = _joined_multiplicity(parts)
            ahead = np.cumsum([0] + [p.index.size for p in parts[:-1]])
            starts = [start + n for start, n in zip(starts, ahead, strict=True)]
        if axis < 2:
            start = np.ascontiguousarray(np.concatenate(starts, axis)).ravel()
            count = np.ascontiguousarray(np.concatenate(counts, axis)).ravel()
            return cls.of_rows((steps, batch, units), start, count, index, multiplicity)
        # the rows of all parts, interleaved: a row of the first part, then the same of the second, ...
        start, count = np.stack(starts, 2).ravel(), np.stack(counts, 2).ravel()
        laid = cls.of_rows((steps, batch * len(parts), units), start, count, index, multiplicity)
        _, entry = laid.entries()
        total = laid.count.reshape(-1, len(parts)).sum(1, dtype=np.int32)
        first = np.cumsum(total, dtype=np.int64) - total
        multiplicity = None if multiplicity is None else multiplicity[entry]
        return cls.of_rows((steps, batch, units), first, total, index[entry], multiplicity)

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


def index_dtype(n_units: int) -> type[np.unsignedinteger]:
    """The smallest type that the loops use for unit indices."""
    if n_units > 1 << 32:
        raise ValueError(f"{n_units:,} units; lists of spikes number 2^32 at most")
    return np.uint16 if n_units <= 1 << 16 else np.uint32


def _multiplicity(values: ArrayLike) -> np.ndarray:
    """How often units spike, as float32, which holds whole numbers up to 2^24 exactly."""
    values = np.asarray(values)
    if values.dtype.kind not in "iuf":
        raise ValueError(f"multiplicity must hold numbers; got {values.dtype} of shape {values.shape}")
    with np.errstate(over="ignore"):
        counts = np.ascontiguousarray(values, np.float32)
    rounded = values.dtype.kind != "f" and (counts != values).any()
    if rounded or not (np.isfinite(counts) & (counts > 0)).all():
        raise ValueError(f"multiplicity must hold positive numbers that fit into float32, whole ones up to "
                         f"2^24; got {values.min()} to {values.max()}")
    return counts


def _check_rows(shape: tuple[int, ...], offsets: np.ndarray, index: np.ndarray) -> None:
    """Refuses what are no rows of (T, B, N)."""
    steps, batch, units = shape
    rows = steps * batch
    if offsets.shape != (rows + 1,) or offsets[0] != 0 or (np.diff(offsets) < 0).any():
        raise ValueError(f"offsets must hold T * B + 1 = {rows + 1} ascending numbers from 0; "
                         f"got shape {offsets.shape}")
    if offsets[-1] != index.size or index.ndim != 1:
        raise ValueError(f"index must be a vector of offsets[-1] = {offsets[-1]} entries; "
                         f"got shape {index.shape}")
    whole = np.issubdtype(index.dtype, np.integer)
    if index.size and not (whole and 0 <= index.min() and index.max() < units):
        raise ValueError(f"unit indices must be integers from 0 to N - 1 = {units - 1}; "
                         f"got {index.min()} to {index.max()} ({index.dtype})")
    same_row = np.ones(max(index.size - 1, 0), bool)
    inner = offsets[1:-1]
    same_row[inner[(inner > 0) & (inner < index.size)] - 1] = False
    if (np.diff(index.astype(np.int64))[same_row] <= 0).any():
        raise ValueError("unit indices must ascend within each row, each unit once "
                         "(use multiplicity for repeats)")


def _joined_index(parts: list[Spikes], axis: int, dtype: type[np.unsignedinteger]) -> np.ndarray:
    """The entries of all parts one after the other; units that are joined are numbered on."""
    first = np.cumsum([0] + [p.shape[axis] for p in parts[:-1]]) if axis == 2 else [0] * len(parts)
    return np.concatenate([p.index.astype(dtype) + dtype(n) for p, n in zip(parts, first, strict=True)])


def _joined_multiplicity(parts: list[Spikes]) -> np.ndarray | None:
    """How often each entry of all parts counts; None where none says so."""
    if all(p.multiplicity is None for p in parts):
        return None
    return np.concatenate([np.ones(p.index.size, np.float32) if p.multiplicity is None else p.multiplicity
                           for p in parts])
