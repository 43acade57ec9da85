"""What recurs on its way back to its population, step by step, and its gradient on the way there.

`Next` comes back in the next step; `Coming` later, each value spread over several steps (contract.Late).
"""

from typing import Any

import numpy as np

from ..contract import Late, Recurrent, Start, Tape
from .lagged import after, before, sums_gradient


class Next:
    """What recurs, into the next step."""

    def __init__(self, last: np.ndarray):
        self.last = last.copy()

    def into(self, t: int) -> np.ndarray:
        """(B, N): what comes into step t."""
        return self.last

    def out(self, t: int, on: np.ndarray, values: np.ndarray) -> None:
        """Take what step t hands out."""
        self.last = np.where(on, values, self.last)

    def arrived(self) -> None:
        """The tape has it: what came in is what was handed out."""


class Coming:
    """What recurs, into the `L` steps after it: row t of `sums` (T + L, B, N) comes into step t."""

    def __init__(self, late: Late, start: Start, steps: int):
        assert start.last is not None
        self.share, self.steps = late.share[:, None], steps
        self.coming, self.lengths = start.last, start.lengths
        first = self.coming.swapaxes(0, 1)
        self.sums = np.concatenate((first, np.zeros((steps, *first.shape[1:]), first.dtype)))

    def into(self, t: int) -> np.ndarray:
        return self.sums[t]

    def out(self, t: int, on: np.ndarray, values: np.ndarray) -> None:
        self.sums[t + 1:t + 1 + len(self.share)] += np.where(on, values, 0) * self.share

    @property
    def last(self) -> np.ndarray:
        """(B, L, N): what is on its way after the last step of each sample."""
        return self.sums[after(self.coming, self.steps, self.lengths)]

    def arrived(self) -> np.ndarray:
        return self.sums[:self.steps]


class NextBack:
    """The gradient of what recurred, from the step after it."""

    share = None

    def __init__(self, dlast: np.ndarray):
        self.dlast = dlast

    def out(self, t: int, on: np.ndarray) -> np.ndarray:
        """(B, N): the gradient of what step t handed out."""
        return self.dlast

    def into(self, t: int, on: np.ndarray, d: np.ndarray) -> None:
        """Take the gradient of what came into step t."""
        self.dlast = np.where(on, d, self.dlast)


class ComingBack:
    """The gradient of what recurred, from the steps into which it was spread, and that of the shares."""

    def __init__(self, late: Late, tape: Tape, dlast: np.ndarray):
        assert tape.values is not None
        self.values, self.of_each = tape.values, late.share[:, None]
        self.share = np.zeros_like(late.share)
        self.dsums = sums_gradient(np.zeros_like(self.values), dlast, tape.start.lengths)

    def out(self, t: int, on: np.ndarray) -> np.ndarray:
        later = self.dsums[t + 1:t + 1 + len(self.of_each)]
        self.share += (np.where(on, self.values[t], 0) * later).sum(1)
        return (self.of_each * later).sum(0)

    def into(self, t: int, on: np.ndarray, d: np.ndarray) -> None:
        self.dsums[t] = np.where(on, d, self.dsums[t])

    @property
    def dlast(self) -> np.ndarray:
        """(B, L, N): of what was on its way before the first step."""
        return before(self.dsums, len(self.of_each))


def on_its_way(recurrent: Recurrent | None, start: Start, steps: int) -> Any:
    """What recurs; None without recurrence."""
    if recurrent is None or start.last is None:
        return None
    return Next(start.last) if recurrent.late is None else Coming(recurrent.late, start, steps)


def on_its_way_back(recurrent: Recurrent | None, tape: Tape, dlast: np.ndarray | None) -> Any:
    """Its gradient; None without recurrence."""
    if recurrent is None or dlast is None:
        return None
    return NextBack(dlast) if recurrent.late is None else ComingBack(recurrent.late, tape, dlast)


__all__ = ["on_its_way", "on_its_way_back"]
