"""Pooling of pictures and sequences: `AvgPool2d`, `SumPool2d`, `MaxPool2d`, and the same with `1d`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..checked import checked
from ..devices.contract import Geometry
from .conv import PICTURES, SHAPES, Size, each, flat
from .layer import Arriving, Context, Gradients, Layer, Result, Shape, values

_WINDOWS = """Each channel by itself, windows of `kernel`, every `stride` places (by default the kernel's
    size); what does not fill a window is left out.  x: (T, B, C, H, W) values or Spikes; y: (T, B, C, H', W')
    with H' = floor((H - kernel) / stride) + 1; in one direction (T, B, C, L), and L' likewise.

    kernel, stride: one number, or (rows, columns)."""
_PADDED = _WINDOWS.replace("H - kernel", "H + 2 padding - kernel") + """  padding: likewise, below the kernel:
    so many zeros around each channel.  They count: the divisor of a mean is always the kernel's size."""


class _Pool(Layer):
    __doc__: str | None = _WINDOWS

    kind = "pool"
    directions = 2

    @checked
    def __init__(self, kernel: Size = 2, *, stride: Size | None = None, name: str | None = None):
        super().__init__(name)
        label, n = type(self).__name__, self.directions
        self.kernel = each(kernel, n, f"{label}: kernel")
        self.stride = self.kernel if stride is None else each(stride, n, f"{label}: stride")
        self.padding = (0,) * n

    def connect(self, shape: Shape | None) -> Shape:
        pictures = PICTURES[self.directions]
        if shape is None or len(shape) != self.directions + 1:
            self.refuse(f"needs {pictures} {SHAPES[self.directions]}; got {shape}")
        along = zip(shape[1:], self.padding, self.kernel, self.stride, strict=True)
        out = tuple((n + 2 * p - k) // s + 1 for n, p, k, s in along)
        if min(out) < 1:
            self.refuse(f"its windows of {self.kernel} are larger than the {pictures} "
                        f"of {' x '.join(map(str, shape[1:]))}")
        self.windows = Geometry(shape[0], flat(shape[1:], 1), flat(self.kernel, 1), flat(self.stride, 1),
                                flat(self.padding, 0), (1, 1), flat(out, 1))
        return (shape[0], *out)

    def build(self, rng: np.random.Generator, dtype: DTypeLike, dt: float) -> None:
        self.dtype = np.dtype(dtype)

    def config(self) -> dict[str, Any]:
        settings = {"kernel": self.kernel, "stride": self.stride}
        if any(self.padding):
            settings["padding"] = self.padding
        return {**{key: value[0] if self.directions == 1 else value for key, value in settings.items()},
                "name": self.name}

    def describe(self) -> str:
        return f"{type(self).__name__}({self.kernel[0] if len(set(self.kernel)) == 1 else self.kernel})"


class SumPool2d(_Pool):
    __doc__: str | None = f"The sum of each window: y = sum of x.  {_PADDED}"

    mean = False
    needs = ("sum_pool_forward", "sum_pool_backward")

    @checked
    def __init__(self, kernel: Size = 2, *, stride: Size | None = None, padding: Size = 0,
                 name: str | None = None):
        super().__init__(kernel, stride=stride, name=name)
        label = type(self).__name__
        self.padding = each(padding, self.directions, f"{label}: padding", 0)
        if any(p >= k for p, k in zip(self.padding, self.kernel, strict=True)):
            self.refuse(f"padding must be below the kernel, or windows hold nothing; "
                        f"got kernel {self.kernel} and padding {self.padding}")

    @property
    def _scale(self):
        return 1 / np.prod(self.kernel) if self.mean else 1

    def forward(self, x: Arriving, state: None, prepared: None, context: Context) -> Result:
        return Result(context.loops.sum_pool_forward(values(x, self.dtype), self.windows, self._scale), None)

    def backward(self, tape: None, dy: np.ndarray, dstate: None, dhidden: dict | None, prepared: None,
                 context: Context) -> Gradients:
        dx = context.loops.sum_pool_backward(dy, self.windows, self._scale) if context.want_dx else None
        return Gradients(dx, None, {})


class AvgPool2d(SumPool2d):
    __doc__: str | None = f"The mean of each window: y = mean of x.  {_PADDED}"

    mean = True


class MaxPool2d(_Pool):
    __doc__: str | None = \
        f"The largest value of each window; of equal ones the first gets the gradient.  {_WINDOWS}"

    needs = ("max_pool_forward", "max_pool_backward")

    def forward(self, x: Arriving, state: None, prepared: None, context: Context) -> Result:
        y, taken = context.loops.max_pool_forward(values(x, self.dtype), self.windows)
        return Result(y, None, taken if context.tape else None)

    def backward(self, tape: Any, dy: np.ndarray, dstate: None, dhidden: dict | None, prepared: None,
                 context: Context) -> Gradients:
        dx = context.loops.max_pool_backward(tape, dy, self.windows) if context.want_dx else None
        return Gradients(dx, None, {})


class SumPool1d(SumPool2d):
    __doc__ = SumPool2d.__doc__

    directions = 1


class AvgPool1d(AvgPool2d):
    __doc__ = AvgPool2d.__doc__

    directions = 1


class MaxPool1d(MaxPool2d):
    __doc__ = MaxPool2d.__doc__

    directions = 1
