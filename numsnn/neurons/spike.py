"""What a surrogate is: a spike function and what replaces its derivative; see numsnn.neurons.surrogate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .elementwise import ZERO, elementwise, greater, greater_equal


class Surrogate(NamedTuple):
    """The triple (see numsnn.neurons.surrogate), its name, its parameters and the constants made of them."""
    name: str
    parameters: dict[str, float]
    spike: Callable
    smooth: Callable
    slope: Callable
    constants: NamedTuple

    def __repr__(self) -> str:
        parameters = ", ".join(f"{name}={value!r}" for name, value in self.parameters.items())
        return f"{self.name}({parameters})"

    @property
    def hard(self) -> bool:
        """True where the forward pass gives exactly 0 or 1."""
        return self.spike is not self.smooth

    def smoothed(self) -> Surrogate:
        """The same surrogate with its smooth twin as the spike: finite differences can check the network."""
        return self._replace(spike=self.smooth)

    def with_comparator(self, comparator: str) -> Surrogate:
        """The same surrogate with a strict (">") or an inclusive (">=") spike test."""
        if comparator not in COMPARATORS:
            known = ", ".join(map(repr, COMPARATORS))
            raise ValueError(f"comparator must be one of {known}; got {comparator!r}")
        return self._replace(spike=COMPARATORS[comparator]) if self.hard else self

    def typed(self, dtype: DTypeLike) -> Any:
        """The constants as scalars of the working precision."""
        return type(self.constants)(*map(np.dtype(dtype).type, self.constants))

    def __call__(self, x: ArrayLike) -> np.ndarray:
        """The slope at x (an array, or something that becomes one), for plots and tables."""
        keeps_precision = getattr(x, "dtype", None) in (np.float32, np.float64)
        x = np.asarray(x, dtype=None if keeps_precision else np.float64)
        return self.slope(x, self.typed(x.dtype))


@elementwise
def heaviside(x, k):
    return greater(x, ZERO)


@elementwise
def heaviside_inclusive(x, k):
    return greater_equal(x, ZERO)


COMPARATORS = {">": heaviside, ">=": heaviside_inclusive}


def positive(**values: float) -> None:
    for name, value in values.items():
        is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, complex)
        if not is_number or not value > 0 or not np.isfinite(value):
            raise ValueError(f"surrogate parameter {name} must be a positive number; got {value!r}")
