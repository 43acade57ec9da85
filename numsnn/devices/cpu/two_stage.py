"""Populations with two products a step on the CPU, where the second takes what the first decided.

(A model's SECOND and `between`.)  Structure of a step over one chunk, all of it as in population_kernels.py
but for values only, no spikes:

    products of what recurs -> `between`, elementwise -> its product -> `step`, elementwise

The backward pass goes the same way back; what came of `between` is computed anew there.
"""

from collections.abc import Collection
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from ...neurons.model import Functions
from .. import buffers
from ..contract import (
    Dynamics,
    Gradients,
    PopulationGradients,
    Recurrent,
    Run,
    Start,
    Tape,
    Want,
    with_fields,
)
from ..jit import OPTIONS, compiled, fingerprint, jitable, prepare
from ..tiny import flush_tiny, restore
from . import blas
from .addresses import call
from .fields import accumulate, clear, gather, gather_sum, pointer, private, scatter
from .population import contiguous, copied, fed_currents, flat, summed, sums_of, tiled, valid_lengths
from .population_kernels import Carried, Incoming, Kept, Stored
from .recurrence import Back, WayBack, active_run, add_first_rows, currents
from .rows import U

# ---- forward


@lru_cache(None)
def forward_kernel(model, spike, slope, activation):
    """The forward loop, specialised for a model and an activation.

    Arguments as those of population_kernels.forward_kernel's; currents: Call, of all but the second product.
    then: Call, of that, which takes middle: buffer (B * N) of what `between` gives.
    """
    prepare()
    functions = model.step, model.between, spike, slope, activation.value, activation.slope
    step, between, spike, slope, act, act_slope = map(jitable, functions)
    mark = fingerprint(step, between, spike, slope, act, act_slope)

    @compiled(mark, model.State, step, between, spike, slope, act, act_slope)
    def forward(shape, x, coefficients, k, carried, store, currents, then, middle, lengths):
        mark  # noqa: B018  part of the cache key
        word = flush_tiny()
        f = Functions(spike, slope, k, act, act_slope)
        steps, batch, units = U(shape[0]), U(shape[1]), U(shape[2])
        x, params = private(x), private(coefficients)
        (state, now), (states, out) = private(carried), private(store)
        lengths, middle = private(lengths), private(middle)
        for t in range(steps):
            row = t * batch * units
            b, end = active_run(lengths, t, U(0), batch)
            while b < end:
                call(currents.code, (pointer(currents.table), t, b, end))
                for i in range(b * units, end * units):
                    middle[i] = between(gather(x, row + i), gather(state, i), gather(params, i), f)
                call(then.code, (pointer(then.table), t, b, end))
                for i in range(b * units, end * units):
                    before = gather(state, i)
                    given, after = step(gather(x, row + i), before, gather(params, i), f)
                    scatter(states, row + i, before)
                    scatter(out, row + i, given)
                    scatter(now, i, given)
                    scatter(state, i, after)
                b, end = active_run(lengths, t, end, batch)
        restore(word)

    return forward


# ---- backward


class Middle(NamedTuple):
    """What is between the two products, in buffers."""
    values: np.ndarray          # (T * B * N): zeros; what `between` gave
    gradient: np.ndarray        # (B * N)


@jitable
def clear_run(arrays, first, last):
    """`clear` of first <= i < last."""
    for i in range(first, last):
        clear(arrays, i)


@lru_cache(None)
def backward_kernel(model, spike, slope, activation):
    """The backward loop, specialised likewise.

    tape: Kept, without spikes; the rest as in population_kernels.backward_kernel's.  ways: Calls, of the
    second product's gradient to Middle, and of that of the others.
    """
    prepare()
    functions = (model.step_adjoint, model.between, model.between_adjoint, spike, slope, activation.value,
                 activation.slope)
    adjoint, between, between_adjoint, spike, slope, act, act_slope = map(jitable, functions)

    @compiled(mark := fingerprint(*functions), *functions)
    def backward(shape, tape, coefficients, k, gradients, dx, sums, ways, middle, lengths):
        mark  # noqa: B018  part of the cache key
        word = flush_tiny()
        f = Functions(spike, slope, k, act, act_slope)
        steps, batch, units = U(shape[0]), U(shape[1]), U(shape[2])
        (current, states, _), params, (second, others) = private(tape), private(coefficients), ways
        (dout, back, dstate), (dparams, dinput) = private(gradients), private(sums)
        dx, (middle, through), lengths = private(dx), private(middle), private(lengths)
        for ago in range(steps):
            t = steps - U(1) - ago
            row, b = t * batch * units, U(0)
            while b < batch:
                begin, end = active_run(lengths, t, b, batch)
                clear_run(dx, row + b * units, row + begin * units)
                for i in range(begin * units, end * units):
                    inputs, before, p = gather(current, row + i), gather(states, row + i), gather(params, i)
                    d, dafter = gather_sum(dout, row + i, back, i), gather(dstate, i)
                    dinputs, dbefore, dp = adjoint(inputs, before, p, f, d, dafter)
                    scatter(dx, row + i, dinputs)
                    scatter(dstate, i, dbefore)
                    accumulate(dparams, i, dp)
                b = end
            call(second.code, (pointer(second.table), t, U(0), U(0)))
            b, end = active_run(lengths, t, U(0), batch)
            while b < end:
                for i in range(b * units, end * units):
                    inputs, before, p = gather(current, row + i), gather(states, row + i), gather(params, i)
                    middle[row + i] = between(inputs, before, p, f)
                    dinputs, dbefore, dp = between_adjoint(inputs, before, p, f, through[i])
                    accumulate(dx, row + i, dinputs)
                    accumulate(dstate, i, dbefore)
                    accumulate(dparams, i, dp)
                    accumulate(dinput, i, gather(dx, row + i))
                b, end = active_run(lengths, t, end, batch)
            call(others.code, (pointer(others.table), t, U(0), U(0)))
        restore(word)

    return backward


# ---- what the device calls


def two_stage_forward(
        dynamics: Dynamics, x: Any, start: Start, recurrent: Recurrent | None, want: Want) -> Run:
    """A population with two products a step."""
    model, surrogate, recur = dynamics.model, dynamics.surrogate, dynamics.recur
    last = start.last
    assert recur is not None and last is not None and recurrent is not None and model.second is not None
    x, shape, dtype = contiguous(x), x[0].shape, x[0].dtype
    batch = shape[1]
    new = buffers.empty if start.lengths is None else buffers.zeros       # padded steps hand out zeros
    taped = model.State._fields if want.tape else ()
    out = with_fields(model.Out, want.stored(recur), lambda name: new(shape, dtype))
    now = with_fields(model.Out, (recur,), lambda name: last.copy())
    states = with_fields(model.State, taped, lambda name: buffers.empty(shape, dtype))
    state = copied(start.state)
    middle = np.empty(shape[1:], dtype)
    fed = fed_currents(model, x, recurrent)
    kernel = forward_kernel(model, surrogate.spike, surrogate.slope, dynamics.activation)
    kernel(shape, flat(x), tiled(start.coefficients, batch), surrogate.typed(dtype),
           Carried(flat(state), flat(now)), Stored(flat(states), flat(out)),
           currents(getattr(now, recur), None, [f for name, f in fed.items() if name != model.second]),
           currents(middle, None, [fed[model.second]]), middle.reshape(-1),
           valid_lengths(start.lengths, shape[0], batch))
    tape = Tape(x, states, start, None, getattr(out, recur)) if want.tape else None
    return Run(want.of(out), None, state, getattr(now, recur), tape)


def two_stage_backward(
        dynamics: Dynamics, tape: Tape, recurrent: Recurrent | None, gradients: Gradients,
        learn: Collection[str]) -> PopulationGradients:
    """The gradients of `two_stage_forward`."""
    model, surrogate, recur = dynamics.model, dynamics.surrogate, dynamics.recur
    assert recurrent is not None and gradients.last is not None and model.second is not None
    assert tape.start.last is not None and tape.values is not None
    (steps, batch, units), dtype = tape.current[0].shape, tape.current[0].dtype
    dx = model.Inputs(*(buffers.empty((steps * batch, units), dtype) for _ in model.Inputs._fields))
    dstate, dlast = copied(gradients.state), gradients.last.copy()
    returned = with_fields(model.Out, (recur,), lambda name: dlast)
    biased = model.recurrent if recurrent.bias else ()
    sums = sums_of(dynamics, learn, biased, batch * units, dtype)
    lengths = valid_lengths(tape.start.lengths, steps, batch)
    middle, through = buffers.zeros((steps * batch, units), dtype), np.empty((batch, units), dtype)
    grads = {name: getattr(dx, name) for name in model.recurrent}
    weights = dict(zip(model.recurrent, recurrent.weight, strict=True))
    others = [name for name in model.recurrent if name != model.second]
    ways = [WayBack(None, Back(returned_to, lengths, blas.usable()), [grads[name] for name in names],
                    [weights[name] for name in names])
            for returned_to, names in ((through, [model.second]), (dlast, others))]
    kernel = backward_kernel(model, surrogate.spike, surrogate.slope, dynamics.activation)
    kernel((steps, batch, units), Kept(flat(tape.current), flat(tape.states), None),
           tiled(tape.start.coefficients, batch), surrogate.typed(dtype),
           Incoming(flat(contiguous(gradients.out)), flat(returned), flat(dstate)), flat(dx), sums,
           tuple(way.call for way in ways), Middle(middle.reshape(-1), through.reshape(-1)), lengths)
    dweight = _weight_gradients(model, grads, middle, tape, steps)
    dparams, dinputs = (summed(s, (batch, units)) for s in sums)
    current = model.Inputs(*(a.reshape(steps, batch, units) for a in dx))
    dbias = tuple(getattr(dinputs, name) for name in biased) or None
    return PopulationGradients(current, dstate, dlast, dparams, dweight, dbias)


@lru_cache(1)
def _of_weights():
    mark = fingerprint()

    @njit(**OPTIONS)
    def of_weights(values, dx):
        """values.T @ dx"""
        mark  # noqa: B018  part of the cache key
        return np.dot(values.T, dx)

    @njit(**OPTIONS)
    def add_first(dweight, initial, dx, batch):
        """dweight += what recurred into the first step times its dx."""
        mark  # noqa: B018
        units = U(dweight.shape[0])
        add_first_rows(pointer(dweight), units, initial, pointer(dx), U(batch), units)

    return of_weights, add_first


def _weight_gradients(model, grads, middle, tape, steps):
    """The gradient of each recurrent weight, (N, N)."""
    of_weights, add_first = _of_weights()
    batch, units = tape.start.last.shape
    values = tape.values.reshape(-1, units)[:max(steps - 1, 0) * batch]
    found = []
    for name, dx in grads.items():
        if name == model.second:
            found.append(of_weights(middle, dx))
        else:
            dweight = of_weights(values, dx[batch:])
            if steps:
                add_first(dweight, tape.start.last.reshape(-1), dx, batch)
            found.append(dweight)
    return tuple(found)
