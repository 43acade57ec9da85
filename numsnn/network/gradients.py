"""Loss and gradients of a batch in one go: chunk by chunk where that is possible, else of the whole batch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..layers.layer import positive_integer
from ..loss import as_loss
from . import fused, stages
from .tape import BatchResult


class Task(NamedTuple):
    """A batch and what is asked of it, checked."""
    loss: object
    x: object
    labels: np.ndarray
    weights: np.ndarray
    lengths: np.ndarray | None
    state: dict


def loss_and_gradients(net, loss, x, labels, *, mask, lengths, state, rng, regularisers, checkpoint_every,
                       chunk) -> BatchResult:
    """See Network.loss_and_gradients."""
    loss = as_loss(loss)
    x = net._input(x)
    if not x.shape[1]:
        raise ValueError(f"expected at least one sample to train on; got x of shape {tuple(x.shape)}")
    every = fused.check(net, checkpoint_every)
    if chunk is not None:
        positive_integer(chunk, "chunk")
    if not all(callable(getattr(r, "layers", None)) for r in regularisers):
        raise ValueError(f"regularisers must be such as ns.regularise has; got {regularisers!r}")
    if every and regularisers:
        raise ValueError("checkpoint_every does not go with regularisers, which need the rates of the whole "
                         "batch before the backward pass")
    lengths = net._lengths(lengths, x)
    state = net._state(state, x.shape[1], rng)
    labels, weights = loss.check(answer_shape(net, *x.shape[:2]), labels, mask, answer_lengths(net, lengths))
    task = Task(loss, x, labels, weights, lengths, state)
    first, *more = net.graph.stages(True)
    if not more and not regularisers and loss.by_chunks:
        samples = chunk or (None if net.loops.HOST else net.chunk)
        return BatchResult(*fused.fused(net, first, task, every, samples))
    if every and not loss.by_chunks:
        raise ValueError(f"checkpoint_every does not go with {loss!r}, which sees the whole batch at once; "
                         f"derive the loss from ns.loss.Loss and define rows")
    if chunk is not None:
        raise ValueError("chunk cannot be given to loss_and_gradients where a layer, a regulariser or a loss "
                         "of one's own needs the whole batch; Network(..., chunk=) goes with all of them")
    return _of_the_whole_batch(net, task, regularisers)


def answer_shape(net, steps: int, batch: int) -> tuple:
    """The shape of what the last layer hands out."""
    last = net.layers[net.graph.answer]
    if not last.answers_each_step:
        return batch, last.size_out
    return net.graph.nodes[net.graph.answer].steps(steps), batch, last.size_out


def answer_lengths(net, lengths):
    """Valid steps of the answer of each sample."""
    return None if lengths is None else net.graph.nodes[net.graph.answer].steps(lengths)


def _of_the_whole_batch(net, task, regularisers):
    """Forward, loss, penalties and backward, with the tape of all samples."""
    record = net._record({name: ("rate",) for r in regularisers for name in r.layers(net)})
    x = net.loops.put(task.x)
    y, after, tape, seen = stages.forward(net, x, task.state, task.lengths, record, True)
    value, dy = task.loss.weighted(y, task.labels, task.weights)
    penalties = [r(net, {name: seen[name]["rate"] for name in r.layers(net)}) for r in regularisers]
    drates = {}
    for penalty in penalties:
        for name, d in penalty.drates.items():
            drates[name] = drates[name] + d if name in drates else d
    dhidden = net._hidden({name: {"rate": d} for name, d in drates.items()}, *x.shape[:2])
    grads, _, _ = stages.backward(net, tape, dy, {}, dhidden, False)
    for penalty in penalties:
        for name, d in penalty.grads.items():
            grads[name] = grads[name] + d
    return BatchResult(value + sum(p.value for p in penalties), grads, y, after)
