"""One value, a train in time: rates and latencies."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ...checked import MOST, checked, in_range
from ..spikes import Spikes
from .check import fractions, positive, share, train, whole


@checked
def poisson(x: ArrayLike, steps: int, rng: np.random.Generator, max_rate: float = 1.0) -> np.ndarray:
    """Poisson (Bernoulli) rate coding: each unit spikes in each step with the probability p = max_rate x.

    All draws are independent of each other.
    x: any shape, from 0 to 1; max_rate: spikes per step of x = 1, at most 1 -> (steps, *x.shape) bool.
    Drawn step by step in float32: p holds to 2^-24, 0 never and 1 always spikes, and a longer train begins
    with the shorter one.  Values that change in time, x (T, ...): poisson(x, 1, rng)[0] draws once for
    each.
    """
    x = fractions(x)
    steps = whole("steps", steps, 1)
    in_range(1, MOST, steps=steps)
    p = np.multiply(x, share("max_rate", max_rate), dtype=np.float32)
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng must be a NumPy generator such as np.random.default_rng(seed); "
                        f"got {type(rng).__name__}")
    spikes = np.empty((steps, *x.shape), bool)
    for t in range(steps):
        np.less(rng.random(x.shape, np.float32), p, out=spikes[t, ...])
    return spikes


@checked
def rate(x: ArrayLike, steps: int, max_rate: float = 1.0) -> np.ndarray:
    """Deterministic rate coding: integrate and fire with a soft reset (error diffusion), p = max_rate x.

        v[t] = v[t-1] - s[t-1] + p,     s[t] = 1 if v[t] >= 1,     v[-1] = 1/2,     s[-1] = 0
        in closed form: s[t] = floor((t+1) p + 1/2) - floor(t p + 1/2)

    The first t steps hold t p spikes, rounded to the nearest number, for every t; they are as evenly spread
    as steps allow.
    x: any shape, from 0 to 1; max_rate: spikes per step of x = 1, at most 1 -> (steps, *x.shape) bool.
    """
    x = fractions(x)
    steps = whole("steps", steps, 1)
    in_range(1, MOST, steps=steps)
    p = np.multiply(x, share("max_rate", max_rate), dtype=np.float64)
    spikes = np.empty((steps, *x.shape), bool)
    before = np.zeros(x.shape)
    for t in range(steps):
        count = np.floor((t + 1) * p + 0.5)         # the closed form: no rounding errors pile up
        np.greater(count, before, out=spikes[t, ...])
        before = count
    return spikes


@checked
def decode_rate(spikes: ArrayLike | Spikes, max_rate: float = 1.0) -> np.ndarray:
    """The mean over time, divided by max_rate: spikes (T, ...) -> (...).

    Of `rate`: |x - decoded| <= 1 / (2 T max_rate).
    Of `poisson`: unbiased, standard deviation sqrt(p (1 - p) / T) / max_rate.
    """
    return train(spikes).mean(0, dtype=np.float64) / share("max_rate", max_rate)


@checked
def latency(x: ArrayLike, steps: int, tau: float | None = None, threshold: float = 0.01) -> np.ndarray:
    """Latency (time to first spike) coding: a spike for each value in step round(t), the larger the earlier.

        tau None:   t = (steps - 1) (1 - x)             linear; x below threshold never spikes
        tau given:  t = tau log(x / (x - threshold))    tau v' = x - v, v(0) = 0, reaches the threshold at t;
                                                        x up to threshold never does, and what would come
                                                        after the last step is not sent

    x: any shape, from 0 to 1; steps: at least 2; tau: in steps; threshold: between 0 and 1 -> (steps,
    *x.shape) bool.  With tau, x = 1 spikes at about tau threshold: choose tau of the order of steps, or many
    large values share step 0.  Differs from snnTorch's: times are never rescaled to the batch, and what lies
    below the threshold or comes too late stays silent.
    """
    x = fractions(x).astype(np.float64)
    steps = whole("steps", steps, 2)
    in_range(2, MOST, steps=steps)
    tau, threshold = _latency(tau, threshold)
    if tau is None:
        fires = x >= threshold
        when = (steps - 1) * (1 - x)
    else:
        fires = x > threshold
        above = np.where(fires, x, 1.0)
        when = tau * np.log(above / (above - threshold))
    when = np.rint(when)
    fires &= when < steps
    spikes = np.zeros((steps, *x.shape), bool)
    step = np.where(fires, when, 0).astype(np.int64)
    np.put_along_axis(spikes, step[None], fires[None], 0)
    return spikes


@checked
def decode_latency(spikes: ArrayLike | Spikes, tau: float | None = None,
                   threshold: float = 0.01) -> np.ndarray:
    """The value of the first spike, with the tau and threshold of `latency`: spikes (T, ...) -> (...).

    Units that are silent have the value 0.
    tau None:   1 - t / (T - 1);    |x - decoded| <= 1 / (2 (T - 1)), or x < threshold where silent
    tau given:  min(1, f(t)) with f(t) = threshold / (1 - exp(-t / tau)), fine for small values, coarse for
                large ones:  |x - decoded| <= h (h - threshold) / (2 tau threshold), h = min(1, f(t - 1/2)),
                or x <= f(T - 1/2) where silent
    """
    spikes = train(spikes, 2)
    tau, threshold = _latency(tau, threshold)
    fired = spikes != 0
    first = fired.argmax(0).astype(np.float64)
    if tau is None:
        value = 1 - first / (len(spikes) - 1)
    else:
        of_one = -tau * np.log1p(-threshold)            # when x = 1 spikes; step 0 would stand for infinity
        value = -threshold / np.expm1(-np.maximum(first, of_one) / tau)
    return np.where(fired.any(0), value, 0.0)


def _latency(tau: float | None, threshold: float) -> tuple[float | None, float]:
    """(tau, threshold) of a latency code, checked."""
    if np.ndim(threshold) or not 0 < threshold < 1:
        raise ValueError(f"threshold must lie between 0 and 1; got {threshold!r}")
    return None if tau is None else positive("tau", tau), float(threshold)
