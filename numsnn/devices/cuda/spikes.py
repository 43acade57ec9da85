"""Spikes on the GPU: as bits, which are a thirtieth of values; and what takes spikes and arrays there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, TypeGuard, overload

import numpy as np
from numba import cuda, njit
from numpy.typing import ArrayLike, DTypeLike

from ...signals.spikes import Spikes, index_dtype
from ..jit import OPTIONS
from ..threads import run as on_threads
from .array import WORD, Array, Values, joined, put, start, zeros
from .driver import Kernel
from .streams import ahead

GATHERED = 1 << 16      # entries of lists that one thread puts together


class DeviceSpikes(Spikes):
    """Spikes as bits on the GPU: word w of row t * B + b holds units 32 w ... 32 w + 31.

    On the host they are lists as ever.
    """

    __slots__ = ("_lists", "bits")

    def __init__(self, shape: Iterable[int], bits: Array):
        steps, batch, units = shape
        self.shape = (steps, batch, units)
        self.bits = bits
        self._lists: Spikes | None = None

    def _listed(self):
        if self._lists is None:
            steps, batch, units = self.shape
            octets = np.asarray(self.bits).view(np.uint8)
            spikes = np.unpackbits(octets, axis=1, bitorder="little")[:, :units]
            self._lists = Spikes.from_dense(spikes.reshape(steps, batch, units).view(bool))
        return self._lists

    start = property(lambda self: self._listed().start)
    count = property(lambda self: self._listed().count)
    index = property(lambda self: self._listed().index)
    multiplicity = property(lambda self: None)

    def dense(self, dtype: DTypeLike = np.float32) -> Any:
        """The Array (T, B, N)."""
        y = Array(self.shape, dtype)
        units = self.shape[2]
        start(_unpack(), y.size, self.bits, units, words(units), y, y.size)
        return y

    def reshaped(self, steps: int, batch: int) -> DeviceSpikes:
        """The same rows as so many steps of so many samples, in their place."""
        return DeviceSpikes((steps, batch, self.shape[2]), self.bits)

    def __getitem__(self, time: slice) -> DeviceSpikes:
        """A slice in time, in its place."""
        first, last, _ = time.indices(self.shape[0])
        last = max(last, first)
        _, batch, units = self.shape
        return DeviceSpikes((last - first, batch, units), self.bits[first * batch:last * batch])


def words(units: int) -> int:
    """The number of words that hold so many bits."""
    return -(-units // WORD)


@lru_cache(None)
def _unpack():
    @cuda.jit
    def unpack(bits, units, n_words, y, n):
        i = cuda.grid(1)
        if i < n:
            r, unit = i // units, i % units
            y[i] = (bits[r * n_words + unit // 32] >> np.uint32(unit % 32)) & np.uint32(1)
    return unpack


@lru_cache(None)
def _pack():
    @cuda.jit
    def pack(first, count, index, n_words, bits, rows):
        """A row of bits from its list, which ascends."""
        r = cuda.grid(1)
        if r < rows:
            e, end = first[r], first[r] + count[r]
            for w in range(n_words):
                word = np.uint32(0)
                while e < end and index[e] // 32 == w:
                    word |= np.uint32(1) << np.uint32(index[e] % 32)
                    e += 1
                bits[r * n_words + w] = word
    return pack


@lru_cache(None)
def _pack_values():
    @cuda.jit
    def pack_values(values, units, n_words, bits, n):
        i = cuda.grid(1)
        if i < n:
            r, first = i // n_words, i % n_words * 32
            word = np.uint32(0)
            for unit in range(first, min(first + 32, units)):
                if values[r * units + unit] != 0:
                    word |= np.uint32(1) << np.uint32(unit % 32)
            bits[i] = word
    return pack_values


def packed(values: Array) -> DeviceSpikes:
    """The spikes of an Array (T, B, N) of zeros and ones."""
    steps, batch, units = values.shape
    bits = Array((steps * batch, words(units)), np.uint32)
    start(_pack_values(), bits.size, values, units, words(units), bits, bits.size)
    return DeviceSpikes(values.shape, bits)


@lru_cache(None)
def shifted_kernel() -> Kernel:
    """The kernel that puts the bits of rows behind those of others."""

    @cuda.jit
    def shifted(bits, n_words, first, out, out_words, own_words, n):
        """Each row of out holds bits, too, from its bit `first` on: in so many of its words."""
        i = cuda.grid(1)
        if i < n:
            r, w, shift = i // own_words, i % own_words, np.uint32(first % 32)
            word = np.uint32(0)
            if w < n_words:
                word = np.uint32(bits[r * n_words + w] << shift)
            if w > 0 and shift > 0:
                word |= np.uint32(bits[r * n_words + w - 1] >> (np.uint32(32) - shift))
            out[r * out_words + first // 32 + w] |= word

    return shifted


def spikes_beside(parts: Sequence[DeviceSpikes]) -> DeviceSpikes:
    """The units of all parts (T, B, n), one after the other: the bits of a row move as far as others stand
    before them."""
    steps, batch, _ = parts[0].shape
    rows, units = steps * batch, sum(part.shape[2] for part in parts)
    bits, first = zeros((rows, words(units)), np.uint32), 0
    for part in parts:
        own = part.shape[2]
        own_words = words(first % WORD + own)
        start(shifted_kernel(), rows * own_words, part.bits, words(own), first, bits, words(units), own_words,
              rows * own_words)
        first += own
    return DeviceSpikes((steps, batch, units), bits)


@njit(**OPTIONS)
def _gather(start, count, index, first, begin, end, out):
    """The lists of rows begin ... end - 1, one after the other from first[begin] on.

    Those of a batch lie somewhere in the lists of the whole set.
    """
    for r in range(begin, end):
        for e in range(count[r]):
            out[first[r] + e] = index[start[r] + e]


def put_spikes(x: Spikes) -> Array | DeviceSpikes:
    """Spikes on the GPU; where units spike several times in a step, as values."""
    if isinstance(x, DeviceSpikes):
        return x
    if x.multiplicity is not None:
        return put(x.dense())
    steps, batch, units = x.shape
    rows = steps * batch
    bits = Array((rows, words(units)), np.uint32)
    first = np.cumsum(x.count, dtype=np.int64) - x.count
    index = np.zeros(max(x.n_spikes, 1), index_dtype(units))
    parts = -(-index.size // GATHERED)

    def gather(part):
        begin, end = rows * part // parts, rows * (part + 1) // parts
        _gather(x.start, x.count, x.index, first, begin, end, index)

    on_threads(gather, parts, index.size)
    start(_pack(), rows, put(first), put(x.count), put(index), words(units), bits, rows)
    return DeviceSpikes(x.shape, bits)


@overload
def placed(x: None, dtype: DTypeLike | None = None) -> None: ...


@overload
def placed(x: Spikes | Array | ArrayLike, dtype: DTypeLike | None = None) -> Array | DeviceSpikes: ...


def placed(x, dtype=None):
    """Spikes or values on the GPU; None stays."""
    return put_spikes(x) if isinstance(x, Spikes) else put(x, dtype)


def send(x: Spikes | Values) -> DeviceSpikes | Array:
    """`placed` while kernels run: those that use it wait for it, and no others."""
    if holds(x):
        return x
    with ahead() as arrival:
        own = placed(x)
    owner = (own.bits if isinstance(own, DeviceSpikes) else own).owner
    assert owner is not None        # only arrays of zeros, which nobody has used, have none
    arrival.held.remove(owner)
    owner.arrival = arrival
    return own


def in_time(parts: Sequence[Any]) -> Any:
    """Pieces of a sequence, one after the other: values or spikes."""
    if not isinstance(parts[0], DeviceSpikes):
        return joined(list(map(put, parts)))
    _, batch, units = parts[0].shape
    steps = sum(len(part) for part in parts)
    return DeviceSpikes((steps, batch, units), joined([part.bits for part in parts]))


def holds(a: object) -> TypeGuard[Array | DeviceSpikes]:
    """Whether it lies on the GPU."""
    return isinstance(a, (Array, DeviceSpikes))


__all__ = ["DeviceSpikes", "holds", "in_time", "packed", "placed", "put_spikes", "send", "spikes_beside",
           "words"]
