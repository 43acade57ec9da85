"""Trains the networks of this folder and measures them.

    python data/models/make.py FOLDER [--only NAME] [--runs RUNS] [--measure]

FOLDER holds qtdb_coded/, fsdd/fsdd_recordings.zip and mnist/ (data/README.md says where they come from).
Each network gets NAME.h5, NAME.json (bytes, operations, saturations, and the test accuracy in floats and in
whole numbers), a row in numsnn/models/table.json and one in README.md.  The same seed gives the same numbers
on one machine; some minutes each on one thread, an hour for smnist-brf and psmnist-brf.  RUNS: where the
trainings of recipes go; one that is finished there is taken as it is.  --measure: train nothing.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numsnn as ns
from numsnn import energy, recipes
from numsnn.datasets import mnist, qtdb, speech
from numsnn.formats.whole import write_text
from numsnn.signals.audio import log_mel

HERE = Path(__file__).parent
TABLE = HERE.parents[1] / "numsnn" / "models" / "table.json"
MARKS = "<!-- written by make.py -->", "<!-- to here -->"
RATE, MELS, CALIBRATION = 8000, 24, 1000


class Made(NamedTuple):
    """How a network is made: train(folder of data, path, runs), data(folder) -> (train, test); in words.

    whole: test sequences on which whole numbers are measured, where all of them would take hours.
    """
    train: Callable
    data: Callable
    task: str
    network: str
    command: str
    whole: int | None = None


def of_recipe(name, seed, task, network, where, whole=None):
    """The network of a recipe.  where: its data in the folder of data."""
    def train(folder, path, runs):
        out = runs / f"{name}-seed{seed}"
        if not (out / "report.md").is_file():
            subprocess.run([sys.executable, "-m", "numsnn", "train", name, "--data", folder / where, "--seed",
                            str(seed), "--threads", "1", "--out", out], check=True)
        ns.save(ns.load(out / "checkpoint.h5"), path)

    def data(folder):
        recipe = recipes.get(name)
        found = recipe.data(folder / where, seed, recipe.options)
        return found.train, found.test

    return Made(train, data, task, network, f"numsnn train {name} --data {where} --seed {seed}", whole)


def of_this_file(train, data, name, task, network):
    return Made(train, data, task, network, f"python data/models/make.py FOLDER --only {name}")


def ecg(folder):
    return tuple(qtdb.coded(folder / "qtdb_coded", part) for part in ("train", "test"))


def srnn_ecg_int4(folder, path, runs):
    """The network before, trained on with weights of 4 bits; of several rates the best on validation."""
    train, _ = ecg(folder)
    net = ns.load(HERE / "srnn-ecg.h5")
    fit(net, *train.split(0.1, 5), epochs=40, rate=0.015, batch=64, seed=5, weight_bits=4,
        factors={"alif0.tau_*": 3.0, "alif1.tau_*": 2.0})
    ns.save(net, path)


def digits(folder, part):
    """Free Spoken Digits as log-mel features: frames of 16 ms."""
    recordings = list(speech.fsdd(folder / "fsdd" / "fsdd_recordings.zip", part, hold_out="index"))
    features = [log_mel(recording.signal, RATE, MELS, window=0.032, hop=0.016, deltas=0, rescale=False)
                for recording in recordings]
    return ns.Dataset.from_samples(features, [recording.label for recording in recordings])


def spoken(folder):
    return digits(folder, "train"), digits(folder, "test")


def spoken_digits(folder, path, runs):
    """Which digit was said: 128 recurrent ALIF neurons that read log-mel features."""
    train, valid = digits(folder, "train"), digits(folder, "valid")
    net = ns.Network(
        ns.Dense(MELS, 128),
        ns.ALIF(128, recurrent=True, tau_mem=5, tau_adp=30, v_threshold=0.5, beta=0.5,
                learn=("tau_mem", "tau_adp")),
        ns.Dense(128, 10), ns.LI(10, tau_mem=10, learn="tau_mem"), ns.OverTime("mean"), seed=0)
    fit(net, train, valid, epochs=40, rate=5e-3, batch=32)
    ns.save(net, path)


def still(folder):
    return tuple(mnist.still(folder / "mnist", part, steps=1) for part in ("train", "test"))


def mnist_liaf(folder, path, runs):
    """Handwritten digits, shown for 4 steps: two strided convolutions with LIAF neurons."""
    train, _ = still(folder)
    rest, valid = train.split(1 / 12, seed=0)
    neurons = {"alpha": 0.3, "v_threshold": 0.5, "activation": "relu"}
    net = ns.Network(
        ns.Conv2d(1, 8, 5, stride=2), ns.Repeat(4), ns.LIAF((8, 12, 12), **neurons),
        ns.Conv2d(8, 16, 3, stride=2), ns.LIAF((16, 5, 5), **neurons),
        ns.Dense(400, 10), ns.OverTime("mean"), input_shape=(1, 28, 28), seed=0)
    fit(net, rest, valid, epochs=12, rate=3e-3, batch=64)
    ns.save(net, path)


def fit(net, train, valid, *, epochs, rate, batch, seed=0, factors=None, **more):
    """Adam with a cosine; the epoch is chosen by the validation part."""
    optimizer = ns.optim.Adam(rate, schedule=ns.optim.Cosine(epochs), factors=factors)
    ns.fit(net, train, valid, loss=ns.loss.CrossEntropy(), optimizer=optimizer, epochs=epochs,
           batch_size=batch, seed=seed, **more)


def measured(net, train, test, whole):
    """The reports of 8 and of 4 bits, with the accuracy on the test part."""
    found = {"test_sequences": len(test), "test_accuracy": accuracy(net, test)}
    some = test if whole is None else test[:whole]
    for bits in (8, 4):
        small = ns.quantise(net, train[:min(len(train), CALIBRATION)], weights=bits)
        print(small.report, end="\n\n")
        found[f"int{bits}"] = {"test_sequences": len(some), "test_accuracy": accuracy(small, some),
                              **json.loads(small.report.as_json())}
    return found


def accuracy(net, test):
    return round(ns.evaluate(net, test, rates=False).accuracy, 4)


def row(made, net, path, test, found):
    """What table.json says of a network."""
    counted = energy.table(net, test)
    rates = {layer.name: round(layer.rate, 4) for layer in counted.layers
             if isinstance(net.layers[layer.name], ns.Population) and layer.rate is not None}
    return {"task": made.task, "network": made.network, "parameters": net.n_params,
            "test_accuracy": found["test_accuracy"], "spikes": rates,
            "energy": round(counted.energy() / counted.steps / 1000, 3),
            "int8_accuracy": found["int8"]["test_accuracy"],
            "int4_accuracy": found["int4"]["test_accuracy"], "constants": found["int8"]["constants"],
            "command": made.command, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "size": path.stat().st_size}


def as_markdown(table):
    """The table of README.md."""
    head = ("| name | task | network | parameters | test accuracy: floats | 8 bits | 4 bits "
            "| constants, 8 and 4 bits | state | spikes per neuron and step "
            "| energy, nJ a step | made by |")
    lines = [head, "| --- " * (head.count("|") - 1) + "|"]
    for name, about in table.items():
        small = json.loads((HERE / f"{name}.json").read_text())
        eight, four = small["int8"], small["int4"]
        rates = ", ".join(f"{rate:.3f}" for rate in about["spikes"].values())
        cells = (f"`{name}`", about["task"], about["network"], f"{about['parameters']:,}",
                 *(f"{of['test_accuracy']:.4f}" for of in (small, eight, four)),
                 f"{eight['constants']:,} and {four['constants']:,}", f"{eight['state']:,}",
                 rates or "analog", f"{about['energy']:.3g}", f"`{about['command']}`")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def write_table(table):
    write_text(TABLE, json.dumps(table, indent=1) + "\n")
    page = HERE / "README.md"
    before, rest = page.read_text().split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    write_text(page, f"{before}{MARKS[0]}\n{as_markdown(table)}\n{MARKS[1]}{after}")


ECG, DIGITS = "QT Database, level-crossing coded, 1300 steps", "MNIST pixel by pixel, 784 steps"
MODELS = {
    "srnn-ecg": of_recipe("srnn-ecg", 5, ECG, "4-36r-6 ALIF", "qtdb_coded"),
    "srnn-ecg-int4": of_this_file(srnn_ecg_int4, ecg, "srnn-ecg-int4", ECG,
                                  "the same, trained on by `fit(weight_bits=4)`"),
    "ecg-adlif": of_recipe("ecg-adlif", 0, ECG, "4-36r-6, SE-adLIF and LI", "qtdb_coded"),
    "ecg-brf": of_recipe("ecg-brf", 0, ECG, "4-36r-6, BRF and LI", "qtdb_coded"),
    "ecg-rf": of_recipe("ecg-rf", 0, ECG, "4-36r-6, RF and LI", "qtdb_coded"),
    "smnist-brf": of_recipe("smnist-brf", 0, DIGITS, "1-256r-10, BRF and LI", "mnist", 1000),
    "psmnist-brf": of_recipe("psmnist-brf", 0, f"{DIGITS}, permuted", "1-256r-10, BRF and LI", "mnist",
                             1000),
    "spoken-digits": of_this_file(spoken_digits, spoken, "spoken-digits",
                                  "Free Spoken Digits, log-mel, frames of 16 ms", "24-128r-10, ALIF and LI"),
    "mnist-liaf": of_this_file(mnist_liaf, still, "mnist-liaf", "MNIST, an image stands still",
                               "8C5s2-16C3s2-10, LIAF, 4 steps")}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=MODELS, action="append")
    parser.add_argument("--runs", type=Path, default=Path(tempfile.gettempdir()) / "numsnn-models")
    parser.add_argument("--measure", action="store_true", help="train nothing, measure what is there")
    options = parser.parse_args()
    ns.set_num_threads(1)
    for name, made in MODELS.items():
        if options.only is None or name in options.only:
            path = HERE / f"{name}.h5"
            if not options.measure:
                made.train(options.folder, path, options.runs)
            train, test = made.data(options.folder)
            net = ns.load(path)
            found = measured(net, train, test, made.whole)
            write_text(HERE / f"{name}.json", json.dumps(found, indent=1) + "\n")
            table = json.loads(TABLE.read_text()) if TABLE.is_file() else {}
            table[name] = row(made, net, path, test, found)
            write_table({known: table[known] for known in MODELS if known in table})


if __name__ == "__main__":
    main()
