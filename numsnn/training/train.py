"""Training: `fit`, `warm_up`; hands on what stands in evaluation.py, history.py, progress.py and step.py."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..datasets import Dataset
from ..datasets.dataset import Batch
from ..devices import threads
from ..files.checkpoint import first_difference, load_training, save
from ..layers.layer import positive_integer
from ..loss import Loss
from ..network.memory import Plan, within
from ..network.network import Network
from ..optim import Optimizer
from ..packages import needed
from .evaluation import Evaluation, evaluate, predict
from .history import History
from .progress import Progress
from .regularise import Regulariser
from .step import Step, TrainingDiverged, train_batch

__all__ = ["Epoch", "Evaluation", "History", "Progress", "TrainingDiverged", "evaluate", "fit", "predict",
           "warm_up"]


class Epoch(NamedTuple):
    """What a callback sees after each epoch."""
    net: Network
    optimizer: Optimizer
    history: History
    epoch: int
    is_best: bool


class _Course(NamedTuple):
    """What all epochs of a training have in common; see `fit`."""
    step: Step
    train: Dataset
    valid: Dataset | None
    watch: dict[str, Dataset] | None
    epochs: int
    batch_size: int
    seed: int
    patience: int | None
    callbacks: Sequence[Callable[[Epoch], object]]
    progress: bool
    checkpoint: Path | str | None
    facts: dict | None
    sent_aside: bool            # a thread of its own sends batches to a device


def fit(net: Network, train: Dataset, valid: Dataset | None = None, *, loss: Loss, optimizer: Optimizer,
        epochs: int, batch_size: int = 64, seed: int = 0, watch: dict[str, Dataset] | None = None,
        patience: int | None = None, keep_best: bool = True, tbptt: int | None = None,
        step_inside: bool = True, callbacks: Sequence[Callable[[Epoch], object]] = (), progress: bool = True,
        checkpoint: Path | str | None = None, resume: bool = False, facts: dict | None = None,
        regularisers: Sequence[Regulariser] = (), checkpoint_every: int | None = None,
        memory: int | None = None) -> History:
    """Train a network; the history of its epochs.

    train, valid: data sets; after each epoch the accuracy on `valid` is measured, and with keep_best the
    network ends with the weights of the best epoch.  watch: further sets to measure, by name.
    loss, optimizer: see numsnn.loss, numsnn.optim.
    seed: of shuffling and of random initial states, which depend on (seed, epoch, batch) only.
    patience: stop after so many epochs without a better accuracy on `valid`.
    callbacks: functions of an Epoch; one that returns True ends the training.
    tbptt: truncated backpropagation: sequences are cut into segments of so many steps; the state goes on, the
    gradient does not.
    step_inside: update after each segment, or with the sum of the segments' gradients after the sequence.
    regularisers: penalties on rates and weights that are added to the loss (numsnn.regularise).
    checkpoint_every: less memory for more time, see Network.loss_and_gradients.
    memory: bytes that the arrays of a training step may take; where they do not suffice, checkpoint_every (on
    a GPU first the samples of a chunk) is chosen for each size of batch, and where that does not help, a
    ValueError says what is needed.
    checkpoint: file that holds the whole training after every epoch; resume=True goes on from it, bit for bit
    as if never interrupted.  facts: what else the file is to say of the training.

    Raises TrainingDiverged, with epoch, batch and layer, where the loss or a gradient is not finite.
    """
    _check(train, valid, epochs, batch_size, tbptt)
    if checkpoint is not None:
        needed("h5py", "a checkpoint (HDF5)")       # said now, not after the first epoch
    if tbptt is not None:
        net.require_causal("be trained by truncated BPTT")
    plan = _plans(net, checkpoint_every, memory, tbptt, regularisers)
    step = Step(net, loss, optimizer, tbptt, step_inside, regularisers, plan)
    course = _Course(step, train, valid, watch, epochs, batch_size, seed, patience, callbacks, progress,
                     checkpoint, facts, sent_aside=memory is None)
    history, best, first = History(), {}, 0
    if resume and checkpoint is not None and Path(checkpoint).is_file():
        history, best, first = _resume(net, optimizer, checkpoint, seed)
    best = _run_epochs(course, history, best, first)
    if keep_best:
        net.restore(best)
    return history


def warm_up(net: Network, data: Dataset, *, loss: Loss, optimizer: Optimizer, **how) -> float:
    """Compile what training and running a network on data of this kind takes; the seconds it took.

    It is kept in the cache on disk.  A copy of the network is trained on two sequences, evaluated, and makes
    a step; `net` and `optimizer` stay as they are.  how: of `fit`.
    """
    started = time.perf_counter()
    few, other = data[:2], net.clone()
    fit(other, few, loss=loss, optimizer=copy.deepcopy(optimizer), epochs=1, batch_size=len(few),
        progress=False, **how)
    evaluate(other, few)
    layers = list(other.layers.values())
    if all(layer.causal for layer in layers) and not layers[0].reads_tokens:
        x = next(few.batches(1)).x[:1]
        other.step(x[0] if isinstance(x, np.ndarray) else x.dense(bool)[0])
    return time.perf_counter() - started


# ---- epochs


def _run_epochs(course, history, best, first):
    """The epochs from `first` on, until one of them is the last; the arrays of the best one."""
    net, optimizer = course.step.net, course.step.optimizer
    for epoch in range(first, course.epochs):
        if _patience_is_over(history, course.patience):
            break
        started = time.perf_counter()
        optimizer.epoch = epoch
        bar = Progress(epoch, course.epochs, -(-len(course.train) // course.batch_size), course.progress)
        row = _train_epoch(course, epoch, bar)
        history.epochs.append(row)
        is_best = course.valid is not None and history.best() is row
        if is_best:
            best = net.arrays()
        row["seconds"] = time.perf_counter() - started
        bar.epoch_done(row)
        if course.checkpoint is not None:
            facts = {**(course.facts or {}), "seed": course.seed, "epoch": epoch, "history": history.epochs}
            save(net, course.checkpoint, optimizer=optimizer, best=best, facts=facts)
        answers = [callback(Epoch(net, optimizer, history, epoch, is_best)) for callback in course.callbacks]
        if True in answers:
            break
    return best


def _train_epoch(course, epoch, bar):
    """One pass through the training set, and what is measured after it: the epoch's row of the history."""
    step, train = course.step, course.train
    row = {"epoch": epoch, "loss": 0.0, "projected": 0}
    batches = train.batches(course.batch_size, np.random.default_rng([course.seed, epoch]))
    for number, batch in enumerate(_sent(step.net, batches, step.plan, course.sent_aside)):
        rng = np.random.default_rng([course.seed, epoch, number])
        value, projected = train_batch(step, batch, rng, f"epoch {epoch}, batch {number}")
        row["loss"] += value * len(batch.samples) / len(train)
        row["projected"] += projected
        bar.batch(number, value)
    measured = {} if course.valid is None else {"valid": course.valid}
    for name, data in (measured | (course.watch or {})).items():
        row[f"{name}_accuracy"] = evaluate(step.net, data, rates=False).accuracy
    return row


def _patience_is_over(history, patience):
    best = history.best()
    return patience is not None and best is not None and len(history) - 1 - best["epoch"] >= patience


# ---- before the first epoch


def _check(train, valid, epochs, batch_size, tbptt):
    if not len(train):
        raise ValueError(f"the training set {train.name!r} is empty")
    if valid is not None and not len(valid):
        raise ValueError(f"the validation set {valid.name!r} is empty; leave it out or hold out more")
    if positive_integer(batch_size, "batch_size") > len(train):
        raise ValueError(f"batch_size {batch_size} is larger than the training set, which has {len(train)} "
                         f"sequences; use at most {len(train)}")
    if epochs < 0 or tbptt is not None and tbptt < 1:
        raise ValueError(f"epochs must not be negative and tbptt at least one step; "
                         f"got epochs={epochs}, tbptt={tbptt}")


def _resume(net, optimizer, checkpoint, seed):
    """Bring net and optimizer to the state of a checkpoint: (history, best, next epoch)."""
    saved = load_training(checkpoint)
    if saved.facts.get("seed") != seed:
        raise ValueError(f"{checkpoint} was trained with seed {saved.facts.get('seed')}, "
                         f"this run has seed {seed}; a training is resumed with its own seed")
    different = first_difference(saved.net.config(), net.config())
    if different:
        raise ValueError(f"{checkpoint} holds another network: {different}; "
                         f"resume with the network that it was written with")
    net.restore(saved.net.arrays())
    optimizer.steps, optimizer.state = saved.optimizer.steps, saved.optimizer.state
    return History(saved.facts["history"]), saved.best, saved.facts["epoch"] + 1


# ---- batches within a budget of memory, and on their way to a device


def _plans(net, checkpoint_every, memory, tbptt, regularisers):
    """Function of a batch: the plan for it."""
    if memory is None:
        return lambda batch: Plan(checkpoint_every, None)
    if checkpoint_every is not None or tbptt is not None or regularisers:
        raise ValueError("memory chooses checkpoint_every for whole sequences; "
                         "give one of memory, checkpoint_every, tbptt and regularisers")
    if isinstance(memory, bool) or not isinstance(memory, (int, np.integer)) or memory < 1:
        raise ValueError(f"memory must be a positive number of bytes, or None; got {memory!r}")
    chosen = {}

    def plan(batch):
        size = tuple(batch.x.shape[:2])
        if size not in chosen:
            chosen[size] = within(net, memory, batch.x)
        return chosen[size]
    return plan


def _sent(net: Network, batches: Iterator[Batch], plan: Callable[[Batch], Plan],
          aside: bool) -> Iterator[Batch]:
    """The batches; for a GPU each is on its way there while it works on the one before.

    Not so one that goes in several chunks.  aside: a thread sends them.
    """
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
