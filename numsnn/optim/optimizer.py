"""What all optimisers share: settings, the state, and what is checked before a step."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from fnmatch import fnmatchcase
from inspect import Parameter, signature
from math import inf, isfinite
from typing import Any

import numpy as np

from .. import devices
from ..checked import checked
from ..devices import buffers
from ..layers.layer import number
from ..signals.arrays import numbers
from .schedules import Constant, Schedule, schedule_of

PRECISIONS = (np.float32, np.float64)


class TooLarge(ValueError):
    """A gradient that is not finite, or whose square is not where the rule needs it."""


class Optimizer:
    """Base: learning rate, schedule, factors, clipping, and the state (arrays by slot and parameter name).

    An optimiser defines its Slots (a named tuple), its rule (p, g, slots, k) -> (p, slots) for single values,
    written in the dialect of elementwise.py, and constants(rate), what k holds in this step; squares: whether
    the rule squares the gradient.
    """

    Slots: Any          # a class of named tuples
    squares = False

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of what is kept for each parameter."""
        return self.Slots._fields

    def __init__(self, lr: float, *, schedule: Schedule | None = None,
                 factors: Mapping[str, float] | None = None, clip_norm: float | None = None,
                 weight_decay: float = 0.0, **settings: Any):
        who = type(self).__name__
        self._refuse_unknown(settings)
        self.lr = number(lr, f"{who}: the learning rate", "a positive number", lambda n: 0 < n < inf)
        self.schedule = Constant() if schedule is None else schedule_of(schedule, f"{who}: schedule")
        self.factors = _factors(factors, who)
        self.clip_norm = None if clip_norm is None else \
            number(clip_norm, f"{who}: clip_norm", "positive, or None", lambda n: n > 0)
        self.weight_decay = number(weight_decay, f"{who}: weight_decay", "a number from 0 on",
                                   lambda n: 0 <= n < inf)
        self.settings = settings
        self.reset()

    def _refuse_unknown(self, settings):
        """A TypeError for arguments that no class from this one down to the base names."""
        known: dict[str, Parameter] = {}
        for cls in type(self).__mro__[:-1]:
            known = {**known, **signature(cls.__init__).parameters}
        known = {name: p for name, p in known.items() if name != "self" and p.kind is not p.VAR_KEYWORD}
        for name in settings:
            if name not in known:
                raise TypeError(f"{type(self).__name__} has no argument {name!r}; there are "
                                f"{', '.join(known)}")

    def reset(self) -> None:
        """Forget all steps: as new, for the network that it updates next."""
        self.epoch = 0
        self.steps = 0
        self.state: dict[str, dict[str, np.ndarray]] = {slot: {} for slot in self.slots}
        self._owner: Callable[[], Any] | None = None    # a weak reference to the parameters of a network

    def go_on_from(self, other: Optimizer) -> None:
        """Take over the steps and moments of another one, for the network that it updates next."""
        self.reset()
        self.epoch, self.steps, self.state = other.epoch, other.steps, other.state

    def __getstate__(self):
        return {**self.__dict__, "_owner": None}        # a copy belongs to nobody yet

    def rate(self, name: str) -> float:
        """The learning rate of a parameter in the present epoch."""
        rate = self.lr * self.schedule(self.epoch)
        for pattern, factor in self.factors.items():
            if fnmatchcase(name, pattern):
                rate *= factor
        return rate

    @checked
    def update(self, params: MutableMapping[str, np.ndarray], grads: Mapping[str, np.ndarray], *,
               squares: Sequence[float] | None = None) -> int:
        """One step, in place; the number of values that were projected to their lower bound.

        squares: the sum of squares of each gradient, where they are known: a device need not be asked again.
        ValueError, TypeError: what does not fit; then nothing is changed.
        """
        self.check_owner(params)
        given = {name: self._fitting(name, params, grad) for name, grad in self._known(params, grads).items()}
        if squares is not None and len(squares) != len(given):
            raise ValueError(f"squares: expected {len(given)} numbers, one for each gradient, or None; "
                             f"got {squares!r}")
        rates = {name: self._finite_rate(name) for name in given}
        ready = self._scaled(params, given, squares)
        known_finite = squares is not None and bool(np.isfinite(squares).all())
        self._refuse_what_is_not_finite(ready, known=known_finite or self.clip_norm is not None)
        if hasattr(params, "project"):
            self._owner = weakref.ref(params)
        self.steps += 1
        for name, grad in ready.items():
            p = params[name]
            grad = self._decay(p, grad, rates[name])
            slots = self.Slots(*(self._slot(slot, name, p) for slot in self.slots))
            self._step(p, grad, slots, rates[name])
        return params.project() if hasattr(params, "project") else 0

    def check_owner(self, params: Any) -> None:
        """Raise a ValueError where the steps so far were of the parameters of another network.

        What another optimiser or a file has left it is looked at before it is used for the first time.
        """
        if not self.steps or not hasattr(params, "project"):
            return
        if self._owner is None:
            for slot, kept in self.state.items():
                for name, a in kept.items():
                    if not np.isfinite(np.asarray(a)).all():
                        raise ValueError(f"{type(self).__name__} holds a {slot} of {name} that is not finite")
        elif self._owner() is not params:
            raise ValueError(f"this {type(self).__name__} has made {self.steps} steps with another network, "
                             f"whose moments it holds: make a new optimizer for each network, or call its "
                             f"reset(); copy.deepcopy(optimizer) goes on from them")

    # ---- what may be updated

    def _known(self, params, grads):
        """The gradients by name, where names fit each other."""
        for what, given in (("params", params), ("grads", grads)):
            if not isinstance(given, Mapping):
                raise TypeError(f"{what}: expected arrays by name, as net.params and net.backward give them; "
                                f"got {type(given).__name__}")
        unknown = [name for name in grads if name not in params]
        if unknown:
            raise ValueError(f"gradient of an unknown parameter {unknown[0]!r}; "
                             f"there are {', '.join(params)}")
        for pattern in self.factors:
            if not any(fnmatchcase(name, pattern) for name in params):
                raise ValueError(f"factors: no parameter is named {pattern!r}; there are {', '.join(params)}")
        return grads

    def _fitting(self, name, params, grad):
        """A gradient that fits its parameter, and the parameter what is kept of it."""
        p = params[name]
        if not (isinstance(p, np.ndarray) or _elsewhere(p)) or p.dtype not in PRECISIONS:
            kind = f"an array of {p.dtype}" if hasattr(p, "dtype") else type(p).__name__
            raise TypeError(f"parameter {name}: expected an array of float32 or float64; got {kind}")
        if isinstance(p, np.ndarray) and not p.flags.writeable:
            raise ValueError(f"parameter {name}: the array is read-only, and cannot be updated in place")
        grad = grad if _elsewhere(grad) else numbers(grad, f"the gradient of {name}")
        if grad.shape != p.shape:
            raise ValueError(f"the gradient of {name} has shape {grad.shape}, the parameter {p.shape}")
        for slot in self.slots:
            kept = self.state[slot].get(name, p)
            kind = getattr(kept, "dtype", type(kept).__name__)
            if (np.shape(kept), kind) != (p.shape, p.dtype):
                raise ValueError(f"{type(self).__name__} holds the {slot} of {name} as {kind} of shape "
                                 f"{np.shape(kept)}, but the parameter is {p.dtype} of shape {p.shape}; "
                                 f"make a new optimizer for other parameters")
        return grad

    def _finite_rate(self, name):
        rate = self.rate(name)
        if not 0 <= rate < inf:
            raise ValueError(f"the learning rate of {name} in epoch {self.epoch} is {rate}, of "
                             f"lr={self.lr}, {self.schedule} and factors={self.factors}")
        return rate

    def _refuse_what_is_not_finite(self, grads, known=False):
        """NaN and infinity, and what becomes so where the rule squares it.

        known: the norm was finite, so that a device need not be asked about its arrays again.
        """
        sizes = {name: 0.0 if _elsewhere(g) else _largest(g) for name, g in grads.items()}
        there = {name: g for name, g in grads.items() if _elsewhere(g)}
        if there and not known:
            sizes |= dict(zip(there, self._sizes_there(list(there.values())), strict=True))
        for name, g in grads.items():
            size, most = sizes[name], float(np.finfo(g.dtype).max)
            if not size <= most:
                raise TooLarge(f"the gradient of {name} is not finite; nothing was updated")
            if self.squares and size > most ** 0.5:
                raise TooLarge(f"the gradient of {name} reaches {size:.3g}, whose square is too large for "
                               f"{g.dtype}; nothing was updated. clip_norm keeps gradients small")

    def _sizes_there(self, arrays):
        """Of arrays of a device: 0 where all numbers, or the sum of squares, are finite; else infinity."""
        here = devices.of(arrays[0])
        fine = np.isfinite(here.square_sums(arrays)) if self.squares else here.finite(arrays)
        return np.where(fine, 0.0, inf)

    def _slot(self, slot, name, p):
        """What is kept of a parameter, where the parameter lies, in one piece."""
        here = devices.of(p)
        kept = self.state[slot]
        kept[name] = here.put(kept[name]) if name in kept else here.zeros(p.shape, p.dtype)
        if not kept[name].flags.c_contiguous:
            kept[name] = buffers.copy(kept[name])
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

    def _scaled(self, params, grads, squares):
        """The gradients in the precision of their parameters, clipped."""
        scale, ready = self._clipping(grads, squares), {}
        with np.errstate(over="ignore"):        # what is too large is refused, by name
            for name, grad in grads.items():
                dtype = params[name].dtype
                grad = grad.astype(dtype, copy=False)
                ready[name] = grad if scale == 1.0 else grad * dtype.type(scale)
        return ready

    def _clipping(self, grads, squares):
        if self.clip_norm is None:
            return 1.0
        squares = self._square_sums(grads.values()) if squares is None else squares
        norm = np.sqrt(sum(squares))
        if not isfinite(norm):
            name = max(zip(squares, grads, strict=True), key=lambda pair: not isfinite(pair[0]))[1]
            self._refuse_what_is_not_finite({name: grads[name]})
            raise ValueError(f"the gradient of {name} is too large for a norm; nothing was updated")
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


def _factors(given, who):
    """Factors of learning rates by pattern."""
    if not isinstance(given or {}, Mapping):
        raise TypeError(f"{who}: factors must be a dict such as {{'*.tau_*': 3}}; got {given!r}")
    found = {}
    for pattern, factor in (given or {}).items():
        if not isinstance(pattern, str):
            raise TypeError(f"{who}: factors are by names of parameters, such as '*.tau_*'; got {pattern!r}")
        found[pattern] = number(factor, f"{who}: the factor of {pattern!r}", "a number from 0 on",
                                lambda n: 0 <= n < inf)
    return found


def _elsewhere(a):
    """Whether it is an array of a device that is not the host."""
    return hasattr(a, "dtype") and hasattr(a, "shape") and not isinstance(a, (np.ndarray, np.generic))


def _largest(g):
    """The largest absolute value, NaN where there is one; 0 where the sum of squares is finite (quick)."""
    if isfinite(np.vdot(g, g)):
        return 0.0
    return float(np.maximum(g.max(initial=0), -g.min(initial=0)))
