"""What a network answers, and the gradient by what its last population hands out: at each step, or at the
end of a sequence."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..devices.contract import OverState, steps_so_far
from ..layers import OverTime
from ..layers.layer import Context

LINEAR = ("sum", "mean", "last")


class Each:
    """An answer at each step: the last population's, or OverTime("each") of it."""

    def __init__(self, loops: Any, over: OverTime | None):
        self.loops, self.over = loops, over

    def of(self, x: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
        """y (S, B, C) of x (S, B, C)."""
        if self.over is None:
            return x
        result = self.over.forward(x, None, None, Context(self.loops, lengths, tape=True))
        self.tape = result.tape
        return np.asarray(result.y)

    def back(self, dy: np.ndarray) -> np.ndarray:
        """d loss / d x from d loss / d y."""
        if self.over is None:
            return dy
        return self.over.backward(self.tape, dy, None, None, None, Context(self.loops, None, True)).dx


class AtEnd:
    """One answer a sequence, OverTime of "sum", "mean" or "last": linear in what the last population hands
    out, so that traces may be summed before the error is known."""

    def __init__(self, loops: Any, over: OverTime, batch: int):
        self.loops, self.over = loops, over
        self.terms = np.zeros(batch, np.int64)          # of each sample's sum
        self.keep = 0.0 if over.reduce == "last" else 1.0
        self.done = 0

    def begin(self, state: OverState) -> None:
        """A new sequence, or one that goes on: what came before counts, but has no traces."""
        self.state, self.done = state, int(steps_so_far(state).max(initial=0))
        self.terms[:] = np.maximum(steps_so_far(state)[:, 0] - self.over.start, 0)

    def of(self, x: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
        """The answer so far, (B, C)."""
        result = self.over.forward(x, self.state, None, Context(self.loops, lengths))
        self.state = result.state
        return np.asarray(result.y)

    def counting(self, steps: int, lengths: np.ndarray | None) -> np.ndarray:
        """(S, B) of zeros and ones: which of the next steps the answer is made of."""
        t = np.arange(steps)[:, None]
        valid = np.ones((steps, len(self.terms)), bool) if lengths is None else t < lengths
        counts = valid & (t + self.done >= self.over.start)
        self.done += steps
        self.terms += counts.sum(0)
        return counts

    def back(self, dy: np.ndarray) -> np.ndarray:
        """(B, C): with what the sum of traces of each sample is to be multiplied."""
        if self.over.reduce != "mean":
            return dy
        return dy / np.maximum(self.terms, 1).astype(dy.dtype)[:, None]
