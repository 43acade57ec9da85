"""Event files by name or by content: `read`, `stream`, `write`, `guess`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..checked import checked, what_it_is
from ..signals.events import Events
from . import aedat2, aedat3, aedat4, hdf5_events, prophesee, records, tables, text
from .contents import guess as _guess, refuse_others
from .piecewise import Columns, Orientation, pieces
from .problems import FormatError, Problems
from .whole import whole

LARGEST_SENSOR = 1 << 16
CHUNK = 1 << 20                     # events that a writer takes at once


class Format(NamedTuple):
    """A format of events.

    open(path, problems, **options) -> (sensor, pieces of the file).  write(path, chunks, sensor), or None.
    units: the places are units in a row, x of y = 0, and no pixels.
    """
    name: str
    about: str
    suffixes: tuple[str, ...]
    open: Callable
    write: Callable | None = None
    options: tuple[str, ...] = ()
    units: bool = False


def _of_records(opener):
    """What opens a format of records, from what gives its decoder."""
    def opened(path, problems, **options):
        decoder = opener(path, problems, **options)
        return decoder.sensor, pieces(path, decoder, problems)
    return opened


def _format(name, about, suffixes, opener, write=None, units=False):
    options = tuple(inspect.signature(opener).parameters)[2:]
    opened = opener if opener in WHOLE else _of_records(opener)
    return Format(name, about, suffixes, opened, write, options, units)


WHOLE = (aedat4.pieces, hdf5_events.open_hdf5, tables.open_npz, text.open_csv)
FORMATS: dict[str, Format] = {f.name: f for f in (
    _format("bin", "N-MNIST, N-Caltech101 (ATIS), 5 bytes an event", (".bin",),
            records.open_bin, records.write_bin),
    _format("bs2", "SLAYER, 5 bytes an event", (".bs2",), records.open_bs2, records.write_bs2),
    _format("bs3", "SLAYER, 7 bytes an event", (".bs3",), records.open_bs3),
    _format("aedat2", "AEDAT 2.0 and 1.0 (jAER): MNIST-DVS, CIFAR10-DVS, DAVIS", (".aedat",),
            aedat2.open_aedat2, aedat2.write_aedat2),
    _format("nas", "AEDAT of a cochlea, NAS: events of units", (".aedat",), aedat2.open_nas, units=True),
    _format("aedat3", "AEDAT 3.1 (cAER): DVS128 Gesture", (".aedat",), aedat3.open_aedat3),
    _format("aedat4", "AEDAT 4.0 (DV), plain or LZ4", (".aedat4",), aedat4.pieces, aedat4.write),
    _format("dat", "Prophesee DAT", (".dat",), records.open_dat, records.write_dat),
    _format("evt2", "Prophesee raw, EVT 2.0", (".raw",), prophesee.open_evt2, prophesee.write_evt2),
    _format("evt21", "Prophesee raw, EVT 2.1", (".raw",), prophesee.open_evt21),
    _format("evt3", "Prophesee raw, EVT 3.0", (".raw",), prophesee.open_evt3, prophesee.write_evt3),
    _format("hdf5", "HDF5 with events/x, y, t, p, or CD/events, or events (N, 4)", (".h5", ".hdf5"),
            hdf5_events.open_hdf5, hdf5_events.write_hdf5),
    _format("npz", "NumPy archive with t, x, y, p", (".npz",), tables.open_npz, tables.write_npz),
    _format("csv", "text, an event a line: t, x, y, p", (".csv", ".txt"), text.open_csv, text.write_csv),
)}



@checked
def guess(path: Path | str) -> str:
    """The name of a file's format, from what is in it, or where that says nothing from its suffix."""
    return _guess(path, {f.name: f.suffixes for f in FORMATS.values()})


class Stream:
    """An event file being read: iterate for Columns, views that are valid until the next ones.

    path; format: a name of FORMATS; sensor: (width, height); shape: of its Events, (2, height, width) or
    (units,); problems: what was skipped; tick: seconds in a unit of time.
    """

    @checked
    def __init__(self, path: Path | str, format: str | None = None, *, strict: bool = True,
                 swap: bool = False, flip_x: bool = False, flip_y: bool = False, flip_polarity: bool = False,
                 tick: float = 1e-6, **options):
        self.path = Path(path)
        self.tick = tick
        self.format = guess(path) if format is None else format
        if self.format not in FORMATS:
            raise ValueError(f"no format {self.format!r}; there are {', '.join(FORMATS)}")
        known = FORMATS[self.format]
        for option in options:
            if option not in known.options:
                there = ", ".join(("swap", "flip_x", "flip_y", "flip_polarity", "tick", *known.options))
                raise ValueError(f"format {self.format} has no option {option!r}; it has {there}")
        if options.get("seconds") and tick != 1e-6:
            raise ValueError(f"seconds=True makes microseconds of the times; tick={tick} contradicts it")
        if format is not None:
            refuse_others(path, format)
        if known.units and (swap or flip_x or flip_y or flip_polarity):
            raise ValueError(f"format {self.format} has units and no pixels; leave swap and flip_* out")
        self.problems = Problems(path, strict)
        self._orientation = Orientation(swap, flip_x, flip_y, flip_polarity)
        self._stored, self._pieces = known.open(path, self.problems, **options)
        width, height = self._stored
        if not 0 < min(width, height) <= max(width, height) <= LARGEST_SENSOR:
            raise FormatError(path, f"impossible sensor of {width} x {height} pixels",
                              remedy="give sensor=(width, height)")
        self.sensor = (height, width) if swap else self._stored
        self.shape = (width,) if known.units else (2, *self.sensor[::-1])

    def __iter__(self) -> Iterator[Columns]:
        for columns in self._pieces:
            yield self._orientation.apply(columns, *self._stored)

    def read(self) -> Events:
        """The whole file as one recording."""
        parts = [Columns(*(column.copy() for column in columns)) for columns in self] or [Columns.empty(0)]
        if len(parts) > 1:
            t, x, y, p = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        else:
            t, x, y, p = parts[0]
        return as_events(t, x, y, p, self.shape, self.tick)


def as_events(t: np.ndarray, x: np.ndarray, y: np.ndarray, p: np.ndarray, shape: tuple[int, ...],
              tick: float) -> Events:
    """One recording of the columns of a stream of this shape."""
    if len(shape) == 1:
        return Events(t, x, shape=shape, tick=tick)
    return Events(t, x=x, y=y, p=p, shape=shape, tick=tick)


def stream(path: Path | str, format: str | None = None, **options) -> Stream:
    """A file of events of one recording, read piece by piece; constant memory for any size.

    path: a file, or ARCHIVE.zip/MEMBER.  format: see FORMATS; None: by what is in it, else by its suffix.
    strict: True: the first bad part raises FormatError with its position; False: bad parts are skipped and
    counted in `.problems.counts`.  swap, flip_x, flip_y, flip_polarity: orientation, in this order; by
    default pixels and polarities are as the file has them.  tick: seconds in a unit of the file's times
    (1e-6).  sensor=(width, height), camera=: where the format does not say.  Of text: order="xypt", the
    columns where no line of names says it ("txyp"); seconds=True: times are seconds, made microseconds.
    """
    return Stream(path, format, **options)


def read(path: Path | str, format: str | None = None, **options) -> Events:
    """The events of a file; see `stream` for the options."""
    return Stream(path, format, **options).read()


@checked
def write(path: Path | str, events: Events | Iterable[Columns], format: str | None = None, *,
          sensor: tuple[int, int] | None = None) -> None:
    """Write one recording of a camera; the file appears when it is complete.

    events: Events with one recording and two polarities, or chunks of Columns (then sensor=(width, height) is
    needed), in microseconds.  format: a name of FORMATS; None: by the suffix.
    """
    path = Path(path)
    writers = {f.name: f.write for f in FORMATS.values() if f.write}
    by_suffix = [name for name in writers if path.suffix.lower() in FORMATS[name].suffixes]
    name = format or (by_suffix[0] if len(by_suffix) == 1 else None)
    if name not in writers:
        raise ValueError(f"{path}: say format=, one of {', '.join(writers)}; got {format!r}")
    if isinstance(events, Events):
        events, sensor = _chunks(path, events)
    elif sensor is None:
        raise ValueError("chunks of Columns need sensor=(width, height)")
    else:
        sensor = _sized(sensor)
        if isinstance(events, (str, bytes)) or not isinstance(events, Iterable):
            raise TypeError(f"expected Events, or chunks of Columns; got {what_it_is(events)}")
    with whole(path) as part:
        writers[name](part, events, sensor)


def _sized(sensor):
    """(width, height) of a sensor."""
    numbers = isinstance(sensor, (tuple, list)) and len(sensor) == 2 and \
        all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in sensor)
    if not numbers or not all(0 < n <= LARGEST_SENSOR for n in sensor):
        raise ValueError(f"sensor must be (width, height), numbers of pixels from 1 to {LARGEST_SENSOR:,}; "
                         f"got {what_it_is(sensor)}")
    return int(sensor[0]), int(sensor[1])


def _chunks(path, events):
    """(chunks of Columns in microseconds, sensor) of a recording."""
    if len(events.shape) != 3 or len(events) != 1 or events.shape[0] != 2:
        raise ValueError(f"{path}: expected one recording of pixels with two polarities; got {events!r}")
    in_microseconds = events.tick == 1e-6 and events.t.dtype.kind in "iu"
    t = events.t if in_microseconds else np.rint(events.t * (events.tick * 1e6))
    columns = Columns(t.astype(np.int64), events.x, events.y, events.p)
    chunks = [columns.part(i, i + CHUNK) for i in range(0, events.n_events, CHUNK)]
    _, height, width = events.shape
    return chunks, (width, height)
