"""Pooling on the GPU, a thread for each value that is computed."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numba import cuda

from ..contract import Geometry
from .array import Array, Values, put, start
from .conv import window
from .driver import Kernel


@lru_cache(None)
def largest_kernel() -> Kernel:
    """The largest value of each window, and where in it; of equal ones the first."""

    @cuda.jit
    def largest(x, g, y, taken, n):
        i = cuda.grid(1)
        if i < n:
            column, row = i % g.out_width, i // g.out_width % g.out_height
            picture = i // (g.out_width * g.out_height)
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
def summed_kernel(real: str) -> Kernel:
    """The sum of each window, times scale."""
    zero = np.dtype(real).type(0)

    @cuda.jit
    def summed(x, g, scale, y, n):
        i = cuda.grid(1)
        if i < n:
            column, row = i % g.out_width, i // g.out_width % g.out_height
            first = i // (g.out_width * g.out_height) * g.height * g.width
            total = zero
            for k in range(g.rows * g.columns):
                h = row * g.down - g.top + k // g.columns
                w = column * g.right - g.left + k % g.columns
                if h >= 0 and h < g.height and w >= 0 and w < g.width:
                    total += x[first + h * g.width + w]
            y[i] = total * scale

    return summed


@lru_cache(None)
def spread_kernel(by_place: bool, real: str) -> Kernel:
    """What goes back to each place from its windows; by_place: only from those that took it."""
    zero = np.dtype(real).type(0)

    @cuda.jit
    def spread(dy, taken, g, scale, dx, n):
        i = cuda.grid(1)
        if i < n:
            w, h, picture = i % g.width, i // g.width % g.height, i // (g.width * g.height)
            total = zero
            for k in range(g.rows * g.columns):
                row, column = h + g.top - k // g.columns, w + g.left - k % g.columns
                begins_here = row >= 0 and column >= 0 and row % g.down == 0 and column % g.right == 0
                if begins_here and row // g.down < g.out_height and column // g.right < g.out_width:
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
    g, kernel = window(geometry), spread_kernel(by_place, dy.dtype.name)
    start(kernel, dx.size, dy, taken, g, dy.dtype.type(scale), dx, dx.size)
    return dx


def max_pool_forward(x: Values, geometry: Geometry) -> tuple[Array, Array]:
    x = put(x)
    y = _pooled(x, geometry)
    taken = Array(y.shape, np.int32)
    start(largest_kernel(), y.size, x, window(geometry), y, taken, y.size)
    return y, taken


def max_pool_backward(taken: Array, dy: Values, geometry: Geometry) -> Array:
    return _spread(taken, dy, geometry, 1, True)


def sum_pool_forward(x: Values, geometry: Geometry, scale: float) -> Array:
    x = put(x)
    y = _pooled(x, geometry)
    real: Any = x.dtype.type
    start(summed_kernel(x.dtype.name), y.size, x, window(geometry), real(scale), y, y.size)
    return y


def sum_pool_backward(dy: Values, geometry: Geometry, scale: float) -> Array:
    dy = put(dy)
    return _spread(dy, dy, geometry, scale, False)


__all__ = ["max_pool_backward", "max_pool_forward", "sum_pool_backward", "sum_pool_forward"]
