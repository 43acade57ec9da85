"""Populations on the GPU: whole sequences in one launch, made for all models by closure over a model's elementwise functions.

    without recurrence  a thread for each neuron and sample, its state in registers over all steps
    with recurrence     a block for each sample; its threads share the neurons, and meet once a step.  What recurs lies in shared memory: spikes as
                        bits, read in ascending order, or values.  Samples do not talk to each other, and so no two blocks do.  Where a product takes
                        what another one decided, see two_stage.py

Spikes leave as bits: the threads of a block set theirs by atomic or, where their order cannot matter.  The backward pass of a recurrent population
hands gradients of the current from thread to thread through shared memory; those of the recurrent weights are a product afterwards.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from ...neurons.elementwise import ONE
from ...neurons.model import Functions
from ..access import accumulate, clear, gather, gather_sum, scatter
from ..contract import PopulationGradients, Run, Tape
from ..jit import jitable
from . import array as cuda_array
from .array import Array, launch, put, put_all, zeros
from .dense import outer, sum_rows
from .gated import (
    U,
    Weights,
    add_products,
    add_times,
    add_values,
    captured,
    fed,
    parts_of,
    total,
    turned,
)
from .product import product
from .spikes import DeviceSpikes, packed, words
from .two_stage import two_stage_kernels

WIDEST = 1024       # threads of a block that one sample can have
SHARED = 48 << 10   # bytes of shared memory that every GPU has for a block


class Sizes(NamedTuple):
    steps: int
    batch: int
    units: int


class Neuron(NamedTuple):
    params: Any                 # Params of (N,)
    k: Any                      # of the surrogate


class Kept(NamedTuple):
    """Named tuples of arrays (T * B * N): what a run starts from in each step, and what it hands out or gets."""
    states: Any
    out: Any


class Incoming(NamedTuple):
    out: Any                    # Out of arrays
    back: Any                   # Out of buffers (B * N): what comes back through the recurrence


@lru_cache(None)
def alone_kernels(model, spike, slope, activation, n_words, bits_wanted):
    """(forward, backward) of neurons that do not see each other.  n_words: words of a block's threads."""
    spike, slope, act, act_slope = captured(spike, slope, activation)
    step, adjoint = jitable(model.step), jitable(model.step_adjoint)

    @cuda.jit
    def forward(sizes, x, neuron, state, kept, bits, lengths):
        f, batch, units = Functions(spike, slope, neuron.k, act, act_slope), sizes.batch, sizes.units
        mask = cuda.shared.array(n_words, np.uint32)
        thread, b, all_words = cuda.threadIdx.x, cuda.blockIdx.y, (units + 31) // 32
        n, first = cuda.blockIdx.x * cuda.blockDim.x + thread, cuda.blockIdx.x * n_words
        inside, length = n < units, lengths[b]
        own = min(n, units - 1)
        i, pitch = U(b * units + own), U(batch * units)
        p, before = gather(neuron.params, U(own)), gather(state, i)
        for t in range(sizes.steps):
            if bits_wanted:
                if thread < n_words:
                    mask[thread] = 0
                cuda.syncthreads()
            if inside:
                if t < length:
                    given, after = step(gather(x, i), before, p, f)
                    scatter(kept.states, i, before)
                    scatter(kept.out, i, given)
                    if bits_wanted and given.spike > 0:
                        cuda.atomic.or_(mask, thread // 32, np.uint32(1) << np.uint32(thread % 32))
                    before = after
                else:
                    clear(kept.out, i)
            if bits_wanted:
                cuda.syncthreads()
                if thread < n_words and first + thread < all_words:
                    bits[U((t * batch + b) * all_words + first + thread)] = mask[thread]
            i += pitch
        if inside:
            scatter(state, U(b * units + n), before)

    @cuda.jit
    def backward(sizes, x, neuron, kept, dstate, dx, sums, lengths):
        f, pitch = Functions(spike, slope, neuron.k, act, act_slope), sizes.batch * sizes.units
        s = cuda.grid(1)
        if s < pitch:
            n, length, s = U(s % sizes.units), lengths[s // sizes.units], U(s)
            p, after = gather(neuron.params, n), gather(dstate, s)
            for ago in range(sizes.steps):
                t = sizes.steps - 1 - ago
                i = U(t * pitch) + s
                if t < length:
                    dinputs, after, dp = adjoint(gather(x, i), gather(kept.states, i), p, f, gather(kept.out, i), after)
                    scatter(dx, i, dinputs)
                    accumulate(sums, s, dp)
                else:
                    clear(dx, i)
            scatter(dstate, s, after)

    return forward, backward


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


@lru_cache(None)
def recurrent_kernels(model, spike, slope, activation, recur, units, as_bits, real):
    """(forward, backward) of a recurrent population of so many units.  as_bits: what recurs are spikes, else values.  real: the precision."""
    spike, slope, act, act_slope = captured(spike, slope, activation)
    step, adjoint = jitable(model.step), jitable(model.step_adjoint)
    recur, n_words, n_currents = model.Out._fields.index(recur), words(units), len(model.recurrent)
    real, zero = np.dtype(real).type, np.dtype(real).type(0)
    nothing = model.Inputs(*(zero for _ in model.Inputs._fields))
    # what recurs into a step, what recurs out of it, and for bits room that is cleared meanwhile: threads meet once a step
    n_shared, kind, n_back = (3 * n_words if as_bits else 2 * units), np.uint32 if as_bits else real, 2 * units * n_currents

    @cuda.jit
    def forward(sizes, x, neuron, state, kept, last, recurrent, bits, bits_wanted, lengths):
        """recurrent: Weights."""
        f, batch = Functions(spike, slope, neuron.k, act, act_slope), sizes.batch
        recurring = cuda.shared.array(n_shared, kind)
        thread, b, threads = cuda.threadIdx.x, cuda.blockIdx.x, cuda.blockDim.x
        length = lengths[b]
        if as_bits:
            for w in range(thread, n_shared, threads):
                recurring[w] = 0
            cuda.syncthreads()
        for n in range(thread, units, threads):
            if as_bits:
                if last[b * units + n] > 0:
                    cuda.atomic.or_(recurring, n // 32, np.uint32(1) << np.uint32(n % 32))
            else:
                recurring[n] = last[b * units + n]
        cuda.syncthreads()
        here, there, room = 0, 1, 2
        for t in range(sizes.steps):
            row = t * batch + b
            if t < length:
                for n in range(thread, units, threads):
                    i, s = U(row * units + n), U(b * units + n)
                    current = gather_sum(x, i, recurrent.bias, U(n))
                    if as_bits:
                        current = add_spikes(current, recurrent.weight, recurring, here * n_words, units, n)
                    else:
                        current = add_values(current, recurrent.weight, recurring, here * units, units, n)
                    before = gather(state, s)
                    given, after = step(current, before, gather(neuron.params, U(n)), f)
                    scatter(x, i, current)
                    scatter(kept.states, i, before)
                    scatter(kept.out, i, given)
                    scatter(state, s, after)
                    if as_bits:
                        if given[recur] > 0:
                            cuda.atomic.or_(recurring, there * n_words + n // 32, np.uint32(1) << np.uint32(n % 32))
                    else:
                        recurring[there * units + n] = given[recur]
                if as_bits:
                    for w in range(thread, n_words, threads):
                        recurring[room * n_words + w] = 0
                cuda.syncthreads()
                if as_bits:
                    if bits_wanted:
                        for w in range(thread, n_words, threads):
                            bits[row * n_words + w] = recurring[there * n_words + w]
                    here, there, room = there, room, here
                else:
                    here, there = there, here
            else:
                for n in range(thread, units, threads):
                    clear(kept.out, row * units + n)
                if as_bits and bits_wanted:
                    for w in range(thread, n_words, threads):
                        bits[row * n_words + w] = 0
        for n in range(thread, units, threads):
            if as_bits:
                last[b * units + n] = (recurring[here * n_words + n // 32] >> np.uint32(n % 32)) & np.uint32(1)
            else:
                last[b * units + n] = recurring[here * units + n]

    @cuda.jit
    def backward(sizes, x, neuron, kept, dstate, dx, sums, recurrent, lengths):
        """kept.out: Incoming.  recurrent: Weights."""
        f, batch, back = Functions(spike, slope, neuron.k, act, act_slope), sizes.batch, kept.out.back
        memory = cuda.shared.array(n_back, real)
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
                    back[recur][s] = total(add_products(nothing, recurrent.weight, gradients, here * units, units, n))
                dinputs, before, dp = adjoint(gather(x, i), gather(kept.states, i), gather(neuron.params, U(n)), f,
                                              gather_sum(kept.out.out, i, back, s), gather(dstate, s))
                scatter(dx, i, dinputs)
                scatter(dstate, s, before)
                accumulate(sums, s, dp)
                accumulate(recurrent.bias, s, dinputs)
                scatter(gradients, there * units + n, dinputs)
            cuda.syncthreads()
            here, there = there, here
        if length > 0:
            for n in range(thread, units, threads):
                back[recur][b * units + n] = total(add_products(nothing, recurrent.weight, gradients, here * units, units, n))

    return forward, backward


def refusal(dynamics, units, dtype):
    """Why there are no kernels for a population; "" where there are."""
    if dynamics.recur is None:
        return ""
    n_currents = len(dynamics.model.recurrent)
    most = SHARED // ((max(n_currents, 2) if dynamics.in_two_stages else 2 * n_currents) * np.dtype(dtype).itemsize)
    return f"what recurs must lie in the shared memory of a block, which holds {most} neurons" if units > most else ""


def _kernels(dynamics, units, dtype):
    """(forward, backward) of a recurrent population."""
    what = dynamics.model, dynamics.surrogate.spike, dynamics.surrogate.slope, dynamics.activation, dynamics.recur, units
    return two_stage_kernels(*what, dtype.name) if dynamics.in_two_stages else recurrent_kernels(*what, dynamics.recurs_as_events, dtype.name)


def _weights(model, weight, bias, between=()):
    """Weights from what the recurrence has for each current that it feeds."""
    weight = tuple(weight)
    return Weights(fed(model, weight, False), fed(model, tuple(bias)), fed(model, weight, True), between)


def threads_of(units):
    return min(-(-units // cuda_array.WORD) * cuda_array.WORD, WIDEST)


def lengths_of(steps, batch, lengths):
    """The number of valid steps of each sample."""
    return _all_steps(steps, batch) if lengths is None else put(lengths, np.int32)


@lru_cache(32)
def _all_steps(steps, batch):
    return put(np.full(batch, steps), np.int32)


def _new(cls, shape, dtype, wanted, make=Array):
    return cls(*(make(shape, dtype) if name in wanted else None for name in cls._fields))


def population_forward(dynamics, x, start, recurrent, want):
    model, surrogate, recur = dynamics.model, dynamics.surrogate, dynamics.recur
    x = type(x)(*map(put, x))
    (steps, batch, units), dtype = x[0].shape, x[0].dtype
    as_bits = dynamics.recurs_as_events and not dynamics.in_two_stages
    bits_wanted = want.events and (as_bits or not recur) or as_bits and want.tape
    out = _new(model.Out, (steps, batch, units), dtype, set(want.fields) | ({recur} if want.tape and recur and not as_bits else set()) | ({"spike"} if want.events and not bits_wanted else set()))
    states = _new(model.State, (steps, batch, units), dtype, model.State._fields if want.tape else ())
    state, params = put_all(start.state, dtype), put_all(start.coefficients, dtype)
    bits, lengths = Array((steps * batch, words(units)) if bits_wanted else (1, 1), np.uint32), lengths_of(steps, batch, start.lengths)
    sizes, neuron, kept, last = Sizes(steps, batch, units), Neuron(params, surrogate.typed(dtype)), Kept(states, out), None
    if recur:
        start = start._replace(last=put(start.last))
        last, weights = start.last.copy(), _weights(model, map(put, recurrent.weight), map(put, recurrent.bias or ()))
        if batch:
            launch(_kernels(dynamics, units, dtype)[0], batch, threads_of(units), sizes, x, neuron, state, kept, last, weights, bits, bits_wanted, lengths)
    elif batch:
        block = min(cuda_array.BLOCK, -(-units // cuda_array.WORD) * cuda_array.WORD)
        forward, _ = alone_kernels(model, surrogate.spike, surrogate.slope, dynamics.activation, block // cuda_array.WORD, bits_wanted)
        launch(forward, (-(-units // block), batch), block, sizes, x, neuron, state, kept, bits, lengths)
    events = DeviceSpikes((steps, batch, units), bits) if bits_wanted else packed(out.spike) if want.events else None
    values = getattr(out, recur) if recur and not as_bits else None
    tape = Tape(x, states, start._replace(coefficients=params), events, values) if want.tape else None
    return Run(type(out)(*(a if name in want.fields else None for name, a in zip(out._fields, out, strict=True))), events if want.events else None,
               state, last, tape)


def population_backward(dynamics, tape, recurrent, gradients, learn):
    model, surrogate, recur = dynamics.model, dynamics.surrogate, dynamics.recur
    (steps, batch, units), dtype = tape.current[0].shape, tape.current[0].dtype
    dx = _new(model.Inputs, (steps, batch, units), dtype, model.Inputs._fields)
    dstate, dout = put_all(gradients.state, dtype), type(gradients.out)(*(put(a, dtype) for a in gradients.out))
    learned = [name for name in model.Params._fields if name in learn]
    totals = zeros((len(learned), batch, units), dtype)
    sums = model.Params(**dict.fromkeys(model.Params._fields) | {name: totals[i:i + 1].reshape(batch, units) for i, name in enumerate(learned)})
    sizes, neuron, lengths = Sizes(steps, batch, units), Neuron(tape.start.coefficients, surrogate.typed(dtype)), lengths_of(steps, batch, tape.start.lengths)
    dlast = dweight = dbias = None
    if recur:
        dlast, biases = put(gradients.last).copy(), tuple(zeros((batch, units), dtype) for _ in recurrent.bias or ())
        back = model.Out(*(dlast if name == recur else None for name in model.Out._fields))
        between = Array((steps, batch, units), dtype) if dynamics.in_two_stages else ()
        weights = _weights(model, (turned(put(w)) for w in recurrent.weight), biases, between)
        if batch:
            launch(_kernels(dynamics, units, dtype)[1], batch, threads_of(units), sizes, tape.current, neuron, Kept(tape.states, Incoming(dout, back)),
                   dstate, dx, sums, weights, lengths)
        dweight = tuple(_second_gradient(between, getattr(dx, name)) if name == model.second else _recurrent_gradient(tape, getattr(dx, name))
                        for name in model.recurrent)
        dbias = tuple(map(sum_rows, biases)) or None
    elif batch:
        block = min(cuda_array.BLOCK, -(-units // cuda_array.WORD) * cuda_array.WORD)
        _, backward = alone_kernels(model, surrogate.spike, surrogate.slope, dynamics.activation, block // cuda_array.WORD, False)
        cuda_array.start(backward, batch * units, sizes, tape.current, neuron, Kept(tape.states, dout), dstate, dx, sums, lengths)
    dparams = model.Params(**dict.fromkeys(model.Params._fields) | dict(zip(learned, np.asarray(sum_rows(totals)) if learned else (), strict=True)))
    return PopulationGradients(dx, dstate, dlast, dparams, dweight, dbias)


def _recurrent_gradient(tape, dx):
    """What recurred one step before, times dx; into the first step, the last values of the state."""
    steps, _, units = dx.shape
    if not steps:
        return zeros((units, units), dx.dtype)
    first = product(put(tape.start.last), dx[:1].reshape(-1, units), a_turned=True)
    if steps == 1:
        return first
    later = dx[1:].reshape(-1, units)
    if tape.values is None:
        return outer(tape.events[:steps - 1].bits, units, later) + first
    return product(tape.values[:steps - 1].reshape(-1, units), later, a_turned=True) + first


def _second_gradient(between, dx):
    """What `between` gave, times dx."""
    units = dx.shape[2]
    return product(between.reshape(-1, units), dx.reshape(-1, units), a_turned=True)


__all__ = ["population_backward", "population_forward", "refusal"]
