"""Where the settings of a neuron model may lie; see BOUNDS in numsnn.neurons.model."""

from __future__ import annotations

from math import inf
from typing import Any, NamedTuple

import numpy as np


class Bound(NamedTuple):
    """low <= setting <= high; numbers, or arrays with a number for each neuron."""
    low: Any = -inf
    high: Any = inf
    rule: str = ""      # what is said of a value outside, "" where low and high say it

    def typed(self, dtype: Any) -> Bound:
        """The same in the precision of an array."""
        return self._replace(low=np.asarray(self.low, dtype), high=np.asarray(self.high, dtype))

    def outside(self, array: np.ndarray) -> np.ndarray:
        """Where values lie outside."""
        low, high, _ = self.typed(array.dtype)
        return (array < low) | (array > high)

    def project(self, array: np.ndarray) -> int:
        """Put values that lie outside on the bound, in place; their number."""
        low, high, _ = self.typed(array.dtype)
        count = int(np.count_nonzero(self.outside(array)))
        if count:
            np.clip(array, low, high, out=array)
        return count

    def refusal(self, name: str, array: np.ndarray) -> str:
        """Why an array cannot be what is called `name`; "" where it can."""
        wrong = self.outside(array)
        if not wrong.any():
            return ""
        return f"{name} {self.rule or f'lies within {self}'}; got {array[wrong].flat[0]:g}"

    def __str__(self) -> str:
        return f"({_said(self.low)}, {_said(self.high)})"


def _said(value):
    """A bound in words, where neurons have bounds of their own the outermost two."""
    a = np.asarray(value, float)
    return f"{a.min():g}" if a.min() == a.max() else f"{a.min():g} ... {a.max():g}"


def time_constant(options: dict[str, Any], dt: float, learned: bool) -> Bound:
    """Positive; dt / 10 or more where it is learned, dt or more with the integrator "euler"."""
    if options.get("integrator") == "euler":
        rule = f'must be at least dt = {dt:g} with integrator="euler", which overshoots below it'
        return Bound(dt, inf, rule)
    least = f" (dt / 10 = {dt / 10:g} or more where it is learned)" if learned else ""
    rule = f"is a time constant in the unit of dt{least} and must be positive"
    return Bound(dt / 10 if learned else float(np.finfo(np.float32).tiny), inf, rule)
