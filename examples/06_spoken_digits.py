"""Spoken digits through a cochlea: sound -> spikes in the layout of SHD -> a recurrent spiking network.

    python examples/06_spoken_digits.py fsdd_recordings.zip [--neuron csilif] [--seed 0] [--hold-out theo]

The network says which digit it is: 128 recurrent ALIF neurons, or with --neuron later ones in fewer weights
behind 140 channels (five of the cochlea's 700 counted as one): 128 recurrent SE-adLIF neurons, or two layers
of 128 SiLIF or CSiLIF neurons without recurrence, between BatchNorm and Dropout as in their paper.

Free Spoken Digits (data/README.md), a zip file or the folder recordings/, published split; half a minute for
the spikes, then seconds an epoch.  Recordings 5 to 9 of each speaker and digit choose the epoch.  --hold-out
SPEAKER keeps a speaker out of training instead: the validation accuracy is then that of a voice never heard.
"""

import argparse
from pathlib import Path

import numsnn as ns
from numsnn.datasets import shd, speech
from numsnn.datasets.recordings import Bins

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("data", help="fsdd_recordings.zip, or the folder recordings/")
parser.add_argument("--neuron", default="alif", choices=("alif", "adlif", "silif", "csilif"))
parser.add_argument("--out", default="runs/spoken_digits", help="folder for the spikes and the network")
parser.add_argument("--epochs", type=int, default=25)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--hold-out", default="index", help='"index", or a speaker')
options = parser.parse_args()
UNITS, DIGITS, N = 700, 10, 128
POOLED = 1 if options.neuron == "alif" else 5
CHANNELS = UNITS // POOLED


def alif():
    return [ns.Dense(CHANNELS, N),
            ns.ALIF(N, recurrent=True, tau_mem=10, tau_adp=50, v_threshold=0.1, learn=("tau_mem", "tau_adp"))]


def adlif():
    """Time constants in steps of 10 ms; the paper's q = 120 is for steps of 1 ms."""
    fan_in = ("uniform", -CHANNELS ** -0.5, CHANNELS ** -0.5)
    bounds = {"tau_mem": (1, 6), "tau_adp": (6, 60)}
    neurons = ns.AdLIF(
        N, recurrent=True, recurrent_bias_init=False, detach_reset=True, q=12.0, bounds=bounds,
        learn=("tau_mem", "tau_adp", "a", "b"), tau_mem=ns.init.uniform(*bounds["tau_mem"]),
        tau_adp=ns.init.uniform(*bounds["tau_adp"]), a=ns.init.uniform(0, 1), b=ns.init.uniform(0, 2))
    return [ns.Dense(CHANNELS, N, weight=fan_in, bias=fan_in), neurons, ns.Dropout(0.3, per_step=True)]


def without_recurrence(make):
    def layer(n_in):
        return [ns.Dense(n_in, N, weight="xavier_uniform", bias=False), ns.BatchNorm(momentum=0.05), make(),
                ns.Dropout(0.5, per_step=True)]

    return layer(CHANNELS) + layer(N)


def silif():
    return without_recurrence(lambda: ns.SiLIF(
        N, init_state="uniform", learn=("tau_mem", "tau_adp", "pace", "a", "b"),
        tau_mem=ns.init.log_uniform(1, 25), tau_adp=ns.init.log_uniform(10, 100), a=ns.init.uniform(0, 1),
        b=ns.init.uniform(0, 2)))


def csilif():
    return without_recurrence(lambda: ns.CSiLIF(
        N, init_state="uniform", learn=("omega", "damping", "pace", "b"),
        pace=ns.init.log_uniform(0.01, 0.5), b=ns.init.uniform(0, 1)))


HIDDEN = {"alif": alif, "adlif": adlif, "silif": silif, "csilif": csilif}

out = Path(options.out)
out.mkdir(parents=True, exist_ok=True)
sets = {}
for part in ("train", "valid", "test"):
    path = out / f"{part}_{options.hold_out}.h5"
    if not path.exists():
        n = speech.fsdd_spikes(options.data, path, part, hold_out=options.hold_out)
        print(f"{path}: {n} recordings")
    sets[part] = shd.layout(path, name=f"spoken digits, {part}").dataset(
        Bins(dt=10e-3, counts=POOLED > 1), prepare=lambda events: events.pool(POOLED), memory=True)
    print(sets[part])

net = ns.Network(*HIDDEN[options.neuron](), ns.Dense(N, DIGITS), ns.LI(DIGITS, tau_mem=10, learn="tau_mem"),
                 ns.OverTime("sum", of="softmax"), seed=options.seed)
print(net.summary())
optimizer = ns.optim.Adam(5e-3, schedule=ns.optim.Cosine(options.epochs))
history = ns.fit(net, sets["train"], sets["valid"], loss=ns.loss.CrossEntropy(), optimizer=optimizer,
                 epochs=options.epochs, batch_size=32, seed=options.seed, watch={"test": sets["test"]})
print(ns.evaluate(net, sets["test"]))
best = history.best()
print(f"epoch {best['epoch'] + 1}: validation {best['valid_accuracy']:.4f}, test {best['test_accuracy']:.4f}")
ns.save(net, out / f"{options.neuron}_seed{options.seed}.h5")
history.save(out / f"{options.neuron}_seed{options.seed}.csv")
