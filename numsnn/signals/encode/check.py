"""What may come in; all else is refused here, in words."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..integers import whole
from ..spikes import Spikes

__all__ = ["channels", "counts", "extent", "fractions", "positive", "real", "share", "train", "units_of",
           "whole"]


def real(x: ArrayLike, name: str = "x") -> np.ndarray:
    """x as an array of finite real numbers."""
    x = np.asarray(x)
    if x.dtype.kind not in "biuf":
        raise ValueError(f"{name} must hold real numbers; got {x.dtype} of shape {x.shape}")
    if not np.isfinite(x).all():
        where = tuple(map(int, np.argwhere(~np.isfinite(x))[0]))
        raise ValueError(f"{name} holds NaN or infinity, first at index {where}; clean it before coding")
    return x


def fractions(x: ArrayLike) -> np.ndarray:
    """x from 0 to 1."""
    x = real(x)
    if not ((x >= 0) & (x <= 1)).all():
        raise ValueError(f"x must lie from 0 to 1; got values from {x.min()} to {x.max()}. "
                         f"Scale it first: (x - low) / (high - low)")
    return x


def channels(x: ArrayLike) -> np.ndarray:
    """x (..., C)."""
    x = real(x)
    if x.ndim < 1:
        raise ValueError("x needs an axis of channels, (..., C); got a single number. One value v is [v]")
    return x


def counts(spikes: ArrayLike | Spikes, name: str) -> np.ndarray:
    """Spikes, counts or activities as an array: zero or positive."""
    spikes = real(spikes.dense() if isinstance(spikes, Spikes) else spikes, name)
    if not (spikes >= 0).all():
        raise ValueError(f"{name} must be zero or positive; got values down to {spikes.min()}")
    return spikes


def train(spikes: ArrayLike | Spikes, steps: int = 1) -> np.ndarray:
    """Spikes (T, ...) of at least `steps` steps."""
    spikes = counts(spikes, "spikes")
    if spikes.ndim < 1 or len(spikes) < steps:
        raise ValueError(f"expected spikes (T, ...) with T >= {steps} steps; got shape {spikes.shape}")
    return spikes


def units_of(code: ArrayLike | Spikes, name: str, n: int) -> np.ndarray:
    """(..., C n) -> (..., C, n)."""
    code = counts(code, name)
    if code.ndim < 1 or code.shape[-1] % n:
        raise ValueError(f"{name} must have the shape (..., C n), {n} units for each channel; "
                         f"got shape {code.shape}")
    return code.reshape(*code.shape[:-1], code.shape[-1] // n, n)


def positive(name: str, value: Any) -> float:
    """A finite number above 0, as Python's: NumPy's would be computed with, and negated, in its own type."""
    if np.ndim(value) or not 0 < value < np.inf:
        raise ValueError(f"{name} must be positive and finite; got {value!r}")
    return float(value)


def share(name: str, value: Any) -> float:
    """A number above 0, at most 1."""
    if np.ndim(value) or not 0 < value <= 1:
        raise ValueError(f"{name} must be above 0 and at most 1; got {value!r}")
    return float(value)


def extent(low: float, high: float) -> float:
    """high - low, above 0."""
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueError(f"low and high must be numbers with low < high; got low={low!r}, high={high!r}")
    return float(high) - float(low)
