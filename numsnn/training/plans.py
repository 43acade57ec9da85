"""Batches of a training within a budget of memory, and on their way to a device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..datasets.batch import AnyBatch
from ..devices import threads
from ..loss import Loss
from ..network.memory import Plan, within
from ..network.network import Network
from ..ranks import Ranks
from ..rules.batch import Pieces, Rule
from ..signals.integers import is_whole
from ..signals.spikes import Spikes
from . import rules
from .regularise import Regulariser


def of(net: Network, loss: Loss, checkpoint_every: int | None, memory: int | None, tbptt: int | None,
       regularisers: Sequence[Regulariser], ranks: Ranks,
       rule: Rule | Pieces | None = None) -> Callable[[AnyBatch], Plan]:
    """Function of a batch: the plan for it, the same on all ranks.

    ValueError where the arguments of `fit` that decide it do not go together.
    """
    rules.refuse(rule, ranks, tbptt=tbptt, regularisers=regularisers, checkpoint_every=checkpoint_every,
                 memory=memory)
    if tbptt is not None:
        net.require_causal("be trained by truncated BPTT")
    if memory is None:
        return lambda batch: Plan(checkpoint_every, None)
    if not loss.by_chunks:
        raise ValueError(f"memory= keeps to a budget by parts of a batch, but {loss!r} sees all of it; "
                         f"derive the loss from ns.loss.Loss and define rows")
    if checkpoint_every is not None or tbptt is not None or regularisers:
        raise ValueError("memory chooses checkpoint_every for whole sequences; "
                         "give one of memory, checkpoint_every, tbptt and regularisers")
    if not is_whole(memory, least=1):
        raise ValueError(f"memory must be a positive number of bytes, or None; got {memory!r}")
    if ranks.size > 1 and not net.loops.HOST:
        raise ValueError("memory chooses the samples of a chunk, by which ranks share a batch, only without "
                         "comm; give Network(..., chunk=) instead")
    chosen: dict[tuple[int, int], Plan] = {}

    def plan(batch: AnyBatch) -> Plan:
        size = batch.x.shape[0], len((batch.whole or batch).samples)
        if size not in chosen:
            chosen[size] = within(net, memory, *size, _rate(batch, ranks))
        return chosen[size]
    return plan


def _rate(batch, ranks):
    """Spikes per unit and step of the whole batch, None of values."""
    entries, places = (batch.x.n_spikes if isinstance(batch.x, Spikes) else -1), int(np.prod(batch.x.shape))
    told = ranks.joined(np.array([[entries, places]]))
    told = told[told[:, 1] > 0]             # a rank without samples does not know
    if not len(told) or (told[:, 0] < 0).any():
        return None
    return told[:, 0].sum() / max(1, told[:, 1].sum())


def sent(net: Network, batches: Iterator[AnyBatch], plan: Callable[[AnyBatch], Plan],
          aside: bool) -> Iterator[AnyBatch]:
    """The batches; for a GPU each is on its way there while it works on the one before.

    Not so one that goes in several chunks.  aside: a thread sends them.
    """
    if net.loops.HOST:
        return batches
    sent = (batch if plan(batch).chunk or net.chunk else batch._replace(x=net.sent(batch.x))
            for batch in batches)
    return threads.ahead(sent, 1) if aside and net.loops.ASIDE else _one_ahead(sent)


def _one_ahead(items):
    """The items, each when the next one is made."""
    before = next(items, None)
    for item in items:
        yield before
        before = item
    if before is not None:
        yield before
