"""Spoken words as spikes of an inner ear: SHD and SSC, with two adaptive recurrent populations.

Yin, Corradi, Bohte 2021.  700 units, frames of 4 ms as the authors make them (250 steps, binary) -> two
recurrent ALIF populations -> leaky integrators.  All time constants are learned, one for every neuron; both
bias vectors of a recurrent population count.

srnn-shd   128 and 128 neurons, 20 digits, 142,376 values (the authors' file has 20 unused ones more).  The
           answer is the sum of the soft-max over t > 10, of which the cross-entropy takes another soft-max.
           Adam 1e-2, halved every 10 epochs, 20 epochs, batches of 64.
srnn-ssc   400 and 400 neurons, 35 words, 777,270 values.  The answer is the mean membrane over t > 0.
           Adam 1e-2, times 5 for tau_adp and 2.5 for tau_mem, halved every 5 epochs, 150 epochs,
           batches of 32.

A tenth of SHD's training part is held out to choose the epoch (the authors chose it on the test part); SSC
has a validation part.  In SSC the authors also drew the spikes before the first step from U(0, 1), as they
did the membranes; here these are 0.

The network of 2020 (frames of 10 ms, accuracy 0.844):
--set dt=0.01 --set surrogate=gaussian --set tau_mem=10 --set tau_adp=100.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..datasets import Dataset, shd, stand_in
from ..datasets.recordings import framed
from ..layers import ALIF, LI, Dense, OverTime
from ..loss import CrossEntropy
from ..network.network import Network
from ..optim import Adam, Step
from ..reports.example import example
from .recipe import Data, Recipe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OPTIONS = {"hidden": "128r-128r", "dt": 4e-3, "tau_mem": 20.0, "tau_adp": 150.0, "v_threshold": 0.01,
           "beta": 1.8, "lr": 1e-2, "surrogate": "multi_gaussian"}
SSC_OPTIONS = OPTIONS | {"hidden": "400r-400r", "tau_adp": 200.0}
DIGITS, WORDS, START = 20, 35, 11
MOST_DT = 0.05              # s; with longer frames there is no step after START


# ---- what the other recipes of this network use too


def tau(mean: float, std: float) -> tuple[str, float, float, float]:
    """Initial values of time constants: N(mean, std) as the authors draw them.

    None is below a tenth of a step, where training keeps them too.
    """
    return "normal", mean, std, 0.1


def populations(recipe: str, options: dict, n_in: int, *, recurrent: Sequence[str] = ("orthogonal",),
                weight: str = "xavier_uniform", init_state: str = "rest",
                tau_std: tuple[float, float] = (5.0, 25.0)) -> tuple[list, int]:
    """(Dense and ALIF layers for options["hidden"], number of neurons of the last).

    hidden lists populations such as 128r-128r or 300-300r, r for recurrent.  recurrent: initial values of the
    recurrent weights of the first, the second ... recurrent population, the last for all others.  tau_std:
    deviations of tau_mem and of tau_adp at the beginning.
    """
    layers: list = []
    recurrent_left = list(recurrent)
    for part in options["hidden"].split("-"):
        number = part.removesuffix("r")
        if not number.isdecimal() or not int(number):
            raise ValueError(f"option hidden of recipe {recipe} lists numbers of neurons such as 128r-128r, "
                             f"r for recurrent; got {options['hidden']!r}")
        settings = adaptive(options, tau_std)
        if part.endswith("r"):
            init = recurrent_left.pop(0) if len(recurrent_left) > 1 else recurrent_left[0]
            settings |= {"recurrent": True, "recurrent_init": init}
        n = int(number)
        layers += [Dense(n_in, n, weight=weight), ALIF(n, init_state=init_state, **settings)]
        n_in = n
    return layers, n_in


def adaptive(options: dict, tau_std: tuple[float, float]) -> dict:
    """The keywords of an ALIF population that learns its time constants."""
    return {"learn": ("tau_mem", "tau_adp"),
            "tau_mem": tau(options["tau_mem"], tau_std[0]), "tau_adp": tau(options["tau_adp"], tau_std[1]),
            "v_threshold": options["v_threshold"], "beta": options["beta"], "surrogate": options["surrogate"]}


def filled(data: Dataset, n: int) -> Dataset:
    """The data with names for all n outputs of the network.

    Where only part of the classes are there, the name of the data says so.
    """
    there = len(data.classes)
    if there > n:
        raise ValueError(f"{data.name}: has {there} classes, but the network answers {n}; "
                         "use the files of the data set that the recipe is for")
    if there < n:
        known = ", ".join(data.classes)
        data.classes += tuple(f"(none {i})" for i in range(there, n))
        data.name += f" (only {there} of the {n} classes are there: {known})"
    return data


# ---- the recipes


def _frames(recipe, options):
    dt = options["dt"]
    if not 5e-4 <= dt <= MOST_DT:
        raise ValueError(f"option dt of recipe {recipe} is the length of a frame, 0.0005 to {MOST_DT} s; "
                         f"got {dt}")
    return shd.AuthorFrames(dt)


def _stand_in(recipe, part, n, classes, seed, frames):
    events, labels = stand_in.spoken(n, classes, seed=seed)
    recordings = framed(lambda samples: events[samples], n, events.shape, frames)
    return Dataset(recordings, labels, classes=tuple(f"word {i}" for i in range(classes)),
                   name=f"stand-in for {recipe}, {part}",
                   source=stand_in.source("words as spikes of 700 units", seed))


def data(folder: Path | str | None = None, seed: int = 0, options: dict = OPTIONS) -> Data:
    """Spiking Heidelberg Digits in `folder`, or other recordings in files of that name and layout.

    Without a folder stand-ins of the same form.
    """
    frames = _frames("srnn-shd", options)
    if folder is None:
        train = _stand_in("SHD", "train", 400, DIGITS, 1, frames)
        test = _stand_in("SHD", "test", 100, DIGITS, 2, frames)
    else:
        train, test = (filled(shd.shd(Path(folder), part).dataset(frames), DIGITS)
                       for part in ("train", "test"))
    rest, held_out = train.split(0.1, seed)
    return Data(rest, held_out, test)


def ssc_data(folder: Path | str | None = None, seed: int = 0, options: dict = SSC_OPTIONS) -> Data:
    """Spiking Speech Commands in `folder`, or other recordings in files of that name and layout.

    Without a folder stand-ins of the same form.
    """
    frames = _frames("srnn-ssc", options)
    if folder is None:
        return Data(_stand_in("SSC", "train", 420, WORDS, 1, frames),
                    _stand_in("SSC", "valid", 70, WORDS, 2, frames),
                    _stand_in("SSC", "test", 105, WORDS, 3, frames))
    return Data(*(filled(shd.ssc(Path(folder), part).dataset(frames), WORDS)
                  for part in ("train", "valid", "test")))


def _readout(n, n_out, **settings):
    """Weights with PyTorch's initial bias, and leaky integrators."""
    return Dense(n, n_out, bias=("uniform", -n ** -0.5, n ** -0.5)), LI(n_out, learn="tau_mem", **settings)


def network(options: dict, seed: int = 0, device: str = "cpu") -> Network:
    layers, n = populations("srnn-shd", options, shd.CHANNELS, init_state="uniform", tau_std=(5.0, 10.0))
    readout = _readout(n, DIGITS, tau_mem=tau(options["tau_mem"], 5.0), init_state="uniform")
    return Network(*layers, *readout, OverTime("sum", of="softmax", start=START), seed=seed, device=device)


def ssc_network(options: dict, seed: int = 0, device: str = "cpu") -> Network:
    layers, n = populations("srnn-ssc", options, shd.CHANNELS, init_state="uniform", tau_std=(5.0, 50.0),
                            recurrent=("orthogonal", "xavier_uniform"))
    readout = _readout(n, WORDS, tau_mem=tau(3.0, 1.0))
    return Network(*layers, *readout, OverTime("mean", start=1), seed=seed, device=device)


def optimizer(options: dict) -> Adam:
    return Adam(options["lr"], eps=1e-5, schedule=Step(10, 0.5))


def ssc_optimizer(options: dict) -> Adam:
    return Adam(options["lr"], schedule=Step(5, 0.5), factors={"*.tau_adp": 5.0, "*.tau_mem": 2.5})


def figure(net: Network, data: Dataset) -> Figure:
    """The first test recording; it lasts a second."""
    return example(net, data, 0, step=1 / data[0].x.shape[0], unit="s")


RECIPES = (
    Recipe("srnn-shd", "spoken digits as spikes (SHD), two recurrent ALIF populations (Yin et al. 2021)",
           OPTIONS, data, network, optimizer, CrossEntropy(), 20, 64,
           "the authors report 0.904 on SHD (0.844 with frames of 10 ms, 2020)", figure),
    Recipe("srnn-ssc", "spoken words as spikes (SSC), two recurrent ALIF populations (Yin et al. 2021)",
           SSC_OPTIONS, ssc_data, ssc_network, ssc_optimizer, CrossEntropy(), 150, 32,
           "the authors report 0.742 on SSC", figure))
