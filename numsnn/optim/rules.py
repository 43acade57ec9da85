"""The rules: SGD, Adam, AdamW, Adamax; the formulas stand in numsnn.optim."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Any, NamedTuple

import numpy as np

from ..checked import checked, kind_in
from ..layers.layer import number
from ..neurons.elementwise import elementwise, maximum, sqrt
from .optimizer import Optimizer
from .schedules import schedule_from


class Momentum(NamedTuple):
    momentum: Any


class SGDConstants(NamedTuple):
    rate: float
    momentum: float


@elementwise
def sgd(p, g, slots, k):
    m = k.momentum * slots.momentum + g
    return p - k.rate * m, Momentum(m)


@elementwise
def nesterov_sgd(p, g, slots, k):
    m = k.momentum * slots.momentum + g
    return p - k.rate * (g + k.momentum * m), Momentum(m)


class SGD(Optimizer):
    """Gradient descent with momentum; see the module."""

    Slots: Any = Momentum

    @checked
    def __init__(self, lr: float, momentum: float = 0.0, *, nesterov: bool = False, **common: Any):
        momentum = number(momentum, "SGD: momentum", "at least 0 and below 1", lambda n: 0 <= n < 1)
        if not isinstance(nesterov, (bool, np.bool_)):
            raise TypeError(f"SGD: nesterov must be True or False; got {nesterov!r}")
        super().__init__(lr, momentum=momentum, nesterov=bool(nesterov), **common)

    @property
    def rule(self) -> Callable:
        return nesterov_sgd if self.settings["nesterov"] else sgd

    def constants(self, rate: float) -> SGDConstants:
        return SGDConstants(rate, self.settings["momentum"])


class Moments(NamedTuple):
    mean: Any
    square: Any


class AdamConstants(NamedTuple):
    rate: float
    b1: float
    b2: float
    rest1: float        # 1 - b1
    rest2: float        # 1 - b2
    first: float        # 1 / (1 - b1^k)
    second: float       # 1 / (1 - b2^k)
    eps: float


@elementwise
def adam(p, g, slots, k):
    m = k.b1 * slots.mean + k.rest1 * g
    v = k.b2 * slots.square + k.rest2 * (g * g)
    return p - k.rate * (m * k.first) / (sqrt(v * k.second) + k.eps), Moments(m, v)


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015); see the module."""

    Slots: Any = Moments
    squares = True
    rule = staticmethod(adam)

    @checked
    def __init__(self, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 **common: Any):
        who = type(self).__name__
        if not isinstance(betas, (tuple, list, np.ndarray)) or np.shape(betas) != (2,):
            raise ValueError(f"{who}: betas must be two numbers, such as (0.9, 0.999); got {betas!r}")
        decays = tuple(number(beta, f"{who}: each of betas", "at least 0 and below 1", lambda n: 0 <= n < 1)
                       for beta in betas)
        eps = number(eps, f"{who}: eps", "a positive number", lambda n: 0 < n < inf)
        super().__init__(lr, betas=decays, eps=eps, **common)

    def constants(self, rate: float) -> AdamConstants:
        b1, b2 = self.settings["betas"]
        first = 1 / (1 - b1 ** self.steps)
        second = 1 / (1 - b2 ** self.steps)
        return AdamConstants(rate, b1, b2, 1 - b1, 1 - b2, first, second, self.settings["eps"])


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019); see the module."""

    @checked
    def __init__(self, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, *,
                 weight_decay: float = 1e-2, **common: Any):
        super().__init__(lr, betas, eps, weight_decay=weight_decay, **common)

    def _decay(self, p, g, rate):
        p -= p.dtype.type(rate) * p.dtype.type(self.weight_decay) * p
        return g


class Largest(NamedTuple):
    mean: Any
    largest: Any


@elementwise
def adamax(p, g, slots, k):
    m = k.b1 * slots.mean + k.rest1 * g
    u = maximum(maximum(g, -g) + k.eps, k.b2 * slots.largest)
    return p - k.rate * k.first * m / u, Largest(m, u)


class Adamax(Adam):
    """Adam with the largest gradient in place of the root of the mean square (Kingma & Ba 2015, section 7.1).

        m <- b1 m + (1 - b1) g;  u <- max(b2 u, |g| + eps);  p <- p - r m / (1 - b1^k) / u
    """

    Slots: Any = Largest
    squares = False
    rule = staticmethod(adamax)


OPTIMIZERS: dict[str, type[Optimizer]] = {cls.__name__: cls for cls in (SGD, Adam, AdamW, Adamax)}


@checked
def optimizer_from(config: Mapping[str, Any]) -> Optimizer:
    """The optimiser of a `config()`, with an empty state."""
    config = dict(config)
    kind = kind_in(config, "optimizer", OPTIMIZERS, "one of your own: ns.optim.OPTIMIZERS[name] = its class")
    if "schedule" in config:
        config["schedule"] = schedule_from(config["schedule"])
    return kind(**config)
