"""Convolution and pooling: against loops and PyTorch, networks of pictures, bits, what is refused."""

import numpy as np
import pytest
from scripts import run_script

import numsnn as ns
from numsnn.devices.contract import Geometry
from numsnn.devices.cpu import device as cpu
from numsnn.devices.cpu.conv_plan import planned
from numsnn.devices.reference import device as reference
from numsnn.layers.pool import AvgPool2d, MaxPool2d, SumPool2d

GEOMETRIES = [      # channels in and out, kernel, stride, padding, dilation, rows, columns
    (2, 5, 3, 1, 1, 1, 7, 6),
    (3, 4, (3, 2), (2, 1), (1, 0), (1, 2), 9, 8),
    (1, 3, 1, 1, 0, 1, 4, 4),
    (2, 3, 5, 3, 2, 1, 8, 11),
]
POOLS = [(AvgPool2d, "avg"), (SumPool2d, "sum"), (MaxPool2d, "max")]


def slow_convolution(x, weight, bias, stride, padding, dilation):
    """The sum of the docstring, place by place; x (R, C, H, W)."""
    (o_n, c_n, kh, kw), (_, _, h_n, w_n) = weight.shape, x.shape
    (sh, sw), (ph, pw), (dh, dw) = (np.broadcast_to(v, 2) for v in (stride, padding, dilation))
    out = [(h_n + 2 * ph - dh * (kh - 1) - 1) // sh + 1, (w_n + 2 * pw - dw * (kw - 1) - 1) // sw + 1]
    y = np.empty((len(x), o_n, *out))
    for place in np.ndindex(y.shape):
        r, o, oh, ow = place
        total = bias[o]
        for c, i, j in np.ndindex(c_n, kh, kw):
            h, w = oh * sh + i * dh - ph, ow * sw + j * dw - pw
            if 0 <= h < h_n and 0 <= w < w_n:
                total += weight[o, c, i, j] * x[r, c, h, w]
        y[place] = total
    return y


def network(g, device, **options):
    n_in, n_out, kernel, stride, padding, dilation, rows, columns = g
    layer = ns.Conv2d(n_in, n_out, kernel, stride=stride, padding=padding, dilation=dilation,
                      bias=("normal", 0, 1))
    return ns.Network(layer, input_shape=(n_in, rows, columns), device=device, seed=1, **options)


@pytest.mark.parametrize("device", ["cpu", "reference"])
@pytest.mark.parametrize("g", GEOMETRIES)
def test_against_a_loop(g, device):
    rng = np.random.default_rng(0)
    shape = (3, 2, g[0], g[6], g[7])
    x = rng.normal(size=shape)
    spikes = rng.integers(0, 3, shape) * (rng.random((3, 2, 1, 1, 1)) < 0.9)
    net = network(g, device, dtype="float64")
    weight, bias = net.params["conv0.weight"], net.params["conv0.bias"]
    for values in (x, spikes):
        want = slow_convolution(values.reshape(6, *values.shape[2:]), weight, bias, *g[3:6])
        got = net.run(values)[0]
        assert got.shape == (3, 2, *want.shape[1:])
        assert np.abs(got.reshape(want.shape) - want).max() < 1e-13
        flat = values.reshape(3, 2, -1)
        flat = ns.Spikes.from_dense(flat) if values is spikes else flat
        assert np.array_equal(net.run(flat)[0], got)
        assert np.array_equal(net.step(values[1])[0], got[1])


@pytest.mark.parametrize("g", GEOMETRIES)
def test_convolution_against_torch(g):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    rng = np.random.default_rng(1)
    shape = (3, 2, g[0], g[6], g[7])
    for device in ("cpu", "reference"):
        for x in (rng.normal(size=shape), rng.random(shape) < 0.2):
            net = network(g, device, dtype="float64")
            w = torch.tensor(net.params["conv0.weight"], requires_grad=True)
            b = torch.tensor(net.params["conv0.bias"], requires_grad=True)
            xt = torch.tensor(x.reshape(6, *x.shape[2:]).astype(float), requires_grad=True)
            yt = torch.nn.functional.conv2d(xt, w, b, *g[3:6])
            y, _, tape = net.forward(x)
            dy = rng.normal(size=y.shape)
            yt.backward(torch.tensor(dy.reshape(yt.shape)))
            grads, _, dx = net.backward(tape, dy, want_dx=True)
            ours = (y, grads["conv0.weight"], grads["conv0.bias"], dx)
            for mine, theirs in zip(ours, (yt.detach(), w.grad, b.grad, xt.grad), strict=True):
                assert np.abs(mine.ravel() - theirs.numpy().ravel()).max() < 1e-12


def random_geometry(rng):
    """A convolution of any kind; every fourth has pictures as wide as several vectors."""
    while True:
        size = rng.integers(1, 12, 2) + (rng.integers(0, 4) == 0) * rng.integers(0, 40, 2)
        kernel, stride = rng.integers(1, 5, 2), rng.integers(1, 4, 2)
        padding, dilation = rng.integers(0, 5, 2), rng.integers(1, 4, 2)
        out = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        if out.min() >= 1:
            channels = int(rng.integers(1, 6))
            pairs = (size, kernel, stride, padding, dilation, out)
            return Geometry(channels, *(tuple(map(int, pair)) for pair in pairs))


def on_both_devices(g, n_out, dtype, rng, pictures=(2, 3)):
    """(of the CPU, of the reference, number of terms of the largest sum), from values and from Spikes.

    For y, dweight, dbias and dx.
    """
    units, terms = g.channels * g.size[0] * g.size[1], g.channels * g.kernel[0] * g.kernel[1]
    weight = rng.normal(size=(n_out, g.channels, *g.kernel)).astype(dtype)
    bias = rng.normal(size=n_out).astype(dtype)
    counts = rng.integers(1, 3, (*pictures, units))
    counts = counts * (rng.random((*pictures, units)) < 0.2) * (rng.random((*pictures, 1)) < 0.6)
    for x in (rng.normal(size=(*pictures, units)).astype(dtype), ns.Spikes.from_dense(counts)):
        y = [device.conv_forward(x, weight, bias, g) for device in (cpu, reference)]
        yield *y, terms
        dy = rng.normal(size=y[0].shape).astype(dtype)
        both = [device.conv_backward(x, weight, dy, g, True) for device in (cpu, reference)]
        yield from zip(*both, (dy.size // n_out,) * 2 + (terms * n_out,), strict=True)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_any_geometry_on_both_devices(dtype):
    """Values, weights and counts are of order 1.

    A sum of n terms is then right to n eps times the largest terms (up to 4 * 4 * 2).
    """
    rng = np.random.default_rng(7)
    for n_out in list(range(1, 10)) * 4 + [16, 32, 33]:
        g = random_geometry(rng)
        for mine, theirs, terms in on_both_devices(g, n_out, dtype, rng):
            assert mine.shape == theirs.shape and mine.dtype == dtype
            assert np.abs(mine - theirs).max() < 32 * terms * np.finfo(dtype).eps, g


@pytest.mark.parametrize(("g", "n_out"), [
    # whole vectors of places and of channels
    (Geometry(3, (40, 64), (3, 3), (1, 1), (1, 1), (1, 1), (40, 64)), 16),
    # fills the cache: one picture a group
    (Geometry(16, (34, 47), (5, 5), (1, 1), (2, 2), (1, 1), (34, 47)), 17),
    (Geometry(2, (30, 63), (3, 3), (2, 2), (1, 1), (1, 1), (15, 32)), 48),
])
def test_large_pictures_on_both_devices(g, n_out):
    for mine, theirs, terms in on_both_devices(g, n_out, "float32", np.random.default_rng(8), (3, 5)):
        assert np.abs(mine - theirs).max() < 32 * terms * np.finfo("float32").eps


def test_no_pictures():
    g = Geometry(2, (5, 6), (3, 3), (1, 1), (1, 1), (1, 1), (5, 6))
    weight, bias = np.ones((4, 2, 3, 3)), np.ones(4)
    for x in (np.zeros((3, 0, 60)), ns.Spikes.from_dense(np.zeros((3, 0, 60)))):
        y = cpu.conv_forward(x, weight, bias, g)
        dweight, dbias, dx = cpu.conv_backward(x, weight, y, g, True)
        assert y.shape == (3, 0, 120) and dx.shape == (3, 0, 60)
        assert not dweight.any() and not dbias.any()


def test_a_picture_does_not_depend_on_its_neighbours():
    """The same bits alone and among others, from values and from events, in narrow and in wide pictures."""
    rng = np.random.default_rng(9)
    for size in ((7, 13), (9, 40)):
        g = Geometry(3, size, (3, 3), (1, 1), (1, 1), (1, 1), size)
        places = size[0] * size[1]
        weight = rng.normal(size=(21, 3, 3, 3)).astype("float32")
        bias = rng.normal(size=21).astype("float32")
        x = rng.normal(size=(5, 4, 3 * places)).astype("float32")
        dy = rng.normal(size=(5, 4, 21 * places)).astype("float32")
        whole, dx = cpu.conv_forward(x, weight, bias, g), cpu.conv_backward(x, weight, dy, g, True)[2]
        spikes = ns.Spikes.from_dense(x > 1.5)
        events = cpu.conv_forward(spikes, weight, bias, g)
        for t, b in np.ndindex(5, 4):
            one = slice(t, t + 1), slice(b, b + 1)
            assert np.array_equal(cpu.conv_forward(x[one], weight, bias, g), whole[one])
            assert np.array_equal(cpu.conv_backward(x[one], weight, dy[one], g, True)[2], dx[one])
            assert np.array_equal(cpu.conv_forward(spikes[t:t + 1].select([b]), weight, bias, g), events[one])


def test_short_registers(tmp_path):
    """The same with vectors of 16 bytes and no fused instruction, in a process with an empty cache."""
    script = """
import test_conv
from numsnn.devices.cpu import lanes
assert lanes.REGISTER == 16, lanes.REGISTER
test_conv.test_any_geometry_on_both_devices("float32")
test_conv.test_a_picture_does_not_depend_on_its_neighbours()
print("done")
"""
    done = run_script(script, beside=__file__, NUMBA_CACHE_DIR=tmp_path, NUMBA_CPU_NAME="generic",
                      NUMBA_CPU_FEATURES="")
    assert done.stdout.strip() == "done", done.stderr


@pytest.mark.parametrize("device", ["cpu", "reference"])
@pytest.mark.parametrize(("layer", "kind"), POOLS)
@pytest.mark.parametrize(("kernel", "stride"), [(2, None), ((2, 3), None), (3, 2), (2, (1, 3))])
def test_pooling_against_a_loop_and_torch(layer, kind, kernel, stride, device):
    rng = np.random.default_rng(2)
    x = rng.integers(-3, 4, (2, 3, 2, 8, 9)).astype(float)            # with equal values in a window
    net = ns.Network(layer(kernel, stride=stride), input_shape=(2, 8, 9), dtype="float64", device=device)
    y, _, tape = net.forward(x)
    (kh, kw), (sh, sw) = np.broadcast_to(kernel, 2), np.broadcast_to(kernel if stride is None else stride, 2)
    want = np.empty(y.shape)
    for place in np.ndindex(y.shape):
        t, b, c, h, w = place
        window = x[t, b, c, h * sh:h * sh + kh, w * sw:w * sw + kw]
        assert window.shape == (kh, kw)
        want[place] = {"avg": window.mean, "sum": window.sum, "max": window.max}[kind]()
    assert np.abs(y - want).max() < 1e-14
    dy = rng.normal(size=y.shape)
    dx = net.backward(tape, dy, want_dx=True)[2].reshape(x.shape)
    assert abs(dx.sum() - dy.sum() * (kh * kw if kind == "sum" else 1)) < 1e-10
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    xt = torch.tensor(x.reshape(6, 2, 8, 9), requires_grad=True)
    f = torch.nn.functional.max_pool2d if kind == "max" else torch.nn.functional.avg_pool2d
    yt = f(xt, kernel, stride) * (kh * kw if kind == "sum" else 1)
    yt.backward(torch.tensor(dy.reshape(yt.shape)))
    assert np.abs(dx.reshape(xt.shape) - xt.grad.numpy()).max() < 1e-12


def pictures(device, dtype="float32", **more):
    learn = ("alpha", "beta", "v_threshold", "v_reset")
    analog = ns.LIAF((3, 6, 6), per_channel=learn, learn=learn, surrogate="multi_gaussian", activation="tanh")
    spiking = ns.ALIF((4, 2, 2), learn=("tau_mem", "tau_adp"), per_channel="tau_mem")
    return ns.Network(ns.Conv2d(2, 3, 3, padding=1), analog, ns.AvgPool2d(2), ns.Conv2d(3, 4, 2), spiking,
                      ns.Dense(16, 3), ns.OverTime("mean"),
                      input_shape=(2, 6, 6), seed=4, device=device, dtype=dtype, **more)


def test_gradients_of_a_network_of_pictures():
    """Analog and spiking convolutions, pooling, one threshold a channel; every parameter."""
    rng = np.random.default_rng(3)
    net = pictures("reference")
    assert net.params["liaf0.v_threshold"].shape == (3,)
    assert net.params["alif0.tau_mem"].shape == (4,)
    assert net.params["alif0.tau_adp"].shape == (16,)
    x, labels = rng.normal(0.5, 1, (9, 3, 72)), rng.integers(0, 3, 3)
    assert max(ns.check_gradients(net, x, labels).values()) < 1e-6
    spikes, labels = rng.random((9, 3, 2, 6, 6)) < 0.3, rng.integers(0, 3, 3)
    assert max(ns.check_gradients(net, spikes.reshape(9, 3, 72), labels).values()) < 1e-6


def spiking_pictures(device):
    return ns.Network(ns.Conv2d(2, 3, 3, padding=1), ns.LIF((3, 6, 6), learn="tau_mem"), ns.MaxPool2d(2),
                      ns.Conv2d(3, 4, 2), ns.LIF((4, 2, 2)), ns.Conv2d(4, 3, 2), ns.OverTime("sum"),
                      input_shape=(2, 6, 6), seed=4, device=device, dtype="float64")


def test_spiking_pictures_feed_convolutions_with_events():
    """LIF in front of a convolution: events on the CPU, values on the reference; equal to rounding."""
    rng = np.random.default_rng(5)
    x, labels = rng.normal(0.5, 1, (7, 5, 2, 6, 6)), rng.integers(0, 3, 5)
    answers, gradients = [], []
    for device in ("cpu", "reference"):
        net = spiking_pictures(device)
        y, _, seen = net.run(x, record={"lif0": "spike"})
        assert seen["lif0"]["spike"].shape == (7, 5, 3, 6, 6)
        assert 0.05 < seen["lif0"]["spike"].mean() < 0.9
        answers.append(y)
        gradients.append(net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels).grads)
    assert np.abs(answers[0] - answers[1]).max() < 1e-12
    for name in gradients[0]:
        assert np.abs(gradients[0][name] - gradients[1][name]).max() < 1e-11, name


def test_bits_do_not_depend_on_threads_batch_or_chunks():
    rng = np.random.default_rng(6)
    x, labels = rng.normal(0.5, 1, (6, 7, 72)).astype(np.float32), rng.integers(0, 3, 7)
    net, before, seen = pictures("cpu"), ns.get_num_threads(), []
    try:
        for threads in (1, 2, 4):
            ns.set_num_threads(threads)
            result = net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels)
            grads = {name: g.tobytes() for name, g in result.grads.items()}
            seen.append((net.run(x)[0].tobytes(), result.loss, grads))
    finally:
        ns.set_num_threads(before)
    assert seen[0] == seen[1] == seen[2]
    whole = net.run(x)[0]
    assert np.array_equal(pictures("cpu", chunk=3).run(x)[0], whole)
    assert np.array_equal(net.run(x[:, 2:4])[0], whole[2:4])


def test_same_padding_keeps_the_size():
    layer = ns.Conv2d(2, 3, (3, 5), dilation=(1, 2), padding="same")
    assert layer.connect((2, 7, 9)) == (3, 7, 9)
    assert layer.padding == (1, 4) and layer.config()["padding"] == (1, 4)


def test_saved_and_described(tmp_path):
    net = pictures("reference")
    ns.save(net, tmp_path / "net.h5")
    x = np.random.default_rng(0).normal(size=(4, 2, 2, 6, 6))
    back = ns.load(tmp_path / "net.h5")
    assert np.array_equal(back.run(x)[0], net.run(x)[0]) and back.input_shape == (2, 6, 6)
    text = net.summary()
    assert "(T, B, 3, 6, 6)" in text and "Conv2d(2, 3, 3)" in text and "AvgPool2d(2)" in text


def test_initialisers_count_the_kernel():
    variances = {"xavier_uniform": 1 / ((200 * 9 + 100 * 9) / 2), "kaiming_normal": 2 / (200 * 9)}
    for name, variance in variances.items():
        net = ns.Network(ns.Conv2d(200, 100, 3, weight=name), input_shape=(200, 3, 3), device="reference")
        std = net.params["conv0.weight"].std()
        assert abs(std - np.sqrt(variance)) < 0.02 * std


def on_pictures(*layers, **more):
    return ns.Network(*layers, input_shape=(2, 8, 8), **more)


@pytest.mark.parametrize(("make", "words"), [
    (lambda: ns.Network(ns.Conv2d(2, 3)), "input_shape=\\(channels, rows, columns\\)"),
    (lambda: ns.Network(ns.Conv2d(2, 3), input_shape=(1, 8, 8)),
     "conv0: expects 2 channels, but 1 arrive; use Conv2d\\(1, 3\\)"),
    (lambda: on_pictures(ns.Conv2d(2, 3, 9)), "is larger than the pictures of 8 x 8"),
    (lambda: on_pictures(ns.Conv2d(2, 3), ns.Dense(9, 2)), "dense0: expects 9 inputs, but 108 arrive"),
    (lambda: on_pictures(ns.Conv2d(2, 3), ns.LIF((3, 8, 8))), "has 192 neurons, but 108 inputs arrive"),
    (lambda: on_pictures(ns.AvgPool2d(9)), "windows of \\(9, 9\\) are larger"),
    (lambda: ns.Network(ns.Dense(8, 4), ns.MaxPool2d(2)), "needs pictures"),
    (lambda: ns.Conv2d(2, 3, 0), "kernel must be a whole number of at least 1"),
    (lambda: ns.Conv2d(2, 3, (3, 4), padding="same"),
     "keeps the size with odd kernels and stride 1; got kernel \\(3, 4\\)"),
    (lambda: ns.Conv2d(2, 3, padding="same", stride=2),
     "and stride \\(2, 2\\). Give the padding as a number"),
    (lambda: ns.Conv2d(2, 3, padding="valid"), "padding must be a whole number of at least 0"),
    (lambda: ns.Network(ns.LIAF(4, per_channel="alpha")), "needs neurons in pictures"),
    (lambda: on_pictures(ns.Conv2d(2, 3), device="reference").run(np.zeros((3, 2, 2, 8, 7))),
     "expected x of shape \\(T, B, 2, 8, 8\\)"),
])
def test_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("padding", [0, 1])
def test_samples_of_larger_arrays(rng, padding):
    """A layer alone in its stage reads and writes some samples of the batch: the same bits."""
    net = ns.Network(ns.Conv2d(2, 5, 3, padding=padding), input_shape=(2, 16, 16), chunk=2)
    layer, x = net.layers["conv0"], rng.standard_normal((4, 5, 512)).astype("float32")
    weight, bias = layer.prepare(None)
    # the gradient of rows that fill vectors is read where it lies, if it is contiguous
    assert planned(layer.geometry, 16).ready == (padding == 1)
    for given in (x, ns.Spikes.from_dense(x > 1)):
        y, _, tape = net.forward(given)
        y = y.reshape(4, 5, -1)
        dy = rng.standard_normal(y.shape).astype("float32")
        grads, _, dx = net.backward(tape, dy, want_dx=True)
        dx, sums = dx.reshape(x.shape), []
        for some in (slice(0, 2), slice(2, 4), slice(4, 5)):
            own = given.select(some) if isinstance(given, ns.Spikes) else given[:, some].copy()
            assert y[:, some].tobytes() == cpu.conv_forward(own, weight, bias, layer.geometry).tobytes()
            dweight, dbias, d = cpu.conv_backward(own, weight, dy[:, some].copy(), layer.geometry, True)
            assert dx[:, some].tobytes() == d.tobytes()
            sums.append((dweight, dbias))
        assert grads["conv0.bias"].tobytes() == (sums[0][1] + sums[1][1] + sums[2][1]).tobytes()
        assert grads["conv0.weight"].tobytes() == (sums[0][0] + sums[1][0] + sums[2][0]).tobytes()
