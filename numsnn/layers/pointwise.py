"""Layers of an artificial network that work on each time step by itself: `Activation`, `Dropout`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ..checked import checked
from ..neurons import activation as activations
from .layer import Arriving, Context, Gradients, Layer, Result, Sized, values


class Activation(Layer):
    """y_t = f(x_t): identity, relu, selu, sigmoid or tanh (see numsnn.neurons.activation).

    x, y: (T, B, N).  function: the name of f.
    """

    kind = "activation"
    keeps_shape = True
    needs = ("activation_forward", "activation_backward")

    @checked
    def __init__(self, function: str = "relu", *, name: str | None = None):
        super().__init__(name)
        self.function = activations.get(function)

    def build(self, rng: np.random.Generator, dtype: DTypeLike, dt: float) -> None:
        self.dtype = np.dtype(dtype)

    def forward(self, x: Arriving, state: None, prepared: None, context: Context) -> Result:
        y, tape = context.loops.activation_forward(self.function, values(x, self.dtype), context.tape)
        return Result(y, None, tape)

    def backward(self, tape: Any, dy: np.ndarray, dstate: None, dhidden: dict | None, prepared: None,
                 context: Context) -> Gradients:
        return Gradients(context.loops.activation_backward(self.function, tape, dy), None, {})

    def config(self) -> dict[str, Any]:
        return {"function": self.function.name, "name": self.name}

    def describe(self) -> str:
        return f"Activation({self.function.name!r})"


class Mask(NamedTuple):
    """The state of Dropout with one mask for all steps."""
    keep: np.ndarray        # (B, N): 0, or 1 / (1 - probability)


class Stream(NamedTuple):
    """The state of Dropout with a mask for each step."""
    # (B, 2) integers below 2^24, which float32 holds exactly: they choose the random numbers of a sample;
    # (0, 0): nothing is left out
    key: np.ndarray
    steps: np.ndarray       # (B, 1) valid steps so far, modulo 2^24


class Dropout(Sized):
    """In training each feature of a sequence is set to 0 with this probability, the others grow by 1 / (1 -
    probability).

    x, y: (T, B, N).  The same features are left out in all steps of a sequence: the mask is the layer's
    state, drawn where a sequence begins, so that pieces of a sequence (truncated BPTT) share it.
    per_step=True: other features in each step.  The state is then a key drawn for each sample and the number
    of its steps so far, and the mask a hash of (key, step, feature), so that it depends neither on how a
    sequence is cut into pieces nor on chunks.  `run` and `step` leave everything in.  Source: Srivastava et
    al. 2014; one mask for all steps: Gal & Ghahramani 2016; the hash: lowbias32 of C. Wellons.
    """

    kind = "dropout"
    keeps_shape = True
    needs = ("random_factors", "times")

    @checked
    def __init__(self, probability: float = 0.5, *, per_step: bool = False, name: str | None = None):
        super().__init__(name)
        if isinstance(probability, bool) or not 0 <= probability < 1:
            self.refuse(f"probability must be at least 0 and below 1; got {probability!r}")
        if not isinstance(per_step, bool):
            self.refuse(f"per_step must be True or False; got {per_step!r}")
        self.probability = float(probability)
        self.per_step = per_step

    def build(self, rng: np.random.Generator, dtype: DTypeLike, dt: float) -> None:
        self.dtype = np.dtype(dtype)

    def initial_state(self, batch: int, rng: np.random.Generator | None = None) -> Mask | Stream:
        if self.per_step:
            key = np.zeros((batch, 2)) if rng is None else rng.integers(1, 1 << 24, (batch, 2))
            return Stream(key.astype(self.dtype), np.zeros((batch, 1), self.dtype))
        keep = np.ones((batch, self.n), self.dtype)
        if rng is not None:
            keep[:] = (rng.random(keep.shape) >= self.probability) / (1 - self.probability)
        return Mask(keep)

    def forward(self, x: Arriving, state: Any, prepared: None, context: Context) -> Result:
        loops = context.loops
        after = self._after(state, x.shape[0], context.lengths) if self.per_step else state
        if not context.tape:
            return Result(x, after)
        if self.per_step:
            keep = loops.random_factors(state.key, state.steps, x.shape, self.probability)
        else:
            keep = loops.put(state.keep)
        return Result(loops.times(values(x, self.dtype), keep), after, keep)

    def backward(self, tape: np.ndarray, dy: np.ndarray, dstate: Any, dhidden: dict | None, prepared: None,
                 context: Context) -> Gradients:
        return Gradients(context.loops.times(dy, tape), dstate, {})

    def _after(self, state, steps, lengths):
        done = state.steps.astype(np.int64) + (steps if lengths is None else lengths[:, None])
        return state._replace(steps=(done % (1 << 24)).astype(self.dtype))

    def config(self) -> dict[str, Any]:
        return {"probability": self.probability, "per_step": self.per_step, "name": self.name}

    def describe(self) -> str:
        return f"Dropout({self.probability:g}{', per_step=True' if self.per_step else ''})"
