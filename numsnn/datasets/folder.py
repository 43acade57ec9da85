"""A data set of the files of a folder, or of a zip archive: events, sound, or tables of signals.

    Dataset.from_folder("recordings", "{label}/*.aedat4", dt=10e-3)
    Dataset.from_folder("words.zip", "{label}/{group}_*.wav", prepare=features)
    Dataset.from_folder("walks", "{group}_{label}.csv", columns=["ax [g]", "ay [g]"])

A pattern says where in a file's path the label stands, and where the group (the speaker, the user), if it
does: {label} and {group} take as few characters as they can, and no "/"; "*" stands for any characters but
"/", "**" for any folders, "?" for one character.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ..formats.piecewise import File, names, natural
from .dataset import Dataset
from .recordings import Bins, Framing

EVERYTHING = "{label}/*"            # each class in a folder of its own
SIGNALS = (".wav", ".npy", ".mat")  # files that hold no events
SAME = {".hdf5": ".h5", ".txt": ".csv"}
PART = re.compile(r"(\{[^{}]*\}|\*\*/|\*\*|\*|\?)")
WILD = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
ENDS = 1 << 12                      # bytes at both ends that are compared before whole files are


class Files(NamedTuple):
    """What a pattern found, in natural order (2 before 10)."""
    path: Path
    pattern: str
    names: list[str]
    labels: list[int]
    groups: list[str]               # "" where the pattern has none
    classes: tuple[str, ...]
    suffix: str

    def place(self, i: int) -> Path:
        """Where file i lies."""
        return self.path / self.names[i]

    @property
    def title(self) -> str:
        """What the data set is called."""
        return self.path.name or str(self.path.resolve().name)

    @property
    def source(self) -> str:
        """What reports say."""
        return f"{len(self.names):,} files {self.pattern} of {self.title}"


def find(path: Path | str, pattern: str = EVERYTHING, *, classes: Sequence[str] | None = None,
         duplicates: bool = False) -> Files:
    """The files of a folder or archive that match a pattern, with their labels.

    classes: names of all classes, in the order in which labels count; None: the labels found, sorted.
    duplicates: whether files with the same bytes are taken, too.
    """
    path = Path(path)
    expression = _expression(pattern)
    there = names(path)
    found = [(name, match) for name in there if (match := expression.fullmatch(name))]
    if not found:
        kinds = _counted(there) or "no files"
        example = f", such as {there[0]}" if there else ""
        raise FileNotFoundError(f"no file below {path} matches the pattern {pattern!r}; "
                                f"there are {kinds}{example}")
    files = [name for name, _ in found]
    known = _classes([(name, match["label"]) for name, match in found], classes)
    suffixes = {SAME.get(suffix, suffix) for suffix in map(_suffix, files)}
    if len(suffixes) > 1:
        raise ValueError(f"the pattern {pattern!r} matches files of several formats below {path}: "
                         f"{_counted(files)}; narrow it, such as '{{label}}/*{_suffix(files[0])}'")
    if not duplicates:
        _refuse_duplicates(path, files)
    groups = [match["group"] if "group" in expression.groupindex else "" for _, match in found]
    labels = [known.index(match["label"]) for _, match in found]
    return Files(path, pattern, files, labels, groups, known, suffixes.pop())


def _expression(pattern) -> re.Pattern:
    """The regular expression of a pattern."""
    parts = []
    seen: set[str] = set()
    for part in PART.split(pattern):
        if part.startswith("{"):
            name = part[1:-1]
            if name not in ("label", "group"):
                raise ValueError(f"a pattern has {{label}} and {{group}}; got {part} in {pattern!r}")
            part = f"(?P={name})" if name in seen else f"(?P<{name}>[^/]+?)"
            seen.add(name)
        else:
            part = WILD.get(part) or re.escape(part)
        parts.append(part)
    if "label" not in seen:
        raise ValueError(f"the pattern {pattern!r} does not say where the label stands; "
                         f"put {{label}} there, such as {EVERYTHING!r}")
    return re.compile("".join(parts))


def _suffix(name):
    return PurePosixPath(name).suffix.lower()


def _counted(files) -> str:
    """3 .csv, 2 .wav"""
    counts = Counter(_suffix(name) or "without a suffix" for name in files)
    return ", ".join(f"{n:,} {suffix}" for suffix, n in counts.most_common(8))


def _classes(labels, classes) -> tuple[str, ...]:
    if classes is None:
        return tuple(sorted({label for _, label in labels}, key=natural))
    known = tuple(classes)
    if isinstance(classes, str) or len(set(known)) < len(known):
        raise ValueError(f"classes must be different names; got {classes!r}")
    for name, label in labels:
        if label not in known:
            raise ValueError(f"{name} has the label {label!r}, which is none of the classes "
                             f"{', '.join(map(str, known))}")
    return known


def _refuse_duplicates(path: Path, files: list[str]) -> None:
    """Recordings that are there twice would be trained on and tested on."""
    alike = [files]
    for of_file in (lambda file: file.size(), partial(_digest, most=ENDS), _digest):
        groups: dict[Any, list[str]] = {}
        for number, some in enumerate(alike):
            for name in some:
                groups.setdefault((number, of_file(File(path / name))), []).append(name)
        alike = [some for some in groups.values() if len(some) > 1]
    if alike:
        first, second, *_ = alike[0]
        raise ValueError(f"{first} and {second} below {path} hold the same bytes ({len(alike)} such cases); "
                         f"leave one of each, or keep all with duplicates=True")


def _digest(file, most=None) -> bytes:
    """A digest of a file, or of its first and last `most` bytes."""
    digest = hashlib.blake2b(digest_size=16)
    with file.open() as opened:
        if most is not None:
            digest.update(opened.read(most))
            if file.member is None and file.size() > most:
                opened.seek(-most, 2)
                digest.update(opened.read(most))
            return digest.digest()
        while piece := opened.read(1 << 20):
            digest.update(piece)
    return digest.digest()


def holds_signals(files: Files, format: str | None = None, columns: Any = None) -> bool:
    """Whether the files are signals rather than events."""
    if columns is not None and format is not None:
        raise ValueError("columns= is for signals, format= for events; give one of them")
    return columns is not None or files.suffix in SIGNALS and format is None


def _told(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def from_folder(path: Path | str, pattern: str = EVERYTHING, *, classes: Sequence[str] | None = None,
                duplicates: bool = False, columns: Any = None, format: str | None = None,
                shape: Sequence[int] | None = None, duration: float | None = None, from_zero: bool = True,
                frame: Framing | None = None, dt: float | None = None, n: int | None = None,
                per_step: int | None = None, steps: int | None = None, counts: bool = False,
                by: str = "time", prepare: Callable | None = None, augment: Callable | None = None,
                memory: bool = False, **options: Any) -> Dataset:
    """The files of a folder or zip archive as a data set; nothing is read before it is needed.

    pattern: where label and group stand in a file's path, see the module.
    classes: names of the classes, those of the training part for instance; None: the labels found, sorted.
    duplicates: take files that hold the same bytes; otherwise they are refused.
    columns: the files are tables of signals, of which these columns are read, see `formats.read_signals`, or
    "all".  WAV, NPY and MATLAB files are signals in any case, all others events.

    Events.  format: a name of `formats.FORMATS`; None: what the files say.  shape: (2, H, W), into which
    recordings of that size and smaller ones go; None: the sensor of all files, if it is one.
    from_zero: each recording begins at its first event.  duration: seconds, what comes later is left out.
    dt, n, per_step, steps, counts, by: how events become steps, as `Bins` has them; steps of 10 ms if
    nothing is said.  frame: something else that makes steps of events.
    prepare: Events -> Events before that; augment: (Events, rng) -> Events before that, in training only.

    Signals.  Sequences (T, N) float32, as long as they are.  steps, duration (where files say their rate):
    what comes later is left out.  prepare: `formats.Signals` -> array (T, N), such as
    lambda s: ns.audio.log_mel(s.values[:, 0], s.rate); augment: (Signals, rng) -> Signals.

    memory: read everything now and keep it.
    options: of `formats.read` (strict, flip_x ...) or of `formats.read_signals` (time, fill, delimiter ...).
    """
    from . import folder_events, folder_signals
    files = find(path, pattern, classes=classes, duplicates=duplicates)
    cut = _told(dt=dt, n=n, per_step=per_step)
    if holds_signals(files, format, columns):
        told = _told(**cut, shape=shape, frame=frame, counts=counts or None)
        if told:
            raise ValueError(f"{', '.join(told)}: for events only; the files {pattern} below {path} are "
                             f"signals")
        return folder_signals.dataset(files, columns, steps=steps, duration=duration, prepare=prepare,
                                      augment=augment, memory=memory, **options)
    found = folder_events.listing(files, format, shape=shape, duration=duration, from_zero=from_zero,
                                  **options)
    if frame is None:
        cut = cut or {"dt": 10e-3}
        if steps is None and cut.get("dt", 0) > 0 and duration is not None:
            steps = math.ceil(duration / cut["dt"] - 1e-9)
        frame = Bins(**cut, steps=steps, counts=counts, by=by)
    elif cut or steps is not None or counts:
        raise ValueError("frame= makes the steps; leave dt, n, per_step, steps and counts out")
    return found.dataset(frame, prepare=prepare, augment=augment, memory=memory)
