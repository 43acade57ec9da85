"""One step of a model on a few numbers: mistakes that would show late, or never, are refused at once."""

from __future__ import annotations

from inspect import isclass, isfunction
from typing import Any

import numpy as np

from .elementwise import ELEMENTWISE, NUMBERS, elementwise, referenced

NEURONS = 7         # numbers in each field
PACKAGE = __name__.partition(".")[0]
FUNCTIONS = ("step", "step_adjoint", "between", "between_adjoint")


def try_out(model: Any, f: Any) -> None:
    """Raise a ValueError where `step` or `step_adjoint` of a Model give other tuples than the contract says.

    Also where a field of Out has the name of a field of State but another value, and DIFFERS lacks it:
    pieces of a sequence would then give other results than the whole.  And where a function refers to what
    compiled loops cannot know.  f: Functions.
    """
    rng = np.random.default_rng(0)

    def numbers(cls):
        return cls(*(rng.uniform(0.1, 0.9, NEURONS) for _ in cls._fields))

    given = numbers(model.Inputs), numbers(model.State), numbers(model.Params), f
    out, state = _called(model, "step", given, (model.Out, model.State))
    incoming = numbers(model.Out), numbers(model.State)
    _called(model, "step_adjoint", (*given, *incoming), (model.Inputs, model.State, model.Params))
    for field in sorted(set(model.Out._fields) & set(model.State._fields) - set(model.differs)):
        if not np.array_equal(getattr(out, field), getattr(state, field)):
            raise ValueError(f"neuron model {model.name!r}: step hands out another {field!r} than it carries "
                             f"on; say DIFFERS = ({field!r},), or give one of them another name")
    if not _all_ours(model):        # of our own a test does it: it is a third of the time of an import
        check_names(model)
    _check_bounds(model)


def _check_bounds(model):
    for what, given in (("BOUNDS", model.bounds), ("LEARN_AS", model.learn_as)):
        for name in given:
            if name not in model.Settings._fields:
                raise ValueError(f"neuron model {model.name!r}: {what} names {name!r}, which is no setting; "
                                 f"there are {', '.join(model.Settings._fields)}")
    for name, given in model.bounds.items():
        pair = isinstance(given, (tuple, list)) and len(given) == len(("low", "high"))
        if not callable(given) and not pair:
            raise ValueError(f"neuron model {model.name!r}: BOUNDS[{name!r}] must be (low, high), with None "
                             f"for no bound, or a function (options, dt, learned) -> Bound; got {given!r}")
    for name, form in model.learn_as.items():
        if form not in ("log", "logit"):
            raise ValueError(f'neuron model {model.name!r}: LEARN_AS[{name!r}] must be "log" or "logit"; '
                             f"got {form!r}")


def _all_ours(model):
    functions = [getattr(model, name) for name in FUNCTIONS]
    homes = {getattr(function, "__module__", "") for function in functions if function is not None}
    return all(home.partition(".")[0] == PACKAGE for home in homes)


def check_names(model: Any) -> None:
    """ValueError where a function of a model refers to what compiled loops cannot know."""
    found: list[Any] = []
    for name in FUNCTIONS:
        function = getattr(model, name)
        if function is not None and not isfunction(function):
            raise ValueError(f"neuron model {model.name!r}: {name} must be a plain function (def); "
                             f"got {type(function).__name__}")
        found += [function] if function else []
    for function in found:
        found += [helper for helper in _helpers(model.name, function) if helper not in found]


def _helpers(model, function):
    """The elementwise functions that one calls; a ValueError where it refers to what cannot be compiled."""
    told = f"neuron model {model!r}: {function.__name__}"
    for name, thing in referenced(function).items():
        if isfunction(thing) and thing.__module__ == elementwise.__module__ or _compiles(thing):
            continue
        if not isfunction(thing):
            kind = "a class" if isclass(thing) else f"of type {type(thing).__name__}"
            raise ValueError(f"{told} refers to {name}, {kind}; beside its arguments it may use numbers, "
                             f"elementwise functions and named tuples. Make it a number or a field of Params")
        if thing not in ELEMENTWISE:
            raise ValueError(f"{told} calls {name}, which is not compiled: mark it with the decorator "
                             f"elementwise of numsnn.neurons.elementwise")
        yield thing


def _compiles(thing):
    """Whether compiled code knows what a name stands for."""
    is_tuple_class = isclass(thing) and hasattr(thing, "_fields")
    home = getattr(thing, "__module__", None) or ""
    of_numpy = isinstance(thing, np.ufunc) or callable(thing) and home.partition(".")[0] in ("numpy", "math")
    return isinstance(thing, NUMBERS) or is_tuple_class or of_numpy or hasattr(thing, "py_func")


def _called(model, name, given, wanted):
    """What a function gives, if it is a tuple of the wanted classes."""
    classes = ", ".join(cls.__name__ for cls in wanted)
    try:
        found = getattr(model, name)(*given)
    except Exception as error:
        raise ValueError(f"neuron model {model.name!r}: {name} must be arithmetic of scalars that gives "
                         f"({classes}); it says: {error}") from error
    parts = found if isinstance(found, tuple) else (found,)
    if len(parts) != len(wanted) or not all(map(isinstance, parts, wanted)):
        kinds = ", ".join(type(part).__name__ for part in parts)
        raise ValueError(f"neuron model {model.name!r}: {name} must give ({classes}); got ({kinds})")
    return parts
