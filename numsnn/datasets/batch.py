"""`Batch`: some samples of a data set, as a network takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from ..signals.spikes import Spikes

Shares: TypeAlias = Callable[[int], tuple[int, int]]     # samples of a batch -> (first, last) of a share


class Whole(NamedTuple):
    """The batch that some samples are of, without its sequences."""
    y: np.ndarray
    lengths: np.ndarray | None      # None, too, where they are known once it is read
    mask: np.ndarray | None
    samples: np.ndarray


class Batch(NamedTuple):
    x: Spikes | np.ndarray          # (T, B, N)
    y: np.ndarray                   # labels (B,) or (T, B), or targets (B, K) or (T, B, K)
    lengths: np.ndarray | None      # (B,)
    mask: np.ndarray | None         # (T, B) steps that count
    samples: np.ndarray             # (B,) which samples of the set these are
    @property
    def whole(self) -> None:
        """Of what these are some samples: they are all of the batch."""


class BatchShare(NamedTuple):
    """Some samples of a batch."""
    x: Spikes | np.ndarray
    y: np.ndarray
    lengths: np.ndarray | None
    mask: np.ndarray | None
    samples: np.ndarray
    whole: Whole


AnyBatch: TypeAlias = Batch | BatchShare
