"""Steps of a sequence in another order, several times, or added up, on the GPU: a thread for each value, or
for each word of spikes.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numba import cuda

from .array import Array, put, start
from .dense import sum_rows
from .driver import Kernel
from .spikes import DeviceSpikes, placed


@lru_cache(None)
def rows_kernel() -> Kernel:
    """Row r of y is row rows[r] of x."""

    @cuda.jit
    def chosen_rows(x, rows, width, y, n):
        i = cuda.grid(1)
        if i < n:
            y[i] = x[rows[i // width] * width + i % width]

    return chosen_rows


def reordered(x: Any, order: np.ndarray) -> Any:
    """Steps of values or spikes in another order, that of each sample its own."""
    x = placed(x)
    (steps, batch), units = order.shape, x.shape[2]
    rows = put((order * batch + np.arange(batch)).ravel(), np.int64)
    of = x.bits if isinstance(x, DeviceSpikes) else x.reshape(-1, units)
    y = Array((steps * batch, of.shape[1]), of.dtype)
    start(rows_kernel(), y.size, of, rows, of.shape[1], y, y.size)
    shape = (steps, batch, units)
    return DeviceSpikes(shape, y) if isinstance(x, DeviceSpikes) else y.reshape(shape)


def sum_steps(x: Array, k: int) -> Array:
    """The sums of k steps each, in the order of time."""
    steps, batch, units = x.shape
    return sum_rows(x.reshape(steps // k, k, batch * units)).reshape(steps // k, batch, units)


__all__ = ["reordered", "sum_steps"]
