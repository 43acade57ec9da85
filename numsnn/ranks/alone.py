"""What several processes ask of each other, and its answers where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

SUMS = ("exact", "fast")


class RankError(OSError):
    """What went wrong on another rank, in its words."""


class Ranks:
    """The processes that work on a batch together; here one alone.

    rank: which of them this is, from 0; size: how many.  Everything that is asked with arrays is asked by all
    ranks in the same order, and all of them get the same answer.
    """
    rank = 0
    size = 1
    sums = "exact"

    @property
    def root(self) -> bool:
        """Whether this is the one that writes files and speaks."""
        return self.rank == 0

    def share(self, n: int) -> tuple[int, int]:
        """(first, last) of n things in a row that are this rank's."""
        return self.share_of(self.rank, n)

    def share_of(self, rank: int, n: int) -> tuple[int, int]:
        """(first, last) of those of a rank."""
        return n * rank // self.size, n * (rank + 1) // self.size

    def joined(self, a: np.ndarray, axis: int = 0) -> np.ndarray:
        """The arrays of all ranks one after the other along an axis, in which they may differ."""
        return a

    def total(self, of_samples: np.ndarray) -> np.ndarray:
        """(K,) sums over the samples of all ranks, added in the order of samples; of_samples: (B, K)."""
        return self.joined(of_samples).sum(0)

    def gradients(self, chunks: int, parts: Sequence[Mapping[str, np.ndarray]], losses: Sequence[float],
                  params: Mapping[str, np.ndarray]) -> tuple[float, dict[str, np.ndarray]]:
        """(loss, gradients): sums over the chunks of all ranks.

        chunks: how many there are of all; parts, losses: of this rank's.  params: arrays like the gradients.
        """
        raise TypeError("one process adds its chunks itself")

    def texts(self, text: str) -> list[str]:
        """What each rank says."""
        return [text]

    def agree(self, facts: Mapping[str, Any]) -> None:
        """ValueError on all ranks where one has another fact than rank 0; see agreement.digest."""

    def on_root(self, task: Callable[[], Any]) -> Any:
        """What task() gives on rank 0, which alone runs it; None on the others.

        Where it raises there, all others raise a RankError with its message.
        """
        return task()

    def from_root(self, data: bytes | None) -> bytes | None:
        """The bytes of rank 0."""
        return data

    def take_gpu(self, device: str = "cuda") -> None:
        """Rank k of a machine works on its GPU k from now on; to be said before the network is made.

        device: of the network; nothing is done for those without a GPU.
        """

    def on_own_gpu(self) -> bool:
        """Whether this rank works on the GPU of its node that is its own."""
        return True

    @contextmanager
    def guarded(self, brief: bool = False) -> Iterator[Ranks]:
        """These ranks; an error of one ends all of them: none waits for an answer that never comes.

        An error that all ranks have passes on as it is.  brief: say it in a sentence, without a traceback.
        """
        yield self


ALONE = Ranks()
