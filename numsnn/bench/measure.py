"""Times, memory and the machine's limits."""

import os
import platform
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .. import devices
from ..devices import threads
from ..devices.buffers import held

WARM = 0.03         # seconds that the threads of a library (OpenMP, BLAS) may spin on after its step, holding a core


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
                part.wait()
                took = time.perf_counter() - started
                if warm:
                    break
                warm = time.perf_counter() - turn > WARM
            if r >= 2:
                seconds[name].append(took / part.divide)
    return {name: Times(min(s), float(np.median(s)), runs) for name, s in seconds.items()}


def peak_memory(part: Part, held: Callable = held) -> int:
    """The most bytes of arrays that a run holds on top of what was there before it."""
    if part.setup is not None:
        part.setup()
    return held(part.run)


class Machine(NamedTuple):
    """What this machine can do at most, measured."""
    flops: float        # per second: float32, product of two large matrices by NumPy's BLAS, on a GPU by our own kernel
    copy: float         # bytes per second, read and written: a large copy by all threads, on a GPU from one place there to another
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
    target, cuts = np.empty_like(source), np.linspace(0, len(source), count + 1).astype(int)

    def copy():
        threads.run(lambda c: np.copyto(target[cuts[c]:cuts[c + 1]], source[cuts[c]:cuts[c + 1]]), count, 1 << 30)

    found = interleaved({"product": Part(lambda: a @ b), "copy": Part(copy)}, 7)
    return Machine(2 * n ** 3 / found["product"].best, 2 * source.nbytes / found["copy"].best, count, os.cpu_count() or 1, platform.machine())


def _device(here, n, megabytes):
    rng = np.random.default_rng(0)
    a, b = here.put(rng.standard_normal((1, n, n), np.float32)), here.put(rng.standard_normal((n, n), np.float32))
    source, bias = here.zeros(int(megabytes * 2**18), np.float32), here.zeros(n, np.float32)
    found = interleaved({"product": Part(lambda: here.dense_forward(a, b, bias), wait=here.finish), "copy": Part(source.copy, wait=here.finish)}, 7)
    return Machine(2 * n ** 3 / found["product"].best, 2 * source.nbytes / found["copy"].best, 1, os.cpu_count() or 1, here.name())


def exponent(sizes, seconds) -> float:
    """k of seconds ~ size^k, by least squares of the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])
