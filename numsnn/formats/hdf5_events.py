"""Events in HDF5, in the layouts of the field.

    events/t, x, y, p          DSEC, M3ED and others; t_offset (DSEC) is added to the times
    events/ts, xs, ys, ps      event_utils, e2vid; either may lie in the root of the file
    CD/events                  Prophesee: records of x, y, p, t
    events (N, 4)              v2e: t, x, y, p

Times are integers in us; floats are seconds.  The sensor is told by attributes (width and height beside the
events, geometry of the file), else it is as large as the largest coordinates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from . import hdf5
from .piecewise import Columns
from .problems import FormatError, Problems
from .storage import check, storing
from .tables import CHUNK, NAMES, checked

if TYPE_CHECKING:
    import h5py

LATEST = 1 << 62                            # us; no time is later
EXPECTED = "events/t, x, y, p; or ts, xs, ys, ps; or CD/events; or events of shape (N, 4)"


class _Layout(NamedTuple):
    """Where the columns are: data sets in the order t, x, y, p, and what of each row.

    scale: us in a unit of time; offset: us that are added.
    """
    sets: list[h5py.Dataset]
    of_row: list[str | int | None]
    scale: float
    offset: int

    def part(self, path, first: int) -> tuple[np.ndarray, ...]:
        """(t, x, y, p) of the events from the given one on."""
        read = {found.name: found[first:first + CHUNK] for found in self.sets}
        rows = [read[found.name] for found in self.sets]
        columns = [_column(*pair) for pair in zip(rows, self.of_row, strict=True)]
        return self._time(path, columns[0], first), *columns[1:]

    def _time(self, path, t, first):
        with np.errstate(over="ignore"):            # infinity is refused
            latest = np.abs(t.astype(np.float64) * self.scale).max(initial=0)
        if not latest < LATEST:
            problem = f"times up to {latest:g} us; expected numbers below {LATEST:.1g} us"
            raise FormatError(path, problem, f"event {first:,} and later")
        if self.scale != 1:
            t = np.rint(t.astype(np.float64) * self.scale)
        return t.astype(np.int64) + self.offset


def _column(rows, place):
    """One column of rows: by its name, its number, or None where there is one only."""
    if place is None:
        return rows
    return rows[place] if isinstance(place, str) else rows[:, place]


def open_hdf5(path: Path | str, problems: Problems, sensor: tuple[int, int] | None = None,
              seconds: bool | None = None) -> tuple[tuple[int, int], Iterator[Columns]]:
    """HDF5 of one recording.

    sensor (width, height): None: as the file says, else the largest coordinates.  seconds: whether times are
    in seconds; None: floats are, integers are us.
    """
    with hdf5.opened(path) as file:
        try:
            layout = _layout(path, file, seconds)
            sensor = sensor or _sensor(file, layout) or _largest(path, layout)
        except FormatError:
            raise
        except hdf5.DAMAGED as error:
            raise FormatError(path, f"damaged HDF5 data: {error}") from error
    width, height = sensor
    return (width, height), checked(_parts(path, seconds), sensor, problems)


def place_of(file: h5py.File) -> str | None:
    """Where in a file the events are, None where there are none."""
    import h5py
    for key in ("events", "CD/events", "/"):
        place = file.get(key)
        if isinstance(place, h5py.Dataset) or isinstance(place, h5py.Group) and _names(place):
            return key
    return None


def _layout(path, file, seconds):
    import h5py
    if "offsets" in file and "labels" in file and file["offsets"].shape != (2,):
        n = len(file["offsets"]) - 1
        raise FormatError(path, f"a set of {n:,} recordings, expected one",
                          remedy="numsnn.datasets.converted.listing reads them")
    key = place_of(file)
    if key is None:
        there = ", ".join(sorted(file)) or "nothing"
        raise FormatError(path, f"no events: expected {EXPECTED}; this file has {there}")
    if isinstance(file[key], h5py.Dataset):
        sets, of_row = _of_rows(path, file, key, file[key])
    else:
        sets, of_row = _of_columns(path, file[key], _names(file[key])), [None] * 4
    scale = _scale(path, file, sets[0], of_row[0], seconds)
    return _Layout(sets, of_row, scale, _offset(path, file))


def _names(group):
    """How the columns of a group are called, None where they are not there."""
    either = NAMES, tuple(name + "s" for name in NAMES)
    return next((names for names in either if any(name in group for name in names)), None)


def _of_columns(path, group, names):
    kinds = "iubf", "iub", "iub", "iub"
    sets = [hdf5.dataset(path, group, name, kind, 1) for name, kind in zip(names, kinds, strict=True)]
    shapes = [found.shape for found in sets]
    if len(set(shapes)) != 1:
        raise FormatError(path, f"{', '.join(names)} should be of one length; got {shapes}")
    return sets


def _of_rows(path, file, key, found):
    """A data set of rows: with named fields, or four columns."""
    if found.dtype.names is not None:
        found = hdf5.dataset(path, file, key, "V", 1)
        kinds = [found.dtype[name].kind if name in found.dtype.names else "" for name in NAMES]
        if kinds[0] not in tuple("iuf") or any(kind not in tuple("iub") for kind in kinds[1:]):
            raise FormatError(path, f"{key} should have numbers t, x, y, p in each row; got {found.dtype}")
        return [found] * 4, list(NAMES)
    found = hdf5.dataset(path, file, key, "iu", 2)
    if found.shape[1] != 4:
        raise FormatError(path, f"{key} should have four columns, t, x, y, p; got shape {found.shape}")
    return [found] * 4, [0, 1, 2, 3]


def _scale(path, file, found, of_row, seconds):
    """us in a unit of time."""
    tick = hdf5.number(file, "tick")            # numsnn's own
    is_float = (found.dtype[of_row] if isinstance(of_row, str) else found.dtype).kind == "f"
    if seconds is None and tick is not None:
        return tick * 1e6
    if seconds is None and is_float and len(found):
        first = _column(found[:CHUNK], of_row)
        if (first == np.rint(first)).all():
            problem = "times are floats without fractions: they may be seconds or us"
            raise FormatError(path, problem, remedy="say seconds=True or seconds=False")
    return 1e6 if seconds or (seconds is None and is_float) else 1


def _offset(path, file):
    """t_offset in us, where the file has one."""
    import h5py
    found = file.get("t_offset")
    if not isinstance(found, h5py.Dataset):
        return int(hdf5.number(file, "t_offset") or 0)
    if found.size != 1 or found.dtype.kind not in "iu":
        raise FormatError(path, f"t_offset should be an integer; got {found.dtype} of shape {found.shape}")
    offset = int(np.ravel(found[()])[0])
    if not abs(offset) < LATEST:
        raise FormatError(path, f"impossible t_offset {offset}")
    return offset


def _sensor(file, layout):
    """(width, height) as the attributes say, or None."""
    beside = file[layout.sets[0].parent.name] if layout.of_row[0] is None else layout.sets[0]
    width, height = (hdf5.number(beside, key) for key in ("width", "height"))
    if width is not None and height is not None:
        return int(width), int(height)
    geometry = re.fullmatch(r"(\d{1,5})x(\d{1,5})", hdf5.text(file, "geometry"))
    return (int(geometry[1]), int(geometry[2])) if geometry else None


def _largest(path, layout):
    """The size that the largest coordinates need; at least one pixel."""
    width = height = 1
    for first in range(0, len(layout.sets[0]), CHUNK):
        _, x, y, _ = layout.part(path, first)
        width, height = max(width, 1 + int(x.max())), max(height, 1 + int(y.max()))
    return width, height


def _parts(path, seconds):
    with hdf5.opened(path) as file:
        first = 0
        try:
            layout = _layout(path, file, seconds)
            for first in range(0, len(layout.sets[0]), CHUNK):
                yield layout.part(path, first)
        except FormatError:
            raise
        except hdf5.DAMAGED as error:
            raise FormatError(path, f"damaged HDF5 data: {error}", f"event {first:,}") from error


def write_hdf5(path: Path | str, chunks: Iterable[Columns], sensor: tuple[int, int]) -> None:
    """HDF5 with events/x, y, t, p in chunks, compressed."""
    from .. import __version__
    with storing(path, "w", libver=("v110", "v110")) as file:
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
            check(file)
