"""Events as plain columns: HDF5 (events/x, y, t, p, as DSEC and M3ED have it), NumPy archives, text."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ..packages import needed
from . import hdf5
from .piecewise import BACKWARDS, KINDS, PLACE, Columns
from .problems import FormatError, Problems, existing

CHUNK = 1 << 20
NAMES = ("t", "x", "y", "p")
LARGEST_SENSOR = 1 << 16


def checked(parts: Iterable[Sequence], sensor: Sequence[int], problems: Problems) -> Iterator[Columns]:
    """Columns of Python's or a file's own integer types as Columns; bad events are refused, or counted."""
    never = np.iinfo(np.int64).min
    last = never                        # time of the last good event
    first = 0                           # number of the first event of the part
    width, height = sensor
    for part in parts:
        t, x, y, p = (np.asarray(column) for column in part)
        outside = (x < 0) | (y < 0) | (x >= width) | (y >= height)
        t = t.astype(np.int64)
        # the latest time before each event; events outside do not count
        so_far = t
        if len(t):
            counted = np.concatenate(([last], np.where(outside, never, t)))
            so_far = np.maximum.accumulate(counted)[:-1]
        late = ~outside & (t < so_far)
        for kind, bad in ((PLACE, outside), (BACKWARDS, late)):
            if bad.any():
                i = int(bad.argmax())
                detail = (f"t = {t[i]}, x = {x[i]}, y = {y[i]}, sensor {width} x {height}, "
                          f"time before {so_far[i]}")
                problems.found(KINDS[kind], detail, f"event {first + i:,}", n=int(bad.sum()))
        good = ~(outside | late)
        if good.any():
            last = int(t[good][-1])
            brighter = (p[good] > 0).astype(np.uint8)
            yield Columns(t[good], x[good].astype(np.uint16), y[good].astype(np.uint16), brighter)
        first += len(t)


# ---- HDF5


def open_hdf5(path: Path | str, problems: Problems,
              sensor: tuple[int, int] | None = None) -> tuple[tuple[int, int], Iterator[Columns]]:
    """HDF5 with events/x, y, t, p; attributes width and height, or sensor=, or the largest coordinates."""
    with hdf5.opened(path) as file:
        try:
            columns = [hdf5.dataset(path, file, f"events/{name}", "iub", 1) for name in NAMES]
            shapes = [column.shape for column in columns]
            if len(set(shapes)) != 1:
                raise FormatError(path, f"events/t, x, y, p should be of one length; got {shapes}")
            width, height = (hdf5.number(file["events"], key) for key in ("width", "height"))
            if sensor is None and width is not None and height is not None:
                sensor = int(width), int(height)
            if sensor is None:
                sensor = 1 + _largest(columns[1]), 1 + _largest(columns[2])
        except FormatError:
            raise
        except hdf5.DAMAGED as error:
            raise FormatError(path, f"damaged HDF5 data: {error}") from error
    width, height = sensor
    return (width, height), checked(_hdf5_parts(path), sensor, problems)


def _largest(column):
    """The largest number of a data set, read in chunks; 0 where it has none."""
    starts = range(0, len(column), CHUNK)
    return max((int(column[i:i + CHUNK].max()) for i in starts), default=0)


def _hdf5_parts(path):
    h5py = needed("h5py", "an HDF5 file")
    with h5py.File(path, "r") as file:
        group = file["events"]
        for first in range(0, len(group["t"]), CHUNK):
            try:
                yield tuple(group[name][first:first + CHUNK] for name in NAMES)
            except hdf5.DAMAGED as error:
                raise FormatError(path, f"damaged HDF5 data: {error}", f"event {first:,}") from error


def write_hdf5(path: Path | str, chunks: Iterable[Columns], sensor: tuple[int, int]) -> None:
    """HDF5 with events/x, y, t, p in chunks, compressed."""
    h5py = needed("h5py", "an HDF5 file")

    from .. import __version__
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        file.attrs["numsnn_version"] = np.bytes_(__version__)
        group = file.create_group("events")
        group.attrs.update(width=sensor[0], height=sensor[1], unit=np.bytes_("us"))
        options = {"maxshape": (None,), "chunks": (1 << 16,),
                   "compression": "gzip", "compression_opts": 1, "shuffle": True}
        sets = [group.create_dataset(name, (0,), dtype, **options)
                for name, dtype in zip(NAMES, ("i8", "u2", "u2", "u1"), strict=True)]
        n = 0
        for columns in chunks:
            for dataset, column in zip(sets, columns, strict=True):
                dataset.resize(n + len(column), 0)
                dataset[n:] = column
            n += len(columns.t)


# ---- NumPy archives


def open_npz(path: Path | str, problems: Problems,
             sensor: tuple[int, int] | None = None) -> tuple[tuple[int, int], Iterator[Columns]]:
    """NumPy archive with vectors t, x, y, p (and width, height)."""
    path = existing(path)
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(info.file_size for info in archive.infolist())
        if size > 1 << 34:
            problem = f"the archive would unpack to {size:,} bytes; more than 16 GiB are refused"
            raise FormatError(path, problem)
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


# ---- text


def open_csv(path: Path | str, problems: Problems, sensor: tuple[int, int] | None = None,
             order: str = "txyp") -> tuple[tuple[int, int], Iterator[Columns]]:
    """Text, an event a line of four integers between commas, blanks or tabs.

    A first line of names sets the order, else order=.
    """
    if sorted(order) != sorted(NAMES):
        raise ValueError(f"order must name t, x, y and p once each, such as 'txyp'; got {order!r}")
    path = existing(path)
    with open(path, "rb") as file:
        first = file.readline(1 << 10)
    named = [name.strip() for name in first.decode("latin-1").strip().lower().replace("\t", ",").split(",")]
    has_names = sorted(named) == sorted(NAMES)
    order = "".join(named) if has_names else order
    places = [order.index(name) for name in NAMES]
    limit = sensor or (LARGEST_SENSOR, LARGEST_SENSOR)
    parts = _csv_parts(path, has_names, places, problems)
    if sensor is None:
        sensor = _csv_sensor(_csv_parts(path, has_names, places, Problems(path, strict=False)))
    return sensor, checked(parts, limit, problems)


def _csv_sensor(parts):
    """A sensor that holds all events of a text, except those that no sensor holds."""
    width = height = 1
    for _, x, y, _ in parts:
        width = max(width, 1 + int(x[x < LARGEST_SENSOR].max(initial=0)))
        height = max(height, 1 + int(y[y < LARGEST_SENSOR].max(initial=0)))
    return width, height


def _csv_parts(path, has_names, places, problems):
    """(t, x, y, p) of the lines of a text, some megabytes at once; places: where in a line they stand."""
    with open(path, "rb") as file:
        number = 0
        if has_names:
            file.readline(1 << 10)
            number = 1
        while block := file.readlines(1 << 22):
            rows = []
            for line in block:
                number += 1
                fields = line.replace(b",", b" ").replace(b";", b" ").split()
                if not fields or fields[0].startswith((b"#", b"%")):
                    continue
                try:
                    values = [int(field) for field in fields] if len(line) < 200 else []
                except ValueError:
                    values = []
                if len(values) != 4 or max(map(abs, values)) >= 1 << 62:
                    detail = f"expected four integers; got {line[:60]!r}"
                    problems.found("not an event", detail, f"line {number:,}")
                    continue
                rows.append(values)
            if rows:
                table = np.array(rows, np.int64)
                yield tuple(table[:, place] for place in places)


def write_csv(path: Path | str, chunks: Iterable[Columns], sensor: tuple[int, int]) -> None:
    """Text with a first line of names."""
    with open(path, "w", newline="\n") as file:
        file.write("t,x,y,p\n")
        for columns in chunks:
            np.savetxt(file, np.stack([column.astype(np.int64) for column in columns], 1), "%d", ",")
