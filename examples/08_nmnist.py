"""Spiking convolutions on an event camera: ConvLIAF, ConvLIF, ConvALIF, ConvARLIF2D and ConvLSTM2D on 960
recordings of N-MNIST, five-fold.

    python examples/08_nmnist.py FOLDER_OR_ZIP [--neurons liaf lif alif arlif lstm-half]
                                 [--epochs 20] [--seed 0] [--quick]

lstm-half is the ConvLSTM2D with half the channels, nearest to the others in weights; lstm, with all of them,
takes 20 times as long as ConvLIAF.  Events are binned to 20 steps of 15 ms (one bit per pixel and polarity);
16C5-AP2-32C3-AP2-FC10, the mean over time decides.  Every recording is tested once, by the network of the
four folds that it is not in, after the last epoch: nothing is chosen on test data.  Training recordings are
shifted by up to two pixels.  --quick: two folds of 60 recordings for one epoch, to see that it runs; without
a folder on made-up events.
"""

import argparse

import numpy as np

import numsnn as ns
from numsnn.datasets import cameras
from numsnn.datasets.recordings import Bins, framed

NAMES = {"liaf": "ConvLIAF", "lif": "ConvLIF", "alif": "ConvALIF", "arlif": "ConvARLIF2D",
         "lstm-half": "ConvLSTM2D, half the channels", "lstm": "ConvLSTM2D"}
FRAME = Bins(dt=15e-3, steps=20)


def cell(kind, channels_in, filters, kernel):
    """A convolution and its neurons.

    LIAF and LIF are one model with one leak and threshold; LIAF sends relu(u - threshold), LIF its spikes.
    """
    if kind == "arlif":
        return (ns.ConvARLIF2D(channels_in, filters, kernel),)
    if kind in ("lstm", "lstm-half"):
        return (ns.ConvLSTM2D(channels_in, filters, kernel),)
    if kind == "alif":
        channel = ("tau_mem", "tau_adp")
        neurons = ns.ALIF(tau_mem=3.0, tau_adp=20.0, beta=0.2, v_threshold=0.15, learn=channel,
                          per_channel=channel)
    else:
        neurons = ns.LIAF(alpha=0.5, v_threshold=0.5, output={"liaf": "analog", "lif": "spike"}[kind])
    return ns.Conv2d(channels_in, filters, kernel), neurons


def network(kind, seed):
    n = 8 if kind == "lstm-half" else 16
    return ns.Network(
        *cell(kind, 2, n, 5), ns.AvgPool2d(2), *cell(kind, n, 2 * n, 3), ns.AvgPool2d(2),
        ns.Dense(2 * n * 6 * 6, 10), ns.OverTime("mean"), input_shape=(2, 34, 34), seed=seed)


def made_up(n=120):
    """Bars that move: the label is the direction, as far as there are eight."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 10, n)
    t = np.sort(rng.integers(0, 300_000, (n, 400)), 1)
    along, across = t / 300_000 * 33, rng.integers(0, 34, t.shape)
    upright = label[:, None] % 2
    x, y = np.where(upright, along, across), np.where(upright, across, along)
    offsets = np.concatenate(([0], np.cumsum(np.full(n, 400))))
    events = ns.Events(t.ravel(), x=x.ravel().astype(int), y=y.ravel().astype(int),
                       p=np.repeat(label // 5, 400), shape=(2, 34, 34), offsets=offsets, tick=1e-6)
    return events, label


def load(folder):
    """(events of all recordings, labels)."""
    if folder is None:
        return made_up()
    items = [item for part in ("train", "test") for item in cameras.nmnist(folder, part).items]
    return ns.Events.concatenate([item.read() for item in items]), np.array([item.label for item in items])


def dataset(events, labels, pick, name, augment=None):
    recordings = framed(lambda samples: events[pick[samples]], len(pick), events.shape, FRAME, None, augment)
    return ns.Dataset(recordings, labels[pick], classes=cameras.DIGITS, name=name)


def trained(kind, train, seed, options, epochs):
    """(network after the last epoch, seconds of each epoch)."""
    net = network(kind, seed)
    optimizer = ns.optim.Adam(2e-3, schedule=ns.optim.Cosine(epochs))
    history = ns.fit(net, train, loss=ns.loss.CrossEntropy(), optimizer=optimizer, epochs=epochs,
                     batch_size=32, seed=options.seed, progress=False)
    return net, history["seconds"]


parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
parser.add_argument("folder", nargs="?")
parser.add_argument("--neurons", nargs="+", choices=tuple(NAMES), default=tuple(NAMES)[:-1])
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--quick", action="store_true")
options = parser.parse_args()
if options.folder is None and not options.quick:
    parser.error("name the folder or zip file of the N-MNIST subset, or add --quick")

events, labels = load(options.folder)
if options.quick:
    pick = np.random.default_rng(0).permutation(len(labels))[:120]
    events, labels = events[pick], labels[pick]
n_folds, epochs = (2, 1) if options.quick else (5, options.epochs)
fold = ns.datasets.stratified(labels, n_folds, np.random.default_rng(options.seed))
print(f"{len(labels)} recordings, {n_folds} folds, {epochs} epochs, seed {options.seed}")
print("| network | parameters | test accuracy, mean and standard deviation over folds | folds "
      "| spikes per neuron and step | energy, uJ | s / epoch |\n" + "| --- " * 7 + "|", flush=True)
for kind in options.neurons:
    accuracies, rates, seconds = [], [], []
    for f in range(n_folds):
        train = dataset(events, labels, np.flatnonzero(fold != f), "train", lambda e, rng: e.moved(2, rng))
        test = dataset(events, labels, np.flatnonzero(fold == f), "test")
        net, spent = trained(kind, train, options.seed + f, options, epochs)
        found = ns.evaluate(net, test)
        accuracies.append(found.accuracy)
        rates.append([facts["rate"] for facts in found.rates.values()])
        seconds += spent
    energy = ns.energy.operations(net, test[:64].x).per_inference.energy(ns.energy.FP32) * 1e-6
    by_fold = ", ".join(f"{accuracy:.3f}" for accuracy in accuracies)
    by_layer = ", ".join(f"{rate:.3f}" for rate in np.mean(rates, 0)) or "-"
    print(f"| {NAMES[kind]} | {net.n_params:,} | {np.mean(accuracies):.4f} ± {np.std(accuracies):.4f} "
          f"| {by_fold} | {by_layer} | {energy:.1f} | {np.median(seconds):.1f} |", flush=True)
