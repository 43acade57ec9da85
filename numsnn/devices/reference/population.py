"""Populations in NumPy: one Python loop over time, written to be read; see contract.py."""

from collections.abc import Collection
from typing import Any

import numpy as np

from ...neurons.model import Functions
from ...signals.spikes import Spikes
from ..access import gather, gather_sum, scatter
from ..contract import (
    Dynamics,
    Gradients,
    PopulationGradients,
    Recurrent,
    Run,
    Start,
    Tape,
    Want,
    valid_steps,
    with_fields,
)
from .recurrence import on_its_way, on_its_way_back
from .rows import add_rows


def population_forward(
        dynamics: Dynamics, x: Any, start: Start, recurrent: Recurrent | None, want: Want) -> Run:
    """One Python loop over time; see contract.py."""
    model, (steps, batch), shape, dtype = dynamics.model, x[0].shape[:2], x[0].shape, x[0].dtype
    recur, f = dynamics.recur, _functions(dynamics, dtype)
    active = valid_steps(steps, batch, start.lengths)
    state = model.State(*(a.copy() for a in start.state))
    way = on_its_way(recurrent, start, steps)
    stored = want.stored(recur) | ({"spike"} if want.events else set())
    out = with_fields(model.Out, stored, lambda name: np.zeros(shape, dtype))
    states = model.State(*(np.empty(shape, dtype) if want.tape else None for _ in model.State._fields))
    for t in range(steps):
        on = active[t]
        if recurrent is not None:
            _add_recurrence(dynamics, x, t, state, start.coefficients, f, recurrent, way)
        scatter(states, t, state)
        o, new = model.step(gather(x, t), state, start.coefficients, f)
        scatter(out, t, type(o)(*(np.where(on, a, 0) for a in o)))
        state = _where(on, new, state)
        if recurrent is not None:
            assert recur is not None
            way.out(t, on, getattr(o, recur))
    events = Spikes.from_dense(out.spike) if want.events else None
    tape = None
    if want.tape:
        values, arrived = (getattr(out, recur), way.arrived()) if recur else (None, None)
        tape = Tape(x, states, start, None, values, arrived)
    return Run(want.of(out), events, state, way.last if way else None, tape)


def _add_recurrence(dynamics, x, t, state, coefficients, f, recurrent, way):
    """The currents of a step += bias + what recurs times the weights; SECOND's comes after the others."""
    model = dynamics.model
    for g, name in enumerate(model.recurrent):
        current = getattr(x, name)[t]
        current += 0 if recurrent.bias is None else recurrent.bias[g]
        if name != model.second:
            way.into(t, g, current)
    if model.second:
        middle = model.between(gather(x, t), state, coefficients, f)
        second = model.recurrent.index(model.second)
        add_rows(getattr(x, model.second)[t], recurrent.weight[second], middle)


def _where(on, a, b):
    """The fields of the tuple a where a step is one, else those of b."""
    return type(a)(*(np.where(on, v, w) for v, w in zip(a, b, strict=True)))


def population_backward(
        dynamics: Dynamics, tape: Tape, recurrent: Recurrent | None, gradients: Gradients,
        learn: Collection[str]) -> PopulationGradients:
    """The same loop backwards; see contract.py."""
    model, (steps, batch, units), dtype = dynamics.model, tape.current[0].shape, tape.current[0].dtype
    recur, coefficients, f = dynamics.recur, tape.start.coefficients, _functions(dynamics, dtype)
    active = valid_steps(steps, batch, tape.start.lengths)
    dx = type(tape.current)(*map(np.empty_like, tape.current))
    dstate, way = gradients.state, on_its_way_back(recurrent, tape, gradients.last)
    dparams = with_fields(model.Params, learn, lambda name: np.zeros(units, dtype))
    dweight = None if recurrent is None else tuple(map(np.zeros_like, recurrent.weight))
    dbias = None if recurrent is None or recurrent.bias is None else tuple(map(np.zeros_like, recurrent.bias))
    for t in reversed(range(steps)):
        on = active[t]
        back = way.out(t, on)[None] if way else None
        dout = gather_sum(gradients.out, t, with_fields(model.Out, (recur,), {recur: back}.get), 0)
        inputs, state = gather(tape.current, t), gather(tape.states, t)
        dstep = model.step_adjoint(inputs, state, coefficients, f, dout, dstate)
        if recurrent is not None and model.second:
            dstep = _through_second(model, recurrent, inputs, state, coefficients, f, dstep)
        dinputs, dbefore, dp = dstep
        scatter(dx, t, type(dx)(*(np.where(on, d, 0) for d in dinputs)))
        dstate = _where(on, dbefore, dstate)
        for total, d in zip(dparams, dp, strict=True):
            if total is not None:
                total += np.where(on, d, 0).sum(0)
        if recurrent is not None:
            currents = {name: getattr(dx, name)[t] for name in model.recurrent}
            for total, d in zip(dbias or (), currents.values(), strict=False):
                total += d.sum(0)
            if not recurrent.by_synapse:
                taken = _taken(model, tape, t, on, inputs, state, f)
                for total, values, d in zip(dweight or (), taken, currents.values(), strict=True):
                    total += values.T @ d
            way.into(t, on, [None if name == model.second else d for name, d in currents.items()])
    dlast, dlate = (way.dlast, way.dlate) if way else (None, None)
    return PopulationGradients(dx, dstate, dlast, dparams, dweight, dbias, dlate)


def _through_second(model, recurrent, inputs, state, coefficients, f, dstep):
    """The gradients of a step, and those that go through the product of SECOND and `between` on top."""
    weight = recurrent.weight[model.recurrent.index(model.second)]
    d = getattr(dstep[0], model.second) @ weight.T
    more = model.between_adjoint(inputs, state, coefficients, f, d)
    return tuple(map(_added, dstep, more))


def _added(a, b):
    """The sums of the fields of two tuples."""
    return type(a)(*(v + w for v, w in zip(a, b, strict=True)))


def _taken(model, tape, t, on, inputs, state, f):
    """What the product of each current took in step t."""
    if tape.arrived is not None:
        recurred = tape.arrived[t]
    else:
        recurred = tape.values[t - 1] if t > 0 else tape.start.last
    taken = dict.fromkeys(model.recurrent, recurred)
    if model.second:
        between = model.between(inputs, state, tape.start.coefficients, f)
        taken[model.second] = np.where(on, between, 0)
    return taken.values()


def _functions(dynamics, dtype):
    s = dynamics.surrogate
    return Functions(s.spike, s.slope, s.typed(dtype), dynamics.activation.value, dynamics.activation.slope)


__all__ = ["population_backward", "population_forward"]
