"""Dense layers with delays on the CPU (see contract.py).

What a sample gets lies in one piece, `sums` (B, T + most, M): a spike of input i in step t adds the weights
of all its lags, a block of (most + 1) M numbers, to those from step t on, at once.  With one lag of each
synapse it adds M numbers, each in the step where it belongs.  The weights' gradient reads what the spike has
written.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numba import njit

from ...neurons.elementwise import ONE
from ...signals.spikes import Spikes
from .. import buffers
from ..contract import Lagged, valid_steps
from ..jit import OPTIONS, fingerprint, jitable, prepare
from ..reference.lagged import after, before, sums_gradient
from . import blas
from .addresses import at, shifted, values_at
from .dense import backward_kernels as dense_kernels, entries
from .fields import private
from .rows import U, add_entries, add_values
from .step import StepLayer, kernel_of, real_of

# sizes of a kernel: (steps, batch, n_in, n_out, most, kernels)


@jitable
def times_of(multiplicity, e):
    """How often an entry counts."""
    return ONE if multiplicity is None else multiplicity[e]


@jitable
def add_lags(sums, o, weight, lag, i, factor, sizes):
    """sums += factor times the weights of input i, each at its lag from place o on."""
    _, _, n_in, n_out, _, kernels = sizes
    for q in range(kernels):
        w = (q * n_in + i) * n_out
        for n in range(n_out):
            sums[o + U(lag[w + n]) * n_out + n] += factor * weight[w + n]


@jitable
def add_spikes(sums, o, weight, lag, listed, sizes):
    """What the spikes of a step give to the steps from place o on.  listed: (index, multiplicity, e, end)."""
    index, multiplicity, e, end = listed
    if lag is None:
        add_entries(sums, o, weight, (sizes[4] + U(1)) * sizes[3], index, multiplicity, e, end)
    else:
        for k in range(e, end):
            add_lags(sums, o, weight, lag, U(index[k]), times_of(multiplicity, k), sizes)


@jitable
def add_numbers(sums, o, weight, lag, x, v, sizes):
    """What the values x[v] ... of a step give."""
    n_in, n_out, most = sizes[2], sizes[3], sizes[4]
    if lag is None:
        add_values(sums, o, weight, n_in, (most + U(1)) * n_out, x, v)
    else:
        for i in range(n_in):
            if x[v + i] != 0:
                add_lags(sums, o, weight, lag, i, x[v + i], sizes)


@jitable
def add_taken(dweight, dsums, o, lag, i, factor, sizes):
    """The gradient of the weights of input i += factor times that of where `add_lags` added them."""
    _, _, n_in, n_out, most, kernels = sizes
    if lag is None:
        width = (most + U(1)) * n_out
        for n in range(width):
            dweight[i * width + n] += factor * dsums[o + n]
    else:
        for q in range(kernels):
            w = (q * n_in + i) * n_out
            for n in range(n_out):
                dweight[w + n] += factor * dsums[o + U(lag[w + n]) * n_out + n]


@lru_cache(None)
def forward_kernels() -> tuple[Callable, Callable]:
    """What Spikes, and what values add to the sums."""
    prepare()
    mark = fingerprint()

    @njit(**OPTIONS)
    def from_events(entries, lengths, weight, lag, sums, sizes):
        mark  # noqa: B018  part of the cache key
        steps, batch, _, n_out, most, _ = sizes
        start, count, index, multiplicity = private(entries)
        weight, lag, sums = private(weight), private(lag), private(sums)
        for b in range(batch):
            for t in range(U(lengths[b])):
                r, o = t * batch + b, (b * (steps + most) + t) * n_out
                e = U(start[r])
                add_spikes(sums, o, weight, lag, (index, multiplicity, e, e + U(count[r])), sizes)

    @njit(**OPTIONS)
    def from_values(x, lengths, weight, lag, sums, sizes):
        mark  # noqa: B018  part of the cache key
        steps, batch, n_in, n_out, most, _ = sizes
        x, weight, lag, sums = private(x), private(weight), private(lag), private(sums)
        for b in range(batch):
            for t in range(U(lengths[b])):
                v, o = (t * batch + b) * n_in, (b * (steps + most) + t) * n_out
                add_numbers(sums, o, weight, lag, x, v, sizes)

    return from_events, from_values


@lru_cache(None)
def backward_kernels() -> tuple[Callable, Callable]:
    """The gradient of the weights from Spikes, and from values."""
    prepare()
    mark = fingerprint()

    @njit(**OPTIONS)
    def of_events(entries, lengths, dsums, lag, dweight, sizes):
        mark  # noqa: B018  part of the cache key
        steps, batch, _, n_out, most, _ = sizes
        start, count, index, multiplicity = private(entries)
        dsums, lag, dweight = private(dsums), private(lag), private(dweight)
        for b in range(batch):
            for t in range(U(lengths[b])):
                r, o = t * batch + b, (b * (steps + most) + t) * n_out
                e = U(start[r])
                for k in range(e, e + U(count[r])):
                    add_taken(dweight, dsums, o, lag, U(index[k]), times_of(multiplicity, k), sizes)

    @njit(**OPTIONS)
    def of_values(x, lengths, dsums, lag, dweight, sizes):
        mark  # noqa: B018  part of the cache key
        steps, batch, n_in, n_out, most, _ = sizes
        x, dsums, lag, dweight = private(x), private(dsums), private(lag), private(dweight)
        for b in range(batch):
            for t in range(U(lengths[b])):
                v, o = (t * batch + b) * n_in, (b * (steps + most) + t) * n_out
                for i in range(n_in):
                    if x[v + i] != 0:
                        add_taken(dweight, dsums, o, lag, i, x[v + i], sizes)

    return of_events, of_values


@lru_cache(None)
def input_kernel() -> Callable:
    """The gradient of x where each synapse has one lag."""
    prepare()
    mark = fingerprint()

    @njit(**OPTIONS)
    def of_input(dsums, lengths, weight, lag, dx, sizes):
        mark  # noqa: B018  part of the cache key
        steps, batch, n_in, n_out, most, kernels = sizes
        dsums, weight, lag, dx = private(dsums), private(weight), private(lag), private(dx)
        for b in range(batch):
            for t in range(U(lengths[b])):
                v, o = (t * batch + b) * n_in, (b * (steps + most) + t) * n_out
                for i in range(n_in):
                    total = dx[v + i]
                    for q in range(kernels):
                        w = (q * n_in + i) * n_out
                        for n in range(n_out):
                            total += weight[w + n] * dsums[o + U(lag[w + n]) * n_out + n]
                    dx[v + i] = total

    return of_input


def lagged_forward(
        lagged: Lagged, x: Spikes | np.ndarray, coming: np.ndarray,
        lengths: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """What each spike or value gives to the steps after it; see contract.py."""
    (steps, batch, _), n_out, most = x.shape, coming.shape[2], lagged.most
    sums = buffers.zeros((batch, steps + most, n_out), coming.dtype)
    sums[:, :most] = coming
    kernel, given = _chosen(x, forward_kernels())
    kernel(given, _lengths(x, lengths), lagged.weight, lagged.lag, sums, _sizes(lagged, x))
    y = buffers.empty((steps, batch, n_out), coming.dtype)
    np.add(sums[:, :steps].swapaxes(0, 1), lagged.bias, out=y)
    time, sample = after(coming, steps, lengths)
    return y, sums[sample, time]


def lagged_backward(
        lagged: Lagged, x: Spikes | np.ndarray, dy: np.ndarray, dcoming: np.ndarray,
        lengths: np.ndarray | None,
        want_dx: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """The gradients of `lagged_forward`, read where it has written; see contract.py."""
    dsums, dbias = sums_gradient(dy, dcoming, lengths), np.zeros_like(lagged.bias)
    dense_kernels(blas.usable())[1](buffers.contiguous(dy).reshape(-1, dy.shape[2]), dbias)
    of_samples = buffers.copy(dsums.swapaxes(0, 1))
    ends = _lengths(x, lengths)
    dweight = weight_gradient(lagged, x, ends, of_samples, len(x))
    dx = None
    if want_dx and lagged.lag is None:
        dx = _through_all_lags(lagged, dsums, x.shape)
        if lengths is not None:
            dx *= valid_steps(len(dy), dy.shape[1], lengths)
    elif want_dx:
        dx = buffers.zeros(x.shape, dy.dtype)
        input_kernel()(of_samples, ends, lagged.weight, lagged.lag, dx, _sizes(lagged, x))
    return dweight, dbias, before(dsums, lagged.most), dx


def weight_gradient(
        lagged: Lagged, x: Spikes | np.ndarray, lengths: np.ndarray, dsums: np.ndarray,
        steps: int) -> np.ndarray:
    """From what went in and the gradient of what it gave, dsums (B, steps + most, M): x[t] gave to rows t ...

    lengths (B,): valid steps of x.
    """
    dweight = buffers.zeros(lagged.weight.shape, dsums.dtype)
    kernel, given = _chosen(x, backward_kernels())
    kernel(given, lengths, dsums.reshape(-1), lagged.lag, dweight, (U(steps), *_sizes(lagged, x)[1:]))
    return dweight


def _through_all_lags(lagged, dsums, shape):
    """The gradient of x, a product for each lag, in ascending order."""
    steps, batch, n_in = shape
    matmul = dense_kernels(blas.usable())[2]
    dx = buffers.zeros((steps * batch, n_in), dsums.dtype)
    part = buffers.empty(dx.shape, dx.dtype)
    for k in range(lagged.most + 1):
        of_lag = dsums[k:k + steps].reshape(steps * batch, -1)
        matmul(of_lag, np.ascontiguousarray(lagged.weight[:, k].T), part)
        dx += part
    return dx.reshape(shape)


def _chosen(x, kernels):
    """(the kernel for Spikes or for values, x as it takes it)."""
    return (kernels[0], entries(x)) if isinstance(x, Spikes) else (kernels[1], buffers.contiguous(x))


def _lengths(x, lengths):
    """(B,): steps of each sample."""
    return np.full(x.shape[1], len(x), np.int64) if lengths is None else lengths


def _sizes(lagged, x):
    kernels = 1 if lagged.lag is None else len(lagged.lag)
    return tuple(map(U, (*x.shape, lagged.weight.shape[2], lagged.most, kernels)))


# ---- one step


@jitable
def add_step_to_all(sums, weight, _, x, v, sizes):
    """What the values of a step give, each at all lags."""
    add_numbers(sums, U(0), weight, None, x, v, sizes)


@jitable
def add_step_to_one(sums, weight, lag, x, v, sizes):
    """What the values of a step give, each synapse at its own lag, which lies at an address."""
    add_numbers(sums, U(0), weight, values_at(np.int32, lag), x, v, sizes)


@lru_cache(None)
def _lagged(real, whole):
    """fixed: addresses of weight, lag and bias, then n_in, n_out, most, kernels."""
    prepare()
    add = add_step_to_one if whole else add_step_to_all
    mark = fingerprint(add)

    def lagged(fixed, x, before, after, y, work, batch):
        mark  # noqa: B018  part of the cache key
        weight, bias = at(x, fixed[0]), at(x, fixed[2])
        n_in, n_out, most, kernels = U(fixed[3]), U(fixed[4]), U(fixed[5]), U(fixed[6])
        sizes, held = (U(1), batch, n_in, n_out, most, kernels), most * n_out
        x, y, sums = shifted(x, U(0)), shifted(y, U(0)), shifted(work, U(0))
        before, after = shifted(before, U(0)), shifted(after, U(0))
        for b in range(batch):
            for n in range(held):
                sums[n] = before[b * held + n]
            for n in range(n_out):
                sums[held + n] = 0
            add(sums, weight, fixed[1], x, b * n_in, sizes)
            for n in range(n_out):
                y[b * n_out + n] = sums[n] + bias[n]
            for n in range(held):
                after[b * held + n] = sums[n_out + n]

    return kernel_of(lagged, real)


def lagged_step(lagged: Lagged, watched: tuple) -> StepLayer:
    """What a compiled step of the network needs; see step.py."""
    n_out, most, dtype = len(lagged.bias), lagged.most, lagged.bias.dtype
    whole = lagged.lag is not None
    n_in, kernels = (lagged.lag.shape[1], len(lagged.lag)) if whole else (len(lagged.weight), 1)
    fixed = lagged.weight, lagged.lag if whole else 0, lagged.bias, n_in, n_out, most, kernels
    kernel, held = _lagged(real_of(dtype), whole), most * n_out
    return StepLayer(kernel, fixed, (held,), n_out, held + n_out, watched)


__all__ = ["add_step_to_all", "add_step_to_one", "lagged_backward", "lagged_forward", "lagged_step",
           "weight_gradient"]
