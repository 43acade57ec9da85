"""The one definition of a neuron as a list of operations on scalars.

An elementwise function (neurons/elementwise.py) is called on `Value`s, which note what is done with them.
What comes out is a directed graph of additions, products, comparisons, calls of `exp` and its like: the form
from which C is printed and integers are derived.  Nothing is computed here but what is constant, and nothing
is reordered: a result has the bits of the function that was traced.

    trace = Trace(np.float32)
    out, state = trace.call(model.step, inputs, state, params, functions)       # of Values
"""

from __future__ import annotations

import builtins
import types
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..neurons import elementwise as dialect

# operations by the name that C and the integers know them by
PRIMITIVES: dict[Callable, str] = {
    dialect.minimum: "min", dialect.maximum: "max", dialect.greater: "gt", dialect.greater_equal: "ge",
    dialect.sqrt: "sqrt", dialect.two_to_32: "two_to"}
# functions of which the dialect has one for each precision
OF_FLOAT32: dict[Callable, Callable] = {
    dialect.expm1_parts: dialect.expm1_parts_32, dialect.half_to: dialect.half_to_32}
# functions that stay calls: C has each once, and integers have a table of each
CALLS: dict[str, Callable] = {
    function.__name__: function
    for function in (dialect.exp, dialect.expm1, dialect.half_to, dialect.tanh, dialect.sigmoid)}


class Value:
    """The result of an operation: its name, the values it took, the number of a constant."""

    __slots__ = ("args", "index", "number", "op", "trace")
    __array_ufunc__ = None          # numbers of NumPy leave arithmetic to us

    def __init__(self, trace: Trace, op: str, args: tuple, number: Any):
        self.trace = trace
        self.op = op
        self.args = args
        self.number = number
        self.index = len(trace.values)

    def __add__(self, other: Any) -> Value:
        return self.trace.add(self, other)

    def __radd__(self, other: Any) -> Value:
        return self.trace.add(other, self)

    def __sub__(self, other: Any) -> Value:
        return self.trace.operation("sub", self, other)

    def __rsub__(self, other: Any) -> Value:
        return self.trace.operation("sub", other, self)

    def __mul__(self, other: Any) -> Value:
        return self.trace.multiply(self, other)

    def __rmul__(self, other: Any) -> Value:
        return self.trace.multiply(other, self)

    def __truediv__(self, other: Any) -> Value:
        return self.trace.operation("div", self, other)

    def __rtruediv__(self, other: Any) -> Value:
        return self.trace.operation("div", other, self)

    def __neg__(self) -> Value:
        return self.trace.operation("neg", self)

    def __pos__(self) -> Value:
        return self

    def __abs__(self) -> Value:
        return self.trace.operation("abs", self)

    def __gt__(self, other: Any) -> Value:
        return self.trace.operation("gt", self, other)

    def __lt__(self, other: Any) -> Value:
        return self.trace.operation("gt", other, self)

    def __ge__(self, other: Any) -> Value:
        return self.trace.operation("ge", self, other)

    def __le__(self, other: Any) -> Value:
        return self.trace.operation("ge", other, self)

    def __pow__(self, power: Any) -> Value:
        if power != 2:
            raise TypeError(f"x ** {power!r} is not in the dialect of neuron models; write products")
        return self.trace.multiply(self, self)

    def __bool__(self) -> bool:
        raise TypeError("a branch on a value is not in the dialect of neuron models; "
                        "use greater, minimum, maximum and products")

    def __repr__(self) -> str:
        inside = ", ".join(map(repr, self.args))
        return f"{self.op}({inside})" if self.args else f"{self.op}:{self.number}"


class Trace:
    """The values of one computation, each once, in an order in which they can be computed."""

    def __init__(self, dtype: Any = np.float32):
        self.dtype = np.dtype(dtype)
        self.values: list[Value] = []
        self._known: dict[tuple, Value] = {}
        self._rewritten: dict[Callable, Callable] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_rewritten": {}}         # what is traced already does not need the functions

    # ---- values

    def input(self, name: Any) -> Value:
        """A value from outside."""
        return self._value("input", (), name)

    def constant(self, number: Any) -> Value:
        """A number, in the working precision."""
        exact = self.dtype.type(number)
        if isinstance(number, (float, np.float64)) and self.dtype != np.float64 and float(exact) != number:
            raise TypeError(f"the constant {number!r} is not exact in {self.dtype}; "
                            f"say np.float32({number!r}), as neurons.elementwise asks, "
                            f"so that every target takes the same number")
        return self._value("const", (), exact)

    def as_value(self, x: Any) -> Value:
        return x if isinstance(x, Value) else self.constant(x)

    def _value(self, op, args, number=None):
        key = op, tuple(a.index for a in args), number if op != "const" else number.tobytes()
        if key not in self._known:
            value = Value(self, op, args, number)
            self._known[key] = value
            self.values.append(value)
        return self._known[key]

    def operation(self, op: str, *args: Any) -> Value:
        """The value of an operation; of constants only: a constant."""
        values = tuple(map(self.as_value, args))
        if all(v.op == "const" for v in values) and op in FOLDED:
            return self.constant(self.dtype.type(FOLDED[op](*(v.number for v in values))))
        return self._value(op, values)

    def add(self, a: Any, b: Any) -> Value:
        """a + b; a zero that is known adds nothing (a sum of -0 and it may then be -0)."""
        a, b = self.as_value(a), self.as_value(b)
        if _is(a, 0):
            return b
        return a if _is(b, 0) else self.operation("add", a, b)

    def multiply(self, a: Any, b: Any) -> Value:
        """a b; a factor that is known to be 1 or 0 is not computed (0 takes the place of -0)."""
        a, b = self.as_value(a), self.as_value(b)
        if _is(a, 0) or _is(b, 0):
            return self.constant(self.dtype.type(0))
        if _is(a, 1):
            return b
        return a if _is(b, 1) else self.operation("mul", a, b)

    def where(self, condition: Value, a: Any, b: Any) -> Value:
        """a where the condition is not 0, else b."""
        return self.operation("where", condition, a, b)

    # ---- functions

    def call(self, function: Callable, *args: Any) -> Any:
        """What an elementwise function makes of Values (and tuples of them)."""
        try:
            return self.rewritten(function)(*args)
        except TypeError as error:
            if "not in the dialect" in str(error) or "is not exact" in str(error):
                raise
            raise TypeError(f"{function.__name__} cannot be taken apart into arithmetic of scalars: {error}; "
                            f"neurons.elementwise says what such a function may hold") from error

    def rewritten(self, function: Callable) -> Callable:
        """The function, with every helper that it calls replaced by one that takes Values."""
        if function in PRIMITIVES:
            op = PRIMITIVES[function]
            return lambda *args: self.operation(op, *args)
        if function in CALLS.values():
            return lambda x: self.operation(f"call:{function.__name__}", x)
        function = OF_FLOAT32.get(function, function) if self.dtype == np.float32 else function
        if function not in self._rewritten:
            self._rewritten[function] = self._copy(function)
        return self._rewritten[function]

    def inside(self, name: str) -> Callable:
        """What one of the functions that stay calls is made of."""
        return self._copy(OF_FLOAT32.get(CALLS[name], CALLS[name]))

    def _copy(self, function):
        """The function with other globals and closure."""
        names = {name: self._replaced(function.__globals__[name]) for name in function.__code__.co_names
                 if name in function.__globals__}
        cells = tuple(types.CellType(self._replaced(cell.cell_contents))
                      for cell in function.__closure__ or ())
        scope = {"__builtins__": builtins, **names}
        return types.FunctionType(function.__code__, scope, function.__name__, function.__defaults__, cells)

    def _replaced(self, thing):
        return self.rewritten(thing) if isinstance(thing, types.FunctionType) else thing

    def needed(self, *results: Value) -> list[Value]:
        """The values that results are made of, in the order of their computation."""
        return needed(self.values, results)


def needed(values: Iterable[Any], results: Iterable[Any]) -> list[Any]:
    """Those of `values`, in their order, that results are made of."""
    wanted, open_ = set(), list(results)
    while open_:
        value = open_.pop()
        if value.index not in wanted:
            wanted.add(value.index)
            open_ += value.args
    return [value for value in values if value.index in wanted]


def _is(value, number):
    return value.op == "const" and value.number == number


FOLDED: dict[str, Callable] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b, "neg": lambda a: -a, "abs": abs, "min": dialect.minimum,
    "max": dialect.maximum, "gt": dialect.greater, "ge": dialect.greater_equal, "sqrt": np.sqrt}

# what each operation computes, on arrays of NumPy
MEANINGS: dict[str, Callable] = {
    **FOLDED, "two_to": dialect.two_to_32, "where": lambda c, a, b: np.where(c != 0, a, b),
    **{f"call:{name}": function for name, function in CALLS.items()}}
