"""What a program's run in floats and in whole numbers have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from .program import Array, Loop, Operation, Program, Read, given


class ProgramRun:
    """A program with its arrays for so many samples; each call of `step` is a step.

    doing: what each type of operation does to `values`, {type: method}.
    turns: the answers of the last step, several where what makes them is repeated.
    """

    doing: ClassVar[dict[type, Callable]]

    def __init__(self, program: Program, batch: int, begin: Callable[[Array], np.ndarray]):
        self.program = program
        self.batch = batch
        self.values: dict[Array, Any] = {}
        for array in program.arrays:
            first = begin(array)
            self.values[array] = first if array.kind in ("constant", "place") else np.tile(first, (batch, 1))
        loops = [operation for operation in program.operations if isinstance(operation, Loop)]
        self.answering = [loop for loop in loops if any(program.output in given(op) for op in loop.inside)]
        self.turns: list[np.ndarray] = []

    def step(self, x: np.ndarray) -> np.ndarray:
        """What the network hands out for x (B, N), or (B, 1) tokens; the last of `turns`."""
        self.values[self.program.input][:] = x
        self.turns = []
        for operation in self.program.operations:
            self._do(operation)
        if not self.answering:
            self.turns.append(self.values[self.program.output].copy())
        return self.turns[-1]

    def _do(self, operation: Operation) -> None:
        if not isinstance(operation, Loop):
            self.doing[type(operation)](self, operation)
            return
        for _ in range(operation.times):
            for inner in operation.inside:
                self._do(inner)
            if operation in self.answering:
                self.turns.append(self.values[self.program.output].copy())

    def _read(self, read: Read, n: int) -> np.ndarray:
        return self.values[read.array][..., np.arange(n) // read.places + read.offset]
