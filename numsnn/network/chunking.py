"""How a batch is cut into chunks of samples, and how much work it is: the same for any number of threads."""

from __future__ import annotations

from typing import NamedTuple

from ..ranks import Ranks
from .graph import Stage

CHUNK = 8, 16       # samples that a thread takes through the network together, at most: of few, of many
NEURONS = 128       # in the widest layer; fewer samples where it has more, unless ...
WEIGHTS = 1 << 19   # ... a matrix of more bytes is read for each chunk and step: more samples share it


def bounds(net, batch: int, stage: Stage, chunk: int | None = None) -> list[tuple[int, int]]:
    """(first, last) of the chunks of a batch; they depend on the network and the size of the batch only.

    chunk: samples of a chunk in place of what the network says or what fits the cache.
    """
    return [(0, batch)] if stage.whole else _cuts(net, batch, chunk) or [(0, 0)]


def _cuts(net, batch: int, chunk: int | None = None) -> list[tuple[int, int]]:
    if chunk:
        samples = chunk
    elif net.loops.CHUNKED:
        samples = net.chunk or _fitting(net, batch)
    else:
        samples = batch
    return [(first, min(first + samples, batch)) for first in range(0, batch, max(samples, 1))]


class Share(NamedTuple):
    """The samples of a batch that one of several ranks works on: some of its chunks, as without ranks.

    batch, chunks: samples and chunks of all ranks.  first, last: samples of this one.  own: (first, last) of
    its chunks, counted from its first sample.
    """
    ranks: Ranks
    batch: int
    chunks: int
    first: int
    last: int
    own: list[tuple[int, int]]

    def bounds(self, stage: Stage) -> list[tuple[int, int]]:
        """(first, last) of the chunks of a stage; a layer that needs the whole batch asks the ranks."""
        return [(0, self.last - self.first)] if stage.whole else self.own or [(0, 0)]


def share(net, batch: int, ranks: Ranks) -> Share:
    """The share of this rank in a batch of so many samples."""
    cuts = _cuts(net, batch, None if net.loops.HOST else net.chunk)
    mine = cuts[slice(*ranks.share(len(cuts)))]
    first, last = (mine[0][0], mine[-1][1]) if mine else (0, 0)
    return Share(ranks, batch, len(cuts), first, last, [(a - first, b - first) for a, b in mine])


def _fitting(net, batch: int) -> int:
    """Samples of a chunk: as many as stay in the cache, but some more where a few more do not matter and
    calls would weigh.

    Four chunks or more keep as many threads busy.
    """
    few, many = CHUNK
    most = min(max(batch // 4, few), many)
    widest = max([1, *(layer.size_out or 1 for layer in net.layers.values())])
    largest = max((p.nbytes for p in net.params.values()), default=0)
    if widest <= 1 << 12 and largest > WEIGHTS:
        return most
    in_the_cache = NEURONS * most // widest
    worth_a_call = min(4, batch // 8) if widest <= 1 << 16 else 1
    return min(most, max(in_the_cache, worth_a_call, 1))


def work(net, steps: int, batch: int) -> int:
    """Elementary updates on the host, which decide whether threads are worth waking."""
    if not net.loops.CHUNKED:
        return 0
    return steps * batch * sum(layer.size_out or 1 for layer in net.layers.values())
