"""What recurs with delays of synapses (contract.Lagged) on the CPU: on its way in the forward pass, and back.

`sums` (B, T + L, W): row t of a sample is what comes into its step t, all W currents together.  It is written
and read as in lagged.py, one step later; as in late.py none of this depends on a model.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from .. import buffers
from ..contract import Lagged, Recurrent, Start, Tape
from ..jit import fingerprint, jitable, prepare
from ..reference.lagged import after
from . import lanes
from .addresses import ahead, numbers_at, values_at
from .lagged import add_step_to_all, add_step_to_one, weight_gradient
from .recurrence import Call, active_run, add_bias, call_of, compiled_call, kinds, of_one_kind
from .rows import BAND, ZERO, U

ONE = U(1)
FED = U(6)          # where the arrays of the currents stand in the tables


# ---- forward


@lru_cache(None)
def _currents(real):
    prepare()
    mark = fingerprint()

    def currents(table, t, first, last):
        mark  # noqa: B018  part of the cache key
        batch, units, width, rows = U(table[0]), U(table[1]), U(table[2]), U(table[3])
        fed, sums = U(table[4]), values_at(real, table[5])
        for g in range(fed):
            y, bias = values_at(real, table[FED + U(2) * g]), values_at(real, table[FED + U(2) * g + ONE])
            for s in range(first, last):
                to, at = (t * batch + s) * units, (s * rows + t) * width + g * units
                if table[FED + U(2) * g + ONE] != 0:
                    add_bias(y, to, bias, units)
                for n in range(units):
                    y[to + n] += sums[at + n]

    return compiled_call(currents)


@lru_cache(None)
def _spreading(real, whole):
    prepare()
    add = add_step_to_one if whole else add_step_to_all
    mark = fingerprint(add)

    def spreading(table, t, first, last):
        mark  # noqa: B018  part of the cache key
        units, width, rows = U(table[1]), U(table[2]), U(table[3])
        now, sums, weight = values_at(real, table[4]), values_at(real, table[5]), values_at(real, table[6])
        sizes = (ZERO, ZERO, units, width, U(table[8]), ONE)
        for s in range(first, last):
            add(ahead(sums, (s * rows + t + ONE) * width), weight, table[7], now, s * units, sizes)

    return compiled_call(spreading)


class Currents:
    """The currents that recur late, on their way through a sequence."""

    def __init__(self, lagged: Lagged, start: Start, steps: int):
        assert start.last is not None
        batch, lags, width = start.last.shape
        self.lagged, self.coming, self.lengths, self.steps = lagged, start.last, start.lengths, steps
        self.sums = buffers.zeros((batch, steps + lags, width), start.last.dtype)
        self.sums[:, :lags] = start.last

    def currents(self, fed: Sequence[tuple[np.ndarray, None, np.ndarray | None]]) -> Call:
        """Add to the currents of step t what comes into it; fed: as in recurrence.currents, no weights."""
        batch, rows, width = self.sums.shape
        arrays = [a for current, _, bias in fed for a in (current, bias)]
        of_one_kind(self.sums.dtype, self.lagged.weight, *arrays)
        code = _currents(kinds(self.sums.dtype, None)[0])
        return call_of(code, batch, width // len(fed), width, rows, len(fed), self.sums, *arrays)

    def spreading(self, now: np.ndarray) -> Call:
        """Add what step t has handed out, `now` (B, N), to the currents of the steps after it."""
        (batch, rows, width), (weight, lag, _, most) = self.sums.shape, self.lagged
        code = _spreading(kinds(self.sums.dtype, None)[0], lag is not None)
        return call_of(code, batch, now.shape[1], width, rows, now, self.sums, weight, lag, most)

    def last(self) -> np.ndarray:
        """(B, L, W): what is on its way after the last step of each sample."""
        step, sample = after(self.coming, self.steps, self.lengths)
        return self.sums[sample, step]

    def arrived(self) -> None:
        """Weights take what was handed out, which the tape has."""


# ---- the way back


@jitable
def gather_all(back, o, dsums, p, weight, rows, width, units, number):
    """back[o ...] = that of the steps from place p on through the weights of all lags, (L W, N), of samples.

    rows, number: of the samples, how far they are apart in dsums, and how many there are.
    """
    for i in range(number * units):
        back[o + i] = 0
    for s in range(ZERO, number, U(BAND)):
        few = min(number - s, U(BAND))
        lanes.add_products((dsums, p + s * rows, rows), (weight, ZERO, units), (back, o + s * units, units),
                           few, width, units)


@jitable
def gather_each(back, o, dsums, p, weight, lag, width, units):
    """back[o ...] = that of one sample through one lag of each synapse; weight, lag: (W, N)."""
    for n in range(units):
        back[o + n] = 0
    for j in range(width):
        for n in range(units):
            w = j * units + n
            back[o + n] += weight[w] * dsums[p + U(lag[w]) * width + j]


@lru_cache(None)
def _gathering(real, whole):
    prepare()
    mark = fingerprint()

    def gathering(table, t, first, number):
        mark  # noqa: B018  part of the cache key
        units, width, rows, lags = U(table[1]), U(table[2]), U(table[3]), U(table[4])
        back, dsums, weight = values_at(real, table[5]), values_at(real, table[6]), values_at(real, table[7])
        place = (first * rows + t + ONE) * width
        if whole:
            lag = numbers_at(np.int32, table[8])
            for s in range(number):
                gather_each(back, (first + s) * units, dsums, place + s * rows * width, weight, lag, width,
                            units)
        else:
            gather_all(back, first * units, dsums, place, weight, rows * width, lags * width, units, number)

    return compiled_call(gathering)


@lru_cache(None)
def _way_back(real):
    prepare()
    mark = fingerprint()

    def way_back(table, t, _, __):
        mark  # noqa: B018  part of the cache key
        batch, units, width, rows = U(table[0]), U(table[1]), U(table[2]), U(table[3])
        lengths, dsums = numbers_at(np.int64, table[4]), values_at(real, table[5])
        b, e = active_run(lengths, t, ZERO, batch)
        while b < e:
            for g in range(width // units):
                dx = values_at(real, table[FED + g])
                for s in range(b, e):
                    to, at = (s * rows + t) * width + g * units, (t * batch + s) * units
                    for n in range(units):
                        dsums[to + n] = dx[at + n]
            b, e = active_run(lengths, t, e, batch)

    return compiled_call(way_back)


class CurrentsBack:
    """The gradients that go back through delays of synapses; as late.ComingBack.

    last (B, L, W): the gradient of what is on its way after the last step.
    """

    def __init__(self, recurrent: Recurrent, tape: Tape, last: np.ndarray, lengths: np.ndarray,
                 dx: Sequence[np.ndarray]):
        assert isinstance(recurrent.late, Lagged)
        self.lagged, self.tape, self.lengths, self.dx = recurrent.late, tape, lengths, dx
        (batch, self.lags, width), self.steps = last.shape, len(tape.current[0])
        self.dsums = buffers.zeros((batch, self.steps + self.lags, width), last.dtype)
        step, sample = after(last, self.steps, tape.start.lengths)
        self.dsums[sample, step] = last
        units = width // len(dx)
        self.returned = np.zeros((batch, units), last.dtype)
        of_one_kind(last.dtype, self.lagged.weight, *dx)
        self.gathering = self._gathering()
        rows, code = self.steps + self.lags, _way_back(kinds(last.dtype, None)[0])
        self.call = call_of(code, batch, units, width, rows, lengths, self.dsums, *dx)

    def _gathering(self):
        (batch, rows, width), (weight, lag, _, _) = self.dsums.shape, self.lagged
        units, whole = self.returned.shape[1], lag is not None
        self.turned = np.ascontiguousarray(weight.reshape(units, -1).T)
        self.turned_lag = np.ascontiguousarray(lag[0].T) if whole else None
        code = _gathering(kinds(self.dsums.dtype, None)[0], whole)
        return call_of(code, batch, units, width, rows, self.lags, self.returned, self.dsums, self.turned,
                       self.turned_lag)

    def dweight(self) -> tuple[()]:
        """They are in `dlate`."""
        return ()

    @property
    def dlate(self) -> np.ndarray:
        """That of the weight of Lagged: of what was handed out, and the steps that got it."""
        given: Any = self.tape.events if self.tape.values is None else self.tape.values
        next_step = self.dsums.reshape(-1)[self.dsums.shape[2]:]
        return weight_gradient(self.lagged, given, self.lengths[:-1], next_step, self.steps + 1)

    def dlast(self) -> np.ndarray:
        """(B, L, W): of what was on its way before the first step."""
        return np.ascontiguousarray(self.dsums[:, :self.lags])


__all__ = ["Currents", "CurrentsBack"]
