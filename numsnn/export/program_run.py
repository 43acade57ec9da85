"""What a program's run in floats and in whole numbers have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from .program import Array, Loop, Operation, Program, Read


class ProgramRun:
    """A program with its arrays for so many samples; each call of `step` is a step.

    doing: what each type of operation does to `values`, {type: method}.
    """

    doing: ClassVar[dict[type, Callable]]

    def __init__(self, program: Program, batch: int, begin: Callable[[Array], np.ndarray]):
        self.program = program
        self.batch = batch
        self.values: dict[Array, Any] = {}
        for array in program.arrays:
            first = begin(array)
            self.values[array] = first if array.kind == "constant" else np.tile(first, (batch, 1))

    def step(self, x: np.ndarray) -> np.ndarray:
        """What the network hands out for x (B, N), or (B, 1) tokens."""
        self.values[self.program.input][:] = x
        for operation in self.program.operations:
            self._do(operation)
        return self.values[self.program.output].copy()

    def _do(self, operation: Operation) -> None:
        if not isinstance(operation, Loop):
            self.doing[type(operation)](self, operation)
            return
        for _ in range(operation.times):
            for inner in operation.inside:
                self._do(inner)

    def _read(self, read: Read, n: int) -> np.ndarray:
        return self.values[read.array][..., np.arange(n) // read.places + read.offset]
