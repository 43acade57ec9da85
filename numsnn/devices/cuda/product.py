"""Products of matrices on the GPU, by tiles that go through shared memory.

A thread computes SIDE x SIDE outputs, because what is read from there decides the time.  Every output is a
sum over ascending k in one accumulator, however the product is cut.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np
from numba import cuda

from ..jit import jitable
from .array import WORD, Array, launch
from .driver import Kernel

# Numbers k of a product that go through shared memory at a time: a power of two, no more than the threads of
# the smallest block.
TILE = 16
SIDE = 4            # rows, and columns, of outputs that one thread computes: as many as `four` says
THREADS = 256       # of a block, at most
BLOCKS = 256        # of a product, at least, if need be of few threads: they are to fill a GPU
# Numbers between the rows of a tile, so that threads that write below each other wait less for each other.
SPARE = 4

U = np.uint64       # indices of which Numba need not ask whether they are negative


@jitable
def four(a, k, i):
    """Neighbours, so that they come in one reading."""
    return a[k, i], a[k, i + U(1)], a[k, i + U(2)], a[k, i + U(3)]


@jitable
def each(a):
    return a, a, a, a


@jitable
def added(totals, a, b):
    return totals[0] + a[0] * b, totals[1] + a[1] * b, totals[2] + a[2] * b, totals[3] + a[3] * b


@jitable
def add_step(block, left, right, s, i, j):
    a, b = four(left, s, i), four(right, s, j)
    first, second = added(block[0], a, b[0]), added(block[1], a, b[1])
    third, fourth = added(block[2], a, b[2]), added(block[3], a, b[3])
    return first, second, third, fourth


@lru_cache(None)
def adding(depth: int) -> Callable:
    """block[c][r] += the sum over s = 0 ... depth - 1 of left[s, i + r] right[s, j + c], ascending.

    It is written out, by halves: in a loop nobody sees that neighbours may be read at once.  Tuples stay in
    registers, where arrays need not.
    """
    if depth == 1:
        return add_step
    half, middle = adding(depth // 2), U(depth // 2)

    @jitable
    def add(block, left, right, s, i, j):
        return half(half(block, left, right, s, i, j), left, right, s + middle, i, j)

    return add


@jitable
def put_block(out, block, before, i, j, m, n):
    """out[before + i + r, j + c] = block[c][r], as far as the M rows from `before` on, and N columns, go."""
    for c in range(SIDE):
        for r in range(SIDE):
            if i + r < m and j + c < n:
                out[U((before + i + r) * n + j + c)] = block[c][r]


@jitable
def four_of(a, i, n, zero):
    """a[i], a[i + 1] ..., zero from n on."""
    a0 = a[U(i)] if i < n else zero
    a1 = a[U(i + 1)] if i + 1 < n else zero
    a2 = a[U(i + 2)] if i + 2 < n else zero
    a3 = a[U(i + 3)] if i + 3 < n else zero
    return a0, a1, a2, a3


class Cut(NamedTuple):
    """How a product (M, N) is cut into tiles, one for each block of threads."""
    down: int           # threads of a block
    across: int
    depth: int          # numbers k that go through shared memory at a time

    @property
    def threads(self) -> int:
        """Of a block."""
        return self.down * self.across

    @property
    def tall(self) -> int:
        """Rows of outputs of a block."""
        return SIDE * self.down

    @property
    def wide(self) -> int:
        """Columns of outputs of a block."""
        return SIDE * self.across

    @property
    def left(self) -> tuple[int, int]:
        """The shape of a tile of the first matrix in shared memory."""
        return self.depth, self.tall + SPARE

    @property
    def right(self) -> tuple[int, int]:
        """The shape of a tile of the second matrix in shared memory."""
        return self.depth, self.wide + SPARE

    def grid(self, m: int, n: int) -> tuple[int, int]:
        """Blocks of a product (M, N)."""
        return -(-m // self.tall), -(-n // self.wide)


def _side(size):
    """Threads along a side of so many outputs, by a power of two: no more than they keep busy."""
    return min(max(1 << (-(-size // SIDE) - 1).bit_length(), 4), SIDE * TILE)


def cut(m: int, n: int, times: int = 1) -> Cut:
    """Threads for no more outputs than there are, for blocks enough; `times`: products that run together."""
    found = Cut(_side(m), _side(n), TILE)
    while found.threads > THREADS or found.threads > WORD and prod(found.grid(m, n)) * times < BLOCKS:
        if found.down > found.across:
            found = found._replace(down=found.down // 2)
        else:
            found = found._replace(across=found.across // 2)
    return found


@lru_cache(None)
def fetching(width: int, depth: int, threads: int, real: str, along: bool) -> Callable:
    """How a block copies a tile of a matrix (K, N); along: of one that is stored (N, K).

    Neighbouring threads read neighbours in memory.
    """
    zero = np.dtype(real).type(0)

    @jitable
    def fetch(tile, a, k, n, first, corner, thread):
        """tile[s, c] = a[first + s, corner + c], zero where a ends."""
        for e in range(width * depth // threads):
            p = thread + e * threads
            s, c = (p % depth, p // depth) if along else (p // width, p % width)
            row, column = first + s, corner + c
            there = row < k and column < n
            tile[s, c] = a[U(column * k + row if along else row * n + column)] if there else zero

    return fetch


@lru_cache(None)
def product_kernel(tiles: Cut, real: str, turned: tuple[bool, bool], biased: bool) -> Kernel:
    """out = a b (+ bias), (M, K) and (K, N); tiles of both go through shared memory."""
    across, depth, tall, wide = tiles.across, tiles.depth, tiles.tall, tiles.wide
    number, zero = np.dtype(real).type, np.dtype(real).type(0)
    shape_left, shape_right, add_tiles = tiles.left, tiles.right, adding(depth)
    fetch_left = fetching(tall, depth, tiles.threads, real, not turned[0])
    fetch_right = fetching(wide, depth, tiles.threads, real, turned[1])

    @cuda.jit
    def product(a, b, bias, out, m, n, k):
        left = cuda.shared.array(shape_left, number)    # a line each: the simulator tells them apart by it
        right = cuda.shared.array(shape_right, number)
        i, j = cuda.threadIdx.y, cuda.threadIdx.x
        top, corner = cuda.blockIdx.x * tall, cuda.blockIdx.y * wide
        block = each(each(zero))
        if biased:
            b0, b1, b2, b3 = four_of(bias, corner + SIDE * j, n, zero)
            block = each(b0), each(b1), each(b2), each(b3)
        for first in range(0, k, depth):
            fetch_left(left, a, k, m, first, top, i * across + j)
            fetch_right(right, b, k, n, first, corner, i * across + j)
            cuda.syncthreads()
            block = add_tiles(block, left, right, U(0), U(SIDE * i), U(SIDE * j))
            cuda.syncthreads()
        put_block(out, block, 0, top + SIDE * i, corner + SIDE * j, m, n)

    return product


def product(a: Array, b: Array, *, a_turned: bool = False, b_turned: bool = False,
            bias: Array | None = None) -> Array:
    """a b, with either matrix transposed."""
    m, k = a.shape[::-1] if a_turned else a.shape
    n = b.shape[0 if b_turned else 1]
    out = Array((m, n), a.dtype)
    if out.size:
        tiles = cut(m, n)
        kernel = product_kernel(tiles, a.dtype.name, (a_turned, b_turned), bias is not None)
        launch(kernel, tiles.grid(m, n), (tiles.across, tiles.down), a, b, bias or out, out, m, n, k)
    return out
