"""Vector instructions for Numba: sums that stay in registers, which LLVM does not find by itself.

A vector is as many numbers as a register of this processor holds (`lanes`).  Arrays, or pointers to their
data, come with a first place and, where there are several rows, the distance of rows; all are counted in
numbers.  Nothing is checked: whoever calls keeps space behind the last place for the rest of a vector.
a b + c is one instruction with one rounding where the processor has it.
"""

from functools import reduce
from itertools import product as product_of

from llvmlite import ir
from numba import types

from .vector_code import (
    COLUMNS,
    COMPRESSES,
    INDEX,
    REGISTER,
    ROWS,
    UNROLLED,
    instruction,
    lanes,
)

WIDE = 16       # numbers that COMPRESSES takes; `listed` reads and writes as many, even behind the end


@instruction()
def products(code, start, weight, terms, values, out, places, rows, columns):
    """out[i, target[v] + l] = start[i] + sum over k of weight[i, index[k]] values[offset[k] + source[v] + l].

    k in this order; i < rows; v < columns; l < lanes.  start, values: (array, first), weight, out: (array,
    first, distance of rows), terms: (index, offset, first k, last k), places: (source, target, first v).
    """
    def write(m, n):
        sums = []
        for i in range(m):
            first = code.number(start[0], code.add(start[1], i))
            sums.append([code.variable(code.splat(first)) for _ in range(n)])
        source = [code.add(values[1], code.number(places[0], code.add(places[2], j))) for j in range(n)]
        with code.loop(terms[2], terms[3]) as (k, _):
            offset = code.number(terms[1], k)
            w = code.add(weight[1], code.number(terms[0], k))
            x = [code.load(values[0], code.add(source[j], offset)) for j in range(n)]
            for i in range(m):
                factor = code.splat(code.number(weight[0], code.add(w, code.times(weight[2], i))))
                for j in range(n):
                    code.increase(sums[i][j], lambda s, f=factor, x=x[j]: code.fma(f, x, s))
        for j in range(n):
            target = code.add(out[1], code.number(places[1], code.add(places[2], j)))
            for i in range(m):
                total = code.builder.load(sums[i][j])
                code.store(total, out[0], code.add(target, code.times(out[2], i)))
    code.by_size(rows, columns, write)


@instruction()
def product(code, a, b, out, rows, terms, width):
    """out[i, j] = sum over k < terms of a[i, k] b[k, j], k in this order.

    i < rows; j < width, whole vectors; a, b, out: (array, first, distance of rows).
    """
    with code.loop(0, rows, ROWS) as (i, _), code.loop(0, width, COLUMNS * code.lanes) as (v, _):
        left = code.add(a[1], code.times(i, a[2]))
        right = code.add(b[1], v)
        to = code.add(out[1], code.add(code.times(i, out[2]), v))

        def write(m, n):
            sums = [[code.variable(code.zero) for _ in range(n)] for _ in range(m)]
            with code.loop(0, terms) as (k, _):
                row = code.add(right, code.times(k, b[2]))
                x = [code.load(b[0], code.add(row, j * code.lanes)) for j in range(n)]
                for q in range(m):
                    factor = code.splat(code.number(a[0], code.add(left, code.times(a[2], q), k)))
                    for j in range(n):
                        code.increase(sums[q][j], lambda s, f=factor, x=x[j]: code.fma(f, x, s))
            for q, j in product_of(range(m), range(n)):
                place = code.add(to, code.times(out[2], q), j * code.lanes)
                code.store(code.builder.load(sums[q][j]), out[0], place)

        vectors_left = code.builder.udiv(code.builder.sub(width, v), INDEX(code.lanes))
        rows_left = code.builder.sub(rows, i)
        code.by_size(code.smaller(rows_left, ROWS), code.smaller(vectors_left, COLUMNS), write)


@instruction()
def add_products(code, x, weight, out, rows, terms, n):
    """out[i, j] += sum over k < terms of x[i, k] weight[k, j], k in this order.

    i < rows; j < n and no further.  Each product is rounded before it is added, as in `y += x * w`.
    x, weight, out: (array, first, distance of rows).
    """
    def write(m, first, row, load, store):
        places = [code.add(out[1], code.times(code.add(row, i), out[2]), first) for i in range(m)]
        sums = [[code.variable(value) for value in load(out[0], place)] for place in places]
        factors = [code.add(x[1], code.times(code.add(row, i), x[2])) for i in range(m)]
        with code.loop(0, terms) as (k, _):
            values = load(weight[0], code.add(weight[1], code.times(k, weight[2]), first))
            for i in range(m):
                factor = code.splat(code.number(x[0], code.add(factors[i], k)))
                for place, value in zip(sums[i], values, strict=True):
                    term = code.builder.fmul(factor, value)
                    code.increase(place, lambda total, term=term: code.builder.fadd(total, term))
        for i in range(m):
            store(map(code.builder.load, sums[i]), out[0], places[i])

    whole = code.builder.and_(rows, INDEX(-ROWS))
    for m, begin, end in ((ROWS, INDEX(0), whole), (1, whole, rows)):
        with code.loop(begin, end, m) as (row, _):
            def written(first, load, store, m=m, row=row):
                write(m, first, row, load, store)
            code.by_columns(n, written, COLUMNS)


@instruction()
def sum_rows(code, y, start, weight, index, n):
    """y[j] = start[j] + weight[index[e], j] + ... for e = first ... last - 1 in this order, j < n.

    y, start, weight: (array, first), index: (array, first, last).  start may be y.
    """
    def write(first, load, store):
        sums = [code.variable(value) for value in load(start[0], code.add(start[1], first))]
        with code.loop(index[1], index[2]) as (e, _):
            row = code.times(code.index(index[0], e), n)
            for place, value in zip(sums, load(weight[0], code.add(weight[1], row, first)), strict=True):
                code.increase(place, lambda s, value=value: code.builder.fadd(s, value))
        store(map(code.builder.load, sums), y[0], code.add(y[1], first))
    code.by_columns(n, write)


@instruction()
def add_listed_products(code, y, weight, values, index, n):
    """y[j] += values[i] weight[i, j] for i = index[0], index[1] ... index[last - 1] in this order, j < n.

    Each product is rounded before it is added.  y, weight, values: (array, first), index: (array, last).
    """
    def write(first, load, store):
        at = code.add(y[1], first)
        sums = [code.variable(value) for value in load(y[0], at)]
        with code.loop(0, index[1]) as (e, _):
            i = code.index(index[0], e)
            factor = code.splat(code.number(values[0], code.add(values[1], i)))
            row = load(weight[0], code.add(weight[1], code.times(i, n), first))
            for place, value in zip(sums, row, strict=True):
                term = code.builder.fmul(factor, value)
                code.increase(place, lambda s, term=term: code.builder.fadd(s, term))
        store(map(code.builder.load, sums), y[0], at)
    code.by_columns(n, write)


@instruction()
def add_to_rows(code, x, out, index, n):
    """out[index[e], j] += x[j] for first <= e < last, j < n.

    x: (array, first), out: (array, width of its rows, whole vectors), index: (array, first, last).
    """
    def write(first, load, store):
        values = load(x[0], code.add(x[1], first))
        with code.loop(index[1], index[2]) as (e, _):
            row = code.add(code.times(code.index(index[0], e), out[1]), first)
            for j, value in enumerate(values):
                place = code.add(row, j * code.lanes)
                code.store(code.builder.fadd(code.load(out[0], place), value), out[0], place)
    code.by_columns(n, write)


@instruction()
def correlations(code, a, b, places, pictures, out, rows, columns):
    """out[i, j] += sum over r, v and l of a[r, i, v lanes + l] b[r, offset[j] + source[v] + l].

    r: pictures, v: vectors, l: lanes; i < rows; j < columns.  a: (array, first, distance of rows, of
    pictures), b: (array, offset, first j, distance of pictures), places: (source, vectors), out: (array,
    first, distance of rows).
    """
    def write(m, n):
        sums = [[code.variable(code.zero) for _ in range(n)] for _ in range(m)]
        offset = [code.number(b[1], code.add(b[2], j)) for j in range(n)]
        with code.loop(0, pictures) as (r, _):
            left = code.add(a[1], code.times(r, a[3]))
            right = code.times(r, b[3])
            with code.loop(0, places[1]) as (v, _):
                source = code.add(right, code.number(places[0], v))
                at = code.add(left, code.times(v, code.lanes))
                x = [code.load(b[0], code.add(source, offset[j])) for j in range(n)]
                for i in range(m):
                    y = code.load(a[0], code.add(at, code.times(a[2], i)))
                    for j in range(n):
                        code.increase(sums[i][j], lambda s, x=x[j], y=y: code.fma(x, y, s))
        for i in range(m):
            for j in range(n):
                place = code.builder.gep(out[0], [code.add(out[1], code.times(out[2], i), j)])

                def with_total(s, vector=sums[i][j]):
                    return code.builder.fadd(s, code.total(code.builder.load(vector)))

                code.increase(place, with_total)
    code.by_size(rows, columns, write)


@instruction(called=False)
def accumulate(code, y, factor, x, n):
    """y[q] += factor x[q], q < n, whole vectors.  y, x: (array, first)."""
    factor = code.splat(factor)

    def add(q, _):
        to = code.add(y[1], q)
        more = code.load(x[0], code.add(x[1], q))
        code.store(code.fma(factor, more, code.load(y[0], to)), y[0], to)
    code.unrolled(n, add)


@instruction()
def copy(code, source, target, rows, n):
    """target[m, q] = source[m, q], m < rows, q < n and no further.

    source, target: (array, first, distance of rows).
    """
    def whole(size, left, right):
        """Vectors of a size, the last of which may overlap the one before; smaller ones for fewer numbers."""
        vector = ir.VectorType(code.number_type, size)

        def move(q):
            code.store(code.load(source[0], code.add(left, q), vector), target[0], code.add(right, q))

        there_are = code.builder.icmp_signed(">=", n, INDEX(size))
        with code.builder.if_else(there_are) as (enough, too_few):
            with enough:
                end = code.add(n, -size)
                if size == code.lanes:
                    with code.loop(0, end, size) as (q, _):
                        move(q)
                else:
                    move(INDEX(0))
                move(end)
            with too_few:
                if size > 1:
                    whole(size // 2, left, right)
    with code.loop(0, rows) as (m, _):
        left = code.add(source[1], code.times(m, source[2]))
        right = code.add(target[1], code.times(m, target[2]))
        whole(code.lanes, left, right)


@instruction(gives=True)
def total(code, x, n):
    """The sum of x[q], q < n.  x: (array, first)."""
    whole = code.builder.and_(n, INDEX(-code.lanes))
    sums = [code.variable(code.zero) for _ in range(UNROLLED)]

    def add_vector(q, j):
        code.increase(sums[j], lambda s: code.builder.fadd(s, code.load(x[0], code.add(x[1], q))))

    code.unrolled(whole, add_vector)
    rest = code.variable(code.total(reduce(code.builder.fadd, map(code.builder.load, sums))))
    with code.loop(whole, n) as (q, _):
        code.increase(rest, lambda s: code.builder.fadd(s, code.number(x[0], code.add(x[1], q))))
    return code.builder.load(rest)


@instruction()
def transpose(code, source, target):
    """target[j, i] = source[i, j], i and j < lanes.  source, target: (array, first, distance of rows).

    Interleaving the rows i and i + lanes / 2 rotates the bits of (i, j) by one: after log2(lanes) times i and
    j have changed places.
    """
    n, half = code.lanes, code.lanes // 2
    rows = [code.load(source[0], code.add(source[1], code.times(source[2], i))) for i in range(n)]
    for _ in range(n.bit_length() - 1):
        interleaved = []
        for i, first in product_of(range(half), (0, half)):
            order = [first + q // 2 + n * (q % 2) for q in range(n)]
            interleaved.append(code.shuffle(rows[i], rows[i + half], order))
        rows = interleaved
    for j, row in enumerate(rows):
        code.store(row, target[0], code.add(target[1], code.times(target[2], j)))


@instruction(called=False, gives=types.uint64)
def listed(code, values, n, index):
    """Write the ascending q < n with values[q] != 0 to index[...]; their number.

    values, index: (array, first).
    """
    builder = code.builder
    word = ir.IntType(16)       # a bit for each number
    lane, small = ir.IntType(32), index[0].type.pointee
    numbers, places = ir.VectorType(code.number_type, WIDE), ir.VectorType(lane, WIDE)
    mask, nowhere = ir.VectorType(ir.IntType(1), WIDE), ir.Constant(places, None)
    taken = code.variable(INDEX(0))
    with code.loop(0, n, WIDE) as (q, _):
        here = code.load(values[0], code.add(values[1], q), numbers)
        bits = builder.bitcast(builder.fcmp_unordered("!=", here, ir.Constant(numbers, None)), word)
        left = code.smaller(builder.sub(n, q), WIDE)
        inside = builder.trunc(builder.sub(builder.shl(INDEX(1), left), INDEX(1)), word)
        bits = builder.and_(bits, inside)
        first = builder.insert_element(nowhere, builder.trunc(q, lane), lane(0))
        all_places = builder.add(
            builder.shuffle_vector(first, first, nowhere), ir.Constant(places, list(range(WIDE))))
        together = code.intrinsic(
            "x86.avx512.mask.compress.v16i32", places, [all_places, nowhere, builder.bitcast(bits, mask)])
        if small != lane:
            together = builder.trunc(together, ir.VectorType(small, WIDE))
        code.store(together, index[0], code.add(index[1], builder.load(taken)))
        count = builder.zext(code.intrinsic("ctpop.i16", word, [bits]), INDEX)
        code.increase(taken, lambda k: builder.add(k, count))
    return builder.load(taken)


__all__ = ["COLUMNS", "COMPRESSES", "REGISTER", "ROWS", "WIDE", "accumulate", "add_listed_products",
           "add_products", "add_to_rows", "copy", "correlations", "lanes", "listed", "product", "products",
           "sum_rows", "total", "transpose"]
