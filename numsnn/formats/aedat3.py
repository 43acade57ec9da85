"""AEDAT 3.1 (DVS128 Gesture): lines to #!END-HEADER, then packets, little-endian.

A packet is a header of 28 bytes and then capacity x size bytes.  The header is int16 kind, int16 source,
int32 size of an event, int32 offset of the time in it, int32 overflows of the clock, int32 capacity, int32
number, int32 valid.  A polarity event (kind 1, 8 bytes) is uint32 with bit 0 valid, bit 1 polarity, bits 2 to
16 y, bits 17 to 31 x, then int32 time in us; its full time is overflows << 31 | time.  Packets of other kinds
(frames, IMU, special) and events that are not valid are passed over.

File: iniVation, AEDAT 3.1 description; libcaer's event headers.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from .headers import lines
from .piecewise import BASE, DAMAGED, FINE, MISSING, OWN, SIZE, Decoder, state
from .problems import FormatError, Problems
from .sift import jit, little, sift

# of the packet: events left, unused bytes behind them, bytes to pass over
EVENTS, UNUSED, PASS, INVALID = range(OWN, OWN + 4)     # INVALID: 1, events without the valid bit count, too
HEAD, EVENT = 28, 8
SENSORS = {b"DVS128": (128, 128), b"DAVIS240": (240, 180), b"DAVIS346": (346, 260), b"DAVIS640": (640, 480),
           b"DAVIS128": (128, 128), b"DAVIS208": (208, 192), b"DVS132S": (132, 104)}


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
def unpack(raw, n, columns, none, s):
    """n polarity events."""
    t, x, y, p = columns
    words = raw[:8 * n].view(np.uint32)
    valid = np.uint32(s[INVALID])
    for i in range(n):
        data = words[2 * i]
        t[i], x[i], y[i], p[i] = words[2 * i + 1], data >> 17, data >> 2 & 0x7FFF, data >> 1 & 1
        none[i] = (data | valid) & 1 ^ 1


@jit
def decode(raw, end, columns, none, s, strict):
    """Packets, whole or in parts."""
    t, x, y, p = columns
    at, n = 0, 0
    while True:
        todo = min(s[EVENTS], (end - at) // EVENT)
        part = t[n:], x[n:], y[n:], p[n:]
        unpack(raw[at:], todo, part, none, s)
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


def open_aedat3(path: Path | str, problems: Problems, sensor: tuple[int, int] | None = None,
                invalid: bool = False) -> Decoder:
    """AEDAT 3.1.

    sensor (width, height): None: of the camera that the header names, else that of a DVS128.  invalid: True
    takes events without the valid bit, too, which the recording camera's filters have taken out.
    """
    found = lines(path, b"#", "#!END-HEADER")
    first = found[0][0] if found else b""
    if not first.startswith(b"#!AER-DAT3"):
        raise FormatError(path, f"expected #!AER-DAT3.1 in the first line; got {first[:30]!r}", 0)
    last, begin = found[-1]
    if last.upper() != b"#!END-HEADER" and not first.startswith(b"#!AER-DAT3.0"):
        raise FormatError(path, "the header does not end: no line #!END-HEADER", begin,
                          "the file may be cut short")
    sensor = sensor or _sensor(found)
    s = state(*sensor)
    s[INVALID] = invalid
    return Decoder(decode, s, sensor, begin, record=8,
                   passed="event without the valid bit (invalid=True takes them)")


def _sensor(found):
    """Of the first camera among the sources in the header; that of a DVS128 where none is known."""
    for line, _ in found:
        named = re.match(rb"#Source \d+: *(\w+)", line)
        for name, size in SENSORS.items():
            if named and named[1].upper().startswith(name):
                return size
    return 128, 128
