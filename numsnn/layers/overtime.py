"""`OverTime`: what a network answers, from what its last layer gives at each step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..checked import checked
from ..devices.contract import Over, OverState
from .layer import Arriving, Context, Gradients, Layer, Result, Shape, size, values

REDUCE = ("sum", "mean", "max", "last", "each")
OF = ("value", "softmax")


class OverTime(Layer):
    """The answer of a network over time.

    reduce says which answer, of what it is made of, start where it begins.  With z_t = x_t (of="value") or
    softmax(x_t) (of="softmax"), over the steps t >= start of each sample (padded steps left out):

        sum   y = sum_t z_t              mean  y = sum_t z_t / number of these steps
        max   y = max_t z_t              last  y = z of the last step
        each  y_t = z_t for every step, a decision per step; start must be 0 (leave steps out by the mask of
        the loss)

    x: (T, B, N) -> y: (B, N), or (T, B, N) for each.  `net.step` gives the answer so far; before `start` it
    is 0.  "sum" of "softmax" followed by a cross-entropy takes two soft-maxes, as the SRNN's authors do for
    SHD.  Sums are made in the network's precision, one step after the other: over millions of steps float64
    keeps what float32 loses.
    """

    kind = "overtime"
    needs = ("over_time_forward", "over_time_backward")

    @checked
    def __init__(self, reduce: str = "sum", *, of: str = "value", start: int = 0, name: str | None = None):
        super().__init__(name)
        if reduce not in REDUCE:
            self.refuse(f"reduce must be one of {', '.join(map(repr, REDUCE))}; got {reduce!r}")
        if of not in OF:
            self.refuse(f"of must be one of {', '.join(map(repr, OF))}; got {of!r}")
        if not isinstance(start, int) or start < 0:
            self.refuse(f"start must be a step, 0 or later; got {start!r}")
        if reduce == "each" and start:
            self.refuse(f'start={start} does not go with reduce="each", which answers every step; '
                        f"give the loss a mask instead")
        self.reduce = reduce
        self.of = of
        self.start = start

    @property
    def answers_each_step(self) -> bool:        # type: ignore[override]
        return self.reduce == "each"

    def build(self, rng: np.random.Generator, dtype: DTypeLike, dt: float) -> None:
        self.dtype = np.dtype(dtype)

    def connect(self, shape: Shape | None) -> Shape | None:
        self.size: Any = size(shape)        # None where nothing says what arrives
        if shape is None and not self.answers_each_step:
            self.refuse("needs to know how many features arrive; put a layer with a size before it, "
                        "or say Network(..., input_shape=N)")
        return shape

    def initial_state(self, batch: int, rng: np.random.Generator | None = None) -> OverState | None:
        if self.reduce == "each":
            return None
        return OverState(*(np.zeros((batch, n), self.dtype) for n in (self.size, 1, 1)))

    @property
    def _over(self):
        return Over(self.reduce, self.of, self.start)

    def forward(self, x: Arriving, state: OverState | None, prepared: None, context: Context) -> Result:
        x = values(x, self.dtype)
        done = context.loops.over_time_forward(self._over, x, state, context.lengths, context.tape)
        return Result(*done)

    def step(self, loops: Any) -> tuple:
        return loops.over_time_step(self.reduce, self.of, self.start, self.size, self.dtype)

    def backward(self, tape: Any, dy: np.ndarray, dstate: OverState | None, dhidden: dict | None,
                 prepared: None, context: Context) -> Gradients:
        dx, dstate = context.loops.over_time_backward(self._over, tape, dy, dstate)
        return Gradients(dx, dstate, {})

    def config(self) -> dict[str, Any]:
        return {"reduce": self.reduce, "of": self.of, "start": self.start, "name": self.name}

    def describe(self) -> str:
        return f"OverTime({self.reduce!r}, of={self.of!r}, start={self.start})"

