"""AEDAT 3.1 (DVS128 Gesture): lines to #!END-HEADER, then packets, little-endian.

A packet is a header of 28 bytes and then capacity x size bytes.  The header is int16 kind, int16 source,
int32 size of an event, int32 offset of the time in it, int32 overflows of the clock, int32 capacity, int32
number, int32 valid.  A polarity event (kind 1, 8 bytes) is uint32 with bit 0 valid, bit 1 polarity, bits 2 to
16 y, bits 17 to 31 x, then int32 time in us; its full time is overflows << 31 | time.  Packets of other kinds
(frames, IMU, special) and events that are not valid are passed over.

File: iniVation, AEDAT 3.1 description; libcaer's event headers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .piecewise import BASE, DAMAGED, FINE, MISSING, OWN, SIZE, Decoder, state
from .problems import FormatError, Problems
from .records import lines
from .sift import jit, little, sift

# of the packet: events left, unused bytes behind them, bytes to pass over
EVENTS, UNUSED, PASS = range(OWN, OWN + 3)
HEAD, EVENT = 28, 8


@jit
def header(raw, at, s):
    """Take a packet's header; whether its sizes are possible."""
    kind = np.int64(raw[at]) | np.int64(raw[at + 1]) << 8
    size = little(raw, at + 4)
    capacity = little(raw, at + 16)
    number = little(raw, at + 20)
    if number > capacity or (size | capacity) >> 31 or (kind == 1 and size != EVENT):
        s[SIZE - 1] = kind
        return False
    if kind == 1:
        s[EVENTS] = number
        s[UNUSED] = (capacity - number) * EVENT
        s[BASE] = little(raw, at + 12) << 31
    else:
        s[PASS] = size * capacity
    return True


@jit
def unpack(raw, n, columns, none):
    """n polarity events."""
    t, x, y, p = columns
    words = raw[:8 * n].view(np.uint32)
    for i in range(n):
        data = words[2 * i]
        t[i], x[i], y[i], p[i] = words[2 * i + 1], data >> 17, data >> 2 & 0x7FFF, data >> 1 & 1
        none[i] = data & 1 ^ 1


@jit
def decode(raw, end, columns, none, s, strict):
    """Packets, whole or in parts."""
    t, x, y, p = columns
    at, n = 0, 0
    while True:
        todo = min(s[EVENTS], (end - at) // EVENT)
        part = t[n:], x[n:], y[n:], p[n:]
        unpack(raw[at:], todo, part, none)
        kept, done, problem = sift(part, none, todo, s, strict)
        n += kept
        at += EVENT * done
        if problem != FINE:
            return at, n, problem
        s[EVENTS] -= todo
        if s[EVENTS]:
            break
        s[PASS] += s[UNUSED]
        s[UNUSED] = 0
        step = min(s[PASS], end - at)
        s[PASS] -= step
        at += step
        if s[PASS] or at + HEAD > end:
            break
        if not header(raw, at, s):
            return at, n, DAMAGED
        at += HEAD
    s[MISSING] = max(s[EVENTS] * EVENT - (end - at), 0) + s[UNUSED] + s[PASS]
    return at, n, FINE


def open_aedat3(path: Path | str, problems: Problems, sensor: tuple[int, int] = (128, 128)) -> Decoder:
    """AEDAT 3.1; sensor (width, height)."""
    found = lines(path, b"#")
    first = found[0][0] if found else b""
    if not first.startswith(b"#!AER-DAT3"):
        raise FormatError(path, f"expected #!AER-DAT3.1 in the first line; got {first[:30]!r}", 0)
    ends = [end for line, end in found if line == b"#!END-HEADER"]
    last_end = found[-1][1]
    if not ends and not first.startswith(b"#!AER-DAT3.0"):
        raise FormatError(path, "the header does not end: no line #!END-HEADER", last_end,
                          "the file may be cut short")
    return Decoder(decode, state(*sensor), sensor, begin=ends[0] if ends else last_end, record=8)
