"""How the error at a network's answer comes back to the populations before: the learning signals."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from ..checked import what_it_is
from .column import Column

KINDS = ("symmetric", "random", "adaptive")
SPATIAL = ("exact", "direct")


class Feedback:
    """The matrices that take the place of the weights on the way back; see EProp.

    Matrix i leads to population i: from the currents of the one after it (spatial="exact") or from those of
    the last one ("direct"), None where they are the same number to number.
    """

    def __init__(self, columns: list[Column], kind: str, spatial: str, rng: np.random.Generator):
        one_of("feedback", kind, KINDS)
        one_of("spatial", spatial, SPATIAL)
        self.kind, self.spatial = kind, spatial
        self.drawn: list[np.ndarray | None] = []
        self.first: list[np.ndarray | None] = []        # the weights that "adaptive" began with
        top = columns[-1]
        for i, (column, after) in enumerate(pairwise(columns)):
            source = top if spatial == "direct" else after
            shape = (len(source.model.feedforward) * source.n, column.n)
            draws = kind != "symmetric" or spatial == "direct" and i < len(columns) - 2
            drawn = rng.normal(0, np.sqrt(2 / sum(shape)), shape).astype(column.dtype) if draws else None
            self.drawn.append(drawn)
            self.first.append(after.weight.T.copy() if kind == "adaptive" and after.dense else None)

    def matrices(self, columns: list[Column]) -> list[np.ndarray | None]:
        """By column, as the weights are now."""
        found = []
        for i, after in enumerate(columns[1:]):
            drawn, first, is_last = self.drawn[i], self.first[i], i == len(columns) - 2
            if drawn is None:
                drawn = None if after.dense is None else np.ascontiguousarray(after.weight.T)
            elif first is not None and (is_last or self.spatial == "exact"):
                drawn = drawn + (after.weight.T - first)
            found.append(drawn)
        return found


def one_of(what: str, given: Any, known: tuple[str, ...]) -> None:
    """ValueError where a word is none of those known."""
    if not isinstance(given, str) or given not in known:
        raise ValueError(f"{what} must be one of {', '.join(map(repr, known))}; got {what_it_is(given)}")
