"""LZ4 frames, decompressed.  Source: the LZ4 frame and block format descriptions (Collet).  Checksums are passed over, not verified."""

from __future__ import annotations

import numpy as np

from .sift import jit

MAGIC = 0x184D2204
RATIO = 255                         # a byte of a block never becomes more than this many


class LZ4Error(ValueError):
    """Bytes that are not an LZ4 frame, or a damaged one."""


@jit
def _length(raw, at, end, value):
    """A length that goes on in further bytes while they are 255: (length, position), position -1 at the end of the bytes."""
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
    """Decompress a block into out from n on; matches may reach back into earlier blocks.  The new n; -1 damaged; -2 out is too small."""
    while at < end:
        token = np.int64(raw[at])
        literals, at = _length(raw, at + 1, end, token >> 4)
        if at < 0 or at + literals > end:
            return -1
        if n + literals > len(out):
            return -2
        out[n:n + literals] = raw[at:at + literals]
        n, at = n + literals, at + literals
        if at == end:
            return n                # the last sequence has no match
        if at + 2 > end:
            return -1
        offset = np.int64(raw[at]) | np.int64(raw[at + 1]) << 8
        match, at = _length(raw, at + 2, end, token & 15)
        match += 4
        if at < 0 or offset == 0 or offset > n:
            return -1
        if n + match > len(out):
            return -2
        for i in range(n, n + match):
            out[i] = out[i - offset]
        n += match
    return -1


def decompress(raw: np.ndarray, limit: int) -> np.ndarray:
    """The content of one frame, uint8; limit: more bytes than this are refused."""
    at, flags, size = _header(raw)
    limit = min(limit, len(raw) * RATIO)
    if size is not None and size > limit:
        raise LZ4Error(f"the frame promises {size:,} bytes, more than {limit:,}")
    out, n = np.empty(size if size is not None else min(4 * len(raw), limit), np.uint8), 0
    while True:
        if at + 4 > len(raw):
            raise LZ4Error("the frame is cut short")
        word = int.from_bytes(raw[at:at + 4].tobytes(), "little")
        at += 4
        if not word:
            return out[:n]
        end = at + (word & 0x7FFFFFFF)
        if end > len(raw):
            raise LZ4Error("a block is longer than the frame")
        while True:
            m = _block(raw, at, end, out, n) if not word >> 31 else n + end - at if n + end - at <= len(out) else -2
            if m != -2:
                break
            if size is not None or len(out) >= limit:
                raise LZ4Error("the frame holds more than it promises")
            out = np.concatenate((out[:n], np.empty(min(2 * len(out) + 64, limit) - n, np.uint8)))
        if m < 0:
            raise LZ4Error("a block is damaged")
        if word >> 31:
            out[n:m] = raw[at:end]
        n, at = m, end + 4 * bool(flags & 0x10)


def _header(raw):
    """(position of the first block, flags, content size or None)."""
    if len(raw) < 7 or int.from_bytes(raw[:4].tobytes(), "little") != MAGIC:
        raise LZ4Error("not an LZ4 frame")
    flags = int(raw[4])
    if flags >> 6 != 1:
        raise LZ4Error(f"LZ4 frame version {flags >> 6}, expected 1")
    if flags & 1:
        raise LZ4Error("the frame needs a dictionary")
    size = int.from_bytes(raw[6:14].tobytes(), "little") if flags & 8 else None
    return 7 + 8 * bool(flags & 8), flags, size
