"""Numba's view of the dialect: compiled twins of elementwise.py and access.py, `private`, fingerprints.

Everything here is captured by the loops of the devices.  `jitable` makes a plain function callable from
compiled code and keeps it plain Python; inlining is forced, because a function that is called several times
and not inlined leaves its loop scalar (measured: 20 ns instead of 2.9 per value).
"""

import hashlib
import inspect
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.compiler_lock import global_compiler_lock
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic, overload, register_jitable

from ..neurons import elementwise as ew
from ..packages import options
from . import access

# Numba's cache sees neither edits of captured functions nor changed options: both are in the fingerprint (see
# below).  Any, because Numba keeps the type of options to itself.
OPTIONS: Any = options()

# a process that is forked while another thread compiles would wait for that thread for ever
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=global_compiler_lock.acquire, after_in_parent=global_compiler_lock.release,
                        after_in_child=global_compiler_lock.release)
INLINE: Any = {"forceinline": True}

PACKAGE = __name__.partition(".")[0]
_seen: set[Callable] = set()


def jitable(function: Callable) -> Callable:
    """`function`, callable from compiled code."""
    if function not in _seen:
        _seen.add(function)
        register_jitable(**INLINE)(function)
    return function


def prepare() -> None:
    """Make every function marked elementwise callable from compiled code.

    Models may have been added since the last call.
    """
    for function in ew.ELEMENTWISE:
        jitable(function)


def fingerprint(*functions: Callable) -> int:
    """A hash of what a loop captures, to stand in its closure.

    It is of the functions, the dialect, the options and the loops' own files.
    """
    digest = hashlib.sha256(repr((OPTIONS, INLINE, numba.__version__)).encode())
    for path in (Path(ew.__file__), *sorted(Path(__file__).parent.rglob("*.py"))):
        digest.update(path.read_bytes())
    for function in _with_helpers(functions):
        try:
            digest.update(inspect.getsource(function).encode())
        except OSError:             # defined at a prompt
            code = function.__code__
            digest.update(code.co_code + repr(code.co_consts).encode())
        for name, thing in ew.referenced(function).items():
            if isinstance(thing, ew.NUMBERS):       # compiled as it is now
                digest.update(f"{name} {thing!r}".encode())
    return int(digest.hexdigest()[:15], 16)


def compiled(mark: int, *captured: Any) -> Callable:
    """njit of a loop that captures these functions and classes; mark: their fingerprint."""
    def make(function):
        return njit(**OPTIONS)(in_own_index(function, mark, captured))
    return make


def in_own_index(function: Callable, mark: int, captured: tuple) -> Callable:
    """`function`, kept on disk in files of its own where it captures something from outside this package.

    Numba has one index of all that it compiled of a function, and reads it as a whole: in it, a model of one
    program would stand in the way of every other one, which cannot import it.
    """
    homes = {thing.__module__ for thing in captured}
    if any(home.partition(".")[0] != PACKAGE for home in homes):
        digest = hashlib.sha256(repr((mark, sorted(homes))).encode()).hexdigest()
        function.__qualname__ += f".{digest[:15]}"
    return function


def _with_helpers(functions):
    """The functions, and the elementwise functions that they call, but for those of the dialect."""
    found = list(functions)
    for function in found:
        named = filter(inspect.isfunction, ew.referenced(function).values())
        elementwise = (f for f in named if f in ew.ELEMENTWISE and f.__module__ != ew.__name__)
        found += [f for f in elementwise if f not in found]
    return found


# ---- primitives of elementwise.py


@overload(ew.minimum, jit_options=INLINE)
def _minimum(a, b):
    return lambda a, b: b if b < a else a       # noqa: FURB136  min of Numba treats NaN otherwise


@overload(ew.maximum, jit_options=INLINE)
def _maximum(a, b):
    return lambda a, b: b if b > a else a       # noqa: FURB136


def _unit(a, b):
    """One in the precision of the operands."""
    return np.float64(1) if types.float64 in (a, b) else np.float32(1)


@overload(ew.greater, jit_options=INLINE)
def _greater(a, b):
    one, zero = _unit(a, b), _unit(a, b) * 0
    return lambda a, b: one if a > b else zero


@overload(ew.greater_equal, jit_options=INLINE)
def _greater_equal(a, b):
    one, zero = _unit(a, b), _unit(a, b) * 0
    return lambda a, b: one if a >= b else zero


@overload(ew.sqrt, jit_options=INLINE)
def _sqrt(x):
    return lambda x: math.sqrt(x)


@overload(ew.erf, jit_options=INLINE)
def _erf(x):
    return lambda x: math.erf(x)


@overload(ew.arctan, jit_options=INLINE)
def _arctan(x):
    return lambda x: math.atan(x)


@overload(ew.expm1_parts, jit_options=INLINE)
def _expm1_parts(x):
    return (lambda x: ew.expm1_parts_64(x)) if x == types.float64 else (lambda x: ew.expm1_parts_32(x))


@overload(ew.half_to, jit_options=INLINE)
def _half_to(x):
    return (lambda x: ew.half_to_64(x)) if x == types.float64 else (lambda x: ew.half_to_32(x))


def _two_to(integer, real, shift, one):
    """An intrinsic that shifts the low bits of a magic sum into the exponent."""
    @intrinsic
    def two_to(context, m):
        def generate(context, builder, signature, args):
            bits = builder.shl(builder.bitcast(args[0], integer), ir.Constant(integer, shift))
            return builder.bitcast(builder.add(bits, ir.Constant(integer, one)), context.get_value_type(real))
        return real(real), generate
    return two_to


_two_to_32 = _two_to(ir.IntType(32), types.float32, 23, 0x3F800000)
_two_to_64 = _two_to(ir.IntType(64), types.float64, 52, 0x3FF0000000000000)


@overload(ew.two_to_32, jit_options=INLINE)
def _overload_two_to_32(m):
    return lambda m: _two_to_32(m)


@overload(ew.two_to_64, jit_options=INLINE)
def _overload_two_to_64(m):
    return lambda m: _two_to_64(m)


# ---- access.py: one generated line per tuple type, what one would write by hand for the model


def written_function(source: str, **names: Any) -> Callable:
    """The function `f` that a source defines, which sees these names."""
    scope = dict(names)
    exec(source, scope)     # noqa: S102  a line made of field names
    return scope["f"]


def present_fields(arrays: Any) -> list[str]:
    """The fields of a type of named tuples that are neither None nor ()."""
    absent = (types.NoneType, types.BaseTuple)
    return [name for name, kind in zip(arrays.fields, arrays.types) if not isinstance(kind, absent)]


def written_for_each(line: str, arrays: Any, arguments: str, **names: Any) -> Callable:
    """The function of these arguments that does a line for each present field; {n} is its name."""
    lines = "; ".join(line.format(n=name) for name in present_fields(arrays))
    return written_function(f"def f({arguments}): {lines or 'pass'}", **names)


@overload(access.gather, jit_options=INLINE)
def _gather(arrays, i):
    present = present_fields(arrays)
    values = ", ".join(f"arrays.{n}[i]" if n in present else "zero" for n in arrays.fields)
    source = f"def f(arrays, i): return cls({values})"
    return written_function(source, cls=arrays.instance_class, zero=ew.ZERO)


@overload(access.gather_sum, jit_options=INLINE)
def _gather_sum(arrays, i, more, j):
    first, second = present_fields(arrays), present_fields(more)
    values = []
    for n in arrays.fields:
        terms = [f"arrays.{n}[i]"] * (n in first) + [f"more.{n}[j]"] * (n in second)
        values.append(" + ".join(terms) or "zero")
    source = f"def f(arrays, i, more, j): return cls({', '.join(values)})"
    return written_function(source, cls=arrays.instance_class, zero=ew.ZERO)


@overload(access.scatter, jit_options=INLINE)
def _scatter(arrays, i, values):
    return written_for_each("arrays.{n}[i] = values.{n}", arrays, "arrays, i, values")


@overload(access.accumulate, jit_options=INLINE)
def _accumulate(arrays, i, values):
    return written_for_each("arrays.{n}[i] += values.{n}", arrays, "arrays, i, values")


@overload(access.clear, jit_options=INLINE)
def _clear(arrays, i):
    return written_for_each("arrays.{n}[i] = 0", arrays, "arrays, i")


@intrinsic
def _prefetch(context, array, i):
    """What array[i] is part of comes into the cache; the address need not exist."""
    def generate(context, builder, signature, args):
        word = ir.IntType(32)
        read, keep_in_all_caches, data = word(0), word(3), word(1)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, word, word, word])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        place = builder.bitcast(builder.gep(args[0], [args[1]]), cgutils.voidptr_t)
        builder.call(function, [place, read, keep_in_all_caches, data])
        return context.get_dummy_value()
    return types.void(array, i), generate


@overload(access.prefetch, jit_options=INLINE)
def _overload_prefetch(arrays, i):
    return written_for_each("read(arrays.{n}, i)", arrays, "arrays, i", read=_prefetch)


# ---- pointers


def pointer(arrays):
    """The data of an array (or of each array of a tuple) as a pointer.

    p[i] has no shape, bounds and reference counts, which would keep a loop scalar.
    """


def private(arrays):
    """`pointer` of an array (or of each array of a tuple; None stays), and more: LLVM takes it for unique.

    It does so as if malloc had just returned it.  Loops over many arrays vectorise only so: beyond about
    eight pairs LLVM gives up its run-time overlap checks.

    Valid only where the arrays of a kernel do not overlap and every access, that of BLAS included, goes
    through the result; an array that is needed as an array too goes through `private_array` first.
    """


def private_array(arrays):
    """The same array (or each array of a tuple) with a unique data pointer (see `private`)."""


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


@intrinsic
def _pointer(context, a):
    def generate(context, builder, signature, args):
        return context.make_array(a)(context, builder, value=args[0]).data
    return types.CPointer(a.dtype)(a), generate


@intrinsic
def _private_pointer(context, a):
    def generate(context, builder, signature, args):
        return unaliased(builder, context.make_array(a)(context, builder, value=args[0]).data)
    return types.CPointer(a.dtype)(a), generate


@intrinsic
def _private_array(context, a):
    def generate(context, builder, signature, args):
        array = context.make_array(a)(context, builder, value=args[0])
        array.data = unaliased(builder, array.data)
        return impl_ret_borrowed(context, builder, signature.return_type, array._getvalue())
    return a(a), generate


def _each(function, arrays):
    """function of each member of a tuple, in a tuple of the same class; None stays."""
    values = ""
    for i, kind in enumerate(arrays.types):
        values += "None, " if isinstance(kind, types.NoneType) else f"function(arrays[{i}]), "
    if isinstance(arrays, types.BaseNamedTuple):
        source = f"def f(arrays): return cls({values})"
        return written_function(source, function=function, cls=arrays.instance_class)
    return written_function(f"def f(arrays): return ({values})", function=function)


@overload(pointer, jit_options=INLINE)
def _overload_pointer(arrays):
    if isinstance(arrays, types.BaseTuple):
        return _each(pointer, arrays)
    return lambda arrays: _pointer(arrays)


@overload(private_array, jit_options=INLINE)
def _overload_private_array(arrays):
    if isinstance(arrays, types.BaseTuple):
        return _each(private_array, arrays)
    return lambda arrays: _private_array(arrays)


@overload(private, jit_options=INLINE)
def _overload_private(arrays):
    if isinstance(arrays, types.Array):
        return lambda arrays: _private_pointer(arrays)
    if isinstance(arrays, types.BaseTuple):
        return _each(private, arrays)
    return lambda arrays: arrays
