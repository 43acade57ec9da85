"""The class of a population's state."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np


@lru_cache(None)
def state_type(model: Any, recur: str | None, late: bool = False) -> Any:
    """The model's State, with what recurs where the model itself does not carry it.

    late: what recurs comes late, and what is on its way, `coming`, is part of the state.
    """
    if recur is None or model.carries(recur) and not late:
        return model.State
    own = model.State._fields
    extra = f"last_{recur}" if recur in own else recur
    if late:
        extra = "coming"
    fields = [(field, np.ndarray) for field in (*own, extra)]
    state: Any = NamedTuple(f"Recurrent{model.name}State", fields)      # type: ignore[misc]

    def __reduce__(self: Any) -> tuple:
        return _state, (model, recur, late, tuple(self))
    state.__reduce__ = __reduce__       # type: ignore[method-assign]
    return state


def _state(model, recur, late, arrays):
    """A state that comes from a copy or another process, which knows the class by what it is made from."""
    return state_type(model, recur, late)(*arrays)
