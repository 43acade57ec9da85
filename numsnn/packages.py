"""The packages beside NumPy: what is not installed is said in a sentence, at the moment it is needed.

Without Numba the reference device runs networks, and recordings are decoded by plain Python; without SciPy,
h5py or Matplotlib everything works that needs no filter, no HDF5 file or no picture.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import Any, TypeVar
from uuid import uuid4

Function = TypeVar("Function", bound=Callable)


def needed(module: str, what: str) -> Any:
    """A module of another package; an ImportError that says what needs it, and how to get it."""
    try:
        return import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        raise ImportError(f"{what} {_needs(name, error)}", name=name) from error


def _needs(name, error):
    """What an error of an import says of a package."""
    absent = isinstance(error, ModuleNotFoundError) or "No module named" in str(error)
    if absent and (error.name or name).partition(".")[0] == name:
        return f"needs the package {name}, which is not installed: pip install {name}"
    return f"needs the package {name}, which does not load: {error}"


# ---- Numba


@lru_cache(1)
def cannot_compile() -> str:
    """What compiled code needs and does not have, "" where it has everything."""
    try:
        from numba import config
    except ImportError as error:
        return _needs("numba", error)
    if vars(config)["DISABLE_JIT"]:         # Numba sets its settings when it is loaded
        return "needs compiled code, which NUMBA_DISABLE_JIT has switched off: unset it"
    return ""


@lru_cache(1)
def options() -> dict[str, Any]:
    """How loops are compiled.

    error_model: a division that checks for zero blocks SIMD.  No fastmath: it buys nothing here, and without
    it compiled code and NumPy give the same bits.  nogil: chunks of a batch run in threads.
    """
    _keep_apart_what_is_kept()
    return {"cache": _can_be_kept(), "nogil": True, "error_model": "numpy"}


def _keep_apart_what_is_kept():
    """Files of Numba's cache get names that no other process gives.

    Numba counts them: two processes that compile different code of a function at the same time call both
    number 1, and whoever comes later finds the code of one under the key of the other.
    """
    from numba.core import caching

    def name(self, number):
        return self._data_name_pattern.replace("{number:d}", f"{uuid4().hex[:12]}.{number}")

    caching.IndexDataCacheFile._data_name = name


def _can_be_kept() -> bool:
    """Whether Numba finds a folder to keep what it compiles in; says so where it does not."""
    from numba import njit
    try:
        njit(cache=True)(_probe)
    except RuntimeError:
        warnings.warn("Numba finds no folder that it may write to, so that loops are compiled anew in each "
                      "process (some 20 s): set NUMBA_CACHE_DIR to a folder that keeps it",
                      RuntimeWarning, stacklevel=2)
        return False
    return True


def _probe():
    """Never called."""


def compiled_where_possible(function: Function) -> Function:
    """The compiled function; where nothing can be compiled, the function itself."""
    if cannot_compile():
        return function
    from numba import njit
    return njit(**options())(function)


@lru_cache(1)
def say_where_decoding_is_slow() -> None:
    """One warning where plain Python does what compiled code should."""
    if cannot_compile():
        warnings.warn(f"recordings are decoded by plain Python; a hundred times the speed {cannot_compile()}",
                      RuntimeWarning, stacklevel=2)
