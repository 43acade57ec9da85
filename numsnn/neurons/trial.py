"""One step of a model on a few numbers: mistakes that would show late, or never, are refused at once."""

from __future__ import annotations

from typing import Any

import numpy as np

NEURONS = 7         # numbers in each field


def try_out(model: Any, f: Any) -> None:
    """Raise a ValueError where `step` or `step_adjoint` of a Model give other tuples than the contract says.

    Also where a field of Out has the name of a field of State but another value, and DIFFERS lacks it:
    pieces of a sequence would then give other results than the whole.  f: Functions.
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


def _called(model, name, given, wanted):
    """What a function gives, if it is a tuple of the wanted classes."""
    classes = ", ".join(cls.__name__ for cls in wanted)
    try:
        found = getattr(model, name)(*given)
    except (TypeError, ValueError) as error:
        raise ValueError(f"neuron model {model.name!r}: {name} must be arithmetic of scalars that gives "
                         f"({classes}); it says: {error}") from error
    parts = found if isinstance(found, tuple) else (found,)
    if len(parts) != len(wanted) or not all(map(isinstance, parts, wanted)):
        kinds = ", ".join(type(part).__name__ for part in parts)
        raise ValueError(f"neuron model {model.name!r}: {name} must give ({classes}); got ({kinds})")
    return parts
