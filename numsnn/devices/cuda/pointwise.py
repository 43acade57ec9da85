"""Activations, ternary values and dropout on the GPU: a thread for each value."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numba import cuda

from ...neurons.activation import ACTIVATIONS, Activation
from ...neurons.model import Functions
from ...neurons.surrogate import Surrogate
from ...neurons.ternary import ternary, ternary_adjoint
from ..jit import jitable, prepare
from .array import Array, Values, put, start
from .dense import sum_rows
from .driver import Kernel
from .gated import captured

# of lowbias32: the factors, and by how many bits it shifts
LOW = np.uint64(0xFFFFFFFF)
FIRST = np.uint64(0x7FEB352D)
SECOND = np.uint64(0x846CA68B)
ALMOST_HALF = np.uint32(15)
HALF = np.uint32(16)
NO_KEY = np.uint32(0)


@lru_cache(None)
def value_kernel(function: Callable) -> Kernel:
    """y = function(x)."""
    prepare()
    function = jitable(function)

    @cuda.jit
    def value(x, y, n):
        i = cuda.grid(1)
        if i < n:
            y[i] = function(x[i])

    return value


@lru_cache(None)
def slope_kernel(function: Callable) -> Kernel:
    """dx = dy function(x)."""
    prepare()
    function = jitable(function)

    @cuda.jit
    def slope(x, dy, dx, n):
        i = cuda.grid(1)
        if i < n:
            dx[i] = dy[i] * function(x[i])

    return slope


@lru_cache(None)
def ternary_kernels(spike: Callable, slope: Callable) -> tuple[Kernel, Kernel]:
    """(forward, backward), value by value."""
    spike, slope, act, act_slope = captured(spike, slope, ACTIVATIONS["identity"])
    value, adjoint = jitable(ternary), jitable(ternary_adjoint)

    @cuda.jit
    def forward(x, v_threshold, k, y, n):
        i = cuda.grid(1)
        if i < n:
            y[i] = value(x[i], v_threshold, Functions(spike, slope, k, act, act_slope))

    @cuda.jit
    def backward(x, v_threshold, k, dy, dx, dthreshold, n):
        i = cuda.grid(1)
        if i < n:
            f = Functions(spike, slope, k, act, act_slope)
            dx[i], dthreshold[i] = adjoint(x[i], v_threshold, f, dy[i])

    return forward, backward


@lru_cache(None)
def times_kernel() -> Kernel:
    """y = x times factors that come again, each for so many values in a row."""

    @cuda.jit
    def times(x, factors, values, period, y, n):
        i = cuda.grid(1)
        if i < n:
            y[i] = x[i] * factors[i // values % period]

    return times


def _mixed(h, key):
    """lowbias32, as in pointwise.py; Numba makes 64 bits of a product of 32, of which the low ones stay."""
    h = np.uint32(h ^ h >> HALF)
    h = np.uint32((np.uint64(h) * FIRST) & LOW) ^ key
    h = np.uint32(h ^ h >> ALMOST_HALF)
    h = np.uint32((np.uint64(h) * SECOND) & LOW)
    return np.uint32(h ^ h >> HALF)


@lru_cache(None)
def factors_kernel(real: str) -> Kernel:
    """0 or scale for each value, decided by a hash of its sample's keys, step and unit; 1 without keys."""
    zero, one = np.dtype(real).type(0), np.dtype(real).type(1)
    mixed = jitable(_mixed)

    @cuda.jit
    def random_factors(streams, batch, units, threshold, scale, factors, n):
        """streams[b]: two keys of a sample, and its steps so far."""
        i = cuda.grid(1)
        if i < n:
            unit, b, t = np.uint32(i % units + 1), i // units % batch, i // (units * batch)
            key, other = np.uint32(streams[3 * b]), np.uint32(streams[3 * b + 1])
            step = np.uint32(t + int(streams[3 * b + 2]))
            key_of_step = mixed(mixed(key, NO_KEY) ^ step, NO_KEY)
            other_of_step = mixed(mixed(other, NO_KEY) ^ step, NO_KEY)
            bits = mixed(mixed(unit, NO_KEY) ^ key_of_step, other_of_step)
            kept = scale if bits >= threshold else zero
            factors[i] = one if key == 0 and other == 0 else kept

    return random_factors


def activation_forward(activation: Activation, x: Values, tape: bool) -> tuple[Array, Array | None]:
    x = put(x)
    y = Array(x.shape, x.dtype)
    start(value_kernel(activation.value), y.size, x, y, y.size)
    return y, x if tape else None


def activation_backward(activation: Activation, x: Array, dy: Values) -> Array:
    dx = Array(x.shape, x.dtype)
    start(slope_kernel(activation.slope), dx.size, x, put(dy, x.dtype), dx, dx.size)
    return dx


def ternary_forward(surrogate: Surrogate, x: Values, v_threshold: np.ndarray) -> Array:
    """1 above the threshold, -1 below its negative, 0 between."""
    x = put(x)
    y = Array(x.shape, x.dtype)
    kernel, _ = ternary_kernels(surrogate.spike, surrogate.slope)
    start(kernel, y.size, x, x.dtype.type(v_threshold[0]), surrogate.typed(x.dtype), y, y.size)
    return y


def ternary_backward(surrogate: Surrogate, x: Array, v_threshold: np.ndarray,
                     dy: Values) -> tuple[Array, Array]:
    """(dx, gradient of the threshold), the features summed first."""
    dy = put(dy, x.dtype)
    dx, of_each = Array(x.shape, x.dtype), Array(x.shape, x.dtype)
    _, kernel = ternary_kernels(surrogate.spike, surrogate.slope)
    threshold, k = x.dtype.type(v_threshold[0]), surrogate.typed(x.dtype)
    start(kernel, dx.size, x, threshold, k, dy, dx, of_each, dx.size)
    of_features = sum_rows(of_each.reshape(-1, x.shape[-1]))
    return dx, sum_rows(of_features.reshape(-1, 1))


def random_factors(key: Values, done: Values, shape: tuple[int, int, int], probability: float) -> Array:
    """Factors (T, B, N) that drop values with a probability (see contract.py)."""
    factors = Array(shape, key.dtype)
    streams = put(np.concatenate((np.asarray(key), np.asarray(done)), 1))
    threshold = np.uint32(probability * 2**32)
    real: Any = key.dtype.type
    scale = real(1 / (1 - probability))
    _, batch, units = shape
    kernel = factors_kernel(key.dtype.name)
    start(kernel, factors.size, streams, batch, units, threshold, scale, factors, factors.size)
    return factors


def times(x: Values, factors: Values) -> Array:
    x = put(x)
    factors, y = put(factors, x.dtype), Array(x.shape, x.dtype)
    values = x.shape[-1] // max(factors.shape[-1], 1)
    start(times_kernel(), y.size, x, factors, values, factors.size, y, y.size)
    return y


__all__ = ["activation_backward", "activation_forward", "random_factors", "ternary_backward",
           "ternary_forward", "times"]
