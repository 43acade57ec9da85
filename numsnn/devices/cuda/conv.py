"""Convolution on the GPU, every sum in a fixed order.

Of values, a convolution is a product of two matrices by tiles (see product.py), one of which is gathered from the pictures as it is needed:
tables, made once for each geometry, say what a tap k = (channel, row, column) of the kernel sees from a place.  The gradient of the input is
such a product too, one for each phase (row mod stride, column mod stride), whose places are seen through the same taps.  Spikes are looked
for one by one, by a thread for each value that is computed.
"""

from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from ..contract import Geometry
from ..jit import jitable
from .array import Array, launch, put, start
from .dense import SEGMENT, sum_rows
from .product import SIDE, U, adding, cut, each, four_of, put_block
from .spikes import DeviceSpikes, placed, words

THREADS = 1 << 20       # of a weight gradient, at about: rows are cut into as many segments
BEYOND = 256            # taps, no fewer than a tile is wide
NOWHERE = -(1 << 29)    # a row outside of every picture, whatever is added to it


class Window(NamedTuple):
    """A Geometry in plain numbers."""
    channels: int
    height: int
    width: int
    rows: int           # of the kernel
    columns: int
    down: int           # stride
    right: int
    top: int            # padding
    left: int
    tall: int           # dilation
    wide: int
    out_height: int
    out_width: int


def window(g):
    return Window(g.channels, *g.size, *g.kernel, *g.stride, *g.padding, *g.dilation, *g.out)


# ---- spikes


@lru_cache(None)
def spikes_kernel():
    @cuda.jit
    def forward(bits, n_words, weight, bias, g, channels_out, y, n):
        i = cuda.grid(1)
        if i < n:
            column, row = i % g.out_width, i // g.out_width % g.out_height
            o, r = i // (g.out_width * g.out_height) % channels_out, i // (g.out_width * g.out_height * channels_out)
            total, tap = bias[o], o * g.channels * g.rows * g.columns
            for c in range(g.channels):
                for a in range(g.rows):
                    h = row * g.down + a * g.tall - g.top
                    for b in range(g.columns):
                        w = column * g.right + b * g.wide - g.left
                        if h >= 0 and h < g.height and w >= 0 and w < g.width:
                            unit = (c * g.height + h) * g.width + w
                            if bits[r * n_words + unit // 32] & (np.uint32(1) << np.uint32(unit % 32)):
                                total += weight[tap]
                        tap += 1
            y[i] = total

    return forward


@lru_cache(None)
def spikes_weight_kernel(real):
    zero = np.dtype(real).type(0)

    @cuda.jit
    def weight_gradient(bits, n_words, dy, g, channels_out, pictures, segment, dweight, n):
        """dweight[s, o, c, a, b]: over the pictures of segment s, and the places of each, in ascending order."""
        i = cuda.grid(1)
        if i < n:
            b, a = i % g.columns, i // g.columns % g.rows
            c, o = i // (g.columns * g.rows) % g.channels, i // (g.columns * g.rows * g.channels) % channels_out
            s, total = i // (g.columns * g.rows * g.channels * channels_out), zero
            for r in range(s * segment, min((s + 1) * segment, pictures)):
                for row in range(g.out_height):
                    h = row * g.down + a * g.tall - g.top
                    if h >= 0 and h < g.height:
                        for column in range(g.out_width):
                            w = column * g.right + b * g.wide - g.left
                            if w >= 0 and w < g.width:
                                unit, d = (c * g.height + h) * g.width + w, ((r * channels_out + o) * g.out_height + row) * g.out_width + column
                                if bits[r * n_words + unit // 32] & (np.uint32(1) << np.uint32(unit % 32)):
                                    total += dy[d]
            dweight[i] = total

    return weight_gradient


# ---- values


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
    pictures: int
    places: int         # outputs of a channel of a picture
    taps: int
    channels: int       # that go out
    pitch: int          # from the weights of an output channel to those of the next
    height: int         # of what is seen
    width: int
    seen: int           # numbers of a picture that is seen
    plane: int          # of a channel that goes out


def tables(cls, *columns, spare=0):
    return cls(*(put(np.pad(c.ravel(), (0, spare), constant_values=NOWHERE).astype(np.int32)) for c in np.broadcast_arrays(*columns)))


@lru_cache(None)
def outward(g: Geometry, channels_out):
    """(Taps, Places, Sizes) of the forward pass: k = (c, i, j) sees row * stride - padding + i * dilation."""
    c, i, j = np.indices((g.channels, *g.kernel))
    (row, column), down, right = np.indices(g.out), i * g.dilation[0], j * g.dilation[1]
    return (tables(Taps, np.arange(c.size).reshape(c.shape), (c * g.size[0] + down) * g.size[1] + right, down, right, spare=BEYOND),
            tables(Places, row * g.stride[0] - g.padding[0], column * g.stride[1] - g.padding[1], row * g.out[1] + column),
            Sizes(0, row.size, c.size, channels_out, c.size, *g.size, g.channels * prod(g.size), row.size))


@lru_cache(None)
def inward(g: Geometry, channels_out):
    """(Taps, Places, Sizes) of the input gradient by phase: k = (o, i, j) sees row (h + padding - i * dilation) / stride, where that is whole."""
    shifted = [np.arange(size) + padding for size, padding in zip(g.size, g.padding, strict=True)]
    dilated = [np.arange(size) * dilation for size, dilation in zip(g.kernel, g.dilation, strict=True)]
    o, found = np.arange(channels_out)[:, None, None], []
    for phase in np.ndindex(g.stride):
        (h, w), (i, j) = ([np.flatnonzero(v % n == p) for v, n, p in zip(values, g.stride, phase, strict=True)] for values in (shifted, dilated))
        row, column = (shifted[0][h] // g.stride[0])[:, None], shifted[1][w] // g.stride[1]
        up, left = (dilated[0][i] // g.stride[0])[:, None], dilated[1][j] // g.stride[1]
        found.append((tables(Taps, (o * g.channels * g.kernel[0] + i[:, None]) * g.kernel[1] + j, (o * g.out[0] - up) * g.out[1] - left, -up, -left, spare=BEYOND),
                      tables(Places, row, column, h[:, None] * g.size[1] + w),
                      Sizes(0, h.size * w.size, o.size * i.size * j.size, g.channels, prod(g.kernel), *g.out, channels_out * prod(g.out), prod(g.size))))
    return found


@jitable
def split(n, places):
    """(picture, place) of column n."""
    picture = np.int64(U(n) // U(places))
    return picture, n - picture * places


@jitable
def seen(x, picture, row, column, taps, k, sizes, zero):
    """What tap k sees from a place: zero outside of the picture."""
    h, w = np.int32(row + taps.down[U(k)]), np.int32(column + taps.right[U(k)])
    inside = np.uint32(h) < np.uint32(sizes.height) and np.uint32(w) < np.uint32(sizes.width)       # what is negative counts as large
    return x[U(picture * sizes.seen + row * sizes.width + column + taps.offset[U(k)])] if inside else zero


@lru_cache(None)
def gathered_kernel(tiles, real, biased):
    """y[picture, m, target] = bias[m] + the sum over ascending k of weight[m, k] times what k sees; tiles as in cuda_product.product_kernel."""
    across, depth, tall, wide, real, zero = tiles.across, tiles.depth, tiles.tall, tiles.wide, np.dtype(real).type, np.dtype(real).type(0)
    shape_left, shape_right, add_tiles, nowhere = tiles.left, tiles.right, adding(depth), np.int32(NOWHERE)
    ahead, below = tiles.threads // depth, tiles.threads // wide

    @cuda.jit
    def gathered(x, weight, bias, taps, places, sizes, y):
        left = cuda.shared.array(shape_left, real)
        right = cuda.shared.array(shape_right, real)
        i, j, top, corner = cuda.threadIdx.y, cuda.threadIdx.x, cuda.blockIdx.y * tall, cuda.blockIdx.x * wide
        m, thread, end = top + SIDE * i, i * across + j, sizes.channels
        block = each(each(zero))
        if biased:
            block = each(four_of(bias, m, end, zero))
        picture, place = split(corner + thread % wide, sizes.places)        # of the column that this thread fetches
        row, column = places.row[U(place)] if picture < sizes.pictures else nowhere, places.column[U(place)]
        for first in range(0, sizes.taps, depth):
            k = first + thread % depth
            for e in range(tall // ahead):
                c = thread // depth + e * ahead
                left[thread % depth, c] = weight[U((top + c) * sizes.pitch + taps.weight[U(k)])] if k < sizes.taps and top + c < end else zero
            for e in range(depth // below):
                s = thread // wide + e * below
                right[s, thread % wide] = seen(x, picture, row, column, taps, first + s, sizes, zero)
            cuda.syncthreads()
            block = add_tiles(block, left, right, U(0), U(SIDE * i), U(SIDE * j))
            cuda.syncthreads()
        for c in range(SIDE):
            picture, place = split(corner + SIDE * j + c, sizes.places)
            first = picture * end * sizes.plane + places.target[U(place)]
            for r in range(SIDE):
                if picture < sizes.pictures and m + r < end:
                    y[U(first + (m + r) * sizes.plane)] = block[c][r]

    return gathered


@lru_cache(None)
def weight_kernel(tiles, real):
    """dweight[s, o, k] = the sum over the pictures of segment s, and the places of each, in ascending order, of dy times what k sees."""
    across, depth, tall, wide, real, zero = tiles.across, tiles.depth, tiles.tall, tiles.wide, np.dtype(real).type, np.dtype(real).type(0)
    shape_left, shape_right, add_tiles, nowhere, ahead = tiles.left, tiles.right, adding(depth), np.int32(NOWHERE), tiles.threads // depth

    @cuda.jit
    def weight_gradient(x, dy, taps, places, sizes, segment, dweight):
        left = cuda.shared.array(shape_left, real)
        right = cuda.shared.array(shape_right, real)
        i, j, top, corner = cuda.threadIdx.y, cuda.threadIdx.x, cuda.blockIdx.z * tall, cuda.blockIdx.y * wide
        s, begin = (i * across + j) % depth, (i * across + j) // depth
        picture, place, end = cuda.blockIdx.x * segment, s, min((cuda.blockIdx.x + 1) * segment, sizes.pictures)
        block = each(each(zero))
        for _ in range(0, (end - picture) * sizes.places, depth):
            while place >= sizes.places:
                picture, place = picture + 1, place - sizes.places
            row, column = places.row[U(place)] if picture < end else nowhere, places.column[U(place)]
            for e in range(tall // ahead):
                c = begin + e * ahead
                left[s, c] = dy[U((picture * sizes.channels + top + c) * sizes.places + place)] if picture < end and top + c < sizes.channels else zero
            for e in range(wide // ahead):
                c = begin + e * ahead
                right[s, c] = seen(x, picture, row, column, taps, corner + c, sizes, zero)
            cuda.syncthreads()
            block = add_tiles(block, left, right, U(0), U(SIDE * i), U(SIDE * j))
            cuda.syncthreads()
            place += depth
        put_block(dweight, block, cuda.blockIdx.x * sizes.channels, top + SIDE * i, corner + SIDE * j, sizes.channels, sizes.taps)

    return weight_gradient


def gather(x, weight, bias, taps, places, sizes, y):
    """y = bias + weight times what is seen of the pictures x."""
    sizes = sizes._replace(pictures=x.shape[0] * x.shape[1])
    n = sizes.pictures * sizes.places
    if n:
        tiles = cut(sizes.channels, n)
        kernel, grid = gathered_kernel(tiles, x.dtype.name, bias is not None), tiles.grid(sizes.channels, n)[::-1]
        launch(kernel, grid, (tiles.across, tiles.down), x, weight, y if bias is None else bias, taps, places, sizes, y)


# ---- both


@lru_cache(None)
def places_kernel(real):
    zero = np.dtype(real).type(0)

    @cuda.jit
    def places(a, size, out, n):
        """out[i] = the sum of a[i], of so many values."""
        i = cuda.grid(1)
        if i < n:
            total = zero
            for k in range(size):
                total += a[i * size + k]
            out[i] = total

    return places


def conv_forward(x, weight, bias, geometry, into=None):
    x, weight, bias, (steps, batch, units), channels_out = placed(x, weight.dtype), put(weight), put(bias), x.shape, weight.shape[0]
    y = Array((steps, batch, channels_out * prod(geometry.out)), weight.dtype)
    if isinstance(x, DeviceSpikes):
        start(spikes_kernel(), y.size, x.bits, words(units), weight, bias, window(geometry), channels_out, y, y.size)
    else:
        gather(x, weight, bias, *outward(geometry, channels_out), y)
    return y


def weight_gradient(x, dy, geometry, pictures, channels_out):
    """Sums over segments of pictures, then their sum."""
    (taps, places, sizes), real = outward(geometry, channels_out), dy.dtype.name
    segments = min(max(-(-pictures // SEGMENT), THREADS // (channels_out * sizes.taps), 1), max(pictures, 1))
    size = max(-(-pictures // segments), 1)
    segments = max(-(-pictures // size), 1)
    dweight = Array((segments, channels_out * sizes.taps), dy.dtype)
    if isinstance(x, DeviceSpikes):
        start(spikes_weight_kernel(real), dweight.size, x.bits, words(sizes.seen), dy, window(geometry), channels_out, pictures, size, dweight, dweight.size)
    else:
        tiles = cut(channels_out, sizes.taps, segments)
        grid = segments, *tiles.grid(channels_out, sizes.taps)[::-1]
        launch(weight_kernel(tiles, real), grid, (tiles.across, tiles.down), x, dy, taps, places, sizes._replace(pictures=pictures), size, dweight)
    return sum_rows(dweight)


def conv_backward(x, weight, dy, geometry, want_dx, into=None):
    x, weight, dy, (steps, batch, _), channels_out = placed(x, weight.dtype), put(weight), put(dy, weight.dtype), x.shape, weight.shape[0]
    sums, dx = Array((steps * batch, channels_out), weight.dtype), None
    start(places_kernel(weight.dtype.name), sums.size, dy, prod(geometry.out), sums, sums.size)
    if want_dx:
        dx = Array(x.shape, weight.dtype)
        for phase in inward(geometry, channels_out):
            gather(dy, weight, None, *phase, dx)
    return weight_gradient(x, dy, geometry, steps * batch, channels_out).reshape(weight.shape), sum_rows(sums), dx


__all__ = ["conv_backward", "conv_forward", "window"]
