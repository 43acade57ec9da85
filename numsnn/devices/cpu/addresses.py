"""Compiled code that is called by its address, and values that are found by theirs."""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..jit import OPTIONS
from .fields import unaliased


def code_of(function: Callable, *arguments: Any) -> Any:
    """A compiled function of these types, which has an address and gives nothing back."""
    options = {name: OPTIONS[name] for name in ("cache", "error_model", "pipeline_class")}
    return numba.cfunc(types.void(*arguments), **options)(function)


@intrinsic
def call(context, address, arguments):
    """The code at an address, with a tuple of numbers and pointers."""
    def generate(context, builder, signature, args):
        given = [builder.extract_value(args[1], i) for i in range(len(arguments.types))]
        kind = ir.FunctionType(ir.VoidType(), [a.type for a in given])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), given)
        return context.get_dummy_value()
    return types.void(address, arguments), generate


def _pointer_at(context, builder, signature, address):
    return builder.inttoptr(address, context.get_value_type(signature.return_type))


@intrinsic
def at(context, like, address):
    """A private pointer to values of the type that `like` points to, at an address."""
    def generate(context, builder, signature, args):
        return unaliased(builder, _pointer_at(context, builder, signature, args[1]))
    return like(like, address), generate


@intrinsic
def values_at(context, number, address):
    """A private pointer to numbers of a NumPy type, at an address."""
    def generate(context, builder, signature, args):
        return unaliased(builder, _pointer_at(context, builder, signature, args[1]))
    return types.CPointer(number.instance_type)(number, address), generate


@intrinsic
def shifted(context, pointer, n):
    """A private pointer n values further on."""
    def generate(context, builder, signature, args):
        return unaliased(builder, builder.gep(args[0], [args[1]]))
    return pointer(pointer, n), generate


@intrinsic
def ahead(context, pointer, n):
    """A pointer n values further on."""
    def generate(context, builder, signature, args):
        return builder.gep(args[0], [args[1]])
    return pointer(pointer, n), generate


@intrinsic
def numbers_at(context, number, address):
    """A pointer to numbers of a NumPy type, at an address."""
    def generate(context, builder, signature, args):
        return _pointer_at(context, builder, signature, args[1])
    return types.CPointer(number.instance_type)(number, address), generate


def address(array: np.ndarray | None) -> int:
    """Where an array lies in memory, in one piece; whoever takes it keeps the array.  0 of None."""
    if array is None:
        return 0
    if not array.flags.c_contiguous:
        raise TypeError("loops read arrays that lie in one piece")
    return array.ctypes.data


__all__ = ["address", "ahead", "at", "call", "code_of", "numbers_at", "shifted", "values_at"]
