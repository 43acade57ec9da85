"""Normalisation: `BatchNorm` over samples and time, `LayerNorm` over features."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..checked import checked
from ..devices.norm import Moments, Norming, Whole, values_of_each
from .initialise import Value, initial, plain
from .layer import Arriving, Context, Gradients, Result, Shape, Sized, values


class _Norm(Sized):
    """What is normalised is then scaled by `gain` and shifted by `bias`, arrays of (self.width,)."""

    kind = "norm"
    width: int

    def __init__(self, eps: float, gain: Value, bias: Value, name: str | None):
        super().__init__(name)
        if not 0 < eps < np.inf:
            self.refuse(f"eps must be positive; got {eps!r}")
        self.eps = float(eps)
        self.gain = gain
        self.bias = bias

    def build(self, rng: np.random.Generator, dtype: DTypeLike, dt: float) -> None:
        self.dtype = np.dtype(dtype)
        label = self.name or type(self).__name__
        for key, value in (("gain", self.gain), ("bias", self.bias)):
            self.params[key] = initial(value, rng, (self.width,), f"{label}.{key}").astype(dtype)

    def config(self) -> dict[str, Any]:
        return {"eps": self.eps, "gain": plain(self.gain), "bias": plain(self.bias), "name": self.name}


class BatchNorm(_Norm):
    """Each feature, or each channel of pictures, to mean 0 and variance 1 over samples and time steps (and
    places), then scaled and shifted:

        y = gain (x - m) / sqrt(v + eps) + bias

    In training m and v are mean and (biased) variance over the valid steps t < lengths[b] of the whole batch.
    In inference they are running estimates, which training has moved towards those of each batch,

        running_mean += momentum (m - running_mean),    running_var += momentum (v n / (n - 1) - running_var),

    n values per feature or channel; they begin at 0 and 1 and are saved with the network.  Padded steps give
    0 and have no gradient.

    With v_threshold, the threshold of the neurons that follow, this is tdBN, threshold-dependent batch
    normalisation: what has variance 1 above gets the standard deviation alpha v_threshold instead,

        y = gain alpha v_threshold (x - m) / sqrt(v + eps) + bias.

    x, y: (T, B, N); gain, bias: (N,) or, for pictures (C, H, W) and (C, L), (C,): initial values (see
    numsnn.layers.initialise).  momentum: weight of the new value, as in PyTorch (in Keras it is that of the
    old one).  eps, alpha: positive; alpha is used with v_threshold only.  A batch in which a channel has a
    single value is refused in training; one without valid steps changes nothing.  Source: Ioffe & Szegedy
    2015; tdBN: Zheng, Wu, Deng, Hu, Li 2021.
    """

    whole_batch = True
    over_ranks = True
    needs = ("batch_norm_forward", "batch_norm_backward")

    @checked
    def __init__(self, *, momentum: float = 0.1, eps: float = 1e-5, gain: Value = "ones",
                 bias: Value = "zeros", v_threshold: float | None = None, alpha: float = 1.0,
                 name: str | None = None):
        super().__init__(eps, gain, bias, name)
        if not 0 < momentum <= 1:
            self.refuse(f"momentum, the weight of the new value, must be above 0 and at most 1; "
                        f"got {momentum!r}")
        threshold_fits = v_threshold is None or 0 < v_threshold < np.inf
        if not threshold_fits or not 0 < alpha < np.inf:
            self.refuse(f"v_threshold and alpha must be positive; got {v_threshold!r} and {alpha!r}")
        if v_threshold is None and alpha != 1:
            self.refuse(f"alpha={alpha!r} multiplies v_threshold, which is not given; "
                        f"say v_threshold= of the neurons that follow")
        self.momentum = float(momentum)
        self.v_threshold = v_threshold
        self.alpha = float(alpha)

    def connect(self, shape: Shape | None) -> Shape:
        shape = super().connect(shape)
        self.width = shape[0]
        return shape

    def build(self, rng: np.random.Generator, dtype: DTypeLike, dt: float) -> None:
        super().build(rng, dtype, dt)
        self.fixed["running_mean"] = np.zeros(self.width, dtype)
        self.fixed["running_var"] = np.ones(self.width, dtype)

    def forward(self, x: Arriving, state: None, prepared: None, context: Context) -> Result:
        n = values_of_each(x.shape, context.lengths, self.width)
        if context.tape:
            n = int(context.ranks.total(np.array([[n]], np.float64))[0])
        trains = context.tape and n > 0
        if trains and n == 1:
            what = "channel" if len(self.shape) > 1 else "feature"
            self.refuse(f"expects at least two values of each {what} to normalise over; got 1 "
                        f"(a single valid step of all {x.shape[1]} samples). "
                        f"Use larger batches or longer sequences")
        running = None if trains else Moments(self.fixed["running_mean"], self.fixed["running_var"])
        y, moments, tape = context.loops.batch_norm_forward(
            self._norming, values(x, self.dtype), self.params["gain"], self.params["bias"], running,
            context.lengths, context.tape, Whole(context.ranks.total, n))
        if trains:
            self._remember(moments.mean, moments.var * n / (n - 1))
        return Result(y, None, tape)

    def backward(self, tape: Any, dy: np.ndarray, dstate: None, dhidden: dict | None, prepared: None,
                 context: Context) -> Gradients:
        dx, dgain, dbias = context.loops.batch_norm_backward(self._norming, tape, self.params["gain"], dy,
                                                             context.want_dx)
        return Gradients(dx, None, {"gain": dgain, "bias": dbias})

    @property
    def _norming(self):
        return Norming(self.eps, 1.0 if self.v_threshold is None else self.alpha * self.v_threshold)

    def _remember(self, mean, var):
        for name, new in (("running_mean", mean), ("running_var", var)):
            old = self.fixed[name].astype(np.float64)
            self.fixed[name][...] = old + self.momentum * (new - old)

    def impossible(self, name: str, array: np.ndarray) -> str:
        if name == "running_var" and array.min() < 0:
            return f"a variance is not negative; got {array.min():g}"
        return ""

    def config(self) -> dict[str, Any]:
        return {"momentum": self.momentum, **super().config(), "v_threshold": self.v_threshold,
                "alpha": self.alpha}

    def describe(self) -> str:
        return "BatchNorm()" if self.v_threshold is None else f"BatchNorm(v_threshold={self.v_threshold:g})"


class LayerNorm(_Norm):
    """Each step of each sample to mean 0 and variance 1 over its features, then scaled and shifted:

        y = gain (x - m) / sqrt(v + eps) + bias,

    m and v being mean and (biased) variance over all features, of pictures over (C, H, W).
    axes="channels": m and v at each place of a picture (C, H, W) or (C, L), over its channels, as ConvNeXt
    does (Liu et al. 2022).

    x, y: (T, B, N).  gain, bias: (N,), or (C,) with axes="channels": initial values (see
    numsnn.layers.initialise).  eps: positive.  Steps and samples do not see each other, so that it is the
    same in training and inference, and with a state carried on.  Source: Ba, Kiros, Hinton 2016.
    """

    needs = ("layer_norm_forward", "layer_norm_backward")

    @checked
    def __init__(self, *, eps: float = 1e-5, gain: Value = "ones", bias: Value = "zeros", axes: str = "all",
                 name: str | None = None):
        super().__init__(eps, gain, bias, name)
        if axes not in ("all", "channels"):
            self.refuse(f"axes must be 'all' or 'channels'; got {axes!r}")
        self.axes = axes

    def connect(self, shape: Shape | None) -> Shape:
        shape = super().connect(shape)
        self.width = self.n if self.axes == "all" else shape[0]
        # what a step is reshaped to: m and v are taken over the first of these axes
        self.inner: Shape = (self.n,) if self.axes == "all" else (shape[0], self.n // shape[0])
        return shape

    def forward(self, x: Arriving, state: None, prepared: None, context: Context) -> Result:
        shape = x.shape
        x = values(x, self.dtype).reshape(*shape[:2], *self.inner)
        y, tape = context.loops.layer_norm_forward(x, self.params["gain"], self.params["bias"], self.eps,
                                                   context.tape)
        return Result(y.reshape(shape), None, tape)

    def backward(self, tape: Any, dy: np.ndarray, dstate: None, dhidden: dict | None, prepared: None,
                 context: Context) -> Gradients:
        dsteps = dy.reshape(*dy.shape[:2], *self.inner)
        dx, dgain, dbias = context.loops.layer_norm_backward(tape, self.params["gain"], dsteps,
                                                             context.want_dx)
        return Gradients(dx if dx is None else dx.reshape(dy.shape), None, {"gain": dgain, "bias": dbias})

    def config(self) -> dict[str, Any]:
        return {**super().config(), "axes": self.axes}

    def describe(self) -> str:
        return "LayerNorm()" if self.axes == "all" else f"LayerNorm(axes={self.axes!r})"
