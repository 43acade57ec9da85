"""Handwritten digits pixel by pixel, in the order of reading (S-MNIST) and in a permuted order (PS-MNIST).

Yin, Corradi, Bohte 2020 and 2021.

2020: a pixel a step, coded by 80 Gaussian receptive fields -> 256 and 128 recurrent ALIF neurons -> 10 ALIF
neurons, whose membranes' soft-max is summed.  2021: a window of 8 (PS-MNIST: 4) pixels moves over the 784 ->
64 recurrent, 256 recurrent and 256 further ALIF neurons -> 10 ALIF neurons, whose spikes are counted.
Cross-entropy of the sums.

srnn-smnist-2020
    138,014 values.  Here Adam 5e-3 along a cosine over 16 epochs, batches of 50, gradients clipped at norm 1:
    an hour on two cores.  --published: the authors' Adam 1e-2, batches of 200, 200 epochs, halved after 25,
    50, 100 and 150, without clipping, the Gaussian surrogate.
srnn-smnist
    2021.  Pixel values; 156,702 values are learned.  Only the network of 2021 is published and not its
    training: taken is that of 2020, Adam 1e-2, twice that for time constants (three times for tau_adp of the
    second population), halved after 25, 50, 100 and 150 epochs, batches of 200.
srnn-psmnist
    2021.  Pixels brighter than 0.1; 156,446 values.  Recurrent weights begin at 0.  Truncated
    backpropagation: after every 100 steps the cross-entropy of the counts so far, and an update.  Adamax
    8e-3, three times that for tau_adp, twice for tau_mem, 200 epochs down to 0 along a straight line, batches
    of 300.  The authors' updates come one step later: 101 steps, then 100 each.

coding=rbf-threshold is the binary code of 2020, with a threshold that is not learned.  In all three: decay=N,
a cosine over N epochs; clip=C; gain, a factor of the initial dense weights; gamma, of the surrogate's slope
(0: its own); recurrent_rate, a factor of the learning rate of recurrent weights.  The networks of 2021 begin
almost silent: gain=7 brings the deviation of their membranes to about 1 (see examples/RESULTS.md).
A tenth of the training part is held out to choose the epoch (the authors chose it on the test part).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..datasets import Dataset, Sequences, mnist, stand_in
from ..layers import ALIF, LI, Dense, OverTime
from ..loss import CrossEntropy
from ..network.network import Network
from ..optim import Adam, Adamax, Cosine, Linear, MultiStep, Optimizer
from ..reports.example import example
from ..signals import encode
from ..signals.spikes import Spikes
from .recipe import Data, Recipe
from .srnn_shd import adaptive, populations, tau

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OPTIONS = {"hidden": "64r-256r-256", "coding": "window", "width": 8, "permutation": -1, "readout": "spikes",
           "tau_mem": 20.0, "tau_adp": 200.0, "v_threshold": 0.01, "beta": 1.8, "lr": 1e-2, "decay": 0,
           "clip": 0.0, "surrogate": "multi_gaussian", "gamma": 0.0, "gain": 1.0, "recurrent_rate": 1.0}
PSMNIST_OPTIONS = OPTIONS | {"coding": "window-binary", "width": 4, "permutation": 0, "lr": 8e-3}
RBF_OPTIONS = OPTIONS | {"coding": "rbf", "width": 80, "hidden": "256r-128r", "readout": "membrane",
                         "v_threshold": 0.1, "tau_adp": 700.0, "lr": 5e-3, "decay": 16, "clip": 1.0}
PUBLISHED_2020 = {"lr": 1e-2, "decay": 0, "clip": 0.0, "surrogate": "gaussian"}
EPOCHS, DARK, TAU_STD = 200, 0.1, (5.0, 25.0)
# values that stand for the 256 bytes of a pixel: (256,) for windows, (256, width) for populations
CODINGS = {
    "window": lambda pixel, width: pixel.astype(np.float32),
    "window-binary": lambda pixel, width: pixel > DARK,
    "rbf": lambda pixel, width: encode.rbf(pixel[:, None], width, offset=-1, density=True),
    "rbf-threshold":
        lambda pixel, width: encode.rbf_threshold(pixel[:, None], width, 0.2, offset=-1, density=True)}
READOUTS = ("spikes", "membrane", "integrator")


class Pixels(Sequences):
    """Images as sequences of 784 steps, coded when they are asked for: a byte a pixel in memory.

    pixels: (n, 784) bytes in the order in which they are shown.  coding: see CODINGS.
    width: pixels in a window, which shows those of steps t to t + width - 1 and stands still at the end,
    or units of a population.
    """

    draws = False

    def __init__(self, pixels: np.ndarray, coding: str, width: int):
        self.pixels, self.units = pixels, width
        self.table = CODINGS[coding](np.arange(256) / 255, width)

    def __len__(self) -> int:
        return len(self.pixels)

    def fetch(self, samples: np.ndarray, rng: np.random.Generator | None = None) -> tuple:
        x = self.table[self.pixels[samples].T]                      # (784, B), or (784, B, width)
        if x.ndim == 2:
            first = np.minimum(np.arange(len(x)), len(x) - self.units)
            x = np.stack([x[first + k] for k in range(self.units)], 2)
        return Spikes.from_dense(x) if x.dtype == bool else x, None


def data(folder: Path | str | None = None, seed: int = 0, options: dict = OPTIONS) -> Data:
    """MNIST in `folder`; without one pictures of the same form.

    permutation: the seed of `mnist.permutation`, or -1 for the order of reading.
    """
    check(options)
    if folder is None:
        train = _stand_in("train", 400, 1, options)
        test = _stand_in("test", 100, 2, options)
    else:
        source = f"MNIST, IDX files. {mnist.CITATION}"
        train, test = (_shown(mnist.images(Path(folder), part), f"MNIST, {part}", source, options)
                       for part in ("train", "test"))
    rest, held_out = train.split(0.1, seed)
    return Data(rest, held_out, test)


def _stand_in(part, n, seed, options):
    images = stand_in.digits(n, seed=seed)
    source = stand_in.source("digits drawn with a pen", seed)
    return _shown(images, f"stand-in for MNIST, {part}", source, options)


def _shown(images, name, source, options):
    """The images as a data set, pixel by pixel in the order that the options say."""
    permutation = options["permutation"]
    pixels = images.pixels.reshape(-1, mnist.PIXELS)
    if permutation < 0:
        order, how = np.arange(mnist.PIXELS), "pixel by pixel"
    else:
        order = mnist.permutation(permutation)
        how = f"pixel by pixel, permuted with seed {permutation}"
    coded = Pixels(pixels[:, order], options["coding"], options["width"])
    return Dataset(coded, images.labels.astype(np.int64), classes=mnist.DIGITS, name=f"{name}, {how}",
                   source=source)


def _one_of(options, option, known):
    if options[option] not in known:
        raise ValueError(f"option {option} must be one of {', '.join(known)}; got {options[option]!r}")


def check(options: dict) -> None:
    """Refuse a coding that is unknown, and a width that does not go with it."""
    _one_of(options, "coding", CODINGS)
    coding, width = options["coding"], options["width"]
    least = 3 if coding.startswith("rbf") else 1
    if not least <= width <= mnist.PIXELS:
        raise ValueError(f"option width, with coding={coding}, must be from {least} to {mnist.PIXELS}; "
                         f"got {width}")


def network(options: dict, seed: int = 0, device: str = "cpu", *, recipe: str = "srnn-smnist",
            recurrent: tuple[str, ...] = ("orthogonal", "xavier_uniform"),
            init_state: str = "uniform") -> Network:
    """The populations, 10 neurons behind them, and their answer; recurrent: see `populations`."""
    check(options)
    _one_of(options, "readout", READOUTS)
    if options["gamma"]:
        options = options | {"surrogate": {"name": options["surrogate"], "gamma": options["gamma"]}}
    layers, n = populations(recipe, options, options["width"], init_state=init_state, tau_std=TAU_STD,
                            recurrent=recurrent)
    net = Network(*layers, Dense(n, 10), *_readout(options, init_state), seed=seed, device=device)
    for name, p in net.params.items():
        if name.endswith(".weight"):
            net.params[name] = np.asarray(p) * options["gain"]
    return net


def _readout(options, init_state):
    """The 10 neurons, and the answer: their spikes counted, or the soft-max of their membranes summed."""
    readout = options["readout"]
    if readout == "integrator":
        tau_mem = tau(options["tau_mem"], TAU_STD[0])
        return LI(10, learn="tau_mem", tau_mem=tau_mem), OverTime("sum", of="softmax", start=1)
    output, of = ("spike", "value") if readout == "spikes" else ("v", "softmax")
    neurons = ALIF(10, output=output, init_state=init_state, **adaptive(options, TAU_STD))
    return neurons, OverTime("sum", of=of, start=1)


def _training(options, schedule):
    """Schedule and clipping: along a cosine over `decay` epochs, or the recipe's own."""
    if options["decay"]:
        schedule = Cosine(options["decay"])
    return {"schedule": schedule, "clip_norm": options["clip"] or None}


def _of_recurrent(options):
    """The factor of the learning rate of recurrent weights, where there are any."""
    return {"*.recurrent": options["recurrent_rate"]} if "r" in options["hidden"] else {}


def optimizer(options: dict) -> Optimizer:
    has_second = "-" in options["hidden"] or options["readout"] != "integrator"
    second = {"alif1.tau_adp": 1.5} if has_second else {}
    return Adam(options["lr"], factors={"*.tau_*": 2.0, **second, **_of_recurrent(options)},
                **_training(options, MultiStep([25, 50, 100, 150], 0.5)))


def psmnist_optimizer(options: dict) -> Optimizer:
    return Adamax(options["lr"], factors={"*.tau_adp": 3.0, "*.tau_mem": 2.0, **_of_recurrent(options)},
                  **_training(options, Linear(EPOCHS)))


def figure(net: Network, data: Dataset) -> Figure:
    """The first test picture."""
    return example(net, data, 0, unit="pixels")


RECIPES = (
    Recipe("srnn-smnist-2020",
           "MNIST pixel by pixel, two recurrent ALIF populations behind receptive fields (Yin et al. 2020)",
           RBF_OPTIONS, data, partial(network, recipe="srnn-smnist-2020"), optimizer, CrossEntropy(), 16, 50,
           "the authors report 0.978 on S-MNIST after 200 epochs", figure,
           published={"epochs": 200, "batch_size": 200, "options": PUBLISHED_2020}),
    Recipe("srnn-smnist", "MNIST pixel by pixel, three ALIF populations (Yin et al. 2021)",
           OPTIONS, data, network, optimizer, CrossEntropy(), EPOCHS, 200,
           "the authors report 0.987 on S-MNIST", figure),
    Recipe("srnn-psmnist",
           "MNIST pixel by pixel in a permuted order, three ALIF populations, truncated backpropagation "
           "(Yin et al. 2021)",
           PSMNIST_OPTIONS, data,
           partial(network, recipe="srnn-psmnist", recurrent=("zeros",), init_state="author"),
           psmnist_optimizer, CrossEntropy(), EPOCHS, 300,
           "the authors report 0.943 on PS-MNIST (0.910 in 2020)", figure,
           {"tbptt": 100, "step_inside": True}))
