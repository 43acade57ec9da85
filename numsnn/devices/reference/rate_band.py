"""Thresholds that follow the rate of a batch (see contract.py)."""

import numpy as np


def rate_band(band: tuple, theta: np.ndarray, spikes: np.ndarray,
              samples: int) -> tuple[np.ndarray, np.ndarray]:
    """(theta, thresholds) after a step, theta moved by `step` where the rate leaves [low, high]."""
    low, high, step, least, most = band
    groups, each = theta.size, spikes.shape[2] // theta.size
    if samples:
        count = np.count_nonzero(spikes.reshape(-1, groups, each), (0, 2))
        rate = count / (samples * each)
        theta = np.clip(theta + step * (rate > high) - step * (rate < low), least, most)
    return theta, np.repeat(theta, each).astype(spikes.dtype)


__all__ = ["rate_band"]
