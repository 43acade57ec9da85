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
from .addresses import at, shifted
from .fields import gather, private, scatter
from .population import copied, flat, recurrent_currents, shape_of, tiled, valid_lengths
from .population_kernels import Carried, Stored, forward_kernel
from .rows import U
from .step import pointed


class Shape(NamedTuple):
    steps: int
    batch: int
    units: int
    wide: int           # of a row of traces
    rows: int           # inputs of each current


class Traces(NamedTuple):
    """`Eligible` as vectors; each component by itself, so that LLVM sees that they do not overlap."""
    state: Any          # State
    out: Any
    sums: Any


class Constants(NamedTuple):
    k: Any                  # constants of the surrogate
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


@jitable
def bring_on(eligible, row, jacobian, working, given, learned, factors, sizes):
    """One step of all rows of a sample, the first of which is `row`."""
    (drive, learning, one), (x, first), (rows, wide, n) = working, given, sizes
    for g in range(len(jacobian.inputs)):
        copy(drive, jacobian.inputs[g], n)
        advance(eligible, row, rows, wide, jacobian.states, drive, x, first, learning, factors)
        row += rows
    for q in range(learned.shape[0]):
        copy(drive, jacobian.params[learned[q]], n)
        advance(eligible, row, U(1), wide, jacobian.states, drive, one, U(0), learning, factors)
        row += U(1)


def places(model):
    """Where in a Space the addresses of State, Params, a Jacobian, unit states, traces, the rest begin."""
    of_state = len(model.Inputs._fields)
    of_params = of_state + len(model.State._fields)
    n_here = of_params + len(model.Params._fields)
    of_unit_state = 2 * n_here + len(model.Out._fields)
    others = of_unit_state + len(model.State._fields)
    return of_state, of_params, n_here, of_unit_state, others, others + len(model.State._fields)


@lru_cache(None)
def eligibility_kernel(model, spike, slope, activation):
    """The loop, specialised for a model, a surrogate and an activation.

    passed: Neurons of arrays (S * B * N), coefficients (N).  fixed: addresses of a Space.
    """
    prepare()
    functions = model.step_adjoint, spike, slope, activation.value, activation.slope
    adjoint, spike, slope, act, act_slope = map(jitable, functions)
    Inputs, State, Params, Out = model.Inputs, model.State, model.Params, model.Out
    components, n_inputs = len(State._fields), len(Inputs._fields)
    of_state, of_params, n_here, of_unit_state, others, rest = places(model)
    mark = fingerprint(*functions)

    @compiled(mark, State, *functions)
    def eligibility(shape, passed, constants, rows, signal, through, fixed, lengths):
        mark  # noqa: B018  part of the cache key
        word = flush_tiny()
        k, learned, factors = constants
        f = Functions(spike, slope, k, act, act_slope)
        steps, batch, units, wide = U(shape.steps), U(shape.batch), U(shape.units), U(shape.wide)
        n_rows, n_learned = U(shape.rows), U(learned.shape[0])
        (current, states, params), x, given = private(passed), private(rows), private(signal)
        through = private(through)
        here = Neurons(pointed(Inputs, x, fixed, 0), pointed(State, x, fixed, of_state),
                       pointed(Params, x, fixed, of_params))
        jacobian = Neurons(pointed(Inputs, x, fixed, n_here), pointed(State, x, fixed, n_here + of_state),
                           pointed(Params, x, fixed, n_here + of_params))
        unit = pointed(Out, x, fixed, 2 * n_here), pointed(State, x, fixed, of_unit_state)
        eligible = Traces(pointed(State, x, fixed, others), at(x, fixed[rest]), at(x, fixed[rest + 1]))
        drive, learning, one = at(x, fixed[rest + 2]), at(x, fixed[rest + 3]), at(x, fixed[rest + 4])
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
                for g in range(n_inputs):
                    for n in range(units):
                        through[g][o + n] = given[o + n] * jacobian.inputs[g][U(components) * wide + n]
                bring_on(eligible, first, jacobian, (drive, learning, one), (x, (t * batch + b) * n_rows),
                         learned, factors, (n_rows, wide, U(components + 1) * wide))
        restore(word)

    return eligibility


def eligibility_forward(dynamics: Dynamics, x: Any, start: Start, recurrent: Recurrent | None, output: str,
                        eligible: Eligible) -> Passed:
    """The steps of a population whose traces follow; see contract.py."""
    model, recur, space = dynamics.model, dynamics.recur, _space(dynamics, output, eligible)
    (steps, batch, units), dtype = x[0].shape, x[0].dtype
    make = np.empty if start.lengths is None else np.zeros      # padded steps hand out zeros
    out = with_fields(model.Out, {output, recur}, lambda name: make(steps * batch * units, dtype))
    now = with_fields(model.Out, {recur}, lambda name: np.array(start.last, dtype))
    states = model.State(*(np.empty(steps * batch * units, dtype) for _ in model.State._fields))
    state, shape, currents = copied(start.state), shape_of(x), flat(x)
    coefficients = start.coefficients if shape.group == 1 else tiled(start.coefficients, shape.group)
    space.forward(shape, currents, coefficients, space.k, Carried(flat(state), flat(now)),
                  Stored(states, out), recurrent_currents(dynamics, currents, recurrent, now, None), None,
                  valid_lengths(start.lengths, steps, batch))
    return Passed(start, output, currents, states, out, state, getattr(now, recur) if recur else None)


def eligibility_step(dynamics: Dynamics, passed: Passed, rows: np.ndarray, signal: np.ndarray,
                     learned: np.ndarray, factors: Factors, eligible: Eligible) -> Any:
    """The traces over these steps, in one compiled loop; see contract.py."""
    (steps, batch, units), start = signal.shape, passed.start
    space, real = _space(dynamics, passed.output, eligible), signal.dtype.type
    through = dynamics.model.Inputs(*(np.zeros(signal.size, real) for _ in dynamics.model.Inputs._fields))
    constants = Constants(space.k, learned, Factors(real(factors.kappa), real(factors.keep)))
    space.step(Shape(steps, batch, units, eligible.sums.shape[2], rows.shape[2]),
               Neurons(passed.current, passed.states, start.coefficients), constants,
               rows.reshape(-1), signal.reshape(-1), through, space.fixed,
               valid_lengths(start.lengths, steps, batch))
    return type(through)(*(a.reshape(signal.shape) for a in through))


class Space(NamedTuple):
    """What stays the same from call to call."""
    forward: Any            # compiled loops
    step: Any
    k: Any                  # constants of the surrogate
    arrays: tuple           # the next ones, which live as long as their addresses are used
    fixed: np.ndarray       # addresses of working space, unit vectors, traces, and more working space


def _space(dynamics, output, eligible):
    """The space of these traces, made at the first call."""
    if "cpu" not in eligible.space:
        model, surrogate, dtype = dynamics.model, dynamics.surrogate, eligible.sums.dtype
        functions = model, surrogate.spike, surrogate.slope, dynamics.activation
        wide, n = eligible.sums.shape[2], len(model.State._fields) + 1
        kinds = model.Inputs, model.State, model.Params
        arrays = []
        for size in (wide, n * wide):
            # coefficients behind the last neuron are 1: a model may divide by them
            arrays += [np.full(size, float(kind is model.Params and size == wide), dtype)
                       for kind in kinds for _ in kind._fields]
        for unit in units_of(model, output, dtype):
            arrays += unit
        arrays += [*eligible.state, eligible.out, eligible.sums]
        arrays += [np.zeros(n * wide, dtype), np.zeros(wide, dtype), np.ones(1, dtype)]
        addresses = np.array([a.ctypes.data for a in arrays], np.int64)
        eligible.space["cpu"] = Space(
            forward_kernel(*functions), eligibility_kernel(*functions),
            surrogate.typed(dtype), tuple(arrays), addresses)
    return eligible.space["cpu"]
