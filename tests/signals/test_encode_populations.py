"""Receptive fields and thermometers: against formulas written another way, and back."""

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import norm

from numsnn.signals import encode

EPS = np.finfo(np.float64).eps
some = settings(max_examples=60, deadline=None, derandomize=True, database=None)
fraction = st.floats(0, 1, allow_subnormal=False)


# ---- populations

def test_rbf_of_the_srnn(rng):
    """The density of SciPy's normal distribution at the centres of the authors' script.

    They start at -1 / (N - 2).
    """
    x, n = rng.random((7, 3, 1)), 80
    centres = np.array([(2 * i - 2) / 2 / (n - 2) for i in range(n)])
    sigma = 1 / (n - 2)
    y = encode.rbf(x, n, offset=-1, density=True)
    assert y.dtype == np.float32
    assert y.shape == (7, 3, n)
    density = norm.pdf(x, centres, sigma)
    # x and centre, up to n spacings, in float32
    tolerance = n * np.finfo(np.float32).eps * density.max()
    assert np.abs(y - density).max() <= tolerance
    clear = np.abs(density - 0.2) > tolerance
    on = encode.rbf_threshold(x, n, 0.2, offset=-1, density=True)
    assert on.dtype == bool
    assert (on == (density > 0.2))[clear].all()
    assert clear.mean() > 0.99


def test_rbf_of_bohte():
    """One field at a time.

    Centres m = 1 .. n at low + (2 m - 3) / 2 (high - low) / (n - 2), width (high - low) / (1.5 (n - 2)).
    """
    low, high, n = -3.0, 5.0, 7
    for x in np.linspace(-4, 6, 23):
        y = encode.rbf([x], n, low=low, high=high, width=1 / 1.5)
        for m in range(1, n + 1):
            mu = low + (2 * m - 3) / 2 * (high - low) / (n - 2)
            sigma = (high - low) / (1.5 * (n - 2))
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
    low = 2.0**40
    near = encode.rbf([0.25, 0.5], 9)
    far = encode.rbf([low + 0.25, low + 0.5], 9, low=low, high=low + 1)
    assert near.tobytes() == far.tobytes()


def test_rbf_poisson_has_the_rates_of_its_fields():
    x, steps, copies = np.array([0.1, 0.55, 0.9]), 200, 400
    spikes = encode.rbf_poisson(np.tile(x, (copies, 1)), 8, steps, np.random.default_rng(2), max_rate=0.5)
    p = 0.5 * encode.rbf(x, 8).astype(np.float64)
    assert (np.abs(spikes.mean((0, 1)) - p) <= 5 * np.sqrt(p * (1 - p) / (steps * copies)) + 2.0**-24).all()
    back = encode.decode_population(spikes.sum((0, 1)), 8)
    assert (np.abs(back - x) < 0.4 / 6).all()


@some
@given(st.lists(fraction, min_size=1, max_size=8), st.integers(3, 90), st.floats(-20, 20),
       st.floats(0.1, 30), st.floats(0.33, 0.88))
def test_populations_come_back_by_their_centre_of_mass(x, n, low, span, threshold):
    x, high = low + span * np.array(x), low + span
    x = np.minimum(x, high)
    spacing = (high - low) / (n - 2)
    rounding = 64 * EPS * (abs(low) + span) + 1e-5 * span / (n - 2)
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


# ---- thermometer

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
