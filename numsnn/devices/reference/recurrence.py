"""What recurs on its way back to its population, step by step, and its gradient on the way there.

`Next` comes back in the next step; `Coming` later, each value spread over several steps (contract.Late);
`Currents` too, each synapse with its own delay (contract.Lagged).
"""

from typing import Any

import numpy as np

from ..contract import Lagged, Late, Recurrent, Start, Tape
from .lagged import add_step, after, before, of_lag, sums_gradient, weight_gradient
from .rows import add_rows


class Next:
    """What recurs, into the next step."""

    def __init__(self, weight: tuple, last: np.ndarray):
        self.weight, self.last = weight, last.copy()

    def into(self, t: int, g: int, current: np.ndarray) -> None:
        """Add what comes into step t to the current (B, N) of gate g."""
        add_rows(current, self.weight[g], self.last)

    def out(self, t: int, on: np.ndarray, values: np.ndarray) -> None:
        """Take what step t hands out."""
        self.last = np.where(on, values, self.last)

    def arrived(self) -> None:
        """The tape has it: what came in is what was handed out."""


class OnItsWay:
    """What goes into the L steps after it: row t of `sums` (T + L, B, ...) comes into step t."""

    def __init__(self, start: Start, steps: int):
        assert start.last is not None
        self.steps, self.coming, self.lengths = steps, start.last, start.lengths
        first = self.coming.swapaxes(0, 1)
        self.lags = len(first)
        self.sums = np.concatenate((first, np.zeros((steps, *first.shape[1:]), first.dtype)))

    def after_step(self, t: int) -> np.ndarray:
        """(L, B, ...): what comes into the steps after t."""
        return self.sums[t + 1:t + 1 + self.lags]

    @property
    def last(self) -> np.ndarray:
        """(B, L, ...): what is on its way after the last step of each sample."""
        return self.sums[after(self.coming, self.steps, self.lengths)]


class Coming(OnItsWay):
    """What recurs, by the delay of each neuron."""

    def __init__(self, weight: tuple, late: Late, start: Start, steps: int):
        super().__init__(start, steps)
        self.weight, self.share = weight, late.share[:, None]

    def into(self, t: int, g: int, current: np.ndarray) -> None:
        add_rows(current, self.weight[g], self.sums[t])

    def out(self, t: int, on: np.ndarray, values: np.ndarray) -> None:
        self.after_step(t)[...] += np.where(on, values, 0) * self.share

    def arrived(self) -> np.ndarray:
        """(T, B, N): what came into each step."""
        return self.sums[:self.steps]


class Currents(OnItsWay):
    """The currents that recur, by the delay of each synapse."""

    def __init__(self, lagged: Lagged, start: Start, steps: int):
        super().__init__(start, steps)
        self.lagged = lagged

    def into(self, t: int, g: int, current: np.ndarray) -> None:
        units = current.shape[1]
        current += self.sums[t][:, g * units:(g + 1) * units]

    def out(self, t: int, on: np.ndarray, values: np.ndarray) -> None:
        add_step(self.after_step(t), self.lagged, np.where(on, values, 0))

    def arrived(self) -> None:
        """Weights take what was handed out, which the tape has."""


class NextBack:
    """The gradient of what recurred, from the step after it."""

    dlate = None

    def __init__(self, weight: tuple, dlast: np.ndarray):
        self.weight, self.dlast = weight, dlast

    def out(self, t: int, on: np.ndarray) -> np.ndarray:
        """(B, N): the gradient of what step t handed out."""
        return self.dlast

    def into(self, t: int, on: np.ndarray, currents: list) -> None:
        """Take the gradients of the currents of step t, None of one that takes nothing that recurred."""
        self.dlast = np.where(on, _through(self.weight, currents), self.dlast)


class BackOnItsWay:
    """The gradient of what came into each step, row t of `dsums` (T + L, B, ...)."""

    def __init__(self, tape: Tape, dlast: np.ndarray):
        assert tape.values is not None
        self.values, self.lags = tape.values, dlast.shape[1]
        nothing = np.zeros((len(tape.values), len(dlast), dlast.shape[2]), dlast.dtype)
        self.dsums = sums_gradient(nothing, dlast, tape.start.lengths)

    def after_step(self, t: int) -> np.ndarray:
        """(L, B, ...): that of the steps after t."""
        return self.dsums[t + 1:t + 1 + self.lags]

    @property
    def dlast(self) -> np.ndarray:
        """(B, L, ...): of what was on its way before the first step."""
        return before(self.dsums, self.lags)


class ComingBack(BackOnItsWay):
    """The gradient of what recurred, from the steps into which it was spread, and that of the shares."""

    def __init__(self, weight: tuple, late: Late, tape: Tape, dlast: np.ndarray):
        super().__init__(tape, dlast)
        self.weight, self.share = weight, late.share[:, None]
        self.dlate = np.zeros_like(late.share)

    def out(self, t: int, on: np.ndarray) -> np.ndarray:
        later = self.after_step(t)
        self.dlate += (np.where(on, self.values[t], 0) * later).sum(1)
        return (self.share * later).sum(0)

    def into(self, t: int, on: np.ndarray, currents: list) -> None:
        self.dsums[t] = np.where(on, _through(self.weight, currents), self.dsums[t])


class CurrentsBack(BackOnItsWay):
    """The gradient of what recurred, from the currents into which each synapse brought it."""

    def __init__(self, lagged: Lagged, tape: Tape, dlast: np.ndarray):
        super().__init__(tape, dlast)
        self.lagged = lagged

    def out(self, t: int, on: np.ndarray) -> np.ndarray:
        return sum(d @ of_lag(self.lagged, k).T for k, d in enumerate(self.after_step(t)))

    def into(self, t: int, on: np.ndarray, currents: list) -> None:
        self.dsums[t] = np.where(on, np.concatenate(currents, 1), self.dsums[t])

    @property
    def dlate(self) -> np.ndarray:
        """Of the weight of Lagged."""
        return weight_gradient(self.lagged, self.values, self.dsums[1:])


def _through(weight, currents):
    """The gradient of what the products took, from those of what they gave."""
    return sum(d @ w.T for d, w in zip(currents, weight, strict=True) if d is not None)


def on_its_way(recurrent: Recurrent | None, start: Start, steps: int) -> Any:
    """What recurs; None without recurrence."""
    if recurrent is None or start.last is None:
        return None
    weight, late = recurrent.weight, recurrent.late
    if isinstance(late, Lagged):
        return Currents(late, start, steps)
    return Next(weight, start.last) if late is None else Coming(weight, late, start, steps)


def on_its_way_back(recurrent: Recurrent | None, tape: Tape, dlast: np.ndarray | None) -> Any:
    """Its gradient; None without recurrence."""
    if recurrent is None or dlast is None:
        return None
    weight, late = recurrent.weight, recurrent.late
    if isinstance(late, Lagged):
        return CurrentsBack(late, tape, dlast)
    return NextBack(weight, dlast) if late is None else ComingBack(weight, late, tape, dlast)


__all__ = ["on_its_way", "on_its_way_back"]
