"""Random calls of everything public by the ten thousand.

    python tests/benchmarks/fuzz_calls.py [--calls 100000] [--processes 2] [--seed 1] [--only NUMBER]

Method: tests/helpers/calls.py makes call number i of a seed, always the same one: a public function or
method with good arguments, of which up to two are replaced by something else (another type or shape, NaN,
nothing, too much, text, another object, another order).  A process makes 1,000 calls, each in at most 30
seconds, with at most 8 GB.  A call may answer with finite numbers, or refuse with a sentence; what a network
answers on the CPU is compared with the reference device.  Anything else is a fault, and so is a process that
dies or hangs: its last call is named.  The script ends with 1 where there is a fault.
"""

import argparse
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

AT_ONCE, SECONDS, MEMORY = 1000, 30, 8 << 30


class TooLong(Exception):
    """A call that does not end."""


def make_calls(seed, numbers):
    """In a process of its own: one line for each fault, then the counts."""
    import matplotlib
    matplotlib.use("Agg")
    from calls import random_call, verdict

    def late(*_):
        raise TooLong(f"more than {SECONDS} seconds")
    signal.signal(signal.SIGALRM, late)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    found = Counter()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for i in numbers:
            print(f"begin {i}", flush=True)
            name, call = random_call(seed, i, Path(folder))
            signal.alarm(SECONDS)
            said = verdict(call)
            signal.alarm(0)
            found[said if said in ("answered", "refused") else "fault"] += 1
            if said not in ("answered", "refused"):
                print(f"fault {i} {name[:200]!r}: {said}", flush=True)
        os.chdir("/")
    print(f"counts {found['answered']} {found['refused']} {found['fault']}", flush=True)


def run(seed, first, last):
    """(answered, refused, faults in words) of some calls, made in a process."""
    command = [sys.executable, __file__, "--seed", str(seed), "--inside", str(first), str(last)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False,
                              timeout=AT_ONCE * SECONDS)
        status, out, err = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired as late:
        status, out, err = "no end", (late.stdout or b"").decode(), ""
    lines = out.split("\n")
    faults = [line for line in lines if line.startswith("fault")]
    counts = [line.split()[1:] for line in lines if line.startswith("counts")]
    if not counts:
        begun = [line for line in lines if line.startswith("begin")]
        faults.append(f"fault: the process ended with {status} at {begun[-1:]}: {err[-300:]}")
        return 0, 0, faults
    answered, refused, _ = map(int, counts[0])
    return answered, refused, faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="one call, by its number")
    parser.add_argument("--inside", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        make_calls(options.seed, range(*options.inside))
        return
    if options.only is not None:
        from calls import random_call, verdict
        name, call = random_call(options.seed, options.only, Path(tempfile.mkdtemp()))
        print(name, verdict(call), sep="\n")
        return
    starts = range(0, options.calls, AT_ONCE)
    ends = [min(start + AT_ONCE, options.calls) for start in starts]
    with ThreadPoolExecutor(options.processes) as pool:
        done = list(pool.map(partial(run, options.seed), starts, ends))
    faults = [fault for _, _, found in done for fault in found]
    answered, refused = (sum(part[k] for part in done) for k in (0, 1))
    print(*faults, sep="\n")
    print(f"{options.calls:,} calls: {answered:,} answered, {refused:,} refused with a sentence, "
          f"{len(faults):,} faults")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
