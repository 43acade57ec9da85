"""What is in a file, in words and as a picture: `numsnn info`."""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..checked import checked
from ..formats import FormatError
from ..formats.problems import existing
from ..packages import needed
from ..signals.events import Events
from ..signals.spikes import Spikes
from . import folders

SHOWN = 5                           # first events in the text
DRAWN = 2_000_000                   # events that a picture is made of
TABLES = (".csv", ".txt", ".npz", ".npy")       # of signals, where they are none of events


class Description(NamedTuple):
    """text: lines for a reader.  events: the first recording, or its begin, where the file holds events."""
    text: str
    events: Events | None = None


@checked
def describe(path: Path | str, format: str | None = None, *, recording: int = 0,
             **options: Any) -> Description:
    """What a file of any kind we read, or a folder, holds: counts, duration, size, rates, first events.

    format: a name of `datasets.formats.FORMATS`, or None to find out.
    recording: which one of a file that holds several is shown.
    options: of the reader.
    """
    path = Path(path)
    if path.is_dir() or path.suffix == ".zip" and path.is_file():
        lines, found = folders.folder_lines(path, lambda one: describe(one, format, **options), recording)
        text, events = ("", None) if found is None else found
        return Description("\n".join([*lines, "", text] if text else lines), events)
    if not any(folder.suffix == ".zip" and folder.is_file() for folder in path.parents):
        existing(path)
    kind = "events" if format is not None else _kind(path)
    known = signature(DESCRIBED[kind]).parameters
    if options and not any(parameter.kind == parameter.VAR_KEYWORD for parameter in known.values()):
        raise ValueError(f"{path}: {kind} has no option {next(iter(options))!r}")
    try:
        return DESCRIBED[kind](path, format=format, recording=recording, **options)
    except FormatError:
        if kind != "events" or format is not None or path.suffix.lower() not in TABLES:
            raise
        lines = folders.table_lines(path)
        if not lines:
            raise
        return Description("\n".join(lines))


def _kind(path) -> str:
    """Which function describes it."""
    from ..formats.piecewise import File
    with File(path).open() as file:
        head = file.read(8)
    if head.startswith(b"\x89HDF"):
        return _hdf5_kind(path)
    if head.startswith(b"RIFF"):
        return "wav"
    at_zero = path.suffix.lower() in (".bin", ".bs2", ".bs3")           # two zeros are an event there
    if head[:2] == b"\x1f\x8b" or head[:2] == b"\0\0" and not at_zero:
        return "idx"
    if head.startswith(b"MATLAB"):
        return "mat"
    if path.suffix == ".hea":
        return "hea"
    if path.suffix == ".txt" and path.name.startswith("qa"):
        return "babi"
    return "events"


def _hdf5_kind(path):
    h5py = needed("h5py", "an HDF5 file")

    from ..datasets.converted import FORMAT
    from ..datasets.saved import FORMAT as SAVED
    from ..files.seal import last_line
    from ..formats import hdf5, hdf5_events
    from ..nir.hdf5 import is_nir
    with existing(path).open("rb") as raw:
        if last_line(raw):              # what it holds is not looked at before its digest
            return "checkpoint"
    with hdf5.opened(path) as file:
        if hdf5.text(file, "format") == FORMAT:
            return "recordings"
        if hdf5.text(file, "format") == SAVED:
            return "saved"
        if "config" in file and "params" in file:
            return "checkpoint"
        if is_nir(file):
            return "nir"
        if isinstance(file.get("spikes"), h5py.Group):
            return "shd"
        return "hdf5" if hdf5_events.place_of(file) is None else "events"


def _size(path):
    from ..formats.piecewise import File
    return f"{File(path).size():,} bytes"


def _skipped(counts):
    """A line for each kind of problem."""
    return [f"SKIPPED: {n:,} x {what}" for what, n in counts.items()]


def _counted(names, labels):
    """Each name with how many of the labels are its."""
    return ", ".join(f"{name} {(labels == i).sum()}" for i, name in enumerate(names))


# ---- events


def _table(events: Events) -> str:
    """The first events as lines."""
    names = ("t", "unit") if len(events.shape) == 1 else ("t", "x", "y", "p")
    rows = [names, *zip(*(column[:SHOWN] for column in events.columns), strict=True)]
    return "\n".join(["first events", *("  ".join(f"{cell:>10}" for cell in row) for row in rows)])


def _rates(n, seconds, places, active):
    rate = ""
    if seconds > 0:
        of_one = n / seconds / max(active, 1)
        rate = f", {n / seconds:,.0f} events/s, {of_one:,.2f} per active place and second"
    return f"{n:,} events in {seconds:.6g} s{rate}; {active:,} of {places:,} places active"


def _events(path, format=None, recording=0, **options):
    """A camera file, read piece by piece: constant memory."""
    from ..formats.recordings import as_events, stream
    pieces = stream(path, format, **{"strict": False, **options})
    width, height = pieces.sensor
    found = _Found(width, height)
    for columns in pieces:
        found.add(columns)
    of_units = len(pieces.shape) == 1
    places = f"{width} units" if of_units else f"sensor {width} x {height}"
    lines = [f"{path}: {pieces.format}, {_size(path)}", places]
    if found.n:
        first, last = found.first * pieces.tick, found.last * pieces.tick
        seconds = (found.last - found.first) * pieces.tick
        brighter = "" if of_units else f"{100 * found.brighter / found.n:.1f} % brighter; "
        lines += [_rates(found.n, seconds, width * height, int((found.seen > 0).sum())),
                  f"{brighter}from {first:.6f} to {last:.6f} s"]
    else:
        lines.append("no events")
    lines += _skipped(pieces.problems.counts)
    if not found.kept:
        return Description("\n".join(lines))
    t, x, y, p = (np.concatenate(parts) for parts in zip(*found.kept, strict=True))
    events = as_events(t, x, y, p, pieces.shape, pieces.tick)
    return Description("\n".join([*lines, _table(events)]), events)


class _Found:
    """What a stream of events held, as far as it has been read."""

    def __init__(self, width, height):
        pixels = width * height
        self.width = width
        self.n = 0
        self.brighter = 0
        self.first = None
        self.last = 0
        self.seen = np.zeros(pixels if pixels <= 1 << 24 else 0, np.int64)          # events of each pixel
        self.kept = []                                                              # the first events
        self.held = 0

    def add(self, columns):
        self.n += len(columns.t)
        self.brighter += int(columns.p.sum())
        if self.first is None:
            self.first = int(columns.t[0])
        self.last = int(columns.t[-1])
        if self.seen.size:
            pixel = columns.y.astype(np.int64) * self.width + columns.x
            self.seen += np.bincount(pixel, minlength=self.seen.size)
        if self.held < DRAWN:
            self.kept.append(tuple(column.copy() for column in columns))
            self.held += len(columns.t)


def _of_listing(path, what, listing, recording, sizes=None):
    """A file of many recordings."""
    n = len(listing.items)
    if not n:
        return Description(f"{path}: {what}, {_size(path)}\nno recordings")
    if not 0 <= recording < n:
        raise ValueError(f"{path} has the recordings 0 to {n - 1}; got {recording}")
    item = listing.items[recording]
    events = item.read()
    labels = np.array([other.label for other in listing.items])
    groups = sorted({other.group for other in listing.items} - {""})
    shape = listing.shape
    places = f"{shape[0]} units" if len(shape) == 1 else f"{shape[2]} x {shape[1]} pixels"
    lines = [f"{path}: {what}, {_size(path)}",
             f"{listing.name}: {n:,} recordings of {places}; {listing.source}"]
    if len(listing.classes):
        lines.append(f"{len(listing.classes)} classes: {_counted(listing.classes, labels)}")
    if groups:
        lines.append(f"{len(groups)} groups: {', '.join(groups[:12])}{' ...' * (len(groups) > 12)}")
    if sizes is not None:
        lines.append(f"{sizes.sum():,} events, {sizes.min():,} to {sizes.max():,} in a recording")
    active = len(np.unique(events.unit))
    rates = _rates(events.n_events, float(events.durations[0]), events.n_units, active)
    lines += [f"recording {recording} ({item.name}, label {item.label}): {rates}", _table(events)]
    return Description("\n".join(lines), events)


def _recordings(path, format=None, recording=0):
    from ..datasets.converted import listing
    from ..formats import hdf5
    with hdf5.opened(path) as file:
        sizes = np.diff(hdf5.dataset(path, file, "offsets", "i", 1)[()])
    return _of_listing(path, "recordings that numsnn converted", listing(path), recording, sizes)


def _saved(path, format=None, recording=0):
    from ..datasets.saved import load
    data = load(path)
    batch = next(data.select(slice(0, 64)).batches(64))
    x = batch.x
    if isinstance(x, Spikes):
        what = f"spikes, {x.rate:.4f} per unit and step in the first {x.shape[1]}"
    else:
        what = f"values, {x.min():.4g} to {x.max():.4g}"
    lines = [f"{path}: data set that numsnn saved, {_size(path)}", f"{data}; {data.source}", what]
    if data.y.ndim == 1 and data.classes:
        lines.append(f"{len(data.classes)} classes: {_counted(data.classes, data.y)}")
    return Description("\n".join(lines))


def _shd(path, format=None, recording=0, **options):
    from ..datasets.shd import layout
    return _of_listing(path, "SHD layout", layout(path, **{"strict": False, **options}), recording)


# ---- other kinds


def _checkpoint(path, format=None, recording=0):
    from ..files.checkpoint import describe as facts_of, load
    from ..training.history import numbers
    facts = facts_of(path)
    net = load(path, device="reference")
    lines = [f"{path}: {_size(path)}, written by numsnn {facts['numsnn_version']}", "", str(net.summary())]
    training = facts["training"]
    if training:
        recipe = training.get("recipe", "(none)")
        history = training.get("history", [])
        optimizer = training["optimizer"]
        done = f"epoch {training['epoch'] + 1} done, seed {training['seed']}" if "epoch" in training else ""
        lines += ["", f"training of recipe {recipe}: {done}",
                  f"{optimizer['optimizer']}, learning rate {optimizer['lr']}"]
        if history:
            lines.append(f"last epoch: {numbers(history[-1])}")
    return Description("\n".join(lines))


def _idx(path, format=None, recording=0):
    from ..formats.idx import read
    a = read(path)
    smallest, largest = (a.min(), a.max()) if a.size else ("-", "-")
    lines = [f"{path}: IDX, {_size(path)}", f"{a.dtype} of shape {a.shape}, from {smallest} to {largest}"]
    if a.ndim == 1 and a.size and a.dtype == np.uint8 and a.max() < 100:
        lines.append("labels: " + ", ".join(f"{label} {count}" for label, count in enumerate(np.bincount(a))))
    return Description("\n".join(lines))


def _wav(path, format=None, recording=0):
    from ..formats.signal_files import contents
    from ..formats.wav import read
    sound = read(contents(path), channel="all", name=str(path))
    signal = np.asarray(sound.signal)
    channels = f", {signal.shape[1]} channels" if signal.shape[1] > 1 else ""
    peak = np.abs(signal).max(initial=0)
    rms = np.sqrt((signal.astype(np.float64) ** 2).mean()) if signal.size else 0
    return Description(f"{path}: WAV, {_size(path)}\n{len(signal) / sound.rate:.4f} s at "
                       f"{sound.rate:,} Hz{channels}, peak {peak:.4f}, RMS {rms:.4f}")


def _record(path, format=None, recording=0):
    from ..formats.wfdb import read
    record = read(path.parent, path.stem, strict=False)
    head = record.header
    n = len(record.adc)
    lines = [f"{path}: WFDB record {head.name}", f"{n:,} samples at {head.rate:g} Hz, {n / head.rate:.1f} s"]
    for signal, x in zip(head.signals, record.physical().T, strict=True):
        if len(x):
            lines.append(f"{signal.description or signal.file}: format {signal.format}, "
                         f"{np.nanmin(x):.3f} to {np.nanmax(x):.3f} {signal.units}")
    return Description("\n".join([*lines, *_skipped(record.problems)]))


def _babi(path, format=None, recording=0):
    from ..formats.babi import read
    stories, problems = read(path, strict=False)
    answers = {q.answer for story in stories for q in story.questions}
    questions = sum(len(story.questions) for story in stories)
    lines = [f"{path}: bAbI, {_size(path)}",
             f"{len(stories):,} stories, {questions:,} questions, {len(answers)} different answers"]
    if stories:
        lines += ["first story", *(line.text for line in stories[0].statements)]
    return Description("\n".join([*lines, *_skipped(problems)]))


def _nir(path, format=None, recording=0):
    from ..nir.hdf5 import load
    from ..nir.own import step_of
    graph = load(path)
    step = step_of(graph)
    ours = [] if step is None else [f"written by numsnn, for steps of {step:g} s"]
    return Description("\n".join([f"{path}: {_size(path)}", *ours, str(graph)]))


def _mat(path, format=None, recording=0):
    whosmat = needed("scipy.io", "a MATLAB file").whosmat
    from ..formats import mat
    mat.check(path)
    try:
        found = whosmat(path)
    except Exception as error:          # scipy raises many kinds for damaged files
        problem = f"cannot be read as a MATLAB file ({type(error).__name__}: {error})"
        raise FormatError(path, problem) from error
    arrays = [f"{name}: {kind} {shape}" for name, shape, kind in found]
    return Description("\n".join([f"{path}: MATLAB, {_size(path)}", *arrays]))


def _hdf5(path, format=None, recording=0):
    h5py = needed("h5py", "an HDF5 file")
    from ..formats import hdf5
    lines = [f"{path}: HDF5 that no reader here knows, {_size(path)}"]

    def visit(name, thing):
        if isinstance(thing, h5py.Dataset) and len(lines) < 50:
            lines.append(f"{name}: {thing.dtype} {thing.shape}")
    try:
        with hdf5.opened(path) as file:
            file.visititems(visit)
    except (OSError, RuntimeError) as error:
        raise FormatError(path, f"damaged HDF5 data: {error}") from error
    return Description("\n".join(lines))


DESCRIBED = {
    "babi": _babi,
    "checkpoint": _checkpoint,
    "events": _events,
    "hdf5": _hdf5,
    "hea": _record,
    "idx": _idx,
    "mat": _mat,
    "nir": _nir,
    "recordings": _recordings,
    "saved": _saved,
    "shd": _shd,
    "wav": _wav,
}
