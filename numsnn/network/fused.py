"""Loss and gradients of a network of one stage: forward, loss and backward of a few samples, then of the
next.

A chunk's tape lives only while the chunk does.  With `every` a chunk goes through the sequence twice: first
piece by piece of so many steps, of which only the state is kept; then from the last piece to the first, each
forward again from its state, with a tape, and backward.
"""

from __future__ import annotations

import numpy as np

from ..devices import buffers, threads
from ..layers.joins import INPUT
from ..signals.integers import is_whole
from . import chunking, passes, stages
from .chunks import join, join_states, part, samples, zeros


def check(net, every) -> int | None:
    """The number of steps after which a state is kept, None for a tape of the whole sequence."""
    if every is None:
        return None
    if not is_whole(every, least=1):
        raise ValueError(f"checkpoint_every must be a positive number of steps, or None; got {every!r}")
    for name, layer in net.layers.items():
        why = _why_not_in_pieces(layer)
        if why:
            raise ValueError(f"checkpoint_every: layer {name} {why}, and cannot go through a sequence in "
                             f"pieces; leave checkpoint_every out")
    return int(every)


def _why_not_in_pieces(layer) -> str:
    if not layer.causal:
        return "needs the whole sequence"
    if layer.whole_batch:
        return "needs the whole batch"
    return "changes the number of steps" if layer.times != 1 else ""


def fused(net, stage, task, every, chunk):
    """(loss, grads, y, state, squares of gradients or None) of a batch (gradients.Task)."""
    batch = task.x.shape[1]
    bounds = chunking.bounds(net, batch, stage, chunk)
    values, grads, answers, states = zip(*_of_chunks(net, stage, task, every, bounds), strict=True)
    after = {name: join_states([s[name] for s in states]) for name in net.layers}
    loss, summed, squares = net.loops.arrived(sum(values), stages.summed(grads))
    return loss, summed, join(answers), after, squares


def shared(net, stage, task, every, share):
    """(loss, grads, y, state) where ranks work on a batch: loss and gradients are of all, the others of the
    samples of this one; y is None where it has none."""
    done = _of_chunks(net, stage, task, every, share.own)
    of_chunks = [net.loops.arrived(value, grads) for value, grads, *_ in done]
    loss, grads = share.ranks.gradients(share.chunks, [grads for _, grads, _ in of_chunks],
                                        [value for value, *_ in of_chunks], net.params)
    if not net.loops.HOST:
        grads = {name: net.loops.put(grad) for name, grad in grads.items()}
    if not done:
        return loss, grads, None, task.state
    after = {name: join_states([state[name] for *_, state in done]) for name in net.layers}
    return loss, grads, join([one[2] for one in done]), after


def _of_chunks(net, stage, task, every, bounds):
    """(loss, grads, y, state) of each chunk."""
    steps, batch = task.x.shape[:2]
    chunks = _Chunks(net, stage, task, _pieces(steps, every))
    parts = [None] * len(bounds)

    def of(c):
        parts[c] = chunks.gradients(*bounds[c])

    with net.loops.one_thread():
        threads.run(of, len(bounds), chunking.work(net, steps, batch))
    return parts


def _pieces(steps, every):
    """A sequence as slices of so many steps."""
    if not every or every >= steps:
        return [slice(0, steps)]
    return [slice(t, min(t + every, steps)) for t in range(0, steps, every)]


class _Chunks:
    """The work on each chunk of a batch; nothing of it changes, so that threads share it."""

    def __init__(self, net, stage, task, pieces):
        self.net, self.stage, self.task, self.pieces = net, stage, task, pieces
        self.prepared = stages.prepare(net)
        self.answers_each_step = net._last.answers_each_step

    def gradients(self, first, last):
        """(loss, grads, y, state) of the samples first ... last."""
        source = self._sent(first, last)
        before = [stages.rows_of(self.task.state, first, last)]
        answers = []
        for piece in self.pieces[:-1]:
            done, _ = self._forward(piece, before[-1], (first, last), source)
            before.append(done.state)
            if self.answers_each_step:
                answers.append(stages.answer(self.net, done.values))
            done = None         # its tape
        kept = self._forward(self.pieces[-1], before[-1], (first, last), source)
        done = kept[0]
        answers.append(stages.answer(self.net, done.values))
        after = done.state
        y = self.net.loops.joined(answers)
        value, dy = self._loss(y, first, last)
        dstate, grads = {name: zeros(s, self.net.loops.zeros) for name, s in after.items()}, {}
        for piece, start in zip(reversed(self.pieces), reversed(before), strict=True):
            if piece is not self.pieces[-1]:
                kept = self._forward(piece, start, (first, last), source)
            done, setting = kept
            dvalues = {self.net.graph.answer: self._dy_of(piece, dy)}
            _, more, dstate = passes.backward(self.stage, done.tapes, dvalues, dstate, {}, setting)
            grads = {name: grads[name] + g if name in grads else g for name, g in more.items()}
            done = kept = None
        return value, grads, y, after

    def _forward(self, piece, before, chunk, source):
        """A piece of the sequence, with a tape: (passes.Forward, passes.Setting)."""
        lengths = stages.part_of(self.task.lengths, *chunk)
        if lengths is not None:
            lengths = np.clip(lengths - piece.start, 0, piece.stop - piece.start)
        setting = stages.setting(self.net, self.prepared, lengths, True)
        x, begin, end = source
        if len(self.pieces) > 1:
            x = x[piece]
        given = samples(x, begin, end, INPUT in self.stage.borrowed)
        return passes.forward(self.stage, {INPUT: given}, dict(before), setting), setting

    def _sent(self, first, last):
        """(array, first, last): where samples of the batch lie once they are on the device."""
        x, loops = self.task.x, self.net.loops
        if loops.HOST:
            return x, first, last
        everything = last - first == x.shape[1]
        return loops.put(x if everything else samples(x, first, last)), 0, last - first

    def _loss(self, y, first, last):
        """(loss, dy) of the samples."""
        per_step = y.ndim == 3
        labels = part(self.task.labels, first, last, per_step)
        weights = part(self.task.weights, first, last, per_step)
        return self.task.loss.weighted(y, labels, weights)

    def _dy_of(self, piece, dy):
        """The gradient of what the network answers in a piece: of one answer a sequence, the last piece's."""
        if len(self.pieces) == 1:
            return dy
        if self.answers_each_step:
            return buffers.contiguous(dy[piece])
        return dy if piece is self.pieces[-1] else self.net.loops.zeros(dy.shape, dy.dtype)
