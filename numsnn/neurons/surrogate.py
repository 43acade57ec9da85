r"""Spike functions and the surrogate slopes that replace their derivative in the backward pass.

A `Surrogate` is a triple of elementwise functions of the distance to the threshold x = v - theta (in the
unit of v):

    spike(x, k)     what the forward pass uses: 1 where x > 0 (or x >= 0: `comparator=">="`), else 0
    slope(x, k)     what the backward pass uses for d spike / dx
    smooth(x, k)    the primitive of `slope`, a stand-in for `spike` with an exact derivative, for tests

with `k` the constants derived from the parameters, in the working precision.  Names follow the formula,
because the same name means different functions in different libraries:

    name            slope(x)                                                          source
    gaussian        gamma N(x; 0, sigma)                                              Yin et al. 2020
    multi_gaussian  gamma [(1+h) N(x; 0, sigma)
                    - h N(x; sigma, s sigma) - h N(x; -sigma, s sigma)]               Yin et al. 2021
    triangle        gamma max(0, 1 - slope |x|)        ("linear")                     Bellec et al. 2018
    exponential     gamma exp(-slope |x|)              ("slayer", slope = 5)          Shrestha & Orchard 2018
    rectangle       1 / (2a) for |x| < a, else 0                                      Wu et al. 2018
    superspike      1 / (1 + slope |x|)^2              (derivative of "fast sigmoid") Zenke & Ganguli 2018
    atan            (alpha/2) / (1 + (pi alpha x / 2)^2)                              Fang et al. 2021
    sigmoid         slope S(slope x) (1 - S(slope x)),  S the logistic function

N(x; m, s) is the normal density.  `relu` stands apart: max(0, x) instead of the spike, for analog twins of
spiking networks.  Every slope is finite for every x, infinities included.
"""

from __future__ import annotations

from collections.abc import Callable
from math import e, log2, pi, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..checked import checked
from .elementwise import (
    HALF,
    ONE,
    ZERO,
    arctan,
    elementwise,
    erf,
    exp,
    greater,
    greater_equal,
    half_to,
    maximum,
    minimum,
    sigmoid as logistic,
)


class Surrogate(NamedTuple):
    """The triple (see the module), its name, its parameters as given and the constants derived from them."""
    name: str
    parameters: dict[str, float]
    spike: Callable
    smooth: Callable
    slope: Callable
    constants: NamedTuple

    def __repr__(self) -> str:
        parameters = ", ".join(f"{name}={value!r}" for name, value in self.parameters.items())
        return f"{self.name}({parameters})"

    @property
    def hard(self) -> bool:
        """True where the forward pass gives exactly 0 or 1."""
        return self.spike is not self.smooth

    def smoothed(self) -> Surrogate:
        """The same surrogate with its smooth twin as the spike: finite differences can check the network."""
        return self._replace(spike=self.smooth)

    def with_comparator(self, comparator: str) -> Surrogate:
        """The same surrogate with a strict (">") or an inclusive (">=") spike test."""
        if comparator not in COMPARATORS:
            known = ", ".join(map(repr, COMPARATORS))
            raise ValueError(f"comparator must be one of {known}; got {comparator!r}")
        return self._replace(spike=COMPARATORS[comparator]) if self.hard else self

    def typed(self, dtype: DTypeLike) -> Any:
        """The constants as scalars of the working precision."""
        return type(self.constants)(*map(np.dtype(dtype).type, self.constants))

    def __call__(self, x: ArrayLike) -> np.ndarray:
        """The slope at x (an array, or something that becomes one), for plots and tables."""
        keeps_precision = getattr(x, "dtype", None) in (np.float32, np.float64)
        x = np.asarray(x, dtype=None if keeps_precision else np.float64)
        return self.slope(x, self.typed(x.dtype))


@elementwise
def heaviside(x, k):
    return greater(x, ZERO)


@elementwise
def heaviside_inclusive(x, k):
    return greater_equal(x, ZERO)


COMPARATORS = {">": heaviside, ">=": heaviside_inclusive}


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0 or not np.isfinite(value):
            raise ValueError(f"surrogate parameter {name} must be a positive number; got {value!r}")


# Squares and quotients of an infinite x would give inf - inf or inf / inf: |x| is limited where the slope has
# long vanished.

# ---- gaussian

BITS = sqrt(log2(e) / 2)


class GaussianConstants(NamedTuple):
    height: float       # gamma / (sigma sqrt(2 pi))
    width: float        # sqrt(log2(e) / 2) / sigma: exp(-x^2 / (2 sigma^2)) = 2**-(width x)^2
    root: float         # 1 / (sigma sqrt 2)
    gamma: float
    limit: float        # 13 sigma: beyond, the density is too small for a float32


@elementwise
def gaussian_slope(x, k):
    z = minimum(abs(x), k.limit) * k.width
    return k.height * half_to(z * z)


@elementwise
def gaussian_smooth(x, k):
    return k.gamma * (HALF * (ONE + erf(x * k.root)))


@checked
def gaussian(gamma: float = 0.5, sigma: float = 0.5) -> Surrogate:
    """gamma N(x; 0, sigma)."""
    _positive(gamma=gamma, sigma=sigma)
    constants = GaussianConstants(
        height=gamma / (sigma * sqrt(2 * pi)), width=BITS / sigma,
        root=1 / (sigma * sqrt(2)), gamma=gamma, limit=13 * sigma)
    return Surrogate("gaussian", {"gamma": gamma, "sigma": sigma},
                     heaviside, gaussian_smooth, gaussian_slope, constants)


# ---- multi-gaussian

class MultiGaussianConstants(NamedTuple):
    """A main lobe of width sigma, and two lower and wider side lobes."""
    height: float       # gamma (1 + h) / (sigma sqrt(2 pi))
    width: float        # sqrt(log2(e) / 2) / sigma
    side_height: float  # gamma h / (s sigma sqrt(2 pi))
    side_width: float   # sqrt(log2(e) / 2) / (s sigma)
    sigma: float
    root: float         # 1 / (sigma sqrt 2)
    side_root: float    # 1 / (s sigma sqrt 2)
    gamma: float
    h: float
    limit: float        # 13 max(1, s) sigma: beyond, all three densities are too small for a float32


@elementwise
def multi_gaussian_slope(x, k):
    x = minimum(abs(x), k.limit)
    z = x * k.width
    left = (x - k.sigma) * k.side_width
    right = (x + k.sigma) * k.side_width
    return k.height * half_to(z * z) - k.side_height * (half_to(left * left) + half_to(right * right))


@elementwise
def multi_gaussian_smooth(x, k):
    main = HALF * (ONE + erf(x * k.root))
    left = HALF * (ONE + erf((x - k.sigma) * k.side_root))
    right = HALF * (ONE + erf((x + k.sigma) * k.side_root))
    return k.gamma * ((ONE + k.h) * main - k.h * (left + right))


def multi_gaussian(gamma: float = 0.5, sigma: float = 0.5, h: float = 0.15, s: float = 6.0) -> Surrogate:
    """gamma [(1+h) N(x; 0, sigma) - h N(x; sigma, s sigma) - h N(x; -sigma, s sigma)]."""
    _positive(gamma=gamma, sigma=sigma, h=h, s=s)
    constants = MultiGaussianConstants(
        height=gamma * (1 + h) / (sigma * sqrt(2 * pi)), width=BITS / sigma,
        side_height=gamma * h / (s * sigma * sqrt(2 * pi)), side_width=BITS / (s * sigma),
        sigma=sigma, root=1 / (sigma * sqrt(2)), side_root=1 / (s * sigma * sqrt(2)),
        gamma=gamma, h=h, limit=13 * max(1, s) * sigma + sigma)
    return Surrogate("multi_gaussian", {"gamma": gamma, "sigma": sigma, "h": h, "s": s},
                     heaviside, multi_gaussian_smooth, multi_gaussian_slope, constants)


# ---- triangle


class SlopeConstants(NamedTuple):
    gamma: float
    slope: float
    area: float         # gamma / slope
    limit: float        # of |x|: beyond, the slope is 0 or too small for a float32


@elementwise
def triangle_slope(x, k):
    return k.gamma * maximum(ONE - k.slope * abs(x), ZERO)


@elementwise
def triangle_smooth(x, k):
    y = k.slope * maximum(minimum(x, k.limit), -k.limit)
    return k.area * (HALF + y - HALF * (y * abs(y)))


@checked
def triangle(gamma: float = 0.5, slope: float = 1.0) -> Surrogate:
    """gamma max(0, 1 - slope |x|)."""
    _positive(gamma=gamma, slope=slope)
    constants = SlopeConstants(gamma, slope, area=gamma / slope, limit=1 / slope)
    return Surrogate("triangle", {"gamma": gamma, "slope": slope},
                     heaviside, triangle_smooth, triangle_slope, constants)


# ---- exponential


@elementwise
def exponential_slope(x, k):
    return k.gamma * exp(-k.slope * minimum(abs(x), k.limit))


@elementwise
def exponential_smooth(x, k):
    sign = greater(x, ZERO) - greater(ZERO, x)
    return k.area * (ONE + sign * (ONE - exp(-k.slope * minimum(abs(x), k.limit))))


@checked
def exponential(gamma: float = 0.5, slope: float = 5.0) -> Surrogate:
    """gamma exp(-slope |x|)."""
    _positive(gamma=gamma, slope=slope)
    constants = SlopeConstants(gamma, slope, area=gamma / slope, limit=80 / slope)
    return Surrogate("exponential", {"gamma": gamma, "slope": slope},
                     heaviside, exponential_smooth, exponential_slope, constants)


# ---- rectangle


class RectangleConstants(NamedTuple):
    a: float
    height: float       # 1 / (2 a)


@elementwise
def rectangle_slope(x, k):
    return k.height * greater(k.a, abs(x))


@elementwise
def rectangle_smooth(x, k):
    return minimum(maximum((x + k.a) * k.height, ZERO), ONE)


@checked
def rectangle(a: float = 0.5) -> Surrogate:
    """1 / (2a) for |x| < a, else 0."""
    _positive(a=a)
    constants = RectangleConstants(a, height=1 / (2 * a))
    return Surrogate("rectangle", {"a": a}, heaviside, rectangle_smooth, rectangle_slope, constants)


# ---- superspike


class SuperspikeConstants(NamedTuple):
    slope: float
    limit: float        # of |x| in the smooth twin


@elementwise
def superspike_slope(x, k):
    d = ONE + k.slope * abs(x)
    return ONE / (d * d)


@elementwise
def superspike_smooth(x, k):
    x = maximum(minimum(x, k.limit), -k.limit)
    return HALF + x / (ONE + k.slope * abs(x))


@checked
def superspike(slope: float = 25.0) -> Surrogate:
    """1 / (1 + slope |x|)^2, the derivative of the fast sigmoid x / (1 + slope |x|)."""
    _positive(slope=slope)
    constants = SuperspikeConstants(slope, limit=1e18)
    return Surrogate("superspike", {"slope": slope},
                     heaviside, superspike_smooth, superspike_slope, constants)


# ---- atan


class AtanConstants(NamedTuple):
    height: float       # alpha / 2
    scale: float        # pi alpha / 2
    inverse_pi: float


@elementwise
def atan_slope(x, k):
    z = k.scale * x
    return k.height / (ONE + z * z)


@elementwise
def atan_smooth(x, k):
    return k.inverse_pi * arctan(k.scale * x) + HALF


@checked
def atan(alpha: float = 2.0) -> Surrogate:
    """(alpha/2) / (1 + (pi alpha x / 2)^2)."""
    _positive(alpha=alpha)
    constants = AtanConstants(height=alpha / 2, scale=pi * alpha / 2, inverse_pi=1 / pi)
    return Surrogate("atan", {"alpha": alpha}, heaviside, atan_smooth, atan_slope, constants)


# ---- sigmoid


class SigmoidConstants(NamedTuple):
    slope: float


@elementwise
def sigmoid_slope(x, k):
    y = logistic(k.slope * abs(x))
    return k.slope * (y * (ONE - y))


@elementwise
def sigmoid_smooth(x, k):
    return logistic(k.slope * x)


@checked
def sigmoid(slope: float = 4.0) -> Surrogate:
    """slope S(slope x) (1 - S(slope x)) with S the logistic function."""
    _positive(slope=slope)
    constants = SigmoidConstants(slope)
    return Surrogate("sigmoid", {"slope": slope}, heaviside, sigmoid_smooth, sigmoid_slope, constants)


SURROGATES = {make.__name__: make for make in
              (gaussian, multi_gaussian, triangle, exponential, rectangle, superspike, atan, sigmoid)}


# ---- relu: no surrogate, but an analog "spike" with its own derivative


class ReluConstants(NamedTuple):
    pass


@elementwise
def relu_spike(x, k):
    return maximum(x, ZERO)


@elementwise
def relu_slope(x, k):
    return greater(x, ZERO)


@checked
def relu() -> Surrogate:
    """max(0, x) in place of the spike, with its exact derivative and without events.

    It makes the analog twin of a spiking network (the ReLU-SRNN of Yin et al. 2020).
    """
    return Surrogate("relu", {}, relu_spike, relu_spike, relu_slope, ReluConstants())


ANALOG = {"relu": relu}
ALIASES = {"linear": "triangle", "slayer": "exponential", "fast_sigmoid": "superspike", "arctan": "atan"}


@checked
def get(surrogate: str | dict[str, Any] | Surrogate) -> Surrogate:
    """A surrogate from its name, from {"name": ..., parameters}, or itself.

    Names that papers use for them are known too: linear, slayer, fast_sigmoid, arctan.
    """
    if isinstance(surrogate, Surrogate):
        return surrogate
    settings: dict[str, Any] = dict(surrogate) if isinstance(surrogate, dict) else {"name": surrogate}
    name = settings.pop("name", None)
    name = ALIASES.get(name, name)
    if name not in SURROGATES | ANALOG:
        raise ValueError(f"unknown surrogate {name!r}; there are {', '.join(SURROGATES)}, "
                         f"or a Surrogate, such as ns.surrogate.gaussian(sigma=0.3)")
    return (SURROGATES | ANALOG)[name](**settings)
