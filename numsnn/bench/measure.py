"""Times, memory and the machine's limits."""

import os
import platform
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..loops import threads
from ..memory import held

WARM = 0.03         # seconds that the threads of a library (OpenMP, BLAS) may spin on after its step, holding a core


class Part(NamedTuple):
    """Something to time."""
    run: Callable
    setup: Callable | None = None       # before each run, not timed
    flops: float | None = None          # floating-point operations that it cannot do without
    bytes: float | None = None          # bytes that it must move
    divide: int = 1                     # units of work in a run


class Times(NamedTuple):
    best: float         # seconds
    median: float
    runs: int


def interleaved(parts: dict, runs: int) -> dict:
    """Times of several things in turns, after two rounds of warm-up: whatever disturbs the machine disturbs all of them.

    In its turn each runs for a while, as it does in training, and the last run counts: then the threads of the one before sleep, and its data
    have left the cache.
    """
    seconds = {name: [] for name in parts}
    for r in range(runs + 2):
        for name, part in parts.items():
            turn = time.perf_counter()
            warm = False
            while True:
                if part.setup is not None:
                    part.setup()
                started = time.perf_counter()
                part.run()
                if warm:
                    break
                warm = time.perf_counter() - turn > WARM
            if r >= 2:
                seconds[name].append((time.perf_counter() - started) / part.divide)
    return {name: Times(min(s), float(np.median(s)), runs) for name, s in seconds.items()}


def peak_memory(part: Part) -> int:
    """The most bytes of arrays that a run holds on top of what was there before it."""
    if part.setup is not None:
        part.setup()
    return held(part.run)


class Machine(NamedTuple):
    """What this machine can do at most, measured."""
    flops: float        # per second: float32, product of two large matrices by NumPy's BLAS
    copy: float         # bytes per second, read and written: a large copy by all threads
    threads: int
    cores: int
    kind: str


def machine(n: int = 2048, megabytes: int = 256) -> Machine:
    """Measure this machine with matrices of n x n and a copy of so many megabytes."""
    rng, count = np.random.default_rng(0), threads.get_num_threads()
    a, b = (rng.standard_normal((n, n), np.float32) for _ in range(2))
    source = np.ones(megabytes << 18, np.float32)
    target, cuts = np.empty_like(source), np.linspace(0, len(source), count + 1).astype(int)

    def copy():
        threads.run(lambda c: np.copyto(target[cuts[c]:cuts[c + 1]], source[cuts[c]:cuts[c + 1]]), count, 1 << 30)

    found = interleaved({"product": Part(lambda: a @ b), "copy": Part(copy)}, 7)
    return Machine(2 * n ** 3 / found["product"].best, 2 * source.nbytes / found["copy"].best, count, os.cpu_count() or 1, platform.machine())


def exponent(sizes, seconds) -> float:
    """k of seconds ~ size^k, by least squares of the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])
