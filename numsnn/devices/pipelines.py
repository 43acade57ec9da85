"""How Numba makes code of our loops: less of it, and sooner.

A loop is one function that others are put into (`Inlined`).  By itself Numba makes machine code of each of
these too, and optimises it before it optimises what it went into: a quarter of the time until a network's
first step, for code that nobody calls.  And Python looks for garbage all the while, among the millions of
objects that stand for a program: an eighth of it.

Numba keeps both of these to itself; of a version that does them in another way, we take what it does.
"""

import gc
from contextlib import contextmanager
from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.compiler_lock import global_compiler_lock

OURS = ("_optimize_functions", "_optimize_final_module", "_finalize_final_module",
        "_finalize_dynamic_globals")
KNOWN = all(hasattr(JITCodeLibrary, name) for name in OURS)


class NowhereToRun:
    """In place of the code generator of functions that have no machine code."""

    def set_env(self, name: str, environment: Any) -> None:
        """There is no code that would look for Python's objects."""


class Written(JITCodeLibrary):
    """Functions as they were written, to be put into others and optimised there."""

    @property
    def codegen(self) -> NowhereToRun:
        return NowhereToRun()

    def _optimize_functions(self, ll_module):
        pass

    def _optimize_final_module(self):
        pass

    def _finalize_final_module(self):
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """0: there is no machine code."""
        self._ensure_finalized()
        return 0


class Loop(Compiler):
    """The compiler of loops."""

    def _compile_core(self):
        with no_garbage_collected():
            return super()._compile_core()


class Inlined(Compiler):
    """The compiler of functions that are put into loops, with forceinline, and never called."""

    def define_pipelines(self) -> list:
        if KNOWN and self.state.library is None:
            codegen = self.state.targetctx.codegen()
            self.state.library = Written(codegen, self.state.func_id.func_qualname)
        return super().define_pipelines()


@contextmanager
def no_garbage_collected():
    """What is made in this block is looked through after it."""
    with global_compiler_lock:
        was_on = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if was_on:
                gc.enable()
