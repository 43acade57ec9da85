"""Arrays on the GPU: what stays there, how it goes there and comes back, and how kernels are started.

An Array looks like a NumPy array to whoever asks for its shape, and becomes one (a copy on the host) where
NumPy asks for one; `transfers` counts these copies.  All kernels run in the order in which they were started,
on one stream (streams.py), so that the memory of an array that nobody holds any more is given to the next one
at once.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from math import prod
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeVar, overload

import numpy as np
from numba import cuda
from numpy.typing import ArrayLike, DTypeLike

from .. import on_gpu
from ..buffers import Pool
from . import driver as cuda_driver
from .streams import current, follow, hold, staged

BLOCK = 128             # threads of a block, at most where nothing else asks for more
WORD = 32               # spikes in a word, as many as threads that run together
ALIGNED = 256           # bytes
CONTIGUOUS = SimpleNamespace(c_contiguous=True)

Named = TypeVar("Named", bound=NamedTuple)

# many kernels are small, and none of that is the user's doing
warnings.filterwarnings("ignore", "Grid size .* under-utilization")

transfers: Counter[str] = Counter()     # arrays that went "up" to the GPU and came "down"


@lru_cache(1)
def _pool():
    """Much is kept, because the whole GPU waits where memory is given back to its driver."""
    return Pool(cuda_driver.Memory, 1 << 50, spare=2)


class _Owner:
    """Memory, held as long as an array or a view of it exists."""

    __slots__ = ("arrival", "memory", "pool")

    def __init__(self, size):
        self.pool = _pool()
        self.arrival = None
        hold(self)
        try:
            self.memory = self.pool.take(-(-size // ALIGNED) * ALIGNED)
        except MemoryError:
            needed, used = size / 1e6, self.pool.used / 1e6
            raise MemoryError(f"the GPU has no room for an array of {needed:,.1f} MB beside {used:,.1f} MB "
                              f"in use: use smaller batches, or checkpoint_every in fit") from None
        follow()

    def __del__(self):
        if hasattr(self, "memory"):
            if self.arrival is not None:    # what is on its way here must not overtake the next user
                self.arrival.wait()
            self.pool.returned.append(self.memory)


class Array:
    """A contiguous array on the GPU.

    One of zeros (its owner is None) takes memory when it is used: many never are, or only copied.
    """

    __slots__ = ("dtype", "first", "owner", "shape")
    flags = CONTIGUOUS
    __array_ufunc__ = None      # a NumPy number times an Array is an Array's business

    def __init__(self, shape: int | Iterable[int], dtype: DTypeLike, owner: _Owner | None = None,
                 first: int = 0, blank: bool = False):
        """first: the byte of the owner's memory at which it begins; blank: of zeros."""
        self.shape: tuple[int, ...] = (shape,) if isinstance(shape, int) else tuple(shape)
        self.dtype = np.dtype(dtype)
        self.first = first
        self.owner = owner or (None if blank else _Owner(max(self.nbytes, 1)))

    @property
    def memory(self) -> cuda_driver.Memory:
        """What is started now waits where it is still on its way."""
        if self.owner is None:
            self.owner = _Owner(max(self.nbytes, 1))
            if self.size:
                cuda_driver.clear(self.owner.memory, 0, self.nbytes, current())
        elif self.owner.arrival is not None:
            self.owner.arrival.wait()
        return self.owner.memory

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("an array on the GPU is copied to the host; it cannot be looked at in its place")
        if self.owner is None:
            return np.zeros(self.shape, dtype or self.dtype)
        transfers["down"] += 1
        host = np.empty(self.shape, self.dtype)
        if self.size:
            cuda_driver.download(self.memory, self.first, host, current())
        return host if dtype is None else host.astype(dtype, copy=False)

    def __reduce__(self):
        return on_gpu, (np.asarray(self),)      # a copy, and what goes to another process, by way of the host

    def reshape(self, *shape: int | tuple[int, ...]) -> Array:
        """The same values in another shape, given as numbers or as one tuple."""
        wanted: Any = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple) else shape
        known = prod(n for n in wanted if n != -1)
        return self._view(n if n != -1 else self.size // max(known, 1) for n in wanted)

    def copy(self) -> Array:
        """The same values in memory of their own, on the GPU."""
        if self.owner is None:
            return zeros(self.shape, self.dtype)
        other = Array(self.shape, self.dtype)
        fill(other, self)
        return other

    def astype(self, dtype: DTypeLike, copy: bool = True) -> Array:
        """The array itself; on the GPU nothing changes its precision."""
        if np.dtype(dtype) != self.dtype:
            raise TypeError(f"an array on the GPU keeps its type {self.dtype}; got {np.dtype(dtype)}")
        return self.copy() if copy else self

    def __getitem__(self, steps: slice) -> Array:
        """A slice of the first axis, in its place."""
        if not isinstance(steps, slice) or steps.step not in (None, 1):
            raise TypeError("an array on the GPU is sliced along its first axis only; "
                            "np.asarray(a) copies it to the host")
        first, last, _ = steps.indices(self.shape[0])
        row = prod(self.shape[1:]) * self.dtype.itemsize
        return self._view((max(last - first, 0), *self.shape[1:]), first * row)

    def _view(self, shape, first=0):
        """What begins so many bytes after it."""
        _ = self.memory         # zeros take theirs now, to share it
        return Array(shape, self.dtype, self.owner, self.first + first)

    def __setitem__(self, where, value):
        if where is not Ellipsis:
            raise TypeError("an array on the GPU is set as a whole, a[...] = value")
        fill(self, value)

    def __add__(self, other):
        return _sum(self, other, 1.0, 1.0)

    def __sub__(self, other):
        return _sum(self, other, 1.0, -1.0)

    def __mul__(self, factor):
        return _sum(self, self, float(factor), 0.0)

    __radd__, __rmul__ = __add__, __mul__

    def __isub__(self, other):
        fill(self, self - other)
        return self

    def __repr__(self):
        return f"Array(shape={self.shape}, dtype={self.dtype}, on the GPU)"


Values = Array | np.ndarray     # what functions of the device take, and put on the GPU


def fill(array: Array, value: Array | ArrayLike) -> None:
    """Give an array the values of another one, or one value."""
    if isinstance(value, Array):
        if value.shape != array.shape:
            raise ValueError(f"expected shape {array.shape}; got {value.shape}")
        if array.size:
            cuda_driver.copy(array.memory, array.first, value.memory, value.first, array.nbytes, current())
        return
    transfers["up"] += 1
    values = np.broadcast_to(np.asarray(value, array.dtype), array.shape)
    host = np.ascontiguousarray(values).reshape(-1)
    if array.size:
        cuda_driver.upload(array.memory, array.first, staged(host), current())


@overload
def put(a: None, dtype: DTypeLike | None = None) -> None: ...


@overload
def put(a: Array | ArrayLike, dtype: DTypeLike | None = None) -> Array: ...


def put(a, dtype=None):
    """An array on the GPU, a host's copied to it; None stays."""
    if a is None or isinstance(a, Array):
        return a
    a = np.asarray(a, dtype)
    own = Array(a.shape, a.dtype)
    fill(own, a)
    return own


def put_all(values: Named, dtype: DTypeLike) -> Named:
    """A named tuple of arrays of one shape, on the GPU in memory of their own; the host's go up together."""
    on_host = [a for a in values if not isinstance(a, Array)]
    up = iter(_rows(put(np.stack(on_host), dtype)) if on_host else ())
    return values._make(a.copy() if isinstance(a, Array) else next(up) for a in values)


def host_all(values: Named) -> Named:
    """A named tuple of Arrays of one shape (or None), copied to the host together."""
    there = [a for a in values if a is not None]
    if not there:
        return values
    joined = Array((len(there), *there[0].shape), there[0].dtype)
    for place, a in zip(_rows(joined), there, strict=True):
        fill(place, a)
    down = iter(np.asarray(joined))
    return values._make(None if a is None else next(down) for a in values)


def _rows(a):
    return [a[i:i + 1].reshape(a.shape[1:]) for i in range(len(a))]


def held(run: Callable[[], object]) -> int:
    """The most bytes of arrays on the GPU that run() holds on top of what was there before it."""
    return _pool().peak(run)


def joined(parts: Sequence[Array]) -> Array:
    """Pieces of a sequence, one after the other."""
    if len(parts) == 1:
        return parts[0]
    whole = Array((sum(map(len, parts)), *parts[0].shape[1:]), parts[0].dtype)
    steps = 0
    for a in parts:
        if a.size:
            fill(whole[steps:steps + len(a)], a)
        steps += len(a)
    return whole


def zeros(shape: int | Iterable[int], dtype: DTypeLike) -> Array:
    return Array(shape, dtype, blank=True)


# ---- kernels


class Launched(NamedTuple):
    """A kernel that ran, in seconds after the first one began."""
    name: str
    begin: float
    end: float


_timed: list[list] = []     # while `launched` runs: lists of kernels with the events around them


def launch(kernel: cuda_driver.Kernel, grid: int | tuple, block: int | tuple, *arguments) -> None:
    """Start a kernel.  Arrays, alone or in named tuples, are held until it is started; () stands for None."""
    words: list = []
    kinds: list = []
    stream = current()
    for a in arguments:
        _add_words(a, words, kinds)
    if _timed:
        pair = cuda.event(), cuda.event()
        pair[0].record(stream)
    cuda_driver.launch(kernel, grid, block, stream, words, kinds, lambda: list(map(_taken, arguments)))
    if _timed:
        pair[1].record(stream)
        _timed[-1].append((kernel, *pair))


def finish() -> None:
    """Wait until the GPU has done all it was told."""
    current().synchronize()


def launched(run: Callable[[], object]) -> list[Launched]:
    """The kernels that run() starts, each timed from an event before it to one after it."""
    _timed.append([])
    try:
        run()
        finish()
    finally:
        found = _timed.pop()

    def since_first(event):
        return found[0][1].elapsed_time(event) / 1e3

    return [Launched(_name_of(kernel), since_first(begin), since_first(end)) for kernel, begin, end in found]


def _name_of(kernel):
    """The file and the function that a kernel is made of."""
    function = kernel.fn if cuda_driver.SIMULATED else kernel.py_func
    return f"{function.__module__.rpartition('.')[2]}.{function.__name__}"


def busy(run: Callable[[], object]) -> float:
    """Seconds that kernels take in run()."""
    return sum(kernel.end - kernel.begin for kernel in launched(run))


def name() -> str:
    if cuda_driver.SIMULATED:
        return "the CUDA simulator"
    device = cuda.get_current_device().name
    return device.decode() if isinstance(device, bytes) else str(device)


def start(kernel: cuda_driver.Kernel, threads: int, *arguments) -> None:
    """One thread for each of so many, in blocks of BLOCK."""
    if threads:
        launch(kernel, -(-threads // BLOCK), BLOCK, *arguments)


def _add_words(a, words, kinds):
    """What a kernel is handed for an argument, and what its compiler sees of it."""
    if isinstance(a, Array):
        size, item = max(a.size, 1), a.dtype.itemsize
        words += (0, 0, size, item, a.memory.address + a.first, size, item)
        kinds.append(a.dtype.char)
    elif isinstance(a, tuple):
        kinds += (type(a), len(a))
        for v in a:
            _add_words(v, words, kinds)
    elif a is None:
        kinds.append(None)
    else:
        words.append(a)
        kinds.append(type(a))


def _taken(a):
    """The same as Numba takes it."""
    if isinstance(a, Array):
        return a.memory.numbers(a.first, max(a.size, 1), a.dtype)
    if isinstance(a, tuple) and hasattr(a, "_fields"):
        return type(a)(*(() if v is None else _taken(v) for v in a))
    return a


@lru_cache(None)
def _add():
    @cuda.jit
    def add(a, b, factor_a, factor_b, out, n):
        i = cuda.grid(1)
        if i < n:
            out[i] = factor_a * a[i] + factor_b * b[i]
    return add


def _sum(a, b, factor_a, factor_b):
    b = put(b, a.dtype)
    if b.shape != a.shape:
        raise ValueError(f"arrays on the GPU are added in one shape; got {a.shape} and {b.shape}")
    out = Array(a.shape, a.dtype)
    real = a.dtype.type
    start(_add(), a.size, a, b, real(factor_a), real(factor_b), out, a.size)
    return out


__all__ = [
    "BLOCK", "WORD", "Array", "Launched", "Values", "busy", "fill", "finish", "held", "host_all", "joined",
    "launch", "launched", "name", "put", "put_all", "start", "transfers", "zeros",
]
