"""Convolution and pooling on the GPU: a thread for each value that is computed, its sum in a fixed order."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import cuda

from .cuda_array import Array, DeviceSpikes, put, start, words
from .cuda_dense import SEGMENT, placed, sum_rows

THREADS = 1 << 20       # of a weight gradient, at about: rows are cut into as many segments


class Window(NamedTuple):
    """A Geometry in plain numbers."""
    channels: int
    height: int
    width: int
    rows: int           # of the kernel
    columns: int
    down: int           # stride
    right: int
    top: int            # padding
    left: int
    tall: int           # dilation
    wide: int
    out_height: int
    out_width: int


def window(g):
    return Window(g.channels, *g.size, *g.kernel, *g.stride, *g.padding, *g.dilation, *g.out)


@lru_cache(None)
def forward_kernel(as_bits):
    @cuda.jit
    def forward(x, n_words, weight, bias, g, channels_out, y, n):
        i = cuda.grid(1)
        if i < n:
            column, row = i % g.out_width, i // g.out_width % g.out_height
            o, r = i // (g.out_width * g.out_height) % channels_out, i // (g.out_width * g.out_height * channels_out)
            total, tap = bias[o], o * g.channels * g.rows * g.columns
            for c in range(g.channels):
                for a in range(g.rows):
                    h = row * g.down + a * g.tall - g.top
                    for b in range(g.columns):
                        w = column * g.right + b * g.wide - g.left
                        if h >= 0 and h < g.height and w >= 0 and w < g.width:
                            unit = (c * g.height + h) * g.width + w
                            if as_bits:
                                if x[r * n_words + unit // 32] & (np.uint32(1) << np.uint32(unit % 32)):
                                    total += weight[tap]
                            else:
                                total += weight[tap] * x[r * g.channels * g.height * g.width + unit]
                        tap += 1
            y[i] = total

    return forward


@lru_cache(None)
def weight_kernel(as_bits, real):
    zero = np.dtype(real).type(0)

    @cuda.jit
    def weight_gradient(x, n_words, dy, g, channels_out, pictures, segment, dweight, n):
        """dweight[s, o, c, a, b]: over the pictures of segment s, and the places of each, in ascending order."""
        i = cuda.grid(1)
        if i < n:
            b, a = i % g.columns, i // g.columns % g.rows
            c, o = i // (g.columns * g.rows) % g.channels, i // (g.columns * g.rows * g.channels) % channels_out
            s, total = i // (g.columns * g.rows * g.channels * channels_out), zero
            for r in range(s * segment, min((s + 1) * segment, pictures)):
                for row in range(g.out_height):
                    h = row * g.down + a * g.tall - g.top
                    if h >= 0 and h < g.height:
                        for column in range(g.out_width):
                            w = column * g.right + b * g.wide - g.left
                            if w >= 0 and w < g.width:
                                unit, d = (c * g.height + h) * g.width + w, ((r * channels_out + o) * g.out_height + row) * g.out_width + column
                                if as_bits:
                                    if x[r * n_words + unit // 32] & (np.uint32(1) << np.uint32(unit % 32)):
                                        total += dy[d]
                                else:
                                    total += dy[d] * x[r * g.channels * g.height * g.width + unit]
            dweight[i] = total

    return weight_gradient


@lru_cache(None)
def input_kernel(real):
    zero = np.dtype(real).type(0)

    @cuda.jit
    def input_gradient(dy, weight, g, channels_out, dx, n):
        i = cuda.grid(1)
        if i < n:
            w, h = i % g.width, i // g.width % g.height
            c, r, total = i // (g.width * g.height) % g.channels, i // (g.width * g.height * g.channels), zero
            for o in range(channels_out):
                for a in range(g.rows):
                    row = h + g.top - a * g.tall
                    if row >= 0 and row % g.down == 0 and row // g.down < g.out_height:
                        for b in range(g.columns):
                            column = w + g.left - b * g.wide
                            if column >= 0 and column % g.right == 0 and column // g.right < g.out_width:
                                total += (dy[((r * channels_out + o) * g.out_height + row // g.down) * g.out_width + column // g.right]
                                          * weight[((o * g.channels + c) * g.rows + a) * g.columns + b])
            dx[i] = total

    return input_gradient


@lru_cache(None)
def places_kernel(real):
    zero = np.dtype(real).type(0)

    @cuda.jit
    def places(a, size, out, n):
        """out[i] = the sum of a[i], of so many values."""
        i = cuda.grid(1)
        if i < n:
            total = zero
            for k in range(size):
                total += a[i * size + k]
            out[i] = total

    return places


def conv_forward(x, weight, bias, geometry, into=None):
    x, weight, bias, (steps, batch, units), channels_out = placed(x, weight.dtype), put(weight), put(bias), x.shape, weight.shape[0]
    y = Array((steps, batch, channels_out * geometry.out[0] * geometry.out[1]), weight.dtype)
    as_bits = isinstance(x, DeviceSpikes)
    start(forward_kernel(as_bits), y.size, x.bits if as_bits else x, words(units), weight, bias, window(geometry), channels_out, y, y.size)
    return y


def conv_backward(x, weight, dy, geometry, want_dx, into=None):
    x, weight, dy, (steps, batch, units), channels_out = placed(x, weight.dtype), put(weight), put(dy, weight.dtype), x.shape, weight.shape[0]
    g, pictures, as_bits, dtype = window(geometry), steps * batch, isinstance(x, DeviceSpikes), weight.dtype
    segments = min(max(-(-pictures // SEGMENT), THREADS // weight.size, 1), max(pictures, 1))
    size = max(-(-pictures // segments), 1)
    segments = max(-(-pictures // size), 1)
    dweight = Array((segments, weight.size), dtype)
    start(weight_kernel(as_bits, dtype.name), dweight.size, x.bits if as_bits else x, words(units), dy, g, channels_out, pictures, size, dweight, dweight.size)
    sums = Array((pictures, channels_out), dtype)
    start(places_kernel(dtype.name), sums.size, dy, g.out_height * g.out_width, sums, sums.size)
    dx = None
    if want_dx:
        dx = Array(x.shape, dtype)
        start(input_kernel(dtype.name), dx.size, dy, weight, g, channels_out, dx, dx.size)
    return sum_rows(dweight).reshape(weight.shape), sum_rows(sums), dx


# ---- windows


@lru_cache(None)
def largest_kernel():
    @cuda.jit
    def largest(x, g, y, taken, n):
        """The largest value of each window, and where in it; of equal ones the first."""
        i = cuda.grid(1)
        if i < n:
            column, row, picture = i % g.out_width, i // g.out_width % g.out_height, i // (g.out_width * g.out_height)
            first = (picture * g.height + row * g.down) * g.width + column * g.right
            best, where = x[first], 0
            for k in range(1, g.rows * g.columns):
                value = x[first + k // g.columns * g.width + k % g.columns]
                if value > best:
                    best, where = value, k
            y[i] = best
            taken[i] = where

    return largest


@lru_cache(None)
def summed_kernel(real):
    zero = np.dtype(real).type(0)

    @cuda.jit
    def summed(x, g, scale, y, n):
        i = cuda.grid(1)
        if i < n:
            column, row, picture = i % g.out_width, i // g.out_width % g.out_height, i // (g.out_width * g.out_height)
            first, total = (picture * g.height + row * g.down) * g.width + column * g.right, zero
            for k in range(g.rows * g.columns):
                total += x[first + k // g.columns * g.width + k % g.columns]
            y[i] = total * scale

    return summed


@lru_cache(None)
def spread_kernel(by_place, real):
    zero = np.dtype(real).type(0)

    @cuda.jit
    def spread(dy, taken, g, scale, dx, n):
        """What goes back to each place from the windows it lies in; by_place: only from those that took it."""
        i = cuda.grid(1)
        if i < n:
            w, h, picture, total = i % g.width, i // g.width % g.height, i // (g.width * g.height), zero
            for k in range(g.rows * g.columns):
                row, column = h - k // g.columns, w - k % g.columns
                if row >= 0 and column >= 0 and row % g.down == 0 and column % g.right == 0 and row // g.down < g.out_height and column // g.right < g.out_width:
                    j = (picture * g.out_height + row // g.down) * g.out_width + column // g.right
                    if not by_place or taken[j] == k:
                        total += dy[j] * scale
            dx[i] = total

    return spread


def _pooled(x, geometry):
    return Array((*x.shape[:2], geometry.channels * geometry.out[0] * geometry.out[1]), x.dtype)


def _spread(taken, dy, geometry, scale, by_place):
    dy = put(dy)
    dx = Array((*dy.shape[:2], geometry.channels * geometry.size[0] * geometry.size[1]), dy.dtype)
    start(spread_kernel(by_place, dy.dtype.name), dx.size, dy, taken, window(geometry), dy.dtype.type(scale), dx, dx.size)
    return dx


def max_pool_forward(x, geometry):
    x = put(x)
    y = _pooled(x, geometry)
    taken = Array(y.shape, np.int32)
    start(largest_kernel(), y.size, x, window(geometry), y, taken, y.size)
    return y, taken


def max_pool_backward(taken, dy, geometry):
    return _spread(taken, dy, geometry, 1, True)


def sum_pool_forward(x, geometry, scale):
    x = put(x)
    y = _pooled(x, geometry)
    start(summed_kernel(x.dtype.name), y.size, x, window(geometry), x.dtype.type(scale), y, y.size)
    return y


def sum_pool_backward(dy, geometry, scale):
    dy = put(dy)
    return _spread(dy, dy, geometry, scale, False)


__all__ = ["conv_backward", "conv_forward", "max_pool_backward", "max_pool_forward", "sum_pool_backward", "sum_pool_forward"]
