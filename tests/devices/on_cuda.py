"""The CUDA device against the reference and the CPU: arrays, products, pooling, populations.

test_cuda.py runs the files on_cuda*.py: on the GPU where there is one (`pytest tests/devices/on_cuda*.py`;
`-m gpu` for the comparison with the CPU at real sizes alone), where products are fused with sums and bits
differ; else in Numba's simulator, where the forward pass has the bits of the reference.
"""

import warnings

import numpy as np
import pytest
from cuda_compare import SIMULATED, SMALL, check_population, close, same, small  # noqa: F401

import numsnn as ns
from numsnn.devices.cuda import (
    array as cuda_array,
    dense as cuda_dense,
    device as cuda,
    driver as cuda_driver,
    product as cuda_product,
    spikes as cuda_spikes,
)
from numsnn.devices.reference import device as reference

# ---- arrays


def test_arrays():
    a = np.arange(24, dtype=np.float32).reshape(4, 3, 2)
    there = cuda_array.put(a)
    assert there.shape == (4, 3, 2) and there.nbytes == a.nbytes and len(there) == 4 and there.ndim == 3
    assert np.array_equal(there, a)
    assert np.array_equal(there[1:3], a[1:3])
    assert np.array_equal(there.reshape(-1, 2), a.reshape(-1, 2))
    assert np.array_equal(there[2:2], a[2:2])
    assert np.array_equal(there + a, 2 * a)
    assert np.array_equal(np.float32(3) * there, 3 * a)
    other = there.copy()
    there[...] = 7
    assert (np.asarray(there) == 7).all() and np.array_equal(other, a)
    other -= there
    assert np.array_equal(other, a - 7) and other.astype(np.float32, copy=False) is other
    assert np.array_equal(cuda_array.zeros((2, 5), np.float64), np.zeros((2, 5)))
    with pytest.raises(TypeError, match="GPU"):
        there[0]
    with pytest.raises(ValueError, match="GPU"):
        there + a[:2]
    with pytest.raises(TypeError, match="GPU"):
        there.astype(np.float64)


def test_memory_is_not_shared_by_arrays_that_are_held():
    arrays = [cuda_array.put(np.full(5, i, np.float32)) for i in range(6)]
    views = [a[1:3] for a in arrays[::2]]
    del arrays[::2]
    more = [cuda_array.put(np.full(5, 10 + i, np.float32)) for i in range(4)]
    assert [int(np.asarray(v)[0]) for v in views] == [0, 2, 4]
    assert [int(np.asarray(a)[4]) for a in more] == [10, 11, 12, 13]


@pytest.mark.parametrize("units", [1, 31, 32, 70])
def test_spikes_as_bits(units):
    rng = np.random.default_rng(0)
    x = ns.Spikes.from_dense(rng.random((3, 4, units)) < 0.4)
    there = cuda.put(x)
    assert np.array_equal(there.dense(), x.dense())
    assert np.array_equal(cuda_spikes.packed(there.dense()).dense(), x.dense())
    in_order = np.concatenate([np.arange(s, s + c) for s, c in zip(x.start, x.count, strict=True)])
    assert np.array_equal(there.index, x.index[in_order])
    assert np.array_equal(there.count, x.count)
    assert np.array_equal(there[1:].dense(), x.dense()[1:]) and there.rate == x.rate
    counts = ns.Spikes.from_dense(rng.integers(0, 3, (3, 4, units)))
    assert np.array_equal(cuda.put(counts), counts.dense())


def test_kernels_that_numba_keeps_elsewhere_are_started_in_its_own_way(monkeypatch):
    """A new version of numba-cuda may keep them elsewhere: that is said, and everything works."""
    def absent(*_):
        raise AttributeError("it has no handle")
    monkeypatch.setattr(cuda_driver, "_known", {})
    monkeypatch.setattr(cuda_driver._Ready, "__init__", absent)
    a = cuda_array.put(np.arange(5, dtype=np.float32))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert np.array_equal((a + a) + a, 3 * np.arange(5))
    expected = "numba-cuda keeps its kernels elsewhere (it has no handle)"
    own = [str(w.message) for w in said if expected in str(w.message)]
    assert len(own) == (0 if SIMULATED else 1)


def test_what_the_driver_refuses_is_said():
    if not SIMULATED:
        with pytest.raises(RuntimeError, match="the GPU failed: CUDA_ERROR_.* in cuLaunchKernel"):
            a = cuda_array.put(np.zeros(3, np.float32))
            one = np.float32(1)
            for threads in (32, 2048):      # the first compiles the kernel, the second is refused
                cuda_array.launch(cuda_array._add(), 1, threads, a, a, one, one, a, 3)


# ---- products


@pytest.mark.parametrize("kind", ["spikes", "counts", "values"])
def test_dense(kind):
    rng = np.random.default_rng(1)
    shape = (5, 3, 13)
    x = {"spikes": rng.random(shape) < 0.3, "counts": rng.integers(0, 3, shape),
         "values": rng.standard_normal(shape).astype(np.float32)}[kind]
    x = x if kind == "values" else ns.Spikes.from_dense(x)
    weight, bias, dy = (rng.standard_normal(s).astype(np.float32) for s in ((13, 7), (7,), (5, 3, 7)))
    assert same(cuda.dense_forward(x, weight, bias), reference.dense_forward(x, weight, bias), 13)
    found, wanted = (loops.dense_backward(x, weight, dy, True) for loops in (cuda, reference))
    for a, b in zip(found, wanted, strict=True):
        assert close(a, b, 15)
    assert cuda.dense_backward(x, weight, dy, False)[2] is None


@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("shape", [(1, 1, 1), (4, 4, 4), (5, 9, 3), (3, 1, 11)])
def test_products(shape, turned):
    rng = np.random.default_rng(2)
    m, n, k = (size if SMALL else 17 * size for size in shape)
    a, b = (rng.standard_normal(s).astype(np.float32) for s in ((m, k), (k, n)))
    a_turned, b_turned = turned
    left = cuda_array.put(np.ascontiguousarray(a.T) if a_turned else a)
    right = cuda_array.put(np.ascontiguousarray(b.T) if b_turned else b)
    found = cuda_product.product(left, right, a_turned=a_turned, b_turned=b_turned)
    assert close(found, a @ b, k)


@pytest.mark.parametrize("units", [1, 32, 45])
@pytest.mark.parametrize("columns", [3, 150])
def test_weights_of_spikes_have_a_fixed_order(units, columns):
    """The rows in which a unit spikes, segment by segment: what a plain loop adds."""
    rng, rows, n_out = np.random.default_rng(4), 9 if SMALL else 600, min(columns, 40) if SMALL else columns
    x, dy = rng.random((rows, 1, units)) < 0.3, rng.standard_normal((rows, n_out)).astype(np.float32)
    wanted = np.zeros((units, n_out), np.float32)
    for first in range(0, rows, cuda_dense.SEGMENT):
        part = np.zeros_like(wanted)
        for r in range(first, min(first + cuda_dense.SEGMENT, rows)):
            part[x[r, 0]] += dy[r]
        wanted += part
    spikes = cuda.put(ns.Spikes.from_dense(x))
    found = cuda_dense.outer(spikes.bits, units, cuda_array.put(dy))
    assert np.asarray(found).tobytes() == wanted.tobytes()


def test_sums_have_a_fixed_order():
    """Segments of rows, then their sums in order: what a plain loop adds."""
    a = np.random.default_rng(3).standard_normal((21 if SMALL else 777, 3)).astype(np.float32)
    parts = a
    while True:
        segments = [parts[s:s + cuda_dense.SEGMENT] for s in range(0, len(parts), cuda_dense.SEGMENT)]
        from_zero = [np.concatenate((np.zeros((1, 3), np.float32), s)) for s in segments]
        parts = np.array([np.add.accumulate(s)[-1] for s in from_zero])
        if len(parts) == 1:
            break
    assert np.asarray(cuda_dense.sum_rows(cuda_array.put(a))).tobytes() == parts[0].tobytes()
    assert np.array_equal(cuda_dense.sum_rows(cuda_array.put(a[:0])), np.zeros(3))
    squares = (a.astype(float) ** 2).sum()
    found = cuda.square_sums([cuda_array.put(a), cuda_array.put(2 * a)])
    assert np.allclose(found, [squares, 4 * squares], rtol=1e-5)
    assert np.isclose(cuda.euclidean([cuda_array.put(a), 2 * a]), (5 * squares) ** 0.5, rtol=1e-5)
    b, c = a.copy(), a.copy()
    b[3, 1], c[20, 2] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        found = cuda.finite([cuda_array.put(a), a, cuda_array.put(b), b, cuda_array.put(c)])
        assert not np.isfinite(cuda.euclidean([cuda_array.put(a), cuda_array.put(c)]))
        assert np.isnan(cuda.euclidean([b, cuda_array.put(a)]))
    assert found == [True, True, False, False, False]


@pytest.mark.parametrize("more", [
    {},
    {"stride": 2, "padding": 1},
    {"kernel": (2, 3), "stride": (1, 2), "padding": (1, 2), "dilation": (2, 1)},
], ids=str)
@pytest.mark.parametrize("kind", ["spikes", "values"])
def test_convolution(kind, more):
    rng = np.random.default_rng(9)
    net = ns.Network(ns.Conv2d(2, 3, **more), device="reference", input_shape=(2, 5, 6))
    layer = net.layers["conv0"]
    shape = (2, 2, 60)
    if kind == "spikes":
        x = ns.Spikes.from_dense(rng.random(shape) < 0.3)
    else:
        x = rng.standard_normal(shape).astype(np.float32)
    weight = rng.standard_normal(layer.params["weight"].shape).astype(np.float32)
    bias = rng.standard_normal(3).astype(np.float32)
    dy = rng.standard_normal((2, 2, layer.size_out)).astype(np.float32)
    g = layer.geometry
    found, wanted = (loops.conv_forward(x, weight, bias, g) for loops in (cuda, reference))
    assert close(found, wanted, 30)
    for want_dx in (True, False):
        found, wanted = (loops.conv_backward(x, weight, dy, g, want_dx) for loops in (cuda, reference))
        assert all(close(a, b, 200) for a, b in zip(found[:2 + want_dx], wanted, strict=False))
        assert (found[2] is None) == (not want_dx)


@pytest.mark.parametrize("how", [(2, None), ((2, 3), (1, 2))], ids=str)
def test_pooling(how):
    """Windows beside each other and windows that overlap; of equal values the first."""
    rng, (kernel, stride) = np.random.default_rng(10), how
    net = ns.Network(ns.MaxPool2d(kernel, stride=stride), device="reference", input_shape=(2, 4, 5))
    g = net.layers["pool0"].windows
    x = rng.integers(0, 3, (2, 2, 40)).astype(np.float32)
    (y, taken), (wanted, place) = (loops.max_pool_forward(x, g) for loops in (cuda, reference))
    dy = rng.standard_normal(wanted.shape).astype(np.float32)
    assert same(y, wanted)
    assert close(cuda.max_pool_backward(taken, dy, g), reference.max_pool_backward(place, dy, g), 6)
    assert same(cuda.sum_pool_forward(x, g, 0.25), reference.sum_pool_forward(x, g, 0.25), 6)
    assert close(cuda.sum_pool_backward(dy, g, 0.25), reference.sum_pool_backward(dy, g, 0.25), 6)
    padded = ns.SumPool2d(3, stride=stride, padding=(1, 2))
    n = np.prod(padded.connect((2, 4, 5)))
    g, dy = padded.windows, rng.standard_normal((2, 2, n)).astype(np.float32)
    assert same(cuda.sum_pool_forward(x, g, 0.25), reference.sum_pool_forward(x, g, 0.25), 9)
    assert close(cuda.sum_pool_backward(dy, g, 0.25), reference.sum_pool_backward(dy, g, 0.25), 9)


# ---- populations

POPULATIONS = {
    "LIF": lambda n: ns.LIF(n),
    "LIF, hard reset": lambda n: ns.LIF(n, reset="hard"),
    "LI": lambda n: ns.LI(n),
    "LIAF": lambda n: ns.LIAF(n, learn="alpha"),
    "ALIF": lambda n: ns.ALIF(n, learn=("tau_mem", "tau_adp", "beta", "v_threshold"), v_threshold=0.05),
    "ALIF, v": lambda n: ns.ALIF(n, output="v"),
    "ARLIF": lambda n: ns.ARLIF(n, threshold="learned"),
    "LIF, recurrent": lambda n: ns.LIF(n, recurrent=True, learn="tau_mem", v_threshold=0.4),
    "LIF, v recurs": lambda n: ns.LIF(n, recurrent="v"),
    "LIAF, recurrent": lambda n: ns.LIAF(n, recurrent=True),
    "ALIF, recurrent": lambda n: ns.ALIF(n, recurrent=True, learn=("tau_mem", "tau_adp"), v_threshold=0.05),
    "ALIF, no bias": lambda n: ns.ALIF(n, recurrent=True, recurrent_bias_init=False, v_threshold=0.05,
                                       surrogate="superspike"),
    "SimpleRNN": lambda n: ns.SimpleRNN(n),
}


@pytest.mark.parametrize("lengths", [None, (4, 0, 3)], ids=["whole", "padded"])
@pytest.mark.parametrize("kind", POPULATIONS)
def test_population(kind, lengths):
    """One neuron a thread and, on a GPU, several."""
    for n in (6,) if SIMULATED else (7, 33, 1100):
        check_population(POPULATIONS[kind], n, 4, 3, lengths)


@pytest.mark.parametrize("kind", [kind for kind in POPULATIONS if "recur" in kind])
def test_more_neurons_than_the_bits_of_a_word(kind):
    check_population(POPULATIONS[kind], 33, 2, 1)
