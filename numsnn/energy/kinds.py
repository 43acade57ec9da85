"""What each kind of layer does with what arrives."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .count import Count
from .formulas import GATED, update


class Signal(NamedTuple):
    """What a layer gets over a run, each feature by itself."""
    spikes: np.ndarray      # (N,) how many
    real: np.ndarray        # (N,) whether it is a real number in every step instead
    busy: int               # steps of samples with at least one spike


class Here(NamedTuple):
    """A run, as a layer sees it."""
    lengths: np.ndarray                 # (B,) its valid steps
    fired: np.ndarray | None = None     # (N,) spikes of its neurons
    read: np.ndarray | None = None      # (N,) those before each sample's last step, which recur

    @property
    def steps(self):
        return int(self.lengths.sum())


class Kind(NamedTuple):
    """hands_out(layer, ones, n) -> (n,): the value of a spike of each feature that it hands out, 0 where it is a real number; ones: likewise of
    its sources (None: not known yet).  counts(layer, signals, here) -> Count of the run."""
    hands_out: Callable
    counts: Callable


def _real(layer, ones, n):
    return np.zeros(n)


def _passed(layer, ones, n):
    return np.ones(n) if ones[0] is None else ones[0]


def _fires(layer, ones, n):
    return np.full(n, float(layer.emits_events))


def _agreed(layer, ones, n):
    """Where all sources agree on what a spike is."""
    return np.where(np.ptp(ones, axis=0) == 0, ones[0], 0)


def _pooled(factor):
    """Windows that lie within channels."""
    def hands_out(layer, ones, n):
        channels = ones[0].reshape(layer.windows.channels, -1)
        same = np.where(np.ptp(channels, axis=1) == 0, channels[:, 0], 0)
        return np.repeat(same * factor(layer), n // len(same))
    return hands_out


def _nothing(layer, signals, here):
    return Count()


def _each(mac=0, ac=0, compare=0):
    """So many for each feature and step."""
    def counts(layer, signals, here):
        return Count(mac=mac, ac=ac, compare=compare) * (len(signals[0].real) * here.steps)
    return counts


def _synapses(reach, signal, steps):
    """reach: (N,) synapses of each input."""
    return Count(mac=int(reach[signal.real].sum()) * steps, ac=int(reach @ signal.spikes))


def _dense(layer, signals, here):
    return _synapses(np.full(layer.n_in, layer.n_out), signals[0], here.steps)


def _embedding(layer, signals, here):
    """The first row of a step is read, not added."""
    signal = signals[0]
    return _synapses(np.full(layer.n_in, layer.n_out), signal, here.steps) + Count(ac=-layer.n_out * signal.busy)


def _conv(layer, signals, here):
    g = layer.geometry
    rows, columns = (_reach(*axis) for axis in zip(g.size, g.kernel, g.stride, g.padding, g.dilation, g.out, strict=True))
    places = np.outer(rows, columns).ravel()
    return _synapses(np.tile(places, g.channels) * len(layer.params["weight"]), signals[0], here.steps)


def _reach(n, kernel, stride, padding, dilation, out):
    """(n,): of how many (output, place in the kernel) each of n inputs is read, along one axis."""
    read = (np.arange(out) * stride - padding)[:, None] + np.arange(kernel) * dilation
    return np.bincount(read[(read >= 0) & (read < n)], minlength=n)


def _population(layer, signals, here):
    model, steps = layer.model, here.steps
    fires = model.spiking and layer.surrogate.hard
    count = Count(compare=layer.n * steps * model.spiking)
    if layer.recur:
        synapses = layer.params["recurrent"].size
        count += Count(ac=int(here.read.sum()) * (synapses // layer.n)) if layer.recur == "spike" and fires else Count(mac=synapses * steps)
    if model.name in GATED:
        mac, ac = GATED[model.name]
        return count + Count(update_mac=mac * layer.n * steps, update_ac=ac * int(here.fired.sum()) if fires else 0)
    carried, changed = _variables(layer)
    if not fires and model.spiking:
        return count + update(int(carried.sum()) * steps, None)
    resets = 0 if not fires or layer.options.get("reset") == "none" else int(changed @ (here.read if model.carries("spike") else here.fired))
    return count + update(int(carried.sum()) * steps, resets)


IDLE = {"eta": "beta", "last": "self_weight"}       # variables that do nothing where the setting that multiplies them is 0


def _variables(layer):
    """((n,) variables that a neuron carries from step to step, its last spike aside, (n,) those of them that a spike changes)."""
    have, none = {**layer.fixed, **layer.params}, np.zeros(layer.n, int)
    factors = {name: have.get(IDLE.get(name), np.ones(1)) for name in layer.model.State._fields if name != "spike"}
    works = {name: np.repeat(a != 0, layer.n // a.size) for name, a in factors.items()}
    return sum(works.values(), none), sum((a for name, a in works.items() if name != "last"), none)


def _membrane_norm(layer, signals, here):
    return _population(layer.population, signals, here) + kind(layer.norm).counts(layer.norm, signals, here)


def _distributed(layer, signals, here):
    """Every step begins with a silent state."""
    return kind(layer.layer).counts(layer.layer, signals, here._replace(read=here.fired if here.fired is None else 0 * here.fired))


def _activation(layer, signals, here):
    """One MAC stands for a function such as tanh."""
    n = len(signals[0].real) * here.steps
    return {"identity": Count(), "relu": Count(compare=n)}.get(layer.function.name, Count(mac=n))


def _add(layer, signals, here):
    alone = ~np.any([s.real for s in signals], axis=0)
    return Count(ac=int((~alone).sum()) * (len(signals) - 1) * here.steps)


def _pool(scaled, largest=False):
    def counts(layer, signals, here):
        out = layer.size_out
        more = int(np.prod(layer.kernel)) - 1
        if largest:
            return Count(compare=out * more * here.steps)
        real = out * int(signals[0].real.reshape(layer.windows.channels, -1).any(1).sum()) // layer.windows.channels
        return Count(ac=real * more * here.steps, mac=real * scaled * here.steps)
    return counts


def _pool_time(layer, signals, here):
    n, real = len(signals[0].real), int(signals[0].real.sum())
    if layer.reduce == "max":
        return Count(compare=n * (layer.k - 1) * here.steps)
    return Count(ac=real * (layer.k - 1) * here.steps, mac=real * (layer.reduce == "mean") * here.steps)


def _over_time(layer, signals, here):
    """A sum adds spikes or values; a soft-max is taken as an addition and two MAC for each value."""
    signal, n = signals[0], len(signals[0].real)
    steps = int(np.maximum(here.lengths - layer.start, 0).sum())
    soft = Count(ac=1, mac=2) * (n * (len(here.lengths) if layer.reduce == "last" else steps) * (layer.of == "softmax"))
    if layer.reduce == "max":
        return soft + Count(compare=n * steps)
    if layer.reduce not in ("sum", "mean"):
        return soft
    real = n if layer.of == "softmax" else int(signal.real.sum())
    return soft + Count(ac=real * steps + (0 if layer.of == "softmax" else int(signal.spikes.sum())))


KINDS: dict[str, Kind] = {      # by the name of the class or of one that it is made of; add your own layers here
    **{name: Kind(_passed, _nothing) for name in ("Flatten", "From", "Previous", "Repeat", "Reverse", "Dropout")},
    "Dense": Kind(_real, _dense), "Embedding": Kind(_real, _embedding), "Conv2d": Kind(_real, _conv), "Conv1d": Kind(_real, _conv),
    "Population": Kind(_fires, _population),
    "MembraneNorm": Kind(lambda layer, ones, n: _fires(layer.population, ones, n), _membrane_norm),
    "TimeDistributed": Kind(lambda layer, ones, n: kind(layer.layer).hands_out(layer.layer, ones, n), _distributed),
    "BatchNorm": Kind(_real, _each(mac=1)), "LayerNorm": Kind(_real, _each(mac=2, ac=1)), "Activation": Kind(_real, _activation),
    "Add": Kind(_agreed, _add), "Concatenate": Kind(lambda layer, ones, n: np.concatenate(ones), _nothing),
    "SumPool2d": Kind(_pooled(lambda layer: 1), _pool(0)), "AvgPool2d": Kind(_pooled(lambda layer: 1 / np.prod(layer.kernel)), _pool(1)),
    "MaxPool2d": Kind(_pooled(lambda layer: 1), _pool(0, largest=True)),
    "PoolTime": Kind(lambda layer, ones, n: ones[0] / layer.k if layer.reduce == "mean" else ones[0], _pool_time),
    "OverTime": Kind(_real, _over_time), "Ternary": Kind(lambda layer, ones, n: np.ones(n), _each(compare=2))}


def kind(layer):
    for cls in type(layer).__mro__:
        if cls.__name__ in KINDS:
            return KINDS[cls.__name__]
    layer.refuse(f"nobody has said what operations a {type(layer).__name__} makes; add it to numsnn.energy.KINDS")
