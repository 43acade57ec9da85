"""Chunks of a batch on as many threads as there are cores.

Compiled kernels release the interpreter's lock, so plain Python threads serve.  Against `prange` (measured):
kernels compile in a half to a third of the time, and no OpenMP thread spins between launches, which on a busy
machine costs milliseconds each.  What a chunk computes depends on its bounds only, and its bounds never on
the number of threads: results do not change with it.
"""

import os
import queue
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from operator import index

from ..checked import checked

_threads: int | None = None                     # of set_num_threads
_limits = threading.local()                     # .most: of `limited`, for the thread that asked for it
_lock = threading.Lock()                        # of the pool: what is submitted is so before it is closed
_pool: ThreadPoolExecutor | None = None


def _available() -> int:
    named = os.environ.get("NUMSNN_NUM_THREADS", "").strip()
    if named:
        return _number(int(named) if named.isascii() and named.isdigit() else named, "NUMSNN_NUM_THREADS")
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _number(n, what):
    if isinstance(n, bool) or not hasattr(n, "__index__") or n < 1:
        raise ValueError(f"{what} must be a positive integer; got {n!r}")
    return index(n)


def _wanted() -> int:
    return _threads or _available()


@checked
def get_num_threads() -> int:
    """Threads that loops use.

    That of set_num_threads, else the environment variable NUMSNN_NUM_THREADS, else the number of cores.
    """
    return min(_wanted(), getattr(_limits, "most", sys.maxsize))


def was_said() -> bool:
    """Whether somebody has said how many threads there are."""
    return _threads is not None or bool(os.environ.get("NUMSNN_NUM_THREADS", "").strip())


def set_num_threads(n: int) -> None:
    """Use n threads from now on, whatever runs at this moment.  Results are the same bits for every n."""
    global _threads
    _threads = _number(n, "the number of threads")
    _close_pool()


def _close_pool():
    """What was submitted is done all the same."""
    global _pool
    with _lock:
        pool, _pool = _pool, None
    if pool is not None:
        pool.shutdown(wait=False)


@contextmanager
def limited(n: int) -> Iterator[None]:
    """Within it the thread that says so has n threads at most; what other threads run is left alone."""
    before = getattr(_limits, "most", sys.maxsize)
    _limits.most = min(n, before)
    try:
        yield
    finally:
        _limits.most = before


def _after_fork():
    """A child has none of its parent's threads, and nobody who would release the lock."""
    global _pool, _lock
    _pool, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _submit(drain: Callable[[], None], times: int) -> list[Future]:
    """`drain` in other threads, in as many as there are to be had: results do not depend on it."""
    global _pool
    started: list[Future] = []
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(max(_wanted() - 1, 1), thread_name_prefix="numsnn")
        try:
            for _ in range(times):
                started.append(_pool.submit(drain))
        except RuntimeError:        # the interpreter is about to end, or the system gives no more threads
            pass
    return started


def run(task: Callable[[int], None], n: int, work: int) -> None:
    """task(0) ... task(n - 1), in threads where `work` (elementary updates in all) is worth waking them."""
    threads = min(get_num_threads(), n)
    if threads < 2 or work < 100_000:
        for c in range(n):
            task(c)
        return
    todo = deque(range(n))

    def drain():
        while True:
            try:
                c = todo.popleft()
            except IndexError:
                return
            task(c)

    others = _submit(drain, threads - 1)
    try:
        drain()
    finally:
        todo.clear()
        begun = [other for other in others if not other.cancel()]
        wait(begun)         # nobody shall write to arrays that the caller has given up
    for other in begun:
        other.result()


def ahead(made: Iterator, n: int) -> Iterator:
    """The items of an iterator, n of them made ahead by a thread.

    An error is raised here and then let go: files that its frames hold are closed when nobody looks at it any
    more, not when the garbage collector runs.
    """
    ready: queue.Queue = queue.Queue(n)
    stop = threading.Event()

    def put(item):
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def work():
        try:
            for item in made:
                put((item, None))
                if stop.is_set():
                    return
            put((None, None))
        except BaseException as error:      # noqa: BLE001  it is raised again where the batches are used
            put((None, error))

    thread = threading.Thread(target=work, daemon=True, name="numsnn prefetch")
    thread.start()
    process = os.getpid()
    try:
        while True:
            if os.getpid() != process:
                raise RuntimeError("this process was forked within a loop over batches, whose thread stayed "
                                   "behind; begin a loop of its own in the new process")
            item, error = ready.get()
            if error is not None:
                try:
                    raise error
                finally:
                    del error           # its traceback holds this frame: a circle
            if item is None:
                return
            yield item
    finally:
        error = None        # its traceback would hold itself, and with it the files that are open in it
        if os.getpid() == process:
            stop.set()
            thread.join()
