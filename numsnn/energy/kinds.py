"""What each kind of layer does with what arrives."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..layers import Layer
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
    def steps(self) -> int:
        """Valid steps of all samples."""
        return int(self.lengths.sum())


class Kind(NamedTuple):
    """What a kind of layer hands out, and what it counts.

    hands_out(layer, ones, n) -> (n,): the value of a spike of each feature that it hands out, 0 where it is a
    real number; ones: likewise of its sources (None: not known yet).
    counts(layer, signals, here) -> Count of the run; signals: what its sources hand out.
    """
    hands_out: Callable[..., np.ndarray]
    counts: Callable[..., Count]


# ---- what is handed out


def _real(layer, ones, n):
    return np.zeros(n)


def _passed(layer, ones, n):
    return np.ones(n) if ones[0] is None else ones[0]


def _delayed(layer, ones, n):
    """What comes out between two steps is a real number."""
    return np.where(_between_steps(layer), 0, _passed(layer, ones, n))


def _between_steps(layer):
    return layer.in_steps() % 1 != 0


def _fires(layer, ones, n):
    return np.full(n, float(layer.emits_events))


def _fires_inside(layer, ones, n):
    return _fires(layer.population, ones, n)


def _as_the_layer_inside(layer, ones, n):
    return kind(layer.layer).hands_out(layer.layer, ones, n)


def _plain_spikes(layer, ones, n):
    return np.ones(n)


def _beside_each_other(layer, ones, n):
    return np.concatenate(ones)


def _agreed(layer, ones, n):
    """Where all sources agree on what a spike is."""
    return np.where(np.ptp(ones, axis=0) == 0, ones[0], 0)


def _pooled(factor):
    """Windows that lie within channels; factor(layer): of a spike's value."""
    def hands_out(layer, ones, n):
        channels = ones[0].reshape(layer.windows.channels, -1)
        same = np.where(np.ptp(channels, axis=1) == 0, channels[:, 0], 0)
        return np.repeat(same * factor(layer), n // len(same))
    return hands_out


def _unchanged(layer):
    return 1


def _share_of_the_window(layer):
    return 1 / np.prod(layer.kernel)


def _pooled_time(layer, ones, n):
    return ones[0] / layer.k if layer.reduce == "mean" else ones[0]


# ---- what is counted


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


def _delayed_dense(layer, signals, here):
    """A delay costs no operation, and a spread one as many as it has lags."""
    return _synapses(_of_all_lags(layer.prepare(None)), signals[0], here.steps)


def _of_all_lags(lagged):
    """(N,): the currents to which each input adds."""
    if lagged.lag is None:
        return np.count_nonzero(lagged.weight, axis=(1, 2))
    kernels, n_in, n_out = lagged.lag.shape
    return np.full(n_in, kernels * n_out)


def _embedding(layer, signals, here):
    """The first row of a step is read, not added."""
    signal = signals[0]
    every_row_added = _synapses(np.full(layer.n_in, layer.n_out), signal, here.steps)
    return every_row_added + Count(ac=-layer.n_out * signal.busy)


def _conv(layer, signals, here):
    g, channels_out = layer.geometry, layer.channels[1] // layer.groups
    return _synapses(np.tile(_places(g), layer.channels[0]) * channels_out, signals[0], here.steps)


def _places(g):
    """(H W,): of how many (output, place in the kernel) each place of a picture is read."""
    axes = zip(g.size, g.kernel, g.stride, g.padding, g.dilation, g.out, strict=True)
    rows, columns = (_reach(*axis) for axis in axes)
    return np.outer(rows, columns).ravel()


def _reach(n, kernel, stride, padding, dilation, out):
    """(n,): of how many (output, place in the kernel) each of n inputs is read, along one axis."""
    read = (np.arange(out) * stride - padding)[:, None] + np.arange(kernel) * dilation
    return np.bincount(read[(read >= 0) & (read < n)], minlength=n)


def _population(layer, signals, here):
    model, steps = layer.model, here.steps
    fires = model.spiking and layer.surrogate.hard
    count = Count(compare=layer.n * steps * model.spiking)
    if layer.recur:
        count += _recurrence(layer, here, layer.recur == "spike" and fires)
    if model.name in GATED:
        mac, ac = GATED[model.name]
        spikes = int(here.fired.sum()) if fires else 0
        return count + Count(update_mac=mac * layer.n * steps, update_ac=ac * spikes)
    carried, changed = _variables(layer)
    if not fires and model.spiking:
        return count + update(int(carried.sum()) * steps, None)
    resets = 0
    if fires and layer.options.get("reset") != "none":
        resets = int(changed @ (here.read if model.carries("spike") else here.fired))
    return count + update(int(carried.sum()) * steps, resets)


def _recurrence(layer, here, by_spikes):
    """Whole delays cost nothing, and spikes on their way at the end count as if they had come back.

    While delays of neurons are spread what comes back are real numbers, each spike a part of as many as it
    has lags; of synapses, each spike adds as many weights.
    """
    synapses, late = layer.params["recurrent"].size, layer.late()
    if layer.by_synapse:
        reach = _of_all_lags(late)
        return Count(ac=int(here.read @ reach)) if by_spikes else Count(mac=int(reach.sum()) * here.steps)
    if late and not (late.whole and by_spikes):
        lags, products = late.end - late.begin, Count(mac=synapses * here.steps)
        if by_spikes:
            return products + Count(ac=int(here.fired @ lags))
        return products + Count(mac=int(lags.sum()) * here.steps)
    if by_spikes:
        return Count(ac=int(here.read.sum()) * (synapses // layer.n))
    return Count(mac=synapses * here.steps)


# Variables that do nothing where this setting, which multiplies them, is 0.
IDLE = {"eta": "beta", "last": "self_weight"}


def _variables(layer):
    """((n,) variables that a neuron carries from step to step, (n,) those of them that a spike changes).

    Its last spike is none of them.
    """
    settings = layer.values()
    variables = [name for name in layer.model.State._fields if name != "spike"]
    factors = {name: settings.get(IDLE.get(name), np.ones(1)) for name in variables}
    works = {name: np.repeat(factor != 0, layer.n // factor.size) for name, factor in factors.items()}
    none = np.zeros(layer.n, int)
    return sum(works.values(), none), sum((a for name, a in works.items() if name != "last"), none)


def _membrane_norm(layer, signals, here):
    norm = kind(layer.norm).counts(layer.norm, signals, here)
    return _population(layer.population, signals, here) + norm


def _distributed(layer, signals, here):
    """Every step begins with a silent state."""
    nothing_recurs = here._replace(read=None if here.fired is None else 0 * here.fired)
    return kind(layer.layer).counts(layer.layer, signals, nothing_recurs)


def _activation(layer, signals, here):
    """One MAC stands for a function such as tanh."""
    n = len(signals[0].real) * here.steps
    return {"identity": Count(), "relu": Count(compare=n)}.get(layer.function.name, Count(mac=n))


def _add(layer, signals, here):
    alone = ~np.any([s.real for s in signals], axis=0)
    return Count(ac=int((~alone).sum()) * (len(signals) - 1) * here.steps)


def _pool(scaled, largest=False):
    def counts(layer, signals, here):
        channels = layer.windows.channels
        out = layer.size_out // channels
        more = int(_places(layer.windows).sum()) - out
        if largest:
            return Count(compare=channels * more * here.steps)
        real = int(signals[0].real.reshape(channels, -1).any(1).sum())
        return Count(ac=real * more * here.steps, mac=real * out * scaled * here.steps)
    return counts


def _pool_time(layer, signals, here):
    n, real = len(signals[0].real), int(signals[0].real.sum())
    if layer.reduce == "max":
        return Count(compare=n * (layer.k - 1) * here.steps)
    divided = real * (layer.reduce == "mean")
    return Count(ac=real * (layer.k - 1) * here.steps, mac=divided * here.steps)


def _delay(layer, signals, here):
    """Two products for each value that comes out between two steps, or for each spike that it is made of."""
    signal, between = signals[0], _between_steps(layer)
    products = int((between & signal.real).sum()) * here.steps + int(signal.spikes[between].sum())
    return Count(mac=2 * products)


def _over_time(layer, signals, here):
    """A sum adds spikes or values; a soft-max is taken as an addition and two MAC for each value."""
    signal, n = signals[0], len(signals[0].real)
    steps = int(np.maximum(here.lengths - layer.start, 0).sum())
    softmax = layer.of == "softmax"
    soft_maxes = len(here.lengths) if layer.reduce == "last" else steps
    count = Count(ac=1, mac=2) * (n * soft_maxes) if softmax else Count()
    if layer.reduce == "max":
        return count + Count(compare=n * steps)
    if layer.reduce not in ("sum", "mean"):
        return count
    if softmax:
        return count + Count(ac=n * steps)
    return count + Count(ac=int(signal.real.sum()) * steps + int(signal.spikes.sum()))


PASS_ON = ("Flatten", "From", "Previous", "Repeat", "Reverse", "Dropout")

# By the name of the class or of one that it is made of; add your own layers here.
KINDS: dict[str, Kind] = {
    **{name: Kind(_passed, _nothing) for name in PASS_ON},
    "Delay": Kind(_delayed, _delay),
    "Dense": Kind(_real, _dense),
    "DelayedDense": Kind(_real, _delayed_dense),
    "Embedding": Kind(_real, _embedding),
    "Conv2d": Kind(_real, _conv),
    "Conv1d": Kind(_real, _conv),
    "Population": Kind(_fires, _population),
    "MembraneNorm": Kind(_fires_inside, _membrane_norm),
    "TimeDistributed": Kind(_as_the_layer_inside, _distributed),
    "Scale": Kind(_real, _each(mac=1)),
    "BatchNorm": Kind(_real, _each(mac=1)),
    "LayerNorm": Kind(_real, _each(mac=2, ac=1)),
    "Activation": Kind(_real, _activation),
    "Add": Kind(_agreed, _add),
    "Concatenate": Kind(_beside_each_other, _nothing),
    "SumPool2d": Kind(_pooled(_unchanged), _pool(0)),
    "AvgPool2d": Kind(_pooled(_share_of_the_window), _pool(1)),
    "MaxPool2d": Kind(_pooled(_unchanged), _pool(0, largest=True)),
    "PoolTime": Kind(_pooled_time, _pool_time),
    "OverTime": Kind(_real, _over_time),
    "Ternary": Kind(_plain_spikes, _each(compare=2))}


def kind(layer: Layer) -> Kind:
    """The kind of a layer; ValueError where nobody has said what operations it makes."""
    for cls in type(layer).__mro__:
        if cls.__name__ in KINDS:
            return KINDS[cls.__name__]
    return layer.refuse(f"nobody has said what operations a {type(layer).__name__} makes; "
                        f"add it to numsnn.energy.KINDS")
