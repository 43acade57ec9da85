"""Prophesee's raw formats EVT 2.0, 2.1 and 3.0: lines that begin with %, then little-endian words.

EVT 2.0  32 bits, kind in the highest four: 0 darker, 1 brighter (time 6 bits, x 11, y 11), 8 upper 28 bits of
         the time, 10 trigger
EVT 2.1  64 bits, of which the upper 32 are as in EVT 2.0; with an event, the lower 32 say which of the 32
         pixels from x on had it.  IMX636 sends the upper half first ("endianness=legacy" in the header)
EVT 3.0  16 bits, kind in the highest four: 0 y (11), 2 one event (polarity, x), 3 base of a vector (polarity,
         x), 4 and 5 the next 12 or 8 pixels as a mask, 6 lower and 8 upper 12 bits of the time, which goes
         over after 16.8 s; 0x9999 fills gaps

Times in us.  Events before the first time are dropped and counted: nobody knows when they were.  Triggers and
the makers' other words are passed over.
File: Prophesee's description of the formats.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from . import piecewise
from .evt_header import check_version, header, sensor_of
from .piecewise import (
    BASE,
    FINE,
    HEIGHT,
    KIND,
    LAST,
    OWN,
    PASSED,
    WIDTH,
    Columns,
    Decoder,
    File,
    state,
)
from .problems import FormatError, Problems
from .records import fits
from .sift import jit, report

# a time was seen; the parts of the time; where the vector is
TIMED, HIGH, LOW, ROW, COLUMN, POLARITY = range(OWN, OWN + 6)
UPPER = COLUMN                      # of EVT 2.1: which half of a word is the upper one, 0 the first
FILLING = 0x9999                    # a word between events of EVT 3.0


@jit
def unknown(kind, s, strict):
    """A kind of word that the format does not have."""
    if strict:
        s[piecewise.SIZE - 1] = kind
    else:
        s[piecewise.COUNTS + KIND - 1] += 1


@jit
def bits_in(mask):
    """How many bits are set."""
    n = 0
    while mask:
        n += mask & 1
        mask >>= 1
    return n


@jit
def time_high(word, s):
    """The upper bits of the time from a word of EVT 2.0 or 2.1, which runs over after 2^34 us."""
    new = (word & 0xFFFFFFF) << 6
    if new < s[HIGH] - (1 << 33):
        s[BASE] += 1 << 34
    s[HIGH] = new
    return s[BASE] + new


@jit
def decode_evt2(raw, end, columns, none, s, strict):
    """EVT 2.0."""
    t, x, y, p = columns
    words = raw[:end // 4 * 4].view(np.uint32)
    n = 0
    last = s[LAST]
    high = s[BASE] + s[HIGH]
    timed = s[TIMED]
    width, height = s[WIDTH], s[HEIGHT]
    for i in range(len(words)):
        word = np.int64(words[i])
        kind = word >> 28
        if kind <= 1:
            column, row = word >> 11 & 0x7FF, word & 0x7FF
            time = high | word >> 22 & 63
            if timed:
                if column >= width or row >= height or time < last:
                    found = report(column, row, time, last, s, strict)
                    if strict:
                        return 4 * i, n, found
                else:
                    t[n], x[n], y[n], p[n] = time, column, row, kind
                    last = time
                    n += 1
            else:
                s[PASSED] += 1
        elif kind == 8:
            high, timed = time_high(word, s), 1
        elif kind not in (10, 14, 15):
            unknown(kind, s, strict)
            if strict:
                return 4 * i, n, KIND
    s[LAST] = last
    s[TIMED] = timed
    return 4 * len(words), n, FINE


@jit
def decode_evt21(raw, end, columns, none, s, strict):
    """EVT 2.1."""
    t, x, y, p = columns
    words = raw[:end // 8 * 8].view(np.uint32)
    n = 0
    last, timed, upper = s[LAST], s[TIMED], s[UPPER]
    high = s[BASE] + s[HIGH]
    width, height = s[WIDTH], s[HEIGHT]
    for i in range(len(words) // 2):
        word, mask = np.int64(words[2 * i + upper]), np.int64(words[2 * i + 1 - upper])
        kind = word >> 28
        if kind <= 1 and not timed:
            s[PASSED] += bits_in(mask)
        elif kind <= 1:
            column, row = word >> 11 & 0x7FF, word & 0x7FF
            time = high | word >> 22 & 63
            if row < height and time >= last and column + 32 <= width:
                for bit in range(32):               # each is written, those in the mask stay
                    t[n], x[n], y[n], p[n] = time, column + bit, row, kind
                    n += mask >> bit & 1
                last, mask = time if mask else last, 0
            while mask:
                if mask & 1 and (column >= width or row >= height or time < last):
                    found = report(column, row, time, last, s, strict)
                    if strict:
                        return 8 * i, n, found
                elif mask & 1:
                    t[n], x[n], y[n], p[n] = time, column, row, kind
                    last = time
                    n += 1
                mask >>= 1
                column += 1
        elif kind == 8:
            high, timed = time_high(word, s), 1
        elif kind not in (10, 14, 15):
            unknown(kind, s, strict)
            if strict:
                return 8 * i, n, KIND
    s[LAST], s[TIMED] = last, timed
    return len(words) // 2 * 8, n, FINE


@jit
def decode_evt3(raw, end, columns, none, s, strict):
    """EVT 3.0.

    One function, because a call that takes the columns for each word would make it six times slower.
    """
    t, x, y, p = columns
    words = raw[:end // 2 * 2].view(np.uint16)
    n = 0
    last = s[LAST]
    timed, base, high, low = s[TIMED], s[BASE], s[HIGH], s[LOW]
    row, column, polarity = s[ROW], s[COLUMN], s[POLARITY]
    width, height = s[WIDTH], s[HEIGHT]
    time = base + (high << 12 | low)
    found, done = FINE, len(words)
    for i in range(len(words)):
        word = np.int64(words[i])
        kind, value = word >> 12, word & 0xFFF
        first, mask, sign = 0, 0, polarity          # pixels of this word, from the column `first` on
        if kind == 2:
            first, mask, sign = value & 0x7FF, 1, value >> 11
        elif kind == 4:
            first, mask = column, value
            column += 12
        elif kind == 5:
            first, mask = column, value & 0xFF
            column += 8
        elif kind == 0:
            row = value & 0x7FF
        elif kind == 3:
            column, polarity = value & 0x7FF, value >> 11
        elif kind == 6:
            low = value
            time = base + (high << 12 | low)
        elif kind == 8:
            if value != high:
                if timed and value < high - 0x800:
                    base += 1 << 24
                high, low = value, 0
            timed = 1
            time = base + (high << 12 | low)
        elif kind not in (7, 10, 14, 15) and word != FILLING:
            unknown(kind, s, strict)
            found = KIND
        if mask and not timed:
            s[PASSED] += bits_in(mask)
        elif mask:
            if row < height and time >= last and first + 12 <= width and kind != 2:
                # each pixel is written, those in the mask stay: no branch to guess wrong
                for bit in range(12):
                    t[n], x[n], y[n], p[n] = time, first + bit, row, sign
                    n += mask >> bit & 1
                last, mask = time, 0
            while mask:
                if mask & 1:
                    if first >= width or row >= height or time < last:
                        found = report(first, row, time, last, s, strict)
                    else:
                        t[n], x[n], y[n], p[n] = time, first, row, sign
                        last = time
                        n += 1
                mask = 0 if strict and found != FINE else mask >> 1
                first += 1
        if found != FINE and strict:
            done = i
            break
        found = FINE
    if found == FINE:                               # report has left the last time there otherwise
        s[LAST] = last
    s[TIMED], s[BASE], s[HIGH], s[LOW] = timed, base, high, low
    s[ROW], s[COLUMN], s[POLARITY] = row, column, polarity
    return 2 * done, n, found


def open_evt2(path: Path | str, problems: Problems, sensor: tuple[int, int] | None = None) -> Decoder:
    """EVT 2.0; the sensor from the header, or given."""
    return _opened(path, "evt2", decode_evt2, sensor, record=4, events=1)


def open_evt21(path: Path | str, problems: Problems, sensor: tuple[int, int] | None = None,
               upper_first: bool | None = None) -> Decoder:
    """EVT 2.1; the sensor from the header, or given.

    upper_first: whether the upper half of each word comes first, as IMX636 sends them.  None: as the header
    says ("endianness=legacy"); where it says nothing, the order in which the words make sense.
    """
    decoder = _opened(path, "evt21", decode_evt21, sensor, record=8, events=32)
    if upper_first is None:
        order = header(path).endianness
        upper_first = order == "legacy" or not order and _upper_first(path, decoder.begin)
    decoder.state[UPPER] = 0 if upper_first else 1
    return decoder


def _upper_first(path, begin):
    """Whether the words of an EVT 2.1 file make more sense with the upper half first."""
    with File(path).open() as file:
        file.seek(begin)
        raw = file.read(1 << 16)
    first, second = np.frombuffer(raw, "<u4", len(raw) // 8 * 2).reshape(-1, 2).T
    return _sensible(first, second) > _sensible(second, first)


def _sensible(upper, lower):
    """How many words are a time, with nothing in the lower half, or after one events of some pixels."""
    times = (upper >> 28 == 8) & (lower == 0)
    events = (upper >> 28 <= 1) & (lower != 0) & np.logical_or.accumulate(times)
    return np.count_nonzero(times | events)


def open_evt3(path: Path | str, problems: Problems, sensor: tuple[int, int] | None = None) -> Decoder:
    """EVT 3.0; the sensor from the header, or given."""
    return _opened(path, "evt3", decode_evt3, sensor, record=2, events=12)


def _opened(path, wanted, decode, sensor, record, events):
    head = header(path)
    check_version(path, head, wanted)
    if not head.version and not head.begin and File(path).size() % record:
        problem = f"no header lines (%), and not a whole number of words of {record} bytes"
        raise FormatError(path, problem, 0, "is it an EVT file?")
    sensor = sensor_of(path, head.size, sensor, 2048)
    return Decoder(decode, state(*sensor), sensor, head.begin, record, events, "event before the first time")


# ---- writing


def write_evt2(path: Path | str, chunks: Iterable[Columns], sensor: tuple[int, int]) -> None:
    """EVT 2.0: times up to 4.7 hours."""
    limit = min(sensor[0], 2048), min(sensor[1], 2048)
    high = -1
    with open(path, "wb") as file:
        file.write(f"% evt 2.0\n% geometry {sensor[0]}x{sensor[1]}\n% end\n".encode())
        for columns in chunks:
            fits(path, columns, limit, 1 << 34)
            t, x, y, p = (column.astype(np.int64) for column in columns)
            time_word = 8 << 28 | t >> 6
            event_word = p << 28 | (t & 63) << 22 | x << 11 | y
            new = np.diff(t >> 6, prepend=high) != 0
            needed = np.stack((new, np.ones_like(new)), 1)
            words = np.stack((time_word, event_word), 1)
            file.write(words[needed].astype("<u4").tobytes())
            high = int(t[-1] >> 6) if len(t) else high


def write_evt3(path: Path | str, chunks: Iterable[Columns], sensor: tuple[int, int]) -> None:
    """EVT 3.0, each event by itself; times up to 19 hours."""
    limit = min(sensor[0], 2048), min(sensor[1], 2048)
    before = np.array([[0, -1, -1, -1]])            # loops of the clock, upper time, lower time, row
    with open(path, "wb") as file:
        file.write(f"% evt 3.0\n% geometry {sensor[0]}x{sensor[1]}\n% end\n".encode())
        for columns in chunks:
            fits(path, columns, limit, 1 << 36)
            t, x, y, p = (column.astype(np.int64) for column in columns)
            upper, lower = t >> 12 & 0xFFF, t & 0xFFF
            now = np.stack((t >> 24, upper, lower, y), 1)
            change = np.diff(now, axis=0, prepend=before)
            new_loop, new_upper, new_lower, new_row = (change != 0).T
            new_upper |= new_loop
            new_lower |= new_upper                  # the upper time sets the lower to zero
            event_word = 2 << 12 | p << 11 | x
            words = np.stack((8 << 12 | upper, 6 << 12 | lower, y, event_word), 1).astype("<u2")
            needed = np.stack((new_upper, new_lower, new_row, np.ones_like(new_row)), 1)
            first = 0
            for i in np.flatnonzero(change[:, 0]):  # each loop of the clock: to its end, and to zero again
                file.write(words[first:i][needed[first:i]].tobytes())
                file.write(np.array([0x8FFF, 0x8000] * int(change[i, 0]), "<u2").tobytes())
                first = int(i)
            file.write(words[first:][needed[first:]].tobytes())
            before = now[-1:] if len(t) else before
