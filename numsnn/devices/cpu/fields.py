"""The functions of access.py for loops on the CPU, and pointers: written as machine code at once.

Numba compiles a function that is called from compiled code by itself, and then again as a part of its caller:
a loop over a model's tuples would have thirty such.  These are intrinsics, which put their few instructions
into the caller: a loop compiles in two thirds of the time, to the same code.

`arrays` is a named tuple of pointers (see `private`), or of arrays in one piece and None; indices are not
negative.
"""

from collections.abc import Callable

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic

ABSENT = types.NoneType, types.BaseTuple
ZERO = types.float32        # what an absent field reads as


# ---- fields of named tuples


def _tuple(kinds, like):
    return types.BaseTuple.from_types(tuple(kinds), like.instance_class)


def _read_as(kind):
    return ZERO if isinstance(kind, ABSENT) else kind.dtype


def _place(context, builder, kind, array, index):
    """Where array[index] lies."""
    is_pointer = isinstance(kind, types.CPointer)
    return builder.gep(array if is_pointer else _data(context, builder, kind, array), [index])


def _read(context, builder, kind, array, index):
    if isinstance(kind, ABSENT):
        return context.get_constant(ZERO, 0)
    return builder.load(_place(context, builder, kind, array, index))


def _wider(kinds):
    """The precision in which values are added, as Python's operators have it."""
    return types.float64 if types.float64 in kinds else kinds[0]


def _added(context, builder, first, second, to):
    """The sum of two (type, value) as a value of type `to`."""
    wide = _wider((first[0], second[0]))
    a, b = (context.cast(builder, value, kind, wide) for kind, value in (first, second))
    total = builder.fadd(a, b) if isinstance(wide, types.Float) else builder.add(a, b)
    return context.cast(builder, total, wide, to)


def _fields(builder, arrays, value):
    """(name, type, value) of each field."""
    return zip(arrays.fields, arrays.types, cgutils.unpack_tuple(builder, value, len(arrays.types)),
               strict=True)


def _indexed(context, builder, signature, position, value):
    return context.cast(builder, value, signature.args[position], types.intp)


@intrinsic
def gather(context, arrays, i):
    """cls(arrays.v[i], arrays.spike[i], ...)"""
    found = _tuple(map(_read_as, arrays.types), arrays)

    def generate(context, builder, signature, args):
        index = _indexed(context, builder, signature, 1, args[1])
        values = [_read(context, builder, kind, array, index)
                  for _, kind, array in _fields(builder, arrays, args[0])]
        return context.make_tuple(builder, found, values)
    return found(arrays, i), generate


@intrinsic
def gather_sum(context, arrays, i, more, j):
    """gather(arrays, i) + gather(more, j), field by field."""
    pairs = list(zip(arrays.types, more.types, strict=True))
    kinds = [second if isinstance(first, ABSENT) else first for first, second in pairs]
    found = _tuple(map(_read_as, kinds), arrays)

    def generate(context, builder, signature, args):
        at = [_indexed(context, builder, signature, n, args[n]) for n in (1, 3)]
        values = []
        both = zip(_fields(builder, arrays, args[0]), _fields(builder, more, args[2]), strict=True)
        for (_, first, a), (_, second, b) in both:
            there = [(kind.dtype, _read(context, builder, kind, array, index))
                     for kind, array, index in ((first, a, at[0]), (second, b, at[1]))
                     if not isinstance(kind, ABSENT)]
            if len(there) == 2:
                values.append(_added(context, builder, *there, there[0][0]))
            else:
                values.append(there[0][1] if there else context.get_constant(ZERO, 0))
        return context.make_tuple(builder, found, values)
    return found(arrays, i, more, j), generate


def _written(value_of: Callable) -> Callable:
    """A function that writes value_of(context, builder, type, place, (type, value)) to each present field."""
    def typed(context, arrays, i, values):
        def generate(context, builder, signature, args):
            index = _indexed(context, builder, signature, 1, args[1])
            given = {name: (kind, value) for name, kind, value in _fields(builder, values, args[2])}
            for name, kind, array in _fields(builder, arrays, args[0]):
                if not isinstance(kind, ABSENT):
                    place = _place(context, builder, kind, array, index)
                    builder.store(value_of(context, builder, kind.dtype, place, given[name]), place)
            return context.get_dummy_value()
        return types.void(arrays, i, values), generate
    return typed


@_written
def _set(context, builder, dtype, place, given):
    return context.cast(builder, given[1], given[0], dtype)


@_written
def _add(context, builder, dtype, place, given):
    return _added(context, builder, (dtype, builder.load(place)), given, dtype)


@intrinsic
def scatter(context, arrays, i, values):
    """arrays.v[i] = values.v; ..."""
    return _set(context, arrays, i, values)


@intrinsic
def accumulate(context, arrays, i, values):
    """arrays.v[i] += values.v; ..."""
    return _add(context, arrays, i, values)


def _at_each(of_place):
    """A function that does something at the place of index i in each present field."""
    def typed(context, arrays, i):
        def generate(context, builder, signature, args):
            index = _indexed(context, builder, signature, 1, args[1])
            for _, kind, array in _fields(builder, arrays, args[0]):
                if not isinstance(kind, ABSENT):
                    of_place(context, builder, kind.dtype, _place(context, builder, kind, array, index))
            return context.get_dummy_value()
        return types.void(arrays, i), generate
    return typed


@_at_each
def _zero(context, builder, dtype, place):
    builder.store(context.get_constant(dtype, 0), place)


@_at_each
def _touch(context, builder, dtype, place):
    word = ir.IntType(32)
    read, keep_in_all_caches, data = word(0), word(3), word(1)
    kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, word, word, word])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(function, [builder.bitcast(place, cgutils.voidptr_t), read, keep_in_all_caches, data])


@intrinsic
def clear(context, arrays, i):
    """arrays.v[i] = 0; ..."""
    return _zero(context, arrays, i)


@intrinsic
def prefetch(context, arrays, i):
    """arrays.v[i] will be read soon: it comes into the cache; the address need not exist."""
    return _touch(context, arrays, i)


# ---- pointers


def unaliased(builder: ir.IRBuilder, data: ir.Value) -> ir.Value:
    """The same address from an opaque function whose result is declared not to alias anything."""
    void = cgutils.voidptr_t
    kind = ir.FunctionType(void, [void])
    function = cgutils.get_or_insert_function(builder.module, kind, "numsnn_unique")
    if not function.blocks:
        function.linkage = "internal"
        function.attributes.add("noinline")
        function.return_value.add_attribute("noalias")
        body = ir.IRBuilder(function.append_basic_block())
        # inline assembly, because the optimiser must not see that this is the identity
        body.ret(body.asm(kind, "", "=r,0", [function.args[0]], False))
    pointer = builder.call(function, [builder.bitcast(data, void)])
    # Seen by somebody else: else LLVM may drop what is written to memory that nobody reads before the
    # function returns.
    builder.asm(ir.FunctionType(ir.VoidType(), [void]), "", "r,~{memory}", [pointer], True)
    return builder.bitcast(pointer, data.type)


def _mapped(kind, of_array):
    """The type of arrays, or of each array in a tuple, by a function of their type."""
    if isinstance(kind, types.Array):
        return of_array(kind)
    if isinstance(kind, types.BaseTuple):
        return types.BaseTuple.from_types(tuple(_mapped(part, of_array) for part in kind.types),
                                          getattr(kind, "instance_class", None))
    return kind


def _values(context, builder, kind, found, value, of_array):
    """The value of the type `found` that belongs to it; of_array(context, builder, type, value)."""
    if isinstance(kind, types.Array):
        return of_array(context, builder, kind, value)
    if not isinstance(kind, types.BaseTuple):
        return value
    parts = cgutils.unpack_tuple(builder, value, len(kind.types))
    made = [_values(context, builder, *part, of_array)
            for part in zip(kind.types, found.types, parts, strict=True)]
    return context.make_tuple(builder, found, made)


def _each(of_type, of_array):
    """A function of an array, or of each array in a tuple of any depth; None and numbers stay."""
    def typed(context, arrays):
        found = _mapped(arrays, of_type)

        def generate(context, builder, signature, args):
            value = _values(context, builder, arrays, found, args[0], of_array)
            return impl_ret_borrowed(context, builder, found, value)
        return found(arrays), generate
    return typed


def _pointed(array):
    return types.CPointer(array.dtype)


def _in_one_piece(array):
    if array.layout != "C":
        raise TypingError(f"loops read arrays that lie in one piece; got {array}")
    return types.CPointer(array.dtype)


def _data(context, builder, kind, value):
    return context.make_array(kind)(context, builder, value=value).data


def _unique_data(context, builder, kind, value):
    return unaliased(builder, _data(context, builder, kind, value))


def _unique_array(context, builder, kind, value):
    array = context.make_array(kind)(context, builder, value=value)
    array.data = unaliased(builder, array.data)
    return array._getvalue()


@intrinsic
def pointer(context, arrays):
    """The data of an array (or of each array of a tuple) as a pointer.

    p[i] has no shape, bounds and reference counts, which would keep a loop scalar.
    """
    return _each(_pointed, _data)(context, arrays)


@intrinsic
def private(context, arrays):
    """`pointer` of an array (or of each array of a tuple; None stays), and more: LLVM takes it for unique.

    It does so as if malloc had just returned it.  Loops over many arrays vectorise only so: beyond about
    eight pairs LLVM gives up its run-time overlap checks.

    Valid only where the arrays of a kernel do not overlap and every access, that of BLAS included, goes
    through the result; an array that is needed as an array too goes through `private_array` first.
    """
    return _each(_in_one_piece, _unique_data)(context, arrays)


@intrinsic
def private_array(context, arrays):
    """The same array (or each array of a tuple) with a unique data pointer (see `private`)."""
    return _each(lambda array: array, _unique_array)(context, arrays)


__all__ = ["accumulate", "clear", "gather", "gather_sum", "pointer", "prefetch", "private", "private_array",
           "scatter", "unaliased"]
