"""Numba's view of the dialect: compiled twins of the primitives of elementwise.py and access.py, `private`, fingerprints.

Everything here is captured by the loops of cpu.py.  `jitable` makes a plain function callable from compiled code and keeps it
plain Python; inlining is forced, because a function that is called several times and not inlined leaves its loop scalar
(measured: 20 ns instead of 2.9 per value).
"""

import hashlib
import inspect
import math
import platform
from pathlib import Path

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic, overload, register_jitable

from ..neurons import elementwise as ew
from . import access

# Numba's cache sees neither edits of captured functions nor changed options: both are in the fingerprint (see below).
# error_model: a division that checks for zero blocks SIMD.  No fastmath: it buys nothing here, and without it njit and NumPy
# give the same bits.  nogil: chunks of a batch run in threads.
OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy"}
INLINE = {"forceinline": True}

_seen = set()


def jitable(function):
    """`function`, callable from compiled code."""
    if function not in _seen:
        _seen.add(function)
        register_jitable(**INLINE)(function)
    return function


def prepare():
    """Make every function marked elementwise callable from compiled code; models may have been added since the last call."""
    for function in ew.ELEMENTWISE:
        jitable(function)


def fingerprint(*functions) -> int:
    """A hash of what a loop captures, to stand in its closure: the functions, the dialect, the options, the loops' own files."""
    digest = hashlib.sha256(repr((OPTIONS, INLINE, numba.__version__)).encode())
    for path in (Path(ew.__file__), *sorted(Path(__file__).parent.rglob("*.py"))):
        digest.update(path.read_bytes())
    for function in _with_helpers(functions):
        try:
            digest.update(inspect.getsource(function).encode())
        except OSError:             # defined at a prompt
            digest.update(function.__code__.co_code + repr(function.__code__.co_consts).encode())
    return int(digest.hexdigest()[:15], 16)


def _with_helpers(functions):
    """The functions, and the elementwise functions of their own modules that they call."""
    found = list(functions)
    for function in found:
        named = (function.__globals__.get(name) for name in function.__code__.co_names)
        found += [f for f in named if f in ew.ELEMENTWISE and f not in found and f.__module__ != ew.__name__]
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


def _written(source, **names):
    scope = dict(names)
    exec(source, scope)     # noqa: S102  a line made of field names
    return scope["f"]


def _present(arrays):
    return [name for name, t in zip(arrays.fields, arrays.types) if not isinstance(t, (types.NoneType, types.BaseTuple))]


@overload(access.gather, jit_options=INLINE)
def _gather(arrays, i):
    present = _present(arrays)
    values = ", ".join(f"arrays.{n}[i]" if n in present else "zero" for n in arrays.fields)
    return _written(f"def f(arrays, i): return cls({values})", cls=arrays.instance_class, zero=ew.ZERO)


@overload(access.gather_sum, jit_options=INLINE)
def _gather_sum(arrays, i, more, j):
    terms = [[f"arrays.{n}[i]"] * (n in _present(arrays)) + [f"more.{n}[j]"] * (n in _present(more)) for n in arrays.fields]
    values = ", ".join(" + ".join(t) or "zero" for t in terms)
    return _written(f"def f(arrays, i, more, j): return cls({values})", cls=arrays.instance_class, zero=ew.ZERO)


@overload(access.scatter, jit_options=INLINE)
def _scatter(arrays, i, values):
    lines = "; ".join(f"arrays.{n}[i] = values.{n}" for n in _present(arrays))
    return _written(f"def f(arrays, i, values): {lines or 'pass'}")


@overload(access.accumulate, jit_options=INLINE)
def _accumulate(arrays, i, values):
    lines = "; ".join(f"arrays.{n}[i] += values.{n}" for n in _present(arrays))
    return _written(f"def f(arrays, i, values): {lines or 'pass'}")


@overload(access.clear, jit_options=INLINE)
def _clear(arrays, i):
    lines = "; ".join(f"arrays.{n}[i] = 0" for n in _present(arrays))
    return _written(f"def f(arrays, i): {lines or 'pass'}")


@intrinsic
def _prefetch(context, array, i):
    """What array[i] is part of comes into the cache; the address need not exist."""
    def generate(context, builder, signature, args):
        place, word = builder.bitcast(builder.gep(args[0], [args[1]]), cgutils.voidptr_t), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, word, word, word])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0"), [place, word(0), word(3), word(1)])
        return context.get_dummy_value()
    return types.void(array, i), generate


@overload(access.prefetch, jit_options=INLINE)
def _overload_prefetch(arrays, i):
    lines = "; ".join(f"read(arrays.{n}, i)" for n in _present(arrays))
    return _written(f"def f(arrays, i): {lines or 'pass'}", read=_prefetch)


# ---- pointers


def pointer(arrays):
    """The data of an array (or of each array of a tuple) as a pointer: p[i] without shape, bounds and reference counts, which would
    keep a loop scalar."""


def private(arrays):
    """`pointer` of an array (or of each array of a tuple; None stays), and more: LLVM takes it for unique, as if malloc had just
    returned it.  Loops over many arrays vectorise only so: beyond about eight pairs LLVM gives up its run-time overlap checks.

    Valid only where the arrays of a kernel do not overlap and every access, that of BLAS included, goes through the result; an
    array that is needed as an array too goes through `private_array` first.
    """


def private_array(arrays):
    """The same array (or each array of a tuple) with a unique data pointer (see `private`)."""


def _unique(builder, data):
    """The same address from an opaque function whose result is declared not to alias anything."""
    void = cgutils.voidptr_t
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(void, [void]), "numsnn_unique")
    if not function.blocks:
        function.linkage = "internal"
        function.attributes.add("noinline")
        function.return_value.add_attribute("noalias")
        body = ir.IRBuilder(function.append_basic_block())
        # inline assembly, because the optimiser must not see that this is the identity
        body.ret(body.asm(ir.FunctionType(void, [void]), "", "=r,0", [function.args[0]], False))
    pointer = builder.call(function, [builder.bitcast(data, void)])
    # Seen by somebody else: else LLVM may drop what is written to memory that nobody reads before the function returns.
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
        return _unique(builder, context.make_array(a)(context, builder, value=args[0]).data)
    return types.CPointer(a.dtype)(a), generate


@intrinsic
def _private_array(context, a):
    def generate(context, builder, signature, args):
        array = context.make_array(a)(context, builder, value=args[0])
        array.data = _unique(builder, array.data)
        return impl_ret_borrowed(context, builder, signature.return_type, array._getvalue())
    return a(a), generate


def _each(function, arrays):
    """function of each member of a tuple, in a tuple of the same class; None stays."""
    values = "".join("None, " if isinstance(t, types.NoneType) else f"function(arrays[{i}]), " for i, t in enumerate(arrays.types))
    if isinstance(arrays, types.BaseNamedTuple):
        return _written(f"def f(arrays): return cls({values})", function=function, cls=arrays.instance_class)
    return _written(f"def f(arrays): return ({values})", function=function)


@overload(pointer, jit_options=INLINE)
def _overload_pointer(arrays):
    return _each(pointer, arrays) if isinstance(arrays, types.BaseTuple) else lambda arrays: _pointer(arrays)


@overload(private_array, jit_options=INLINE)
def _overload_private_array(arrays):
    return _each(private_array, arrays) if isinstance(arrays, types.BaseTuple) else lambda arrays: _private_array(arrays)


@overload(private, jit_options=INLINE)
def _overload_private(arrays):
    if isinstance(arrays, types.Array):
        return lambda arrays: _private_pointer(arrays)
    return _each(private, arrays) if isinstance(arrays, types.BaseTuple) else lambda arrays: arrays


# ---- numbers too small to be normal

FLUSH = 0x8040      # of the control word of x86: such results are zero, and so are such arguments


def flush_tiny():
    """Take numbers too small to be normal for zeros from here on, on this thread, where the processor can be told (x86): traces and gradients die away
    through them, and they cost several times what others do.  The control word before, for `restore`."""


def restore(word):
    """Undo `flush_tiny`."""


def _control(builder, name, place):
    kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{name}"), [builder.bitcast(place, cgutils.voidptr_t)])


@intrinsic
def _flush_tiny(context):
    def generate(context, builder, signature, args):
        place, word = cgutils.alloca_once(builder, ir.IntType(32)), ir.IntType(32)
        _control(builder, "stmxcsr", place)
        before = builder.load(place)
        builder.store(builder.or_(before, word(FLUSH)), place)
        _control(builder, "ldmxcsr", place)
        return before
    return types.uint32(), generate


@intrinsic
def _restore(context, word):
    def generate(context, builder, signature, args):
        place = cgutils.alloca_once(builder, ir.IntType(32))
        builder.store(args[0], place)
        _control(builder, "ldmxcsr", place)
        return context.get_dummy_value()
    return types.void(types.uint32), generate


_X86 = platform.machine().lower() in ("x86_64", "amd64")


@overload(flush_tiny, jit_options=INLINE)
def _overload_flush_tiny():
    return (lambda: _flush_tiny()) if _X86 else (lambda: np.uint32(0))


@overload(restore, jit_options=INLINE)
def _overload_restore(word):
    return (lambda word: _restore(word)) if _X86 else (lambda word: None)
