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
    double_gaussian gamma [(1+h) N(x; 0, sigma) - 2 h N(x; 0, s sigma)]               Higuchi et al. 2024
    triangle        gamma max(0, 1 - slope |x|)        ("linear")                     Bellec et al. 2018
    exponential     gamma exp(-slope |x|)              ("slayer", slope = 5)          Shrestha & Orchard 2018
    symmetric_exponential
                    c alpha / 2 exp(-alpha |x|)                                       Baronig et al. 2024
    rectangle       1 / (2a) for |x| < a, else 0                                      Wu et al. 2018
    box             height for -width / 2 < x <= width / 2, else 0                    SiLIF (2025)
    superspike      1 / (1 + slope |x|)^2              (derivative of "fast sigmoid") Zenke & Ganguli 2018
    atan            (alpha/2) / (1 + (pi alpha x / 2)^2)                              Fang et al. 2021
    sigmoid         slope S(slope x) (1 - S(slope x)),  S the logistic function

N(x; m, s) is the normal density.  `relu` stands apart: max(0, x) instead of the spike, for analog twins of
spiking networks.  Every slope is finite for every x, infinities included.
"""

from __future__ import annotations

from inspect import signature
from math import pi
from typing import Any, NamedTuple

from ..checked import checked
from .elementwise import (
    HALF,
    ONE,
    ZERO,
    arctan,
    elementwise,
    exp,
    greater,
    greater_equal,
    maximum,
    minimum,
    sigmoid as logistic,
)
from .gaussians import (  # the classes, because compiled loops on disk look for them here
    GaussianConstants,
    MultiGaussianConstants,
    double_gaussian,
    gaussian,
    multi_gaussian,
)
from .spike import COMPARATORS, Surrogate, heaviside, positive

__all__ = ["COMPARATORS", "GaussianConstants", "MultiGaussianConstants", "Surrogate"]

# Squares and quotients of an infinite x would give inf - inf or inf / inf: |x| is limited where the slope has
# long vanished.

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


def triangle(gamma: float = 0.5, slope: float = 1.0) -> Surrogate:
    """gamma max(0, 1 - slope |x|)."""
    positive(gamma=gamma, slope=slope)
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


def exponential(gamma: float = 0.5, slope: float = 5.0) -> Surrogate:
    """gamma exp(-slope |x|)."""
    positive(gamma=gamma, slope=slope)
    constants = SlopeConstants(gamma, slope, area=gamma / slope, limit=80 / slope)
    return Surrogate("exponential", {"gamma": gamma, "slope": slope},
                     heaviside, exponential_smooth, exponential_slope, constants)


def symmetric_exponential(alpha: float = 5.0, c: float = 0.4) -> Surrogate:
    """c alpha / (2 exp(alpha |x|)): `exponential` by another name for its height."""
    positive(alpha=alpha, c=c)
    constants = SlopeConstants(c * alpha / 2, alpha, area=c / 2, limit=80 / alpha)
    return Surrogate("symmetric_exponential", {"alpha": alpha, "c": c},
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


def rectangle(a: float = 0.5) -> Surrogate:
    """1 / (2a) for |x| < a, else 0."""
    positive(a=a)
    constants = RectangleConstants(a, height=1 / (2 * a))
    return Surrogate("rectangle", {"a": a}, heaviside, rectangle_smooth, rectangle_slope, constants)


# ---- box


class BoxConstants(NamedTuple):
    half: float         # width / 2
    height: float


@elementwise
def box_slope(x, k):
    return k.height * (greater(x, -k.half) * greater_equal(k.half, x))


@elementwise
def box_smooth(x, k):
    return k.height * (minimum(maximum(x, -k.half), k.half) + k.half)


def box(width: float = 1.0, height: float = 1.0) -> Surrogate:
    """height for -width / 2 < x <= width / 2, else 0."""
    positive(width=width, height=height)
    constants = BoxConstants(half=width / 2, height=height)
    return Surrogate("box", {"width": width, "height": height}, heaviside, box_smooth, box_slope, constants)


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


def superspike(slope: float = 25.0) -> Surrogate:
    """1 / (1 + slope |x|)^2, the derivative of the fast sigmoid x / (1 + slope |x|)."""
    positive(slope=slope)
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


def atan(alpha: float = 2.0) -> Surrogate:
    """(alpha/2) / (1 + (pi alpha x / 2)^2)."""
    positive(alpha=alpha)
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


def sigmoid(slope: float = 4.0) -> Surrogate:
    """slope S(slope x) (1 - S(slope x)) with S the logistic function."""
    positive(slope=slope)
    constants = SigmoidConstants(slope)
    return Surrogate("sigmoid", {"slope": slope}, heaviside, sigmoid_smooth, sigmoid_slope, constants)


SURROGATES = {make.__name__: make for make in
              (gaussian, multi_gaussian, double_gaussian, triangle, exponential, symmetric_exponential,
               rectangle, box, superspike, atan, sigmoid)}


# ---- relu: no surrogate, but an analog "spike" with its own derivative


class ReluConstants(NamedTuple):
    pass


@elementwise
def relu_spike(x, k):
    return maximum(x, ZERO)


@elementwise
def relu_slope(x, k):
    return greater(x, ZERO)


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
    make = (SURROGATES | ANALOG)[name]
    known = signature(make).parameters
    for key in settings:
        if key not in known:
            raise TypeError(f"surrogate {name!r} has no setting {key!r}; it has {', '.join(known) or 'none'}")
    return make(**settings)
