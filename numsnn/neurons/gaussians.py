"""Surrogates made of Gaussians; see numsnn.neurons.surrogate."""

from math import e, log2, pi, sqrt
from typing import NamedTuple

from .elementwise import HALF, ONE, elementwise, erf, half_to, minimum
from .spike import Surrogate, heaviside, positive

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


def gaussian(gamma: float = 0.5, sigma: float = 0.5) -> Surrogate:
    """gamma N(x; 0, sigma)."""
    positive(gamma=gamma, sigma=sigma)
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
    positive(gamma=gamma, sigma=sigma, h=h, s=s)
    constants = MultiGaussianConstants(
        height=gamma * (1 + h) / (sigma * sqrt(2 * pi)), width=BITS / sigma,
        side_height=gamma * h / (s * sigma * sqrt(2 * pi)), side_width=BITS / (s * sigma),
        sigma=sigma, root=1 / (sigma * sqrt(2)), side_root=1 / (s * sigma * sqrt(2)),
        gamma=gamma, h=h, limit=13 * max(1, s) * sigma + sigma)
    return Surrogate("multi_gaussian", {"gamma": gamma, "sigma": sigma, "h": h, "s": s},
                     heaviside, multi_gaussian_smooth, multi_gaussian_slope, constants)


# ---- double Gaussian


class DoubleGaussianConstants(NamedTuple):
    """A main lobe of width sigma, less a lower and wider one."""
    height: float       # gamma (1 + h) / (sigma sqrt(2 pi))
    width: float        # sqrt(log2(e) / 2) / sigma
    wide_height: float  # 2 gamma h / (s sigma sqrt(2 pi))
    wide_width: float   # sqrt(log2(e) / 2) / (s sigma)
    root: float         # 1 / (sigma sqrt 2)
    wide_root: float    # 1 / (s sigma sqrt 2)
    gamma: float
    h: float
    limit: float        # 13 max(1, s) sigma: beyond, both densities are too small for a float32


@elementwise
def double_gaussian_slope(x, k):
    x = minimum(abs(x), k.limit)
    z, wide = x * k.width, x * k.wide_width
    return k.height * half_to(z * z) - k.wide_height * half_to(wide * wide)


@elementwise
def double_gaussian_smooth(x, k):
    main = HALF * (ONE + erf(x * k.root))
    wide = HALF * (ONE + erf(x * k.wide_root))
    return k.gamma * ((ONE + k.h) * main - (k.h + k.h) * wide)


def double_gaussian(gamma: float = 0.5, sigma: float = 0.5, h: float = 0.15, s: float = 6.0) -> Surrogate:
    """gamma [(1+h) N(x; 0, sigma) - 2 h N(x; 0, s sigma)]."""
    positive(gamma=gamma, sigma=sigma, h=h, s=s)
    constants = DoubleGaussianConstants(
        height=gamma * (1 + h) / (sigma * sqrt(2 * pi)), width=BITS / sigma,
        wide_height=2 * gamma * h / (s * sigma * sqrt(2 * pi)), wide_width=BITS / (s * sigma),
        root=1 / (sigma * sqrt(2)), wide_root=1 / (s * sigma * sqrt(2)), gamma=gamma, h=h,
        limit=13 * max(1, s) * sigma)
    return Surrogate("double_gaussian", {"gamma": gamma, "sigma": sigma, "h": h, "s": s},
                     heaviside, double_gaussian_smooth, double_gaussian_slope, constants)
