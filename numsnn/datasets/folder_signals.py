"""Signals in a folder, sound or tables: sequences (T, N) of float32, read when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..formats.problems import FormatError
from ..formats.signal_files import Signals, read_signals
from ..signals.integers import whole
from .dataset import Dataset, Sequences
from .folder import Files


class SignalFiles(Sequences):
    """The sequences of some files.

    read(i) -> Signals of file i; prepare: Signals -> (T, N); augment: (Signals, rng) -> Signals, in training.
    steps: the most that are kept of each.
    """

    def __init__(self, files: Files, read: Callable[[int], Signals], steps: int | None = None,
                 prepare: Callable[[Signals], np.ndarray] | None = None,
                 augment: Callable[[Signals, np.random.Generator], Signals] | None = None):
        self.files = files
        self.read = read
        self.steps = steps
        self.prepare = prepare
        self.augment = augment
        self.draws = augment is not None
        self.units = self._sequence(self.read(0), 0).shape[1]

    def __len__(self) -> int:
        return len(self.files.names)

    def fetch(self, samples: np.ndarray,
              rng: np.random.Generator | None = None) -> tuple[np.ndarray, np.ndarray | None]:
        """(x (T, B, units) float32, padded with zeros; lengths (B,), or None where all are equal)."""
        sequences = []
        for i in map(int, samples):
            signals = self.read(i)
            if self.augment is not None and rng is not None:
                signals = self.augment(signals, rng)
            sequences.append(self._sequence(signals, i))
        lengths = np.array([len(s) for s in sequences], np.int64)
        x = np.zeros((int(lengths.max(initial=1)), len(sequences), self.units), np.float32)
        for b, sequence in enumerate(sequences):
            if sequence.shape[1] != self.units:
                first = self.files.names[0]
                raise self._error(int(samples[b]), f"{sequence.shape[1]} features; {first} has {self.units}")
            x[:len(sequence), b] = sequence
        return x, None if (lengths == len(x)).all() else lengths

    def _sequence(self, signals, i) -> np.ndarray:
        values = signals.values if self.prepare is None else np.asarray(self.prepare(signals))
        if values.ndim != 2 or not values.size or values.dtype.kind not in "biuf":
            raise self._error(i, f"expected a sequence (T, N) of numbers; "
                                 f"got {values.dtype} of shape {values.shape}")
        with np.errstate(over="ignore"):
            kept = values[:self.steps].astype(np.float32)
        if not np.isfinite(kept).all():
            raise self._error(i, "the sequence holds values that are not finite in float32")
        return kept

    def _error(self, i, problem):
        return FormatError(self.files.place(i), problem)


def dataset(files: Files, columns: Any = None, *, steps: int | None = None, duration: float | None = None,
            prepare: Callable | None = None, augment: Callable | None = None, memory: bool = False,
            **options: Any) -> Dataset:
    """The files as a data set; see `folder.from_folder`."""
    steps = None if steps is None else whole("steps", steps, 1)
    if duration is not None and not 0 < duration < math.inf:
        raise ValueError(f"duration must be positive seconds; got {duration!r}")
    chosen = None if isinstance(columns, str) and columns == "all" else columns
    first = read_signals(files.place(0), chosen, **options)
    if duration is not None and first.rate is None:
        raise ValueError(f"{files.place(0)} does not say how many samples a second has; give steps= "
                         f"in place of duration=")

    def read(i):
        signals = read_signals(files.place(i), chosen, **options)
        _check_alike(files, i, signals, first)
        if duration is None:
            return signals
        most = math.ceil(duration * signals.rate - 1e-9)
        return signals._replace(values=signals.values[:most])

    if memory:
        kept = [read(i) for i in range(len(files.names))]
        read = kept.__getitem__
    sequences = SignalFiles(files, read, steps, prepare, augment)
    groups = files.groups if any(files.groups) else None
    return Dataset(sequences, files.labels, groups=groups, classes=files.classes, name=files.title,
                   source=files.source)


def _check_alike(files, i, signals, first):
    """Refuse a file of other columns or of another rate than the first one."""
    where = files.names[0]
    if signals.names != first.names:
        problem = f"columns {', '.join(signals.names)}; {where} has {', '.join(first.names)}"
        raise FormatError(files.place(i), problem, remedy="name the columns, columns=[...]")
    if signals.rate != first.rate:
        raise FormatError(files.place(i), f"{signals.rate:,} samples per second, {where} has "
                                          f"{first.rate:,}", remedy="resample all: rate=..., resample=True")
