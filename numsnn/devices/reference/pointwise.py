"""Activations and dropout in NumPy, shared by the devices of the host (see contract.py)."""

import numpy as np


def activation_forward(activation, x, tape):
    return activation.value(x), x.copy() if tape else None


def activation_backward(activation, x, dy):
    return np.ascontiguousarray(dy * activation.slope(x), x.dtype)


def random_factors(key, done, shape, probability):
    bits = random_bits(key, np.arange(shape[0])[:, None] + done[:, 0].astype(np.int64), shape[2])
    factors = (bits >= np.uint32(probability * 2**32)) * key.dtype.type(1 / (1 - probability))
    factors[:, ~key.any(1)] = 1
    return factors


def times(x, factors):
    return x * factors


def random_bits(key, step, n) -> np.ndarray:
    """(T, B, n) of uint32, a hash of (key of the sample, step, feature) alone.  key: (B, 2), step: (T, B) integers."""
    step = step.astype(np.uint32)
    first, second = (_mixed(_mixed(k.astype(np.uint32)) ^ step)[..., None] for k in key.T)
    return _mixed(_mixed(np.arange(1, n + 1, dtype=np.uint32)) ^ first, second)


def _mixed(h, key=0):
    """The 32-bit mixer lowbias32, in which every bit of h decides over every bit of the result; key goes in half way."""
    h = h ^ h >> 16
    h *= 0x7FEB352D
    h ^= key
    h ^= h >> 15
    h *= 0x846CA68B
    h ^= h >> 16
    return h


__all__ = ["activation_backward", "activation_forward", "random_bits", "random_factors", "times"]
