"""Numba's view of the dialect: compiled twins of elementwise.py and access.py, fingerprints.

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
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import intrinsic, overload, register_jitable

from ..neurons import elementwise as ew
from ..packages import options
from . import access
from .pipelines import Inlined, Loop

# Numba's cache sees neither edits of captured functions nor changed options: both are in the fingerprint (see
# below).  Any, because Numba keeps the type of options to itself.
OPTIONS: Any = options() | {"no_cfunc_wrapper": True, "pipeline_class": Loop}

# a process that is forked while another thread compiles would wait for that thread for ever
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=global_compiler_lock.acquire, after_in_parent=global_compiler_lock.release,
                        after_in_child=global_compiler_lock.release)
INLINE: Any = {"forceinline": True, "no_cfunc_wrapper": True, "pipeline_class": Inlined}

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
