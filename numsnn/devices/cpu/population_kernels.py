"""Compiled loops of populations, made once for all models by closure over a model's elementwise functions.

Structure of a loop over one chunk of a batch:

    time step -> recurrent rows of each sample -> one flat elementwise loop over each group of samples
              -> spikes as index lists

All samples of a chunk advance together, so that weights are read once per chunk and step, and everything of
a chunk lies together in memory (rows of a larger batch would lie apart by more than the hardware prefetches).
A group is the few samples whose coefficients, one after the other, give the loop enough to do; they are kept
once, which leaves the fastest cache to what differs between samples.  The state is carried in its own buffer;
the loop only writes the tape.  Sums over inputs run in ascending order with one accumulator per output.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ...neurons.model import Functions
from ..jit import compiled, fingerprint, jitable, prepare
from ..tiny import flush_tiny, restore
from . import lanes
from .fields import accumulate, clear, gather, gather_sum, pointer, prefetch, private, private_array, scatter
from .rows import (
    U,
    add_outer_rows,
    add_rows,
    add_values,
    multiply_blas,
    multiply_vectors,
)

BLOCK = 32          # time steps whose recurrent weight gradient is added in one go
LINE = 16           # numbers that come from memory together, at least


# ---- pieces of both loops


@jitable
def unsigned(shape):
    """The numbers of a Shape, for indices."""
    steps, batch, units = U(shape.steps), U(shape.batch), U(shape.units)
    return steps, batch, units, U(shape.group), U(shape.pitch), U(shape.outer)


@jitable
def active_run(lengths, t, b, batch):
    """The next run of samples of [b, batch) that have a step t: (first, last), empty at the end.

    lengths (B + 1): of the samples, and the least of them, so that a batch without padding costs nothing and
    needs no loops of its own.
    """
    if U(lengths[batch]) > t:
        return b, batch
    while b < batch and U(lengths[b]) <= t:
        b += U(1)
    end = b
    while end < batch and U(lengths[end]) > t:
        end += U(1)
    return b, end


# What a loop takes.  Named tuples all of them: of a plain one Numba keeps a name that classes of other models
# share, and would look for these when it reads its files.


class Carried(NamedTuple):
    """What goes on from step to step, in buffers (B * N)."""
    state: Any          # State
    out: Any            # Out: what recurred last


class Stored(NamedTuple):
    """What is kept of each step, in arrays (T * B * N) or None."""
    state: Any          # State
    out: Any            # Out


class Kept(NamedTuple):
    """What the backward loop reads, in arrays (T * B * N) or None."""
    current: Any        # Inputs
    state: Any          # State
    spikes: Any         # State of buffers (G * N): spikes that lists tell, or None


class Incoming(NamedTuple):
    """Gradients that come in."""
    out: Any            # Out of arrays (T * B * N)
    returned: Any       # Out of buffers (B, N): what comes back through the recurrence
    state: Any          # State of buffers


class Sums(NamedTuple):
    """Gradients that are summed over time, in buffers (B * N) or None."""
    coefficients: Any   # Params
    currents: Any       # Inputs


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


# Write the ascending indices of the non-zero values[o : o + N] to index[p:]; their number.  No branch; up to
# WIDE places behind the last are touched.
compress = _compress_vectors if lanes.COMPRESSES else _compress_one_by_one


@jitable
def add_bias(y, o, bias, g, n_out):
    """y[o : o + n_out] += bias[g], where there are biases."""
    if bias is not None:
        b = bias[g]
        for n in range(n_out):
            y[o + n] += b[n]


# ---- forward


@lru_cache(None)
def forward_kernel(model, spike, slope, activation, recur):
    """The forward loop, specialised for a model, a surrogate, an activation and the field that recurs.

    x: Inputs of arrays (T * B * N), current in, total current out.  carried: Carried.  store: Stored.
    recurrent: Recurrent or None.  lists: (count, index) or None.
    """
    prepare()
    functions = model.step, spike, slope, activation.value, activation.slope
    step, spike, slope, act, act_slope = map(jitable, functions)
    gates, n_gates = model.gates, len(model.gates)
    spikes_recur, recur = recur == "spike", model.Out._fields.index(recur) if recur else 0
    mark = fingerprint(step, spike, slope, act, act_slope)

    @compiled(mark, model.State, step, spike, slope, act, act_slope)
    def forward(shape, x, coefficients, k, carried, store, recurrent, lists, lengths):
        mark  # noqa: B018  part of the cache key
        f = Functions(spike, slope, k, act, act_slope)
        steps, batch, units, group, pitch, outer = unsigned(shape)
        x, params = private(x), private(coefficients)
        (state, now), (states, out) = private(carried), private(store)
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
                                last = e + U(spikes[0][r - batch])
                                add_rows(y, r * units, weight, units, spikes[1], e, last)
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


# ---- backward


@jitable
def clear_run(arrays, first, last):
    """`clear` of first <= i < last."""
    for i in range(first, last):
        clear(arrays, i)


@jitable
def last_spikes(spike, lists, t, batch, units, group, first, count):
    """The spikes of `count` samples before step t, from their lists.

    Those before the first step stand behind the place of a group.
    """
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
        add_outer_rows(private(dweight), U(dweight.shape[1]), units, units, begin - batch, end - batch,
                       private(entries), pointer(dx), batch, private(rec.working))
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


@lru_cache(None)
def backward_kernel(model, spike, slope, activation, recur, in_place):
    """The backward loop, specialised for a model, a surrogate, an activation and the field that recurs.

    in_place: what goes back through the recurrence is as wide as the population, and written by BLAS to where
    it is needed.

    tape: Kept; its states and spikes together are the states before each step.  gradients: Incoming.
    dx: Inputs of arrays, (T * B, N) where there is recurrence.  sums: Sums.
    rec: Recurrence or None.  lists: (count, index) or None.
    """
    prepare()
    functions = model.step_adjoint, spike, slope, activation.value, activation.slope
    place = model.Out._fields.index(recur) if recur else 0
    product = multiply_blas if in_place else multiply_vectors
    return _compiled_backward(functions, model.gates, place, in_place, product)


def _compiled_backward(functions, gates, recur, in_place, product):
    adjoint, spike, slope, act, act_slope = map(jitable, functions)
    n_gates = len(gates)
    mark = fingerprint(*functions, product)

    @compiled(mark, *functions, product)
    def backward(shape, tape, coefficients, k, gradients, dx, sums, rec, lists, lengths):
        mark  # noqa: B018  part of the cache key
        word = flush_tiny()
        f = Functions(spike, slope, k, act, act_slope)
        steps, batch, units, group, pitch, outer = unsigned(shape)
        (current, states, previous), params, spikes = private(tape), private(coefficients), private(lists)
        dout, returned, dstate = private(gradients[0]), private_array(gradients[1]), private(gradients[2])
        dx, (dparams, dinput) = private_array(dx), private(sums)
        back, flat, done = pointer(returned), pointer(dx), steps
        for ago in range(steps):
            t, b = steps - U(1) - ago, U(0)
            while b < batch:
                begin, end = active_run(lengths, t, b, batch)
                for i in range(b * units, begin * units):
                    clear(flat, t * outer + i)
                for s in range(begin, end, group):
                    o, count = s * units, min(group, end - s)
                    at_current, at_states, at_out = t * pitch + o, t * batch * units + o, t * outer + o
                    if lists is not None:
                        last_spikes(previous.spike, spikes, t, batch, units, group, s, count)
                    if t > U(0):
                        for i in range(U(0), count * units, LINE):
                            prefetch(current, at_current - pitch + i)
                            prefetch(states, at_states - batch * units + i)
                            prefetch(dout, at_out - outer + i)
                    for i in range(count * units):
                        inputs, p = gather(current, at_current + i), gather(params, i)
                        before = gather_sum(states, at_states + i, previous, i)
                        d, dafter = gather_sum(dout, at_out + i, back, o + i), gather(dstate, o + i)
                        dinputs, dbefore, dp = adjoint(inputs, before, p, f, d, dafter)
                        scatter(flat, at_out + i, dinputs)
                        scatter(dstate, o + i, dbefore)
                        accumulate(dparams, o + i, dp)
                        accumulate(dinput, o + i, dinputs)
                b = end
            if rec is not None:
                for g in range(n_gates):
                    d_rows = dx[gates[g]][t * batch:(t + U(1)) * batch]
                    if in_place and U(lengths[batch]) == steps and g == 0:
                        product(d_rows, rec.weight_t[g], returned[recur])
                    else:
                        product(d_rows, rec.weight_t[g], rec.product)
                        width = U(rec.product.shape[1])
                        b, end = active_run(lengths, t, U(0), batch)
                        while b < end:
                            carry_rows(back[recur], pointer(rec.product), b, end, units, width, g > 0)
                            b, end = active_run(lengths, t, end, batch)
                if t % U(BLOCK) == 0:
                    first = max(t, U(1)) * batch
                    for g in range(n_gates):
                        add_recurrent_rows(rec, rec.dweight[g], rec.entries, rec.values, dx[gates[g]], first,
                                           done * batch, batch)
                    done = t
        if rec is not None and steps > U(0):
            for g in range(n_gates):
                add_first_rows(rec.dweight[g], rec.initial, flat[gates[g]], batch)
        restore(word)

    return backward
