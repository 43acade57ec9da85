"""Whole numbers, and times, from outside: columns, counts and options come in here.

They leave in types of ours, so that nothing is computed, and wraps round, in the type that the caller had.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

LARGEST_UNITS = 1 << 32             # lists of spikes number no more
LARGEST_TIME = 1 << 62              # ticks: the difference of two times is a number of 64 bits, too


def integers(name: str, values: ArrayLike, dtype: DTypeLike = np.int64, remedy: str = "") -> np.ndarray:
    """An array of whole numbers in a type of ours; ValueError where they are none, or do not fit.

    name: what they are, for the message.  remedy: what to do where they are no integers.
    Without a copy where the type is the same.
    """
    array = np.asarray(values)
    advice = f"; {remedy}" if remedy else ""
    if not array.size:
        return array.astype(dtype)
    if array.dtype.kind not in "iub":
        raise ValueError(f"{name} must be integers; got {array.dtype} of shape {array.shape}{advice}")
    if not np.can_cast(array.dtype, dtype):
        least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
        smallest, largest = int(array.min()), int(array.max())
        if smallest < least or largest > most:
            raise ValueError(f"{name} must lie from {least} to {most}; got {smallest} to {largest}")
    return array.astype(dtype, copy=False)


def is_whole(value: Any, least: float = -np.inf) -> bool:
    """Whether it is one integer, of Python or NumPy, of at least `least`; a truth value is none."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value >= least)


def whole(name: str, value: Any, least: int) -> int:
    """A Python integer of at least `least`; ValueError for anything else, for truth values too."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, (bool, np.bool_)) or np.ndim(value) or number < least:
        raise ValueError(f"{name} must be a whole number of at least {least}; got {value!r}")
    return number


def column_of_events(name: str, column: np.ndarray | None, n: int, size: int,
                     dtype: type[np.signedinteger]) -> np.ndarray:
    """A column of places of n events, from 0 to size - 1, in this type."""
    if column is None:
        raise ValueError(f"{name} must be a vector of {n} integers; got none")
    if column.shape != (n,) or column.dtype.kind not in "iub" and n:
        raise ValueError(f"{name} must be a vector of {n} integers; "
                         f"got {column.dtype} of shape {column.shape}")
    if n and not (0 <= column.min() and column.max() < size):
        raise ValueError(f"{name} must be from 0 to {size - 1}; got {column.min()} to {column.max()}")
    return column.astype(dtype, copy=False)


def times_of_events(t: ArrayLike) -> np.ndarray:
    """Times as int64, or as the floats that they are (long ones as float64)."""
    t = np.asarray(t)
    if t.ndim != 1 or t.dtype.kind not in "iuf":
        raise ValueError(f"t must be a vector of numbers; got {t.dtype} of shape {t.shape}")
    if t.dtype.kind == "f":
        if not np.isfinite(t).all():
            raise ValueError(f"t holds {(~np.isfinite(t)).sum()} times that are not finite; "
                             f"drop these events first")
        return t.astype(np.float64 if t.dtype.itemsize > 8 else t.dtype.newbyteorder("="), copy=False)
    if t.size and not -LARGEST_TIME < t.min() <= t.max() < LARGEST_TIME:
        raise ValueError(f"times must lie between -2^62 and 2^62 ticks; got {t.min()} to {t.max()}")
    return t.astype(np.int64, copy=False)
