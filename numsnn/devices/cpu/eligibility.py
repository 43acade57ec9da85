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
from .population import flat, recurrent_currents, shape_of, tiled, valid_lengths
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
    """The loop of a model, a surrogate, an activation; fixed: addresses of a Space, room: of a Room."""
    prepare()
    functions = model.step_adjoint, spike, slope, activation.value, activation.slope
    adjoint, spike, slope, act, act_slope = map(jitable, functions)
    Inputs, State, Params, Out = model.Inputs, model.State, model.Params, model.Out
    components, n_inputs = len(State._fields), len(Inputs._fields)
    of_state, of_params, n_here, of_unit_state, others, rest = places(model)
    mark = fingerprint(*functions)

    @compiled(mark, State, *functions)
    def eligibility(shape, constants, rows, signal, fixed, room, lengths):
        mark  # noqa: B018  part of the cache key
        word = flush_tiny()
        k, learned, factors = constants
        f = Functions(spike, slope, k, act, act_slope)
        steps, batch, units, wide = U(shape.steps), U(shape.batch), U(shape.units), U(shape.wide)
        n_rows, n_learned = U(shape.rows), U(learned.shape[0])
        x, given = private(rows), private(signal)
        current, states = pointed(Inputs, x, room, 0), pointed(State, x, room, of_state)
        params, through = pointed(Params, x, room, of_params), pointed(Inputs, x, room, n_here)
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


class Room:
    """The arrays of a few steps of a population, and what its loops take of them, made once.

    What lies in them is there until the next steps of the same traces.
    """

    def __init__(self, dynamics: Dynamics, like: Any, output: str):
        """like: Inputs of arrays (S, B, N)."""
        model, recur, dtype = dynamics.model, dynamics.recur, like[0].dtype
        steps, batch, units = like[0].shape

        def sequence(_):
            return np.zeros(like[0].shape, dtype)

        def step(_):
            return np.zeros((batch, units), dtype)

        every = model.Inputs._fields
        self.current = with_fields(model.Inputs, every, sequence)
        self.through = with_fields(model.Inputs, every, sequence)
        self.states = flat(with_fields(model.State, model.State._fields, sequence))
        self.out = flat(with_fields(model.Out, {output, recur}, sequence))
        self.state = with_fields(model.State, model.State._fields, step)
        now = with_fields(model.Out, {recur}, step)
        self.last = getattr(now, recur) if recur else None
        self.recurrent: Recurrent | None = None
        self.call: Any = None
        self.given: Any = None          # coefficients
        self.params = with_fields(model.Params, model.Params._fields, lambda _: np.zeros(units, dtype))
        self.now, self.dynamics, self.shape = now, dynamics, shape_of(like)
        self.lengths = valid_lengths(None, steps, batch)
        arrays = *self.current, *self.states, *self.params, *self.through
        self.fixed = np.array([a.ctypes.data for a in arrays], np.int64)
        self.taken = flat(self.current), Carried(flat(self.state), flat(now)), Stored(self.states, self.out)

    def take(self, x: Any, start: Start, recurrent: Recurrent | None) -> None:
        """Put in what comes in; what is there already is not moved."""
        for mine, given in zip(self.current, x, strict=True):
            mine[...] = given
        if start.state is not self.state:
            for mine, given in zip(self.state, start.state, strict=True):
                mine[...] = given
        if self.last is not None and start.last is not self.last:
            self.last[...] = start.last
        if start.coefficients is not self.given:
            self.given, self.tiled = start.coefficients, tiled(start.coefficients, self.shape.group)
            for mine, given in zip(self.params, start.coefficients, strict=True):
                mine[...] = given
        if recurrent is not self.recurrent:
            self.recurrent = recurrent
            self.call = recurrent_currents(self.dynamics, self.current, recurrent, self.now, None)

    def lengths_of(self, start: Start, written: Any) -> np.ndarray:
        """(B + 1,); what is written of padded steps is 0."""
        if start.lengths is None:
            return self.lengths
        for array in written:
            if array is not None:
                array.fill(0)
        return valid_lengths(start.lengths, self.shape.steps, self.shape.batch)


def eligibility_forward(dynamics: Dynamics, x: Any, start: Start, recurrent: Recurrent | None, output: str,
                        eligible: Eligible) -> Passed:
    """The steps of a population whose traces follow; see contract.py."""
    space, room = _space(dynamics, output, eligible), _room(dynamics, x, output, eligible)
    room.take(x, start, recurrent)
    current, carried, stored = room.taken
    space.forward(room.shape, current, room.tiled, space.k, carried, stored, room.call, None,
                  room.lengths_of(start, room.out))
    return Passed(start, output, current, room.states, room.out, room.state, room.last)


def eligibility_step(dynamics: Dynamics, passed: Passed, rows: np.ndarray, signal: np.ndarray,
                     learned: np.ndarray, factors: Factors, eligible: Eligible) -> Any:
    """The traces over these steps, in one compiled loop; see contract.py."""
    steps, batch, units = signal.shape
    space, real = _space(dynamics, passed.output, eligible), signal.dtype.type
    room = eligible.space["room"]
    constants = Constants(space.k, learned, Factors(real(factors.kappa), real(factors.keep)))
    space.step(Shape(steps, batch, units, eligible.sums.shape[2], rows.shape[2]), constants, rows.reshape(-1),
               signal.reshape(-1), space.fixed, room.fixed, room.lengths_of(passed.start, room.through))
    return room.through


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


def _room(dynamics, like, output, eligible):
    """The arrays for as many steps as these, those of the steps before if they were as many."""
    room = eligible.space.get("room")
    if room is None or room.current[0].shape != like[0].shape:
        room = eligible.space["room"] = Room(dynamics, like, output)
    return room
