"""Delays on the GPU: a thread for each value that is handed out, or is still on its way."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from ..contract import Delays
from .array import Array, Values, put, start
from .dense import sum_rows
from .driver import Kernel
from .pointwise import times

# What arrived before and what arrives, `length` + T values of a feature, are one column.  Step t is handed
# out of places length - steps + t (newer) and the one before it (older); what goes on are the `length` places
# from end[b] on, where the sample ends.


class Sizes(NamedTuple):
    steps: int
    batch: int
    units: int
    total: int          # of the lengths of all pasts


class Places(NamedTuple):
    """Arrays: those of Delays, and where samples end."""
    steps: Any
    newer: Any
    older: Any
    length: Any
    first: Any
    feature: Any
    end: Any            # (B,): steps of each sample


@lru_cache(None)
def delayed_kernel() -> Kernel:
    """y from the past and x, and its slope by the delays where `learns`."""

    @cuda.jit
    def delayed(x, past, of, sizes, y, slope, learns, n):
        i = cuda.grid(1)
        if i < n:
            size = sizes.batch * sizes.units
            unit, b, t = i % sizes.units, i // sizes.units % sizes.batch, i // size
            d = of.steps[unit]
            early = b * sizes.total + of.first[unit] + of.length[unit] - d + t      # its place, while t < d
            newer = past[early] if t < d else x[i - d * size]
            value = newer
            if learns or of.older[unit] != 0:
                older = past[early - 1] if t <= d else x[i - (d + 1) * size]
                if of.older[unit] != 0:
                    value = of.newer[unit] * newer + of.older[unit] * older
                if learns:
                    slope[i] = older - newer
            y[i] = value

    return delayed


@lru_cache(None)
def kept_kernel() -> Kernel:
    """What goes on, from the past and x."""

    @cuda.jit
    def kept(x, past, of, sizes, after, n):
        i = cuda.grid(1)
        if i < n:
            j, b = i % sizes.total, i // sizes.total
            unit = of.feature[j]
            place, length = of.end[b] + j - of.first[unit], of.length[unit]
            if place < length:
                after[i] = past[b * sizes.total + of.first[unit] + place]
            else:
                after[i] = x[((place - length) * sizes.batch + b) * sizes.units + unit]

    return kept


@lru_cache(None)
def returned_kernel(real: str) -> Kernel:
    """The gradients of x, of_x values, and of the past."""
    zero = np.dtype(real).type(0)

    @cuda.jit
    def returned(dy, dafter, of, sizes, dx, of_x, dpast, n):
        i = cuda.grid(1)
        if i < n:
            if i < of_x:
                unit, b = i % sizes.units, i // sizes.units % sizes.batch
                place = i // (sizes.units * sizes.batch) + of.length[unit]
            else:
                j, b = (i - of_x) % sizes.total, (i - of_x) // sizes.total
                unit = of.feature[j]
                place = j - of.first[unit]
            t, ahead, total = place - of.length[unit] + of.steps[unit], place - of.end[b], zero
            if t >= 0 and t < sizes.steps:
                total += of.newer[unit] * dy[(t * sizes.batch + b) * sizes.units + unit]
            if of.older[unit] != 0 and t >= -1 and t < sizes.steps - 1:
                total += of.older[unit] * dy[((t + 1) * sizes.batch + b) * sizes.units + unit]
            if ahead >= 0 and ahead < of.length[unit]:
                total += dafter[b * sizes.total + of.first[unit] + ahead]
            if i < of_x:
                dx[i] = total
            else:
                dpast[i - of_x] = total

    return returned


def delay_forward(
        delays: Delays, x: Values, past: Values, lengths: np.ndarray | None,
        want_slope: bool) -> tuple[Array, Array, Array | None]:
    """A thread for each value; see contract.py."""
    x, past = put(x), put(past)
    y, after = Array(x.shape, x.dtype), Array(past.shape, x.dtype)
    slope = Array(x.shape if want_slope else (1, 1, 1), x.dtype)
    of, sizes = _places(delays, x.shape, lengths), _sizes(x.shape, past)
    start(delayed_kernel(), y.size, x, past, of, sizes, y, slope, want_slope, y.size)
    start(kept_kernel(), after.size, x, past, of, sizes, after, after.size)
    return y, after, slope if want_slope else None


def delay_backward(
        delays: Delays, slope: Values | None, dy: Values, dafter: Values,
        lengths: np.ndarray | None) -> tuple[Array, Array, Array | None]:
    """A thread for each place that was read; see contract.py."""
    dy, dafter = put(dy), put(dafter)
    dx, dpast = Array(dy.shape, dy.dtype), Array(dafter.shape, dy.dtype)
    of, sizes, n = _places(delays, dy.shape, lengths), _sizes(dy.shape, dafter), dx.size + dpast.size
    start(returned_kernel(dy.dtype.name), n, dy, dafter, of, sizes, dx, dx.size, dpast, n)
    if slope is None:
        return dx, dpast, None
    return dx, dpast, sum_rows(times(dy, slope).reshape(-1, dy.shape[2]))


def _sizes(shape, past):
    return Sizes(*shape, past.shape[1])


def _places(delays, shape, lengths):
    end = np.full(shape[1], shape[0]) if lengths is None else lengths
    return Places(*map(put, delays), put(np.asarray(end, np.int64)))


__all__ = ["delay_backward", "delay_forward"]
