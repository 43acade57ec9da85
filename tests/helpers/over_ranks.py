"""Trains small networks of every kind on the ranks of MPI; rank 0 prints a digest and the loss of each.

    mpiexec -n 3 python over_ranks.py exact [CASE ...]          python over_ranks.py alone

MUTANT in the environment names one of MUTANTS, faults that digests must show.
"""

import hashlib
import os
import sys
import warnings
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

import numsnn as ns
from numsnn.datasets import Sequences

STEPS, N, CLASSES = 9, 6, 3


def sequences(n, steps=STEPS, features=N, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(CLASSES, size=n)
    x = rng.random((steps, n, features)) < 0.1 + 0.2 * (np.arange(features) % CLASSES == y[:, None])
    return x.astype(np.float32), y


def plain(**how):
    x, y = sequences(43)
    return ns.Dataset(x, y, time_first=True, **how)


def unequal():
    return {"lengths": np.random.default_rng(5).integers(2, STEPS + 1, 43)}


def events():
    x, y = sequences(43)
    return ns.Dataset(ns.Spikes.from_dense(x), y, time_first=True)


def per_step():
    x, y = sequences(43)
    labels = np.broadcast_to(y, x.shape[:2]).copy()
    mask = np.random.default_rng(3).random(labels.shape) < 0.7
    return ns.Dataset(x, labels, mask=mask, time_first=True, **unequal())


class Read(Sequences):
    """Sequences that are read when they are asked for, each of its own length; drawn: with noise."""

    units = N

    def __init__(self, drawn):
        self.draws = drawn
        self.x, _ = sequences(43)
        self.lengths = unequal()["lengths"]

    def __len__(self):
        return 43

    def fetch(self, samples, rng=None):
        lengths = self.lengths[samples]
        x = self.x[:lengths.max(), samples].copy()
        if rng is not None and self.draws:
            x += rng.random(x.shape, np.float32)
        return x, lengths


def lazy(drawn):
    return ns.Dataset(Read(drawn), sequences(43)[1])


def spiking(*more):
    return ns.Network(ns.Dense(N, 10), ns.ALIF(10, recurrent=True, init_state="uniform"), *more,
                      ns.Dense(10, CLASSES), ns.LI(CLASSES), ns.OverTime("mean"), seed=1, chunk=3)


def conv():
    return ns.Network(ns.Conv2d(1, 4, 3, padding=1), ns.BatchNorm(), ns.LIF((4, 3, 3)), ns.Dropout(0.3),
                      ns.Flatten(), ns.Dense(36, CLASSES), ns.OverTime("mean"), input_shape=(1, 3, 3), seed=2)


def pictures(**how):
    x, y = sequences(43, features=9)
    return ns.Dataset(x, y, time_first=True, **how)


def each():
    return ns.Network(ns.Dense(N, 8), ns.LIF(8), ns.Dense(8, CLASSES), ns.LI(CLASSES), seed=3)


def own(y, target):
    z = np.exp(y - y.max(-1, keepdims=True))
    p = z / z.sum(-1, keepdims=True)
    hot = np.eye(CLASSES, dtype=y.dtype)[target]
    return float(-np.log((p * hot).sum(-1)).mean()), (p - hot) / len(y)


CASES = {
    "plain": (spiking, plain, {}),
    "events": (spiking, events, {}),
    "lengths": (spiking, lambda: plain(**unequal()), {}),
    "by-length": (spiking, lambda: plain(by_length=True, **unequal()), {}),
    "conv-norm-dropout": (conv, pictures, {}),
    "norm-lengths": (conv, lambda: pictures(**unequal()), {}),
    "dropout-per-step": (lambda: spiking(ns.Dropout(0.2, per_step=True)), plain, {}),
    "per-step": (each, per_step, {"loss": ns.loss.CrossEntropy("mean")}),
    "read": (spiking, lambda: lazy(False), {}),
    "read-drawn": (spiking, lambda: lazy(True), {}),
    "truncated": (spiking, lambda: plain(**unequal()), {"tbptt": 4}),
    "truncated-read": (spiking, lambda: lazy(False), {"tbptt": 4, "step_inside": False}),
    "checkpoints": (spiking, plain, {"checkpoint_every": 4}),
    "budget": (spiking, events, {"memory": 100_000_000}),
    "rates": (spiking, plain, {"regularisers": (ns.regularise.RateBand(0.2, 0.3),
                                                ns.regularise.WeightL2(1e-3))}),
    "own-loss": (spiking, plain, {"loss": own}),
    "few-bits": (spiking, plain, {"weight_bits": 4}),
    "ending": (spiking, plain, {"callbacks": (lambda epoch: epoch.epoch == 1,)}),
}


def small_on_gpu():
    return ns.Network(ns.Dense(N, 4), ns.ALIF(4, recurrent=True, init_state="uniform"), ns.Dense(4, CLASSES),
                      ns.OverTime("mean"), seed=1, chunk=2, device="cuda")


def few_and_short():
    x, y = sequences(15, steps=3)
    return ns.Dataset(x, y, lengths=np.arange(15) % 2 + 2, time_first=True)


ON_GPU = {"gpu": (small_on_gpu, few_and_short, {})}


def trained(case, how, path, epochs=3, **more):
    """(network, history, held-out data, loss)."""
    make, data, options = (CASES | ON_GPU)[case]
    data, net = data(), make()
    options = {"loss": ns.loss.CrossEntropy(), **options, **more}
    train, valid = data[:-10], data[-10:]
    batch_size = min(14, len(train))
    history = ns.fit(net, train, valid, optimizer=ns.optim.Adam(0.02, clip_norm=1.0), epochs=epochs,
                     batch_size=batch_size, progress=False, checkpoint=path, **options, **how)
    return net, history, valid, options["loss"]


def digest(case, how, path, **more):
    """(of all that a training gives, the last loss)."""
    epochs = 2 if case in ON_GPU else 3
    net, history, valid, loss = trained(case, how, path, epochs, **more)
    rows = [{key: value for key, value in row.items() if key != "seconds"} for row in history.epochs]
    found = hashlib.sha256(repr(rows).encode())
    for name, a in net.arrays().items():
        found.update(name.encode() + np.asarray(a).tobytes())
    seen = ns.evaluate(net, valid, loss=loss, batch_size=4, comm=how.get("comm"))
    found.update(repr((seen.loss, seen.confusion.tolist(), seen.rates)).encode())
    found.update(ns.predict(net, valid, batch_size=4, answers=True, comm=how.get("comm")).tobytes())
    if path.exists():
        found.update(b"".join(np.asarray(a).tobytes() for a in ns.load(path).arrays().values()))
    return f"{found.hexdigest()[:16]} {history.epochs[-1]['loss']:.6f}"


# ---- faults


def rank_after_rank(ranks, chunks, parts, losses, params):
    """The sum of each rank's own first, then those of the ranks in their order."""
    flat = []
    for name, p in params.items():
        own = sum((part[name] for part in parts), np.zeros_like(p))
        flat.append((name, sum(ranks.joined(own[None]), np.zeros_like(p))))
    return sum(ranks.joined(np.array(losses, np.float64)).tolist()), dict(flat)


def drawn_by_rank(net, share, batch, rng):
    return net.initial_state(batch.x.shape[1], rng.spawn(share.ranks.rank + 1)[-1])


def mutate(name):
    from numsnn.ranks import mpi
    from numsnn.training import step
    if name == "sums in the order of ranks":
        mpi.OverMPI.gradients = rank_after_rank
    if name == "states drawn by each rank":
        step.initial_state = drawn_by_rank
    if name == "no checkpoint from rank 0":
        mpi.OverMPI.from_root = lambda ranks, data: data


MUTANTS = ("sums in the order of ranks", "states drawn by each rank", "no checkpoint from rank 0")


def main(sums, *cases):
    """A case NAME@PATH goes on with the checkpoint PATH."""
    warnings.simplefilter("ignore")
    how, rank = {}, 0
    if sums != "alone":
        from mpi4py import MPI
        how, rank = {"comm": MPI.COMM_WORLD, "sums": sums}, MPI.COMM_WORLD.rank
    mutate(os.environ.get("MUTANT"))
    folder = Path(mkdtemp())
    for case in cases or CASES:
        name, _, path = case.partition("@")
        path = Path(path) if path and rank == 0 else folder / f"{name}.h5"
        found = digest(name, how, path, resume=bool("@" in case))
        assert path.exists() == (rank == 0)
        if rank == 0:
            print(name, found, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
