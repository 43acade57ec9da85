"""What is odd about a training, said before its first epoch, as warnings.

Each of these trains without an error and learns nothing, or less than it could: labels of one class, nothing
that counts, inputs of zeros, a first population that does not spike, time constants far from the length of a
step or of the sequences, delays beyond it, classes that only the validation set has.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np

from ..datasets import Dataset
from ..datasets.dataset import Batch
from ..layers import BatchNorm, Delay, Population
from ..network.network import Network
from ..signals.spikes import Spikes
from .arguments import TrainingWarning
from .evaluation import counted

FEW = 16                # sequences that are run to see whether anything spikes
FEWER = 4               # that are recorded, where nothing does
NEAR = 1 / 2            # of the threshold, and
STEEP = 1 / 10          # of the surrogate's slope there: what a potential must reach to be woken by gradients
LARGEST = 1 << 24       # numbers that are recorded to see that
SHORT = 1 / 4           # of a time step: less than 2 % is left after one
LONG = 20               # times the length of the sequences: 5 % of a step are seen at their end
NAMED = 5               # classes that a sentence names


def warn_of_odd(net: Network, train: Dataset, valid: Dataset | None) -> None:
    """One TrainingWarning for each thing that is odd.  A few sequences are run; nothing changes."""
    for sentence in odd(net, train, valid):
        warnings.warn(sentence, TrainingWarning, stacklevel=4)


def odd(net: Network, train: Dataset, valid: Dataset | None) -> Iterator[str]:
    """A sentence for each thing that is odd."""
    batch = some(train, FEW)
    yield from of_data(train, valid, batch)
    if not _all_zero(train, batch):
        yield from _silent(net, train, batch)
    yield from of_time_constants(net, batch)
    yield from of_delays(net, batch)


def of_data(train: Dataset, valid: Dataset | None, batch: Batch) -> Iterator[str]:
    """Sentences on labels and inputs; batch: some sequences of the training set."""
    yield from _labels(train, valid)
    if _all_zero(train, batch):
        yield f"the inputs of the training set {train.name!r} are all 0: there is nothing to learn from"


def some(train: Dataset, n: int) -> Batch:
    """At most n sequences from everywhere in the set, so that one that is sorted gives several classes."""
    few = np.linspace(0, len(train) - 1, min(n, len(train))).astype(int)
    return next(train.select(few).batches(n, prefetch=0))


# ---- data


def _labels(train, valid):
    taught = _what_counts(train)
    if not taught.size:
        yield f"no label of the training set {train.name!r} counts: its mask or lengths leave all out"
        return
    if (taught == taught[0]).all():
        what = "targets" if train.has_targets else "labels"
        yield (f"all {what} of the training set {train.name!r} are {_named(train, taught[0])}: "
               f"there is nothing to learn from them")
    if valid is None:
        return
    asked = _what_counts(valid)
    if not asked.size:
        yield f"no label of the validation set {valid.name!r} counts: its mask or lengths leave all out"
    lacking = np.array([]) if valid.has_targets else np.setdiff1d(asked, taught)
    if lacking.size:
        more = f" and {lacking.size - NAMED} more" if lacking.size > NAMED else ""
        names = ", ".join(_named(valid, label) for label in lacking[:NAMED])
        yield f"the validation set has classes that the training set lacks: {names}{more}"


def _what_counts(data):
    """(n,) labels, or (n, K) targets, those that mask and lengths let count."""
    chosen = counted(data)
    if chosen is not None:
        return data.y[chosen]
    return data.y.reshape(-1, data.y.shape[-1]) if data.has_targets else data.y.reshape(-1)


def _named(data, label):
    if data.has_targets:
        return ", ".join(f"{value:.4g}" for value in label)
    return f"{label} ({data.classes[label]})" if 0 <= label < len(data.classes) else str(label)


def _all_zero(train: Dataset, batch: Batch) -> bool:
    """Whether no input differs from 0; of a set that is read from files the first sequences tell."""
    x = batch.x if train.lazy else train.x
    if isinstance(x, Spikes):
        return not x.count.any()
    return not any(x[:, i].any() for i in range(x.shape[1]))


# ---- network


def _silent(net: Network, train: Dataset, batch: Batch) -> Iterator[str]:
    """Whether the first population that spikes does so on a few sequences.

    Not where a BatchNorm stands before it, which scales otherwise in training than in a run.
    """
    for name, layer in net.layers.items():
        if isinstance(layer, BatchNorm):
            return
        if "rate" in layer.recordable() and getattr(layer, "output", "spike") == "spike":
            seen = net.run(batch.x, lengths=batch.lengths, record={name: "rate"})[2]
            if not seen[name]["rate"].any() and not _comes_near(net, name, layer, train):
                yield (f"layer {name} does not spike on {len(batch.samples)} sequences: its input stays far "
                       f"below its threshold, and hardly any gradient goes through; lower v_threshold, or "
                       f"scale the weights with numsnn.init.lsuv")
            return


def _comes_near(net, name, layer, train):
    """Whether the potential of a silent population comes near its threshold, so that gradients wake it."""
    x, _, lengths, _, _ = some(train, FEWER)
    fields, numbers = ("v", "theta"), x.shape[0] * x.shape[1] * (layer.size_out or 0)
    if numbers > LARGEST or not hasattr(layer, "surrogate") or not set(fields) <= set(layer.recordable()):
        return False
    found = net.run(x, lengths=lengths, record={name: fields})[2][name]
    v, theta = found["v"].astype(np.float64), found["theta"].astype(np.float64)
    slope = layer.surrogate(np.array([(v - theta).max(), 0.0]))
    return (v > NEAR * theta).any() and slope[0] > STEEP * slope[1]


def of_delays(net: Network, batch: Batch) -> Iterator[str]:
    """Sentences on delays that are as long as the sequences of a batch, or longer."""
    for name, layer in net.layers.items():
        steps = net.graph.nodes[name].steps(batch.x.shape[0])
        if isinstance(layer, Population) and layer.delays:
            yield from _of_recurrent_delays(name, layer, steps)
        late = int((layer.in_steps() >= steps).sum()) if isinstance(layer, Delay) else 0
        if late:
            yield (f"{name}: {late} of {layer.size_out} delays are no shorter than the sequences, {steps} "
                   f"steps: of these features nothing comes out but zeros, and nothing is learned; a lower "
                   f"max, or other delays at first")


def _of_recurrent_delays(name, layer, steps):
    late = int((layer.first_lags() + 1 >= steps).sum())         # spread ones may reach back
    if late:
        yield (f"{name}: {late} of {layer.params['delay'].size} delays are so long that what recurs never "
               f"comes back within the {steps} steps of the sequences, and nothing is learned of them; a "
               f"lower max, or other delays at first")


def of_time_constants(net: Network, batch: Batch) -> Iterator[str]:
    """Sentences on time constants that do not fit the steps of a batch."""
    steps = batch.x.shape[0]
    for name, layer in net.layers.items():
        if not isinstance(layer, Population):
            continue
        values = layer.values()
        for setting in layer.model.time_constants:
            tau = float(np.median(values[setting])) / net.dt
            if tau < SHORT:
                yield (f"{name}.{setting} is {tau:.2g} time steps (dt={net.dt:g}): all is forgotten from one "
                       f"step to the next; time constants are in the unit of dt")
            elif np.isfinite(tau) and tau > LONG * steps:
                yield (f"{name}.{setting} is {tau:.4g} time steps (dt={net.dt:g}), the sequences have "
                       f"{steps}: it hardly acts in so short a time; time constants are in the unit of dt")
