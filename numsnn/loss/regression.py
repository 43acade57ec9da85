"""Losses of regression: what is compared with an answer are numbers, an array of its shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..checked import checked
from .base import Loss, squares

SHORT = 1e-8                        # a vector of less than this length has no direction


class Regression(Loss):
    """Base of the losses of regression.

    Targets: an array of y's shape, or integer labels, which stand for one-hot targets.
    """

    def targets(self, labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        name = type(self).__name__
        if labels.shape != shape:
            if labels.shape != shape[:-1] or labels.dtype.kind not in "iu":
                raise ValueError(f"{name}: expected targets of the answer's shape {shape}, or integer labels "
                                 f"of shape {shape[:-1]}, which stand for one-hot targets; "
                                 f"got {labels.dtype} of shape {labels.shape}"
                                 f"{self.hint(labels.shape, shape)}")
            labels = np.eye(shape[-1])[super().targets(labels, shape)]
        if not np.isfinite(labels).all():
            raise ValueError(f"{name}: targets must be finite; where a step has none, give 0 and leave the "
                             f"step out by mask=")
        return labels


class MSE(Regression):
    """Mean over outputs of (y - target)^2.

    Targets: an array of y's shape, or labels, which stand for one-hot targets.
    """

    def rows(self, y: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
        return squares(y, targets, weights / y.shape[1])


class _OfDifference(Regression):
    """Mean over outputs of a function of the difference y - target."""

    def of(self, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(value, slope) of differences."""
        raise TypeError(f"{type(self).__name__} does not define of(d)")

    def rows(self, y: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = self.of(y.astype(np.float64) - targets)
        scale = weights[:, None] / y.shape[1]
        return float((scale * value).sum()), (scale * slope).astype(y.dtype)


class MAE(_OfDifference):
    """Mean over outputs of |y - target| (L1); where they are equal its gradient is 0."""

    def of(self, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.abs(d), np.sign(d)


class Huber(_OfDifference):
    """Mean over outputs of a parabola that goes on as straight lines, so that outliers pull no harder:

        d^2 / 2                   where |d| <= delta,    d = y - target
        delta (|d| - delta / 2)   beyond

    delta: in the unit of the targets.  Source: Huber, Ann. Math. Statist. 35, 1964.
    """

    @checked
    def __init__(self, steps: str = "sum", *, delta: float = 1.0):
        super().__init__(steps)
        is_number = isinstance(delta, (int, float, np.number)) and not isinstance(delta, bool)
        if not is_number or not 0 < delta < np.inf:
            raise ValueError(f"Huber: delta must be a positive number; got {delta!r}")
        self.delta = float(delta)

    def of(self, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        size = np.abs(d)
        bent = np.minimum(size, self.delta)
        return bent * (size - bent / 2), np.clip(d, -self.delta, self.delta)

    def config(self) -> dict[str, Any]:
        return {**super().config(), "delta": self.delta}


class Cosine(Regression):
    """1 - the cosine of the angle between y and its target, over the outputs: 0 where they point alike.

    A vector shorter than 1e-8 points nowhere: there the loss is 1 and the gradient 0.
    """

    def rows(self, y: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
        (length, u), (target_length, v) = map(_direction, (y, targets))
        cosine = (u * v).sum(1, keepdims=True)
        known = (length >= SHORT) & (target_length >= SHORT)
        scale = weights[:, None] * known / np.maximum(length, SHORT)
        return float(weights @ (1 - cosine[:, 0])), (scale * (cosine * u - v)).astype(y.dtype)


def _direction(rows):
    """(length, unit vector) of each row (R, C); of a short one the vector is 0."""
    rows = rows.astype(np.float64)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return length, np.where(length < SHORT, 0, rows / np.maximum(length, SHORT))
