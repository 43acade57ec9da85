"""One BLAS thread inside our own threads.

`np.dot` in compiled code calls SciPy's BLAS.  Its own threads would compete with ours, and its results differ
with their number.
"""

import ctypes
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

_NAMES = ("scipy_openblas_{}_num_threads", "scipy_openblas_{}_num_threads64_", "openblas_{}_num_threads",
          "openblas_{}_num_threads64_")


@lru_cache(1)
def _switch() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """(get, set) of the number of threads of SciPy's OpenBLAS, or None where it is another BLAS."""
    try:
        import scipy.linalg.cython_blas  # it loads the library
    except ImportError:
        return None
    package = Path(str(scipy.__file__)).parent
    for folder in (package.parent / "scipy.libs", package / ".dylibs"):
        for path in sorted(folder.glob("*openblas*")):
            library = ctypes.CDLL(str(path))
            for name in _NAMES:
                get, set_ = name.format("get"), name.format("set")
                if hasattr(library, set_) and hasattr(library, get):
                    return getattr(library, get), getattr(library, set_)
    return None


@lru_cache(1)
def usable() -> bool:
    """Whether products may go to BLAS; says so once if not."""
    if _switch() is None:
        warnings.warn("SciPy is missing, or its BLAS is not an OpenBLAS whose threads can be set; products "
                      "of the backward pass use our own, slower loops, so that results do not depend on the "
                      "number of threads",
                      RuntimeWarning, stacklevel=2)
        return False
    return True


class _Calls:
    """Who is within `one_thread`: the first one sets the number of threads, the last one restores it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.inside: list[int] = []         # a thread for each call
        self.before = 0

    def enter(self, get: Callable[[], int], set_: Callable[[int], None]) -> None:
        with self.lock:
            if not self.inside:
                self.before = get()
                set_(1)
            self.inside.append(threading.get_ident())

    def leave(self, set_: Callable[[int], None]) -> None:
        with self.lock:
            self.inside.remove(threading.get_ident())
            if not self.inside:
                set_(self.before)

    def after_fork(self) -> None:
        """A child has only the thread that forked: nobody else will restore the number."""
        self.lock = threading.Lock()
        left = [thread for thread in self.inside if thread == threading.get_ident()]
        switch = _switch() if self.inside and not left else None
        self.inside = left
        if switch is not None:
            switch[1](self.before)


_calls = _Calls()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_calls.after_fork)


@contextmanager
def one_thread() -> Iterator[None]:
    """SciPy's OpenBLAS with one thread; the number is restored, because it belongs to the whole process."""
    switch = _switch() if usable() else None
    if switch is None:
        yield
        return
    get, set_ = switch
    _calls.enter(get, set_)
    try:
        yield
    finally:
        _calls.leave(set_)
