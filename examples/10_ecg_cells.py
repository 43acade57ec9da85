"""ECG wave labelling (QT Database, the authors' coding): the SRNN beside other recurrent layers of 36 units
in the same place.

    python examples/10_ecg_cells.py FOLDER [--epochs 400] [--seed 0] [--quick]
        [--cells srnn lif relu rnn gru lstm bilstm arlif gru-21 lstm-18 bilstm-12]

A table with accuracy, parameters, firing rate and energy per step (both constant sets of the papers).  The
same loss and batches for all, the epoch chosen on a tenth of the training sequences.  SRNN and its LIF and
ReLU twins have adaptive or plain neurons in the output too; the others have a linear readout.  gru-21,
lstm-18 and bilstm-12 have so many units, with which they are of the SRNN's size in parameters.  FOLDER: the
coded QT Database (data/README.md); --quick: synthetic ECG, one epoch, to see that it runs.
"""

import argparse
import math

import numpy as np

import numsnn as ns
from numsnn import recipes

ALPHA = 0.618           # of the authors' plain LIF: v = alpha v + I, threshold 0.5, hard reset
LIF = {"tau_mem": -1 / math.log(ALPHA), "v_threshold": 0.5, "reset": "hard", "input_scale": "1",
       "learn": "tau_mem"}
CELLS = ("srnn", "lif", "relu", "rnn", "gru", "lstm", "bilstm", "arlif", "gru-21", "lstm-18", "bilstm-12")


def network(cell, seed):
    """4 spike trains -> 36 units, or as many as the name says -> 6 outputs, one answer a step."""
    cell, _, n = cell.partition("-")
    n = int(n or 36)
    recipe = recipes.get("srnn-ecg")
    if cell == "srnn":
        return recipe.network(recipe.options, seed)
    if cell == "relu":
        return recipe.network(recipe.options | {"surrogate": "relu"}, seed)
    hidden = {
        "lif": lambda: (ns.Dense(4, n), ns.LIF(n, recurrent=True, **LIF)),
        "rnn": lambda: (ns.Dense(4, n), ns.SimpleRNN(n)),
        "gru": lambda: (ns.Dense(4, 3 * n), ns.GRU(n)),
        "lstm": lambda: (ns.Dense(4, 4 * n), ns.LSTM(n)),
        "bilstm": lambda: (ns.Bidirectional(lambda: (ns.Dense(4, 4 * n), ns.LSTM(n))),),
        "arlif": lambda: (ns.Dense(4, n), ns.ARLIF(n, decay=("uniform", 0.0, 4.0), shared="v_threshold",
                                                   threshold="learned", detach_reset=True)),
    }[cell]()
    readout = [ns.LIF(6, output="v", **LIF)] if cell == "lif" else []
    directions = 2 if cell == "bilstm" else 1
    return ns.Network(*hidden, ns.Dense(directions * n, 6), *readout, seed=seed)


parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
parser.add_argument("folder", nargs="?")
parser.add_argument("--cells", nargs="+", default=CELLS)
parser.add_argument("--epochs", type=int, default=400)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--quick", action="store_true")
options = parser.parse_args()
if options.folder is None and not options.quick:
    parser.error("name the folder of the coded QT Database, or add --quick")

recipe = recipes.get("srnn-ecg")
data = recipe.data(options.folder, options.seed)
train, valid, test = (part[:64] for part in data) if options.quick else data
epochs = 1 if options.quick else options.epochs
# of 2e-3, 5e-3, 1e-2 and 2e-2 the best on the validation part after 30 epochs; 2e-2 for all others
RATES = {"rnn": 5e-3, "lif": 1e-2}
print("| cell | parameters | test accuracy | labelled steps | rate | energy fp32, pJ/step | int32 "
      "| s/epoch |\n" + "| --- " * 8 + "|", flush=True)
for cell in options.cells:
    net = network(cell, options.seed)
    factors = {"alif0.tau_*": 3.0, "alif1.tau_*": 2.0} if "alif0" in net.layers else {}
    optimizer = ns.optim.Adam(RATES.get(cell, 2e-2), schedule=ns.optim.Cosine(epochs), factors=factors)
    history = ns.fit(net, train, valid, loss=recipe.loss, optimizer=optimizer, epochs=epochs,
                     batch_size=min(64, len(train)), seed=options.seed, progress=False)
    found = ns.evaluate(net, test)
    fp32, int32 = (ns.energy.operations(net, test.x).per_step.energy(constants)
                   for constants in (ns.energy.FP32, ns.energy.INT32))
    labelled = "-" if found.accuracy_labelled is None else f"{found.accuracy_labelled:.4f}"
    rate = " ".join(f"{facts['rate']:.3f}" for facts in found.rates.values()) or "-"
    print(f"| {cell} | {net.n_params:,} | {found.accuracy:.4f} | {labelled} | {rate} "
          f"| {fp32:,.0f} | {int32:,.0f} | {np.median(history['seconds']):.2f} |", flush=True)
