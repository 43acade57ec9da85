"""What populations do between their steps: recurrent currents, lists of spikes, and the way back.

None of this depends on a model, and it is half of a recurrent population's loop: put into it, it would be
compiled again for every model.  So it is compiled once, and loops call it by its address, step by step: a
`Call`, of which the table tells the code what to work on, in the order that stands at each function here.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import types
from numpy.typing import DTypeLike

from ..jit import fingerprint, jitable, prepare
from . import lanes
from .addresses import address, ahead, code_of, values_at
from .rows import NARROW, U, add_outer_rows, add_rows, add_values, outer_space

BLOCK = 32          # time steps whose recurrent weight gradient is added in one go


class Call(NamedTuple):
    """Code and what it works on; `call(it.code, (pointer(it.table), t, first, last))`."""
    code: int
    table: np.ndarray       # int64: numbers, and addresses of arrays, which whoever calls keeps


def call_of(code: Any, *table: Any) -> Call:
    """A call of compiled code; arrays, and None, are their addresses in its table."""
    plain = [a if isinstance(a, int) else address(a) for a in table]
    return Call(code.address, np.array(plain, np.int64))


def of_one_kind(real: DTypeLike, *arrays: np.ndarray | None) -> None:
    """Code at an address reads what it was compiled for."""
    wrong = {str(a.dtype) for a in arrays if a is not None and a.dtype != real}
    if wrong:
        raise TypeError(f"a recurrence of {np.dtype(real)} got {', '.join(sorted(wrong))}")


def compiled_call(function: Callable) -> Any:
    """Code for a Call, of a function (table, t, first, last)."""
    return code_of(function, types.CPointer(types.int64), types.uint64, types.uint64, types.uint64)


def kinds(real: DTypeLike, index: np.ndarray | None) -> tuple[Any, Any]:
    """The classes of numbers of values and of indices."""
    return np.dtype(real).type, np.uint16 if index is None else index.dtype.type


@jitable
def active_run(lengths, t, b, batch):
    """The next run of samples of [b, batch) that have a step t: (first, last), empty at the end.

    lengths (B + 1): of the samples, and the least of them, so that a batch without padding costs nothing and
    needs no loops of its own.
    """
    if U(lengths[batch]) > t:
        return b, batch
    while b < batch and U(lengths[b]) <= t:
        b += U(1)
    end = b
    while end < batch and U(lengths[end]) > t:
        end += U(1)
    return b, end


# ---- lists of spikes


@jitable
def _compress_one_by_one(values, o, n_units, index, p):
    k = U(0)
    for n in range(n_units):
        index[p + k] = n
        k += U(values[o + n] != 0)
    return k


@jitable
def _compress_vectors(values, o, n_units, index, p):
    return lanes.listed((values, o), n_units, (index, p))


# Write the ascending indices of the non-zero values[o : o + N] to index[p:]; their number.  No branch; up to
# WIDE places behind the last are touched.
compress = _compress_vectors if lanes.COMPRESSES else _compress_one_by_one


@lru_cache(None)
def _listing(real, place):
    prepare()
    mark = fingerprint(compress)

    def listing(table, t, first, last):
        mark  # noqa: B018  part of the cache key
        batch, units = U(table[0]), U(table[1])
        spike, count = values_at(real, table[2]), values_at(np.int32, table[3])
        index = values_at(place, table[4])
        for s in range(first, last):
            r = t * batch + s
            count[r] = compress(spike, s * units, units, index, r * units)

    return compiled_call(listing)


def listing(spike: np.ndarray, lists: tuple[np.ndarray, np.ndarray]) -> Call:
    """List the spikes (B, N) of step t of the samples first <= s < last.

    lists: (count (T * B,), index (T * B * N,)).
    """
    batch, units = spike.shape
    return call_of(_listing(*kinds(spike.dtype, lists[1])), batch, units, spike, *lists)


@lru_cache(None)
def _unlisting(real, place):
    prepare()
    mark = fingerprint()

    def unlisting(table, t, first, number):
        mark  # noqa: B018  part of the cache key
        batch, units, group = U(table[0]), U(table[1]), U(table[2])
        spike, count = values_at(real, table[3]), values_at(np.int32, table[4])
        index = values_at(place, table[5])
        if t == U(0):
            initial = (group + first) * units
            for i in range(number * units):
                spike[i] = spike[initial + i]
        else:
            for i in range(number * units):
                spike[i] = 0
            for s in range(number):
                r = (t - U(1)) * batch + first + s
                for e in range(r * units, r * units + U(count[r])):
                    spike[s * units + U(index[e])] = 1

    return compiled_call(unlisting)


def unlisting(spike: np.ndarray, group: int, lists: tuple, shape: tuple[int, int]) -> Call:
    """The spikes before step t of some samples from `first` on, from their lists, to the front of `spike`.

    spike: (group * N + B * N), which has behind the group those before the first step.  shape: (B, N).
    """
    return call_of(_unlisting(*kinds(spike.dtype, lists[1])), *shape, group, spike, *lists)


# ---- recurrent currents


@jitable
def add_bias(y, o, bias, n_out):
    """y[o : o + n_out] += bias."""
    for n in range(n_out):
        y[o + n] += bias[n]


@lru_cache(None)
def _currents(real, place):
    prepare()
    mark = fingerprint()

    def currents(table, t, first, last):
        mark  # noqa: B018  part of the cache key
        batch, units, fed = U(table[0]), U(table[1]), U(table[2])
        listed = table[3] != 0 and t > U(0)
        now, count = values_at(real, table[4]), values_at(np.int32, table[5])
        index = values_at(place, table[6])
        for g in range(U(7), U(7) + U(3) * fed, U(3)):
            y, weight = values_at(real, table[g]), values_at(real, table[g + U(1)])
            bias = values_at(real, table[g + U(2)])
            for s in range(first, last):
                r = t * batch + s
                if table[g + U(2)] != 0:
                    add_bias(y, r * units, bias, units)
                if listed:
                    e = (r - batch) * units
                    add_rows(y, r * units, weight, units, index, e, e + U(count[r - batch]))
                else:
                    add_values(y, r * units, weight, units, units, now, s * units)

    return compiled_call(currents)


def currents(
        now: np.ndarray, lists: tuple[np.ndarray, np.ndarray] | None,
        fed: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray | None]]) -> Call:
    """Add to the currents of step t what recurs into them, for the samples first <= s < last.

    now (B, N): what recurs; lists: its spikes, as `listing` wrote them, where it is spikes.  fed: the current
    (T * B * N,), the weight (N, N) and the bias (N,) of each current that the recurrence feeds.
    """
    of_one_kind(now.dtype, *(a for each in fed for a in each))
    count, index = lists or (None, None)
    code = _currents(*kinds(now.dtype, index))
    return call_of(code, *now.shape, len(fed), int(lists is not None), now, count, index,
                 *(a for each in fed for a in each))


# ---- the way back


@jitable
def carry_rows(back, through, first, last, units, width, more):
    """back += (or, without `more`, =) through, rows first <= s < last, of which through's are wider."""
    for s in range(first, last):
        o, p = s * units, s * width
        for n in range(units):
            back[o + n] = back[o + n] + through[p + n] if more else through[p + n]


@jitable
def add_first_rows(dweight, width, initial, dx, batch, units):
    """dweight += the initial value of what recurs times dx at t = 0."""
    for b in range(batch):
        for j in range(units):
            value = initial[b * units + j]
            if value != 0:
                for n in range(units):
                    dweight[j * width + n] += value * dx[b * units + n]


@jitable
def rows_of(matrix, first, last, width):
    """The rows first <= r < last of a matrix as an array."""
    return numba.carray(ahead(matrix, first * width), (last - first, width))


@jitable
def by_blas(a, b, out, rows, terms, width):
    """out = a @ b."""
    np.dot(numba.carray(a, (rows, terms)), numba.carray(b, (terms, width)), numba.carray(out, (rows, width)))


@jitable
def by_vectors(a, b, out, rows, terms, width):
    """out = a @ b without BLAS, for a b of whole vectors; one accumulator each, over ascending k."""
    lanes.product((a, U(0), terms), (b, U(0), width), (out, U(0), width), rows, terms, width)


@jitable
def add_from_spikes(dweight, width, dx, units, first, last, shift, recurred):
    """dweight += what recurred in the rows first <= r < last, times the rows r + shift of dx.

    recurred: start, count and index of spikes; order and heads for many units (rows.outer_space); no values.
    """
    start, count, index, order, heads, _ = recurred
    entries = start, count, index, None
    if units > U(NARROW):
        add_outer_rows(dweight, width, units, units, first, last, entries, dx, shift, (order, None, heads))
    else:
        add_outer_rows(dweight, width, units, units, first, last, entries, dx, shift, None)


@jitable
def add_from_values(dweight, width, dx, units, first, last, shift, recurred):
    """The same of values that recurred."""
    values = recurred[5]
    total = rows_of(dweight, U(0), units, width)
    total += np.dot(rows_of(values, first, last, units).T, rows_of(dx, first + shift, last + shift, units))


@lru_cache(None)
def _way_back(real, place, with_blas, of_spikes):
    prepare()
    multiply = by_blas if with_blas else by_vectors
    add = add_from_spikes if of_spikes else add_from_values
    mark = fingerprint(multiply, add)

    def way_back(table, t, _, __):
        mark  # noqa: B018  part of the cache key
        batch, units, steps, end = U(table[0]), U(table[1]), U(table[2]), GATES + U(3) * U(table[3])
        lengths, width = values_at(np.int64, table[4]), U(table[5])
        back, through = values_at(real, table[6]), values_at(real, table[7])
        whole = U(lengths[batch]) == steps
        for g in range(GATES, end, U(3)):
            dx, weight = values_at(real, table[g]), values_at(real, table[g + U(1)])
            rows = ahead(dx, t * batch * units)
            if with_blas and whole and g == GATES:
                multiply(rows, weight, back, batch, units, width)
            else:
                multiply(rows, weight, through, batch, units, width)
                b, e = active_run(lengths, t, U(0), batch)
                while b < e:
                    carry_rows(back, through, b, e, units, width, g > GATES)
                    b, e = active_run(lengths, t, e, batch)
        if table[9] != 0 and t % U(BLOCK) == U(0):
            done, wide, initial = U(table[8]), U(table[9]), values_at(real, table[10])
            recurred = (values_at(np.int64, table[11]), values_at(np.int32, table[12]),
                        values_at(place, table[13]), values_at(np.uint32, table[14]),
                        values_at(np.int64, table[15]), values_at(real, table[16]))
            first, last = (max(t, U(1)) - U(1)) * batch, (done - U(1)) * batch
            for g in range(GATES, end, U(3)):
                dx, dweight = values_at(real, table[g]), values_at(real, table[g + U(2)])
                if first < last:
                    add(dweight, wide, dx, units, first, last, batch, recurred)
                if t == U(0):
                    add_first_rows(dweight, wide, initial, dx, batch, units)
            table[8] = t

    return compiled_call(way_back)


GATES = U(17)       # where the arrays of the currents stand in the table of the way back


class Recurred(NamedTuple):
    """What recurred."""
    initial: np.ndarray         # (B * N): into the first step
    # (start, count, index) of the spikes that did, or (T * B, N): the values
    listed: tuple[np.ndarray, np.ndarray, np.ndarray] | None
    values: np.ndarray | None


class Back(NamedTuple):
    """The gradient of what recurs, and how it comes there."""
    returned: np.ndarray        # (B, N): through the recurrence, changed by every step
    lengths: np.ndarray         # (B + 1): see active_run
    with_blas: bool


def turned(weight: Sequence[np.ndarray], size: int) -> list[np.ndarray]:
    """The matrices (N, N) transposed, with zeros behind their rows up to a multiple of a size."""
    units = len(weight[0])
    found = [np.zeros((units, -(-units // size) * size), w.dtype) for w in weight]
    for wide, w in zip(found, weight, strict=True):
        wide[:, :units] = w.T
    return found


class WayBack:
    """The gradients that go back through the recurrence at each step, and those of its weights.

    recurred: None, if those of the weights are not wanted.  dx: (T * B, N), and weight: (N, N), for each
    current that the recurrence feeds.
    """

    gathering = dlate = None        # of what recurs late: see late.ComingBack

    def __init__(self, recurred: Recurred | None, back: Back, dx: Sequence[np.ndarray],
                 weight: Sequence[np.ndarray]):
        (batch, units), dtype = back.returned.shape, back.returned.dtype
        of_one_kind(dtype, *dx, *weight)
        steps = len(dx[0]) // batch if batch else 0
        weight_t = turned(weight, 1 if back.with_blas else lanes.lanes(dtype))
        width = weight_t[0].shape[1]
        product = np.empty((batch, width), dtype)
        self._dweight, of_weights = _sums(recurred, len(weight), (batch, units), dtype)
        code = _way_back(*kinds(dtype, of_weights[4]), back.with_blas, bool(recurred and recurred.listed))
        each = zip(dx, weight_t, self._dweight, strict=True)
        self.call = call_of(code, batch, units, steps, len(dx), back.lengths, width, back.returned, product,
                          steps, *of_weights, *(a for arrays in each for a in arrays))
        self.kept = recurred, back, dx, weight_t, product, of_weights
        self.returned = back.returned

    def dlast(self) -> np.ndarray:
        """(B, N): the gradient of what recurred into the first step."""
        return self.returned

    def dweight(self) -> tuple[np.ndarray, ...]:
        """The sums over all steps, (N, N) each."""
        return tuple(np.ascontiguousarray(d[:, :len(d)]) for d in self._dweight)


def _sums(recurred, number, shape, dtype):
    """(zeros for the gradients of so many weights, what the table holds for them)."""
    batch, units = shape
    if recurred is None:
        return [None] * number, (0, *[None] * 7)
    of_one_kind(dtype, recurred.initial, recurred.values)
    if recurred.listed is None:
        sums = [np.zeros((units, units), dtype) for _ in range(number)]
        return sums, (units, recurred.initial, *[None] * 5, recurred.values)
    spaces = [outer_space(units, units, dtype, BLOCK * batch * units) for _ in range(number)]
    sums, working = [space[0] for space in spaces], spaces[0][1]
    order, _, heads = working or (None, None, None)
    return sums, (sums[0].shape[1], recurred.initial, *recurred.listed, order, heads, None)
