"""Steps of a sequence in another order, several times, or added up (see contract.py)."""

import numpy as np

from ...signals.spikes import Spikes


def reordered(x: np.ndarray | Spikes, order: np.ndarray) -> np.ndarray | Spikes:
    samples = np.arange(order.shape[1])
    if not isinstance(x, Spikes):
        return x[order, samples]
    rows = (order * len(samples) + samples).ravel()
    shape = (*order.shape, x.shape[2])
    return Spikes.of_rows(shape, x.start[rows], x.count[rows], x.index, x.multiplicity)


def sum_steps(x: np.ndarray, k: int) -> np.ndarray:
    return np.add.accumulate(x.reshape(len(x) // k, k, *x.shape[1:]), 1)[:, -1]


__all__ = ["reordered", "sum_steps"]
