"""Populations with two products a step on the CPU, where the second takes what the first decided (a model's SECOND and `between`).

Structure of a step over one chunk, all of it as in population.py but for values only, no spikes:

    products of what recurs -> `between`, elementwise -> its product -> `step`, elementwise

The backward pass goes the same way back; what came of `between` is computed anew there.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import njit

from ...neurons.model import Functions
from .. import buffers
from ..access import accumulate, clear, gather, gather_sum, scatter
from ..contract import PopulationGradients, Run, Tape
from ..jit import (
    OPTIONS,
    fingerprint,
    jitable,
    pointer,
    prepare,
    private,
    private_array,
)
from . import blas
from .population import (
    U,
    active_run,
    add_bias,
    add_first_rows,
    carry,
    fields,
    flat,
    tiled,
)
from .rows import add_values, multiply, multiply_blas


class Products(NamedTuple):
    """What the backward loop reads and adds up."""
    weight_t: tuple             # for each current that the recurrence feeds (N, N), to, from
    initial: np.ndarray         # (B * N): what recurred into the first step
    values: np.ndarray          # (T * B, N): what recurred
    between: np.ndarray         # (T * B, N): zeros; what `between` gave
    product: np.ndarray         # (B, N) working space
    dweight: tuple              # for each of them (N, N), a sum


def _captured(model, activation):
    """(functions, index of each current that the recurrence feeds, place of the second among them)."""
    functions = tuple(map(jitable, (model.step, model.step_adjoint, model.between, model.between_adjoint, activation.value, activation.slope)))
    return functions, model.gates, model.recurrent.index(model.second)


@lru_cache(None)
def forward_kernel(model, spike, slope, activation, recur):
    """The forward loop, specialised for a model, an activation and the field that recurs."""
    prepare()
    (step, _, between, _, act, act_slope), gates, second = _captured(model, activation)
    spike, slope, recur, n_gates = jitable(spike), jitable(slope), model.Out._fields.index(recur), len(gates)
    mark = fingerprint(step, between, spike, slope, act, act_slope)

    @njit(**OPTIONS)
    def forward(shape, x, coefficients, k, carried, store, weights, middle, lengths):
        """Arguments as those of cpu_population's; weights: Recurrent.  middle: buffer (B * N) of what `between` gives."""
        mark  # noqa: B018  part of the cache key
        f = Functions(spike, slope, k, act, act_slope)
        steps, batch, units = U(shape[0]), U(shape[1]), U(shape[2])
        x, params, (state, now), (states, out) = private(x), private(coefficients), private(carried), private(store)
        weights, lengths, middle = private(weights), private(lengths), private_array(middle)
        for t in range(steps):
            row = t * batch * units
            b, end = active_run(lengths, t, U(0), batch)
            while b < end:
                for g in range(n_gates):
                    if g != second:
                        for s in range(b, end):
                            add_bias(x[gates[g]], row + s * units, weights.bias, g, units)
                            add_values(x[gates[g]], row + s * units, weights.weight[g], units, units, now[recur], s * units)
                for i in range(b * units, end * units):
                    middle[i] = between(gather(x, row + i), gather(state, i), gather(params, i), f)
                for s in range(b, end):
                    add_bias(x[gates[second]], row + s * units, weights.bias, second, units)
                    add_values(x[gates[second]], row + s * units, weights.weight[second], units, units, middle, s * units)
                for i in range(b * units, end * units):
                    before = gather(state, i)
                    o, after = step(gather(x, row + i), before, gather(params, i), f)
                    scatter(states, row + i, before)
                    scatter(out, row + i, o)
                    scatter(now, i, o)
                    scatter(state, i, after)
                b, end = active_run(lengths, t, end, batch)

    return forward


@lru_cache(None)
def backward_kernel(model, spike, slope, activation, recur, with_blas):
    """The backward loop, specialised likewise."""
    prepare()
    (_, adjoint, between, between_adjoint, act, act_slope), gates, second = _captured(model, activation)
    spike, slope, recur, n_gates = jitable(spike), jitable(slope), model.Out._fields.index(recur), len(gates)
    product = multiply_blas if with_blas else multiply
    mark = fingerprint(adjoint, between, between_adjoint, spike, slope, act, act_slope, product)

    @njit(**OPTIONS)
    def backward(shape, tape, coefficients, k, gradients, dx, sums, rec, lengths):
        """tape: (Inputs, State) of arrays (T * B * N); the rest as in cpu_population's.  rec: Products."""
        mark  # noqa: B018  part of the cache key
        f = Functions(spike, slope, k, act, act_slope)
        steps, batch, units = U(shape[0]), U(shape[1]), U(shape[2])
        (current, states), params = private(tape), private(coefficients)
        (dout, back, dstate), (dparams, dinput) = private(gradients), private(sums)
        dx = private_array(dx)
        grad, middle, through = pointer(dx), pointer(rec.between), pointer(rec.product)
        for ago in range(steps):
            t = steps - U(1) - ago
            row, here = t * batch * units, slice(t * batch, (t + U(1)) * batch)
            b = U(0)
            while b < batch:
                begin, end = active_run(lengths, t, b, batch)
                for i in range(b * units, begin * units):
                    clear(grad, row + i)
                for i in range(begin * units, end * units):
                    before = gather(states, row + i)
                    dinputs, dbefore, dp = adjoint(gather(current, row + i), before, gather(params, i), f,
                                                   gather_sum(dout, row + i, back, i), gather(dstate, i))
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
            for g in range(n_gates):
                if g != second:
                    product(dx[gates[g]][here], rec.weight_t[g], rec.product)
                    b, end = active_run(lengths, t, U(0), batch)
                    while b < end:
                        carry(back[recur], through, b * units, end * units, not first)
                        b, end = active_run(lengths, t, end, batch)
                    first = False
        if steps > U(0):
            for g in range(n_gates):
                if g == second:
                    rec.dweight[g][:] = np.dot(rec.between.T, dx[gates[g]])
                else:
                    rec.dweight[g][:] = np.dot(rec.values[:(steps - U(1)) * batch].T, dx[gates[g]][batch:])
                    add_first_rows(rec.dweight[g], rec.initial, grad[gates[g]], batch)

    return backward


def two_stage_forward(dynamics, x, start, recurrent, want):
    model, surrogate, recur = dynamics.model, dynamics.surrogate, dynamics.recur
    shape, dtype = x[0].shape, x[0].dtype
    kernel = forward_kernel(model, surrogate.spike, surrogate.slope, dynamics.activation, recur)
    new = buffers.empty if start.lengths is None else buffers.zeros       # padded steps hand out zeros
    kept = set(want.fields) | ({recur} if want.tape else set())
    out = fields(model.Out, lambda name: new(shape, dtype) if name in kept else None)
    now = fields(model.Out, lambda name: start.last.copy() if name == recur else None)
    states = fields(model.State, lambda name: buffers.empty(shape, dtype) if want.tape else None)
    state = model.State(*(a.copy() for a in start.state))
    kernel(shape, flat(x), tiled(start.coefficients, shape[1]), surrogate.typed(dtype), (flat(state), flat(now)), (flat(states), flat(out)),
           recurrent, np.empty(shape[1] * shape[2], dtype), start.lengths)
    tape = Tape(x, states, start, None, getattr(out, recur)) if want.tape else None
    return Run(fields(model.Out, lambda name: getattr(out, name) if name in want.fields else None), None, state, getattr(now, recur), tape)


def two_stage_backward(dynamics, tape, recurrent, gradients, learn):
    model, surrogate, recur = dynamics.model, dynamics.surrogate, dynamics.recur
    (steps, batch, units), dtype = tape.current[0].shape, tape.current[0].dtype
    kernel = backward_kernel(model, surrogate.spike, surrogate.slope, dynamics.activation, recur, blas.usable())
    dx = fields(model.Inputs, lambda name: buffers.empty((steps * batch, units), dtype))
    dstate, dlast = model.State(*(a.copy() for a in gradients.state)), gradients.last.copy()
    biased = model.recurrent if recurrent.bias else ()
    sums = (fields(model.Params, lambda name: np.zeros(batch * units, dtype) if name in learn else None),
            fields(model.Inputs, lambda name: np.zeros(batch * units, dtype) if name in biased else None))
    rec = Products(tuple(np.ascontiguousarray(w.T) for w in recurrent.weight), tape.start.last.reshape(-1), tape.values.reshape(-1, units),
                   buffers.zeros((steps * batch, units), dtype), np.empty((batch, units), dtype), tuple(map(np.zeros_like, recurrent.weight)))
    kernel((steps, batch, units), (flat(tape.current), flat(tape.states)), tiled(tape.start.coefficients, batch), surrogate.typed(dtype),
           (flat(gradients.out), flat(fields(model.Out, lambda name: dlast if name == recur else None)), flat(dstate)), dx, sums, rec,
           tape.start.lengths)
    dparams, dinputs = (type(s)(*(None if a is None else a.reshape(batch, units).sum(0) for a in s)) for s in sums)
    return PopulationGradients(model.Inputs(*(a.reshape(steps, batch, units) for a in dx)), dstate, dlast, dparams, rec.dweight,
                               tuple(getattr(dinputs, name) for name in biased) or None)
