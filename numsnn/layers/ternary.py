"""`Ternary`: values become 1, 0 and -1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..checked import checked
from ..neurons import surrogate as surrogates
from ..neurons.bounds import Bound
from .layer import Arriving, Context, Gradients, Layer, Result, values


class Ternary(Layer):
    """Ternary threshold coding with a learned threshold: y_t = H(x_t - v_threshold) - H(-v_threshold - x_t),
    which is 1, 0 or -1.

    x, y: (T, B, N).  v_threshold: one for all features, in the unit of x; it is kept from falling below 0.
    surrogate: of H, as for populations.  With a fixed threshold see `encode.ternary`.  Source: Yin, Corradi,
    Bohte 2021, their code for speech commands.
    """

    kind = "ternary"
    needs = ("ternary_forward", "ternary_backward")
    settings_of_host = ("v_threshold",)

    @checked
    def __init__(self, v_threshold: float = 0.05, *,
                 surrogate: str | dict[str, Any] | surrogates.Surrogate = "multi_gaussian",
                 name: str | None = None):
        super().__init__(name)
        if isinstance(v_threshold, bool) or not 0 <= v_threshold < np.inf:
            self.refuse(f"v_threshold must be a number from 0 on; got {v_threshold!r}")
        self.v_threshold = float(v_threshold)
        self.surrogate = surrogates.get(surrogate)

    def build(self, rng: np.random.Generator, dtype: DTypeLike, dt: float) -> None:
        self.dtype = np.dtype(dtype)
        self.params["v_threshold"] = np.full(1, self.v_threshold, dtype)

    def bounds(self) -> dict[str, Bound]:
        return {"v_threshold": Bound(low=0.0)}

    def smoothed(self) -> None:
        self.surrogate = self.surrogate.smoothed()

    def forward(self, x: Arriving, state: None, prepared: None, context: Context) -> Result:
        x = values(x, self.dtype)
        y = context.loops.ternary_forward(self.surrogate, x, self.params["v_threshold"])
        return Result(y, None, x if context.tape else None)

    def backward(self, tape: np.ndarray, dy: np.ndarray, dstate: None, dhidden: dict | None, prepared: None,
                 context: Context) -> Gradients:
        threshold = self.params["v_threshold"]
        dx, dthreshold = context.loops.ternary_backward(self.surrogate, tape, threshold, dy)
        return Gradients(dx, None, context.loops.later(("v_threshold",), (dthreshold,), self._learned))

    @staticmethod
    def _learned(dthreshold):
        return {"v_threshold": dthreshold}

    def config(self) -> dict[str, Any]:
        surrogate = {"name": self.surrogate.name, **self.surrogate.parameters}
        return {"v_threshold": self.v_threshold, "surrogate": surrogate, "name": self.name}

    def describe(self) -> str:
        return "Ternary()"
