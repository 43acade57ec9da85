"""Numbers too small to be normal: compiled code that takes them for zeros."""

import platform

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from .jit import INLINE

FLUSH = 0x8040      # of the control word of x86: such results are zero, and so are such arguments


def flush_tiny():
    """Take numbers too small to be normal for zeros from here on, on this thread, and give the control word.

    Only where the processor can be told (x86).  Traces and gradients die away through such numbers, and they
    cost several times what others do.  The word is the one before, for `restore`.
    """


def restore(word):
    """Undo `flush_tiny`."""


def _control(builder, name, place):
    """Store (stmxcsr) or load (ldmxcsr) the control word of x86."""
    kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{name}")
    builder.call(function, [builder.bitcast(place, cgutils.voidptr_t)])


@intrinsic
def _flush_tiny(context):
    def generate(context, builder, signature, args):
        word = ir.IntType(32)
        place = cgutils.alloca_once(builder, word)
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
