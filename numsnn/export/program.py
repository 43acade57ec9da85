"""A time step of a network as a list of plain operations on arrays: what C is printed from.

`lower` (lowering.py) makes it of a network; evaluate.py runs it in NumPy, for the ranges that integers need
and for the proof that it is the network; c_float.py and c_integers.py print it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from ..devices.contract import Geometry
from .expression import Trace, Value


@dataclass(eq=False)
class Array:
    """n numbers.

    kind: "input" (what the network is given), "token" (its one number), "state" (kept from step to step, and
    begun with `values`), "work" (of one step), "constant" (`values`), "place" (a constant that says where, of
    whole numbers from 0 on), "count" (steps so far).
    binary: whether it holds zeros and ones only.  like: an array whose unit and precision it shares.  sums:
    whether it adds up what `like` holds over many steps.
    """
    name: str
    n: int
    kind: str = "work"
    values: Any = None
    binary: bool = False
    like: Array | None = None
    sums: bool = False


class Read(NamedTuple):
    """An element of an array in a `Map` over i: [i + offset], or [i // places] where places is given."""
    array: Array
    offset: int = 0
    places: int = 1


class Write(NamedTuple):
    array: Array
    value: Value


@dataclass(eq=False)
class Map:
    """For i below n: results of one expression, which reads elements of arrays; all are read before one is
    written."""
    n: int
    trace: Trace
    writes: list[Write]

    @property
    def reads(self) -> list[Read]:
        """What it reads, once each."""
        needed = self.trace.needed(*(write.value for write in self.writes))
        return [value.number for value in needed if value.op == "input"]


@dataclass(eq=False)
class Linear:
    """y = start + sum over ascending k of x[k] weight[k]; zeros are skipped.

    start: an array of y's size (a bias, or y itself, to which is added), None: 0.
    """
    y: Array
    x: Array
    weight: Array               # constant, (len x, len y)
    start: Array | None


@dataclass(eq=False)
class Lagged:
    """y = start, and zeros for one step more; then y[lag[k, n], n] += x[k // rows] weight[k, n].

    k ascend; zeros of x are skipped.  y: (steps, width), what arrives now and in the steps ahead.
    """
    y: Array
    x: Array
    weight: Array               # constant, (rows len x, width)
    lag: Array                  # place, alike
    start: Array | None         # what was on its way, (steps - 1, width); None of one step
    width: int
    rows: int                   # of an element of x


@dataclass(eq=False)
class Convolution:
    """y = bias + convolution of x; zeros of x are skipped."""
    y: Array
    x: Array
    weight: Array               # constant, (out, in, kernel rows, columns)
    bias: Array
    geometry: Geometry


@dataclass(eq=False)
class Windows:
    """Sum times a factor, or maximum, over windows."""
    y: Array
    x: Array
    geometry: Geometry
    reduce: str
    factor: float = 1.0


@dataclass(eq=False)
class Softmax:
    y: Array
    x: Array


@dataclass(eq=False)
class Normalise:
    """To mean 0 and variance 1 over the first axis of (width, places), then gain and bias."""
    y: Array
    x: Array
    gain: Array
    bias: Array
    eps: float
    places: int


@dataclass(eq=False)
class Count:
    """One step more."""
    array: Array


@dataclass(eq=False)
class Copy:
    """y[offset:] = x."""
    y: Array
    x: Array
    offset: int = 0


@dataclass(eq=False)
class Loop:
    """Several times what stands in it."""
    times: int
    inside: list[Operation] = field(default_factory=list)


Operation: TypeAlias = (Map | Linear | Lagged | Convolution | Windows | Softmax | Normalise | Count | Copy
                        | Loop)


class MeanOf(NamedTuple):
    """output = sums / (steps - start), the divisor being at least 1."""
    sums: Array
    steps: Array
    start: int


@dataclass(eq=False)
class Program:
    """A network's step.

    input: what it takes, output: what it hands out.  operations: in their order.  layer_of: operation ->
    name of the layer that it is of, for comments and reports.  mean_of: where the output is a mean over time.
    """
    input: Array
    output: Array
    operations: list[Operation]
    layer_of: dict[Operation, str]
    arrays: list[Array]
    mean_of: MeanOf | None = None

    def flat(self) -> Iterator[Operation]:
        """All operations, those of loops once."""
        for operation, _ in self.timed():
            yield operation

    def timed(self) -> Iterator[tuple[Operation, int]]:
        """All operations, and how often a step does each."""
        for operation in self.operations:
            if isinstance(operation, Loop):
                yield from ((inside, operation.times) for inside in operation.inside)
            else:
                yield operation, 1

    def of_kind(self, kind: str) -> list[Array]:
        return [array for array in self.arrays if array.kind == kind]


def taken(operation: Operation) -> list[Array]:
    """The arrays that an operation reads."""
    if isinstance(operation, Map):
        return [read.array for read in operation.reads]
    if isinstance(operation, Count):
        return [operation.array]
    if isinstance(operation, Loop):
        return [array for inner in operation.inside for array in taken(inner)]
    names = ("x", "weight", "lag", "start", "bias", "gain")
    return [array for name in names if (array := getattr(operation, name, None)) is not None]


def given(operation: Operation) -> list[Array]:
    """The arrays that an operation writes."""
    if isinstance(operation, Map):
        return [write.array for write in operation.writes]
    if isinstance(operation, Count):
        return [operation.array]
    if isinstance(operation, Loop):
        return [array for inner in operation.inside for array in given(inner)]
    return [operation.y]


def place_type(array: Array) -> str:
    """The C type of a "place"."""
    largest = int(array.values.max(initial=0))
    return next(f"uint{bits}_t" for bits in (8, 16, 32) if largest >> bits == 0)
