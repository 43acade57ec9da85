"""Populations on the CPU: what their compiled loops (population_kernels.py) are given, and what they give."""

from collections.abc import Callable, Collection
from math import gcd
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ...neurons.model import Model
from ...signals.spikes import Spikes, index_dtype
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
from . import blas, lanes
from .late import Coming, ComingBack, in_turn
from .late_synapses import Currents, CurrentsBack
from .population_kernels import (
    Carried,
    Incoming,
    Kept,
    Stored,
    Sums,
    backward_kernel,
    forward_kernel,
)
from .recurrence import Back, Call, Recurred, WayBack, currents, listing, unlisting

# neurons of a group, at about: a multiple of VECTOR if possible, because what is left over goes one by one
GROUP = 256
SMALL = 64          # units for which a product of one's own is faster than a call of BLAS
VECTOR = 16         # numbers in the largest vectors there are


class Shape(NamedTuple):
    steps: int
    batch: int
    units: int
    group: int          # samples
    pitch: int          # numbers from a time step to the next of the currents, which may be some samples of
                        # a larger array
    outer: int          # the same of what is handed out; backward: of its gradient and that of the currents


def shape_of(currents: Any, outer: np.ndarray | None = None) -> Shape:
    """Of a sequence of currents; outer: what is handed out, or its gradient, where it is part of an array."""
    x = currents[0]
    steps, batch, units = x.shape
    even = VECTOR // gcd(units, VECTOR)     # samples that fill whole vectors
    group = max(GROUP // max(units, 1) // even, 1) * even
    pitch = x.strides[0] // x.itemsize
    outer_pitch = batch * units if outer is None else outer.strides[0] // outer.itemsize
    return Shape(steps, batch, units, max(1, min(group, batch)), pitch, outer_pitch)


def valid_lengths(lengths: np.ndarray | None, steps: int, batch: int) -> np.ndarray:
    """(B + 1,) the valid steps of each sample, and the least of them, as loops take them."""
    found = np.full(batch + 1, steps, np.int64)
    if lengths is not None and batch:
        found[:-1] = lengths
        found[-1] = lengths.min()
    return found


def flat(arrays: Any) -> Any:
    """Views of a named tuple of arrays as vectors; None stays."""
    return type(arrays)(*(None if a is None else a.reshape(-1) for a in arrays))


def flat_steps(arrays: Any) -> Any:
    """`flat` of arrays (T, B, N) whose time steps may lie apart (Shape.pitch).

    What lies between them is not theirs.
    """
    return type(arrays)(*(a if a is None else buffers.flat(a) for a in arrays))


def contiguous(arrays: Any) -> Any:
    """A named tuple of arrays, each in one piece; None stays."""
    return type(arrays)(*(a if a is None else buffers.contiguous(a) for a in arrays))


def tiled(coefficients: Any, batch: int) -> Any:
    """The coefficients repeated for each sample."""
    return type(coefficients)(*(np.concatenate((a,) * batch) for a in coefficients))


def copied(arrays: Any) -> Any:
    """A named tuple of arrays in memory of their own."""
    return type(arrays)(*(a.copy() for a in arrays))


def slack(make: Callable, n: int, dtype: DTypeLike) -> np.ndarray:
    """An array of n with memory behind its end for the rest of a vector."""
    return make(n + lanes.WIDE, dtype)[:n]


# ---- forward


def one_stage_forward(
        dynamics: Dynamics, x: Any, start: Start, recurrent: Recurrent | None, want: Want) -> Run:
    """A population with one product a step, or none."""
    model, surrogate, recur = dynamics.model, dynamics.surrogate, dynamics.recur
    (steps, batch, units), dtype = x[0].shape, x[0].dtype
    x = type(x)(buffers.laid(x[0])) if len(x) == 1 else contiguous(x)
    listed = want.events or dynamics.recurs_as_events or want.tape and dynamics.spikes_are_listed
    as_values = None if dynamics.recurs_as_events else recur
    padded = start.lengths is not None
    out = _handed_out(dynamics, x[0].shape, dtype, want, as_values, padded)
    now = _last_handed_out(dynamics, start, (batch, units), dtype, listed)
    states = _taped_states(dynamics, x[0].shape, dtype, want)
    state = copied(start.state)
    lists = None
    if listed:
        index = slack(buffers.empty, steps * batch * units, index_dtype(units))
        lists = np.zeros(steps * batch, np.int32), index
    shape = shape_of(x, want.into)
    into, after, coming = _between_steps(dynamics, x, start, recurrent, now, lists)
    kernel = forward_kernel(model, surrogate.spike, surrogate.slope, dynamics.activation)
    kernel(shape, flat_steps(x), tiled(start.coefficients, shape.group), surrogate.typed(dtype),
           Carried(flat(state), flat(now)), Stored(flat(states), flat_steps(out)), into, in_turn(*after),
           valid_lengths(start.lengths, steps, batch))
    events = None
    if lists is not None:
        first = np.arange(steps * batch, dtype=np.int64) * units
        events = Spikes.of_rows((steps, batch, units), first, *lists)
    values = getattr(out, as_values) if as_values else None
    arrived = coming.arrived() if coming else None
    tape = Tape(x, states, start, events, values, arrived) if want.tape else None
    if coming:
        last = coming.last()
    else:
        last = getattr(now, recur) if recur else None
    return Run(want.of(out), events if want.events else None, state, last, tape)


def fed_currents(model: Model, x: Any, recurrent: Recurrent) -> dict[str, tuple]:
    """(current, weight, bias) of each current that the recurrence feeds; None where there is none."""
    none = (None,) * len(model.recurrent)
    each = zip(model.recurrent, recurrent.weight or none, recurrent.bias or none, strict=True)
    return {name: (getattr(x, name), weight, bias) for name, weight, bias in each}


def recurrent_currents(dynamics: Dynamics, x: Any, recurrent: Recurrent | None, now: Any,
                       lists: tuple[np.ndarray, np.ndarray] | None) -> Call | None:
    """What adds what recurs, `now`, to the currents x, or None."""
    if recurrent is None:
        return None
    fed = fed_currents(dynamics.model, x, recurrent).values()
    recurs = dynamics.recur or ""
    return currents(getattr(now, recurs), lists if recurs == "spike" else None, list(fed))


def _between_steps(dynamics, x, start, recurrent, now, lists):
    """(what adds what recurs to the currents, what is done after a step, Coming where it comes late)."""
    listed = listing(now.spike, lists) if lists else None
    if recurrent is None or recurrent.late is None:
        return recurrent_currents(dynamics, x, recurrent, now, lists), (listed,), None
    kind = Currents if recurrent.by_synapse else Coming
    coming = kind(recurrent.late, start, len(x[0]))
    fed = list(fed_currents(dynamics.model, x, recurrent).values())
    return coming.currents(fed), (listed, coming.spreading(getattr(now, dynamics.recur))), coming


def _handed_out(dynamics, shape, dtype, want, as_values, padded):
    """Out of arrays (T, B, N) of what is handed out, and of the values that the tape keeps."""
    new = buffers.zeros if padded else buffers.empty        # padded steps hand out zeros
    if want.into is not None and padded:
        want.into.fill(0)

    def array_of(name):
        return new(shape, dtype) if want.into is None else want.into

    return with_fields(dynamics.model.Out, want.stored(as_values), array_of)


def _last_handed_out(dynamics, start, shape, dtype, listed):
    """Out of buffers (B, N): what recurred last, and the spikes of a step where they are listed."""
    buffered = {dynamics.recur} | ({"spike"} if listed else set())

    def array_of(name):
        return slack(np.zeros, shape[0] * shape[1], dtype).reshape(shape)

    now = with_fields(dynamics.model.Out, buffered, array_of)
    if dynamics.recur and not dynamics.late:
        getattr(now, dynamics.recur)[:] = start.last
    return now


def _taped_states(dynamics, shape, dtype, want):
    """State of arrays (T, B, N) for the tape; spikes that are listed need none."""
    taped = set(dynamics.model.State._fields) if want.tape else set()
    if dynamics.spikes_are_listed:
        taped.discard("spike")
    return with_fields(dynamics.model.State, taped, lambda name: buffers.empty(shape, dtype))


# ---- backward


def one_stage_backward(
        dynamics: Dynamics, tape: Tape, recurrent: Recurrent | None, gradients: Gradients,
        learn: Collection[str]) -> PopulationGradients:
    """The gradients of `one_stage_forward`."""
    model, surrogate, recur = dynamics.model, dynamics.surrogate, dynamics.recur
    (steps, batch, units), dtype = tape.current[0].shape, tape.current[0].dtype
    if gradients.into is None:
        gradients = gradients._replace(out=contiguous(gradients.out))
        dx = model.Inputs(*(buffers.empty((steps * batch, units), dtype) for _ in model.Inputs._fields))
    else:
        dx = model.Inputs(gradients.into)
    dstate = copied(gradients.state)
    lengths = valid_lengths(tape.start.lengths, steps, batch)
    way_back: Any = None
    biased: tuple[str, ...] = ()
    if recur:
        assert recurrent is not None and gradients.last is not None
        way_back = _way_back(dynamics, tape, recurrent, dx, gradients.last, lengths)
        biased = model.recurrent if recurrent.bias else ()
    shape = shape_of(tape.current, gradients.into)
    unlist, previous = _listed_spikes(dynamics, tape, shape.group, (batch, units), dtype)
    sums = sums_of(dynamics, learn, biased, batch * units, dtype)
    returned = with_fields(model.Out, (recur,), lambda name: way_back.returned)
    before = unlist, way_back.gathering if way_back else None
    kernel = backward_kernel(model, surrogate.spike, surrogate.slope, dynamics.activation)
    kernel(shape, Kept(flat_steps(tape.current), flat(tape.states), previous),
           tiled(tape.start.coefficients, shape.group), surrogate.typed(dtype),
           Incoming(flat_steps(gradients.out), flat(returned), flat(dstate)),
           flat(dx) if recur else flat_steps(dx), sums, in_turn(*before), way_back.call if way_back else None,
           lengths)
    dparams, dinputs = (summed(s, (batch, units)) for s in sums)
    current = model.Inputs(*(a if a.ndim == 3 else a.reshape(steps, batch, units) for a in dx))
    dbias = tuple(getattr(dinputs, name) for name in biased) or None
    of_way = (way_back.dlast(), way_back.dweight(), way_back.dlate) if way_back else (None, None, None)
    dlast, dweight, dlate = of_way
    return PopulationGradients(current, dstate, dlast, dparams, dweight, dbias, dlate)


def _listed_spikes(dynamics, tape, group, shape, dtype):
    """(Call, State): what writes the spikes of the tape, where the state has no others, and to where."""
    State = dynamics.model.State
    nothing = State(*(None for _ in State._fields))
    if not dynamics.spikes_are_listed:
        return None, nothing
    initial = tape.start.state.spike.reshape(-1)
    buffer = np.concatenate((np.empty(group * shape[1], dtype), initial))
    lists = tape.events.count, tape.events.index
    return unlisting(buffer, group, lists, shape), nothing._replace(spike=buffer)


def _way_back(dynamics, tape, recurrent, dx, last, lengths):
    """The gradients that go back through the recurrence; last: of what recurs after the last step."""
    units = tape.current[0].shape[2]
    fed = [getattr(dx, name) for name in dynamics.model.recurrent]
    if recurrent.by_synapse:
        return CurrentsBack(recurrent, tape, last, lengths, fed)
    if recurrent.late:
        return ComingBack(recurrent, tape, last, lengths, fed, in_place(units))
    listed = values = None
    if dynamics.recurs_as_events:
        listed = tape.events.start, tape.events.count, tape.events.index
    else:
        values = tape.values.reshape(-1, units)
    recurred = Recurred(tape.start.last.reshape(-1), listed, values)
    return WayBack(recurred, Back(last.copy(), lengths, in_place(units)), fed, recurrent.weight)


def sums_of(
        dynamics: Dynamics, learn: Collection[str], biased: Collection[str], n: int,
        dtype: DTypeLike) -> Sums:
    """Zeros for what is learned, and for the currents that have a recurrent bias."""
    def array_of(name):
        return np.zeros(n, dtype)

    model = dynamics.model
    return Sums(with_fields(model.Params, learn, array_of), with_fields(model.Inputs, biased, array_of))


def summed(arrays: Any, shape: tuple[int, int]) -> Any:
    """The sums of a named tuple of vectors (B * N) over the samples; None stays.  shape: (B, N)."""
    return type(arrays)(*(None if a is None else a.reshape(shape).sum(0) for a in arrays))


def in_place(units: int) -> bool:
    """Whether the product of each step goes to BLAS, whose calls weigh for few units."""
    return units >= SMALL and blas.usable()


__all__ = ["Shape", "backward_kernel", "contiguous", "copied", "fed_currents", "flat", "flat_steps",
           "forward_kernel", "in_place", "one_stage_backward", "one_stage_forward", "recurrent_currents",
           "shape_of", "slack", "summed", "sums_of", "tiled", "valid_lengths"]
