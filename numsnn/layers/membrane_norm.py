"""`MembraneNorm`: normalisation of the membrane potential itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..checked import checked
from . import by_step
from .layer import Arriving, Context, Gradients, Layer, Result, Shape, values
from .norm import BatchNorm, LayerNorm
from .population import Population


class MembraneNorm(Layer):
    """A LIAF population whose membrane potential is normalised in every step, between integration and
    threshold:

        u_t = norm(I_t + v_{t-1}),    then spike, output, reset and leak of u_t as LIAF has them.

    x, y: (T, B, n).  Slower than a norm layer before the population, which normalises the current I for all
    steps at once: here every step waits for the one before (lockstep), and with a BatchNorm for all samples
    of the batch; its statistics are then those of a single step.

    population: a LIAF.  norm: a LayerNorm or a BatchNorm.  Parameters are those of both, under the name of
    this layer.  Source: Wu et al., LIAF-Net, 2021, where the norm is one of the steps of the neuron; the
    authors' later code has both places.
    """

    kind = "membranenorm"

    @checked
    def __init__(self, population: Population, norm: BatchNorm | LayerNorm, *, name: str | None = None):
        super().__init__(name)
        if getattr(getattr(population, "model", None), "name", None) != "LIAF":
            self.refuse(f"needs a LIAF population, whose membrane is I + v; got {population!r}")
        if not isinstance(norm, (BatchNorm, LayerNorm)):
            self.refuse(f"needs a LayerNorm or a BatchNorm; got {norm!r}")
        if population.recur:
            self.refuse("its population must not be recurrent; use Previous(...) for feedback")
        self.population = population
        self.norm = norm
        self.whole_batch = norm.whole_batch

    def declared_shape(self) -> Shape | None:
        return self.population.declared_shape()

    def connect(self, shape: Shape | None) -> Shape:
        self.population.name = self.norm.name = self.name       # messages name the place in the network
        return self.norm.connect(self.population.connect(shape))

    def build(self, rng: np.random.Generator, dtype: DTypeLike, dt: float) -> None:
        self.dtype = np.dtype(dtype)
        for inner in self.inside():
            inner.build(rng, dtype, dt)
            self.params |= inner.params
            self.fixed |= inner.fixed

    @property
    def needs(self) -> tuple[str, ...] | None:      # type: ignore[override]
        of_both = (*(self.population.needs or ()), *(self.norm.needs or ()))
        return (*of_both, "joined")

    @property
    def settings_of_host(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.population.settings_of_host

    def inside(self) -> tuple[Layer, Layer]:
        return self.population, self.norm

    def smoothed(self) -> None:
        self.population.smoothed()

    def prepare(self, context: Context) -> tuple:
        return self.population.prepare(context), self.norm.prepare(context)

    def initial_state(self, batch: int, rng: np.random.Generator | None = None) -> Any:
        return self.population.initial_state(batch, rng)

    def recordable(self) -> tuple[str, ...]:
        return self.population.recordable()

    def forward(self, x: Arriving, state: Any, prepared: tuple, context: Context) -> Result:
        x = values(x, self.dtype)
        of_population, of_norm = prepared
        tapes, parts, seen = [], [], []
        for t, inner in enumerate(by_step.contexts(context, *x.shape[:2])):
            current = x[t:t + 1]
            v = state.v.reshape(current.shape)
            normal = self.norm.forward(current + v, None, of_norm, inner)
            # the population adds v to what it gets
            done = self.population.forward(normal.y - v, state, of_population, inner)
            state = done.state
            tapes.append((done.tape, normal.tape))
            parts.append(values(done.y, self.dtype))
            seen.append(done.seen or {})
        y = context.loops.joined(parts) if parts else x
        return Result(y, state, tapes, by_step.together(seen, context))

    def backward(self, tape: list, dy: np.ndarray, dstate: Any, dhidden: dict | None, prepared: tuple,
                 context: Context) -> Gradients:
        of_population, of_norm = prepared
        parts: list = []
        params: dict[str, np.ndarray] = {}
        hidden = by_step.hidden(dhidden, context, len(dy))
        contexts = by_step.contexts(context._replace(want_dx=True), *dy.shape[:2])
        for t in reversed(range(len(dy))):
            spiked, normed = tape[t]
            spiking = self.population.backward(spiked, dy[t:t + 1], dstate, hidden[t], of_population,
                                               contexts[t])
            normal = self.norm.backward(normed, spiking.dx, None, None, of_norm, contexts[t])
            v = spiking.dstate.v
            through = v.reshape(normal.dx.shape) + normal.dx - spiking.dx
            dstate = spiking.dstate._replace(v=through.reshape(v.shape))
            parts.append(normal.dx)
            by_step.add_to(params, spiking.params | normal.params)
        if not params:
            params = by_step.no_gradients(self, context.loops)
        return Gradients(context.loops.joined(parts[::-1]) if parts else dy, dstate, params)

    def config(self) -> dict[str, Any]:
        population, norm = ({"layer": type(inner).__name__, **inner.config(), "name": None}
                            for inner in self.inside())
        return {"population": population, "norm": norm, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> MembraneNorm:
        from . import by_name
        inside: list[Any] = []
        for inner in (dict(config["population"]), dict(config["norm"])):
            inside.append(by_name(inner.pop("layer")).from_config(inner))
        population, norm = inside
        return cls(population, norm, name=config["name"])

    def describe(self) -> str:
        return f"MembraneNorm({self.population.describe()}, {self.norm.describe()})"
