"""`Flatten` and `Reshape`: the same features in another shape."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..checked import checked
from ..signals.integers import is_whole
from .layer import Arriving, Context, Gradients, Layer, Result, Shape, size


class Flatten(Layer):
    """Pictures as a row of features, (C, H, W) -> (C H W,), in the order of C: y_t = x_t.

    x, y: (T, B, N) values or Spikes, which pass as they are.  Dense, populations and OverTime take pictures
    without it; it is there for networks written down as elsewhere, and for answers without the shape of a
    picture.
    """

    kind = "flatten"
    needs = ()

    def connect(self, shape: Shape | None) -> Shape | None:
        return None if shape is None else (size(shape),)

    def forward(self, x: Arriving, state: None, prepared: None, context: Context) -> Result:
        return Result(x, None)

    def step(self, loops: Any) -> tuple:
        return ()

    def backward(self, tape: None, dy: np.ndarray, dstate: None, dhidden: dict | None, prepared: None,
                 context: Context) -> Gradients:
        return Gradients(dy, None, {})

    def describe(self) -> str:
        return f"{type(self).__name__}()"


class Reshape(Flatten):
    """Features in another shape, Reshape(1, 28, 28): (784,) -> (1, 28, 28), in the order of C: y_t = x_t.

    x, y: (T, B, N) values or Spikes, which pass as they are.  shape: sizes; one of them may be -1, which
    stands for what is left.
    """

    kind = "reshape"

    @checked
    def __init__(self, *shape: int, name: str | None = None):
        super().__init__(name)
        shape = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        if not shape or shape.count(-1) > 1 or not all(map(_is_size, shape)):
            self.refuse(f"a shape is made of positive integers, of which one may be -1: Reshape(1, 28, 28), "
                        f"Reshape(2, -1); got {shape!r}")
        self.shape = tuple(int(n) for n in shape)

    def connect(self, shape: Shape | None) -> Shape:
        known = prod(n for n in self.shape if n != -1)
        open_ended = -1 in self.shape
        if shape is None:
            if open_ended:
                self.refuse(f"needs to know how many features arrive to find the -1 of {self.shape}; "
                            f"say Network(..., input_shape=N)")
            return self.shape
        n = size(shape)
        if n % known or not open_ended and n != known:
            needed = f"a multiple of {known}" if open_ended else known
            self.refuse(f"cannot make {self.shape} of {shape}: {n} features arrive, {needed} are needed")
        return tuple(n // known if m == -1 else m for m in self.shape)

    def config(self) -> dict[str, Any]:
        return {"shape": self.shape, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Reshape:
        return cls(*config["shape"], name=config["name"])

    def describe(self) -> str:
        return f"Reshape({', '.join(map(str, self.shape))})"


def _is_size(n):
    """Whether a number may stand in a shape."""
    return is_whole(n) and (n >= 1 or n == -1)
