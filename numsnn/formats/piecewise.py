"""Event files, read piece by piece.

Bytes come in through one reused buffer, events go out through reused columns.  A format is a decoder: a
compiled function that turns bytes into events until the bytes run out, and keeps what it must remember
between two pieces in `state`.  Everything else is here, once: reading, orientation, limits, errors.

    decode(raw, end, columns, none, state, strict) -> (bytes used, events written, problem)

`none` is room for a mark at each record that is no event (see sift.py).
The columns have room for all events that a piece can hold, so that a decoder need not stop for want of it.
"""

from __future__ import annotations

import functools
import re
import zipfile
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np

from ..packages import say_where_decoding_is_slow
from .problems import FormatError, Problems, existing

PIECE = 1 << 18                     # bytes read at once: they stay in the cache until they are decoded
BEFORE = -(1 << 62)                 # before any time; a number that can still be subtracted from

# problems that a decoder reports
FINE, PLACE, BACKWARDS, KIND, DAMAGED = range(5)
KINDS = {
    PLACE: "coordinate outside the sensor",
    BACKWARDS: "time runs backwards",
    KIND: "unknown kind of record",
    DAMAGED: "damaged packet",
}

# the state of a decoder, an array: what every decoder knows stands first
LAST = 0                            # time of the last event
WIDTH, HEIGHT = 1, 2                # of the sensor
COUNTS = 3                          # four numbers: how often each of KINDS was skipped
MISSING = 7                         # bytes of a packet that are still to come
BASE = 8                            # what is added to the times of the file
WRAP = 9                            # the time at which the clock goes over, 0 where it does not
OVERFLOW_ROW, OVERFLOW_STEP = 10, 11    # records of this row say that the clock went over, by this step
OWN = 12                            # from here on each decoder keeps its own
SIZE = 28                           # the last three places hold the numbers of a problem


class Columns(NamedTuple):
    """Events side by side: t int64 (ticks), x uint16, y uint16, p uint8 (1 = brighter)."""
    t: np.ndarray
    x: np.ndarray
    y: np.ndarray
    p: np.ndarray

    @classmethod
    def empty(cls, n: int) -> Columns:
        """Room for n events."""
        t = np.empty(n, np.int64)
        x, y = np.empty(n, np.uint16), np.empty(n, np.uint16)
        return cls(t, x, y, np.empty(n, np.uint8))

    def part(self, first: int, last: int) -> Columns:
        """Views of the events first to last - 1."""
        return Columns(*(column[first:last] for column in self))


class Orientation(NamedTuple):
    """How the columns of a file become a picture: first swap x and y, then mirror; by default nothing."""
    swap: bool = False
    flip_x: bool = False
    flip_y: bool = False
    flip_polarity: bool = False

    def apply(self, columns: Columns, width: int, height: int) -> Columns:
        """The columns of a sensor of `width` x `height` pixels (before the swap), mirrored in place."""
        t, x, y, p = columns
        if self.swap:
            x, y, width, height = y, x, height, width
        if self.flip_x:
            np.subtract(width - 1, x, out=x)
        if self.flip_y:
            np.subtract(height - 1, y, out=y)
        if self.flip_polarity:
            np.bitwise_xor(p, 1, out=p)
        return Columns(t, x, y, p)


class Decoder(NamedTuple):
    """What a format says about one file: its decoder with its state, the sensor, and where the data are."""
    decode: Callable
    state: np.ndarray
    sensor: tuple[int, int]         # width, height, as stored
    begin: int                      # first byte of the data
    record: int                     # bytes of a record
    events: int = 1                 # at most so many events in a record


def state(width: int, height: int) -> np.ndarray:
    """The state of a decoder before the first byte."""
    s = np.zeros(SIZE, np.int64)
    s[LAST] = BEFORE
    s[WIDTH] = width
    s[HEIGHT] = height
    s[OVERFLOW_ROW] = -1
    return s


@functools.lru_cache(maxsize=4)
def _archive(path, modified):
    """An open archive, kept because large ones take long to open."""
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        problem = f"cannot be read as a zip archive ({error})"
        raise FormatError(path, problem, remedy="fetch it again") from error


class File:
    """Where the bytes of a file come from: a file on disk, or ARCHIVE.zip/MEMBER."""

    def __init__(self, path: Path | str):
        self.path = Path(path)
        self.member: str | None = None
        for folder in self.path.parents:
            if folder.suffix == ".zip" and folder.is_file():
                self.member = self.path.relative_to(folder).as_posix()
                self.archive = _archive(folder, folder.stat().st_mtime_ns)
                if self.member not in self.archive.namelist():
                    raise FileNotFoundError(f"{folder} has no member {self.member}")
                break

    def size(self) -> int:
        """Number of bytes."""
        if self.member is None:
            return existing(self.path).stat().st_size
        return self.archive.getinfo(self.member).file_size

    def open(self) -> FileIO | zipfile.ZipExtFile:
        """The file, to be read from its first byte."""
        if self.member is None:
            return open(existing(self.path), "rb", buffering=0)
        return cast(zipfile.ZipExtFile, self.archive.open(self.member))


def names(folder: Path | str) -> list[str]:
    """Relative paths of all files below a folder or in a zip archive, in natural order (2 before 10)."""
    folder = Path(folder)
    if folder.suffix == ".zip" and folder.is_file():
        archive = _archive(folder, folder.stat().st_mtime_ns)
        found = [name for name in archive.namelist() if not name.endswith("/")]
    elif folder.is_dir():
        found = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    else:
        raise FileNotFoundError(f"no folder and no zip archive {folder}")
    return sorted(found, key=_natural)


def _natural(name):
    """What to sort by so that the numbers in names count as numbers."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def pieces(path: Path | str, decoder: Decoder, problems: Problems) -> Iterator[Columns]:
    """The events of a file in its order, as views into columns that are used again for the next piece."""
    raw = np.empty(PIECE, np.uint8)
    held = 0                                # bytes in raw
    at = decoder.begin                      # where in the file they begin
    records = PIECE // decoder.record
    columns = Columns.empty(records * decoder.events)
    none = np.empty(records, np.uint8)
    with File(path).open() as file:
        file.seek(decoder.begin)
        while got := file.readinto(raw.data[held:]):
            held += got
            used, events, damaged = decoded(decoder, raw, held, columns, none, at, problems)
            if len(events.t):
                yield events
            if damaged:                     # nothing behind it can be found
                skipped(decoder, problems)
                return
            at += used
            held -= used
            raw[:held] = raw[used:used + held].copy()
    missing = int(decoder.state[MISSING])
    if held or missing:
        detail = f"{held} bytes are left over, {missing} are missing"
        problems.found("the file ends inside a record", detail, at, n=max(held, 1))
    skipped(decoder, problems)


def decoded(decoder: Decoder, raw: np.ndarray, held: int, columns: Columns, none: np.ndarray, at: int,
            problems: Problems) -> tuple[int, Columns, bool]:
    """(bytes used, events, whether the rest is lost) of `held` bytes at position `at` of the file."""
    say_where_decoding_is_slow()
    used, n, problem = decoder.decode(raw, held, tuple(columns), none, decoder.state, problems.strict)
    if problem != FINE:
        problems.found(KINDS[problem], _numbers(problem, decoder.state), at + used)
    return used, columns.part(0, n), problem == DAMAGED


def skipped(decoder: Decoder, problems: Problems) -> None:
    """Report what the decoder passed over."""
    for kind, name in KINDS.items():
        n = int(decoder.state[COUNTS + kind - 1])
        if n:
            problems.counts[name] += n


def _numbers(problem, s):
    """The numbers of a problem, which the decoder left behind, in words."""
    x, y, number = s[SIZE - 3:]
    if problem == PLACE:
        sensor = f"{s[WIDTH]} x {s[HEIGHT]} pixels"
        return f"x = {x}, y = {y}, the sensor has {sensor} (option sensor or camera)"
    if problem == BACKWARDS:
        return f"{number} after {s[LAST]}"
    if problem == KIND:
        return f"type {number}"
    return f"its header (type {number}) gives impossible sizes"
