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

# what spreads over its lags what a step handed out, where delays are of synapses
SPREAD_BY = {"synapses": add_step_to_all, "whole synapses": add_step_to_one}


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
def move_on(handing, before, first, share, lags, units):
    """What is on its way, a step later, with the shares of what row 0 of `handing` hands out.

    handing, before: (lags, units) from `first` on; share: (lags, units).
    """
    last, nothing = (lags - U(1)) * units, share[0] - share[0]
    for n in range(units):
        handing[first + last + n] = nothing + handing[first + n] * share[last + n]      # never -0
    for ago in range(U(1), lags):
        row = last - ago * units            # row 0 is the last that is written
        for n in range(units):
            value = handing[first + n] * share[row + n]
            handing[first + row + n] = before[first + row + units + n] + value


@jitable
def add_coming(total, gates, bias, biased, units, coming, first):
    """The currents += bias, and those, (G, N), that come into this step."""
    for g in range(len(gates)):
        current = total[gates[g]]
        for n in range(units):
            if biased:
                current[n] += bias[U(g) * units + n]
            current[n] += coming[first + U(g) * units + n]


@jitable
def shift_on(coming, before, first, lags, width):
    """The currents on their way, (lags, width) from `first` on, a step later."""
    rest = (lags - U(1)) * width
    for n in range(rest):
        coming[first + n] = before[first + width + n]
    for n in range(width):
        coming[first + rest + n] = 0


@lru_cache(None)
def _population(model, spike, slope, activation, constants, recur, late, output, real):
    """fixed: n, recurrent weight or 0, its bias or 0, shares of what recurs late, lags of synapses, or 0, the
    number of lags or 1, constants of the surrogate, coefficients.

    late: "", "neurons", or one of SPREAD_BY.
    """
    prepare()
    functions = model.step, spike, slope, activation.value, activation.slope
    mark = fingerprint(*functions)
    step, spike, slope, act, act_slope = map(jitable, functions)
    Inputs, State, Params, Out = model.Inputs, model.State, model.Params, model.Out
    fed, gates = tuple(map(Inputs._fields.index, model.feedforward)), model.gates
    n_fields, output = len(State._fields), Out._fields.index(output)
    recurs = recur is not None
    # else what recurs is one more field of the state
    in_state = recurs and model.carries(recur) and not late
    last = State._fields.index(recur) if in_state else n_fields
    handed = Out._fields.index(recur) if recurs else 0
    beside_state, by_neuron, by_synapse = recurs and not in_state, late == "neurons", late in SPREAD_BY
    spread_on = SPREAD_BY.get(late, add_step_to_all)

    def population(fixed, x, before, after, y, work, batch):
        mark  # noqa: B018  part of the cache key
        word = flush_tiny()
        units = U(fixed[0])
        f = Functions(spike, slope, scalars(constants, at(x, fixed[5])), act, act_slope)
        p, total, size = pointed(Params, x, fixed, 6), spread(Inputs, work, units), batch * units
        share, lags = at(x, fixed[3]), U(fixed[4])
        x, y = shifted(x, U(0)), shifted(y, U(0))
        state, new = spread(State, before, size), spread(State, after, size)
        recurring, handing = shifted(before, last * size), shifted(after, n_fields * size)
        handed_out, width = shifted(work, U(len(total)) * units), units * U(len(gates) if by_synapse else 1)
        for b in range(batch):
            feed(total, fed, x, b, units)
            on_way = b * lags * width
            weight, bias = at(x, fixed[1]), at(x, fixed[2])
            if by_synapse:
                add_coming(total, gates, bias, fixed[2] != 0, units, recurring, on_way)
            elif recurs:
                add_recurrence(total, gates, weight, bias, fixed[2] != 0, units, recurring, on_way)
            for n in range(units):
                o, s = step(gather(total, n), gather(state, b * units + n), gather(p, n), f)
                scatter(new, b * units + n, s)
                y[b * units + n] = o[output]
                if by_synapse:
                    handed_out[n] = o[handed]
                elif beside_state:
                    handing[on_way + n] = o[handed]
            if by_synapse:
                shift_on(handing, recurring, on_way, lags, width)
                sizes = (U(0), U(0), units, width, lags - U(1), U(1))
                spread_on(shifted(handing, on_way), weight, fixed[3], handed_out, U(0), sizes)
            elif by_neuron:
                move_on(handing, recurring, on_way, share, lags, units)
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
    how, weight, places, lags, width = _way(late, recurrent, n)
    kernel = _population(model, surrogate.spike, surrogate.slope, dynamics.activation,
                         type(surrogate.constants), dynamics.recur, how, output, real_of(dtype))
    fixed = (n, weight, 0 if bias is None else bias, places, lags, constants, *coefficients)
    beside_state = dynamics.recur is not None and (late is not None or not model.carries(dynamics.recur))
    state = (n,) * len(model.State._fields) + (lags * width,) * beside_state
    return StepLayer(kernel, fixed, state, n, n * (len(model.Inputs._fields) + 1), watched)


def _way(late, recurrent, n):
    """(how, weights or 0, shares or lags or 0, number of lags, what is on its way into each)."""
    if isinstance(late, Lagged):
        how, lag = ("synapses", 0) if late.lag is None else ("whole synapses", late.lag)
        return how, late.weight, lag, late.most + 1, late.weight.shape[2]
    weight = 0 if recurrent is None else recurrent
    return ("", weight, 0, 1, n) if late is None else ("neurons", weight, late.share, len(late.share), n)


__all__ = ["population_step"]
