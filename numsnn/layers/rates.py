"""Firing rates of a population, and the gradient that comes back through them."""

from __future__ import annotations

import numpy as np

from ..signals.spikes import Spikes
from .layer import Arriving, Shape


def rates(spikes: Arriving, lengths: np.ndarray | None) -> np.ndarray:
    """Mean number of spikes per valid step, (B, N), of (T, B, N) spikes."""
    steps, batch, units = spikes.shape
    if isinstance(spikes, Spikes):
        row, entry = spikes.entries()
        place = row % batch * units + spikes.index[entry]
        total = np.bincount(place, minlength=batch * units).reshape(batch, units).astype(np.float64)
    else:
        total = spikes.sum(0, dtype=np.float64)
    return total / np.maximum(steps if lengths is None else lengths, 1)[..., None]


def spikes_gradient(drates: np.ndarray, shape: Shape, lengths: np.ndarray | None) -> np.ndarray:
    """The gradient (T, B, N) of spikes from that of their `rates`; padded steps are the loops' business."""
    steps = np.broadcast_to(shape[0] if lengths is None else lengths, shape[1])
    of_a_step = drates / np.maximum(steps, 1).astype(drates.dtype)[:, None]
    return np.ascontiguousarray(np.broadcast_to(of_a_step, shape))
