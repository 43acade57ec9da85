"""`Dataset`: sequences with labels, held in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..spikes import Spikes


class Batch(NamedTuple):
    x: Spikes | np.ndarray          # (T, B, N)
    y: np.ndarray                   # (B,) or (T, B)
    lengths: np.ndarray | None      # (B,)
    mask: np.ndarray | None         # (T, B) steps that count
    samples: np.ndarray             # (B,) which samples of the set these are


class Dataset:
    """Sequences x (T, B, N), an array or Spikes, with labels y: (B,) one for each sequence, or (T, B) one for each step.

    lengths: (B,) valid steps of each sequence, or None.  mask: (T, B) steps that count in losses and metrics, or None for all.
    labelled: (T, B) steps that somebody labelled, or None; metrics over these only are reported beside the others.
    classes: names.  name, source: what it is and where it is from, for reports.
    """

    def __init__(self, x, y, *, lengths=None, mask=None, labelled=None, classes: tuple = (), name: str = "", source: str = ""):
        if not isinstance(x, Spikes):
            x = np.asarray(x)
            if x.ndim != 3:
                raise ValueError(f"a data set needs x of shape (T, B, N): time, samples, features; got shape {x.shape}")
            if np.issubdtype(x.dtype, np.floating) and not np.isfinite(x).all():
                t, b, n = np.argwhere(~np.isfinite(x))[0]
                raise ValueError(f"data set {name!r}: sample {b} is {x[t, b, n]} at step {t}, feature {n}; clean the data first")
        y = np.asarray(y)
        if y.shape not in ((x.shape[1],), tuple(x.shape[:2])) or not np.issubdtype(y.dtype, np.integer):
            raise ValueError(f"data set {name!r}: expected integer labels of shape ({x.shape[1]},), or {tuple(x.shape[:2])} for one "
                             f"per step; got {y.dtype} of shape {y.shape}")
        if lengths is not None and np.shape(lengths) != (x.shape[1],):
            raise ValueError(f"data set {name!r}: lengths must hold {x.shape[1]} numbers; got shape {np.shape(lengths)}")
        for what, a in (("mask", mask), ("labelled", labelled)):
            if a is not None and np.shape(a) != tuple(x.shape[:2]):
                raise ValueError(f"data set {name!r}: {what} must have shape (T, B) = {tuple(x.shape[:2])}; got {np.shape(a)}")
        self.x, self.y, self.lengths = x, y.astype(np.int64), None if lengths is None else np.asarray(lengths, np.int64)
        self.mask, self.labelled = (None if a is None else np.asarray(a, bool) for a in (mask, labelled))
        self.classes, self.name, self.source = tuple(classes), name, source

    def __len__(self) -> int:
        return self.x.shape[1]

    @property
    def per_step(self) -> bool:
        """Whether every step has a label."""
        return self.y.ndim == 2

    def select(self, samples) -> Dataset:
        """The given samples."""
        pick = np.arange(len(self))[samples]
        part = lambda a: None if a is None else a[:, pick] if a.ndim == 2 else a[pick]
        x = self.x.select(pick) if isinstance(self.x, Spikes) else self.x[:, pick]
        return Dataset(x, part(self.y), lengths=part(self.lengths), mask=part(self.mask), labelled=part(self.labelled),
                       classes=self.classes, name=self.name, source=self.source)

    def split(self, fraction: float, seed: int = 0) -> tuple[Dataset, Dataset]:
        """(rest, held out): a random `fraction` of the samples is held out, at least one; the seed decides which."""
        n = round(fraction * len(self))
        if not 0 < fraction < 1 or not 0 < n < len(self):
            raise ValueError(f"data set {self.name!r} has {len(self)} samples; holding out {fraction!r} of them leaves a part empty")
        order = np.random.default_rng([seed, len(self)]).permutation(len(self))
        return self.select(np.sort(order[n:])), self.select(np.sort(order[:n]))

    def batches(self, size: int, rng: np.random.Generator | None = None) -> Iterator[Batch]:
        """Batches of `size` samples (the last may be smaller), in the order of the set, or shuffled by rng."""
        order = np.arange(len(self)) if rng is None else rng.permutation(len(self))
        for first in range(0, len(order), size):
            pick = order[first:first + size]
            part = self.select(pick)
            yield Batch(part.x, part.y, part.lengths, part.mask, pick)

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, {len(self)} sequences {self.x.shape}, {len(self.classes)} classes)"
