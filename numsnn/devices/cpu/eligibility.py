"""Eligibility traces on the CPU (see devices/eligibility.py): a compiled loop for each model.

Sample by sample, so that its traces stay in the fastest cache for all steps of a call.  In each step the unit
vectors go through the model's `step_adjoint`, to a small buffer; then each row of traces takes one flat loop
over the neurons.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload

from ...neurons.model import Functions
from ..contract import Dynamics, Recurrent, Start, with_fields
from ..eligibility import Eligible, Factors, Passed, units_of
from ..jit import INLINE, compiled, fingerprint, jitable, prepare, written_function
from .fields import gather, private, scatter
from .population import Shape as Steps, copied, flat, shape_of, tiled, valid_lengths
from .population_kernels import Carried, Stored, forward_kernel
from .rows import U


class Shape(NamedTuple):
    steps: int
    batch: int
    units: int
    wide: int           # of a row of traces
    rows: int           # inputs of each current


class Jacobian(NamedTuple):
    """Of one sample in one step, in buffers ((C + 1) * P): from each component of the state and the output."""
    inputs: Any         # Inputs
    states: Any         # State
    coefficients: Any   # Params


def advance(eligible, row, wide, states, drive, x, signal, kappa, keep):
    """One step of a row of traces; drive (of a Jacobian) times x is what comes in."""


@overload(advance, jit_options=INLINE)
def _advance(eligible, row, wide, states, drive, x, signal, kappa, keep):
    n = len(states.types)

    def line(i):
        terms = [f"states[{c}][U({i}) * wide + n] * e{c}" for c in range(n)]
        return " + ".join([*terms, f"drive[U({i}) * wide + n] * x"])
    body = [f"e{c} = eps[first + U({c}) * wide + n]" for c in range(n)]
    body += [f"eps[first + U({c}) * wide + n] = {line(c)}" for c in range(n)]
    body += [f"f = kappa * out[o + n] + ({line(n)})", "out[o + n] = f",
             "sums[o + n] = keep * sums[o + n] + signal[n] * f"]
    begin = ["eps, out, sums = eligible", "o = row * wide", f"first = row * wide * U({n})",
             "for n in range(wide):"]
    text = "\n    ".join([*begin, *("    " + one for one in body)])
    return written_function(f"def f(eligible, row, wide, states, drive, x, signal, kappa, keep):\n    {text}",
                            U=U)


@lru_cache(None)
def eligibility_kernel(model, spike, slope, activation):
    """The loop, specialised for a model, a surrogate and an activation.

    passed: (Inputs, State) of arrays (S * B * N).  unit: (Out, State) of arrays (C + 1).  through: Inputs of
    arrays (S * B * N).  learned: indices of fields of Params.
    """
    prepare()
    functions = model.step_adjoint, spike, slope, activation.value, activation.slope
    adjoint, spike, slope, act, act_slope = map(jitable, functions)
    components, n_inputs = len(model.State._fields), len(model.Inputs._fields)
    mark = fingerprint(*functions)

    @compiled(mark, model.State, *functions)
    def eligibility(shape, passed, coefficients, k, unit, rows, signal, through, learned, factors, eligible,
                    jacobian, lengths):
        mark  # noqa: B018  part of the cache key
        f = Functions(spike, slope, k, act, act_slope)
        steps, batch, units, wide = U(shape.steps), U(shape.batch), U(shape.units), U(shape.wide)
        n_rows, n_learned, (kappa, keep) = U(shape.rows), U(learned.shape[0]), factors
        (current, states), params, (d_out, d_state) = private(passed), private(coefficients), private(unit)
        x, given, through, eligible = private(rows), private(signal), private(through), private(eligible)
        (of_inputs, of_states, of_params), learning = private(jacobian[0]), private(jacobian[1])
        for b in range(batch):
            first = b * (n_rows * U(n_inputs) + n_learned)
            for t in range(min(steps, U(lengths[b]))):
                o = (t * batch + b) * units
                for i in range(components + 1):
                    dout, dafter = gather(d_out, i), gather(d_state, i)
                    for n in range(units):
                        dinputs, dbefore, dp = adjoint(gather(current, o + n), gather(states, o + n),
                                                       gather(params, n), f, dout, dafter)
                        scatter(of_inputs, U(i) * wide + n, dinputs)
                        scatter(of_states, U(i) * wide + n, dbefore)
                        scatter(of_params, U(i) * wide + n, dp)
                for n in range(units):
                    learning[n] = given[o + n]
                row = first
                for g in range(n_inputs):
                    for n in range(units):
                        through[g][o + n] = given[o + n] * of_inputs[g][U(components) * wide + n]
                    for r in range(n_rows):
                        advance(eligible, row, wide, of_states, of_inputs[g], x[(t * batch + b) * n_rows + r],
                                learning, kappa, keep)
                        row += U(1)
                for q in range(n_learned):
                    advance(eligible, row, wide, of_states, of_params[learned[q]], keep * 0 + 1, learning,
                            kappa, keep)
                    row += U(1)

    return eligibility


def eligibility_forward(dynamics: Dynamics, x: Any, start: Start, recurrent: Recurrent | None,
                        output: str) -> Passed:
    model, surrogate, recur = dynamics.model, dynamics.surrogate, dynamics.recur
    (steps, batch, units), dtype = x[0].shape, x[0].dtype
    make = np.empty if start.lengths is None else np.zeros      # padded steps hand out zeros
    out = with_fields(model.Out, {output, recur}, lambda name: make((steps, batch, units), dtype))
    now = with_fields(model.Out, {recur}, lambda name: np.array(start.last, dtype))
    states = model.State(*(np.empty((steps, batch, units), dtype) for _ in model.State._fields))
    state, shape = copied(start.state), shape_of(x)
    kernel = forward_kernel(model, surrogate.spike, surrogate.slope, dynamics.activation, recur)
    kernel(Steps(*shape), flat(x), tiled(start.coefficients, shape.group), surrogate.typed(dtype),
           Carried(flat(state), flat(now)), Stored(flat(states), flat(out)), recurrent, None,
           valid_lengths(start.lengths, steps, batch))
    return Passed(x, states, out, state, getattr(now, recur) if recur else None)


def eligibility_step(dynamics: Dynamics, output: str, passed: Passed, start: Start, rows: np.ndarray,
                     signal: np.ndarray, learned: np.ndarray, factors: Factors, eligible: Eligible) -> Any:
    model, surrogate, (steps, batch, units) = dynamics.model, dynamics.surrogate, signal.shape
    dtype, wide = signal.dtype, eligible.sums.shape[2]
    space = np.zeros((len(model.Inputs._fields) + len(model.State._fields) + len(model.Params._fields),
                      (len(model.State._fields) + 1) * wide), dtype)
    parts, jacobian = iter(space), []
    for kind in (model.Inputs, model.State, model.Params):
        jacobian.append(kind(*(next(parts) for _ in kind._fields)))
    through = model.Inputs(*(np.zeros_like(signal) for _ in model.Inputs._fields))
    kernel = eligibility_kernel(model, surrogate.spike, surrogate.slope, dynamics.activation)
    kernel(Shape(steps, batch, units, wide, rows.shape[2]), (flat(passed.current), flat(passed.states)),
           start.coefficients, surrogate.typed(dtype), units_of(model, output, dtype), rows.reshape(-1),
           signal.reshape(-1), flat(through), learned, Factors(*map(dtype.type, factors)), flat(eligible),
           (Jacobian(*jacobian), np.zeros(wide, dtype)), valid_lengths(start.lengths, steps, batch))
    return through
