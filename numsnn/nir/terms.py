"""Layers in NIR's terms, there and back: what a node is called, and its parameters in seconds.

Time constants are seconds.  Where a layer says input_scale="1", so that a current adds r instead of
r (1 - alpha) in a step, NIR's r is r / (1 - alpha), and w_in likewise: NIR's equations then give the same
step.  A soft reset has v_reset = 0: at the threshold both are the same.  Undone in float64 and rounded, the
parameters are those of the layer again; where they are not (float64, ratios out of range), `exact` says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..layers import BatchNorm, Layer, TimeDistributed
from ..layers.layer import Shape
from ..neurons.model import leak
from .nodes import NirError, Node
from .translate import SETTINGS

Arrays = dict[str, np.ndarray]
Params = dict[str, Any]
SYNAPSES = ("Conv1d", "Conv2d", "Dense")


class Times(NamedTuple):
    """What turns the times of a network into seconds."""
    dt: float           # step of the network, in its own unit
    unit: float         # seconds in that unit


class Term(NamedTuple):
    """A kind of layer, there and back."""
    there: Callable[[Any, Shape, Times], Node]          # (layer, shape of what arrives)
    back: Callable[[Any, Params, Times], Arrays]        # (layer with arrays to be replaced, parameters)


def inner(layer: Layer) -> Layer:
    """The synapses themselves, of those that are applied to each step."""
    if isinstance(layer, TimeDistributed) and type(layer.layer).__name__ in SYNAPSES:
        return layer.layer
    return layer


# ---- populations

POPULATIONS = {                 # layer -> (type, our setting -> NIR's parameter)
    **{layer: (kind, names) for kind, (layer, names) in SETTINGS.items()},
    "Scale": ("Scale", {"scale": "scale"}),
    "Threshold": ("Threshold", {"v_threshold": "threshold"}),
}
OF_TIME = {"r": "tau_mem", "w_in": "tau_syn"}       # setting -> the time constant of what it feeds


def _population(layer, shape, times):
    kind, names = POPULATIONS[type(layer).__name__]
    own = layer._settings()._asdict()
    params = {}
    for setting, name in names.items():
        value = own[setting] * _factor(layer, setting, own, times)
        if setting == "v_reset" and layer.options["reset"] == "soft":
            value = np.zeros(layer.n)
        if not np.isfinite(value).all():
            raise NirError(f"layer {layer.name}: {setting} cannot be written in NIR's terms, because a time "
                           f"constant is too long for the step of {times.dt:g}")
        params[name] = np.broadcast_to(value, layer.n).reshape(shape)
    return Node(kind, params)


def _factor(layer, setting, own, times):
    """NIR's value of a setting, divided by ours; own: the settings, float64."""
    if setting.startswith("tau_"):
        return times.unit
    if setting == "r" and "tau_mem" not in own:         # it counts per unit of time
        return 1 / times.unit
    if setting in OF_TIME and layer.options["input_scale"] == "1":
        alpha = leak(own[OF_TIME[setting]], times.dt, layer.options["integrator"])
        with np.errstate(divide="ignore"):
            return 1 / (1 - alpha)
    return 1.0


def _settings(layer, params, times):
    _, names = POPULATIONS[type(layer).__name__]
    own = {}            # what is found, for each neuron, in float64
    found = {}
    for setting in sorted(names, key=lambda name: not name.startswith("tau_")):     # others count by them
        value = np.ravel(params[names[setting]]) / _factor(layer, setting, own, times)
        key = layer.key(setting)
        like = {**layer.fixed, **layer.params}[key]
        with np.errstate(over="ignore"):
            value = value[::layer.n // like.size].astype(like.dtype)
        own[setting] = np.repeat(value.astype(np.float64), layer.n // like.size)
        found[key] = layer.stored(setting, value)
    return found


def recurrent(layer: Layer) -> Node:
    """The synapses of a population with itself."""
    return _linear(layer.params["recurrent"], layer.params.get("recurrent_bias"))


def recurrent_back(layer: Layer, params: Params) -> Arrays:
    """The arrays of these synapses."""
    return {f"recurrent{'' if name == 'weight' else '_bias'}": a
            for name, a in _linear_back(layer.params["recurrent"], params).items()}


# ---- synapses


def _linear(weight, bias):
    """NIR's weight is (to, from)."""
    params = {"weight": np.ascontiguousarray(np.asarray(weight).T)}
    if bias is None:
        return Node("Linear", params)
    return Node("Affine", {**params, "bias": np.asarray(bias)})


def _linear_back(weight, params):
    arrays = {"weight": np.asarray(params["weight"]).T}
    if "bias" in params:
        arrays["bias"] = params["bias"]
    return {name: np.ascontiguousarray(a, weight.dtype) for name, a in arrays.items()}


def _dense(layer, shape, times):
    return _linear(inner(layer).params["weight"], inner(layer).params.get("bias"))


def _dense_back(layer, params, times):
    arrays = _linear_back(layer.params["weight"], params)
    return {name: a for name, a in arrays.items() if name in layer.params}


def _conv(layer, shape, times):
    """A full, square kernel, with zeros where ours has less: nir.read (1.0.8) takes every kernel for that."""
    layer = inner(layer)
    many = layer.directions == 2

    def numbers(values):
        return np.array(values) if many else int(values[0])
    own, around = np.asarray(layer.params["weight"]), _around(layer.kernel)
    size = [k + 2 * n for k, n in zip(layer.kernel, around, strict=True)]
    weight = np.zeros((len(own), layer.channels[0], *size), own.dtype)
    weight[_places(layer)] = own
    padding = [p + d * n for p, d, n in zip(layer.padding, layer.dilation, around, strict=True)]
    bias = np.asarray(layer.params.get("bias", np.zeros(len(own), own.dtype)))
    return Node(f"Conv{layer.directions}d", {
        "input_shape": numbers(shape[1:]), "weight": weight, "stride": numbers(layer.stride),
        "padding": numbers(padding), "dilation": numbers(layer.dilation), "groups": 1, "bias": bias})


def _conv_back(layer, params, times):
    arrays = {**params, "weight": params["weight"][_places(inner(layer))]}
    return {name: np.ascontiguousarray(arrays[name], a.dtype) for name, a in layer.params.items()}


def _around(kernel):
    """How many zeros on both sides make a kernel square.

    0 where the sides would have to differ: nir.read then needs type_check=False.
    """
    more = [max(kernel) - k for k in kernel]
    return [0 if any(m % 2 for m in more) else m // 2 for m in more]


def _places(layer):
    """Where the weights of a convolution, of all its groups, stand in the full, square kernel."""
    of_group = [channels // layer.groups for channels in layer.channels]
    out = np.arange(layer.channels[1])[:, None]
    within = (slice(n, n + k) for n, k in zip(_around(layer.kernel), layer.kernel, strict=True))
    return (out, out // of_group[1] * of_group[0] + np.arange(of_group[0]), *within)


def folded(node: Node, norm: BatchNorm) -> Node:
    """The synapses with the norm that follows them: y = factor (W x + b - mean) + bias."""
    mean, var = (np.asarray(norm.fixed[key], np.float64) for key in ("running_mean", "running_var"))
    gain, bias = (np.asarray(norm.params[key], np.float64) for key in ("gain", "bias"))
    factor = gain * norm._norming.spread / np.sqrt(var + norm.eps)
    weight = np.asarray(node.params["weight"])
    before = np.asarray(node.params.get("bias", np.zeros(len(weight))))
    kind = "Affine" if node.type == "Linear" else node.type
    new = {"weight": weight * factor.reshape(-1, *(1,) * (weight.ndim - 1)),
           "bias": (before - mean) * factor + bias}
    return Node(kind, {**node.params, **{key: a.astype(weight.dtype) for key, a in new.items()}},
                node.metadata)


# ---- the others


def _pool(layer, shape, times):
    kind = "AvgPool2d" if layer.mean else "SumPool2d"
    params = {"kernel_size": layer.kernel, "stride": layer.stride, "padding": layer.padding}
    return Node(kind, {name: np.array(pair) for name, pair in params.items()})


def _delay(layer, shape, times):
    return delay(layer.in_steps().reshape(shape), times)


def delay(steps: Any, times: Times) -> Node:
    """A delay of so many steps."""
    return Node("Delay", {"delay": np.asarray(steps, np.float64) * times.dt * times.unit})


def _delay_back(layer, params, times):
    """Real delays; of those that are one for all the first."""
    if layer.max is None:
        return {}
    found = steps_back(layer, params, times)
    return {"delay": found["delay"][:1]} if layer.per == "layer" else found


def steps_back(layer: Any, params: Params, times: Times) -> Arrays:
    """The delays of n features, in steps."""
    steps = np.ravel(params["delay"]) / (times.dt * times.unit)
    return {"delay": steps[:layer.n].astype(layer.dtype)}


def flatten(shape: Shape) -> Node:
    """All axes of this shape as one."""
    return Node("Flatten", {"start_dim": 0, "end_dim": -1, "input_type": np.array(shape)})


def same(shape: Shape) -> Node:
    """A node that hands on the sum of what arrives."""
    return Node("Scale", {"scale": np.ones(shape, np.float32)})


def _nothing(layer, params, times):
    return {}


TERMS: dict[str, Term] = {
    "Dense": Term(_dense, _dense_back),
    **dict.fromkeys(("Conv1d", "Conv2d"), Term(_conv, _conv_back)),
    **dict.fromkeys(("SumPool2d", "AvgPool2d"), Term(_pool, _nothing)),
    "Delay": Term(_delay, _delay_back),
    **dict.fromkeys(POPULATIONS, Term(_population, _settings)),
}
