"""Log-mel features of a signal, with their first and second derivatives in time."""

from functools import lru_cache

import numpy as np

from .ear import checked

WIDTH = 9                           # frames over which a delta is fitted


def log_mel(signal, rate: int, n_mels: int = 40, *, window: float = 0.025, hop: float = 0.01, low: float = 20.0,
            high: float = 4000.0, deltas: int = 2, floor: float = 1e-4, rescale: bool = True) -> np.ndarray:
    """Log-mel features (frames, n_mels * (1 + deltas)) float32 of a signal (T,); frame k looks at the time k hop.

        P[k, f] = |sum_n w[n] x[n + k hop - window / 2] exp(-2 pi i f n / F)|^2,      frames = 1 + T // (hop rate)
        S = P mel_filters,   y = log(1 + S / (floor max S))                           max: over the signal
        w: periodic Hann window.  x is 0 outside.  F: the power of 2 from the window's length on.
        delta of order d: d-th derivative (per frame) of a polynomial of degree d fitted to 9 frames; at the ends the outermost fit goes on

    window, hop: s.  low, high: Hz (high is at most rate / 2).  deltas: 0, 1 or 2; features are y, then the first, then the second
    derivative.  floor: relative power at which y bends to 0 (1e-4: 40 dB below the maximum).  rescale: divide each feature by its
    deviation over time.
    The SRNN's features for Speech Commands are window=0.03, floor=1: log1p(S / max S), by librosa; F, there 480, is 512 here.
    Source: Davis & Mermelstein 1980; deltas as in librosa; Yin, Corradi, Bohte 2021.
    """
    from scipy.signal import get_window, savgol_filter
    signal = checked(signal)
    n, step, high = round(window * rate), round(hop * rate), min(high, rate / 2)
    if n < 2 or step < 1 or deltas not in (0, 1, 2) or not floor > 0 or not 0 <= low < high or n_mels < 1:
        raise ValueError(f"expected a window of at least 2 samples, a hop of 1, deltas 0 to 2, floor > 0, 0 <= low < high, n_mels > 0; "
                         f"got window={window}, hop={hop} at {rate} samples per second, deltas={deltas}, floor={floor}, low={low}, "
                         f"high={high}, n_mels={n_mels}")
    frames = 1 + len(signal) // step
    if not len(signal) or deltas and frames < WIDTH:
        raise ValueError(f"{len(signal)} samples give {frames} frames; {'deltas need ' + str(WIDTH) if deltas else 'there is no signal'}")
    padded = np.pad(signal, (n // 2, n))
    pieces = np.lib.stride_tricks.sliding_window_view(padded, n)[:frames * step:step]
    size = 1 << (n - 1).bit_length()
    power = np.abs(np.fft.rfft(pieces * get_window("hann", n), size)) ** 2
    mel = power @ mel_filters(n_mels, size, rate, low, high)
    largest = mel.max()
    y = np.log1p(mel / (floor * largest)) if largest > 0 else mel
    y = np.concatenate([y, *(savgol_filter(y, WIDTH, d, deriv=d, axis=0, mode="interp") for d in range(1, deltas + 1))], 1)
    if rescale:
        deviation = y.std(0)
        y /= np.where(deviation > 1e-10, deviation, 1)
    return y.astype(np.float32)


@lru_cache(maxsize=8)
def mel_filters(n_mels: int, size: int, rate: int, low: float, high: float) -> np.ndarray:
    """Triangles in frequency, (size // 2 + 1, n_mels) weights of the bins of a transform of `size`, each of area 1 (over Hz).

    Corners are equally far apart on Slaney's mel scale: f / (200 / 3) below 1 kHz, 15 + 27 ln(f / 1 kHz) / ln(6.4) above.
    Source: Slaney, Auditory Toolbox 1998, as librosa has it.
    """
    mel = lambda f: np.where(f < 1000, f * 0.015, 15 + 27 / np.log(6.4) * np.log(np.maximum(f, 1000) / 1000))
    points = np.linspace(mel(low), mel(high), n_mels + 2)
    corner = np.where(points < 15, points / 0.015, 1000 * np.exp((np.maximum(points, 15) - 15) * np.log(6.4) / 27))
    bins = np.arange(size // 2 + 1)[:, None] * (rate / size)
    left, centre, right = corner[:-2], corner[1:-1], corner[2:]
    weights = np.maximum(0, np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre))) * (2 / (right - left))
    empty = np.flatnonzero(weights.max(0) == 0)
    if empty.size:
        k = empty[0]
        raise ValueError(f"mel filter {k} ({left[k]:.0f} to {right[k]:.0f} Hz) lies between two bins of the transform, which are "
                         f"{rate / size:.1f} Hz apart: use fewer filters than {n_mels} or a longer window")
    weights.flags.writeable = False
    return weights
