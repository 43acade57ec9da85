"""Dense layers, sums of rows, the softmax cross-entropy and the steps of optimisers on the GPU.

Every sum has a fixed order, so that the same call gives the same bytes: products add in ascending k with one
accumulator per output (product.py), long sums over rows run in segments of SEGMENT rows, which are then added
in their order.  There are no floating-point atomics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import log
from typing import Any

import numpy as np
from numba import cuda

from ...neurons.elementwise import exp
from ...signals.spikes import Spikes
from ..access import gather, scatter
from ..jit import jitable, prepare
from ..reference import totals
from .array import WORD, Array, Values, launch, put, start, zeros
from .coming import Coming, come_down, later
from .driver import Kernel
from .product import U, product
from .spikes import DeviceSpikes, placed, words

SEGMENT = 256       # rows that one thread adds
COLUMNS = 128       # of a gradient from bits that a block has: it keeps 32 times as many sums
LARGEST = 1 << 22   # numbers in the segments of a gradient from bits: few segments of large matrices
TOGETHER = 256      # threads that add up one array
SHARE = 1 << 15     # numbers of it that one block adds


# ---- sums over rows


@lru_cache(None)
def rows_kernel(real: str) -> Kernel:
    """out[p, s, j] = the sum of a[p, r, j] over the rows of segment s, ascending."""
    zero = np.dtype(real).type(0)

    @cuda.jit
    def add_rows(a, n, rows, segment, out, segments, size):
        i = cuda.grid(1)
        if i < size:
            j, s, p = i % n, i // n % segments, i // (n * segments)
            total = zero
            for r in range(p * rows + s * segment, p * rows + min((s + 1) * segment, rows)):
                total += a[r * n + j]
            out[i] = total

    return add_rows


def sum_rows(a: Array) -> Array:
    """The sum of the rows of a (R, N), or of each of several such matrices (P, R, N)."""
    while True:
        *several, rows, n = a.shape
        segments = max(-(-rows // SEGMENT), 1)
        out = Array((*several, segments, n), a.dtype)
        start(rows_kernel(a.dtype.name), out.size, a, n, rows, SEGMENT, out, segments, out.size)
        if segments == 1:
            return out.reshape(*several, n)
        a = out


# ---- spikes


@lru_cache(None)
def from_bits_kernel() -> Kernel:
    """y[r] = bias + the weights of the units that spike, ascending."""

    @cuda.jit
    def from_bits(bits, n_words, weight, bias, n_out, y, n):
        i = cuda.grid(1)
        if i < n:
            width, column, r = U(n_out), U(i) % U(n_out), U(i) // U(n_out)
            w, end = r * U(n_words), (r + U(1)) * U(n_words)
            first, total = column, bias[column]
            while w < end:
                word = bits[w]
                while word != 0:
                    total += weight[first + U(cuda.ffs(word) - 1) * width]
                    word = np.uint32(word & (word - np.uint32(1)))
                first += U(32) * width
                w += U(1)
            y[i] = total

    return from_bits


@lru_cache(None)
def outer_kernel(columns: int, real: str) -> Kernel:
    """out[s, j, column] = the sum of dy[r, column] over the rows r of segment s in which unit j spikes.

    In ascending order.  A block has the 32 units of a word, and a thread for each of so many columns, which
    keeps its sums of all units in shared memory: a word and a number of dy are read once for all of them.
    """
    number, n_sums, zero = np.dtype(real).type, WORD * columns, np.dtype(real).type(0)

    @cuda.jit
    def outer(bits, n_words, n_in, dy, n_out, rows, segment, out):
        sums = cuda.shared.array(n_sums, number)
        s, w, thread = cuda.blockIdx.x, cuda.blockIdx.y, cuda.threadIdx.x
        column = cuda.blockIdx.z * columns + thread
        if column < n_out:
            for j in range(WORD):
                sums[j * columns + thread] = zero
            for r in range(s * segment, min((s + 1) * segment, rows)):
                word = bits[U(r * n_words + w)]
                if word != 0:
                    value = dy[U(r * n_out + column)]
                    while word != 0:
                        sums[(cuda.ffs(word) - 1) * columns + thread] += value
                        word = np.uint32(word & (word - np.uint32(1)))
            for j in range(min(WORD, n_in - w * WORD)):
                out[U((s * n_in + w * WORD + j) * n_out + column)] = sums[j * columns + thread]

    return outer


def outer(spikes: Array, n_in: int, dy: Array) -> Array:
    """The gradient (n_in, N) of weights from bits (R, W) and dy (R, N)."""
    rows, n_out = dy.shape
    n_words = spikes.shape[1]
    most = max(1, LARGEST // max(n_in * n_out, 1))
    size = max(SEGMENT, -(-rows // most))
    segments = max(-(-rows // size), 1)
    out = Array((segments, n_in * n_out), dy.dtype)
    columns = min(COLUMNS, -(-n_out // WORD) * WORD)
    if out.size:
        grid = segments, n_words, -(-n_out // columns)
        kernel = outer_kernel(columns, dy.dtype.name)
        launch(kernel, grid, columns, spikes, n_words, n_in, dy, n_out, rows, size, out)
    return sum_rows(out).reshape(n_in, n_out)


# ---- what the device offers


def dense_forward(x: Spikes | Values, weight: Values, bias: Values) -> Array:
    """y (T, B, M) = bias + x weight."""
    x, weight, bias = placed(x, weight.dtype), put(weight), put(bias)
    (steps, batch, n_in), n_out = x.shape, weight.shape[1]
    if isinstance(x, DeviceSpikes):
        y = Array((steps * batch, n_out), weight.dtype)
        start(from_bits_kernel(), y.size, x.bits, words(n_in), weight, bias, n_out, y, y.size)
    else:
        y = product(x.reshape(-1, n_in), weight, bias=bias)
    return y.reshape(steps, batch, n_out)


def dense_backward(x: Spikes | Values, weight: Values, dy: Values,
                   want_dx: bool) -> tuple[Array, Array, Array | None]:
    """The gradients (of the weights, of the bias, of x or None)."""
    x, weight, dy = placed(x, weight.dtype), put(weight), put(dy, weight.dtype)
    steps, batch, n_in = x.shape
    grad = dy.reshape(-1, dy.shape[2])
    if isinstance(x, DeviceSpikes):
        dweight = outer(x.bits, n_in, grad)
    else:
        dweight = product(x.reshape(-1, n_in), grad, a_turned=True)
    dx = product(grad, weight, b_turned=True).reshape(steps, batch, n_in) if want_dx else None
    return dweight, sum_rows(grad), dx


@lru_cache(None)
def softmax_kernel() -> Kernel:
    """exp(x - max) / sum, the sum in ascending order."""
    prepare()

    @cuda.jit
    def softmax(x, z, rows, n):
        r = cuda.grid(1)
        if r < rows:
            o = r * n
            most = x[o]
            for i in range(1, n):
                most = max(most, x[o + i])
            total = exp(x[o] - most)
            z[o] = total
            for i in range(1, n):
                e = exp(x[o + i] - most)
                z[o + i] = e
                total += e
            for i in range(n):
                z[o + i] /= total

    return softmax


def softmax(x: Values) -> Array:
    x = put(x)
    z = Array(x.shape, x.dtype)
    if z.size:
        n = x.shape[-1]
        rows = z.size // n
        start(softmax_kernel(), rows, x, z, rows, n)
    return z


@lru_cache(None)
def cross_entropy_kernel(real: str) -> Kernel:
    """dy = weight * (softmax(y) - one-hot), loss = weight * -log softmax(y)[label], by row."""
    prepare()
    number, zero = np.dtype(real).type, np.dtype(real).type(0)

    @cuda.jit
    def cross_entropy(y, labels, weights, dy, loss, rows, n):
        r = cuda.grid(1)
        if r < rows:
            o, weight = r * n, weights[r]
            if weight == zero:
                loss[r] = zero
                for i in range(n):
                    dy[o + i] = zero
            else:
                label, most = labels[r], y[o]
                total = zero
                for i in range(1, n):
                    most = max(most, y[o + i])
                for i in range(n):
                    e = exp(y[o + i] - most)
                    dy[o + i] = e
                    total += e
                loss[r] = weight * (number(log(total)) - (y[o + label] - most))
                scale = weight / total
                for i in range(n):
                    dy[o + i] *= scale
                dy[o + label] -= weight

    return cross_entropy


def softmax_cross_entropy(y: Values, labels: Values, weights: Values) -> tuple[Coming, Array]:
    rows, n = y.shape
    y, labels, weights = put(y), put(labels, np.int32), put(weights, y.dtype)
    dy, loss = Array(y.shape, y.dtype), Array((rows, 1), y.dtype)
    start(cross_entropy_kernel(y.dtype.name), rows, y, labels, weights, dy, loss, rows, n)
    return later(("loss",), (sum_rows(loss),), lambda total: {"loss": float(total[0])})["loss"], dy


@lru_cache(None)
def update_kernel(rule: Callable) -> Kernel:
    """One step of an optimiser's rule for each value, in place."""
    prepare()
    rule = jitable(rule)

    @cuda.jit
    def update(p, g, slots, k, n):
        i = cuda.grid(1)
        if i < n:
            value, after = rule(p[i], g[i], gather(slots, i), k)
            p[i] = value
            scatter(slots, i, after)

    return update


def update(rule: Callable, p: Array, g: Values, slots: tuple, k: tuple) -> None:
    start(update_kernel(rule), p.size, p, put(g, p.dtype), slots, k, p.size)


@lru_cache(None)
def total_kernel(of: str, threads: int) -> Kernel:
    """of: "squares", "values" or "broken", 1 for each number that is none or infinite."""
    squares, values = of == "squares", of == "values"
    zero, one = np.float32(0), np.float32(1)

    @cuda.jit
    def total(a, n, segment, out, first):
        """out[first + block] = the total of a segment.

        A thread adds numbers that lie as far apart as there are threads, then one adds what all have.
        """
        parts = cuda.shared.array(threads, np.float32)
        thread, begin = cuda.threadIdx.x, cuda.blockIdx.x * segment
        found = zero
        for i in range(begin + thread, min(begin + segment, n), threads):
            if squares:
                found += a[i] * a[i]
            elif values:
                found += a[i]
            elif a[i] - a[i] != 0:
                found += one
        parts[thread] = found
        cuda.syncthreads()
        if thread == 0:
            for other in range(1, threads):
                found += parts[other]
            out[first + cuda.blockIdx.x] = found

    return total


def _totals(arrays, of):
    """The total of what is asked of each array."""
    sums = zeros(max(len(arrays), 1), np.float32)
    for k, a in enumerate(arrays):
        segments = -(-a.size // SHARE)
        if segments > 1:
            parts = Array(segments, np.float32)
            launch(total_kernel(of, TOGETHER), segments, TOGETHER, a, a.size, SHARE, parts, 0)
            launch(total_kernel("values", TOGETHER), 1, TOGETHER, parts, segments, segments, sums, k)
        else:
            launch(total_kernel(of, TOGETHER), 1, TOGETHER, a, a.size, SHARE, sums, k)
    return sums


def square_sums(arrays: Sequence[Values]) -> list[float]:
    return np.asarray(_totals(list(map(put, arrays)), "squares"))[:len(arrays)].tolist()


def euclidean(arrays: Sequence[Values]) -> float:
    return norm_and_squares(arrays)[0]


def norm_and_squares(arrays: Sequence[Values]) -> tuple[float, list[float]]:
    """The host waits once for both."""
    there = [a for a in arrays if isinstance(a, Array)]
    here = [a for a in arrays if not isinstance(a, Array)]
    of_device = np.asarray(_totals(there, "squares")).tolist()
    norm = (sum(of_device[:len(there)]) + totals.euclidean(here) ** 2) ** 0.5
    return norm, _squares(arrays, of_device)


def _squares(arrays, of_device):
    """The sum of the squares of each array, of which those on the GPU are known."""
    on_gpu = iter(of_device)
    on_host = iter(totals.square_sums(a for a in arrays if not isinstance(a, Array)))
    return [next(on_gpu if isinstance(a, Array) else on_host) for a in arrays]


def arrived(loss: Any, grads: dict[str, Any]) -> tuple[Any, dict[str, Any], list[float]]:
    there = [g for g in grads.values() if isinstance(g, Array)]
    of_device = later(("squares",), (_totals(there, "squares"),), lambda found: {"squares": found})["squares"]
    loss, of_device, *found = come_down([loss, of_device, *grads.values()])
    return loss, dict(zip(grads, found, strict=True)), _squares(found, of_device.tolist())


def finite(arrays: Sequence[Values]) -> list[bool]:
    broken = iter(np.asarray(_totals([a for a in arrays if isinstance(a, Array)], "broken")))
    return [next(broken) == 0 if isinstance(a, Array) else bool(np.isfinite(a).all()) for a in arrays]


__all__ = [
    "arrived", "dense_backward", "dense_forward", "euclidean", "finite", "norm_and_squares", "outer",
    "product", "softmax", "softmax_cross_entropy", "square_sums", "sum_rows", "update",
]
