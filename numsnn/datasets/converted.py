"""What `numsnn convert` writes: the recordings of a data set in one HDF5 file, which is read lazily and fast.

    /                attributes format = "numsnn recordings", format_version, numsnn_version, source,
                     options (JSON), shape, tick, classes
    /events/t        times of all recordings, one after the other; and /events/unit, or /events/x, y, p
                     (attributes width, height)
    /offsets         (S + 1,) bounds of the recordings        /labels, /groups, /names   (S,)

While it grows the file is OUT.part; a conversion that was interrupted goes on after the last recording that
is complete in it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..checked import checked
from ..formats import hdf5
from ..formats.problems import FormatError
from ..formats.storage import adding, check, storing
from ..formats.whole import as_json, growing, whole
from ..packages import needed
from ..signals.events import Events
from .listing import Item, Listing

if TYPE_CHECKING:
    from ..formats.recordings import Stream

FORMAT, VERSION = "numsnn recordings", 1
CHUNK = 1 << 16
# this layout has checksums on everything that is no event: damage is noticed, not followed
LIBVER = ("v110", "v110")
# so much is gathered before it is written: the file is open for moments, so that a crash finds it whole
SECONDS, EVENTS = 1.0, 1 << 22


@checked
def write(path: Path | str, listing: Listing, options: dict | None = None,
          progress: Callable[[int, int, str], None] = lambda done, n, name: None) -> int:
    """Write a listing to an HDF5 file; how many recordings an earlier, interrupted conversion had left.

    options: what made the listing, kept in the file; a part of another conversion is not continued.
    progress(done, n, name).
    """
    about = _about(listing, options)
    with growing(path) as part:
        return _grow(part, listing, about, progress)


def _grow(part, listing, about, progress):
    """Add to `part` what it lacks of a listing; how many recordings it had."""
    done = before = _complete(part, about)
    if not done:
        _create(part, listing, about)
    n = len(listing.items)
    read: list[tuple[Item, Events]] = []
    held = 0
    started = time.perf_counter()
    for item in listing.items[done:]:
        progress(done, n, item.name)
        events = item.read()
        read.append((item, events))
        held += events.n_events
        done += 1
        if time.perf_counter() - started > SECONDS or held > EVENTS or done == n:
            with _Appender(part) as file:
                for pair in read:
                    file.append(*pair)
            read = []
            held = 0
            started = time.perf_counter()
    progress(done, done, "")
    return before


def write_stream(path: Path | str, stream: Stream, options: dict | None = None) -> int:
    """Write one recording that is read piece by piece (`formats.stream`); the number of events.

    It takes constant memory.
    """
    name = stream.path.name
    listing = Listing(name, name, stream.shape, stream.tick, (), [])
    n = 0
    with whole(path) as part:
        _create(part, listing, _about(listing, options))
        with _Appender(part) as file:
            for columns in stream:
                file.events(columns[:len(_columns(stream.shape))])
                n += len(columns.t)
            file.close_recording(name, -1, "")
    return n


def _about(listing, options):
    """The attributes of a file."""
    from .. import __version__
    texts = {
        "format": FORMAT,
        "numsnn_version": __version__,
        "name": listing.name,
        "source": listing.source,
        "options": as_json(options or {}, sort_keys=True),
        "classes": as_json(listing.classes),
    }
    return {
        **{key: np.bytes_(text.encode()) for key, text in texts.items()},
        "format_version": VERSION,
        "shape": np.array(listing.shape),
        "tick": listing.tick,
    }


def _columns(shape):
    """The names of the columns of events of a shape."""
    return ("t", "unit") if len(shape) == 1 else ("t", "x", "y", "p")


def _create(part, listing, about):
    places = "u2" if max(listing.shape) <= 1 << 16 else "u4"
    dtypes = {"t": "f8" if listing.tick == 1 else "i8", "p": "u1"}
    groups, names = (f"S{n}" for n in _longest(listing))
    with storing(part, "w", libver=LIBVER) as file:
        file.attrs.update(about)
        group = file.create_group("events")
        if len(listing.shape) == 3:
            group.attrs.update(width=listing.shape[2], height=listing.shape[1])
        for name in _columns(listing.shape):
            group.create_dataset(name, (0,), dtypes.get(name, places), maxshape=(None,), chunks=(CHUNK,),
                                 compression="gzip", compression_opts=1, shuffle=True)
        columns = (("offsets", [0], "i8"), ("labels", [], "i8"), ("groups", [], groups), ("names", [], names))
        for name, first, dtype in columns:
            file.create_dataset(name, data=np.array(first, dtype), maxshape=(None,), chunks=(1024,))


def _longest(listing):
    """Bytes of the longest group and of the longest name."""
    if not listing.items:
        return 1, 255
    groups = [len(item.group.encode()) for item in listing.items]
    names = [len(item.name.encode()) for item in listing.items]
    return max(1, *groups), max(1, *names)


def _complete(part, about) -> int:
    """How many recordings of this conversion a file that was left behind holds."""
    h5py = needed("h5py", "a converted data set (HDF5)")
    if not part.is_file():
        return 0
    try:
        with part.open("rb") as raw, h5py.File(raw, "r") as file:       # not by its name, which is locked
            n = len(file["names"])
            for key, value in about.items():
                if key != "numsnn_version" and not np.array_equal(file.attrs.get(key), value):
                    return 0
            fits = len(file["offsets"]) == n + 1 and len(file["labels"]) == len(file["groups"]) == n
            return n if fits else 0
    except (OSError, KeyError, RuntimeError):
        return 0                    # it was being written when it was left: from the begin


class _Appender:
    """A growing file, open for some recordings."""

    def __init__(self, part):
        self.opened = adding(part, libver=LIBVER)
        self.file = self.opened.__enter__()
        events = self.file["events"]
        names = ("t", "unit") if "unit" in events else ("t", "x", "y", "p")
        self.columns = [events[name] for name in names]
        self.n = int(self.file["offsets"][-1])          # what stands behind is of a recording not completed
        self.waiting = []
        self.held = 0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.opened.__exit__(*error)

    def append(self, item: Item, events: Events) -> None:
        self.events(events.columns)
        self.close_recording(item.name, item.label, item.group)

    def events(self, columns: Iterable[np.ndarray]) -> None:
        """Add events to the recording that is open."""
        self.waiting.append([column.copy() for column in columns])
        self.held += len(self.waiting[-1][0])
        if self.held >= 8 * CHUNK:
            self._flush()

    def _flush(self):
        for dataset, parts in zip(self.columns, zip(*self.waiting, strict=True), strict=True):
            dataset.resize(self.n + self.held, 0)
            dataset[self.n:] = np.concatenate(parts)
        self.n += self.held
        self.waiting = []
        self.held = 0
        check(self.file)

    def close_recording(self, name: str, label: int, group: str) -> None:
        """What was added since the last one is a recording."""
        if self.waiting:
            self._flush()
        row = {"labels": label, "groups": group.encode(), "names": name.encode(), "offsets": self.n}
        for column, value in row.items():
            dataset = self.file[column]
            dataset.resize(len(dataset) + 1, 0)
            dataset[-1] = value


@checked
def listing(path: Path | str) -> Listing:
    """The recordings of a converted file; each is read when it is asked for."""
    file = hdf5.opened(path)
    try:
        if hdf5.text(file, "format") != FORMAT:
            raise FormatError(path, "an HDF5 file, but none that `numsnn convert` wrote")
        version = file.attrs["format_version"]
        if int(version) != VERSION:
            raise FormatError(path, f"format version {version}; this numsnn reads version {VERSION}")
        shape = tuple(int(n) for n in file.attrs["shape"])
        tick = float(file.attrs["tick"])
        offsets, labels = (hdf5.dataset(path, file, key, "i", 1)[()] for key in ("offsets", "labels"))
        groups, names = (_texts(path, file, key) for key in ("groups", "names"))
        classes = tuple(json.loads(hdf5.text(file, "classes")))
        name = hdf5.text(file, "name")
        source = hdf5.text(file, "source")
        columns = [hdf5.dataset(path, file, f"events/{key}", "iuf", 1) for key in _columns(shape)]
    except FormatError:
        raise
    except hdf5.DAMAGED as error:
        raise FormatError(path, f"cannot be read: damaged HDF5 data ({error})") from error
    n = len(labels)
    fits = len(offsets) == n + 1 and len(groups) == len(names) == n and offsets[0] == 0
    if not fits or (np.diff(offsets) < 0).any() or any(len(c) < offsets[-1] for c in columns):
        raise FormatError(path, "offsets, labels and events do not fit together", remedy="convert again")
    items = []
    for i in range(n):
        read = _reader(path, columns, offsets[i], offsets[i + 1], shape, tick)
        items.append(Item(names[i], int(labels[i]), groups[i], read))
    return Listing(name, source, shape, tick, classes, items)


def _texts(path, file, key):
    texts = hdf5.dataset(path, file, key, "S", 1)[()]
    return [text.decode("utf-8", "replace") for text in texts]


def _reader(path, columns, first, last, shape, tick):
    def read():
        try:
            t, *place = (column[first:last] for column in columns)
        except hdf5.DAMAGED as error:
            raise FormatError(path, f"damaged HDF5 data: {error}", f"events {first:,} to {last:,}") from error
        names = _columns(shape)[1:]
        return Events(t, **dict(zip(names, place, strict=True)), shape=shape, tick=tick)
    return read
