"""`Dataset`: sequences with labels, in memory or read when they are asked for."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike

from ..checked import SEEDS, checked, chosen, in_range
from ..devices import threads
from ..layers.layer import positive_integer
from ..signals.arrays import checked_lengths, checked_mask, plain
from ..signals.events import Events
from ..signals.integers import is_whole, whole
from ..signals.spikes import Spikes
from . import checks, saving
from .batch import Batch, BatchShare, Shares, Whole

Samples = int | slice | Sequence[int] | Sequence[bool] | np.ndarray         # a choice of samples


class Sequences:
    """Sequences that are read when they are asked for: what a lazy data set is made on.

    units: features of a sequence.  `len` is the number of sequences; `fetch` reads some of them.
    draws: whether fetch uses its generator; where it does not, ranks of MPI read their own sequences only.
    """

    units: int
    draws: bool = True

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


class Dataset:
    """Sequences with labels of classes, or with the targets of a regression.

    x: (T, B, N), time first: an array or Spikes; or `Sequences`, which are read when a batch is made and have
    lengths of their own.  Data with the samples first, or of unequal length: see `from_samples`.
    y: integers (B,), a label for each sequence, or (T, B), one for each step; or texts, names in `classes`.
    Floats are targets: (B, K), K numbers for each sequence, or (T, B, K) for each step.
    lengths: (B,) valid steps of each sequence, or None.
    mask: (T, B) steps that count in losses and metrics, or None for all.
    labelled: (T, B) steps that somebody labelled, or None; metrics over these only are reported beside the
    others.
    groups: (B,) who or what each sequence is from, such as the speaker, or None; see `hold_out`.
    by_length: shuffled batches are made of sequences of about the same length, so that little is padded;
    needs lengths.
    classes: names.  name, source: what it is and where it is from, for reports.
    time_first: says that the first axis is time where both readings of the axes fit (labels per step, or as
    many steps as samples); without it an AxesWarning is given there, unless the values show it.

    Raises ValueError for what does not fit together, and for values that are not finite, padded ones too.
    """

    @checked
    def __init__(self, x: Spikes | Sequences | ArrayLike, y: ArrayLike, *, lengths: ArrayLike | None = None,
                 mask: ArrayLike | None = None, labelled: ArrayLike | None = None,
                 groups: ArrayLike | None = None, classes: Iterable[str] = (), name: str = "",
                 source: str = "", by_length: bool = False, time_first: bool = False):
        what = f"data set {name!r}"
        self._x: Spikes | np.ndarray | _Part
        self.mask: np.ndarray | None
        self.labelled: np.ndarray | None
        self.classes = checks.names(classes, what)
        self.name = name
        self.source = source
        self.by_length = by_length
        self._take_sequences(x, lengths, what)
        steps, n, _ = self._x.shape
        self.y = checks.checked_labels(y, steps, n, self.classes, what, any_steps=self.lazy)
        if self.lazy and self.per_step:
            steps = len(self.y)
        self.mask, self.labelled = (
            None if given is None else checked_mask(given, (steps, n), key, f"{what}: ")
            for key, given in (("mask", mask), ("labelled", labelled)))
        self.groups = None if groups is None else plain(groups, f"{what}: groups", "biufUSO")
        if self.groups is not None and self.groups.shape != (n,):
            hint = f". {checks.SAMPLES_FIRST}" if self.groups.shape == (steps,) else ""
            raise ValueError(f"{what}: groups must hold {n} values, one for each sequence; "
                             f"got shape {self.groups.shape}{hint}")
        if by_length and self._lengths is None:
            raise ValueError(f"{what}: batches by length need the lengths of the sequences; give lengths=")
        one_fits = steps != n and (lengths is not None or groups is not None)
        if not (time_first or one_fits or isinstance(self._x, _Part)):
            checks.warn_if_ambiguous(self._x, self.y, what, stacklevel=2)

    def _take_sequences(self, x, lengths, what):
        """x and lengths, refused where they cannot be learned from."""
        self._lengths = None
        if isinstance(x, (Sequences, _Part)):
            if lengths is not None:
                raise ValueError(f"{what}: sequences that are read later have lengths of their own")
            self._x = _Part(x, np.arange(len(x))) if isinstance(x, Sequences) else x
            return
        if isinstance(x, Events):
            raise TypeError(f"{what}: events have no steps yet: x=events.bin(dt=...), or "
                            f"Dataset.from_samples(events, y, dt=...)")
        self._x = x if isinstance(x, Spikes) else checks.checked_values(x, what)
        steps, n, units = self._x.shape
        if not units or n and not steps:
            raise ValueError(f"{what}: x of shape {(steps, n, units)} holds no "
                             f"{'features' if steps else 'steps'}; expected (T, B, N)")
        if lengths is not None:
            self._lengths = checked_lengths(lengths, n, steps, f"{what}: lengths")
        if isinstance(self._x, np.ndarray):
            checks.refuse_not_finite(self._x, self._lengths, what)

    @classmethod
    def from_samples(cls, samples: Any, y: Any, *, lengths: ArrayLike | None = None, mask: Any = None,
                     labelled: Any = None, dt: float | None = None, **more: Any) -> Dataset:
        """A data set of sequences that come sample by sample, padded with zeros to one length.

        samples: an array (B, T, N), or (B, T) of one feature; or a list of arrays (T_i, N) or (T_i,), of
        Spikes (T_i, 1, N), or of Events, which are binned in steps of dt seconds.  Further axes of an array
        (channels, rows, columns) are made features.
        y: a label for each sample, B integers or names; or B arrays of labels (T_i,), one for each step.
        Floats are targets: (K,) for each sample, or (T_i, K) for each step.
        lengths: valid steps of each sample, where an array is padded already.
        mask, labelled: (B, T), or B arrays (T_i,).
        more: groups, classes, name, source, by_length, as they are.

        The set holds time first, x (T, B, N), and lengths where samples are of unequal length.
        """
        from . import samples as by_sample
        what = f"data set {more.get('name', '')!r}"
        made = by_sample.time_first(samples, y, lengths, (mask, labelled), dt, what)
        return cls(made.x, made.y, lengths=made.lengths, mask=made.mask, labelled=made.labelled,
                   **{"time_first": True, **more})

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
        """(B,) valid steps of each sequence, or None; of a lazy data set they are read now, each time."""
        return self._x.fetch()[1] if isinstance(self._x, _Part) else self._lengths

    @property
    def units(self) -> int:
        """Features of a sequence."""
        return self._x.shape[2]

    @property
    def per_step(self) -> bool:
        """Whether every step has a label, or targets of its own."""
        return checks.is_per_step(self.y)

    @property
    def has_targets(self) -> bool:
        """Whether y holds the targets of a regression, floats, not labels of classes."""
        return self.y.dtype.kind == "f"

    def select(self, samples: Samples) -> Dataset:
        """The given samples: indices, a slice or a mask."""
        pick = chosen(samples, len(self), f"data set {self.name!r}: samples")
        part = copy.copy(self)          # checked already
        part._x = self._x[:, pick] if isinstance(self._x, np.ndarray) else self._x.select(pick)
        part.y = self.y[:, pick] if self.per_step else self.y[pick]
        for key in ("mask", "labelled"):
            steps = getattr(self, key)
            setattr(part, key, None if steps is None else steps[:, pick])
        for key in ("_lengths", "groups"):
            each = getattr(self, key)
            setattr(part, key, None if each is None else each[pick])
        return part

    def __getitem__(self, samples: Samples) -> Dataset:
        """data[10:20], data[3], data[[1, 5, 2]]: the given samples as a data set."""
        return self.select(np.atleast_1d(chosen(samples, len(self), f"data set {self.name!r}: samples")))

    @checked
    def shuffled(self, seed: int) -> Dataset:
        """The same samples in another order, which the seed decides."""
        in_range(0, SEEDS, seed=seed)
        return self.select(np.random.default_rng([seed, len(self)]).permutation(len(self)))

    @checked
    def split(self, fraction: float, seed: int = 0) -> tuple[Dataset, Dataset]:
        """(rest, held out): a random `fraction` of the samples, at least one; the seed decides which."""
        is_share = isinstance(fraction, (float, np.floating)) and 0 < fraction < 1
        n = round(fraction * len(self)) if is_share else 0
        if not 0 < n < len(self):
            raise ValueError(f"data set {self.name!r} has {len(self)} samples; holding out {fraction!r} of "
                             f"them leaves a part empty")
        in_range(0, SEEDS, seed=seed)
        order = np.random.default_rng([seed, len(self)]).permutation(len(self))
        return self.select(np.sort(order[n:])), self.select(np.sort(order[:n]))

    @checked
    def folds(self, n: int = 5, seed: int = 0) -> list[tuple[Dataset, Dataset]]:
        """n pairs (rest, held out) for cross-validation.

        Every sample is held out once, and every class is spread evenly over the folds.
        """
        labels = np.zeros(len(self), int) if self.per_step or self.has_targets else self.y
        fold = stratified(labels, n, np.random.default_rng(seed))
        return [(self.select(fold != f), self.select(fold == f)) for f in range(n)]

    @checked
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

    @overload
    def batches(self, size: int, rng: np.random.Generator | None = None, prefetch: int | None = None,
                share: None = None) -> Iterator[Batch]: ...

    @overload
    def batches(self, size: int, rng: np.random.Generator | None = None, prefetch: int | None = None,
                *, share: Shares) -> Iterator[BatchShare]: ...

    @checked
    def batches(self, size, rng=None, prefetch=None, share=None):
        """Batches of `size` samples (the last may be smaller), in the order of the set, or shuffled by rng.

        prefetch: batches that a thread of its own reads ahead; None: two where sequences are read from files,
        else none.  The batches are the same with any number.

        Padding beyond the longest sequence of a batch is cut off; see also by_length.

        share: samples of a batch -> (first, last) of those that are read, as if all were: a BatchShare, which
        says what it is some samples of, instead of a Batch.
        """
        if rng is not None and not isinstance(rng, np.random.Generator):
            raise TypeError(f"data set {self.name!r}: rng must be a generator, np.random.default_rng(0), or "
                            f"None; got {rng!r}")
        picks = self._picks(positive_integer(size, "size"), rng)
        not_augmented = [None] * len(picks)
        seeds = not_augmented if rng is None or not self.lazy else rng.integers(1 << 62, size=len(picks))
        if share is not None and not callable(share):
            raise TypeError(f"data set {self.name!r}: share must be a function of the samples of a batch "
                            f"that gives (first, last), or None; got {share!r}")
        make = self._batch if share is None else partial(self._some_of_batch, share)
        made = (make(pick, seed) for pick, seed in zip(picks, seeds, strict=True))
        n = 2 * self.lazy if prefetch is None else whole("prefetch", prefetch, 0)
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
        return Batch(self._cut(x, lengths), part.y, lengths, part.mask, pick)

    def _cut(self, x, lengths):
        """Sequences without the steps that none of these lengths reaches."""
        if self.per_step and x.shape[0] != len(self.y):
            raise ValueError(f"data set {self.name!r}: sequences of {x.shape[0]} steps were read, the labels "
                             f"have {len(self.y)}")
        return x if lengths is None or self.per_step else x[:max(int(lengths.max(initial=1)), 1)]

    def _some_of_batch(self, share, pick, seed):
        """The batch as `_batch` makes it, but of a share of its samples."""
        given = share(len(pick))
        pair = isinstance(given, tuple) and len(given) == len(("first", "last")) and all(map(is_whole, given))
        if not pair or not 0 <= given[0] <= given[1] <= len(pick):
            raise ValueError(f"data set {self.name!r}: share must give (first, last) of the {len(pick)} "
                             f"samples of a batch; got {given!r}")
        first, last = given
        own = self.select(pick[first:last])
        whole = Whole(self.y[:, pick] if self.per_step else self.y[pick],
                      None if self._lengths is None else self._lengths[pick],
                      None if self.mask is None else self.mask[:, pick], pick)
        x, lengths = own._x, own._lengths
        if self.lazy:
            x, lengths = self._read_some(pick, slice(first, last), seed)
        else:
            x = self._cut(x, whole.lengths)
        return BatchShare(x, own.y, lengths, own.mask, pick[first:last], whole)

    def _read_some(self, pick, own, seed):
        """(x, lengths) of a slice of a batch; all is read where what is drawn for one depends on all."""
        if not len(pick[own]):
            return np.zeros((0, 0, self.units), np.float32), None
        if seed is None or not self._x.sequences.draws:
            return self._x.select(pick[own]).fetch(None)
        x, lengths = self._x.select(pick).fetch(np.random.default_rng(seed))
        x = x.select(own) if isinstance(x, Spikes) else x[:, own]
        return x, None if lengths is None else lengths[own]

    @checked
    def save(self, path: Path | str, options: dict | None = None) -> None:
        """Write the set to one HDF5 file.

        From it `numsnn.datasets.saved.load` trains without holding the set in memory.
        options: what made it, kept in the file.
        """
        saving.save(self, path, options)

    def __repr__(self) -> str:
        steps = "" if self.lazy else f" of {self._x.shape[0]} steps"
        what = f"{self.y.shape[-1]} targets" if self.has_targets else f"{len(self.classes)} classes"
        return f"Dataset({self.name!r}, {len(self)} sequences{steps}, {self.units} features, {what})"


@checked
def stratified(labels: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """(B,) the fold, 0 to n - 1, of each sample, drawn so that every class is spread evenly over them."""
    labels = plain(labels, "labels", "biufU")
    if labels.ndim != 1:
        raise ValueError(f"stratified: expected labels (B,); got shape {labels.shape}")
    if not is_whole(n, least=2) or n > len(labels):
        raise ValueError(f"the number of folds goes from 2 to the {len(labels)} samples; got {n!r}")
    fold = np.empty(len(labels), int)
    for c in np.unique(labels):
        of_class = rng.permutation(np.flatnonzero(labels == c))
        fold[of_class] = (np.arange(len(of_class)) + rng.integers(n)) % n
    return fold
