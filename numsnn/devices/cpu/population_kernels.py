"""Compiled loops of populations, made once for all models by closure over a model's elementwise functions.

Structure of a loop over one chunk of a batch:

    time step -> recurrent rows of each sample -> one flat elementwise loop over each group of samples
              -> spikes as index lists

What stands at both ends depends on no model (recurrence.py); the loop in the middle is all that is made here.

All samples of a chunk advance together, so that weights are read once per chunk and step, and everything of
a chunk lies together in memory (rows of a larger batch would lie apart by more than the hardware prefetches).
A group is the few samples whose coefficients, one after the other, give the loop enough to do; they are kept
once, which leaves the fastest cache to what differs between samples.  The state is carried in its own buffer;
the loop only writes the tape.  Sums over inputs run in ascending order with one accumulator per output.
Numbers too small to be normal are zeros in both directions (devices/tiny.py): traces of silent neurons die
away to such, and each of them would take as long as a hundred others.
"""

from functools import lru_cache
from typing import Any, NamedTuple

from ...neurons.model import Functions
from ..jit import compiled, fingerprint, jitable, prepare
from ..tiny import flush_tiny, restore
from .addresses import call
from .fields import accumulate, clear, gather, gather_sum, pointer, prefetch, private, scatter
from .recurrence import active_run
from .rows import U

LINE = 16           # numbers that come from memory together, at least


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
def unsigned(shape):
    """The numbers of a Shape, for indices."""
    steps, batch, units = U(shape.steps), U(shape.batch), U(shape.units)
    return steps, batch, units, U(shape.group), U(shape.pitch), U(shape.outer)


# ---- forward


@lru_cache(None)
def forward_kernel(model, spike, slope, activation):
    """The forward loop, specialised for a model, a surrogate and an activation.

    x: Inputs of arrays (T * B * N), current in, total current out.  carried: Carried.  store: Stored.
    currents, listing: Call or None (recurrence.py).
    """
    prepare()
    functions = model.step, spike, slope, activation.value, activation.slope
    step, spike, slope, act, act_slope = map(jitable, functions)
    mark = fingerprint(step, spike, slope, act, act_slope)

    @compiled(mark, model.State, step, spike, slope, act, act_slope)
    def forward(shape, x, coefficients, k, carried, store, currents, listing, lengths):
        mark  # noqa: B018  part of the cache key
        word = flush_tiny()
        f = Functions(spike, slope, k, act, act_slope)
        steps, batch, units, group, pitch, outer = unsigned(shape)
        x, params, lengths = private(x), private(coefficients), private(lengths)
        (state, now), (states, out) = private(carried), private(store)
        for t in range(steps):
            row = t * batch * units
            b, end = active_run(lengths, t, U(0), batch)
            while b < end:
                if currents is not None:
                    call(currents.code, (pointer(currents.table), t, b, end))
                for s in range(b, end, group):
                    o = s * units
                    for i in range(min(group, end - s) * units):
                        before = gather(state, o + i)
                        given, after = step(gather(x, t * pitch + o + i), before, gather(params, i), f)
                        scatter(states, row + o + i, before)
                        scatter(out, t * outer + o + i, given)
                        scatter(now, o + i, given)
                        scatter(state, o + i, after)
                if listing is not None:
                    call(listing.code, (pointer(listing.table), t, b, end))
                b, end = active_run(lengths, t, end, batch)
        restore(word)

    return forward


# ---- backward


@lru_cache(None)
def backward_kernel(model, spike, slope, activation):
    """The backward loop, specialised for a model, a surrogate and an activation.

    tape: Kept, whose states and spikes together are those before each step.  gradients: Incoming.  dx: Inputs
    of arrays.  sums: Sums.  unlisting, way_back: Call or None (recurrence.py).
    """
    prepare()
    functions = model.step_adjoint, spike, slope, activation.value, activation.slope
    adjoint, spike, slope, act, act_slope = map(jitable, functions)

    @compiled(mark := fingerprint(*functions), *functions)
    def backward(shape, tape, coefficients, k, gradients, dx, sums, unlisting, way_back, lengths):
        mark  # noqa: B018  part of the cache key
        word = flush_tiny()
        f = Functions(spike, slope, k, act, act_slope)
        steps, batch, units, group, pitch, outer = unsigned(shape)
        (current, states, previous), params = private(tape), private(coefficients)
        dx, lengths = private(dx), private(lengths)
        (dout, back, dstate), (dparams, dinput) = private(gradients), private(sums)
        for ago in range(steps):
            t, b = steps - U(1) - ago, U(0)
            while b < batch:
                begin, end = active_run(lengths, t, b, batch)
                for i in range(b * units, begin * units):
                    clear(dx, t * outer + i)
                for s in range(begin, end, group):
                    o, count = s * units, min(group, end - s)
                    at_current, at_states, at_out = t * pitch + o, t * batch * units + o, t * outer + o
                    if unlisting is not None:
                        call(unlisting.code, (pointer(unlisting.table), t, s, count))
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
                        scatter(dx, at_out + i, dinputs)
                        scatter(dstate, o + i, dbefore)
                        accumulate(dparams, o + i, dp)
                        accumulate(dinput, o + i, dinputs)
                b = end
            if way_back is not None:
                call(way_back.code, (pointer(way_back.table), t, U(0), U(0)))
        restore(word)

    return backward
