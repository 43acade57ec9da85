"""What each kind of layer is made of: functions (lowering, name, layer, sources) -> Array."""

from __future__ import annotations

import numpy as np

from .. import layers as kinds
from ..layers.layer import size
from ..layers.membrane_norm import MembraneNorm
from ..neurons.model import Functions
from .expression import Trace
from .lowering import ExportError, lowers
from .of_delays import arriving, late, refuse_spread
from .program import (
    Convolution,
    Copy,
    Count,
    Linear,
    MeanOf,
    Normalise,
    Read,
    Softmax,
    Windows,
)

# ---- layers that hand on what they get


@lowers(kinds.Flatten, kinds.From, kinds.Repeat, kinds.Dropout)
def _same(lowering, name, layer, sources):
    return sources[0]


@lowers(kinds.TimeDistributed)
def _time_distributed(lowering, name, layer, sources):
    if layer.layer.initial_state(1) is not None:
        raise ExportError(f"layer {lowering.layer}: TimeDistributed of a layer with a state "
                          f"cannot be exported")
    return lowering.lowered(name, layer.layer, sources)


# ---- synapses


@lowers(kinds.Dense)
def _dense(lowering, name, layer, sources):
    weight, bias = layer.prepare(None)
    y = lowering.array(name, layer.n_out)
    start = lowering.constant(f"{name}_bias", bias) if bias.any() else None
    lowering.do(Linear(y, sources[0], lowering.constant(f"{name}_weight", weight), start))
    return y


@lowers(kinds.Embedding)
def _embedding(lowering, name, layer, sources):
    weight, _ = layer.prepare(None)
    y = lowering.array(name, layer.n_out)
    lowering.do(Linear(y, sources[0], lowering.constant(f"{name}_weight", weight), None))
    return y


@lowers(kinds.Conv1d, kinds.Conv2d)
def _conv(lowering, name, layer, sources):
    x, y = sources[0], lowering.array(name, size(layer.shape_out))
    weights, biases = map(layer.cut, layer.prepare(None))
    for k, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        part, of_part = _group(lowering, name, k, layer.groups, (x, y))
        lowering.do(Convolution(of_part, part, lowering.constant(f"{name}_weight", weight),
                                lowering.constant(f"{name}_bias", bias), layer.geometry))
        if layer.groups > 1:
            lowering.do(Copy(y, of_part, k * of_part.n))
    return y


def _group(lowering, name, k, groups, arrays):
    """What group k takes of x, and where its results go, before they are copied to y."""
    x, y = arrays
    if groups == 1:
        return x, y
    part = lowering.array(f"{name}_in", x.n // groups, binary=x.binary)
    part.like = x
    trace = Trace()
    lowering.map(part.n, trace, (part, trace.input(Read(x, k * part.n))))
    return part, lowering.array(f"{name}_out", y.n // groups)


# ---- populations


@lowers(kinds.Population)
def _population(lowering, name, layer, sources):
    if layer.delays and layer.sigma:
        refuse_spread(lowering)
    return _neurons(lowering, name, layer, sources[0], *_state(lowering, name, layer))


def _neurons(lowering, name, layer, x, state, recurring=None):
    """What the neurons of a population hand out.

    state: field -> array.  recurring: the array of what recurs.
    """
    model, recur = layer.model, layer.dynamics().recur
    currents = _currents(lowering, name, layer, x, recurring)
    trace = Trace()
    values = _coefficients(lowering, trace, name, layer)
    before = model.State(*(trace.input(Read(state[field])) for field in model.State._fields))
    if recur and layer.dynamics().in_two_stages:
        _add_second(lowering, name, layer, currents, state)
    inputs = model.Inputs(*(_read(trace, place) for place in currents.values()))
    out, after = trace.call(model.step, inputs, before, values, _functions(trace, layer))
    y = lowering.array(name, layer.n, binary=layer.output == "spike" and layer.surrogate.hard)
    writes = [(state[field], value) for field, value in zip(after._fields, after, strict=True)]
    handed, by_neuron = recurring, layer.delays and not layer.by_synapse
    if by_neuron:
        handed = lowering.array(f"{name}_handed", layer.n, binary=recurring.binary)
    if by_neuron or recur and not model.carries(recur):
        writes.append((handed, getattr(out, recur)))
    lowering.map(layer.n, trace, (y, getattr(out, layer.output)), *writes)
    if by_neuron:
        steps = np.rint(layer.params["delay"]).astype(int)
        lowering.do(Copy(recurring, late(lowering, f"{name}_late", handed, steps)))
    return y


def _coefficients(lowering, trace, name, layer):
    params = layer._coefficients()
    return type(params)(*(lowering.number(trace, f"{name}_{field}", a)
                          for field, a in zip(params._fields, params, strict=True)))


def _functions(trace, layer):
    """The surrogate and the activation as functions of Values."""
    return Functions(trace.rewritten(layer.surrogate.spike), layer.surrogate.slope,
                     layer.surrogate.typed(np.float32), trace.rewritten(layer.activation.value),
                     layer.activation.slope)


def _state(lowering, name, layer):
    """(field -> array of the model's state, the array of what recurs or None)."""
    recur, begin = layer.dynamics().recur, layer.initial_state(1)

    def state(field, what, a):
        binary = field == "spike" and layer.surrogate.hard and set(np.unique(a)) <= {0, 1}
        return lowering.state(f"{name}_{what}", a[0], binary)
    fields = {field: state(field, field, a)
              for field, a in zip(layer.model.State._fields, begin, strict=False)}
    if layer.delays and not layer.by_synapse:
        return fields, state(recur, f"late_{recur}", np.zeros((1, layer.n)))
    if recur and not layer.model.carries(recur):
        return fields, state(recur, f"last_{recur}", np.zeros((1, layer.n)))
    return fields, fields[recur] if recur else None


def _currents(lowering, name, layer, x, recurring):
    """Field of Inputs -> (array, offset), or None where nothing arrives: feed and recurrence, summed."""
    model, n = layer.model, layer.n
    places = dict.fromkeys(model.Inputs._fields)
    places |= {field: (x, i * n) for i, field in enumerate(model.feedforward)}
    if recurring is None:
        return places
    sums = arriving(lowering, f"{name}_recurrent", layer.late(), recurring) if layer.by_synapse else None
    bias = layer.params.get("recurrent_bias", np.zeros(len(model.recurrent) * n, np.float32))
    for g, field in enumerate(model.recurrent):
        trace = Trace()
        total = lowering.array(f"{name}_{field}", n)
        added = lowering.number(trace, f"{name}_{field}_bias", bias[g * n:(g + 1) * n])
        fed = _read(trace, places[field]) + added
        if sums is not None:
            fed = fed + trace.input(Read(sums, g * n))
        lowering.map(n, trace, (total, fed))
        if field != model.second and sums is None:
            lowering.do(Linear(total, recurring, _gate(lowering, name, layer, g), total))
        places[field] = total, 0
    return places


def _add_second(lowering, name, layer, currents, state):
    """The product that takes `between` of the others, into the current of SECOND."""
    model, trace = layer.model, Trace()
    values = _coefficients(lowering, trace, f"{name}_between", layer)
    inputs = model.Inputs(*(_read(trace, place) for place in currents.values()))
    before = model.State(*(trace.input(Read(state[field])) for field in model.State._fields))
    middle = lowering.array(f"{name}_between", layer.n)
    found = trace.call(model.between, inputs, before, values, _functions(trace, layer))
    lowering.map(layer.n, trace, (middle, found))
    total, _ = currents[model.second]
    gate = _gate(lowering, name, layer, model.recurrent.index(model.second))
    lowering.do(Linear(total, middle, gate, total))


def _read(trace, place):
    return trace.constant(np.float32(0)) if place is None else trace.input(Read(*place))


def _gate(lowering, name, layer, g):
    """The weights (n, n) of one of the currents that the recurrence feeds."""
    weight = layer.params["recurrent"][:, g * layer.n:(g + 1) * layer.n]
    return lowering.constant(f"{name}_recurrent_{layer.model.recurrent[g]}", weight)


@lowers(MembraneNorm)
def _membrane_norm(lowering, name, layer, sources):
    """u = norm(I + v); the population adds v to what it gets."""
    population, n = layer.population, sources[0].n
    state = lowering.state(f"{name}_v", population.initial_state(1).v[0])
    total, centred = lowering.array(f"{name}_total", n), lowering.array(f"{name}_current", n)
    trace = Trace()
    lowering.map(n, trace, (total, trace.input(Read(sources[0])) + trace.input(Read(state))))
    normal = lowering.lowered(f"{name}_norm", layer.norm, [total])
    trace = Trace()
    lowering.map(n, trace, (centred, trace.input(Read(normal)) - trace.input(Read(state))))
    return _neurons(lowering, name, population, centred, {"v": state})


# ---- values of each step


@lowers(kinds.Activation)
def _activation(lowering, name, layer, sources):
    return lowering.each(name, sources[0], lambda trace, x: trace.call(layer.function.value, x))


@lowers(kinds.Ternary)
def _ternary(lowering, name, layer, sources):
    k, threshold = layer.surrogate.typed(np.float32), layer.params["v_threshold"][0]

    def coded(trace, x):
        spike = trace.rewritten(layer.surrogate.spike)
        return spike(x - threshold, k) - spike(trace.constant(-threshold) - x, k)
    return lowering.each(name, sources[0], coded)


@lowers(kinds.BatchNorm)
def _batch_norm(lowering, name, layer, sources):
    mean, var = layer.fixed["running_mean"], layer.fixed["running_var"]
    scale = layer._norming.spread / np.sqrt(var.astype(np.float64) + layer.eps)
    factor = (layer.params["gain"] * scale).astype(np.float32)
    places = layer.n // layer.width

    def normalised(trace, x):
        centred = x - lowering.number(trace, f"{name}_mean", mean, places)
        return centred * lowering.number(trace, f"{name}_factor", factor, places) \
            + lowering.number(trace, f"{name}_bias", layer.params["bias"], places)
    return lowering.each(name, sources[0], normalised)


@lowers(kinds.LayerNorm)
def _layer_norm(lowering, name, layer, sources):
    y = lowering.array(name, layer.n)
    gain = lowering.constant(f"{name}_gain", layer.params["gain"])
    bias = lowering.constant(f"{name}_bias", layer.params["bias"])
    lowering.do(Normalise(y, sources[0], gain, bias, layer.eps, layer.n // layer.width))
    return y


# ---- windows, branches


@lowers(kinds.SumPool2d, kinds.MaxPool2d)
def _pool(lowering, name, layer, sources):
    y = lowering.array(name, size(layer.shape_out))
    is_max = isinstance(layer, kinds.MaxPool2d)
    factor = 1.0 if is_max else float(np.float32(layer._scale))
    lowering.do(Windows(y, sources[0], layer.windows, "max" if is_max else "sum", factor))
    return y


@lowers(kinds.Add)
def _add(lowering, name, layer, sources):
    trace = Trace()
    total = trace.input(Read(sources[0]))
    for source in sources[1:]:
        total = total + trace.input(Read(source))
    y = lowering.array(name, sources[0].n)
    lowering.map(y.n, trace, (y, total))
    return y


@lowers(kinds.Concatenate)
def _concatenate(lowering, name, layer, sources):
    y = lowering.array(name, sum(source.n for source in sources), binary=all(s.binary for s in sources))
    offset = 0
    for source in sources:
        lowering.do(Copy(y, source, offset))
        offset += source.n
    return y


# ---- the answer over time


@lowers(kinds.OverTime)
def _over_time(lowering, name, layer, sources):
    z = sources[0]
    if layer.of == "softmax":
        z = lowering.array(f"{name}_softmax", z.n)
        lowering.do(Softmax(z, sources[0]))
    if layer.reduce == "each":
        return z
    value = lowering.state(f"{name}_value", np.zeros(z.n))
    value.like, value.sums = z, layer.reduce in ("sum", "mean")
    steps = lowering.array(f"{name}_steps", 1, "count")
    lowering.do(Count(steps))
    trace = Trace()
    now, before, step = trace.input(Read(z)), trace.input(Read(value)), trace.input(Read(steps, places=z.n))
    terms = step - np.float32(layer.start)
    new = {"sum": before + now, "mean": before + now, "last": now, "max": trace.operation("max", before, now)}
    after = new[layer.reduce]
    if layer.reduce == "max":           # the first one that counts is taken as it is
        after = trace.where(terms > np.float32(1), after, now)
    if layer.start:
        after = trace.where(terms > np.float32(0), after, before)
    y = lowering.array(name, z.n)
    y.like, y.sums = z, value.sums
    if layer.reduce == "mean":
        lowering.mean_of = MeanOf(value, steps, layer.start)
    answer = after / trace.operation("max", terms, np.float32(1)) if layer.reduce == "mean" else after
    lowering.map(z.n, trace, (value, after), (y, answer))
    return y
