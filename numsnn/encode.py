"""Encoders: from signals to spikes."""

import numpy as np


def level_crossing(signal, threshold: float = 0.03, window: int = 5, order: int = 3) -> np.ndarray:
    """Send-on-delta coding of the SRNN's ECG task.

    Each channel is smoothed by a Savitzky-Golay filter; where it rises by at least `threshold` from one step to the next the "up" unit
    spikes, where it falls by as much the "down" unit.

    signal: (T, ..., C), in the unit of threshold (mV for ECG) -> (T, ..., 2 C) bool, units up 0, down 0, up 1, down 1, ...
    window, order: of the filter (window 0: no smoothing).  The first step never spikes.
    Source: Yin, Corradi, Bohte 2020, and their code (filter 5, 3; threshold 0.03).
    """
    signal = np.asarray(signal, np.float64)
    if signal.ndim < 2 or signal.shape[0] < max(window, 2):
        raise ValueError(f"expected a signal (T, ..., channels) with at least {max(window, 2)} steps; got shape {signal.shape}")
    if not np.isfinite(signal).all():
        raise ValueError("the signal holds NaN or infinity; clean it before coding")
    if not threshold > 0:
        raise ValueError(f"threshold must be positive; got {threshold!r}")
    if window:
        from scipy.signal import savgol_filter
        signal = savgol_filter(signal, window, order, axis=0)
    change = np.diff(signal, axis=0, prepend=signal[:1])
    return np.stack((change >= threshold, change <= -threshold), -1).reshape(*signal.shape[:-1], -1)
