"""Chunks of a batch on as many threads as there are cores.

Compiled kernels release the interpreter's lock, so plain Python threads serve.  Against `prange` (measured):
kernels compile in a half to a third of the time, and no OpenMP thread spins between launches, which on a busy
machine costs milliseconds each.  What a chunk computes depends on its bounds only, and its bounds never on
the number of threads: results do not change with it.
"""

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

_threads: int | None = None
_pool: ThreadPoolExecutor | None = None


def _available() -> int:
    named = os.environ.get("NUMSNN_NUM_THREADS", "")
    if named.isdigit() and int(named) > 0:
        return int(named)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def get_num_threads() -> int:
    """Threads that loops use.

    That of set_num_threads, else the environment variable NUMSNN_NUM_THREADS, else the number of cores.
    """
    return _threads or _available()


def set_num_threads(n: int) -> None:
    """Use n threads from now on.  Results are the same bits for every n."""
    global _threads, _pool
    if not isinstance(n, int) or n < 1:
        raise ValueError(f"the number of threads must be a positive integer; got {n!r}")
    _threads = n
    if _pool is not None:
        _pool.shutdown()
        _pool = None


@contextmanager
def limited(n: int) -> Iterator[None]:
    """Within it n threads are used at most."""
    global _threads
    before, _threads = _threads, min(n, get_num_threads())
    try:
        yield
    finally:
        _threads = before


def _forget_pool():
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def run(task: Callable[[int], None], n: int, work: int) -> None:
    """task(0) ... task(n - 1), in threads where `work` (elementary updates in all) is worth waking them."""
    global _pool
    threads = min(get_num_threads(), n)
    if threads < 2 or work < 100_000:
        for c in range(n):
            task(c)
        return
    if _pool is None:
        _pool = ThreadPoolExecutor(get_num_threads() - 1, thread_name_prefix="numsnn")
    todo = deque(range(n))

    def drain():
        while True:
            try:
                c = todo.popleft()
            except IndexError:
                return
            task(c)

    others = [_pool.submit(drain) for _ in range(threads - 1)]
    try:
        drain()
    finally:
        todo.clear()
        for other in others:
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
    try:
        while True:
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
        stop.set()
        thread.join()
