"""Eligibility traces in NumPy: one Python loop over time, written to be read; see devices/eligibility.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...neurons.model import Functions
from ..access import gather
from ..contract import Dynamics, Recurrent, Start, Want, valid_steps, with_fields
from ..eligibility import Eligible, Factors, Passed, units_of


def eligibility_forward(population_forward: Callable, dynamics: Dynamics, x: Any, start: Start,
                        recurrent: Recurrent | None, output: str, eligible: Eligible) -> Passed:
    """The reference's own steps, with their tape; see contract.py."""
    fields = tuple({output, dynamics.recur} - {None})
    run = population_forward(dynamics, x, start, recurrent, Want(fields, False, True))
    return Passed(start, output, run.tape.current, run.tape.states, run.out, run.state, run.last)


def eligibility_step(dynamics: Dynamics, passed: Passed, rows: np.ndarray, signal: np.ndarray,
                     learned: np.ndarray, factors: Factors, eligible: Eligible) -> Any:
    """The traces step by step, an outer product for each; see contract.py."""
    model, (steps, batch, units), dtype = dynamics.model, signal.shape, signal.dtype
    f = Functions(dynamics.surrogate.spike, dynamics.surrogate.slope, dynamics.surrogate.typed(dtype),
                  dynamics.activation.value, dynamics.activation.slope)
    start, unit = passed.start, units_of(model, passed.output, dtype)
    active = valid_steps(steps, batch, start.lengths)
    through = with_fields(model.Inputs, model.Inputs._fields, lambda name: np.zeros_like(signal))
    kappa, keep = map(dtype.type, factors)
    *eps, out, sums = (a[..., :units] for a in (*eligible.state, eligible.out, eligible.sums))
    for t in range(steps):
        on = active[t][..., None]
        of_inputs, of_states, of_coefficients = _jacobian(model, gather(passed.current, t),
                                                          gather(passed.states, t), start, f, unit)
        for d, made in zip(of_inputs, through, strict=True):
            made[t] = np.where(active[t], signal[t] * d[-1], 0)
        drives = [d[:, :, None] * rows[t][None, :, :, None] for d in of_inputs]
        drives += [of_coefficients[p][:, :, None] for p in learned]
        drive = np.concatenate(drives, 2) if drives else np.zeros((len(of_states[0]), batch, 0, units))
        before = [a.copy() for a in eps]
        *after, e = (_sum([d[i][:, None] * b for d, b in zip(of_states, before, strict=True)] + [drive[i]])
                     for i in range(len(before) + 1))
        for trace, new in zip(eps, after, strict=True):
            trace[:] = np.where(on, new, trace)
        out[:] = np.where(on, kappa * out + e, out)
        sums[:] = np.where(on, keep * sums + signal[t][:, None] * out, sums)
    return through


def _jacobian(model, inputs, states, start, f, unit):
    """(Inputs, State, Params) of arrays (C + 1, B, N): the gradients of each component of the state, and of
    what is handed out."""
    shape, rows = states[0].shape, []
    for i in range(len(unit[0][0])):
        d = model.step_adjoint(inputs, states, start.coefficients, f, gather(unit[0], i), gather(unit[1], i))
        rows.append([[np.broadcast_to(a, shape) for a in part] for part in d])
    return [[np.stack(a) for a in zip(*part, strict=True)] for part in zip(*rows, strict=True)]


def _sum(terms):
    """The sum, one term after the other."""
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
