"""What recurs late (contract.Late, contract.Lagged) on the GPU: a block for each sample, as in recurrent.py.

Row t of `coming`, (G, T + L, B, N), is what comes into step t; of what neurons handed out G = 1, of currents
one for each that the recurrence feeds.  A thread writes only the columns of its own neurons.  What all of
them need of each other lies in shared memory, in two rooms: threads meet once a step.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from ...neurons.elementwise import ONE
from ...neurons.model import Functions, Model
from ..access import accumulate, clear, gather, gather_sum, scatter
from ..contract import Dynamics, Lagged, Late
from ..jit import jitable
from .array import Array, put, start
from .dense import sum_rows
from .driver import Kernel
from .gated import (
    U,
    add_products,
    add_times,
    add_values,
    beside,
    captured,
    fed,
    parted,
    parts_of,
    sum_products,
    total,
    turned,
)
from .lagged import Sizes as LaggedSizes, weight_kernel


class Shares(NamedTuple):
    """Late, on the GPU: of each neuron the share of lag k, and the lags that have one."""
    share: Any                  # (L * N)
    begin: Any                  # (N,)
    end: Any


class Way(NamedTuple):
    """What is on its way through a sequence."""
    of: Any                     # Shares; of synapses Inputs of the weights of all lags, backward transposed
    coming: Any                 # (T + L, B, N); of synapses Inputs of such arrays
    lags: int
    values: Any = None          # (T * B * N): what was handed out, where the gradient of shares is wanted,
    dshare: Any = None          # (L * B * N)


# ---- what is on its way before the first step and after the last


@lru_cache(None)
def _begin():
    @cuda.jit
    def begin(first, lags, from_step, steps, batch, units, gates, coming, n):
        """Row from_step[b] + k of coming is first[b, k], the others are zero."""
        i = cuda.grid(1)
        if i < n:
            j, b, row = i % units, i // units % batch, i // (units * batch)
            r, g = row % steps, row // steps
            k = r - from_step[b]
            coming[i] = 0
            if k >= 0 and k < lags:
                coming[i] = first[((b * lags + k) * gates + g) * units + j]
    return begin


@lru_cache(None)
def _end():
    @cuda.jit
    def end(coming, lags, from_step, steps, batch, units, gates, last, n):
        """last[b, k] = row from_step[b] + k of coming."""
        i = cuda.grid(1)
        if i < n:
            j, g, k = i % units, i // units % gates, i // (units * gates) % lags
            b = i // (units * gates * lags)
            last[i] = coming[((g * steps + from_step[b] + k) * batch + b) * units + j]
    return end


def begun(first: Array, from_step: Array, steps: int, units: int) -> Array:
    """(G, T + L, B, N): what is on its way, (B, L, G N), from a step of each sample on."""
    batch, lags, width = first.shape
    rows, gates = steps + lags, width // units
    coming = Array((gates, rows, batch, units), first.dtype)
    start(_begin(), coming.size, first, lags, from_step, rows, batch, units, gates, coming, coming.size)
    return coming


def ended(coming: Array, from_step: Array, lags: int) -> Array:
    """(B, L, G N): what is on its way from a step of each sample on."""
    gates, rows, batch, units = coming.shape
    last = Array((batch, lags, gates * units), coming.dtype)
    start(_end(), last.size, coming, lags, from_step, rows, batch, units, gates, last, last.size)
    return last


def way_of(model: Model, late: Late | Lagged, coming: Array, backward: bool = False) -> Way:
    """What kernels take."""
    gates, _, _, units = coming.shape
    parts = tuple(coming[g:g + 1].reshape(-1) for g in range(gates))
    if isinstance(late, Late):
        shares = Shares(put(late.share), put(late.begin, np.int32), put(late.end, np.int32))
        return Way(shares, parts[0], len(late.share))
    weights = tuple(each.reshape(units, -1) for each in parted(late.weight, units))
    weights = tuple(map(turned, weights)) if backward else weights
    return Way(fed(model, weights), fed(model, parts), late.most + 1)


# ---- kernels


def late_kernels(dynamics: Dynamics, units: int, late: Late | Lagged, real: str) -> tuple[Kernel, Kernel]:
    """(forward, backward) of a population of so many units whose recurrence comes late."""
    surrogate = dynamics.surrogate
    what = dynamics.model, surrogate.spike, surrogate.slope, dynamics.activation, dynamics.recur, units, real
    if isinstance(late, Lagged):
        return _forward_synapses(*what), _backward_synapses(*what)
    return _forward(*what), _backward(*what, late.learned)


@jitable
def clear_steps(arrays, first, last, batch, b, units, thread, threads):
    """Zeros for the steps first <= t < last of sample b, by all threads of a block."""
    for t in range(first, last):
        for n in range(thread, units, threads):
            clear(arrays, (t * batch + b) * units + n)


@lru_cache(None)
def _forward(model, spike, slope, activation, recur, units, real):
    spike, slope, act, act_slope = captured(spike, slope, activation)
    step, recurs = jitable(model.step), model.Out._fields.index(recur)
    n_shared, number = 2 * units, np.dtype(real).type

    @cuda.jit
    def forward_late(sizes, x, neuron, state, kept, way, recurrent, lengths):
        f, batch = Functions(spike, slope, neuron.k, act, act_slope), sizes.batch
        memory = cuda.shared.array(n_shared, number)
        thread, b, threads = cuda.threadIdx.x, cuda.blockIdx.x, cuda.blockDim.x
        length, room = lengths[b], 0
        for t in range(length):
            row, first = t * batch + b, room * units
            for n in range(thread, units, threads):
                memory[first + n] = way.coming[row * units + n]
            cuda.syncthreads()
            for n in range(thread, units, threads):
                i, s = U(row * units + n), U(b * units + n)
                given, before = gather_sum(x, i, recurrent.bias, U(n)), gather(state, s)
                current = add_values(given, recurrent.weight, memory, first, units, n)
                out, after = step(current, before, gather(neuron.params, U(n)), f)
                scatter(x, i, current)
                scatter(kept.states, i, before)
                scatter(kept.out, i, out)
                scatter(state, s, after)
                for k in range(way.of.begin[n], way.of.end[n]):
                    later = (row + (k + 1) * batch) * units + n
                    way.coming[later] += out[recurs] * way.of.share[k * units + n]
            room = 1 - room
        clear_steps(kept.out, length, sizes.steps, batch, b, units, thread, threads)

    return forward_late


@lru_cache(None)
def _forward_synapses(model, spike, slope, activation, recur, units, real):
    spike, slope, act, act_slope = captured(spike, slope, activation)
    step, recurs = jitable(model.step), model.Out._fields.index(recur)
    n_shared, number = 2 * units, np.dtype(real).type
    nothing = model.Inputs(*(number(0) for _ in model.Inputs._fields))

    @cuda.jit
    def forward_late_synapses(sizes, x, neuron, state, kept, way, recurrent, lengths):
        f, batch = Functions(spike, slope, neuron.k, act, act_slope), sizes.batch
        memory = cuda.shared.array(n_shared, number)
        thread, b, threads = cuda.threadIdx.x, cuda.blockIdx.x, cuda.blockDim.x
        length, room = lengths[b], 0
        for t in range(length):
            row, first = t * batch + b, room * units
            for n in range(thread, units, threads):
                i, s = U(row * units + n), U(b * units + n)
                given, before = gather_sum(x, i, recurrent.bias, U(n)), gather(state, s)
                current = add_times(given, ONE, way.coming, i)
                out, after = step(current, before, gather(neuron.params, U(n)), f)
                scatter(x, i, current)
                scatter(kept.states, i, before)
                scatter(kept.out, i, out)
                scatter(state, s, after)
                memory[first + n] = out[recurs]
            cuda.syncthreads()
            for n in range(thread, units, threads):
                for j in range(units):
                    value = memory[first + j]
                    if value != 0:
                        w, later = U(j * way.lags * units + n), U((row + batch) * units + n)
                        for _ in range(way.lags):
                            accumulate(way.coming, later, add_times(nothing, value, way.of, w))
                            w += U(units)
                            later += U(batch * units)
            room = 1 - room
        clear_steps(kept.out, length, sizes.steps, batch, b, units, thread, threads)

    return forward_late_synapses


@lru_cache(None)
def _backward(model, spike, slope, activation, recur, units, real, learned):
    spike, slope, act, act_slope = captured(spike, slope, activation)
    adjoint, recurs = jitable(model.step_adjoint), model.Out._fields.index(recur)
    number, zero = np.dtype(real).type, np.dtype(real).type(0)
    n_shared = 2 * units * len(model.recurrent)
    nothing = model.Inputs(*(zero for _ in model.Inputs._fields))

    @cuda.jit
    def backward_late(sizes, x, neuron, kept, dstate, dx, sums, way, recurrent, lengths):
        """kept.out: population.Incoming; recurrent: Weights."""
        f, batch, back = Functions(spike, slope, neuron.k, act, act_slope), sizes.batch, kept.out.back
        memory = cuda.shared.array(n_shared, number)
        gradients = parts_of(memory, recurrent.weight, 2 * units)
        thread, b, threads = cuda.threadIdx.x, cuda.blockIdx.x, cuda.blockDim.x
        length, room = lengths[b], 0
        clear_steps(dx, length, sizes.steps, batch, b, units, thread, threads)
        for ago in range(length):
            row, first = (length - 1 - ago) * batch + b, room * units
            for n in range(thread, units, threads):
                i, s, returned = U(row * units + n), U(b * units + n), zero
                for k in range(way.of.begin[n], way.of.end[n]):
                    d = way.coming[(row + (k + 1) * batch) * units + n]
                    returned += way.of.share[k * units + n] * d
                    if learned:
                        way.dshare[(k * batch + b) * units + n] += way.values[i] * d
                back[recurs][s] = returned
                inputs, before, p = gather(x, i), gather(kept.states, i), gather(neuron.params, U(n))
                dout, dafter = gather_sum(kept.out.out, i, back, s), gather(dstate, s)
                dinputs, dbefore, dp = adjoint(inputs, before, p, f, dout, dafter)
                scatter(dx, i, dinputs)
                scatter(dstate, s, dbefore)
                accumulate(sums, s, dp)
                accumulate(recurrent.bias, s, dinputs)
                scatter(gradients, first + n, dinputs)
            cuda.syncthreads()
            for n in range(thread, units, threads):
                d = sum_products(nothing, recurrent.weight, gradients, first, units, n)
                way.coming[row * units + n] = d
            room = 1 - room

    return backward_late


@lru_cache(None)
def _backward_synapses(model, spike, slope, activation, recur, units, real):
    spike, slope, act, act_slope = captured(spike, slope, activation)
    adjoint, recurs = jitable(model.step_adjoint), model.Out._fields.index(recur)
    nothing = model.Inputs(*(np.dtype(real).type(0) for _ in model.Inputs._fields))

    @cuda.jit
    def backward_late_synapses(sizes, x, neuron, kept, dstate, dx, sums, way, recurrent, lengths):
        f, batch, back = Functions(spike, slope, neuron.k, act, act_slope), sizes.batch, kept.out.back
        thread, b, threads = cuda.threadIdx.x, cuda.blockIdx.x, cuda.blockDim.x
        length = lengths[b]
        clear_steps(dx, length, sizes.steps, batch, b, units, thread, threads)
        for ago in range(length):
            row = (length - 1 - ago) * batch + b
            for n in range(thread, units, threads):
                i, s, returned = U(row * units + n), U(b * units + n), nothing
                for k in range(way.lags):
                    later, of_lag = (row + (k + 1) * batch) * units, k * units * units
                    returned = add_products(returned, way.of, way.coming, later, units, of_lag + n)
                back[recurs][s] = total(returned)
                inputs, before, p = gather(x, i), gather(kept.states, i), gather(neuron.params, U(n))
                dout, dafter = gather_sum(kept.out.out, i, back, s), gather(dstate, s)
                dinputs, dbefore, dp = adjoint(inputs, before, p, f, dout, dafter)
                scatter(dx, i, dinputs)
                scatter(dstate, s, dbefore)
                accumulate(sums, s, dp)
                accumulate(recurrent.bias, s, dinputs)
                scatter(way.coming, i, dinputs)
            cuda.syncthreads()

    return backward_late_synapses


# ---- gradients after the launch


def late_gradient(late: Late | Lagged, values: Array, dcoming: Array, dshare: Array | None,
                  lengths: Array) -> Any:
    """Of the shares, or of the weights of all lags: of what was handed out, and of what it gave."""
    if isinstance(late, Late):
        return sum_rows(dshare) if dshare is not None else None
    gates, _, batch, units = dcoming.shape
    of = LaggedSizes(len(values), batch, units, units, late.most, 0)
    weight, end = (units, late.most + 1, units), put(lengths, np.int64)
    kernel, parts = weight_kernel(False, values.dtype.name), []
    for g in range(gates):
        parts.append(Array(weight, values.dtype))
        later = dcoming[g:g + 1].reshape(*dcoming.shape[1:])[1:]
        start(kernel, parts[g].size, values, later, end, of, parts[g], parts[g].size)
    return beside(parts)


__all__ = ["begun", "ended", "late_gradient", "late_kernels", "way_of"]
