"""`Ternary`: values become 1, 0 and -1."""

import numpy as np

from ..neurons import surrogate as surrogates
from .layer import Gradients, Layer, Result, values


class Ternary(Layer):
    """Ternary threshold coding with a learned threshold: y_t = H(x_t - v_threshold) - H(-v_threshold - x_t),
    which is 1, 0 or -1.

    x, y: (T, B, N).  v_threshold: one for all features, in the unit of x; it is kept from falling below 0.
    surrogate: of H, as for populations.  With a fixed threshold see `encode.ternary`.  Source: Yin, Corradi,
    Bohte 2021, their code for speech commands.
    """

    kind = "ternary"

    def __init__(self, v_threshold: float = 0.05, *, surrogate="multi_gaussian", name: str | None = None):
        super().__init__(name)
        if isinstance(v_threshold, bool) or not 0 <= v_threshold < np.inf:
            self.refuse(f"v_threshold must be a number from 0 on; got {v_threshold!r}")
        self.v_threshold, self.surrogate = float(v_threshold), surrogates.get(surrogate)

    def build(self, rng, dtype, dt):
        self.dtype = np.dtype(dtype)
        self.params["v_threshold"] = np.full(1, self.v_threshold, dtype)

    def lower_bounds(self):
        return {"v_threshold": 0.0}

    def smoothed(self):
        self.surrogate = self.surrogate.smoothed()

    def prepare(self, context):
        return self.params["v_threshold"], self.surrogate.typed(self.dtype)

    def forward(self, x, state, prepared, context):
        x, (threshold, k) = values(x, self.dtype), prepared
        above, below = x - threshold, -threshold - x
        y = self.surrogate.spike(above, k) - self.surrogate.spike(below, k)
        return Result(y.astype(self.dtype), None, (above, below) if context.tape else None)

    def backward(self, tape, dy, dstate, dhidden, prepared, context):
        rise, fall = (dy * self.surrogate.slope(side, prepared[1]) for side in tape)
        return Gradients(np.ascontiguousarray(rise + fall, self.dtype), None,
                         {"v_threshold": np.array([(fall - rise).sum(dtype=np.float64)], self.dtype)})

    def config(self):
        return {"v_threshold": self.v_threshold, "surrogate": {"name": self.surrogate.name, **self.surrogate.parameters}, "name": self.name}

    def describe(self):
        return "Ternary()"
