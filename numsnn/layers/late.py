"""Recurrence whose spikes come back late: what a population with `recurrent=ns.Delays(...)` has on top."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..devices.contract import Late
from .delays import Delays
from .settings import WithSettings
from .spread import SpreadDelays


class LateRecurrence(SpreadDelays, WithSettings):
    """A population that may have delays in its recurrence; `delays` is None where it has none."""

    def _take_delays(self, recurrent: Any) -> Any:
        """What recurs, once delays that were given in its place are taken."""
        if not isinstance(recurrent, (Delays, dict)):
            return recurrent
        self.delays = Delays.of(recurrent)
        if self.delays.kernels > 1:
            self.refuse(f"what recurs comes back once, but its delays have kernels={self.delays.kernels}; "
                        f"leave kernels out")
        if not self.delays.axonal:
            self.refuse("delays of single synapses are not there in a recurrence; say axonal=True for one of "
                        "each neuron, or close a cycle of layers with ns.Previous, in which a Dense has them")
        return True

    def _check_late(self) -> None:
        if self.delays and self.model.second:
            self.refuse(f"delays cannot be in the recurrence of {self.model.name}, whose gate takes what "
                        f"recurs before another product does; use LSTM, or ns.Previous and ns.Delay")

    @property
    def n_lags(self) -> int:
        """The steps into which a spike may come back."""
        return self.delays.max + 1 if self.delays else 1

    def late(self) -> Late | None:
        """How what recurs is spread, from the present delays."""
        if self.delays is None:
            return None
        ones, position = self._positions()
        share = self.delays.expanded(ones, position, self.sigma)[:, :, 0]
        return Late.of(np.ascontiguousarray(share.T), learned=self.sigma > 0)

    def _positions(self) -> tuple[np.ndarray, np.ndarray]:
        """(weights of one, positions), each (kernels, from, to) as `Delays` takes them: (1, n, 1)."""
        position = self.params["delay"].reshape(1, -1, 1)
        return np.ones_like(position), position

    def _delay_gradient(self, dshare: np.ndarray) -> dict[str, np.ndarray]:
        """That of the positions, from the one of the shares (L, n)."""
        assert self.delays is not None
        ones, position = self._positions()
        _, d = self.delays.gathered(dshare.T[:, :, None], ones, position, self.sigma)
        return {"delay": d.reshape(-1).astype(self.dtype)}

    def learned_within(self) -> list[str]:
        return [*super().learned_within(), *([f"delay {self.bounds()['delay']}"] if self.delays else [])]

    def remark(self) -> str:
        if self.delays is None:
            return super().remark()
        width = f"sigma {self.sigma:g}" if self.sigma else "whole steps"
        held = self.n_lags * self.n * self.dtype.itemsize
        return (f"spikes come back after 1 ... {self.n_lags} steps, {width}: {held / 1e3:,.1f} kB of each "
                f"sample are on their way")


__all__ = ["LateRecurrence"]
