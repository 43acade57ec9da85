"""What a network answers over time, on the GPU: a thread for each sample and output goes through the steps."""

from functools import lru_cache

import numpy as np
from numba import cuda

from ..contract import Over, OverState
from .array import Array, put, start, zeros
from .dense import softmax
from .population import Sizes, lengths_of

SUM, MEAN, MAX, LAST = "sum", "mean", "max", "last"


@lru_cache(None)
def forward_kernel(reduce, real):
    real = np.dtype(real).type
    adds, picks, averages, lowest = reduce in (SUM, MEAN), reduce == MAX, reduce == MEAN, real(-np.inf)

    @cuda.jit
    def forward(sizes, begin, z, lengths, value, steps, y, best):
        """value, steps: the state, changed.  best: the step that was taken, from 1; 0: that of the state."""
        i = cuda.grid(1)
        if i < sizes.batch * sizes.units:
            b = i // sizes.units
            total, taken, seen, length = value[i], 0, int(steps[i]), lengths[b]
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
            y[i] = total / real(max(seen - begin, 1)) if averages else total

    return forward


@lru_cache(None)
def backward_kernel(reduce, real):
    real = np.dtype(real).type
    adds, averages, zero = reduce in (SUM, MEAN), reduce == MEAN, real(0)

    @cuda.jit
    def backward(sizes, begin, dy, dvalue, lengths, seen, best, dz, before):
        """seen: steps before and with these."""
        i = cuda.grid(1)
        if i < sizes.batch * sizes.units:
            length, taken = lengths[i // sizes.units], best[i]
            after = int(seen[i])
            d = dy[i] / real(max(after - begin, 1)) if averages else dy[i]
            d += dvalue[i]
            for t in range(sizes.steps):
                here = t < length and after - length + t + 1 > begin if adds else t + 1 == taken
                dz[t * sizes.batch * sizes.units + i] = d if here else zero
            before[i] = d if adds or taken == 0 else zero

    return backward


@lru_cache(None)
def masked_kernel(real):
    zero = np.dtype(real).type(0)

    @cuda.jit
    def masked(a, lengths, batch, n, out, size):
        i = cuda.grid(1)
        if i < size:
            t, b = i // (n * batch), i // n % batch
            out[i] = a[i] if t < lengths[b] else zero

    return masked


@lru_cache(None)
def softmax_backward_kernel(real):
    zero = np.dtype(real).type(0)

    @cuda.jit
    def softmax_backward(z, dz, rows, n):
        """dz = z (dz - sum of dz z), the sum in ascending order."""
        r = cuda.grid(1)
        if r < rows:
            o, total = r * n, zero
            for i in range(n):
                total += dz[o + i] * z[o + i]
            for i in range(n):
                dz[o + i] = z[o + i] * (dz[o + i] - total)

    return softmax_backward


def _masked(a, lengths):
    out, (_, batch, n) = Array(a.shape, a.dtype), a.shape
    start(masked_kernel(a.dtype.name), a.size, a, lengths, batch, n, out, a.size)
    return out


def _spread(steps, n):
    """The steps (B, 1) of a state for every output."""
    return put(np.repeat(np.asarray(steps), n, 1))


def over_time_forward(over: Over, x, state, lengths, tape):
    x = put(x)
    z, (steps, batch, n), lasts = softmax(x) if over.of == "softmax" else x, x.shape, lengths
    lengths = lengths_of(steps, batch, lengths)
    if over.reduce == "each":
        return _masked(z, lengths), None, (z, None, None, lengths) if tape else None
    value, seen = put(state.value).copy(), _spread(state.steps, n)
    y, best = Array((batch, n), x.dtype), Array((batch, n), np.int32)
    start(forward_kernel(over.reduce, x.dtype.name), y.size, Sizes(steps, batch, n), over.start, z, lengths, value, seen, y, best)
    after = OverState(value, put(np.asarray(state.steps) + np.asarray(steps if lasts is None else lasts, x.dtype).reshape(-1, 1)))
    return y, after, (z, best, seen, lengths) if tape else None


def over_time_backward(over: Over, tape, dy, dstate):
    z, best, seen, lengths = tape
    (steps, batch, n), dy, before = z.shape, put(dy, z.dtype), None
    if over.reduce == "each":
        dz = _masked(dy, lengths)
    else:
        dz, value = Array(z.shape, z.dtype), Array((batch, n), z.dtype)
        start(backward_kernel(over.reduce, z.dtype.name), value.size, Sizes(steps, batch, n), over.start, dy, put(dstate.value, z.dtype), lengths, seen, best, dz, value)
        before = OverState(value, zeros((batch, 1), z.dtype))
    if over.of == "softmax":
        start(softmax_backward_kernel(z.dtype.name), steps * batch, z, dz, steps * batch, n)
    return dz, before


__all__ = ["over_time_backward", "over_time_forward"]
