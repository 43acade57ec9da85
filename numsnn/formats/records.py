"""Formats whose file is a header and then records of equal length, one event each: .bin, .bs2, .bs3, AEDAT 2.0, DAT.

N-MNIST .bin   5 bytes, big-endian 40 bits: x (8), y (8), polarity (1), time in us (23).  A record with y = 240 is no event: the clock of
               23 bits went over, later times are 2^13 later (the rule of the sensor's software).
.bs2           the same without that rule            .bs3   7 bytes: x (12), y (12), polarity or channel (8), time in us (24)
AEDAT 2.0      lines that begin with #, then 8 bytes big-endian: address (32), time in us (32, goes over after 71 minutes)
DAT            lines that begin with %, two bytes (kind of event, size 8), then 8 bytes little-endian: time in us (32, goes over), x (14),
               y (14), polarity (4)

File: the data sets' and makers' own descriptions (Orchard et al. 2015; SLAYER; iniVation; Prophesee).
"""

from __future__ import annotations

import numpy as np

from .piecewise import OVERFLOW_ROW, OVERFLOW_STEP, OWN, WRAP, Decoder, File, state
from .problems import FormatError, Problems
from .sift import big, jit, sift

X_SHIFT, X_MASK, Y_SHIFT, Y_MASK, P_SHIFT, SKIP_MASK = range(OWN, OWN + 6)
CLOCK = 1 << 32                     # the clock of AEDAT 2.0 and DAT goes over here
ROW, STEP = 240, 1 << 13            # of the overflow rule of .bin


@jit
def decode_bin(raw, end, columns, none, s, strict):
    """5 bytes: .bin and .bs2; four records are five words, which is twice as fast as byte by byte."""
    (t, x, y, p), n, words = columns, end // 5, raw[:end // 20 * 20].view(np.uint32)
    for i in range(n // 4):
        a, b, c, d, e = (big(words[5 * i]), big(words[5 * i + 1]), big(words[5 * i + 2]), big(words[5 * i + 3]), big(words[5 * i + 4]))
        x[4 * i], y[4 * i], p[4 * i], t[4 * i] = a >> 24, a >> 16 & 0xFF, a >> 15 & 1, (a & 0x7FFF) << 8 | b >> 24
        x[4 * i + 1], y[4 * i + 1], p[4 * i + 1], t[4 * i + 1] = b >> 16 & 0xFF, b >> 8 & 0xFF, b >> 7 & 1, (b & 0x7F) << 16 | c >> 16
        x[4 * i + 2], y[4 * i + 2], p[4 * i + 2], t[4 * i + 2] = c >> 8 & 0xFF, c & 0xFF, d >> 31, d >> 8 & 0x7FFFFF
        x[4 * i + 3], y[4 * i + 3], p[4 * i + 3], t[4 * i + 3] = d & 0xFF, e >> 24, e >> 23 & 1, e & 0x7FFFFF
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
    (t, x, y, p), n, at = columns, end // 7, np.uint64(0)
    for i in range(n):
        second = np.int64(raw[at + np.uint64(1)])
        t[i] = np.int64(raw[at + np.uint64(4)]) << 16 | np.int64(raw[at + np.uint64(5)]) << 8 | np.int64(raw[at + np.uint64(6)])
        x[i], y[i] = np.int64(raw[at]) << 4 | second >> 4, (second & 15) << 8 | np.int64(raw[at + np.uint64(2)])
        p[i], none[i] = raw[at + np.uint64(3)], 0
        at += np.uint64(7)
    kept, done, problem = sift(columns, none, n, s, strict)
    return 7 * done, kept, problem


@jit
def decode_aedat2(raw, end, columns, none, s, strict):
    """8 bytes, address and time; the state says where the address holds x, y and polarity, and what else is no event of pixels."""
    (t, x, y, p), n, words = columns, end // 8, raw[:end // 8 * 8].view(np.uint32)
    x_shift, y_shift, p_shift = np.uint32(s[X_SHIFT]), np.uint32(s[Y_SHIFT]), np.uint32(s[P_SHIFT])
    x_mask, y_mask, skip = np.uint32(s[X_MASK]), np.uint32(s[Y_MASK]), np.uint32(s[SKIP_MASK])
    for i in range(n):
        address = big(words[2 * i])
        t[i] = big(words[2 * i + 1])
        x[i], y[i], p[i] = address >> x_shift & x_mask, address >> y_shift & y_mask, address >> p_shift & np.uint32(1)
        none[i] = (address & skip) != 0
    kept, done, problem = sift(columns, none, n, s, strict)
    return 8 * done, kept, problem


@jit
def decode_dat(raw, end, columns, none, s, strict):
    """8 bytes: time, then x, y and polarity."""
    (t, x, y, p), n, words = columns, end // 8, raw[:end // 8 * 8].view(np.uint32)
    for i in range(n):
        place = words[2 * i + 1]
        t[i], x[i], y[i], p[i], none[i] = words[2 * i], place & 0x3FFF, place >> 14 & 0x3FFF, place >> 28 & 1, 0
    kept, done, problem = sift(columns, none, n, s, strict)
    return 8 * done, kept, problem


# ---- what is in the headers


HEADER = 1 << 16                    # no header of lines is longer


def lines(path, mark: bytes) -> list[tuple[bytes, int]]:
    """The lines at the begin of a file that start with `mark`, each with the byte after it."""
    with File(path).open() as file:
        head = file.read(HEADER)
    found, at = [], 0
    while head.startswith(mark, at) and (end := head.find(b"\n", at)) >= 0:
        found.append((head[at:end].rstrip(b"\r"), end + 1))
        at = end + 1
    return found


def open_bin(path, problems: Problems, sensor=(34, 34)) -> Decoder:
    """N-MNIST .bin; sensor (width, height)."""
    s = state(*sensor)
    s[OVERFLOW_ROW], s[OVERFLOW_STEP] = ROW, STEP
    return Decoder(decode_bin, s, sensor, 0, 5)


def open_bs2(path, problems: Problems, sensor=(128, 128)) -> Decoder:
    """SLAYER .bs2."""
    return Decoder(decode_bin, state(*sensor), sensor, 0, 5)


def open_bs3(path, problems: Problems, sensor=(4096, 4096)) -> Decoder:
    """SLAYER .bs3."""
    return Decoder(decode_bs3, state(*sensor), sensor, 0, 7)


CAMERAS = {                         # sensor; shift and mask of x, of y, shift of polarity, bits that mark what is no event of a pixel
    "dvs128": ((128, 128), (1, 0x7F, 8, 0x7F, 0, 1 << 15)),
    "davis240": ((240, 180), (12, 0x3FF, 22, 0x1FF, 11, 1 << 31 | 1 << 10)),
    "davis346": ((346, 260), (12, 0x3FF, 22, 0x1FF, 11, 1 << 31 | 1 << 10)),
}


def open_aedat2(path, problems: Problems, camera: str = "dvs128") -> Decoder:
    """AEDAT 2.0; camera: dvs128 (MNIST-DVS, CIFAR10-DVS), davis240 or davis346 (frames and IMU samples are passed over)."""
    if camera not in CAMERAS:
        raise ValueError(f"camera must be one of {', '.join(CAMERAS)}; got {camera!r}")
    found = lines(path, b"#")
    if not found or not found[0][0].startswith(b"#!AER-DAT2"):
        raise FormatError(path, f"expected #!AER-DAT2.0 in the first line; got {found[0][0][:30] if found else b''!r}", 0)
    sensor, places = CAMERAS[camera]
    s = state(*sensor)
    s[X_SHIFT:SKIP_MASK + 1], s[WRAP] = places, CLOCK
    return Decoder(decode_aedat2, s, sensor, _end_of_comments(found, File(path).size()), 8)


def _end_of_comments(found, size) -> int:
    """Where the data of an AEDAT 2.0 file begin: a first data byte that is '#' looks like one more line of comments.

    Comments are printable; one that does not begin as comments usually do must leave whole records behind it.
    """
    at = 0
    for line, end in found:
        usual = line.startswith((b"# ", b"#!", b"#End"))
        if any(c < 32 and c != 9 or c > 126 for c in line) or not usual and (size - end) % 8:
            break
        at = end
    return at


def open_dat(path, problems: Problems, sensor=None) -> Decoder:
    """Prophesee DAT; the sensor from the header lines, or given."""
    found = lines(path, b"%")
    begin = found[-1][1] if found else 0
    sizes = {key: int(value) for line, _ in found for key, _, value in [line[1:].strip().partition(b" ")]
             if key in (b"Width", b"Height") and value.strip().isdigit()}
    sensor = sensor or (sizes.get(b"Width", 1 << 14), sizes.get(b"Height", 1 << 14))
    with File(path).open() as file:
        file.seek(begin)
        kind = file.read(2)
    if len(kind) < 2 or kind[0] not in (0x00, 0x0C) or kind[1] != 8:
        raise FormatError(path, f"expected a kind of event 0 or 12 of size 8 after the header; got {kind.hex(' ') or 'nothing'}", begin,
                          "is it a DAT file of contrast-detection events?")
    s = state(*sensor)
    s[WRAP] = CLOCK
    return Decoder(decode_dat, s, sensor, begin + 2, 8)


# ---- writing; times in us, Columns of one recording in chunks


def fits(path, columns, sensor: tuple[int, int], largest: int = 1 << 62) -> None:
    """Refuse events that the format cannot hold."""
    if not len(columns.t):
        return
    place = int(columns.x.max(initial=0)), int(columns.y.max(initial=0))
    if place[0] >= sensor[0] or place[1] >= sensor[1]:
        raise ValueError(f"{path}: events up to x = {place[0]}, y = {place[1]}; this format holds {sensor[0]} x {sensor[1]} pixels here")
    if columns.t[0] < 0 or columns.t[-1] >= largest or (np.diff(columns.t) < 0).any():
        raise ValueError(f"{path}: times must ascend from 0 to less than {largest:,} us; got {columns.t.min():,} to {columns.t.max():,}")


def write_bin(path, chunks, sensor: tuple[int, int]) -> None:
    """N-MNIST .bin: at most 256 x 240 pixels."""
    limit, base = (min(sensor[0], 256), min(sensor[1], ROW)), 0
    with open(path, "wb") as file:
        for columns in chunks:
            fits(path, columns, limit, 1 << 32)
            t = columns.t.astype(np.int64)
            # how often the clock has gone over before each event, and how often just before it
            over = np.maximum(-(-(t - (1 << 23) + 1) // STEP), base)
            extra = np.diff(over, prepend=base)
            base = int(over[-1]) if len(over) else base
            time = t - over * STEP
            out = np.zeros((len(t) + int(extra.sum()), 5), np.uint8)
            out[:, 1] = ROW
            at = np.arange(len(t)) + np.cumsum(extra)
            out[at] = np.stack((columns.x, columns.y, columns.p.astype(np.int64) << 7 | time >> 16, time >> 8 & 255, time & 255), 1)
            file.write(out.tobytes())


def write_bs2(path, chunks, sensor: tuple[int, int]) -> None:
    """SLAYER .bs2: at most 256 x 256 pixels and 8.3 s."""
    with open(path, "wb") as file:
        for columns in chunks:
            fits(path, columns, (min(sensor[0], 256), min(sensor[1], 256)), 1 << 23)
            t = columns.t
            file.write(np.stack((columns.x, columns.y, columns.p.astype(np.int64) << 7 | t >> 16, t >> 8 & 255, t & 255), 1)
                       .astype(np.uint8).tobytes())


def write_aedat2(path, chunks, sensor: tuple[int, int]) -> None:
    """AEDAT 2.0 of a DVS128, DAVIS240 or DAVIS346, the first that is large enough."""
    camera = next((c for c, (size, _) in CAMERAS.items() if sensor[0] <= size[0] and sensor[1] <= size[1]), None)
    if camera is None:
        raise ValueError(f"{path}: no camera that writes AEDAT 2.0 has {sensor[0]} x {sensor[1]} pixels; the largest has 346 x 260")
    x_shift, _, y_shift, _, p_shift, _ = CAMERAS[camera][1]
    with open(path, "wb") as file:
        file.write(f"#!AER-DAT2.0\r\n# {camera}, written by numsnn\r\n".encode())
        for columns in chunks:
            fits(path, columns, sensor)
            x, y, p = (column.astype(np.uint32) for column in columns[1:])
            file.write(np.stack((x << x_shift | y << y_shift | p << p_shift, columns.t & 0xFFFFFFFF), 1).astype(">u4").tobytes())


def write_dat(path, chunks, sensor: tuple[int, int]) -> None:
    """Prophesee DAT."""
    with open(path, "wb") as file:
        file.write(f"% Data file containing CD events.\n% Version 2\n% Width {sensor[0]}\n% Height {sensor[1]}\n".encode() + bytes((12, 8)))
        for columns in chunks:
            fits(path, columns, (min(sensor[0], 1 << 14), min(sensor[1], 1 << 14)))
            x, y, p = (column.astype(np.int64) for column in columns[1:])
            file.write(np.stack((columns.t & 0xFFFFFFFF, x | y << 14 | p << 28), 1).astype("<u4").tobytes())
