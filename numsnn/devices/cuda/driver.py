"""Memory of the GPU, copies, and how kernels that Numba has compiled are started.

Numba's own way to start a kernel or to copy an array asks each argument what it is: some 100 us of the host, more than most of our kernels take.  So a
kernel is started in that way once, which compiles it; from then on its arguments go to the driver as the words that it takes: an array of one axis as
(nothing, nothing, size, bytes of an item, address, size, bytes of an item), a number as itself, a tuple as what is in it.  Numba's simulator knows its
own way only.
"""

import struct
import threading
import warnings

import numpy as np
from numba import config, cuda

SIMULATED = bool(config.ENABLE_CUDASIM)
if not SIMULATED:
    from cuda.bindings import driver

WORDS = {bool: "?7x", int: "q", float: "d", np.bool_: "?7x", np.int32: "i4x", np.uint32: "I4x", np.int64: "q", np.uint64: "Q", np.float32: "f4x", np.float64: "d"}
ARRAY = "7q"

_lock, _known, _attached = threading.Lock(), {}, threading.local()


class Memory:
    """Bytes on the GPU; a MemoryError where it has none left."""

    __slots__ = ("address", "nbytes", "whole")

    def __init__(self, size):
        try:
            self.nbytes, self.whole = size, cuda.device_array(size, np.uint8)
        except Exception as error:      # Numba's, which differ from version to version
            if "MEMORY" not in str(error).upper():
                raise
            raise MemoryError(str(error)) from None
        self.address = 0 if SIMULATED else self.whole.__cuda_array_interface__["data"][0]

    def numbers(self, first, count, dtype):
        """So many numbers from byte `first` on, as Numba takes them."""
        return self.whole[first:first + count * dtype.itemsize].view(dtype)


def upload(memory, first, host, stream):
    """Copy a contiguous array of the host to byte `first` and the following."""
    if SIMULATED:
        memory.numbers(first, host.size, host.dtype).copy_to_device(host.reshape(-1), stream=stream)
    else:
        _tell(driver.cuMemcpyHtoDAsync, memory.address + first, host.ctypes.data, host.nbytes, _handle(stream))


def download(memory, first, host, stream):
    """Copy byte `first` and the following into a contiguous array of the host, and wait for it."""
    if SIMULATED:
        memory.numbers(first, host.size, host.dtype).copy_to_host(host.reshape(-1), stream=stream)
    else:
        _tell(driver.cuMemcpyDtoHAsync, host.ctypes.data, memory.address + first, host.nbytes, _handle(stream))
    stream.synchronize()


def copy(memory, first, other, begin, nbytes, stream):
    """Copy bytes of `other` from `begin` on to `first` and the following, on the GPU."""
    if SIMULATED:
        memory.numbers(first, nbytes, np.dtype(np.uint8)).copy_to_device(other.numbers(begin, nbytes, np.dtype(np.uint8)), stream=stream)
    else:
        _tell(driver.cuMemcpyDtoDAsync, memory.address + first, other.address + begin, nbytes, _handle(stream))


def clear(memory, first, nbytes, stream):
    """Zero bytes from `first` on."""
    if SIMULATED:
        memory.numbers(first, nbytes, np.dtype(np.uint8))[:] = 0
    else:
        _tell(driver.cuMemsetD8Async, memory.address + first, 0, nbytes, _handle(stream))


def launch(kernel, grid, block, stream, words, kinds, arguments):
    """Start a kernel.  words: its arguments; kinds: their types, as far as the compiler sees them; arguments(): as Numba takes them."""
    ready = _known.get((kernel, *kinds))
    if ready is None:
        arguments = arguments()
        kernel[grid, block, stream](*arguments)
        if not SIMULATED:
            _known[(kernel, *kinds)] = _Ready.of(kernel, arguments, kinds) or kernel
    elif ready is kernel:
        kernel[grid, block, stream](*arguments())
    else:
        ready.start(grid, block, stream, words)


class _Ready:
    """A compiled kernel, and where the driver finds its arguments."""

    def __init__(self, function, kinds):
        self.function, self.form = function, struct.Struct("<" + "".join(_form(kind) for kind in kinds))
        self.words = np.zeros(max(self.form.size // 8, 1), np.uint64)
        self.places = self.words.ctypes.data + 8 * np.arange(len(self.words), dtype=np.uint64)
        self.where = self.places.ctypes.data

    @classmethod
    def of(cls, kernel, arguments, kinds):
        try:
            compiled = kernel.overloads[tuple(map(kernel.typeof_pyval, arguments))]
            return cls(driver.CUfunction(int(compiled._codelibrary.get_cufunc().handle)), kinds)
        except (AttributeError, KeyError, TypeError) as error:
            warnings.warn(f"this version of numba-cuda keeps its kernels elsewhere ({error}): they are started in its own way, which takes several times as long",
                          RuntimeWarning, stacklevel=2)
            return None

    def start(self, grid, block, stream, words):
        with _lock:         # the driver copies the words before it returns
            self.form.pack_into(self.words, 0, *words)
            _tell(driver.cuLaunchKernel, self.function, *_three(grid), *_three(block), 0, _handle(stream), self.where, 0)


def _form(kind):
    """How `struct` writes an argument of this kind; tuples, their lengths, and what is left out of them, take no room themselves."""
    if isinstance(kind, str):
        return ARRAY
    return "" if kind is None or isinstance(kind, int) or issubclass(kind, tuple) else WORDS[kind]


def _three(size):
    return (size, 1, 1) if isinstance(size, int) else (*size, 1, 1)[:3]


def _handle(stream):
    return stream.__cuda_stream__()[1]


def _tell(function, *arguments):
    """Call a function of the driver; what it answers may be an error of something that was started before."""
    if not hasattr(_attached, "here"):
        _attached.here = cuda.current_context()
    error, = function(*arguments)
    if error:
        raise RuntimeError(f"the GPU failed: {error.name} in {function.__name__}; what failed may have been started before it. "
                           f"CUDA_LAUNCH_BLOCKING=1 in the environment tells which call it was")


__all__ = ["SIMULATED", "Memory", "clear", "copy", "download", "launch", "upload"]
