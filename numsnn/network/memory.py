"""How many bytes of arrays a training step holds at most, from small steps of the same network that are
measured.

Within a chunk of samples everything grows in proportion to the number of time steps, and from chunk to chunk
only what a chunk leaves behind is added: its gradients, answers and state.  So the peak of a step is affine
in each of T, the number of chunks n and (with checkpoint_every) the number of pieces that a sequence is cut
into, for one thread; two values of each determine it.  Each further thread works on a chunk of its own.
"""

from typing import NamedTuple

import numpy as np

from ..devices import threads
from ..layers.layer import positive_integer, size
from ..loss import Loss
from ..signals.spikes import Spikes
from . import chunking
from .fused import check

MARGIN = 1.1        # of a prediction, where a budget is to be kept
MOST = 1 << 24      # values of a measured step, at about
FEWEST = 32         # samples of a chunk on a GPU: fewer leave it idle
WORTH_THREADS = 100_000     # elementary updates that threads are woken for (devices/threads.py)
STEPS = (64, 192)   # its time steps, fewer where that would be too many values


class Memory(NamedTuple):
    """Bytes of arrays at the peak of a training step."""
    total: int
    chunk: int          # of one chunk while it is worked on
    chunks: int
    threads: int
    checkpoint_every: int | None

    def __str__(self) -> str:
        at_a_time = min(self.threads, self.chunks)
        text = (f"{self.total / 1e6:,.1f} MB: {at_a_time} of {self.chunks} chunks at a time, "
                f"{self.chunk / 1e6:,.1f} MB each")
        return text + (f", states kept every {self.checkpoint_every} steps" if self.checkpoint_every else "")


class Plan(NamedTuple):
    """What `loss_and_gradients` is told in order to keep a budget."""
    checkpoint_every: int | None
    chunk: int | None


class _NoLoss(Loss):
    """Takes any answer."""

    def check(self, shape, labels, mask=None, lengths=None):
        answers = shape[:-1]                    # (B,) or (T, B)
        return np.zeros(answers, int), np.ones(answers)

    def weighted(self, y, labels, weights):
        return 0.0, np.zeros_like(y)


def predict(net, steps: int, batch: int, rate: float | None, every: int | None,
            chunk: int | None = None) -> Memory:
    """The peak of a training step of (T, B); see Network.memory."""
    _check(steps, batch, rate)
    steps, batch = int(steps), int(batch)
    stages = net.graph.stages(True)
    fused = len(stages) == 1
    if not chunk and fused and not net.loops.HOST:
        chunk = net.chunk
    bounds = chunking.bounds(net, batch, stages[0], chunk)
    first, last = bounds[0][1], bounds[-1][1] - bounds[-1][0]
    samples, n = (first, len(bounds)) if fused else (batch, 1)
    piece = min(every or steps, steps)
    pieces = -(-steps // piece)
    peak = _peaks(net, (piece, pieces, n), samples, rate, first)

    used = 1
    if fused and chunking.work(net, steps, batch) >= WORTH_THREADS:
        used = min(threads.get_num_threads(), n)
    few, many = _few_chunks(n)[0], _few_chunks(n)[-1]
    left = (peak(many) - peak(few)) / max(many - few, 1)        # by a chunk that is done
    alone = peak(n) - left * (n - 1)
    most = alone
    if n > 1:
        # a last chunk of few samples may take less than it would have left behind as a full one
        share = last / samples if fused else 1
        most = max(alone + left * (n - 2), alone * share + left * (n - 1))
    return Memory(int(most + (alone - left) * (used - 1)), int(alone), n, used, every)


def _check(steps, batch, rate):
    for what, value in (("T", steps), ("B", batch)):
        positive_integer(value, f"memory: {what}")
    if rate is not None and not 0 <= rate <= 1:
        raise ValueError(f"memory: rate is spikes per input and step, 0 to 1; got {rate!r}")


def _peaks(net, wanted, samples, rate, chunk):
    """peak(k) for k chunks and one thread, from measured steps.

    wanted: (steps of a piece, pieces, chunks).
    """
    piece, pieces, n = wanted
    lengths = _steps(net, piece, samples)
    cuts = (pieces,) if pieces < 5 else (4, 8)          # up to three of them hold each their own
    chunks = _few_chunks(n)
    found = {(t, p, k): _measured(net, t, p, k * samples, rate, chunk)
             for t in lengths for p in cuts for k in chunks}

    def of_length_and_pieces(t, p, k):
        return _line(chunks, [found[t, p, m] for m in chunks], k)

    def of_length(t, k):
        return _line(cuts, [of_length_and_pieces(t, p, k) for p in cuts], pieces)

    def peak(k):
        return _line(lengths, [of_length(t, k) for t in lengths], piece)

    return peak


def _few_chunks(n):
    """Two numbers of chunks to measure, or one where there is but one."""
    if n == 1:
        return (1,)
    return (1, n) if n < 5 else (4, 8)


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
        # what is made once, on the same way, is there
        other.loss_and_gradients(_NoLoss(), x[:2], None, checkpoint_every=every and 1)
        return net.loops.held(lambda: other.loss_and_gradients(_NoLoss(), x, None, checkpoint_every=every))


def within(net, budget: int, steps: int, batch: int, rate: float | None) -> Plan:
    """How a training step on a batch holds at most `budget` bytes; rate: of Spikes, None of values.

    As it is; on a GPU in chunks of samples; then also with states recomputed.  ValueError where nothing
    helps.
    """
    found: list[Memory] = []
    for chunk in _splits(net, batch):
        found.append(predict(net, steps, batch, rate, None, chunk))
        if found[-1].total * MARGIN <= budget:
            return Plan(None, chunk)
    takes = (f"a training step of {steps} steps and {batch} samples takes {found[0].total / 1e6:,.1f} MB "
             f"of arrays")
    limit = f"the budget is {budget / 1e6:,.1f} MB"
    advice = "Use smaller batches, fewer threads, or more memory" if net.loops.HOST else "Use smaller batches"
    try:
        check(net, 1)
    except ValueError as error:
        raise ValueError(f"{takes}; {limit}, and its states cannot be recomputed ({error}). "
                         f"{advice}") from None
    for every in (-(-steps // 2 ** i) for i in range(1, steps.bit_length())):
        found.append(predict(net, steps, batch, rate, every, chunk))
        if found[-1].total * MARGIN <= budget:
            return Plan(every, chunk)
        if found[-1].total > 2 * min(m.total for m in found):
            break
    least = min(found, key=lambda m: m.total)
    in_chunks = f" in {least.chunks} chunks" if chunk else ""
    raise ValueError(f"{takes}, at least {least.total * MARGIN / 1e6:,.1f} MB with "
                     f"checkpoint_every={least.checkpoint_every}{in_chunks}; {limit}. {advice}")


def _splits(net, batch):
    """Samples of a chunk that may be tried.

    On the host they are chosen for speed; on a GPU more take less time and more memory.
    """
    if net.loops.HOST or len(net.graph.stages(True)) > 1:
        return [None]
    halves = [-(-batch // 2 ** i) for i in range(1, batch.bit_length())]
    return [None, *(n for n in halves if n >= FEWEST)]
