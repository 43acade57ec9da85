"""`OverTime`: what a network answers, from what its last layer gives at each step."""

from typing import NamedTuple

import numpy as np

from ..loops.contract import valid_steps
from .layer import Gradients, Layer, Result, size, values

REDUCE, OF = ("sum", "mean", "max", "last", "each"), ("value", "softmax")


class State(NamedTuple):
    value: np.ndarray       # (B, N) sum, largest or last value so far
    steps: np.ndarray       # (B, 1) steps so far, in the working precision


class OverTime(Layer):
    """The answer of a network over time.

    reduce says which answer, of what it is made of, start where it begins.  With z_t = x_t (of="value") or softmax(x_t) (of="softmax"), over the steps t >= start of each sample (padded steps left out):

        sum   y = sum_t z_t              mean  y = sum_t z_t / number of these steps
        max   y = max_t z_t              last  y = z of the last step
        each  y_t = z_t for every step, a decision per step; start must be 0 (leave steps out by the mask of the loss)

    x: (T, B, N) -> y: (B, N), or (T, B, N) for each.  `net.step` gives the answer so far; before `start` it is 0.
    "sum" of "softmax" followed by a cross-entropy takes two soft-maxes, as the SRNN's authors do for SHD.
    """

    kind = "overtime"

    def __init__(self, reduce: str = "sum", *, of: str = "value", start: int = 0, name: str | None = None):
        super().__init__(name)
        if reduce not in REDUCE:
            self.refuse(f"reduce must be one of {', '.join(map(repr, REDUCE))}; got {reduce!r}")
        if of not in OF:
            self.refuse(f"of must be one of {', '.join(map(repr, OF))}; got {of!r}")
        if not isinstance(start, int) or start < 0:
            self.refuse(f"start must be a step, 0 or later; got {start!r}")
        if reduce == "each" and start:
            self.refuse(f'start={start} does not go with reduce="each", which answers every step; give the loss a mask instead')
        self.reduce, self.of, self.start = reduce, of, start

    @property
    def answers_each_step(self):
        return self.reduce == "each"

    def build(self, rng, dtype, dt):
        self.dtype = np.dtype(dtype)

    def connect(self, shape):
        self.size = size(shape)
        return shape

    def initial_state(self, batch, rng=None):
        if self.reduce == "each":
            return None
        return State(np.zeros((batch, self.size), self.dtype), np.zeros((batch, 1), self.dtype))

    def forward(self, x, state, prepared, context):
        z = values(x, self.dtype)
        if self.of == "softmax":
            z = context.loops.softmax(z)
        valid = valid_steps(z.shape[0], z.shape[1], context.lengths)
        if self.reduce == "each":
            return Result(np.where(valid, z, z.dtype.type(0)), None, (z, None, valid) if context.tape else None)
        step = state.steps + np.cumsum(valid, 0, dtype=self.dtype)           # (T, B, 1): number of each step, from 1
        counted = valid & (step > self.start)
        run, chosen = self._run(z, state, counted, step, context.loops)
        after = State(run, state.steps + valid.sum(0, dtype=self.dtype))
        n = np.maximum(after.steps - self.start, 1)
        y = run / n if self.reduce == "mean" else run.copy()
        return Result(y, after, (z, chosen, n) if context.tape else None)

    def step(self, loops):
        return loops.over_time_step(self.reduce, self.of, self.start, self.size, self.dtype)

    def _run(self, z, state, counted, step, loops):
        """(value after the steps, (T, B, N) weight of each step in it).  Sums run in the order of time, so that chunks of a sequence
        give the same bits as the whole."""
        if self.reduce in ("sum", "mean"):
            return loops.sum_over_time(state.value, z, counted), counted
        index = np.arange(1, len(z) + 1)[:, None, None]
        if self.reduce == "last":
            best = np.where(counted, index, 0).max(0) + np.zeros(z.shape[2], int)
        else:
            first = np.where(state.steps > self.start, state.value, -np.inf)
            candidates = np.concatenate((first[None], np.where(counted, z, -np.inf)))
            best = candidates.argmax(0)
        taken = np.take_along_axis(np.concatenate((state.value[None], z)), best[None], 0)[0]
        return taken, index == best

    def backward(self, tape, dy, dstate, dhidden, prepared, context):
        z, chosen, last = tape
        if self.reduce == "each":
            dz, before = np.where(last, dy, z.dtype.type(0)), None
        else:
            d = dy / last if self.reduce == "mean" else dy
            d = d + dstate.value
            dz = chosen * d
            kept = 1 if self.reduce in ("sum", "mean") else ~chosen.any(0)
            before = State((kept * d).astype(z.dtype), np.zeros_like(dstate.steps))
        if self.of == "softmax":
            dz = z * (dz - (dz * z).sum(2, keepdims=True))
        return Gradients(np.ascontiguousarray(dz, z.dtype), before, {})

    def config(self):
        return {"reduce": self.reduce, "of": self.of, "start": self.start, "name": self.name}

    def describe(self):
        return f"OverTime({self.reduce!r}, of={self.of!r}, start={self.start})"

