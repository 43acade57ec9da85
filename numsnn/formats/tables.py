"""Events as plain columns: what every table of events is checked for; NumPy archives."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from math import prod
from pathlib import Path

import numpy as np

from ..signals.integers import LARGEST_TIME
from .piecewise import BACKWARDS, KINDS, PLACE, Columns
from .problems import FormatError, Problems, existing

CHUNK = 1 << 20
NAMES = ("t", "x", "y", "p")
LARGEST_SENSOR = 1 << 16
UNPACKED, FREE = 100, 1 << 26         # an archive may unpack to so many times its bytes, and to so many more
TIME, POLARITY = "time beyond 2^62", "polarity that is not -1, 0 or 1"
NEVER = np.iinfo(np.int64).min


def checked(parts: Iterable[Sequence], sensor: Sequence[int], problems: Problems,
            order: str = "") -> Iterator[Columns]:
    """Columns of Python's or a file's own integer types as Columns; bad events are refused, or counted.

    A file none of whose events is one is refused, whatever `problems` passes over.
    order: what to do where a polarity looks like another column.
    """
    last = NEVER                        # time of the last good event
    first = 0                           # number of the first event of the part
    found = 0                           # good events
    width, height = sensor
    remedies = {POLARITY: order}
    for part in parts:
        t, x, y, p = (np.asarray(column) for column in part)
        wrong = {
            TIME: (t >= LARGEST_TIME) | (t <= -LARGEST_TIME),
            POLARITY: (p < -1) | (p > 1),
            KINDS[PLACE]: (x < 0) | (y < 0) | (x >= width) | (y >= height),
        }
        t = t.astype(np.int64)
        out = np.logical_or.reduce(list(wrong.values()))
        so_far = _latest_before(t, out, last)
        wrong[KINDS[BACKWARDS]] = ~out & (t < so_far)
        for kind, bad in wrong.items():
            if bad.any():
                i = int(bad.argmax())
                detail = (f"t = {t[i]}, x = {x[i]}, y = {y[i]}, p = {p[i]}, sensor {width} x {height}, "
                          f"time before {'none' if so_far[i] == NEVER else so_far[i]}")
                where = f"event {first + i:,}"
                problems.found(kind, detail, where, remedies.get(kind, ""), n=int(bad.sum()))
        good = ~(out | wrong[KINDS[BACKWARDS]])
        if good.any():
            last = int(t[good][-1])
            brighter = (p[good] > 0).astype(np.uint8)
            yield Columns(t[good], x[good].astype(np.uint16), y[good].astype(np.uint16), brighter)
        first += len(t)
        found += int(good.sum())
    if problems.counts and not found:
        skipped = ", ".join(f"{n:,} x {kind}" for kind, n in problems.counts.items())
        raise problems.fatal(f"none of its events can be read: {skipped}", remedy=order)


def _latest_before(t, out, last):
    """The latest time before each event; events that are out do not count."""
    if not len(t):
        return t
    return np.maximum.accumulate(np.concatenate(([last], np.where(out, NEVER, t))))[:-1]


# ---- NumPy archives


def open_npz(path: Path | str, problems: Problems,
             sensor: tuple[int, int] | None = None) -> tuple[tuple[int, int], Iterator[Columns]]:
    """NumPy archive with vectors t, x, y, p (and width, height)."""
    path = existing(path)
    try:
        _check_unpacked(path)
        with np.load(path, allow_pickle=False) as archive:
            columns = [archive.get(name, None) for name in NAMES]
            if sensor is None and {"width", "height"} <= set(archive):
                sensor = int(archive["width"]), int(archive["height"])
    except FormatError:
        raise
    except Exception as error:          # zipfile, zlib and numpy raise many kinds for damaged files
        problem = f"cannot be read as a NumPy archive ({type(error).__name__}: {error})"
        raise FormatError(path, problem) from error
    if not _are_events(columns):
        got = ", ".join(f"{name} {'missing' if c is None else f'{c.dtype} {c.shape}'}"
                        for name, c in zip(NAMES, columns, strict=True))
        raise FormatError(path, f"expected vectors t, x, y, p of integers and of one length; got {got}")
    if sensor is None:
        sensor = int(columns[1].max(initial=0)) + 1, int(columns[2].max(initial=0)) + 1
    return sensor, checked([columns], sensor, problems)


def _check_unpacked(path):
    """Refuse an archive whose arrays would take far more memory than events do that were packed."""
    stored = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        size = sum(info.file_size for info in archive.infolist())
        for info in archive.infolist():
            if info.filename in [f"{name}.npy" for name in NAMES]:
                size = max(size, _bytes_of_array(archive, info))
    if size > UNPACKED * stored + FREE:
        problem = f"the archive of {stored:,} bytes would unpack to {size:,}, more than events do"
        raise FormatError(path, problem, remedy="write it again with np.savez, unpacked")


def _bytes_of_array(archive, info):
    """Bytes of an array as its header says."""
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, _, dtype = read[version](member)
    return prod(shape) * dtype.itemsize


def _are_events(columns):
    """Whether columns that may be missing are vectors of integers and of one length."""
    if any(c is None or c.ndim != 1 or c.dtype.kind not in "iub" for c in columns):
        return False
    return len({len(c) for c in columns}) == 1


def write_npz(path: Path | str, chunks: Iterable[Columns], sensor: tuple[int, int]) -> None:
    """NumPy archive, compressed."""
    parts = [tuple(column.copy() for column in columns) for columns in chunks]
    if parts:
        t, x, y, p = (np.concatenate(column) for column in zip(*parts, strict=True))
    else:
        t = x = y = p = np.zeros(0, np.int64)
    with open(path, "wb") as file:
        np.savez_compressed(file, t=t, x=x, y=y, p=p, width=sensor[0], height=sensor[1])
