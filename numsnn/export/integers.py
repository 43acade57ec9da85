"""A `Program` in whole numbers: the formats of its arrays, and the twin in NumPy that computes with them.

    IntegerProgram(program, ranges, weights=8, states=16)       made of a program and what was measured of it
    IntegerRun(integers, batch).step(q)                         every number as the C has it

    weights     `weights` bits, one power of two for each output neuron: w = q / 2^shift; those of 4 bits
                lie two in a byte
    sums        of weights in 32 bits, then one shift to the scale of what they are added to
    arrays      `states` bits, of which the fraction is what the measured range (times `headroom`) leaves;
                zeros and ones in a byte; sums over time in 32 bits
    the rest    see fixed.py
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import numpy as np

from .expression import Trace, Value
from .fixed import LIMITS, Fixed, FixedTrace, Format, coefficient_fraction
from .program import (
    Array,
    Convolution,
    Copy,
    Lagged,
    Linear,
    Map,
    Normalise,
    Operation,
    Program,
    Read,
    Softmax,
    Windows,
    place_type,
)

STEPS = 1 << 28         # up to which steps are counted and summed
LARGEST = 2.0 ** 30     # of a value
WIDEST = 1024           # of a LayerNorm, whose squares are summed in 64 bits
OF_ONE = 14             # fraction bits of a soft-max's answer and of a normalised value


class Ranges(NamedTuple):
    """What was measured of a program."""
    largest: dict[Array, float]                         # absolute values
    of_value: dict[Value, tuple[float, float]]          # (low, high), of arguments of functions
    whole: bool                                         # whether the input is numbers of events


class Weights(NamedTuple):
    """Weights in whole numbers, and the shift of each output's sum to the scale of the result."""
    q: np.ndarray           # (n_in, n_out); of convolutions (n_out, ...)
    fraction: np.ndarray    # (n_out,) w = q / 2^fraction
    shift: np.ndarray       # (n_out,) to the right, negative: to the left
    word: int               # bits of the sums


class Expression(NamedTuple):
    """An expression in whole numbers; results are in the scale of the arrays that they are stored in."""
    operations: list[Fixed]
    results: list[Fixed]


def rounded_weights(w: np.ndarray, bits: int, axis: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(whole numbers, fraction bits of each output): w is about q / 2^fraction.

    axis: that of the inputs; with one power of two for each output, as large as `bits` bits allow.
    """
    top = 2 ** (bits - 1) - 1
    axes = axis if axis == 0 else tuple(range(1, w.ndim))
    largest = np.abs(w.astype(np.float64)).max(axes)
    fraction = np.floor(np.log2(top / np.maximum(largest, 2.0 ** -20))).astype(np.int64)
    scale = 2.0 ** fraction if axis == 0 else (2.0 ** fraction).reshape(-1, *(1,) * (w.ndim - 1))
    return np.clip(np.rint(w * scale), -top - 1, top).astype(np.int64), fraction


class IntegerProgram:
    """Formats, weights and expressions of a program; nothing in it changes after it is made."""

    def __init__(self, program: Program, ranges: Ranges, *, weights: int = 8, states: int = 16,
                 headroom: float = 2.0):
        self.program = program
        self.ranges = ranges
        self.bits = weights
        self.states = states
        self.word = 32 if states <= 16 else 64
        self.headroom = headroom
        self.formats: dict[Array, Format] = {}
        self.weights: dict[Any, Weights] = {}
        self.expressions: dict[Operation, Expression] = {}
        self.tables: list = []
        self._coarser: dict[Array, int] = {}
        for operation in program.flat():
            PLANNED.get(type(operation), _nothing)(self, operation)

    @property
    def packed(self) -> bool:
        """Whether two weights share a byte."""
        return self.bits == 4

    def weight_bytes(self, n: int) -> int:
        """Bytes of n weights."""
        return (n + 1) // 2 if self.packed else n * (1 if self.bits <= 8 else 2)

    # ---- formats

    def format(self, array: Array) -> Format:
        """How an array holds its numbers."""
        if array not in self.formats:
            self.formats[array] = self._format(array)
        return self.formats[array]

    def _format(self, array):
        if array.kind == "place":
            kind = place_type(array)
            return Format(kind, 0, *LIMITS[kind])
        if array.kind == "count":
            return Format("uint32_t", 0, 0, STEPS)
        if array.kind == "token":
            return Format("int32_t", 0, *LIMITS["int32_t"])
        if array.binary:
            return Format("uint8_t", 0, 0, 1)
        if array.kind == "input" and self.ranges.whole:
            return Format("uint8_t", 0, 0, 255)
        state = "int16_t" if self.states <= 16 else "int32_t"
        if array.like is not None:
            like = self.format(array.like)
            if array.sums:
                wide = self.word == 64
                most = STEPS ** 2 if wide else STEPS
                return Format("int64_t" if wide else "int32_t", like.fraction, -most, most)
            return Format(like.type, like.fraction, *LIMITS[like.type])
        top = self.states - 1 if self.states <= 16 else 30
        largest = self.ranges.largest.get(array, 0.0) * self.headroom or 1.0        # where nothing was seen
        if largest > LARGEST:
            raise ValueError(f"{array.name} reaches {self.ranges.largest[array]:.3g} on the calibration "
                             f"data, more than whole numbers hold; scale the input, or train with smaller "
                             f"weights")
        fraction = top - int(np.ceil(np.log2(max(largest, 2.0 ** -16)))) - self._coarser.get(array, 0)
        low, high = LIMITS[state]
        if self.states < 16:
            low, high = -(1 << self.states - 1), (1 << self.states - 1) - 1
        return Format(state, fraction, low, high)

    def coefficients(self, array: Array) -> Format:
        """The format of a constant array that an expression reads."""
        values = array.values
        fraction = coefficient_fraction(float(np.abs(values).max()) or 1.0)
        if len(set(values.tolist())) > 1:           # those below the largest need all the bits
            largest = float(np.abs(values).max())
            fraction = 14 - int(np.floor(np.log2(largest)))
            fraction -= round(largest * 2.0 ** fraction) >= 1 << 15
        q = np.rint(values.astype(np.float64) * 2.0 ** fraction).astype(int)
        self.formats[array] = Format("int16_t", fraction, int(q.min()), int(q.max()))
        return self.formats[array]

    def numbers(self, array: Array) -> np.ndarray:
        """The whole numbers of a constant array, or of the begin of a state."""
        kind = self.format(array)
        q = np.rint(array.values.reshape(-1).astype(np.float64) * 2.0 ** kind.fraction)
        return np.clip(q, kind.low, kind.high).astype(np.int64)

    # ---- expressions

    def _format_of_read(self, array):
        if array.kind == "constant":
            return self.formats.get(array) or self.coefficients(array)
        return self.format(array)

    def expression(self, trace: Trace, results: list[Value], stored: list[Format]) -> Expression:
        """Results of a trace, brought to the scale of what they are stored in."""
        fixed = FixedTrace(self._format_of_read, self.word, self.ranges.of_value)
        found = fixed.of(trace, results)
        return self._stored(fixed, found, stored)

    def _stored(self, fixed, found, stored):
        results = []
        for result, kind in zip(found, stored, strict=True):
            while result.largest * 2.0 ** (kind.fraction - result.fraction) > fixed.limit:
                # what is far out of range anyway: saturated before it is shifted to the left
                bound = fixed.limit >> (kind.fraction - result.fraction)
                fraction = result.fraction
                low, high = (fixed._do("const", (), fraction, b, b, b) for b in (-bound, bound))
                result = fixed.choose("min", fixed.choose("max", result, low), high)
            results.append(fixed.aligned(result, kind.fraction))
        self.tables += [table for table in fixed.tables if table not in self.tables]
        return Expression(fixed.operations, results)

    def plan_map(self, operation: Map) -> None:
        mean = self.program.mean_of
        values = [write.value for write in operation.writes]
        for i, write in enumerate(operation.writes):
            if mean and write.array is self.program.output and values[i].op == "div":
                values[i] = values[i].args[0]           # the sum: who reads it divides
        stored = [self.format(write.array) for write in operation.writes]
        self.expressions[operation] = self.expression(operation.trace, values, stored)

    def of_one(self, operation: Operation, kind: Format, function: Callable, stored: Format) -> None:
        """The expression of one number of a format."""
        array = Array("total", 1)
        fixed = FixedTrace(lambda _: kind, self.word, {})
        result = function(fixed, fixed.read(Read(array)))
        self.expressions[operation] = self._stored(fixed, [result], [stored])

    # ---- sums of weights

    def plan_linear(self, operation: Linear) -> None:
        values = operation.weight.values.reshape(-1, operation.y.n)
        self.weights[operation] = self._weights(operation, values, 0)
        self._start(operation.start, operation.y)

    def plan_lagged(self, operation: Lagged) -> None:
        """Sums that wait for their step are whole, in one scale, that of the product of x and weights."""
        x, values = self.format(operation.x), operation.weight.values.reshape(-1, operation.width)
        q, (fraction,) = rounded_weights(values.reshape(-1, 1), self.bits)
        q = q.reshape(values.shape)
        largest = int(np.abs(q).sum(0).max(initial=0)) * max(abs(x.low), x.high)
        if largest > 1 << (self.word - 2):
            self._too_large(operation, self.word)
        kind = Format(f"int{self.word}_t", x.fraction + int(fraction), -largest, largest)
        self.formats[operation.y] = kind
        if operation.start is not None:
            self.formats[operation.start] = kind
        of_outputs = np.full(operation.width, fraction)
        self.weights[operation] = Weights(q, of_outputs, np.zeros_like(of_outputs), self.word)

    def _too_large(self, operation, word) -> NoReturn:
        raise ValueError(f"layer {self.program.layer_of[operation]}: sums of its weights do not fit "
                         f"{word} bits; quantise with fewer bits for weights or states")

    def plan_convolution(self, operation: Convolution) -> None:
        g = operation.geometry
        values = operation.weight.values.reshape(operation.bias.n, g.channels, *g.kernel)
        self.weights[operation] = self._weights(operation, values, 1)
        self._start(operation.bias, operation.y)

    def _start(self, start, y):
        """A bias is in the scale of the sum that it begins."""
        if start is not None and start.kind == "constant":
            self.formats[start] = self.format(y)

    def _weights(self, operation, values, axis):
        x, y = self.format(operation.x), operation.y
        q, fraction = rounded_weights(values, self.bits, axis)
        biggest = 1 if operation.x.kind == "token" else max(abs(x.low), x.high)
        of_x = 0 if operation.x.kind == "token" else x.fraction
        sums = np.abs(q).sum(0 if axis == 0 else (1, 2, 3)) * biggest
        word = self.word if (sums <= 1 << (self.word - 2)).all() else 64
        limit = 1 << (word - 2)
        if (sums > limit).any():
            self._too_large(operation, word)
        while True:
            shift = of_x + fraction - self.format(y).fraction
            if (sums * 2.0 ** np.maximum(-shift, 0) <= limit).all():
                break
            self._coarser[y] = self._coarser.get(y, 0) + 1
            del self.formats[y]
        return Weights(q, fraction, np.minimum(shift, word - 3), word)

    # ---- others

    def plan_windows(self, operation: Windows) -> None:
        x, y = self.format(operation.x), self.format(operation.y)
        n = 1 if operation.reduce == "max" else operation.geometry.kernel[0] * operation.geometry.kernel[1]
        total = Format("int32_t", x.fraction, x.low * n, x.high * n)
        self.of_one(operation, total, lambda fixed, q: fixed.mul(q, float(operation.factor)), y)

    def plan_copy(self, operation: Copy) -> None:
        self.of_one(operation, self.format(operation.x), lambda fixed, q: q, self.format(operation.y))

    def plan_softmax(self, operation: Softmax) -> None:
        x = self.format(operation.x)
        below = Format("int32_t", x.fraction, x.low - x.high, 0)
        stored = Format("int32_t", OF_ONE, 0, 1 << OF_ONE)
        self.of_one(operation, below, lambda fixed, q: fixed.table("exp", q, (-11.0, 0.0)), stored)
        self.formats[operation.y] = Format("int16_t", OF_ONE, 0, 1 << OF_ONE)

    def normalised(self, operation: Normalise) -> tuple[int, int]:
        """(bits that x loses so that squares fit 64 bits, its fraction bits then)."""
        kind = self.format(operation.x)
        shorter = max(0, kind.high.bit_length() - 15)
        return shorter, kind.fraction - shorter

    def plan_normalise(self, operation: Normalise) -> None:
        width = operation.x.n // operation.places
        if width > WIDEST:
            layer = self.program.layer_of[operation]
            raise ValueError(f"layer {layer}: LayerNorm over {width} values has no form in whole numbers; "
                             f"up to {WIDEST} have")
        normal = Format("int32_t", OF_ONE - 4, -(1 << 18), 1 << 18)
        array = Array("normal", 1)
        trace = Trace()
        gain, bias = (trace.input(Read(a)) for a in (operation.gain, operation.bias))
        result = trace.input(Read(array)) * gain + bias
        self.formats[array] = normal
        self.expressions[operation] = self.expression(trace, [result], [self.format(operation.y)])


def _nothing(integers: IntegerProgram, operation: Operation) -> None:
    """A Count has no numbers of its own."""


PLANNED: dict[type, Callable] = {
    Map: IntegerProgram.plan_map, Linear: IntegerProgram.plan_linear, Lagged: IntegerProgram.plan_lagged,
    Convolution: IntegerProgram.plan_convolution, Windows: IntegerProgram.plan_windows,
    Copy: IntegerProgram.plan_copy, Softmax: IntegerProgram.plan_softmax,
    Normalise: IntegerProgram.plan_normalise}
