"""Lazy sequences on recordings of events: where the recordings are, and how they are framed into steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from ..checked import checked
from ..signals.events import Events
from ..signals.spikes import Spikes
from .dataset import Sequences


class Framing(Protocol):
    """How events become steps, such as `Bins`."""

    def __call__(self, events: Events, /) -> tuple[Spikes, np.ndarray | None]:
        """(spikes, lengths or None)."""


class Bins(NamedTuple):
    """Framing by `Events.bin`.

    dt: seconds a step; or n: steps for each recording (by "time" or "number" of events); or per_step: events
    a step.

    steps: T; None: as many as the longest recording of a batch has, the others get their length.
    counts: keep the number of events.
    """
    dt: float | None = None
    n: int | None = None
    per_step: int | None = None
    steps: int | None = None
    counts: bool = False
    by: str = "time"

    def __call__(self, events: Events) -> tuple[Spikes, np.ndarray | None]:
        step, lengths = events.steps(self.dt, n=self.n, per_step=self.per_step, by=self.by)
        if self.steps is not None:
            return events.rows(step, self.steps, self.counts), None
        longest = max(int(lengths.max(initial=1)), 1)
        spikes = events.rows(step, longest, self.counts)
        return spikes, None if self.n is not None else np.maximum(lengths, 1)


class Recordings(Sequences):
    """Recordings, framed when they are asked for.

    read: events of the given samples.  n: number of recordings.
    frame: events -> (Spikes, lengths or None), such as Bins.
    units: features after framing.
    prepare: events -> events, before framing (pooling, cropping ...).
    augment: events, rng -> events, in training only, before `prepare`.
    """

    @checked
    def __init__(self, read: Callable[[np.ndarray], Events], n: int, frame: Framing, units: int,
                 prepare: Callable[[Events], Events] | None = None,
                 augment: Callable[[Events, np.random.Generator], Events] | None = None):
        self.read = read
        self.n = n
        self.frame = frame
        self.units = units
        self.prepare = prepare
        self.augment = augment
        self.draws = augment is not None

    def __len__(self) -> int:
        return self.n

    def fetch(self, samples: np.ndarray,
              rng: np.random.Generator | None = None) -> tuple[Spikes, np.ndarray | None]:
        """(spikes (T, B, units), lengths (B,) or None) of the given recordings; rng: of the augmentation."""
        events = self.read(samples)
        if self.augment is not None and rng is not None:
            events = self.augment(events, rng)
        if self.prepare is not None:
            events = self.prepare(events)
        x, lengths = self.frame(events)
        if x.shape[2] != self.units:
            raise ValueError(f"framing gave {x.shape[2]} features, the data set says {self.units}")
        return x, lengths


def framed(read: Callable[[np.ndarray], Events], n: int, shape: tuple[int, ...], frame: Framing,
           prepare: Callable[[Events], Events] | None = None,
           augment: Callable[[Events, np.random.Generator], Events] | None = None) -> Recordings:
    """Recordings whose number of features follows from the shape of their events and from `prepare`."""
    zeros = np.zeros(0, np.int64)
    if len(shape) == 1:
        nothing = Events(zeros, zeros, shape=shape)
    else:
        nothing = Events(zeros, x=zeros, y=zeros, p=zeros, shape=shape)
    units = (nothing if prepare is None else prepare(nothing)).n_units
    return Recordings(read, n, frame, units, prepare, augment)
