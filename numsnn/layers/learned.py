"""What is learned of a setting: its value, kept within bounds, or an unconstrained number that stands for it.

    learn_as="value"    the setting; after each update it is put back on the bound that it crossed
    learn_as="log"      log(setting), the setting being positive; kept within bounds likewise
    learn_as="logit"    log((setting - low) / (high - setting)); within its two bounds whatever is learned
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..neurons.bounds import Bound


class Form(NamedTuple):
    """How a setting is learned; functions of float64 arrays."""
    prefix: str             # of the parameter's name
    value: Callable         # (raw, bound) -> setting
    raw: Callable           # (setting, bound) -> raw
    slope: Callable         # (setting, bound) -> d setting / d raw
    bound: Callable         # bound -> that of raw


def _same(value, bound):
    return value


def _one(value, bound):
    return 1.0


def _exp(raw, bound):
    return np.exp(raw)


def _log(value, bound):
    return np.log(value)


def _of_logs(bound):
    with np.errstate(divide="ignore"):
        low, high = np.log(np.maximum(bound.low, 0.0)), np.log(bound.high)
    return Bound(low, high, f"is the logarithm of what lies within {bound}")


def _sigmoid(raw, bound):
    e = np.exp(-np.abs(raw))
    return bound.low + (bound.high - bound.low) * np.where(raw < 0, e, 1.0) / (1 + e)


def _logit(value, bound):
    return np.log((value - bound.low) / (bound.high - value))


def _sigmoid_slope(value, bound):
    return (value - bound.low) * (bound.high - value) / (bound.high - bound.low)


def _none(bound):
    return Bound()


FORMS = {
    "value": Form("", value=_same, raw=_same, slope=_one, bound=lambda bound: bound),
    "log": Form("log_", value=_exp, raw=_log, slope=_same, bound=_of_logs),
    "logit": Form("logit_", value=_sigmoid, raw=_logit, slope=_sigmoid_slope, bound=_none),
}


def why_not(form: str, name: str, bound: Bound, array: np.ndarray) -> str:
    """Why a setting with these bounds and initial values cannot be learned in this form; "" where it can."""
    if form == "log" and not (array > 0).all():
        return f'{name} is positive where learn_as="log"; got {array.min():g}'
    if form != "logit":
        return ""
    if not np.isfinite(bound.low).all() or not np.isfinite(bound.high).all():
        return (f'{name} needs a lower and an upper bound where learn_as="logit", but lies within {bound}; '
                f"say bounds={{{name!r}: (low, high)}}")
    if (array <= bound.low).any() or (array >= bound.high).any():
        return f'{name} begins between its bounds {bound}, and not on them, where learn_as="logit"'
    return ""


def bounds_of(given: Any, shape: tuple[int, ...], what: str) -> Bound:
    """The Bound of a pair (low, high) from a user; ValueError where it is none."""
    if isinstance(given, (str, bytes)) or not hasattr(given, "__len__") or len(given) != len(("low", "high")):
        raise ValueError(f"{what}: expected (low, high), numbers or arrays {shape}, None for no bound; "
                         f"got {given!r}")
    sides = []
    for side, none in zip(given, (-np.inf, np.inf), strict=True):
        try:
            a = np.asarray(none if side is None else side, float)
        except (TypeError, ValueError):
            a = np.array(np.nan)
        if a.shape not in ((), shape) or np.isnan(a).any():
            raise ValueError(f"{what}: a bound is a number, an array of shape {shape} or None; got {side!r}")
        sides.append(float(a) if not a.ndim else a)
    low, high = sides
    if np.any(low > high):
        raise ValueError(f"{what}: the lower bound is above the upper one in ({low}, {high})")
    return Bound(low, high)


def named(what: str, given: Mapping[str, Any] | None, settings: tuple[str, ...]) -> dict[str, Any]:
    """What is given for settings by name; ValueError, TypeError where there is no such setting."""
    if not isinstance(given or {}, Mapping):
        raise TypeError(f"{what} must be a dict such as {{{settings[0]!r}: ...}}; got {given!r}")
    for name in given or {}:
        if name not in settings:
            raise ValueError(f"{what}: there is no setting {name!r}; there are {', '.join(settings)}")
    return dict(given or {})
