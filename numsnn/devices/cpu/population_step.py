"""One time step of a population on the CPU, as one compiled function of addresses; see step.py."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ...neurons.model import Functions
from ..contract import Dynamics, Lagged, Late
from ..jit import fingerprint, in_own_index, jitable, prepare
from ..tiny import flush_tiny, restore
from .addresses import at, shifted
from .fields import gather, scatter
from .lagged import add_step_to_all, add_step_to_one
from .rows import U, add_values
from .step import StepLayer, kernel_of, pointed, real_of, scalars, spread


@jitable
def feed(total, fed, x, b, units):
    """The currents of sample b: what the layer before feeds, and zeros."""
    n_fed = len(fed)
    for i in range(len(total)):
        for n in range(units):
            total[i][n] = 0
    for i in range(n_fed):
        for n in range(units):
            total[fed[i]][n] = x[(b * U(n_fed) + U(i)) * units + n]


@jitable
def add_recurrence(total, gates, weight, bias, biased, units, recurring, first):
    """The currents += bias, and what recurred, recurring[first :], times the weights (N, G, N) or (N, N)."""
    n_gates = len(gates)
    for g in range(n_gates):
        current = total[gates[g]]
        if biased:
            for n in range(units):
                current[n] += bias[U(g) * units + n]
        if n_gates == 1:
            add_values(current, U(0), weight, units, units, recurring, first)
        else:
            add_strided(current, weight, U(g) * units, units * U(n_gates), units, recurring, first)


@jitable
def add_strided(y, weight, first, stride, units, values, v):
    """y[0 : units] += values[v + k] * weight[first + k * stride :] for k = 0, 1, ... units - 1.

    In this order; zeros are skipped.
    """
    for k in range(units):
        value = values[v + k]
        if value != 0:
            w = first + k * stride
            for n in range(units):
                y[n] += value * weight[w + n]


@jitable
def add_coming(total, gates, weight, bias, biased, units, coming, first):
    """The currents += bias, and those, (G, N), that come into this step; they hold the weights already."""
    for g in range(len(gates)):
        current = total[gates[g]]
        for n in range(units):
            if biased:
                current[n] += bias[U(g) * units + n]
            current[n] += coming[first + U(g) * units + n]


# ---- what goes on to the next step: (coming, before, first, handed, way); way: (weight, address of shares or
# lags, number of lags, units, what comes into each step)


@jitable
def hand_on(coming, before, first, handed, way):
    """What was handed out, as it is."""
    for n in range(way[3]):
        coming[first + n] = handed[n]


@jitable
def by_neurons(coming, before, first, handed, way):
    """What is on its way, (lags, units), a step later, with the shares of what was handed out."""
    share, lags, units = at(handed, way[1]), way[2], way[3]
    last, nothing = (lags - U(1)) * units, share[0] - share[0]
    for n in range(units):
        coming[first + last + n] = nothing + handed[n] * share[last + n]        # never -0
    for row in range(U(0), last, units):
        for n in range(units):
            coming[first + row + n] = before[first + row + units + n] + handed[n] * share[row + n]


@jitable
def shift_on(coming, before, first, way):
    """The currents on their way, (lags, width), a step later."""
    width = way[4]
    rest = (way[2] - U(1)) * width
    for n in range(rest):
        coming[first + n] = before[first + width + n]
    for n in range(width):
        coming[first + rest + n] = 0


@jitable
def by_synapses(coming, before, first, handed, way):
    """The same with what was handed out, through the weights of all lags."""
    shift_on(coming, before, first, way)
    sizes = (U(0), U(0), way[3], way[4], way[2] - U(1), U(1))
    add_step_to_all(shifted(coming, first), way[0], way[1], handed, U(0), sizes)


@jitable
def by_whole_synapses(coming, before, first, handed, way):
    """The same through one lag of each synapse."""
    shift_on(coming, before, first, way)
    sizes = (U(0), U(0), way[3], way[4], way[2] - U(1), U(1))
    add_step_to_one(shifted(coming, first), way[0], way[1], handed, U(0), sizes)


@lru_cache(None)
def _population(model, spike, slope, activation, constants, recur, go_on, output, real):
    """fixed: n, recurrent weight or 0, its bias or 0, shares of what recurs late, lags of synapses, or 0, the
    number of lags or 1, constants of the surrogate, coefficients.

    go_on: what is done with what recurs after a step; None: it is a field of the state.
    """
    prepare()
    functions = model.step, spike, slope, activation.value, activation.slope
    by_synapse = go_on in (by_synapses, by_whole_synapses)
    arrive, beside_state = add_coming if by_synapse else add_recurrence, go_on is not None
    go_on = go_on or hand_on
    mark = fingerprint(*functions, arrive, go_on)
    step, spike, slope, act, act_slope = map(jitable, functions)
    Inputs, State, Params, Out = model.Inputs, model.State, model.Params, model.Out
    fed, gates = tuple(map(Inputs._fields.index, model.feedforward)), model.gates
    n_fields, output = len(State._fields), Out._fields.index(output)
    recurs = recur is not None
    last = n_fields if beside_state or not recurs else State._fields.index(recur)
    recurring_field, n_fed = Out._fields.index(recur) if recurs else 0, len(gates) if by_synapse else 1

    def population(fixed, x, before, after, y, work, batch):
        mark  # noqa: B018  part of the cache key
        word = flush_tiny()
        units = U(fixed[0])
        f = Functions(spike, slope, scalars(constants, at(x, fixed[5])), act, act_slope)
        p, total, size = pointed(Params, x, fixed, 6), spread(Inputs, work, units), batch * units
        weight, bias, width = at(x, fixed[1]), at(x, fixed[2]), units * U(n_fed)
        way = (weight, fixed[3], U(fixed[4]), units, width)
        x, y = shifted(x, U(0)), shifted(y, U(0))
        state, new = spread(State, before, size), spread(State, after, size)
        recurring, coming = shifted(before, last * size), shifted(after, n_fields * size)
        handed = shifted(work, U(len(total)) * units)
        for b in range(batch):
            feed(total, fed, x, b, units)
            first = b * way[2] * width
            if recurs:
                arrive(total, gates, weight, bias, fixed[2] != 0, units, recurring, first)
            for n in range(units):
                o, s = step(gather(total, n), gather(state, b * units + n), gather(p, n), f)
                scatter(new, b * units + n, s)
                y[b * units + n] = o[output]
                if beside_state:
                    handed[n] = o[recurring_field]
            if beside_state:
                go_on(coming, recurring, first, handed, way)
        restore(word)

    return kernel_of(in_own_index(population, mark, (model.State, *functions)), real)


def population_step(
        dynamics: Dynamics, n: int, dtype: DTypeLike, coefficients: Any, recurrent: np.ndarray | None,
        bias: np.ndarray | None, output: str, watched: tuple,
        late: Late | Lagged | None = None) -> StepLayer | None:
    """recurrent (n, G n), bias (G n,) or None.  None for a population with two products a step."""
    model, surrogate = dynamics.model, dynamics.surrogate
    if dynamics.in_two_stages:
        return None
    constants = np.array(surrogate.typed(dtype), dtype)
    go_on, weight, places, lags, width = _way(dynamics, late, recurrent, n)
    kernel = _population(model, surrogate.spike, surrogate.slope, dynamics.activation,
                         type(surrogate.constants), dynamics.recur, go_on, output, real_of(dtype))
    fixed = (n, weight, 0 if bias is None else bias, places, lags, constants, *coefficients)
    state = (n,) * len(model.State._fields) + (lags * width,) * (go_on is not None)
    return StepLayer(kernel, fixed, state, n, n * (len(model.Inputs._fields) + 1), watched)


def _way(dynamics, late, recurrent, n):
    """(go_on, weights or 0, shares or lags or 0, number of lags, what comes into each step)."""
    if isinstance(late, Lagged):
        go_on, lag = (by_synapses, 0) if late.lag is None else (by_whole_synapses, late.lag)
        return go_on, late.weight, lag, late.most + 1, late.weight.shape[2]
    if late is not None:
        return by_neurons, recurrent, late.share, len(late.share), n
    if dynamics.recur is None:
        return None, 0, 0, 1, n
    return None if dynamics.model.carries(dynamics.recur) else hand_on, recurrent, 0, 1, n


__all__ = ["population_step"]
