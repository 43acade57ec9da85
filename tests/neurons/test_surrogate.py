"""Surrogates: slope is the derivative of smooth, values of the papers, no NaN, the same bits compiled."""

import naive
import numpy as np
import pytest
from numba import njit

from numsnn.devices import jit
from numsnn.neurons import surrogate as sg

KINKS = {"rectangle": (-0.5, 0.5), "box": (-0.5, 0.5), "symmetric_exponential": (0,),
         "triangle": (-1, 0, 1), "exponential": (0,), "superspike": (0,)}

# papers.md section 0: gamma = .5, sigma = .5, h = .15, s = 6; x = 0, .25, .5, 1, 2
GOLDEN = {"gaussian": (.398942, .352065, .241971, .053991, .000134),
          "multi_gaussian": (.439112, .385269, .258858, .043452, -.015696),
          # by hand from the same densities: N(0; 0, 3) = .132981
          "double_gaussian": (.438837, .384997, .258594, .043220, -.015818),
          "triangle": (.5, .375, .25, 0, 0),
          "exponential": (.5, .143252, .041042, .003369, .000023)}


def test_the_table_is_full():
    assert len(sg.SURROGATES) >= 11
    assert set(sg.SURROGATES) == set(naive.PSI)


@pytest.mark.parametrize("name", sg.SURROGATES)
def test_slope_is_the_derivative_of_smooth(name):
    s = sg.SURROGATES[name]()
    k, h = s.typed(np.float64), 1e-6
    x = np.linspace(-4, 4, 4001) + 1e-5
    for kink in KINKS.get(name, ()):
        x = x[np.abs(x - kink) > 1e-4]
    numeric = (s.smooth(x + h, k) - s.smooth(x - h, k)) / (2 * h)
    assert np.abs(numeric - s.slope(x, k)).max() < 1e-8


@pytest.mark.parametrize("name", sg.SURROGATES)
def test_slope_is_the_formula(name):
    x = np.linspace(-3, 3, 601) + 1e-5
    exact = np.array([naive.PSI[name](v) for v in x])
    assert np.abs(sg.SURROGATES[name]()(x) - exact).max() < 1e-13


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_values(name):
    x = np.array([0, .25, .5, 1, 2])
    for sign in (1, -1):
        assert np.abs(sg.SURROGATES[name]()(sign * x) - GOLDEN[name]).max() < 5.1e-7


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.parametrize("name", sg.SURROGATES)
def test_finite_everywhere_and_precision_kept(name, dtype):
    s = sg.SURROGATES[name]()
    k = s.typed(dtype)
    x = np.array([0, -0.0, 1e-30, 1, 50, -50, 1e18, -1e18, 1e38, -1e38, np.inf, -np.inf], dtype)
    with np.errstate(over="ignore"):
        for function in (s.spike, s.smooth, s.slope):
            y = function(x, k)
            assert y.dtype == dtype
            assert np.isfinite(y).all(), function.__name__


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.parametrize("name", sg.SURROGATES)
def test_compiled_equals_numpy_bit_for_bit(name, dtype):
    jit.prepare()
    s = sg.SURROGATES[name]()
    spike, slope, k = s.spike, s.slope, s.typed(dtype)

    @njit(error_model="numpy")
    def compiled(x, k, y, z):
        for i in range(x.size):
            y[i], z[i] = spike(x[i], k), slope(x[i], k)

    x = np.concatenate([np.linspace(-20, 20, 200_001), [0, -0.0, np.inf, -np.inf]]).astype(dtype)
    y, z = np.empty_like(x), np.empty_like(x)
    compiled(x, k, y, z)
    assert y.tobytes() == spike(x, k).tobytes()
    assert z.tobytes() == slope(x, k).tobytes()


def test_comparators():
    x = np.zeros(1)
    s = sg.gaussian()
    assert s.spike(x, s.constants) == 0
    assert s.with_comparator(">=").spike(x, s.constants) == 1
    assert s.hard and not s.smoothed().hard
    with pytest.raises(ValueError, match="comparator must be one of"):
        s.with_comparator("==")


def test_get_and_bad_names():
    assert sg.get("atan") == sg.atan()
    assert sg.get("slayer") == sg.exponential()
    assert set(sg.ALIASES.values()) <= set(sg.SURROGATES)
    assert sg.get({"name": "gaussian", "sigma": 0.3}).parameters == {"gamma": 0.5, "sigma": 0.3}
    with pytest.raises(ValueError, match="unknown surrogate .step..*multi_gaussian"):
        sg.get("step")
    with pytest.raises(ValueError, match="sigma must be a positive number; got -1"):
        sg.gaussian(sigma=-1)


def test_relu_in_place_of_the_spike():
    """The analog twin of a spiking network: exact gradients without smoothing, nothing travels as events."""
    import numsnn as ns
    rng = np.random.default_rng(0)
    x, labels = rng.normal(0.5, 1, (8, 5, 3)), rng.integers(0, 2, 5)
    for device in ("reference", "cpu"):
        net = ns.Network(
            ns.Dense(3, 6, weight=("normal", 0, 1)),
            ns.ALIF(6, recurrent=True, recurrent_init=("normal", 0, 0.3), surrogate="relu"),
            ns.Dense(6, 2), ns.OverTime("mean"), dtype="float64", device=device)
        assert not net.layers["alif0"].emits_events
        assert max(ns.check_gradients(net, x, labels).values()) < 1e-7
        _, _, seen = net.run(x, record={"alif0": ("v", "theta", "spike")})
        v, theta, spike = seen["alif0"].values()
        assert np.array_equal(spike, np.maximum(v - theta, 0))
        assert len(np.unique(spike)) > 20
        grads = net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels).grads
        same = net.smoothed().loss_and_gradients(ns.loss.CrossEntropy(), x, labels).grads
        assert all(np.array_equal(grads[name], same[name]) for name in grads)
