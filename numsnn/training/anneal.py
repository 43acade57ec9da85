"""`AnnealDelays`: delays that begin wide and end as whole steps, while a network is trained."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import TYPE_CHECKING, Any

from ..checked import checked
from ..layers.layer import number, positive_integer
from ..network.network import Network

if TYPE_CHECKING:
    from .train import Epoch


class AnnealDelays:
    """Narrows the delays of a network from epoch to epoch: ns.fit(..., callbacks=[ns.AnnealDelays(over=20)]).

        sigma(epoch) = sigma_0 (end / sigma_0)^(epoch / (over - 1)),   epoch = 0 ... over - 1

    sigma_0: the width that `ns.Delays` gave, of each layer its own.  From epoch `over` on all delays of the
    network are whole steps (`round_delays`): a spike then adds one lag of each synapse, and what is left of
    the training goes to the weights.  The width depends on the epoch alone, so that a training that was
    interrupted resumes to the bit.

    over: epochs that it takes.  end: the last width, in steps; None: 0.5 of a Gaussian, 1 of a triangle.

    With keep_best the network ends with the best epoch, its width included, which may be one of the wide
    ones: train with keep_best=False, or train once more when the delays are whole.

    Source: Hammouamri, Khalfaoui-Hassani, Masquelier 2023, who round delays for every evaluation instead.
    """

    @checked
    def __init__(self, over: int, *, end: float | None = None):
        self.over = positive_integer(over, "AnnealDelays: over")
        self.end = None if end is None else \
            number(end, "AnnealDelays: end", "a positive number of steps, or None", lambda n: 0 < n < inf)

    @checked
    def before_epoch(self, net: Network, epoch: int) -> None:
        """Set the width of an epoch, from 0; `fit` calls it.

        ValueError where no layer has a delay, or one cannot be so narrow.
        """
        layers = list(_delayed(net))
        if not layers:
            raise ValueError("AnnealDelays: no layer of this network has delays that are learned; "
                             "ns.Dense(n_in, n_out, delays=ns.Delays(max=25)) has")
        for layer in layers:
            if epoch >= self.over:
                layer.round_delays()
            elif hasattr(layer, "narrow_delays"):
                layer.narrow_delays(epoch / max(self.over - 1, 1), self.end)

    def __call__(self, seen: Epoch) -> None:
        """Nothing is left to do after an epoch."""

    def __repr__(self) -> str:
        return f"AnnealDelays(over={self.over}, end={self.end})"


def _delayed(net: Network) -> Iterator[Any]:
    """The layers, also those within others, that learn delays."""
    for layer in net.layers.values():
        yield from (part for part in (layer, *layer.inside()) if "delay" in part.params)


__all__ = ["AnnealDelays"]
