"""Where a step's time goes: its kernels, what lies between them, Python.

wall       a step with loss and update, without anything measured within it
kernels    the sum of its kernels, each from an event before it to one after it
gaps       wall less kernels: copies, waiting for Python, what starting a kernel takes
Python     wall less what the host waits for numbers to come down
"""

import sys
import time
from collections import defaultdict
from statistics import median

from notes import SMALL, note

from numsnn import bench
from numsnn.devices.cuda import array, driver

CASES = (("shd", 64), ("shd", 256), ("ecg", 64), ("ecg", 256))
RUNS = 2 if SMALL else 10


def timed(run):
    """Seconds of a run until the GPU has done it."""
    begun = time.perf_counter()
    run()
    array.finish()
    return time.perf_counter() - begun


def waiting(run):
    """(how often the host waits in a run for something to come down, for how many seconds)."""
    own, waits = driver.download, []

    def download(*arguments):
        begun = time.perf_counter()
        own(*arguments)
        waits.append(time.perf_counter() - begun)

    driver.download = download
    try:
        run()
    finally:
        driver.download = own
    array.finish()
    return len(waits), sum(waits)


def profiled(case, size):
    """Seconds of a step and of its parts."""
    problem = bench.CASES[case].make(size, "cuda")
    step = bench.parts(problem if SMALL else bench.cases.scaled(problem))["step"].run
    for _ in range(3):
        step()
    wall = median(timed(step) for _ in range(RUNS))
    count, waited = min((waiting(step) for _ in range(RUNS)), key=lambda pair: pair[1])
    kernels = min((array.launched(step) for _ in range(RUNS)), key=total)
    by_name = defaultdict(lambda: [0.0, 0])
    for kernel in kernels:
        by_name[kernel.name][0] += kernel.end - kernel.begin
        by_name[kernel.name][1] += 1
    longest = sorted(by_name.items(), key=lambda item: -item[1][0])
    return {"wall": wall, "kernels": total(kernels), "launches": len(kernels), "waits": count,
            "waited": waited, "longest": [[name, *of] for name, of in longest]}


def total(kernels):
    return sum(kernel.end - kernel.begin for kernel in kernels)


def main(folder):
    found = {}
    for case, batch in CASES[::2] if SMALL else CASES:
        known = bench.CASES[case]
        size = known.tiny if SMALL else known.size._replace(batch=batch)
        found[f"{case}, B = {size.batch}"] = facts = profiled(case, size)
        note(folder, "profile", steps=found)
        print(f"\n{case}, {size}: {facts['wall'] * 1e3:.3f} ms, {facts['launches']} kernels of "
              f"{facts['kernels'] * 1e3:.3f} ms")
        for name, seconds, times in facts["longest"]:
            print(f"{seconds * 1e6:12.1f} us {times:4d} x {name}")


main(sys.argv[1])
