"""Damaged checkpoints by the thousand.

    python tests/benchmarks/fuzz_checkpoints.py [--n 1000] [--unsealed]

Method: the checkpoint of a short training is changed at random (cut short, bytes changed, left out, put in,
repeated, set to extremes; the same ones each time) and loaded, as network and as training.  Each must be
refused with CheckpointError, or give exactly what was saved; anything else, another exception, more memory
than --memory or more than --seconds for a file is a defect: the file is kept and the script ends with 1.
--unsealed: without the digest at the end and the attribute that announces it, as older versions wrote them;
other content is then no defect, as nothing can tell it, and is counted.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
from mutations import modest, mutations

import numsnn as ns
from numsnn.files.checkpoint import CheckpointError, load_training


def checkpoint(path, sealed=True):
    """Write the checkpoint of a short training."""
    rng = np.random.default_rng(0)
    data = ns.datasets.Dataset((rng.random((10, 12, 4)) < 0.3).astype("f4"), rng.integers(0, 2, 12))
    net = ns.Network(ns.Dense(4, 5), ns.ALIF(5, recurrent=True, learn="tau_mem"), ns.Dense(5, 2), ns.LI(2),
                     ns.OverTime("mean"), device="reference")
    ns.fit(net, data, data, loss=ns.loss.CrossEntropy(), optimizer=ns.optim.Adam(0.01), epochs=2,
           batch_size=6, progress=False, checkpoint=path)
    if not sealed:
        import h5py
        with h5py.File(path, "r+") as file:
            del file.attrs["sealed"]


def content(path):
    """All that a checkpoint gives, as bytes."""
    training = load_training(path)
    arrays = {**training.net.arrays(), **{f"best/{key}": a for key, a in training.best.items()}}
    for slot, kept in training.optimizer.state.items():
        arrays |= {f"{slot}/{key}": a for key, a in kept.items()}
    numbers = sorted((key, a.tobytes()) for key, a in arrays.items())
    about = (training.facts, training.optimizer.config(), training.optimizer.steps, training.net.config())
    best = sorted((key, a.tobytes()) for key, a in ns.load(path).arrays().items())
    return repr((numbers, about, best))


def fuzz(path, n, *, sealed=True, memory=100e6, seconds=60.0, seed=0):
    """(refused, right, other content) of n damaged versions of the file at `path`, in its place."""
    good, right = path.read_bytes(), content(path)
    refused = same = other = 0
    for i, bad in enumerate(mutations(good, n, seed)):
        path.write_bytes(bad)
        started = time.perf_counter()
        try:
            with modest(memory):
                found = content(path)
            same += found == right
            other += found != right
            assert found == right or not sealed, f"mutation {i}: other content without a word"
        except CheckpointError:
            refused += 1
        assert time.perf_counter() - started < seconds, f"mutation {i}: more than {seconds:g} seconds"
    path.write_bytes(good)
    return refused, same, other


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--unsealed", action="store_true")
    parser.add_argument("--memory", type=float, default=100e6, help="bytes that loading may take")
    parser.add_argument("--seconds", type=float, default=60.0, help="that a file may take")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c.h5"
        checkpoint(path, not options.unsealed)
        started = time.perf_counter()
        try:
            counts = fuzz(path, options.n, sealed=not options.unsealed, memory=options.memory,
                          seconds=options.seconds, seed=options.seed)
        except BaseException:
            Path("fuzz-defect.h5").write_bytes(path.read_bytes())
            print("the file is kept as fuzz-defect.h5", flush=True)
            raise
        took = time.perf_counter() - started
    print(f"{options.n:,} damaged checkpoints: {counts[0]:,} refused, {counts[1]:,} right, "
          f"{counts[2]:,} with other content; {took:.0f} s")


if __name__ == "__main__":
    main()
