"""Layers of an artificial network that work on each time step by itself: `Activation`, `LayerNorm`, `Dropout`."""

from typing import NamedTuple

import numpy as np

from .. import activation as activations
from .initialise import Value, initial, plain
from .layer import Gradients, Layer, Result, size, values


class Activation(Layer):
    """y_t = f(x_t): identity, relu, selu, sigmoid or tanh (see numsnn.activation).

    x, y: (T, B, N).  function: the name of f.
    """

    kind = "activation"

    def __init__(self, function: str = "relu", *, name: str | None = None):
        super().__init__(name)
        self.function = activations.get(function)

    def build(self, rng, dtype, dt):
        self.dtype = np.dtype(dtype)

    def forward(self, x, state, prepared, context):
        x = values(x, self.dtype)
        return Result(self.function.value(x), None, x.copy() if context.tape else None)

    def backward(self, tape, dy, dstate, dhidden, prepared, context):
        return Gradients(np.ascontiguousarray(dy * self.function.slope(tape), self.dtype), None, {})

    def config(self):
        return {"function": self.function.name, "name": self.name}

    def describe(self):
        return f"Activation({self.function.name!r})"


class _Sized(Layer):
    """A layer that must know how many features arrive."""

    def connect(self, shape):
        if shape is None:
            self.refuse("needs to know how many features arrive; put a layer with a size before it, or say Network(..., input_shape=N)")
        self.n = size(shape)
        return shape


class LayerNorm(_Sized):
    """Each step of each sample to mean 0 and variance 1 over its features, then scaled and shifted:

        y = gain (x - m) / sqrt(v + eps) + bias,    m, v: mean and (biased) variance over all features, of pictures over (C, H, W)

    x, y: (T, B, N).  gain, bias: (N,), initial values (see numsnn.layers.initialise).  Steps and samples do not see each other, so that it
    is the same in training and inference, and with a state carried on.  Source: Ba, Kiros, Hinton 2016.
    """

    kind = "norm"

    def __init__(self, *, eps: float = 1e-5, gain: Value = "ones", bias: Value = "zeros", name: str | None = None):
        super().__init__(name)
        if not 0 < eps < np.inf:
            self.refuse(f"eps must be positive; got {eps!r}")
        self.eps, self.gain, self.bias = float(eps), gain, bias

    def build(self, rng, dtype, dt):
        self.dtype, label = np.dtype(dtype), self.name or "LayerNorm"
        for key, value in (("gain", self.gain), ("bias", self.bias)):
            self.params[key] = initial(value, rng, (self.n,), f"{label}.{key}").astype(dtype)

    def forward(self, x, state, prepared, context):
        x = values(x, self.dtype)
        centred = x - x.mean(2, keepdims=True)
        scale = 1 / np.sqrt((centred * centred).mean(2, keepdims=True) + self.dtype.type(self.eps))
        centred *= scale
        return Result(centred * self.params["gain"] + self.params["bias"], None, (centred, scale) if context.tape else None)

    def backward(self, tape, dy, dstate, dhidden, prepared, context):
        normal, scale = tape
        params = {"gain": (dy * normal).sum((0, 1)), "bias": dy.sum((0, 1))}
        d = dy * self.params["gain"]
        dx = scale * (d - d.mean(2, keepdims=True) - normal * (d * normal).mean(2, keepdims=True)) if context.want_dx else None
        return Gradients(dx, None, params)

    def config(self):
        return {"eps": self.eps, "gain": plain(self.gain), "bias": plain(self.bias), "name": self.name}

    def describe(self):
        return "LayerNorm()"


class Mask(NamedTuple):
    keep: np.ndarray        # (B, N): 0, or 1 / (1 - probability)


class Dropout(_Sized):
    """In training each feature of a sequence is set to 0 with this probability, the others grow by 1 / (1 - probability).

    x, y: (T, B, N).  The same features are left out in all steps of a sequence: the mask is the layer's state, drawn where a sequence
    begins, so that pieces of a sequence (truncated BPTT) share it.  `run` and `step` leave everything in.
    Source: Srivastava et al. 2014; one mask for all steps: Gal & Ghahramani 2016.
    """

    kind = "dropout"

    def __init__(self, probability: float = 0.5, *, name: str | None = None):
        super().__init__(name)
        if isinstance(probability, bool) or not 0 <= probability < 1:
            self.refuse(f"probability must be at least 0 and below 1; got {probability!r}")
        self.probability = float(probability)

    def build(self, rng, dtype, dt):
        self.dtype = np.dtype(dtype)

    def initial_state(self, batch, rng=None):
        keep = np.ones((batch, self.n), self.dtype)
        if rng is not None:
            keep[:] = (rng.random(keep.shape) >= self.probability) / (1 - self.probability)
        return Mask(keep)

    def forward(self, x, state, prepared, context):
        return Result(values(x, self.dtype) * state.keep, state, state if context.tape else None)

    def backward(self, tape, dy, dstate, dhidden, prepared, context):
        return Gradients(dy * tape.keep, dstate, {})

    def config(self):
        return {"probability": self.probability, "name": self.name}

    def describe(self):
        return f"Dropout({self.probability:g})"
