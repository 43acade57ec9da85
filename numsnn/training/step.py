"""A training step: the gradients of a batch, and the update; and where numbers that are none come from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ..datasets.checks import is_per_step
from ..datasets.dataset import Batch
from ..export.rounding import rounded
from ..layers import Population
from ..loss import Loss
from ..network.memory import Plan
from ..network.network import Network
from ..optim import Optimizer
from .regularise import Regulariser


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
    plan: Callable[[Batch], Plan]
    weight_bits: int | None = None

    def options(self, batch: Batch) -> dict:
        """What `loss_and_gradients` is told about a batch besides its data."""
        return {"regularisers": tuple(self.regularisers), **self.plan(batch)._asdict()}


class Done(NamedTuple):
    """What came of a batch."""
    loss: float
    projected: int              # values that updates put on their bound
    norm: float                 # of the gradients before clipping; of several updates the mean


def train_batch(step: Step, batch: Batch, rng: np.random.Generator, where: str) -> Done:
    """Gradients and update(s) of one batch.  where: the place, for a message."""
    if step.tbptt is not None:
        return _truncated(step, step.tbptt, batch, rng, where)
    net = step.net
    with rounded(net, step.weight_bits):
        result = net.loss_and_gradients(step.loss, batch.x, batch.y, mask=batch.mask, lengths=batch.lengths,
                                        rng=rng, **step.options(batch))
    norm = _norm_or_stop(net, result, batch, where)
    return Done(result.loss, step.optimizer.update(net.params, result.grads), norm)


def _truncated(step, tbptt, batch, rng, where):
    """train_batch, the sequences cut into segments of so many steps."""
    net, optimizer = step.net, step.optimizer
    options = step.options(batch)
    steps = batch.x.shape[0]
    label_per_step = is_per_step(batch.y)
    total, projected, sums, norms = 0.0, 0, None, []
    state = net.initial_state(batch.x.shape[1], rng)
    for first in range(0, steps, tbptt):
        last = min(first + tbptt, steps)
        x, labels, mask, lengths = segment(batch, first, last)
        with rounded(net, step.weight_bits):
            result = net.loss_and_gradients(step.loss, x, labels, state=state, mask=mask, lengths=lengths,
                                            **options)
        norms.append(_norm_or_stop(net, result, batch, f"{where}, steps {first} to {last - 1}"))
        total = total + result.loss if label_per_step else result.loss
        state = result.state
        _stop_if_state_is_not_finite(net, state, batch, f"{where}, steps {first} to {last - 1}")
        if step.step_inside:
            projected += optimizer.update(net.params, result.grads)
        elif sums is None:
            sums = result.grads
        else:
            sums = {name: sums[name] + grad for name, grad in result.grads.items()}
    if not step.step_inside:
        norms = [net.loops.euclidean(list(sums.values()))]
        projected += optimizer.update(net.params, sums)
    return Done(total, projected, math.fsum(norms) / len(norms))


def segment(batch, first, last):
    """(x, labels, mask, lengths) of some steps of a batch; a label of the whole sequence stays."""
    part = slice(first, last)
    labels = batch.y[part] if is_per_step(batch.y) else batch.y
    mask = None if batch.mask is None else batch.mask[part]
    lengths = None if batch.lengths is None else np.clip(batch.lengths - first, 0, last - first)
    return batch.x[part], labels, mask, lengths


# ---- divergence


def _norm_or_stop(net, result, batch, where):
    """The norm of all gradients together; TrainingDiverged where one of them or the loss is not finite."""
    grads = list(result.grads.values())
    norm = net.loops.euclidean(grads)
    loss_is_finite = math.isfinite(result.loss)
    if loss_is_finite and math.isfinite(norm):
        return norm
    finite = net.loops.finite(grads)
    bad = [name for name, fine in zip(result.grads, finite, strict=True) if not fine]
    if loss_is_finite and not bad:
        return norm             # finite gradients whose squares are too large for a number
    reason = f"the gradient of {bad[-1]} is not finite" if loss_is_finite else f"the loss is {result.loss}"
    raise TrainingDiverged(f"{where}: {reason}; {_origin(net, batch)}. "
                           f"Try a smaller learning rate or clip_norm")


def _stop_if_state_is_not_finite(net, state, batch, where):
    """The next segment would refuse it."""
    for name, fields in state.items():
        if fields is not None and not all(net.loops.finite(list(fields))):
            raise TrainingDiverged(f"{where}: the state of layer {name} is not finite; "
                                   f"{_origin(net, batch)}. Try a smaller learning rate or clip_norm")


def _origin(net, batch):
    """Where the first number that is none appears in the forward pass."""
    for name, p in net.params.items():
        if not np.isfinite(p).all():
            return f"parameter {name} holds {p[~np.isfinite(p)].flat[0]} already"
    fields = {name: "v" if "v" in layer.recordable() else layer.output
              for name, layer in net.layers.items() if isinstance(layer, Population)}
    with np.errstate(all="ignore"):
        y, _, seen = net.run(batch.x, lengths=batch.lengths, record=fields)
    for name, field in fields.items():
        wrong = ~np.isfinite(seen[name][field])
        if wrong.any():
            first = int(wrong.reshape(len(wrong), -1).any(1).argmax())
            return f"it begins in layer {name} at time step {first}"
    if np.isfinite(y).all():
        return "the forward pass is finite: it begins in the loss"
    return "it begins in the answer of the last layer"
