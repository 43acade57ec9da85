"""Loss and gradients of a network of one stage: forward, loss and backward of a few samples, then of the next.

A chunk's tape lives only while the chunk does.  With `every` a chunk goes through the sequence twice: first piece by piece of so many steps, of which only the
state is kept; then from the last piece to the first, each forward again from its state, with a tape, and backward.
"""

import numpy as np

from ..devices import buffers, threads
from ..layers.joins import INPUT
from . import passes
from .chunks import join, join_states, part, samples, zeros


def check(net, every) -> int | None:
    """The number of steps after which a state is kept, None for a tape of the whole sequence."""
    if every is None:
        return None
    if isinstance(every, bool) or not isinstance(every, (int, np.integer)) or every < 1:
        raise ValueError(f"checkpoint_every must be a positive number of steps, or None; got {every!r}")
    for name, layer in net.layers.items():
        why = "needs the whole sequence" if not layer.causal else "needs the whole batch" if layer.whole_batch else \
            "changes the number of steps" if layer.times != 1 else None
        if why:
            raise ValueError(f"checkpoint_every: layer {name} {why}, and cannot go through a sequence in pieces; leave checkpoint_every out")
    return int(every)


def fused(net, stage, loss, x, labels, weights, lengths, state, every, chunk):
    """(loss, grads, y, state) of a batch."""
    prepared, bounds, steps, per_step = net._prepare(), net._bounds(x.shape[1], stage, chunk), x.shape[0], net._last.answers_each_step
    pieces = [slice(t, min(t + every, steps)) for t in range(0, steps, every)] if every and every < steps else [slice(0, steps)]
    parts = [None] * len(bounds)

    def forward(piece, before, first, last, source):
        here = None if lengths is None else np.clip(lengths - piece.start, 0, piece.stop - piece.start)
        setting, (a, begin, end) = net._setting(prepared, here, first, last, True), source
        given = samples(a if len(pieces) == 1 else a[piece], begin, end, INPUT in stage.borrowed)
        return passes.forward(stage, {INPUT: given}, dict(before), setting), setting

    def task(c):
        first, last = bounds[c]
        before, answers, source = [net._rows(state, first, last)], [], net._sent(x, first, last)
        for piece in pieces[:-1]:
            done, _ = forward(piece, before[-1], first, last, source)
            before.append(done.state)
            answers += [net._answer(done.values)] if per_step else []
            done = None
        done, setting = forward(pieces[-1], before[-1], first, last, source)
        answers, after = [*answers, net._answer(done.values)], done.state
        y = net.loops.joined(answers)
        value, dy = loss.weighted(y, part(labels, first, last, y.ndim == 3), part(weights, first, last, y.ndim == 3))
        dstate, grads = {name: zeros(s, net.loops.zeros) for name, s in after.items()}, {}
        for piece, start in zip(reversed(pieces), reversed(before), strict=True):
            if piece is not pieces[-1]:
                done, setting = forward(piece, start, first, last, source)
            d = dy if len(pieces) == 1 else buffers.contiguous(dy[piece]) if per_step else dy if piece is pieces[-1] else net.loops.zeros(dy.shape, dy.dtype)
            _, more, dstate = passes.backward(stage, done.tapes, {net._graph.answer: d}, dstate, {}, setting)
            grads = {name: grads[name] + g if name in grads else g for name, g in more.items()}
            done = None
        parts[c] = value, grads, y, after

    with net.loops.one_thread():
        threads.run(task, len(bounds), net._work(*x.shape[:2]))
    values, grads, answers, states = zip(*parts, strict=True)
    return (sum(values), net._sum(grads), join(answers),
            {name: join_states([s[name] for s in states]) for name in net.layers})
