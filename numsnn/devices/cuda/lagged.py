"""Dense layers with delays on the GPU, by the weights of all lags (see contract.py).

A thread for each number that comes out: what a step gets, the gradient of a weight of one lag, of an input.
Its terms come in the order of the contract, so that the same call gives the same bytes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from ...signals.spikes import Spikes
from ..contract import Lagged
from .array import Array, Values, put, start
from .dense import sum_rows
from .driver import Kernel
from .spikes import DeviceSpikes, placed, words


class Sizes(NamedTuple):
    steps: int
    batch: int
    n_in: int
    n_out: int
    most: int
    words: int          # of a row of bits


@lru_cache(None)
def sums_kernel(listed: bool) -> Kernel:
    """y, bias included, and the currents that go on; x: bits where `listed`, else values."""

    @cuda.jit
    def gathered(x, weight, bias, coming, end, of, y, after, n):
        i = cuda.grid(1)
        if i < n:
            j, b, s = i % of.n_out, i // of.n_out % of.batch, i // (of.n_out * of.batch)
            total = bias[j] - bias[j]
            if s < of.most:
                total += coming[(b * of.most + s) * of.n_out + j]
            for t in range(max(s - of.most, 0), min(s + 1, end[b])):
                r, first = t * of.batch + b, (s - t) * of.n_out + j
                if listed:
                    for w in range(of.words):
                        word = x[r * of.words + w]
                        while word != 0:
                            k = w * 32 + cuda.ffs(word) - 1
                            total += weight[k * (of.most + 1) * of.n_out + first]
                            word = np.uint32(word & (word - np.uint32(1)))
                else:
                    for k in range(of.n_in):
                        value = x[r * of.n_in + k]
                        if value != 0:
                            total += value * weight[k * (of.most + 1) * of.n_out + first]
            if s < of.steps:
                y[i] = total + bias[j]
            ahead = s - end[b]
            if ahead >= 0 and ahead < of.most:
                after[(b * of.most + ahead) * of.n_out + j] = total

    return gathered


@lru_cache(None)
def returned_kernel(real: str) -> Kernel:
    """The gradient of what every step gets, and of what was coming before."""
    zero = np.dtype(real).type(0)

    @cuda.jit
    def returned(dy, dafter, end, of, dsums, dcoming, n):
        i = cuda.grid(1)
        if i < n:
            j, b, s = i % of.n_out, i // of.n_out % of.batch, i // (of.n_out * of.batch)
            total, ahead = zero, s - end[b]
            if s < of.steps:
                total += dy[i]
            if ahead >= 0 and ahead < of.most:
                total += dafter[(b * of.most + ahead) * of.n_out + j]
            dsums[i] = total
            if s < of.most:
                dcoming[(b * of.most + s) * of.n_out + j] = total

    return returned


@lru_cache(None)
def weight_kernel(listed: bool, real: str) -> Kernel:
    """dweight[i, k, j] = the sum of x[t, b, i] dsums[t + k, b, j], samples after each other."""
    zero = np.dtype(real).type(0)

    @cuda.jit
    def of_weight(x, dsums, end, of, dweight, n):
        i = cuda.grid(1)
        if i < n:
            j, k, unit = i % of.n_out, i // of.n_out % (of.most + 1), i // (of.n_out * (of.most + 1))
            total, bit = zero, np.uint32(1) << np.uint32(unit % 32)
            for b in range(of.batch):
                for t in range(end[b]):
                    r, d = t * of.batch + b, ((t + k) * of.batch + b) * of.n_out + j
                    if listed:
                        if x[r * of.words + unit // 32] & bit:
                            total += dsums[d]
                    else:
                        total += x[r * of.n_in + unit] * dsums[d]
            dweight[i] = total

    return of_weight


@lru_cache(None)
def input_kernel(real: str) -> Kernel:
    """dx[t, b, i] = the sum of weight[i, k, j] dsums[t + k, b, j]."""
    zero = np.dtype(real).type(0)

    @cuda.jit
    def of_input(weight, dsums, end, of, dx, n):
        i = cuda.grid(1)
        if i < n:
            unit, b, t = i % of.n_in, i // of.n_in % of.batch, i // (of.n_in * of.batch)
            total = zero
            if t < end[b]:
                for k in range(of.most + 1):
                    w = (unit * (of.most + 1) + k) * of.n_out
                    d = ((t + k) * of.batch + b) * of.n_out
                    for j in range(of.n_out):
                        total += weight[w + j] * dsums[d + j]
            dx[i] = total

    return of_input


def lagged_forward(
        lagged: Lagged, x: Spikes | Values, coming: Values,
        lengths: np.ndarray | None) -> tuple[Array, Array]:
    """The weights of all lags, applied on the GPU; see contract.py."""
    coming, x = put(coming), placed(x, lagged.weight.dtype)
    of, given, listed = _sizes(lagged, x), _given(x), isinstance(x, DeviceSpikes)
    dtype = lagged.weight.dtype
    y, after = Array((of.steps, of.batch, of.n_out), dtype), Array(coming.shape, dtype)
    n = (of.steps + of.most) * of.batch * of.n_out
    start(sums_kernel(listed), n, given, lagged.weight, put(lagged.bias), coming, _ends(of, lengths), of, y,
          after, n)
    return y, after


def lagged_backward(
        lagged: Lagged, x: Spikes | Values, dy: Values, dcoming: Values, lengths: np.ndarray | None,
        want_dx: bool) -> tuple[Array, Array, Array, Array | None]:
    """The gradients of `lagged_forward`; see contract.py."""
    dtype = lagged.weight.dtype
    x, dy, dafter = placed(x, dtype), put(dy, dtype), put(dcoming)
    of, end, real = _sizes(lagged, x), _ends(_sizes(lagged, x), lengths), dtype.name
    dsums, before = Array((of.steps + of.most, of.batch, of.n_out), dtype), Array(dafter.shape, dtype)
    start(returned_kernel(real), dsums.size, dy, dafter, end, of, dsums, before, dsums.size)
    dweight, dx = Array(lagged.weight.shape, dtype), None
    kernel = weight_kernel(isinstance(x, DeviceSpikes), real)
    start(kernel, dweight.size, _given(x), dsums, end, of, dweight, dweight.size)
    if want_dx:
        dx = Array(x.shape, dtype)
        start(input_kernel(real), dx.size, lagged.weight, dsums, end, of, dx, dx.size)
    return dweight, sum_rows(dy.reshape(-1, of.n_out)), before, dx


def _given(x) -> Any:
    """x as kernels take it."""
    return x.bits if isinstance(x, DeviceSpikes) else x


def _sizes(lagged, x):
    steps, batch, n_in = x.shape
    return Sizes(steps, batch, n_in, lagged.weight.shape[2], lagged.most, words(n_in))


def _ends(of, lengths):
    """(B,): steps of each sample."""
    return put(np.full(of.batch, of.steps, np.int64) if lengths is None else np.asarray(lengths, np.int64))


__all__ = ["lagged_backward", "lagged_forward"]
