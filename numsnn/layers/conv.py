"""`Conv2d` and `Conv1d`: synapses that are shared between places."""

import numpy as np

from ..loops.contract import Geometry
from .initialise import Value, initial, plain
from .layer import Gradients, Layer, Result, positive_integer


def pair(value, what: str, least: int = 1) -> tuple[int, int]:
    """A number for both directions, or one for rows and one for columns."""
    values = (value, value) if isinstance(value, (int, np.integer)) and not isinstance(value, bool) else tuple(np.atleast_1d(value))
    if len(values) != 2 or any(not isinstance(v, (int, np.integer)) or v < least for v in values):
        raise ValueError(f"{what} must be a whole number of at least {least}, or two of them (rows, columns); got {value!r}")
    return int(values[0]), int(values[1])


class Conv2d(Layer):
    """Two-dimensional convolution of each time step (a cross-correlation, as everywhere):

        y_t[o, h, w] = b[o] + sum_{c, i, j} W[o, c, i, j] x_t[c, h stride + i dilation - padding, w stride + j dilation - padding]

    x: (T, B, channels_in, H, W) values or Spikes; y: (T, B, channels_out, H', W') with
    H' = floor((H + 2 padding - dilation (kernel - 1) - 1) / stride) + 1, and W' likewise; outside of the picture x is 0.
    weight is (channels_out, channels_in, kernel, kernel), bias (channels_out,), or absent with bias=False.

    Spikes are added event by event; values go through BLAS, a picture at a time.  A picture's result does not depend on batch or chunk;
    between Spikes and the same values, and between devices, the order of the sum differs: equal to rounding.

    channels_in, channels_out: numbers of channels.  kernel, stride, padding, dilation: one number, or (rows, columns).
    weight, bias: initial values (see numsnn.layers.initialise; fans count the kernel's places); bias=False for none.
    """

    kind, uses_blas = "conv", True

    def __init__(self, channels_in: int, channels_out: int, kernel=3, *, stride=1, padding=0, dilation=1,
                 weight: Value = "kaiming_uniform", bias: Value | bool = "zeros", name: str | None = None):
        super().__init__(name)
        self.channels = positive_integer(channels_in, "Conv2d: channels_in"), positive_integer(channels_out, "Conv2d: channels_out")
        self.kernel, self.stride = pair(kernel, "Conv2d: kernel"), pair(stride, "Conv2d: stride")
        self.padding, self.dilation = pair(padding, "Conv2d: padding", 0), pair(dilation, "Conv2d: dilation")
        self.weight, self.bias = weight, "zeros" if bias is True else bias

    def connect(self, shape):
        if shape is None or len(shape) != 3:
            self.refuse("needs pictures (channels, rows, columns), but "
                        + (f"{shape} arrives" if shape else "their size is unknown; say Network(..., input_shape=(channels, rows, columns))"))
        if shape[0] != self.channels[0]:
            self.refuse(f"expects {self.channels[0]} channels, but {shape[0]} arrive; use Conv2d({shape[0]}, {self.channels[1]})")
        out = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1
                    for n, p, d, k, s in zip(shape[1:], self.padding, self.dilation, self.kernel, self.stride, strict=True))
        if min(out) < 1:
            self.refuse(f"its kernel {self.kernel} with dilation {self.dilation} is larger than the pictures of {shape[1]} x {shape[2]} with "
                        f"padding {self.padding}")
        self.geometry = Geometry(shape[0], shape[1:], self.kernel, self.stride, self.padding, self.dilation, out)
        return (self.channels[1], *out)

    def build(self, rng, dtype, dt):
        label, (c_in, c_out) = self.name or "Conv2d", self.channels
        places = self.kernel[0] * self.kernel[1]
        # an initialiser sees a matrix (n_in, n_out) whose fans count the kernel's places
        if isinstance(self.weight, str) or isinstance(self.weight, (tuple, list)) and isinstance(self.weight[0], str):
            name = self.weight if isinstance(self.weight, str) else self.weight[0]
            columns = c_out * places if name.startswith("xavier") else c_out
            drawn = initial(self.weight, rng, (c_in * places, columns), f"{label}.weight")[:, :c_out]
            self.params["weight"] = np.ascontiguousarray(drawn.T, dtype).reshape(c_out, c_in, *self.kernel)
        else:
            self.params["weight"] = initial(self.weight, rng, (c_out, c_in, *self.kernel), f"{label}.weight").astype(dtype)
        if self.bias is not False:
            self.params["bias"] = initial(self.bias, rng, (c_out,), f"{label}.bias").astype(dtype)

    def prepare(self, context):
        weight = self.params["weight"]
        return weight, self.params.get("bias", np.zeros(len(weight), weight.dtype))

    def forward(self, x, state, prepared, context):
        return Result(context.loops.conv_forward(x, *prepared, self.geometry), None, x if context.tape else None)

    def backward(self, tape, dy, dstate, dhidden, prepared, context):
        dweight, dbias, dx = context.loops.conv_backward(tape, prepared[0], dy, self.geometry, context.want_dx)
        return Gradients(dx, None, {"weight": dweight, "bias": dbias} if "bias" in self.params else {"weight": dweight})

    def config(self):
        return {"channels_in": self.channels[0], "channels_out": self.channels[1], "kernel": self.kernel, "stride": self.stride,
                "padding": self.padding, "dilation": self.dilation, "weight": plain(self.weight), "bias": plain(self.bias), "name": self.name}

    def describe(self):
        size = self.kernel[0] if self.kernel[0] == self.kernel[1] else f"{self.kernel[0]}x{self.kernel[1]}"
        return f"{type(self).__name__}({self.channels[0]}, {self.channels[1]}, {size})"
