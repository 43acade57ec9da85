"""`MembraneNorm`: normalisation of the membrane potential itself."""

import numpy as np

from . import by_step
from .layer import Gradients, Layer, Result, values
from .norm import BatchNorm, LayerNorm


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

    def __init__(self, population: Layer, norm: Layer, *, name: str | None = None):
        super().__init__(name)
        if getattr(getattr(population, "model", None), "name", None) != "LIAF":
            self.refuse(f"needs a LIAF population, whose membrane is I + v; got {population!r}")
        if not isinstance(norm, (BatchNorm, LayerNorm)):
            self.refuse(f"needs a LayerNorm or a BatchNorm; got {norm!r}")
        if population.recur:
            self.refuse("its population must not be recurrent; use Previous(...) for feedback")
        self.population, self.norm, self.whole_batch = population, norm, norm.whole_batch

    def declared_shape(self):
        return self.population.declared_shape()

    def connect(self, shape):
        self.population.name = self.norm.name = self.name       # messages name the place in the network
        return self.norm.connect(self.population.connect(shape))

    def build(self, rng, dtype, dt):
        self.dtype = np.dtype(dtype)
        for inner in (self.population, self.norm):
            inner.build(rng, dtype, dt)
            self.params |= inner.params
            self.fixed |= inner.fixed

    def inside(self):
        return self.population, self.norm

    def smoothed(self):
        self.population.smoothed()

    def prepare(self, context):
        return self.population.prepare(context), self.norm.prepare(context)

    def initial_state(self, batch, rng=None):
        return self.population.initial_state(batch, rng)

    def recordable(self):
        return self.population.recordable()

    def forward(self, x, state, prepared, context):
        x, tapes, parts, seen = values(x, self.dtype), [], [], []
        for current, inner in zip(x, by_step.contexts(context, *x.shape[:2]), strict=True):
            normal = self.norm.forward((current + state.v)[None], None, prepared[1], inner)
            # the population adds v to what it gets
            done = self.population.forward(np.ascontiguousarray(normal.y - state.v), state, prepared[0], inner)
            state = done.state
            tapes.append((done.tape, normal.tape))
            parts.append(values(done.y, self.dtype))
            seen.append(done.seen or {})
        return Result(np.concatenate(parts) if parts else x, state, tapes, by_step.together(seen, context))

    def backward(self, tape, dy, dstate, dhidden, prepared, context):
        dx, params, hidden = np.empty_like(dy), {}, by_step.hidden(dhidden, context, len(dy))
        contexts = by_step.contexts(context._replace(want_dx=True), *dy.shape[:2])
        for t in reversed(range(len(dy))):
            spiking = self.population.backward(tape[t][0], dy[t:t + 1], dstate, hidden[t], prepared[0], contexts[t])
            normal = self.norm.backward(tape[t][1], spiking.dx, None, None, prepared[1], contexts[t])
            dx[t] = normal.dx[0]
            dstate = spiking.dstate._replace(v=spiking.dstate.v + dx[t] - spiking.dx[0])
            by_step.add_to(params, spiking.params | normal.params)
        return Gradients(dx, dstate, params or {key: np.zeros_like(p) for key, p in self.params.items()})

    def config(self):
        inside = {what: {"layer": type(inner).__name__, **inner.config(), "name": None} for what, inner in (("population", self.population), ("norm", self.norm))}
        return {**inside, "name": self.name}

    @classmethod
    def from_config(cls, config):
        from . import by_name
        made = [by_name(inner.pop("layer")).from_config(inner) for inner in (dict(config["population"]), dict(config["norm"]))]
        return cls(*made, name=config["name"])

    def describe(self):
        return f"MembraneNorm({self.population.describe()}, {self.norm.describe()})"
