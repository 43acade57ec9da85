"""Populations on the CPU: compiled loops, made once for all models by closure over a model's elementwise functions.

Structure of a loop over one chunk of a batch:

    time step -> recurrent rows of each sample -> one flat elementwise loop over each group of samples -> spikes as index lists

All samples of a chunk advance together, so that weights are read once per chunk and step, and everything of a chunk lies together
in memory (rows of a larger batch would lie apart by more than the hardware prefetches).  A group is the few samples whose coefficients,
one after the other, give the loop enough to do; they are kept once, which leaves the fastest cache to what differs between samples.  The
state is carried in its own buffer; the loop only writes the tape.  Sums over inputs run in ascending order with one accumulator per output.
"""

from functools import lru_cache
from math import gcd
from typing import NamedTuple

import numpy as np
from numba import njit

from ...neurons.model import Functions
from ...signals.spikes import Spikes, index_dtype
from .. import buffers
from ..access import accumulate, clear, gather, gather_sum, prefetch, scatter
from ..contract import PopulationGradients, Run, Tape
from ..jit import (
    OPTIONS,
    fingerprint,
    flush_tiny,
    jitable,
    pointer,
    prepare,
    private,
    private_array,
    restore,
)
from . import blas, lanes
from .rows import (
    U,
    add_outer_rows,
    add_rows,
    add_values,
    multiply_blas,
    multiply_vectors,
    outer_space,
)

BLOCK = 32          # time steps whose recurrent weight gradient is added in one go
GROUP = 256         # neurons of a group, at about: a multiple of VECTOR if possible, because what is left over goes one by one
SMALL = 64          # units for which a product of one's own is faster than a call of BLAS
LINE = 16           # numbers that come from memory together, at least
VECTOR = 16         # numbers in the largest vectors there are


class Shape(NamedTuple):
    steps: int
    batch: int
    units: int
    group: int          # samples
    pitch: int          # numbers from a time step to the next of the currents, which may be some samples of a larger array
    outer: int          # the same of what is handed out; backward: of its gradient and that of the currents


def shape_of(currents, outer=None):
    (steps, batch, units), strides = currents[0].shape, currents[0].strides
    even = VECTOR // gcd(units, VECTOR)
    return Shape(steps, batch, units, max(1, min(max(GROUP // max(units, 1) // even, 1) * even, batch)), strides[0] // currents[0].itemsize,
                 batch * units if outer is None else outer.strides[0] // outer.itemsize)


@jitable
def active_run(lengths, t, b, last):
    """The next run of samples of [b, last) that have a step t: (first, last), empty at the end."""
    if lengths is not None:
        while b < last and U(lengths[b]) <= t:
            b += U(1)
        end = b
        while end < last and U(lengths[end]) > t:
            end += U(1)
        return b, end
    return b, last


@jitable
def _compress_one_by_one(values, o, n_units, index, p):
    k = U(0)
    for n in range(n_units):
        index[p + k] = n
        k += U(values[o + n] != 0)
    return k


@jitable
def _compress_vectors(values, o, n_units, index, p):
    return lanes.listed((values, o), n_units, (index, p))


# Write the ascending indices of the non-zero values[o : o + N] to index[p:]; their number.  No branch; up to WIDE places behind the last are touched.
compress = _compress_vectors if lanes.COMPRESSES else _compress_one_by_one


@jitable
def add_bias(y, o, bias, g, n_out):
    """y[o : o + n_out] += bias[g], where there are biases."""
    if bias is not None:
        b = bias[g]
        for n in range(n_out):
            y[o + n] += b[n]


@lru_cache(None)
def forward_kernel(model, spike, slope, activation, recur):
    """The forward loop, specialised for a model, a surrogate, an activation and the field that recurs."""
    prepare()
    step, spike, slope, act, act_slope = map(jitable, (model.step, spike, slope, activation.value, activation.slope))
    gates, spikes_recur, recur = model.gates, recur == "spike", model.Out._fields.index(recur) if recur else 0
    n_gates = len(gates)
    mark = fingerprint(step, spike, slope, act, act_slope)

    @njit(**OPTIONS)
    def forward(shape, x, coefficients, k, carried, store, recurrent, lists, lengths):
        """x: Inputs of arrays (T * B * N), current in, total current out.  carried: (State, Out) of buffers (B * N), the second holds
        what recurred last.  store: (State, Out) of arrays (T * B * N).  recurrent: Recurrent or None.  lists: (count, index) or None."""
        mark  # noqa: B018  part of the cache key
        f = Functions(spike, slope, k, act, act_slope)
        steps, batch, units, group, pitch, outer = U(shape.steps), U(shape.batch), U(shape.units), U(shape.group), U(shape.pitch), U(shape.outer)
        x, params, (state, now), (states, out) = private(x), private(coefficients), private(carried), private(store)
        weights, spikes, lengths = private(recurrent), private(lists), private(lengths)
        for t in range(steps):
            row = t * batch * units
            b, end = active_run(lengths, t, U(0), batch)
            while b < end:
                if recurrent is not None:
                    for s in range(b, end):
                        r = t * batch + s
                        for g in range(n_gates):
                            y, weight = x[gates[g]], weights.weight[g]
                            add_bias(y, r * units, weights.bias, g, units)
                            if lists is not None and spikes_recur and t > U(0):
                                e = (r - batch) * units
                                add_rows(y, r * units, weight, units, spikes[1], e, e + U(spikes[0][r - batch]))
                            else:
                                add_values(y, r * units, weight, units, units, now[recur], s * units)
                for s in range(b, end, group):
                    o = s * units
                    for i in range(min(group, end - s) * units):
                        before = gather(state, o + i)
                        given, after = step(gather(x, t * pitch + o + i), before, gather(params, i), f)
                        scatter(states, row + o + i, before)
                        scatter(out, t * outer + o + i, given)
                        scatter(now, o + i, given)
                        scatter(state, o + i, after)
                if lists is not None:
                    for s in range(b, end):
                        r = t * batch + s
                        spikes[0][r] = compress(now.spike, s * units, units, spikes[1], r * units)
                b, end = active_run(lengths, t, end, batch)

    return forward


class Recurrence(NamedTuple):
    """What the backward loop of a recurrent population reads and adds up."""
    weight_t: tuple             # for each current that the recurrence feeds (N, P), to, from; P: N, or N in whole vectors
    initial: np.ndarray         # (B * N): what recurred into the first step
    entries: tuple | None       # (start, count, index, None) of the spikes that recurred
    values: np.ndarray | None   # (T * B, N): what recurred, where it is not spikes
    product: np.ndarray         # (B, P) working space
    working: tuple | None       # of add_outer_rows
    dweight: tuple              # for each of them (N, N or more), a sum


@lru_cache(None)
def backward_kernel(model, spike, slope, activation, recur, in_place):
    """The backward loop, specialised for a model, a surrogate, an activation and the field that recurs.  in_place: what goes back through the
    recurrence is as wide as the population, and written by BLAS to where it is needed."""
    prepare()
    adjoint, spike, slope, act, act_slope = map(jitable, (model.step_adjoint, spike, slope, activation.value, activation.slope))
    gates, recur, product = model.gates, model.Out._fields.index(recur) if recur else 0, multiply_blas if in_place else multiply_vectors
    n_gates = len(gates)
    mark = fingerprint(adjoint, spike, slope, act, act_slope, product)

    @njit(**OPTIONS)
    def backward(shape, tape, coefficients, k, gradients, dx, sums, rec, lists, lengths):
        """tape: (Inputs, State, State of buffers (G * N)): the last two together are the states before each step.
        gradients: (Out of arrays (T * B * N), Out of buffers (B, N): what comes back through the recurrence, State of buffers).
        dx: Inputs of arrays, (T * B, N) where there is recurrence.  sums: (Params, Inputs) of buffers or None.  rec: Recurrence or None.  lists: (count, index)
        or None."""
        mark  # noqa: B018  part of the cache key
        word = flush_tiny()
        f = Functions(spike, slope, k, act, act_slope)
        steps, batch, units, group, pitch, outer = U(shape.steps), U(shape.batch), U(shape.units), U(shape.group), U(shape.pitch), U(shape.outer)
        (current, states, previous), params, spikes = private(tape), private(coefficients), private(lists)
        (dout, returned, dstate), (dparams, dinput) = gradients, private(sums)
        dout, dstate, returned, dx = private(dout), private(dstate), private_array(returned), private_array(dx)
        back, flat = pointer(returned), pointer(dx)
        done = steps
        for ago in range(steps):
            t = steps - U(1) - ago
            row = t * batch * units
            b = U(0)
            while b < batch:
                begin, end = active_run(lengths, t, b, batch)
                for i in range(b * units, begin * units):
                    clear(flat, t * outer + i)
                for s in range(begin, end, group):
                    o, count = s * units, min(group, end - s)
                    if lists is not None:
                        last_spikes(previous.spike, spikes, t, batch, units, group, s, count)
                    if t > U(0):
                        next_row = row - batch * units + o
                        for i in range(U(0), count * units, LINE):
                            prefetch(current, (t - U(1)) * pitch + o + i)
                            prefetch(states, next_row + i)
                            prefetch(dout, (t - U(1)) * outer + o + i)
                    for i in range(count * units):
                        d = gather_sum(dout, t * outer + o + i, back, o + i)
                        dinputs, before, dp = adjoint(gather(current, t * pitch + o + i), gather_sum(states, row + o + i, previous, i),
                                                      gather(params, i), f, d, gather(dstate, o + i))
                        scatter(flat, t * outer + o + i, dinputs)
                        scatter(dstate, o + i, before)
                        accumulate(dparams, o + i, dp)
                        accumulate(dinput, o + i, dinputs)
                b = end
            if rec is not None:
                for g in range(n_gates):
                    if in_place and lengths is None and g == 0:
                        product(dx[gates[g]][t * batch:(t + U(1)) * batch], rec.weight_t[g], returned[recur])
                    else:
                        product(dx[gates[g]][t * batch:(t + U(1)) * batch], rec.weight_t[g], rec.product)
                        b, end = active_run(lengths, t, U(0), batch)
                        while b < end:
                            carry_rows(back[recur], pointer(rec.product), b, end, units, U(rec.product.shape[1]), g > 0)
                            b, end = active_run(lengths, t, end, batch)
                if t % U(BLOCK) == 0:
                    first = max(t, U(1)) * batch
                    for g in range(n_gates):
                        add_recurrent_rows(rec, rec.dweight[g], rec.entries, rec.values, dx[gates[g]], first, done * batch, batch)
                    done = t
        if rec is not None and steps > U(0):
            for g in range(n_gates):
                add_first_rows(rec.dweight[g], rec.initial, flat[gates[g]], batch)
        restore(word)

    return backward


@jitable
def last_spikes(spike, lists, t, batch, units, group, first, count):
    """The spikes of `count` samples before step t, from their lists; those before the first step stand behind the place of a group."""
    if t == U(0):
        initial = (group + first) * units
        for i in range(count * units):
            spike[i] = spike[initial + i]
    else:
        for i in range(count * units):
            spike[i] = 0
        for s in range(count):
            r = (t - U(1)) * batch + first + s
            for e in range(r * units, r * units + U(lists[0][r])):
                spike[s * units + U(lists[1][e])] = 1


@jitable
def carry_rows(back, through, first, last, units, width, more):
    """`carry` for the first <= s < last, from rows of another width."""
    for s in range(first, last):
        o, p = s * units, s * width
        for n in range(units):
            back[o + n] = back[o + n] + through[p + n] if more else through[p + n]


@jitable
def carry(back, through, begin, end, more):
    """back[begin:end] = through, or with `more` += through."""
    if more:
        for i in range(begin, end):
            back[i] += through[i]
    else:
        for i in range(begin, end):
            back[i] = through[i]


@jitable
def add_recurrent_rows(rec, dweight, entries, values, dx, begin, end, batch):
    """dweight += what recurred one step before the rows begin <= r < end, times dx of these rows."""
    if begin >= end:
        return
    units = U(dweight.shape[0])
    if entries is not None:
        add_outer_rows(private(dweight), U(dweight.shape[1]), units, units, begin - batch, end - batch, private(entries), pointer(dx), batch,
                       private(rec.working))
    if values is not None:
        dweight += np.dot(values[begin - batch:end - batch].T, dx[begin:end])


@jitable
def add_first_rows(dweight, initial, dx, batch):
    """dweight += the initial value of what recurs times dx at t = 0."""
    units = U(dweight.shape[0])
    for b in range(batch):
        for j in range(units):
            value = initial[b * units + j]
            if value != 0:
                for n in range(units):
                    dweight[j, n] += value * dx[b * units + n]


def flat(arrays):
    """Views of a named tuple of arrays as vectors; None stays."""
    return type(arrays)(*(None if a is None else a.reshape(-1) for a in arrays))


def flat_steps(arrays):
    """`flat` of arrays (T, B, N) whose time steps may lie apart (Shape.pitch); what lies between them is not theirs."""
    return type(arrays)(*(a if a is None else buffers.flat(a) for a in arrays))


def tiled(coefficients, batch):
    """The coefficients repeated for each sample."""
    return type(coefficients)(*(np.concatenate((a,) * batch) for a in coefficients))


def fields(cls, array_of):
    """cls of array_of(name) for each field."""
    return cls(*map(array_of, cls._fields))


def slack(make, n, dtype):
    """An array of n with memory behind its end for the rest of a vector."""
    return make(n + lanes.WIDE, dtype)[:n]


def one_stage_forward(dynamics, x, start, recurrent, want):
    model, surrogate, recur = dynamics.model, dynamics.surrogate, dynamics.recur
    (steps, batch, units), dtype = x[0].shape, x[0].dtype
    kernel = forward_kernel(model, surrogate.spike, surrogate.slope, dynamics.activation, recur)
    listed = want.events or dynamics.recurs_as_events or want.tape and dynamics.spikes_are_listed
    kept = set(want.fields) | ({recur} if want.tape and not dynamics.recurs_as_events else set())
    buffered = {recur} | ({"spike"} if listed else set())
    taped = set(model.State._fields) - ({"spike"} if dynamics.spikes_are_listed else set()) if want.tape else set()
    new = buffers.empty if start.lengths is None else buffers.zeros       # padded steps hand out zeros
    out = fields(model.Out, lambda name: None if name not in kept else new((steps, batch, units), dtype) if want.into is None else want.into)
    if want.into is not None and start.lengths is not None:
        want.into.fill(0)
    now = fields(model.Out, lambda name: slack(np.zeros, batch * units, dtype).reshape(batch, units) if name in buffered else None)
    if recur:
        getattr(now, recur)[:] = start.last
    states = fields(model.State, lambda name: buffers.empty((steps, batch, units), dtype) if name in taped else None)
    state = model.State(*(a.copy() for a in start.state))
    lists = (np.zeros(steps * batch, np.int32), slack(buffers.empty, steps * batch * units, index_dtype(units))) if listed else None
    shape = shape_of(x, want.into)
    kernel(shape, flat_steps(x), tiled(start.coefficients, shape.group), surrogate.typed(dtype),
           (flat(state), flat(now)), (flat(states), flat_steps(out)), recurrent, lists, start.lengths)
    events = Spikes.of_rows((steps, batch, units), np.arange(steps * batch, dtype=np.int64) * units, *lists) if listed else None
    values = getattr(out, recur) if recur and not dynamics.recurs_as_events else None
    tape = Tape(x, states, start, events, values) if want.tape else None
    return Run(fields(model.Out, lambda name: getattr(out, name) if name in want.fields else None),
               events if want.events else None, state, getattr(now, recur) if recur else None, tape)


def one_stage_backward(dynamics, tape, recurrent, gradients, learn):
    model, surrogate, recur = dynamics.model, dynamics.surrogate, dynamics.recur
    (steps, batch, units), dtype = tape.current[0].shape, tape.current[0].dtype
    kernel = backward_kernel(model, surrogate.spike, surrogate.slope, dynamics.activation, recur, bool(recur) and in_place(units))
    dx = model.Inputs(gradients.into) if gradients.into is not None else fields(model.Inputs, lambda name: buffers.empty((steps * batch, units), dtype))
    dstate = model.State(*(a.copy() for a in gradients.state))
    dlast = gradients.last.copy() if recur else None
    previous, lists, shape = fields(model.State, lambda name: None), None, shape_of(tape.current, gradients.into)
    if dynamics.spikes_are_listed:
        lists = (tape.events.count, tape.events.index)
        previous = previous._replace(spike=np.concatenate((np.empty(shape.group * units, dtype), tape.start.state.spike.reshape(-1))))
    biased = model.recurrent if recur and recurrent.bias else ()
    sums = (fields(model.Params, lambda name: np.zeros(batch * units, dtype) if name in learn else None),
            fields(model.Inputs, lambda name: np.zeros(batch * units, dtype) if name in biased else None))
    rec = recurrence(dynamics, tape, recurrent) if recur else None
    kernel(shape, (flat_steps(tape.current), flat(tape.states), previous), tiled(tape.start.coefficients, shape.group), surrogate.typed(dtype),
           (flat_steps(gradients.out), fields(model.Out, lambda name: dlast if name == recur else None), flat(dstate)),
           dx if recur else flat_steps(dx), sums, rec, lists, tape.start.lengths)
    dparams, dinputs = (type(s)(*(None if a is None else a.reshape(batch, units).sum(0) for a in s)) for s in sums)
    dbias = tuple(getattr(dinputs, name) for name in biased) or None
    return PopulationGradients(model.Inputs(*(a if a.ndim == 3 else a.reshape(steps, batch, units) for a in dx)), dstate, dlast, dparams,
                               tuple(np.ascontiguousarray(d[:, :units]) for d in rec.dweight) if recur else None, dbias)


def in_place(units):
    """Whether the product of each step goes to BLAS, whose calls weigh for few units."""
    return units >= SMALL and blas.usable()


def recurrence(dynamics, tape, recurrent):
    (steps, batch, units), dtype = tape.current[0].shape, tape.current[0].dtype
    entries = values = working = None
    if dynamics.recurs_as_events:
        entries = (tape.events.start, tape.events.count, tape.events.index, None)
        sums = [outer_space(units, units, dtype, BLOCK * batch * units) for _ in recurrent.weight]
        working, sums = sums[0][1], [dweight for dweight, _ in sums]
    else:
        values, sums = tape.values.reshape(steps * batch, units), [np.zeros_like(w) for w in recurrent.weight]
    size = 1 if in_place(units) else lanes.lanes(dtype)
    weights = [np.zeros((units, -(-units // size) * size), dtype) for _ in recurrent.weight]
    for wide, weight in zip(weights, recurrent.weight, strict=True):
        wide[:, :units] = weight.T
    return Recurrence(tuple(weights), tape.start.last.reshape(-1), entries, values, np.empty((batch, weights[0].shape[1]), dtype), working,
                      tuple(sums))
