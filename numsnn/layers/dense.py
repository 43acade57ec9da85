"""`Dense`: all-to-all synapses."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..checked import checked
from .initialise import Value, initial, plain
from .layer import Arriving, Context, Gradients, Layer, Result, Shape, positive_integer, size


class Dense(Layer):
    """All-to-all synapses: y_t = x_t W + b, for each time step.

    x: (T, B, n_in) values or Spikes; y: (T, B, n_out).  weight is (n_in, n_out), so that a spike reads one
    row (PyTorch holds the transpose); bias is (n_out,), or absent with bias=False.  Spikes are summed event
    by event.  In the forward pass the sum over inputs runs in ascending order with one accumulator per
    output: Spikes, the same as values, one row or many give the same bits.

    n_in, n_out: sizes.  weight, bias: initial values (see numsnn.layers.initialise); bias=False for none.
    """

    kind = "dense"
    needs = ("dense_forward", "dense_backward")

    @checked
    def __init__(self, n_in: int, n_out: int, *, weight: Value = "xavier_uniform",
                 bias: Value | bool = "zeros", name: str | None = None):
        super().__init__(name)
        self.n_in = positive_integer(n_in, "Dense: n_in")
        self.n_out = positive_integer(n_out, "Dense: n_out")
        self.weight = weight
        self.bias = "zeros" if bias is True else bias

    def build(self, rng: np.random.Generator, dtype: DTypeLike, dt: float) -> None:
        label = self.name or "Dense"
        weight = initial(self.weight, rng, (self.n_in, self.n_out), f"{label}.weight")
        self.params["weight"] = weight.astype(dtype)
        if self.bias is not False:
            self.params["bias"] = initial(self.bias, rng, (self.n_out,), f"{label}.bias").astype(dtype)

    def declared_shape(self) -> Shape:
        return (self.n_out,)

    def connect(self, shape: Shape | None) -> Shape:
        arriving = size(shape)
        if arriving not in (None, self.n_in):
            self.refuse(f"expects {self.n_in} inputs, but {arriving} arrive; "
                        f"use Dense({arriving}, {self.n_out})")
        return (self.n_out,)

    def prepare(self, context: Context | None) -> tuple[np.ndarray, np.ndarray]:
        weight = self.params["weight"]
        return weight, self.params.get("bias", np.zeros(self.n_out, weight.dtype))

    def forward(self, x: Arriving, state: None, prepared: tuple[np.ndarray, np.ndarray],
                context: Context) -> Result:
        return Result(context.loops.dense_forward(x, *prepared), None, x if context.tape else None)

    def step(self, loops: Any) -> tuple:
        return loops.dense_step(*self.prepare(None))

    def backward(self, tape: Arriving, dy: np.ndarray, dstate: None, dhidden: dict | None,
                 prepared: tuple[np.ndarray, np.ndarray], context: Context) -> Gradients:
        dweight, dbias, dx = context.loops.dense_backward(tape, prepared[0], dy, context.want_dx)
        params = {"weight": dweight, "bias": dbias} if "bias" in self.params else {"weight": dweight}
        return Gradients(dx, None, params)

    def config(self) -> dict[str, Any]:
        return {"n_in": self.n_in, "n_out": self.n_out, "weight": plain(self.weight),
                "bias": plain(self.bias), "name": self.name}

    def describe(self) -> str:
        return f"Dense({self.n_in}, {self.n_out})"
