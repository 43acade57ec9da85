"""Populations on the GPU: whole sequences in one launch of a kernel.

Kernels are made for all models by closure over a model's elementwise functions: alone.py without recurrence,
recurrent.py with it, two_stage.py where a product takes what another one decided.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ..contract import (
    Dynamics,
    Gradients,
    Late,
    PopulationGradients,
    Recurrent,
    Run,
    Start,
    Tape,
    Want,
)
from . import array as cuda_array
from .alone import alone_kernels
from .array import Array, Values, launch, put, put_all, zeros
from .dense import outer, sum_rows
from .gated import Weights, by_name, fed, turned
from .late import begun, ended, late_gradient, late_kernels, way_of
from .product import product
from .recurrent import recurrent_kernels
from .spikes import DeviceSpikes, packed, words
from .two_stage import two_stage_kernels

WIDEST = 1024       # threads of a block that one sample can have
SHARED = 48 << 10   # bytes of shared memory that every GPU has for a block


class Sizes(NamedTuple):
    """Of a sequence."""
    steps: int
    batch: int
    units: int


class Neuron(NamedTuple):
    """What a model's functions take beside inputs and state."""
    params: Any                 # Params of (N,)
    k: Any                      # of the surrogate


class Kept(NamedTuple):
    """Named tuples of arrays (T * B * N): what a run starts from in each step, and what it hands out."""
    states: Any
    out: Any


class Incoming(NamedTuple):
    """What comes into the backward pass of a recurrent population."""
    out: Any                    # Out of arrays
    back: Any                   # Out of buffers (B * N): what comes back through the recurrence


def refusal(dynamics: Dynamics, units: int, dtype: DTypeLike) -> str:
    """Why there are no kernels for a population; "" where there are."""
    if dynamics.recur is None:
        return ""
    n_currents = len(dynamics.model.recurrent)
    numbers = max(n_currents, 2) if dynamics.in_two_stages else 2 * n_currents
    most = SHARED // (numbers * np.dtype(dtype).itemsize)
    if units <= most:
        return ""
    return f"what recurs must lie in the shared memory of a block, which holds {most} neurons"


def _kernels(dynamics, units, dtype):
    """(forward, backward) of a recurrent population."""
    surrogate = dynamics.surrogate
    what = dynamics.model, surrogate.spike, surrogate.slope, dynamics.activation, dynamics.recur, units
    if dynamics.in_two_stages:
        return two_stage_kernels(*what, dtype.name)
    return recurrent_kernels(*what, dynamics.recurs_as_events, dtype.name)


def _weights(model, weight, bias, between=()):
    """Weights from what the recurrence has for each current that it feeds."""
    weight = tuple(weight)
    return Weights(fed(model, weight, False), fed(model, tuple(bias)), fed(model, weight, True), between)


def threads_of(units: int) -> int:
    """Threads of a block of a recurrent population."""
    return min(-(-units // cuda_array.WORD) * cuda_array.WORD, WIDEST)


def lengths_of(steps: int, batch: int, lengths: Values | None) -> Array:
    """The number of valid steps of each sample."""
    return _all_steps(steps, batch) if lengths is None else put(lengths, np.int32)


@lru_cache(32)
def _all_steps(steps, batch):
    return put(np.full(batch, steps), np.int32)


def _new(cls, shape, dtype, wanted=None):
    """A named tuple of arrays; wanted: of its fields, None: all."""
    wanted = cls._fields if wanted is None else wanted
    return cls(*(Array(shape, dtype) if name in wanted else None for name in cls._fields))


def _fields_to_write(dynamics, want, recurs_as_bits, bits_wanted):
    """Of Out: what is asked for, and what the tape and lists of spikes are made of."""
    fields = set(want.fields)
    if want.tape and dynamics.recur and not recurs_as_bits:
        fields.add(dynamics.recur)
    if want.events and not bits_wanted:
        fields.add("spike")
    return fields


def _block_alone(units):
    """Threads of a block of a population without recurrence."""
    return min(cuda_array.BLOCK, -(-units // cuda_array.WORD) * cuda_array.WORD)


def _alone_kernels(dynamics, block, bits_wanted):
    surrogate, n_words = dynamics.surrogate, block // cuda_array.WORD
    what = dynamics.model, surrogate.spike, surrogate.slope, dynamics.activation
    return alone_kernels(*what, n_words, bits_wanted)


def population_forward(dynamics: Dynamics, x: Any, start: Start, recurrent: Recurrent | None,
                       want: Want) -> Run:
    """All steps of a population, in one launch."""
    model, recur = dynamics.model, dynamics.recur
    x = x._make(map(put, x))
    shape, dtype = x[0].shape, x[0].dtype
    steps, batch, units = shape
    as_bits = dynamics.recurs_as_events and not dynamics.in_two_stages and not dynamics.late
    bits_wanted = want.events and (as_bits or not recur) or as_bits and want.tape
    out = _new(model.Out, shape, dtype, _fields_to_write(dynamics, want, as_bits, bits_wanted))
    states = _new(model.State, shape, dtype, None if want.tape else ())
    state, params = put_all(start.state, dtype), put_all(start.coefficients, dtype)
    bits = Array((steps * batch, words(units)) if bits_wanted else (1, 1), np.uint32)
    lengths = lengths_of(steps, batch, start.lengths)
    sizes, kept = Sizes(steps, batch, units), Kept(states, out)
    neuron = Neuron(params, dynamics.surrogate.typed(dtype))
    last: Any = None
    arrived = None
    if recurrent is not None and recurrent.late is not None:
        last, arrived = _late_forward(dynamics, sizes, (x, neuron, state, kept), start, recurrent, lengths)
    elif recurrent is not None:
        first: Any = put(start.last)
        start = start._replace(last=first)
        last = first.copy()
        weights = _weights(model, map(put, recurrent.weight), map(put, recurrent.bias or ()))
        if batch:
            kernel, _ = _kernels(dynamics, units, dtype)
            launch(kernel, batch, threads_of(units), sizes, x, neuron, state, kept, last, weights, bits,
                   bits_wanted, lengths)
    elif batch:
        block = _block_alone(units)
        kernel, _ = _alone_kernels(dynamics, block, bits_wanted)
        launch(kernel, (-(-units // block), batch), block, sizes, x, neuron, state, kept, bits, lengths)
    events = None
    if bits_wanted:
        events = DeviceSpikes(shape, bits)
    elif want.events:
        events = packed(out.spike)
    values: Any = getattr(out, recur) if recur and not as_bits else None
    start = start._replace(coefficients=params)
    tape = Tape(x, states, start, events, values, arrived) if want.tape else None
    given = out._make(a if name in want.fields else None for name, a in zip(out._fields, out, strict=True))
    return Run(given, events if want.events else None, state, last, tape)


def _late_forward(dynamics, sizes, arrays, start, recurrent, lengths):
    """(what is on its way after the last step, what came into each step or None).  arrays: of the kernels."""
    late, (steps, batch, units) = recurrent.late, sizes
    first: Any = put(start.last)
    coming = begun(first, zeros((batch,), np.int32), steps, units)
    way = way_of(dynamics.model, late, coming)
    weights = _weights(dynamics.model, map(put, recurrent.weight), map(put, recurrent.bias or ()))
    if batch:
        kernel, _ = late_kernels(dynamics, units, late, first.dtype.name)
        launch(kernel, batch, threads_of(units), sizes, *arrays, way, weights, lengths)
    arrived = coming.reshape(*coming.shape[1:])[:steps] if isinstance(late, Late) else None
    return ended(coming, lengths, way.lags), arrived


def population_backward(dynamics: Dynamics, tape: Tape, recurrent: Recurrent | None, gradients: Gradients,
                        learn: Collection[str]) -> PopulationGradients:
    """The gradients of all that went into a population, in one launch and products after it."""
    model = dynamics.model
    shape, dtype = tape.current[0].shape, tape.current[0].dtype
    steps, batch, units = shape
    dx = _new(model.Inputs, shape, dtype)
    dstate = put_all(gradients.state, dtype)
    dout = gradients.out._make(put(a, dtype) for a in gradients.out)
    learned = _in_order(model.Params, learn)
    totals = zeros((len(learned), batch, units), dtype)
    parts = {name: totals[i:i + 1].reshape(batch, units) for i, name in enumerate(learned)}
    sums = by_name(model.Params, parts)
    sizes = Sizes(steps, batch, units)
    neuron = Neuron(tape.start.coefficients, dynamics.surrogate.typed(dtype))
    lengths = lengths_of(steps, batch, tape.start.lengths)
    dlast: Any = None
    dweight = dbias = dlate = None
    between = Array(shape, dtype) if dynamics.in_two_stages else ()
    biases = tuple(zeros((batch, units), dtype) for _ in (recurrent and recurrent.bias) or ())
    if recurrent is not None and recurrent.late is not None:
        dlast, dlate = _late_backward(dynamics, tape, recurrent, (sizes, neuron, dout, lengths),
                                      (put(gradients.last), dstate, dx, sums, biases))
    elif recurrent is not None:
        back: Any = put(gradients.last)
        dlast = back.copy()
        incoming = Incoming(dout, by_name(model.Out, {dynamics.recur: dlast}))
        weights = _weights(model, (turned(put(w)) for w in recurrent.weight), biases, between)
        if batch:
            _, kernel = _kernels(dynamics, units, dtype)
            launch(kernel, batch, threads_of(units), sizes, tape.current, neuron, Kept(tape.states, incoming),
                   dstate, dx, sums, weights, lengths)
    elif batch:
        _, kernel = _alone_kernels(dynamics, _block_alone(units), False)
        kept = Kept(tape.states, dout)
        cuda_array.start(kernel, batch * units, sizes, tape.current, neuron, kept, dstate, dx, sums, lengths)
    if recurrent is not None:
        dweight = _weight_gradients(model, tape, recurrent, dx, between)
        dbias = tuple(map(sum_rows, biases)) or None
    rows = sum_rows(totals)
    of_each = (rows[i:i + 1].reshape(units) for i in range(len(learned)))
    dparams = by_name(model.Params, dict(zip(learned, of_each, strict=True)))
    return PopulationGradients(dx, dstate, dlast, dparams, dweight, dbias, dlate)


def _late_backward(dynamics, tape, recurrent, given, wanted):
    """(the gradient of what was on its way before the first step, of the shares or weights of all lags)."""
    (sizes, neuron, dout, lengths), (last, dstate, dx, sums, biases) = given, wanted
    model, late, (steps, batch, units) = dynamics.model, recurrent.late, sizes
    shares = isinstance(late, Late) and late.learned
    dshare = zeros((len(late.share), batch, units), last.dtype) if shares else None
    coming = begun(last, lengths, steps, units)
    way = way_of(model, late, coming, backward=True)
    way = way._replace(values=tape.values if shares else None, dshare=dshare)
    weights = _weights(model, (turned(put(w)) for w in recurrent.weight), biases)
    back = by_name(model.Out, {dynamics.recur: Array((batch, units), last.dtype)})
    if batch:
        _, kernel = late_kernels(dynamics, units, late, last.dtype.name)
        launch(kernel, batch, threads_of(units), sizes, tape.current, neuron,
               Kept(tape.states, Incoming(dout, back)), dstate, dx, sums, way, weights, lengths)
    before = ended(coming, zeros((batch,), np.int32), way.lags)
    return before, late_gradient(late, tape.values, coming, dshare, lengths)


def _in_order(cls, names):
    """The fields of a named tuple that are among the names."""
    return [name for name in cls._fields if name in names]


def _weight_gradients(model, tape, recurrent, dx, between):
    """Of the matrix of each current that the recurrence feeds."""
    if recurrent.late is not None:
        if tape.arrived is None:        # there is none but those of all lags
            return ()
        each = [getattr(dx, name).reshape(-1, dx[0].shape[2]) for name in model.recurrent]
        return tuple(product(tape.arrived.reshape(*d.shape), d, a_turned=True) for d in each)
    gradients = []
    for name in model.recurrent:
        own = getattr(dx, name)
        second = name == model.second
        gradients.append(_second_gradient(between, own) if second else _recurrent_gradient(tape, own))
    return tuple(gradients)


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
