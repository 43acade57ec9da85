"""What `forward` keeps for `backward`, and what `loss_and_gradients` gives."""

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


class BatchResult(NamedTuple):
    """What `loss_and_gradients` gives."""
    loss: float
    grads: dict         # by names of net.params
    y: np.ndarray       # the network's answer
    state: dict         # after the last step
    # of each gradient the sum of its squares, where a device tells them with it; else None
    squares: list[float] | None = None
