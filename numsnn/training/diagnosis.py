"""`diagnose`: what a network does on a batch, layer by layer, and in words what keeps it from learning.

Measured are, for each population: its firing rate, silent and saturated neurons; the share of steps in which
a membrane stands where the surrogate has a slope (a tenth of that at the threshold, or more); the gradient
that the answers of the last steps send back into its state, at several moments of the sequence; the spectral
radius and norm of its recurrence; its time constants, in steps; learned values that lie on a bound which the
gradient pushes them beyond.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..checked import checked
from ..datasets import Dataset
from ..datasets.checks import is_per_step
from ..datasets.dataset import Batch
from ..layers import OverTime, Population
from ..layers.layer import positive_integer
from ..loss import CrossEntropy, as_loss
from ..network.gradients import answer_lengths
from ..network.network import Network
from ..signals.spikes import Spikes
from . import arguments
from .evaluation import AnyLoss, drawn
from .odd import LARGEST, of_data, of_delays, of_time_constants, some
from .step import segment

STEEP = 1 / 10          # of the slope at the threshold: where a gradient goes through
FEW_NEAR = 1 / 100      # of neurons and steps: hardly any
DEAD, SATURATED = 1 / 2, 1 / 5          # of the neurons of a layer: many
BUSY = 1 / 2            # spikes per step of the mean neuron: too many
VANISHES, EXPLODES = 1e-4, 1e4          # what becomes of a gradient over the sequence
PINNED = 1 / 5          # of the values of a setting: many
SPARSE = 3              # time constants between two inputs: too many
APART = 1 / 5           # of the loss, between two starts: much


class Measured(NamedTuple):
    """What was measured of a population."""
    name: str
    rate: float | None          # spikes per neuron and step; None where it does not spike
    dead: int                   # neurons without a spike
    saturated: int              # neurons that spike in every step
    n: int
    near: float | None          # share of neurons and steps near the threshold
    gradients: np.ndarray       # norms of the loss's gradient by its state, at the moments of the Diagnosis
    growth: float               # what becomes of that norm in one step back
    radius: float | None        # spectral radius of its recurrence
    norm: float | None          # and its largest singular value
    taus: dict[str, tuple[float, float, float]]     # least, median and largest, in steps
    # setting -> (values on a bound, those of them that the gradient would take beyond it, the bound)
    pinned: dict[str, tuple[int, int, str]]


class Diagnosis(NamedTuple):
    """What `diagnose` found; print it."""
    layers: tuple[Measured, ...]
    moments: np.ndarray         # steps before which gradients were measured, the first one being 0
    steps: int                  # of the batch
    loss: float                 # of the batch, begun as training begins
    parameters: dict[str, float]        # norm of each parameter's gradient
    findings: tuple[str, ...]   # sentences: what is wrong, and what to change

    def __str__(self) -> str:
        head = ("layer", "rate", "dead", "saturated", "near", "gradient end > begin", "a step", "radius",
                "time constants in steps")
        table = [head, *map(_row, self.layers)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
                 for row in table]
        lines.insert(1, "-" * max(map(len, lines)))
        lines.append(f"loss {self.loss:.4g} on {self.steps} steps; gradients of parameters: "
                     f"{', '.join(f'{name} {norm:.2g}' for name, norm in self.parameters.items())}")
        found = [f"- {sentence}" for sentence in self.findings] or ["nothing stands out"]
        return "\n".join([*lines, "", *found])


def _row(layer):
    gradients = layer.gradients
    taus = ", ".join(f"{name} {low:.3g} ... {high:.3g}" if low != high else f"{name} {low:.3g}"
                     for name, (low, _, high) in layer.taus.items())
    shares = ("", "", "") if layer.rate is None else (
        f"{layer.rate:.4f}", f"{layer.dead} of {layer.n}", str(layer.saturated))
    flow = f"{gradients[-1]:.2g} > {gradients[0]:.2g}" if len(gradients) else ""
    return (layer.name, *shares, "" if layer.near is None else f"{layer.near:.1%}", flow,
            f"x {layer.growth:.3g}" if np.isfinite(layer.growth) else "",
            "" if layer.radius is None else f"{layer.radius:.3g}", taus)


@checked
def diagnose(net: Network, data: Dataset | Batch, *, loss: AnyLoss | None = None, samples: int = 32,
             pieces: int = 8, seed: int = 0) -> Diagnosis:
    """Measure what a network does on some sequences, and say what keeps it from learning; print it.

    data     a data set, of which `samples` sequences from everywhere are taken, or a batch of one
    loss     that of the training; CrossEntropy where none is said
    pieces   into how many a sequence is cut, to see how the gradient of the last one's answers grows or dies
             on its way back; a network that cannot be cut in time (BatchNorm, both directions) is not
    seed     of the initial states, which are drawn as in training

    The network is not changed.
    """
    arguments.network(net, "diagnose", runs=True)
    batch = data if isinstance(data, Batch) else _of(data, positive_integer(samples, "diagnose: samples"))
    net, loss = net.clone(), as_loss(CrossEntropy() if loss is None else loss)
    start = net.initial_state(batch.x.shape[1], np.random.default_rng(seed))
    moments, gradients = _flow(net, batch, loss, start, positive_integer(pieces, "diagnose: pieces"))
    result = net.loss_and_gradients(loss, batch.x, batch.y, mask=batch.mask, lengths=batch.lengths,
                                    state=start)
    grads = {name: np.asarray(g) for name, g in result.grads.items()}
    layers = tuple(_layer(net, name, batch, start, moments, gradients.get(name, np.zeros(0)), grads)
                   for name, layer in net.layers.items() if isinstance(layer, Population))
    steps = batch.x.shape[0]
    findings = [sentence for layer in layers for sentence in _of_layer(net, layer, batch, steps)]
    findings += [*_starts(net, batch, loss, float(result.loss)), *of_time_constants(net, batch),
                 *of_delays(net, batch), *(of_data(data, None, batch) if isinstance(data, Dataset) else ())]
    norms = {name: net.loops.euclidean([g]) for name, g in grads.items()}
    return Diagnosis(layers, moments, steps, float(result.loss), norms, tuple(dict.fromkeys(findings)))


def _of(data, n):
    arguments.dataset(data, "diagnose")
    if not len(data):
        raise ValueError(f"data set {data.name!r} is empty; there is nothing to diagnose")
    return some(data, n)


# ---- gradients on their way back


def _flow(net, batch, loss, state, pieces):
    """(moments, {layer: norms}) of the gradient that the last piece's answers send into the states before."""
    layers = net.layers.values()
    if not all(layer.causal and layer.times == 1 and not layer.whole_batch for layer in layers):
        return np.zeros(0, int), {}         # such a network cannot be cut in time
    edges = np.unique(np.linspace(0, batch.x.shape[0], pieces + 1).astype(int))
    tapes, answers = [], []
    for first, last in itertools.pairwise(edges):
        part = segment(batch, first, last)
        y, state, tape = net.forward(part.x, state, lengths=part.lengths)
        tapes.append(tape)
        answers.append(y)
    _, dy = loss(y, part.y, part.mask, answer_lengths(net, part.lengths))
    dstate, norms = None, []
    for tape, y in zip(reversed(tapes), reversed(answers), strict=True):
        _, dstate = net.backward(tape, np.zeros_like(y) if norms else dy, dstate)
        norms.append({name: net.loops.euclidean(list(d)) for name, d in dstate.items() if d is not None})
        dstate = _without_sums(net, dstate)
    return edges[:-1], {name: np.array([of[name] for of in reversed(norms)]) for name in norms[0]}


def _without_sums(net, dstate):
    """Without what answers over time send to all steps at once."""
    return {name: type(d)(*(0 * a for a in d)) if isinstance(net.layers[name], OverTime) else d
            for name, d in dstate.items()}


def _growth(moments, gradients):
    """What becomes of the norm in one step back, in the geometric mean; NaN where there is no gradient."""
    if len(gradients) < 2 or not gradients[-1] > 0:
        return float("nan")
    first = max(gradients[0], float(np.finfo(np.float32).tiny))        # loops end what is smaller at 0
    return float((first / gradients[-1]) ** (1 / (moments[-1] - moments[0])))


# ---- a layer


def _layer(net, name, batch, start, moments, gradients, grads):
    layer = net.layers[name]
    rate, dead, saturated, near = _activity(net, name, batch, start)
    radius = norm = None
    if "recurrent" in layer.params and layer.params["recurrent"].shape == (layer.n, layer.n):
        weight = np.asarray(layer.params["recurrent"]).astype(np.float64)
        radius, norm = float(np.abs(np.linalg.eigvals(weight)).max()), float(np.linalg.norm(weight, 2))
    values = layer.values()
    taus = {setting: _spread(values[setting] / net.dt) for setting in layer.model.time_constants}
    return Measured(name, rate, dead, saturated, layer.n, near, gradients, _growth(moments, gradients),
                    radius, norm, taus, dict(_pinned(name, layer, grads)))


def _spread(a):
    return float(a.min()), float(np.median(a)), float(a.max())


def _activity(net, name, batch, start):
    """(rate, dead, saturated, share near the threshold), None where it has none."""
    layer = net.layers[name]
    if not layer.model.spiking:
        return None, 0, 0, None
    fields = ["rate", *(field for field in ("v", "theta") if field in layer.recordable())]
    few = max(1, min(batch.x.shape[1], LARGEST // max(1, batch.x.shape[0] * layer.n)))
    x = batch.x.select(np.arange(few)) if isinstance(batch.x, Spikes) else batch.x[:, :few]
    lengths = None if batch.lengths is None else batch.lengths[:few]
    state = {key: None if s is None else type(s)(*(a[:few] for a in s)) for key, s in start.items()}
    seen = net.run(x, state, lengths=lengths, record={name: tuple(fields)})[2][name]
    rate = seen["rate"].reshape(few, -1)
    near = None
    if {"v", "theta"} <= set(fields) and layer.surrogate.hard:
        distance = (seen["v"] - seen["theta"]).astype(np.float64)
        slopes = layer.surrogate(distance)
        near = float((np.abs(slopes) > STEEP * layer.surrogate(np.zeros(1))[0]).mean())
    return float(rate.mean()), int((rate.max(0) == 0).sum()), int((rate.min(0) >= 1).sum()), near


def _pinned(name, layer, grads):
    """(setting, (values on a bound, those that the next update would take beyond it, the bound))."""
    for setting in layer.learn:
        bound, key = layer.bounds()[layer.key(setting)], layer.key(setting)
        low, high, _ = bound.typed(layer.dtype)
        value, d = np.asarray(layer.params[key]), grads[f"{name}.{key}"]
        below, above = value <= low, value >= high
        if below.any() or above.any():
            held = int((below & (d > 0)).sum() + (above & (d < 0)).sum())
            yield setting, (int(below.sum() + above.sum()), held, str(layer.bound(setting)))


# ---- words


def _of_layer(net: Network, layer: Measured, batch: Batch, steps: int) -> Iterator[str]:
    population: Any = net.layers[layer.name]
    if "spike" in (population.output, population.recur):
        yield from _of_spikes(layer)
    if layer.rate and layer.near is not None and layer.near < FEW_NEAR:
        yield (f"{layer.name}: in {layer.near:.2%} of neurons and steps a membrane is near its threshold, "
               f"and only there gradients pass; a wider surrogate ({population.surrogate.name}), or other "
               f"weights")
    if layer.rate is not None:          # a readout may forget
        yield from _of_gradient(layer, steps, whole=not is_per_step(batch.y))
        yield from _of_time(layer, batch)
    for setting, (count, held, bound) in layer.pinned.items():
        size = population.params[population.key(setting)].size
        if count > PINNED * size and held > PINNED * count:
            yield (f"{layer.name}.{setting}: {count} of {size} values lie on their bound {bound}, and the "
                   f"gradient holds {held} of them there; widen it (bounds=), or do not learn this setting")


def _of_spikes(layer):
    name, n = layer.name, layer.n
    if layer.rate == 0:
        yield (f"{name} never spikes, and what comes after it gets nothing: scale its weights "
               f"(ns.init.lsuv, ns.init.fluctuation_driven), or lower v_threshold")
    elif layer.rate is not None and layer.dead > DEAD * n:
        yield (f"{name}: {layer.dead} of {n} neurons never spike; scale its weights (ns.init.lsuv), lower "
               f"v_threshold, or train with ns.regularise.RateBand")
    if layer.rate is not None and (layer.saturated > SATURATED * n or layer.rate > BUSY):
        yield (f"{name} spikes too much (rate {layer.rate:.2f}, {layer.saturated} of {n} neurons in every "
               f"step): spikes tell little then; smaller weights, a higher v_threshold, or "
               f"ns.regularise.RateBand")


def _of_gradient(layer, steps, whole):
    """whole: one answer to a sequence, so that its first steps should count."""
    if not len(layer.gradients) or not np.isfinite(layer.growth):
        return
    over_all = layer.growth ** steps
    if whole and over_all < VANISHES:
        back = np.log(0.01) / np.log(layer.growth)
        yield (f"{layer.name}: the gradient dies on its way back, x {layer.growth:.3g} a step: after "
               f"{back:.0f} steps 1 % is left, and what was before is not learned; longer time constants "
               f"(tau_adp, an adaptive or resonating neuron), a wider surrogate, or fewer steps")
    if over_all > EXPLODES:
        radius = "" if layer.radius is None else (f" (recurrence: spectral radius {layer.radius:.2g}, norm "
                                                  f"{layer.norm:.2g})")
        yield (f"{layer.name}: the gradient grows on its way back, x {layer.growth:.3g} a step, "
               f"x {over_all:.0e} over all{radius}; a lower surrogate (gamma), detach_reset=True, smaller "
               f"recurrent weights or learning rate for them, clip_norm, or tbptt")


def _of_time(layer, batch):
    spacing = _spacing(batch)
    for setting, (_, median, _) in layer.taus.items():
        if setting != "tau_adp" and spacing > SPARSE * median:
            yield (f"{layer.name}.{setting}: {median:.3g} steps, but an input channel speaks once in "
                   f"{spacing:.3g}; one input is forgotten before the next comes: longer time constants, or "
                   f"fewer, longer steps")


def _spacing(batch):
    """Mean number of steps from one input of a channel to its next one, of channels that speak."""
    x = batch.x.dense(np.float32) if isinstance(batch.x, Spikes) else np.asarray(batch.x)
    share = (x.reshape(*x.shape[:2], -1) != 0).mean((0, 1))
    return float(1 / np.median(share[share > 0])) if share.any() else 0.0


def _starts(net, batch, loss, begun):
    """Whether the loss from rest differs much from that of a start as training draws it, `begun`."""
    if not drawn(net):
        return
    result = net.loss_and_gradients(loss, batch.x, batch.y, mask=batch.mask, lengths=batch.lengths)
    rest = float(result.loss)
    if abs(rest - begun) > APART * max(abs(begun), np.finfo(float).tiny):
        yield (f"the loss is {begun:.4g} from a start as training draws it (init_state), {rest:.4g} from "
               f"rest, where run, step and exported networks begin: train what is to run from rest with "
               f'init_state="rest"')
