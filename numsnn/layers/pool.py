"""Pooling of pictures: `AvgPool2d`, `SumPool2d`, `MaxPool2d`."""

import numpy as np

from .conv import pair
from .layer import Gradients, Layer, Result, values


class _Pool2d(Layer):
    """Each channel by itself, windows of kernel x kernel, every `stride` places (by default the kernel's size); what does not fill a window is
    left out.  x: (T, B, C, H, W) values or Spikes; y: (T, B, C, H', W') with H' = floor((H - kernel) / stride) + 1."""

    kind = "pool"

    def __init__(self, kernel=2, *, stride=None, name: str | None = None):
        super().__init__(name)
        self.kernel = pair(kernel, f"{type(self).__name__}: kernel")
        self.stride = self.kernel if stride is None else pair(stride, f"{type(self).__name__}: stride")

    def connect(self, shape):
        if shape is None or len(shape) != 3:
            self.refuse(f"needs pictures (channels, rows, columns); got {shape}")
        self.shape = shape
        self.out = tuple((n - k) // s + 1 for n, k, s in zip(shape[1:], self.kernel, self.stride, strict=True))
        if min(self.out) < 1:
            self.refuse(f"its windows of {self.kernel} are larger than the pictures of {shape[1]} x {shape[2]}")
        return (shape[0], *self.out)

    def build(self, rng, dtype, dt):
        self.dtype = np.dtype(dtype)

    def _places(self, pictures):
        """Views of the pictures (R, C, H, W), one for each place of the window: (R, C, H', W')."""
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                yield pictures[:, :, i:i + (self.out[0] - 1) * self.stride[0] + 1:self.stride[0],
                               j:j + (self.out[1] - 1) * self.stride[1] + 1:self.stride[1]]

    def config(self):
        return {"kernel": self.kernel, "stride": self.stride, "name": self.name}

    def describe(self):
        return f"{type(self).__name__}({self.kernel[0] if self.kernel[0] == self.kernel[1] else self.kernel})"


class SumPool2d(_Pool2d):
    __doc__ = "The sum of each window: y = sum of x.  " + _Pool2d.__doc__

    scale = False

    def forward(self, x, state, prepared, context):
        pictures = values(x, self.dtype).reshape(-1, *self.shape)
        y = np.zeros((len(pictures), self.shape[0], *self.out), self.dtype)
        for place in self._places(pictures):
            y += place
        return Result(self._scaled(y).reshape(*x.shape[:2], -1), None, x.shape)

    def backward(self, tape, dy, dstate, dhidden, prepared, context):
        if not context.want_dx:
            return Gradients(None, None, {})
        dy = self._scaled(np.array(dy, self.dtype)).reshape(-1, self.shape[0], *self.out)
        dx = np.zeros((len(dy), *self.shape), self.dtype)
        for place in self._places(dx):
            place += dy
        return Gradients(dx.reshape(tape), None, {})

    def _scaled(self, y):
        if self.scale:
            y *= self.dtype.type(1 / (self.kernel[0] * self.kernel[1]))
        return y


class AvgPool2d(SumPool2d):
    __doc__ = "The mean of each window: y = mean of x.  " + _Pool2d.__doc__

    scale = True


class MaxPool2d(_Pool2d):
    __doc__ = "The largest value of each window; of equal ones the first gets the gradient.  " + _Pool2d.__doc__

    def forward(self, x, state, prepared, context):
        pictures = values(x, self.dtype).reshape(-1, *self.shape)
        first, *others = self._places(pictures)
        y, taken = first.copy(), np.zeros(first.shape, np.uint16)
        for k, place in enumerate(others, 1):
            larger = place > y
            np.copyto(y, place, where=larger)
            taken[larger] = k
        return Result(y.reshape(*x.shape[:2], -1), None, (x.shape, taken) if context.tape else None)

    def backward(self, tape, dy, dstate, dhidden, prepared, context):
        if not context.want_dx:
            return Gradients(None, None, {})
        shape, taken = tape
        dy, dx = dy.reshape(taken.shape), np.zeros((len(taken), *self.shape), self.dtype)
        for k, place in enumerate(self._places(dx)):
            place += np.where(taken == k, dy, self.dtype.type(0))
        return Gradients(dx.reshape(shape), None, {})
