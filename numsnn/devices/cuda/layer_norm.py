"""LayerNorm on the GPU.  Means first, then the squares of what is left; every sum has a fixed order.

A block for each step of a sample, or for some of its places: its threads share the features, and add their
sums in a tree.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from ...neurons.elementwise import sqrt
from ..jit import prepare
from .array import Array, Values, launch, put
from .driver import Kernel
from .norm import pairs, planes_of
from .population import lengths_of

THREADS = 128       # of a block that normalises a step, at most
ACROSS = 32         # of its threads that stand beside each other at places, where there are several


class Features(NamedTuple):
    """(T * B, n, places); n features are normalised."""
    n: int
    places: int


@lru_cache(None)
def together(lanes: int, across: int) -> Kernel:
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


def layer_kernels(lanes: int, across: int, keeps: bool, real: str) -> tuple[Kernel, Kernel]:
    """(forward, backward).  A block has so many lanes, which share the features, of threads at places across.

    keeps: for the backward pass.
    """
    return _forward(lanes, across, keeps, real), _backward(lanes, across, real)


@lru_cache(None)
def _forward(lanes, across, keeps, real):
    prepare()
    number, threads, sum_of_lanes = np.dtype(real).type, lanes * across, together(lanes, across)
    zero, one = number(0), number(1)

    @cuda.jit
    def forward(g, eps, x, gain, bias, y, normal, scale):
        shared = cuda.shared.array(threads, number)
        thread, tiles = cuda.threadIdx.x, (g.places + across - 1) // across
        lane = thread // across
        r, p = cuda.blockIdx.x // tiles, cuda.blockIdx.x % tiles * across + thread % across
        first, end = r * g.n * g.places + p, g.n if p < g.places else 0
        total = zero
        for k in range(lane, end, lanes):
            total += x[first + k * g.places]
        mean = sum_of_lanes(shared, thread, total) / number(g.n)
        total = zero
        for k in range(lane, end, lanes):
            centred = x[first + k * g.places] - mean
            total += centred * centred
        s = one / sqrt(sum_of_lanes(shared, thread, total) / number(g.n) + eps)
        for k in range(lane, end, lanes):
            value = (x[first + k * g.places] - mean) * s
            y[first + k * g.places] = value * gain[k] + bias[k]
            if keeps:
                normal[first + k * g.places] = value
        if keeps and lane == 0 and p < g.places:
            scale[r * g.places + p] = s

    return forward


@lru_cache(None)
def _backward(lanes, across, real):
    prepare()
    number, threads, sum_of_lanes = np.dtype(real).type, lanes * across, together(lanes, across)
    zero = number(0)

    @cuda.jit
    def backward(g, dy, normal, scale, gain, dx):
        """dx = scale (d - mean of d - normal (mean of d normal)), d = gain dy."""
        shared = cuda.shared.array(threads, number)
        thread, tiles = cuda.threadIdx.x, (g.places + across - 1) // across
        lane = thread // across
        r, p = cuda.blockIdx.x // tiles, cuda.blockIdx.x % tiles * across + thread % across
        first, end = r * g.n * g.places + p, g.n if p < g.places else 0
        total, along = zero, zero
        for k in range(lane, end, lanes):
            d = dy[first + k * g.places] * gain[k]
            total += d
            along += d * normal[first + k * g.places]
        level = sum_of_lanes(shared, thread, total) / number(g.n)
        slope = sum_of_lanes(shared, thread, along) / number(g.n)
        for k in range(lane, end, lanes):
            o = first + k * g.places
            dx[o] = scale[r * g.places + p] * (dy[o] * gain[k] - level - normal[o] * slope)

    return backward


def _block(features):
    """(lanes, across): powers of two."""
    across = min(1 << (features.places - 1).bit_length(), ACROSS)
    return max(min(1 << (features.n - 1).bit_length(), THREADS // across), 1), across


def _layer_norm(which, shape, keeps, dtype, *arguments):
    """Start a kernel (0: forward, 1: backward) on all steps of (T, B, features[, places])."""
    steps, batch, n = shape[:3]
    features = Features(n, shape[3] if len(shape) > 3 else 1)
    lanes, across = _block(features)
    blocks = steps * batch * -(-features.places // across)
    if blocks:
        kernel = layer_kernels(lanes, across, keeps, dtype.name)[which]
        launch(kernel, blocks, lanes * across, features, *arguments)


def layer_norm_forward(x: Values, gain: Values, bias: Values, eps: float,
                       tape: bool) -> tuple[Array, tuple[Array, Array] | None]:
    """(y, what the backward pass needs: the normalised values and their scales)."""
    x, gain, bias = put(x), put(gain), put(bias)
    y, dtype = Array(x.shape, x.dtype), x.dtype
    normal, scale = (Array(x.shape, dtype), Array((*x.shape[:2], *x.shape[3:]), dtype)) if tape else (y, y)
    real: Any = dtype.type
    _layer_norm(0, x.shape, tape, dtype, real(eps), x, gain, bias, y, normal, scale)
    return y, (normal, scale) if tape else None


def layer_norm_backward(tape: tuple[Array, Array], gain: Values, dy: Values,
                        want_dx: bool) -> tuple[Array | None, Array, Array]:
    """The gradients (of x or None, of the gain, of the bias)."""
    normal, scale = tape
    dy, gain, dtype = put(dy, normal.dtype), put(gain), normal.dtype
    steps, batch = normal.shape[:2]
    lasts = lengths_of(steps, batch, None)
    dbias, dgain = pairs(False, planes_of(normal.shape, gain.size), dy, normal, gain, lasts)
    dx = None
    if want_dx:
        dx = Array(normal.shape, dtype)
        _layer_norm(1, normal.shape, True, dtype, dy, normal, scale, gain, dx)
    return dx, dgain, dbias


__all__ = ["layer_norm_backward", "layer_norm_forward"]
