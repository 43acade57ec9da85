"""`Dataset`: sequences with labels, in memory or read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..devices import threads
from ..signals.spikes import Spikes
from . import saving


class Batch(NamedTuple):
    x: Spikes | np.ndarray          # (T, B, N)
    y: np.ndarray                   # (B,) or (T, B)
    lengths: np.ndarray | None      # (B,)
    mask: np.ndarray | None         # (T, B) steps that count
    samples: np.ndarray             # (B,) which samples of the set these are


class Sequences:
    """Sequences that are read when they are asked for: what a lazy data set is made on.

    units: features of a sequence.  `len` is the number of sequences; `fetch` reads some of them.
    """

    units: int

    def __len__(self) -> int:
        raise TypeError(f"{type(self).__name__} must say how many sequences it has")

    def fetch(self, samples: np.ndarray, rng: np.random.Generator | None = None) -> tuple:
        """(x (T, B, units), lengths (B,) or None) of the given samples; rng: for augmentation, None outside training."""
        raise TypeError(f"{type(self).__name__} must say how sequences are read")


class _Part(NamedTuple):
    """Some of the sequences of a lazy data set."""
    sequences: Sequences
    samples: np.ndarray

    @property
    def shape(self):
        return None, len(self.samples), self.sequences.units

    def select(self, pick):
        return _Part(self.sequences, self.samples[pick])

    def fetch(self, rng=None):
        return self.sequences.fetch(self.samples, rng)


class Dataset:
    """Sequences x (T, B, N), an array or Spikes, with labels y: (B,) one for each sequence, or (T, B) one for each step.

    x may also be `Sequences`, which are read when a batch is made; they have lengths of their own.
    lengths: (B,) valid steps of each sequence, or None.  mask: (T, B) steps that count in losses and metrics, or None for all.
    labelled: (T, B) steps that somebody labelled, or None; metrics over these only are reported beside the others.
    groups: (B,) who or what each sequence is from, such as the speaker, or None; see `hold_out`.
    by_length: shuffled batches are made of sequences of about the same length, so that little is padded; needs lengths.
    classes: names.  name, source: what it is and where it is from, for reports.
    """

    def __init__(self, x, y, *, lengths=None, mask=None, labelled=None, groups=None, classes: tuple = (), name: str = "", source: str = "",
                 by_length: bool = False):
        if isinstance(x, Sequences):
            x = _Part(x, np.arange(len(x)))
        if isinstance(x, _Part):
            if lengths is not None:
                raise ValueError(f"data set {name!r}: sequences that are read later have lengths of their own")
        elif not isinstance(x, Spikes):
            x = np.asarray(x)
            if x.ndim != 3:
                raise ValueError(f"a data set needs x of shape (T, B, N): time, samples, features; got shape {x.shape}")
            if np.issubdtype(x.dtype, np.floating) and not np.isfinite(x).all():
                t, b, n = np.argwhere(~np.isfinite(x))[0]
                raise ValueError(f"data set {name!r}: sample {b} is {x[t, b, n]} at step {t}, feature {n}; clean the data first")
        y = np.asarray(y)
        steps = (y.shape[0] if y.ndim == 2 else None) if isinstance(x, _Part) else x.shape[0]
        if y.shape not in ((x.shape[1],), (steps, x.shape[1])) or not np.issubdtype(y.dtype, np.integer):
            raise ValueError(f"data set {name!r}: expected integer labels of shape ({x.shape[1]},), or {(steps, x.shape[1])} for one "
                             f"per step; got {y.dtype} of shape {y.shape}")
        if lengths is not None and np.shape(lengths) != (x.shape[1],):
            raise ValueError(f"data set {name!r}: lengths must hold {x.shape[1]} numbers; got shape {np.shape(lengths)}")
        for what, a in (("mask", mask), ("labelled", labelled)):
            if a is not None and np.shape(a) != (steps, x.shape[1]):
                raise ValueError(f"data set {name!r}: {what} must have shape (T, B) = {(steps, x.shape[1])}; got {np.shape(a)}")
        if groups is not None and np.shape(groups) != (x.shape[1],):
            raise ValueError(f"data set {name!r}: groups must hold {x.shape[1]} values; got shape {np.shape(groups)}")
        self._x, self.y, self._lengths = x, y.astype(np.int64), None if lengths is None else np.asarray(lengths, np.int64)
        self.mask, self.labelled = (None if a is None else np.asarray(a, bool) for a in (mask, labelled))
        self.groups = None if groups is None else np.asarray(groups)
        self.classes, self.name, self.source = tuple(classes), name, source
        if by_length and self._lengths is None:
            raise ValueError(f"data set {name!r}: batches by length need the lengths of the sequences; give lengths=")
        self.by_length = by_length

    def __len__(self) -> int:
        return self._x.shape[1]

    @property
    def lazy(self) -> bool:
        """Whether sequences are read when a batch is made."""
        return isinstance(self._x, _Part)

    @property
    def x(self) -> Spikes | np.ndarray:
        """All sequences (T, B, N); of a lazy data set they are read now, each time."""
        return self._x.fetch()[0] if self.lazy else self._x

    @property
    def lengths(self) -> np.ndarray | None:
        """(B,) valid steps of each sequence, or None; of a lazy data set they are read now, each time (labels per step: always all)."""
        return self._lengths if not self.lazy or self.per_step else self._x.fetch()[1]

    @property
    def units(self) -> int:
        """Features of a sequence."""
        return self._x.shape[2]

    @property
    def per_step(self) -> bool:
        """Whether every step has a label."""
        return self.y.ndim == 2

    def select(self, samples) -> Dataset:
        """The given samples: indices, a slice or a mask."""
        pick = np.arange(len(self))[samples]
        part = lambda a: None if a is None else a[:, pick] if a.ndim == 2 else a[pick]
        x = self._x[:, pick] if isinstance(self._x, np.ndarray) else self._x.select(pick)
        return Dataset(x, part(self.y), lengths=part(self._lengths), mask=part(self.mask), labelled=part(self.labelled),
                       groups=part(self.groups), classes=self.classes, name=self.name, source=self.source, by_length=self.by_length)

    def __getitem__(self, samples) -> Dataset:
        """data[10:20], data[3], data[[1, 5, 2]]: the given samples as a data set."""
        return self.select(np.atleast_1d(samples) if not isinstance(samples, slice) else samples)

    def shuffled(self, seed: int) -> Dataset:
        """The same samples in another order, which the seed decides."""
        return self.select(np.random.default_rng([seed, len(self)]).permutation(len(self)))

    def split(self, fraction: float, seed: int = 0) -> tuple[Dataset, Dataset]:
        """(rest, held out): a random `fraction` of the samples is held out, at least one; the seed decides which."""
        n = round(fraction * len(self))
        if not 0 < fraction < 1 or not 0 < n < len(self):
            raise ValueError(f"data set {self.name!r} has {len(self)} samples; holding out {fraction!r} of them leaves a part empty")
        order = np.random.default_rng([seed, len(self)]).permutation(len(self))
        return self.select(np.sort(order[n:])), self.select(np.sort(order[:n]))

    def folds(self, n: int = 5, seed: int = 0) -> list[tuple[Dataset, Dataset]]:
        """n pairs (rest, held out) for cross-validation: every sample is held out once, and every class is spread evenly over the folds."""
        fold = stratified(np.zeros(len(self), int) if self.per_step else self.y, n, np.random.default_rng(seed))
        return [(self.select(fold != f), self.select(fold == f)) for f in range(n)]

    def hold_out(self, *groups) -> tuple[Dataset, Dataset]:
        """(rest, held out): the sequences of the given groups are held out, for instance those of some speakers."""
        if self.groups is None:
            raise ValueError(f"data set {self.name!r} does not say which group (speaker ...) its sequences are of; use split")
        held = np.isin(self.groups, groups)
        if not held.any() or held.all():
            raise ValueError(f"data set {self.name!r} has the groups {', '.join(map(str, np.unique(self.groups)[:30]))}; holding out "
                             f"{', '.join(map(str, groups)) or 'none'} leaves a part empty")
        return self.select(~held), self.select(held)

    def batches(self, size: int, rng: np.random.Generator | None = None, prefetch: int | None = None) -> Iterator[Batch]:
        """Batches of `size` samples (the last may be smaller), in the order of the set, or shuffled by rng; see by_length.

        prefetch: batches that a thread of its own reads ahead; None: two where sequences are read from files, else none.  The batches
        are the same with any number.  Padding beyond the longest sequence of a batch is cut off.
        """
        order = np.arange(len(self)) if rng is None else rng.permutation(len(self))
        if self.by_length and rng is not None:
            order = order[np.argsort(self._lengths[order], kind="stable")]
        picks = [order[first:first + size] for first in range(0, len(order), size)]
        if self.by_length and rng is not None:
            picks = [picks[i] for i in rng.permutation(len(picks))]
        seeds = None if rng is None or not self.lazy else rng.integers(1 << 62, size=len(picks))        # for augmentation
        made = (self._batch(pick, None if seeds is None else np.random.default_rng(seeds[i])) for i, pick in enumerate(picks))
        n = 2 * self.lazy if prefetch is None else prefetch
        return threads.ahead(made, n) if n else made

    def _batch(self, pick, rng):
        part = self.select(pick)
        x, lengths = part._x.fetch(rng) if self.lazy else (part._x, part._lengths)
        if self.per_step and x.shape[0] != len(part.y):
            raise ValueError(f"data set {self.name!r}: sequences of {x.shape[0]} steps were read, the labels have {len(part.y)}")
        if lengths is not None and not self.per_step:
            x = x[:max(int(lengths.max(initial=1)), 1)]
        return Batch(x, part.y, lengths, part.mask, pick)

    def save(self, path, options: dict | None = None) -> None:
        """Write the set to one HDF5 file, from which `numsnn.datasets.saved.load` trains without holding it in memory.

        options: what made it, kept in the file.
        """
        saving.save(self, path, options)

    def __repr__(self) -> str:
        steps = "" if self.lazy else f" of {self._x.shape[0]} steps"
        return f"Dataset({self.name!r}, {len(self)} sequences{steps}, {self.units} features, {len(self.classes)} classes)"


def stratified(labels: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """(B,) the fold, 0 to n - 1, of each sample, drawn so that every class is spread evenly over them."""
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or not 2 <= n <= len(labels):
        raise ValueError(f"the number of folds goes from 2 to the {len(labels)} samples; got {n!r}")
    fold = np.empty(len(labels), int)
    for c in np.unique(labels):
        of_class = rng.permutation(np.flatnonzero(labels == c))
        fold[of_class] = (np.arange(len(of_class)) + rng.integers(n)) % n
    return fold
