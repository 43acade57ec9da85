"""Training for few bits: weights that are rounded while gradients are computed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from ..layers import Conv1d, Conv2d
from ..network.network import Network
from .integers import rounded_weights


@contextmanager
def rounded(net: Network, bits: int | None) -> Iterator[None]:
    """Within it the network has weights of so many bits, as `ns.quantise` rounds them; None: its own.

    w -> q 2^-shift with one shift for each output neuron.  The gradient of the rounded weights goes to the
    full ones (straight-through; Bengio, Leonard, Courville 2013), which are there again afterwards, to the
    bit.
    """
    if bits is None:
        yield
        return
    full = {name: np.array(net.params[name]) for name in net.params if _is_weight(name)}
    for name, w in full.items():
        layer = net.layers[name.rpartition(".")[0]]
        axis = 1 if isinstance(layer, (Conv1d, Conv2d)) else 0
        q, fraction = rounded_weights(w, bits, axis)
        scale = 2.0 ** -fraction.astype(np.float64)
        net.params[name] = q * (scale.reshape(-1, *(1,) * (w.ndim - 1)) if axis else scale)
    try:
        yield
    finally:
        for name, w in full.items():
            net.params[name] = w


def _is_weight(name):
    return name.rpartition(".")[2] in ("weight", "recurrent")
