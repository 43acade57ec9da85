"""Training: `fit`, `warm_up`; hands on what stands in evaluation.py, history.py, progress.py and step.py."""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..datasets import Dataset
from ..export.rounding import rounded
from ..files.checkpoint import save
from ..loss import as_loss
from ..network import chunking
from ..network.gradients import refuse_ranks
from ..network.network import Network
from ..optim import Optimizer
from ..ranks import over
from . import arguments, plans, rules, sharing
from .begin import begin
from .evaluation import AnyLoss, Evaluation, evaluate, measure, predict
from .history import History
from .odd import TrainingWarning, warn_of_odd
from .progress import Progress
from .regularise import Regulariser
from .step import Step, TrainingDiverged, train_batch

__all__ = ["Epoch", "Evaluation", "History", "Progress", "TrainingDiverged", "TrainingWarning", "evaluate",
           "fit", "predict", "warm_up"]


class Epoch(NamedTuple):
    """What a callback of `fit` sees after an epoch.

    net, optimizer: as they are now, not copies.  history: of all epochs until now, this one the last.
    epoch: its index, from 0.  is_best: whether the monitored number is the best until now.

    Callbacks are called in their order, each time all of them, when the epoch is in the history and in the
    checkpoint.  One that returns True makes it the last epoch, None and False go on, and anything else is a
    TypeError.  What a callback raises ends the training and passes on.  Where one has a method
    before_epoch(net, epoch), that is called before each epoch (`AnnealDelays`).
    """
    net: Network
    optimizer: Optimizer
    history: History
    epoch: int
    is_best: bool


class _Course(NamedTuple):
    """What all epochs of a training have in common; see `fit`."""
    step: Step
    train: Dataset
    measured: dict[str, Dataset]        # after each epoch, by name
    epochs: int
    batch_size: int
    seed: int
    patience: int | None
    callbacks: Sequence[Callable[[Epoch], object]]
    progress: bool
    checkpoint: Path | str | None
    facts: dict
    memory: int | None
    skip: int


@dataclass
class _Reached:
    """How far a training is."""
    history: History
    best: dict[str, np.ndarray]     # arrays of the best epoch until now
    best_epoch: int | None
    first: int                      # epoch of this run


def fit(net: Network, train: Dataset, valid: Dataset | None = None, *, loss: AnyLoss, optimizer: Optimizer,
        epochs: int, batch_size: int = 64, seed: int = 0, watch: dict[str, Dataset] | None = None,
        patience: int | None = None, keep_best: bool = True, monitor: str | None = None,
        direction: str | None = None, tbptt: int | None = None, step_inside: bool = True,
        callbacks: Sequence[Callable[[Epoch], object]] = (), progress: bool = True,
        checkpoint: Path | str | None = None, resume: bool = False, facts: dict | None = None,
        regularisers: Sequence[Regulariser] = (), checkpoint_every: int | None = None,
        memory: int | None = None, weight_bits: int | None = None, comm: Any = None,
        sums: str = "exact", rule: str | dict = "bptt", skip: int = 0) -> History:
    """Train a network; the history of its epochs.

    train, valid, watch: data sets; loss and accuracy on `valid`, and on those of `watch` by their names, are
    measured after each epoch, and with keep_best the network ends with the weights of the best one.
    monitor: the number of the history that says which is best, such as "valid_loss", or "loss" where nothing
    is held out; None: the accuracy on `valid`, of a regression its loss.  direction: "max" or "min", where
    the number does not tell it.  patience: stop after so many epochs without a better one.
    loss: of numsnn.loss, or a function (y, target) -> (value, dy), see Own there.  optimizer: numsnn.optim.
    seed: of shuffling and of random initial states, which depend on (seed, epoch, batch) only.
    callbacks: functions of an Epoch (what it says holds); one that returns True ends the training.
    tbptt: truncated BPTT: sequences are cut into segments of so many steps; the state goes on, the gradient
    does not.  step_inside: update after each segment, or after the sequence with their sum.
    regularisers: penalties on rates and weights that are added to the loss (numsnn.regularise).
    weight_bits: train for weights of so many bits, by gradients of weights that ns.quantise has rounded.
    checkpoint_every: less memory for more time, see Network.loss_and_gradients.  memory: bytes that a step's
    arrays may take; it chooses checkpoint_every (on a GPU first the samples of a chunk) for each batch size.
    checkpoint: file that holds the whole training after every epoch; resume=True goes on from it, bit for bit
    as if never interrupted.  A warning says where a training is overwritten, or none is there to resume.
    facts: what else it is to say.  comm: an mpi4py communicator whose ranks work on each batch together; rank
    0 writes and speaks.  sums: "exact", the same bytes for any number of ranks, or "fast" (see numsnn.ranks).
    rule: "bptt", or of numsnn.rules "eprop", "ottt", "sltt", "fptt", or a dict of "name" and its settings.
    skip: so many batches of an epoch whose loss is finite, but not their gradients, update nothing.

    A TrainingWarning says before the first epoch what is odd.  Whatever ends it early, with keep_best the
    network has the weights of the best epoch until then.  TrainingDiverged: where a number is not finite.
    """
    with over(comm, sums).guarded() as ranks:
        arguments.check(net, train, valid, watch, optimizer)
        arguments.check_numbers(train, epochs=epochs, batch_size=batch_size, seed=seed, patience=patience,
                                tbptt=tbptt, checkpoint_every=checkpoint_every)
        arguments.check_flags(keep_best=keep_best, step_inside=step_inside, progress=progress, resume=resume)
        monitor, direction = arguments.monitored(monitor, direction, patience, valid, watch)
        regularisers, callbacks = arguments.all_regularisers(regularisers), arguments.all_callable(callbacks)
        how, tbptt, step_inside = rules.of(rule, net, loss := as_loss(loss), seed, resume, tbptt, step_inside)
        plan = plans.of(net, loss, checkpoint_every, memory, tbptt, regularisers, ranks, how)
        step = Step(net, loss, optimizer, tbptt, step_inside, regularisers, plan, arguments.bits(weight_bits),
                    ranks, how)
        course = _Course(step, train, arguments.measured(valid, watch), epochs, batch_size, seed, patience,
                         callbacks, progress and ranks.root, checkpoint, arguments.own_facts(facts), memory,
                         arguments.skippable(skip, tbptt))
        return _run(course, _start(course, History(monitor=monitor, direction=direction), resume), keep_best)


# What of `fit` decides which loops are compiled.
COMPILED = ("tbptt", "step_inside", "regularisers", "checkpoint_every", "memory", "rule")


def warm_up(net: Network, data: Dataset, *, loss: AnyLoss, optimizer: Optimizer, **how: Any) -> float:
    """Compile what training and running a network on data of this kind takes; the seconds it took.

    It is kept in the cache on disk.  A copy of the network is trained on two sequences, evaluated, and makes
    a step; `net` and `optimizer` stay as they are, and nothing is written.  how: arguments of `fit`; those
    that do not decide what is compiled have no effect.
    """
    arguments.network(net, "warm_up")
    unknown = [name for name in how if name not in signature(fit).parameters]
    if unknown:
        raise TypeError(f"warm_up: {unknown[0]!r} is no argument of fit")
    started = time.perf_counter()
    few, other = arguments.dataset(data, "warm_up")[:2], net.clone()
    how = {name: value for name, value in how.items() if name in COMPILED}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)        # of two sequences, which nobody learns
        fit(other, few, loss=loss, optimizer=copy.deepcopy(optimizer), epochs=1, batch_size=len(few),
            progress=False, **how)
    measure(other, few)
    layers = list(other.layers.values())
    if all(layer.causal for layer in layers) and not layers[0].reads_tokens:
        x = next(few.batches(1)).x[:1]
        other.step(x[0] if isinstance(x, np.ndarray) else x.dense(bool)[0])
    return time.perf_counter() - started


# ---- epochs


def _run(course, reached, keep_best):
    """The history; whatever ends it, with keep_best the network has the weights of the best epoch."""
    try:
        _run_epochs(course, reached)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_stopped(course, reached, keep_best)) from None
    finally:
        if keep_best:
            course.step.net.restore(reached.best)
    return reached.history


def _run_epochs(course, reached):
    """The epochs from the first of this run on, until one of them is the last."""
    net, optimizer, ranks = course.step.net, course.step.optimizer, course.step.ranks
    history = reached.history
    for epoch in range(reached.first, course.epochs):
        if _patience_is_over(history, course.patience):
            break
        row = _epoch(course, reached, epoch)
        is_best = history.monitor is not None and history.best() is row
        if is_best:
            reached.best, reached.best_epoch = net.arrays(), epoch
        if course.checkpoint is not None:
            ranks.on_root(partial(save, net, course.checkpoint, optimizer=optimizer, best=reached.best,
                                  facts=_facts(course, epoch, history)))
        seen = Epoch(net, optimizer, history, epoch, is_best)
        answers = [_ends(callback, callback(seen)) for callback in course.callbacks]
        if ranks.joined(np.array([any(answers)])).any():
            break


def _ends(callback, answer):
    """Whether the answer of a callback ends the training."""
    if answer is None or isinstance(answer, (bool, np.bool_)):
        return bool(answer)
    name = getattr(callback, "__name__", repr(callback))
    raise TypeError(f"callback {name} returned {answer!r}; a callback returns True to end the training, "
                    f"None or False to go on")


def _epoch(course, reached, epoch):
    """One pass through the training set, and what is measured after it: the epoch's row of the history."""
    started = time.perf_counter()
    course.step.optimizer.epoch = epoch
    for callback in course.callbacks:
        if hasattr(callback, "before_epoch"):
            callback.before_epoch(course.step.net, epoch)
    bar = _bar(course, reached, epoch)
    try:
        row = _trained(course, epoch, bar) | _measured(course)
    except BaseException:
        bar.broken_off()
        raise
    row["seconds"] = time.perf_counter() - started
    reached.history.epochs.append(row)
    bar.epoch_done(row)
    return row


def _bar(course, reached, epoch):
    shown = [f"{name}_{'loss' if data.has_targets else 'accuracy'}" for name, data in course.measured.items()]
    if reached.history.monitor not in (None, "loss", *shown):
        shown.append(reached.history.monitor)
    summed = course.train.per_step and course.step.loss.config().get("steps") == "sum"
    batches = -(-len(course.train) // course.batch_size)
    return Progress(epoch, course.epochs, batches, course.progress, first=epoch == reached.first,
                    summed=summed, shown=tuple(shown))


def _trained(course, epoch, bar):
    """One pass through the training set."""
    step, train, optimizer = course.step, course.train, course.step.optimizer
    row = {"epoch": epoch, "loss": 0.0, "learning_rate": float(optimizer.lr * optimizer.schedule(epoch)),
           "gradient_norm": 0.0, "projected": 0} | ({"skipped": 0} if course.skip else {})
    order, left_out = np.random.default_rng([course.seed, epoch]), 0
    step.begin()
    batches = sharing.batches(train, course.batch_size, order, step.ranks, step.share)
    for number, batch in enumerate(plans.sent(step.net, batches, step.plan, course.memory is None)):
        rng = np.random.default_rng([course.seed, epoch, number])
        may_skip = row.get("skipped", 0) < course.skip
        done = train_batch(step, batch, rng, f"epoch {epoch + 1}, batch {number + 1}", may_skip)
        samples = len((batch.whole or batch).samples)
        row["loss"] += done.loss * samples / len(train)
        row["gradient_norm"] += done.norm * samples / len(train)
        row["projected"] += done.projected
        if done.skipped:
            row["skipped"] += 1
            left_out += samples
        bar.batch(number, done.loss)
    row["gradient_norm"] *= len(train) / max(len(train) - left_out, 1)
    return row


def _measured(course):
    """What the network makes of the validation set and of the watched ones, by keys of the history."""
    found = {}
    for name, data in course.measured.items():
        with rounded(course.step.net, course.step.weight_bits):
            seen = measure(course.step.net, data, loss=course.step.loss, rates=False, ranks=course.step.ranks)
        found[f"{name}_loss"] = seen.loss
        found |= {f"{name}_{metric}": value for metric, value in seen.metrics.items()}
    return found


def _facts(course, epoch, history):
    """What the checkpoint says of the training after an epoch."""
    return {**course.facts, "seed": course.seed, "epoch": epoch, "history": history.epochs,
            "monitor": history.monitor}


def _patience_is_over(history, patience):
    if patience is None:
        return False
    best = history.best()
    return best is not None and len(history) - 1 - best["epoch"] >= patience


def _stopped(course, reached, keep_best):
    """What is left of a training that was interrupted, in words."""
    history, place = reached.history, course.checkpoint
    parts = [f"stopped after {len(history)} finished epoch{'s' * (len(history) != 1)}"]
    if keep_best and reached.best_epoch is not None:
        value = history.epochs[reached.best_epoch][history.monitor]
        parts.append(f"the network has the weights of epoch {reached.best_epoch + 1}, "
                     f"the best by {history.monitor} ({value:.4g})")
    if place is not None and len(history):
        parts.append(f"they are in {place}, to resume from")
    return "; ".join(parts)


# ---- before the first epoch


def _start(course, history, resume):
    """Where the training begins: anew with an empty history, or where a checkpoint left off."""
    step = course.step
    if step.ranks.size > 1:
        _agree(course, history.monitor)
    facts = _facts(course, 0, history)
    began = begin(step.net, step.optimizer, course.checkpoint, facts, resume, step.ranks)
    step.ranks.agree({"epoch to begin with": began.first, "best epoch": began.best,
                      "state of its optimiser": [step.optimizer.steps, step.optimizer.state],
                      "start": step.net.arrays()})
    history.epochs = began.epochs
    chosen = history.best() if began.best else None
    step.optimizer.check_owner(step.net.params)
    if began.first < course.epochs and step.ranks.root:
        warn_of_odd(step.net, course.train, course.measured.get("valid"))
    return _Reached(history, began.best, None if chosen is None else chosen["epoch"], began.first)


def _agree(course, monitor):
    """Refuse what ranks cannot train together, and ranks that were started with different things."""
    step, ranks = course.step, course.step.ranks
    refuse_ranks(step.net, step.loss, step.regularisers)
    if not step.net.loops.HOST and not ranks.joined(np.array([ranks.on_own_gpu()])).all():
        raise ValueError("comm: several ranks of a machine work on the same GPU while others are idle; call "
                         "numsnn.ranks.over(comm).take_gpu() before the network is made")
    settings = {"seed": course.seed, "batch size": course.batch_size, "number of epochs": course.epochs,
                "loss": step.loss.config(), "setting of fit": [
                    step.tbptt, step.step_inside, [r.config() for r in step.regularisers], step.weight_bits,
                    course.patience, monitor, course.memory, course.skip, ranks.sums]}
    sets = {"training": course.train, **course.measured}
    ranks.agree(sharing.facts(step.net, step.optimizer, sets, settings))
    chunks = chunking.share(step.net, course.batch_size, ranks).chunks
    if chunks < ranks.size and ranks.root:
        idle = ranks.size - chunks
        warnings.warn(f"fit: batches of {course.batch_size} sequences are {chunks} chunks, and a rank works "
                      f"on a chunk at least: {idle} of {ranks.size} ranks have nothing to do; use larger "
                      f"batches or fewer ranks", TrainingWarning, stacklevel=4)
