"""Memory for large arrays, used again as soon as nobody holds the array it was given to.

The system clears the pages of new memory one by one when they are first touched, and takes them back when
an array is gone.  That costs up to a third of a training step whose arrays are the same in every step.  So
their memory is kept: never more than was in use at one time, nor than a quarter of the machine's; `clear`
gives it back.
"""

import os
import threading
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

LARGE = 1 << 18         # bytes; smaller arrays are the business of malloc
FITS = 9 / 8            # memory of up to so many times the size is taken for an array
LINE = 64               # bytes; arrays begin where a line of the cache does


def _most_kept() -> int:
    """A quarter of the machine's memory."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return 1 << 30
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4


class Pool:
    """Memory that is free and kept, the one given back last at the end, and how much is in use.

    allocate(bytes): new memory, or a MemoryError; limit: bytes to keep; spare: times what was in use at one
    time, to have with what is kept.
    """

    def __init__(self, allocate: Callable[[int], Any], limit: int, spare: int = 1):
        self.allocate, self.limit, self.spare = allocate, limit, spare
        self.lock = threading.Lock()
        self.free: list[Any] = []
        self.returned: deque[Any] = deque()
        # kept, because in a garbage cycle memory would be finalized before the array that returns it
        self.lent: dict[int, Any] = {}
        self.used = self.most = self.kept = 0
        self.off = 0        # how many ask, at this time, for memory of their own

    def take(self, size: int) -> Any:
        """Memory of `size` bytes or a little more."""
        with self.lock:
            self._collect()
            found = None if self.off else self._fitting(size)
            memory = None if found is None else self.free.pop(found)
            if memory is None:
                self.used += size
            else:
                self.kept -= memory.nbytes
                self.used += memory.nbytes
            self.most = max(self.most, self.used)
            self._drop(self.spare * self.most - self.used)
        if memory is None:
            memory = self._new(size)
        self.lent[id(memory)] = memory
        return memory

    def _fitting(self, size):
        """Where the smallest memory that fits is, of several the last given back; None: there is none."""
        best, fits = None, size * FITS
        for i in range(len(self.free) - 1, -1, -1):
            here = self.free[i].nbytes
            if size <= here <= fits:
                best, fits = i, here - 1
                if here == size:
                    break
        return best

    def _new(self, size):
        """New memory; if there is none left, what is kept is given up for it."""
        for last in (False, True):
            try:
                return self.allocate(size)
            except MemoryError:
                with self.lock:
                    self._collect()
                    self.used -= size * last
                    self._drop(0)
                if last:
                    raise

    def _collect(self):
        """What arrays that are gone have left.

        They leave it in `returned`, because they may go at any moment, under the lock too.
        """
        while self.returned:
            memory = self.returned.popleft()
            del self.lent[id(memory)]
            self.used -= memory.nbytes
            self.kept += memory.nbytes
            self.free.append(memory)
        self._drop(self.limit)

    def _drop(self, most):
        while self.free and self.kept > most:
            self.kept -= self.free.pop(0).nbytes

    def peak(self, run: Callable[[], object]) -> int:
        """The most bytes that are in use during run() on top of those before it.

        Each array is in memory that is no larger than it.
        """
        with self.lock:
            self._collect()
            before, most = self.used, self.most
            self.most = before
        self.turn_off(1)
        try:
            run()
            return self.most - before
        finally:
            self.turn_off(-1)
            self.most = max(most, self.most)

    def turn_off(self, more: int) -> None:
        """One more (or, -1, one less) asks for memory of its own."""
        with self.lock:
            self.off += more

    def clear(self) -> None:
        with self.lock:
            self._collect()
            self.free.clear()
            self.most, self.kept = self.used, 0


class _Loan:
    """What an array and its views hold as long as there is one of them."""

    __slots__ = ("__array_interface__", "memory", "pool")

    def __init__(self, pool, memory, shape, dtype):
        self.pool, self.memory = pool, memory
        address = memory.ctypes.data
        aligned = address + -address % LINE
        self.__array_interface__ = {
            "version": 3, "shape": shape, "typestr": dtype.str, "data": (aligned, False)}

    def __del__(self):
        self.pool.returned.append(self.memory)


def _made_pool():
    return Pool(lambda size: np.empty(size, np.uint8), _most_kept())


_pool = _made_pool()
_measuring = threading.Lock()       # there is one tracemalloc


def _new_pool():
    global _pool, _measuring
    _pool, _measuring = _made_pool(), threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_pool)       # another thread may have held the lock


def empty(shape: tuple | int, dtype: DTypeLike) -> np.ndarray:
    """An array, its values undefined."""
    shape = shape if isinstance(shape, tuple) else (shape,)
    dtype, pool = np.dtype(dtype), _pool
    size = prod(shape) * dtype.itemsize
    if size < LARGE or pool.off:
        return np.empty(shape, dtype)
    return np.asarray(_Loan(pool, pool.take(size + LINE), shape, dtype))


def zeros(shape: tuple | int, dtype: DTypeLike) -> np.ndarray:
    """An array of zeros."""
    a = empty(shape, dtype)
    a.fill(0)
    return a


def copy(a: np.ndarray) -> np.ndarray:
    """A contiguous copy."""
    own = empty(a.shape, a.dtype)
    np.copyto(own, a)
    return own


def contiguous(a: np.ndarray) -> np.ndarray:
    """The array itself where it is contiguous, else a copy."""
    return a if a.flags.c_contiguous else copy(a)


def laid(a: np.ndarray) -> np.ndarray:
    """(T, B, N) as `flat` takes it: the array itself where each time step lies in one piece, else a copy."""
    if a.flags.c_contiguous:
        return a
    (_, batch, units), (step, sample, unit), size = a.shape, a.strides, a.itemsize
    in_pieces = (units == 1 or unit == size) and (batch == 1 or sample == units * size)
    return a if in_pieces and step >= batch * units * size and step % size == 0 else copy(a)


def flat(a: np.ndarray) -> np.ndarray:
    """(T, B, N), as `laid` gives it, as a vector.

    The time steps may lie apart, as those of some samples of a larger array do; what lies between them is
    not theirs.
    """
    if a.flags.c_contiguous:
        return a.reshape(-1)
    steps, batch, units = a.shape
    pitch = a.strides[0] // a.itemsize
    size = max(steps - 1, 0) * pitch + min(steps, 1) * batch * units
    return np.lib.stride_tricks.as_strided(a, (size,), (a.itemsize,))


def clear() -> None:
    """Give back to the system what no array uses."""
    _pool.clear()


@contextmanager
def off() -> Iterator[None]:
    """Within it every array is given memory of its own."""
    clear()
    pool = _pool
    pool.turn_off(1)
    try:
        yield
    finally:
        pool.turn_off(-1)


def held(run: Callable[[], object]) -> int:
    """The most bytes of arrays that run() holds on top of what was there before it.

    Memory that was kept for others does not count; what other threads take meanwhile does.
    """
    with _measuring:
        return _traced(run)


def _traced(run):
    already = tracemalloc.is_tracing()
    if already:
        tracemalloc.reset_peak()
    else:
        tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        with off():
            run()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        if not already:
            tracemalloc.stop()
