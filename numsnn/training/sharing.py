"""What several ranks have of a batch and of a data set: see numsnn.ranks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..datasets import Dataset
from ..datasets.batch import AnyBatch, Shares
from ..network import chunking
from ..network.chunks import in_time, rows as rows_of
from ..network.network import Network
from ..ranks import Ranks
from ..signals.spikes import Spikes


def batches(data: Dataset, size: int, rng: np.random.Generator | None, ranks: Ranks,
            share: Shares) -> Iterator[AnyBatch]:
    """Those of the set, of which each rank reads its samples; of all ranks they have the same steps."""
    if ranks.size == 1:
        return data.batches(size, rng)
    read = data.batches(size, rng, share=share)
    return (_of_equal_steps(batch, ranks) for batch in read) if data.lazy else read


def _of_equal_steps(batch, ranks):
    """Sequences that were read, brought to the longest of all ranks."""
    steps, n = batch.x.shape[:2]
    own = np.full(n, steps, np.int64) if batch.lengths is None else batch.lengths.astype(np.int64)
    told = ranks.joined(np.array([[steps, batch.lengths is not None, n]], np.int64))
    told = told[told[:, 2] > 0]
    most = int(told[:, 0].max())
    lengths = ranks.joined(own)
    if (told[:, 0] == most).all() and not told[:, 1].any():
        return batch._replace(x=_longer(batch.x, most))
    return batch._replace(x=_longer(batch.x, most), lengths=own, whole=batch.whole._replace(lengths=lengths))


def _longer(x, steps):
    """A sequence of so many steps, nothing in the last ones."""
    more = steps - x.shape[0]
    if not more:
        return x
    if isinstance(x, Spikes):
        rows, none = more * x.shape[1], np.zeros(0, np.int64)
        return in_time([x, Spikes((more, *x.shape[1:]), np.zeros(rows + 1, np.int64), none)])
    return np.concatenate([x, np.zeros((more, *x.shape[1:]), x.dtype)])


def initial_state(net: Network, share: chunking.Share | None, batch: AnyBatch,
                  rng: np.random.Generator) -> dict:
    """That of the samples of a batch, drawn for the whole of it."""
    if share is None:
        return net.initial_state(batch.x.shape[1], rng)
    drawn = net.initial_state(share.batch, rng)
    return {name: rows_of(state, share.first, share.last) for name, state in drawn.items()}


def facts(net: Network, optimizer: Any, sets: Mapping[str, Dataset], settings: Mapping[str, Any]) -> dict:
    """What must be the same on all ranks, by the name under which a difference is told."""
    import numba

    from .. import __version__
    return {"version of numsnn, NumPy or Numba": [__version__, np.__version__, numba.__version__],
            "network": [net.config(), net.arrays()],
            "optimiser": [optimizer.config(), optimizer.steps],
            **{f"set of {name} data": _of_data(data) for name, data in sets.items()},
            **settings}


def _of_data(data):
    """What tells a data set from another; of one that is read from files without reading it."""
    found = [data.units, data.y, data.mask, data.classes]
    if data.lazy:
        return found
    x = data.x
    if isinstance(x, Spikes):
        return [*found, data.lengths, x.count, x.index[x.entries()[1]], x.multiplicity]
    return [*found, data.lengths, x]
