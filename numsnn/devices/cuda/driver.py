"""Memory of the GPU, copies, and how kernels that Numba has compiled are started.

Numba's own way to start a kernel or to copy an array asks each argument what it is: some 100 us of the host,
more than most of our kernels take.  So a kernel is started in that way once, which compiles it; from then on
its arguments go to the driver as the words that it takes: an array of one axis as (nothing, nothing, size,
bytes of an item, address, size, bytes of an item), a number as itself, a tuple as what is in it.  Numba's
simulator knows its own way only.
"""

from __future__ import annotations

import os
import struct
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba import config, cuda

from .. import DeviceError

SIMULATED = bool(vars(config)["ENABLE_CUDASIM"])    # Numba sets its settings when it is loaded
if not SIMULATED:
    from cuda.bindings import driver

Kernel = Any            # what cuda.jit makes: of one class in numba-cuda, of another in the simulator
Stream = Any            # likewise

# how `struct` writes a number of each type as a word of eight bytes
WORDS = {
    bool: "?7x", int: "q", float: "d", np.bool_: "?7x", np.int32: "i4x", np.uint32: "I4x", np.int64: "q",
    np.uint64: "Q", np.float32: "f4x", np.float64: "d",
}
ARRAY = "7q"

PROCESS = os.getpid()   # whose GPU it is: a forked process does not inherit its use

_lock = threading.Lock()
_known: dict[tuple, Any] = {}       # (kernel, kinds of its arguments): how it is started from then on
_attached = threading.local()


def check_process() -> None:
    """Raise a DeviceError in a process that was forked from the one which uses the GPU."""
    if os.getpid() != PROCESS and not SIMULATED:
        raise DeviceError("the GPU cannot be used in a process that was forked from one which uses it; start "
                          'the process by multiprocessing.get_context("spawn"), or run the network on '
                          'device="cpu" there')


class Memory:
    """Bytes on the GPU; a MemoryError where it has none left."""

    __slots__ = ("address", "nbytes", "whole")

    def __init__(self, size: int):
        check_process()
        try:
            self.nbytes = size
            self.whole = cuda.device_array(size, np.uint8)
        except Exception as error:      # Numba's, which differ from version to version
            if "MEMORY" not in str(error).upper():
                raise
            raise MemoryError(str(error)) from None
        self.address = 0 if SIMULATED else self.whole.__cuda_array_interface__["data"][0]

    def numbers(self, first: int, count: int, dtype: np.dtype) -> Any:
        """So many numbers from byte `first` on, as Numba takes them."""
        return self.whole[first:first + count * dtype.itemsize].view(dtype)


def upload(memory: Memory, first: int, host: np.ndarray, stream: Stream) -> None:
    """Copy a contiguous array of the host to byte `first` and the following."""
    if SIMULATED:
        memory.numbers(first, host.size, host.dtype).copy_to_device(host.reshape(-1), stream=stream)
    else:
        there = memory.address + first
        _tell(driver.cuMemcpyHtoDAsync, there, host.ctypes.data, host.nbytes, _handle(stream))


def download(memory: Memory, first: int, host: np.ndarray, stream: Stream) -> None:
    """Copy byte `first` and the following into a contiguous array of the host, and wait for it."""
    if SIMULATED:
        memory.numbers(first, host.size, host.dtype).copy_to_host(host.reshape(-1), stream=stream)
    else:
        there = memory.address + first
        _tell(driver.cuMemcpyDtoHAsync, host.ctypes.data, there, host.nbytes, _handle(stream))
    stream.synchronize()


def copy(memory: Memory, first: int, other: Memory, begin: int, nbytes: int, stream: Stream) -> None:
    """Copy bytes of `other` from `begin` on to `first` and the following, on the GPU."""
    if SIMULATED:
        octet = np.dtype(np.uint8)
        source = other.numbers(begin, nbytes, octet)
        memory.numbers(first, nbytes, octet).copy_to_device(source, stream=stream)
    else:
        here, there = other.address + begin, memory.address + first
        _tell(driver.cuMemcpyDtoDAsync, there, here, nbytes, _handle(stream))


def clear(memory: Memory, first: int, nbytes: int, stream: Stream) -> None:
    """Zero bytes from `first` on."""
    if SIMULATED:
        memory.numbers(first, nbytes, np.dtype(np.uint8))[:] = 0
    else:
        _tell(driver.cuMemsetD8Async, memory.address + first, 0, nbytes, _handle(stream))


def launch(kernel: Kernel, grid: int | tuple, block: int | tuple, stream: Stream, words: Sequence,
           kinds: Sequence, arguments: Callable[[], list]) -> None:
    """Start a kernel.

    words: its arguments; kinds: their types, as far as the compiler sees them; arguments(): as Numba takes
    them.
    """
    known_as = (kernel, *kinds)
    ready = _known.get(known_as)
    if ready is None:
        taken = arguments()
        kernel[grid, block, stream](*taken)
        if not SIMULATED:
            _known[known_as] = _Ready.of(kernel, taken, kinds) or kernel
    elif ready is kernel:
        kernel[grid, block, stream](*arguments())
    else:
        ready.start(grid, block, stream, words)


class _Ready:
    """A compiled kernel, and where the driver finds its arguments."""

    def __init__(self, function, kinds):
        self.function = function
        self.form = struct.Struct("<" + "".join(map(_form, kinds)))
        self.words = np.zeros(max(self.form.size // 8, 1), np.uint64)
        self.places = self.words.ctypes.data + 8 * np.arange(len(self.words), dtype=np.uint64)
        self.where = self.places.ctypes.data

    @classmethod
    def of(cls, kernel, arguments, kinds):
        try:
            compiled = kernel.overloads[tuple(map(kernel.typeof_pyval, arguments))]
            handle = int(compiled._codelibrary.get_cufunc().handle)
            return cls(driver.CUfunction(handle), kinds)
        except (AttributeError, KeyError, TypeError) as error:
            warnings.warn(f"this version of numba-cuda keeps its kernels elsewhere ({error}): they are "
                          f"started in its own way, which takes several times as long",
                          RuntimeWarning, stacklevel=2)
            return None

    def start(self, grid, block, stream, words):
        with _lock:         # the driver copies the words before it returns
            self.form.pack_into(self.words, 0, *words)
            _tell(driver.cuLaunchKernel, self.function, *_three(grid), *_three(block), 0, _handle(stream),
                  self.where, 0)


def _form(kind):
    """How `struct` writes an argument of this kind.

    Tuples, their lengths, and what is left out of them, take no room themselves.
    """
    if isinstance(kind, str):
        return ARRAY
    takes_no_room = kind is None or isinstance(kind, int) or issubclass(kind, tuple)
    return "" if takes_no_room else WORDS[kind]


def _three(size):
    return (size, 1, 1) if isinstance(size, int) else (*size, 1, 1)[:3]


def _handle(stream):
    return stream.__cuda_stream__()[1]


def take_gpu(number: int) -> None:
    """Make this GPU the current one, counted round where there are fewer; before anything lies on another."""
    cuda.select_device(number % len(cuda.gpus))


def gpu() -> tuple[int, int]:
    """(number of the current GPU, how many there are)."""
    return (0, 1) if SIMULATED else (cuda.current_context().device.id, len(cuda.gpus))


def _tell(function, *arguments):
    """Call a function of the driver; what it answers may be an error of something that was started before."""
    if not hasattr(_attached, "here"):
        _attached.here = cuda.current_context()
    error, = function(*arguments)
    if error:
        raise RuntimeError(f"the GPU failed: {error.name} in {function.__name__}; what failed may have been "
                           f"started before it. "
                           f"CUDA_LAUNCH_BLOCKING=1 in the environment tells which call it was")


__all__ = ["SIMULATED", "Kernel", "Memory", "Stream", "clear", "copy", "download", "gpu", "launch",
           "take_gpu", "upload"]
