"""Layers that change the steps of a sequence: `Repeat`, `PoolTime`, `Reverse`."""

from fractions import Fraction

import numpy as np

from ..signals.spikes import Spikes
from .layer import Gradients, Layer, Result, positive_integer, values


class Repeat(Layer):
    """Every step so many times in a row: y_{k t} = ... = y_{k t + k - 1} = x_t.

    x: (T, B, N) values or Spikes; y: (k T, B, N).  For inputs that stand still (one step in, k steps of
    dynamics), where the layers before it then compute each frame once; and for several inner steps per frame.
    lengths are those of the network's input.

    times: k.
    """

    kind, keeps_shape = "repeat", True

    def __init__(self, times: int, *, name: str | None = None):
        super().__init__(name)
        self.times = positive_integer(times, "Repeat: times")

    def forward(self, x, state, prepared, context):
        return Result(x.repeated(self.times) if isinstance(x, Spikes) else np.repeat(x, self.times, 0), None)

    def backward(self, tape, dy, dstate, dhidden, prepared, context):
        return Gradients(dy.reshape(-1, self.times, *dy.shape[1:]).sum(1), None, {})

    def config(self):
        return {"times": self.times, "name": self.name}

    def describe(self):
        return f"Repeat({self.times})"


class PoolTime(Layer):
    """k steps become one: y_t = mean (or sum, max) of x_{k t} ... x_{k t + k - 1}.

    x: (T, B, N) with T a multiple of k, values or Spikes; y: (T / k, B, N).  Undoes the steps of a Repeat(k),
    or thins out a sequence; `net.step` then takes inputs of which the steps at this layer are a multiple of
    k.  lengths are those of the network's input.

    times: k.  reduce: "mean", "sum" or "max" (of equal values the first gets the gradient).
    """

    kind, keeps_shape = "pooltime", True

    def __init__(self, times: int, reduce: str = "mean", *, name: str | None = None):
        super().__init__(name)
        if reduce not in ("mean", "sum", "max"):
            self.refuse(f"reduce must be 'mean', 'sum' or 'max'; got {reduce!r}")
        self.k, self.reduce = positive_integer(times, "PoolTime: times"), reduce
        self.times = Fraction(1, self.k)

    def build(self, rng, dtype, dt):
        self.dtype = np.dtype(dtype)

    def forward(self, x, state, prepared, context):
        if x.shape[0] % self.k:
            self.refuse(f"makes one step of {self.k}, but {x.shape[0]} steps arrive, which is no multiple; pad the sequence or cut it")
        groups = values(x, self.dtype).reshape(-1, self.k, *x.shape[1:])
        if self.reduce == "max":
            taken = groups.argmax(1)[:, None]
            return Result(np.take_along_axis(groups, taken, 1)[:, 0], None, taken)
        total = np.add.accumulate(groups, 1)[:, -1]         # in the order of time
        return Result(total * self.dtype.type(1 / self.k) if self.reduce == "mean" else total, None)

    def backward(self, tape, dy, dstate, dhidden, prepared, context):
        if self.reduce == "max":
            dx = np.zeros((len(dy), self.k, *dy.shape[1:]), self.dtype)
            np.put_along_axis(dx, tape, dy[:, None], 1)
            return Gradients(dx.reshape(-1, *dy.shape[1:]), None, {})
        return Gradients(np.repeat(dy * self.dtype.type(1 / self.k) if self.reduce == "mean" else dy, self.k, 0), None, {})

    def config(self):
        return {"times": self.k, "reduce": self.reduce, "name": self.name}

    def describe(self):
        return f"PoolTime({self.k}, {self.reduce!r})"


class Reverse(Layer):
    """The valid steps of each sample in reverse order: y_t = x_{L - 1 - t} with L the sample's length; padded
    steps stay where they are.

    x, y: (T, B, N), values or Spikes.  What comes after it knows the future: the network then refuses `step`
    and truncated BPTT.
    """

    kind, keeps_shape = "reverse", True
    causal = False

    def build(self, rng, dtype, dt):
        self.dtype = np.dtype(dtype)

    @staticmethod
    def _order(steps, batch, lengths):
        """(T, B): the step that comes to each place; its own inverse."""
        t = np.arange(steps)[:, None]
        lengths = np.full(batch, steps) if lengths is None else lengths
        return np.where(t < lengths, lengths - 1 - t, t)

    def forward(self, x, state, prepared, context):
        order = self._order(*x.shape[:2], context.lengths)
        if isinstance(x, Spikes):
            rows = (order * x.shape[1] + np.arange(x.shape[1])).ravel()
            return Result(Spikes.of_rows(x.shape, x.start[rows], x.count[rows], x.index, x.multiplicity), None)
        return Result(x[order, np.arange(x.shape[1])], None)

    def backward(self, tape, dy, dstate, dhidden, prepared, context):
        return Gradients(dy[self._order(*dy.shape[:2], context.lengths), np.arange(dy.shape[1])], None, {})
