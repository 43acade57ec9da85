"""A trained network gets used to a new patient while it listens: e-prop on a stream, the readout only.

    python examples/15_new_patient.py qtdb_records.zip      raw records of the QT Database (data/README.md)
    python examples/15_new_patient.py --quick               synthetic ECG, one record

The network `srnn-ecg` labels the waves of an ECG.  For each record of the test part, patients it never saw, a
copy of it hears the first half step by step, with the labels of a cardiologist; every so many steps the
readout's weights and time constants are updated.  Nothing is kept of a step but traces: memory is the same
after an hour as after a second.  Then both networks label the second half.
"""

import argparse

import numpy as np

import numsnn as ns
from numsnn.datasets import qtdb

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("data", nargs="?", help="folder or zip file of records")
parser.add_argument("--quick", action="store_true", help="synthetic ECG: says nothing of patients")
parser.add_argument("--lr", type=float, default=1e-2)
parser.add_argument("--every", type=int, default=50, help="steps between updates")
options = parser.parse_args()
if options.data is None and not options.quick:
    parser.error("name the records, or add --quick")

READOUT = ("dense1.", "alif1.")
OVERLAP = qtdb.STEPS - qtdb.STRIDE          # steps that a sequence shares with the one before it


def adapted(records):
    """The network after it has heard some sequences of a patient, one after the other."""
    net = ns.models.load("srnn-ecg")
    trace, optimizer = ns.rules.EProp(net), ns.optim.SGD(options.lr)
    x, heard = records.x.dense(), 0
    labelled = records.mask if records.labelled is None else records.mask & records.labelled
    for b in range(len(records)):
        for t in range(OVERLAP if b else 0, len(x)):
            trace.step(x[t, b:b + 1], records.y[t, b:b + 1] if labelled[t, b] else None)
            heard += 1
            if heard % options.every == 0:
                grads = trace.gradients()
                own = {name: d / options.every for name, d in grads.items() if name.startswith(READOUT)}
                optimizer.update(net.params, own)
    return net


def right(net, records):
    """The part of the labelled steps that it labels so."""
    seen = ns.evaluate(net, records)
    return seen.accuracy if seen.accuracy_labelled is None else seen.accuracy_labelled


def halves(data):
    """(record, its first sequences, its last ones, which share no step) of each that is long enough."""
    for name in np.unique(data.groups):
        of = np.flatnonzero(data.groups == name)
        if len(of) >= 4:
            yield name, data[of[:len(of) // 2]], data[of[len(of) // 2 + 1:]]


if options.quick:
    data = ns.datasets.synthetic.ecg(4, seed=2, part="test")
    cases = [("synthetic", data[:2], data[2:])]
else:
    data = qtdb.raw(options.data, "test", unit="range")
    cases = list(halves(data))
before, after = [], []
for name, first, last in cases:
    before.append(right(ns.models.load("srnn-ecg"), last))
    after.append(right(adapted(first), last))
    print(f"{name}: {len(first)} sequences heard; of the last {len(last)} right {before[-1]:.4f}, "
          f"now {after[-1]:.4f}", flush=True)
print(f"mean of {len(cases)} records: {np.mean(before):.4f} before, {np.mean(after):.4f} after; "
      f"better in {sum(np.greater(after, before))}")
