"""Spoken digits without recurrence: LIF neurons whose synapses learn their delays.

    python examples/14_learned_delays.py fsdd_recordings.zip [--delays fixed] [--seed 0] [--hold-out theo]

Two layers of LIF neurons behind 140 channels (five of the cochlea's 700 counted as one), between BatchNorm
and Dropout: every synapse has a delay of 0 to 240 ms, a Gaussian over steps of 20 ms that is narrowed from
epoch to epoch.  Then the delays are rounded, and the weights are trained on.  --delays fixed: they stay where
they were drawn, whole from the start; none: there are none.

Data and parts as in 06_spoken_digits.py, which writes the same files of spikes into --out.  The validation
part (recordings 5 to 9 of each speaker and digit, or the speaker that is held out) chooses among the epochs
with rounded delays.  About 15 s an epoch on one thread, a third of it once the delays are whole.
"""

import argparse
from pathlib import Path

import numsnn as ns
from numsnn.datasets import shd, speech
from numsnn.datasets.recordings import Bins

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("data", help="fsdd_recordings.zip, or the folder recordings/")
parser.add_argument("--out", default="runs/spoken_digits", help="folder for the spikes and the network")
parser.add_argument("--epochs", type=int, default=30, help="a third of them with whole delays")
parser.add_argument("--hidden", type=int, default=168)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--hold-out", default="index", help='"index", or a speaker')
parser.add_argument("--delays", default="learned", choices=("learned", "fixed", "none"))
parser.add_argument("--threads", type=int, default=1)
options = parser.parse_args()
CHANNELS, DIGITS, N = 140, 10, options.hidden
STEP = 20e-3                # s; fewer steps than in 06, and fewer lags
LONGEST = 12                # steps
DELAYS = {"learned": ns.Delays(LONGEST), "fixed": ns.Delays(LONGEST, sigma=0), "none": None}

ns.set_num_threads(options.threads)
out = Path(options.out)
out.mkdir(parents=True, exist_ok=True)
sets = {}
for part in ("train", "valid", "test"):
    path = out / f"{part}_{options.hold_out}.h5"
    if not path.exists():
        speech.fsdd_spikes(options.data, path, part, hold_out=options.hold_out)
    sets[part] = shd.layout(path, name=f"spoken digits, {part}").dataset(
        Bins(dt=STEP, counts=True), prepare=lambda events: events.pool(5), memory=True)


def delayed(n_in):
    return [ns.Dense(n_in, N, delays=DELAYS[options.delays], bias=False), ns.BatchNorm(momentum=0.1),
            ns.LIF(N, tau_mem=2, surrogate={"name": "atan", "alpha": 5.0}), ns.Dropout(0.4, per_step=True)]


net = ns.Network(
    *delayed(CHANNELS), *delayed(N), ns.Dense(N, DIGITS), ns.LI(DIGITS, tau_mem=10, learn="tau_mem"),
    ns.OverTime("sum", of="softmax"), seed=options.seed)
print(net.summary())

learned = options.delays == "learned"
FACTORS = {"*.delay": 100} if learned else None


def train(epochs, rate, **more):
    optimizer = ns.optim.Adam(rate, schedule=ns.optim.Cosine(epochs), factors=FACTORS)
    return ns.fit(net, sets["train"], sets["valid"], loss=ns.loss.CrossEntropy(), optimizer=optimizer,
                  epochs=epochs, batch_size=32, seed=options.seed, watch={"test": sets["test"]}, **more)


wide = options.epochs * 2 // 3
train(wide, 2e-3, keep_best=False, callbacks=[ns.AnnealDelays(over=wide)] if learned else [])
for name in ("dense0", "dense1") if learned else ():
    net.layers[name].round_delays()
history = train(options.epochs - wide, 1e-3)
print(ns.evaluate(net, sets["test"]))
best = history.best()
print(f"epoch {wide + best['epoch'] + 1}: validation {best['valid_accuracy']:.4f}, "
      f"test {best['test_accuracy']:.4f}")
ns.save(net, out / f"{options.delays}_seed{options.seed}.h5")
