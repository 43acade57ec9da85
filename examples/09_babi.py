"""bAbI question answering: six kinds of recurrent layer of 100 units in the same place, tasks 1 to 20, 1000
questions for training.

    python examples/09_babi.py FOLDER [--cells liaf lif arlif rnn gru lstm] [--tasks 1 2 ...]
                               [--seeds 0] [--epochs 40] [--quick]

FOLDER: tasks_1-20_v1-2/en (data/README.md).  The recipes babi-*, see there; the epoch is chosen on a tenth of
the training questions, the numbers are test accuracies in percent.  --quick: made-up stories, one epoch, to
see that it runs.
"""

import argparse
import time

import numpy as np

import numsnn as ns
from numsnn import recipes

parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
parser.add_argument("folder", nargs="?")
parser.add_argument("--cells", nargs="+", default=("liaf", "lif", "arlif", "rnn", "gru", "lstm"))
parser.add_argument("--tasks", nargs="+", type=int, default=range(1, 21))
parser.add_argument("--seeds", nargs="+", type=int, default=(0,))
parser.add_argument("--epochs", type=int, default=40)
parser.add_argument("--quick", action="store_true")
options = parser.parse_args()
if options.folder is None and not options.quick:
    parser.error("name the folder of bAbI, or add --quick")
tasks, epochs = ([1], 1) if options.quick else (list(options.tasks), options.epochs)


def accuracy(cell, task, seed):
    """Test accuracy in percent, parameters, median seconds of an epoch."""
    recipe = recipes.get(f"babi-{cell}")
    settings = recipe.options | {"task": task}
    data = recipe.data(options.folder, seed, settings)
    net = recipe.network(settings | recipe.sizes(data), seed)
    history = ns.fit(net, data.train, data.valid, loss=recipe.loss, optimizer=recipe.optimizer(settings),
                     epochs=epochs, batch_size=recipe.batch_size, seed=seed, progress=False)
    percent = 100 * ns.evaluate(net, data.test, rates=False).accuracy
    return percent, net.n_params, np.median(history["seconds"])


def shown(percents):
    """The mean over seeds, with the standard deviation where there are several."""
    deviation = f" ± {np.std(percents):.1f}" if len(percents) > 1 else ""
    return f"{np.mean(percents):.1f}{deviation}"


begun, results = time.perf_counter(), {}
header = "| task | " + " | ".join(options.cells) + " |"
print(header + "\n" + "| --- " * (1 + len(options.cells)) + "|", flush=True)
for task in tasks:
    for cell in options.cells:
        results[task, cell] = [accuracy(cell, task, seed) for seed in options.seeds]
    row = [shown([percent for percent, _, _ in results[task, cell]]) for cell in options.cells]
    print(f"| {task} | " + " | ".join(row) + " |", flush=True)
for name, column, form in (("mean", 0, ".1f"), ("parameters", 1, ",.0f"), ("s / epoch", 2, ".2f")):
    values = [np.mean([r[column] for task in tasks for r in results[task, cell]]) for cell in options.cells]
    print(f"| {name} | " + " | ".join(format(value, form) for value in values) + " |")
minutes = (time.perf_counter() - begun) / 60
seeds = ", ".join(map(str, options.seeds))
print(f"\n{len(tasks)} tasks, seeds {seeds}, {epochs} epochs, {minutes:.0f} minutes")
