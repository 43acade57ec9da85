"""What a network makes of a data set: `predict`, `evaluate`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from ..datasets import Dataset
from ..layers.layer import positive_integer
from ..loss import Loss
from ..network.network import Network
from ..network.summary import activity
from ..signals.spikes import Spikes
from . import arguments
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
    loss: float | None = None       # mean over the sequences, where a loss was given
    metrics: Mapping[str, float] = MappingProxyType({})         # what a history keeps of it

    def __str__(self) -> str:
        head = f"{self.name}: accuracy {self.accuracy:.4f} over {self.n:,} decisions"
        if self.accuracy_labelled is not None:
            head += f"; {self.accuracy_labelled:.4f} over the labelled ones"
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


def predict(net: Network, data: Dataset | Spikes | np.ndarray, *, batch_size: int = 256,
            answers: bool = False) -> np.ndarray:
    """The most likely class of each sequence (B,) or step (T, B); answers=True: the answers themselves.

    data: a data set, or sequences x (T, B, N) alone.
    """
    arguments.network(net, "predict")
    data, answers = arguments.sequences(data), arguments.flag(answers, "predict: answers")
    parts = []
    for batch in data.batches(positive_integer(batch_size, "batch_size")):
        y, _ = net.run(batch.x, lengths=batch.lengths)
        parts.append(y if answers else y.argmax(-1))
    once_per_sequence = parts[0].ndim == (2 if answers else 1)
    return np.concatenate(parts, 0 if once_per_sequence else 1)


def evaluate(net: Network, data: Dataset, *, batch_size: int = 256, rates: bool = True,
             loss: Loss | None = None) -> Evaluation:
    """Accuracy, confusion matrix and firing rates on a data set; print it for a table.

    loss: measured in the same pass.
    """
    arguments.network(net, "evaluate")
    rates = arguments.flag(rates, "evaluate: rates")
    if not len(arguments.dataset(data, "evaluate", "data")):
        raise ValueError(f"data set {data.name!r} is empty; there is nothing to evaluate")
    parts, seen, n_classes, total = [], [], 0, 0.0
    for batch in data.batches(positive_integer(batch_size, "batch_size")):
        y, _, found = net.run(batch.x, lengths=batch.lengths, record="rate" if rates else {})
        n_classes = y.shape[-1]
        if loss is not None:
            total += loss(y, batch.y, batch.mask, batch.lengths)[0] * len(batch.samples)
        parts.append(y.argmax(-1))
        seen.append(found)
    predicted = np.concatenate(parts, parts[0].ndim - 1)
    _check_labels(data, predicted.shape, n_classes)
    count = counted(data)
    confusion = confusion_matrix(data.y, predicted, n_classes, count)
    return Evaluation(name=data.name or "data", n=int(confusion.sum()),
                      accuracy=accuracy(data.y, predicted, count),
                      accuracy_labelled=_accuracy_labelled(data, predicted, count), confusion=confusion,
                      classes=data.classes or tuple(map(str, range(n_classes))),
                      rates=activity(_joined_rates(seen)), loss=None if loss is None else total / len(data),
                      metrics={"accuracy": accuracy(data.y, predicted, count)})


def _check_labels(data, shape, n_classes):
    if shape != data.y.shape:
        raise ValueError(f"the network answers {shape}, but {data.name!r} has labels {data.y.shape}: "
                         f"a label per step needs OverTime('each') or no OverTime, one per sequence needs "
                         f"another OverTime")
    if data.y.max() >= n_classes:
        raise ValueError(f"{data.name!r} has labels up to {data.y.max()}, "
                         f"but the network has {n_classes} outputs")


def _accuracy_labelled(data, predicted, count):
    if data.labelled is None:
        return None
    return accuracy(data.y, predicted, data.labelled if count is None else count & data.labelled)


def _joined_rates(seen):
    """What run(..., record="rate") recorded of the batches, as that of one."""
    return {name: {"rate": np.concatenate([found[name]["rate"] for found in seen])} for name in seen[0]}


def counted(data: Dataset) -> np.ndarray | None:
    """(T, B) decisions that count, or None for all."""
    if not data.per_step or data.mask is None and data.lengths is None:
        return None
    count = np.ones(data.y.shape, bool) if data.mask is None else data.mask.copy()
    if data.lengths is not None:
        count &= np.arange(len(count))[:, None] < data.lengths
    return count
