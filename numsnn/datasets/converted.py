"""Recordings of a whole data set in one HDF5 file, which is read lazily and fast: what `numsnn convert` writes.

    /                attributes format = "numsnn recordings", format_version, numsnn_version, source, options (JSON), shape, tick, classes
    /events/t        times of all recordings, one after the other; and /events/unit, or /events/x, y, p (attributes width, height)
    /offsets         (S + 1,) bounds of the recordings        /labels, /groups, /names   (S,)

While it grows the file is OUT.part; a conversion that was interrupted goes on after the last recording that is complete in it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable

import numpy as np

from ..formats import hdf5
from ..formats.problems import FormatError
from ..formats.whole import into_place, part_of, whole
from ..signals.events import Events
from .listing import Item, Listing

FORMAT, VERSION = "numsnn recordings", 1
CHUNK = 1 << 16
LIBVER = ("v110", "v110")           # this layout has checksums on everything that is no event: damage is noticed, not followed
SECONDS, EVENTS = 1.0, 1 << 22      # so much is gathered before it is written: the file is open for moments, so that a crash finds it whole


def write(path, listing: Listing, options: dict | None = None, progress: Callable[[int, int, str], None] = lambda done, n, name: None) -> int:
    """Write a listing to an HDF5 file; how many recordings an earlier, interrupted conversion had left.

    options: what made the listing, kept in the file; a part of another conversion is not continued.  progress(done, n, name).
    """
    part = part_of(path)
    about = _about(listing, options)
    done = before = _complete(part, about)
    if not done:
        _create(part, listing, about)
    read, held, started = [], 0, time.perf_counter()
    for item in listing.items[done:]:
        progress(done, len(listing.items), item.name)
        read.append((item, item.read()))
        held, done = held + read[-1][1].n_events, done + 1
        if time.perf_counter() - started > SECONDS or held > EVENTS or done == len(listing.items):
            with _Appender(part) as file:
                for pair in read:
                    file.append(*pair)
            read, held, started = [], 0, time.perf_counter()
    progress(done, done, "")
    into_place(part, path)
    return before


def write_stream(path, stream, options: dict | None = None) -> int:
    """Write one recording that is read piece by piece (`formats.stream`), in constant memory; the number of events."""
    listing = Listing(stream.path.name, str(stream.path.name), (2, *stream.sensor[::-1]), stream.tick, (), [])
    n = 0
    with whole(path) as part:
        _create(part, listing, _about(listing, options))
        with _Appender(part) as file:
            for columns in stream:
                file.events(columns)
                n += len(columns.t)
            file.close_recording(Item(stream.path.name, -1, "", None))
    return n


def _about(listing, options):
    """The attributes of a file."""
    from .. import __version__
    texts = {"format": FORMAT, "numsnn_version": __version__, "name": listing.name, "source": listing.source,
             "options": json.dumps(options or {}, sort_keys=True), "classes": json.dumps(listing.classes)}
    return {**{key: np.bytes_(text.encode()) for key, text in texts.items()},
            "format_version": VERSION, "shape": np.array(listing.shape), "tick": listing.tick}


def _create(part, listing, about):
    import h5py
    names = ("t", "unit") if len(listing.shape) == 1 else ("t", "x", "y", "p")
    longest = [max([1, *(len(text.encode()) for text in texts)]) for texts in zip(*((i.group, i.name) for i in listing.items), strict=True)]
    groups, names_ = (f"S{n}" for n in longest or (1, 255))
    with h5py.File(part, "w", libver=LIBVER) as file:
        file.attrs.update(about)
        group = file.create_group("events")
        if len(listing.shape) == 3:
            group.attrs.update(width=listing.shape[2], height=listing.shape[1])
        for name in names:
            dtype = {"t": "f8" if listing.tick == 1 else "i8", "p": "u1"}.get(name, "u2" if max(listing.shape) <= 1 << 16 else "u4")
            group.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=(CHUNK,), compression="gzip", compression_opts=1, shuffle=True)
        for name, first, dtype in (("offsets", [0], "i8"), ("labels", [], "i8"), ("groups", [], groups), ("names", [], names_)):
            file.create_dataset(name, data=np.array(first, dtype), maxshape=(None,), chunks=(1024,))


def _complete(part, about) -> int:
    """How many recordings of this conversion a file that was left behind holds."""
    import h5py
    if not part.is_file():
        return 0
    try:
        with h5py.File(part, "r") as file:
            same = all(np.array_equal(file.attrs.get(key), value) for key, value in about.items() if key != "numsnn_version")
            n = len(file["names"])
            return n if same and len(file["offsets"]) == n + 1 and len(file["labels"]) == len(file["groups"]) == n else 0
    except (OSError, KeyError, RuntimeError):
        return 0                    # it was being written when it was left: from the begin


class _Appender:
    """A growing file, open for some recordings."""

    def __init__(self, part):
        import h5py
        self.file = h5py.File(part, "r+", libver=LIBVER)
        self.columns = [self.file["events"][name] for name in (("t", "unit") if "unit" in self.file["events"] else ("t", "x", "y", "p"))]
        self.n = int(self.file["offsets"][-1])          # events behind it are of a recording that was not completed
        self.waiting, self.held = [], 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def append(self, item: Item, events: Events):
        self.events(events.columns)
        self.close_recording(item)

    def events(self, columns: Iterable[np.ndarray]):
        """Add events to the recording that is open."""
        self.waiting.append([column.copy() for column in columns])
        self.held += len(self.waiting[-1][0])
        if self.held >= 8 * CHUNK:
            self._flush()

    def _flush(self):
        for dataset, parts in zip(self.columns, zip(*self.waiting, strict=True), strict=True):
            dataset.resize(self.n + self.held, 0)
            dataset[self.n:] = np.concatenate(parts)
        self.n, self.waiting, self.held = self.n + self.held, [], 0

    def close_recording(self, item: Item):
        """What was added since the last one is a recording."""
        if self.waiting:
            self._flush()
        for name, value in (("labels", item.label), ("groups", item.group.encode()), ("names", item.name.encode()), ("offsets", self.n)):
            dataset = self.file[name]
            dataset.resize(len(dataset) + 1, 0)
            dataset[-1] = value


def listing(path) -> Listing:
    """The recordings of a converted file; each is read when it is asked for."""
    file = hdf5.opened(path)
    try:
        if hdf5.text(file, "format") != FORMAT:
            raise FormatError(path, "an HDF5 file, but none that `numsnn convert` wrote")
        if int(file.attrs["format_version"]) != VERSION:
            raise FormatError(path, f"format version {file.attrs['format_version']}; this numsnn reads version {VERSION}")
        shape, tick = tuple(int(n) for n in file.attrs["shape"]), float(file.attrs["tick"])
        offsets, labels = (hdf5.dataset(path, file, key, "i", 1)[()] for key in ("offsets", "labels"))
        groups, names = (_texts(path, file, key) for key in ("groups", "names"))
        classes, name, source = tuple(json.loads(hdf5.text(file, "classes"))), hdf5.text(file, "name"), hdf5.text(file, "source")
        columns = [hdf5.dataset(path, file, f"events/{key}", "iuf", 1) for key in (("t", "unit") if len(shape) == 1 else ("t", "x", "y", "p"))]
    except FormatError:
        raise
    except hdf5.DAMAGED as error:
        raise FormatError(path, f"cannot be read: damaged HDF5 data ({error})") from error
    n = len(labels)
    if len(offsets) != n + 1 or len(groups) != n or len(names) != n or offsets[0] != 0 or (np.diff(offsets) < 0).any() or any(
            len(c) < offsets[-1] for c in columns):
        raise FormatError(path, "offsets, labels and events do not fit together", remedy="convert again")
    items = [Item(names[i], int(labels[i]), groups[i], _reader(path, columns, offsets[i], offsets[i + 1], shape, tick))
             for i in range(n)]
    return Listing(name, source, shape, tick, classes, items)


def _texts(path, file, key):
    return [text.decode("utf-8", "replace") for text in hdf5.dataset(path, file, key, "S", 1)[()]]


def _reader(path, columns, first, last, shape, tick):
    def read():
        try:
            t, *place = (column[first:last] for column in columns)
        except hdf5.DAMAGED as error:
            raise FormatError(path, f"damaged HDF5 data: {error}", f"events {first:,} to {last:,}") from error
        names = ("unit",) if len(shape) == 1 else ("x", "y", "p")
        return Events(t, **dict(zip(names, place, strict=True)), shape=shape, tick=tick)
    return read
