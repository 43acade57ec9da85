"""Regularisers: penalties that are added to the loss of a batch, on the rates of neurons and on weights.

    ns.fit(net, data, ..., regularisers=(RateBand(0.01, 0.2), WeightL2(1e-4)))

r_{bn} is the number of spikes per valid step of neuron n in sample b, what run(..., record="rate") gives;
B samples, N neurons of a population.  Rates do not depend on the number of steps or on padding, and so does
none of these:

    RateBand   strength * mean of relu(low - r)^2 + relu(r - high)^2
                   over="batch": r_n = mean_b r_{bn}, mean over n
                   over="sample": r_{bn}, mean over b and n
                   over="layer": r = mean_{bn} r_{bn}
    RateL1     strength * mean_{bn} r_{bn}
    RateL2     strength * mean_{bn} r_{bn}^2
    WeightL1   strength * sum |w|
    WeightL2   strength * 1/2 sum w^2         its gradient is strength * w

The penalties of several populations are added, and so are those of several weights.  Gradients of rates flow
through the surrogate: a neuron so far below its threshold that the surrogate's slope is 0 is lifted by no
penalty, and needs other initial weights (see numsnn.init).
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

import numpy as np

from ..checked import checked, kind_in
from ..network.network import Network


class Penalty(NamedTuple):
    """What a regulariser adds to the loss of a batch."""
    value: float
    drates: dict        # layer -> (B, N) gradient with respect to the recorded rate
    grads: dict         # parameter -> gradient, of its shape


class Regulariser:
    """Base: it gives a Penalty for a network and for the rates of the populations that `layers` names."""

    def __init__(self, strength: float):
        self.strength = _number(self, "strength", strength)

    def layers(self, net: Network) -> tuple:
        """Names of the populations whose rates it needs."""
        return ()

    def __call__(self, net: Network, rates: dict) -> Penalty:
        raise TypeError(f"{type(self).__name__} does not define __call__")

    def config(self) -> dict:
        """The arguments that make this regulariser again; JSON."""
        return {"regulariser": type(self).__name__, "strength": self.strength}

    def __repr__(self) -> str:
        arguments = [f"{key}={value!r}" for key, value in self.config().items() if key != "regulariser"]
        return f"{type(self).__name__}({', '.join(arguments)})"


def _number(owner, name, value, largest=np.inf):
    no_number = isinstance(value, (bool, str)) or np.ndim(value)
    if no_number or not 0 <= value <= largest or not np.isfinite(value):
        span = "from 0 on" if largest == np.inf else f"in 0 ... {largest:g}"
        raise ValueError(f"{type(owner).__name__}: {name} must be a number {span}; got {value!r}")
    return float(value)


def _names(names):
    if names is None:
        return None
    return (names,) if isinstance(names, str) else tuple(names)


# ---- rates


class _OfRates(Regulariser):
    """Base of penalties on rates, which define `of`.

    layers: names of populations, None: all that spike.
    """

    @checked
    def __init__(self, strength: float = 1.0, layers: Sequence[str] | str | None = None):
        super().__init__(strength)
        self.populations = _names(layers)

    def of(self, rates: np.ndarray) -> tuple[float, np.ndarray]:
        """(value, gradient) of the rates (B, N) of one population, without the strength."""
        raise TypeError(f"{type(self).__name__} does not define of")

    def layers(self, net: Network) -> tuple:
        spiking = [name for name, layer in net.layers.items() if "rate" in layer.recordable()]
        unknown = [name for name in self.populations or () if name not in spiking]
        if unknown or not spiking:
            wrong = f"no spiking population {unknown[0]!r}; " if unknown else ""
            there_are = f"there are {', '.join(spiking)}"
            known = there_are if spiking else "the network has no spiking population, and so no rates"
            raise ValueError(f"{type(self).__name__}: {wrong}{known}")
        return tuple(spiking) if self.populations is None else self.populations

    def __call__(self, net: Network, rates: dict) -> Penalty:
        found = {name: self.of(np.asarray(rates[name], np.float64)) for name in self.layers(net)}
        value = self.strength * sum(value for value, _ in found.values())
        drates = {name: self.strength * gradient for name, (_, gradient) in found.items()}
        return Penalty(value, drates, {})

    def config(self) -> dict:
        return {**super().config(), "layers": self.populations}


AXES: dict[str, int | tuple[int, ...]] = {"batch": 0, "sample": (), "layer": (0, 1)}


class RateBand(_OfRates):
    """Rates within low ... high: a quadratic penalty on what is below or above; see the module.

    low, high: spikes per step, 0 <= low <= high <= 1; low=0 or high=1 for no such bound.
    strength: of the penalty.  layers: names of populations, None: all that spike.
    over: "batch", the rate of each neuron in the whole batch; "sample", of each neuron in each sample;
    "layer", of the population.  Source: Zenke & Vogels 2021 and Cramer et al. 2022, whose bounds are on
    numbers of spikes.
    """

    @checked
    def __init__(self, low: float, high: float, strength: float = 1.0,
                 layers: Sequence[str] | str | None = None, over: str = "batch"):
        super().__init__(strength, layers)
        self.low = _number(self, "low", low, 1.0)
        self.high = _number(self, "high", high, 1.0)
        self.over = over
        if self.low > self.high:
            raise ValueError(f"RateBand: low must not be above high; got low={low!r}, high={high!r}")
        if over not in ("batch", "sample", "layer"):
            raise ValueError(f"RateBand: over must be 'batch', 'sample' or 'layer'; got {over!r}")

    def of(self, rates: np.ndarray) -> tuple[float, np.ndarray]:
        r = rates.mean(AXES[self.over], keepdims=True)
        below = np.maximum(self.low - r, 0)
        above = np.maximum(r - self.high, 0)
        value = float((below ** 2 + above ** 2).mean())
        return value, np.full(rates.shape, 2 * (above - below) / rates.size)

    def config(self) -> dict:
        return {**super().config(), "low": self.low, "high": self.high, "over": self.over}


class RateL1(_OfRates):
    """The mean rate; see the module.

    strength: of the penalty.  layers: names of populations, None: all that spike.
    Source: snnTorch's l1_rate_sparsity, which takes the number of spikes instead.
    """

    def of(self, rates: np.ndarray) -> tuple[float, np.ndarray]:
        return float(rates.mean()), np.full(rates.shape, 1 / rates.size)


class RateL2(_OfRates):
    """The mean square of the rates; see the module.

    strength: of the penalty.  layers: names of populations, None: all that spike.
    """

    def of(self, rates: np.ndarray) -> tuple[float, np.ndarray]:
        return float((rates ** 2).mean()), 2 * rates / rates.size


# ---- weights


class _OfWeights(Regulariser):
    """Base of penalties on weights, which define `of`."""

    @checked
    def __init__(self, strength: float, names: Sequence[str] | str | None = None):
        super().__init__(strength)
        self.names = _names(names)

    def of(self, w: np.ndarray) -> tuple[float, np.ndarray]:
        """(value, gradient) of one array, without the strength."""
        raise TypeError(f"{type(self).__name__} does not define of")

    def parameters(self, net: Network) -> list[str]:
        """Names of the parameters that it sees, each once."""
        for pattern in self.names or ():
            if not any(fnmatchcase(name, pattern) for name in net.params):
                raise ValueError(f"{type(self).__name__}: no parameter is named {pattern!r}; "
                                 f"there are {', '.join(net.params)}")
        patterns = self.names or ("*.weight", "*.recurrent")
        return [name for name in net.params if any(fnmatchcase(name, pattern) for pattern in patterns)]

    def __call__(self, net: Network, rates: dict) -> Penalty:
        found = {name: self.of(net.params[name]) for name in self.parameters(net)}
        value = self.strength * sum(value for value, _ in found.values())
        grads = {name: gradient * gradient.dtype.type(self.strength) for name, (_, gradient) in found.items()}
        return Penalty(value, {}, grads)

    def config(self) -> dict:
        return {**super().config(), "names": self.names}


class WeightL1(_OfWeights):
    """The sum of |w|; see the module.  strength: of the penalty.

    names: patterns of parameters, such as "dense*.weight"; None: all weights and recurrent weights, no
    biases.
    """

    def of(self, w: np.ndarray) -> tuple[float, np.ndarray]:
        return float(np.abs(w).sum(dtype=np.float64)), np.sign(w)


class WeightL2(_OfWeights):
    """Half the sum of w^2; see the module.  strength: of the penalty.

    names: patterns of parameters, such as "dense*.weight"; None: all weights and recurrent weights, no
    biases.  Unlike the weight_decay of an optimiser it is part of the loss that is reported.
    """

    def of(self, w: np.ndarray) -> tuple[float, np.ndarray]:
        return float(0.5 * np.square(w, dtype=np.float64).sum()), w


_KNOWN: tuple[type[Regulariser], ...] = (RateBand, RateL1, RateL2, WeightL1, WeightL2)
REGULARISERS = {cls.__name__: cls for cls in _KNOWN}


@checked
def regulariser_from(config: dict) -> Regulariser:
    """The regulariser of a `config()`."""
    config = dict(config)
    return kind_in(config, "regulariser", REGULARISERS)(**config)
