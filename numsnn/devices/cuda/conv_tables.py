"""What the taps of a convolution see, as tables on the GPU, made once for each geometry.

A tap is a number k = (channel, row, column) of the kernel; a place is where it stands over a picture.  For
the gradient of the input there are tables for each phase (row mod stride, column mod stride), whose places
are seen through the same taps.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..contract import Geometry
from .array import put

BEYOND = 256            # taps, no fewer than a tile is wide
NOWHERE = -(1 << 29)    # a row outside of every picture, whatever is added to it


class Taps(NamedTuple):
    """Of each k; BEYOND the last there are some that see nothing, so that none need ask."""
    weight: Any         # where its weight lies among those of an output channel
    offset: Any         # what it adds to the index of a place of the first channel
    down: Any           # to its row
    right: Any          # to its column


class Places(NamedTuple):
    """Of each output of a channel of a picture."""
    row: Any            # of the place to which taps add
    column: Any
    target: Any         # where the output lies


class Sizes(NamedTuple):
    """Of what is seen, of its taps, and of what is computed."""
    pictures: int
    places: int         # outputs of a channel of a picture
    taps: int
    channels: int       # that go out
    pitch: int          # from the weights of an output channel to those of the next
    height: int         # of what is seen
    width: int
    seen: int           # numbers of a picture that is seen
    plane: int          # of a channel that goes out


Tables = tuple[Taps, Places, Sizes]     # of a product; its number of pictures is not yet known


def _put_table(column, spare):
    """A column of a table as a vector on the GPU, with so many rows more that are nowhere."""
    return put(np.pad(column.ravel(), (0, spare), constant_values=NOWHERE).astype(np.int32))


def _taps(weight, offset, down, right):
    columns = np.broadcast_arrays(weight, offset, down, right)
    return Taps(*(_put_table(column, BEYOND) for column in columns))


def _places(row, column, target):
    return Places(*(_put_table(c, 0) for c in np.broadcast_arrays(row, column, target)))


@lru_cache(None)
def outward(g: Geometry, channels_out: int) -> Tables:
    """Of the forward pass: k = (c, i, j) sees row * stride - padding + i * dilation."""
    height, width = g.size
    c, i, j = np.indices((g.channels, *g.kernel))
    down, right = i * g.dilation[0], j * g.dilation[1]
    taps = _taps(np.arange(c.size).reshape(c.shape), (c * height + down) * width + right, down, right)
    row, column = np.indices(g.out)
    top, left = g.padding
    places = _places(row * g.stride[0] - top, column * g.stride[1] - left, row * g.out[1] + column)
    sizes = Sizes(pictures=0, places=row.size, taps=c.size, channels=channels_out, pitch=c.size,
                  height=height, width=width, seen=g.channels * height * width, plane=row.size)
    return taps, places, sizes


@lru_cache(None)
def inward(g: Geometry, channels_out: int) -> list[Tables]:
    """Of the input gradient, for each phase.

    k = (o, i, j) sees row (h + padding - i * dilation) / stride, where that is whole.
    """
    shifted = [np.arange(size) + padding for size, padding in zip(g.size, g.padding, strict=True)]
    dilated = [np.arange(size) * dilation for size, dilation in zip(g.kernel, g.dilation, strict=True)]
    (height, width), (down, right) = g.out, g.stride
    o = np.arange(channels_out)[:, None, None]
    found = []
    for phase in np.ndindex(g.stride):
        h, w = _of_phase(phase, shifted, g.stride)
        i, j = _of_phase(phase, dilated, g.stride)
        up, left = (dilated[0][i] // down)[:, None], dilated[1][j] // right
        weight = (o * g.channels * g.kernel[0] + i[:, None]) * g.kernel[1] + j
        taps = _taps(weight, (o * height - up) * width - left, -up, -left)
        row, column = (shifted[0][h] // down)[:, None], shifted[1][w] // right
        places = _places(row, column, h[:, None] * g.size[1] + w)
        sizes = Sizes(pictures=0, places=h.size * w.size, taps=o.size * i.size * j.size, channels=g.channels,
                      pitch=prod(g.kernel), height=height, width=width, seen=channels_out * height * width,
                      plane=prod(g.size))
        found.append((taps, places, sizes))
    return found


def _of_phase(phase, values, stride):
    """The indices of the values, (of rows, of columns), that lie in a phase."""
    return [np.flatnonzero(v % n == p) for v, n, p in zip(values, stride, phase, strict=True)]


__all__ = ["BEYOND", "NOWHERE", "Places", "Sizes", "Tables", "Taps", "inward", "outward"]
