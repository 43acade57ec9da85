"""Recordings of events in a folder: one sensor for all, a reader for each."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from ..formats.problems import FormatError
from ..signals.events import Events
from .folder import Files
from .listing import Item, Listing

LARGEST = 1 << 22                   # pixels of a sensor that nobody need say
ADVICE = "give shape=(2, H, W)"


def listing(files: Files, format: str | None = None, *, shape: Sequence[int] | None = None,
            duration: float | None = None, from_zero: bool = True, **options: Any) -> Listing:
    """The recordings, read when they are asked for; see `folder.from_folder`."""
    from ..formats import recordings
    if duration is not None and not 0 < duration < math.inf:
        raise ValueError(f"duration must be positive seconds; got {duration!r}")
    sensor = options.pop("sensor", None)
    if sensor is not None:
        if shape is not None:
            raise ValueError("give shape=(2, H, W) or sensor=(width, height), not both")
        shape = (2, sensor[1], sensor[0])
    first = _first(files, format, shape, options)
    takes_sensor = "sensor" in recordings.FORMATS[first.format].options
    if shape is None:
        shape = _one_sensor(files, format, options, first)
    elif takes_sensor:
        # as the file has it: before the swap
        options["sensor"] = tuple(shape[1:] if options.get("swap") else shape[:0:-1])
    items = []
    for i, (name, label, group) in enumerate(zip(files.names, files.labels, files.groups, strict=True)):
        read = _later(files, i, format, tuple(shape), duration, from_zero, options)
        items.append(Item(name, label, group, read))
    return Listing(files.title, files.source, tuple(shape), first.tick, files.classes, items)


def _first(files, format, shape, options):
    """The stream of the first file, which says early what is wrong with the options and with the shape."""
    from ..formats import recordings
    if shape is not None and (len(shape) != 3 or shape[0] != 2 or min(shape) < 1):
        raise ValueError(f"shape must be (2, H, W): polarities, rows, columns; got {tuple(shape)}")
    try:
        return recordings.stream(files.place(0), format, **options)
    except FormatError as error:
        if files.suffix == ".csv" and format is None:
            raise FormatError(error.path, error.problem, error.position,
                              f"{error.remedy}; or are the files tables of signals? then name the columns, "
                              f"columns=[...] or columns='all'") from error
        raise


def _one_sensor(files, format, options, first) -> tuple[int, int, int]:
    """The shape of all recordings, where the files say it and it is one."""
    from ..formats import recordings
    width, height = first.sensor
    if first.format == "csv":
        raise ValueError(f"text does not say how large the sensor is; {ADVICE} "
                         f"(the events of {files.names[0]} reach {width} x {height} pixels)")
    if width * height > LARGEST:
        raise ValueError(f"{files.place(0)} gives a sensor of {width} x {height} pixels, or does not say it; "
                         f"{ADVICE}")
    for i in range(1, len(files.names)):
        other = recordings.stream(files.place(i), format, **options).sensor
        if other != first.sensor:
            raise ValueError(f"sensors of unequal size below {files.path}: {files.names[0]} has {width} x "
                             f"{height} pixels, {files.names[i]} {other[0]} x {other[1]}; {ADVICE}, into "
                             f"which both fit")
    return 2, height, width


def _later(files, i, format, shape, duration, from_zero, options) -> Callable[[], Events]:
    def read():
        from ..formats import recordings
        stream = recordings.stream(files.place(i), format, **options)
        events = stream.read()
        if stream.problems.counts:
            skipped = ", ".join(f"{n:,} x {kind}" for kind, n in stream.problems.counts.items())
            warnings.warn(f"{files.place(i)}: skipped {skipped}", stacklevel=2)
        if events.shape != shape:
            events = _placed(files.place(i), events, shape)
        if from_zero:
            events = events.from_zero()
        return events if duration is None else events.slice(0, duration, from_zero=False)
    return read


def _placed(path, events, shape) -> Events:
    """The events of a smaller sensor, in the corner of the shape."""
    _, height, width = events.shape
    if height > shape[1] or width > shape[2]:
        raise FormatError(path, f"a sensor of {width} x {height} pixels, larger than the {shape[2]} x "
                                f"{shape[1]} of the data set", remedy=f"{ADVICE} that holds all")
    t, x, y, p = events.columns
    return Events(t, x=x, y=y, p=p, shape=shape, tick=events.tick)
