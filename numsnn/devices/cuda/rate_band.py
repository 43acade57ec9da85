"""Thresholds that follow the rate of a batch, on the GPU: nothing waits for the host between two steps.

Spikes are counted as integers, a thread for each neuron; then a block for each threshold adds what its
neurons have.  It is the host's arithmetic, in float64: of a number for each threshold, and not of each spike.
"""

from functools import lru_cache

import numpy as np
from numba import cuda

from . import array as cuda_array
from .array import Array, Values, launch, put, start
from .driver import Kernel


@lru_cache(None)
def count_kernel() -> Kernel:
    """In how many samples each neuron spikes."""

    @cuda.jit
    def count(spikes, batch, counts, n):
        j = cuda.grid(1)
        if j < n:
            found = 0
            for b in range(batch):
                if spikes[b * n + j] != 0:
                    found += 1
            counts[j] = found

    return count


@lru_cache(None)
def move_kernel(threads: int) -> Kernel:
    """The threshold of a group, in a block of so many threads, and of each of its neurons.

    values: of which the spikes are counted, 0: it stays as it is.
    """

    @cuda.jit
    def move(counts, each, values, band, theta, after, thresholds):
        parts = cuda.shared.array(threads, np.int64)
        level = cuda.shared.array(1, np.float64)
        thread, group = cuda.threadIdx.x, cuda.blockIdx.x
        begin, end, found = group * each, (group + 1) * each, 0
        for j in range(begin + thread, end, threads):
            found += counts[j]
        parts[thread] = found
        cuda.syncthreads()
        if thread == 0:
            moved = theta[group]
            if values > 0:
                for other in range(1, threads):
                    found += parts[other]
                low, high, step, least, most = band
                rate = found / values
                if rate > high:
                    moved += step
                if rate < low:
                    moved -= step
                moved = min(max(moved, least), most)
            level[0] = moved
            after[group] = moved
        cuda.syncthreads()
        for j in range(begin + thread, end, threads):
            thresholds[j] = level[0]

    return move


def rate_band(band: tuple, theta: Values, spikes: Array, samples: int) -> tuple[Array, Array]:
    """Thresholds after a step; see contract.py."""
    theta, (_, batch, n) = put(theta), spikes.shape
    counts, after, thresholds = Array(n, np.int32), Array(theta.shape, theta.dtype), Array(n, spikes.dtype)
    start(count_kernel(), n, spikes, batch, counts, n)
    each = n // theta.size
    threads = min(cuda_array.BLOCK, -(-each // cuda_array.WORD) * cuda_array.WORD)
    launch(move_kernel(threads), theta.size, threads, counts, each, samples * each, tuple(map(float, band)),
           theta, after, thresholds)
    return after, thresholds


__all__ = ["rate_band"]
