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
from ..tiny import flush_tiny, restore
from .fields import gather, private, scatter
from .population import Shape as Steps, copied, flat, shape_of, tiled, valid_lengths
from .population_kernels import Carried, Stored, forward_kernel
from .rows import U
from .step import shifted


class Shape(NamedTuple):
    steps: int
    batch: int
    units: int
    wide: int           # of a row of traces
    rows: int           # inputs of each current


class Constants(NamedTuple):
    k: Any              # constants of the surrogate
    unit: tuple         # (Out, State) of arrays (C + 1): the unit vectors
    learned: np.ndarray     # indices of fields of Params
    factors: Factors


class Neurons(NamedTuple):
    """Of one sample in one step, in buffers (P): what `step_adjoint` takes.

    As a Jacobian, in buffers ((C + 1) * P): what it gives for each component of the state and the output.
    """
    inputs: Any         # Inputs
    states: Any         # State
    params: Any         # Params


@jitable
def copy(to, values, n):
    """To one place, which LLVM knows: of a pointer chosen out of a tuple it knows nothing."""
    for i in range(n):
        to[i] = values[i]


def differentiate(adjoint, here, f, unit, jacobian, wide):
    """The gradients of each component of the state and of the output, of all neurons of a sample.

    In one loop, so that what they have in common is computed once.
    """


@overload(differentiate, jit_options=INLINE)
def _differentiate(adjoint, here, f, unit, jacobian, wide):
    body = ["inputs, state, p = gather(x, n), gather(s, n), gather(params, n)"]
    for i in range(len(here.types[1].types) + 1):
        body += [f"a, b, c = adjoint(inputs, state, p, f, gather(out, U({i})), gather(after, U({i})))",
                 f"scatter(da, U({i}) * wide + n, a)", f"scatter(db, U({i}) * wide + n, b)",
                 f"scatter(dc, U({i}) * wide + n, c)"]
    text = ["x, s, params = here", "(out, after), (da, db, dc) = unit, jacobian", "for n in range(wide):"]
    source = "def g(adjoint, here, f, unit, jacobian, wide):\n    "
    source += "\n    ".join([*text, *("    " + one for one in body)])
    return written_function(source.replace("def g", "def f"), U=U, gather=gather, scatter=scatter)


def advance(eligible, row, rows, wide, states, drive, x, first, signal, factors):
    """One step of some rows of traces; drive (of a Jacobian) times x[first], x[first + 1] ... comes in."""


@overload(advance, jit_options=INLINE)
def _advance(eligible, row, rows, wide, states, drive, x, first, signal, factors):
    n = len(states.types)

    def line(i):
        terms = [f"j{c}[U({i}) * wide + n] * e{c}" for c in range(n)]
        return " + ".join([*terms, f"d[U({i}) * wide + n] * given"])
    arrays = {"out": "eligible.out", "sums": "eligible.sums", "d": "drive", "s": "signal"}
    for c in range(n):
        arrays |= {f"t{c}": f"eligible.state[{c}]", f"j{c}": f"states[{c}]"}
    body = [f"e{c} = t{c}[o + n]" for c in range(n)]
    body += [f"t{c}[o + n] = {line(c)}" for c in range(n)]
    body += [f"f = kappa * out[o + n] + ({line(n)})", "out[o + n] = f",
             "sums[o + n] = keep * sums[o + n] + s[n] * f"]
    text = [f"{name} = shifted({array}, U(0))" for name, array in arrays.items()]
    text += ["kappa, keep = factors", "for r in range(rows):",
             "    o, given = (row + r) * wide, x[first + r]", "    for n in range(wide):"]
    text += ["        " + one for one in body]
    source = "def f(eligible, row, rows, wide, states, drive, x, first, signal, factors):\n    "
    return written_function(source + "\n    ".join(text), U=U, shifted=shifted)


@lru_cache(None)
def eligibility_kernel(model, spike, slope, activation):
    """The loop, specialised for a model, a surrogate and an activation.

    passed: Neurons of arrays (S * B * N), coefficients (N).  rows (S * B * K).  signal, through: S * B * N.
    """
    prepare()
    functions = model.step_adjoint, spike, slope, activation.value, activation.slope
    adjoint, spike, slope, act, act_slope = map(jitable, functions)
    components, n_inputs = len(model.State._fields), len(model.Inputs._fields)
    mark = fingerprint(*functions)

    @compiled(mark, model.State, *functions)
    def eligibility(shape, passed, constants, rows, signal, through, eligible, buffers, lengths):
        mark  # noqa: B018  part of the cache key
        word = flush_tiny()
        k, unit, learned, factors = constants
        f = Functions(spike, slope, k, act, act_slope)
        steps, batch, units, wide = U(shape.steps), U(shape.batch), U(shape.units), U(shape.wide)
        n_rows, n_learned = U(shape.rows), U(learned.shape[0])
        (current, states, params), unit = private(passed), private(unit)
        x, given, through, eligible = private(rows), private(signal), private(through), private(eligible)
        (here, jacobian), (drive, learning, one) = private(buffers[0]), private(buffers[1])
        for n in range(units):
            scatter(here.params, n, gather(params, n))
        for b in range(batch):
            first = b * (n_rows * U(n_inputs) + n_learned)
            for t in range(min(steps, U(lengths[b]))):
                o = (t * batch + b) * units
                for n in range(units):
                    scatter(here.inputs, n, gather(current, o + n))
                    scatter(here.states, n, gather(states, o + n))
                differentiate(adjoint, here, f, unit, jacobian, wide)
                for n in range(units):
                    learning[n] = given[o + n]
                row = first
                for g in range(n_inputs):
                    for n in range(units):
                        through[g][o + n] = given[o + n] * jacobian.inputs[g][U(components) * wide + n]
                    copy(drive, jacobian.inputs[g], U(components + 1) * wide)
                    advance(eligible, row, n_rows, wide, jacobian.states, drive, x, (t * batch + b) * n_rows,
                            learning, factors)
                    row += n_rows
                for q in range(n_learned):
                    copy(drive, jacobian.params[learned[q]], U(components + 1) * wide)
                    advance(eligible, row, U(1), wide, jacobian.states, drive, one, U(0), learning, factors)
                    row += U(1)
        restore(word)

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
    return Passed(start, output, x, states, out, state, getattr(now, recur) if recur else None)


def eligibility_step(dynamics: Dynamics, passed: Passed, rows: np.ndarray, signal: np.ndarray,
                     learned: np.ndarray, factors: Factors, eligible: Eligible) -> Any:
    model, surrogate, (steps, batch, units) = dynamics.model, dynamics.surrogate, signal.shape
    dtype, wide, start = signal.dtype, eligible.sums.shape[2], passed.start
    through = model.Inputs(*(np.zeros_like(signal) for _ in model.Inputs._fields))
    kernel = eligibility_kernel(model, surrogate.spike, surrogate.slope, dynamics.activation)
    constants = Constants(surrogate.typed(dtype), units_of(model, passed.output, dtype), learned,
                          Factors(*map(dtype.type, factors)))
    kernel(Shape(steps, batch, units, wide, rows.shape[2]),
           Neurons(flat(passed.current), flat(passed.states), start.coefficients), constants,
           rows.reshape(-1), signal.reshape(-1), flat(through), _flat(eligible),
           _buffers(model, wide, dtype), valid_lengths(start.lengths, steps, batch))
    return through


def _flat(eligible):
    """Of vectors, each component by itself: LLVM must see that they do not overlap."""
    return Eligible(tuple(a.reshape(-1) for a in eligible.state), eligible.out.reshape(-1),
                    eligible.sums.reshape(-1))


def _buffers(model, wide, dtype):
    """((here, Jacobian), (drive, signal, one)): working space for a sample.

    Coefficients behind the last neuron are 1: a model may divide by them.
    """
    n = len(model.State._fields) + 1

    def neurons(size, params):
        return Neurons(*(kind(*(fill(size, dtype) for _ in kind._fields)) for kind, fill in (
            (model.Inputs, np.zeros), (model.State, np.zeros), (model.Params, params))))
    return ((neurons(wide, np.ones), neurons(n * wide, np.zeros)),
            (np.zeros(n * wide, dtype), np.zeros(wide, dtype), np.ones(1, dtype)))
