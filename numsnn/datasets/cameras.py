"""Data sets of event cameras: N-MNIST, MNIST-DVS, CIFAR10-DVS, DVS128 Gesture.

Each function gives a `Listing`: `.dataset(frame=...)` trains on it, `numsnn convert` writes it to one HDF5
file.  `path` is a folder, or a zip archive that is read as it is.  Nothing is downloaded.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path, PurePosixPath

from ..checked import checked
from ..formats import FormatError
from ..formats.piecewise import File, names
from ..formats.recordings import read
from ..signals.events import Events
from .listing import Item, Listing

DIGITS = tuple("0123456789")
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
GESTURES = (
    "hand clapping",
    "right hand wave",
    "left hand wave",
    "right arm clockwise",
    "right arm counter clockwise",
    "left arm clockwise",
    "left arm counter clockwise",
    "arm roll",
    "air drums",
    "air guitar",
    "other gestures",
)
CITATIONS = {
    "nmnist": "Orchard et al., Converting Static Image Datasets to Spiking Neuromorphic Datasets Using "
              "Saccades, Front. Neurosci. 9:437 (2015)",
    "mnist_dvs": "Serrano-Gotarredona, Linares-Barranco, Poker-DVS and MNIST-DVS, "
                 "Front. Neurosci. 9:481 (2015)",
    "cifar10_dvs": "Li et al., CIFAR10-DVS: An Event-Stream Dataset for Object Classification, "
                   "Front. Neurosci. 11:309 (2017)",
    "dvs128_gesture": "Amir et al., A Low Power, Fully Event-Based Gesture Recognition System, CVPR 2017",
}
TICK = 1e-6                 # of the times of all four


def _part(part, parts=("train", "test")):
    if part not in parts:
        raise ValueError(f"part must be one of {', '.join(map(repr, parts))}; got {part!r}")


def _later(path, format, **options):
    """Read a file when it is asked for."""
    return lambda: read(path, format, **options)


@checked
def nmnist(path: Path | str, part: str = "train", *, first_saccade: bool = False,
           strict: bool = True) -> Listing:
    """N-MNIST: 34 x 34 pixels, two polarities, 60 000 and 10 000 recordings.

    They last about 300 ms (three saccades of 105 ms).

    path: a folder or archive with Train/0 ... 9/*.bin and Test/..., or one with labels.csv (file, label,
    split).
    first_saccade: only the first 100 ms.
    """
    _part(part)
    path = Path(path)
    found = names(path)
    if "labels.csv" in found:
        rows = _table(path / "labels.csv", ("file", "label", "split"))
        chosen = [(row["file"], row["label"]) for row in rows if row["split"] == part]
    else:
        chosen = _below(found, {"train": "Train", "test": "Test"}[part])
    items = []
    for name, label in chosen:
        if label not in DIGITS:
            raise FormatError(path, f"{name} has the label {label!r}, expected a digit")
        format = "bs2" if name.endswith(".bs2") else "bin"
        load = _later(path / name, format, sensor=(34, 34), strict=strict)
        items.append(Item(name, int(label), "", _cut(load, 0, 0.1) if first_saccade else load))
    listing = Listing(f"N-MNIST, {part}", CITATIONS["nmnist"], (2, 34, 34), TICK, DIGITS, items)
    return _found(path, listing, "Train/0 ... 9/*.bin and Test/0 ... 9/*.bin")


def _below(found, folder):
    """(name, label) of the files FOLDER/LABEL/*.bin."""
    chosen = []
    for name in found:
        parts = PurePosixPath(name).parts
        if name.endswith(".bin") and len(parts) > 2 and parts[-3] == folder:
            chosen.append((name, parts[-2]))
    return chosen


def _cut(load, first, last):
    return lambda: load().slice(first, last, from_zero=False)


def _table(path, columns):
    """Rows of a CSV file as dicts; it must have the given columns."""
    with File(path).open() as file:
        rows = list(csv.DictReader(io.StringIO(file.read().decode("utf-8", "replace"))))
    has_columns = bool(rows) and set(columns) <= set(rows[0])
    if not has_columns or any(row[c] is None for row in rows for c in columns):
        got = ", ".join(map(str, rows[0])) if rows else "nothing"
        raise FormatError(path, f"expected a table with the columns {', '.join(columns)}; got {got}")
    return rows


def _found(path, listing, expected):
    if not listing.items:
        raise FileNotFoundError(f"{path} holds no recordings of {listing.name}; expected {expected}. "
                                f"data/README.md says where to get it")
    return listing


def _by_class(path, suffix, classes, wanted=lambda parts: True):
    """name -> class of the files below a folder named like a class."""
    chosen = {}
    for name in names(path):
        parts = PurePosixPath(name).parts
        label = next((p for p in parts[:-1] if p in classes), None)
        if name.endswith(suffix) and label is not None and wanted(parts):
            chosen[name] = classes.index(label)
    return chosen


def _shares(chosen, part, share):
    """The first `share` of each class for training, the rest for testing (there is no official split)."""
    _part(part, ("train", "test", "all"))
    if not 0 < share < 1:
        raise ValueError(f"share must be between 0 and 1; got {share}")
    kept = {}
    for label in sorted(set(chosen.values())):
        of_class = [name for name, other in chosen.items() if other == label]
        cut = round(share * len(of_class))
        kept |= dict.fromkeys({"train": of_class[:cut], "test": of_class[cut:], "all": of_class}[part], label)
    return kept


@checked
def mnist_dvs(path: Path | str, part: str = "train", *, scale: int = 16, share: float = 0.8,
              strict: bool = True, **orientation: bool) -> Listing:
    """MNIST-DVS: 128 x 128 pixels, moving digits filmed from a screen, AEDAT 2.0.

    There are 1000 recordings of 2 s for each digit and scale.

    path: a folder or archive with 0 ... 9/scale04 (or scale4), scale08, scale16/*.aedat.  scale: 4, 8 or 16.
    share: of each class for training (the set has no official split).
    orientation: swap, flip_x, flip_y, flip_polarity; as in the file.
    """
    if scale not in (4, 8, 16):
        raise ValueError(f"scale must be 4, 8 or 16; got {scale}")
    wanted = {f"scale{scale}", f"scale{scale:02d}"}
    of_scale = _by_class(path, ".aedat", DIGITS, lambda parts: bool(wanted & set(parts)))
    items = _aedat2(path, _shares(of_scale, part, share), strict=strict, **orientation)
    name = f"MNIST-DVS scale {scale}, {part}"
    listing = Listing(name, CITATIONS["mnist_dvs"], (2, 128, 128), TICK, DIGITS, items)
    return _found(path, listing, f"0 ... 9/scale{scale:02d}/*.aedat")


def _aedat2(path, chosen, **options):
    """The recordings of name -> class."""
    return [Item(name, label, "", _later(Path(path) / name, "aedat2", **options))
            for name, label in chosen.items()]


@checked
def cifar10_dvs(path: Path | str, part: str = "train", *, share: float = 0.9, strict: bool = True,
                swap: bool = True, flip_x: bool = True, flip_y: bool = True,
                flip_polarity: bool = True) -> Listing:
    """CIFAR10-DVS: 128 x 128 pixels, 1000 recordings of each class, AEDAT 2.0.

    path: a folder with airplane ... truck/*.aedat.
    share: the first of each class for training (there is no official split; 0.9 is the custom).
    swap, flip_*: the defaults show the pictures upright, as SpikingJelly does.
    """
    chosen = _shares(_by_class(path, ".aedat", CIFAR10), part, share)
    items = _aedat2(path, chosen, strict=strict, swap=swap, flip_x=flip_x, flip_y=flip_y,
                    flip_polarity=flip_polarity)
    listing = Listing(f"CIFAR10-DVS, {part}", CITATIONS["cifar10_dvs"], (2, 128, 128), TICK, CIFAR10, items)
    return _found(path, listing, "airplane ... truck/*.aedat")


@checked
def dvs128_gesture(path: Path | str, part: str = "train", *, strict: bool = True) -> Listing:
    """DVS128 Gesture: 128 x 128 pixels, 29 people, 11 gestures, AEDAT 3.1.

    The files are cut by the start and end times of the label files.

    path: the unpacked folder: userNN_LIGHT.aedat, userNN_LIGHT_labels.csv (class, startTime_usec,
    endTime_usec), trials_to_train.txt, trials_to_test.txt.  Times begin at 0 in each cut.  A file is decoded
    again for each recording that is read; for training convert first.
    """
    _part(part)
    path = Path(path)
    list_of_trials = path / f"trials_to_{part}.txt"
    if not list_of_trials.is_file():
        raise FileNotFoundError(f"no file {list_of_trials}; expected the unpacked DvsGesture folder. "
                                f"data/README.md says where to get it")
    items: list[Item] = []
    last: dict[Path, Events] = {}
    for trial in list_of_trials.read_text().split():
        items += _of_trial(path, trial, strict, last)
    name = f"DVS128 Gesture, {part}"
    listing = Listing(name, CITATIONS["dvs128_gesture"], (2, 128, 128), TICK, GESTURES, items)
    return _found(path, listing, "userNN_LIGHT.aedat")


def _of_trial(path, trial, strict, last):
    """The recordings that are cut out of one file; last: see `_gesture`."""
    stem = Path(trial).stem
    user = trial.split("_")[0]
    table = path / f"{stem}_labels.csv"
    columns = ("class", "startTime_usec", "endTime_usec")
    items = []
    for line, row in enumerate(_table(table, columns), 2):
        try:
            label, first, end = (int(row[c]) for c in columns)
        except ValueError:
            raise FormatError(table, f"expected three integers; got {dict(row)}", f"line {line}") from None
        if not 1 <= label <= len(GESTURES) or first >= end:
            expected = "expected a class from 1 to 11 and a start before the end"
            raise FormatError(table, f"class {label} from {first} to {end}: {expected}", f"line {line}")
        load = _gesture(path / trial, first * 1e-6, end * 1e-6, strict, last)
        items.append(Item(f"{stem}/{line - 1}", label - 1, user, load))
    return items


def _gesture(path, first, end, strict, last):
    """The events of one label; the file read last is kept, because its labels follow one another."""
    def load():
        events = last.get(path)
        if events is None:
            events = read(path, "aedat3", strict=strict)
            last.clear()
            last[path] = events
        return events.slice(first, end)
    return load


LISTINGS = {
    "nmnist": nmnist,
    "mnist-dvs": mnist_dvs,
    "cifar10-dvs": cifar10_dvs,
    "dvs128-gesture": dvs128_gesture,
}
