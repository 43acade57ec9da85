"""Training: `fit`, `evaluate`, `predict`."""

from __future__ import annotations

import copy
import json
import math
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..datasets import Dataset
from ..devices import threads
from ..files.checkpoint import first_difference, load_training, save
from ..layers import Population
from ..network.memory import Plan, within
from ..network.network import Network
from ..network.summary import activity
from .metrics import accuracy, confusion_matrix, scores


class TrainingDiverged(ArithmeticError):
    """The loss or a gradient is no longer a number: where that began."""


# ---- evaluation


class Evaluation(NamedTuple):
    """What `evaluate` found.  accuracy: over what the mask counts; accuracy_labelled: the labelled steps of these; rates: by layer."""
    name: str
    n: int                          # decisions that counted
    accuracy: float
    accuracy_labelled: float | None
    confusion: np.ndarray           # row true, column predicted
    classes: tuple
    rates: dict                     # layer -> {"rate", "dead", "saturated"}

    def __str__(self):
        s, width = scores(self.confusion), max([5, *map(len, self.classes)])
        lines = [f"{self.name}: accuracy {self.accuracy:.4f} over {self.n:,} decisions"
                 + (f"; {self.accuracy_labelled:.4f} over the labelled ones" if self.accuracy_labelled is not None else ""),
                 f"{'class':<{width}}  precision  recall     F1        n"]
        lines += [f"{c:<{width}}  {p:9.3f}  {r:6.3f}  {f:5.3f}  {n:7,d}" for c, p, r, f, n in
                  zip(self.classes, s["precision"], s["recall"], s["f1"], self.confusion.sum(1), strict=True)]
        lines += [f"{layer}: {facts['rate']:.4f} spikes per neuron and step, {facts['dead']} dead, {facts['saturated']} saturated"
                  for layer, facts in self.rates.items()]
        return "\n".join(lines)


def predict(net: Network, data: Dataset, *, batch_size: int = 256, answers: bool = False) -> np.ndarray:
    """The most likely class of each sequence (B,) or step (T, B); with answers=True the network's answers themselves."""
    parts = []
    for batch in data.batches(_size(batch_size)):
        y, _ = net.run(batch.x, lengths=batch.lengths)
        parts.append(y if answers else y.argmax(-1))
    axis = 0 if parts[0].ndim == (2 if answers else 1) else 1
    return np.concatenate(parts, axis)


def evaluate(net: Network, data: Dataset, *, batch_size: int = 256, rates: bool = True) -> Evaluation:
    """Accuracy, confusion matrix and firing rates on a data set; print it for a table."""
    if not len(data):
        raise ValueError(f"data set {data.name!r} is empty; there is nothing to evaluate")
    predicted, seen, n_classes = [], [], 0
    for batch in data.batches(_size(batch_size)):
        y, _, found = net.run(batch.x, lengths=batch.lengths, record="rate" if rates else {})
        n_classes = y.shape[-1]
        predicted.append(y.argmax(-1))
        seen.append(found)
    predicted = np.concatenate(predicted, predicted[0].ndim - 1)
    if predicted.shape != data.y.shape:
        raise ValueError(f"the network answers {predicted.shape}, but {data.name!r} has labels {data.y.shape}: "
                         f"a label per step needs OverTime('each') or no OverTime, one per sequence needs another OverTime")
    if data.y.max() >= n_classes:
        raise ValueError(f"{data.name!r} has labels up to {data.y.max()}, but the network has {n_classes} outputs")
    counted = _counted(data)
    labelled = None if data.labelled is None else accuracy(data.y, predicted, data.labelled if counted is None else counted & data.labelled)
    confusion = confusion_matrix(data.y, predicted, n_classes, counted)
    together = {name: {"rate": np.concatenate([s[name]["rate"] for s in seen])} for name in seen[0]}
    classes = data.classes or tuple(map(str, range(n_classes)))
    return Evaluation(data.name or "data", int(confusion.sum()), accuracy(data.y, predicted, counted), labelled, confusion, classes,
                      activity(together))


def _counted(data):
    """(T, B) decisions that count, or None for all."""
    if not data.per_step or data.mask is None and data.lengths is None:
        return None
    counted = np.ones(data.y.shape, bool) if data.mask is None else data.mask.copy()
    if data.lengths is not None:
        counted &= np.arange(len(counted))[:, None] < data.lengths
    return counted


def _size(batch_size):
    if isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        raise ValueError(f"batch_size must be a positive integer; got {batch_size!r}")
    return int(batch_size)


# ---- training


class History:
    """One dict an epoch: epoch, loss, NAME_accuracy of each watched set, projected, seconds."""

    def __init__(self, epochs: list | None = None):
        self.epochs: list[dict] = epochs or []

    def __getitem__(self, key: str) -> list:
        """A column, such as history["loss"]."""
        return [epoch.get(key) for epoch in self.epochs]

    def __len__(self) -> int:
        return len(self.epochs)

    def __iter__(self):
        return iter(self.epochs)

    def __contains__(self, key) -> bool:
        """Whether there is such a column."""
        return any(key in epoch for epoch in self.epochs)

    def best(self, key: str = "valid_accuracy") -> dict | None:
        """The first epoch with the largest value of `key`."""
        known = [epoch for epoch in self.epochs if key in epoch]
        return max(known, key=lambda epoch: epoch[key], default=None)

    def save(self, path) -> None:
        """Write the epochs as JSON."""
        Path(path).write_text(json.dumps(self.epochs, indent=1))

    def __repr__(self) -> str:
        return f"History({len(self)} epochs{', last: ' + str(self.epochs[-1]) if self.epochs else ''})"


class Epoch(NamedTuple):
    """What a callback sees after each epoch."""
    net: Network
    optimizer: object
    history: History
    epoch: int
    is_best: bool


def fit(net: Network, train: Dataset, valid: Dataset | None = None, *, loss, optimizer, epochs: int, batch_size: int = 64,
        seed: int = 0, watch: dict[str, Dataset] | None = None, patience: int | None = None, keep_best: bool = True,
        tbptt: int | None = None, step_inside: bool = True, callbacks: tuple = (), progress: bool = True, checkpoint=None,
        resume: bool = False, facts: dict | None = None, regularisers: tuple = (), checkpoint_every: int | None = None,
        memory: int | None = None) -> History:
    """Train a network; the history of its epochs.

    train, valid: data sets; after each epoch the accuracy on `valid` is measured, and with keep_best the network ends with the weights
    of the best epoch.  watch: further sets to measure, by name.  loss, optimizer: see numsnn.loss, numsnn.optim.
    seed: of shuffling and of random initial states, which depend on (seed, epoch, batch) only.  patience: stop after so many epochs
    without a better accuracy on `valid`.  callbacks: functions of an Epoch; one that returns True ends the training.
    tbptt: truncated backpropagation: sequences are cut into segments of so many steps; the state goes on, the gradient does not.
    regularisers: penalties on rates and weights that are added to the loss (numsnn.regularise).
    checkpoint_every: less memory for more time, see Network.loss_and_gradients.  memory: bytes that the arrays of a training step may take;
    where they do not suffice, checkpoint_every (on a GPU first the samples of a chunk) is chosen for each size of batch, and where that does not help, a
    ValueError says what is needed.
    step_inside: update after each segment, or with the sum of the segments' gradients after the sequence.
    checkpoint: file that holds the whole training after every epoch; resume=True goes on from it, bit for bit as if never interrupted.

    Raises TrainingDiverged, with epoch, batch and layer, where the loss or a gradient is not finite.
    """
    _check(train, valid, epochs, batch_size, tbptt)
    if tbptt is not None:
        net.require_causal("be trained by truncated BPTT")
    history, best, first, plan = History(), {}, 0, _plans(net, checkpoint_every, memory, tbptt, regularisers)
    if resume and checkpoint is not None and Path(checkpoint).is_file():
        history, best, first = _resume(net, optimizer, checkpoint, seed)
    for epoch in range(first, epochs):
        if _patience_is_over(history, patience):
            break
        started = time.perf_counter()
        optimizer.epoch = epoch
        bar = Progress(epoch, epochs, -(-len(train) // batch_size), progress)
        row = {"epoch": epoch, "loss": 0.0, "projected": 0}
        for number, batch in enumerate(_sent(net, train.batches(batch_size, np.random.default_rng([seed, epoch])), plan, memory is None)):
            value, projected = _train_batch(net, loss, optimizer, batch, np.random.default_rng([seed, epoch, number]), tbptt, step_inside,
                                            {"regularisers": tuple(regularisers), **plan(batch)._asdict()}, f"epoch {epoch}, batch {number}")
            row["loss"] += value * len(batch.samples) / len(train)
            row["projected"] += projected
            bar.batch(number, value)
        sets = ({"valid": valid} if valid is not None else {}) | (watch or {})
        for name, data in sets.items():
            row[f"{name}_accuracy"] = evaluate(net, data, rates=False).accuracy
        history.epochs.append(row)
        is_best = valid is not None and history.best() is row
        if is_best:
            best = net.arrays()
        row["seconds"] = time.perf_counter() - started
        bar.epoch_done(row)
        if checkpoint is not None:
            save(net, checkpoint, optimizer=optimizer, best=best, facts={**(facts or {}), "seed": seed, "epoch": epoch,
                                                                         "history": history.epochs})
        answers = [callback(Epoch(net, optimizer, history, epoch, is_best)) for callback in callbacks]
        if True in answers:
            break
    if keep_best:
        net.restore(best)
    return history


def warm_up(net: Network, data: Dataset, *, loss, optimizer, **how) -> float:
    """Compile what training and running a network on data of this kind takes, and keep it in the cache on disk; the seconds it took.

    A copy of the network is trained on two sequences, evaluated, and makes a step; `net` and `optimizer` stay as they are.  how: of `fit`.
    """
    started, few, other = time.perf_counter(), data[:2], net.clone()
    fit(other, few, loss=loss, optimizer=copy.deepcopy(optimizer), epochs=1, batch_size=len(few), progress=False, **how)
    evaluate(other, few)
    if all(layer.causal for layer in other.layers.values()) and not next(iter(other.layers.values())).reads_tokens:
        x = next(few.batches(1)).x[:1]
        other.step(x[0] if isinstance(x, np.ndarray) else x.dense(bool)[0])
    return time.perf_counter() - started


def _check(train, valid, epochs, batch_size, tbptt):
    if not len(train):
        raise ValueError(f"the training set {train.name!r} is empty")
    if valid is not None and not len(valid):
        raise ValueError(f"the validation set {valid.name!r} is empty; leave it out or hold out more")
    if _size(batch_size) > len(train):
        raise ValueError(f"batch_size {batch_size} is larger than the training set, which has {len(train)} sequences; "
                         f"use at most {len(train)}")
    if epochs < 0 or tbptt is not None and tbptt < 1:
        raise ValueError(f"epochs must not be negative and tbptt at least one step; got epochs={epochs}, tbptt={tbptt}")


def _plans(net, checkpoint_every, memory, tbptt, regularisers):
    """Function of a batch: the plan for it."""
    if memory is None:
        return lambda batch: Plan(checkpoint_every, None)
    if checkpoint_every is not None or tbptt is not None or regularisers:
        raise ValueError("memory chooses checkpoint_every for whole sequences; give one of memory, checkpoint_every, tbptt and regularisers")
    if isinstance(memory, bool) or not isinstance(memory, (int, np.integer)) or memory < 1:
        raise ValueError(f"memory must be a positive number of bytes, or None; got {memory!r}")
    chosen = {}

    def plan(batch):
        size = tuple(batch.x.shape[:2])
        if size not in chosen:
            chosen[size] = within(net, memory, batch.x)
        return chosen[size]
    return plan


def _sent(net, batches, plan, aside):
    """The batches; for a GPU each is on its way there while it works on the one before, unless it goes in several chunks.  aside: a thread sends them."""
    if net.loops.HOST:
        return batches
    sent = (batch if plan(batch).chunk else batch._replace(x=net.sent(batch.x)) for batch in batches)
    return threads.ahead(sent, 1) if aside and net.loops.ASIDE else _one_ahead(sent)


def _one_ahead(items):
    """The items, each when the next one is made."""
    before = next(items, None)
    for item in items:
        yield before
        before = item
    if before is not None:
        yield before


def _resume(net, optimizer, checkpoint, seed):
    """Bring net and optimizer to the state of a checkpoint: (history, best, next epoch)."""
    saved = load_training(checkpoint)
    if saved.facts.get("seed") != seed:
        raise ValueError(f"{checkpoint} was trained with seed {saved.facts.get('seed')}, this run has seed {seed}; "
                         f"a training is resumed with its own seed")
    different = first_difference(saved.net.config(), net.config())
    if different:
        raise ValueError(f"{checkpoint} holds another network: {different}; resume with the network that it was written with")
    net.restore(saved.net.arrays())
    optimizer.steps, optimizer.state = saved.optimizer.steps, saved.optimizer.state
    return History(saved.facts["history"]), saved.best, saved.facts["epoch"] + 1


def _patience_is_over(history, patience):
    best = history.best()
    return patience is not None and best is not None and len(history) - 1 - best["epoch"] >= patience


def _train_batch(net, loss, optimizer, batch, rng, tbptt, step_inside, options, where):
    """Gradients and update(s) of one batch: (loss, values projected)."""
    if tbptt is None:
        result = net.loss_and_gradients(loss, batch.x, batch.y, mask=batch.mask, lengths=batch.lengths, rng=rng, **options)
        _stop_if_not_finite(net, result.loss, result.grads, batch, where)
        return result.loss, optimizer.update(net.params, result.grads)
    total, projected, sums, state = 0.0, 0, None, net.initial_state(batch.x.shape[1], rng)
    for first in range(0, batch.x.shape[0], tbptt):
        part = slice(first, min(first + tbptt, batch.x.shape[0]))
        per_step = batch.y.ndim == 2
        result = net.loss_and_gradients(
            loss, batch.x[part], batch.y[part] if per_step else batch.y, state=state, mask=None if batch.mask is None else batch.mask[part],
            lengths=None if batch.lengths is None else np.clip(batch.lengths - first, 0, part.stop - first), **options)
        _stop_if_not_finite(net, result.loss, result.grads, batch, f"{where}, steps {first} to {part.stop - 1}")
        total, state = total + result.loss if per_step else result.loss, result.state
        if step_inside:
            projected += optimizer.update(net.params, result.grads)
        else:
            sums = result.grads if sums is None else {name: sums[name] + g for name, g in result.grads.items()}
    return total, projected + (0 if step_inside else optimizer.update(net.params, sums))


def _stop_if_not_finite(net, value, grads, batch, where):
    bad = [name for name, fine in zip(grads, net.loops.finite(list(grads.values())), strict=True) if not fine]
    if math.isfinite(value) and not bad:
        return
    reason = f"the loss is {value}" if not math.isfinite(value) else f"the gradient of {bad[-1]} is not finite"
    raise TrainingDiverged(f"{where}: {reason}; {_origin(net, batch)}. Try a smaller learning rate or clip_norm")


def _origin(net, batch):
    """Where the first number that is none appears in the forward pass."""
    for name, p in net.params.items():
        if not np.isfinite(p).all():
            return f"parameter {name} holds {p[~np.isfinite(p)].flat[0]} already"
    fields = {name: "v" if "v" in layer.recordable() else layer.output for name, layer in net.layers.items() if isinstance(layer, Population)}
    with np.errstate(all="ignore"):
        y, _, seen = net.run(batch.x, lengths=batch.lengths, record=fields)
    for name, field in fields.items():
        wrong = ~np.isfinite(seen[name][field])
        if wrong.any():
            return f"it begins in layer {name} at time step {int(wrong.reshape(len(wrong), -1).any(1).argmax())}"
    return "the forward pass is finite: it begins in the loss" if np.isfinite(y).all() else "it begins in the answer of the last layer"


# ---- progress


class Progress:
    """A bar on a terminal; in a file or a pipe a line for each epoch."""

    def __init__(self, epoch, epochs, batches, on):
        self.epoch, self.epochs, self.batches, self.on = epoch, epochs, batches, on
        self.live, self.started, self.drawn = on and sys.stderr.isatty(), time.perf_counter(), 0.0

    def batch(self, number, loss):
        now = time.perf_counter()
        if not self.live or now - self.drawn < 0.1 and number + 1 < self.batches:
            return
        self.drawn, done = now, (number + 1) / self.batches
        filled = int(24 * done)
        rest = (now - self.started) / done * (1 - done)
        sys.stderr.write(f"\repoch {self.epoch + 1:>{len(str(self.epochs))}}/{self.epochs} [{'#' * filled}{'.' * (24 - filled)}] "
                         f"loss {loss:.4g}, {rest:.0f} s left in it\033[K")
        sys.stderr.flush()

    def epoch_done(self, row):
        if not self.on:
            return
        seconds = row["seconds"] * (self.epochs - self.epoch - 1)
        accuracies = "".join(f", {key.removesuffix('_accuracy')} {value:.4f}" for key, value in row.items() if key.endswith("_accuracy"))
        accuracies += f", {row['projected']} values projected to their bound" if row["projected"] else ""
        sys.stderr.write(f"{chr(13) if self.live else ''}epoch {self.epoch + 1:>{len(str(self.epochs))}}/{self.epochs}: "
                         f"loss {row['loss']:.4g}{accuracies}, {row['seconds']:.2f} s"
                         + (f", about {_duration(seconds)} to go" if seconds > 5 else "") + ("\033[K\n" if self.live else "\n"))
        sys.stderr.flush()


def _duration(seconds):
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
