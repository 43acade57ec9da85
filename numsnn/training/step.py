"""A training step: the gradients of a batch, and the update; and where numbers that are none come from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ..datasets.batch import AnyBatch, BatchShare
from ..datasets.checks import is_per_step
from ..export.rounding import rounded
from ..layers import Population
from ..loss import Loss
from ..network import chunking
from ..network.gradients import loss_and_gradients
from ..network.memory import Plan
from ..network.network import Network
from ..optim import Optimizer
from ..optim.optimizer import TooLarge
from ..ranks import ALONE, Ranks
from ..rules.batch import Pieces, Rule
from .regularise import Regulariser
from .sharing import initial_state

LAYER = "it begins in layer"
ON_THE_WAY_BACK = "the loss is finite: gradients grow on the way back through time"
GROWS = ", a shorter way back (tbptt=), or leave out such batches (skip=)"


class TrainingDiverged(ArithmeticError):
    """The loss or a gradient is no longer a number: where that began."""


class Step(NamedTuple):
    """How batches are trained on; see `fit`."""
    net: Network
    loss: Loss
    optimizer: Optimizer
    tbptt: int | None
    step_inside: bool
    regularisers: Sequence[Regulariser]
    plan: Callable[[AnyBatch], Plan]
    weight_bits: int | None = None
    ranks: Ranks = ALONE
    rule: Rule | Pieces | None = None       # None: backpropagation through time

    def share(self, samples: int) -> tuple[int, int]:
        """(first, last) of a batch's samples that this rank works on."""
        return chunking.share(self.net, samples, self.ranks)[3:5]

    def begin(self) -> None:
        """An epoch begins."""
        if isinstance(self.rule, Pieces):
            self.rule.fptt.begin()

    def options(self, batch: AnyBatch) -> dict:
        """What `loss_and_gradients` is told about a batch besides its data."""
        return {"regularisers": tuple(self.regularisers), **self.plan(batch)._asdict()}


class Done(NamedTuple):
    """What came of a batch."""
    loss: float
    projected: int              # values that updates put on their bound
    norm: float                 # of the gradients before clipping; of several updates the mean
    skipped: bool = False       # it updated nothing, because its gradients overflowed


def train_batch(step: Step, batch: AnyBatch, rng: np.random.Generator, where: str,
                may_skip: bool = False) -> Done:
    """Gradients and update(s) of one batch.

    where: the place, for a message.  may_skip: leave it out where its gradients are not finite, but its loss.
    """
    share = None
    if batch.whole is not None:
        share = chunking.share(step.net, len(batch.whole.samples), step.ranks)
    if step.tbptt is not None:
        return _truncated(step, step.tbptt, batch, rng, where, share)
    net = step.net
    state = None if share is None else initial_state(net, share, batch, rng)
    result = _gradients(step, batch, share, state=state, rng=rng)
    try:
        norm, squares = _norm_or_stop(step, result, batch, where)
        return Done(result.loss, _updated(step, result.grads, squares, where), norm)
    except TrainingDiverged:
        if may_skip and math.isfinite(result.loss):
            return Done(result.loss, 0, 0.0, skipped=True)
        raise


def _updated(step, grads, squares, where):
    """The values that an update puts on their bound; TrainingDiverged where squares of gradients overflow."""
    known = {} if squares is None else {"squares": squares}
    try:
        return step.optimizer.update(step.net.params, grads, **known)
    except TooLarge as error:
        raise TrainingDiverged(f"{where}: {error}") from error


def _gradients(step, batch, share, **begin):
    """Loss and gradients of a batch, those of all ranks together where it is a share."""
    net, given, how = step.net, batch.whole or batch, {**begin, **step.options(batch)}
    with rounded(net, step.weight_bits):
        if isinstance(step.rule, Rule):
            return step.rule.loss_and_gradients(net, step.loss, batch.x, given.y, mask=given.mask,
                                                lengths=given.lengths, rng=begin["rng"])
        if share is None:
            return net.loss_and_gradients(step.loss, batch.x, given.y, mask=given.mask, lengths=given.lengths,
                                          **how)
        return loss_and_gradients(net, step.loss, batch.x, given.y, mask=given.mask, lengths=given.lengths,
                                  share=share, **{"rng": None, **how})


def _truncated(step, tbptt, batch, rng, where, share):
    """train_batch, the sequences cut into segments of so many steps."""
    net = step.net
    steps = batch.x.shape[0]
    label_per_step = is_per_step(batch.y)
    total, projected, sums, norms = 0.0, 0, None, []
    state = initial_state(net, share, batch, rng)
    for first in range(0, steps, tbptt):
        last = min(first + tbptt, steps)
        result = _gradients(step, segment(batch, first, last), share, state=state)
        norm, squares = _norm_or_stop(step, result, batch, f"{where}, steps {first} to {last - 1}")
        norms.append(norm)
        total = total + result.loss if label_per_step else result.loss
        state = result.state
        _stop_if_state_is_not_finite(step, state, batch, f"{where}, steps {first} to {last - 1}")
        if isinstance(step.rule, Pieces):
            projected += _updated(step, step.rule.fptt.gradients(result.grads), None, where)
            step.rule.fptt.updated()
        elif step.step_inside:
            projected += _updated(step, result.grads, squares, where)
        elif sums is None:
            sums = result.grads
        else:
            sums = {name: sums[name] + grad for name, grad in result.grads.items()}
    if not step.step_inside:
        norm, squares = net.loops.norm_and_squares(list(sums.values()))
        norms = [norm]
        projected += _updated(step, sums, squares, where)
    return Done(total, projected, math.fsum(norms) / len(norms))


def segment(batch: AnyBatch, first: int, last: int) -> AnyBatch:
    """Some steps of a batch; a label of the whole sequence stays."""
    part = slice(first, last)
    if isinstance(batch, BatchShare):
        batch = batch._replace(whole=batch.whole._replace(**_steps_of(batch.whole, part)))
    return batch._replace(x=batch.x[part], **_steps_of(batch, part))


def _steps_of(batch, part):
    lengths = batch.lengths
    return {"y": batch.y[part] if is_per_step(batch.y) else batch.y,
            "mask": None if batch.mask is None else batch.mask[part],
            "lengths": None if lengths is None else np.clip(lengths - part.start, 0, part.stop - part.start)}


# ---- divergence


def _norm_or_stop(step, result, batch, where):
    """The norm of all gradients together, and the squares of each where they are known.

    TrainingDiverged where one of them or the loss is not finite.
    """
    net = step.net
    grads = list(result.grads.values())
    squares = result.squares
    if squares is None:
        norm, squares = net.loops.norm_and_squares(grads)
    else:
        norm = sum(squares) ** 0.5
    loss_is_finite = math.isfinite(result.loss)
    if loss_is_finite and math.isfinite(norm):
        return norm, squares
    finite = net.loops.finite(grads)
    bad = [name for name, fine in zip(result.grads, finite, strict=True) if not fine]
    if loss_is_finite and not bad:
        return norm, squares    # finite gradients whose squares are too large for a number
    reason = f"the gradient of {bad[-1]} is not finite" if loss_is_finite else f"the loss is {result.loss}"
    origin = _first_told(step.ranks, _origin(net, batch, loss_is_finite))
    raise TrainingDiverged(f"{where}: {reason}; {origin}")


def _stop_if_state_is_not_finite(step, state, batch, where):
    """The next segment would refuse it."""
    bad = [name for name, fields in state.items()
           if fields is not None and not all(step.net.loops.finite(list(fields)))]
    told = f"the state of layer {bad[0]} is not finite; {_origin(step.net, batch, False)}" if bad else ""
    told = _first_told(step.ranks, told)
    if told:
        raise TrainingDiverged(f"{where}: {told}")


def _first_told(ranks, text):
    """What the first rank says that says it of a layer, else of anything."""
    told = ranks.texts(text)
    return next((one for one in told if LAYER in one), next(filter(None, told), ""))


def _origin(net, batch, loss_is_finite):
    """Where the first number that is none appears, and what to try."""
    place = _first_in_forward(net, batch, loss_is_finite)
    return f"{place}. Try a smaller learning rate or clip_norm" + GROWS * (place == ON_THE_WAY_BACK)


def _first_in_forward(net, batch, loss_is_finite):
    """Where the first number that is none appears in the forward pass, or behind it."""
    for name, p in net.params.items():
        if not np.isfinite(p).all():
            return f"parameter {name} holds {p[~np.isfinite(p)].flat[0]} already"
    if not batch.x.shape[1]:
        return ""               # a rank without samples
    fields = {name: "v" if "v" in layer.recordable() else layer.output
              for name, layer in net.layers.items() if isinstance(layer, Population)}
    with np.errstate(all="ignore"):
        y, _, seen = net.run(batch.x, lengths=batch.lengths, record=fields)
    for name, field in fields.items():
        wrong = ~np.isfinite(seen[name][field])
        if wrong.any():
            first = int(wrong.reshape(len(wrong), -1).any(1).argmax())
            return f"{LAYER} {name} at time step {first}"
    if np.isfinite(y).all():
        return ON_THE_WAY_BACK if loss_is_finite else "the forward pass is finite: it begins in the loss"
    return "it begins in the answer of the last layer"
