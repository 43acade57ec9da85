"""What a network makes of a data set: `predict`, `evaluate`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..datasets import Batch, Dataset
from ..datasets.checks import is_per_step
from ..devices.contract import valid_steps
from ..layers.layer import count_of, positive_integer
from ..loss import Loss, as_loss
from ..network.gradients import answer_lengths
from ..network.network import Network
from ..network.summary import activity
from . import arguments, metrics

AnyLoss = Loss | Callable[..., Any]


class Evaluation(NamedTuple):
    """What `evaluate` found.

    accuracy: over what the mask counts; accuracy_labelled: the labelled steps of these; rates: by layer.
    loss: the mean over the sequences of the loss that was given.
    metrics: "accuracy" of classes; "mse", "mae", "r2", "correlation" of a regression, the mean over its
    targets (of r2 and correlation over those that vary).  targets: the same for each target, (K,).
    Of a regression accuracy is NaN and the confusion matrix is empty.
    """
    name: str
    n: int                          # decisions that counted
    accuracy: float
    accuracy_labelled: float | None
    confusion: np.ndarray           # row true, column predicted
    classes: tuple
    rates: dict                     # layer -> {"rate", "dead", "saturated"}
    loss: float | None
    metrics: dict[str, float]
    targets: dict[str, np.ndarray]
    # layers whose initial state is drawn in training, and was not here
    at_rest: tuple = ()

    def __str__(self) -> str:
        head = f"{self.name}: "
        if self.targets:
            head += ", ".join(f"{name} {value:.4g}" for name, value in self.metrics.items())
        else:
            head += f"accuracy {self.accuracy:.4f}"
        head += f" over {self.n:,} decisions"
        if self.accuracy_labelled is not None:
            head += f"; {self.accuracy_labelled:.4f} over the labelled ones"
        if self.loss is not None:
            head += f"; loss {self.loss:.4g}"
        if self.at_rest:
            head += (f"\nbegun without the random initial states that training draws for "
                     f"{', '.join(self.at_rest)}; evaluate(net, data, seed=0) draws them")
        return "\n".join([head, *(self._of_targets() if self.targets else self._of_classes()),
                          *self._of_layers()])

    def _of_classes(self):
        width = max([5, *map(len, self.classes)])
        found = metrics.scores(self.confusion)
        columns = found["precision"], found["recall"], found["f1"], self.confusion.sum(1)
        return [f"{'class':<{width}}  precision  recall     F1        n",
                *(f"{name:<{width}}  {precision:9.3f}  {recall:6.3f}  {f1:5.3f}  {n:7,d}"
                  for name, precision, recall, f1, n in zip(self.classes, *columns, strict=True))]

    def _of_targets(self):
        rows = zip(*self.targets.values(), strict=True)
        return ["target  " + "".join(f"{name:>13}" for name in self.targets),
                *(f"{k:<8}" + "".join(f"{value:13.4g}" for value in row) for k, row in enumerate(rows))]

    def _of_layers(self):
        return [f"{layer}: {facts['rate']:.4f} spikes per neuron and step, "
                f"{facts['dead']} dead, {facts['saturated']} saturated"
                for layer, facts in self.rates.items()]


def predict(net: Network, data: Dataset, *, batch_size: int = 256, answers: bool = False,
            seed: int | None = None) -> np.ndarray:
    """The most likely class of each sequence (B,) or step (T, B); answers=True: the answers themselves.

    Of data with the targets of a regression it is always the answers, (B, K) or (T, B, K).
    seed: see evaluate.
    """
    _check_data(net, data, "predict")
    as_they_are = arguments.flag(answers, "predict: answers") or data.has_targets
    parts = []
    for number, batch in enumerate(data.batches(positive_integer(batch_size, "batch_size"))):
        y, _ = net.run(batch.x, _initial(net, batch, number, seed), lengths=batch.lengths)
        parts.append(y if as_they_are else y.argmax(-1))
    once_per_sequence = parts[0].ndim == (2 if as_they_are else 1)
    return _joined(parts, 0 if once_per_sequence else 1)


def evaluate(net: Network, data: Dataset, *, loss: AnyLoss | None = None, batch_size: int = 256,
             rates: bool = True, seed: int | None = None) -> Evaluation:
    """Accuracy, confusion matrix and firing rates on a data set; print it for a table.

    Of targets of a regression: mean square and absolute error, R2 and correlation.
    loss: is measured, too, as `fit` does it: the mean over the sequences.
    seed: of the initial states, where training draws them (init_state="uniform" and others); they depend on
    (seed, batch) only.  None: the network begins as `run` does, without chance, which can be far from how it
    was trained; the table says so.
    """
    _check_data(net, data, "evaluate")
    rates = arguments.flag(rates, "evaluate: rates")
    of_batch = None if loss is None else as_loss(loss)
    answers, counts, seen, total = [], [], [], 0.0
    for number, batch in enumerate(data.batches(positive_integer(batch_size, "batch_size"))):
        y, _, found = net.run(batch.x, _initial(net, batch, number, seed), lengths=batch.lengths,
                              record="rate" if rates else {})
        _check_answer(data, y, batch)
        if of_batch is not None:
            value, _ = of_batch(y, batch.y, batch.mask, answer_lengths(net, batch.lengths))
            total += value * len(batch.samples) / len(data)
        answers.append(y if data.has_targets else y.argmax(-1))
        counts.append(counted(batch))
        seen.append(found)
    predicted = _joined(answers, int(data.per_step))
    count = None if counts[0] is None else _joined(counts, 1)
    measured = _of_targets(data, predicted, count) if data.has_targets else \
        _of_classes(data, predicted, count, n_classes=y.shape[-1])
    return measured._replace(rates=activity(_joined_rates(seen)), loss=None if of_batch is None else total,
                             at_rest=drawn(net) if seed is None else ())


def _initial(net, batch, number, seed):
    """The initial state of a batch: drawn as in training, or None for that of `run`."""
    if seed is None:
        return None
    return net.initial_state(batch.x.shape[1], np.random.default_rng([count_of(seed, "seed"), number]))


def drawn(net: Network) -> tuple[str, ...]:
    """The populations whose initial state is drawn in training."""
    found = []
    for name, layer in net.layers.items():
        state = layer.initial_state(2) if hasattr(layer, "init_state") else None
        other = () if state is None else layer.initial_state(2, np.random.default_rng(0))
        if any(not np.array_equal(a, b) for a, b in zip(state or (), other, strict=True)):
            found.append(name)
    return tuple(found)


def _of_classes(data, predicted, count, n_classes):
    confusion = metrics.confusion_matrix(data.y, predicted, n_classes, count)
    share = metrics.accuracy(data.y, predicted, count)
    labelled = None
    if data.labelled is not None:
        among = data.labelled if count is None else count & data.labelled
        labelled = metrics.accuracy(data.y, predicted, among)
    names = data.classes[:n_classes]
    names += tuple(map(str, range(len(names), n_classes)))
    return Evaluation(data.name or "data", int(confusion.sum()), share, labelled, confusion, names,
                      rates={}, loss=None, metrics={"accuracy": share}, targets={})


def _of_targets(data, predicted, count):
    found = metrics.regression(data.y, predicted, count)
    means = {name: float(each[~np.isnan(each)].mean()) if not np.isnan(each).all() else float("nan")
             for name, each in found.items()}
    n = data.y[..., 0].size if count is None else int(count.sum())
    return Evaluation(data.name or "data", n, float("nan"), None, np.zeros((0, 0), np.int64), (),
                      rates={}, loss=None, metrics=means, targets=found)


def _check_data(net, data, what):
    arguments.network(net, what, runs=True)
    if not len(arguments.dataset(data, what)):
        raise ValueError(f"data set {data.name!r} is empty; there is nothing to {what}")


def _check_answer(data, y, batch):
    """Refuse answers that the labels or targets of a batch do not fit."""
    wanted, name = batch.y.shape, repr(data.name) if data.name else "the data set"
    got = y.shape if data.has_targets else y.shape[:-1]
    if got != wanted:
        what = "target" if data.has_targets else "label"
        raise ValueError(f"the network answers {got}, but {name} has "
                         f"{what}s {wanted}: a {what} per step needs OverTime('each') or no OverTime, "
                         f"one per sequence needs another OverTime")
    if not data.has_targets and batch.y.max(initial=0) >= y.shape[-1]:
        raise ValueError(f"{name} has labels up to {data.y.max()}, "
                         f"but the network has {y.shape[-1]} outputs")


def counted(part: Dataset | Batch) -> np.ndarray | None:
    """(T, B) decisions of a data set or of a batch that count, or None for all."""
    if not is_per_step(part.y):
        return None
    lengths = part.lengths
    if part.mask is None and lengths is None:
        return None
    steps, batch = part.y.shape[:2]
    valid = valid_steps(steps, batch, lengths)[..., 0]
    return valid if part.mask is None else valid & part.mask


def _joined(parts, axis):
    """What was made of the batches, along the samples; steps by which a batch was cut off are 0."""
    if axis:
        steps = max(map(len, parts))
        parts = [part if len(part) == steps else
                 np.concatenate([part, np.zeros((steps - len(part), *part.shape[1:]), part.dtype)])
                 for part in parts]
    return np.concatenate(parts, axis)


def _joined_rates(seen):
    """What run(..., record="rate") recorded of the batches, as that of one."""
    return {name: {"rate": np.concatenate([found[name]["rate"] for found in seen])} for name in seen[0]}
