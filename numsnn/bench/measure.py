"""Times, memory and the machine's limits."""

import os
import platform
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from .. import devices
from ..devices import threads
from ..devices.buffers import held

# seconds that the threads of a library (OpenMP, BLAS) may spin on after its step, holding a core
WARM = 0.03


class Part(NamedTuple):
    """Something to time."""
    run: Callable
    setup: Callable | None = None       # before each run, not timed
    flops: float | None = None          # floating-point operations that it cannot do without
    bytes: float | None = None          # bytes that it must move
    divide: int = 1                     # units of work in a run
    wait: Callable = lambda: None       # until the device has done it


class Times(NamedTuple):
    best: float         # seconds
    median: float
    runs: int


def interleaved(parts: dict[str, Part], runs: int) -> dict[str, Times]:
    """Times of several things in turns, after two rounds of warm-up: what disturbs the machine disturbs all.

    In its turn each runs for a while, as it does in training, and the last run counts: then the threads of
    the one before sleep, and its data have left the cache.
    """
    seconds: dict[str, list[float]] = {name: [] for name in parts}
    for r in range(runs + 2):
        for name, part in parts.items():
            took = _turn(part)
            if r >= 2:
                seconds[name].append(took / part.divide)
    return {name: Times(min(s), float(np.median(s)), runs) for name, s in seconds.items()}


def _turn(part: Part) -> float:
    """Seconds of the last run of a turn."""
    turn = time.perf_counter()
    warm = False
    while True:
        if part.setup is not None:
            part.setup()
        started = time.perf_counter()
        part.run()
        part.wait()
        took = time.perf_counter() - started
        if warm:
            return took
        warm = time.perf_counter() - turn > WARM


def peak_memory(part: Part, held: Callable = held) -> int:
    """The most bytes of arrays that a run holds on top of what was there before it."""
    if part.setup is not None:
        part.setup()
    return held(part.run)


class Machine(NamedTuple):
    """What this machine can do at most, measured.

    flops: per second: float32, product of two large matrices by NumPy's BLAS, on a GPU by our own kernel.
    copy: bytes per second, read and written: a large copy by all threads, on a GPU from one place there to
    another.
    """
    flops: float
    copy: float
    threads: int
    cores: int
    kind: str


def machine(n: int = 2048, megabytes: float = 256, device: str = "cpu") -> Machine:
    """Measure this machine, or its GPU, with matrices of n x n and a copy of so many megabytes."""
    if not devices.get(device).HOST:
        return _device(devices.get(device), n, megabytes)
    rng, count = np.random.default_rng(0), threads.get_num_threads()
    a, b = (rng.standard_normal((n, n), np.float32) for _ in range(2))
    source = np.ones(int(megabytes * 2**18), np.float32)
    target = np.empty_like(source)
    cuts = np.linspace(0, len(source), count + 1).astype(int)

    def copy_part(c):
        part = slice(cuts[c], cuts[c + 1])
        np.copyto(target[part], source[part])

    def copy():
        threads.run(copy_part, count, 1 << 30)

    found = interleaved({"product": Part(lambda: a @ b), "copy": Part(copy)}, 7)
    return _machine(found, n, source, count, platform.machine())


def _device(here, n, megabytes):
    rng = np.random.default_rng(0)
    a = here.put(rng.standard_normal((1, n, n), np.float32))
    b = here.put(rng.standard_normal((n, n), np.float32))
    source, bias = here.zeros(int(megabytes * 2**18), np.float32), here.zeros(n, np.float32)
    product = Part(lambda: here.dense_forward(a, b, bias), wait=here.finish)
    found = interleaved({"product": product, "copy": Part(source.copy, wait=here.finish)}, 7)
    return _machine(found, n, source, 1, here.name())


def _machine(found, n, source, count, kind):
    """From the times of a product of n x n matrices and of a copy of `source`."""
    flops, copy = 2 * n ** 3 / found["product"].best, 2 * source.nbytes / found["copy"].best
    return Machine(flops, copy, count, os.cpu_count() or 1, kind)


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """k of seconds ~ size^k, by least squares of the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])
