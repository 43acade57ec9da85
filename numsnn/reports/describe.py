"""What is in a file, in words and as a picture: `numsnn info`."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..formats import FormatError
from ..formats.problems import existing
from ..signals.events import Events
from ..signals.spikes import Spikes

SHOWN = 5                           # first events in the text
DRAWN = 2_000_000                   # events that a picture is made of


class Description(NamedTuple):
    """text: lines for a reader.  events: the first recording, or its begin, where the file holds events."""
    text: str
    events: Events | None = None


def describe(path, format: str | None = None, *, recording: int = 0, **options) -> Description:
    """What a file of any kind we read holds: counts, duration, size, rates, first events.

    format: a name of `datasets.formats.FORMATS`, or None to find out.  recording: which one of a file that holds several is shown.
    """
    path = Path(path)
    if not any(folder.suffix == ".zip" and folder.is_file() for folder in path.parents):
        existing(path)
    kind = _kind(path) if format is None else "events"
    return {"checkpoint": _checkpoint, "recordings": _recordings, "saved": _saved, "shd": _shd, "idx": _idx, "wav": _wav, "hea": _record, "babi": _babi,
            "mat": _mat, "hdf5": _hdf5, "events": _events}[kind](path, format=format, recording=recording, **options)


def _kind(path) -> str:
    """Which function describes it."""
    from ..formats.piecewise import File
    with File(path).open() as file:
        head = file.read(8)
    if head.startswith(b"\x89HDF"):
        return _hdf5_kind(path)
    if head.startswith(b"RIFF"):
        return "wav"
    if head[:2] == b"\x1f\x8b" or head[:2] == b"\0\0":
        return "idx"
    if head.startswith(b"MATLAB"):
        return "mat"
    if path.suffix == ".hea":
        return "hea"
    if path.suffix == ".txt" and path.name.startswith("qa"):
        return "babi"
    return "events"


def _hdf5_kind(path):
    import h5py

    from ..datasets.converted import FORMAT
    from ..datasets.saved import FORMAT as SAVED
    from ..formats import hdf5
    with hdf5.opened(path) as file:
        if hdf5.text(file, "format") == FORMAT:
            return "recordings"
        if hdf5.text(file, "format") == SAVED:
            return "saved"
        if "config" in file and "params" in file:
            return "checkpoint"
        return "shd" if isinstance(file.get("spikes"), h5py.Group) else "events" if isinstance(file.get("events"), h5py.Group) else "hdf5"


def _size(path):
    from ..formats.piecewise import File
    return f"{File(path).size():,} bytes"


# ---- events


def _table(events: Events) -> str:
    """The first events as lines."""
    names = ("t", "unit") if len(events.shape) == 1 else ("t", "x", "y", "p")
    rows = zip(*(column[:SHOWN] for column in events.columns), strict=True)
    return "\n".join(["first events", "  ".join(f"{n:>10}" for n in names), *("  ".join(f"{v:>10}" for v in row) for row in rows)])


def _rates(n, seconds, places, active):
    rate = f", {n / seconds:,.0f} events/s, {n / seconds / max(active, 1):,.2f} per active place and second" if seconds > 0 else ""
    return f"{n:,} events in {seconds:.6g} s{rate}; {active:,} of {places:,} places active"


def _events(path, format=None, recording=0, **options):
    """A camera file, read piece by piece: constant memory."""
    from ..formats import stream
    pieces = stream(path, format, **{"strict": False, **options})
    width, height = pieces.sensor
    n, on, first, last, kept, held = 0, 0, None, 0, [], 0
    seen = np.zeros(width * height if width * height <= 1 << 24 else 0, np.int64)
    for columns in pieces:
        n, on = n + len(columns.t), on + int(columns.p.sum())
        first, last = int(columns.t[0]) if first is None else first, int(columns.t[-1])
        if seen.size:
            seen += np.bincount(columns.y.astype(np.int64) * width + columns.x, minlength=seen.size)
        if held < DRAWN:
            kept.append(tuple(column.copy() for column in columns))
            held += len(columns.t)
    seconds = (last - (first or 0)) * pieces.tick
    lines = [f"{path}: {pieces.format}, {_size(path)}", f"sensor {width} x {height}"]
    if n:
        lines += [_rates(n, seconds, width * height, int((seen > 0).sum())),
                  f"{100 * on / n:.1f} % brighter; from {first * pieces.tick:.6f} to {last * pieces.tick:.6f} s"]
    else:
        lines.append("no events")
    lines += [f"SKIPPED: {count:,} x {what}" for what, count in pieces.problems.counts.items()]
    if not kept:
        return Description("\n".join(lines))
    t, x, y, p = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    events = Events(t, x=x, y=y, p=p, shape=(2, height, width), tick=pieces.tick)
    return Description("\n".join([*lines, _table(events)]), events)


def _of_listing(path, what, listing, recording, sizes=None):
    """A file of many recordings."""
    n = len(listing.items)
    if not n:
        return Description(f"{path}: {what}, {_size(path)}\nno recordings")
    if not 0 <= recording < n:
        raise ValueError(f"{path} has the recordings 0 to {n - 1}; got {recording}")
    events = listing.items[recording].read()
    labels = np.array([item.label for item in listing.items])
    groups = sorted({item.group for item in listing.items} - {""})
    shape = f"{listing.shape[0]} units" if len(listing.shape) == 1 else f"{listing.shape[2]} x {listing.shape[1]} pixels"
    lines = [f"{path}: {what}, {_size(path)}", f"{listing.name}: {n:,} recordings of {shape}; {listing.source}"]
    if len(listing.classes):
        names = ", ".join(f"{name} {(labels == i).sum()}" for i, name in enumerate(listing.classes))
        lines.append(f"{len(listing.classes)} classes: {names}")
    if groups:
        lines.append(f"{len(groups)} groups: {', '.join(groups[:12])}{' ...' * (len(groups) > 12)}")
    if sizes is not None:
        lines.append(f"{sizes.sum():,} events, {sizes.min():,} to {sizes.max():,} in a recording")
    item = listing.items[recording]
    lines += [f"recording {recording} ({item.name}, label {item.label}): "
              + _rates(events.n_events, float(events.durations[0]), events.n_units, len(np.unique(events.unit))), _table(events)]
    return Description("\n".join(lines), events)


def _recordings(path, format=None, recording=0):
    import h5py

    from ..datasets.converted import listing
    with h5py.File(path, "r") as file:
        sizes = np.diff(file["offsets"][()]) if "offsets" in file else None
    return _of_listing(path, "recordings that numsnn converted", listing(path), recording, sizes)


def _saved(path, format=None, recording=0):
    from ..datasets.saved import load
    data = load(path)
    batch = next(data.select(slice(0, 64)).batches(64))
    x = batch.x
    what = f"spikes, {x.rate:.4f} per unit and step in the first {x.shape[1]}" if isinstance(x, Spikes) else f"values, {x.min():.4g} to {x.max():.4g}"
    lines = [f"{path}: data set that numsnn saved, {_size(path)}", f"{data}; {data.source}", what]
    if data.y.ndim == 1 and data.classes:
        lines.append(f"{len(data.classes)} classes: " + ", ".join(f"{name} {(data.y == i).sum()}" for i, name in enumerate(data.classes)))
    return Description("\n".join(lines))


def _shd(path, format=None, recording=0, **options):
    from ..datasets.shd import layout
    return _of_listing(path, "SHD layout", layout(path, **{"strict": False, **options}), recording)


# ---- other kinds


def _checkpoint(path, format=None, recording=0):
    from ..files.checkpoint import describe as facts_of, load
    facts = facts_of(path)
    net = load(path, device="reference")
    lines = [f"{path}: {_size(path)}, written by numsnn {facts['numsnn_version']}", "", str(net.summary())]
    training = facts["training"]
    if training:
        history = training.get("history", [])
        optimizer = training["optimizer"]
        lines += ["", f"training of recipe {training.get('recipe', '(none)')}: epoch {training['epoch'] + 1} done, seed {training['seed']}",
                  f"{optimizer['optimizer']}, learning rate {optimizer['lr']}"]
        if history:
            lines.append("last epoch: " + ", ".join(f"{k} {v:.4g}" for k, v in history[-1].items()))
    return Description("\n".join(lines))


def _idx(path, format=None, recording=0):
    from ..formats.idx import read
    a = read(path)
    lines = [f"{path}: IDX, {_size(path)}", f"{a.dtype} of shape {a.shape}, from {a.min() if a.size else '-'} to {a.max() if a.size else '-'}"]
    if a.ndim == 1 and a.size and a.dtype == np.uint8 and a.max() < 100:
        lines.append("labels: " + ", ".join(f"{label} {count}" for label, count in enumerate(np.bincount(a))))
    return Description("\n".join(lines))


def _wav(path, format=None, recording=0):
    from ..formats.wav import read
    sound = read(path)
    signal = np.asarray(sound.signal)
    return Description(f"{path}: WAV, {_size(path)}\n{len(signal) / sound.rate:.4f} s at {sound.rate:,} Hz, "
                       f"peak {np.abs(signal).max(initial=0):.4f}, RMS {np.sqrt((signal.astype(np.float64) ** 2).mean()) if signal.size else 0:.4f}")


def _record(path, format=None, recording=0):
    from ..formats.wfdb import read
    record = read(path.parent, path.stem, strict=False)
    head, physical = record.header, record.physical()
    lines = [f"{path}: WFDB record {head.name}", f"{len(record.adc):,} samples at {head.rate:g} Hz, {len(record.adc) / head.rate:.1f} s"]
    lines += [f"{s.description or s.file}: format {s.format}, {np.nanmin(x):.3f} to {np.nanmax(x):.3f} {s.units}"
              for s, x in zip(head.signals, physical.T, strict=True) if len(x)]
    return Description("\n".join([*lines, *(f"SKIPPED: {n:,} x {what}" for what, n in record.problems.items())]))


def _babi(path, format=None, recording=0):
    from ..formats.babi import read
    stories, problems = read(path, strict=False)
    answers = {q.answer for story in stories for q in story.questions}
    questions = sum(len(story.questions) for story in stories)
    lines = [f"{path}: bAbI, {_size(path)}", f"{len(stories):,} stories, {questions:,} questions, {len(answers)} different answers"]
    if stories:
        lines += ["first story", *(line.text for line in stories[0].statements)]
    return Description("\n".join([*lines, *(f"SKIPPED: {n:,} x {what}" for what, n in problems.items())]))


def _mat(path, format=None, recording=0):
    from scipy.io import whosmat
    try:
        found = whosmat(path)
    except Exception as error:          # scipy raises many kinds for damaged files
        raise FormatError(path, f"cannot be read as a MATLAB file ({type(error).__name__}: {error})") from error
    return Description("\n".join([f"{path}: MATLAB, {_size(path)}", *(f"{name}: {kind} {shape}" for name, shape, kind in found)]))


def _hdf5(path, format=None, recording=0):
    import h5py
    lines = [f"{path}: HDF5 that no reader here knows, {_size(path)}"]

    def visit(name, thing):
        if isinstance(thing, h5py.Dataset) and len(lines) < 50:
            lines.append(f"{name}: {thing.dtype} {thing.shape}")
    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)
    except (OSError, RuntimeError) as error:
        raise FormatError(path, f"damaged HDF5 data: {error}") from error
    return Description("\n".join(lines))
