"""Normalisation on the GPU.  Means first, then the squares of what is left; every sum has a fixed order.

    BatchNorm  a thread for each sample, feature and SEGMENT steps; their sums are then added row by row (sum_rows), and last over the places of a channel
    LayerNorm  a block for each step of a sample, or for some of its places: its threads share the features, and add their sums in a tree
"""

from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from ...neurons.elementwise import sqrt
from ..jit import prepare
from ..norm import Moments, Norming, values_of_each
from .array import Array, host_all, launch, put, put_all, start
from .dense import sum_rows
from .population import lengths_of

SEGMENT = 32        # steps, or places, that one thread goes through
THREADS = 128       # of a block that normalises a step, at most
ACROSS = 32         # of its threads that stand beside each other at places, where there are several


class Planes(NamedTuple):
    """A sequence (T, B, channels * places), cut into runs of `segment` steps."""
    steps: int
    batch: int
    channels: int
    places: int
    segment: int

    @property
    def rows(self):
        """The number of runs of all samples."""
        return max(-(-self.steps // self.segment), 1) * self.batch

    @property
    def threads(self):
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
def moment_kernel(squared, real):
    zero = np.dtype(real).type(0)

    @cuda.jit
    def moment(g, x, mean, lengths, out, n):
        """out[s, b, j] = the sum of x, or squared: of (x - mean)^2, over the valid steps of run s."""
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
def pair_kernel(centring, real):
    zero = np.dtype(real).type(0)

    @cuda.jit
    def pair(g, dy, x, mean, lengths, out, n):
        """out[s, b, 0, j], out[s, b, 1, j] = the sums of dy and of dy x, or centring: dy (x - mean), over the valid steps of run s."""
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
def places_kernel(real):
    zero = np.dtype(real).type(0)

    @cuda.jit
    def add_places(a, places, segment, divisor, out, segments, n):
        """out[c, s] = the sum of a[c, p] over the places of segment s, over divisor."""
        i = cuda.grid(1)
        if i < n:
            c, s, total = i // segments, i % segments, zero
            for p in range(s * segment, min((s + 1) * segment, places)):
                total += a[c * places + p]
            out[i] = total / divisor

    return add_places


def _sum(rows, channels, divisor=1):
    """The sum (C,) of rows (R, C * places) over rows and places, over divisor."""
    a, real = sum_rows(rows).reshape(channels, -1), rows.dtype.type
    while True:
        segments = max(-(-a.shape[1] // SEGMENT), 1)
        out = Array((channels, segments), a.dtype)
        start(places_kernel(a.dtype.name), out.size, a, a.shape[1], SEGMENT, real(divisor if segments == 1 else 1), out, segments, out.size)
        if segments == 1:
            return out.reshape(channels)
        a = out


def _moment(squared, planes, x, mean, lengths, count):
    """The mean (C,) of x, or squared: of (x - mean)^2; mean: any array where it does not matter."""
    parts = Array((planes.rows, planes.channels * planes.places), x.dtype)
    start(moment_kernel(squared, x.dtype.name), parts.size, planes, x, mean, lengths, parts, parts.size)
    return _sum(parts, planes.channels, count)


def _pairs(centring, planes, dy, x, mean, lengths):
    """Sums of dy and of dy x, or centring: of dy (x - mean); mean: any array where it does not matter."""
    parts = Array((planes.rows, 2 * planes.channels * planes.places), dy.dtype)
    start(pair_kernel(centring, dy.dtype.name), planes.threads, planes, dy, x, mean, lengths, parts, planes.threads)
    both = _sum(parts, 2 * planes.channels)
    return Sums(both[:planes.channels], both[planes.channels:])


# ---- BatchNorm


@lru_cache(None)
def shift_kernel(real):
    prepare()
    zero = np.dtype(real).type(0)

    @cuda.jit
    def shift(g, norming, x, channels, lengths, y, n):
        """y = gain spread (x - mean) / sqrt(var + eps) + bias in valid steps, else 0."""
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
def back_kernel(real):
    prepare()
    zero = np.dtype(real).type(0)

    @cuda.jit
    def back(g, norming, count, dy, x, channels, sums, lengths, dx, n):
        """dx = gain scale (dy - mean of dy - centred (mean of dy centred) / (var + eps)) in valid steps, else 0."""
        i = cuda.grid(1)
        if i < n:
            units = g.channels * g.places
            j, b, first = i % units, i // units % g.batch, i // (units * g.batch) * g.segment
            c, length = j // g.places, lengths[b]
            mean, var = channels.mean[c], channels.var[c] + norming.eps
            level, slope, factor = sums.total[c] / count, -sums.along[c] / (count * var), channels.gain[c] * (norming.spread / sqrt(var))
            for t in range(first, min(first + g.segment, g.steps)):
                o = (t * g.batch + b) * units + j
                dx[o] = ((x[o] - mean) * slope + dy[o] - level) * factor if t < length else zero

    return back


@lru_cache(None)
def gain_kernel():
    prepare()

    @cuda.jit
    def gain(norming, var, along, dgain, n):
        c = cuda.grid(1)
        if c < n:
            dgain[c] = norming.spread / sqrt(var[c] + norming.eps) * along[c]

    return gain


def _planes(shape, channels):
    return Planes(shape[0], shape[1], channels, prod(shape[2:]) // channels, SEGMENT)


def _typed(norming, dtype):
    return Norming(*map(dtype.type, norming))


def batch_norm_forward(norming: Norming, x, gain, bias, running, lengths, tape):
    x, gain, bias = put(x), put(gain), put(bias)
    planes, dtype, y, moments = _planes(x.shape, gain.size), x.dtype, Array(x.shape, x.dtype), None
    count, lengths = max(values_of_each(x.shape, lengths, gain.size), 1), lengths_of(*x.shape[:2], lengths)
    if running is None:
        mean = _moment(False, planes, x, gain, lengths, count)
        there = Moments(mean, _moment(True, planes, x, mean, lengths, count))
        moments = Moments(*(a.astype(np.float64) for a in host_all(there)))
    else:
        there = put_all(running, dtype)
    start(shift_kernel(dtype.name), planes.threads, planes, _typed(norming, dtype), x, Channels(*there, gain, bias), lengths, y, planes.threads)
    return y, moments, (x, there, lengths, count) if tape else None


def batch_norm_backward(norming: Norming, tape, gain, dy, want_dx):
    x, moments, lengths, count = tape
    dy, gain, dtype, dx = put(dy, x.dtype), put(gain), x.dtype, None
    planes, norming, dgain = _planes(x.shape, gain.size), _typed(norming, dtype), Array(gain.shape, dtype)
    sums = _pairs(True, planes, dy, x, moments.mean, lengths)
    start(gain_kernel(), gain.size, norming, moments.var, sums.along, dgain, gain.size)
    if want_dx:
        dx = Array(x.shape, dtype)
        channels = Channels(*moments, gain, None)
        start(back_kernel(dtype.name), planes.threads, planes, norming, dtype.type(count), dy, x, channels, sums, lengths, dx, planes.threads)
    return dx, dgain, sums.total


# ---- LayerNorm


class Features(NamedTuple):
    """(T * B, n, places); n features are normalised."""
    n: int
    places: int


@lru_cache(None)
def together(lanes, across, real):
    """A function of the threads of a block: the sum of their values over lanes, in a tree."""

    @cuda.jit(device=True)
    def sum_of_lanes(shared, thread, value):
        shared[thread] = value
        cuda.syncthreads()
        half = lanes // 2
        while half > 0:
            if thread < half * across:
                shared[thread] += shared[thread + half * across]
            cuda.syncthreads()
            half //= 2
        total = shared[thread % across]
        cuda.syncthreads()
        return total

    return sum_of_lanes


@lru_cache(None)
def layer_kernels(lanes, across, keeps, real):
    """(forward, backward).  A block has so many lanes, which share the features, of threads at places across.  keeps: for the backward pass."""
    prepare()
    real, threads, sum_of_lanes = np.dtype(real).type, lanes * across, together(lanes, across, real)
    zero, one = real(0), real(1)

    @cuda.jit
    def forward(g, eps, x, gain, bias, y, normal, scale):
        shared = cuda.shared.array(threads, real)
        thread, tiles = cuda.threadIdx.x, (g.places + across - 1) // across
        r, p, lane = cuda.blockIdx.x // tiles, cuda.blockIdx.x % tiles * across + thread % across, thread // across
        first, end = r * g.n * g.places + p, g.n if p < g.places else 0
        total = zero
        for k in range(lane, end, lanes):
            total += x[first + k * g.places]
        mean = sum_of_lanes(shared, thread, total) / real(g.n)
        total = zero
        for k in range(lane, end, lanes):
            centred = x[first + k * g.places] - mean
            total += centred * centred
        s = one / sqrt(sum_of_lanes(shared, thread, total) / real(g.n) + eps)
        for k in range(lane, end, lanes):
            value = (x[first + k * g.places] - mean) * s
            y[first + k * g.places] = value * gain[k] + bias[k]
            if keeps:
                normal[first + k * g.places] = value
        if keeps and lane == 0 and p < g.places:
            scale[r * g.places + p] = s

    @cuda.jit
    def backward(g, dy, normal, scale, gain, dx):
        """dx = scale (d - mean of d - normal (mean of d normal)), d = gain dy."""
        shared = cuda.shared.array(threads, real)
        thread, tiles = cuda.threadIdx.x, (g.places + across - 1) // across
        r, p, lane = cuda.blockIdx.x // tiles, cuda.blockIdx.x % tiles * across + thread % across, thread // across
        first, end = r * g.n * g.places + p, g.n if p < g.places else 0
        total, along = zero, zero
        for k in range(lane, end, lanes):
            d = dy[first + k * g.places] * gain[k]
            total += d
            along += d * normal[first + k * g.places]
        level, slope = sum_of_lanes(shared, thread, total) / real(g.n), sum_of_lanes(shared, thread, along) / real(g.n)
        for k in range(lane, end, lanes):
            o = first + k * g.places
            dx[o] = scale[r * g.places + p] * (dy[o] * gain[k] - level - normal[o] * slope)

    return forward, backward


def _block(features):
    """(lanes, across): powers of two."""
    across = min(1 << (features.places - 1).bit_length(), ACROSS)
    return max(min(1 << (features.n - 1).bit_length(), THREADS // across), 1), across


def _layer_norm(which, shape, keeps, dtype, *arguments):
    """Start a kernel on all steps of (T, B, features) or (T, B, features, places)."""
    features = Features(shape[2], shape[3] if len(shape) > 3 else 1)
    lanes, across = _block(features)
    blocks = shape[0] * shape[1] * -(-features.places // across)
    if blocks:
        launch(layer_kernels(lanes, across, keeps, dtype.name)[which], blocks, lanes * across, features, *arguments)


def layer_norm_forward(x, gain, bias, eps, tape):
    x, gain, bias = put(x), put(gain), put(bias)
    y, dtype = Array(x.shape, x.dtype), x.dtype
    normal, scale = (Array(x.shape, dtype), Array((*x.shape[:2], *x.shape[3:]), dtype)) if tape else (y, y)
    _layer_norm(0, x.shape, tape, dtype, dtype.type(eps), x, gain, bias, y, normal, scale)
    return y, (normal, scale) if tape else None


def layer_norm_backward(tape, gain, dy, want_dx):
    normal, scale = tape
    dy, gain, dtype, dx = put(dy, normal.dtype), put(gain), normal.dtype, None
    dbias, dgain = _pairs(False, _planes(normal.shape, gain.size), dy, normal, gain, lengths_of(*normal.shape[:2], None))
    if want_dx:
        dx = Array(normal.shape, dtype)
        _layer_norm(1, normal.shape, True, dtype, dy, normal, scale, gain, dx)
    return dx, dgain, dbias


__all__ = ["batch_norm_backward", "batch_norm_forward", "layer_norm_backward", "layer_norm_forward"]
