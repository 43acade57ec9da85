"""The largest value of windows on the CPU.  (Means and sums are a few additions of whole arrays: see layers/pool.py.)"""

from functools import lru_cache

import numpy as np
from numba import njit

from ...signals.spikes import index_dtype
from .. import buffers
from ..jit import OPTIONS, fingerprint, prepare, private


@lru_cache(None)
def kernels():
    """(forward, backward)."""
    prepare()
    mark = fingerprint()

    @njit(**OPTIONS)
    def forward(x, g, y, taken):
        mark  # noqa: B018  part of the cache key
        (height, width), (rows, columns) = g.size, g.out
        pictures, (x, y, taken) = y.size // (rows * columns), private((x, y, taken))
        for r in range(pictures):
            for h in range(rows):
                for w in range(columns):
                    first = h * g.stride[0] * width + w * g.stride[1]
                    largest, place = x[r * height * width + first], first
                    for i in range(g.kernel[0]):
                        for k in range(first + i * width, first + i * width + g.kernel[1]):
                            value = x[r * height * width + k]
                            largest, place = (value, k) if value > largest else (largest, place)
                    y[(r * rows + h) * columns + w], taken[(r * rows + h) * columns + w] = largest, place

    @njit(**OPTIONS)
    def backward(taken, dy, g, dx):
        mark  # noqa: B018  part of the cache key
        places, units = g.out[0] * g.out[1], g.size[0] * g.size[1]
        pictures, (taken, dy, dx) = dy.size // places, private((taken, dy, dx))
        for r in range(pictures):
            for q in range(r * places, (r + 1) * places):
                dx[r * units + taken[q]] += dy[q]

    return forward, backward


def max_pool_forward(x, geometry):
    y = buffers.empty((*x.shape[:2], geometry.channels * geometry.out[0] * geometry.out[1]), x.dtype)
    taken = buffers.empty(y.shape, index_dtype(geometry.size[0] * geometry.size[1]))
    kernels()[0](np.ascontiguousarray(x), geometry, y, taken)
    return y, taken


def max_pool_backward(taken, dy, geometry):
    dx = buffers.zeros((*dy.shape[:2], geometry.channels * geometry.size[0] * geometry.size[1]), dy.dtype)
    kernels()[1](taken, np.ascontiguousarray(dy), geometry, dx)
    return dx
