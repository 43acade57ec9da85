"""Compiled pieces that add rows of a weight matrix: forward currents and weight gradients of event input.

Arrays come as pointers (see jit.py), matrices row by row.  All indices are unsigned: with signed ones Numba
adds the wrap-around of negative indices, which blocks SIMD.
"""

import numpy as np
from numpy.typing import DTypeLike

from ..jit import jitable
from . import lanes

U = np.uint64
ZERO, ONE, TWO, THREE, FOUR = U(0), U(1), U(2), U(3), U(4)
BAND = 16           # rows of values that go together: by rows of weights where most of them are zero
NARROW = 64         # outputs up to which gradient rows are added as they come, not sorted by input


@jitable
def add_rows(y, o, weight, n_out, index, e, end):
    """y[o : o + n_out] += rows index[e] ... index[end - 1] of weight.

    In this order, one accumulator per output.
    """
    lanes.sum_rows((y, o), (y, o), (weight, ZERO), (index, e, end), n_out)


@jitable
def add_rows_times(y, o, weight, n_out, index, multiplicity, e, end):
    """add_rows with a factor for each row."""
    for k in range(e, end):
        i, m = U(index[k]) * n_out, multiplicity[k]
        for n in range(n_out):
            y[o + n] += m * weight[i + n]


@jitable
def add_entries(y, o, weight, n_out, index, multiplicity, e, end):
    """add_rows, or add_rows_times where there is a multiplicity."""
    if multiplicity is None:
        add_rows(y, o, weight, n_out, index, e, end)
    else:
        add_rows_times(y, o, weight, n_out, index, multiplicity, e, end)


@jitable
def sum_entries(y, o, first, weight, n_out, index, multiplicity, e, end):
    """y[o : o + n_out] = first, and `add_entries` to it."""
    if multiplicity is None:
        lanes.sum_rows((y, o), (first, ZERO), (weight, ZERO), (index, e, end), n_out)
    else:
        for n in range(n_out):
            y[o + n] = first[n]
        add_rows_times(y, o, weight, n_out, index, multiplicity, e, end)


@jitable
def put_factor(factor, h, multiplicity, m):
    if multiplicity is not None:
        factor[h] = multiplicity[m]


@jitable
def add_values(y, o, weight, n_in, n_out, values, v):
    """y[o : o + n_out] += values[v + k] * row k of weight for k = 0, 1, ... n_in - 1, in this order.

    Zeros are skipped.  Four rows a pass where no value is zero.
    """
    k = U(0)
    while k + FOUR <= n_in:
        a, b, c, d = values[v + k], values[v + k + ONE], values[v + k + TWO], values[v + k + THREE]
        if a != 0 and b != 0 and c != 0 and d != 0:
            row_a = k * n_out
            row_b, row_c, row_d = row_a + n_out, row_a + TWO * n_out, row_a + THREE * n_out
            for n in range(n_out):
                first_two = (y[o + n] + a * weight[row_a + n]) + b * weight[row_b + n]
                y[o + n] = (first_two + c * weight[row_c + n]) + d * weight[row_d + n]
        else:
            add_single_values(y, o, weight, k, k + FOUR, n_out, values, v)
        k += FOUR
    add_single_values(y, o, weight, k, n_in, n_out, values, v)


@jitable
def add_single_values(y, o, weight, k, end, n_out, values, v):
    """The terms k ... end - 1 of add_values, row by row."""
    for j in range(k, end):
        value = values[v + j]
        if value != 0:
            for n in range(n_out):
                y[o + n] += value * weight[j * n_out + n]


@jitable
def nonzeros(x, first, n):
    """How many of x[first : first + n] are not zero."""
    found = U(0)
    for i in range(first, first + n):
        found += U(x[i] != 0)
    return found


def outer_space(
        n_in: int, n_out: int, dtype: DTypeLike, entries: int,
        multiplicity: np.ndarray | None = None) -> tuple[np.ndarray, tuple | None]:
    """(array for the sum, working space) of `add_outer_rows` for so many entries at a time.

    Of the sum's rows only n_out are meant.
    """
    if n_out <= NARROW and multiplicity is None:
        size = lanes.lanes(dtype)
        return np.zeros((n_in, -(-n_out // size) * size), dtype), None
    order, heads = np.empty(entries, np.uint32), np.empty(n_in + 1, np.int64)
    factor = None if multiplicity is None else np.empty(entries, np.float32)
    return np.zeros((n_in, n_out), dtype), (order, factor, heads)


@jitable
def add_outer_rows(dweight, width, n_in, n_out, first, last, entries, grad, shift, working):
    """Row i of dweight += multiplicity * row r + shift of grad, for every entry i of the rows r.

    first <= r < last, ascending.
    entries: (start, count, index, multiplicity or None) of Spikes.  dweight, its width, working: see
    `outer_space`.  Few outputs are added as they come.  For many a counting sort brings the entries of one
    unit together, so that each row of dweight is written once.
    """
    start, count, index, _ = entries
    if working is None:
        for r in range(first, last):
            e = U(start[r])
            row = (r + shift) * n_out
            lanes.add_to_rows((grad, row), (dweight, width), (index, e, e + U(count[r])), n_out)
    else:
        add_sorted_rows(dweight, n_in, n_out, first, last, entries, grad, shift, working)


@jitable
def add_sorted_rows(dweight, n_in, n_out, first, last, entries, grad, shift, working):
    """The second way of `add_outer_rows`."""
    start, count, index, multiplicity = entries
    order, factor, heads = working
    for i in range(n_in + ONE):
        heads[i] = 0
    for r in range(first, last):
        e = U(start[r])
        for m in range(e, e + U(count[r])):
            heads[U(index[m]) + ONE] += 1
    for i in range(n_in):
        heads[i + ONE] += heads[i]
    for r in range(first, last):
        e = U(start[r])
        for m in range(e, e + U(count[r])):
            i = U(index[m])
            h = U(heads[i])
            order[h] = r + shift
            put_factor(factor, h, multiplicity, m)
            heads[i] += 1
    rows = U(0)
    for i in range(n_in):
        add_entries(dweight, i * n_out, grad, n_out, order, factor, rows, U(heads[i]))
        rows = U(heads[i])


@jitable
def all_finite(values, n):
    """Whether none of n values is NaN or infinite."""
    wrong = 0
    for i in range(n):
        wrong += values[i] - values[i] != 0
    return wrong == 0


@jitable
def multiply(a, b, out):
    """out = a @ b of arrays without BLAS, over ascending k."""
    for i in range(U(a.shape[0])):
        for n in range(U(b.shape[1])):
            out[i, n] = 0
        for k in range(U(b.shape[0])):
            v = a[i, k]
            for n in range(U(b.shape[1])):
                out[i, n] += v * b[k, n]


@jitable
def multiply_blas(a, b, out):
    """out = a @ b of arrays by BLAS."""
    np.dot(a, b, out)
