"""Layers that change the steps of a sequence: `Repeat`, `PoolTime`, `Reverse`."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..checked import checked
from ..devices.contract import Geometry
from .layer import Arriving, Context, Gradients, Layer, Result, positive_integer, values


def several_times(shape: tuple[int, ...], times: int) -> np.ndarray:
    """(k T, B): the step that comes to each place where each comes k times in a row."""
    return np.repeat(np.arange(shape[0])[:, None], times, 0) + np.zeros(shape[1], np.int64)


class Repeat(Layer):
    """Every step so many times in a row: y_{k t} = ... = y_{k t + k - 1} = x_t.

    x: (T, B, N) values or Spikes; y: (k T, B, N).  For inputs that stand still (one step in, k steps of
    dynamics), where the layers before it then compute each frame once; and for several inner steps per frame.
    lengths are those of the network's input.

    times: k.
    """

    kind = "repeat"
    keeps_shape = True
    needs = ("reordered", "sum_steps")
    times: int

    @checked
    def __init__(self, times: int, *, name: str | None = None):
        super().__init__(name)
        self.times = positive_integer(times, "Repeat: times")

    def forward(self, x: Arriving, state: None, prepared: None, context: Context) -> Result:
        return Result(context.loops.reordered(x, several_times(x.shape, self.times)), None)

    def backward(self, tape: None, dy: np.ndarray, dstate: None, dhidden: dict | None, prepared: None,
                 context: Context) -> Gradients:
        return Gradients(context.loops.sum_steps(dy, self.times), None, {})

    def config(self) -> dict[str, Any]:
        return {"times": self.times, "name": self.name}

    def describe(self) -> str:
        return f"Repeat({self.times})"


class PoolTime(Layer):
    """k steps become one: y_t = mean (or sum, max) of x_{k t} ... x_{k t + k - 1}.

    x: (T, B, N) with T a multiple of k, values or Spikes; y: (T / k, B, N).  Undoes the steps of a Repeat(k),
    or thins out a sequence; `net.step` then takes inputs of which the steps at this layer are a multiple of
    k.  lengths are those of the network's input.

    times: k.  reduce: "mean", "sum" or "max" (of equal values the first gets the gradient).
    """

    kind = "pooltime"
    keeps_shape = True

    @checked
    def __init__(self, times: int, reduce: str = "mean", *, name: str | None = None):
        super().__init__(name)
        if reduce not in ("mean", "sum", "max"):
            self.refuse(f"reduce must be 'mean', 'sum' or 'max'; got {reduce!r}")
        self.k = positive_integer(times, "PoolTime: times")
        self.reduce = reduce
        self.times = Fraction(1, self.k)

    @property
    def needs(self) -> tuple[str, ...]:             # type: ignore[override]
        if self.reduce == "max":
            return "max_pool_forward", "max_pool_backward"
        return "reordered", "sum_steps"

    def build(self, rng: np.random.Generator, dtype: DTypeLike, dt: float) -> None:
        self.dtype = np.dtype(dtype)

    def forward(self, x: Arriving, state: None, prepared: None, context: Context) -> Result:
        if x.shape[0] % self.k:
            self.refuse(f"makes one step of {self.k}, but {x.shape[0]} steps arrive, which is no multiple; "
                        f"pad the sequence or cut it")
        x = values(x, self.dtype)
        if self.reduce == "max":
            shape = (x.shape[0] // self.k, *x.shape[1:])
            y, taken = context.loops.max_pool_forward(x.reshape(1, 1, -1), self._windows(shape))
            return Result(y.reshape(shape), None, taken)
        return Result(self._averaged(context.loops.sum_steps(x, self.k)), None)

    def backward(self, tape: Any, dy: np.ndarray, dstate: None, dhidden: dict | None, prepared: None,
                 context: Context) -> Gradients:
        if self.reduce == "max":
            dx = context.loops.max_pool_backward(tape, dy.reshape(1, 1, -1), self._windows(dy.shape))
            return Gradients(dx.reshape(len(dy) * self.k, *dy.shape[1:]), None, {})
        order = several_times(dy.shape, self.k)
        return Gradients(context.loops.reordered(self._averaged(dy), order), None, {})

    def _windows(self, shape):
        """What becomes a step, as a channel of a picture: a row for each of the k steps; shape: of y."""
        steps, row = shape[0], max(shape[1] * shape[2], 1)
        return Geometry(steps, (self.k, row), (self.k, 1), (self.k, 1), (0, 0), (1, 1), (1, row))

    def _averaged(self, a):
        """A sum of k steps, or its gradient, divided by k where the mean is asked for."""
        return a * self.dtype.type(1 / self.k) if self.reduce == "mean" else a

    def config(self) -> dict[str, Any]:
        return {"times": self.k, "reduce": self.reduce, "name": self.name}

    def describe(self) -> str:
        return f"PoolTime({self.k}, {self.reduce!r})"


class Reverse(Layer):
    """The valid steps of each sample in reverse order: y_t = x_{L - 1 - t} with L the sample's length; padded
    steps stay where they are.

    x, y: (T, B, N), values or Spikes.  What comes after it knows the future: the network then refuses `step`
    and truncated BPTT.
    """

    kind = "reverse"
    keeps_shape = True
    causal = False
    needs = ("reordered",)

    @staticmethod
    def _order(shape, lengths):
        """(T, B): the step that comes to each place; its own inverse."""
        steps, batch, _ = shape
        t = np.arange(steps)[:, None]
        lengths = np.full(batch, steps) if lengths is None else lengths
        return np.where(t < lengths, lengths - 1 - t, t)

    def forward(self, x: Arriving, state: None, prepared: None, context: Context) -> Result:
        return Result(context.loops.reordered(x, self._order(x.shape, context.lengths)), None)

    def backward(self, tape: None, dy: np.ndarray, dstate: None, dhidden: dict | None, prepared: None,
                 context: Context) -> Gradients:
        order = self._order(dy.shape, context.lengths)
        return Gradients(context.loops.reordered(dy, order), None, {})
