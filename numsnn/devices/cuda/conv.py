"""Convolution on the GPU, every sum in a fixed order.

Of values, a convolution is a product of two matrices by tiles (see product.py), one of which is gathered
from the pictures as it is needed (see conv_tables.py).  The gradient of the input is such a product too.
Spikes are looked for one by one, by a thread for each value that is computed.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np
from numba import cuda

from ...signals.spikes import Spikes
from ..contract import Geometry
from ..jit import jitable
from .array import Array, Values, launch, put, start
from .conv_tables import NOWHERE, Places, Sizes, Taps, inward, outward
from .dense import SEGMENT, sum_rows
from .driver import Kernel
from .product import SIDE, Cut, U, adding, cut, each, four_of, put_block
from .spikes import DeviceSpikes, placed, words

THREADS = 1 << 20       # of a weight gradient, at about: rows are cut into as many segments


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


def window(g: Geometry) -> Window:
    return Window(g.channels, *g.size, *g.kernel, *g.stride, *g.padding, *g.dilation, *g.out)


# ---- spikes


@lru_cache(None)
def spikes_kernel() -> Kernel:
    """y[r, o, row, column] = bias[o] + the weights of the taps that see a spike, in their order."""

    @cuda.jit
    def forward(bits, n_words, weight, bias, g, channels_out, y, n):
        i = cuda.grid(1)
        if i < n:
            column, row = i % g.out_width, i // g.out_width % g.out_height
            o = i // (g.out_width * g.out_height) % channels_out
            r = i // (g.out_width * g.out_height * channels_out)
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
def spikes_weight_kernel(real: str) -> Kernel:
    """dweight[s, o, c, a, b]: over the pictures of segment s and the places of each, ascending."""
    zero = np.dtype(real).type(0)

    @cuda.jit
    def weight_gradient(bits, n_words, dy, g, channels_out, pictures, segment, dweight, n):
        i = cuda.grid(1)
        if i < n:
            b, a = i % g.columns, i // g.columns % g.rows
            c = i // (g.columns * g.rows) % g.channels
            o = i // (g.columns * g.rows * g.channels) % channels_out
            s = i // (g.columns * g.rows * g.channels * channels_out)
            total = zero
            for r in range(s * segment, min((s + 1) * segment, pictures)):
                for row in range(g.out_height):
                    h = row * g.down + a * g.tall - g.top
                    if h >= 0 and h < g.height:
                        for column in range(g.out_width):
                            w = column * g.right + b * g.wide - g.left
                            if w >= 0 and w < g.width:
                                unit = (c * g.height + h) * g.width + w
                                d = ((r * channels_out + o) * g.out_height + row) * g.out_width + column
                                if bits[r * n_words + unit // 32] & (np.uint32(1) << np.uint32(unit % 32)):
                                    total += dy[d]
            dweight[i] = total

    return weight_gradient


# ---- values


@jitable
def split(n, places):
    """(picture, place) of column n."""
    picture = np.int64(U(n) // U(places))
    return picture, n - picture * places


@jitable
def seen(x, picture, row, column, taps, k, sizes, zero):
    """What tap k sees from a place: zero outside of the picture."""
    h, w = np.int32(row + taps.down[U(k)]), np.int32(column + taps.right[U(k)])
    # unsigned, what is negative counts as large
    inside = np.uint32(h) < np.uint32(sizes.height) and np.uint32(w) < np.uint32(sizes.width)
    return x[U(picture * sizes.seen + row * sizes.width + column + taps.offset[U(k)])] if inside else zero


@lru_cache(None)
def gathered_kernel(tiles: Cut, real: str, biased: bool) -> Kernel:
    """y[picture, m, target] = bias[m] + the sum over ascending k of weight[m, k] times what k sees.

    tiles: as in product.product_kernel.
    """
    across, depth, tall, wide = tiles.across, tiles.depth, tiles.tall, tiles.wide
    number, zero, nowhere = np.dtype(real).type, np.dtype(real).type(0), np.int32(NOWHERE)
    shape_left, shape_right, add_tiles = tiles.left, tiles.right, adding(depth)
    ahead, below = tiles.threads // depth, tiles.threads // wide

    @cuda.jit
    def gathered(x, weight, bias, taps, places, sizes, y):
        left = cuda.shared.array(shape_left, number)
        right = cuda.shared.array(shape_right, number)
        i, j = cuda.threadIdx.y, cuda.threadIdx.x
        top, corner = cuda.blockIdx.y * tall, cuda.blockIdx.x * wide
        m, thread, end = top + SIDE * i, i * across + j, sizes.channels
        block = each(each(zero))
        if biased:
            block = each(four_of(bias, m, end, zero))
        picture, place = split(corner + thread % wide, sizes.places)    # of the column this thread fetches
        row = places.row[U(place)] if picture < sizes.pictures else nowhere
        column = places.column[U(place)]
        for first in range(0, sizes.taps, depth):
            k = first + thread % depth
            for e in range(tall // ahead):
                c = thread // depth + e * ahead
                inside = k < sizes.taps and top + c < end
                own = weight[U((top + c) * sizes.pitch + taps.weight[U(k)])] if inside else zero
                left[thread % depth, c] = own
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
def weight_kernel(tiles: Cut, real: str) -> Kernel:
    """dweight[s, o, k] = the sum of dy times what k sees.

    Over the pictures of segment s, and the places of each, in ascending order.
    """
    across, depth, tall, wide = tiles.across, tiles.depth, tiles.tall, tiles.wide
    number, zero, nowhere = np.dtype(real).type, np.dtype(real).type(0), np.int32(NOWHERE)
    shape_left, shape_right, add_tiles = tiles.left, tiles.right, adding(depth)
    ahead = tiles.threads // depth

    @cuda.jit
    def weight_gradient(x, dy, taps, places, sizes, segment, dweight):
        left = cuda.shared.array(shape_left, number)
        right = cuda.shared.array(shape_right, number)
        i, j = cuda.threadIdx.y, cuda.threadIdx.x
        top, corner = cuda.blockIdx.z * tall, cuda.blockIdx.y * wide
        s, begin = (i * across + j) % depth, (i * across + j) // depth
        picture, place = cuda.blockIdx.x * segment, s
        end = min((cuda.blockIdx.x + 1) * segment, sizes.pictures)
        block = each(each(zero))
        for _ in range(0, (end - picture) * sizes.places, depth):
            while place >= sizes.places:
                picture, place = picture + 1, place - sizes.places
            row = places.row[U(place)] if picture < end else nowhere
            column = places.column[U(place)]
            for e in range(tall // ahead):
                c = begin + e * ahead
                inside = picture < end and top + c < sizes.channels
                own = dy[U((picture * sizes.channels + top + c) * sizes.places + place)] if inside else zero
                left[s, c] = own
            for e in range(wide // ahead):
                c = begin + e * ahead
                right[s, c] = seen(x, picture, row, column, taps, corner + c, sizes, zero)
            cuda.syncthreads()
            block = add_tiles(block, left, right, U(0), U(SIDE * i), U(SIDE * j))
            cuda.syncthreads()
            place += depth
        before = cuda.blockIdx.x * sizes.channels
        put_block(dweight, block, before, top + SIDE * i, corner + SIDE * j, sizes.channels, sizes.taps)

    return weight_gradient


def gather(x: Array, weight: Array, bias: Array | None, taps: Taps, places: Places, sizes: Sizes,
           y: Array) -> None:
    """y = bias + weight times what is seen of the pictures x."""
    sizes = sizes._replace(pictures=x.shape[0] * x.shape[1])
    n = sizes.pictures * sizes.places
    if n:
        tiles = cut(sizes.channels, n)
        kernel = gathered_kernel(tiles, x.dtype.name, bias is not None)
        grid, block = tiles.grid(sizes.channels, n)[::-1], (tiles.across, tiles.down)
        launch(kernel, grid, block, x, weight, y if bias is None else bias, taps, places, sizes, y)


# ---- both


@lru_cache(None)
def places_kernel(real: str) -> Kernel:
    """out[i] = the sum of a[i], of so many values."""
    zero = np.dtype(real).type(0)

    @cuda.jit
    def places(a, size, out, n):
        i = cuda.grid(1)
        if i < n:
            total = zero
            for k in range(size):
                total += a[i * size + k]
            out[i] = total

    return places


def conv_forward(x: Spikes | Values, weight: Values, bias: Values, geometry: Geometry,
                 into: object = None) -> Array:
    """y (T, B, channels that go out * places)."""
    steps, batch, units = x.shape
    channels_out = weight.shape[0]
    x, weight, bias = placed(x, weight.dtype), put(weight), put(bias)
    y = Array((steps, batch, channels_out * prod(geometry.out)), weight.dtype)
    if isinstance(x, DeviceSpikes):
        g = window(geometry)
        start(spikes_kernel(), y.size, x.bits, words(units), weight, bias, g, channels_out, y, y.size)
    else:
        gather(x, weight, bias, *outward(geometry, channels_out), y)
    return y


def weight_gradient(x: Array | DeviceSpikes, dy: Array, geometry: Geometry, pictures: int,
                    channels_out: int) -> Array:
    """Sums over segments of pictures, then their sum."""
    taps, places, sizes = outward(geometry, channels_out)
    real = dy.dtype.name
    enough = max(-(-pictures // SEGMENT), THREADS // (channels_out * sizes.taps), 1)
    segments = min(enough, max(pictures, 1))
    size = max(-(-pictures // segments), 1)
    segments = max(-(-pictures // size), 1)
    dweight = Array((segments, channels_out * sizes.taps), dy.dtype)
    if isinstance(x, DeviceSpikes):
        start(spikes_weight_kernel(real), dweight.size, x.bits, words(sizes.seen), dy, window(geometry),
              channels_out, pictures, size, dweight, dweight.size)
    else:
        tiles = cut(channels_out, sizes.taps, segments)
        grid = segments, *tiles.grid(channels_out, sizes.taps)[::-1]
        launch(weight_kernel(tiles, real), grid, (tiles.across, tiles.down), x, dy, taps, places,
               sizes._replace(pictures=pictures), size, dweight)
    return sum_rows(dweight)


def conv_backward(x: Spikes | Values, weight: Values, dy: Values, geometry: Geometry, want_dx: bool,
                  into: object = None) -> tuple[Array, Array, Array | None]:
    """The gradients (of the weights, of the bias, of x or None)."""
    steps, batch, _ = x.shape
    channels_out = weight.shape[0]
    x, weight, dy = placed(x, weight.dtype), put(weight), put(dy, weight.dtype)
    sums = Array((steps * batch, channels_out), weight.dtype)
    dx = None
    start(places_kernel(weight.dtype.name), sums.size, dy, prod(geometry.out), sums, sums.size)
    if want_dx:
        dx = Array(x.shape, weight.dtype)
        for phase in inward(geometry, channels_out):
            gather(dy, weight, None, *phase, dx)
    dweight = weight_gradient(x, dy, geometry, steps * batch, channels_out)
    return dweight.reshape(weight.shape), sum_rows(sums), dx


__all__ = ["conv_backward", "conv_forward", "window"]
