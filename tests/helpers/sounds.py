"""Signals to listen to."""

import numpy as np

from numsnn.signals.audio import normalise

RATE = 8000


def tone(f, seconds=0.3, amplitude=0.1, rate=RATE):
    return amplitude * np.sin(2 * np.pi * f * np.arange(round(seconds * rate)) / rate)


def speechlike(rng, seconds=0.4, rate=RATE):
    """Harmonics of a gliding pitch under a moving envelope, and some noise."""
    t = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(120 + 40 * t) / rate
    voice = sum(np.sin(k * phase) / k for k in range(1, 25) if k * 160 < rate / 2)
    return normalise(voice * np.sin(np.pi * t / t[-1]) ** 2 + 0.05 * rng.standard_normal(t.size))
