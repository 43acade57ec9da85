"""Signals that change in time, and ternary thresholds."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ...checked import checked
from ...packages import needed
from ..spikes import Spikes
from .check import positive, real, train, whole

MOST = np.iinfo(np.uint16).max      # spikes of one unit in one step


@checked
def delta(signal: ArrayLike, threshold: float, start: ArrayLike | None = None, limit: int | None = None,
          window: int = 0, order: int = 3) -> np.ndarray:
    """Send-on-delta (level-crossing) sampling against a level r that follows the signal in whole thresholds.

        k[t] = trunc((signal[t] - r[t-1]) / threshold),     r[t] = r[t-1] + k[t] threshold,     r[-1] = start

    The "up" unit sends k spikes where k > 0, the "down" unit -k where k < 0; `decode_delta` gives r back.

    signal: (T, ..., C), in the unit of threshold -> (T, ..., 2 C) uint16, units up 0, down 0, up 1, down 1,
    ...
    start: the first level, one number or an array (..., C).  None: the first sample, which then never spikes.
    limit: the most spikes of a unit in one step; a signal that moves faster is caught up with in later
    steps.  With limit 1 (the "step-forward" code) the result is bool.
    window, order: of a Savitzky-Golay filter before the coding (window 0: no smoothing).
    Source: Miskowicz, Sensors 6 (2006); step-forward: Kasabov et al., Neural Networks 78 (2016).
    """
    signal = _smoothed(signal, window, order)
    threshold = positive("threshold", threshold)
    limit = None if limit is None else whole("limit", limit, 1)
    if limit is not None and limit > MOST:
        raise ValueError(f"limit must be at most {MOST}; got {limit}")
    start = _first_level(signal[0] if start is None else start, signal.shape[1:])
    spikes = np.zeros((*signal.shape, 2), bool if limit == 1 else np.uint16)
    sent = np.zeros(signal.shape[1:])       # whole numbers: the level start + threshold sent does not drift
    for t in range(len(signal)):
        level = start + threshold * sent
        k = np.trunc((signal[t] - level) / threshold)
        if limit is not None:
            k = np.clip(k, -limit, limit)
        elif not (np.abs(k) <= MOST).all():
            raise ValueError(f"the signal moves by {np.abs(k).max():.6g} thresholds in step {t}; "
                             f"at most {MOST} fit. Choose a larger threshold, or a limit")
        spikes[t, ..., 0] = np.maximum(k, 0)
        spikes[t, ..., 1] = np.maximum(-k, 0)
        sent += k
    return spikes.reshape(*signal.shape[:-1], 2 * signal.shape[-1])


@checked
def decode_delta(spikes: ArrayLike | Spikes, threshold: float, start: ArrayLike = 0.0) -> np.ndarray:
    """The level that up and down spikes add up to: (T, ..., 2 C) -> (T, ..., C).

        level[t] = start + threshold sum_{t' <= t} (up - down)

    start: the first level of `delta`, one number or an array (..., C): its `start`, or the first sample.
    |signal - decoded| < threshold at every step, for the signal as `delta` saw it (smoothed, if it smoothed)
    and without a limit.
    """
    spikes = train(spikes)
    threshold = positive("threshold", threshold)
    if spikes.ndim < 2 or spikes.shape[-1] % 2:
        raise ValueError(f"expected a train (T, ..., 2 C), units up and down of each channel; "
                         f"got shape {spikes.shape}")
    level = np.subtract(spikes[..., ::2], spikes[..., 1::2], dtype=np.float64)
    np.cumsum(level, 0, out=level)
    level *= threshold
    level += _first_level(start, level.shape[1:])
    return level


@checked
def level_crossing(signal: ArrayLike, threshold: float = 0.03, window: int = 5, order: int = 3) -> np.ndarray:
    """Send-on-delta coding of the SRNN's ECG task.

    Each channel is smoothed by a Savitzky-Golay filter; where it rises by at least `threshold` from one step
    to the next the "up" unit spikes, where it falls by as much the "down" unit.

    signal: (T, ..., C), in the unit of threshold (mV for ECG) -> (T, ..., 2 C) bool, units up 0, down 0, up
    1, down 1, ...
    window, order: of the filter (window 0: no smoothing).  The first step never spikes.  Differs from
    `delta`: each step is compared with the one before, so that a slow drift is never seen; there is no way
    back.
    Source: Yin, Corradi, Bohte 2020, and their code (filter 5, 3; threshold 0.03).
    """
    signal = _smoothed(signal, window, order)
    threshold = positive("threshold", threshold)
    change = np.diff(signal, axis=0, prepend=signal[:1])
    up = change >= threshold
    down = change <= -threshold
    return np.stack((up, down), -1).reshape(*signal.shape[:-1], -1)


@checked
def ternary(x: ArrayLike, threshold: float) -> np.ndarray:
    """Ternary threshold coding: 1 where x > threshold, -1 where x < -threshold, else 0.

    x: any shape -> the same, int8.
    Source: Yin, Corradi, Bohte 2021, speech commands (threshold 0.05, learned there).
    """
    x = real(x)
    threshold = positive("threshold", threshold)
    return (x > threshold).astype(np.int8) - (x < -threshold)


@checked
def decode_ternary(spikes: ArrayLike, threshold: float, peak: float = 1.0) -> np.ndarray:
    """The middle of each of the three ranges of |x| <= peak: -m, 0 or m = (threshold + peak) / 2.

    spikes: any shape -> the same.
    |x - decoded| <= max(threshold, (peak - threshold) / 2); this is least, peak / 3, for
    threshold = peak / 3.
    """
    spikes = real(spikes, "spikes")
    threshold = positive("threshold", threshold)
    if not np.isin(spikes, (-1, 0, 1)).all():
        raise ValueError(f"ternary spikes are -1, 0 and 1; got values from {spikes.min()} to {spikes.max()}")
    if np.ndim(peak) or not threshold < peak < np.inf:
        raise ValueError(f"peak, the largest |x|, must be above the threshold {threshold}; got {peak!r}")
    return spikes * np.float64((threshold + float(peak)) / 2)


def _smoothed(signal: ArrayLike, window: int, order: int) -> np.ndarray:
    """The signal (T, ..., C) in float64, smoothed along time where window > 0."""
    signal = np.asarray(signal, np.float64)
    least = max(window, 2)
    if signal.ndim < 2 or signal.shape[0] < least:
        raise ValueError(f"expected a signal (T, ..., channels) with at least {least} steps; "
                         f"got shape {signal.shape}")
    if not np.isfinite(signal).all():
        raise ValueError("the signal holds NaN or infinity; clean it before coding")
    if not window:
        return signal
    if not 0 <= order < window:
        raise ValueError(f"a Savitzky-Golay filter needs 0 <= order < window; got order {order!r}, "
                         f"window {window!r}. Window 0: no smoothing")
    savgol_filter = needed("scipy.signal", "a derivative").savgol_filter
    return savgol_filter(signal, whole("window", window, 1), whole("order", order, 0), axis=0)


def _first_level(start: ArrayLike, shape: tuple[int, ...]) -> np.ndarray:
    """A level for each channel."""
    start = real(start, "start").astype(np.float64)
    try:
        return np.broadcast_to(start, shape)
    except ValueError:
        raise ValueError(f"start must be one number or an array {shape}, a level for each channel; "
                         f"got shape {start.shape}") from None
