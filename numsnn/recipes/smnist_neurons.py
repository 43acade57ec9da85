"""Handwritten digits pixel by pixel with balanced resonators (BRF): S-MNIST, and PS-MNIST in permuted order.

Higuchi, Kairat, Bohte, Otte 2024.  A pixel a step -> 256 recurrent BRF neurons -> 10 leaky integrators,
without biases; omega and damping of each neuron and the integrators' time constants are learned.  dt = 0.01;
omega from U(15, 50), permuted from U(15, 85); damping from U(0.1, 1).

smnist-brf, psmnist-brf
    68,874 values.  A schedule that two cores finish within an hour: Adam along a straight line over `decay`
    epochs, batches of 32, gradients clipped at norm 1, input weights from U(-2, 2), with which neurons spike
    from the beginning.  The answer is the mean of the integrators over the sequence.
    --published: the authors' 300 epochs, batches of 256, Adam at 0.1, Glorot's weights for pixels and
    recurrence as one matrix.  They judge S-MNIST by the last step in training, PS-MNIST by the mean
    cross-entropy of all steps.

A tenth of the training part is held out to choose the epoch, as the authors do.
"""

from __future__ import annotations

from ..layers import Dense, OverTime
from ..layers.initialise import normal, uniform
from ..layers.models import BRF, LI
from ..loss import CrossEntropy
from ..network.network import Network
from ..optim import Adam, Linear
from . import srnn_smnist
from .recipe import Recipe

DT, WIDTH, DIGITS, BATCH = 0.01, 1, 10, 32
OPTIONS = {"hidden": 256, "coding": "window", "width": WIDTH, "permutation": -1, "omega_low": 15.0,
           "omega_high": 50.0, "damping_low": 0.1, "damping_high": 1.0, "gain": 2.0, "lr": 0.05, "decay": 16,
           "clip": 1.0}
PERMUTED = OPTIONS | {"permutation": 0, "omega_high": 85.0, "lr": 0.1}
PUBLISHED = {"epochs": 300, "batch_size": 256, "options": {"decay": 300, "lr": 0.1, "gain": 0.0}}


def network(options: dict, seed: int = 0, device: str = "cpu") -> Network:
    """One recurrent layer of balanced resonators and 10 integrators, whose mean is the answer."""
    srnn_smnist.check(options)
    n, width = options["hidden"], options["width"]
    glorot = (6 / (width + 2 * n)) ** 0.5       # Glorot & Bengio 2010, of one matrix for both
    gain = options["gain"] or glorot
    hidden = BRF(n, recurrent=True, recurrent_init=("uniform", -glorot, glorot), recurrent_bias_init=False,
                 learn=("omega", "damping"), omega=uniform(options["omega_low"], options["omega_high"]),
                 damping=uniform(options["damping_low"], options["damping_high"]))
    layers = (Dense(width, n, weight=("uniform", -gain, gain), bias=False), hidden,
              Dense(n, DIGITS, weight="xavier_uniform", bias=False),
              LI(DIGITS, tau_mem=normal(20 * DT, DT), learn="tau_mem"), OverTime("mean"))
    return Network(*layers, dt=DT, seed=seed, device=device)


def optimizer(options: dict) -> Adam:
    return Adam(options["lr"], schedule=Linear(options["decay"]), factors={"li0.tau_mem": 10 * DT},
                clip_norm=options["clip"] or None)


def _recipe(name, order, options, expected):
    return Recipe(name, f"MNIST pixel by pixel{order}, 256 balanced resonators (Higuchi et al. 2024)",
                  options, srnn_smnist.data, network, optimizer, CrossEntropy(), options["decay"], BATCH,
                  expected, srnn_smnist.figure, published=PUBLISHED)


RECIPES = (
    _recipe("smnist-brf", "", OPTIONS, "the authors report 0.991 on S-MNIST after 300 epochs"),
    _recipe("psmnist-brf", " in a permuted order", PERMUTED,
            "the authors report 0.952 on PS-MNIST after 300 epochs"))
