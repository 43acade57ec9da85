"""The settings of a neuron model as arrays, and the coefficients that the loops take.

Sharing (one value for all neurons, or for those of a channel) is undone before the loops, which know one
shape, and done again after them.
"""

from __future__ import annotations

import numpy as np

from ..neurons import NEURONS, Model
from .layer import Layer


class WithSettings(Layer):
    """A layer of n neurons of a model; `learn` names the settings that are learned."""

    model: Model
    n: int
    dt: float
    dtype: np.dtype
    learn: tuple[str, ...]
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

    def _settings(self):
        """The settings as float64 arrays (n,)."""
        have = {**self.fixed, **self.params}
        arrays = (have[name].astype(np.float64) for name in self.model.Settings._fields)
        return self.model.Settings(*(np.repeat(a, self.n // a.size) for a in arrays))

    def _coefficients(self, settings=None):
        settings = self._settings() if settings is None else settings
        p = self.model.coefficients(settings, self.options, self.dt)
        return type(p)(*(np.asarray(a, self.dtype) if np.ndim(a) else np.full(self.n, a, self.dtype)
                         for a in p))

    def _settings_gradient(self, dparams, settings):
        """Gradients of the learned settings from those of the coefficients (None: not needed, hence zero)."""
        if not self.learn:
            return {}
        d = type(dparams)(*(np.zeros(self.n) if a is None else a.astype(np.float64) for a in dparams))
        d = self.model.coefficients_adjoint(settings, self.options, self.dt, d)._asdict()
        return {name: self._shared_out(d[name], self.params[name].size) for name in self.learn}

    def _shared_out(self, d, n):
        """The gradient (n,) of a setting from that of each neuron's."""
        if n != self.n or np.ndim(d) == 0:
            d = np.broadcast_to(d, self.n).reshape(n, -1).sum(1)
        return d.astype(self.dtype)

    def _coefficients_of(self, names):
        """The coefficients whose gradients are needed for those of the given settings."""
        needed, fields = [], self.model.Params._fields
        for i, field in enumerate(fields):
            unit = self.model.Params(*(np.full(self.n, float(i == j)) for j in range(len(fields))))
            d = self.model.coefficients_adjoint(self._settings(), self.options, self.dt, unit)
            if any(np.any(getattr(d, name)) for name in names):
                needed.append(field)
        return tuple(needed)
