"""What a data set of event recordings is: a list of recordings with labels, each with the way to read it.

A data set of the field gives such a listing; from it come the `Dataset` for training and the HDF5 file of
`numsnn convert`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..signals.events import Events
from .dataset import Dataset
from .recordings import Bins, Framing, framed

TEN_MS = Bins(dt=10e-3)


class Item(NamedTuple):
    """One recording.

    group: who or what it is of (speaker, user), "" if unknown.  read() -> Events of one recording.
    """
    name: str
    label: int
    group: str
    read: Callable[[], Events]


class Listing(NamedTuple):
    """The recordings of a data set, or of a part of it.

    shape: (N,) or (P, H, W); tick: seconds in a unit of time.
    """
    name: str
    source: str
    shape: tuple[int, ...]
    tick: float
    classes: tuple[str, ...]
    items: list[Item]

    def dataset(self, frame: Framing = TEN_MS, *, prepare: Callable[[Events], Events] | None = None,
                augment: Callable[[Events, np.random.Generator], Events] | None = None,
                memory: bool = False) -> Dataset:
        """The listing as a data set.

        frame: how events become steps, see `Bins`; by default steps of 10 ms.
        prepare: events -> events before that, such as lambda e: e.pool(5).
        augment: events, rng -> events, in training only.
        memory: read everything now and keep it.
        """
        if not self.items:
            raise ValueError(f"{self.name}: no recordings")
        read = _all_in_memory(self.items) if memory else _when_asked_for(self.items)
        sequences = framed(read, len(self.items), self.shape, frame, prepare, augment)
        labels = np.array([item.label for item in self.items])
        groups = np.array([item.group for item in self.items])
        known_groups = groups if (groups != "").any() else None
        return Dataset(sequences, labels, groups=known_groups, classes=self.classes, name=self.name,
                       source=self.source)


def _when_asked_for(items):
    return lambda samples: Events.concatenate([items[i].read() for i in samples])


def _all_in_memory(items):
    events = Events.concatenate([item.read() for item in items])
    return lambda samples: events[samples]
