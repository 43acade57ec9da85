"""Delays in NumPy, for the devices of the host (see contract.py)."""

import numpy as np

from ..contract import Delays


def delay_forward(
        delays: Delays, x: np.ndarray, past: np.ndarray,
        lengths: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """(what comes out of x (T, B, N), the past after it), from the past before it."""
    steps, y, after = len(x), np.empty(x.shape, x.dtype), np.empty_like(past)
    for d, features, columns in delays.groups:
        whole = np.concatenate((past[:, columns].swapaxes(0, 1), x[:, :, features]))
        y[:, :, features] = whole[:steps]
        after[:, columns] = whole[_last(d, x.shape, lengths)]
    return y, after


def delay_backward(
        delays: Delays, dy: np.ndarray, dafter: np.ndarray,
        lengths: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """(gradient of x, of the past before it) from those of what came out and of the past after it."""
    dx, dpast = np.empty(dy.shape, dy.dtype), np.empty_like(dafter)
    for d, features, columns in delays.groups:
        of_y = dy[:, :, features]
        dwhole = np.concatenate((of_y, np.zeros((d, *of_y.shape[1:]), dy.dtype)))
        dwhole[_last(d, dy.shape, lengths)] += dafter[:, columns]
        dpast[:, columns] = dwhole[:d].swapaxes(0, 1)
        dx[:, :, features] = dwhole[d:]
    return dx, dpast


def _last(d, shape, lengths):
    """Where in (d + T, B) the d values before the end of each sample lie: (B, d)."""
    end = np.full(shape[1], shape[0]) if lengths is None else lengths
    return end[:, None] + np.arange(d), np.arange(shape[1])[:, None]


__all__ = ["delay_backward", "delay_forward"]
