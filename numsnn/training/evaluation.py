"""What a network makes of a data set: `predict`, `evaluate`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..datasets import Batch, Dataset
from ..datasets.batch import Whole
from ..datasets.checks import is_per_step
from ..devices.contract import valid_steps
from ..layers.layer import count_of, positive_integer
from ..loss import Loss, as_loss
from ..network.chunks import join_states, rows
from ..network.gradients import answer_lengths
from ..network.network import Network
from ..network.summary import activity
from ..ranks import ALONE, Ranks, over
from . import arguments, metrics, sharing
from .arguments import TrainingWarning

AnyLoss = Loss | Callable[..., Any]
APART = 0.05        # share of decisions
BLOCK = 256         # samples whose initial states are drawn together, whatever the batches


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
    # layers whose initial state is drawn in training; seed: of these here, None where they began at rest
    drawn: tuple = ()
    seed: int | None = None

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
        if self.drawn:
            states = f"initial states that training draws for {', '.join(self.drawn)}"
            head += f"\nbegun at rest, without the {states}" if self.seed is None else \
                f"\nbegun from the {states}, seed {self.seed}"
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
            seed: int | None = 0, comm: Any = None) -> np.ndarray:
    """The most likely class of each sequence (B,) or step (T, B); answers=True: the answers themselves.

    Of data with the targets of a regression it is always the answers, (B, K) or (T, B, K).
    seed, comm: see evaluate.
    """
    with over(comm).guarded() as ranks:
        _check_data(net, data, "predict")
        as_they_are = arguments.flag(answers, "predict: answers") or data.has_targets
        parts, chance = [], _Chance(net, seed)
        for y, _, _ in _answered(net, data, batch_size, chance, ranks, {}):
            parts.append(y if as_they_are else y.argmax(-1))
    once_per_sequence = parts[0].ndim == (2 if as_they_are else 1)
    return _joined(parts, 0 if once_per_sequence else 1)


def evaluate(net: Network, data: Dataset, *, loss: AnyLoss | None = None, batch_size: int = 256,
             rates: bool = True, seed: int | None = 0, comm: Any = None) -> Evaluation:
    """Accuracy, confusion matrix and firing rates on a data set; print it for a table.

    Of targets of a regression: mean square and absolute error, R2 and correlation.
    loss: is measured, too, as `fit` does it: the mean over the sequences.
    seed: of the initial states, where training draws them (init_state="uniform" and others): a network is
    judged from where it was trained.  They depend on the seed and the place in the data set only.  None: it
    begins at rest, without chance, as `run`, `step` and exported networks do; the table says which.  A
    TrainingWarning tells where the first batch comes out otherwise from rest, by more than five decisions in
    a hundred (of few sequences, by more than chance).
    comm: an mpi4py communicator, whose ranks take their share of each batch (numsnn.ranks); all of them get
    the result, which is the same for any number.
    """
    with over(comm).guarded() as ranks:
        found = measure(net, data, loss=loss, batch_size=batch_size, rates=rates, seed=seed, ranks=ranks)
        if found.seed is not None and ranks.root:
            _warn_of_rest(net, data, batch_size, found.seed)
        return found


def measure(net: Network, data: Dataset, *, loss: AnyLoss | None = None, batch_size: int = 256,
            rates: bool = True, seed: int | None = 0, ranks: Ranks = ALONE) -> Evaluation:
    """`evaluate` without the look at what the network does from rest."""
    _check_data(net, data, "evaluate")
    rates = arguments.flag(rates, "evaluate: rates")
    of_batch = None if loss is None else as_loss(loss)
    chance = _Chance(net, seed)
    answers, counts, seen, total = [], [], [], 0.0
    for y, found, batch in _answered(net, data, batch_size, chance, ranks, "rate" if rates else {}):
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
                             drawn=chance.layers, seed=chance.seed if chance.layers else None)


def _answered(net, data, batch_size, chance, ranks, record):
    """(answers, what was recorded, the batch) of all batches, of each rank's share of it."""
    for batch in sharing.batches(data, positive_integer(batch_size, "batch_size"), None, ranks, ranks.share):
        y, _, found = net.run(batch.x, chance.initial(batch), lengths=batch.lengths, record=record)
        if batch.whole is not None:
            y = ranks.joined(y, y.ndim - 2)
            found = {name: {"rate": ranks.joined(fields["rate"])} for name, fields in found.items()}
        yield y, found, batch.whole or batch


class _Chance:
    """The initial states that training draws.  layers: for whom; seed: None where they begin at rest."""

    def __init__(self, net, seed):
        self.net, self.layers = net, drawn(net)
        given = None if seed is None else count_of(seed, "seed")
        self.seed = given if isinstance(net, Network) else None         # whole numbers begin at rest
        self._kept = -1, None

    def initial(self, batch):
        """That of a batch: drawn as in training, or None for that of `run`."""
        if self.seed is None or not self.layers or not len(batch.samples):
            return None
        first, last = int(batch.samples[0]), int(batch.samples[-1]) + 1
        parts = []
        for block in range(first // BLOCK, -(-last // BLOCK)):
            begin = block * BLOCK
            inside = max(first - begin, 0), min(last - begin, BLOCK)
            parts.append({name: rows(state, *inside) for name, state in self._block(block).items()})
        return {name: join_states([part[name] for part in parts]) for name in parts[0]}

    def _block(self, block):
        """The states of BLOCK samples of the data set, the last ones kept."""
        if self._kept[0] != block:
            rng = np.random.default_rng([self.seed, block])
            self._kept = block, self.net.initial_state(BLOCK, rng)
        return self._kept[1]


def _warn_of_rest(net, data, batch_size, seed):
    """Warn where the first batch is judged otherwise from rest than from the states that training draws."""
    few = data[:min(len(data), batch_size)]
    if few.has_targets:
        return
    there, rest = (measure(net, few, rates=False, seed=start).accuracy for start in (seed, None))
    if abs(there - rest) > max(APART, len(few) ** -0.5):       # of few sequences chance moves more
        warnings.warn(f"evaluate: of the first {len(few)} sequences {there:.4f} are right from initial "
                      f"states drawn as in training, {rest:.4f} from rest, where run, step and exported "
                      f'networks begin; train what is to run from rest with init_state="rest"',
                      TrainingWarning, stacklevel=3)


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


def counted(part: Dataset | Batch | Whole) -> np.ndarray | None:
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
