"""Spoken digits through a cochlea: sound -> spikes in the layout of SHD -> a recurrent spiking network.

    python examples/06_spoken_digits.py fsdd_recordings.zip [--seed 0] [--hold-out theo]

The network says which digit it is.  Free Spoken Digits (data/README.md), a zip file or the folder
recordings/, published split; half a minute for the spikes, then less than a second an epoch.  Recordings 5 to
9 of each speaker and digit choose the epoch.  --hold-out SPEAKER keeps a speaker out of training instead: the
validation accuracy is then that of a voice never heard.
"""

import argparse
from pathlib import Path

import numsnn as ns
from numsnn.datasets import shd, speech
from numsnn.datasets.recordings import Bins

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("data", help="fsdd_recordings.zip, or the folder recordings/")
parser.add_argument("--out", default="runs/spoken_digits", help="folder for the spikes and the network")
parser.add_argument("--epochs", type=int, default=25)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--hold-out", default="index", help='"index", or a speaker')
options = parser.parse_args()

out = Path(options.out)
out.mkdir(parents=True, exist_ok=True)
sets = {}
for part in ("train", "valid", "test"):
    path = out / f"{part}_{options.hold_out}.h5"
    if not path.exists():
        n = speech.fsdd_spikes(options.data, path, part, hold_out=options.hold_out)
        print(f"{path}: {n} recordings")
    sets[part] = shd.layout(path, name=f"spoken digits, {part}").dataset(Bins(dt=10e-3), memory=True)
    print(sets[part])

net = ns.Network(
    ns.Dense(700, 128),
    ns.ALIF(128, recurrent=True, tau_mem=10, tau_adp=50, v_threshold=0.1, learn=("tau_mem", "tau_adp")),
    ns.Dense(128, 10), ns.LI(10, tau_mem=10, learn="tau_mem"), ns.OverTime("sum", of="softmax"),
    seed=options.seed)
optimizer = ns.optim.Adam(5e-3, schedule=ns.optim.Cosine(options.epochs))
history = ns.fit(net, sets["train"], sets["valid"], loss=ns.loss.CrossEntropy(), optimizer=optimizer,
                 epochs=options.epochs, batch_size=32, seed=options.seed, watch={"test": sets["test"]})
print(ns.evaluate(net, sets["test"]))
best = history.best()
print(f"epoch {best['epoch'] + 1}: validation {best['valid_accuracy']:.4f}, test {best['test_accuracy']:.4f}")
ns.save(net, out / f"net_seed{options.seed}.h5")
history.save(out / f"history_seed{options.seed}.csv")
