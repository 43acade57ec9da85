"""Encoders and decoders: against naive loops and formulas written another way, statistics, round trips."""

import math
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.optimize import brentq

from numsnn import Spikes
from numsnn.signals import encode

EPS = np.finfo(np.float64).eps
some = settings(max_examples=60, deadline=None, derandomize=True, database=None)
fraction = st.floats(0, 1, allow_subnormal=False)
SHAPES = ((), (5,), (2, 3), (2, 1, 3), (0, 3))


# ---- poisson

@pytest.mark.parametrize("shape", SHAPES)
def test_poisson_draws_one_float32_for_each_unit_and_step(rng, shape):
    """Element by element, in the order time, then units."""
    x, one_by_one = rng.random(shape), np.random.default_rng(7)
    spikes = encode.poisson(x, 9, np.random.default_rng(7), max_rate=0.5)
    assert spikes.dtype == bool
    assert spikes.shape == (9, *shape)
    draw = lambda p: bool(one_by_one.random(dtype=np.float32) < np.float32(0.5 * p))
    expected = [[draw(p) for p in x.ravel()] for t in range(9)]
    assert spikes.reshape(9, -1).tolist() == expected
    draws = np.random.default_rng(7).random(shape, np.float32)
    none = encode.poisson(draws, 1, np.random.default_rng(7))
    assert not none.any(), "p must be more than the draw: p = 0 never spikes"


def test_poisson_has_the_mean_and_variance_of_a_binomial_train():
    steps, units, sigmas = 500, 2000, 5
    for p in (0.0, 0.003, 0.1, 0.5, 0.97, 1.0):
        spikes = encode.poisson(np.full(units, p), steps, np.random.default_rng(3))
        count, var = spikes.sum(0), steps * p * (1 - p)
        fourth = var * (1 + 3 * (steps - 2) * p * (1 - p))      # central moment of the binomial distribution
        assert abs(count.mean() - steps * p) <= sigmas * math.sqrt(var / units)
        assert abs(count.var() - var) <= sigmas * math.sqrt(max(fourth - var**2, 0) / units) + var / units
        if 0 < p < 1:
            # steps know nothing of each other, nor do units
            z = (spikes - p) / math.sqrt(p * (1 - p))
            assert abs((z[1:] * z[:-1]).mean()) <= sigmas / math.sqrt((steps - 1) * units)
            assert abs((z[:, 1:] * z[:, :-1]).mean()) <= sigmas / math.sqrt(steps * (units - 1))


def test_random_codes_depend_on_their_generator_only(rng):
    x = (rng.random((6, 5, 4)) * 256).astype(np.float32) / 256          # exact in every type below

    def poisson(x, steps, rng):
        return encode.poisson(x, steps, rng, 0.75)

    def rbf_poisson(x, steps, rng):
        return encode.rbf_poisson(x, 5, steps, rng, 0.75)

    for code in (poisson, rbf_poisson):
        np.random.seed(1)
        random.seed(1)
        first = code(x, 11, np.random.default_rng(5))
        np.random.seed(2)
        random.seed(2)
        for same in (x, x.astype(np.float64), np.asfortranarray(x), x[::-1][::-1], x.tolist()):
            assert code(same, 11, np.random.default_rng(5)).tobytes() == first.tobytes()
        shorter = code(x, 7, np.random.default_rng(5))
        assert shorter.tobytes() == first[:7].tobytes(), "a longer train begins with the shorter one"
        assert code(x, 11, np.random.default_rng(6)).tobytes() != first.tobytes()
        once = np.random.default_rng(5)
        assert code(x, 11, once).tobytes() != code(x, 11, once).tobytes(), "the generator moves on"


# ---- rate

@pytest.mark.parametrize("max_rate", (1, 0.5))
def test_rate_is_an_integrate_and_fire_neuron(max_rate):
    x = np.arange(65) / 64
    spikes = encode.rate(x, 150, max_rate)
    assert spikes.dtype == bool
    for unit in range(65):
        v = Fraction(1, 2)              # exact: no rounding in the oracle, none in x
        for t in range(150):
            v += Fraction(unit, 64) * Fraction(max_rate)
            assert spikes[t, unit] == (v >= 1), (unit, t)
            v -= spikes[t, unit]
        gaps = np.diff(np.flatnonzero(spikes[:, unit]))
        assert gaps.size == 0 or gaps.max() - gaps.min() <= 1, "as even as can be"


@some
@given(st.lists(fraction, min_size=1, max_size=6), st.integers(1, 200), st.sampled_from((1.0, 0.3)))
def test_rate_comes_back_to_half_a_spike_after_any_number_of_steps(x, steps, max_rate):
    spikes = encode.rate(x, steps, max_rate)
    for t in {1, (steps + 1) // 2, steps}:
        error = np.abs(encode.decode_rate(spikes[:t], max_rate) - x)
        assert (error <= 1 / (2 * t * max_rate) + 4 * EPS).all()


def test_rate_of_any_shape(rng):
    for shape in SHAPES:
        x = rng.random(shape)
        spikes = encode.rate(x, 12)
        assert spikes.shape == (12, *shape)
        assert encode.decode_rate(spikes).shape == shape
        assert (spikes.sum(0) == np.floor(12 * x + 0.5)).all()
    assert encode.rate(np.array([0, 1], np.uint8), 3).tolist() == [[False, True]] * 3
    assert encode.rate([False, True], 3).tolist() == [[False, True]] * 3


def test_decoders_take_spikes_and_counts(rng):
    dense = rng.random((8, 2, 6)) < 0.4
    counts = rng.poisson(0.7, (8, 2, 6))
    for x in (dense, counts):
        spikes = Spikes.from_dense(x)
        assert np.allclose(encode.decode_rate(spikes), x.sum(0) / 8, rtol=8 * EPS)
        assert (encode.decode_delta(spikes, 0.5) == encode.decode_delta(x, 0.5)).all()
        assert (encode.decode_population(spikes, 3) == encode.decode_population(x, 3)).all()
        assert (encode.decode_thermometer(spikes, 3) == encode.decode_thermometer(x, 3)).all()
        assert (encode.decode_latency(spikes) == encode.decode_latency(x)).all()


# ---- latency

def test_latency_example_of_snntorch():
    """From the documentation of snntorch.spikegen.latency (linear, normalised over 5 steps)."""
    spikes = encode.latency([0.02, 0.5, 1], 5)
    assert spikes.astype(int).tolist() == [[0, 0, 1], [0, 0, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize("shape", SHAPES)
def test_linear_latency_element_by_element(rng, shape):
    x = rng.random(shape)
    spikes = encode.latency(x, 13, threshold=0.2)
    assert spikes.dtype == bool
    assert spikes.shape == (13, *shape)
    for place in np.ndindex(shape):
        expected = [False] * 13
        if x[place] >= 0.2:
            expected[round(12 * (1 - float(x[place])))] = True
        assert spikes[(slice(None), *place)].tolist() == expected


@some
@given(st.lists(fraction, min_size=1, max_size=6), st.integers(2, 300), st.floats(0.001, 0.5))
def test_linear_latency_comes_back_to_half_a_step(x, steps, threshold):
    spikes = encode.latency(x, steps, threshold=threshold)
    back = encode.decode_latency(spikes, threshold=threshold)
    x = np.array(x)
    sent = x >= threshold
    assert (np.abs(back - x)[sent] <= 1 / (2 * (steps - 1)) + 4 * EPS).all()
    assert (back[~sent] == 0).all()


@pytest.mark.parametrize(("tau", "threshold"), ((10.0, 0.05), (3.0, 0.5), (200.0, 0.01)))
def test_latency_with_tau_is_when_the_membrane_reaches_the_threshold(tau, threshold):
    """v = x (1 - exp(-t / tau)) is solved for the time of the threshold.

    A value that reaches it between two bins is left out.
    """
    x, steps = np.linspace(0, 1, 201), 60
    spikes = encode.latency(x, steps, tau, threshold)
    checked = 0
    for value, unit in zip(x, spikes.T, strict=True):
        t = math.inf
        if value > threshold:
            t = brentq(lambda t, x=value: x * -math.expm1(-t / tau) - threshold, 0, 1e3 * tau, xtol=1e-10)
        if t < math.inf and abs(t % 1 - 0.5) < 1e-6:
            continue
        assert np.flatnonzero(unit).tolist() == ([round(t)] if t < steps - 0.5 else []), value
        checked += 1
    assert checked > 190
    assert 3 < spikes.any(0).sum() < 201


@some
@given(st.lists(fraction, min_size=1, max_size=6), st.integers(2, 300), st.floats(0.5, 500),
       st.floats(0.001, 0.9))
def test_latency_with_tau_comes_back_within_its_bin(x, steps, tau, threshold):
    spikes = encode.latency(x, steps, tau, threshold)
    back = encode.decode_latency(spikes, tau, threshold)

    def value_at(t):
        return threshold / (1 - math.exp(-t / tau)) if t > 0 else math.inf
    for v, unit, decoded in zip(x, spikes.T, back, strict=True):
        if unit.any():
            t = int(np.flatnonzero(unit)[0])
            h = min(1, value_at(t - 0.5))
            assert abs(v - decoded) <= h * (h - threshold) / (2 * tau * threshold) + 1e-12 / threshold
            assert 0 < decoded <= 1 + 4 * EPS
        else:
            assert decoded == 0
            assert v <= value_at(steps - 0.5) * (1 + 1e-9)


def test_what_stays_silent():
    x = np.array([0.0, 0.099, 0.1, 0.101, 1.0])
    with np.errstate(all="raise"):
        assert encode.latency(x, 40, threshold=0.1).any(0).tolist() == [False, False, True, True, True]
        late = encode.latency(x, 40, 10.0, 0.1).any(0).tolist()
        assert late == [False, False, False, False, True], "0.101 comes after 46 steps"
        assert encode.latency(x, 60, 10.0, 0.1).any(0).tolist() == [False, False, False, True, True]
        silence = np.zeros((40, 5), bool)
        assert (encode.decode_latency(silence) == 0).all()
        assert (encode.decode_latency(silence, 10.0, 0.1) == 0).all()


# ---- delta

def by_hand(signal, threshold, start, limit):
    """One channel, one comparison at a time: (up, down) counts of each step."""
    level, sent = start, []
    for value in signal:
        up = down = 0
        while value - level >= threshold and up < limit:
            level, up = level + threshold, up + 1
        while level - value >= threshold and down < limit:
            level, down = level - threshold, down + 1
        sent.append((up, down))
    return sent


@pytest.mark.parametrize("limit", (None, 1, 2))
@pytest.mark.parametrize("start", (None, 0.0, "array"))
def test_delta_against_one_comparison_at_a_time(rng, start, limit):
    # multiples of 1/32: crossings are exact
    signal = (rng.normal(size=(60, 3, 2)).cumsum(0) * 32).round() / 32
    start = rng.integers(-8, 8, (3, 2)) / 8 if start == "array" else start
    first = signal[0] if start is None else np.broadcast_to(start, (3, 2))
    spikes = encode.delta(signal, 0.25, start, limit)
    assert spikes.shape == (60, 3, 4)
    assert spikes.dtype == (bool if limit == 1 else np.uint16)
    assert spikes.sum() > 200
    assert limit is not None or spikes.max() > 2
    for b in range(3):
        for c in range(2):
            want = by_hand(signal[:, b, c], 0.25, first[b, c], limit or math.inf)
            assert spikes[:, b, 2 * c:2 * c + 2].tolist() == [list(k) for k in want]


@some
@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1, 1)), min_size=2, max_size=40),
       st.floats(0.05, 50), st.booleans())
def test_delta_comes_back_to_less_than_a_threshold(signal, threshold, from_zero):
    signal = np.array(signal)
    start = 0.0 if from_zero else None
    spikes = encode.delta(signal, threshold, start)
    back = encode.decode_delta(spikes, threshold, signal[0] if start is None else start)
    assert back.shape == signal.shape
    assert (np.abs(signal - back) < threshold + 16 * EPS * np.abs(signal).max()).all()
    assert not (spikes[:, ::2].astype(bool) & spikes[:, 1::2].astype(bool)).any(), "never up and down at once"


def test_delta_with_a_limit_catches_up():
    signal = np.repeat([0.0, 5.3, -2.1], (3, 20, 20))[:, None]
    spikes = encode.delta(signal, 0.5, limit=1)
    back = encode.decode_delta(spikes, 0.5)[:, 0]
    assert spikes[3:13, 0].all()
    assert not spikes[13:23].any()
    assert (np.abs(signal[:, 0] - back)[[*range(3), *range(13, 23), *range(38, 43)]] < 0.5).all()
    assert abs(signal[3, 0] - back[3]) == pytest.approx(4.8)


def test_a_slow_drift_is_seen_by_delta_only():
    drift = np.linspace(0, 1, 201)[:, None]
    assert encode.delta(drift, 0.03).sum() == 33
    assert not encode.level_crossing(drift, 0.03, window=0).any()


def test_a_change_of_exactly_the_threshold_counts():
    signal = np.array([0.0, 0.25, 0.125, -0.125, -0.125])[:, None]
    want = [[0, 0], [1, 0], [0, 0], [0, 1], [0, 0]]
    assert encode.level_crossing(signal, 0.25, window=0).astype(int).tolist() == want
    assert encode.delta(signal, 0.25).tolist() == want
    assert encode.delta(signal[:2] * -3, 0.25).tolist() == [[0, 0], [0, 3]]
    code = encode.ternary([-0.25, 0.25, -0.26, 0.26, 0], 0.25)
    assert code.tolist() == [0, 0, -1, 1, 0], "here it must be more"


# ---- Savitzky-Golay

def smoothed(signal):
    """The five-point cubic filter with the weights of Savitzky and Golay's table (1964).

    The two samples at each end are left out.
    """
    w = (-3, 12, 17, 12, -3)
    return sum(w[i] / 35 * signal[i:len(signal) - 4 + i] for i in range(5))


def test_smoothing_is_that_of_savitzky_and_golay(rng):
    signal = rng.normal(size=(80, 3, 2)).cumsum(0) * 0.05
    clean = smoothed(signal)
    change = np.diff(clean, axis=0)
    inside = encode.level_crossing(signal, 0.03)[3:-2]          # steps whose both samples are inner ones
    assert (inside[..., ::2] == (change >= 0.03)).all()
    assert (inside[..., 1::2] == (change <= -0.03)).all()
    assert (inside != encode.level_crossing(signal, 0.03, window=0)[3:-2]).any()
    back = encode.decode_delta(encode.delta(signal, 0.03, 0.0, window=5), 0.03)
    assert (np.abs(back[2:-2] - clean) < 0.03 + 1e-12).all()
    assert (np.abs(back - signal) >= 0.03).any()


# ---- ternary

@some
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=20), st.floats(0.01, 0.9))
def test_ternary_and_back(x, threshold):
    code = encode.ternary(x, threshold)
    assert code.dtype == np.int8
    assert code.tolist() == [(v > threshold) - (-threshold > v) for v in x]
    assert encode.ternary(np.reshape(x, (1, -1)), threshold).shape == (1, len(x))
    back = encode.decode_ternary(code, threshold)
    assert (np.abs(back - x) <= max(threshold, (1 - threshold) / 2) + EPS).all()
    assert (np.abs(encode.decode_ternary(code, threshold, 3.0)) <= np.abs(code) * (threshold + 3) / 2).all()
