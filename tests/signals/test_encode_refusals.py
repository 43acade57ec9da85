"""What the encoders and decoders refuse, with one clear error for each; docstrings name every argument."""

import inspect
import re

import numpy as np
import pytest

from numsnn.signals import encode

RNG = np.random.default_rng(0)
T3 = np.zeros((3, 4))
TEN = np.zeros((10, 2))
REFUSED = (
    (lambda: encode.poisson([0.5, 1.01], 5, RNG),
     r"from 0 to 1; got values from 0.5 to 1.01\. Scale it first"),
    (lambda: encode.poisson([-0.1], 5, RNG), "from 0 to 1"),
    (lambda: encode.poisson(np.array([0, 255], np.uint8), 5, RNG), "from 0 to 255"),
    (lambda: encode.poisson([[0.5, np.nan]], 5, RNG), r"NaN or infinity, first at index \(0, 1\)"),
    (lambda: encode.poisson([1j], 5, RNG), "real numbers; got complex128"),
    (lambda: encode.poisson(["a"], 5, RNG), "real numbers"),
    (lambda: encode.poisson([0.5], 0, RNG), "steps must be a whole number of at least 1; got 0"),
    (lambda: encode.poisson([0.5], 2.0, RNG), "steps must be a whole number"),
    (lambda: encode.poisson([0.5], True, RNG), "steps must be a whole number"),
    (lambda: encode.poisson([0.5], 5, RNG, 0), "max_rate must be above 0 and at most 1; got 0"),
    (lambda: encode.poisson([0.5], 5, RNG, 1.5), "max_rate must be"),
    (lambda: encode.rate([2], 5), "from 0 to 1"),
    (lambda: encode.rate([0.5], -1), "steps must be"),
    (lambda: encode.rate([np.inf], 5), "NaN or infinity"),
    (lambda: encode.rate([0.5], 5, np.nan), "max_rate must be"),
    (lambda: encode.decode_rate(T3, 0), "max_rate must be"),
    (lambda: encode.decode_rate(T3 - 1), "zero or positive; got values down to -1"),
    (lambda: encode.decode_rate(1.0), r"expected spikes \(T, \.\.\.\) with T >= 1 steps; got shape \(\)"),
    (lambda: encode.decode_rate(np.zeros((0, 4))), "T >= 1 steps"),
    (lambda: encode.latency([0.5], 1), "steps must be a whole number of at least 2"),
    (lambda: encode.latency([1.5], 5), "from 0 to 1"),
    (lambda: encode.latency([0.5], 5, threshold=0), "threshold must lie between 0 and 1; got 0"),
    (lambda: encode.latency([0.5], 5, threshold=1), "threshold must lie between"),
    (lambda: encode.latency([0.5], 5, tau=0), "tau must be positive"),
    (lambda: encode.latency([0.5], 5, tau=np.inf), "tau must be positive and finite"),
    (lambda: encode.decode_latency(T3[:1]), "T >= 2 steps"),
    (lambda: encode.decode_latency(T3, tau=-1), "tau must be positive"),
    (lambda: encode.decode_latency(T3, threshold=-1), "threshold must lie between"),
    (lambda: encode.delta(np.zeros(9), 0.1),
     r"expected a signal \(T, \.\.\., channels\) with at least 2 steps; got shape \(9,\)"),
    (lambda: encode.delta(np.zeros((4, 2)), 0.1, window=5), "at least 5 steps"),
    (lambda: encode.delta(TEN, 0), "threshold must be positive"),
    (lambda: encode.delta(TEN, np.nan), "threshold must be positive"),
    (lambda: encode.delta(TEN, np.array([1, 2])), "threshold must be positive"),
    (lambda: encode.delta(TEN + np.nan, 0.1), "NaN or infinity"),
    (lambda: encode.delta(TEN, 0.1, start=np.zeros(3)),
     r"start must be one number or an array \(2,\).*got shape \(3,\)"),
    (lambda: encode.delta(TEN, 0.1, start=np.nan), "start holds NaN"),
    (lambda: encode.delta(TEN, 0.1, limit=0), "limit must be a whole number of at least 1"),
    (lambda: encode.delta(TEN, 0.1, limit=1 << 16), "limit must be at most 65535"),
    (lambda: encode.delta(TEN, 0.1, window=5, order=5), "0 <= order < window; got order 5, window 5"),
    (lambda: encode.delta(np.array([[0.0], [1e6]]), 1.0),
     r"moves by 1e\+06 thresholds in step 1; at most 65535 fit"),
    (lambda: encode.level_crossing(TEN, window=-1), "0 <= order < window"),
    (lambda: encode.decode_delta(np.zeros((4, 3)), 0.1),
     r"units up and down of each channel; got shape \(4, 3\)"),
    (lambda: encode.decode_delta(np.zeros(4), 0.1), "up and down"),
    (lambda: encode.decode_delta(T3, 0), "threshold must be positive"),
    (lambda: encode.decode_delta(T3 - 1, 1), "zero or positive"),
    (lambda: encode.decode_delta(T3, 1, np.zeros(3)), "start must be one number"),
    (lambda: encode.ternary([np.nan], 0.1), "NaN"),
    (lambda: encode.ternary([0.5], -0.1), "threshold must be positive"),
    (lambda: encode.decode_ternary([0.5], 0.1), "-1, 0 and 1; got values from 0.5 to 0.5"),
    (lambda: encode.decode_ternary([1], 0), "threshold must be positive"),
    (lambda: encode.decode_ternary([1], 0.5, 0.5),
     "peak, the largest |x|, must be above the threshold 0.5; got 0.5"),
    (lambda: encode.rbf(0.5, 5), r"an axis of channels, \(\.\.\., C\)"),
    (lambda: encode.rbf([0.5], 2), "n must be a whole number of at least 3; got 2"),
    (lambda: encode.rbf([np.inf], 5), "NaN or infinity"),
    (lambda: encode.rbf([0.5], 5, low=1, high=1), "low < high; got low=1, high=1"),
    (lambda: encode.rbf([0.5], 5, high=np.inf), "low < high"),
    (lambda: encode.rbf([0.5], 5, width=0), "width must be positive"),
    (lambda: encode.rbf([0.5], 5, offset=np.nan), "offset must be a number of spacings"),
    (lambda: encode.rbf([0.5], 5, offset=-1e300), "offset must be a number of spacings"),
    (lambda: encode.rbf_threshold([0.5], 5, 0), "threshold must be positive"),
    (lambda: encode.rbf_threshold([0.5], 0), "n must be"),
    (lambda: encode.rbf_poisson([0.5], 5, 0, RNG), "steps must be"),
    (lambda: encode.rbf_poisson([0.5], 5, 3, RNG, density=True), "leave density out"),
    (lambda: encode.decode_population(np.zeros((2, 7)), 5),
     r"shape \(\.\.\., C n\), 5 units for each channel; got shape \(2, 7\)"),
    (lambda: encode.decode_population(np.zeros(5) - 1, 5), "zero or positive"),
    (lambda: encode.decode_population(np.zeros(5) + np.nan, 5), "NaN"),
    (lambda: encode.decode_population(np.zeros(2), 2), "n must be a whole number of at least 3"),
    (lambda: encode.decode_population(np.zeros(5), 5, offset=np.inf), "offset must be"),
    (lambda: encode.thermometer([0.5], 0), "n must be a whole number of at least 1"),
    (lambda: encode.thermometer([0.5, 1.5], 4),
     r"from low=0.0 to high=1.0; got values from 0.5 to 1.5\. Choose another range"),
    (lambda: encode.thermometer(0.5, 4), "an axis of channels"),
    (lambda: encode.thermometer([0.5], 4, low=2), "low < high"),
    (lambda: encode.decode_thermometer(np.zeros(7), 4), "4 units for each channel"),
    (lambda: encode.decode_thermometer(np.zeros(4), 0), "n must be"),
    (lambda: encode.rate(np.zeros(4), 1 << 40), "steps must lie in 1 ... 1,048,576"),
    (lambda: encode.latency(np.zeros(4), 1 << 31), "steps must lie in 2 ... 1,048,576"),
)


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_bad_input_is_refused(case):
    call, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        call()


def test_every_function_refuses_something():
    source = inspect.getsource(inspect.getmodule(test_bad_input_is_refused)).split("REFUSED = (")[1]
    for name in encode.__all__:
        assert f"encode.{name}(" in source, name


def test_a_seed_is_not_a_generator():
    message = r"rng must be a NumPy generator such as np\.random\.default_rng\(seed\)"
    for rng in (0, None, np.random.RandomState(0)):
        with pytest.raises(TypeError, match=message):
            encode.poisson([0.5], 3, rng)


def test_every_public_function_is_explained():
    for name in encode.__all__:
        function = getattr(encode, name)
        text = inspect.getdoc(function)
        for argument in set(inspect.signature(function).parameters) - {"x", "rng", "spikes", "code"}:
            assert re.search(rf"\b{argument}\b", text), f"{name}: {argument} is not explained"
