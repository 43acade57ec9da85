"""Log-mel features of a signal, with their first and second derivatives in time."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from ...checked import MOST, checked, in_range
from ...packages import needed
from .ear import as_signal

WIDTH = 9                           # frames over which a delta is fitted


@checked
def log_mel(signal: ArrayLike, rate: int, n_mels: int = 40, *, window: float = 0.025, hop: float = 0.01,
            low: float = 20.0, high: float = 4000.0, deltas: int = 2, floor: float = 1e-4,
            rescale: bool = True) -> np.ndarray:
    """Log-mel features (frames, n_mels * (1 + deltas)) float32 of a signal (T,).

        P[k, f] = |sum_n w[n] x[n + k hop - window / 2] exp(-2 pi i f n / F)|^2
        S = P mel_filters,   y = log(1 + S / (floor max S)),   max: over the signal
        w: periodic Hann window.  x is 0 outside.  F: the power of 2 from the window's length on.
        delta of order d: d-th derivative (per frame) of a polynomial of degree d fitted to 9 frames;
        at the ends the outermost fit goes on

    Frame k looks at the time k hop; there are 1 + T // (hop rate) frames.

    window, hop: s.
    low, high: Hz (high is at most rate / 2).
    deltas: 0, 1 or 2; features are y, then the first, then the second derivative.
    floor: relative power at which y bends to 0 (1e-4: 40 dB below the maximum).
    rescale: divide each feature by its deviation over time.

    The SRNN's features for Speech Commands are window=0.03, floor=1: log1p(S / max S), by librosa; F, there
    480, is 512 here.
    Source: Davis & Mermelstein 1980; deltas as in librosa; Yin, Corradi, Bohte 2021.
    """
    signal = as_signal(signal)
    n = round(window * rate)
    step = round(hop * rate)
    high = min(high, rate / 2)
    if n < 2 or step < 1 or deltas not in (0, 1, 2) or not floor > 0 or not 0 <= low < high or n_mels < 1:
        raise ValueError(f"expected a window of at least 2 samples, a hop of 1, deltas 0 to 2, floor > 0, "
                         f"0 <= low < high, n_mels > 0; got window={window}, hop={hop} at {rate} samples per "
                         f"second, deltas={deltas}, floor={floor}, low={low}, high={high}, n_mels={n_mels}")
    frames = 1 + len(signal) // step
    if not len(signal) or deltas and frames < WIDTH:
        reason = f"deltas need {WIDTH}" if deltas else "there is no signal"
        raise ValueError(f"{len(signal)} samples give {frames} frames; {reason}")
    power, size = _power(signal, n, step, frames)
    mel = power @ mel_filters(n_mels, size, rate, low, high)
    largest = mel.max()
    y = np.log1p(mel / (floor * largest)) if largest > 0 else mel
    y = np.concatenate([y, *(_derivative(y, d) for d in range(1, deltas + 1))], 1)
    if rescale:
        deviation = y.std(0)
        y /= np.where(deviation > 1e-10, deviation, 1)
    return y.astype(np.float32)


def _derivative(y: np.ndarray, order: int) -> np.ndarray:
    """The first or second derivative over time, of polynomials of this order that fit WIDTH steps."""
    savgol_filter = needed("scipy.signal", "a derivative").savgol_filter
    return savgol_filter(y, WIDTH, order, deriv=order, axis=0, mode="interp")


def _hann(n: int) -> np.ndarray:
    """The window of n samples, (1 - cos(2 pi i / n)) / 2."""
    return 0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, n + 1)[:-1])


def _power(signal: np.ndarray, n: int, step: int, frames: int) -> tuple[np.ndarray, int]:
    """The power (frames, size // 2 + 1) of windows of n samples every `step` samples, and the size."""
    padded = np.pad(signal, (n // 2, n))
    pieces = np.lib.stride_tricks.sliding_window_view(padded, n)[:frames * step:step]
    size = 1 << (n - 1).bit_length()
    return np.abs(np.fft.rfft(pieces * _hann(n), size)) ** 2, size


@checked
@lru_cache(maxsize=8)
def mel_filters(n_mels: int, size: int, rate: int, low: float, high: float) -> np.ndarray:
    """Triangles in frequency, (size // 2 + 1, n_mels) weights of the bins of a transform of `size`.

    The area of each is 1 (over Hz).  Corners are equally far apart on Slaney's mel scale: f / (200 / 3) below
    1 kHz, 15 + 27 ln(f / 1 kHz) / ln(6.4) above.
    Source: Slaney, Auditory Toolbox 1998, as librosa has it.
    """
    in_range(0, MOST, low=low, high=high, rate=rate)
    in_range(1, MOST, n_mels=n_mels, size=size)
    low, high = float(low), float(high)
    if not low < high:
        raise ValueError(f"low must lie below high; got {low!r}, {high!r}")
    corner = _frequency(np.linspace(_mel(low), _mel(high), n_mels + 2))
    bins = np.arange(size // 2 + 1)[:, None] * (rate / size)
    left, centre, right = corner[:-2], corner[1:-1], corner[2:]
    rising = (bins - left) / (centre - left)
    falling = (right - bins) / (right - centre)
    weights = np.maximum(0, np.minimum(rising, falling)) * (2 / (right - left))
    empty = np.flatnonzero(weights.max(0) == 0)
    if empty.size:
        k = empty[0]
        raise ValueError(f"mel filter {k} ({left[k]:.0f} to {right[k]:.0f} Hz) lies between two bins of the "
                         f"transform, which are {rate / size:.1f} Hz apart: use fewer filters than {n_mels} "
                         f"or a longer window")
    weights.flags.writeable = False
    return weights


def _mel(f: float) -> np.ndarray:
    above = 15 + 27 / np.log(6.4) * np.log(np.maximum(f, 1000) / 1000)
    return np.where(f < 1000, f * 0.015, above)


def _frequency(mel: np.ndarray) -> np.ndarray:
    above = 1000 * np.exp((np.maximum(mel, 15) - 15) * np.log(6.4) / 27)
    return np.where(mel < 15, mel / 0.015, above)
