"""Training from HDF5 with a thread that reads ahead, against training from memory.

The ECG recipe, and a set of the size of SHD.  Method: the set is saved (`Dataset.save`), the same network
trains one epoch from memory and one from the file, in turns, --epochs times after one of each to compile and
to warm the page cache; medians are compared, and the losses, which must be equal bit for bit.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

import numsnn as ns
from numsnn.datasets import saved, synthetic
from numsnn.recipes import get


def shd_sized(n, steps=250, units=700, rate=0.05, seed=0):
    """Random spikes as many as SHD has."""
    rng = np.random.default_rng(seed)
    parts = [rng.random((steps, 64, units), np.float32) < rate for _ in range(n // 64)]
    spikes = [ns.Spikes.from_dense(part) for part in parts]
    count = np.concatenate([s.count.reshape(steps, 64) for s in spikes], 1)
    first = np.cumsum([0] + [len(s.index) for s in spikes[:-1]])
    start = np.concatenate([s.start.reshape(steps, 64) + a for s, a in zip(spikes, first, strict=True)], 1)
    index = np.concatenate([s.index for s in spikes])
    x = ns.Spikes.of_rows((steps, count.shape[1], units), start.ravel(), count.ravel(), index)
    labels = rng.integers(0, 20, x.shape[1])
    return ns.Dataset(x, labels, classes=tuple(map(str, range(20))), name="SHD-sized")


def shd_network():
    tau = {"tau_mem": 20, "tau_adp": 150, "learn": ("tau_mem", "tau_adp")}
    return ns.Network(
        ns.Dense(700, 128), ns.ALIF(128, recurrent=True, **tau),
        ns.Dense(128, 128), ns.ALIF(128, recurrent=True, **tau),
        ns.Dense(128, 20), ns.LI(20, tau_mem=20), ns.OverTime("sum", of="softmax", start=11), seed=0)


def epoch(net, data, number):
    optimizer, losses, start = ns.optim.Adam(1e-3), [], time.perf_counter()
    for batch in data.batches(64, np.random.default_rng(number)):
        result = net.loss_and_gradients(ns.loss.CrossEntropy(), batch.x, batch.y, mask=batch.mask,
                                        lengths=batch.lengths, rng=np.random.default_rng(number))
        optimizer.update(net.params, result.grads)
        losses.append(result.loss)
    return time.perf_counter() - start, losses


def compare(name, data, make, epochs, folder):
    path = Path(folder) / "set.h5"
    data.save(path)
    sources = {"memory": data, "file": saved.load(path)}
    seconds = {key: [] for key in sources}
    for number in range(epochs + 1):
        losses = {}
        for key in sorted(sources, reverse=bool(number % 2)):
            spent, losses[key] = epoch(make(), sources[key], number)
            seconds[key].append(spent)
        assert losses["memory"] == losses["file"], "not the same bits"
    memory, file = (float(np.median(seconds[key][1:])) for key in ("memory", "file"))
    print(f"{name}: {len(data)} sequences, {path.stat().st_size / 1e6:.0f} MB; "
          f"an epoch from memory {memory:.3f} s, from the file {file:.3f} s: "
          f"{100 * (file / memory - 1):+.1f} %", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--sequences", type=int, default=1024, help="of the set of the size of SHD")
    options = parser.parse_args()
    recipe = get("srnn-ecg")
    ecg_network = lambda: recipe.network(recipe.configured({}))
    with tempfile.TemporaryDirectory() as folder:
        compare("ECG recipe", synthetic.ecg(576, seed=1), ecg_network, options.epochs, folder)
        compare("SHD-sized", shd_sized(options.sequences), shd_network, options.epochs, folder)


if __name__ == "__main__":
    main()
