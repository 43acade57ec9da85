"""Activations: values and slopes by formulas, no NaN for a number, precision kept, the same bits compiled."""

import naive
import numpy as np
import pytest
from numba import njit

from numsnn.devices import jit
from numsnn.neurons import activation
from numsnn.neurons.activation import ACTIVATIONS

X = np.concatenate((np.linspace(-9, 9, 1001), [-1e30, -1e4, 1e4, 1e30, 1e-7, -1e-7]))


def test_the_table_is_full():
    assert set(ACTIVATIONS) == set(naive.ACTIVATIONS) == {"identity", "relu", "selu", "sigmoid", "tanh"}
    with pytest.raises(ValueError, match="unknown activation 'gelu'; there are identity, relu"):
        activation.get("gelu")


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_and_slopes(name):
    value, slope = naive.ACTIVATIONS[name]
    small = X[np.abs(X) < 20]
    for mine, theirs in ((ACTIVATIONS[name].value, value), (ACTIVATIONS[name].slope, slope)):
        want = np.array([theirs(float(x)) for x in small])
        assert np.abs(mine(small) - want).max() < 1e-14 * max(1, np.abs(want).max())
        assert np.abs(mine(small.astype(np.float32)) - want).max() < 2e-6 * max(1, np.abs(want).max())
        for dtype in (np.float32, np.float64):
            y = np.broadcast_to(mine(X.astype(dtype)), X.shape)
            assert np.isfinite(y).all() and y.dtype in (dtype, np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_same_bits_compiled(name, dtype):
    jit.prepare()
    x = X.astype(dtype)
    for f in (ACTIVATIONS[name].value, ACTIVATIONS[name].slope):
        inner = jit.jitable(f)

        @njit(error_model="numpy")
        def run(x, out, inner=inner):
            for i in range(len(x)):
                out[i] = inner(x[i])

        out = np.empty_like(x)
        run(x, out)
        assert np.array_equal(out, np.broadcast_to(f(x), x.shape))
