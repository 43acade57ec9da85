"""The cochlea against a slow twin, differential equations and what ears do."""

import math
import subprocess
import sys

import numpy as np
import pytest
from sounds import RATE, speechlike, tone

from numsnn.signals import audio
from numsnn.signals.audio import Cochlea, cochlea, log_mel, normalise
from numsnn.signals.audio.ear import erb, erb_space


def in_bins(times, units, n_units, seconds, dt=0.004):
    """Share of (unit, bin) that hold a spike."""
    return len(np.unique((times / dt).astype(int) * n_units + units)) / (n_units * math.ceil(seconds / dt))


# ---- the equations


def naive(signal, ear):
    """The module's equations in float64, one unit and one step after the other."""
    found = []
    for unit, f in enumerate(ear.centre):
        golden = unit * (math.sqrt(5) - 1) / 2 % 1
        theta = ear.settings["threshold"] * math.exp(ear.settings["spread"] * (2 * golden - 1))
        drive = naive_drive(signal, f, ear)
        found += [(t, unit) for t in naive_spikes(drive, theta, ear)]
    return sorted(found)


def naive_drive(signal, f, ear):
    """Filter and receptor; the filter is a convolution with the answer of four stages, p^n C(n + 3, 3)."""
    s, dt = ear.settings, 1 / ear.rate
    n = np.arange(len(signal))
    p = np.exp(-2 * np.pi * 1.019 * 24.7 * (1 + 0.00437 * f) * dt + 2j * np.pi * f * dt)
    response = (n + 1) * (n + 2) * (n + 3) / 6 * p ** n * (1 - abs(p)) ** 4
    level = 10 ** ((s["level"] - 30) / 20)
    z = np.convolve(signal, response)[:len(signal)] * 2 * math.sqrt(2) * level * (f / 1000) ** s["emphasis"]
    m = 1 / (1 + (f / s["lock"]) ** 2)
    knee = math.sqrt(2) * 10 ** ((s["knee"] - 30) / 20)
    return (m * np.maximum(z.real, 0) + (1 - m) * abs(z) / np.pi) / np.sqrt(1 + abs(z) / knee)


def naive_spikes(drive, theta, ear):
    """The steps in which one bushy cell fires."""
    s, dt, found = ear.settings, 1 / ear.rate, []
    y, g, l, r, xw, a, b, h = 5.05, 2000, 2500, 6580, 66.31, 5, 300, 50000
    k = g * a / (a + b)
    c0 = c = y * k / (l * k + y * (l + r))
    q, w = c * (l + r) / k, c * r / xw
    current, v, waits = 0.0, 0.0, 0
    keep, syn, mem = math.exp(-(l + r) * dt), math.exp(-dt / s["tau_syn"]), math.exp(-dt / s["tau_mem"])
    for t, x in enumerate(drive):
        freed = g * (x + a) / (x + a + b) * q
        dq = y * (1 - q) - freed + xw * w
        dw = r * c - xw * w
        c = keep * c + (1 - keep) / (l + r) * freed
        q, w = q + dt * dq, w + dt * dw
        current = syn * current + (1 - syn) * h * (c - c0)
        v = 0 if waits else mem * v + (1 - mem) * current
        waits = max(waits - 1, 0)
        if v >= theta:
            found.append(t)
            v, waits = 0, round(s["refractory"] * ear.rate)
    return found


def test_against_a_slow_twin(rng):
    """float32 moves a spike by a sample now and then, where a threshold is just reached."""
    for rate, options in ((8000, {}),
                          (16000, {"spread": 0.0, "refractory": 3e-3, "lock": 2000.0, "threshold": 8.0}),
                          (8000, {"knee": 60.0, "tau_mem": 1e-3, "threshold": 10.0})):
        ear = Cochlea(rate, 13, low=150, **options)
        x = speechlike(rng, 0.12, rate)
        times, units, _ = ear.run(x)
        ours = list(zip(np.rint(times * rate).astype(int).tolist(), units.tolist(), strict=True))
        want = naive(x, ear)
        assert len(want) > 25
        assert abs(len(ours) - len(want)) <= 0.02 * len(want)
        assert len(set(ours) & set(want)) > 0.9 * len(want)
        near = {(t + d, n) for t, n in want for d in (-1, 0, 1)}
        assert len(set(ours) & near) >= 0.98 * len(ours)


def test_the_hair_cell_follows_its_differential_equations():
    """Store, cleft and reprocessing of a step from silence to a loud tone's drive, by scipy's solver."""
    from scipy.integrate import solve_ivp

    from numsnn.signals.audio.kernels import Hair, _release
    y, g, l, r, xw, a, b = 5.05, 2000, 2500, 6580, 66.31, 5, 300
    for rate, drive, most in ((48000, 200.0, 0.03), (8000, 200.0, 0.12), (8000, 10.0, 0.05)):
        ear = Cochlea(rate, 1)
        k = g * (drive + a) / (drive + a + b)
        hair = Hair(*map(np.float32, ear._hair))
        out = np.zeros(1, np.float32)
        pools = ear.initial_state().pools
        pools[:, 0] = ear._rest[:, 0]
        start = ear._rest[:, 0].astype(float)
        found = []
        for _ in range(rate // 10):
            _release(np.array([drive], np.float32), *pools, hair, out)
            found.append(pools[1, 0])

        def change(t, pools, k=k):
            q, c, w = pools
            return y * (1 - q) - k * q + xw * w, k * q - (l + r) * c, r * c - xw * w

        times = np.arange(1, rate // 10 + 1) / rate
        want = solve_ivp(change, (0, 0.1), start, "LSODA", times, rtol=1e-8, atol=1e-12).y[1]
        assert np.abs(np.array(found) - want).max() < most * want.max()
        assert abs(found[-1] / want[-1] - 1) < 0.01
        # silence is a state of rest
        pools = ear.initial_state().pools
        for _ in range(1000):
            _release(np.zeros(1, np.float32), *pools, hair, out)
        assert np.allclose(pools, ear._rest, rtol=1e-4)


def test_the_filters_pass_their_own_frequency():
    """The gain at the centre is 1 (times the scale of level and emphasis).

    An ERB to either side it is 3 dB to 12 dB lower.
    """
    from numsnn.signals.audio.kernels import filter_bank
    ear = Cochlea(16000, 24, low=200, high=6000, level=30.0, emphasis=0.0)
    for i in range(0, 24, 5):
        gains = []
        for f in (ear.centre[i], ear.centre[i] - erb(ear.centre[i]), ear.centre[i] + erb(ear.centre[i])):
            x = tone(f, 0.15, 1.0, 16000).astype(np.float32)
            out = np.zeros((2, len(x), 24), np.float32)
            filter_bank(x, *ear._pole, ear._gain, np.zeros((8, 24), np.float32), out)
            gains.append(np.abs(out[0, 1200:, i]).max() / math.sqrt(2))
        assert gains[0] == pytest.approx(1, rel=0.05)
        assert 10 ** (-12 / 20) < min(gains[1:]) <= max(gains[1:]) < 10 ** (-3 / 20)


# ---- what ears do


def test_the_centre_frequencies():
    for low, high, n in ((80, 3800, 700), (50, 8000, 64), (100, 200, 2)):
        f = erb_space(low, high, n)
        assert (f[0], f[-1]) == pytest.approx((low, high))
        assert (np.diff(f) > 0).all()
        steps = np.diff(21.4 * np.log10(1 + 0.00437 * f))
        assert np.allclose(steps, steps[0])
    assert Cochlea(8000).centre[-1] == pytest.approx(3800)
    assert Cochlea(48000).centre[-1] == pytest.approx(8000)
    assert Cochlea(8000, 1).centre == pytest.approx([80])


@pytest.mark.parametrize("f", [150, 400, 1000, 2200, 3400])
def test_a_tone_excites_the_units_of_its_frequency(f):
    ear = Cochlea(RATE, 350, spread=0.0, threshold=8.0)
    times, units, _ = ear.run(tone(f, amplitude=0.05))
    late = times > 0.05
    counts = np.bincount(units[late], minlength=350)
    assert counts.sum() > 20
    assert abs(np.average(ear.centre, weights=counts) - f) < 0.5 * erb(f)
    assert abs(ear.centre[counts.argmax()] - f) < erb(f)
    assert np.abs(ear.centre[counts > 0] - f).max() < 5 * erb(f)


def test_two_tones_excite_two_places():
    ear = Cochlea(RATE)
    _, units, _ = ear.run(tone(500, amplitude=0.05) + tone(2000, amplitude=0.05))
    counts = np.bincount(units, minlength=700)
    near = lambda f: counts[np.abs(ear.centre - f) < 2 * erb(f)].sum()
    assert min(near(500), near(2000)) > 10 * near(1050)


def test_louder_gives_more_spikes_and_silence_none(rng):
    x = speechlike(rng)
    n = [len(cochlea(x * gain, RATE)[0]) for gain in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)]
    assert (np.diff(n) > 0).all()
    assert n[0] < 0.01 * n[-1]
    for silence in (np.zeros(8000), np.zeros(0), 1e-5 * rng.standard_normal(4000)):
        times, units = cochlea(silence, RATE)
        assert (times.size, units.size) == (0, 0)


def test_an_onset_is_told_more_loudly_than_what_stays():
    for f in (300, 1500):
        times, _ = cochlea(np.concatenate([np.zeros(800), tone(f, 0.4, 0.05), np.zeros(800)]), RATE)
        rate = lambda first, last, times=times: ((times >= first) & (times < last)).sum() / (last - first)
        assert rate(0, 0.1) == 0
        assert rate(0.1, 0.13) > 2 * rate(0.3, 0.5) > 0
        assert rate(0.52, 0.6) == 0
    # after a rest the onset is heard again
    pair = np.concatenate([tone(1000, 0.2), np.zeros(4000), tone(1000, 0.2)])
    times, _ = cochlea(pair, RATE)
    first, second = ((times < 0.03).sum(), ((times >= 0.7) & (times < 0.73)).sum())
    assert second > 0.7 * first


def test_refractory_time(rng):
    for refractory in (1e-3, 5e-3):
        times, units = cochlea(0.8 * rng.uniform(-1, 1, 4000), RATE, 100, refractory=refractory)
        gaps = [np.diff(times[units == n]) for n in range(100)]
        shortest = min(g.min() for g in gaps if g.size)
        assert refractory < shortest <= refractory + 3e-3
        assert sum(len(g) for g in gaps) > 1000


def test_the_form_of_the_answer(rng):
    times, units = cochlea(speechlike(rng), RATE, 50)
    assert times.dtype == np.float64
    assert units.dtype == np.uint16
    assert times.shape == units.shape
    assert (np.diff(times) >= 0).all()
    assert 0 <= times[0] < times[-1] <= 0.4
    assert units.max() < 50
    same_time = np.diff(times) == 0
    assert (np.diff(units.astype(int))[same_time] > 0).all(), "at one time the units ascend"


# ---- repeatable


def test_the_same_signal_gives_the_same_spikes(rng):
    x = speechlike(rng)
    a, b = cochlea(x, RATE), cochlea(x.copy(), RATE)
    assert a[0].tobytes() == b[0].tobytes()
    assert a[1].tobytes() == b[1].tobytes()
    noisy = [cochlea(x, RATE, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert noisy[0][0].tobytes() == noisy[1][0].tobytes() != noisy[2][0].tobytes()
    spikes = lambda found: set(zip(*map(np.ndarray.tolist, found), strict=True))
    shared = spikes(a) & spikes(noisy[0])
    assert len(shared) < 0.9 * len(a[0])
    number = lambda n: len(cochlea(x, RATE, rng=np.random.default_rng(0), hair_cells=n)[0])
    quiet, loud = number(10 ** 9), number(40)
    assert abs(quiet / len(a[0]) - 1) < 0.02 < loud / len(a[0]) - 1, "many hair cells: no noise"


@pytest.mark.parametrize("noise", [False, True])
def test_pieces_give_the_spikes_of_the_whole(noise, rng):
    x, ear = speechlike(rng), Cochlea(RATE, 60)
    stream = lambda: np.random.default_rng(7) if noise else None
    times, units, end = ear.run(x, rng=stream())
    for cuts in ([1, 2, 130, 131, 1500], sorted(rng.integers(0, len(x), 9)), [len(x) // 2]):
        state, chance, parts = None, stream(), []
        for piece in np.split(x, cuts):
            before = None if state is None else [np.copy(a) for a in state]
            t, u, new = ear.run(piece, state, rng=chance)
            unchanged = before is None or all(map(np.array_equal, before, state))
            assert unchanged, "a state handed in stays as it is"
            parts.append((t, u))
            state = new
        assert np.concatenate([t for t, _ in parts]).tobytes() == times.tobytes()
        assert np.concatenate([u for _, u in parts]).tobytes() == units.tobytes()
        assert all(np.array_equal(a, b) for a, b in zip(end, state, strict=True))


def test_what_is_refused():
    for options, message in (
            ({"rate": 3000}, "at least 4000"),
            ({"rate": np.nan}, "at least 4000"),
            ({"units": 0}, "units must be"),
            ({"units": 70000}, "units must be"),
            ({"units": 1.5}, "units must be"),
            ({"low": 0}, "0 < low"),
            ({"low": 5000}, "0 < low"),
            ({"high": 4001}, "low < high <= rate / 2"),
            ({"threshold": 0}, "threshold must be positive"),
            ({"tau_mem": -1}, "tau_mem must be positive"),
            ({"spread": -1}, "spread must be zero or"),
            ({"refractory": np.inf}, "refractory must be zero or"),
            ({"level": np.nan}, "must be numbers"),
            ({"hair_cells": 0}, "hair_cells must be positive")):
        with pytest.raises(ValueError, match=message):
            Cochlea(**{"rate": RATE, **options})
    ear = Cochlea(RATE, 10)
    for signal, message in (
            (np.zeros(5, np.int16), "divide integer samples"),
            (np.zeros((5, 2)), r"shape \(5, 2\)"),
            (np.array([0, np.inf]), "inf at sample 1")):
        with pytest.raises(ValueError, match=message):
            ear.run(signal)
        with pytest.raises(ValueError, match=message):
            log_mel(signal, RATE)
    with pytest.raises(ValueError, match=r"state.filters must have shape \(8, 10\); got \(8, 11\)"):
        ear.run(np.zeros(5), Cochlea(RATE, 11).initial_state())
    with pytest.raises(TypeError, match="unknown"):
        cochlea(np.zeros(5), RATE, unknown=1)


def test_importing_it_loads_no_compiler():
    code = ("import sys, numsnn.signals.audio; "
            "assert not {'numba', 'scipy', 'h5py', 'matplotlib'} & set(sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- real speech


@pytest.fixture(scope="module")
def speech(data_folder):
    from numsnn.datasets import speech
    path = data_folder / "fsdd" / "fsdd_recordings.zip"
    if not path.is_file():
        pytest.skip(f"no Free Spoken Digits at {path}")
    return [r for i, r in enumerate(speech.fsdd(path, "test")) if i % 6 == 0]


def test_rates_of_real_speech_are_those_of_shd(speech):
    """SHD has about 8000 spikes a second, and a spike in about 3 % of its 4-ms bins."""
    seconds = sum(len(r.signal) for r in speech) / RATE
    found = [cochlea(normalise(r.signal), RATE) for r in speech]
    assert 6000 < sum(len(t) for t, _ in found) / seconds < 10_000
    shares = [in_bins(*f, 700, len(r.signal) / RATE) for f, r in zip(found, speech, strict=True)]
    assert 0.02 < np.mean(shares) < 0.06
    assert min(shares) > 0.01
    counts = np.bincount(np.concatenate([u for _, u in found]), minlength=700)
    heard = (counts > 0).mean()
    assert heard > 0.7, "of the units with high thresholds some wait for louder words than these 50"
    assert min(np.add.reduceat(counts, np.arange(0, 700, 20))) > 10, "but no region is deaf"


def test_normalise(rng):
    x = 3 + rng.standard_normal(1000)
    y = normalise(x, 0.2)
    assert y.mean() == pytest.approx(0, abs=1e-12)
    assert np.sqrt((y ** 2).mean()) == pytest.approx(0.2)
    assert normalise(np.full(5, 0.3)).tolist() == [0] * 5
    assert normalise(np.zeros(0)).shape == (0,)


def test_the_names_of_the_package():
    assert set(audio.__all__) == {"Cochlea", "EarState", "cochlea", "log_mel", "mel_filters", "normalise"}
    for name in audio.__all__:
        assert getattr(audio, name).__doc__
