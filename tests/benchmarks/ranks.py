"""Training over MPI: two ranks against two threads, what the exchange of gradients costs, a model of many.

    python ranks.py steps           two ranks of one thread against one process of two threads
    python ranks.py exchange        the exchange alone, for the sizes of networks
    python ranks.py model           time of a step over ranks: a MODEL, from both

Method.  A step is forward, loss, backward, exchange and Adam on one batch of the problems of `numsnn bench`
(SHD and S-MNIST, their own batch and rates).  Both ways run in turns, --turns times, each a process that
compiles, makes --warm steps and then times --steps of them; a way's time is the median of all its steps, and
of ranks the one that is later.  The exchange: all ranks give the gradients of their chunks, as many as 64 and
as 512 sequences have, and get the sum; medians of 200.  A line latency + bytes / bandwidth is fitted to it by
least squares of relative errors, bytes being those that leave a rank.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

NETWORKS = {"ECG": 1_818, "SHD": 142_376, "S-MNIST": 138_014}       # parameters
CASES = ("shd", "smnist")
LINKS = {"10 Gbit/s": 10e9 / 8, "100 Gbit/s": 100e9 / 8}
RANKS = (1, 2, 4, 8, 16, 32, 64)


# ---- what runs on ranks


def communicator(n):
    if n == 1:
        return None
    from mpi4py import MPI
    return MPI.COMM_WORLD


def time_steps(name, n, steps, warm):
    """Seconds of each step on rank 0, which waits for the others in each."""
    import numsnn as ns
    from numsnn.bench.cases import CASES as KNOWN, scaled
    from numsnn.datasets.batch import Batch, BatchShare, Whole
    from numsnn.network import chunking
    from numsnn.network.memory import Plan
    from numsnn.ranks import over
    from numsnn.training.step import Step, train_batch
    ns.set_num_threads(2 // n)
    ranks, problem = over(communicator(n)), scaled(KNOWN[name].make(KNOWN[name].size))
    net, x, labels = problem.net, problem.x, problem.labels
    plan = lambda batch: Plan(None, None)
    step = Step(net, problem.loss, ns.optim.Adam(1e-4), None, True, (), plan, None, ranks)
    samples, whole = np.arange(x.shape[1]), None
    if n > 1:
        share = chunking.share(net, x.shape[1], ranks)
        whole, own = Whole(labels, None, None, samples), slice(share.first, share.last)
        x = x.select(own) if isinstance(x, ns.Spikes) else np.ascontiguousarray(x[:, own])
        samples = samples[own]
    batch = Batch(x, labels, None, None, samples)
    if whole:
        batch = BatchShare(x, labels[samples], None, None, samples, whole)
    took = []
    for k in range(warm + steps):
        begun = time.perf_counter()
        train_batch(step, batch, np.random.default_rng(k), "")
        took.append(time.perf_counter() - begun)
    return took[warm:]


def time_exchange(sums, parameters, chunks, times=200):
    """(median seconds of the exchange of gradients, bytes that leave a rank)."""
    from numsnn.ranks import over
    ranks, rng = over(communicator(2), sums), np.random.default_rng(0)
    first, last = ranks.share(chunks)
    params = {"all": np.zeros(parameters, np.float32)}
    parts = [{"all": rng.standard_normal(parameters, np.float32)} for _ in range(first, last)]
    took = []
    for _ in range(times):
        ranks.texts("")         # begin together
        begun = time.perf_counter()
        ranks.gradients(chunks, parts, [0.0] * len(parts), params)
        took.append(time.perf_counter() - begun)
    return float(np.median(took)), traffic(sums, parameters, chunks, ranks.size)


def traffic(sums, parameters, chunks, n):
    """Bytes that leave a rank: slices of its chunks and its sum; or those of a ring's Allreduce."""
    others = (n - 1) / n
    if sums == "exact":
        return 4 * parameters * others * (chunks / n + 1)
    return 2 * 4 * parameters * others


# ---- what the command does


def on_ranks(n, *arguments):
    """What this program prints on n ranks, as JSON of rank 0."""
    places = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    start = [shutil.which("mpiexec", path=places), "-n", str(n)] if n > 1 else []
    command = [*start, sys.executable, __file__, "--inside", str(n), *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith("[")))


def compare_steps(options):
    found = {}
    for name in CASES:
        took = {1: [], 2: []}
        for _ in range(options.turns):
            for n in took:
                took[n] += on_ranks(n, "steps", name, options.steps, options.warm)
        found[name] = {n: float(np.median(seconds)) for n, seconds in took.items()}
        alone, ranks = found[name][1], found[name][2]
        print(f"{name}: one process of two threads {1e3 * alone:.1f} ms a step, two ranks of one thread "
              f"{1e3 * ranks:.1f} ms: {ranks / alone:.3f} times", flush=True)
    return found


def measure_exchange(show=True):
    """{sums: (latency in seconds, bytes a second)}"""
    fits = {}
    for sums in ("exact", "fast"):
        rows = []
        for name, parameters in NETWORKS.items():
            for chunks in (8, 64):
                seconds, sent = on_ranks(2, "exchange", sums, parameters, chunks)
                rows.append((seconds, sent))
                if show:
                    print(f"{sums}  {name:8} {parameters:8,d} parameters  {chunks:3d} chunks  "
                          f"{sent / 1e6:7.3f} MB leave a rank  {1e3 * seconds:7.3f} ms", flush=True)
        seconds, sent = np.array(rows).T
        columns = np.stack([np.ones_like(sent), sent], 1) / seconds[:, None]
        (latency, slope), *_ = np.linalg.lstsq(columns, np.ones(len(rows)), rcond=None)
        fits[sums] = max(latency, 0.0), 1 / slope
        print(f"{sums}: {1e6 * latency:.0f} us + bytes / {1e-9 / slope:.2f} GB/s, within this machine\n",
              flush=True)
    return fits


def model(options):
    """A table of times of a step of the SHD network."""
    from numsnn.network import chunking
    from numsnn.ranks import ALONE
    from numsnn.recipes import get
    recipe = get("srnn-shd")
    net = recipe.network(recipe.configured({}))
    fits, steps = measure_exchange(False), compare_steps(options)
    of_64, parameters = 2 * steps["shd"][1], net.n_params           # one core's seconds
    print("MODEL, not measured: SHD, seconds of a step = compute / ranks + latency (1 + log2 ranks) + bytes "
          "/ bandwidth,\none core a rank; compute grows with the batch from "
          f"{1e3 * of_64:.0f} ms of 64 sequences.  In brackets: times as fast as one rank.\n")
    for link, bandwidth in LINKS.items():
        for sums, (latency, here) in fits.items():
            print(f"| {link}, {sums} | " + " | ".join(f"{n} ranks" for n in RANKS) + " |")
            print("|---" * (len(RANKS) + 1) + "|")
            for batch in (64, 256, 1024, 8192):
                chunks = chunking.share(net, batch, ALONE).chunks
                cells = []
                for n in RANKS:
                    busy = -(-chunks // n) / chunks             # of the chunks, the rank with most
                    spent = of_64 * batch / 64 * busy
                    if n > 1:
                        sent = traffic(sums, parameters, chunks, n)
                        spent += latency * (1 + np.log2(n)) + sent / bandwidth + sent / here
                    cells.append(spent)
                speed = [f"{1e3 * s:.1f} ms ({cells[0] / s:.1f})" for s in cells]
                print(f"| B = {batch} | " + " | ".join(speed) + " |")
            print()


def inside(n, arguments):
    """The part of a rank."""
    what, *rest = arguments
    if what == "steps":
        found = time_steps(rest[0], n, int(rest[1]), int(rest[2]))
    else:
        found = time_exchange(rest[0], int(rest[1]), int(rest[2]))
    if n == 1 or communicator(n).rank == 0:
        print(json.dumps(found), flush=True)


def main():
    if "--inside" in sys.argv:
        return inside(int(sys.argv[2]), sys.argv[3:])
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("what", choices=("steps", "exchange", "model"))
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--warm", type=int, default=3)
    options = parser.parse_args()
    if options.what == "exchange":
        measure_exchange()
    else:
        {"steps": compare_steps, "model": model}[options.what](options)


if __name__ == "__main__":
    main()
