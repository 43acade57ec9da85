"""The door of a network: what comes in is checked here, and brought into the form that the passes want."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from ..layers import Block, Layer
from ..layers.arrays import checked, precise
from ..layers.layer import size
from ..signals.arrays import TIME_FIRST, numbers
from ..signals.integers import is_whole
from ..signals.spikes import Spikes
from .graph import Graph
from .tape import Tape

Input: TypeAlias = ArrayLike | Spikes
State: TypeAlias = dict[str, Any]                       # by layer: a named tuple of arrays (B, ...), or None
Grads: TypeAlias = dict[str, np.ndarray]                # by names of net.params
Seen: TypeAlias = dict[str, dict[str, np.ndarray]]      # by layer and field

ONE_MISSING = "One sample (T, N) is x[:, None, :]; one step (B, N) goes to net.step"
DHIDDEN = '{"alif0": {"spike": an array (T, B, N)}}'
AXES = {2: "channels, places", 3: "channels, rows, columns"}        # of a step's shape


class Door:
    """The checks of `Network`; nothing behind them meets a wrong shape, a foreign type or a NaN."""

    layers: dict[str, Layer]
    graph: Graph
    loops: Any
    dtype: np.dtype

    @staticmethod
    def _check_made_of(layers, dt, dtype, chunk, seed):
        wrong = [layer for layer in layers if not isinstance(layer, (Layer, Block))]
        if wrong or not layers:
            raise ValueError(f"a network is made of layers, Network(ns.Dense(4, 36), ns.ALIF(36), ...); "
                             f"got {wrong[0] if wrong else None!r}")
        if isinstance(dt, bool) or not isinstance(dt, Real) or not 0 < dt < np.inf:
            raise ValueError(f"dt must be a positive number; got {dt!r}")
        if _precision(dtype) not in ("float32", "float64"):
            raise ValueError(f"dtype must be float32 or float64; got {dtype!r}")
        if chunk is not None and not is_whole(chunk, least=1):
            raise ValueError(f"chunk must be a positive number of samples, or None; got {chunk!r}")
        if not is_whole(seed, least=0):
            raise ValueError(f"seed must be an integer from 0 on, which draws the parameters; got {seed!r}")

    # ---- sequences

    def _input(self, x):
        """A sequence as Spikes, or as an array (T, B, N) of the network's precision."""
        first = self._first
        if first.reads_tokens and not isinstance(x, Spikes):
            return first.events(x)
        there = isinstance(x, Spikes) or self.loops.holds(x)
        x = x if there else numbers(x, "the input", "numbers or Spikes")
        if self._takes_pictures and x.shape[2:] == self.graph.input_shape:
            x = x.reshape(*x.shape[:2], size(self.graph.input_shape))
        self._check_shape(x.shape)
        return x if there else self._values(x)

    def _check_shape(self, shape):
        features = size(self.graph.input_shape)
        if len(shape) != 3:
            if self._takes_pictures:
                step, axes = ", ".join(map(str, self.graph.input_shape)), AXES[len(self.graph.input_shape)]
                raise ValueError(f"expected x of shape (T, B, {step}): time, samples, {axes}; "
                                 f"got shape {shape}. {TIME_FIRST}")
            hint = ONE_MISSING if len(shape) == 2 else TIME_FIRST
            raise ValueError(f"expected x of shape (T, B, {features or 'N'}): time, samples, features; "
                             f"got shape {shape}. {hint}")
        if features is not None and shape[2] != features:
            name = next(iter(self.layers))
            raise ValueError(f"expected x of shape (T, B, {features}) for layer {name}; got shape {shape}. "
                             f"{TIME_FIRST}")

    def _values(self, x):
        """Zeros and ones, and counts, as Spikes; numbers as they are, where they are finite."""
        if x.dtype == bool or x.dtype.kind in "iu" and (x.size == 0 or x.min() >= 0):
            return Spikes.from_dense(x)
        # in one piece: loops may read it where it lies
        return precise(x, self.dtype, "the input", "x", "; clean the data before the network")

    def _one_step(self, x):
        """What `step` takes, (B, N), as a sequence of one step."""
        if isinstance(x, Spikes):
            return x
        x = numbers(x, "the input", "numbers or Spikes")
        if self._first.reads_tokens and x.ndim == 1:
            x = x[:, None]
        if self._takes_pictures and x.shape[1:] == self.graph.input_shape:
            x = x.reshape(len(x), size(self.graph.input_shape))
        if x.ndim != 2:
            raise ValueError(f"step takes one time step, x (B, N); got shape {x.shape}. "
                             f"For one sample use x[None]; for a sequence (T, B, N) use run")
        return x[None]

    def _lengths(self, lengths, x):
        if lengths is None:
            return None
        lengths = numbers(lengths, "lengths")
        if lengths.shape != (x.shape[1],) or lengths.dtype.kind not in "iu":
            raise ValueError(f"lengths: expected {x.shape[1]} integers, one for each sample; "
                             f"got {lengths.dtype} of shape {lengths.shape}")
        if lengths.size and (lengths.min() < 0 or lengths.max() > x.shape[0]):
            raise ValueError(f"lengths must lie in 0 ... T = {x.shape[0]}; "
                             f"got {lengths.min()} ... {lengths.max()}")
        return lengths.astype(np.int64)

    # ---- state and gradients

    def _state(self, state, batch, rng=None):
        """The state that is given, checked; else the initial one."""
        if state is None:
            return self.initial_state(batch, rng)
        return self._states(state, batch, "state")

    def _dstate(self, dstate, batch):
        """The gradient of a final state, of the layers of which there is one."""
        if dstate is None:
            return {}
        given = self._states(dstate, batch, "dstate", some=True)
        return {name: d for name, d in given.items() if d is not None}

    def _states(self, given, batch, what, some=False):
        """A state or its gradient, each array checked against the initial state; some: layers may lack."""
        wanted = self.initial_state(0)
        _mapping(given, what, "run, step or forward return, a state by layer")
        for name, like in wanted.items():
            if (like is None) != (given.get(name) is None) and not (some and given.get(name) is None):
                raise ValueError(f"{what}: layer {name} {'has no state' if like is None else 'is missing'}; "
                                 f"pass what run, step or forward returned")
        found = {} if some else dict.fromkeys(name for name, like in wanted.items() if like is None)
        there = []
        for name, fields in given.items():
            self._named(name, what)
            like, label = wanted[name], f"{what}[{name!r}]"
            if fields is None:
                found[name] = None
                continue
            if getattr(fields, "_fields", None) != like._fields:
                raise TypeError(f"{label}: expected the arrays ({', '.join(like._fields)}) in a named tuple, "
                                f"as run, step or forward return it; got {_fields_of(fields)}")
            arrays = [self._rows(a, b, batch, f"{label}.{field}")
                      for field, a, b in zip(like._fields, fields, like, strict=True)]
            there += [(f"{label}.{field}", a) for field, a in zip(like._fields, arrays, strict=True)
                      if self.loops.holds(a)]
            found[name] = type(like)(*arrays)
        if there:
            self._refuse_what_is_not_finite(there)
        return found

    def _rows(self, given, like, batch, what):
        """An array of a state (B, ...), in the network's precision: its samples, then the rest as `like`."""
        there = self.loops.holds(given)
        a = given if there else numbers(given, what)
        if not a.shape or a.shape[1:] != like.shape[1:]:
            raise ValueError(f"{what} must have shape {(batch, *like.shape[1:])}; got shape {a.shape}")
        if a.shape[0] != batch:
            raise ValueError(f"{what} holds {a.shape[0]} samples, but the input {batch}")
        if there and a.dtype != self.dtype:
            raise TypeError(f"{what} must hold {self.dtype}; got {a.dtype}")
        return a if there else precise(a, self.dtype, what)

    def _refuse_what_is_not_finite(self, named):
        """Of (name, array) on the device."""
        finite = self.loops.finite([a for _, a in named])
        for (what, _), fine in zip(named, finite, strict=True):
            if not fine:
                raise ValueError(f"{what} is not finite")

    def _tape(self, tape):
        """A tape of this network's."""
        if not isinstance(tape, Tape):
            raise TypeError(f"tape: expected what forward returned last, y, state, tape; "
                            f"got {type(tape).__name__}")
        if tape.graph is not self.graph:
            raise ValueError("tape: it is of another network; backward takes the tape of this network's own "
                             "forward")
        return tape

    def _answers_gradient(self, dy, shape):
        """The gradient of an answer of a shape, pictures as features."""
        what = "dy"
        dy = numbers(dy, what)
        if dy.shape == self._shape(shape, self._last):
            dy = dy.reshape(shape)
        if dy.shape != shape:
            raise ValueError(f"dy is the gradient of the answer and must have its shape {shape}; "
                             f"got {dy.shape}")
        return precise(dy, self.dtype, what)

    def _hidden(self, dhidden, steps, batch):
        """Gradients of hidden fields, pictures as features; steps: of the network's input."""
        found: dict[str, dict[str, np.ndarray]] = {}
        for name, fields in _mapping({} if dhidden is None else dhidden, "dhidden", DHIDDEN).items():
            layer = self._named(name, "dhidden")
            known, shape = layer.recordable(), (self.graph.nodes[name].steps(steps), batch, layer.size_out)
            for field, given in _mapping(fields, f"dhidden[{name!r}]", DHIDDEN).items():
                if field not in known:
                    raise ValueError(f"dhidden: layer {name} hands out {', '.join(known) or 'nothing'}; "
                                     f"got a gradient of {field!r}")
                wanted = shape[1:] if field == "rate" else shape
                what = f"dhidden[{name!r}][{field!r}]"
                d = numbers(given, what)
                if d.shape == self._shape(wanted, layer):
                    d = d.reshape(wanted)
                found.setdefault(name, {})[field] = checked(d, wanted, self.dtype, what)
        return found

    # ---- what is recorded

    def _record(self, record):
        """Fields by layer."""
        if record is None:
            return None
        if isinstance(record, str) and record == "rate":
            record = {name: "rate" for name, layer in self.layers.items() if "rate" in layer.recordable()}
        if not isinstance(record, dict):
            raise TypeError(f'record must be a dict such as {{"alif0": ("v", "spike")}}, or "rate"; '
                            f"got {record!r}")
        if not all(isinstance(fields, (str, tuple, list)) for fields in record.values()):
            raise TypeError(f'record: expected names of fields by layer, {{"alif0": ("v", "spike")}}; '
                            f"got {record!r}")
        record = {name: (fields,) if isinstance(fields, str) else tuple(fields)
                  for name, fields in record.items()}
        for name, fields in record.items():
            known = ("y", *self._named(name).recordable())
            for field in fields:
                if field not in known:
                    raise ValueError(f"layer {name} cannot record {field!r}; it has {', '.join(known)}")
        return record

    # ---- layers

    def _named(self, name, where=None):
        if name not in self.layers:
            before = "" if where is None else f"{where}: "
            raise ValueError(f"{before}no layer {name!r}; there are {', '.join(self.layers)}")
        return self.layers[name]

    @property
    def _first(self):
        return next(iter(self.layers.values()))

    @property
    def _last(self):
        return self.layers[self.graph.answer]

    @property
    def _takes_pictures(self):
        return self.graph.input_shape is not None and len(self.graph.input_shape) > 1

    @staticmethod
    def _shape(shape, layer):
        """The shape (..., N) of what a layer hands out, with N as the layer's pictures."""
        pictures = layer.shape_out is not None and len(layer.shape_out) > 1
        return (*shape[:-1], *layer.shape_out) if pictures else tuple(shape)

    def _shaped(self, a, layer):
        return a.reshape(self._shape(a.shape, layer))


def _precision(dtype):
    """The name of a type of numbers; "" for what is none."""
    try:
        return "" if dtype is None else np.dtype(dtype).name
    except TypeError:
        return ""


def _mapping(given, what, example):
    if not isinstance(given, Mapping):
        raise TypeError(f"{what}: expected a dict such as {example}; got {type(given).__name__}")
    return given


def _fields_of(given):
    """What stands in place of a layer's state, in words."""
    fields = getattr(given, "_fields", None)
    return type(given).__name__ if fields is None else f"({', '.join(fields)})"
