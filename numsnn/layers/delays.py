"""`Delays`: how synapses are delayed, and how a delay that lies between two steps is spread over them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import Any, NamedTuple, NoReturn

import numpy as np

from ..checked import what_it_is
from .initialise import plain
from .layer import number, positive_integer

LONGEST = 1 << 16       # steps


class Shape(NamedTuple):
    """How a position is spread: e(k), and e'(k) from it and the way k - d."""
    share: Callable         # (k - d, nearest whole step - d, sigma) -> e(k)
    slope: Callable         # (k - d, e(k), sigma) -> e'(k)
    least: float            # the smallest sigma: with less, positions may have no lag
    end: float              # where annealing ends


def _gaussian(away, nearest, sigma):
    """e(k) times exp(nearest^2 / (2 sigma^2)), so that the largest is 1."""
    power = (nearest * nearest - away * away) / (2 * sigma * sigma)
    least = 2 * np.log(np.finfo(power.dtype).eps)       # what is smaller adds nothing, and would be slow
    return np.exp(np.maximum(power, least)) * (power > least)


WHOLE = Shape(lambda away, nearest, sigma: (away == nearest).astype(away.dtype),
              lambda away, share, sigma: np.zeros_like(away), 0.0, 0.0)
SHAPES = {
    "gaussian": Shape(_gaussian, lambda away, share, sigma: share * away / (sigma * sigma), 0.1, 0.5),
    "triangle": Shape(lambda away, nearest, sigma: np.maximum(sigma - abs(away), 0),
                      lambda away, share, sigma: np.sign(away) * (share > 0), 1.0, 1.0)}


@dataclass(frozen=True)
class Delays:
    """Delays that are learned: of synapses, `ns.Dense(n_in, n_out, delays=ns.Delays(max=25))`, or of what
    comes back to a population, `ns.LIF(n, recurrent=ns.Delays(max=25))`.

    A delay is a position d within [0, max], a real number.  It is spread over the lags k = 0 ... max, so that
    the loss changes with it:

        K(k) = e(k) / sum_m e(m)
        gaussian    e(k) = exp(-(k - d)^2 / (2 sigma^2))
        triangle    e(k) = max(0, sigma - |k - d|)
        sigma = 0   e(k) = 1 at the whole step that is nearest to d (of two the even one), 0 elsewhere

    With e' = de/dd the gradient is dK(k)/dd = (e'(k) - K(k) sum_m e'(m)) / sum_m e(m).

    max: the longest delay, in steps; each position lies within [0, max].
    axonal: one delay for all synapses of a neuron, that of its axon, in a recurrence; False: one for each
    synapse.
    kernels: delays, each with a weight of its own, of every pair of an input and an output.
    shape: how a position is spread over the steps around it, "gaussian" or "triangle".
    sigma: its width in steps at first, the standard deviation of the Gaussian (0.1 or more) or half the base
    of the triangle (1 or more, which is linear interpolation); 0: the nearest step alone, whose position is
    not learned.  None: half of max.  `ns.AnnealDelays` narrows it while a network is trained.
    position: initial values (see numsnn.layers.initialise), in steps; None: uniform in [0, max].

    Source: Hammouamri, Khalfaoui-Hassani, Masquelier 2023, "Learning delays in spiking neural networks using
    dilated convolutions with learnable spacings", whose Gaussian begins with a sigma of max / 2 and ends with
    half a step after a quarter of the epochs; the triangle: DelRec, 2025, with sigma = 1 + its own.
    """
    max: int
    axonal: bool = field(default=False, kw_only=True)
    kernels: int = field(default=1, kw_only=True)
    shape: str = field(default="gaussian", kw_only=True)
    sigma: float | None = field(default=None, kw_only=True)
    position: Any = field(default=None, kw_only=True)

    def __post_init__(self):
        if positive_integer(self.max, "Delays: max") > LONGEST:
            self._refuse(f"max must be {LONGEST:,} steps at most; got {self.max!r}. Take longer time steps")
        if not isinstance(self.axonal, (bool, np.bool_)):
            self._refuse(f"axonal must be True or False; got {what_it_is(self.axonal)}")
        positive_integer(self.kernels, "Delays: kernels")
        if not isinstance(self.shape, str) or self.shape not in SHAPES:
            self._refuse(f"shape must be one of {', '.join(map(repr, SHAPES))}; got {what_it_is(self.shape)}")
        sigma = max(self.max / 2, SHAPES[self.shape].least) if self.sigma is None else self.sigma
        sigma = number(sigma, "Delays: sigma", self.widths, self.is_width)
        position = ("uniform", 0.0, float(self.max)) if self.position is None else self.position
        for name, value in (("max", int(self.max)), ("axonal", bool(self.axonal)), ("sigma", sigma),
                            ("kernels", int(self.kernels)),
                            ("position", position if callable(position) else plain(position))):
            object.__setattr__(self, name, value)

    @property
    def widths(self) -> str:
        """What sigma may be, in words."""
        return f"a number of steps from {SHAPES[self.shape].least:g} on for a {self.shape}, or 0, which " \
               f"takes the nearest step alone"

    def is_width(self, sigma: float) -> bool:
        """Whether sigma may be this."""
        return sigma == 0 or SHAPES[self.shape].least <= sigma < inf

    @classmethod
    def of(cls, given: Delays | dict[str, Any]) -> Delays:
        """Delays, or those of a `config()`."""
        if isinstance(given, dict) and all(isinstance(key, str) for key in given):
            return cls(**given)
        if not isinstance(given, Delays):
            raise TypeError(f"delays must be Delays, such as ns.Delays(max=25); got {what_it_is(given)}")
        return given

    def config(self) -> dict[str, Any]:
        """The arguments that make it again; JSON."""
        axonal = {"axonal": True} if self.axonal else {}
        return {"max": self.max, **axonal, "kernels": self.kernels, "shape": self.shape, "sigma": self.sigma,
                "position": plain(self.position)}

    def __str__(self) -> str:
        kernels = f", kernels={self.kernels}" if self.kernels > 1 else ""
        axonal = ", axonal=True" if self.axonal else ""
        return f"Delays({self.max}{axonal}{kernels}, {self.shape!r})"

    def _refuse(self, message) -> NoReturn:
        raise ValueError(f"Delays: {message}")

    # ---- arrays of (kernels, n_in, n_out)

    def _lags(self, position, sigma):
        """(k, e(k), a function that gives e'(k)) of each lag, one by one, so that only sums take space."""
        shape, real = SHAPES[self.shape] if sigma else WHOLE, position.dtype.type
        sigma, nearest = real(sigma), np.rint(position) - position
        for k in range(self.max + 1):
            away = real(k) - position
            share = shape.share(away, nearest, sigma)
            yield k, share, partial(shape.slope, away, share, sigma)

    def expanded(self, weight: np.ndarray, position: np.ndarray, sigma: float) -> np.ndarray:
        """The weight of each lag, (n_in, max + 1, n_out): sum over kernels of weight K(k; d, sigma)."""
        wide = np.empty((weight.shape[1], self.max + 1, weight.shape[2]), weight.dtype)
        factor = weight / sum(share for _, share, _ in self._lags(position, sigma))
        for k, share, _ in self._lags(position, sigma):
            wide[:, k] = (factor * share).sum(0)
        return wide

    def gathered(self, dwide: np.ndarray, weight: np.ndarray, position: np.ndarray,
                 sigma: float) -> tuple[np.ndarray, np.ndarray]:
        """(gradient of the weight, of the position) from that of `expanded`."""
        total, slopes, of_share, of_slope = (np.zeros_like(weight) for _ in range(4))
        for k, share, slope_of in self._lags(position, sigma):
            slope = slope_of()
            total += share
            slopes += slope
            of_share += dwide[:, k] * share
            of_slope += dwide[:, k] * slope
        dweight = of_share / total
        return dweight, weight * (of_slope - dweight * slopes) / total


__all__ = ["SHAPES", "Delays", "Shape"]
