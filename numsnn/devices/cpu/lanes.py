"""Vector instructions for Numba: sums that stay in registers, which LLVM does not find by itself.

A vector is as many numbers as a register of this processor holds (`lanes`).  Arrays, or pointers to their data, come with a first place and,
where there are several rows, the distance of rows; all are counted in numbers.  Nothing is checked: whoever calls keeps space behind the
last place for the rest of a vector.  a b + c is one instruction with one rounding where the processor has it.
"""

from functools import reduce
from itertools import product as product_of

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

_FEATURES = cpu_target.target_context.codegen().magic_tuple()[2].split(",")
REGISTER = 64 if "+avx512f" in _FEATURES else 32 if "+avx" in _FEATURES else 16     # bytes
ROWS, COLUMNS = 4, 4 if REGISTER == 64 or "+neon" in _FEATURES else 2               # sums at a time, for 32 registers or for 16
WIDEST = 8                                                                          # vectors of a row that stay in registers
UNROLLED = 4                                                                        # vectors of one pass of a simple loop
COMPRESSES = "+avx512f" in _FEATURES    # whether an instruction moves chosen numbers of a vector together
WIDE = 16                               # numbers that it takes; `listed` reads and writes as many, even behind the end
_INDEX = ir.IntType(64)


def lanes(dtype) -> int:
    """Numbers in a vector."""
    return REGISTER // np.dtype(dtype).itemsize


class _Code:
    """Writes instructions at the builder's place."""

    def __init__(self, context, builder, real):
        self.context, self.builder, self.dtype = context, builder, real
        self.lanes = lanes(real.name)
        self.number_type = context.get_value_type(real)
        self.vector = ir.VectorType(self.number_type, self.lanes)
        self.zero = ir.Constant(self.vector, None)

    # arguments and calls

    def arguments(self, kinds, values):
        """Arrays as pointers to their data, numbers as int64 or in the working precision, tuples as lists of these."""
        for kind, value in zip(kinds, values, strict=True):
            if isinstance(kind, types.BaseTuple):
                yield list(self.arguments(kind.types, cgutils.unpack_tuple(self.builder, value)))
            elif isinstance(kind, types.Array):
                yield self.context.make_array(kind)(self.context, self.builder, value=value).data
            elif isinstance(kind, types.CPointer):
                yield value
            else:
                yield self.context.cast(self.builder, value, kind, self.dtype if isinstance(kind, types.Float) else types.int64)

    def call(self, function, result, arguments):
        """The instructions of function(code, *arguments) in a function of their own."""
        flat = [value for group in arguments for value in (group if isinstance(group, list) else [group])]
        kind = ir.FunctionType(result, [value.type for value in flat])
        made = cgutils.get_or_insert_function(self.builder.module, kind, f"numsnn_{function.__name__}_{self.dtype}")
        if not made.blocks:
            made.linkage = "internal"
            made.attributes.add("noinline")
            inner, given = _Code(self.context, ir.IRBuilder(made.append_basic_block()), self.dtype), iter(made.args)
            groups = [[next(given) for _ in group] if isinstance(group, list) else next(given) for group in arguments]
            answer = function(inner, *groups)
            if answer is None:
                inner.builder.ret_void()
            else:
                inner.builder.ret(answer)
        return self.builder.call(made, flat)

    # numbers and vectors

    def add(self, index, *others):
        for other in others:
            index = self.builder.add(index, other if isinstance(other, ir.Value) else _INDEX(other))
        return index

    def times(self, index, number):
        return self.builder.mul(index, number if isinstance(number, ir.Value) else _INDEX(number))

    def number(self, data, index):
        return self.builder.load(self.builder.gep(data, [index]))

    def _access(self, data, index, kind):
        return self.builder.bitcast(self.builder.gep(data, [index]), kind.as_pointer())

    def load(self, data, index, kind=None):
        return self.builder.load(self._access(data, index, kind or self.vector), align=self.dtype.bitwidth // 8)

    def inside(self, n):
        """Which of a vector's numbers are among the first n (0 < n)."""
        number = self.builder.insert_element(ir.Constant(ir.VectorType(_INDEX, self.lanes), None), n, ir.IntType(32)(0))
        number = self.shuffle(number, number, [0] * self.lanes)
        return self.builder.icmp_unsigned(">", number, ir.Constant(number.type, list(range(self.lanes))))

    def _masked(self, name, result, data, index, *operands):
        pointer = self._access(data, index, self.vector)
        if name == "load":
            operands = (pointer, ir.IntType(32)(self.dtype.bitwidth // 8), *operands)
        else:
            operands = (operands[0], pointer, ir.IntType(32)(self.dtype.bitwidth // 8), operands[1])
        kind = ir.FunctionType(result, [o.type for o in operands])
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.masked.{name}.v{self.lanes}f{self.dtype.bitwidth}.p0")
        return self.builder.call(function, operands)

    def load_part(self, data, index, inside):
        """The numbers `inside`, zeros in place of the others, which are not touched."""
        return self._masked("load", self.vector, data, index, inside, self.zero)

    def store_part(self, value, data, index, inside):
        self._masked("store", ir.VoidType(), data, index, value, inside)

    def store(self, value, data, index):
        self.builder.store(value, self._access(data, index, value.type), align=self.dtype.bitwidth // 8)

    def splat(self, number):
        first = self.builder.insert_element(self.zero, number, ir.IntType(32)(0))
        return self.shuffle(first, first, [0] * self.lanes)

    def shuffle(self, a, b, order):
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(order)), list(order)))

    def fma(self, a, b, c):
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.fmuladd.v{self.lanes}f{self.dtype.bitwidth}")
        return self.builder.call(function, [a, b, c])

    def total(self, vector):
        """The sum of a vector: its halves added, then theirs."""
        n = self.lanes
        while n > 1:
            n //= 2
            vector = self.builder.fadd(self.shuffle(vector, vector, range(n)), self.shuffle(vector, vector, range(n, 2 * n)))
        return self.builder.extract_element(vector, ir.IntType(32)(0))

    def variable(self, value):
        """A place on the stack, which LLVM turns into a register."""
        place = cgutils.alloca_once(self.builder, value.type)
        self.builder.store(value, place)
        return place

    def increase(self, place, write):
        """The variable becomes write(its value)."""
        self.builder.store(write(self.builder.load(place)), place)

    # loops

    def loop(self, first, last, step=1):
        """`with` gives the index and the number of the pass."""
        first = first if isinstance(first, ir.Value) else _INDEX(first)
        return cgutils.for_range_slice(self.builder, first, last, _INDEX(step), _INDEX, True)

    def unrolled(self, n, write):
        """write(q, j) for the vectors q < n: UNROLLED at a time, then one by one."""
        block = UNROLLED * self.lanes
        whole = self.builder.and_(n, _INDEX(-block))
        with self.loop(0, whole, block) as (q, _):
            for j in range(UNROLLED):
                write(self.add(q, j * self.lanes), j)
        with self.loop(whole, n, self.lanes) as (q, _):
            write(q, 0)

    def by_columns(self, n, write):
        """write(first, load, store) for blocks of at most WIDEST vectors of n numbers.  load(array, first) gives the vectors of a block,
        store(vectors, array, first) writes them; numbers behind the n-th are not touched."""
        with self.loop(0, n, WIDEST * self.lanes) as (first, _):
            left = self.builder.sub(n, first)
            count, done = self.builder.udiv(self.add(left, self.lanes - 1), _INDEX(self.lanes)), self.builder.append_basic_block("done")
            blocks = [self.builder.append_basic_block(f"vectors{q + 1}") for q in range(WIDEST)]
            switch = self.builder.switch(count, blocks[-1])
            for q, block in enumerate(blocks):
                if q < WIDEST - 1:
                    switch.add_case(_INDEX(q + 1), block)
                self.builder.position_at_end(block)
                inside = self.inside(self.add(left, -q * self.lanes))

                def load(data, at, q=q, inside=inside):
                    return [*(self.load(data, self.add(at, j * self.lanes)) for j in range(q)), self.load_part(data, self.add(at, q * self.lanes), inside)]

                def store(vectors, data, at, q=q, inside=inside):
                    for j, vector in enumerate(vectors):
                        if j < q:
                            self.store(vector, data, self.add(at, j * self.lanes))
                        else:
                            self.store_part(vector, data, self.add(at, j * self.lanes), inside)
                write(first, load, store)
                self.builder.branch(done)
            self.builder.position_at_end(done)

    def by_size(self, rows, columns, write):
        """write(m, n) for the m <= ROWS and n <= COLUMNS that rows and columns are at run time."""
        cell, done = self.add(self.times(rows, COLUMNS), columns), self.builder.append_basic_block("done")
        switch = self.builder.switch(cell, done)
        for m, n in product_of(range(1, ROWS + 1), range(1, COLUMNS + 1)):
            block = self.builder.append_basic_block(f"sums{m}x{n}")
            switch.add_case(_INDEX(m * COLUMNS + n), block)
            self.builder.position_at_end(block)
            write(m, n)
            self.builder.branch(done)
        self.builder.position_at_end(done)


def _instruction(called=True, gives=False):
    """An intrinsic from function(code, *arguments); its first array tells the precision.

    called: it becomes a function of its own; branches on sizes that are inlined into loops of loops cost LLVM seconds.  gives: a number, True for
    one of the arrays' precision.
    """
    def made(function):
        names = ", ".join(function.__code__.co_varnames[1:function.__code__.co_argcount])

        def typed(kinds):
            first = kinds[0]
            while isinstance(first, types.BaseTuple):
                first = first.types[0]

            def generate(context, builder, signature, values):
                code = _Code(context, builder, first.dtype)
                arguments, result = list(code.arguments(signature.args, values)), context.get_value_type(signature.return_type) if gives else ir.VoidType()
                answer = code.call(function, result, arguments) if called else function(code, *arguments)
                return answer if gives else context.get_dummy_value()
            return (types.void if not gives else first.dtype if gives is True else gives)(*map(types.unliteral, kinds)), generate

        scope = {"typed": typed}
        exec(f"def {function.__name__}(context, {names}): return typed(({names},))", scope)     # noqa: S102  Numba reads the names
        scope[function.__name__].__doc__ = function.__doc__
        return intrinsic(scope[function.__name__])
    return made


@_instruction()
def products(code, start, weight, terms, values, out, places, rows, columns):
    """out[i, target[v] + l] = start[i] + sum over k of weight[i, index[k]] values[offset[k] + source[v] + l], k in this order.

    i < rows; v < columns; l < lanes.  start, values: (array, first), weight, out: (array, first, distance of rows), terms: (index, offset,
    first k, last k), places: (source, target, first v).
    """
    def write(m, n):
        sums = [[code.variable(code.splat(code.number(start[0], code.add(start[1], i)))) for _ in range(n)] for i in range(m)]
        source = [code.add(values[1], code.number(places[0], code.add(places[2], j))) for j in range(n)]
        with code.loop(terms[2], terms[3]) as (k, _):
            offset, w = code.number(terms[1], k), code.add(weight[1], code.number(terms[0], k))
            x = [code.load(values[0], code.add(source[j], offset)) for j in range(n)]
            for i in range(m):
                factor = code.splat(code.number(weight[0], code.add(w, code.times(weight[2], i))))
                for j in range(n):
                    code.increase(sums[i][j], lambda s, f=factor, x=x[j]: code.fma(f, x, s))
        for j in range(n):
            target = code.add(out[1], code.number(places[1], code.add(places[2], j)))
            for i in range(m):
                code.store(code.builder.load(sums[i][j]), out[0], code.add(target, code.times(out[2], i)))
    code.by_size(rows, columns, write)


@_instruction()
def product(code, a, b, out, rows, terms, width):
    """out[i, j] = sum over k < terms of a[i, k] b[k, j], k in this order.  i < rows; j < width, whole vectors; a, b, out: (array, first, distance of
    rows)."""
    def least(n, most):
        return code.builder.select(code.builder.icmp_unsigned("<", n, _INDEX(most)), n, _INDEX(most))

    with code.loop(0, rows, ROWS) as (i, _), code.loop(0, width, COLUMNS * code.lanes) as (v, _):
        left, right, to = (code.add(x[1], where) for x, where in ((a, code.times(i, a[2])), (b, v), (out, code.add(code.times(i, out[2]), v))))

        def write(m, n, left=left, right=right, to=to):
            sums = [[code.variable(code.zero) for _ in range(n)] for _ in range(m)]
            with code.loop(0, terms) as (k, _):
                row = code.add(right, code.times(k, b[2]))
                x = [code.load(b[0], code.add(row, j * code.lanes)) for j in range(n)]
                for q in range(m):
                    factor = code.splat(code.number(a[0], code.add(left, code.times(a[2], q), k)))
                    for j in range(n):
                        code.increase(sums[q][j], lambda s, f=factor, x=x[j]: code.fma(f, x, s))
            for q, j in product_of(range(m), range(n)):
                code.store(code.builder.load(sums[q][j]), out[0], code.add(to, code.times(out[2], q), j * code.lanes))
        code.by_size(least(code.builder.sub(rows, i), ROWS), least(code.builder.udiv(code.builder.sub(width, v), _INDEX(code.lanes)), COLUMNS), write)


@_instruction()
def add_rows(code, y, weight, index, n):
    """y[j] += weight[index[e], j] for e = first ... last - 1 in this order, j < n.  y, weight: (array, first), index: (array, first, last)."""
    def write(first, load, store):
        sums = [code.variable(value) for value in load(y[0], code.add(y[1], first))]
        with code.loop(index[1], index[2]) as (e, _):
            row = code.times(code.builder.zext(code.number(index[0], e), _INDEX), n)
            for place, value in zip(sums, load(weight[0], code.add(weight[1], row, first)), strict=True):
                code.increase(place, lambda s, value=value: code.builder.fadd(s, value))
        store(map(code.builder.load, sums), y[0], code.add(y[1], first))
    code.by_columns(n, write)


@_instruction()
def add_to_rows(code, x, out, index, n):
    """out[index[e], j] += x[j] for first <= e < last, j < n.  x: (array, first), out: (array, width of its rows, whole vectors), index: (array, first,
    last)."""
    def write(first, load, store):
        values = load(x[0], code.add(x[1], first))
        with code.loop(index[1], index[2]) as (e, _):
            row = code.add(code.times(code.builder.zext(code.number(index[0], e), _INDEX), out[1]), first)
            for j, value in enumerate(values):
                place = code.add(row, j * code.lanes)
                code.store(code.builder.fadd(code.load(out[0], place), value), out[0], place)
    code.by_columns(n, write)


@_instruction()
def correlations(code, a, b, places, pictures, out, rows, columns):
    """out[i, j] += sum over pictures r, vectors v and lanes l of a[r, i, v lanes + l] b[r, offset[j] + source[v] + l].

    i < rows; j < columns.  a: (array, first, distance of rows, of pictures), b: (array, offset, first j, distance of pictures), places:
    (source, vectors), out: (array, first, distance of rows).
    """
    def write(m, n):
        sums = [[code.variable(code.zero) for _ in range(n)] for _ in range(m)]
        offset = [code.number(b[1], code.add(b[2], j)) for j in range(n)]
        with code.loop(0, pictures) as (r, _):
            left, right = code.add(a[1], code.times(r, a[3])), code.times(r, b[3])
            with code.loop(0, places[1]) as (v, _):
                source, at = code.add(right, code.number(places[0], v)), code.add(left, code.times(v, code.lanes))
                x = [code.load(b[0], code.add(source, offset[j])) for j in range(n)]
                for i in range(m):
                    y = code.load(a[0], code.add(at, code.times(a[2], i)))
                    for j in range(n):
                        code.increase(sums[i][j], lambda s, x=x[j], y=y: code.fma(x, y, s))
        for i in range(m):
            for j in range(n):
                place = code.builder.gep(out[0], [code.add(out[1], code.times(out[2], i), j)])
                code.increase(place, lambda s, i=i, j=j: code.builder.fadd(s, code.total(code.builder.load(sums[i][j]))))
    code.by_size(rows, columns, write)


@_instruction(called=False)
def accumulate(code, y, factor, x, n):
    """y[q] += factor x[q], q < n, whole vectors.  y, x: (array, first)."""
    factor = code.splat(factor)

    def add(q, _):
        to = code.add(y[1], q)
        code.store(code.fma(factor, code.load(x[0], code.add(x[1], q)), code.load(y[0], to)), y[0], to)
    code.unrolled(n, add)


@_instruction()
def copy(code, source, target, rows, n):
    """target[m, q] = source[m, q], m < rows, q < n and no further.  source, target: (array, first, distance of rows)."""
    def whole(size, left, right):
        """Vectors of a size, the last of which may overlap the one before; smaller ones where there are fewer numbers."""
        def move(q):
            code.store(code.load(source[0], code.add(left, q), ir.VectorType(code.number_type, size)), target[0], code.add(right, q))

        with code.builder.if_else(code.builder.icmp_signed(">=", n, _INDEX(size))) as (enough, too_few):
            with enough:
                end = code.add(n, -size)
                if size == code.lanes:
                    with code.loop(0, end, size) as (q, _):
                        move(q)
                else:
                    move(_INDEX(0))
                move(end)
            with too_few:
                if size > 1:
                    whole(size // 2, left, right)
    with code.loop(0, rows) as (m, _):
        whole(code.lanes, code.add(source[1], code.times(m, source[2])), code.add(target[1], code.times(m, target[2])))


@_instruction(gives=True)
def total(code, x, n):
    """The sum of x[q], q < n.  x: (array, first)."""
    whole, sums = code.builder.and_(n, _INDEX(-code.lanes)), [code.variable(code.zero) for _ in range(UNROLLED)]
    code.unrolled(whole, lambda q, j: code.increase(sums[j], lambda s: code.builder.fadd(s, code.load(x[0], code.add(x[1], q)))))
    rest = code.variable(code.total(reduce(code.builder.fadd, map(code.builder.load, sums))))
    with code.loop(whole, n) as (q, _):
        code.increase(rest, lambda s: code.builder.fadd(s, code.number(x[0], code.add(x[1], q))))
    return code.builder.load(rest)


@_instruction()
def transpose(code, source, target):
    """target[j, i] = source[i, j], i and j < lanes.  source, target: (array, first, distance of rows).

    Interleaving the rows i and i + lanes / 2 rotates the bits of (i, j) by one: after log2(lanes) times i and j have changed places.
    """
    n, half = code.lanes, code.lanes // 2
    rows = [code.load(source[0], code.add(source[1], code.times(source[2], i))) for i in range(n)]
    for _ in range(n.bit_length() - 1):
        pairs = [(rows[i], rows[i + half], first) for i in range(half) for first in (0, half)]
        rows = [code.shuffle(a, b, [first + q // 2 + n * (q % 2) for q in range(n)]) for a, b, first in pairs]
    for j, row in enumerate(rows):
        code.store(row, target[0], code.add(target[1], code.times(target[2], j)))


@_instruction(called=False, gives=types.uint64)
def listed(code, values, n, index):
    """Write the ascending q < n with values[q] != 0 to index[...]; their number.  values, index: (array, first)."""
    builder, word, vector = code.builder, ir.IntType(16), ir.VectorType(ir.IntType(32), WIDE)
    numbers, small = ir.VectorType(code.number_type, WIDE), ir.VectorType(index[0].type.pointee, WIDE)
    taken = code.variable(_INDEX(0))
    with code.loop(0, n, WIDE) as (q, _):
        bits = builder.bitcast(builder.fcmp_unordered("!=", code.load(values[0], code.add(values[1], q), numbers), ir.Constant(numbers, None)), word)
        left = builder.sub(n, q)
        inside = builder.trunc(builder.sub(builder.shl(_INDEX(1), builder.select(builder.icmp_unsigned("<", left, _INDEX(WIDE)), left, _INDEX(WIDE))), _INDEX(1)), word)
        bits = builder.and_(bits, inside)
        first = builder.insert_element(ir.Constant(vector, None), builder.trunc(q, ir.IntType(32)), ir.IntType(32)(0))
        places = builder.add(builder.shuffle_vector(first, first, ir.Constant(vector, None)), ir.Constant(vector, list(range(WIDE))))
        mask = ir.VectorType(ir.IntType(1), WIDE)
        together = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector, vector, mask]), "llvm.x86.avx512.mask.compress.v16i32")
        places = builder.call(together, [places, ir.Constant(vector, None), builder.bitcast(bits, mask)])
        code.store(builder.trunc(places, small) if small != vector else places, index[0], code.add(index[1], builder.load(taken)))
        count = cgutils.get_or_insert_function(builder.module, ir.FunctionType(word, [word]), "llvm.ctpop.i16")
        code.increase(taken, lambda k: builder.add(k, builder.zext(builder.call(count, [bits]), _INDEX)))
    return builder.load(taken)
