"""bAbI question answering with one recurrent layer, six kinds of it in the same place.

A reconstruction of LIAF-Net's text experiment.  Story and question as one sequence of words -> embedding of
50 -> 100 units -> one output for each answer, read in the last step.  LIAF-Net's table for bAbI was not at
hand; the network follows the example babi_rnn of Keras, whose baselines the paper's abstract compares with,
with one recurrent layer instead of two.  LIAF, LIF and ARLIF have a dense recurrent kernel here (the authors'
LIAFRCell) and a leak for each neuron that is learned: without the kernel, answering with the mean over the
steps, LIAF stays 8 to 25 points below the LSTM on tasks 1 and 20.

Batches are made of questions of about one length.  Adam 1e-3, batches of 32; a tenth of the 1000 questions is
held out to choose the epoch.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from .. import layers as ns
from ..datasets import babi
from ..loss import CrossEntropy
from ..network.network import Network
from ..optim import Adam
from .recipe import Data, Recipe

OPTIONS = {"task": 1, "hidden": 100, "embedding": 50, "lr": 1e-3, "readout": "last"}


def data(folder: Path | str | None = None, seed: int = 0, options: dict = OPTIONS) -> Data:
    """A task of bAbI, folder en of tasks_1-20_v1-2; without one made-up stories like those of task 1."""
    task = babi.made_up(1000) if folder is None else babi.load(Path(folder), options["task"], padding="end")
    rest, held_out = task.train.split(0.1, seed)
    return Data(rest, held_out, task.test)


def sizes(data: Data) -> dict:
    """Words of both parts, and answers."""
    last_word = max(int(np.asarray(part.x).max()) for part in data)
    return {"words": 1 + last_word, "answers": len(data.train.classes)}


def _arlif(m, n):
    return ns.Dense(m, n), ns.ARLIF(n, decay=("uniform", -3.0, 3.0), shared="v_threshold", activation="tanh",
                                    recurrent="analog", name="cell")


def _liaf(m, n, **more):
    cell = ns.LIAF(n, learn=("alpha", "v_threshold"), alpha=("uniform", 0.0, 1.0), name="cell", **more)
    return ns.Dense(m, n), cell


CELLS = {       # name -> layers of n units after m inputs
    "liaf": lambda m, n: _liaf(m, n, activation="tanh", recurrent="analog"),
    "lif": lambda m, n: _liaf(m, n, output="spike", recurrent="spike"),
    "arlif": _arlif,
    "rnn": lambda m, n: (ns.Dense(m, n), ns.SimpleRNN(n, name="cell")),
    "gru": lambda m, n: (ns.Dense(m, 3 * n), ns.GRU(n, name="cell")),
    "lstm": lambda m, n: (ns.Dense(m, 4 * n), ns.LSTM(n, name="cell")),
}


def network_of(cell: str) -> Callable[..., Network]:
    """The network function of a recipe."""
    def network(options: dict, seed: int = 0, device: str = "cpu") -> Network:
        n, m = options["hidden"], options["embedding"]
        # a threshold must be in reach of the first currents; Keras' narrow start is for cells without one
        weight = ("normal", 0.0, 1.0) if cell in ("liaf", "lif", "arlif") else ("uniform", -0.05, 0.05)
        return Network(
            ns.Embedding(options["words"], m, padding=0, weight=weight), *CELLS[cell](m, n),
            ns.Dense(n, options["answers"]), ns.OverTime(options["readout"]), seed=seed, device=device)
    return network


def optimizer(options: dict) -> Adam:
    return Adam(options["lr"], clip_norm=1.0)


NAMES = {"liaf": "LIAF", "lif": "LIF", "arlif": "ARLIF", "rnn": "SimpleRNN", "gru": "GRU", "lstm": "LSTM"}
RECIPES = tuple(
    Recipe(f"babi-{cell}", f"bAbI question answering, a layer of 100 {NAMES[cell]}", OPTIONS,
           data, network_of(cell), optimizer, CrossEntropy(), 40, 32,
           "Facebook's LSTM on 1000 questions: 0.50 on task 1", sizes=sizes) for cell in CELLS)
