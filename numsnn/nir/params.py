"""The parameters of one node, checked: numbers that are finite, whole numbers, words."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NoReturn

import numpy as np

from .flatten import LARGEST_SIZE
from .nodes import KINDS, NirError, Node


class Params:
    """What a node says, by name.  Everything else is refused with the node's name.

    loops: of a population, the matrices that lead from it to itself; direct: whether it leads to itself as it
    is, too.
    """

    def __init__(self, name: str, node: Node, loops: Sequence[Params] = (), direct: bool = False):
        self.loops = loops
        self.direct = direct
        self.name = name
        self.node = node
        self.type = node.type
        missing = [key for key in KINDS[node.type].needed if key not in node.params]
        if missing:
            there = ", ".join(node.params) or "nothing"
            self.refuse(f"has no {missing[0]}; it has {there}")

    @property
    def unknown(self) -> list[str]:
        """Parameters that NIR does not know; where files repeat their shapes nothing is lost."""
        known = (*KINDS[self.type].params, "input_type", "output_type", "name")
        return [key for key in self.node.params if key not in known]

    def __contains__(self, key: str) -> bool:
        return key in self.node.params

    def numbers(self, key: str, default: float | None = None) -> np.ndarray:
        """Finite numbers, float64 where they are not float32."""
        value = self.node.params.get(key, default)
        if value is None or isinstance(value, str):
            self.refuse(f"{key} should hold numbers; got {value!r}")
        array = np.asarray(value)
        if array.dtype.kind not in "iufb" or not array.size:
            self.refuse(f"{key} should hold numbers; got {array.dtype} of shape {array.shape}")
        array = array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)
        if not np.isfinite(array).all():
            self.refuse(f"{key} holds {array[~np.isfinite(array)].flat[0]}; it must be finite")
        return array

    def matrix(self) -> np.ndarray:
        """A weight (outputs, inputs)."""
        weight = self.numbers("weight")
        while weight.ndim > 2 and weight.shape[0] == 1:
            weight = weight[0]
        if weight.ndim != 2:
            self.refuse(f"weight should have the shape (outputs, inputs); got {weight.shape}, one matrix for "
                        f"each row of what arrives, which is not read")
        return weight

    def vector(self, key: str, n: int) -> np.ndarray:
        """n numbers; one stands for all."""
        array = self.numbers(key).ravel()
        if array.size not in (1, n):
            self.refuse(f"{key} should hold {n} numbers; got {array.size}")
        return np.broadcast_to(array, n)

    def whole(self, key: str, n: int = 1, least: int = 0) -> tuple[int, ...]:
        """n whole numbers; one stands for all."""
        found = self.numbers(key).ravel()
        if found.size not in (1, n) or (found != np.round(found)).any() or found.min() < least \
                or found.max() >= LARGEST_SIZE:
            wanted = f"a whole number from {least} on" if n == 1 else f"{n} whole numbers from {least} on"
            self.refuse(f"{key} should be {wanted}; got {np.array2string(found, threshold=6)}")
        return tuple(int(v) for v in np.broadcast_to(found, n))

    def shape(self, key: str) -> tuple[int, ...] | None:
        """Sizes from 1 on, as many as there are; None where the node does not say them."""
        if key not in self:
            return None
        shape = self.whole(key, self.numbers(key).size, 1)
        if prod(shape) >= LARGEST_SIZE:
            self.refuse(f"{key} of {shape} is too large")
        return shape

    def word(self, key: str) -> str | None:
        """The word that stands in place of numbers."""
        value = self.node.params[key]
        return value if isinstance(value, str) else None

    def common_shape(self) -> tuple[int, ...]:
        """The shape of the neurons that all parameters have, or one has and the others fit."""
        arrays = {key: self.numbers(key) for key in KINDS[self.type].params if key in self}
        try:
            return np.broadcast_shapes(*(a.shape for a in arrays.values() if a.size > 1))
        except ValueError:
            shapes = ", ".join(f"{key} {a.shape}" for key, a in arrays.items())
            return self.refuse(f"its parameters should have one shape; got {shapes}")

    def of_neurons(self, key: str, shape: tuple[int, ...],
                   default: float | None = None) -> float | np.ndarray:
        """A parameter of neurons of this shape: one number, or an array with one for each, in a row."""
        array = self.numbers(key, default)
        if (array == array.flat[0]).all():
            return float(array.flat[0])
        n = int(np.prod(shape))
        if array.size == n:
            return array.ravel()
        try:
            return np.broadcast_to(array, shape).ravel()
        except ValueError:
            return self.refuse(f"{key} of shape {array.shape} does not fit its {n} neurons {shape}")

    def refuse(self, problem: str) -> NoReturn:
        """Raise a NirError that names the node."""
        raise NirError(f"node {self.name} ({self.node.type}): {problem}")
