"""Activations, ternary values and dropout in NumPy, shared by the devices of the host (see contract.py)."""

import numpy as np

from ...neurons.activation import Activation
from ...neurons.model import Functions
from ...neurons.surrogate import Surrogate
from ...neurons.ternary import ternary, ternary_adjoint


def activation_forward(
        activation: Activation, x: np.ndarray, tape: bool) -> tuple[np.ndarray, np.ndarray | None]:
    return activation.value(x), x.copy() if tape else None


def activation_backward(activation: Activation, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(dy * activation.slope(x), x.dtype)


def ternary_forward(surrogate: Surrogate, x: np.ndarray, v_threshold: np.ndarray) -> np.ndarray:
    return ternary(x, v_threshold, _functions(surrogate, x.dtype)).astype(x.dtype)


def ternary_backward(surrogate: Surrogate, x: np.ndarray, v_threshold: np.ndarray,
                     dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    dx, dthreshold = ternary_adjoint(x, v_threshold, _functions(surrogate, x.dtype), dy)
    return np.ascontiguousarray(dx, x.dtype), np.array([dthreshold.sum(dtype=np.float64)], x.dtype)


def _functions(surrogate, dtype):
    return Functions(surrogate.spike, surrogate.slope, surrogate.typed(dtype))


def random_factors(
        key: np.ndarray, done: np.ndarray, shape: tuple[int, int, int], probability: float) -> np.ndarray:
    step = np.arange(shape[0])[:, None] + done[:, 0].astype(np.int64)
    bits = random_bits(key, step, shape[2])
    factors = (bits >= np.uint32(probability * 2**32)) * key.dtype.type(1 / (1 - probability))
    factors[:, ~key.any(1)] = 1
    return factors


def times(x: np.ndarray, factors: np.ndarray) -> np.ndarray:
    return x * factors


def random_bits(key: np.ndarray, step: np.ndarray, n: int) -> np.ndarray:
    """(T, B, n) of uint32, a hash of (key of the sample, step, feature) alone.

    key: (B, 2), step: (T, B) integers.
    """
    step = step.astype(np.uint32)
    first, second = (_mixed(_mixed(k.astype(np.uint32)) ^ step)[..., None] for k in key.T)
    return _mixed(_mixed(np.arange(1, n + 1, dtype=np.uint32)) ^ first, second)


def _mixed(h, key=0):
    """The 32-bit mixer lowbias32, in which every bit of h decides over every bit of the result.

    key goes in half way.
    """
    h = h ^ h >> 16
    h *= 0x7FEB352D
    h ^= key
    h ^= h >> 15
    h *= 0x846CA68B
    h ^= h >> 16
    return h


__all__ = ["activation_backward", "activation_forward", "random_bits", "random_factors", "ternary_backward",
           "ternary_forward", "times"]
