"""ECG wave labelling with later neurons in the SRNN's place: SE-adLIF, and the resonators RF, BRF and HRF.

4 level-crossing spike trains of two leads -> 36 recurrent neurons -> 6 leaky integrators, read at each step.
Data, split and loss are those of srnn-ecg: a tenth of the training sequences is held out to choose the epoch.

ecg-adlif: Baronig et al. 2024.  Time constants, a and b are learned within the paper's bounds; tau_mem and
tau_adp by Adam with steps of their range, which is what the paper's interpolation from 0 to 1 amounts to.
layers=2 stacks a second layer on it, with dropout between them; clip=1 keeps gradients within that norm.
Up to two batches of an epoch may overflow on their long way back through time; they are left out.
ecg-brf, ecg-rf, ecg-hrf: Higuchi et al. 2024, dt = 0.01; omega from U(3, 5), damping from U(0.1, 1); Adam at
0.1, lowered along a line.  bidirectional=true puts `hidden` of them each way in time, for recordings that are
there as a whole.  Both papers chose the epoch on the test set.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..layers import Bidirectional, Dense, Dropout, Layer
from ..layers.initialise import normal, uniform
from ..layers.models import BRF, HRF, LI, RF, AdLIF
from ..loss import CrossEntropy
from ..network.network import Network
from ..optim import Adam, Cosine, Linear
from . import srnn_ecg
from .recipe import Recipe

EPOCHS = 400
INPUTS, WAVES = 4, 6
TAU_MEM, TAU_ADP = (5.0, 25.0), (60.0, 300.0)
ADLIF = {"hidden": 36, "layers": 1, "dropout": 0.0, "lr": 1e-2, "clip": 0.0, "order": "symplectic",
         "surrogate_scale": 0.2}
OSCILLATOR = {"hidden": 36, "omega_low": 3.0, "omega_high": 5.0, "damping_low": 0.1, "damping_high": 1.0,
              "lr": 0.1, "clip": 0.0, "bidirectional": False}
DT = 0.01


def _by_fan_in(n_in: int, n_out: int) -> Dense:
    bound = n_in ** -0.5
    return Dense(n_in, n_out, weight=("uniform", -bound, bound), bias=("uniform", -bound, bound))


def adlif(options: dict, seed: int = 0, device: str = "cpu") -> Network:
    """Recurrent layers of SE-adLIF neurons, read by integrators that forget in three steps."""
    layers: list[Layer] = []
    n, n_in = options["hidden"], INPUTS
    for _ in range(options["layers"]):
        layers += [*_dropped(options, layers), _by_fan_in(n_in, n), _adlif(options)]
        n_in = n
    return Network(*layers, _by_fan_in(n, WAVES), LI(WAVES, tau_mem=3.0), seed=seed, device=device)


def _dropped(options, before):
    return [Dropout(options["dropout"], per_step=True)] if before and options["dropout"] else []


def _adlif(options) -> Layer:
    return AdLIF(
        options["hidden"], recurrent=True, recurrent_bias_init=False, order=options["order"],
        detach_reset=True, learn=("tau_mem", "tau_adp", "a", "b"),
        bounds={"tau_mem": TAU_MEM, "tau_adp": TAU_ADP},
        tau_mem=uniform(*TAU_MEM), tau_adp=uniform(*TAU_ADP), a=uniform(0, 1), b=uniform(0, 2),
        surrogate={"name": "symmetric_exponential", "alpha": 5.0, "c": options["surrogate_scale"]})


def of_adlif(options: dict) -> Adam:
    ranges = {"*.tau_mem": TAU_MEM[1] - TAU_MEM[0], "*.tau_adp": TAU_ADP[1] - TAU_ADP[0]}
    return Adam(options["lr"], schedule=Cosine(EPOCHS), factors=ranges, clip_norm=options["clip"] or None)


def oscillator(neuron: Callable, options: dict, seed: int = 0, device: str = "cpu") -> Network:
    """One recurrent layer of resonators without biases, or one each way in time, read by integrators."""
    n = options["hidden"]
    bound = (6 / (INPUTS + 2 * n)) ** 0.5       # Glorot & Bengio 2010, of one matrix for both
    weight = ("uniform", -bound, bound)

    def hidden() -> list[Layer]:
        return [Dense(INPUTS, n, weight=weight, bias=False),
                neuron(n, recurrent=True, recurrent_init=weight, recurrent_bias_init=False,
                       learn=("omega", "damping"), omega=uniform(options["omega_low"], options["omega_high"]),
                       damping=uniform(options["damping_low"], options["damping_high"]))]

    both = options["bidirectional"]
    layers = [Bidirectional(hidden)] if both else hidden()
    return Network(*layers, Dense((1 + both) * n, WAVES, weight="xavier_uniform", bias=False),
                   LI(WAVES, tau_mem=normal(20 * DT, DT), learn="tau_mem"), dt=DT, seed=seed, device=device)


def of_oscillator(options: dict) -> Adam:
    return Adam(options["lr"], schedule=Linear(EPOCHS), factors={"li0.tau_mem": 10 * DT},
                clip_norm=options["clip"] or None)


def _resonators(name, neuron, what, reported):
    return Recipe(name, f"ECG wave labelling, 36 {what} (Higuchi et al. 2024)", OSCILLATOR, srnn_ecg.data,
                  partial(oscillator, neuron), of_oscillator, CrossEntropy(), EPOCHS, 16,
                  f"the authors report {reported} on the coded QT Database, the epoch chosen on the test set",
                  srnn_ecg.figure)


RECIPES = (
    Recipe("ecg-adlif", "ECG wave labelling, 36 SE-adLIF neurons (Baronig et al. 2024)", ADLIF, srnn_ecg.data,
           adlif, of_adlif, CrossEntropy(), EPOCHS, 64,
           "the authors report 0.869 on the coded QT Database, the epoch chosen on the test set",
           srnn_ecg.figure, {"skip": 2}),
    _resonators("ecg-rf", RF, "resonate-and-fire neurons", "0.851"),
    _resonators("ecg-brf", BRF, "balanced resonators", "0.862, in the mean 0.854,"),
    _resonators("ecg-hrf", HRF, "balanced harmonic resonators", "0.870"))
