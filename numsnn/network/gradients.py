"""Loss and gradients of a batch in one go: chunk by chunk where that is possible, else of the whole batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..layers.layer import positive_integer
from ..loss import Loss, as_loss
from ..ranks import ALONE
from . import fused, stages
from .chunking import Share
from .chunks import part
from .tape import BatchResult


class Task(NamedTuple):
    """A batch and what is asked of it, checked."""
    loss: Loss
    x: Any
    labels: np.ndarray
    weights: Any
    lengths: np.ndarray | None
    state: dict

    def of(self, share: Share) -> Task:
        """With labels and weights of the samples of a share."""
        first, last, per_step = share.first, share.last, self.weights.ndim == 2
        return self._replace(labels=part(self.labels, first, last, per_step),
                             weights=part(self.weights, first, last, per_step))


def loss_and_gradients(net, loss, x, labels, *, mask, lengths, state, rng, regularisers, checkpoint_every,
                       chunk, share: Share | None = None) -> BatchResult:
    """See Network.loss_and_gradients.

    share: where several ranks work on a batch, what x and state are of it; labels, mask and lengths are those
    of the whole batch.  So are loss and gradients; y and state are of the rank.
    """
    loss = as_loss(loss)
    x = net._input(x)
    if not x.shape[1] and share is None:
        raise ValueError(f"expected at least one sample to train on; got x of shape {tuple(x.shape)}")
    every = fused.check(net, checkpoint_every)
    if chunk is not None:
        positive_integer(chunk, "chunk")
    if not all(callable(getattr(r, "layers", None)) for r in regularisers):
        raise ValueError(f"regularisers must be such as ns.regularise has; got {regularisers!r}")
    if every and regularisers:
        raise ValueError("checkpoint_every does not go with regularisers, which need the rates of the whole "
                         "batch before the backward pass")
    steps, batch = x.shape[0], x.shape[1] if share is None else share.batch
    state = net._state(state, x.shape[1], rng)
    if share is None:
        lengths = net._lengths(lengths, x)
    labels, weights = loss.check(answer_shape(net, steps, batch), labels, mask, answer_lengths(net, lengths))
    if share is not None:
        lengths = net._lengths(stages.part_of(lengths, share.first, share.last), x)
    task = Task(loss, x, labels, weights, lengths, state)
    first, *more = net.graph.stages(True)
    if not more and not regularisers and loss.by_chunks:
        if share is not None:
            return BatchResult(*fused.shared(net, first, task.of(share), every, share))
        samples = chunk or (None if net.loops.HOST else net.chunk)
        return BatchResult.of(*fused.fused(net, first, task, every, samples))
    if every and not loss.by_chunks:
        raise ValueError(f"checkpoint_every does not go with {loss!r}, which sees the whole batch at once; "
                         f"derive the loss from ns.loss.Loss and define rows")
    if chunk is not None:
        raise ValueError("chunk cannot be given to loss_and_gradients where a layer, a regulariser or a loss "
                         "of one's own needs the whole batch; Network(..., chunk=) goes with all of them")
    return _of_the_whole_batch(net, task, regularisers, share)


def answer_shape(net, steps: int, batch: int) -> tuple:
    """The shape of what the last layer hands out."""
    last = net.layers[net.graph.answer]
    if not last.answers_each_step:
        return batch, last.size_out
    return net.graph.nodes[net.graph.answer].steps(steps), batch, last.size_out


def answer_lengths(net, lengths):
    """Valid steps of the answer of each sample."""
    return None if lengths is None else net.graph.nodes[net.graph.answer].steps(lengths)


def _of_the_whole_batch(net, task, regularisers, share):
    """Forward, loss, penalties and backward, with the tape of all samples."""
    record = net._record({name: ("rate",) for r in regularisers for name in r.layers(net)})
    ranks = ALONE if share is None else share.ranks
    x = net.loops.put(task.x)
    y, after, tape, seen = stages.forward(net, x, task.state, task.lengths, record, True, share)
    value, dy = task.loss.weighted(ranks.joined(y, y.ndim - 2), task.labels, task.weights)
    rates = {name: ranks.joined(fields["rate"]) for name, fields in seen.items()}
    penalties = [r(net, {name: rates[name] for name in r.layers(net)}) for r in regularisers]
    drates = {}
    for penalty in penalties:
        for name, d in penalty.drates.items():
            drates[name] = drates[name] + d if name in drates else d
    if share is not None:
        dy = part(dy, share.first, share.last)
        drates = {name: d[share.first:share.last] for name, d in drates.items()}
    dhidden = net._hidden({name: {"rate": d} for name, d in drates.items()}, *x.shape[:2])
    grads, _, _ = stages.backward(net, tape, dy, {}, dhidden, False, share)
    for penalty in penalties:
        for name, d in penalty.grads.items():
            grads[name] = grads[name] + d
    value, grads, squares = net.loops.arrived(value, grads)
    return BatchResult.of(value + sum(p.value for p in penalties), grads, y, after, squares)


def refuse_ranks(net, loss: Loss, regularisers: Sequence) -> None:
    """ValueError where several ranks cannot work on a batch of a network."""
    for name, layer in net.layers.items():
        if layer.whole_batch and not layer.over_ranks:
            raise ValueError(f"comm: layer {name}, {layer.describe()}, looks at the whole batch, and has no "
                             f"way to do so over ranks; train this network without comm")
    in_one = len(net.graph.stages(True)) == 1 and not regularisers and loss.by_chunks
    if not net.loops.HOST and not in_one:
        raise ValueError("comm: on a GPU, layers, regularisers and losses of one's own that look at the "
                         "whole batch do not work over ranks; leave them out, or train without comm")
    if not net.loops.HOST and net.chunk is None:
        raise ValueError("comm: on a GPU a batch is one chunk, of which ranks get no shares; say "
                         "Network(..., chunk=) samples, at most the batch size divided by the ranks")
