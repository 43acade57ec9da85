"""Optimisers and learning-rate schedules.

    optimizer.update(net.params, grads)          one step, in place

The step of parameter p with gradient g, learning rate r = lr * schedule(epoch) * factor(p):

    SGD    m <- momentum m + g;  p <- p - r m                (nesterov: p <- p - r (g + momentum m))
    Adam   m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2
           p <- p - r m / (1 - b1^k) / (sqrt(v / (1 - b2^k)) + eps)
    AdamW  Adam, and p <- p - r weight_decay p before it
           (decay apart from the gradient; in SGD and Adam it is added to g)

`factors` gives groups of parameters their own learning rate by name, with wildcards: {"*.tau_*": 3, "li0.*":
0.5}; the factors of all patterns that match are multiplied.  `clip_norm` scales all gradients together when
their norm exceeds it.  After each step, parameters with a lower bound (time constants) are projected to it;
`update` returns how many were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from fnmatch import fnmatchcase
from math import cos, pi
from typing import Any, NamedTuple

import numpy as np

from . import devices
from .devices import buffers
from .neurons.elementwise import elementwise, maximum, sqrt

# ---- schedules: epoch (from 0) -> factor of the learning rate


class Schedule:
    """Base: a factor of the learning rate for each epoch."""

    def __init__(self, **settings: Any):
        self.settings = settings

    def __call__(self, epoch: int) -> float:
        raise TypeError(f"{type(self).__name__} does not define __call__(epoch)")

    def config(self) -> dict[str, Any]:
        return {"schedule": type(self).__name__, **self.settings}

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        return f"{type(self).__name__}({settings})"


class Constant(Schedule):
    """1."""

    def __call__(self, epoch: int) -> float:
        return 1.0


class Step(Schedule):
    """factor^(epoch // every)."""

    def __init__(self, every: int, factor: float = 0.5):
        super().__init__(every=every, factor=factor)

    def __call__(self, epoch: int) -> float:
        return self.settings["factor"] ** (epoch // self.settings["every"])


class MultiStep(Schedule):
    """factor^(number of milestones that have passed)."""

    def __init__(self, milestones: Iterable[int], factor: float = 0.5):
        super().__init__(milestones=list(milestones), factor=factor)

    def __call__(self, epoch: int) -> float:
        return self.settings["factor"] ** sum(epoch >= m for m in self.settings["milestones"])


class Exponential(Schedule):
    """factor^epoch."""

    def __init__(self, factor: float):
        super().__init__(factor=factor)

    def __call__(self, epoch: int) -> float:
        return self.settings["factor"] ** epoch


class Cosine(Schedule):
    """floor + (1 - floor) (1 + cos(pi epoch / epochs)) / 2, then floor."""

    def __init__(self, epochs: int, floor: float = 0.0):
        super().__init__(epochs=epochs, floor=floor)

    def __call__(self, epoch: int) -> float:
        floor = self.settings["floor"]
        way = min(epoch / self.settings["epochs"], 1)
        return floor + (1 - floor) * (1 + cos(pi * way)) / 2


class WarmUp(Schedule):
    """(epoch + 1) / epochs for the first epochs, then another schedule, counted from there."""

    def __init__(self, epochs: int, then: Schedule | None = None):
        super().__init__(epochs=epochs, then=(then or Constant()).config())
        self.then = then or Constant()

    def __call__(self, epoch: int) -> float:
        epochs = self.settings["epochs"]
        return (epoch + 1) / epochs if epoch < epochs else self.then(epoch - epochs)


class Linear(Schedule):
    """1 - epoch / epochs, then 0."""

    def __init__(self, epochs: int):
        super().__init__(epochs=epochs)

    def __call__(self, epoch: int) -> float:
        return max(0.0, 1 - epoch / self.settings["epochs"])


SCHEDULES: dict[str, type[Schedule]] = {
    cls.__name__: cls for cls in (Constant, Step, MultiStep, Exponential, Cosine, WarmUp, Linear)}


def schedule_from(config: Mapping[str, Any]) -> Schedule:
    """The schedule of a `config()`."""
    config = dict(config)
    name = config.pop("schedule")
    if "then" in config:
        config["then"] = schedule_from(config["then"])
    return SCHEDULES[name](**config)


# ---- optimisers


class Optimizer:
    """Base: learning rate, schedule, factors, clipping, and the state (arrays by slot and parameter name).

    An optimiser defines its Slots (a named tuple), its rule (p, g, slots, k) -> (p, slots) for single values,
    written in the dialect of elementwise.py, and constants(rate), what k holds in this step.
    """

    Slots: Any          # a class of named tuples

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of what is kept for each parameter."""
        return self.Slots._fields

    def __init__(self, lr: float, *, schedule: Schedule | None = None,
                 factors: Mapping[str, float] | None = None, clip_norm: float | None = None,
                 weight_decay: float = 0.0, **settings: Any):
        if not lr > 0 or not np.isfinite(lr):
            raise ValueError(f"{type(self).__name__}: the learning rate must be a positive number; "
                             f"got {lr!r}")
        if clip_norm is not None and not clip_norm > 0:
            raise ValueError(f"{type(self).__name__}: clip_norm must be positive, or None; got {clip_norm!r}")
        self.lr = lr
        self.schedule = schedule or Constant()
        self.factors = dict(factors or {})
        self.clip_norm = clip_norm
        self.weight_decay = weight_decay
        self.settings = settings
        self.epoch = 0
        self.steps = 0
        self.state: dict[str, dict[str, np.ndarray]] = {slot: {} for slot in self.slots}

    def rate(self, name: str) -> float:
        """The learning rate of a parameter in the present epoch."""
        rate = self.lr * self.schedule(self.epoch)
        for pattern, factor in self.factors.items():
            if fnmatchcase(name, pattern):
                rate *= factor
        return rate

    def update(self, params: MutableMapping[str, np.ndarray], grads: Mapping[str, np.ndarray]) -> int:
        """One step, in place; the number of values that were projected to their lower bound."""
        unknown = [name for name in grads if name not in params]
        if unknown:
            raise ValueError(f"gradient of an unknown parameter {unknown[0]!r}; "
                             f"there are {', '.join(params)}")
        self.steps += 1
        scale = self._clipping(grads)
        for name, grad in grads.items():
            p = params[name]
            if grad.shape != p.shape:
                raise ValueError(f"the gradient of {name} has shape {grad.shape}, the parameter {p.shape}")
            rate = self.rate(name)
            if scale == 1.0:
                grad = grad.astype(p.dtype, copy=False)
            else:
                grad = grad.astype(p.dtype) * p.dtype.type(scale)
            grad = self._decay(p, grad, rate)
            slots = self.Slots(*(self._slot(slot, name, p) for slot in self.slots))
            self._step(p, grad, slots, rate)
        return params.project() if hasattr(params, "project") else 0

    def _slot(self, slot, name, p):
        """What is kept of a parameter, where the parameter lies."""
        here = devices.of(p)
        kept = self.state[slot]
        kept[name] = here.put(kept[name]) if name in kept else here.zeros(p.shape, p.dtype)
        return kept[name]

    def _decay(self, p, g, rate):
        """The gradient with that of the weight decay."""
        return g + p.dtype.type(self.weight_decay) * p if self.weight_decay else g

    def _step(self, p, g, slots, rate):
        constants = self.constants(rate)
        constants = type(constants)(*map(p.dtype.type, constants))
        flat_p = buffers.contiguous(p).reshape(-1)
        flat_g = buffers.contiguous(g).reshape(-1)
        flat_slots = self.Slots(*(a.reshape(-1) for a in slots))
        devices.of(p).update(self.rule, flat_p, flat_g, flat_slots, constants)
        if not p.flags.c_contiguous:
            p[...] = flat_p.reshape(p.shape)

    def _clipping(self, grads):
        if self.clip_norm is None:
            return 1.0
        norm = np.sqrt(sum(self._square_sums(grads.values())))
        return min(1.0, self.clip_norm / norm) if norm > 0 else 1.0

    @staticmethod
    def _square_sums(grads):
        """By device, in one go each."""
        grads = list(grads)
        sums = {}
        for here in dict.fromkeys(map(devices.of, grads)):
            mine = [i for i, g in enumerate(grads) if devices.of(g) is here]
            found = here.square_sums([grads[i] for i in mine])
            sums.update(zip(mine, found, strict=True))
        return [sums[i] for i in range(len(grads))]

    def config(self) -> dict[str, Any]:
        return {"optimizer": type(self).__name__, "lr": self.lr, "schedule": self.schedule.config(),
                "factors": self.factors, "clip_norm": self.clip_norm, "weight_decay": self.weight_decay,
                **self.settings}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.lr}, schedule={self.schedule}, factors={self.factors})"


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

    def __init__(self, lr: float, momentum: float = 0.0, *, nesterov: bool = False, **common: Any):
        super().__init__(lr, momentum=momentum, nesterov=nesterov, **common)

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
    rule = staticmethod(adam)

    def __init__(self, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 **common: Any):
        super().__init__(lr, betas=tuple(betas), eps=eps, **common)

    def constants(self, rate: float) -> AdamConstants:
        b1, b2 = self.settings["betas"]
        first = 1 / (1 - b1 ** self.steps)
        second = 1 / (1 - b2 ** self.steps)
        return AdamConstants(rate, b1, b2, 1 - b1, 1 - b2, first, second, self.settings["eps"])


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019); see the module."""

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
    rule = staticmethod(adamax)


OPTIMIZERS: dict[str, type[Optimizer]] = {cls.__name__: cls for cls in (SGD, Adam, AdamW, Adamax)}


def optimizer_from(config: Mapping[str, Any]) -> Optimizer:
    """The optimiser of a `config()`, with an empty state."""
    config = dict(config)
    name = config.pop("optimizer")
    schedule = schedule_from(config.pop("schedule"))
    return OPTIMIZERS[name](config.pop("lr"), schedule=schedule, **config)
