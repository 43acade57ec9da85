"""How a batch is cut into chunks of samples, and how much work it is: the same for any number of threads."""

from __future__ import annotations

from .graph import Stage

CHUNK = 8, 16       # samples that a thread takes through the network together, at most: of few, of many
NEURONS = 128       # in the widest layer; fewer samples where it has more, unless ...
WEIGHTS = 1 << 19   # ... a matrix of more bytes is read for each chunk and step: more samples share it


def bounds(net, batch: int, stage: Stage, chunk: int | None = None) -> list[tuple[int, int]]:
    """(first, last) of the chunks of a batch; they depend on the network and the size of the batch only.

    chunk: samples of a chunk in place of what the network says or what fits the cache.
    """
    if stage.whole:
        samples = batch
    elif chunk:
        samples = chunk
    elif net.loops.CHUNKED:
        samples = net.chunk or _fitting(net, batch)
    else:
        samples = batch
    cuts = range(0, batch, max(samples, 1))
    return [(first, min(first + samples, batch)) for first in cuts] or [(0, 0)]


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
