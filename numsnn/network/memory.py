"""How many bytes of arrays a training step holds at most, from small steps of the same network that are measured.

Within a chunk of samples everything grows in proportion to the number of time steps, and from chunk to chunk only what a chunk leaves behind
is added: its gradients, answers and state.  So the peak of a step is affine in each of T, the number of chunks n and (with checkpoint_every) the
number of pieces that a sequence is cut into, for one thread; two values of each determine it.  Each further thread works on a chunk of its own.
"""

from typing import NamedTuple

import numpy as np

from ..devices import threads
from ..layers.layer import size
from ..signals.spikes import Spikes
from .fused import check

MARGIN = 1.1        # of a prediction, where a budget is to be kept
MOST = 1 << 24      # values of a measured step, at about
FEWEST = 32         # samples of a chunk on a GPU: fewer leave it idle
STEPS = (64, 192)   # its time steps, fewer where that would be too many values


class Memory(NamedTuple):
    """Bytes of arrays at the peak of a training step."""
    total: int
    chunk: int          # of one chunk while it is worked on
    chunks: int
    threads: int
    checkpoint_every: int | None

    def __str__(self):
        return (f"{self.total / 1e6:,.1f} MB: {min(self.threads, self.chunks)} of {self.chunks} chunks at a time, {self.chunk / 1e6:,.1f} MB each"
                + (f", states kept every {self.checkpoint_every} steps" if self.checkpoint_every else ""))


class Plan(NamedTuple):
    """What `loss_and_gradients` is told in order to keep a budget."""
    checkpoint_every: int | None
    chunk: int | None


class _NoLoss:
    """Takes any answer."""

    @staticmethod
    def check(shape, labels, mask=None, lengths=None):
        batch = shape[-2]
        return (np.zeros(batch, int), np.ones(batch)) if len(shape) == 2 else (np.zeros(shape[:2], int), np.ones(shape[:2]))

    @staticmethod
    def weighted(y, labels, weights):
        return 0.0, np.zeros_like(y)


def predict(net, steps: int, batch: int, rate: float | None, every: int | None, chunk: int | None = None) -> Memory:
    """The peak of a training step of (T, B); see Network.memory."""
    for what, value in (("T", steps), ("B", batch)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"memory: {what} must be a positive integer; got {value!r}")
    if rate is not None and not 0 <= rate <= 1:
        raise ValueError(f"memory: rate is spikes per input and step, 0 to 1; got {rate!r}")
    fused = len(net._graph.stages(True)) == 1
    bounds = net._bounds(batch, net._graph.stages(True)[0], chunk or (None if net.loops.HOST or not fused else net.chunk))
    chunk, n = (bounds[0][1], len(bounds)) if fused else (batch, 1)
    piece = min(every or steps, steps)
    pieces = -(-steps // piece)         # up to three of them hold each their own
    few = (_steps(net, piece, chunk), (pieces,) if pieces < 5 else (4, 8), (1,) if n == 1 else (1, n) if n < 5 else (4, 8))
    found = {(t, p, k): _measured(net, t, p, k * chunk, rate, bounds[0][1]) for t in few[0] for p in few[1] for k in few[2]}

    def peak(k):
        """For k chunks and one thread."""
        by_pieces = [[_line(few[2], [found[t, p, m] for m in few[2]], k) for p in few[1]] for t in few[0]]
        return _line(few[0], [_line(few[1], values, pieces) for values in by_pieces], piece)

    used = min(threads.get_num_threads(), n) if fused and net._work(steps, batch) >= 100_000 else 1
    left = (peak(few[2][-1]) - peak(few[2][0])) / max(few[2][-1] - few[2][0], 1)        # by a chunk that is done
    alone, last = peak(n) - left * (n - 1), (bounds[-1][1] - bounds[-1][0]) / chunk if fused else 1
    # a last chunk of few samples may take less than what it would have left behind as a full one
    most = alone + left * (n - 1) if n == 1 else max(alone + left * (n - 2), alone * last + left * (n - 1))
    return Memory(int(most + (alone - left) * (used - 1)), int(alone), n, used, every)


def _steps(net, steps, batch):
    """Two numbers of time steps to measure, or one where the sequence is that short."""
    wide = batch * sum(layer.size_out or 1 for layer in net.layers.values())
    most = max(MOST // wide, 4)
    return sorted({min(steps, max(most * s // STEPS[1], 2), s) for s in STEPS})


def _line(xs, ys, x):
    return ys[0] if len(xs) == 1 else ys[0] + (ys[1] - ys[0]) * (x - xs[0]) / (xs[1] - xs[0])


def _measured(net, piece, pieces, batch, rate, chunk):
    """The peak of a small step on one thread, in so many pieces of time."""
    steps, every = piece * pieces, piece if pieces > 1 else None
    rng, n = np.random.default_rng(0), size(net.input_shape)
    if next(iter(net.layers.values())).reads_tokens:
        x = Spikes.from_dense(np.eye(n, dtype=bool)[rng.integers(0, n, (steps, batch))])
    elif rate is None:
        x = rng.standard_normal((steps, batch, n)).astype(net.dtype)
    else:
        x = Spikes.from_dense(rng.random((steps, batch, n)) < rate)
    other = net.clone(chunk=chunk)
    with threads.limited(1):
        other.loss_and_gradients(_NoLoss, x[:2], None, checkpoint_every=every and 1)        # what is made once, on the same way, is there
        return net.loops.held(lambda: other.loss_and_gradients(_NoLoss, x, None, checkpoint_every=every))


def within(net, budget: int, x) -> Plan:
    """How a training step on a batch x holds at most `budget` bytes: as it is, on a GPU in chunks of samples, then also with states recomputed."""
    steps, batch = x.shape[:2]
    rate, found = x.rate if isinstance(x, Spikes) else None, []
    for chunk in _splits(net, batch):
        found.append(predict(net, steps, batch, rate, None, chunk))
        if found[-1].total * MARGIN <= budget:
            return Plan(None, chunk)
    takes = f"a training step of {steps} steps and {batch} samples takes {found[0].total / 1e6:,.1f} MB of arrays"
    advice = "Use smaller batches, fewer threads, or more memory" if net.loops.HOST else "Use smaller batches"
    try:
        check(net, 1)
    except ValueError as error:
        raise ValueError(f"{takes}; the budget is {budget / 1e6:,.1f} MB, and its states cannot be recomputed ({error}). {advice}") from None
    for every in (-(-steps // 2 ** i) for i in range(1, steps.bit_length())):
        found.append(predict(net, steps, batch, rate, every, chunk))
        if found[-1].total * MARGIN <= budget:
            return Plan(every, chunk)
        if found[-1].total > 2 * min(m.total for m in found):
            break
    least = min(found, key=lambda m: m.total)
    raise ValueError(f"{takes}, at least {least.total * MARGIN / 1e6:,.1f} MB with checkpoint_every={least.checkpoint_every}"
                     f"{f' in {least.chunks} chunks' if chunk else ''}; the budget is {budget / 1e6:,.1f} MB. {advice}")


def _splits(net, batch):
    """Samples of a chunk that may be tried: on the host they are chosen for speed, on a GPU more take less time and more memory."""
    if net.loops.HOST or len(net._graph.stages(True)) > 1:
        return [None]
    halves = [-(-batch // 2 ** i) for i in range(1, batch.bit_length())]
    return [None, *(n for n in halves if n >= FEWEST)]
