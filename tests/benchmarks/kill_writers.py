"""Writers killed at any moment, again and again.

    python tests/benchmarks/kill_writers.py [--n 200] [--only KIND]

Method: a process of its own writes one version after the other to the same path, each version with other
numbers, and says so after each; it is killed (SIGKILL) after a random time, and the file is read.  It must be
whole, hold one version throughout, and none older than the last that was said to be written.  Kinds:
checkpoint (ns.save of a training), fit (a training resumed again and again; at the end its weights must be
those of a calm one, bit for bit), dataset (Dataset.save), convert (a conversion resumed again and again: it
appears when it is complete, with the events of its recordings).
"""

import argparse
import json
import os
import signal
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

import numsnn as ns
from numsnn.datasets import converted, saved
from numsnn.datasets.listing import Item, Listing
from numsnn.files.checkpoint import describe, load_training
from numsnn.signals.events import Events


def network():
    return ns.Network(ns.Dense(4, 40), ns.LIF(40, recurrent=True), ns.Dense(40, 2), ns.LI(2),
                      ns.OverTime("mean"), device="reference")


# ---- checkpoint


def write_checkpoint(path, first, say):
    net, optimizer = network(), ns.optim.Adam(0.01)
    version = first
    while True:
        for p in net.params.values():
            p[...] = version
        for slot in optimizer.state.values():
            slot.update({name: np.full_like(p, version) for name, p in net.params.items()})
        optimizer.steps = version
        ns.save(net, path, optimizer=optimizer, best=net.arrays())
        say(version)
        version += 1


def version_of_checkpoint(path):
    training = load_training(path)
    slots = [a for slot in training.optimizer.state.values() for a in slot.values()]
    (version,) = {float(v) for p in (*training.net.params.values(), *slots) for v in np.unique(p)}
    assert version == training.optimizer.steps
    return int(version)


# ---- fit


def train(path, epochs, callbacks=()):
    rng = np.random.default_rng(0)
    data = ns.datasets.Dataset((rng.random((3, 8, 4)) < 0.3).astype("f4"), rng.integers(0, 2, 8))
    net = network()
    how = {"checkpoint": path, "resume": True} if path else {}
    ns.fit(net, data, loss=ns.loss.CrossEntropy(), optimizer=ns.optim.Adam(0.01), epochs=epochs, batch_size=4,
           progress=False, callbacks=callbacks, keep_best=False, **how)
    return net


def write_fit(path, first, say):
    train(path, 10**6, (lambda epoch: say(epoch.epoch),))


def version_of_fit(path):
    return describe(path)["training"]["epoch"]


def end_of_fit(path):
    calm, net = train(None, version_of_fit(path) + 1), load_training(path).net
    assert all(p.tobytes() == calm.params[name].tobytes() for name, p in net.params.items())


# ---- data sets


def write_dataset(path, first, say):
    version = first
    while True:
        ns.datasets.Dataset(np.full((20, 400, 9), version, "f4"), np.zeros(400, int)).save(path)
        say(version)
        version += 1


def version_of_dataset(path):
    data = saved.load(path, memory=True)
    (version,) = np.unique(data.x)
    assert data.x.shape == (20, 400, 9)
    return int(version)


# ---- conversions


def listing():
    def events(i):
        rng = np.random.default_rng(i)
        return Events(np.sort(rng.integers(0, 9999, 500)), x=rng.integers(0, 9, 500),
                      y=rng.integers(0, 9, 500), p=rng.integers(0, 2, 500), shape=(2, 9, 9))
    items = [Item(f"r{i}", 0, "", lambda i=i: events(i)) for i in range(40)]
    return Listing("x", "", (2, 9, 9), 1e-6, ("a",), items)


def write_convert(path, first, say):
    converted.SECONDS = 0.0                         # the file is open for each recording
    version = first
    while True:
        converted.write(path.with_name(f"{version}.h5"), listing())
        say(version)
        version += 1


def version_of_convert(path):
    done = sorted(int(file.stem) for file in path.parent.glob("[0-9]*.h5"))
    if not done:
        return -1
    pairs = zip(converted.listing(path.with_name(f"{done[-1]}.h5")).items, listing().items, strict=True)
    assert all((a.name, a.read()) == (b.name, b.read()) for a, b in pairs)
    return done[-1]


KINDS = {
    "checkpoint": (write_checkpoint, version_of_checkpoint, None),
    "fit": (write_fit, version_of_fit, end_of_fit),
    "dataset": (write_dataset, version_of_dataset, None),
    "convert": (write_convert, version_of_convert, None),
}


# ---- the killing


def started(write, path, first):
    """(process, descriptor of what it says) of a writer."""
    there, here = os.pipe()
    process = os.fork()
    if not process:
        write(path, first, lambda version: os.write(here, f"{version}\n".encode()))
    os.close(here)
    return process, there


def pace(write, path):
    """Seconds that a version takes, the first one and the start included."""
    begin = time.perf_counter()
    process, said = started(write, path, 0)
    with os.fdopen(said) as file:
        file.readline()
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    return time.perf_counter() - begin


def killed(write, path, first, seconds):
    """The last version that a writer said it had written before it was killed, or None."""
    process, said = started(write, path, first)
    time.sleep(seconds)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    with os.fdopen(said) as file:
        versions = [json.loads(line) for line in file]
    return versions[-1] if versions else None


def campaign(kind, n, folder, seed=0):
    """(kills, versions written): see the module."""
    ns.set_num_threads(1)                           # no threads that a fork would lose
    train(None, 1)                                  # loads what it takes, so that the writers need not
    write, version_of, end = KINDS[kind]
    path, rng = folder / "a.h5", np.random.default_rng(seed)
    seconds = min(3 * pace(write, path), 1.0)
    last = version_of(path)
    for _ in range(n):
        said = killed(write, path, last + 1, rng.uniform(0, seconds))
        found = version_of(path)
        assert found >= max(last, -1 if said is None else said), f"{kind}: version {found}, {said} was said"
        last = found
    if end is not None:
        end(path)
    left = [name for name in os.listdir(folder) if name.endswith(".part")]     # of the last kill
    assert len(left) <= 1, f"{kind}: {left} left behind"
    return n, last + 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--n", type=int, default=200, help="kills of each kind")
    parser.add_argument("--only", choices=KINDS)
    options = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)    # nothing to resume yet
    for kind in [options.only] if options.only else KINDS:
        with tempfile.TemporaryDirectory() as folder:
            begin = time.perf_counter()
            kills, versions = campaign(kind, options.n, Path(folder))
            print(f"{kind:10} {kills} kills, {versions} versions written, none lost and none in half; "
                  f"{time.perf_counter() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    main()
