"""`Delay`: what arrives is handed on some steps later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ..checked import checked
from ..devices.contract import Delays
from ..signals.integers import is_whole
from ..signals.spikes import Spikes
from .layer import Arriving, Context, Gradients, Result, Shape, Sized, values

LONGEST = 1 << 16       # steps
MOST = 1 << 24          # values of a sample that are on their way


class Past(NamedTuple):
    """The state of Delay."""
    # (B, sum of steps): what arrived last, of each feature as many steps as its delay has, the oldest first
    past: np.ndarray


class Delay(Sized):
    """What arrives, some steps later: y_t[n] = x_{t - steps[n]}[n], and 0 before the first step.

    x, y: (T, B, N), values or Spikes, which stay Spikes.  What has not come out yet is the layer's state.

    steps: a whole number from 0, which hands on what arrives at once, to 65,536; or one for each feature,
    (N,); the sum over the features is 2^24 at most.  They are not learned.
    """

    kind = "delay"
    keeps_shape = True
    needs = ("delay_forward", "delay_backward")

    @checked
    def __init__(self, steps: int | Sequence[int] | np.ndarray, *, name: str | None = None):
        super().__init__(name)
        self.steps: int | tuple[int, ...] = self._whole(steps)

    def _whole(self, steps):
        """Numbers of steps, checked."""
        listed = isinstance(steps, (list, tuple)) or isinstance(steps, np.ndarray) and steps.ndim == 1
        of_each = list(steps) if listed else [steps]
        if not of_each or not all(is_whole(d, 0) and d <= LONGEST for d in of_each):
            self.refuse(f"steps must be a whole number from 0 to {LONGEST:,}, or one for each feature; "
                        f"got {steps!r}")
        return tuple(map(int, of_each)) if listed else int(steps)

    def connect(self, shape: Shape | None) -> Shape:
        shape = super().connect(shape)
        if isinstance(self.steps, tuple) and len(self.steps) != self.n:
            self.refuse(f"has a delay for each of {len(self.steps)} features, but {self.n} arrive")
        steps = np.broadcast_to(np.asarray(self.steps, np.int64), self.n)
        if steps.sum() > MOST:
            self.refuse(f"its delays hold {steps.sum():,} values of each sample, more than {MOST:,}; "
                        f"take longer time steps or fewer features")
        self.delays = Delays.of(steps)
        return shape

    def build(self, rng: np.random.Generator, dtype: DTypeLike, dt: float) -> None:
        self.dtype = np.dtype(dtype)

    def initial_state(self, batch: int, rng: np.random.Generator | None = None) -> Past:
        return Past(np.zeros((batch, len(self.delays.feature)), self.dtype))

    def prepare(self, context: Context) -> Delays:
        steps, first, feature = map(context.loops.put, self.delays[:3])
        return Delays(steps, first, feature, self.delays.groups)

    def forward(self, x: Arriving, state: Past, prepared: Delays, context: Context) -> Result:
        y, past = context.loops.delay_forward(prepared, values(x, self.dtype), state.past, context.lengths)
        if isinstance(x, Spikes) and isinstance(y, np.ndarray) and (state.past >= 0).all():
            y = Spikes.from_dense(y)
        return Result(y, Past(past))

    def step(self, loops: Any) -> tuple:
        return loops.delay_step(self.delays, self.dtype)

    def backward(self, tape: None, dy: np.ndarray, dstate: Past, dhidden: dict | None, prepared: Delays,
                 context: Context) -> Gradients:
        dx, dpast = context.loops.delay_backward(prepared, dy, dstate.past, context.lengths)
        return Gradients(dx, Past(dpast), {})

    def config(self) -> dict[str, Any]:
        return {"steps": self.steps, "name": self.name}

    def describe(self) -> str:
        if isinstance(self.steps, int):
            return f"Delay({self.steps})"
        return f"Delay({min(self.steps)} ... {max(self.steps)})"
