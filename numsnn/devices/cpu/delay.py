"""Delays on the CPU: whole sequences, and a time step of them in the compiled step of a network (step.py)."""

from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import DTypeLike

from ...neurons.elementwise import ZERO
from ...signals.spikes import Spikes
from .. import buffers
from ..contract import Delays
from ..jit import OPTIONS, fingerprint, jitable
from .addresses import at, shifted
from .fields import private
from .rows import U
from .step import StepLayer, kernel_of, real_of

# What arrived before and what arrives, `length` + T steps of a feature, are one column: see
# reference/delay.py, which computes the same.


@jitable
def returned(dy, first, size, steps, of, n, t):
    """The gradient of what feature n hands out as the newer value in step t, as the older one in the next.

    dy[first + t * size]: of what it hands out in step t, 0 <= t < steps.
    """
    total = ZERO
    if 0 <= t < steps:
        total += of.newer[n] * dy[first + t * size]
    if of.older[n] != 0 and -1 <= t < steps - 1:
        total += of.older[n] * dy[first + (t + 1) * size]
    return total


@lru_cache(None)
def forward_kernel():
    """sizes: T, B, N, sum of the lengths of all pasts; slope: without values where it is not wanted."""
    mark = fingerprint()

    @njit(**OPTIONS)
    def forward(x, past, of, ends, sizes, y, slope, after):
        mark  # noqa: B018  part of the cache key
        (steps, batch, units, total), learns = sizes, slope.size > 0
        size, (x, past, of, y, slope, after) = batch * units, private((x, past, of, y, slope, after))
        for t in range(steps):
            for b in range(batch):
                row = (t * batch + b) * units
                for n in range(units):
                    d = of.steps[n]
                    early = b * total + of.first[n] + of.length[n] - d + t      # its place, while t < d
                    newer = x[row - d * size + n] if t >= d else past[early]
                    value = newer
                    if learns or of.older[n] != 0:
                        older = x[row - (d + 1) * size + n] if t > d else past[early - 1]
                        if of.older[n] != 0:
                            value = of.newer[n] * newer + of.older[n] * older
                        if learns:
                            slope[row + n] = older - newer
                    y[row + n] = value
        for b in range(batch):
            for n in range(units):
                first = b * total + of.first[n]
                for j in range(of.length[n]):
                    place, length = ends[b] + j, of.length[n]
                    after[first + j] = past[first + place] if place < length else \
                        x[((place - length) * batch + b) * units + n]

    return forward


@lru_cache(None)
def backward_kernel():
    """As forward_kernel; ddelay: (N,) zeros, float64."""
    mark = fingerprint()

    @njit(**OPTIONS)
    def backward(dy, dafter, slope, of, ends, sizes, dx, dpast, ddelay):
        mark  # noqa: B018  part of the cache key
        (steps, batch, units, total), learns = sizes, slope.size > 0
        size, ddelay = batch * units, private(ddelay)
        dy, dafter, slope, of, dx, dpast = private((dy, dafter, slope, of, dx, dpast))
        for b in range(batch):
            for n in range(units):
                first, length, d = b * total + of.first[n], of.length[n], of.steps[n]
                for place in range(length):
                    dpast[first + place] = returned(dy, b * units + n, size, steps, of, n, place - length + d)
                for j in range(length - ends[b]):
                    dpast[first + ends[b] + j] += dafter[first + j]
        for t in range(steps):
            for b in range(batch):
                row = (t * batch + b) * units
                for n in range(units):
                    d = returned(dy, b * units + n, size, steps, of, n, t + of.steps[n])
                    j = of.length[n] + t - ends[b]
                    if 0 <= j < of.length[n]:
                        d += dafter[b * total + of.first[n] + j]
                    dx[row + n] = d
                    if learns:
                        ddelay[n] += dy[row + n] * slope[row + n]

    return backward


def delay_forward(
        delays: Delays, x: np.ndarray, past: np.ndarray, lengths: np.ndarray | None,
        want_slope: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Late values, step by step; see contract.py."""
    y, after = buffers.empty(x.shape, x.dtype), np.empty(past.shape, x.dtype)
    slope = buffers.empty((len(x) if want_slope else 0, *x.shape[1:]), x.dtype)
    forward_kernel()(buffers.contiguous(x), buffers.contiguous(past), delays, _ends(x.shape, lengths),
                     (*x.shape, past.shape[1]), y, slope, after)
    return y, after, slope if want_slope else None


def delay_backward(
        delays: Delays, slope: np.ndarray | None, dy: np.ndarray, dafter: np.ndarray,
        lengths: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Each place of a column gathers what it was handed out as; see contract.py."""
    dx, dpast = buffers.empty(dy.shape, dy.dtype), np.empty(dafter.shape, dy.dtype)
    ddelay, of_all = np.zeros(dy.shape[2]), dx[:0] if slope is None else slope
    backward_kernel()(buffers.contiguous(dy), buffers.contiguous(dafter), of_all, delays,
                      _ends(dy.shape, lengths), (*dy.shape, dafter.shape[1]), dx, dpast, ddelay)
    return dx, dpast, None if slope is None else ddelay.astype(dy.dtype)


def _ends(shape, lengths):
    """(B,): the number of steps of each sample."""
    return np.full(shape[1], shape[0]) if lengths is None else lengths


# ---- lists of spikes


@jitable
def by_unit(start, count, index, units):
    """(row, entry) of each entry, unit by unit, and where those of each unit end."""
    ends = np.zeros(units + 1, np.int64)
    for r in range(start.size):
        for e in range(start[r], start[r] + count[r]):
            ends[index[e] + 1] += 1
    for n in range(units):
        ends[n + 1] += ends[n]              # so far where the entries of unit n + 1 begin
    row, entry = np.empty(ends[units], np.int64), np.empty(ends[units], np.int64)
    for r in range(start.size):
        for e in range(start[r], start[r] + count[r]):
            n = index[e]
            row[ends[n]], entry[ends[n]] = r, e
            ends[n] += 1
    return row, entry, ends


@lru_cache(None)
def late_kernel():
    """Entries in lists, `shift` steps later, with those of the past.

    given: (start, count, index, multiplicity) of Spikes, the last without values where each entry counts
    once.  found: the same of what is handed out, of zeros, its lists as long as they may have to be.  By
    units first, and from these in ascending order into the rows, so that units ascend in each row.
    """
    mark = fingerprint()

    @njit(**OPTIONS)
    def late(given, past, of, shift, sizes, found):
        mark  # noqa: B018  part of the cache key
        (start, count, index, multiplicity), (steps, batch, units, _) = given, sizes
        first, counted, listed, times = found
        rows, (row, entry, ends) = steps * batch, by_unit(start, count, index, units)
        for h in range(row.size):
            row[h] += shift[index[entry[h]]] * batch
            if row[h] < rows:
                counted[row[h]] += 1
        for b in range(batch):
            for n in range(units):
                for t in range(min(shift[n], steps)):
                    counted[t * batch + b] += past[b, of.first[n] + of.length[n] - shift[n] + t] != 0
        for r in range(1, rows):
            first[r] = first[r - 1] + counted[r - 1]
        place, h = first.copy(), 0
        for n in range(units):
            for b in range(batch):
                for t in range(min(shift[n], steps)):
                    value, r = past[b, of.first[n] + of.length[n] - shift[n] + t], t * batch + b
                    if value != 0:
                        listed[place[r]], times[place[r]] = n, value
                        place[r] += 1
            while h < ends[n]:
                r, e = row[h], entry[h]
                if r < rows:
                    listed[place[r]] = n
                    times[place[r]] = multiplicity[e] if multiplicity.size > 0 else 1
                    place[r] += 1
                h += 1

    return late


@lru_cache(None)
def kept_kernel():
    """What goes on: the past's values, and entries as values."""
    mark = fingerprint()

    @njit(**OPTIONS)
    def kept(given, past, of, ends, sizes, after):
        mark  # noqa: B018  part of the cache key
        (start, count, index, multiplicity), (_, batch, units, _) = given, sizes
        for b in range(batch):
            for n in range(units):
                first, length = of.first[n], of.length[n]
                for j in range(length):
                    place = ends[b] + j
                    after[b, first + j] = past[b, first + place] if place < length else 0
            for t in range(max(ends[b] - of.length.max(), 0), ends[b]):
                r = t * batch + b
                for e in range(start[r], start[r] + count[r]):
                    n = index[e]
                    place = t - ends[b] + of.length[n]
                    if place >= 0:
                        after[b, of.first[n] + place] = multiplicity[e] if multiplicity.size > 0 else 1

    return kept


def delay_spikes(
        shift: np.ndarray, delays: Delays, x: Spikes, past: np.ndarray,
        lengths: np.ndarray | None) -> tuple[Spikes, np.ndarray]:
    """Lists of spikes, moved without an array of values; see contract.py."""
    sizes, past = (*x.shape, past.shape[1]), buffers.contiguous(past)
    given = x.start, x.count, x.index, np.empty(0, np.float32) if x.multiplicity is None else x.multiplicity
    rows, most = x.count.size, x.n_spikes + int(np.count_nonzero(past))
    start, count = np.zeros(rows, np.int64), np.zeros(rows, np.int32)
    index, times = np.empty(most, x.index.dtype), np.empty(most, np.float32)
    late_kernel()(given, past, delays, shift, sizes, (start, count, index, times))
    after = np.empty(past.shape, past.dtype)
    kept_kernel()(given, past, delays, _ends(x.shape, lengths), sizes, after)
    n = int(count.sum())
    multiplicity = None if (times[:n] == 1).all() else times[:n]
    return Spikes.of_rows(x.shape, start, count, index[:n], multiplicity), after


# ---- one step


@lru_cache(None)
def _delay(real):
    """fixed: addresses of the fields of Delays but for the last, n, length of all pasts."""
    mark = fingerprint()

    def delay(fixed, x, before, after, y, work, batch):
        mark  # noqa: B018  part of the cache key
        steps, length, first = at(fixed, fixed[0]), at(fixed, fixed[3]), at(fixed, fixed[4])
        newer, older = at(x, fixed[1]), at(x, fixed[2])
        units, total = U(fixed[5]), U(fixed[6])
        x, y, before, after = shifted(x, U(0)), shifted(y, U(0)), shifted(before, U(0)), shifted(after, U(0))
        for b in range(batch):
            for n in range(units):
                begin, now, held = b * total + U(first[n]), x[b * units + n], U(length[n])
                place = begin + held - U(steps[n])
                value = before[place] if steps[n] > 0 else now
                if older[n] != 0:
                    value = newer[n] * value + older[n] * before[place - U(1)]
                y[b * units + n] = value
                for k in range(U(1), held):
                    after[begin + k - U(1)] = before[begin + k]
                if held > U(0):
                    after[begin + held - U(1)] = now

    return kernel_of(delay, real)


def delay_step(delays: Delays, dtype: DTypeLike, watched: tuple) -> StepLayer:
    """What a compiled step of the network needs; see step.py."""
    n, total = len(delays.steps), len(delays.feature)
    return StepLayer(_delay(real_of(dtype)), (*delays[:5], n, total), (total,), n, 0, watched)
