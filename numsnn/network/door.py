"""The door of a network: what comes in is checked here, and brought into the form that the passes want."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from ..layers import Block, Layer
from ..layers.layer import size
from ..signals.arrays import TIME_FIRST
from ..signals.spikes import Spikes
from .graph import Graph

Input: TypeAlias = ArrayLike | Spikes
State: TypeAlias = dict[str, Any]                       # by layer: a named tuple of arrays (B, ...), or None
Grads: TypeAlias = dict[str, np.ndarray]                # by names of net.params
Seen: TypeAlias = dict[str, dict[str, np.ndarray]]      # by layer and field

ONE_MISSING = "One sample (T, N) is x[:, None, :]; one step (B, N) goes to net.step"
AXES = {2: "channels, places", 3: "channels, rows, columns"}        # of a step's shape


class Door:
    """The checks of `Network`; nothing behind them meets a wrong shape."""

    layers: dict[str, Layer]
    graph: Graph
    loops: Any
    dtype: np.dtype

    @staticmethod
    def _check_made_of(layers, dt, dtype, chunk):
        wrong = [layer for layer in layers if not isinstance(layer, (Layer, Block))]
        if wrong or not layers:
            raise ValueError(f"a network is made of layers, Network(ns.Dense(4, 36), ns.ALIF(36), ...); "
                             f"got {wrong[0] if wrong else None!r}")
        if not dt > 0 or not np.isfinite(dt):
            raise ValueError(f"dt must be a positive number; got {dt!r}")
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise ValueError(f"dtype must be float32 or float64; got {dtype!r}")
        if chunk is not None and (not isinstance(chunk, int) or chunk < 1):
            raise ValueError(f"chunk must be a positive number of samples, or None; got {chunk!r}")

    # ---- sequences

    def _input(self, x):
        """A sequence as Spikes, or as an array (T, B, N) of the network's precision."""
        first = self._first
        if first.reads_tokens and not isinstance(x, Spikes):
            return first.events(x)
        shape = x.shape if isinstance(x, Spikes) else np.shape(x)
        if self._takes_pictures and shape[2:] == self.graph.input_shape:
            x = np.reshape(x, (*shape[:2], size(self.graph.input_shape)))
            shape = x.shape
        self._check_shape(shape)
        if isinstance(x, Spikes) or self.loops.holds(x):
            return x
        return self._values(np.asarray(x))

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
        integers = np.issubdtype(x.dtype, np.integer)
        if x.dtype == bool or integers and (x.size == 0 or x.min() >= 0):
            return Spikes.from_dense(x)
        if not (integers or np.issubdtype(x.dtype, np.floating)):
            raise ValueError(f"expected numbers or Spikes as input; got {x.dtype}")
        if not np.isfinite(x).all():
            t, b, n = np.argwhere(~np.isfinite(x))[0]
            raise ValueError(f"the input is not finite: x[{t}, {b}, {n}] is {x[t, b, n]}; "
                             f"clean the data before the network")
        return np.ascontiguousarray(x, self.dtype)      # loops may read it where it lies

    def _one_step(self, x):
        """What `step` takes, (B, N), as a sequence of one step."""
        if isinstance(x, Spikes):
            return x
        x = np.asarray(x)
        if self._first.reads_tokens and x.ndim == 1:
            x = x[:, None]
        if self._takes_pictures and x.shape[1:] == self.graph.input_shape:
            x = x.reshape(len(x), -1)
        if x.ndim != 2:
            raise ValueError(f"step takes one time step, x (B, N); got shape {x.shape}. "
                             f"For one sample use x[None]; for a sequence (T, B, N) use run")
        return x[None]

    def _lengths(self, lengths, x):
        if lengths is None:
            return None
        lengths = np.asarray(lengths)
        if lengths.shape != (x.shape[1],) or not np.issubdtype(lengths.dtype, np.integer):
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
        checked = {}
        for name, wanted in self.initial_state(0).items():
            given = state.get(name)
            if (wanted is None) != (given is None):
                raise ValueError(f"state: layer {name} {'has no state' if wanted is None else 'is missing'}; "
                                 f"pass what run, step or forward returned")
            if wanted is not None:
                self._check_rows(name, wanted._fields, given, batch)
        for name, given in state.items():
            checked[name] = None if given is None else type(given)(*map(self._own, given))
        return checked

    @staticmethod
    def _check_rows(name, fields, given, batch):
        for field, a in zip(fields, given, strict=True):
            if a.shape[0] != batch:
                raise ValueError(f"state[{name!r}].{field} holds {a.shape[0]} samples, but the input {batch}")

    def _own(self, a):
        """An array of the device's, or a NumPy array of the network's precision."""
        return a if self.loops.holds(a) else np.asarray(a, self.dtype)

    def _answers_gradient(self, dy, shape):
        """The gradient of an answer of a shape, pictures as features."""
        dy = np.ascontiguousarray(dy, self.dtype)
        if dy.shape == self._shape(shape, self._last):
            dy = dy.reshape(shape)
        if dy.shape != shape:
            raise ValueError(f"dy is the gradient of the answer and must have its shape {shape}; "
                             f"got {dy.shape}")
        return dy

    def _hidden(self, dhidden):
        """Gradients of hidden fields, pictures as features."""
        checked = {}
        for name, fields in dhidden.items():
            known = self._named(name).recordable()
            for field in fields:
                if field not in known:
                    raise ValueError(f"dhidden: layer {name} hands out {', '.join(known) or 'nothing'}; "
                                     f"got a gradient of {field!r}")
            checked[name] = {field: _as_features(field, a) for field, a in fields.items()}
        return checked

    # ---- what is recorded

    def _record(self, record):
        """Fields by layer."""
        if record is None:
            return None
        if record == "rate":
            record = {name: "rate" for name, layer in self.layers.items() if "rate" in layer.recordable()}
        if not isinstance(record, dict):
            raise TypeError(f'record must be a dict such as {{"alif0": ("v", "spike")}}, or "rate"; '
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

    def _named(self, name):
        if name not in self.layers:
            raise ValueError(f"no layer {name!r}; there are {', '.join(self.layers)}")
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


def _as_features(field, gradient):
    """(B, N) of a rate, (T, B, N) of any other field."""
    axes = 1 if field == "rate" else 2
    return np.reshape(gradient, (*np.shape(gradient)[:axes], -1))
