"""The settings of a neuron model as arrays, and the coefficients that the loops take.

Sharing (one value for all neurons, or for those of a channel) is undone before the loops, which know one
shape, and done again after them.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..neurons import NEURONS, Model
from ..neurons.bounds import Bound
from .initialise import REPLACED
from .layer import Layer
from .learned import FORMS, Form, bounds_of, named, why_not


class WithSettings(Layer):
    """A layer of n neurons of a model; `learn` names the settings that are learned."""

    model: Model
    n: int
    dt: float
    dtype: np.dtype
    learn: tuple[str, ...]
    own_bounds: dict                # setting -> (low, high) of the user
    learn_as: dict                  # setting -> form, of the user
    settings: Any                   # Settings of initial values
    options: dict
    variant: dict

    def _choose_variant(self, more):
        """The model that an option names, where the order of its equations differs."""
        self.variant, chosen = {}, []
        for option, models in self.model.variants.items():
            choice = more.pop(option, next(iter(models)))
            name = self._variant_of(option, models, choice)
            self.variant[option] = choice
            if name != self.model.name:
                chosen.append((option, name))
                more |= {option: choice} if float in models else {}
        if len(chosen) > 1:
            self.refuse(f"{chosen[0][0]} and {chosen[1][0]} do not go together; choose one of them")
        if chosen:
            self.model = NEURONS[chosen[0][1]]

    def _variant_of(self, option, models, choice):
        """The name of the model of a choice."""
        if float in models:
            is_number = isinstance(choice, (int, float, np.number)) and not isinstance(choice, bool)
            if not is_number or not 0 <= choice < np.inf:
                self.refuse(f"{option} must be a number from 0 on; got {choice!r}")
            return models[float] if choice else models[0.0]
        if not isinstance(choice, (str, bool, np.bool_)) or choice not in models:
            self.refuse(f"{option} must be one of {', '.join(map(repr, models))}; got {choice!r}")
        return models[choice]

    # ---- bounds, and what is learned of a setting

    def _take_bounds(self, bounds, learn_as):
        settings, self._bounds = self.model.Settings._fields, {}
        try:
            self.own_bounds = named("bounds", bounds, settings)
            of_all = dict.fromkeys(self.learn, learn_as) if isinstance(learn_as, str) else learn_as
            self.learn_as = named("learn_as", of_all, settings)
        except (TypeError, ValueError) as error:
            self.refuse(str(error))
        for name, form in self.learn_as.items():
            if form not in FORMS:
                self.refuse(f"learn_as: expected one of {', '.join(map(repr, FORMS))}; got {form!r}")
            if name not in self.learn:
                self.refuse(f"learn_as: {name} is not learned; say learn=({name!r},)")
        self._forms = {name: form for name, form in {**self.model.learn_as, **self.learn_as}.items()
                       if name in self.learn}

    def _config_of_bounds(self):
        """The arguments, where there are any, as JSON can hold them."""
        found = {"learn_as": self.learn_as} if self.learn_as else {}
        if self.own_bounds:
            found["bounds"] = {name: list(map(_side, pair)) for name, pair in self.own_bounds.items()}
        return found

    def form(self, setting: str) -> Form:
        """What is learned of a setting."""
        return FORMS[self._forms.get(setting, "value")]

    def key(self, setting: str) -> str:
        """The name of the array, in `params` or `fixed`, that stands for a setting."""
        return self.form(setting).prefix + setting

    def bound(self, setting: str) -> Bound:
        """Where the values of a setting lie: what the user said, or the model."""
        if setting not in self._bounds:
            own = self.model.bound(setting, self.options, self.dt, setting in self.learn)
            given = self.own_bounds.get(setting)
            self._bounds[setting] = own if given is None else self._given_bound(setting, given, own)
        return self._bounds[setting]

    def _given_bound(self, setting, given, own):
        try:
            found = bounds_of(given, self._shape_of(setting), f"bounds of {setting}")
        except ValueError as error:
            self.refuse(str(error))
        if not own.rule:
            return found
        # the equations mean nothing outside of the model's own
        within = Bound(np.maximum(found.low, own.low), np.minimum(found.high, own.high))
        if np.any(within.low > within.high):
            self.refuse(f"bounds: {setting} {own.rule}; got {found}")
        return within

    def bounds(self) -> dict[str, Bound]:
        settings = self.model.Settings._fields
        return {self.key(name): self.form(name).bound(self.bound(name)) for name in settings}

    def learned_within(self) -> list[str]:
        """But for time constants without another bound than the equations'."""
        found = []
        for setting in self.learn:
            bound, form = self.bound(setting), self.form(setting).prefix.rstrip("_")
            if str(bound) != "(-inf, inf)" and (not bound.rule or setting in self.own_bounds):
                found.append(f"{setting} {bound}{form and f' learned as {form}'}")
        return found

    def _begin(self, setting, array):
        """The array that stands for a setting at first."""
        values, bound = array.astype(self.dtype), self.bound(setting)
        if REPLACED.get():
            return values
        why = bound.refusal(setting, values) or \
            why_not(self._forms.get(setting, "value"), setting, bound, array)
        if why:
            self.refuse(why)
        return self.stored(setting, array).astype(self.dtype)

    def stored(self, setting: str, value: np.ndarray) -> np.ndarray:
        """The array that stands for these values of a setting."""
        form = self.form(setting)
        if form is FORMS["value"]:
            return value
        return form.raw(value.astype(np.float64), self.bound(setting)).astype(value.dtype)

    def values(self) -> dict[str, np.ndarray]:
        """The present value of each setting: (n,), or fewer where neurons share it."""
        return {name: self._value(name).astype(self.dtype) for name in self.model.Settings._fields}

    def _given_settings(self):
        """The settings as they were given; instead of functions what these gave, as it is now."""
        functions = {name: a for name, a in self.settings._asdict().items() if callable(a)}
        if not functions or not (self.fixed or self.params):
            return self.settings
        values = self.values()
        return self.settings._replace(**{name: values[name] for name in functions})

    def _value(self, setting):
        """The value of a setting, float64."""
        arrays, key = self.params if setting in self.learn else self.fixed, self.key(setting)
        return self.form(setting).value(arrays[key].astype(np.float64), self.bound(setting))

    # ---- coefficients

    def _settings(self):
        """The settings as float64 arrays (n,)."""
        arrays = map(self._value, self.model.Settings._fields)
        return self.model.Settings(*(np.repeat(a, self.n // a.size) for a in arrays))

    def _coefficients(self, settings=None):
        settings = self._settings() if settings is None else settings
        p = self.model.coefficients(settings, self.options, self.dt)
        return type(p)(*(np.asarray(a, self.dtype) if np.ndim(a) else np.full(self.n, a, self.dtype)
                         for a in p))

    def _settings_gradient(self, dparams, settings, loops):
        """Gradients of the learned settings from those of the coefficients, which may come later."""
        if not self.learn:
            return {}
        return loops.later(tuple(map(self.key, self.learn)), dparams, partial(self._of_settings, settings))

    def _of_settings(self, settings, *dparams):
        """The same of coefficients on the host (None: not needed, hence zero)."""
        d = self.model.Params(*(np.zeros(self.n) if a is None else a.astype(np.float64) for a in dparams))
        d = self.model.coefficients_adjoint(settings, self.options, self.dt, d)._asdict()
        return {self.key(name): self._learned_gradient(name, d[name]) for name in self.learn}

    def _learned_gradient(self, setting, d):
        """The gradient of what is learned of a setting from that of each neuron's value, (N,)."""
        n, form = self.params[self.key(setting)].size, self.form(setting)
        if n != self.n or np.ndim(d) == 0:
            d = np.broadcast_to(d, self.n).reshape(n, -1).sum(1)
        return (d * form.slope(self._value(setting), self.bound(setting))).astype(self.dtype)

    def _coefficients_of(self, names):
        """The coefficients whose gradients are needed for those of the given settings."""
        needed, fields = [], self.model.Params._fields
        for i, field in enumerate(fields):
            unit = self.model.Params(*(np.full(self.n, float(i == j)) for j in range(len(fields))))
            d = self.model.coefficients_adjoint(self._settings(), self.options, self.dt, unit)
            if any(np.any(getattr(d, name)) for name in names):
                needed.append(field)
        return tuple(needed)


def _side(given):
    """One side of a pair of bounds as JSON has it: no infinity."""
    return None if given is None or not np.any(np.isfinite(given)) else np.asarray(given).tolist()
