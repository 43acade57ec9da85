"""The dialect: accurate, the same bits compiled and in NumPy, never NaN for a number."""

import numpy as np
import pytest
from numba import njit

from numsnn.devices import jit
from numsnn.neurons import elementwise as ew

EXACT = {"exp": np.exp, "expm1": np.expm1, "tanh": np.tanh, "sigmoid": lambda x: 1 / (1 + np.exp(-x))}
RANGE = {np.float32: (-87, 88), np.float64: (-708, 709)}


def arguments(dtype):
    low, high = RANGE[dtype]
    tiny = np.geomspace(1e-30, 1, 5_001)
    wide, narrow = np.linspace(low, high, 400_001), np.linspace(-2, 2, 200_001)
    return np.concatenate([wide, narrow, tiny, -tiny, [0.0]]).astype(dtype)


@pytest.mark.parametrize("dtype", RANGE)
@pytest.mark.parametrize("name", EXACT)
def test_accuracy_is_two_units_in_the_last_place(name, dtype):
    x = arguments(dtype)
    y = getattr(ew, name)(x)
    exact = EXACT[name](x.astype(np.longdouble))
    error = np.abs(y - exact) / np.maximum(np.abs(exact), np.finfo(dtype).tiny)
    assert y.dtype == dtype
    assert error.max() < 2 * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", RANGE)
@pytest.mark.parametrize("name", EXACT)
def test_compiled_equals_numpy_bit_for_bit(name, dtype):
    jit.prepare()
    function = getattr(ew, name)

    @njit(error_model="numpy")
    def compiled(x, y):
        for i in range(x.size):
            y[i] = function(x[i])

    x = np.concatenate([arguments(dtype), np.array([np.nan, np.inf, -np.inf, -0.0, 1e30, -1e30], dtype)])
    y = np.empty_like(x)
    compiled(x, y)
    with np.errstate(all="ignore"):
        assert y.tobytes() == function(x).tobytes()


@pytest.mark.parametrize("dtype", RANGE)
def test_powers_of_a_half(dtype):
    """half_to is accurate, the same compiled, clamped, and hands a NaN on."""
    jit.prepare()
    most = {np.float32: 125, np.float64: 1021}[dtype]
    wide, tiny = np.linspace(0, most, 400_001), np.geomspace(1e-30, 2, 5_001)
    x = np.concatenate([wide, tiny, [0.0, 1e9, np.inf, np.nan]]).astype(dtype)
    y, compiled = ew.half_to(x), np.empty_like(x)

    @njit(error_model="numpy")
    def run(x, y):
        for i in range(x.size):
            y[i] = ew.half_to(x[i])

    run(x, compiled)
    exact = np.exp2(-np.minimum(x, dtype(most)).astype(np.longdouble))
    assert compiled.tobytes() == y.tobytes()
    assert y.dtype == dtype
    assert (np.abs(y - exact) / exact)[:-1].max() < 2 * np.finfo(dtype).eps
    assert np.isnan(y[-1])
    assert y[-4] == 1


@pytest.mark.parametrize("dtype", RANGE)
def test_clamped_and_nan(dtype):
    edge = np.array([np.nan, np.inf, -np.inf, 1e5, -1e5], dtype)
    with np.errstate(all="ignore"):
        results = {name: getattr(ew, name)(edge) for name in EXACT}
    for y in results.values():
        assert np.isnan(y[0])
        assert np.isfinite(y[1:]).all()
    assert (results["tanh"][1:] == [1, -1, 1, -1]).all()
    assert ew.tanh(np.zeros(1, dtype)).tobytes() == np.zeros(1, dtype).tobytes()


@pytest.mark.parametrize("dtype", RANGE)
def test_primitives_compiled_equal_numpy(dtype):
    values = np.array([0.0, -0.0, 1, -1, np.nan, np.inf, -np.inf, 3], dtype)
    a, b = (g.ravel() for g in np.meshgrid(values, values))

    @njit
    def compiled(a, b, low, high, more, least):
        for i in range(a.size):
            low[i], high[i] = ew.minimum(a[i], b[i]), ew.maximum(a[i], b[i])
            more[i], least[i] = ew.greater(a[i], b[i]), ew.greater_equal(a[i], b[i])

    out = [np.empty_like(a) for _ in range(4)]
    compiled(a, b, *out)
    functions = (ew.minimum, ew.maximum, ew.greater, ew.greater_equal)
    for compiled_result, function in zip(out, functions, strict=True):
        expected = function(a, b)
        assert expected.dtype == dtype
        assert compiled_result.tobytes() == expected.tobytes(), function.__name__
    assert np.isnan(ew.minimum(values[4], values[2])), "a NaN in the first argument stays"


def test_constants_are_exact_in_float32():
    assert [float(c) for c in (ew.ZERO, ew.HALF, ew.ONE, ew.TWO)] == [0, 0.5, 1, 2]
    assert all(type(c) is np.float32 for c in (ew.ZERO, ew.HALF, ew.ONE, ew.TWO))
