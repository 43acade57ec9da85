"""Neurons with several currents on the GPU: products with all their matrices; what layers part and join.

A named tuple of arrays, one for each current, stands for the matrices; a field that is () is a current that
the recurrence does not feed.  Each current has its own accumulator.  The loops over currents are lines made
of field names, as in access.py, and so no loops in the kernel.  Indices are unsigned: with signed ones Numba
adds the wrap-around of negative indices, which costs more than the product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numba import cuda, types
from numba.extending import overload

from ...neurons.activation import Activation
from ...neurons.model import Model
from ..access import absent, gather
from ..jit import INLINE, jitable, prepare, present_fields, written_function
from .array import Array, Values, put, start
from .spikes import DeviceSpikes, spikes_beside

U = np.uint64
ONE = U(1)


class Weights(NamedTuple):
    """Inputs of arrays, or of () where the recurrence does not feed a current."""
    weight: Any                 # (N, N), backward: transposed
    bias: Any                   # (N,), backward: (B * N), the sums of its gradient
    second: Any = ()            # as weight, of the current whose product takes `between`; not in `weight`
    between: Any = ()           # backward: (T * B * N), what `between` gives


def fed(model: Model, arrays: tuple, second: bool | None = None) -> Any:
    """Inputs of the arrays of the currents that the recurrence feeds, None for the others.

    second: of SECOND's alone, or of all but that one.
    """
    there = dict(zip(model.recurrent, arrays, strict=True)) if arrays else {}
    if second is not None:
        there = {name: a for name, a in there.items() if second == (name == model.second)}
    return by_name(model.Inputs, there)


def by_name(cls: Any, values: dict) -> Any:
    """A named tuple of values by field, None where there is none."""
    return cls(*map(values.get, cls._fields))


def captured(spike: Callable, slope: Callable, activation: Activation) -> tuple[Callable, ...]:
    """The functions of a surrogate and of an activation, as kernels capture them."""
    prepare()
    return tuple(map(jitable, (spike, slope, activation.value, activation.slope)))


# ---- all currents of a neuron: plain Python for the simulator, and the line that is compiled


def add_times(sums, factor, arrays, i):
    """sums + factor * arrays[i], field by field; factor: a number, or one for each field."""
    factors = factor if isinstance(factor, tuple) else (factor,) * len(sums)
    fields = zip(sums, factors, arrays, strict=True)
    return type(sums)(*(s if absent(a) else s + f * a[i] for s, f, a in fields))


def total(sums):
    """The sum of the fields, in their order."""
    return sum(sums[1:], sums[0])


def parts_of(memory, arrays, size):
    """Views of memory, of so many numbers, one after the other, where there are arrays."""
    rows = iter(memory.reshape(-1, size))
    return type(arrays)(*(() if absent(a) else next(rows) for a in arrays))


@overload(add_times, jit_options=INLINE)
def _add_times(sums, factor, arrays, i):
    by = "factor.{0}" if isinstance(factor, types.BaseTuple) else "factor"
    terms = {n: f"sums.{n}" for n in sums.fields}
    for n in present_fields(arrays):
        terms[n] += f" + {by.format(n)} * arrays.{n}[i]"
    values = ", ".join(terms.values())
    return written_function(f"def f(sums, factor, arrays, i): return cls({values})", cls=sums.instance_class)


@overload(total, jit_options=INLINE)
def _total(sums):
    return written_function(f"def f(sums): return {' + '.join(f'sums.{n}' for n in sums.fields)}")


@overload(parts_of, jit_options=INLINE)
def _parts_of(memory, arrays, size):
    views = dict.fromkeys(arrays.fields, "()")
    for k, n in enumerate(present_fields(arrays)):
        views[n] = f"memory[{k} * size:{k + 1} * size]"
    values = ", ".join(views.values())
    return written_function(f"def f(memory, arrays, size): return cls({values})", cls=arrays.instance_class)


# ---- products


@jitable
def add_values(sums, weights, values, first, units, n):
    """sums + values[first : first + N] times column n of each matrix, ascending.

    No zero is skipped: a branch would keep the loads of the rows apart.
    """
    i, j, end, units = U(n), U(first), U(first) + U(units), U(units)
    while j < end:
        sums = add_times(sums, values[j], weights, i)
        i += units
        j += ONE
    return sums


@jitable
def add_products(sums, weights, values, first, units, n):
    """sums + values.g[first : first + N] times column n of matrix g, ascending, for each current g."""
    i, m, end, units = U(n), U(first), U(first) + U(units), U(units)
    while m < end:
        sums = add_times(sums, gather(values, m), weights, i)
        i += units
        m += ONE
    return sums


@jitable
def sum_products(nothing, weights, values, first, units, n):
    """The products of all currents added up; nothing: a zero for each of them."""
    return total(add_products(nothing, weights, values, first, units, n))


@lru_cache(None)
def _turned():
    @cuda.jit
    def turn(a, rows, columns, out, size):
        i = cuda.grid(1)
        if i < size:
            out[i] = a[i % rows * columns + i // rows]
    return turn


def turned(a: Array) -> Array:
    """The transpose of a matrix."""
    out = Array(a.shape[::-1], a.dtype)
    start(_turned(), a.size, a, *a.shape, out, a.size)
    return out


# ---- for layers


@lru_cache(None)
def _columns():
    @cuda.jit
    def columns(a, a_width, a_first, out, out_width, out_first, width, n):
        """So many columns of out, beginning with out_first, are those of a, beginning with a_first."""
        i = cuda.grid(1)
        if i < n:
            r, column = i // width, i % width
            out[r * out_width + out_first + column] = a[r * a_width + a_first + column]
    return columns


def parted(a: Values, n: int | Sequence[int]) -> tuple[Array, ...]:
    """The parts (..., n) of an array, one after the other on its last axis; n: one width, or one for each."""
    a = put(a)
    width = a.shape[-1]
    widths = [n] * (width // n) if isinstance(n, int) else n
    if len(widths) == 1:
        return (a,)
    parts = tuple(Array((*a.shape[:-1], own), a.dtype) for own in widths)
    for first, part in zip(_firsts(widths), parts, strict=True):
        own = part.shape[-1]
        start(_columns(), part.size, a, width, first, part, own, 0, own, part.size)
    return parts


def beside(parts: Sequence[Any]) -> Any:
    """Arrays (..., n), or spikes (T, B, n), one after the other on the last axis."""
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], DeviceSpikes):
        return spikes_beside(parts)
    widths = [part.shape[-1] for part in parts]
    width = sum(widths)
    whole = Array((*parts[0].shape[:-1], width), parts[0].dtype)
    for first, own, part in zip(_firsts(widths), widths, parts, strict=True):
        start(_columns(), part.size, part, own, 0, whole, width, first, own, part.size)
    return whole


def _firsts(widths):
    """Where each part begins."""
    return accumulate(widths[:-1], initial=0)


__all__ = [
    "U", "Weights", "add_products", "add_times", "add_values", "beside", "by_name", "captured", "fed",
    "parted", "parts_of", "sum_products", "total", "turned",
]
