"""`Dataset`: sequences with labels, in memory or read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..devices import threads
from ..signals.integers import integers
from ..signals.spikes import Spikes
from . import saving

Samples = int | slice | Sequence[int] | Sequence[bool] | np.ndarray         # a choice of samples


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
        """(x (T, B, units), lengths (B,) or None) of the given samples.

        rng: for augmentation, None outside training.
        """
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


def _sequences(x, lengths, name) -> Spikes | np.ndarray | _Part:
    """x as a data set holds it; refused if it cannot be learned from."""
    if isinstance(x, Sequences):
        x = _Part(x, np.arange(len(x)))
    if isinstance(x, _Part):
        if lengths is not None:
            raise ValueError(f"data set {name!r}: sequences that are read later have lengths of their own")
        return x
    if isinstance(x, Spikes):
        return x
    x = np.asarray(x)
    if x.ndim != 3:
        raise ValueError(f"a data set needs x of shape (T, B, N): time, samples, features; "
                         f"got shape {x.shape}")
    if np.issubdtype(x.dtype, np.floating) and not np.isfinite(x).all():
        t, b, n = np.argwhere(~np.isfinite(x))[0]
        raise ValueError(f"data set {name!r}: sample {b} is {x[t, b, n]} at step {t}, feature {n}; "
                         f"clean the data first")
    return x


class Dataset:
    """Sequences with labels.

    x: (T, B, N), an array or Spikes; or `Sequences`, which are read when a batch is made and have lengths of
    their own.
    y: (B,) a label for each sequence, or (T, B) one for each step.
    lengths: (B,) valid steps of each sequence, or None.
    mask: (T, B) steps that count in losses and metrics, or None for all.
    labelled: (T, B) steps that somebody labelled, or None; metrics over these only are reported beside the
    others.
    groups: (B,) who or what each sequence is from, such as the speaker, or None; see `hold_out`.
    by_length: shuffled batches are made of sequences of about the same length, so that little is padded;
    needs lengths.
    classes: names.  name, source: what it is and where it is from, for reports.
    """

    def __init__(self, x: Spikes | Sequences | ArrayLike, y: ArrayLike, *, lengths: ArrayLike | None = None,
                 mask: ArrayLike | None = None, labelled: ArrayLike | None = None,
                 groups: ArrayLike | None = None, classes: Iterable[str] = (), name: str = "",
                 source: str = "", by_length: bool = False):
        self._x = _sequences(x, lengths, name)
        y = np.asarray(y)
        n = self._x.shape[1]
        steps = self._x.shape[0]
        if isinstance(self._x, _Part) and y.ndim == 2:
            steps = y.shape[0]
        if y.shape not in ((n,), (steps, n)) or not np.issubdtype(y.dtype, np.integer):
            raise ValueError(f"data set {name!r}: expected integer labels of shape ({n},), or {(steps, n)} "
                             f"for one per step; got {y.dtype} of shape {y.shape}")
        if lengths is not None and np.shape(lengths) != (n,):
            raise ValueError(f"data set {name!r}: lengths must hold {n} numbers; "
                             f"got shape {np.shape(lengths)}")
        for what, a in (("mask", mask), ("labelled", labelled)):
            if a is not None and np.shape(a) != (steps, n):
                raise ValueError(f"data set {name!r}: {what} must have shape (T, B) = {(steps, n)}; "
                                 f"got {np.shape(a)}")
        if groups is not None and np.shape(groups) != (n,):
            raise ValueError(f"data set {name!r}: groups must hold {n} values; "
                             f"got shape {np.shape(groups)}")
        self.y = integers(f"data set {name!r}: labels", y)
        self._lengths = None if lengths is None else integers(f"data set {name!r}: lengths", lengths)
        self.mask = None if mask is None else np.asarray(mask, bool)
        self.labelled = None if labelled is None else np.asarray(labelled, bool)
        self.groups = None if groups is None else np.asarray(groups)
        self.classes = tuple(classes)
        self.name = name
        self.source = source
        if by_length and self._lengths is None:
            raise ValueError(f"data set {name!r}: batches by length need the lengths of the sequences; "
                             f"give lengths=")
        self.by_length = by_length

    @classmethod
    def from_folder(cls, path: Path | str, pattern: str = "{label}/*", **options: Any) -> Dataset:
        """The files of a folder or zip archive: events of every format, sound, tables of signals.

        Dataset.from_folder("recordings", "{label}/*.aedat4", dt=10e-3)
        Dataset.from_folder("walks", "{group}_{label}.csv", columns=["ax [g]", "ay [g]"])

        Nothing is read before it is needed.  pattern: where in a file's path the label (and the group) stand.
        options: see `numsnn.datasets.folder.from_folder`.
        """
        from .folder import from_folder
        return from_folder(path, pattern, **options)

    def __len__(self) -> int:
        return self._x.shape[1]

    @property
    def lazy(self) -> bool:
        """Whether sequences are read when a batch is made."""
        return isinstance(self._x, _Part)

    @property
    def x(self) -> Spikes | np.ndarray:
        """All sequences (T, B, N); of a lazy data set they are read now, each time."""
        return self._x.fetch()[0] if isinstance(self._x, _Part) else self._x

    @property
    def lengths(self) -> np.ndarray | None:
        """(B,) valid steps of each sequence, or None.

        Of a lazy data set they are read now, each time; with a label for every step all steps are valid.
        """
        if isinstance(self._x, _Part) and not self.per_step:
            return self._x.fetch()[1]
        return self._lengths

    @property
    def units(self) -> int:
        """Features of a sequence."""
        return self._x.shape[2]

    @property
    def per_step(self) -> bool:
        """Whether every step has a label."""
        return self.y.ndim == 2

    def select(self, samples: Samples) -> Dataset:
        """The given samples: indices, a slice or a mask."""
        pick = np.arange(len(self))[samples]
        x = self._x[:, pick] if isinstance(self._x, np.ndarray) else self._x.select(pick)
        return Dataset(x, _chosen(self.y, pick), lengths=_chosen(self._lengths, pick),
                       mask=_chosen(self.mask, pick), labelled=_chosen(self.labelled, pick),
                       groups=_chosen(self.groups, pick), classes=self.classes, name=self.name,
                       source=self.source, by_length=self.by_length)

    def __getitem__(self, samples: Samples) -> Dataset:
        """data[10:20], data[3], data[[1, 5, 2]]: the given samples as a data set."""
        return self.select(samples if isinstance(samples, slice) else np.atleast_1d(samples))

    def shuffled(self, seed: int) -> Dataset:
        """The same samples in another order, which the seed decides."""
        return self.select(np.random.default_rng([seed, len(self)]).permutation(len(self)))

    def split(self, fraction: float, seed: int = 0) -> tuple[Dataset, Dataset]:
        """(rest, held out): a random `fraction` of the samples, at least one; the seed decides which."""
        n = round(fraction * len(self))
        if not 0 < fraction < 1 or not 0 < n < len(self):
            raise ValueError(f"data set {self.name!r} has {len(self)} samples; holding out {fraction!r} of "
                             f"them leaves a part empty")
        order = np.random.default_rng([seed, len(self)]).permutation(len(self))
        return self.select(np.sort(order[n:])), self.select(np.sort(order[:n]))

    def folds(self, n: int = 5, seed: int = 0) -> list[tuple[Dataset, Dataset]]:
        """n pairs (rest, held out) for cross-validation.

        Every sample is held out once, and every class is spread evenly over the folds.
        """
        labels = np.zeros(len(self), int) if self.per_step else self.y
        fold = stratified(labels, n, np.random.default_rng(seed))
        return [(self.select(fold != f), self.select(fold == f)) for f in range(n)]

    def hold_out(self, *groups: str | int) -> tuple[Dataset, Dataset]:
        """(rest, held out): held out are the sequences of the given groups, for instance of some speakers."""
        if self.groups is None:
            raise ValueError(f"data set {self.name!r} does not say which group (speaker ...) its sequences "
                             f"are of; use split")
        held = np.isin(self.groups, groups)
        if not held.any() or held.all():
            known = ", ".join(map(str, np.unique(self.groups)[:30]))
            given = ", ".join(map(str, groups)) or "none"
            raise ValueError(f"data set {self.name!r} has the groups {known}; "
                             f"holding out {given} leaves a part empty")
        return self.select(~held), self.select(held)

    def batches(self, size: int, rng: np.random.Generator | None = None,
                prefetch: int | None = None) -> Iterator[Batch]:
        """Batches of `size` samples (the last may be smaller), in the order of the set, or shuffled by rng.

        prefetch: batches that a thread of its own reads ahead; None: two where sequences are read from files,
        else none.  The batches are the same with any number.

        Padding beyond the longest sequence of a batch is cut off; see also by_length.
        """
        picks = self._picks(size, rng)
        not_augmented = [None] * len(picks)
        seeds = not_augmented if rng is None or not self.lazy else rng.integers(1 << 62, size=len(picks))
        made = (self._batch(pick, seed) for pick, seed in zip(picks, seeds, strict=True))
        n = 2 * self.lazy if prefetch is None else prefetch
        return threads.ahead(made, n) if n else made

    def _picks(self, size, rng):
        """The samples of each batch."""
        order = np.arange(len(self)) if rng is None else rng.permutation(len(self))
        sorted_by_length = self.by_length and rng is not None
        if sorted_by_length:
            order = order[np.argsort(self._lengths[order], kind="stable")]
        picks = [order[first:first + size] for first in range(0, len(order), size)]
        if sorted_by_length:
            picks = [picks[i] for i in rng.permutation(len(picks))]
        return picks

    def _batch(self, pick, seed):
        """The batch of some samples; seed: of their augmentation, None for none."""
        part = self.select(pick)
        x, lengths = part._x, part._lengths
        if self.lazy:
            x, lengths = part._x.fetch(None if seed is None else np.random.default_rng(seed))
        if self.per_step and x.shape[0] != len(part.y):
            raise ValueError(f"data set {self.name!r}: sequences of {x.shape[0]} steps were read, the labels "
                             f"have {len(part.y)}")
        if lengths is not None and not self.per_step:
            x = x[:max(int(lengths.max(initial=1)), 1)]
        return Batch(x, part.y, lengths, part.mask, pick)

    def save(self, path: Path | str, options: dict | None = None) -> None:
        """Write the set to one HDF5 file.

        From it `numsnn.datasets.saved.load` trains without holding the set in memory.
        options: what made it, kept in the file.
        """
        saving.save(self, path, options)

    def __repr__(self) -> str:
        steps = "" if self.lazy else f" of {self._x.shape[0]} steps"
        return (f"Dataset({self.name!r}, {len(self)} sequences{steps}, {self.units} features, "
                f"{len(self.classes)} classes)")


def _chosen(a, pick):
    """The values of the samples `pick`: a is (B,), (T, B) or None."""
    if a is None:
        return None
    return a[:, pick] if a.ndim == 2 else a[pick]


def stratified(labels: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """(B,) the fold, 0 to n - 1, of each sample, drawn so that every class is spread evenly over them."""
    is_whole = isinstance(n, (int, np.integer)) and not isinstance(n, bool)
    if not is_whole or not 2 <= n <= len(labels):
        raise ValueError(f"the number of folds goes from 2 to the {len(labels)} samples; got {n!r}")
    fold = np.empty(len(labels), int)
    for c in np.unique(labels):
        of_class = rng.permutation(np.flatnonzero(labels == c))
        fold[of_class] = (np.arange(len(of_class)) + rng.integers(n)) % n
    return fold
