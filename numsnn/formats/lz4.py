"""LZ4 frames, decompressed; checksums are passed over, not verified.

Source: the LZ4 frame and block format descriptions (Collet).
"""

from __future__ import annotations

import numpy as np

from ..packages import say_where_decoding_is_slow
from .sift import jit

MAGIC = 0x184D2204
RATIO = 255                         # a byte of a block never becomes more than this many
PLAIN = 1 << 31                     # of the word before a block: the block is not compressed
DAMAGED, TOO_SMALL = -1, -2         # what `_block` says instead of a length


class LZ4Error(ValueError):
    """Bytes that are not an LZ4 frame, or a damaged one."""


@jit
def _length(raw, at, end, value):
    """A length that goes on in further bytes while they are 255: (length, position).

    The position is -1 where the bytes end before the length does.
    """
    if value == 15:
        while True:
            if at >= end:
                return value, -1
            more = np.int64(raw[at])
            at += 1
            value += more
            if more != 255:
                break
    return value, at


@jit
def _block(raw, at, end, out, n):
    """Decompress a block into out from n on; matches may reach back into earlier blocks.

    The new n, or DAMAGED, or TOO_SMALL where out has no room.
    """
    while at < end:
        token = np.int64(raw[at])
        literals, at = _length(raw, at + 1, end, token >> 4)
        if at < 0 or at + literals > end:
            return DAMAGED
        if n + literals > len(out):
            return TOO_SMALL
        out[n:n + literals] = raw[at:at + literals]
        n, at = n + literals, at + literals
        if at == end:
            return n                # the last sequence has no match
        if at + 2 > end:
            return DAMAGED
        offset = np.int64(raw[at]) | np.int64(raw[at + 1]) << 8
        match, at = _length(raw, at + 2, end, token & 15)
        match += 4
        if at < 0 or offset == 0 or offset > n:
            return DAMAGED
        if n + match > len(out):
            return TOO_SMALL
        for i in range(n, n + match):
            out[i] = out[i - offset]
        n += match
    return DAMAGED


def decompress(raw: np.ndarray, limit: int) -> np.ndarray:
    """The content of one frame, uint8; limit: more bytes than this are refused."""
    say_where_decoding_is_slow()
    at, flags, size = _header(raw)
    limit = min(limit, len(raw) * RATIO)
    if size is not None and size > limit:
        raise LZ4Error(f"the frame promises {size:,} bytes, more than {limit:,}")
    out = np.empty(size if size is not None else min(4 * len(raw), limit), np.uint8)
    n = 0
    while True:
        if at + 4 > len(raw):
            raise LZ4Error("the frame is cut short")
        word = int.from_bytes(raw[at:at + 4].tobytes(), "little")
        at += 4
        if not word:
            return out[:n]
        end = at + (word & ~PLAIN)
        if end > len(raw):
            raise LZ4Error("a block is longer than the frame")
        while (m := _unpacked(raw, at, end, out, n, bool(word & PLAIN))) == TOO_SMALL:
            if size is not None or len(out) >= limit:
                raise LZ4Error("the frame holds more than it promises")
            larger = min(2 * len(out) + 64, limit)
            out = np.concatenate((out[:n], np.empty(larger - n, np.uint8)))
        if m == DAMAGED:
            raise LZ4Error("a block is damaged")
        n, at = m, end + 4 * bool(flags & 0x10)


def _unpacked(raw, at, end, out, n, plain):
    """Put the content of one block into out from n on; what `_block` returns."""
    if not plain:
        return _block(raw, at, end, out, n)
    m = n + end - at
    if m > len(out):
        return TOO_SMALL
    out[n:m] = raw[at:end]
    return m


def _header(raw):
    """(position of the first block, flags, content size or None)."""
    if len(raw) < 7 or int.from_bytes(raw[:4].tobytes(), "little") != MAGIC:
        raise LZ4Error("not an LZ4 frame")
    flags = int(raw[4])
    if flags >> 6 != 1:
        raise LZ4Error(f"LZ4 frame version {flags >> 6}, expected 1")
    if flags & 1:
        raise LZ4Error("the frame needs a dictionary")
    has_size = bool(flags & 8)
    size = int.from_bytes(raw[6:14].tobytes(), "little") if has_size else None
    return 7 + 8 * has_size, flags, size
