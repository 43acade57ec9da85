"""Populations on the GPU: whole sequences in one launch, made for all models by closure over a model's elementwise functions.

    without recurrence  a thread for each neuron and sample, its state in registers over all steps
    with recurrence     a block for each sample; its threads share the neurons, and meet once a step.  What recurs lies in shared memory: spikes as
                        bits, read in ascending order, or values.  Samples do not talk to each other, and so no two blocks do.

Spikes leave as bits: the threads of a block set theirs by atomic or, where their order cannot matter.  The backward pass of a recurrent population
hands gradients of the current from thread to thread through shared memory; those of the recurrent weights are a product afterwards.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from ..neurons.model import Functions
from . import cuda_array
from .access import accumulate, clear, gather, gather_sum, scatter
from .contract import PopulationGradients, Run, Tape
from .cuda_array import (
    Array,
    DeviceSpikes,
    host_all,
    launch,
    packed,
    put,
    put_all,
    words,
    zeros,
)
from .cuda_dense import outer, product, sum_rows
from .jit import jitable, prepare

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


class Weights(NamedTuple):
    weight: Any                 # (N, N), backward: transposed
    bias: Any                   # (N,), backward: (B * N), the sums of its gradient
    biased: bool


class Incoming(NamedTuple):
    out: Any                    # Out of arrays
    back: Any                   # Out of buffers (B * N): what comes back through the recurrence


def _functions(model, spike, slope, activation):
    prepare()
    return tuple(map(jitable, (spike, slope, activation.value, activation.slope)))


@lru_cache(None)
def alone_kernels(model, spike, slope, activation, n_words, bits_wanted):
    """(forward, backward) of neurons that do not see each other.  n_words: words of a block's threads."""
    spike, slope, act, act_slope = _functions(model, spike, slope, activation)
    step, adjoint = jitable(model.step), jitable(model.step_adjoint)

    @cuda.jit
    def forward(sizes, x, neuron, state, kept, bits, lengths):
        f, batch, units = Functions(spike, slope, neuron.k, act, act_slope), sizes.batch, sizes.units
        mask = cuda.shared.array(n_words, np.uint32)
        thread, b, all_words = cuda.threadIdx.x, cuda.blockIdx.y, (units + 31) // 32
        n, first = cuda.blockIdx.x * cuda.blockDim.x + thread, cuda.blockIdx.x * n_words
        inside, length = n < units, lengths[b]
        own = min(n, units - 1)
        i, pitch = b * units + own, batch * units
        p, before = gather(neuron.params, own), gather(state, i)
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
                    bits[(t * batch + b) * all_words + first + thread] = mask[thread]
            i += pitch
        if inside:
            scatter(state, b * units + n, before)

    @cuda.jit
    def backward(sizes, x, neuron, kept, dstate, dx, sums, lengths):
        f, pitch = Functions(spike, slope, neuron.k, act, act_slope), sizes.batch * sizes.units
        s = cuda.grid(1)
        if s < pitch:
            n, length = s % sizes.units, lengths[s // sizes.units]
            p, after = gather(neuron.params, n), gather(dstate, s)
            for ago in range(sizes.steps):
                t = sizes.steps - 1 - ago
                i = t * pitch + s
                if t < length:
                    dinputs, after, dp = adjoint(gather(x, i), gather(kept.states, i), p, f, gather(kept.out, i), after)
                    scatter(dx, i, dinputs)
                    accumulate(sums, s, dp)
                else:
                    clear(dx, i)
            scatter(dstate, s, after)

    return forward, backward


@lru_cache(None)
def recurrent_kernels(model, spike, slope, activation, recur, units, as_bits, real):
    """(forward, backward) of a recurrent population of so many units.  as_bits: what recurs are spikes, else values.  real: the precision."""
    spike, slope, act, act_slope = _functions(model, spike, slope, activation)
    step, adjoint = jitable(model.step), jitable(model.step_adjoint)
    gate, recur, n_words = model.gates[0], model.Out._fields.index(recur), words(units)
    real, zero = np.dtype(real).type, np.dtype(real).type(0)
    # what recurs into a step, what recurs out of it, and for bits room that is cleared meanwhile: threads meet once a step
    n_shared, kind, width = (3 * n_words, np.uint32, 2 * units) if as_bits else (2 * units, real, 2 * units)

    @cuda.jit
    def forward(sizes, x, neuron, state, kept, last, recurrent, bits, bits_wanted, lengths):
        f, batch, weight = Functions(spike, slope, neuron.k, act, act_slope), sizes.batch, recurrent.weight
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
                    i, s = row * units + n, b * units + n
                    current = x[gate][i]
                    if recurrent.biased:
                        current += recurrent.bias[n]
                    if as_bits:
                        for w in range(n_words):
                            word = recurring[here * n_words + w]
                            while word != 0:
                                current += weight[(w * 32 + cuda.ffs(word) - 1) * units + n]
                                word &= word - np.uint32(1)
                    else:
                        for j in range(units):
                            value = recurring[here * units + j]
                            if value != 0:
                                current += value * weight[j * units + n]
                    x[gate][i] = current
                    before = gather(state, s)
                    given, after = step(gather(x, i), before, gather(neuron.params, n), f)
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
        """kept.out: Incoming."""
        f, batch, weight_t, back = Functions(spike, slope, neuron.k, act, act_slope), sizes.batch, recurrent.weight, kept.out.back
        gradients = cuda.shared.array(width, real)
        thread, b, threads = cuda.threadIdx.x, cuda.blockIdx.x, cuda.blockDim.x
        length, here, there = lengths[b], 0, 1
        for t in range(length, sizes.steps):
            for n in range(thread, units, threads):
                clear(dx, (t * batch + b) * units + n)
        for ago in range(length):
            row = (length - 1 - ago) * batch + b
            for n in range(thread, units, threads):
                i, s = row * units + n, b * units + n
                if ago > 0:
                    through = zero
                    for m in range(units):
                        through += gradients[here * units + m] * weight_t[m * units + n]
                    back[recur][s] = through
                dinputs, before, dp = adjoint(gather(x, i), gather(kept.states, i), gather(neuron.params, n), f,
                                              gather_sum(kept.out.out, i, back, s), gather(dstate, s))
                scatter(dx, i, dinputs)
                scatter(dstate, s, before)
                accumulate(sums, s, dp)
                if recurrent.biased:
                    recurrent.bias[s] += dinputs[gate]
                gradients[there * units + n] = dinputs[gate]
            cuda.syncthreads()
            here, there = there, here
        if length > 0:
            for n in range(thread, units, threads):
                through = zero
                for m in range(units):
                    through += gradients[here * units + m] * weight_t[m * units + n]
                back[recur][b * units + n] = through

    return forward, backward


def refusal(dynamics, units, dtype):
    """Why there are no kernels for a population; "" where there are."""
    if dynamics.recur is None:
        return ""
    if len(dynamics.model.recurrent) > 1 or dynamics.in_two_stages:
        return "recurrence with several products a step has no kernel"
    most = SHARED // (2 * np.dtype(dtype).itemsize)
    return f"what recurs must lie in the shared memory of a block, which holds {most} neurons" if units > most else ""


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
    as_bits = dynamics.recurs_as_events
    bits_wanted = want.events and (as_bits or not recur) or as_bits and want.tape
    out = _new(model.Out, (steps, batch, units), dtype, set(want.fields) | ({recur} if want.tape and recur and not as_bits else set()) | ({"spike"} if want.events and not bits_wanted else set()))
    states = _new(model.State, (steps, batch, units), dtype, model.State._fields if want.tape else ())
    state, params = put_all(start.state, dtype), put_all(start.coefficients, dtype)
    bits, lengths = Array((steps * batch, words(units)) if bits_wanted else (1, 1), np.uint32), lengths_of(steps, batch, start.lengths)
    sizes, neuron, kept, last = Sizes(steps, batch, units), Neuron(params, surrogate.typed(dtype)), Kept(states, out), None
    if recur:
        forward, _ = recurrent_kernels(model, surrogate.spike, surrogate.slope, dynamics.activation, recur, units, as_bits, dtype.name)
        first, weight = put(start.last), put(recurrent.weight[0])
        start, last = start._replace(last=first), first.copy()
        bias = put(recurrent.bias[0]) if recurrent.bias else weight
        if batch:
            launch(forward, batch, threads_of(units), sizes, x, neuron, state, kept, last, Weights(weight, bias, bool(recurrent.bias)), bits, bits_wanted, lengths)
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
    sums = _new(model.Params, (batch, units), dtype, learn, zeros)
    sizes, neuron, lengths = Sizes(steps, batch, units), Neuron(tape.start.coefficients, surrogate.typed(dtype)), lengths_of(steps, batch, tape.start.lengths)
    dlast = dweight = dbias = None
    if recur:
        biased = bool(recurrent.bias)
        dlast, biases = put(gradients.last).copy(), zeros((batch, units) if biased else (1, 1), dtype)
        back = model.Out(*(dlast if name == recur else None for name in model.Out._fields))
        weight_t = product(put(recurrent.weight[0]), _identity(units, dtype), a_turned=True)
        _, backward = recurrent_kernels(model, surrogate.spike, surrogate.slope, dynamics.activation, recur, units,
                                        dynamics.recurs_as_events, dtype.name)
        if batch:
            launch(backward, batch, threads_of(units), sizes, tape.current, neuron, Kept(tape.states, Incoming(dout, back)), dstate, dx, sums,
                   Weights(weight_t, biases, biased), lengths)
        dweight = _recurrent_gradient(dynamics, tape, getattr(dx, model.recurrent[0]))
        dbias = (sum_rows(biases),) if biased else None
    elif batch:
        block = min(cuda_array.BLOCK, -(-units // cuda_array.WORD) * cuda_array.WORD)
        _, backward = alone_kernels(model, surrogate.spike, surrogate.slope, dynamics.activation, block // cuda_array.WORD, False)
        cuda_array.start(backward, batch * units, sizes, tape.current, neuron, Kept(tape.states, dout), dstate, dx, sums, lengths)
    dparams = host_all(type(sums)(*(None if a is None else sum_rows(a) for a in sums)))
    return PopulationGradients(dx, dstate, dlast, dparams, dweight, dbias)


@lru_cache(8)
def _identity(n, dtype):
    return put(np.eye(n, dtype=dtype))


def _recurrent_gradient(dynamics, tape, dx):
    """What recurred one step before, times dx; into the first step, the last values of the state."""
    steps, _, units = dx.shape
    later = dx[1:].reshape(-1, units)
    if dynamics.recurs_as_events:
        total = outer(tape.events[:steps - 1].bits, units, later) if steps > 1 else None
    else:
        total = product(tape.values[:steps - 1].reshape(-1, units), later, a_turned=True) if steps > 1 else None
    first = product(put(tape.start.last), dx[:1].reshape(-1, units), a_turned=True)
    return (first if total is None else total + first,)


__all__ = ["population_backward", "population_forward", "refusal"]
