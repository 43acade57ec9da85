"""What `forward` keeps for `backward`, and what `loss_and_gradients` gives."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .graph import Graph


class Tape(NamedTuple):
    """What `forward` keeps for `backward`."""
    stages: list        # by stage: (bounds of the chunks, tapes by chunk)
    prepared: dict      # by layer
    lengths: np.ndarray | None
    batch: int
    shape: tuple        # of the answer
    steps: int          # of the network's input
    graph: Graph        # of the network whose tape it is


class _OfBatch(NamedTuple):
    loss: float
    grads: dict         # by names of net.params
    y: np.ndarray       # the network's answer
    state: dict         # after the last step


class BatchResult(_OfBatch):
    """What `loss_and_gradients` gives: (loss, grads, y, state), grads by names of net.params, state after the
    last step.

    squares: of each gradient the sum of its squares, where a device tells them with it; else None.
    """

    squares: list[float] | None = None

    @classmethod
    def of(cls, loss: float, grads: dict, y: np.ndarray, state: dict,
           squares: list[float] | None) -> BatchResult:
        found = cls(loss, grads, y, state)
        found.squares = squares
        return found
