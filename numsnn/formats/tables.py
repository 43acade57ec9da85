"""Events as plain columns: HDF5 (events/x, y, t, p, as DSEC and M3ED have it), NumPy archives, text with an event a line."""

from __future__ import annotations

import zipfile

import numpy as np

from . import hdf5
from .piecewise import BACKWARDS, KINDS, PLACE, Columns
from .problems import FormatError, Problems, existing

CHUNK = 1 << 20
NAMES = ("t", "x", "y", "p")
LARGEST_SENSOR = 1 << 16


def checked(parts, sensor, problems: Problems):
    """Columns of Python's or a file's own integer types as Columns; bad events are refused or skipped and counted."""
    last, first = np.iinfo(np.int64).min, 0
    for t, x, y, p in parts:
        t, x, y, p = (np.asarray(a) for a in (t, x, y, p))
        outside = (x < 0) | (y < 0) | (x >= sensor[0]) | (y >= sensor[1])
        t = t.astype(np.int64)
        # what is before an earlier event; events outside do not count
        so_far = np.maximum.accumulate(np.concatenate(([last], np.where(outside, np.iinfo(np.int64).min, t))))[:-1] if len(t) else t
        late = ~outside & (t < so_far)
        for kind, bad in ((PLACE, outside), (BACKWARDS, late)):
            if bad.any():
                i = int(bad.argmax())
                problems.found(KINDS[kind], f"t = {t[i]}, x = {x[i]}, y = {y[i]}, sensor {sensor[0]} x {sensor[1]}, time before {so_far[i]}",
                               f"event {first + i:,}", n=int(bad.sum()))
        good = ~(outside | late)
        if good.any():
            last = int(t[good][-1])
            yield Columns(t[good], x[good].astype(np.uint16), y[good].astype(np.uint16), (p[good] > 0).astype(np.uint8))
        first += len(t)


# ---- HDF5


def open_hdf5(path, problems: Problems, sensor=None):
    """HDF5 with events/x, y, t, p; attributes width and height, or sensor=, or the largest coordinates."""
    with hdf5.opened(path) as file:
        try:
            columns = [hdf5.dataset(path, file, f"events/{name}", "iub", 1) for name in NAMES]
            if len({column.shape for column in columns}) != 1:
                raise FormatError(path, f"events/t, x, y, p should be of one length; got {[column.shape for column in columns]}")
            size = tuple(hdf5.number(file["events"], key) for key in ("width", "height"))
            if sensor is None and None not in size:
                sensor = tuple(map(int, size))
            if sensor is None:
                sensor = tuple(1 + max((int(column[i:i + CHUNK].max()) for i in range(0, len(column), CHUNK)), default=0)
                               for column in columns[1:3])
        except FormatError:
            raise
        except hdf5.DAMAGED as error:
            raise FormatError(path, f"damaged HDF5 data: {error}") from error
    return tuple(sensor), checked(_hdf5_parts(path), sensor, problems)


def _hdf5_parts(path):
    import h5py
    with h5py.File(path, "r") as file:
        group = file["events"]
        for first in range(0, len(group["t"]), CHUNK):
            try:
                yield tuple(group[name][first:first + CHUNK] for name in NAMES)
            except hdf5.DAMAGED as error:
                raise FormatError(path, f"damaged HDF5 data: {error}", f"event {first:,}") from error


def write_hdf5(path, chunks, sensor) -> None:
    """HDF5 with events/x, y, t, p in chunks, compressed."""
    import h5py

    from .. import __version__
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        file.attrs["numsnn_version"] = np.bytes_(__version__)
        group = file.create_group("events")
        group.attrs.update(width=sensor[0], height=sensor[1], unit=np.bytes_("us"))
        sets = [group.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=(1 << 16,), compression="gzip", compression_opts=1,
                                     shuffle=True) for name, dtype in zip(NAMES, ("i8", "u2", "u2", "u1"), strict=True)]
        n = 0
        for columns in chunks:
            for dataset, column in zip(sets, columns, strict=True):
                dataset.resize(n + len(column), 0)
                dataset[n:] = column
            n += len(columns.t)


# ---- NumPy archives


def open_npz(path, problems: Problems, sensor=None):
    """NumPy archive with vectors t, x, y, p (and width, height)."""
    path = existing(path)
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(info.file_size for info in archive.infolist())
        if size > 1 << 34:
            raise FormatError(path, f"the archive would unpack to {size:,} bytes; more than 16 GiB are refused")
        with np.load(path, allow_pickle=False) as archive:
            columns = [archive.get(name, None) for name in NAMES]
            if sensor is None and {"width", "height"} <= set(archive):
                sensor = int(archive["width"]), int(archive["height"])
    except FormatError:
        raise
    except Exception as error:          # zipfile, zlib and numpy raise many kinds for damaged files
        raise FormatError(path, f"cannot be read as a NumPy archive ({type(error).__name__}: {error})") from error
    if any(c is None or c.ndim != 1 or c.dtype.kind not in "iub" or len(c) != len(columns[0]) for c in columns):
        raise FormatError(path, "expected vectors t, x, y, p of integers and of one length; got "
                          + ", ".join(f"{name} {'missing' if c is None else f'{c.dtype} {c.shape}'}" for name, c in zip(NAMES, columns, strict=True)))
    if sensor is None:
        sensor = tuple(int(columns[i].max(initial=0)) + 1 for i in (1, 2))
    return sensor, checked([columns], sensor, problems)


def write_npz(path, chunks, sensor) -> None:
    """NumPy archive, compressed."""
    parts = [tuple(column.copy() for column in columns) for columns in chunks]
    columns = [np.concatenate(c) for c in zip(*parts, strict=True)] if parts else [np.zeros(0, np.int64)] * 4
    with open(path, "wb") as file:
        np.savez_compressed(file, **dict(zip(NAMES, columns, strict=True)), width=sensor[0], height=sensor[1])


# ---- text


def open_csv(path, problems: Problems, sensor=None, order: str = "txyp"):
    """Text, an event a line of four integers between commas, blanks or tabs; a first line of names sets the order, else order=."""
    if sorted(order) != sorted(NAMES):
        raise ValueError(f"order must name t, x, y and p once each, such as 'txyp'; got {order!r}")
    path = existing(path)
    with open(path, "rb") as file:
        first = file.readline(1 << 10)
    named = [name.strip() for name in first.decode("latin-1").strip().lower().replace("\t", ",").split(",")]
    has_names = sorted(named) == sorted(NAMES)
    order = "".join(named) if has_names else order
    limit = sensor or (LARGEST_SENSOR, LARGEST_SENSOR)
    lines = _csv_parts(path, has_names, [order.index(name) for name in NAMES], problems)
    if sensor is None:
        sensor = tuple(1 + n for n in _largest(path, has_names, order))
    return sensor, checked(lines, limit, problems)


def _largest(path, has_names, order):
    largest = [0, 0]
    for columns in _csv_parts(path, has_names, [order.index(name) for name in NAMES], Problems(path, strict=False)):
        for i in (0, 1):
            values = columns[1 + i][columns[1 + i] < LARGEST_SENSOR]
            largest[i] = max(largest[i], int(values.max(initial=0)))
    return largest


def _csv_parts(path, has_names, order, problems):
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
                    problems.found("not an event", f"expected four integers; got {line[:60]!r}", f"line {number:,}")
                    continue
                rows.append(values)
            if rows:
                table = np.array(rows, np.int64)
                yield tuple(table[:, column] for column in order)


def write_csv(path, chunks, sensor) -> None:
    """Text with a first line of names."""
    with open(path, "w", newline="\n") as file:
        file.write("t,x,y,p\n")
        for columns in chunks:
            np.savetxt(file, np.stack([column.astype(np.int64) for column in columns], 1), "%d", ",")
