"""From training to a microcontroller: the SRNN on ECG waves in whole numbers, as C that runs anywhere.

    python examples/12_microcontroller.py                       on the synthetic sample of data/, a minute
    python examples/12_microcontroller.py --data FOLDER --epochs 400        on the coded QT Database
    python examples/12_microcontroller.py --out FOLDER          where the C goes (default: runs/ecg_c)

Train in floats, train a little more for weights of 4 bits, measure ranges on the training data, write C, and
let the host's compiler prove that the C computes what the network here does.
"""

import argparse
import shutil
import subprocess
from pathlib import Path

import numsnn as ns

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", help="folder with QTDB_train.mat and QTDB_test.mat")
parser.add_argument("--epochs", type=int, default=40)
parser.add_argument("--out", default="runs/ecg_c", help="folder for the C")
options = parser.parse_args()

if options.data:
    train, test = (ns.datasets.qtdb.coded(options.data, part) for part in ("train", "test"))
else:
    print("The data are SYNTHETIC: 256 records made by a model.")
    train = ns.datasets.synthetic.ecg(256, seed=5)
    test = ns.datasets.synthetic.read(Path(__file__).parents[1] / "data" / "ecg_synthetic.h5")
train, valid = train.split(0.1, seed=0)

common = {"tau_mem": 20, "v_threshold": 0.01, "learn": ("tau_mem", "tau_adp")}
net = ns.Network(
    ns.Dense(4, 36), ns.ALIF(36, recurrent=True, tau_adp=7, beta=0.0, **common),
    ns.Dense(36, 6), ns.ALIF(6, output="v", tau_adp=100, beta=1.8, **common), seed=0)


def fit(epochs, rate, **more):
    """Train `net` on."""
    optimizer = ns.optim.Adam(rate, schedule=ns.optim.Cosine(epochs),
                              factors={"alif0.tau_*": 3, "alif1.tau_*": 2})
    ns.fit(net, train, valid, loss=ns.loss.CrossEntropy(), optimizer=optimizer, epochs=epochs,
           batch_size=64 if options.data else 16, **more)


def show(weights):
    """The network in whole numbers, and what it keeps of the accuracy."""
    small = ns.quantise(net, train, weights=weights)
    accuracy = ns.evaluate(small, test, rates=False).accuracy
    print(f"weights of {weights} bits: {100 * accuracy:.2f} % of the test steps right")
    return small


fit(options.epochs, 2e-2)
print(f"floats: {100 * ns.evaluate(net, test, rates=False).accuracy:.2f} % of the test steps right")
small = show(8)
show(4)
written = ns.export_c(small, options.out, name="ecg", calibration=test)
print(small.report)
print(written)

print("Trained a little more for weights of 4 bits:")
fit(max(1, options.epochs // 4), 5e-3, weight_bits=4)
show(4)

if shutil.which("make") and shutil.which("cc"):
    subprocess.run(["make", "-C", options.out, "test"], check=True)
else:
    print("There is no C compiler (make, cc) here that could run the test.")
