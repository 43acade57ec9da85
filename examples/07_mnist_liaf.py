"""Analog and spiking convolutional networks side by side on still images (LIAF-Net): MNIST shown for 10
steps, 16C3-AP2-32C3-AP2-FC10.

    python examples/07_mnist_liaf.py FOLDER [--neuron liaf|lif] [--epochs 4] [--seed 0] [--quick]

The image goes in once: its convolution is computed once, and Repeat(10) shows the result for 10 steps.
FOLDER holds the four IDX files of MNIST (data/README.md).  The epoch is chosen on 5000 training images that
are held out.  --quick trains on 1280 images for one epoch, to see that it runs; without FOLDER it does so on
images of noise.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

import numsnn as ns
from numsnn.datasets import mnist
from numsnn.formats import idx


def network(neuron, seed):
    """Both leak alike and have the same threshold; LIAF sends relu(u - threshold), LIF sends its spikes."""
    def neurons(shape):
        if neuron == "liaf":
            return ns.LIAF(shape, alpha=0.3, v_threshold=0.5, activation="relu")
        return ns.LIAF(shape, alpha=0.3, v_threshold=0.5, output="spike", name=f"lif{shape[0]}")

    return ns.Network(
        ns.Conv2d(1, 16, 3), ns.Repeat(10), neurons((16, 26, 26)), ns.AvgPool2d(2),
        ns.Conv2d(16, 32, 3), neurons((32, 11, 11)), ns.AvgPool2d(2),
        ns.Dense(32 * 5 * 5, 10), ns.OverTime("mean"), input_shape=(1, 28, 28), seed=seed)


def noise(folder):
    """Files of the form of MNIST that hold nothing to learn."""
    rng = np.random.default_rng(0)
    for part, n in (("train", 2560), ("t10k", 256)):
        images = rng.integers(0, 256, (n, 28, 28)).astype(np.uint8)
        labels = rng.integers(0, 10, n).astype(np.uint8)
        idx.write(Path(folder) / f"{part}-images-idx3-ubyte", images)
        idx.write(Path(folder) / f"{part}-labels-idx1-ubyte", labels)
    return folder


parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
parser.add_argument("folder", nargs="?")
parser.add_argument("--neuron", choices=("liaf", "lif"), default="liaf")
parser.add_argument("--epochs", type=int, default=4)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--quick", action="store_true")
options = parser.parse_args()
if options.folder is None and not options.quick:
    parser.error("name the folder of MNIST, or add --quick")

folder = options.folder or noise(tempfile.mkdtemp())
train, test = (mnist.still(folder, part, steps=1) for part in ("train", "test"))
epochs, held_out = (1, 0.5) if options.quick else (options.epochs, 1 / 12)
if options.quick:
    train = train[:1280]
train, valid = train.split(held_out, options.seed)

net = network(options.neuron, options.seed)
print(net.summary(), end="\n\n")
optimizer = ns.optim.Adam(2e-3, schedule=ns.optim.Cosine(epochs))
ns.fit(net, train, valid, loss=ns.loss.CrossEntropy(), optimizer=optimizer, epochs=epochs, batch_size=64,
       seed=options.seed, watch={"test": test[:1000]})
print(ns.evaluate(net, test))
