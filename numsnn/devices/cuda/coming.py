"""What the host makes of arrays of the GPU once those have come down: at the end of a pass, of all in one go.

The host waits for what comes down until the GPU has done all it was told, and tells it nothing meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from .array import Array, fill


class _Made:
    """What is made of some arrays, values by name; None before they have come down."""

    __slots__ = ("arrays", "make", "values")

    def __init__(self, arrays, make):
        self.arrays, self.make = tuple(arrays), make
        self.values: dict[str, Any] | None = None


class Coming:
    """A sum, in the order of its terms, of which some are not made yet; an array once NumPy asks for one."""

    __slots__ = ("terms",)
    __array_ufunc__ = None      # an array of NumPy plus one that is coming is coming

    def __init__(self, *terms: Any):
        self.terms = terms      # arrays and numbers of the host, (made, name), or sums of their own

    def __add__(self, other: Any) -> Coming:
        return Coming(*self.terms, *_as_terms(other))

    def __radd__(self, other: Any) -> Coming:
        return Coming(*_as_terms(other), *_as_terms(self))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(come_down([self])[0], dtype)

    def __float__(self) -> float:
        return float(come_down([self])[0])

    def waiting(self) -> Iterator[_Made]:
        """What it is made of that may not be there yet."""
        for term in self.terms:
            if isinstance(term, Coming):
                yield from term.waiting()
            elif isinstance(term, tuple):
                yield term[0]

    def value(self) -> Any:
        """The sum, once all of it is there."""
        first, *others = map(_value, self.terms)
        for other in others:
            first = first + other
        return first


def _as_terms(a):
    """What stands for it in a sum: a sum of several keeps the order of its own."""
    return a.terms if isinstance(a, Coming) and len(a.terms) == 1 else (a,)


def _value(term):
    if isinstance(term, Coming):
        return term.value()
    if isinstance(term, tuple):
        made, name = term
        return made.values[name]
    return term


def later(names: Sequence[str], arrays: Sequence[Array | None], make: Callable) -> dict[str, Coming]:
    made = _Made(arrays, make)
    return {name: Coming((made, name)) for name in names}


def come_down(values: Sequence[Any]) -> list[Any]:
    """The values, with what was coming as it is now: of one precision all in one go."""
    late = [value for value in values if isinstance(value, Coming)]
    waiting = dict.fromkeys(made for value in late for made in value.waiting())
    to_make = [made for made in waiting if made.values is None]
    arrays = chain.from_iterable(made.arrays for made in to_make)
    down = iter(_down([a for a in arrays if a is not None]))
    for made in to_make:
        made.values = made.make(*(None if a is None else next(down) for a in made.arrays))
        made.arrays = ()
    return [value.value() if isinstance(value, Coming) else value for value in values]


def _down(arrays):
    """Arrays on the host, those of one precision copied together."""
    found = {}
    for dtype in dict.fromkeys(a.dtype for a in arrays):
        alike = {i: a for i, a in enumerate(arrays) if a.dtype == dtype}
        found |= dict(zip(alike, _together(list(alike.values())), strict=True))
    return [found[i] for i in range(len(arrays))]


def _together(arrays):
    """Arrays of one precision on the host."""
    if len(arrays) < 2:
        return list(map(np.asarray, arrays))
    whole, ends = Array(sum(a.size for a in arrays), arrays[0].dtype), np.cumsum([a.size for a in arrays])
    for a, end in zip(arrays, ends.tolist(), strict=True):
        fill(whole[end - a.size:end], a.reshape(-1))
    parts = np.split(np.asarray(whole), ends[:-1])
    return [part.reshape(a.shape) for part, a in zip(parts, arrays, strict=True)]


__all__ = ["Coming", "come_down", "later"]
