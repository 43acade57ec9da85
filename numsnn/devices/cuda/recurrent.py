"""Recurrent populations on the GPU: a block for each sample, whose threads share the neurons.

What recurs lies in shared memory: spikes as bits, read in ascending order, or values.  Samples do not talk to
each other, and so no two blocks do.  The backward pass hands gradients of the current from thread to thread
through shared memory; those of the recurrent weights are a product afterwards.

Shared memory has a room for what recurs into a step and one for what recurs out of it.  Bits are set by
atomic or (their order cannot matter), and have a third room, which is cleared meanwhile: threads meet once a
step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numba import cuda

from ...neurons.activation import Activation
from ...neurons.elementwise import ONE
from ...neurons.model import Functions, Model
from ..access import accumulate, clear, gather, gather_sum, scatter
from ..jit import jitable
from .driver import Kernel
from .gated import U, add_times, add_values, captured, parts_of, sum_products
from .spikes import words


def recurrent_kernels(model: Model, spike: Callable, slope: Callable, activation: Activation, recur: str,
                      units: int, as_bits: bool, real: str) -> tuple[Kernel, Kernel]:
    """(forward, backward) of a recurrent population of so many units.

    as_bits: what recurs are spikes, else values.  real: the precision.
    """
    what = model, spike, slope, activation, recur, units
    return _forward(*what, as_bits, real), _backward(*what, real)


@jitable
def add_spikes(sums, weights, bits, first, units, n):
    """sums + column n of each matrix where bits[first] and the following have a spike, ascending."""
    first, units, n = U(first), U(units), U(n)
    for w in range((units + U(31)) // U(32)):
        word = bits[first + w]
        while word != 0:
            sums = add_times(sums, ONE, weights, (U(w) * U(32) + U(cuda.ffs(word) - 1)) * units + n)
            word = np.uint32(word & (word - np.uint32(1)))
    return sums


@jitable
def clear_words(out, first, n_words, thread, threads):
    """Zeros for so many words from `first` on, by all threads of a block."""
    for w in range(thread, n_words, threads):
        out[first + w] = 0


@jitable
def copy_words(out, first, words, begin, n_words, thread, threads):
    """So many words from `begin` on to `first` and the following, by all threads of a block."""
    for w in range(thread, n_words, threads):
        out[first + w] = words[begin + w]


def _of_bits(units, n_words):
    """(add, put, get) of what recurs as bits: its products to sums, into a room, out of a room."""
    @jitable
    def add(sums, weights, memory, room, n):
        return add_spikes(sums, weights, memory, room * n_words, units, n)

    @jitable
    def put(memory, room, n, value):
        if value > 0:
            cuda.atomic.or_(memory, room * n_words + n // 32, np.uint32(1) << np.uint32(n % 32))

    @jitable
    def get(memory, room, n):
        return (memory[room * n_words + n // 32] >> np.uint32(n % 32)) & np.uint32(1)

    return add, put, get


def _of_values(units):
    """The same of what recurs as values."""
    @jitable
    def add(sums, weights, memory, room, n):
        return add_values(sums, weights, memory, room * units, units, n)

    @jitable
    def put(memory, room, n, value):
        memory[room * units + n] = value

    @jitable
    def get(memory, room, n):
        return memory[room * units + n]

    return add, put, get


@lru_cache(None)
def _forward(model, spike, slope, activation, recur, units, as_bits, real):
    spike, slope, act, act_slope = captured(spike, slope, activation)
    step, recurs, n_words = jitable(model.step), model.Out._fields.index(recur), words(units)
    add, put, get = _of_bits(units, n_words) if as_bits else _of_values(units)
    n_shared, kind = (3 * n_words, np.uint32) if as_bits else (2 * units, np.dtype(real).type)

    @cuda.jit
    def forward(sizes, x, neuron, state, kept, last, recurrent, bits, bits_wanted, lengths):
        """recurrent: Weights."""
        f, batch = Functions(spike, slope, neuron.k, act, act_slope), sizes.batch
        recurring = cuda.shared.array(n_shared, kind)
        thread, b, threads = cuda.threadIdx.x, cuda.blockIdx.x, cuda.blockDim.x
        length, here, there, room = lengths[b], 0, 1, 2
        if as_bits:
            clear_words(recurring, 0, n_shared, thread, threads)
            cuda.syncthreads()
        for n in range(thread, units, threads):
            put(recurring, here, n, last[b * units + n])
        cuda.syncthreads()
        for t in range(sizes.steps):
            row = t * batch + b
            if t < length:
                for n in range(thread, units, threads):
                    i, s = U(row * units + n), U(b * units + n)
                    given, before = gather_sum(x, i, recurrent.bias, U(n)), gather(state, s)
                    current = add(given, recurrent.weight, recurring, here, n)
                    out, after = step(current, before, gather(neuron.params, U(n)), f)
                    scatter(x, i, current)
                    scatter(kept.states, i, before)
                    scatter(kept.out, i, out)
                    scatter(state, s, after)
                    put(recurring, there, n, out[recurs])
                if as_bits:
                    clear_words(recurring, room * n_words, n_words, thread, threads)
                cuda.syncthreads()
                if as_bits:
                    if bits_wanted:
                        copy_words(bits, row * n_words, recurring, there * n_words, n_words, thread, threads)
                    here, there, room = there, room, here
                else:
                    here, there = there, here
            else:
                for n in range(thread, units, threads):
                    clear(kept.out, row * units + n)
                if as_bits and bits_wanted:
                    clear_words(bits, row * n_words, n_words, thread, threads)
        for n in range(thread, units, threads):
            last[b * units + n] = get(recurring, here, n)

    return forward


@lru_cache(None)
def _backward(model, spike, slope, activation, recur, units, real):
    spike, slope, act, act_slope = captured(spike, slope, activation)
    adjoint, recurs = jitable(model.step_adjoint), model.Out._fields.index(recur)
    number, zero = np.dtype(real).type, np.dtype(real).type(0)
    n_shared = 2 * units * len(model.recurrent)
    nothing = model.Inputs(*(zero for _ in model.Inputs._fields))

    @cuda.jit
    def backward(sizes, x, neuron, kept, dstate, dx, sums, recurrent, lengths):
        """kept.out: Incoming.  recurrent: Weights."""
        f, batch, back = Functions(spike, slope, neuron.k, act, act_slope), sizes.batch, kept.out.back
        memory = cuda.shared.array(n_shared, number)
        gradients = parts_of(memory, recurrent.weight, 2 * units)
        thread, b, threads = cuda.threadIdx.x, cuda.blockIdx.x, cuda.blockDim.x
        length, here, there = lengths[b], 0, 1
        for t in range(length, sizes.steps):
            for n in range(thread, units, threads):
                clear(dx, (t * batch + b) * units + n)
        for ago in range(length):
            row = (length - 1 - ago) * batch + b
            for n in range(thread, units, threads):
                i, s = U(row * units + n), U(b * units + n)
                if ago > 0:
                    first = here * units
                    back[recurs][s] = sum_products(nothing, recurrent.weight, gradients, first, units, n)
                inputs, before, p = gather(x, i), gather(kept.states, i), gather(neuron.params, U(n))
                dout, dafter = gather_sum(kept.out.out, i, back, s), gather(dstate, s)
                dinputs, dbefore, dp = adjoint(inputs, before, p, f, dout, dafter)
                scatter(dx, i, dinputs)
                scatter(dstate, s, dbefore)
                accumulate(sums, s, dp)
                accumulate(recurrent.bias, s, dinputs)
                scatter(gradients, there * units + n, dinputs)
            cuda.syncthreads()
            here, there = there, here
        if length > 0:
            for n in range(thread, units, threads):
                first, s = here * units, b * units + n
                back[recurs][s] = sum_products(nothing, recurrent.weight, gradients, first, units, n)

    return backward


__all__ = ["recurrent_kernels"]
