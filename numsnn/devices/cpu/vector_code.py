"""Writes vector instructions into the code that Numba makes: what the functions of lanes.py are made of.

`instruction` turns function(code, *arguments) into an intrinsic; `code` is a Code, which writes at the
builder's place.  A vector is as many numbers as a register of this processor holds (`lanes`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import product as product_of
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from numpy.typing import DTypeLike

_FEATURES = cpu_target.target_context.codegen().magic_tuple()[2].split(",")


def _register() -> int:
    """Bytes of a register of this processor."""
    if "+avx512f" in _FEATURES:
        return 64
    return 32 if "+avx" in _FEATURES else 16


REGISTER = _register()
ROWS = 4                                # sums at a time, with COLUMNS for 32 registers or for 16
COLUMNS = 4 if REGISTER == 64 or "+neon" in _FEATURES else 2
WIDEST = 8                              # vectors of a row that stay in registers
UNROLLED = 4                            # vectors of one pass of a simple loop
COMPRESSES = "+avx512f" in _FEATURES    # whether an instruction moves chosen numbers of a vector together
INDEX = ir.IntType(64)
_LANE = ir.IntType(32)                  # the place of a number in a vector


def lanes(dtype: DTypeLike) -> int:
    """Numbers in a vector."""
    return REGISTER // np.dtype(dtype).itemsize


class Code:
    """Writes instructions at the builder's place."""

    def __init__(self, context: Any, builder: ir.IRBuilder, real: types.Float):
        self.context, self.builder, self.dtype = context, builder, real
        self.lanes = lanes(real.name)
        self.number_type = context.get_value_type(real)
        self.vector = ir.VectorType(self.number_type, self.lanes)
        self.zero = ir.Constant(self.vector, None)

    # arguments and calls

    def arguments(self, kinds: Iterable, values: Iterable) -> Iterator:
        """Arrays as pointers to their data, numbers as int64 or in the working precision.

        Tuples come as lists of these.
        """
        for kind, value in zip(kinds, values, strict=True):
            if isinstance(kind, types.BaseTuple):
                members: Any = kind         # Numba's stubs do not know their types
                yield list(self.arguments(members.types, cgutils.unpack_tuple(self.builder, value)))
            elif isinstance(kind, types.Array):
                yield self.context.make_array(kind)(self.context, self.builder, value=value).data
            elif isinstance(kind, types.CPointer):
                yield value
            else:
                number = self.dtype if isinstance(kind, types.Float) else types.int64
                yield self.context.cast(self.builder, value, kind, number)

    def call(self, function: Callable, result: ir.Type, arguments: Sequence) -> ir.Value:
        """The instructions of function(code, *arguments) in a function of their own."""
        flat = []
        for group in arguments:
            flat += group if isinstance(group, list) else [group]
        kind = ir.FunctionType(result, [value.type for value in flat])
        name = f"numsnn_{function.__name__}_{self.dtype}"
        made = cgutils.get_or_insert_function(self.builder.module, kind, name)
        if not made.blocks:
            made.linkage = "internal"
            made.attributes.add("noinline")
            inner = Code(self.context, ir.IRBuilder(made.append_basic_block()), self.dtype)
            given, groups = iter(made.args), []
            for group in arguments:
                groups.append([next(given) for _ in group] if isinstance(group, list) else next(given))
            answer = function(inner, *groups)
            if answer is None:
                inner.builder.ret_void()
            else:
                inner.builder.ret(answer)
        return self.builder.call(made, flat)

    # numbers and vectors

    def add(self, index: ir.Value, *others: ir.Value | int) -> ir.Value:
        for other in others:
            index = self.builder.add(index, other if isinstance(other, ir.Value) else INDEX(other))
        return index

    def times(self, index: ir.Value, number: ir.Value | int) -> ir.Value:
        return self.builder.mul(index, number if isinstance(number, ir.Value) else INDEX(number))

    def smaller(self, number: ir.Value, most: int) -> ir.Value:
        """The number, or `most` where it is larger."""
        return self.builder.select(self.builder.icmp_unsigned("<", number, INDEX(most)), number, INDEX(most))

    def number(self, data: ir.Value, index: ir.Value) -> ir.Value:
        return self.builder.load(self.builder.gep(data, [index]))

    def index(self, data: ir.Value, place: ir.Value) -> ir.Value:
        """The number data[place], of any unsigned type, as an index."""
        return self.builder.zext(self.number(data, place), INDEX)

    def _access(self, data, index, kind):
        return self.builder.bitcast(self.builder.gep(data, [index]), kind.as_pointer())

    def load(self, data: ir.Value, index: ir.Value, kind: ir.Type | None = None) -> ir.Value:
        align = self.dtype.bitwidth // 8
        return self.builder.load(self._access(data, index, kind or self.vector), align=align)

    def inside(self, n: ir.Value) -> ir.Value:
        """Which of a vector's numbers are among the first n (0 < n)."""
        empty = ir.Constant(ir.VectorType(INDEX, self.lanes), None)
        number = self.builder.insert_element(empty, n, _LANE(0))
        number = self.shuffle(number, number, [0] * self.lanes)
        return self.builder.icmp_unsigned(">", number, ir.Constant(number.type, list(range(self.lanes))))

    def intrinsic(self, name: str, result: ir.Type, operands: Sequence) -> ir.Value:
        """A call of LLVM's intrinsic of this name."""
        kind = ir.FunctionType(result, [operand.type for operand in operands])
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.{name}")
        return self.builder.call(function, operands)

    @property
    def _vector_name(self):
        """The working vector in the names of LLVM's intrinsics."""
        return f"v{self.lanes}f{self.dtype.bitwidth}"

    def load_part(self, data: ir.Value, index: ir.Value, inside: ir.Value) -> ir.Value:
        """The numbers `inside`, zeros in place of the others, which are not touched."""
        pointer, align = self._access(data, index, self.vector), _LANE(self.dtype.bitwidth // 8)
        name = f"masked.load.{self._vector_name}.p0"
        return self.intrinsic(name, self.vector, (pointer, align, inside, self.zero))

    def store_part(self, value: ir.Value, data: ir.Value, index: ir.Value, inside: ir.Value) -> None:
        pointer, align = self._access(data, index, self.vector), _LANE(self.dtype.bitwidth // 8)
        name = f"masked.store.{self._vector_name}.p0"
        self.intrinsic(name, ir.VoidType(), (value, pointer, align, inside))

    def store(self, value: ir.Value, data: ir.Value, index: ir.Value) -> None:
        self.builder.store(value, self._access(data, index, value.type), align=self.dtype.bitwidth // 8)

    def splat(self, number: ir.Value) -> ir.Value:
        first = self.builder.insert_element(self.zero, number, _LANE(0))
        return self.shuffle(first, first, [0] * self.lanes)

    def shuffle(self, a: ir.Value, b: ir.Value, order: Iterable[int]) -> ir.Value:
        places = list(order)
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_LANE, len(places)), places))

    def fma(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        return self.intrinsic(f"fmuladd.{self._vector_name}", self.vector, [a, b, c])

    def total(self, vector: ir.Value) -> ir.Value:
        """The sum of a vector: its halves added, then theirs."""
        n = self.lanes
        while n > 1:
            n //= 2
            lower = self.shuffle(vector, vector, range(n))
            upper = self.shuffle(vector, vector, range(n, 2 * n))
            vector = self.builder.fadd(lower, upper)
        return self.builder.extract_element(vector, _LANE(0))

    def variable(self, value: ir.Value) -> ir.Value:
        """A place on the stack, which LLVM turns into a register."""
        place = cgutils.alloca_once(self.builder, value.type)
        self.builder.store(value, place)
        return place

    def increase(self, place: ir.Value, write: Callable[[ir.Value], ir.Value]) -> None:
        """The variable becomes write(its value)."""
        self.builder.store(write(self.builder.load(place)), place)

    # loops

    def loop(self, first: ir.Value | int, last: ir.Value, step: int = 1) -> AbstractContextManager:
        """`with` gives the index and the number of the pass."""
        first = first if isinstance(first, ir.Value) else INDEX(first)
        return cgutils.for_range_slice(self.builder, first, last, INDEX(step), INDEX, True)

    def unrolled(self, n: ir.Value, write: Callable[[ir.Value, int], None]) -> None:
        """write(q, j) for the vectors q < n: UNROLLED at a time, then one by one."""
        block = UNROLLED * self.lanes
        whole = self.builder.and_(n, INDEX(-block))
        with self.loop(0, whole, block) as (q, _):
            for j in range(UNROLLED):
                write(self.add(q, j * self.lanes), j)
        with self.loop(whole, n, self.lanes) as (q, _):
            write(q, 0)

    def by_columns(self, n: ir.Value, write: Callable, widest: int = WIDEST) -> None:
        """write(first, load, store) for blocks of at most `widest` vectors of n numbers.

        load(array, first) gives the vectors of a block, store(vectors, array, first) writes them; numbers
        behind the n-th are not touched.
        """
        with self.loop(0, n, widest * self.lanes) as (first, _):
            left = self.builder.sub(n, first)
            count = self.builder.udiv(self.add(left, self.lanes - 1), INDEX(self.lanes))
            done = self.builder.append_basic_block("done")
            blocks = [self.builder.append_basic_block(f"vectors{q + 1}") for q in range(widest)]
            switch = self.builder.switch(count, blocks[-1])
            for q, block in enumerate(blocks):
                if q < widest - 1:
                    switch.add_case(INDEX(q + 1), block)
                self.builder.position_at_end(block)
                inside = self.inside(self.add(left, -q * self.lanes))
                write(first, *self._of_vectors(q, inside))
                self.builder.branch(done)
            self.builder.position_at_end(done)

    def _of_vectors(self, whole, inside):
        """(load, store) of so many whole vectors and the numbers `inside` of one more."""
        def load(data, at):
            vectors = [self.load(data, self.add(at, j * self.lanes)) for j in range(whole)]
            return [*vectors, self.load_part(data, self.add(at, whole * self.lanes), inside)]

        def store(vectors, data, at):
            for j, vector in enumerate(vectors):
                place = self.add(at, j * self.lanes)
                if j < whole:
                    self.store(vector, data, place)
                else:
                    self.store_part(vector, data, place, inside)

        return load, store

    def by_size(self, rows: ir.Value, columns: ir.Value, write: Callable[[int, int], None]) -> None:
        """write(m, n) for the m <= ROWS and n <= COLUMNS that rows and columns are at run time."""
        cell = self.add(self.times(rows, COLUMNS), columns)
        done = self.builder.append_basic_block("done")
        switch = self.builder.switch(cell, done)
        for m, n in product_of(range(1, ROWS + 1), range(1, COLUMNS + 1)):
            block = self.builder.append_basic_block(f"sums{m}x{n}")
            switch.add_case(INDEX(m * COLUMNS + n), block)
            self.builder.position_at_end(block)
            write(m, n)
            self.builder.branch(done)
        self.builder.position_at_end(done)


def instruction(called: bool = True, gives: Any = False) -> Callable[[Callable], Callable]:
    """An intrinsic from function(code, *arguments); its first array tells the precision.

    called: it becomes a function of its own; branches on sizes that are inlined into loops of loops cost LLVM
    seconds.  gives: the type of a number, True for one of the arrays' precision.
    """
    def made(function):
        names = ", ".join(function.__code__.co_varnames[1:function.__code__.co_argcount])

        def typed(kinds):
            real = _first_array(kinds).dtype

            def generate(context, builder, signature, values):
                code = Code(context, builder, real)
                arguments = list(code.arguments(signature.args, values))
                result = context.get_value_type(signature.return_type) if gives else ir.VoidType()
                answer = code.call(function, result, arguments) if called else function(code, *arguments)
                return answer if gives else context.get_dummy_value()

            return _result(gives, real)(*map(types.unliteral, kinds)), generate

        name, scope = function.__name__, {"typed": typed}
        # Numba reads the names of the arguments
        exec(f"def {name}(context, {names}): return typed(({names},))", scope)      # noqa: S102
        scope[name].__doc__ = function.__doc__
        return intrinsic(scope[name])
    return made


def _first_array(kinds):
    first = kinds[0]
    while isinstance(first, types.BaseTuple):
        first = first.types[0]
    return first


def _result(gives, real):
    """The type of what an instruction gives."""
    if not gives:
        return types.void
    return real if gives is True else gives
