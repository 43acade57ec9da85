"""The answer of a network over time, on the GPU: a thread for each sample and output takes all steps."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numba import cuda

from ..contract import Over, OverState, steps_and_rounds, steps_so_far
from .array import Array, Values, put, start, zeros
from .dense import softmax
from .driver import Kernel
from .population import Sizes, lengths_of

SUM, MEAN, MAX, LAST = "sum", "mean", "max", "last"


@lru_cache(None)
def forward_kernel(reduce: str, real: str) -> Kernel:
    """The answer y of each sample and output, the state after it, and which step gave it."""
    number = np.dtype(real).type
    adds, picks, averages = reduce in (SUM, MEAN), reduce == MAX, reduce == MEAN
    lowest = number(-np.inf)

    @cuda.jit
    def forward(sizes, begin, z, lengths, value, steps, y, best):
        """value, and steps (integers), are changed.  best: the step that was taken, from 1; 0: none."""
        i = cuda.grid(1)
        if i < sizes.batch * sizes.units:
            b = i // sizes.units
            total, seen, length = value[i], steps[i], lengths[b]
            taken = 0
            top = total if seen > begin else lowest
            for t in range(length):
                seen += 1
                if seen > begin:
                    here = z[t * sizes.batch * sizes.units + i]
                    if adds:
                        total += here
                    elif not picks or here > top:
                        total, top, taken = here, here, t + 1
            value[i] = total
            steps[i] = seen
            best[i] = taken
            y[i] = total / number(max(seen - begin, 1)) if averages else total

    return forward


@lru_cache(None)
def backward_kernel(reduce: str, real: str) -> Kernel:
    """The gradients of z and, `before`, of the state that a run starts from."""
    number = np.dtype(real).type
    adds, averages, zero = reduce in (SUM, MEAN), reduce == MEAN, number(0)

    @cuda.jit
    def backward(sizes, begin, dy, dvalue, lengths, seen, best, dz, before):
        """seen: steps before and with these."""
        i = cuda.grid(1)
        if i < sizes.batch * sizes.units:
            length, taken = lengths[i // sizes.units], best[i]
            after = seen[i]
            d = dy[i] / number(max(after - begin, 1)) if averages else dy[i]
            d += dvalue[i]
            for t in range(sizes.steps):
                here = t < length and after - length + t + 1 > begin if adds else t + 1 == taken
                dz[t * sizes.batch * sizes.units + i] = d if here else zero
            before[i] = d if adds or taken == 0 else zero

    return backward


@lru_cache(None)
def masked_kernel(real: str) -> Kernel:
    """out = a in valid steps, else 0."""
    zero = np.dtype(real).type(0)

    @cuda.jit
    def masked(a, lengths, batch, n, out, size):
        i = cuda.grid(1)
        if i < size:
            t, b = i // (n * batch), i // n % batch
            out[i] = a[i] if t < lengths[b] else zero

    return masked


@lru_cache(None)
def softmax_backward_kernel(real: str) -> Kernel:
    """dz = z (dz - sum of dz z), the sum in ascending order."""
    zero = np.dtype(real).type(0)

    @cuda.jit
    def softmax_backward(z, dz, rows, n):
        r = cuda.grid(1)
        if r < rows:
            o, total = r * n, zero
            for i in range(n):
                total += dz[o + i] * z[o + i]
            for i in range(n):
                dz[o + i] = z[o + i] * (dz[o + i] - total)

    return softmax_backward


def _masked(a, lengths):
    _, batch, n = a.shape
    out = Array(a.shape, a.dtype)
    start(masked_kernel(a.dtype.name), a.size, a, lengths, batch, n, out, a.size)
    return out


def _spread(steps, n):
    """The steps (B, 1) of a state for every output."""
    return put(np.repeat(steps, n, 1))


# What the backward pass needs: the answers of each step, where one was taken, the steps so far, lengths.
Kept = tuple[Array, Array | None, Array | None, Array]


def over_time_forward(over: Over, x: Values, state: OverState, lengths: np.ndarray | None,
                      tape: bool) -> tuple[Array, OverState | None, Kept | None]:
    """(y, the state, what the backward pass needs)."""
    x = put(x)
    z = softmax(x) if over.of == "softmax" else x
    steps, batch, n = x.shape
    lasts = lengths_of(steps, batch, lengths)
    if over.reduce == "each":
        return _masked(z, lasts), None, (z, None, None, lasts) if tape else None
    value: Any = put(state.value).copy()
    before = steps_so_far(state)
    seen = _spread(before, n)
    y, best = Array((batch, n), x.dtype), Array((batch, n), np.int32)
    kernel = forward_kernel(over.reduce, x.dtype.name)
    start(kernel, y.size, Sizes(steps, batch, n), over.start, z, lasts, value, seen, y, best)
    after = before + np.asarray(steps if lengths is None else lengths, np.int64).reshape(-1, 1)
    counted: Any = map(put, steps_and_rounds(after, x.dtype))
    return y, OverState(value, *counted), (z, best, seen, lasts) if tape else None


def over_time_backward(over: Over, tape: Kept, dy: Values,
                       dstate: OverState) -> tuple[Array, OverState | None]:
    """The gradients (of x, of the state)."""
    z, best, seen, lasts = tape
    steps, batch, n = z.shape
    dy = put(dy, z.dtype)
    before = None
    if over.reduce == "each":
        dz = _masked(dy, lasts)
    else:
        dz = Array(z.shape, z.dtype)
        dvalue: Any = Array((batch, n), z.dtype)
        nothing: Any = zeros((batch, 1), z.dtype)
        kernel = backward_kernel(over.reduce, z.dtype.name)
        start(kernel, dvalue.size, Sizes(steps, batch, n), over.start, dy, put(dstate.value, z.dtype), lasts,
              seen, best, dz, dvalue)
        before = OverState(dvalue, nothing, nothing)
    if over.of == "softmax":
        start(softmax_backward_kernel(z.dtype.name), steps * batch, z, dz, steps * batch, n)
    return dz, before


__all__ = ["over_time_backward", "over_time_forward"]
