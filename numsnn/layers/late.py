"""Recurrence whose spikes come back late: what a population with `recurrent=ns.Delays(...)` has on top."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..devices.contract import Lagged, Late, PopulationGradients, Recurrent
from .delays import Delays
from .layer import Context
from .settings import WithSettings
from .spread import LARGEST, SpreadDelays


class LateRecurrence(SpreadDelays, WithSettings):
    """A population that may have delays in its recurrence; `delays` is None where it has none.

    They are of each neuron, (n,), or of each synapse, as `recurrent` is, (n, G n).
    """

    n: Any
    recur: str | None

    def _take_delays(self, recurrent: Any) -> Any:
        """What recurs, once delays that were given in its place are taken."""
        if not isinstance(recurrent, (Delays, dict)):
            return recurrent
        self.delays = Delays.of(recurrent)
        if self.delays.kernels > 1:
            self.refuse(f"what recurs comes back once, but its delays have kernels={self.delays.kernels}; "
                        f"leave kernels out")
        return True

    def _check_late(self) -> None:
        if self.delays and self.model.second:
            self.refuse(f"delays cannot be in the recurrence of {self.model.name}, whose gate takes what "
                        f"recurs before another product does; use LSTM, or ns.Previous and ns.Delay")

    def _build_late(self, rng: np.random.Generator, dtype: DTypeLike) -> None:
        assert self.delays is not None
        if self.by_synapse and self._all_lags > LARGEST:
            self.refuse(f"its delays have {self._all_lags:,} weights of all lags, more than {LARGEST:,}; "
                        f"take one for each neuron, axonal=True, longer time steps or fewer neurons")
        self._build_delay(rng, self.params["recurrent"].shape if self.by_synapse else (self.n,), dtype)

    @property
    def settings_of_host(self) -> tuple[str, ...]:      # type: ignore[override]
        spread = ("delay", "recurrent") if self.by_synapse else ("delay",)      # where they are spread
        return (*map(self.key, self.learn), *(spread if self.delays else ()))

    @property
    def by_synapse(self) -> bool:
        """Whether it has delays of synapses."""
        return self.delays is not None and not self.delays.axonal

    @property
    def n_lags(self) -> int:
        """The steps into which a spike may come back."""
        return self.delays.max + 1 if self.delays else 1

    @property
    def n_coming(self) -> int:
        """The numbers of a sample that are on their way into each of them."""
        return len(self.model.recurrent) * self.n if self.by_synapse else self.n

    @property
    def _all_lags(self):
        return self.n * self.n_lags * self.n_coming

    def recurrence(self, context: Context) -> Recurrent | None:
        """What recurs, from the present parameters; None without recurrence."""
        if not self.recur:
            return None
        bias, late = self._gates("recurrent_bias", context), self.late(context.loops)
        return Recurrent(() if self.by_synapse else self._gates("recurrent", context), bias, late)

    def _gates(self, name, context):
        """A parameter of the recurrence, gate by gate."""
        return context.loops.parted(self.params[name], self.n) if name in self.params else None

    def late(self, loops: Any = None) -> Late | Lagged | None:
        """How what recurs is spread, from the present delays; None where it comes at once.

        loops: the device that takes it; None: the host.
        """
        if self.delays is None:
            return None
        on_host = loops is None or loops.HOST
        weight, position = self._by_kernel()
        if self.by_synapse and on_host and not self.sigma:
            return Lagged(weight, np.rint(position).astype(np.int32), None, self.delays.max)
        wide = self.delays.expanded(weight, position, self.sigma)
        if self.by_synapse:
            return Lagged(wide if on_host else loops.put(wide), None, None, self.delays.max)
        return Late.of(np.ascontiguousarray(wide[:, :, 0].T), learned=self.sigma > 0)

    def first_lags(self) -> np.ndarray:
        """The first lag at which each delay hands something on, as `params["delay"]`."""
        assert self.delays is not None
        _, position = self._by_kernel()
        wide = self.delays.expanded(np.ones_like(position), position, self.sigma)
        return (wide != 0).argmax(1).reshape(self.params["delay"].shape)

    def _by_kernel(self):
        """(weights, positions), (kernels, from, to) as `Delays` takes them; of neurons the shares of one."""
        assert self.delays is not None
        if self.by_synapse:
            return np.asarray(self.params["recurrent"])[None], self.params["delay"][None]
        position = self.params["delay"].reshape(1, -1, 1)
        return np.ones_like(position), position

    def _late_gradients(self, g: PopulationGradients, loops: Any) -> dict[str, Any]:
        """Those of the positions, and with delays of synapses of their weights."""
        names = ("delay", "recurrent") if self.by_synapse else ("delay",)
        return loops.later(names, (g.late,), self._gathered)

    def _gathered(self, dlate: np.ndarray | None) -> dict[str, np.ndarray]:
        assert self.delays is not None
        if dlate is None:                       # whole delays of neurons do not move
            return {"delay": np.zeros_like(self.params["delay"])}
        weight, position = self._by_kernel()
        dweight = dlate if self.by_synapse else dlate.T[:, :, None]
        if dweight.shape == weight.shape:       # one lag of each synapse, at which delays do not move
            ddelay = np.zeros_like(position)
        else:
            dweight, ddelay = self.delays.gathered(dweight, weight, position, self.sigma)
        gradients = {"delay": ddelay.reshape(self.params["delay"].shape).astype(self.dtype)}
        return {**gradients, "recurrent": dweight[0]} if self.by_synapse else gradients

    def learned_within(self) -> list[str]:
        return [*super().learned_within(), *([f"delay {self.bounds()['delay']}"] if self.delays else [])]

    def remark(self) -> str:
        if self.delays is None:
            return super().remark()
        width = f"sigma {self.sigma:g}" if self.sigma else "whole steps"
        size = self.dtype.itemsize
        held = self.n_lags * self.n_coming * size
        said = (f"spikes come back after 1 ... {self.n_lags} steps, {width}: {held / 1e3:,.1f} kB of each "
                f"sample are on their way")
        if self.by_synapse and self.sigma:
            said += f", weights of all lags {self._all_lags * size / 1e6:,.1f} MB"
        return said


__all__ = ["LateRecurrence"]
