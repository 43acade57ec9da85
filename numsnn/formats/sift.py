"""What all decoders share: bytes as numbers, and `sift`, which takes out of records what is no event.

Unpacking and sifting are two passes over a piece that lies in the cache.  The first has no branches, so that
it runs at the speed of SIMD; the second only compares where every record is a good event, which is nearly
always.
"""

from __future__ import annotations

import numpy as np

from ..packages import compiled_where_possible as jit
from .piecewise import (
    BACKWARDS,
    BASE,
    COUNTS,
    FINE,
    HEIGHT,
    LAST,
    OVERFLOW_ROW as ROW,
    OVERFLOW_STEP as STEP,
    PLACE,
    SIZE,
    WIDTH,
    WRAP,
)

__all__ = ["big", "jit", "little", "report", "sift"]


@jit
def big(word):
    """A 32-bit number whose bytes lie in the other order."""
    return (word & 0xFF) << 24 | (word & 0xFF00) << 8 | word >> 8 & 0xFF00 | word >> 24


@jit
def little(raw, at):
    """Four bytes, little-endian."""
    high = np.int64(raw[at + 3]) << 24 | np.int64(raw[at + 2]) << 16
    return high | np.int64(raw[at + 1]) << 8 | np.int64(raw[at])


@jit
def _all_good(columns, none, n, s):
    """Whether every record is an event on the sensor and times ascend."""
    if n == 0:
        return True
    t, x, y, _ = columns
    width, height = s[WIDTH], s[HEIGHT]
    bad = t[0] + s[BASE] < s[LAST]
    for i in range(n):
        bad |= (none[i] != 0) | (x[i] >= width) | (y[i] >= height)
    for i in range(1, n):
        bad |= t[i] < t[i - 1]
    return not bad


@jit
def report(x, y, t, last, s, strict):
    """What is wrong with an event: counted, or left in the state for the message where it is an error."""
    kind = PLACE if x >= s[WIDTH] or y >= s[HEIGHT] else BACKWARDS
    if strict:
        s[SIZE - 3], s[SIZE - 2], s[SIZE - 1] = x, y, t
        s[LAST] = last
    else:
        s[COUNTS + kind - 1] += 1
    return kind


@jit
def sift(columns, none, n, s, strict):
    """Take out of n unpacked records what is no event, and give the others their full time.

    Returns (events, record of a problem, problem).  none: 1 where the record is no event of a pixel.  The
    state has BASE, which is added to the times; WRAP: a time that falls by more than half of it has gone
    over once; OVERFLOW_ROW: records of this row say that the clock went over, by OVERFLOW_STEP.
    """
    t, x, y, p = columns
    base = s[BASE]
    if _all_good(columns, none, n, s):
        if n:
            if base:
                for i in range(n):
                    t[i] += base
            s[LAST] = t[n - 1]
        return n, n, FINE
    kept = 0
    last = s[LAST]
    wrap = s[WRAP]
    width, height = s[WIDTH], s[HEIGHT]
    for i in range(n):
        if none[i]:
            continue
        if y[i] == s[ROW]:
            base += s[STEP]
            continue
        time = t[i] + base
        if wrap and time < last - wrap // 2:
            base += wrap
            time += wrap
        if x[i] >= width or y[i] >= height or time < last:
            kind = report(x[i], y[i], time, last, s, strict)
            if strict:
                return kept, i, kind
            continue
        t[kept], x[kept], y[kept], p[kept] = time, x[i], y[i], p[i]
        last = time
        kept += 1
    s[LAST] = last
    s[BASE] = base
    return kept, n, FINE
