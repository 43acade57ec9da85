"""Formats whose file is a header and then records of equal length, one event each.

N-MNIST .bin   5 bytes, big-endian 40 bits: x (8), y (8), polarity (1), time in us (23).  A record with
               y = 240 is no event: the clock of 23 bits went over, later times are 2^13 later (the rule of
               the sensor's software).
.bs2           the same without that rule
.bs3           7 bytes: x (12), y (12), polarity or channel (8), time in us (24)
DAT            lines that begin with %, two bytes (kind of event, size 8), then 8 bytes little-endian: time in
               us (32, goes over), x (14), y (14), polarity (4)

File: the data sets' and makers' own descriptions (Orchard et al. 2015; SLAYER; Prophesee).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from .evt_header import header, sensor_of
from .piecewise import FOREIGN, OVERFLOW_ROW, OVERFLOW_STEP, WRAP, Columns, Decoder, File, state
from .problems import FormatError, Problems
from .sift import big, jit, sift

CLOCK = 1 << 32                     # the clock of DAT goes over here
ROW, STEP = 240, 1 << 13            # of the overflow rule of .bin


@jit
def decode_bin(raw, end, columns, none, s, strict):
    """5 bytes: .bin and .bs2; four records are five words, which is twice as fast as byte by byte."""
    t, x, y, p = columns
    n = end // 5
    words = raw[:end // 20 * 20].view(np.uint32)
    for i in range(n // 4):
        a = big(words[5 * i])
        b = big(words[5 * i + 1])
        c = big(words[5 * i + 2])
        d = big(words[5 * i + 3])
        e = big(words[5 * i + 4])
        x[4 * i], y[4 * i], p[4 * i] = a >> 24, a >> 16 & 0xFF, a >> 15 & 1
        t[4 * i] = (a & 0x7FFF) << 8 | b >> 24
        x[4 * i + 1], y[4 * i + 1], p[4 * i + 1] = b >> 16 & 0xFF, b >> 8 & 0xFF, b >> 7 & 1
        t[4 * i + 1] = (b & 0x7F) << 16 | c >> 16
        x[4 * i + 2], y[4 * i + 2], p[4 * i + 2] = c >> 8 & 0xFF, c & 0xFF, d >> 31
        t[4 * i + 2] = d >> 8 & 0x7FFFFF
        x[4 * i + 3], y[4 * i + 3], p[4 * i + 3] = d & 0xFF, e >> 24, e >> 23 & 1
        t[4 * i + 3] = e & 0x7FFFFF
    for i in range(n // 4 * 4, n):
        third = np.int64(raw[5 * i + 2])
        x[i], y[i], p[i] = raw[5 * i], raw[5 * i + 1], third >> 7
        t[i] = (third & 127) << 16 | np.int64(raw[5 * i + 3]) << 8 | np.int64(raw[5 * i + 4])
    none[:n] = 0
    kept, done, problem = sift(columns, none, n, s, strict)
    return 5 * done, kept, problem


@jit
def decode_bs3(raw, end, columns, none, s, strict):
    """7 bytes: .bs3."""
    t, x, y, p = columns
    n = end // 7
    at = np.uint64(0)
    for i in range(n):
        second = np.int64(raw[at + np.uint64(1)])
        high = np.int64(raw[at + np.uint64(4)]) << 16 | np.int64(raw[at + np.uint64(5)]) << 8
        t[i] = high | np.int64(raw[at + np.uint64(6)])
        sign = raw[at + np.uint64(3)]
        x[i] = np.int64(raw[at]) << 4 | second >> 4 | (sign > 1) * FOREIGN
        y[i] = (second & 15) << 8 | np.int64(raw[at + np.uint64(2)])
        p[i] = sign
        none[i] = 0
        at += np.uint64(7)
    kept, done, problem = sift(columns, none, n, s, strict)
    return 7 * done, kept, problem


@jit
def decode_dat(raw, end, columns, none, s, strict):
    """8 bytes: time, then x, y and polarity."""
    t, x, y, p = columns
    n = end // 8
    words = raw[:end // 8 * 8].view(np.uint32)
    for i in range(n):
        place = words[2 * i + 1]
        t[i] = words[2 * i]
        x[i] = place & 0x3FFF | (place >> 29 != 0) * FOREIGN
        y[i], p[i] = place >> 14 & 0x3FFF, place >> 28 & 1
        none[i] = 0
    kept, done, problem = sift(columns, none, n, s, strict)
    return 8 * done, kept, problem


# ---- what is in the headers


def open_bin(path: Path | str, problems: Problems, sensor: tuple[int, int] = (34, 34)) -> Decoder:
    """N-MNIST .bin; sensor (width, height)."""
    s = state(*sensor)
    s[OVERFLOW_ROW] = ROW
    s[OVERFLOW_STEP] = STEP
    return Decoder(decode_bin, s, sensor, begin=0, record=5)


def open_bs2(path: Path | str, problems: Problems, sensor: tuple[int, int] = (128, 128)) -> Decoder:
    """SLAYER .bs2."""
    return Decoder(decode_bin, state(*sensor), sensor, begin=0, record=5)


def open_bs3(path: Path | str, problems: Problems, sensor: tuple[int, int] = (4096, 4096)) -> Decoder:
    """SLAYER .bs3."""
    return Decoder(decode_bs3, state(*sensor), sensor, begin=0, record=7)


def open_dat(path: Path | str, problems: Problems, sensor: tuple[int, int] | None = None) -> Decoder:
    """Prophesee DAT; the sensor from the header lines, or given."""
    head = header(path)
    begin = head.begin
    if head.version or not begin:
        says = f"the header says EVT {head.version}" if head.version else "no header lines (% KEYWORD VALUE)"
        raise FormatError(path, f"expected a DAT file; {says}", 0, "say format=")
    if not re.fullmatch(r"(2(\.\d+)?)?", head.dat_version):
        raise FormatError(path, f"DAT files of version {head.dat_version} are not read", 0,
                          "version 2 is; write it again, for instance with Prophesee's tools")
    sensor = sensor_of(path, head.size, sensor, 1 << 14)
    with File(path).open() as file:
        file.seek(begin)
        kind = file.read(2)
    if len(kind) < 2 or kind[0] not in (0x00, 0x0C) or kind[1] != 8:
        got = kind.hex(" ") or "nothing"
        problem = f"expected a kind of event 0 or 12 of size 8 after the header; got {got}"
        raise FormatError(path, problem, begin, "is it a DAT file of contrast-detection events?")
    s = state(*sensor)
    s[WRAP] = CLOCK
    return Decoder(decode_dat, s, sensor, begin + 2, record=8)


# ---- writing; times in us, Columns of one recording in chunks


def fits(path: Path | str, columns: Columns, sensor: tuple[int, int], largest: int = 1 << 62) -> None:
    """Refuse events that the format cannot hold."""
    t = columns.t
    if not len(t):
        return
    x, y = int(columns.x.max(initial=0)), int(columns.y.max(initial=0))
    width, height = sensor
    if x >= width or y >= height:
        raise ValueError(f"{path}: events up to x = {x}, y = {y}; "
                         f"this format holds {width} x {height} pixels here")
    if t[0] < 0 or t[-1] >= largest or (np.diff(t) < 0).any():
        raise ValueError(f"{path}: times must ascend from 0 to less than {largest:,} us; "
                         f"got {t.min():,} to {t.max():,}")


def write_bin(path: Path | str, chunks: Iterable[Columns], sensor: tuple[int, int]) -> None:
    """N-MNIST .bin: at most 256 x 240 pixels."""
    limit = min(sensor[0], 256), min(sensor[1], ROW)
    base = 0
    with open(path, "wb") as file:
        for columns in chunks:
            fits(path, columns, limit, 1 << 32)
            t = columns.t.astype(np.int64)
            # how often the clock has gone over before each event, and how often just before it
            over = np.maximum(-(-(t - (1 << 23) + 1) // STEP), base)
            extra = np.diff(over, prepend=base)
            base = int(over[-1]) if len(over) else base
            out = np.zeros((len(t) + int(extra.sum()), 5), np.uint8)
            out[:, 1] = ROW
            at = np.arange(len(t)) + np.cumsum(extra)
            out[at] = _five_bytes(columns, t - over * STEP)
            file.write(out.tobytes())


def write_bs2(path: Path | str, chunks: Iterable[Columns], sensor: tuple[int, int]) -> None:
    """SLAYER .bs2: at most 256 x 256 pixels and 8.3 s."""
    limit = min(sensor[0], 256), min(sensor[1], 256)
    with open(path, "wb") as file:
        for columns in chunks:
            fits(path, columns, limit, 1 << 23)
            file.write(_five_bytes(columns, columns.t).astype(np.uint8).tobytes())


def _five_bytes(columns, time):
    """(n, 5): the bytes of each record of .bin and .bs2."""
    sign_and_time = columns.p.astype(np.int64) << 7 | time >> 16
    return np.stack((columns.x, columns.y, sign_and_time, time >> 8 & 255, time & 255), 1)


def write_dat(path: Path | str, chunks: Iterable[Columns], sensor: tuple[int, int]) -> None:
    """Prophesee DAT."""
    width, height = sensor
    limit = min(width, 1 << 14), min(height, 1 << 14)
    head = f"% Data file containing CD events.\n% Version 2\n% Width {width}\n% Height {height}\n"
    with open(path, "wb") as file:
        file.write(head.encode() + bytes((12, 8)))
        for columns in chunks:
            fits(path, columns, limit)
            x, y, p = (column.astype(np.int64) for column in columns[1:])
            place = x | y << 14 | p << 28
            file.write(np.stack((columns.t & 0xFFFFFFFF, place), 1).astype("<u4").tobytes())
