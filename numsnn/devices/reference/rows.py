"""Sums of rows of a weight matrix, in the one order that all devices keep to."""

import numpy as np


def add_rows(current: np.ndarray, weight: np.ndarray, values: np.ndarray) -> None:
    """current[b] += sum over ascending k of values[b, k] * weight[k], one accumulator per output.

    Zeros are skipped.
    """
    for k in np.flatnonzero(values.any(0)):
        b = np.flatnonzero(values[:, k])
        current[b] += values[b, k, None] * weight[k]


__all__ = ["add_rows"]
