"""Trains the networks of this folder and measures them in whole numbers.

    python data/models/make.py FOLDER [--only srnn-ecg|srnn-ecg-int4|spoken-digits|mnist-liaf]

FOLDER holds qtdb_coded/, fsdd/fsdd_recordings.zip and mnist/ (data/README.md says where they come from).
Each network gets NAME.h5 and NAME.json: bytes, operations, saturations, and the test accuracy in floats and
in whole numbers.  The same seed gives the same numbers on one machine; some minutes each on one thread.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numsnn as ns
from numsnn.datasets import mnist, qtdb, speech
from numsnn.formats.whole import write_text
from numsnn.signals.audio import log_mel

HERE = Path(__file__).parent
RATE, MELS = 8000, 24


def srnn_ecg(folder, path):
    """The recipe of that name: waves of an ECG from its level crossings, seed 5."""
    folder = folder / "qtdb_coded"
    with tempfile.TemporaryDirectory() as out:
        subprocess.run([sys.executable, "-m", "numsnn", "train", "srnn-ecg", "--data", folder, "--seed", "5",
                        "--threads", "1", "--out", out], check=True)
        shutil.copyfile(Path(out, "checkpoint.h5"), path)
    return qtdb.coded(folder, "train"), qtdb.coded(folder, "test")


def srnn_ecg_int4(folder, path):
    """The network before, trained on with weights of 4 bits; of several rates the best on validation."""
    train, test = (qtdb.coded(folder / "qtdb_coded", part) for part in ("train", "test"))
    net = ns.load(HERE / "srnn-ecg.h5")
    fit(net, *train.split(0.1, 5), epochs=40, rate=0.015, batch=64, seed=5, weight_bits=4,
        factors={"alif0.tau_*": 3.0, "alif1.tau_*": 2.0})
    ns.save(net, path)
    return train, test


def digits(folder, part):
    """Free Spoken Digits as log-mel features: frames of 16 ms."""
    recordings = list(speech.fsdd(folder / "fsdd" / "fsdd_recordings.zip", part, hold_out="index"))
    features = [log_mel(recording.signal, RATE, MELS, window=0.032, hop=0.016, deltas=0, rescale=False)
                for recording in recordings]
    return ns.Dataset.from_samples(features, [recording.label for recording in recordings])


def spoken_digits(folder, path):
    """Which digit was said: 128 recurrent ALIF neurons that read log-mel features."""
    train, valid, test = (digits(folder, part) for part in ("train", "valid", "test"))
    net = ns.Network(
        ns.Dense(MELS, 128),
        ns.ALIF(128, recurrent=True, tau_mem=5, tau_adp=30, v_threshold=0.5, beta=0.5,
                learn=("tau_mem", "tau_adp")),
        ns.Dense(128, 10), ns.LI(10, tau_mem=10, learn="tau_mem"), ns.OverTime("mean"), seed=0)
    fit(net, train, valid, epochs=40, rate=5e-3, batch=32)
    ns.save(net, path)
    return train, test


def mnist_liaf(folder, path):
    """Handwritten digits, shown for 4 steps: two strided convolutions with LIAF neurons."""
    train, test = (mnist.still(folder / "mnist", part, steps=1) for part in ("train", "test"))
    rest, valid = train.split(1 / 12, seed=0)
    neurons = {"alpha": 0.3, "v_threshold": 0.5, "activation": "relu"}
    net = ns.Network(
        ns.Conv2d(1, 8, 5, stride=2), ns.Repeat(4), ns.LIAF((8, 12, 12), **neurons),
        ns.Conv2d(8, 16, 3, stride=2), ns.LIAF((16, 5, 5), **neurons),
        ns.Dense(400, 10), ns.OverTime("mean"), input_shape=(1, 28, 28), seed=0)
    fit(net, rest, valid, epochs=12, rate=3e-3, batch=64)
    ns.save(net, path)
    return train, test


def fit(net, train, valid, *, epochs, rate, batch, seed=0, factors=None, **more):
    """Adam with a cosine; the epoch is chosen by the validation part."""
    optimizer = ns.optim.Adam(rate, schedule=ns.optim.Cosine(epochs), factors=factors)
    ns.fit(net, train, valid, loss=ns.loss.CrossEntropy(), optimizer=optimizer, epochs=epochs,
           batch_size=batch, seed=seed, **more)


def measured(net, train, test):
    """The reports of 8 and of 4 bits, with the accuracy on the test part."""
    found = {"test_sequences": len(test), "test_accuracy": accuracy(net, test)}
    for bits in (8, 4):
        small = ns.quantise(net, train, weights=bits)
        print(small.report, end="\n\n")
        found[f"int{bits}"] = {"test_accuracy": accuracy(small, test), **json.loads(small.report.as_json())}
    return found


def accuracy(net, test):
    return round(ns.evaluate(net, test, rates=False).accuracy, 4)


MODELS = {"srnn-ecg": srnn_ecg, "srnn-ecg-int4": srnn_ecg_int4, "spoken-digits": spoken_digits,
          "mnist-liaf": mnist_liaf}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=MODELS)
    options = parser.parse_args()
    ns.set_num_threads(1)
    for name, make in MODELS.items():
        if options.only in (None, name):
            path = HERE / f"{name}.h5"
            train, test = make(options.folder, path)
            found = measured(ns.load(path), train, test)
            write_text(path.with_suffix(".json"), json.dumps(found, indent=1) + "\n")
            said = [found[kind]["test_accuracy"] for kind in ("int8", "int4")]
            print(f"{name}: {path.stat().st_size:,} bytes, test accuracy {found['test_accuracy']}, with "
                  f"weights of 8 bits {said[0]}, of 4 {said[1]}")


if __name__ == "__main__":
    main()
