"""Expressions in whole numbers: what a neuron's definition becomes on a machine without floating point.

A `Fixed` stands for a whole number q and a number f of fraction bits: the value is q / 2^f.  Every result has
an interval that it cannot leave, found from the types of what is read; fractions are chosen so that nothing
ever overflows a word.  Where bits must go, they go by one rule: right(q, n) = (q + 2^(n-1)) >> n, halves up.
Saturation happens where a result is stored, nowhere else.

The same list of operations is run in NumPy (`MEANINGS`) and printed as C (c_integers.py), so that every
intermediate number is the same in both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .expression import CALLS, MEANINGS as OF_REALS, Trace, Value
from .program import Read

COEFFICIENT = 15            # bits of a constant or a coefficient, without its sign
SEGMENTS = 8                # log2 of the straight pieces of a table
# where a function is flat, or leaves what 16 bits hold: tables end there
DOMAINS = {"sigmoid": (-11.0, 11.0), "tanh": (-6.0, 6.0), "exp": (-11.0, 4.0), "expm1": (-11.0, 4.0),
           "half_to": (0.0, 16.0)}


class Format(NamedTuple):
    """How an array holds its numbers."""
    type: str               # of C
    fraction: int
    low: int                # the numbers that occur, at most
    high: int


LIMITS = {"int8_t": (-128, 127), "uint8_t": (0, 255), "int16_t": (-(1 << 15), (1 << 15) - 1),
          "uint16_t": (0, (1 << 16) - 1),
          "int32_t": (-(1 << 30), 1 << 30), "uint32_t": (0, 1 << 30)}


class Table(NamedTuple):
    """A function by straight pieces: between values[i] and values[i + 1] for x from low + i 2^shift on."""
    name: str
    values: tuple[int, ...]
    low: int
    shift: int
    error: float            # largest difference from the function, within the table's range


class Fixed:
    """A result: operation, arguments, number or what is read; fraction bits; interval."""

    __slots__ = ("args", "fraction", "high", "index", "low", "number", "op")

    def __init__(self, index: int, op: str, args: tuple, number: Any, fraction: int, low: int, high: int):
        self.index = index
        self.op = op
        self.args = args
        self.number = number
        self.fraction = fraction
        self.low = low
        self.high = high

    @property
    def largest(self) -> int:
        return max(abs(self.low), abs(self.high))


class FixedTrace:
    """The whole-number form of the results of a trace.

    format_of: array -> Format.  word: bits of a signed word, 32 or 64.  ranges: Value -> (low, high), what
    was measured of it, for tables.
    """

    def __init__(self, format_of: Callable, word: int, ranges: dict[Value, tuple[float, float]]):
        self.format_of = format_of
        self.limit = 1 << (word - 2)        # with room for what rounding adds
        self.ranges = ranges
        self.operations: list[Fixed] = []
        self.tables: list[Table] = []
        self._known: dict[tuple, Fixed] = {}

    def of(self, trace: Trace, results: list[Value]) -> list[Fixed]:
        """The whole-number form of some results."""
        found: dict[int, Any] = {}
        for value in trace.needed(*results):
            found[value.index] = self._converted(value, [found[a.index] for a in value.args])
        return [self.settled(found[result.index]) for result in results]

    # ---- single operations

    def _do(self, op, args, fraction, low, high, number=None):
        key = op, tuple(a.index for a in args), number, fraction
        if key not in self._known:
            fixed = Fixed(len(self.operations), op, args, number, fraction, int(low), int(high))
            assert fixed.largest <= self.limit or op == "const", f"{op} leaves the word"
            self._known[key] = fixed
            self.operations.append(fixed)
        return self._known[key]

    def constant(self, real: float, fraction: int) -> Fixed:
        q = round(float(real) * 2.0 ** fraction)
        return self._do("const", (), fraction, q, q, q)

    def settled(self, x: Any) -> Fixed:
        """A constant gets its bits where it is used; here as many as a coefficient has."""
        return self.constant(x, coefficient_fraction(x)) if isinstance(x, float) else x

    def read(self, read: Read) -> Fixed:
        kind = self.format_of(read.array)
        return self._do("read", (), kind.fraction, kind.low, kind.high, read)

    def aligned(self, x: Any, fraction: int) -> Fixed:
        """x with so many fraction bits."""
        if isinstance(x, float):
            return self.constant(x, fraction)
        if x.fraction == fraction:
            return x
        n = x.fraction - fraction
        if n < 0 and not x.largest:
            return self._do("left", (x,), fraction, 0, 0, 0)        # 0, however far it would be shifted
        if x.op == "const" and n < 0:
            return self._do("const", (), fraction, x.low << -n, x.high << -n, x.number << -n)
        if n > 0:
            low, high = (right(np.int64(b), n) for b in (x.low, x.high))
            return self._do("right", (x,), fraction, low, high, n)
        return self._do("left", (x,), fraction, x.low << -n, x.high << -n, -n)

    def together(self, a: Any, b: Any, room: int = 1) -> tuple[Fixed, Fixed]:
        """Both with the same fraction, as fine as `room` times their size fits a word."""
        fraction = max(self.settled(a).fraction, self.settled(b).fraction)
        while True:
            x, y = self._size(a, fraction), self._size(b, fraction)
            if room * max(x, y) <= self.limit:
                return self.aligned(a, fraction), self.aligned(b, fraction)
            fraction -= 1

    @staticmethod
    def _size(x, fraction):
        """The largest number that x can be with so many fraction bits."""
        if isinstance(x, float):
            return abs(x) * 2.0 ** fraction + 1
        return x.largest * 2.0 ** (fraction - x.fraction) + 1

    def add(self, a: Any, b: Any) -> Fixed:
        x, y = self.together(a, b, 2)
        return self._do("add", (x, y), x.fraction, x.low + y.low, x.high + y.high)

    def sub(self, a: Any, b: Any) -> Fixed:
        x, y = self.together(a, b, 2)
        return self._do("sub", (x, y), x.fraction, x.low - y.high, x.high - y.low)

    def mul(self, a: Any, b: Any) -> Fixed:
        x, y = self.settled(a), self.settled(b)
        while x.largest * y.largest > self.limit:
            x, y = (self.aligned(x, x.fraction - 1), y) if x.largest >= y.largest else \
                (x, self.aligned(y, y.fraction - 1))
            x, y = self._shorter(a, x), self._shorter(b, y)
        ends = [p * q for p in (x.low, x.high) for q in (y.low, y.high)]
        return self._do("mul", (x, y), x.fraction + y.fraction, min(ends), max(ends))

    def _shorter(self, a, x):
        """One shift in place of several."""
        return self.aligned(self.settled(a) if isinstance(a, float) else a, x.fraction)

    def div(self, a: Any, b: Any) -> Fixed:
        """a / b to the nearest, a with as many bits before as a word holds; 0 where b is 0."""
        x, y = self.settled(a), self.settled(b)
        free = max(0, int(np.floor(np.log2(self.limit / max(x.largest, 1)))) - 1)
        x = self.aligned(x, x.fraction + free)
        return self._do("div", (x, y), x.fraction - y.fraction, -x.largest, x.largest)

    def compare(self, op: str, a: Any, b: Any) -> Fixed:
        return self._do(op, self.together(a, b), 0, 0, 1)

    def choose(self, op: str, a: Any, b: Any) -> Fixed:
        x, y = self.together(a, b)
        pick = min if op == "min" else max
        return self._do(op, (x, y), x.fraction, pick(x.low, y.low), pick(x.high, y.high))

    def where(self, condition: Fixed, a: Any, b: Any) -> Fixed:
        x, y = self.together(a, b)
        return self._do("where", (self.settled(condition), x, y), x.fraction, min(x.low, y.low),
                        max(x.high, y.high))

    def neg(self, a: Any) -> Fixed:
        x = self.settled(a)
        return self._do("neg", (x,), x.fraction, -x.high, -x.low)

    def abs(self, a: Any) -> Fixed:
        x = self.settled(a)
        return self._do("abs", (x,), x.fraction, 0, x.largest)

    def table(self, name: str, a: Any, measured: tuple[float, float]) -> Fixed:
        """A function by its table."""
        x = self.settled(a)
        while x.largest >= 1 << COEFFICIENT:
            x = self.aligned(x, x.fraction - 1)
        x = self._shorter(a, x)
        made, fraction = _table(name, x.fraction, measured)
        if made not in self.tables:
            self.tables.append(made)
        return self._do("table", (x,), fraction, min(made.values), max(made.values), made)

    def _converted(self, value: Value, args: list) -> Any:
        op = value.op
        if op == "const":
            return float(value.number)
        if op == "input":
            return self.read(value.number)
        if op in ("gt", "ge"):
            return self.compare(op, *args)
        if op in ("min", "max"):
            return self.choose(op, *args)
        if op.startswith("call:"):
            return self.table(op.removeprefix("call:"), args[0], self.ranges[value.args[0]])
        if op in ("sqrt", "two_to"):
            raise TypeError(f"{op} has no form in whole numbers")
        return getattr(self, op)(*args)


def coefficient_fraction(real: float) -> int:
    """Fraction bits that leave a number 15 bits, fewer where it needs no more."""
    if real == 0:
        return 0
    fraction = COEFFICIENT - 1 - int(np.floor(np.log2(abs(real))))
    if round(abs(real) * 2.0 ** fraction) >= 1 << COEFFICIENT:
        fraction -= 1
    q = round(real * 2.0 ** fraction)
    while q % 2 == 0 and fraction > 0:
        q, fraction = q // 2, fraction - 1
    return fraction


def _table(name, fraction, measured):
    """(Table, its fraction bits) of a function, over what was measured of its argument."""
    low, high = (float(np.clip(end, *DOMAINS[name])) for end in measured)
    low, high = min(low, high - 2.0 ** -6), max(high, low + 2.0 ** -6)
    first = int(np.floor(low * 2.0 ** fraction))
    span = max(int(np.ceil(high * 2.0 ** fraction)) - first, 1)
    shift = max(0, int(np.ceil(np.log2(span))) - SEGMENTS)
    n = (span - 1 >> shift) + 2
    x = (first + (np.arange(n) << shift)) / 2.0 ** fraction
    y = CALLS[name](x)
    out = COEFFICIENT - 1 - int(np.floor(np.log2(np.abs(y).max())))
    if round(np.abs(y).max() * 2.0 ** out) >= 1 << COEFFICIENT:
        out -= 1
    values = np.round(y * 2.0 ** out).astype(np.int64)
    made = Table(f"{name}_{first}_{n}_{shift}_{fraction}".replace("-", "m"), tuple(map(int, values)), first,
                 shift, 0.0)
    q = np.arange(first, first + ((n - 1) << shift) + 1)
    error = np.abs(looked_up(q, made) / 2.0 ** out - CALLS[name](q / 2.0 ** fraction)).max()
    return made._replace(error=float(error)), out


# ---- what operations mean, on arrays of int64


def right(q: Any, n: int) -> Any:
    """q / 2^n, halves up."""
    return (q + (1 << (n - 1))) >> n


def divided(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b to the nearest, halves away from 0; 0 where b is 0."""
    size = np.maximum(np.abs(b), 1)
    return np.where(b == 0, 0, np.sign(a) * np.sign(b) * ((np.abs(a) + size // 2) // size))


def looked_up(x: np.ndarray, table: Table) -> np.ndarray:
    """A function by its table; beyond its ends the value there."""
    values = np.array(table.values, np.int64)
    d = np.clip(x - table.low, 0, (len(values) - 1) << table.shift)
    i = np.minimum(d >> table.shift, len(values) - 2)
    rest = d - (i << table.shift)
    step = (values[i + 1] - values[i]) * rest
    return values[i] + (right(step, table.shift) if table.shift else step)


MEANINGS: dict[str, Callable] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "div": divided,
    "neg": lambda a: -a, "abs": np.abs, "min": np.minimum, "max": np.maximum,
    "gt": lambda a, b: (a > b).astype(np.int64), "ge": lambda a, b: (a >= b).astype(np.int64),
    "where": OF_REALS["where"]}


def run(operations: list[Fixed], results: list[Fixed], read: Callable[[Read], np.ndarray],
        watch: Callable[[Fixed, np.ndarray], None] | None = None) -> list[np.ndarray]:
    """The results as arrays of int64; read: what an element of an array holds."""
    found: dict[int, Any] = {}
    for fixed in operations:
        args = [found[a.index] for a in fixed.args]
        if fixed.op == "read":
            q = read(fixed.number)
        elif fixed.op == "const":
            q = np.int64(fixed.number)
        elif fixed.op == "right":
            q = right(args[0], fixed.number)
        elif fixed.op == "left":
            q = args[0] << fixed.number
        elif fixed.op == "table":
            q = looked_up(args[0], fixed.number)
        else:
            q = MEANINGS[fixed.op](*args)
        found[fixed.index] = q
        if watch is not None:
            watch(fixed, q)
    return [found[result.index] for result in results]
