"""One time step of a whole network on the CPU as one compiled call.

That is `net.step` without Python from layer to layer.  Each layer is a compiled function of addresses (a
kernel), made once for each kind of layer and model; `drive` calls them one after the other from a table.  All
values of a step lie in one vector: states, what each layer hands out, working space.

    kernel(fixed, x, before, after, y, work, batch)
        fixed: addresses and numbers of the layer (int64).  x: (batch, n_in), y: (batch, n_out).
        before, after: its state, one field after the other, (batch, n) each.  work: space

The arithmetic is that of the loops over whole sequences, in the same order: the same bits.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import njit, types
from numba.extending import overload
from numpy.typing import DTypeLike

from ..contract import ROUND
from ..jit import (
    INLINE,
    OPTIONS,
    fingerprint,
    prepare,
    written_function,
)
from ..tiny import flush_tiny, restore
from .addresses import ahead, at, call, code_of, numbers_at, shifted
from .dense import soften
from .fields import pointer
from .rows import U, add_values, all_finite

# of drive's table: kernel, fixed, and the places of x (-1: the input), before, after, y, work
COLUMNS = 7


class StepLayer(NamedTuple):
    """A layer in the table of a step."""
    kernel: Any             # a compiled function of addresses
    fixed: tuple            # numbers, and arrays of which the address is taken
    state: tuple            # values of each field of the state, for one sample
    n_out: int
    work: int               # values of working space
    # arrays that `fixed` is computed from; if their values change it is computed anew
    watched: tuple = ()


# ---- tuples of pointers


def kernel_of(function, real):
    p = types.CPointer(real)
    return code_of(function, types.CPointer(types.int64), p, p, p, p, p, types.uint64)


def pointed(cls, like, fixed, first):
    """cls of pointers to the values at the addresses fixed[first], fixed[first + 1] ..."""


def spread(cls, p, size):
    """cls of pointers to fields that lie one after the other: p, p + size ..."""


def scalars(cls, p):
    """cls of the values p[0], p[1] ..."""


def _made(cls, item, arguments):
    """cls of an expression of the field's number."""
    kind = cls.instance_class
    items = ", ".join(item.format(i=i) for i in range(len(kind._fields)))
    source = f"def f(cls, {arguments}): return kind({items})"
    return written_function(source, kind=kind, at=at, shifted=shifted, U=U)


@overload(pointed, jit_options=INLINE)
def _pointed(cls, like, fixed, first):
    return _made(cls, "at(like, fixed[first + {i}])", "like, fixed, first")


@overload(spread, jit_options=INLINE)
def _spread(cls, p, size):
    return _made(cls, "shifted(p, U({i}) * size)", "p, size")


@overload(scalars, jit_options=INLINE)
def _scalars(cls, p):
    return _made(cls, "p[{i}]", "p")


# ---- kernels


@lru_cache(None)
def _dense(real):
    mark = fingerprint()

    def dense(fixed, x, before, after, y, work, batch):
        mark  # noqa: B018  part of the cache key
        word = flush_tiny()
        weight, bias = at(x, fixed[0]), at(x, fixed[1])
        n_in, n_out = U(fixed[2]), U(fixed[3])
        x, y = shifted(x, U(0)), shifted(y, U(0))
        for b in range(batch):
            for n in range(n_out):
                y[b * n_out + n] = bias[n]
            add_values(y, b * n_out, weight, n_in, n_out, x, b * n_in)
        restore(word)

    return kernel_of(dense, real)


def dense_step(weight: np.ndarray, bias: np.ndarray) -> StepLayer:
    n_in, n_out = weight.shape
    return StepLayer(_dense(real_of(weight.dtype)), (weight, bias, n_in, n_out), (), n_out, 0)


@lru_cache(None)
def _over_time(reduce, softmax, real):
    """fixed: n, start."""
    mean, largest, each = reduce == "mean", reduce == "max", reduce == "each"
    summed, number = reduce in ("sum", "mean"), np.dtype(real.name).type
    prepare()
    mark = fingerprint()

    def over_time(fixed, x, before, after, y, work, batch):
        mark  # noqa: B018  part of the cache key
        n, z, start = U(fixed[0]), shifted(work, U(0)), fixed[1]
        for b in range(batch):
            for i in range(n):
                z[i] = x[b * n + i]
            if softmax:
                soften(z, U(0), n)
            if each:
                for i in range(n):
                    y[b * n + i] = z[i]
            else:
                steps, rounds = batch * n + b, batch * n + batch + b
                step = np.int64(before[steps]) + np.int64(before[rounds]) * ROUND + 1
                terms = step - start
                after[steps], after[rounds] = number(step % ROUND), number(step // ROUND)
                for i in range(n):
                    value = before[b * n + i]
                    if terms > 0:
                        if summed:
                            value += z[i]
                        elif not largest or terms == 1 or z[i] > value:
                            value = z[i]
                    after[b * n + i] = value
                    y[b * n + i] = value / number(max(terms, 1)) if mean else value

    return kernel_of(over_time, real)


def over_time_step(reduce: str, of: str, start: int, n: int, dtype: DTypeLike) -> StepLayer:
    state = () if reduce == "each" else (n, 1, 1)
    return StepLayer(_over_time(reduce, of == "softmax", real_of(dtype)), (n, start), state, n, n)


def real_of(dtype):
    return numba.from_dtype(np.dtype(dtype))


# ---- the drive


@lru_cache(None)
def _drive():
    mark = fingerprint()

    @njit(**OPTIONS)
    def drive(table, watched, x, before, held, after, batch):
        """One step through all layers; before[:held]: the state.

        False, and nothing done, where a watched array no longer holds what it held, or a number is none.
        """
        mark  # noqa: B018  part of the cache key
        for w in range(watched.shape[0]):
            size = watched[w, 2]
            now = numba.carray(numbers_at(np.int32, watched[w, 0]), size)
            then = numba.carray(numbers_at(np.int32, watched[w, 1]), size)
            for i in range(size):
                if now[i] != then[i]:
                    return False
        given, old, new = pointer(x), pointer(before), pointer(after)
        if not (all_finite(given, U(x.size)) and all_finite(old, U(held))):
            return False
        for r in range(table.shape[0]):
            row = table[r]
            source = given if row[2] < 0 else ahead(new, row[2])
            state, after_it = ahead(old, row[3]), ahead(new, row[4])
            y, work = ahead(new, row[5]), ahead(new, row[6])
            call(row[0], (numbers_at(np.int64, row[1]), source, state, after_it, y, work, U(batch)))
        return True

    return drive


class StepTable:
    """The layers of a step, with all addresses; a call makes one step of `batch` samples.

    Nothing in it changes after it is made.
    """

    def __init__(self, layers: list[StepLayer], batch: int, dtype: DTypeLike):
        self.layers, self.dtype, self.batch = layers, np.dtype(dtype), batch
        self.states, place = _states_of(layers, batch)
        self.held = place
        self.fixed = [np.array(list(map(_number, layer.fixed)), np.int64) for layer in layers]
        rows, source = [], -1
        for layer, fixed, state in zip(layers, self.fixed, self.states, strict=True):
            y, work = place, place + batch * layer.n_out
            rows.append((layer.kernel.address, fixed.ctypes.data, source, state, state, y, work))
            source, place = y, work + layer.work
        self.table, self.size = np.array(rows, np.int64).reshape(-1, COLUMNS), place
        self.answer = slice(source, source + batch * layers[-1].n_out)
        self.then = [(a, a.copy()) for layer in layers for a in layer.watched]
        watched = [(a.ctypes.data, b.ctypes.data, a.nbytes // 4) for a, b in self.then]
        self.watched = np.array(watched, np.int64).reshape(-1, 3)
        self.drive = _drive()

    def __call__(self, x: np.ndarray, before: np.ndarray) -> np.ndarray | None:
        """The vector of the step.

        None where the parameters have changed since this was made, or x or the state is not finite.
        """
        after = np.empty(self.size, self.dtype)
        there = self.drive(self.table, self.watched, x, before, self.held, after, self.batch)
        return after if there else None


def _states_of(layers: Sequence[StepLayer], batch: int) -> tuple[list[int], int]:
    """(where the state of each layer begins, where the last one ends)."""
    places, place = [], 0
    for layer in layers:
        places.append(place)
        place += batch * sum(layer.state)
    return places, place


def _number(a):
    """The address of an array, or the number itself."""
    return a.ctypes.data if isinstance(a, np.ndarray) else a
