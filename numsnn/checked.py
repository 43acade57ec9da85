"""`checked`: the door of a public function: what goes wrong in it with arguments that are not what its hints
say is a sentence.

    @checked
    def evaluate(net: Network, data: Dataset, ...) -> Evaluation: ...

    evaluate(net, (x, y))       TypeError: evaluate: data must be a Dataset; got a tuple of 2.
                                ns.Dataset(x, y) makes one

What a function refuses by itself, it says better, and that passes; hints are looked at only where Python or
NumPy stumbled, so that the door costs nothing, and takes nothing away.  (Of a function that yields they are
looked at first: it would stumble too late.)  A hint is read as people use it: a number of NumPy is a number,
a list will do for an array or a tuple, `True` is no number.  A hint that this module does not know (a
protocol, a type variable) lets everything pass.
"""

from __future__ import annotations

import dis
import inspect
import os
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

Function = TypeVar("Function", bound=Callable[..., Any])

# what to do about a thing that is missing, by the class that is expected
REMEDIES = {
    "Dataset": "ns.Dataset(x, y) makes one of x (T, B, N) and labels",
    "Network": "ns.Network(ns.Dense(4, 36), ns.ALIF(36), ...) makes one",
    "Generator": "np.random.default_rng(seed) makes one",
    "Optimizer": "Such as ns.optim.Adam(1e-3)",
    "Schedule": "Such as ns.optim.Cosine(epochs)",
    "Loss": "Such as ns.loss.CrossEntropy()",
    "Events": "ns.Events(t, unit, shape=N) makes them, ns.datasets.formats.read reads a file",
    "Spikes": "ns.Spikes.from_dense(x) makes them of an array (T, B, N)",
}
PACKAGE = Path(__file__).parent
RAISE = dis.opmap["RAISE_VARARGS"]
ELEMENTS = 64       # of a sequence, as many as are looked at


class Check(NamedTuple):
    """Whether a value fits a hint, and what would, in words."""
    fits: Callable[[Any], bool]
    words: str
    classes: tuple[str, ...] = ()


def checked(function: Function) -> Function:
    """The function, whose errors by arguments of wrong types are TypeErrors that say what it expects."""
    if inspect.isgeneratorfunction(function):
        @wraps(function)
        def door(*args: Any, **kwargs: Any) -> Any:
            _refuse(function, args, kwargs, None)
            return function(*args, **kwargs)
    else:
        @wraps(function)
        def door(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except Exception as error:
                if not _on_purpose(error):
                    _refuse(function, args, kwargs, error)
                raise
    return typing.cast(Function, door)


def _on_purpose(error):
    """Whether a line of ours raised it, to say something."""
    if isinstance(error, AssertionError):
        return False
    trace = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    return code.co_code[trace.tb_lasti] == RAISE and PACKAGE in Path(code.co_filename).parents


def _refuse(function, args, kwargs, error):
    """Raise a TypeError for the first argument that does not fit its hint."""
    parameters = list(inspect.signature(function).parameters.values())
    checks = {p.name: _of_parameter(function, p) for p in parameters}
    for name, value in _named(parameters, args, kwargs):
        check = checks.get(name)
        if check is not None and not check.fits(value):
            raise TypeError(_sentence(function, args, name, check, value)) from error


def _named(parameters, args, kwargs):
    """(name of the parameter, value) of what is given; what does not bind is left to Python's own words."""
    for i, p in enumerate(parameters[:len(args)]):
        if p.kind is p.VAR_POSITIONAL:
            yield from ((p.name, value) for value in args[i:])
            break
        yield p.name, args[i]
    yield from kwargs.items()


def _sentence(function, args, name, check, value):
    own = function.__name__
    called = type(args[0]).__name__ if own == "__init__" else own
    remedies = [REMEDIES[c] for c in check.classes if c in REMEDIES]
    remedy = f". {remedies[0]}" if remedies else ""
    return f"{called}: {name} must be {check.words}; got {what_it_is(value)}{remedy}"


def what_it_is(value: Any) -> str:
    """A value in a few words, for messages."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} of shape {value.shape}"
    if isinstance(value, type):
        return f"the class {value.__name__}, not an object of it (are brackets missing?)"
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes, np.generic, os.PathLike)):
        text = repr(value)
        return text if len(text) <= 60 else f"{text[:57]}..."
    counted = isinstance(value, (tuple, list, dict, set))
    return _a(type(value).__name__) + (f" of {len(value)}" if counted else "")


MOST = 1 << 20          # of what is made up, in one call
SEEDS = 1 << 63


def in_range(least: float, most: float, /, **given: float) -> None:
    """ValueError, naming it, where a number lies outside of least ... most, or is none."""
    for name, value in given.items():
        if not least <= value <= most:
            raise ValueError(f"{name} must lie in {least:,} ... {most:,}; got {what_it_is(value)}")


class ChoiceError(IndexError, ValueError):
    """What cannot be chosen: a sequence ends where its numbers do, and a reader is told why."""


def chosen(given: Any, n: int, what: str) -> np.ndarray:
    """The numbers of what is chosen out of n: by number, slice, numbers or truth values; (), or (K,)."""
    pick = given
    if not isinstance(given, (slice, int, np.integer)) or isinstance(given, bool):
        pick = np.asarray(given) if _array_like(given) and not _is_ragged(given) else None
        if pick is not None and pick.size == 0:
            pick = pick.astype(int)
        fits = pick is not None and pick.ndim <= 1 and pick.dtype.kind in "biu"
        if not fits or pick.dtype == bool and pick.shape != (n,):
            pick = None
    try:
        if pick is not None:
            return np.arange(n)[pick]
    except (IndexError, TypeError, ValueError, OverflowError):
        pass
    raise ChoiceError(f"{what}: expected numbers from 0 to {n - 1}, a slice or {n} truth values; "
                      f"got {what_it_is(given)}")


def _is_ragged(value):
    """Whether a sequence is no array: its rows are of unequal length, or hold anything."""
    try:
        return np.asarray(value).dtype == object
    except ValueError:
        return True


def kind_in(config: dict[str, Any], key: str, known: Mapping[str, Any], advice: str = "") -> Any:
    """What config[key] names, which is taken out of the config; ValueError where it names nothing known."""
    name = config.pop(key, None)
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"unknown {key} {what_it_is(name)}; there are {', '.join(known)}"
                         f"{advice and f' ({advice})'}")
    return known[name]


# ---- from hints to checks


def _of_parameter(function, parameter):
    hint = parameter.annotation
    if isinstance(hint, str):
        try:
            hint = eval(hint, inspect.unwrap(function).__globals__)
        except NameError:
            return _by_name(hint)
    if hint is parameter.empty or parameter.kind is parameter.VAR_KEYWORD:
        return None
    return check_of(hint)


def _by_name(hint):
    """The check of a class that only a type checker imports."""
    if hint.startswith("Callable"):
        may_lack = hint.endswith("None")
        return Check(lambda value: callable(value) or may_lack and value is None, "a function")
    if not hint.isidentifier():
        return None
    return Check(lambda value: hint in [c.__name__ for c in type(value).__mro__], _a(hint), (hint,))


def check_of(hint: Any) -> Check | None:
    """The check of a hint; None where everything passes."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is None and hint in SIMPLE:
        return SIMPLE[hint]
    if hint == ArrayLike or np.ndarray in (hint, origin):
        return ARRAY
    if hint == DTypeLike:
        return DTYPE
    if origin in (typing.Union, types.UnionType):
        return _of_union(args)
    if origin is Literal:
        return Check(lambda value: value in args, " or ".join(map(repr, args)))
    if origin is type:
        return Check(lambda value: isinstance(value, type), "a class")
    container = origin or hint
    if container in CONTAINERS:
        return _of_container(CONTAINERS[container], args)
    if isinstance(hint, type) and not getattr(hint, "_is_protocol", False):
        return Check(lambda value: isinstance(value, hint), _a(hint.__name__), (hint.__name__,))
    return None


def _of_union(args):
    """Of several hints; NumPy's hint for arrays is itself a union, whose members are taken together."""
    arrays = [arg for arg in args if "numpy._typing" in f"{arg!r} {getattr(arg, '__module__', '')}"]
    checks = [check_of(arg) for arg in args if arg not in arrays and not (arrays and arg in SCALARS)]
    if arrays:
        checks.append(ARRAY)
    if None in checks:
        return None
    words = " or ".join(dict.fromkeys(check.words for check in checks))
    classes = tuple(c for check in checks for c in check.classes)
    return Check(lambda value: any(check.fits(value) for check in checks), words, classes)


def _of_container(container, args):
    fits, words = container
    is_of_one_kind = len(args) == 1 or len(args) == 2 and args[1] is Ellipsis
    every = check_of(args[0]) if is_of_one_kind and fits is _sequence else None
    if every is None:
        return Check(fits, words)

    def all_fit(value):
        if isinstance(value, str):
            return every.words == "a string"
        return fits(value) and all(map(every.fits, value[:ELEMENTS]))
    return Check(all_fit, f"{words} (each {every.words})")


def _a(name):
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


# ---- what fits


def _number(value):
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _integer(value):
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _array_like(value):
    if isinstance(value, (dict, set, frozenset, type, str, bytes)) or value is None:
        return False
    if isinstance(value, Sequence):
        return not _is_ragged(value) and np.asarray(value).dtype.kind != "U"
    if isinstance(value, np.ndarray):
        return value.dtype.kind not in "OSUc"
    if isinstance(value, (complex, np.complexfloating)):
        return False
    return isinstance(value, (bool, int, float, np.generic)) or hasattr(value, "__array__")


def _sequence(value):
    return isinstance(value, Sequence) and not isinstance(value, bytes) or np.ndim(value) > 0


def _dtype(value):
    try:
        np.dtype(value)
    except (TypeError, ValueError):
        return False
    return value is not None


SIMPLE: dict[Any, Check | None] = {
    Any: None,
    object: None,
    int: Check(_integer, "an integer"),
    float: Check(_number, "a number"),
    bool: Check(lambda value: isinstance(value, (bool, np.bool_)), "True or False"),
    str: Check(lambda value: isinstance(value, str), "a string"),
    bytes: Check(lambda value: isinstance(value, (bytes, bytearray, memoryview)), "bytes"),
    type(None): Check(lambda value: value is None, "None"),
    None: Check(lambda value: value is None, "None"),
}
ARRAY = Check(_array_like, "an array of numbers")
DTYPE = Check(_dtype, "the type of an array such as 'float32'")
SCALARS = (bool, int, float, complex, str, bytes)       # which NumPy's hint for arrays holds as well
CONTAINERS: dict[Any, tuple[Callable[[Any], bool], str]] = {
    tuple: (_sequence, "a tuple"),
    list: (_sequence, "a list"),
    Sequence: (_sequence, "a sequence"),
    Iterable: (lambda value: _sequence(value) or isinstance(value, Iterable) and not np.isscalar(value)
               and not isinstance(value, np.ndarray), "a sequence"),
    Iterator: (lambda value: isinstance(value, Iterator), "an iterator"),
    dict: (lambda value: isinstance(value, Mapping), "a dict"),
    Mapping: (lambda value: isinstance(value, Mapping), "a dict"),
    Callable: (callable, "a function"),
}
