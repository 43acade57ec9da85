"""Encoders and decoders: against naive loops and formulas written another way, statistics, round trips."""

import math
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.optimize import brentq
from scipy.stats import norm

from numsnn import Spikes
from numsnn.signals import encode

EPS = np.finfo(np.float64).eps
some = settings(max_examples=60, deadline=None, derandomize=True, database=None)
fraction = st.floats(0, 1, allow_subnormal=False)
SHAPES = ((), (5,), (2, 3), (2, 1, 3), (0, 3))


# ---- poisson ------------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("shape", SHAPES)
def test_poisson_draws_one_float32_for_each_unit_and_step(rng, shape):
    """Element by element, in the order time, then units."""
    x, one_by_one = rng.random(shape), np.random.default_rng(7)
    spikes = encode.poisson(x, 9, np.random.default_rng(7), max_rate=0.5)
    assert spikes.dtype == bool
    assert spikes.shape == (9, *shape)
    expected = [[bool(one_by_one.random(dtype=np.float32) < np.float32(0.5 * p)) for p in x.ravel()] for t in range(9)]
    assert spikes.reshape(9, -1).tolist() == expected
    draws = np.random.default_rng(7).random(shape, np.float32)
    assert not encode.poisson(draws, 1, np.random.default_rng(7)).any(), "p must be more than the draw: p = 0 never spikes"


def test_poisson_has_the_mean_and_variance_of_a_binomial_train():
    steps, units, sigmas = 500, 2000, 5
    for p in (0.0, 0.003, 0.1, 0.5, 0.97, 1.0):
        spikes = encode.poisson(np.full(units, p), steps, np.random.default_rng(3))
        count, var = spikes.sum(0), steps * p * (1 - p)
        fourth = var * (1 + 3 * (steps - 2) * p * (1 - p))              # central moment of the binomial distribution
        assert abs(count.mean() - steps * p) <= sigmas * math.sqrt(var / units)
        assert abs(count.var() - var) <= sigmas * math.sqrt(max(fourth - var**2, 0) / units) + var / units
        if 0 < p < 1:                                                   # steps know nothing of each other, nor do units
            z = (spikes - p) / math.sqrt(p * (1 - p))
            assert abs((z[1:] * z[:-1]).mean()) <= sigmas / math.sqrt((steps - 1) * units)
            assert abs((z[:, 1:] * z[:, :-1]).mean()) <= sigmas / math.sqrt(steps * (units - 1))


def test_random_codes_depend_on_their_generator_only(rng):
    x = (rng.random((6, 5, 4)) * 256).astype(np.float32) / 256          # exact in every type below
    for code in (lambda x, steps, rng: encode.poisson(x, steps, rng, 0.75),
                 lambda x, steps, rng: encode.rbf_poisson(x, 5, steps, rng, 0.75)):
        np.random.seed(1)
        random.seed(1)
        first = code(x, 11, np.random.default_rng(5))
        np.random.seed(2)
        random.seed(2)
        for same in (x, x.astype(np.float64), np.asfortranarray(x), x[::-1][::-1], x.tolist()):
            assert code(same, 11, np.random.default_rng(5)).tobytes() == first.tobytes()
        assert code(x, 7, np.random.default_rng(5)).tobytes() == first[:7].tobytes(), "a longer train begins with the shorter one"
        assert code(x, 11, np.random.default_rng(6)).tobytes() != first.tobytes()
        once = np.random.default_rng(5)
        assert code(x, 11, once).tobytes() != code(x, 11, once).tobytes(), "the generator moves on"


# ---- rate ---------------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("max_rate", (1, 0.5))
def test_rate_is_an_integrate_and_fire_neuron(max_rate):
    x = np.arange(65) / 64
    spikes = encode.rate(x, 150, max_rate)
    assert spikes.dtype == bool
    for unit in range(65):
        v = Fraction(1, 2)                                              # exact: no rounding in the oracle, none in x
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
        assert (np.abs(encode.decode_rate(spikes[:t], max_rate) - x) <= 1 / (2 * t * max_rate) + 4 * EPS).all()


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


# ---- latency ------------------------------------------------------------------------------------------------------------------------

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
    back, x = encode.decode_latency(encode.latency(x, steps, threshold=threshold), threshold=threshold), np.array(x)
    sent = x >= threshold
    assert (np.abs(back - x)[sent] <= 1 / (2 * (steps - 1)) + 4 * EPS).all()
    assert (back[~sent] == 0).all()


@pytest.mark.parametrize(("tau", "threshold"), ((10.0, 0.05), (3.0, 0.5), (200.0, 0.01)))
def test_latency_with_tau_is_when_the_membrane_reaches_the_threshold(tau, threshold):
    """v = x (1 - exp(-t / tau)) is solved for the time of the threshold; a value that reaches it between two bins is left out."""
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
@given(st.lists(fraction, min_size=1, max_size=6), st.integers(2, 300), st.floats(0.5, 500), st.floats(0.001, 0.9))
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
        assert encode.latency(x, 40, 10.0, 0.1).any(0).tolist() == [False, False, False, False, True], "0.101 comes after 46 steps"
        assert encode.latency(x, 60, 10.0, 0.1).any(0).tolist() == [False, False, False, True, True]
        silence = np.zeros((40, 5), bool)
        assert (encode.decode_latency(silence) == 0).all()
        assert (encode.decode_latency(silence, 10.0, 0.1) == 0).all()


# ---- delta --------------------------------------------------------------------------------------------------------------------------

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
    signal = (rng.normal(size=(60, 3, 2)).cumsum(0) * 32).round() / 32      # multiples of 1/32: crossings are exact
    start = rng.integers(-8, 8, (3, 2)) / 8 if start == "array" else start
    first = signal[0] if start is None else np.broadcast_to(start, (3, 2))
    spikes = encode.delta(signal, 0.25, start, limit)
    assert spikes.shape == (60, 3, 4)
    assert spikes.dtype == (bool if limit == 1 else np.uint16)
    assert spikes.sum() > 200
    assert limit is not None or spikes.max() > 2
    for b in range(3):
        for c in range(2):
            assert spikes[:, b, 2 * c:2 * c + 2].tolist() == \
                [list(k) for k in by_hand(signal[:, b, c], 0.25, first[b, c], limit or math.inf)]


@some
@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1, 1)), min_size=2, max_size=40), st.floats(0.05, 50), st.booleans())
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
    assert encode.level_crossing(signal, 0.25, window=0).astype(int).tolist() == [[0, 0], [1, 0], [0, 0], [0, 1], [0, 0]]
    assert encode.delta(signal, 0.25).tolist() == [[0, 0], [1, 0], [0, 0], [0, 1], [0, 0]]
    assert encode.delta(signal[:2] * -3, 0.25).tolist() == [[0, 0], [0, 3]]
    assert encode.ternary([-0.25, 0.25, -0.26, 0.26, 0], 0.25).tolist() == [0, 0, -1, 1, 0], "here it must be more"


# ---- Savitzky-Golay -----------------------------------------------------------------------------------------------------------------

def smoothed(signal):
    """The five-point cubic filter with the weights of Savitzky and Golay's table (1964), without the two samples at each end."""
    w = (-3, 12, 17, 12, -3)
    return sum(w[i] / 35 * signal[i:len(signal) - 4 + i] for i in range(5))


def test_smoothing_is_that_of_savitzky_and_golay(rng):
    signal = rng.normal(size=(80, 3, 2)).cumsum(0) * 0.05
    clean = smoothed(signal)
    change = np.diff(clean, axis=0)
    inside = encode.level_crossing(signal, 0.03)[3:-2]                      # steps whose both samples are inner ones
    assert (inside[..., ::2] == (change >= 0.03)).all()
    assert (inside[..., 1::2] == (change <= -0.03)).all()
    assert (inside != encode.level_crossing(signal, 0.03, window=0)[3:-2]).any()
    back = encode.decode_delta(encode.delta(signal, 0.03, 0.0, window=5), 0.03)
    assert (np.abs(back[2:-2] - clean) < 0.03 + 1e-12).all()
    assert (np.abs(back - signal) >= 0.03).any()


# ---- ternary ------------------------------------------------------------------------------------------------------------------------

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


# ---- populations --------------------------------------------------------------------------------------------------------------------

def test_rbf_of_the_srnn(rng):
    """The density of SciPy's normal distribution at the centres of the authors' script, which start at -1 / (N - 2)."""
    x, n = rng.random((7, 3, 1)), 80
    centres, sigma = np.array([(2 * i - 2) / 2 / (n - 2) for i in range(n)]), 1 / (n - 2)
    y = encode.rbf(x, n, offset=-1, density=True)
    assert y.dtype == np.float32
    assert y.shape == (7, 3, n)
    density = norm.pdf(x, centres, sigma)
    tolerance = n * np.finfo(np.float32).eps * density.max()                # x and centre, up to n spacings, in float32
    assert np.abs(y - density).max() <= tolerance
    clear = np.abs(density - 0.2) > tolerance
    on = encode.rbf_threshold(x, n, 0.2, offset=-1, density=True)
    assert on.dtype == bool
    assert (on == (density > 0.2))[clear].all()
    assert clear.mean() > 0.99


def test_rbf_of_bohte():
    """Centres m = 1 .. n at low + (2 m - 3) / 2 (high - low) / (n - 2), width (high - low) / (1.5 (n - 2)), one field at a time."""
    low, high, n = -3.0, 5.0, 7
    for x in np.linspace(-4, 6, 23):
        y = encode.rbf([x], n, low=low, high=high, width=1 / 1.5)
        for m in range(1, n + 1):
            mu, sigma = low + (2 * m - 3) / 2 * (high - low) / (n - 2), (high - low) / (1.5 * (n - 2))
            assert y[m - 1] == pytest.approx(math.exp(-(((x - mu) / sigma) ** 2) / 2), abs=n * 2.0**-23)
    assert encode.rbf([low + 0.5 * (high - low) / (n - 2)], n, low=low, high=high).max() == 1


def test_units_lie_channel_by_channel(rng):
    x, n = rng.random((4, 2, 3)), 6
    for code in (encode.rbf, encode.rbf_threshold, encode.thermometer):
        whole = code(x, n)
        assert whole.shape == (4, 2, 3 * n)
        for c in range(3):
            assert (whole[..., c * n:(c + 1) * n] == code(x[..., c:c + 1], n)).all()
        assert code(np.zeros((0, 2)), n).shape == (0, 2 * n)
    assert encode.rbf_poisson(x, n, 5, rng).shape == (5, 4, 2, 3 * n)


def test_rbf_far_away_and_far_from_zero():
    with np.errstate(all="raise", under="ignore"):
        assert (encode.rbf([1e300, -1e300, 1e5, -50.0], 9) == 0).all()
    near, far = encode.rbf([0.25, 0.5], 9), encode.rbf([2.0**40 + 0.25, 2.0**40 + 0.5], 9, low=2.0**40, high=2.0**40 + 1)
    assert near.tobytes() == far.tobytes()


def test_rbf_poisson_has_the_rates_of_its_fields():
    x, steps, copies = np.array([0.1, 0.55, 0.9]), 200, 400
    spikes = encode.rbf_poisson(np.tile(x, (copies, 1)), 8, steps, np.random.default_rng(2), max_rate=0.5)
    p = 0.5 * encode.rbf(x, 8).astype(np.float64)
    assert (np.abs(spikes.mean((0, 1)) - p) <= 5 * np.sqrt(p * (1 - p) / (steps * copies)) + 2.0**-24).all()
    back = encode.decode_population(spikes.sum((0, 1)), 8)
    assert (np.abs(back - x) < 0.4 / 6).all()


@some
@given(st.lists(fraction, min_size=1, max_size=8), st.integers(3, 90), st.floats(-20, 20), st.floats(0.1, 30), st.floats(0.33, 0.88))
def test_populations_come_back_by_their_centre_of_mass(x, n, low, span, threshold):
    x, high = low + span * np.array(x), low + span
    x = np.minimum(x, high)
    spacing, rounding = (high - low) / (n - 2), 64 * EPS * (abs(low) + span) + 1e-5 * span / (n - 2)
    fields = {"low": low, "high": high}
    error = np.abs(encode.decode_population(encode.rbf(x, n, **fields), n, **fields) - x)
    assert (error < 0.3 * spacing + rounding).all()
    inner = (x - low > 3 * spacing) & (high - x > 3 * spacing)
    assert (error[inner] < 0.001 * spacing + rounding).all()
    on = encode.rbf_threshold(x, n, threshold, **fields)
    assert on.reshape(len(x), n).any(1).all()
    assert (np.abs(encode.decode_population(on, n, **fields) - x) <= spacing / 2 + rounding).all()


def test_a_silent_population_gives_the_middle_of_its_range():
    activity = np.zeros((2, 10))
    activity[1, 5:] = (0, 3, 0, 1, 0)
    back = encode.decode_population(activity, 5, low=2, high=5, offset=0)
    assert back.tolist() == [[3.5, 3.5], [3.5, 2 + (3 * 1 + 1 * 3) / 4]]


# ---- thermometer --------------------------------------------------------------------------------------------------------------------

@some
@given(st.lists(fraction, min_size=2, max_size=8), st.integers(1, 40), st.floats(-20, 20), st.floats(0.1, 30))
def test_thermometer_and_back(x, n, low, span):
    high = low + span
    x = np.minimum(low + span * np.array(x), high)
    code = encode.thermometer(x, n, low=low, high=high)
    assert code.dtype == bool
    units = code.reshape(len(x), n)
    assert (units[:, :-1] >= units[:, 1:]).all(), "a column without gaps"
    back = encode.decode_thermometer(code, n, low=low, high=high)
    assert (np.abs(back - x) <= span / (2 * n) + 16 * EPS * (abs(low) + span)).all()
    order = np.argsort(x)
    assert (np.diff(units[order].sum(1)) >= 0).all()


def test_thermometer_by_hand():
    x = [0, 0.124, 0.125, 0.4, 0.875, 1]
    columns = encode.thermometer(x, 4).reshape(6, 4).astype(int)
    assert ["".join(map(str, c)) for c in columns] == ["0000", "0000", "1000", "1100", "1111", "1111"]
