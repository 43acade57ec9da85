"""Schedules of learning rates: epoch (from 0) -> factor of the learning rate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import wraps
from math import cos, inf, pi
from typing import Any

import numpy as np

from ..checked import SEEDS, checked, in_range, kind_in, what_it_is
from ..layers.layer import count_of, number, positive_integer


def _of_epoch(function):
    """A schedule's function, for epochs from 0 on."""
    @wraps(function)
    def door(self, epoch):
        if not isinstance(epoch, (int, float, np.number)):
            raise TypeError(f"{type(self).__name__}: epoch must be a number; got {what_it_is(epoch)}")
        in_range(0, SEEDS, epoch=epoch)
        return function(self, epoch)
    return door


class Schedule:
    """Base: a factor of the learning rate for each epoch."""

    @checked
    def __init__(self, **settings: Any):
        self.settings = settings

    @_of_epoch
    def __call__(self, epoch: int) -> float:
        raise TypeError(f"{type(self).__name__} does not define __call__(epoch)")

    def config(self) -> dict[str, Any]:
        return {"schedule": type(self).__name__, **self.settings}

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        return f"{type(self).__name__}({settings})"


class Constant(Schedule):
    """1."""

    @_of_epoch
    def __call__(self, epoch: int) -> float:
        return 1.0


class Step(Schedule):
    """factor^(epoch // every)."""

    @checked
    def __init__(self, every: int, factor: float = 0.5):
        super().__init__(every=positive_integer(every, "Step: every"), factor=_factor(factor, "Step"))

    @_of_epoch
    def __call__(self, epoch: int) -> float:
        return self.settings["factor"] ** (epoch // self.settings["every"])


class MultiStep(Schedule):
    """factor^(number of milestones that have passed)."""

    @checked
    def __init__(self, milestones: Iterable[int], factor: float = 0.5):
        if not isinstance(milestones, Iterable) or isinstance(milestones, str):
            raise TypeError(f"MultiStep: expected a list of epochs, MultiStep([10, 20]); got {milestones!r}")
        epochs = [count_of(epoch, "MultiStep: a milestone") for epoch in milestones]
        super().__init__(milestones=epochs, factor=_factor(factor, "MultiStep"))

    @_of_epoch
    def __call__(self, epoch: int) -> float:
        return self.settings["factor"] ** sum(epoch >= m for m in self.settings["milestones"])


class Exponential(Schedule):
    """factor^epoch."""

    @checked
    def __init__(self, factor: float):
        super().__init__(factor=_factor(factor, "Exponential"))

    @_of_epoch
    def __call__(self, epoch: int) -> float:
        return self.settings["factor"] ** epoch


class Cosine(Schedule):
    """floor + (1 - floor) (1 + cos(pi epoch / epochs)) / 2, then floor."""

    @checked
    def __init__(self, epochs: int, floor: float = 0.0):
        floor = number(floor, "Cosine: floor", "a number from 0 to 1", lambda n: 0 <= n <= 1)
        super().__init__(epochs=positive_integer(epochs, "Cosine: epochs"), floor=floor)

    @_of_epoch
    def __call__(self, epoch: int) -> float:
        floor = self.settings["floor"]
        way = min(epoch / self.settings["epochs"], 1)
        return floor + (1 - floor) * (1 + cos(pi * way)) / 2


class WarmUp(Schedule):
    """(epoch + 1) / epochs for the first epochs, then another schedule, counted from there."""

    @checked
    def __init__(self, epochs: int, then: Schedule | None = None):
        self.then = Constant() if then is None else schedule_of(then, "WarmUp: then")
        super().__init__(epochs=count_of(epochs, "WarmUp: epochs"), then=self.then.config())

    @_of_epoch
    def __call__(self, epoch: int) -> float:
        epochs = self.settings["epochs"]
        return (epoch + 1) / epochs if epoch < epochs else self.then(epoch - epochs)


class Linear(Schedule):
    """1 - epoch / epochs, then 0."""

    @checked
    def __init__(self, epochs: int):
        super().__init__(epochs=positive_integer(epochs, "Linear: epochs"))

    @_of_epoch
    def __call__(self, epoch: int) -> float:
        return max(0.0, 1 - epoch / self.settings["epochs"])


SCHEDULES: dict[str, type[Schedule]] = {
    cls.__name__: cls for cls in (Constant, Step, MultiStep, Exponential, Cosine, WarmUp, Linear)}


@checked
def schedule_from(config: Mapping[str, Any]) -> Schedule:
    """The schedule of a `config()`."""
    config = dict(config)
    kind = kind_in(config, "schedule", SCHEDULES, "one of your own: ns.optim.SCHEDULES[name] = its class")
    if "then" in config:
        config["then"] = schedule_from(config["then"])
    return kind(**config)


def schedule_of(given: Any, what: str) -> Schedule:
    """`given`, where it is a schedule; else a TypeError."""
    if not isinstance(given, Schedule):
        raise TypeError(f"{what}: expected a schedule such as ns.optim.Cosine(20), of "
                        f"{', '.join(SCHEDULES)} or a Schedule of your own; got {given!r}")
    return given


def _factor(value, who):
    return number(value, f"{who}: factor", "a number from 0 on", lambda n: 0 <= n < inf)
