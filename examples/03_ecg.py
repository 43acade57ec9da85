"""The SRNN on ECG waves, in plain Python: data, network, training, evaluation, and a stream of single steps.

    python examples/03_ecg.py                                   on the synthetic sample of data/, a minute
    python examples/03_ecg.py --data FOLDER --epochs 400        on the coded QT Database (data/README.md says
    where it is)
"""

import argparse
from pathlib import Path

import numsnn as ns

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", help="folder with QTDB_train.mat and QTDB_test.mat")
parser.add_argument("--epochs", type=int, default=40)
options = parser.parse_args()

if options.data:
    train, test = (ns.datasets.qtdb.coded(options.data, part) for part in ("train", "test"))
else:
    print("The data are SYNTHETIC: 256 records made by a model.")
    train = ns.datasets.synthetic.ecg(256, seed=5)
    test = ns.datasets.synthetic.read(Path(__file__).parents[1] / "data" / "ecg_synthetic.h5")
train, valid = train.split(0.1, seed=0)
print(train, test, sep="\n")

common = {"tau_mem": 20, "v_threshold": 0.01, "learn": ("tau_mem", "tau_adp"), "init_state": "author"}
net = ns.Network(
    ns.Dense(4, 36), ns.ALIF(36, recurrent=True, tau_adp=7, beta=0.0, **common),
    ns.Dense(36, 6), ns.ALIF(6, output="v", tau_adp=100, beta=1.8, **common), seed=0)
optimizer = ns.optim.Adam(2e-2, schedule=ns.optim.Cosine(options.epochs),
                          factors={"alif0.tau_*": 3, "alif1.tau_*": 2})
history = ns.fit(net, train, valid, loss=ns.loss.CrossEntropy(), optimizer=optimizer, epochs=options.epochs,
                 batch_size=64 if options.data else 16)

print(ns.evaluate(net, test))
_, _, seen = net.run(test.x, record="rate")
print(net.summary(seen))
Path("runs").mkdir(exist_ok=True)
ns.save(net, "runs/ecg.h5")

# On a device the signal comes step by step; the state is all there is to keep.
net, state, right = ns.load("runs/ecg.h5"), None, 0
stream = test.x.select([0]).dense()
for t in range(len(stream)):
    y, state = net.step(stream[t], state)
    right += int(y[0].argmax() == test.y[t, 0])
print(f"streamed, one step at a time: {100 * right / len(stream):.1f} % of the steps of one record right")
