"""The two queues of a GPU's work.

Kernels and copies run in the order in which they were started, on one stream; what is sent ahead, the next
batch, goes up on another meanwhile, from memory that the GPU reads by itself; a thread of its own may send
it.  Neither is the default stream, for which all others wait.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from numba import cuda

from ..buffers import Pool
from .driver import Stream, check_process


class _Now(threading.local):
    """What this thread sends."""
    arrival: Arrival | None = None


_now = _Now()


@lru_cache(1)
def _streams():
    return SimpleNamespace(work=cuda.stream(), up=cuda.stream())


def current() -> Stream:
    """The stream on which things are started."""
    check_process()
    return _streams().up if _now.arrival else _streams().work


class Arrival:
    """Something that is on its way: the event after it, and the memory that must stay until then."""

    __slots__ = ("event", "held")

    def __init__(self) -> None:
        self.event: Any = None
        self.held: list = []

    def wait(self) -> None:
        """What is started on the first stream from now on runs after it."""
        if self.event is not None:
            self.event.wait(_streams().work)
            self.event = None


@contextmanager
def ahead() -> Iterator[Arrival]:
    """Within it things are started on the second stream."""
    _now.arrival = arrival = Arrival()
    try:
        yield arrival
    finally:
        _now.arrival = None
        arrival.event = cuda.event()
        arrival.event.record(_streams().up)


def hold(memory: object) -> None:
    """Keep something as long as what is being sent ahead."""
    if _now.arrival is not None:
        _now.arrival.held.append(memory)


def follow() -> None:
    """The second stream waits for all that the first was told: it may still use memory that is taken now."""
    if _now.arrival is not None:
        told = cuda.event()
        told.record(_streams().work)
        told.wait(_streams().up)


@lru_cache(1)
def _pinned():
    return Pool(lambda size: cuda.pinned_array(size, np.uint8), 1 << 30)


class _Pinned:
    """Memory of the host from which copies need nobody, given back when nobody holds it."""

    def __init__(self, size):
        self.memory = _pinned().take(size)

    def __del__(self):
        if hasattr(self, "memory"):
            _pinned().returned.append(self.memory)


def staged(host: np.ndarray) -> np.ndarray:
    """The array itself or, sent ahead, a copy in pinned memory."""
    if _now.arrival is None or not host.nbytes:
        return host
    pinned = _Pinned(host.nbytes)
    hold(pinned)
    own = pinned.memory[:host.nbytes].view(host.dtype)
    own[:] = host.reshape(-1)
    return own


__all__ = ["Arrival", "ahead", "current", "follow", "hold", "staged"]
