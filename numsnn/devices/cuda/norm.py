"""BatchNorm on the GPU.  Means first, then the squares of what is left; every sum has a fixed order.

A thread for each sample, feature and SEGMENT steps; their sums are then added row by row (sum_rows), and
last over the places of a channel.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from ...neurons.elementwise import sqrt
from ..jit import prepare
from ..norm import Moments, Norming, Whole, values_of_each
from .array import Array, Values, host_all, put, put_all, start
from .dense import sum_rows
from .driver import Kernel
from .population import lengths_of

SEGMENT = 32        # steps, or places, that one thread goes through


class Planes(NamedTuple):
    """A sequence (T, B, channels * places), cut into runs of `segment` steps."""
    steps: int
    batch: int
    channels: int
    places: int
    segment: int

    @property
    def rows(self) -> int:
        """The number of runs of all samples."""
        return max(-(-self.steps // self.segment), 1) * self.batch

    @property
    def threads(self) -> int:
        return self.rows * self.channels * self.places


class Channels(NamedTuple):
    """Arrays (C,)."""
    mean: Any
    var: Any
    gain: Any
    bias: Any


class Sums(NamedTuple):
    """Of the gradient of what a normalisation hands out: arrays (C,)."""
    total: Any          # of dy
    along: Any          # of dy times what was normalised, or only centred


# ---- sums over samples, steps and places


@lru_cache(None)
def moment_kernel(squared: bool, real: str) -> Kernel:
    """out[s, b, j] = the sum of x, or squared: of (x - mean)^2, over the valid steps of run s."""
    zero = np.dtype(real).type(0)

    @cuda.jit
    def moment(g, x, mean, lengths, out, n):
        i = cuda.grid(1)
        if i < n:
            units = g.channels * g.places
            j, b, first = i % units, i // units % g.batch, i // (units * g.batch) * g.segment
            total = zero
            for t in range(first, min(first + g.segment, lengths[b])):
                value = x[(t * g.batch + b) * units + j]
                if squared:
                    value -= mean[j // g.places]
                    value *= value
                total += value
            out[i] = total

    return moment


@lru_cache(None)
def pair_kernel(centring: bool, real: str) -> Kernel:
    """out[s, b, 0, j], out[s, b, 1, j] = the sums of dy and of dy x, or centring: dy (x - mean).

    Over the valid steps of run s.
    """
    zero = np.dtype(real).type(0)

    @cuda.jit
    def pair(g, dy, x, mean, lengths, out, n):
        i = cuda.grid(1)
        if i < n:
            units = g.channels * g.places
            j, row = i % units, i // units
            b, first = row % g.batch, row // g.batch * g.segment
            total, along = zero, zero
            for t in range(first, min(first + g.segment, lengths[b])):
                o = (t * g.batch + b) * units + j
                total += dy[o]
                along += dy[o] * (x[o] - mean[j // g.places] if centring else x[o])
            out[row * 2 * units + j] = total
            out[(row * 2 + 1) * units + j] = along

    return pair


@lru_cache(None)
def places_kernel(real: str) -> Kernel:
    """out[c, s] = the sum of a[c, p] over the places of segment s, over divisor."""
    zero = np.dtype(real).type(0)

    @cuda.jit
    def add_places(a, places, segment, divisor, out, segments, n):
        i = cuda.grid(1)
        if i < n:
            c, s = i // segments, i % segments
            total = zero
            for p in range(s * segment, min((s + 1) * segment, places)):
                total += a[c * places + p]
            out[i] = total / divisor

    return add_places


def _sum(rows, channels, divisor=1):
    """The sum (C,) of rows (R, C * places) over rows and places, over divisor."""
    a = sum_rows(rows).reshape(channels, -1)
    kernel = places_kernel(a.dtype.name)
    while True:
        places = a.shape[1]
        segments = max(-(-places // SEGMENT), 1)
        out = Array((channels, segments), a.dtype)
        over = rows.dtype.type(divisor if segments == 1 else 1)
        start(kernel, out.size, a, places, SEGMENT, over, out, segments, out.size)
        if segments == 1:
            return out.reshape(channels)
        a = out


def _moment(squared, planes, x, mean, lengths, count):
    """The mean (C,) of x, or squared: of (x - mean)^2; mean: any array where it does not matter."""
    parts = Array((planes.rows, planes.channels * planes.places), x.dtype)
    start(moment_kernel(squared, x.dtype.name), parts.size, planes, x, mean, lengths, parts, parts.size)
    return _sum(parts, planes.channels, count)


def pairs(centring: bool, planes: Planes, dy: Array, x: Array, mean: Any, lengths: Array) -> Sums:
    """Sums of dy and of dy x, or centring: of dy (x - mean); mean: any array where it does not matter."""
    parts = Array((planes.rows, 2 * planes.channels * planes.places), dy.dtype)
    kernel = pair_kernel(centring, dy.dtype.name)
    start(kernel, planes.threads, planes, dy, x, mean, lengths, parts, planes.threads)
    both = _sum(parts, 2 * planes.channels)
    return Sums(both[:planes.channels], both[planes.channels:])


# ---- forward and back


@lru_cache(None)
def shift_kernel(real: str) -> Kernel:
    """y = gain spread (x - mean) / sqrt(var + eps) + bias in valid steps, else 0."""
    prepare()
    zero = np.dtype(real).type(0)

    @cuda.jit
    def shift(g, norming, x, channels, lengths, y, n):
        i = cuda.grid(1)
        if i < n:
            units = g.channels * g.places
            j, b, first = i % units, i // units % g.batch, i // (units * g.batch) * g.segment
            c, length = j // g.places, lengths[b]
            mean, bias = channels.mean[c], channels.bias[c]
            factor = channels.gain[c] * (norming.spread / sqrt(channels.var[c] + norming.eps))
            for t in range(first, min(first + g.segment, g.steps)):
                o = (t * g.batch + b) * units + j
                y[o] = (x[o] - mean) * factor + bias if t < length else zero

    return shift


@lru_cache(None)
def back_kernel(real: str) -> Kernel:
    """dx = gain scale (dy - mean of dy - centred (mean of dy centred) / (var + eps)), padded steps: 0."""
    prepare()
    zero = np.dtype(real).type(0)

    @cuda.jit
    def back(g, norming, count, dy, x, channels, sums, lengths, dx, n):
        i = cuda.grid(1)
        if i < n:
            units = g.channels * g.places
            j, b, first = i % units, i // units % g.batch, i // (units * g.batch) * g.segment
            c, length = j // g.places, lengths[b]
            mean, var = channels.mean[c], channels.var[c] + norming.eps
            level, slope = sums.total[c] / count, -sums.along[c] / (count * var)
            factor = channels.gain[c] * (norming.spread / sqrt(var))
            for t in range(first, min(first + g.segment, g.steps)):
                o = (t * g.batch + b) * units + j
                dx[o] = ((x[o] - mean) * slope + dy[o] - level) * factor if t < length else zero

    return back


@lru_cache(None)
def gain_kernel() -> Kernel:
    """dgain = the sum of dy times what was normalised, of each channel."""
    prepare()

    @cuda.jit
    def gain(norming, var, along, dgain, n):
        c = cuda.grid(1)
        if c < n:
            dgain[c] = norming.spread / sqrt(var[c] + norming.eps) * along[c]

    return gain


def planes_of(shape: tuple[int, ...], channels: int) -> Planes:
    return Planes(shape[0], shape[1], channels, prod(shape[2:]) // channels, SEGMENT)


def _typed(norming, dtype):
    return Norming(*map(dtype.type, norming))


# What the backward pass of a BatchNorm needs: x, its moments, lengths, how many values a channel has.
Normed = tuple[Array, Moments, Array, int]


def batch_norm_forward(norming: Norming, x: Values, gain: Values, bias: Values, running: Moments | None,
                       lengths: np.ndarray | None, tape: bool,
                       whole: Whole) -> tuple[Array, Moments | None, Normed | None]:
    """(y, the moments of the batch, what the backward pass needs); these samples are all of it."""
    x, gain, bias = put(x), put(gain), put(bias)
    planes, dtype = planes_of(x.shape, gain.size), x.dtype
    steps, batch, features = x.shape
    y = Array(x.shape, dtype)
    count = max(values_of_each((steps, batch, features), lengths, gain.size), 1)
    lasts = lengths_of(steps, batch, lengths)
    moments = None
    if running is None:
        mean: Any = _moment(False, planes, x, gain, lasts, count)
        var: Any = _moment(True, planes, x, mean, lasts, count)
        there = Moments(mean, var)
        mean, var = host_all(there)
        moments = Moments(mean.astype(np.float64), var.astype(np.float64))
    else:
        there = put_all(running, dtype)
    channels = Channels(there.mean, there.var, gain, bias)
    start(shift_kernel(dtype.name), planes.threads, planes, _typed(norming, dtype), x, channels, lasts, y,
          planes.threads)
    return y, moments, (x, there, lasts, count) if tape else None


def batch_norm_backward(norming: Norming, tape: Normed, gain: Values, dy: Values,
                        want_dx: bool) -> tuple[Array | None, Array, Array]:
    """The gradients (of x or None, of the gain, of the bias)."""
    x, moments, lasts, count = tape
    dy, gain, dtype = put(dy, x.dtype), put(gain), x.dtype
    planes, norming = planes_of(x.shape, gain.size), _typed(norming, dtype)
    dgain = Array(gain.shape, dtype)
    sums = pairs(True, planes, dy, x, moments.mean, lasts)
    start(gain_kernel(), gain.size, norming, moments.var, sums.along, dgain, gain.size)
    dx = None
    if want_dx:
        dx = Array(x.shape, dtype)
        channels = Channels(moments.mean, moments.var, gain, None)
        start(back_kernel(dtype.name), planes.threads, planes, norming, dtype.type(count), dy, x, channels,
              sums, lasts, dx, planes.threads)
    return dx, dgain, sums.total


__all__ = ["Planes", "Sums", "batch_norm_backward", "batch_norm_forward", "pairs", "planes_of"]
