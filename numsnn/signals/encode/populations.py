"""One value, a population of units: receptive fields and thermometers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...checked import MOST, checked, in_range
from ..spikes import Spikes
from .check import channels, extent, positive, units_of, whole
from .trains import poisson

FARTHEST = 2 ** 20          # spacings: a float32 tells places of fields so far away from each other


@checked
def rbf(x: ArrayLike, n: int, *, low: float = 0.0, high: float = 1.0, offset: float = -0.5,
        width: float = 1.0, density: bool = False) -> np.ndarray:
    """Population coding: the values of n Gaussian receptive fields for each channel.

        d = (high - low) / (n - 2),     mu_i = low + (i + offset) d,  i = 0 .. n-1,     sigma = width d
        y_i = exp(-(x - mu_i)^2 / (2 sigma^2)),     divided by sqrt(2 pi) sigma with density=True

    x: (..., C), any finite values -> (..., C n) float32: the n units of channel 0, then those of channel 1,
    ...; n: at least 3.
    low, high: the range that the fields tile; offset -1/2 lets them overlap both ends alike.
    Bohte 2002: width=1/1.5, and latency(rbf(x, n), steps) for the spike times.
    The SRNN on (P)S-MNIST, pixels from 0 to 1: rbf(x, 80, offset=-1, density=True).
    Source: Bohte, Kok, La Poutre, Neurocomputing 48 (2002); Yin, Corradi, Bohte 2020, and their code.
    """
    x = channels(x)
    n = whole("n", n, 3)
    spacing = extent(low, high) / (n - 2)
    width = positive("width", width)
    offset = _offset(offset)
    # in units of the spacing: no digits are lost where low is large
    u = (x.astype(np.float64) - low) / spacing
    in_range(1, MOST, n=n)
    # so far away a Gaussian is 0 in float32; much farther, its square would overflow
    far = 20 * width
    u = np.clip(u, offset - far, n + offset + far).astype(np.float32)
    y = u[..., None] - (np.arange(n) + offset).astype(np.float32)
    y *= np.float32(1 / width)
    np.multiply(y, y, out=y)
    y *= np.float32(-0.5)
    np.exp(y, out=y)
    if density:
        y *= np.float32(1 / (np.sqrt(2 * np.pi) * width * spacing))
    return y.reshape(*x.shape[:-1], x.shape[-1] * n)


def _offset(offset: float) -> float:
    if np.ndim(offset) or not abs(offset) <= FARTHEST:
        raise ValueError(f"offset must be a number of spacings within +-{FARTHEST}; got {offset!r}")
    return float(offset)


@checked
def rbf_threshold(x: ArrayLike, n: int, threshold: float = 0.5, **fields: Any) -> np.ndarray:
    """Population coding, binary: rbf(x, n, **fields) > threshold.

    The units spike whose receptive field gives more than threshold.
    x: (..., C) -> (..., C n) bool, the n units of channel 0 first; fields: low, high, offset, width, density
    of `rbf`.  The SRNN on (P)S-MNIST ("rbf-lc", its threshold is learned): rbf_threshold(x, 80, 0.2,
    offset=-1, density=True).
    """
    return rbf(x, n, **fields) > np.float32(positive("threshold", threshold))


@checked
def rbf_poisson(x: ArrayLike, n: int, steps: int, rng: np.random.Generator, max_rate: float = 1.0,
                **fields: Any) -> np.ndarray:
    """Population coding, random: poisson(rbf(x, n, **fields), steps, rng, max_rate).

    x: (..., C) -> (steps, ..., C n) bool, the n units of channel 0 first; fields: low, high, offset, width
    of `rbf`.
    """
    if fields.get("density"):
        raise ValueError("rbf_poisson takes the fields as probabilities, of height 1: leave density out, "
                         "scale with max_rate")
    return poisson(rbf(x, n, **fields), steps, rng, max_rate)


@checked
def decode_population(activity: ArrayLike | Spikes, n: int, *, low: float = 0.0, high: float = 1.0,
                      offset: float = -0.5) -> np.ndarray:
    """The centre of mass sum_i a_i mu_i / sum_i a_i of each channel's n units: (..., C n) -> (..., C).

    Where all n are silent: the middle of the range.
    activity: values of `rbf`, spikes of `rbf_threshold`, or counts: decode_population(rbf_poisson(x, n,
    ...).sum(0), n).
    n, low, high, offset: those of the encoder.

    For x from low to high, offset -1/2 and the spacing d = (high - low) / (n - 2):
    of `rbf`, width 1:      |x - decoded| < 0.3 d (beyond the ends fields are missing), and < 0.001 d from 3 d
                            inside of them;
    of `rbf_threshold`:     |x - decoded| <= d / 2 if units respond to more than d / 2 and at most 3/2 d on
                            either side, as with width 1 and a threshold from 0.33 to 0.88.
    """
    a = units_of(activity, "activity", whole("n", n, 3))
    spacing = extent(low, high) / (n - 2)
    offset = _offset(offset)
    mass = a.sum(-1, dtype=np.float64)
    moment = (a * (np.arange(n) + offset)).sum(-1)
    centre = moment / np.where(mass > 0, mass, 1.0)
    return low + spacing * np.where(mass > 0, centre, (n - 2) / 2)


@checked
def thermometer(x: ArrayLike, n: int, *, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """Thermometer coding: unit i = 0 .. n-1 is on where x >= low + (i + 1/2) (high - low) / n.

    So many are on: n (x - low) / (high - low), rounded to the nearest number.
    x: (..., C), from low to high -> (..., C n) bool: the n units of channel 0, then those of channel 1, ...
    Source: Buckman, Roy, Raffel, Goodfellow, ICLR 2018; here thresholds lie in the middle between levels,
    which halves the error.
    """
    x = channels(x)
    n = whole("n", n, 1)
    span = extent(low, high)
    if not ((x >= low) & (x <= high)).all():
        raise ValueError(f"x must lie from low={low} to high={high}; got values from {x.min()} to {x.max()}. "
                         f"Choose another range, or clip x first")
    level = (x.astype(np.float64) - low) * (n / span)
    return (level[..., None] >= np.arange(n) + 0.5).reshape(*x.shape[:-1], x.shape[-1] * n)


@checked
def decode_thermometer(code: ArrayLike | Spikes, n: int, *, low: float = 0.0,
                       high: float = 1.0) -> np.ndarray:
    """The number of units that are on, as a value: (..., C n) -> (..., C).

    n, low, high: those of the encoder.  |x - decoded| <= (high - low) / (2 n), half a level.
    """
    units = units_of(code, "code", whole("n", n, 1))
    return low + extent(low, high) / n * np.count_nonzero(units, -1)
