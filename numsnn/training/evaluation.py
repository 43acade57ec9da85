"""What a network makes of a data set: `predict`, `evaluate`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..datasets import Dataset
from ..layers.layer import count_of, positive_integer
from ..network.network import Network
from ..network.summary import activity
from .metrics import accuracy, confusion_matrix, scores


class Evaluation(NamedTuple):
    """What `evaluate` found.

    accuracy: over what the mask counts; accuracy_labelled: the labelled steps of these; rates: by layer.
    """
    name: str
    n: int                          # decisions that counted
    accuracy: float
    accuracy_labelled: float | None
    confusion: np.ndarray           # row true, column predicted
    classes: tuple
    rates: dict                     # layer -> {"rate", "dead", "saturated"}
    # layers whose initial state is drawn in training, and was not here
    at_rest: tuple = ()

    def __str__(self) -> str:
        head = f"{self.name}: accuracy {self.accuracy:.4f} over {self.n:,} decisions"
        if self.accuracy_labelled is not None:
            head += f"; {self.accuracy_labelled:.4f} over the labelled ones"
        if self.at_rest:
            head += (f"\nbegun without the random initial states that training draws for "
                     f"{', '.join(self.at_rest)}; evaluate(net, data, seed=0) draws them")
        return "\n".join([head, *self._of_classes(), *self._of_layers()])

    def _of_classes(self):
        width = max([5, *map(len, self.classes)])
        found = scores(self.confusion)
        columns = found["precision"], found["recall"], found["f1"], self.confusion.sum(1)
        return [f"{'class':<{width}}  precision  recall     F1        n",
                *(f"{name:<{width}}  {precision:9.3f}  {recall:6.3f}  {f1:5.3f}  {n:7,d}"
                  for name, precision, recall, f1, n in zip(self.classes, *columns, strict=True))]

    def _of_layers(self):
        return [f"{layer}: {facts['rate']:.4f} spikes per neuron and step, "
                f"{facts['dead']} dead, {facts['saturated']} saturated"
                for layer, facts in self.rates.items()]


def predict(net: Network, data: Dataset, *, batch_size: int = 256, answers: bool = False,
            seed: int | None = None) -> np.ndarray:
    """The most likely class of each sequence (B,) or step (T, B); answers=True: the answers themselves.

    seed: see evaluate.
    """
    parts = []
    for number, batch in enumerate(data.batches(positive_integer(batch_size, "batch_size"))):
        y, _ = net.run(batch.x, _initial(net, batch, number, seed), lengths=batch.lengths)
        parts.append(y if answers else y.argmax(-1))
    once_per_sequence = parts[0].ndim == (2 if answers else 1)
    return np.concatenate(parts, 0 if once_per_sequence else 1)


def evaluate(net: Network, data: Dataset, *, batch_size: int = 256, rates: bool = True,
             seed: int | None = None) -> Evaluation:
    """Accuracy, confusion matrix and firing rates on a data set; print it for a table.

    seed: of the initial states, where training draws them (init_state="uniform" and others); they depend on
    (seed, batch) only.  None: the network begins as `run` does, without chance, which can be far from how it
    was trained; the table says so.
    """
    if not len(data):
        raise ValueError(f"data set {data.name!r} is empty; there is nothing to evaluate")
    parts, seen, n_classes = [], [], 0
    for number, batch in enumerate(data.batches(positive_integer(batch_size, "batch_size"))):
        y, _, found = net.run(batch.x, _initial(net, batch, number, seed), lengths=batch.lengths,
                              record="rate" if rates else {})
        n_classes = y.shape[-1]
        parts.append(y.argmax(-1))
        seen.append(found)
    predicted = np.concatenate(parts, parts[0].ndim - 1)
    _check_labels(data, predicted.shape, n_classes)
    counted = _counted(data)
    confusion = confusion_matrix(data.y, predicted, n_classes, counted)
    return Evaluation(name=data.name or "data", n=int(confusion.sum()),
                      accuracy=accuracy(data.y, predicted, counted),
                      accuracy_labelled=_accuracy_labelled(data, predicted, counted), confusion=confusion,
                      classes=data.classes or tuple(map(str, range(n_classes))),
                      rates=activity(_joined_rates(seen)), at_rest=_drawn(net) if seed is None else ())


def _initial(net, batch, number, seed):
    """The initial state of a batch: drawn as in training, or None for that of `run`."""
    if seed is None:
        return None
    return net.initial_state(batch.x.shape[1], np.random.default_rng([count_of(seed, "seed"), number]))


def _drawn(net):
    """The populations whose initial state is drawn in training."""
    found = []
    for name, layer in net.layers.items():
        state = layer.initial_state(2) if hasattr(layer, "init_state") else None
        drawn = () if state is None else layer.initial_state(2, np.random.default_rng(0))
        if any(not np.array_equal(a, b) for a, b in zip(state or (), drawn, strict=True)):
            found.append(name)
    return tuple(found)


def _check_labels(data, shape, n_classes):
    if shape != data.y.shape:
        raise ValueError(f"the network answers {shape}, but {data.name!r} has labels {data.y.shape}: "
                         f"a label per step needs OverTime('each') or no OverTime, one per sequence needs "
                         f"another OverTime")
    if data.y.max() >= n_classes:
        raise ValueError(f"{data.name!r} has labels up to {data.y.max()}, "
                         f"but the network has {n_classes} outputs")


def _accuracy_labelled(data, predicted, counted):
    if data.labelled is None:
        return None
    return accuracy(data.y, predicted, data.labelled if counted is None else counted & data.labelled)


def _joined_rates(seen):
    """What run(..., record="rate") recorded of the batches, as that of one."""
    return {name: {"rate": np.concatenate([found[name]["rate"] for found in seen])} for name in seen[0]}


def _counted(data):
    """(T, B) decisions that count, or None for all."""
    if not data.per_step or data.mask is None and data.lengths is None:
        return None
    counted = np.ones(data.y.shape, bool) if data.mask is None else data.mask.copy()
    if data.lengths is not None:
        counted &= np.arange(len(counted))[:, None] < data.lengths
    return counted
