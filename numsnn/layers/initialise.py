"""Initial values of weights and of the settings of neurons.

An initialiser is a function (rng, shape) -> float64 array; shape is (n_in, n_out) of a weight, or (n,).
Everywhere an initial value is asked for, these are accepted: a number, an array, a name ("orthogonal"), a
tuple of a name and its arguments (("normal", 20, 5)), or a function of your own.

    name              values
    zeros, ones       0, 1
    constant c        c
    normal m s low    N(m, s); with low given no value is below it (time constants must be positive)
    multi_normal m s  equal groups of neurons, N(m[k], s[k]) for group k; m, s: lists; what is left over
    belongs to the last group
    uniform a b       U(a, b)
    log_uniform a b   exp(U(log a, log b)): each octave alike; 0 < a
    xavier_uniform    U(-r, r), r = sqrt(6 / (n_in + n_out))        Glorot & Bengio 2010
    xavier_normal     N(0, sqrt(2 / (n_in + n_out)))
    kaiming_uniform   U(-r, r), r = sqrt(6 / n_in)                  He et al. 2015
    kaiming_normal    N(0, sqrt(2 / n_in))
    orthogonal g      orthogonal rows or columns, times g           Saxe et al. 2014
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf, isfinite, isnan, prod
from numbers import Real
from typing import TypeAlias, TypeGuard

import numpy as np

from ..checked import what_it_is


def _fans(shape):
    """(n_in, n_out) as a weight of this shape has them."""
    return (shape[0], shape[-1]) if len(shape) > 1 else (1, shape[0])


def _orthogonal(rng, shape, gain=1.0):
    rows, columns = shape
    q, r = np.linalg.qr(rng.standard_normal((max(shape), min(shape))))
    q *= np.sign(np.diag(r))
    return gain * (q if rows >= columns else q.T)


def _normal(rng, shape, mean=0.0, std=1.0, low=-np.inf):
    return np.maximum(rng.normal(mean, std, shape), low)


def _multi_normal(rng, shape, means, stds):
    n = int(np.prod(shape))
    groups = len(means)
    if groups != len(stds) or not 0 < groups <= n:
        raise ValueError(f"expected as many means as deviations, from one to one for each of {n} values; "
                         f"got {groups} and {len(stds)}")
    group = np.minimum(np.arange(n) // (n // groups), groups - 1)
    return rng.normal(np.take(means, group), np.take(stds, group)).reshape(shape)


INITIALISERS: dict[str, Callable] = {
    "zeros": lambda rng, shape: np.zeros(shape),
    "ones": lambda rng, shape: np.ones(shape),
    "constant": lambda rng, shape, value: np.full(shape, float(value)),
    "normal": _normal,
    "multi_normal": _multi_normal,
    "uniform": lambda rng, shape, low=0.0, high=1.0: rng.uniform(low, high, shape),
    "log_uniform": lambda rng, shape, low, high: np.exp(rng.uniform(np.log(low), np.log(high), shape)),
    "xavier_uniform": lambda rng, shape: rng.uniform(-1, 1, shape) * np.sqrt(6 / sum(_fans(shape))),
    "xavier_normal": lambda rng, shape: rng.standard_normal(shape) * np.sqrt(2 / sum(_fans(shape))),
    "kaiming_uniform": lambda rng, shape: rng.uniform(-1, 1, shape) * np.sqrt(6 / _fans(shape)[0]),
    "kaiming_normal": lambda rng, shape: rng.standard_normal(shape) * np.sqrt(2 / _fans(shape)[0]),
    "orthogonal": _orthogonal,
}


def uniform(low: float, high: float) -> tuple:
    """U(low, high), for a setting or a weight: one number for each value, drawn with the network's seed."""
    return "uniform", *_ordered("uniform", low, high)


def log_uniform(low: float, high: float) -> tuple:
    """exp(U(log low, log high)): as many values in each octave.  low: positive."""
    low, high = _ordered("log_uniform", low, high)
    if low <= 0:
        raise ValueError(f"log_uniform: expected 0 < low; got {low:g}")
    return "log_uniform", low, high


def normal(mean: float, std: float, low: float = -inf) -> tuple:
    """N(mean, std); with low given no value is below it."""
    mean, std, low = _numbers("normal", mean, std, low)
    if not isfinite(mean) or not 0 <= std < inf or isnan(low):
        raise ValueError(f"normal: expected a mean, a deviation from 0 on and a lowest value; "
                         f"got {mean:g}, {std:g}, {low:g}")
    return ("normal", mean, std) if low == -inf else ("normal", mean, std, low)


def _numbers(name, *given):
    """Numbers as floats; TypeError, in which `name` stands, where one is none."""
    for value in given:
        if not isinstance(value, Real) or isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{name}: expected numbers; got {value!r}")
    try:
        return tuple(map(float, given))
    except OverflowError:
        raise ValueError(f"{name}: expected numbers that a float can hold; got {given}") from None


def _ordered(name, low, high):
    low, high = _numbers(name, low, high)
    if not isfinite(low) or not isfinite(high) or low > high:
        raise ValueError(f"{name}: expected finite numbers, low <= high; got {low:g}, {high:g}")
    return low, high


# how many values an array may have; who builds a network from a file sets it to what the file holds
LARGEST: ContextVar[float] = ContextVar("LARGEST", default=inf)
# whether all values are replaced by others at once, so that none need be drawn
REPLACED: ContextVar[bool] = ContextVar("REPLACED", default=False)

Value: TypeAlias = float | str | tuple | list | np.ndarray | Callable


def is_named(value: Value) -> TypeGuard[str | tuple | list]:
    """Whether an initial value is the name of an initialiser, alone or with its arguments."""
    if isinstance(value, (tuple, list)):
        return len(value) > 0 and isinstance(value[0], str)
    return isinstance(value, str)


@contextmanager
def stored(largest: float) -> Iterator[None]:
    """Networks that are made within get their arrays from a file, the largest of so many values."""
    before, drawn = LARGEST.set(largest), REPLACED.set(True)
    try:
        yield
    finally:
        LARGEST.reset(before)
        REPLACED.reset(drawn)


def initial(value: Value, rng: np.random.Generator, shape: tuple, what: str,
            kept: tuple | None = None) -> np.ndarray:
    """The array of the given shape that `value` stands for; `what` names it in messages.

    kept: the shape of what the layer takes of it, where that is a part.
    """
    if prod(map(int, kept or shape)) > LARGEST.get():
        raise ValueError(f"{what}: an array of shape {kept or shape} is larger than any that is stored")
    if is_named(value):
        name, *arguments = (value,) if isinstance(value, str) else value
        if name not in INITIALISERS:
            raise ValueError(f"{what}: unknown initialiser {name!r}; there are {', '.join(INITIALISERS)}")
        try:
            array = np.ones(shape) if REPLACED.get() else INITIALISERS[name](rng, shape, *arguments)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{what}: initialiser {(name, *arguments)} does not fit shape {shape}: "
                             f"{error}") from None
    else:
        array = value(rng, shape) if callable(value) else value
    try:
        array = np.asarray(array, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{what}: expected numbers, the name of an initialiser or a function that gives "
                         f"numbers; got {what_it_is(array)}") from None
    if array.shape not in ((), shape):
        raise ValueError(f"{what}: expected a number or an array of shape {shape}, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{what}: expected finite numbers, got {array[~np.isfinite(array)].flat[0]}")
    return np.broadcast_to(array, shape).copy()


def plain(value: Value) -> float | str | tuple | list:
    """`value` as JSON can hold it.

    A function becomes "ones", because what it gave is saved and copied anyway.
    """
    if callable(value):
        return "ones"
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
