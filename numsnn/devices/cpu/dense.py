"""Dense layers, the softmax cross-entropy and sums over time on the CPU."""

from functools import lru_cache

import numpy as np
from numba import njit

from ...neurons.elementwise import ZERO, exp
from ...signals.spikes import Spikes
from .. import buffers
from ..jit import OPTIONS, fingerprint, jitable, prepare
from ..tiny import flush_tiny, restore
from . import blas, lanes
from .fields import private
from .rows import (
    BAND,
    U,
    add_outer_rows,
    add_values,
    multiply,
    multiply_blas,
    nonzeros,
    outer_space,
    sum_entries,
)

# A class so far behind counts nothing; exp of less, times a small weight, is not a normal number, which is
# slow.
NEGLIGIBLE = np.float32(-60)
BLOCK = 512         # rows (t, b) whose weight gradient is added in one go


@lru_cache(None)
def forward_kernels():
    """The forward pass from Spikes and from values."""
    prepare()
    mark = fingerprint()

    @njit(**OPTIONS)
    def from_events(entries, weight, bias, y):
        mark  # noqa: B018  part of the cache key
        word = flush_tiny()
        rows, n_out = U(entries[0].size), U(weight.shape[1])
        start, count, index, multiplicity = private(entries)
        weight, bias, y = private(weight), private(bias), private(y)
        for r in range(rows):
            e = U(start[r])
            sum_entries(y, r * n_out, bias, weight, n_out, index, multiplicity, e, e + U(count[r]))
        restore(word)

    @njit(**OPTIONS)
    def from_values(x, weight, bias, y):
        mark  # noqa: B018  part of the cache key
        word = flush_tiny()
        rows, n_in, n_out = U(y.size // weight.shape[1]), U(weight.shape[0]), U(weight.shape[1])
        x, weight, bias, y = private(x), private(weight), private(bias), private(y)
        for r in range(U(0), rows, U(BAND)):
            band = min(rows - r, U(BAND))
            for i in range(r, r + band):
                for n in range(n_out):
                    y[i * n_out + n] = bias[n]
            if U(2) * nonzeros(x, r * n_in, band * n_in) > band * n_in:
                lanes.add_products((x, r * n_in, n_in), (weight, U(0), n_out), (y, r * n_out, n_out), band,
                                   n_in, n_out)
            else:
                for i in range(r, r + band):
                    add_values(y, i * n_out, weight, n_in, n_out, x, i * n_in)
        restore(word)

    return from_events, from_values


@lru_cache(None)
def backward_kernels(with_blas):
    """(weight gradient from Spikes, sum of rows, product)."""
    prepare()
    product, mark = multiply_blas if with_blas else multiply, fingerprint()

    @njit(**OPTIONS)
    def from_events(entries, dy, working, dweight):
        mark  # noqa: B018  part of the cache key
        word = flush_tiny()
        rows, n_out = U(dy.shape[0]), U(dy.shape[1])
        n_in, width = U(dweight.shape[0]), U(dweight.shape[1])
        entries, dy, working, dweight = private(entries), private(dy), private(working), private(dweight)
        for first in range(U(0), rows, U(BLOCK)):
            last = min(first + U(BLOCK), rows)
            add_outer_rows(dweight, width, n_in, n_out, first, last, entries, dy, U(0), working)
        restore(word)

    @njit(**OPTIONS)
    def sum_rows(dy, dbias):
        mark  # noqa: B018  part of the cache key
        word = flush_tiny()
        rows, n_out = U(dy.shape[0]), U(dy.shape[1])
        dy, dbias = private(dy), private(dbias)
        for r in range(rows):
            for n in range(n_out):
                dbias[n] += dy[r * n_out + n]
        restore(word)

    @njit(**OPTIONS)
    def matmul(a, b, out):
        mark  # noqa: B018  part of the cache key
        word = flush_tiny()
        product(a, b, out)
        restore(word)

    return from_events, sum_rows, matmul


def entries(x: Spikes) -> tuple:
    """(start, count, index, multiplicity or None), as kernels take Spikes."""
    return x.start, x.count, x.index, x.multiplicity


def dense_forward(x: Spikes | np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """y (T, B, M) = bias + x W, summed over ascending inputs; see contract.py."""
    y = buffers.empty((*x.shape[:2], weight.shape[1]), weight.dtype)
    weight, bias = buffers.contiguous(weight), buffers.contiguous(bias)
    from_events, from_values = forward_kernels()
    if isinstance(x, Spikes):
        from_events(entries(x), weight, bias, y.reshape(-1))
    else:
        from_values(buffers.contiguous(x).reshape(-1), weight, bias, y.reshape(-1))
    return y


def dense_backward(
        x: Spikes | np.ndarray, weight: np.ndarray, dy: np.ndarray,
        want_dx: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The gradients of `dense_forward`; see contract.py."""
    (steps, batch, n_in), n_out, dtype = x.shape, weight.shape[1], weight.dtype
    from_events, sum_rows, matmul = backward_kernels(blas.usable())
    dbias, grad = np.zeros(n_out, dtype), buffers.contiguous(dy).reshape(-1, n_out)
    sum_rows(grad, dbias)
    if isinstance(x, Spikes):
        of_blocks = np.arange(0, x.count.size, BLOCK)
        most = np.add.reduceat(x.count, of_blocks).max() if x.count.size else 0
        dweight, working = outer_space(n_in, n_out, dtype, most, x.multiplicity)
        from_events(entries(x), grad, working, dweight)
        dweight = np.ascontiguousarray(dweight[:, :n_out])
    else:
        dweight = np.empty((n_in, n_out), dtype)
        matmul(buffers.contiguous(x.reshape(-1, n_in).T), grad, dweight)
    if not want_dx:
        return dweight, dbias, None
    dx = buffers.empty((steps * batch, n_in), dtype)
    matmul(grad, np.ascontiguousarray(weight.T), dx)
    return dweight, dbias, dx.reshape(steps, batch, n_in)


@jitable
def soften(z, o, n):
    """The soft-max of z[o : o + n] in place; the sum runs in ascending order."""
    most = z[o]
    for i in range(U(1), n):
        most = max(most, z[o + i])
    for i in range(n):
        z[o + i] = exp(z[o + i] - most)
    total = z[o]
    for i in range(U(1), n):
        total += z[o + i]
    for i in range(n):
        z[o + i] /= total


@lru_cache(None)
def soften_kernel():
    """The loop that makes each row its soft-max, in place."""
    prepare()
    mark = fingerprint()

    @njit(**OPTIONS)
    def soften_rows(z):
        mark  # noqa: B018  part of the cache key
        rows, n, z = U(z.shape[0]), U(z.shape[1]), private(z)
        for r in range(rows):
            soften(z, r * n, n)

    return soften_rows


def softmax(x: np.ndarray) -> np.ndarray:
    z = buffers.copy(x)
    soften_kernel()(z.reshape(-1, z.shape[-1]))
    return z


@lru_cache(None)
def softmax_kernel():
    """The loop of the cross-entropy after a soft-max, and of its gradient."""
    prepare()
    mark = fingerprint()

    @njit(**OPTIONS)
    def softmax(y, labels, weights, dy):
        """dy = weights * (softmax(y) - one-hot); the sum of weights * -log softmax(y)[label]."""
        mark  # noqa: B018  part of the cache key
        rows, classes, loss = U(y.shape[0]), U(y.shape[1]), 0.0
        real, flat = dy.dtype.type, private(dy)
        y, labels, weights = private(y), private(labels), private(weights)
        for r in range(rows):
            o = r * classes
            most = y[o]
            for n in range(U(1), classes):
                most = max(most, y[o + n])
            for n in range(classes):
                flat[o + n] = y[o + n] - most
            if weights[r] != 0:
                loss -= weights[r] * flat[o + U(labels[r])]
        for i in range(rows * classes):
            flat[i] = exp(flat[i]) if flat[i] > NEGLIGIBLE else flat[i] * ZERO
        for r in range(rows):
            o = r * classes
            total = flat[o]
            for n in range(U(1), classes):
                total += flat[o + n]
            if weights[r] != 0:
                loss += weights[r] * np.log(total)
                scale = real(weights[r] / total)
                for n in range(classes):
                    flat[o + n] *= scale
                flat[o + U(labels[r])] -= real(weights[r])
            else:
                for n in range(classes):
                    flat[o + n] = 0
        return loss

    return softmax


def softmax_cross_entropy(
        y: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
    dy = buffers.empty(y.shape, y.dtype)
    return softmax_kernel()(y, labels, weights, dy), dy


@lru_cache(None)
def sum_kernel():
    """The loop that adds the steps that count, in the order of time."""
    prepare()
    mark = fingerprint()

    @njit(**OPTIONS)
    def add_steps(z, counted, y):
        mark  # noqa: B018  part of the cache key
        steps, batch, n = U(z.shape[0]), U(z.shape[1]), U(z.shape[2])
        z, counted, y = private(z), private(counted), private(y)
        for t in range(steps):
            for b in range(batch):
                if counted[t * batch + b] != 0:
                    for i in range(n):
                        y[b * n + i] += z[(t * batch + b) * n + i]

    return add_steps


def sum_over_time(start: np.ndarray, z: np.ndarray, counted: np.ndarray) -> np.ndarray:
    y = np.array(start, order="C")
    counted = buffers.contiguous(counted).reshape(-1).view(np.uint8)
    sum_kernel()(buffers.contiguous(z), counted, y.reshape(-1))
    return y
