"""Spoken commands as log-mel features, with a code of 1, 0 and -1 and two ALIF populations.

Yin, Corradi, Bohte 2021.  Speech Commands, 12 classes: ten words, "unknown", "silence".  40 log-mel features
with their first and second derivatives, 101 frames of 10 ms; each divided by its deviation over the
recording's time and then by its deviation over the training part (the authors: over the batch) -> `Ternary`,
whose threshold is learned -> 300 ALIF neurons -> 300 recurrent ALIF neurons -> leaky integrators, whose mean
is the answer.  221,725 values are learned.  Adam 3e-3, twice that for time constants, a hundredth for the
code's threshold; a tenth of it after every 10 epochs, 30 epochs, batches of 32.

The authors draw training sequences so that all classes come equally often.  Here "unknown" and "silence" have
as many recordings as a word has (see `speech.commands`), drawn once.  Where none of the ten words is there,
the words that are there are the classes.

At the authors' threshold all neurons are silent in the beginning, and the tails of the surrogate wake them
within some 200 updates, less than an epoch of the whole set.  With few recordings take their other setting,
in which they spike from the start: --set v_threshold=0.1 --set beta=1.8.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from ..datasets import Dataset, speech, stand_in
from ..formats.source import is_wanted
from ..layers import LI, Dense, OverTime, Ternary
from ..loss import CrossEntropy
from ..network.network import Network
from ..optim import Adam, Step
from ..reports.example import example
from .recipe import Data, Recipe
from .srnn_shd import filled, populations, tau

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OPTIONS = {"hidden": "300-300r", "tau_mem": 20.0, "tau_adp": 200.0, "v_threshold": 1.6, "beta": 0.184,
           "lr": 3e-3, "limit": 0, "surrogate": "multi_gaussian"}
CLASSES, FEATURES = (*speech.CORE, "unknown", "silence"), 120
LOG_MEL = {"window": 0.03, "floor": 1.0}       # log(1 + S / max S), as the authors' librosa gives it


# ---- data


def data(folder: Path | str | None = None, seed: int = 0, options: dict = OPTIONS) -> Data:
    """Speech Commands in `folder` (or in the one zip file there, or a zip file); without one stand-ins.

    limit: recordings of a word, 0: all.
    """
    limit = options["limit"]
    if limit < 0:
        raise ValueError("option limit of recipe srnn-gsc is a number of recordings of each word, 0 for all; "
                         f"got {limit}")
    if folder is None:
        parts = Data(_stand_in("train", 240, 1), _stand_in("valid", 48, 2), _stand_in("test", 60, 3))
    else:
        parts = _recordings(Path(folder), seed, limit or None)
    deviation = np.asarray(parts.train.x).std((0, 1))
    divisor = np.where(deviation > 1e-10, deviation, 1)
    for part in parts:
        features = part.x
        assert isinstance(features, np.ndarray)
        features /= divisor
    return parts


def _stand_in(part, n, seed):
    x, labels = stand_in.features(n, len(CLASSES), seed=seed)
    return Dataset(x, labels, classes=CLASSES, name=f"stand-in for Speech Commands, {part}",
                   source=stand_in.source("words as log-mel features", seed))


def _recordings(folder, seed, limit):
    """The parts, and in their names what is missing of them."""
    source = _source(folder)
    paths = [PurePosixPath(name) for name in speech.Sounds(source).names]
    there = sorted({path.parts[-2] for path in paths if "_nohash_" in path.name and len(path.parts) > 1})
    noise = any(path.parent.name == speech.NOISE for path in paths)
    known = [word for word in speech.CORE if word in there]
    classes = CLASSES if known else there[:len(CLASSES)]
    missing = []
    if 0 < len(known) < len(speech.CORE):
        missing.append(f"of the ten words only {', '.join(known)}")
    if known and not noise:
        missing.append("no silence, because there is no noise")

    def part(name):
        found = speech.speech_commands(source, name, classes=classes, silence=0.1 * noise, limit=limit,
                                       seed=seed, **LOG_MEL)
        if missing:
            found.name += f" ({'; '.join(missing)})"
        return filled(found, len(CLASSES))

    return Data(*map(part, speech.PARTS))


def _source(folder):
    """The one zip file in a folder without recordings, or what was given."""
    if not folder.is_dir() or next(folder.rglob("*.wav"), None):
        return folder
    zips = [path for path in sorted(folder.glob("*.zip")) if is_wanted(path.name)]
    return zips[0] if len(zips) == 1 else folder


# ---- network and training


def network(options: dict, seed: int = 0, device: str = "cpu") -> Network:
    """The code with its learned threshold, the populations, integrators whose mean is the answer."""
    layers, n = populations("srnn-gsc", options, FEATURES, weight="xavier_normal",
                            recurrent=("kaiming_normal",), tau_std=(5.0, 50.0))
    n_out = len(CLASSES)
    return Network(
        Ternary(surrogate=options["surrogate"]), *layers, Dense(n, n_out, weight="xavier_normal"),
        LI(n_out, learn="tau_mem", tau_mem=tau(10.0, 1.0)), OverTime("mean"),
        input_shape=FEATURES, seed=seed, device=device)


def optimizer(options: dict) -> Adam:
    return Adam(options["lr"], schedule=Step(10, 0.1), factors={"*.tau_*": 2.0, "ternary0.v_threshold": 0.01})


def figure(net: Network, data: Dataset) -> Figure:
    """The first test recording; as input what the code hands out, 1 and -1 alike."""
    _, _, seen = net.run(data[0].x, record={"ternary0": "y"})
    return example(net, data, 0, step=0.01, unit="s", inputs=seen["ternary0"]["y"][:, 0] != 0)


RECIPE = Recipe("srnn-gsc", "spoken commands as log-mel features, two ALIF populations (Yin et al. 2021)",
                OPTIONS, data, network, optimizer, CrossEntropy(), 30, 32,
                "the authors report 0.921 on Speech Commands with 12 classes", figure)
