"""Files that are slightly wrong, the same ones each time; and a watch over what readers do with them."""

import contextlib
import tracemalloc

import numpy as np
from beside import STARTING

EXTREMES = (b"\xff", b"\0", b"\x7f", b"9", b"\t")


def mutations(content: bytes, n: int, seed: int = 0):
    """n damaged versions of a file: cut short, bytes changed, left out, put in, repeated, set to extremes."""
    rng = np.random.default_rng([seed, len(content)])
    for i in range(n):
        raw = bytearray(content)
        at = int(rng.integers(len(content)))
        size = int(rng.integers(1, 9))
        kind = i % 6
        if kind == 0:
            raw = raw[:at]
        elif kind == 1:
            for place in rng.integers(len(raw), size=size):
                raw[place] = rng.integers(256)
        elif kind == 2:
            del raw[at:at + size]
        elif kind == 3:
            raw[at:at] = rng.bytes(size)
        elif kind == 4:
            raw[at:at + size] = EXTREMES[i // 6 % 5] * size
        else:
            raw[at:at] = raw[max(at - 8 * size, 0):at]
        yield bytes(raw)


@contextlib.contextmanager
def modest(most: int):
    """No more than `most` bytes of memory at any time inside."""
    with STARTING:
        tracemalloc.start()
        try:
            yield
            taken = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert taken <= most, f"{taken:,} bytes, allowed are {most:,}"


def survives(call, most: int) -> bool:
    """Whether a reader took a file.

    It may refuse it with FormatError, ValueError or FileNotFoundError; any other exception is a defect.
    So is more memory, twice: what another thread takes, or a first call loads, it does not take again.
    """
    try:
        return _taken(call, most)
    except AssertionError:
        return _taken(call, most)


def _taken(call, most):
    with modest(most):
        try:
            call()
        except (ValueError, FileNotFoundError):
            return False
    return True
