"""The largest value of windows on the CPU.

(Means and sums are a few additions of whole arrays: see reference/device.py.)
"""

from functools import lru_cache

import numpy as np
from numba import njit

from ...signals.spikes import index_dtype
from .. import buffers
from ..contract import Geometry
from ..jit import OPTIONS, fingerprint, prepare
from .fields import private


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
                    first, here = h * g.stride[0] * width + w * g.stride[1], (r * rows + h) * columns + w
                    largest, place = x[r * height * width + first], first
                    for i in range(g.kernel[0]):
                        for k in range(first + i * width, first + i * width + g.kernel[1]):
                            value = x[r * height * width + k]
                            largest, place = (value, k) if value > largest else (largest, place)
                    y[here] = largest
                    taken[here] = place

    @njit(**OPTIONS)
    def backward(taken, dy, g, dx):
        mark  # noqa: B018  part of the cache key
        places, units = g.out[0] * g.out[1], g.size[0] * g.size[1]
        pictures, (taken, dy, dx) = dy.size // places, private((taken, dy, dx))
        for r in range(pictures):
            for q in range(r * places, (r + 1) * places):
                dx[r * units + taken[q]] += dy[q]

    return forward, backward


def max_pool_forward(x: np.ndarray, geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
    (height, width), (rows, columns) = geometry.size, geometry.out
    y = buffers.empty((*x.shape[:2], geometry.channels * rows * columns), x.dtype)
    taken = buffers.empty(y.shape, index_dtype(height * width))
    kernels()[0](np.ascontiguousarray(x), geometry, y, taken)
    return y, taken


def max_pool_backward(taken: np.ndarray, dy: np.ndarray, geometry: Geometry) -> np.ndarray:
    height, width = geometry.size
    dx = buffers.zeros((*dy.shape[:2], geometry.channels * height * width), dy.dtype)
    kernels()[1](taken, np.ascontiguousarray(dy), geometry, dx)
    return dx
