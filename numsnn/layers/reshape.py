"""`Flatten` and `Reshape`: the same features in another shape."""

from math import prod

import numpy as np

from .layer import Gradients, Layer, Result, size


class Flatten(Layer):
    """Pictures as a row of features, (C, H, W) -> (C H W,), in the order of C: y_t = x_t.

    x, y: (T, B, N) values or Spikes, which pass as they are.  Dense, populations and OverTime take pictures
    without it; it is there for networks written down as elsewhere, and for answers without the shape of a
    picture.
    """

    kind = "flatten"
    needs = ()

    def connect(self, shape):
        return None if shape is None else (size(shape),)

    def forward(self, x, state, prepared, context):
        return Result(x, None)

    def step(self, loops):
        return ()

    def backward(self, tape, dy, dstate, dhidden, prepared, context):
        return Gradients(dy, None, {})

    def describe(self):
        return f"{type(self).__name__}()"


class Reshape(Flatten):
    """Features in another shape, Reshape(1, 28, 28): (784,) -> (1, 28, 28), in the order of C: y_t = x_t.

    x, y: (T, B, N) values or Spikes, which pass as they are.  shape: sizes; one of them may be -1, which
    stands for what is left.
    """

    kind = "reshape"

    def __init__(self, *shape: int, name: str | None = None):
        super().__init__(name)
        shape = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        if not shape or shape.count(-1) > 1 or any(isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1 and n != -1 for n in shape):
            self.refuse(f"a shape is made of positive integers, of which one may be -1: Reshape(1, 28, 28), Reshape(2, -1); got {shape!r}")
        self.shape = tuple(int(n) for n in shape)

    def connect(self, shape):
        known = prod(n for n in self.shape if n != -1)
        if shape is None:
            if -1 in self.shape:
                self.refuse(f"needs to know how many features arrive to find the -1 of {self.shape}; say Network(..., input_shape=N)")
            return self.shape
        n = size(shape)
        if n % known or -1 not in self.shape and n != known:
            self.refuse(f"cannot make {self.shape} of {shape}: {n} features arrive, {'a multiple of ' if -1 in self.shape else ''}{known} are needed")
        return tuple(n // known if m == -1 else m for m in self.shape)

    def config(self):
        return {"shape": self.shape, "name": self.name}

    @classmethod
    def from_config(cls, config):
        return cls(*config["shape"], name=config["name"])

    def describe(self):
        return f"Reshape({', '.join(map(str, self.shape))})"
