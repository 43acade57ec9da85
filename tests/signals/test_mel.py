"""Log-mel features against plain sums, SciPy's spectrogram and tones; what is refused."""

import math

import numpy as np
import pytest
from sounds import tone

from numsnn.signals.audio import log_mel, mel_filters


def test_log_mel_by_plain_sums(rng):
    """One frame: the transform as a sum, the triangles by interpolation, the derivatives by least squares."""
    rate, n, hop = 16000, 400, 160
    x = rng.standard_normal(16000) * np.linspace(0.1, 1, 16000)
    found = log_mel(x, rate, rescale=False)
    assert found.shape == (101, 120)
    assert found.dtype == np.float32
    frames = np.zeros((101, 40))
    corner = np.interp(np.linspace(0.3, 15 + 27 * math.log(4) / math.log(6.4), 42), *_slaney())
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    for k in range(101):
        place = range(k * hop - n // 2, k * hop + n // 2)
        piece = np.array([x[i] if 0 <= i < len(x) else 0 for i in place]) * window
        f = np.arange(257) * rate / 512
        power = np.abs(np.exp(-2j * np.pi * np.outer(f, np.arange(n)) / rate) @ piece) ** 2
        for i in range(40):
            triangle = np.interp(f, corner[i:i + 3], [0, 2 / (corner[i + 2] - corner[i]), 0])
            frames[k, i] = (power * triangle).sum()
    y = np.log(1 + frames / (1e-4 * frames.max()))
    assert np.abs(found[:, :40] - y).max() < 1e-4
    k = np.arange(-4, 5)
    for t in (4, 50, 96):
        fit = np.polynomial.polynomial.polyfit
        assert np.allclose(found[t, 40:80], fit(k, y[t - 4:t + 5], 1)[1], atol=1e-4)
        assert np.allclose(found[t, 80:], 2 * fit(k, y[t - 4:t + 5], 2)[2], atol=1e-4)


def _slaney():
    """(mel, Hz) points of the scale, to interpolate its inverse."""
    f = np.concatenate([np.linspace(0, 1000, 10), np.linspace(1001, 8000, 100_000)])
    return np.where(f <= 1000, f * 3 / 200, 15 + 27 * np.log(np.maximum(f, 1000) / 1000) / np.log(6.4)), f


def test_log_mel_agrees_with_scipys_spectrogram(rng):
    from scipy.signal import ShortTimeFFT, get_window
    x, rate = rng.standard_normal(8000), 8000
    power = ShortTimeFFT(get_window("hann", 256), 80, rate, mfft=256).spectrogram(x)
    want = power.T @ mel_filters(40, 256, rate, 20.0, 4000.0)
    found = np.expm1(log_mel(x, rate, window=0.032, deltas=0, rescale=False, floor=1.0).astype(float))
    p0 = -(-128 // 80)                                  # ShortTimeFFT's slices begin before the signal
    if abs(want[p0 - 1] / want.max() - found[0]).max() < 1e-3:
        p0 -= 1
    want = want[p0:p0 + len(found)]
    inner = slice(3, -3)
    assert np.allclose(found[inner] / found[inner].max(), want[inner] / want[inner].max(), rtol=2e-3)


def test_a_tone_is_in_its_mel_band():
    for f in (300, 1000, 3000):
        y = log_mel(tone(f, 0.5, rate=16000), 16000, rescale=False)[20:30, :40].mean(0)
        weights = mel_filters(40, 512, 16000, 20.0, 4000.0)
        assert y.argmax() == weights[round(f * 512 / 16000)].argmax()


def test_properties_of_log_mel(rng):
    x = rng.standard_normal(8000)
    found = log_mel(x, 8000)
    assert found.shape == (101, 120)
    assert np.allclose(found.std(0), 1, atol=1e-4)
    assert np.allclose(log_mel(7 * x, 8000), found, atol=1e-3), "loudness does not matter"
    assert log_mel(x, 8000, 26, deltas=1, hop=0.02).shape == (51, 52)
    assert log_mel(x, 8000, deltas=0).shape == (101, 40)
    assert not log_mel(np.zeros(8000), 8000).any()
    weights = mel_filters(40, 512, 16000, 20.0, 4000.0)
    assert weights.shape == (257, 40)
    assert (weights >= 0).all()
    assert not weights.flags.writeable
    for options, message in (
            ({"window": 1e-5}, "window of at least 2"),
            ({"hop": 0}, "a hop of 1"),
            ({"deltas": 3}, "deltas 0 to 2"),
            ({"floor": 0}, "floor > 0"),
            ({"low": 4000.0}, "low < high"),
            ({"n_mels": 0}, "n_mels > 0"),
            ({"n_mels": 200}, "lies between two bins")):
        with pytest.raises(ValueError, match=message):
            log_mel(x, 8000, **options)
    with pytest.raises(ValueError, match="low must lie below high"):
        mel_filters(10, 64, 8000, 1.0, 1.0)
    assert np.array_equal(mel_filters(2, 512, 8000, 0, np.uint8(200)), mel_filters(2, 512, 8000, 0.0, 200.0))
    with pytest.raises(ValueError, match="400 samples give 6 frames; deltas need 9"):
        log_mel(x[:400], 8000)
    with pytest.raises(ValueError, match="there is no signal"):
        log_mel(x[:0], 8000, deltas=0)
