"""Delays on the GPU: a thread for each value that is handed out, or is still on its way."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from ..contract import Delays
from .array import Array, Values, put, start
from .driver import Kernel

# A feature that is delayed by d steps: what arrived before, d values, and then what arrives, T values, are
# one row of d + T.  The first T of them are handed out in this order; the d from place end[b] on, where the
# sample ends, are what goes on.


class Sizes(NamedTuple):
    steps: int
    batch: int
    units: int
    total: int          # of all delays


class Places(NamedTuple):
    """Arrays of whole numbers; the first three as in Delays."""
    steps: Any
    first: Any
    feature: Any
    end: Any            # (B,): steps of each sample


@lru_cache(None)
def delayed_kernel() -> Kernel:
    """y from the past and x."""

    @cuda.jit
    def delayed(x, past, of, sizes, y, n):
        i = cuda.grid(1)
        if i < n:
            unit, b, t = i % sizes.units, i // sizes.units % sizes.batch, i // (sizes.units * sizes.batch)
            d = of.steps[unit]
            if t < d:
                y[i] = past[b * sizes.total + of.first[unit] + t]
            else:
                y[i] = x[i - d * sizes.batch * sizes.units]

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
            place, d = of.end[b] + j - of.first[unit], of.steps[unit]
            if place < d:
                after[i] = past[b * sizes.total + of.first[unit] + place]
            else:
                after[i] = x[((place - d) * sizes.batch + b) * sizes.units + unit]

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
                place = i // (sizes.units * sizes.batch) + of.steps[unit]
            else:
                j, b = (i - of_x) % sizes.total, (i - of_x) // sizes.total
                unit = of.feature[j]
                place = j - of.first[unit]
            total, ahead = zero, place - of.end[b]
            if place < sizes.steps:
                total += dy[(place * sizes.batch + b) * sizes.units + unit]
            if ahead >= 0 and ahead < of.steps[unit]:
                total += dafter[b * sizes.total + of.first[unit] + ahead]
            if i < of_x:
                dx[i] = total
            else:
                dpast[i - of_x] = total

    return returned


def delay_forward(
        delays: Delays, x: Values, past: Values, lengths: np.ndarray | None) -> tuple[Array, Array]:
    x, past = put(x), put(past)
    y, after = Array(x.shape, x.dtype), Array(past.shape, x.dtype)
    of, sizes = _places(delays, x.shape, lengths), _sizes(x.shape, past)
    start(delayed_kernel(), y.size, x, past, of, sizes, y, y.size)
    start(kept_kernel(), after.size, x, past, of, sizes, after, after.size)
    return y, after


def delay_backward(
        delays: Delays, dy: Values, dafter: Values, lengths: np.ndarray | None) -> tuple[Array, Array]:
    dy, dafter = put(dy), put(dafter)
    dx, dpast = Array(dy.shape, dy.dtype), Array(dafter.shape, dy.dtype)
    of, sizes, n = _places(delays, dy.shape, lengths), _sizes(dy.shape, dafter), dx.size + dpast.size
    start(returned_kernel(dy.dtype.name), n, dy, dafter, of, sizes, dx, dx.size, dpast, n)
    return dx, dpast


def _sizes(shape, past):
    return Sizes(*shape, past.shape[1])


def _places(delays, shape, lengths):
    end = np.full(shape[1], shape[0]) if lengths is None else lengths
    return Places(*map(put, delays[:3]), put(np.asarray(end, np.int64)))


__all__ = ["delay_backward", "delay_forward"]
