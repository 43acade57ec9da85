"""Nodes of foreign files as layers, in the discretisation that `read` describes."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .. import layers as ns
from ..layers.layer import Shape, size
from .nodes import KINDS, MATRICES, POPULATIONS
from .params import Params

MOST = 1 << 20                  # neurons of a population that is larger than any array of its file
MOST_HELD = 1 << 23             # values that a delay holds


class How(NamedTuple):
    """What a graph in continuous time does not say."""
    dt: float                   # seconds
    integrator: str
    reset: str
    reset_when: str
    largest: int                # values of the largest array of the file
    notes: list[str]            # what had to be assumed


class Made(NamedTuple):
    """A layer, and the values of its arrays by name."""
    layer: Any
    arrays: dict[str, np.ndarray]


Maker: TypeAlias = Callable[[Params, "Shape | None", How], Made]


def made(p: Params, shape: Shape | None, how: How) -> Made:
    """The layer of a node, at which a step of this shape arrives (None: unknown)."""
    return MAKERS[p.type](p, shape, how)


def wanted(p: Params) -> Shape | None:
    """The shape that must arrive at a node, where its parameters tell."""
    if p.type in MATRICES:
        return (p.matrix().shape[1],)
    if p.type in ("Conv1d", "Conv2d"):
        places = p.shape("input_shape")
        return None if places is None else (_channels(p)[0], *places)
    if p.type == "Flatten":
        return p.shape("input_type")
    if p.type in (*POPULATIONS, "Scale", "Threshold", "Delay"):
        shape = p.common_shape()
        return shape if prod(shape) > 1 else None
    return None


# ---- synapses


def _matrix(p, shape, how):
    weight = p.matrix()
    n_out, n_in = weight.shape
    arrays = {"weight": weight.T}
    if p.type == "Affine":
        arrays["bias"] = p.vector("bias", n_out)
    bias = "zeros" if p.type == "Affine" else False
    return Made(ns.Dense(n_in, n_out, weight="zeros", bias=bias), arrays)


def _channels(p):
    """(channels in, channels out, groups) of a convolution."""
    weight = p.numbers("weight")
    directions = 1 if p.type == "Conv1d" else 2
    if weight.ndim != directions + 2:
        p.refuse(f"weight should have {directions + 2} axes (channels out, channels in / groups, kernel); "
                 f"got shape {weight.shape}")
    groups = p.whole("groups", 1, 1)[0]
    return weight.shape[1] * groups, weight.shape[0], groups


def _conv(p, shape, how):
    channels_in, channels_out, groups = _channels(p)
    weight, n = p.numbers("weight"), 1 if p.type == "Conv1d" else 2
    settings = {key: p.whole(key, n, 1) for key in ("stride", "dilation")}
    word = p.word("padding")
    if word == "same":
        weight, padding = _same(p, weight, settings)
    elif word not in (None, "valid"):
        p.refuse(f"padding should be numbers, 'same' or 'valid'; got {word!r}")
    else:
        padding = (0,) * n if word == "valid" else p.whole("padding", n)
    more = {"groups": groups} if groups != 1 else {}
    cls = ns.Conv1d if n == 1 else ns.Conv2d
    layer = cls(channels_in, channels_out, weight.shape[2:], padding=padding, weight="zeros", **settings,
                **more)
    return Made(layer, {"weight": weight, "bias": p.vector("bias", channels_out)})


def _same(p, weight, settings):
    """(weight, padding) that keep the size; an even kernel gets a zero in front, as it reaches further on."""
    if set(settings["stride"]) != {1}:
        p.refuse(f"padding 'same' goes with stride 1; got {settings['stride']}")
    padding = []
    for axis, (k, d) in enumerate(zip(weight.shape[2:], settings["dilation"], strict=True), 2):
        if d * (k - 1) % 2 == 0:
            padding.append(d * (k - 1) // 2)
        elif d == 1:
            front = [(0, 0)] * weight.ndim
            front[axis] = (1, 0)
            weight = np.pad(weight, front)
            padding.append(k // 2)
        else:
            p.refuse(f"padding 'same' of an even kernel with dilation {d} is not read; give numbers")
    return weight, tuple(padding)


def _pool(p, shape, how):
    kernel, stride = p.whole("kernel_size", 2, 1), p.whole("stride", 2, 1)
    padding = p.whole("padding", 2)
    more = {"padding": padding} if any(padding) else {}
    cls = ns.SumPool2d if p.type == "SumPool2d" else ns.AvgPool2d
    return Made(cls(kernel, stride=stride, **more), {})


def _flatten(p, shape, how):
    shape = shape or p.shape("input_type")
    if shape is None:
        return Made(ns.Flatten(), {})
    first, last = (p.whole(key, 1, -len(shape))[0] for key in ("start_dim", "end_dim"))
    first, last = (axis + len(shape) if axis < 0 else axis for axis in (first, last))
    if first == last + 1 == len(shape) or last == len(shape) == first + 1:
        how.notes.append(f"start_dim and end_dim of {p.name} count the batch")
        first = last = len(shape) - 1
    if not 0 <= first <= last < len(shape):
        p.refuse(f"cannot flatten the axes {first} to {last} of the shape {shape}")
    out = (*shape[:first], prod(shape[first:last + 1]), *shape[last + 1:])
    return Made(ns.Flatten() if len(out) == 1 else ns.Reshape(*out), {})


# ---- one number for each feature


def _of_features(p, shape, how):
    """The shape of the neurons: that of what arrives, or where it is unknown, that of the parameters."""
    own = p.common_shape()
    if shape is None:
        shape = own or (1,)
    if prod(own) not in (1, size(shape)) and not _fits(own, shape):
        p.refuse(f"its parameters have the shape {own}, but {shape} arrives")
    if size(shape) > max(how.largest, MOST):
        p.refuse(f"would have {size(shape):,} neurons, more than {MOST:,} and than any array of the file")
    return shape


def _fits(own, shape):
    """Whether parameters of one shape can be those of neurons of another."""
    ends = zip(own[::-1], shape[::-1], strict=False)
    return len(own) <= len(shape) and all(n in (1, m) for n, m in ends)


def _plain(shape):
    """A shape as populations are told it."""
    return shape[0] if len(shape) == 1 else shape


def _population(p, shape, how):
    shape = _of_features(p, shape, how)
    name, names = SETTINGS[p.type]
    settings = {ours: p.of_neurons(theirs, shape, DEFAULTS.get(theirs)) for ours, theirs in names.items()}
    for ours, value in settings.items():
        if ours.startswith("tau_"):
            _check_time(p, names[ours], np.min(value), how)
    options = {}
    if p.type not in ("I", "IF"):
        options |= {"integrator": how.integrator, "input_scale": "1-alpha"}
    if "v_threshold" in names:
        options |= {"reset": how.reset, **_late(p, how)}
    arrays = {}
    if p.loops or p.direct:
        arrays = _recurrence(p, size(shape), how)
        options |= {"recurrent": True, "recurrent_init": "zeros",
                    "recurrent_bias_init": "zeros" if "recurrent_bias" in arrays else False}
    return Made(getattr(ns, name)(_plain(shape), **settings, **options), arrays)


def _recurrence(p, n, how):
    """The arrays of a recurrence: the sum of its matrices, and of the identity where it is direct too."""
    if n * n > max(how.largest, MOST):
        p.refuse(f"leads {n:,} neurons to themselves directly, which is not read; put a Linear between")
    weight = np.eye(n) if p.direct else np.zeros((n, n))
    biases = []
    for loop in p.loops:
        own = loop.matrix()
        if own.shape != (n, n):
            loop.refuse(f"leads {n} neurons to themselves, but its weight has the shape {own.shape}")
        weight = weight + own.T
        if loop.type == "Affine":
            biases.append(loop.vector("bias", n))
    return {"recurrent": weight, **({"recurrent_bias": np.sum(biases, 0)} if biases else {})}


def _late(p, how):
    """The option of a reset that acts in the next step."""
    if how.reset_when == "same":
        return {}
    if p.type != "LIF":
        p.refuse("reset_when='next' is for LIF; our IF and CubaLIF reset in the step of their spike")
    return {"reset_when": how.reset_when}


def _check_time(p, key, least, how):
    if least <= 0:
        p.refuse(f"{key} is a time constant and must be positive; got {least:g}")
    if how.integrator == "euler" and least < how.dt * (1 - 1e-6):
        p.refuse(f"{key} of {least:g} s is shorter than the step dt={how.dt:g} s, with which Euler's rule "
                 f"overshoots; give a smaller dt=, or integrator='exponential'")


def _scale(p, shape, how):
    shape = _of_features(p, shape, how)
    return Made(ns.Scale(p.of_neurons("scale", shape), _plain(shape)), {})


def _threshold(p, shape, how):
    shape = _of_features(p, shape, how)
    return Made(ns.Threshold(_plain(shape), v_threshold=p.of_neurons("threshold", shape)), {})


def _delay(p, shape, how):
    shape = _of_features(p, shape, how)
    exact = np.asarray(p.of_neurons("delay", shape)) / how.dt
    if exact.min() < 0:
        p.refuse(f"delay must not be negative; got {p.numbers('delay').min():g} s")
    steps = np.round(exact)
    if (np.abs(exact - steps) > 0.01).any():
        how.notes.append(f"delays of {p.name} are rounded to steps of {how.dt:g} s")
    held = float(np.broadcast_to(steps, size(shape)).sum())
    if held > MOST_HELD:
        p.refuse(f"delay of {p.numbers('delay').max():g} s in steps of {how.dt:g} s would hold {held:.3g} "
                 f"values of {size(shape):,} features, more than {MOST_HELD:,}")
    return Made(ns.Delay(steps.astype(np.int64) if steps.ndim else int(steps)), {})


DEFAULTS = {"v_reset": 0.0, "w_in": 1.0}        # where a file does not say them
# type -> (our layer, our setting -> NIR's parameter)
SETTINGS = {
    "I": ("Integrator", {"r": "r"}),
    "LI": ("LI", {"tau_mem": "tau", "r": "r", "v_leak": "v_leak"}),
    **{kind: (kind, {name: name for name in KINDS[kind].params}) for kind in ("IF", "CubaLI", "CubaLIF")},
    "LIF": ("LIF", {"tau_mem": "tau", **{name: name for name in KINDS["LIF"].params[1:]}}),
}
MAKERS: dict[str, Maker] = {
    **{kind: _matrix for kind in MATRICES},
    **{kind: _population for kind in POPULATIONS},
    "AvgPool2d": _pool, "Conv1d": _conv, "Conv2d": _conv, "Delay": _delay, "Flatten": _flatten,
    "Scale": _scale, "SumPool2d": _pool, "Threshold": _threshold,
}
