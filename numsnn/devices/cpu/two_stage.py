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
from ..jit import (
    compiled,
    fingerprint,
    jitable,
    prepare,
)
from . import blas
from .fields import accumulate, gather, gather_sum, pointer, private, private_array, scatter
from .population import contiguous, copied, flat, summed, sums_of, tiled, valid_lengths
from .population_kernels import (
    Carried,
    Incoming,
    Kept,
    Stored,
    active_run,
    add_bias,
    add_first_rows,
    carry,
    clear_run,
)
from .rows import U, add_values, multiply, multiply_blas


class Products(NamedTuple):
    """What the backward loop reads and adds up."""
    weight_t: tuple             # for each current that the recurrence feeds (N, N), to, from
    initial: np.ndarray         # (B * N): what recurred into the first step
    values: np.ndarray          # (T * B, N): what recurred
    between: np.ndarray         # (T * B, N): zeros; what `between` gave
    product: np.ndarray         # (B, N) working space
    dweight: tuple              # for each of them (N, N), a sum


# ---- forward


@jitable
def add_current(y, row, first, last, units, recurrent, g, values):
    """The current g of the samples first <= s < last, += bias + values times the weights, from `row` on."""
    for s in range(first, last):
        add_bias(y, row + s * units, recurrent.bias, g, units)
        add_values(y, row + s * units, recurrent.weight[g], units, units, values, s * units)


@lru_cache(None)
def forward_kernel(model, spike, slope, activation, recur):
    """The forward loop, specialised for a model, an activation and the field that recurs.

    Arguments as those of population_kernels.forward_kernel's; weights: Recurrent.  middle: buffer (B * N) of
    what `between` gives.
    """
    prepare()
    functions = model.step, model.between, spike, slope, activation.value, activation.slope
    step, between, spike, slope, act, act_slope = map(jitable, functions)
    gates, n_gates, second = model.gates, len(model.gates), model.recurrent.index(model.second)
    recur = model.Out._fields.index(recur)
    mark = fingerprint(step, between, spike, slope, act, act_slope)

    @compiled(mark, model.State, step, between, spike, slope, act, act_slope)
    def forward(shape, x, coefficients, k, carried, store, weights, middle, lengths):
        mark  # noqa: B018  part of the cache key
        f = Functions(spike, slope, k, act, act_slope)
        steps, batch, units = U(shape[0]), U(shape[1]), U(shape[2])
        x, params = private(x), private(coefficients)
        (state, now), (states, out) = private(carried), private(store)
        weights, lengths, middle = private(weights), private(lengths), private_array(middle)
        for t in range(steps):
            row = t * batch * units
            b, end = active_run(lengths, t, U(0), batch)
            while b < end:
                for g in range(n_gates):
                    if g != second:
                        add_current(x[gates[g]], row, b, end, units, weights, g, now[recur])
                for i in range(b * units, end * units):
                    middle[i] = between(gather(x, row + i), gather(state, i), gather(params, i), f)
                add_current(x[gates[second]], row, b, end, units, weights, second, middle)
                for i in range(b * units, end * units):
                    before = gather(state, i)
                    given, after = step(gather(x, row + i), before, gather(params, i), f)
                    scatter(states, row + i, before)
                    scatter(out, row + i, given)
                    scatter(now, i, given)
                    scatter(state, i, after)
                b, end = active_run(lengths, t, end, batch)

    return forward


# ---- backward


@jitable
def carry_active(back, through, lengths, t, batch, units, more):
    """`carry` for the samples that have a step t."""
    b, end = active_run(lengths, t, U(0), batch)
    while b < end:
        carry(back, through, b * units, end * units, more)
        b, end = active_run(lengths, t, end, batch)


@jitable
def add_weight_gradients(rec, dx, grad, gates, second, steps, batch):
    """The sums of Products; grad: dx as pointers."""
    if steps > U(0):
        for g in range(len(gates)):
            if g == second:
                rec.dweight[g][:] = np.dot(rec.between.T, dx[gates[g]])
            else:
                later = dx[gates[g]][batch:]
                rec.dweight[g][:] = np.dot(rec.values[:(steps - U(1)) * batch].T, later)
                add_first_rows(rec.dweight[g], rec.initial, grad[gates[g]], batch)


@lru_cache(None)
def backward_kernel(model, spike, slope, activation, recur, with_blas):
    """The backward loop, specialised likewise.

    tape: Kept, without spikes; the rest as in population_kernels.backward_kernel's.
    rec: Products.
    """
    prepare()
    functions = (model.step_adjoint, model.between, model.between_adjoint, spike, slope, activation.value,
                 activation.slope)
    second, place = model.recurrent.index(model.second), model.Out._fields.index(recur)
    product = multiply_blas if with_blas else multiply
    return _compiled_backward(functions, model.gates, second, place, product)


def _compiled_backward(functions, gates, second, recur, product):
    adjoint, between, between_adjoint, spike, slope, act, act_slope = map(jitable, functions)
    mark = fingerprint(*functions, product)

    @compiled(mark, *functions, product)
    def backward(shape, tape, coefficients, k, gradients, dx, sums, rec, lengths):
        mark  # noqa: B018  part of the cache key
        f = Functions(spike, slope, k, act, act_slope)
        steps, batch, units = U(shape[0]), U(shape[1]), U(shape[2])
        (current, states, _), params = private(tape), private(coefficients)
        (dout, back, dstate), (dparams, dinput) = private(gradients), private(sums)
        dx = private_array(dx)
        grad, middle, through = pointer(dx), pointer(rec.between), pointer(rec.product)
        for ago in range(steps):
            t = steps - U(1) - ago
            row, here = t * batch * units, slice(t * batch, (t + U(1)) * batch)
            b = U(0)
            while b < batch:
                begin, end = active_run(lengths, t, b, batch)
                clear_run(grad, row + b * units, row + begin * units)
                for i in range(begin * units, end * units):
                    inputs, before, p = gather(current, row + i), gather(states, row + i), gather(params, i)
                    d, dafter = gather_sum(dout, row + i, back, i), gather(dstate, i)
                    dinputs, dbefore, dp = adjoint(inputs, before, p, f, d, dafter)
                    scatter(grad, row + i, dinputs)
                    scatter(dstate, i, dbefore)
                    accumulate(dparams, i, dp)
                b = end
            product(dx[gates[second]][here], rec.weight_t[second], rec.product)
            b, end = active_run(lengths, t, U(0), batch)
            while b < end:
                for i in range(b * units, end * units):
                    inputs, before, p = gather(current, row + i), gather(states, row + i), gather(params, i)
                    middle[row + i] = between(inputs, before, p, f)
                    dinputs, dbefore, dp = between_adjoint(inputs, before, p, f, through[i])
                    accumulate(grad, row + i, dinputs)
                    accumulate(dstate, i, dbefore)
                    accumulate(dparams, i, dp)
                    accumulate(dinput, i, gather(grad, row + i))
                b, end = active_run(lengths, t, end, batch)
            first = True
            for g in range(len(gates)):
                if g != second:
                    product(dx[gates[g]][here], rec.weight_t[g], rec.product)
                    carry_active(back[recur], through, lengths, t, batch, units, not first)
                    first = False
        add_weight_gradients(rec, dx, grad, gates, second, steps, batch)

    return backward


# ---- what the device calls


def two_stage_forward(
        dynamics: Dynamics, x: Any, start: Start, recurrent: Recurrent | None, want: Want) -> Run:
    """A population with two products a step."""
    model, surrogate, recur = dynamics.model, dynamics.surrogate, dynamics.recur
    last = start.last
    assert recur is not None and last is not None
    x, shape, dtype = contiguous(x), x[0].shape, x[0].dtype
    _, batch, units = shape
    new = buffers.empty if start.lengths is None else buffers.zeros       # padded steps hand out zeros
    taped = model.State._fields if want.tape else ()
    out = with_fields(model.Out, want.stored(recur), lambda name: new(shape, dtype))
    now = with_fields(model.Out, (recur,), lambda name: last.copy())
    states = with_fields(model.State, taped, lambda name: buffers.empty(shape, dtype))
    state = copied(start.state)
    kernel = forward_kernel(model, surrogate.spike, surrogate.slope, dynamics.activation, recur)
    kernel(shape, flat(x), tiled(start.coefficients, batch), surrogate.typed(dtype),
           Carried(flat(state), flat(now)), Stored(flat(states), flat(out)), recurrent,
           np.empty(batch * units, dtype), valid_lengths(start.lengths, shape[0], batch))
    tape = Tape(x, states, start, None, getattr(out, recur)) if want.tape else None
    return Run(want.of(out), None, state, getattr(now, recur), tape)


def two_stage_backward(
        dynamics: Dynamics, tape: Tape, recurrent: Recurrent | None, gradients: Gradients,
        learn: Collection[str]) -> PopulationGradients:
    """The gradients of `two_stage_forward`."""
    model, surrogate, recur = dynamics.model, dynamics.surrogate, dynamics.recur
    assert recurrent is not None and gradients.last is not None
    assert tape.start.last is not None and tape.values is not None
    (steps, batch, units), dtype = tape.current[0].shape, tape.current[0].dtype
    dx = model.Inputs(*(buffers.empty((steps * batch, units), dtype) for _ in model.Inputs._fields))
    dstate, dlast = copied(gradients.state), gradients.last.copy()
    returned = with_fields(model.Out, (recur,), lambda name: dlast)
    biased = model.recurrent if recurrent.bias else ()
    sums = sums_of(dynamics, learn, biased, batch * units, dtype)
    rec = Products(
        weight_t=tuple(np.ascontiguousarray(w.T) for w in recurrent.weight),
        initial=tape.start.last.reshape(-1),
        values=tape.values.reshape(-1, units),
        between=buffers.zeros((steps * batch, units), dtype),
        product=np.empty((batch, units), dtype),
        dweight=tuple(map(np.zeros_like, recurrent.weight)))
    kernel = backward_kernel(
        model, surrogate.spike, surrogate.slope, dynamics.activation, recur, blas.usable())
    kernel((steps, batch, units), Kept(flat(tape.current), flat(tape.states), None),
           tiled(tape.start.coefficients, batch), surrogate.typed(dtype),
           Incoming(flat(contiguous(gradients.out)), flat(returned), flat(dstate)), dx, sums, rec,
           valid_lengths(tape.start.lengths, steps, batch))
    dparams, dinputs = (summed(s, (batch, units)) for s in sums)
    current = model.Inputs(*(a.reshape(steps, batch, units) for a in dx))
    dbias = tuple(getattr(dinputs, name) for name in biased) or None
    return PopulationGradients(current, dstate, dlast, dparams, rec.dweight, dbias)
