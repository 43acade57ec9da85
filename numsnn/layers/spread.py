"""What layers have in common whose delays are spread over lags (`ns.Delays`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from ..neurons.bounds import Bound
from .delays import SHAPES, Delays
from .initialise import REPLACED, initial
from .layer import Layer

LARGEST = 1 << 28       # weights of all lags


class SpreadDelays(Layer):
    """A layer with positions of delays, `params["delay"]`, and their width, `fixed["sigma"]`, (1,), in steps.

    The width is no parameter but a setting, which is stored with the network.  delays: None: it has neither.
    """

    delays: Delays | None = None

    def _build_delay(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        assert self.delays is not None
        what = f"{self.name or type(self).__name__}.delay"
        self.params["delay"] = initial(self.delays.position, rng, shape, what).astype(dtype)
        self.fixed["sigma"] = np.full(1, self.delays.sigma, dtype)
        why = self.impossible("delay", self.params["delay"])
        if why and not REPLACED.get():
            self.refuse(why)

    def bounds(self) -> dict[str, Bound]:
        if self.delays is None:
            return super().bounds()
        return {**super().bounds(), "delay": Bound(0.0, float(self.delays.max))}

    def impossible(self, name: str, array: np.ndarray) -> str:
        if self.delays and name == "sigma" and not self.delays.is_width(float(array[0])):
            return f"must be {self.delays.widths}; got {array[0]:g}"
        return super().impossible(name, array)

    @property
    def sigma(self) -> float:
        """The present width of the delays in steps; 0: each is the nearest whole one."""
        return float(self.fixed["sigma"][0]) if self.delays else 0.0

    def narrow_delays(self, progress: float, end: float | None = None) -> None:
        """sigma = sigma_0^(1 - progress) end^progress, sigma_0 as `ns.Delays` gave it; progress: 0 ... 1.

        end: in steps; None: half a step for a Gaussian, a whole one for a triangle.
        """
        if self.delays and self.delays.sigma:
            last = SHAPES[self.delays.shape].end if end is None else end
            sigma = np.full(1, self.delays.sigma ** (1 - progress) * last ** progress)
            why = self.impossible("sigma", sigma)
            if why:
                self.refuse(f"sigma {why}")
            self.fixed["sigma"][...] = sigma        # where it lies: compiled steps look there

    def round_delays(self) -> int:
        """Each delay becomes the one lag that is nearest to it; how many were not whole."""
        if self.delays is None:
            return super().round_delays()
        delay = self.params["delay"]
        whole = np.rint(delay)
        changed = int(np.count_nonzero(whole != delay))
        delay[...] = whole
        self.fixed["sigma"][...] = 0
        return changed


__all__ = ["LARGEST", "SpreadDelays"]
