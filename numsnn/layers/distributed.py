"""`TimeDistributed`: a layer at each time step by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..checked import checked
from ..devices.contract import valid_steps
from ..neurons.bounds import Bound
from ..signals.spikes import Spikes
from .layer import Arriving, Context, Gradients, Layer, Result, Shape
from .pointwise import Dropout


class TimeDistributed(Layer):
    """A layer applied to each time step as if it were a sequence of one step: y_t = f(x_t), f beginning in
    its initial state.

    A layer without state does the same as without TimeDistributed; one with a state begins afresh in every
    step.  x: (T, B, N) values or Spikes, which the layer sees as (1, T B, N); y: (T, B, M).  The parameters
    are the layer's, under the name of this one.

    layer: the layer.  Refused are layers that answer once per sequence, that name their sources or change the
    number of steps, and those whose initial state is drawn at random (Dropout, init_state="uniform"), because
    the steps of a sequence would have to share the draw.  Recorded can be what the layer records, except
    "rate".  Source: the layer of this name in Keras.
    """

    kind = "timedistributed"

    @checked
    def __init__(self, layer: Layer, *, name: str | None = None):
        if not isinstance(layer, Layer):
            raise TypeError(f"TimeDistributed holds one layer, TimeDistributed(ns.Dense(4, 36)); "
                            f"got {layer!r}")
        super().__init__(name or layer.name)
        self._check(layer)
        self.layer = layer
        self.params = layer.params
        self.fixed = layer.fixed
        self.uses_blas = layer.uses_blas
        self.whole_batch = layer.whole_batch
        self.reads_tokens = layer.reads_tokens

    def _check(self, layer):
        what = type(layer).__name__
        if isinstance(layer, Dropout):
            self.refuse(f"{what} draws one mask for a sequence; another mask for each step is "
                        f"Dropout({layer.probability:g}, per_step=True), without TimeDistributed")
        if not layer.answers_each_step:
            self.refuse(f"{what} answers once per sequence, but here every step has its answer; "
                        f'use OverTime("each"), without TimeDistributed')
        if layer.sources is not None or layer.times != 1 or not layer.causal:
            self.refuse(f"{what} takes other steps than its own or hands out several; "
                        f"put it into the network by itself")
        if hasattr(layer, "size_out"):
            self.refuse("it is part of a network already; make a new one for each place")

    @property
    def needs(self) -> tuple[str, ...] | None:      # type: ignore[override]
        return self.layer.needs

    @property
    def settings_of_host(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.layer.settings_of_host

    @property
    def n_in(self) -> int:
        """Number of inputs, where the layer knows it."""
        inner: Any = self.layer
        return inner.n_in

    def events(self, x: ArrayLike) -> Spikes:
        """Tokens as Spikes, where the layer reads tokens."""
        return self.layer.events(x)

    def declared_shape(self) -> Shape | None:
        return self.layer.declared_shape()

    def connect(self, shape: Shape | None) -> Shape | None:
        self.layer.name = self.name         # messages name the place in the network
        return self.layer.connect(shape)

    def build(self, rng: np.random.Generator, dtype: DTypeLike, dt: float) -> None:
        self.layer.build(rng, dtype, dt)
        plain = self.layer.initial_state(16)
        drawn = self.layer.initial_state(16, np.random.default_rng(0))
        if plain is not None and any(not np.array_equal(a, b) for a, b in zip(plain, drawn, strict=True)):
            self.refuse(f"the initial state of {self.layer!r} is drawn at random, and would have to be drawn "
                        f"for each step; give it a fixed one")

    def inside(self) -> tuple[Layer]:
        return (self.layer,)

    def smoothed(self) -> None:
        self.layer.smoothed()

    def prepare(self, context: Context) -> Any:
        return self.layer.prepare(context)

    def forward(self, x: Arriving, state: None, prepared: Any, context: Context) -> Result:
        steps, batch = x.shape[:2]
        before = self.layer.initial_state(steps * batch)
        inner = self._inner(context, steps, batch)
        done = self.layer.forward(_reshaped(x, 1, steps * batch), before, prepared, inner)
        seen = done.seen and {field: _reshaped(a, steps, batch) for field, a in done.seen.items()}
        tape = (done.tape, before) if context.tape else None
        return Result(_reshaped(done.y, steps, batch), None, tape, seen)

    def backward(self, tape: tuple, dy: np.ndarray, dstate: None, dhidden: dict | None, prepared: Any,
                 context: Context) -> Gradients:
        kept, before = tape
        steps, batch = dy.shape[:2]
        dafter = None if before is None else type(before)(*(np.zeros_like(a) for a in before))
        dhidden = dhidden and {field: _reshaped(a, 1, steps * batch) for field, a in dhidden.items()}
        inner = self._inner(context, steps, batch)
        d = self.layer.backward(kept, _reshaped(dy, 1, steps * batch), dafter, dhidden, prepared, inner)
        return Gradients(None if d.dx is None else _reshaped(d.dx, steps, batch), None, d.params)

    @staticmethod
    def _inner(context, steps, batch):
        """The context of a batch of steps, valid ones of length 1 and padded ones of length 0."""
        if context.lengths is None:
            return context
        valid = valid_steps(steps, batch, context.lengths)
        return context._replace(lengths=valid.reshape(-1).astype(np.int64))

    def bounds(self) -> dict[str, Bound]:
        return self.layer.bounds()

    def recordable(self) -> tuple[str, ...]:
        return tuple(field for field in self.layer.recordable() if field != "rate")

    def config(self) -> dict[str, Any]:
        inside = {"layer": type(self.layer).__name__, **self.layer.config(), "name": None}
        return {"inside": inside, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TimeDistributed:
        from . import by_name
        inner = dict(config["inside"])
        return cls(by_name(inner.pop("layer")).from_config(inner), name=config["name"])

    def describe(self) -> str:
        return f"TimeDistributed({self.layer.describe()})"


def _reshaped(x, steps, batch):
    """The rows of a sequence as (steps, batch, N)."""
    return x.reshaped(steps, batch) if isinstance(x, Spikes) else x.reshape(steps, batch, x.shape[2])
