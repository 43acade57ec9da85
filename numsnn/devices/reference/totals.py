"""Totals over many arrays, of the gradients of a training step."""

from collections.abc import Iterable

import numpy as np

PIECE = 1 << 13     # values whose squares are added in the array's own precision, too few for threads of BLAS


def finite(arrays: Iterable[np.ndarray]) -> list[bool]:
    return [bool(np.isfinite(a).all()) for a in arrays]


def square_sums(arrays: Iterable[np.ndarray]) -> list[float]:
    return [float(np.vdot(a, a)) for a in (a.astype(np.float64) for a in arrays)]


def norm_and_squares(arrays: Iterable[np.ndarray]) -> tuple[float, None]:
    return euclidean(arrays), None


def euclidean(arrays: Iterable[np.ndarray]) -> float:
    """In pieces: no copy in float64, and no threads of BLAS, which would spin on into the next step."""
    total = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        for a in arrays:
            flat = a.reshape(-1)
            for first in range(0, flat.size, PIECE):
                part = flat[first:first + PIECE]
                total += float(np.dot(part, part))
    return total ** 0.5
