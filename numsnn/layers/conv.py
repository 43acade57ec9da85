"""`Conv2d` and `Conv1d`: synapses that are shared between places."""

from __future__ import annotations

from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from ..checked import checked
from ..devices.contract import Geometry
from ..signals.integers import is_whole
from ..signals.spikes import Spikes
from .initialise import Value, initial, is_named, plain
from .layer import (
    Arriving,
    Context,
    Gradients,
    Layer,
    Result,
    Shape,
    positive_integer,
    values,
)

SHAPES = {1: "(channels, length)", 2: "(channels, rows, columns)"}
PICTURES = {1: "sequences", 2: "pictures"}      # what arrives, by the number of directions
Size: TypeAlias = int | tuple[int, ...]         # one number for all directions, or one for each


def each(value: Any, n: int, what: str, least: int = 1) -> tuple[int, ...]:
    """One number for all n directions, or one for each."""
    values: tuple[Any, ...] = (value,) * n if is_whole(value) else tuple(np.atleast_1d(value))
    if len(values) != n or not all(is_whole(v, least) for v in values):
        or_two = ", or two of them (rows, columns)" if n == 2 else ""
        raise ValueError(f"{what} must be a whole number of at least {least}{or_two}; got {value!r}")
    return tuple(int(v) for v in values)


def flat(values: tuple[int, ...], fill: int) -> tuple[int, int]:
    """(rows, columns); what has one direction only is a single row."""
    rows, columns = (fill,) * (2 - len(values)) + values
    return rows, columns


class Conv(Layer):
    """What convolutions over one and two directions share; a sequence is a picture of one row."""

    kind = "conv"
    needs = ("conv_forward", "conv_backward")
    directions = 2

    @checked
    def __init__(self, channels_in: int, channels_out: int, kernel: Size = 3, *, stride: Size = 1,
                 padding: Size | str = 0, dilation: Size = 1, groups: int = 1,
                 weight: Value = "kaiming_uniform", bias: Value | bool = "zeros", name: str | None = None):
        super().__init__(name)
        label, n = type(self).__name__, self.directions
        self.channels = (positive_integer(channels_in, f"{label}: channels_in"),
                         positive_integer(channels_out, f"{label}: channels_out"))
        self.kernel = each(kernel, n, f"{label}: kernel")
        self.stride = each(stride, n, f"{label}: stride")
        self.dilation = each(dilation, n, f"{label}: dilation")
        if isinstance(padding, str) and padding == "same":
            self.padding = self._same()
        else:
            self.padding = each(padding, n, f"{label}: padding", 0)
        self.groups = positive_integer(groups, f"{label}: groups")
        if any(channels % self.groups for channels in self.channels):
            self.refuse(f"groups={groups} must divide the numbers of channels, {self.channels[0]} and "
                        f"{self.channels[1]}")
        self.borrows = self.groups == 1
        self.weight = weight
        self.bias = "zeros" if bias is True else bias

    def _same(self):
        """The padding that keeps the size."""
        if any(k % 2 == 0 for k in self.kernel) or any(s != 1 for s in self.stride):
            self.refuse(f'padding="same" keeps the size with odd kernels and stride 1; '
                        f"got kernel {self.kernel} and stride {self.stride}. Give the padding as a number")
        return tuple(d * (k - 1) // 2 for d, k in zip(self.dilation, self.kernel, strict=True))

    def connect(self, shape: Shape | None) -> Shape:
        shape = self._checked(shape)
        along = zip(shape[1:], self.padding, self.dilation, self.kernel, self.stride, strict=True)
        out = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in along)
        if min(out) < 1:
            self.refuse(f"its kernel {self.kernel} with dilation {self.dilation} is larger than the "
                        f"{PICTURES[self.directions]} of {' x '.join(map(str, shape[1:]))} "
                        f"with padding {self.padding}")
        # of a group, where there are several
        self.geometry = Geometry(
            shape[0] // self.groups, flat(shape[1:], 1), flat(self.kernel, 1), flat(self.stride, 1),
            flat(self.padding, 0), flat(self.dilation, 1), flat(out, 1))
        return (self.channels[1], *out)

    def _checked(self, shape):
        """The shape that arrives, as it must be."""
        c_in, c_out = self.channels
        wanted = SHAPES[self.directions]
        if shape is None or len(shape) != self.directions + 1:
            unknown = f"their size is unknown; say Network(..., input_shape={wanted})"
            what = f"{shape} arrives" if shape else unknown
            self.refuse(f"needs {PICTURES[self.directions]} {wanted}, but {what}")
        if shape[0] != c_in:
            self.refuse(f"expects {c_in} channels, but {shape[0]} arrive; "
                        f"use {type(self).__name__}({shape[0]}, {c_out})")
        return shape

    def build(self, rng: np.random.Generator, dtype: DTypeLike, dt: float) -> None:
        label = self.name or type(self).__name__
        c_out = self.channels[1]
        shape = (c_out, self.channels[0] // self.groups, *self.kernel)
        if is_named(self.weight):
            weight = self._drawn(rng, f"{label}.weight")
            self.params["weight"] = np.ascontiguousarray(weight, dtype).reshape(shape)
        else:
            weight = initial(self.weight, rng, shape, f"{label}.weight")
            self.params["weight"] = weight.astype(dtype)
        if self.bias is not False:
            self.params["bias"] = initial(self.bias, rng, (c_out,), f"{label}.bias").astype(dtype)

    def _drawn(self, rng, what):
        """Weights (n_out, n_in) of a named initialiser, which sees a matrix whose fans count the places."""
        c_in, c_out = self.channels[0] // self.groups, self.channels[1]
        places = prod(self.kernel)
        name = self.weight if isinstance(self.weight, str) else self.weight[0]
        columns = c_out * places if name.startswith("xavier") else c_out
        drawn = initial(self.weight, rng, (c_in * places, columns), what, kept=(c_in * places, c_out))
        return drawn[:, :c_out].T

    def prepare(self, context: Context) -> tuple[np.ndarray, np.ndarray]:
        weight = self.params["weight"]
        bias = self.params.get("bias", np.zeros(len(weight), weight.dtype))
        return weight.reshape(len(weight), self.geometry.channels, *self.geometry.kernel), bias

    def forward(self, x: Arriving, state: None, prepared: tuple[np.ndarray, np.ndarray],
                context: Context) -> Result:
        if self.groups > 1:
            return self._forward_of_groups(x, prepared, context)
        y = context.loops.conv_forward(x, *prepared, self.geometry, context.into)
        return Result(y, None, x if context.tape else None)

    def backward(self, tape: Arriving, dy: np.ndarray, dstate: None, dhidden: dict | None,
                 prepared: tuple[np.ndarray, np.ndarray], context: Context) -> Gradients:
        if self.groups > 1:
            dweight, dbias, dx = self._backward_of_groups(tape, dy, prepared, context)
        else:
            dweight, dbias, dx = context.loops.conv_backward(tape, prepared[0], dy, self.geometry,
                                                             context.want_dx, context.into)
        params = {"weight": dweight.reshape(self.params["weight"].shape)}
        return Gradients(dx, None, params | {"bias": dbias} if "bias" in self.params else params)

    def cut(self, a: Any) -> list[Any]:
        """Weights or biases, group by group."""
        n = self.channels[1] // self.groups
        return [a[first:first + n] for first in range(0, self.channels[1], n)]

    def _forward_of_groups(self, x, prepared, context):
        """A group takes and hands out channels that lie side by side: each is a convolution by itself."""
        weight, bias = prepared
        loops, n = context.loops, self.geometry.channels * prod(self.geometry.size)
        listed = isinstance(x, Spikes) and loops.HOST
        parts = x.parted(n) if listed else loops.parted(values(x, weight.dtype), n)
        each = zip(parts, self.cut(weight), self.cut(bias), strict=True)
        y = loops.beside([loops.conv_forward(*of_group, self.geometry) for of_group in each])
        return Result(y, None, parts if context.tape else None)

    def _backward_of_groups(self, parts, dy, prepared, context):
        """(dweight, dbias, dx or None)."""
        loops, n = context.loops, self.channels[1] // self.groups * prod(self.geometry.out)
        each = zip(parts, self.cut(prepared[0]), loops.parted(dy, n), strict=True)
        found = [loops.conv_backward(*of_group, self.geometry, context.want_dx) for of_group in each]
        dweight, dbias, dx = zip(*found, strict=True)
        return loops.joined(dweight), loops.joined(dbias), loops.beside(dx) if context.want_dx else None

    def config(self) -> dict[str, Any]:
        settings = {key: getattr(self, key) for key in ("kernel", "stride", "padding", "dilation")}
        if self.directions == 1:
            settings = {key: value[0] for key, value in settings.items()}
        if self.groups > 1:
            settings["groups"] = self.groups
        return {"channels_in": self.channels[0], "channels_out": self.channels[1], **settings,
                "weight": plain(self.weight), "bias": plain(self.bias), "name": self.name}

    def describe(self) -> str:
        size = self.kernel[0] if len(set(self.kernel)) == 1 else "x".join(map(str, self.kernel))
        groups = f", groups={self.groups}" if self.groups > 1 else ""
        return f"{type(self).__name__}({self.channels[0]}, {self.channels[1]}, {size}{groups})"


class Conv2d(Conv):
    """Two-dimensional convolution of each time step (a cross-correlation, as everywhere):

        y_t[o, h, w] = b[o] + sum_{c, i, j} W[o, c, i, j] x_t[c, h stride + i dilation - padding, w stride + j
        dilation - padding]

    x: (T, B, channels_in, H, W) values or Spikes; y: (T, B, channels_out, H', W') with H' = floor((H + 2
    padding - dilation (kernel - 1) - 1) / stride) + 1, and W' likewise; outside of the picture x is 0.
    weight is (channels_out, channels_in, kernel, kernel), bias (channels_out,), or absent with bias=False.

    Spikes are added event by event, values a picture at a time.  A picture's result does not depend on batch
    or chunk; between Spikes and the same values, and between devices, the order of the sum differs: equal to
    rounding.

    channels_in, channels_out: numbers of channels.  kernel, stride, padding, dilation: one number, or (rows,
    columns).  padding="same": as much as keeps the size; with odd kernels and stride 1.  groups: the channels
    in so many groups side by side, each a convolution by itself; weight is then (channels_out, channels_in /
    groups, kernel, kernel).  weight, bias: initial values (see numsnn.layers.initialise; fans count the
    kernel's places); bias=False for none.
    """


class Conv1d(Conv):
    """One-dimensional convolution of each time step, along an axis that is not time (frequency, position
    ...):

        y_t[o, l] = b[o] + sum_{c, i} W[o, c, i] x_t[c, l stride + i dilation - padding]

    x: (T, B, channels_in, L) values or Spikes; y: (T, B, channels_out, L') with L' = floor((L + 2 padding -
    dilation (kernel - 1) - 1) / stride) + 1; outside x is 0.  weight is (channels_out, channels_in, kernel),
    bias (channels_out,), or absent with bias=False.  The rest as in `Conv2d`.

    channels_in, channels_out: numbers of channels.  kernel, stride, padding, dilation: numbers.
    padding="same": as much as keeps the size; with odd kernels and stride 1.  groups: as in `Conv2d`.
    weight, bias: initial values (see numsnn.layers.initialise; fans count the kernel's places); bias=False
    for none.
    """

    directions = 1
