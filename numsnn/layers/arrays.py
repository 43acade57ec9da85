"""Arrays from outside, checked at the door, before a loop reads them or anything is written."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..signals.arrays import numbers


def precise(a: np.ndarray, dtype: DTypeLike, what: str, symbol: str | None = None,
            remedy: str = "") -> np.ndarray:
    """Numbers in this precision and in one piece; ValueError where one is NaN or infinite, or becomes so."""
    with np.errstate(over="ignore"):        # of what is too large: the message says more
        own = np.asarray(a, dtype, order="C")
    if own.dtype.kind == "f" and not np.isfinite(own).all():
        place = tuple(map(int, np.argwhere(~np.isfinite(own))[0]))
        value, at = a[place], f"[{', '.join(map(str, place))}]" if place else ""
        too_large = f", too large for {own.dtype}" if np.isfinite(value) else ""
        raise ValueError(f"{what} is not finite: {symbol or what}{at} is {value}{too_large}{remedy}")
    return own


def checked(given: Any, shape: tuple[int, ...], dtype: DTypeLike, what: str, advice: str = "") -> np.ndarray:
    """`given` as an array of this shape and precision, in one piece, all of it finite.

    `what` names it in messages.  ValueError: what was expected, and what came.
    """
    a = numbers(given, what)
    if a.shape != shape:
        raise ValueError(f"{what} has shape {shape}; got shape {a.shape}{advice}")
    return precise(a, dtype, what)


class Arrays(UserDict[str, Any]):
    """The arrays of a layer by name.

    Once the layer is part of a network (`close`), compiled code knows where they lie: names can no longer be
    added or deleted, and assigning copies into the array, where shape and numbers fit; a ValueError says
    where they do not, and nothing is changed.
    """

    owner: str | None = None        # the name of a layer that is part of a network
    impossible: Callable[[str, np.ndarray], str]

    def close(self, owner: str, impossible: Callable[[str, np.ndarray], str]) -> None:
        """From here on arrays keep their places.

        owner: the layer's name; impossible: (name, array) -> why the layer cannot have it, "" where it can.
        """
        self.owner, self.impossible = owner, impossible
        for key, a in self.items():
            if isinstance(a, np.ndarray):
                precise(a, a.dtype, f"{owner}.{key}")

    def fitting(self, key: str, value: Any) -> np.ndarray:
        """`value` as the array of this name could take it."""
        own, what = self._own(key), f"parameter '{self.owner}.{key}'"
        fit = checked(value, own.shape, own.dtype, what)
        why = self.impossible(key, fit)
        if why:
            raise ValueError(f"{what}: {why}")
        return fit

    def _own(self, key):
        if key not in self.data:
            raise KeyError(f"layer {self.owner} has no array {key!r}; there are {', '.join(self) or 'none'}")
        return self.data[key]

    def __setitem__(self, key: str, value: Any) -> None:
        if self.owner is None:
            self.data[key] = value
        else:
            self.data[key][...] = self.fitting(key, value)

    def __delitem__(self, key: str) -> None:
        if self.owner is not None:
            raise TypeError(f"parameter '{self.owner}.{key}' belongs to the network and cannot be deleted")
        del self.data[key]

    def __ior__(self, other):       # type: ignore[misc]
        self.update(other)
        return self


def replaced(own: Arrays, given: Mapping[str, Any]) -> Arrays:
    """What a layer holds after `layer.params = given`: in a network its own arrays, with new values."""
    if own.owner is None:
        return given if isinstance(given, Arrays) else Arrays(given)
    if given.keys() != own.keys():
        raise KeyError(f"layer {own.owner} has the arrays {', '.join(own) or 'none'}; "
                       f"got {', '.join(given) or 'none'}")
    put_all([(own, key, value) for key, value in given.items()])
    return own


def put_all(values: Sequence[tuple[Arrays, str, Any]]) -> None:
    """Take all of these values, (arrays, name, value), or none of them where one does not fit."""
    fit = [arrays.fitting(key, value) for arrays, key, value in values]
    for (arrays, key, _), value in zip(values, fit, strict=True):
        arrays.data[key][...] = value
