"""Whether a change keeps results bit for bit: nine small trainings, one line of SHA-256 each.

    python tests/benchmarks/same_bytes.py > before.txt      # at the commit before
    python tests/benchmarks/same_bytes.py | diff before.txt -

Each network is trained for four epochs on random sequences of different lengths, with clipping.  The hash is
of its losses, accuracies and parameters and of what it answers in the end.  Hashes are of one machine and one
set of packages: another processor, BLAS or LLVM may round otherwise.  --device reference takes NumPy instead
of the compiled loops.
"""

import argparse
import hashlib

import numpy as np

import numsnn as ns

STEPS, SEQUENCES, CLASSES = 20, 24, 4
FEATURES = 10
PICTURE = (2, 8, 8)


def srnn():
    adaptive = ns.ALIF(16, recurrent=True, tau_adp=30.0, beta=0.5, learn=("tau_mem", "tau_adp"))
    return (ns.Dense(FEATURES, 16), adaptive, ns.Dense(16, 12), ns.LIF(12, recurrent=True, v_threshold=0.4),
            ns.Dense(12, CLASSES), ns.LI(CLASSES, tau_mem=10.0, learn="tau_mem"), ns.OverTime("mean"))


def gru():
    return ns.Dense(FEATURES, 3 * 12), ns.GRU(12), ns.Dense(12, CLASSES), ns.OverTime("last")


def lstm():
    return ns.Dense(FEATURES, 4 * 12), ns.LSTM(12), ns.Dense(12, CLASSES), ns.OverTime("last")


def arlif():
    return ns.Dense(FEATURES, 16), ns.ARLIF(16), ns.Dense(16, CLASSES), ns.OverTime("sum")


def simple_rnn():
    return ns.Dense(FEATURES, 16), ns.SimpleRNN(16), ns.Dense(16, CLASSES), ns.OverTime("last")


def liaf():
    return (ns.Dense(FEATURES, 16), ns.LIAF(16, activation="selu", learn="alpha"),
            ns.BatchNorm(), ns.Dropout(0.2), ns.Dense(16, CLASSES), ns.OverTime("mean"))


def convolutions():
    return (ns.Conv2d(2, 4, 3, padding=1), ns.LIF(), ns.AvgPool2d(2),
            ns.Conv2d(4, 6, 3, padding=1), ns.ALIF(), ns.MaxPool2d(2),
            ns.Flatten(), ns.Dense(6 * 2 * 2, CLASSES), ns.LI(CLASSES), ns.OverTime("mean"))


def conv_arlif():
    return (ns.ConvARLIF2D(2, 4, 3, padding=1), ns.AvgPool2d(2), ns.Dense(4 * 4 * 4, CLASSES),
            ns.OverTime("sum"))


def conv_lstm():
    return (ns.ConvLSTM2D(2, 4, 3, padding=1), ns.AvgPool2d(2), ns.Dense(4 * 4 * 4, CLASSES),
            ns.OverTime("last"))


TRAININGS = {"SRNN": (srnn, FEATURES), "GRU": (gru, FEATURES), "LSTM": (lstm, FEATURES),
             "ARLIF": (arlif, FEATURES), "SimpleRNN": (simple_rnn, FEATURES), "LIAF": (liaf, FEATURES),
             "convolutions": (convolutions, PICTURE), "ConvARLIF2D": (conv_arlif, PICTURE),
             "ConvLSTM2D": (conv_lstm, PICTURE)}


def sequences(shape):
    rng = np.random.default_rng(7)
    x = rng.random((STEPS, SEQUENCES, int(np.prod(shape)))) < 0.3
    labels = rng.integers(0, CLASSES, SEQUENCES)
    return ns.Dataset(x, labels, lengths=rng.integers(STEPS // 2, STEPS + 1, SEQUENCES))


def digest(layers, shape, device):
    net = ns.Network(*layers, seed=3, device=device, input_shape=shape)
    data = sequences(shape)
    optimizer = ns.optim.Adam(1e-2, clip_norm=1.0)
    history = ns.fit(net, data, data, loss=ns.loss.CrossEntropy(), optimizer=optimizer, epochs=4,
                     batch_size=8, progress=False, keep_best=False)
    found = hashlib.sha256()
    for column in ("loss", "valid_accuracy"):
        found.update(np.array(history[column], np.float64).tobytes())
    for array in net.params.values():
        found.update(np.asarray(array).tobytes())
    found.update(net.run(data.x, lengths=data.lengths)[0].tobytes())
    return found.hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", choices=("cpu", "reference"))
    device = parser.parse_args().device
    for name, (layers, shape) in TRAININGS.items():
        print(f"{name:<14} {digest(layers(), shape, device)}", flush=True)


if __name__ == "__main__":
    main()
