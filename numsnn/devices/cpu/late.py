"""What recurs late (contract.Late) on the CPU: on its way in the forward pass, and back.

Row t of `sums` (T + L, B, N) is what comes into step t, of all samples.  As in recurrence.py none of this
depends on a model; it is compiled once, and loops call it by its address.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from .. import buffers
from ..contract import Late, Recurrent, Start, Tape
from ..jit import fingerprint, jitable, prepare
from ..reference.lagged import after, before, sums_gradient
from . import blas, lanes
from .addresses import ahead, call, numbers_at, values_at
from .recurrence import (
    BLOCK,
    Call,
    active_run,
    add_bias,
    by_blas,
    by_vectors,
    call_of,
    carry_rows,
    compiled_call,
    compress,
    kinds,
    of_one_kind,
    rows_of,
    turned,
)
from .rows import BAND, TWO, ZERO, U, nonzeros

GATES = U(9)        # where the arrays of the currents stand in the table of the way back


@lru_cache(None)
def _in_turn():
    prepare()
    mark = fingerprint()

    def in_turn(table, t, first, last):
        mark  # noqa: B018  part of the cache key
        for c in range(U(1), U(1) + U(2) * U(table[0]), U(2)):
            call(table[c], (numbers_at(np.int64, table[c + U(1)]), t, first, last))

    return compiled_call(in_turn)


def in_turn(*calls: Call | None) -> Call | None:
    """One call of those that there are, one after the other."""
    there = [each for each in calls if each is not None]
    if len(there) < 2:
        return there[0] if there else None
    return call_of(_in_turn(), len(there), *(a for each in there for a in (each.code, each.table)))


# ---- forward


@jitable
def add_arrived(y, o, weight, sums, units, rows, index):
    """y += sums times the weight, for so many rows, BAND at most, from place o on in both.

    Most of a row is zero where delays are whole, hardly anything where they are wide: the same bits.
    index: space for the places in a row that are not zero.
    """
    if TWO * nonzeros(sums, o, rows * units) > rows * units:
        lanes.add_products((sums, o, units), (weight, ZERO, units), (y, o, units), rows, units, units)
    else:
        for r in range(rows):
            at = o + r * units
            there = compress(sums, at, units, index, ZERO)
            lanes.add_listed_products((y, at), (weight, ZERO), (sums, at), (index, there), units)


@lru_cache(None)
def _currents(real):
    prepare()
    mark = fingerprint(compress)

    def currents(table, t, first, last):
        mark  # noqa: B018  part of the cache key
        batch, units, sums = U(table[0]), U(table[1]), values_at(real, table[3])
        row, samples, index = (t * batch + first) * units, last - first, values_at(np.uint32, table[4])
        for g in range(U(5), U(5) + U(3) * U(table[2]), U(3)):
            y, weight = values_at(real, table[g]), values_at(real, table[g + U(1)])
            if table[g + U(2)] != 0:
                bias = values_at(real, table[g + U(2)])
                for s in range(samples):
                    add_bias(y, row + s * units, bias, units)
            for s in range(U(0), samples, U(BAND)):
                add_arrived(y, row + s * units, weight, sums, units, min(samples - s, U(BAND)), index)

    return compiled_call(currents)


@lru_cache(None)
def _spreading(real):
    prepare()
    mark = fingerprint()

    def spreading(table, t, first, last):
        mark  # noqa: B018  part of the cache key
        batch, units = U(table[0]), U(table[1])
        now, sums, share = values_at(real, table[2]), values_at(real, table[3]), values_at(real, table[4])
        begin, end = values_at(np.int64, table[5]), values_at(np.int64, table[6])
        step = batch * units
        for s in range(first, last):
            row = (t + U(1)) * step + s * units
            for n in range(units):
                value = now[s * units + n]
                if value != 0:
                    for k in range(U(begin[n]), U(end[n])):
                        sums[row + k * step + n] += value * share[k * units + n]

    return compiled_call(spreading)


class Coming:
    """What recurs late, on its way through a sequence."""

    def __init__(self, late: Late, start: Start, steps: int):
        assert start.last is not None
        batch, lags, units = start.last.shape
        self.late, self.coming, self.lengths, self.steps = late, start.last, start.lengths, steps
        size = (steps + lags) * batch * units
        of_vectors = buffers.zeros(size + lanes.WIDE, start.last.dtype)     # `compress` reads behind the end
        self.sums = of_vectors[:size].reshape(steps + lags, batch, units)
        self.sums[:lags] = start.last.swapaxes(0, 1)

    def currents(self, fed: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray | None]]) -> Call:
        """Add to the currents of step t what comes into it; fed: as in recurrence.currents."""
        _, batch, units = self.sums.shape
        code = _currents(kinds(self.sums.dtype, None)[0])
        of_one_kind(self.sums.dtype, self.late.share, *(a for each in fed for a in each))
        self.index = np.empty(units + lanes.WIDE, np.uint32)
        return call_of(code, batch, units, len(fed), self.sums, self.index,
                       *(a for each in fed for a in each))

    def spreading(self, now: np.ndarray) -> Call:
        """Add what step t has handed out, `now` (B, N), to what comes into the steps after it."""
        late, (_, batch, units) = self.late, self.sums.shape
        code = _spreading(kinds(self.sums.dtype, None)[0])
        return call_of(code, batch, units, now, self.sums, late.share, late.begin, late.end)

    def last(self) -> np.ndarray:
        """(B, L, N): what is on its way after the last step of each sample."""
        return self.sums[after(self.coming, self.steps, self.lengths)]

    def arrived(self) -> np.ndarray:
        """(T, B, N): what came into each step."""
        return self.sums[:self.steps]


# ---- the way back


@jitable
def gather_whole(back, o, dsums, row, step, units, begin):
    """back[o + n] = dsums of the one lag of neuron n."""
    for n in range(units):
        back[o + n] = dsums[row + U(begin[n]) * step + n]


@jitable
def gather_spread(back, o, dsums, row, step, units, share, lags):
    """back[o + n] = sum over lags of share times dsums, in ascending order."""
    for n in range(units):
        back[o + n] = 0
    for k in range(lags):
        for n in range(units):
            back[o + n] += share[k * units + n] * dsums[row + k * step + n]


@jitable
def add_share(dshare, n, value, dsums, row, step, units, begin, end):
    """dshare of neuron n += value times dsums, for its lags."""
    for k in range(U(begin[n]), U(end[n])):
        dshare[k * units + n] += value * dsums[row + k * step + n]


@lru_cache(None)
def _gathering(real, place):
    prepare()
    mark = fingerprint()

    def gathering(table, t, first, number):
        mark  # noqa: B018  part of the cache key
        batch, units, lags = U(table[0]), U(table[1]), U(table[2])
        back, dsums, share = values_at(real, table[3]), values_at(real, table[4]), values_at(real, table[5])
        begin, end, dshare = (values_at(np.int64, table[6]), values_at(np.int64, table[7]),
                              values_at(real, table[8]))
        values, count, index = (values_at(real, table[9]), values_at(np.int32, table[10]),
                                values_at(place, table[11]))
        step = batch * units
        for s in range(first, first + number):
            o, row = s * units, (t + U(1)) * step + s * units
            if lags == U(0):
                gather_whole(back, o, dsums, row, step, units, begin)
            else:
                gather_spread(back, o, dsums, row, step, units, share, lags)
            r = t * batch + s
            if table[8] != 0 and table[9] != 0:
                for n in range(units):
                    add_share(dshare, n, values[r * units + n], dsums, row, step, units, begin, end)
            elif table[8] != 0:
                for e in range(r * units, r * units + U(count[r])):
                    add_share(dshare, U(index[e]), real(1), dsums, row, step, units, begin, end)

    return compiled_call(gathering)


@jitable
def add_by_blas(dweight, arrived, dx, units, first, last):
    """dweight += rows first <= r < last of what came in, times those of dx."""
    total = rows_of(dweight, U(0), units, units)
    total += np.dot(rows_of(arrived, first, last, units).T, rows_of(dx, first, last, units))


@jitable
def add_by_rows(dweight, arrived, dx, units, first, last):
    """The same without BLAS, and without what is zero."""
    for r in range(first, last):
        for i in range(units):
            value = arrived[r * units + i]
            if value != 0:
                for n in range(units):
                    dweight[i * units + n] += value * dx[r * units + n]


@lru_cache(None)
def _way_back(real, with_blas, sparse):
    prepare()
    multiply = by_blas if with_blas else by_vectors
    add = add_by_rows if sparse else add_by_blas
    mark = fingerprint(multiply, add)

    def way_back(table, t, _, __):
        mark  # noqa: B018  part of the cache key
        batch, units, end = U(table[0]), U(table[1]), GATES + U(3) * U(table[2])
        lengths, width = values_at(np.int64, table[3]), U(table[4])
        dsums, product = values_at(real, table[5]), values_at(real, table[6])
        arrived, back = values_at(real, table[7]), ahead(dsums, t * batch * units)
        for g in range(GATES, end, U(3)):
            dx, weight = values_at(real, table[g]), values_at(real, table[g + U(1)])
            multiply(ahead(dx, t * batch * units), weight, product, batch, units, width)
            b, e = active_run(lengths, t, U(0), batch)
            while b < e:
                carry_rows(back, product, b, e, units, width, g > GATES)
                b, e = active_run(lengths, t, e, batch)
        if t % U(BLOCK) == U(0):
            first, last = t * batch, U(table[8]) * batch
            for g in range(GATES, end, U(3)):
                add(values_at(real, table[g + U(2)]), arrived, values_at(real, table[g]), units, first, last)
            table[8] = t

    return compiled_call(way_back)


class ComingBack:
    """The gradients that go back through a late recurrence, as `recurrence.WayBack`, and those of its shares.

    last (B, L, N): the gradient of what is on its way after the last step.  Before the loop takes what comes
    back to a step, `returned`, `gathering` collects it from the steps into which it was spread.
    """

    def __init__(self, recurrent: Recurrent, tape: Tape, last: np.ndarray, lengths: np.ndarray,
                 dx: Sequence[np.ndarray], with_blas: bool):
        assert isinstance(recurrent.late, Late) and tape.arrived is not None
        self.late, shape = recurrent.late, tape.arrived.shape
        self.dsums = sums_gradient(buffers.zeros(shape, last.dtype), last, tape.start.lengths)
        self.returned = np.zeros(shape[1:], last.dtype)
        self.dlate = np.zeros_like(self.late.share)
        self.gathering = self._gathering(tape)
        self.kept = tape, lengths, dx
        of_one_kind(last.dtype, self.late.share, tape.arrived, *dx, *recurrent.weight)
        self._dweight = tuple(map(np.zeros_like, recurrent.weight))
        self.call = self._way_back(tape, lengths, dx, recurrent.weight, with_blas)

    def _gathering(self, tape):
        late, (_, batch, units) = self.late, tape.arrived.shape
        lags = 0 if late.whole else int(late.end.max())
        listed = (tape.events.count, tape.events.index) if tape.values is None else (None, None)
        dtype = self.dsums.dtype
        return call_of(_gathering(*kinds(dtype, listed[1])), batch, units, lags, self.returned, self.dsums,
                       late.share, late.begin, late.end, self.dlate if late.learned else None, tape.values,
                       *listed)

    def _way_back(self, tape, lengths, dx, weight, with_blas):
        (steps, batch, units), dtype = tape.arrived.shape, self.dsums.dtype
        self.turned = turned(weight, 1 if with_blas else lanes.lanes(dtype))
        width = self.turned[0].shape[1]
        self.product = np.empty((batch, width), dtype)
        code = _way_back(dtype.type, with_blas, not blas.usable())
        each = zip(dx, self.turned, self._dweight, strict=True)
        return call_of(code, batch, units, len(dx), lengths, width, self.dsums, self.product, tape.arrived,
                       steps, *(a for arrays in each for a in arrays))

    def dweight(self) -> tuple[np.ndarray, ...]:
        """The sums over all steps, (N, N) each."""
        return self._dweight

    def dlast(self) -> np.ndarray:
        """(B, L, N): of what was on its way before the first step."""
        return before(self.dsums, len(self.late.share))


__all__ = ["Coming", "ComingBack", "in_turn"]
