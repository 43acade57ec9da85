"""Convolution and pooling: against a loop over everything, against PyTorch, gradients of networks of pictures, bits, what is refused."""


import numpy as np
import pytest
from scripts import run_script

import numsnn as ns
from numsnn.devices.contract import Geometry
from numsnn.devices.cpu import device as cpu
from numsnn.devices.cpu.conv_plan import planned
from numsnn.devices.reference import device as reference
from numsnn.layers.pool import AvgPool2d, MaxPool2d, SumPool2d

GEOMETRIES = [(2, 5, 3, 1, 1, 1, 7, 6), (3, 4, (3, 2), (2, 1), (1, 0), (1, 2), 9, 8), (1, 3, 1, 1, 0, 1, 4, 4), (2, 3, 5, 3, 2, 1, 8, 11)]
POOLS = [(AvgPool2d, "avg"), (SumPool2d, "sum"), (MaxPool2d, "max")]


def slow_convolution(x, weight, bias, stride, padding, dilation):
    """The sum of the docstring, place by place; x (R, C, H, W)."""
    (o_n, c_n, kh, kw), (_, _, h_n, w_n) = weight.shape, x.shape
    (sh, sw), (ph, pw), (dh, dw) = (np.broadcast_to(v, 2) for v in (stride, padding, dilation))
    out = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in ((h_n, ph, dh, kh, sh), (w_n, pw, dw, kw, sw))]
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
    c, o, k, s, p, d, h, w = g
    return ns.Network(ns.Conv2d(c, o, k, stride=s, padding=p, dilation=d, bias=("normal", 0, 1)), input_shape=(c, h, w), device=device, seed=1,
                      **options)


@pytest.mark.parametrize("device", ["cpu", "reference"])
@pytest.mark.parametrize("g", GEOMETRIES)
def test_against_a_loop(g, device):
    rng = np.random.default_rng(0)
    x, spikes = rng.normal(size=(3, 2, g[0], g[6], g[7])), rng.integers(0, 3, (3, 2, g[0], g[6], g[7])) * (rng.random((3, 2, 1, 1, 1)) < 0.9)
    net = network(g, device, dtype="float64")
    for values in (x, spikes):
        want = slow_convolution(values.reshape(6, *values.shape[2:]), net.params["conv0.weight"], net.params["conv0.bias"], *g[3:6])
        got = net.run(values)[0]
        assert got.shape == (3, 2, *want.shape[1:]) and np.abs(got.reshape(want.shape) - want).max() < 1e-13
        flat = ns.Spikes.from_dense(values.reshape(3, 2, -1)) if values is spikes else values.reshape(3, 2, -1)
        assert np.array_equal(net.run(flat)[0], got)
        assert np.array_equal(net.step(values[1])[0], got[1])


@pytest.mark.parametrize("g", GEOMETRIES)
def test_convolution_against_torch(g):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    rng = np.random.default_rng(1)
    for device in ("cpu", "reference"):
        for x in (rng.normal(size=(3, 2, g[0], g[6], g[7])), (rng.random((3, 2, g[0], g[6], g[7])) < 0.2)):
            net = network(g, device, dtype="float64")
            w, b = (torch.tensor(net.params[f"conv0.{name}"], requires_grad=True) for name in ("weight", "bias"))
            xt = torch.tensor(x.reshape(6, *x.shape[2:]).astype(float), requires_grad=True)
            yt = torch.nn.functional.conv2d(xt, w, b, *g[3:6])
            y, _, tape = net.forward(x)
            dy = rng.normal(size=y.shape)
            yt.backward(torch.tensor(dy.reshape(yt.shape)))
            grads, _, dx = net.backward(tape, dy, want_dx=True)
            for mine, theirs in ((y, yt.detach()), (grads["conv0.weight"], w.grad), (grads["conv0.bias"], b.grad), (dx, xt.grad)):
                assert np.abs(mine.ravel() - theirs.numpy().ravel()).max() < 1e-12


def random_geometry(rng):
    """A convolution of any kind; every fourth has pictures as wide as several vectors."""
    while True:
        size = rng.integers(1, 12, 2) + (rng.integers(0, 4) == 0) * rng.integers(0, 40, 2)
        kernel, stride, padding, dilation = rng.integers(1, 5, 2), rng.integers(1, 4, 2), rng.integers(0, 5, 2), rng.integers(1, 4, 2)
        out = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        if out.min() >= 1:
            return Geometry(int(rng.integers(1, 6)), *(tuple(map(int, v)) for v in (size, kernel, stride, padding, dilation, out)))


def on_both_devices(g, n_out, dtype, rng, pictures=(2, 3)):
    """(of the CPU, of the reference, number of terms of the largest sum) for y, dweight, dbias and dx, from values and from Spikes."""
    units, terms = g.channels * g.size[0] * g.size[1], g.channels * g.kernel[0] * g.kernel[1]
    weight, bias = rng.normal(size=(n_out, g.channels, *g.kernel)).astype(dtype), rng.normal(size=n_out).astype(dtype)
    counts = rng.integers(1, 3, (*pictures, units)) * (rng.random((*pictures, units)) < 0.2) * (rng.random((*pictures, 1)) < 0.6)
    for x in (rng.normal(size=(*pictures, units)).astype(dtype), ns.Spikes.from_dense(counts)):
        y = [device.conv_forward(x, weight, bias, g) for device in (cpu, reference)]
        yield *y, terms
        dy = rng.normal(size=y[0].shape).astype(dtype)
        both = [device.conv_backward(x, weight, dy, g, True) for device in (cpu, reference)]
        yield from zip(*both, (dy.size // n_out,) * 2 + (terms * n_out,), strict=True)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_any_geometry_on_both_devices(dtype):
    """Values, weights and counts are of order 1, so that a sum of n terms is right to n eps times the largest terms (up to 4 * 4 * 2)."""
    rng = np.random.default_rng(7)
    for n_out in list(range(1, 10)) * 4 + [16, 32, 33]:
        g = random_geometry(rng)
        for mine, theirs, terms in on_both_devices(g, n_out, dtype, rng):
            assert mine.shape == theirs.shape and mine.dtype == dtype
            assert np.abs(mine - theirs).max() < 32 * terms * np.finfo(dtype).eps, g


@pytest.mark.parametrize(("g", "n_out"), [
    (Geometry(3, (40, 64), (3, 3), (1, 1), (1, 1), (1, 1), (40, 64)), 16),       # whole vectors of places and of channels
    (Geometry(16, (34, 47), (5, 5), (1, 1), (2, 2), (1, 1), (34, 47)), 17),      # fills the cache: one picture a group
    (Geometry(2, (30, 63), (3, 3), (2, 2), (1, 1), (1, 1), (15, 32)), 48)])
def test_large_pictures_on_both_devices(g, n_out):
    for mine, theirs, terms in on_both_devices(g, n_out, "float32", np.random.default_rng(8), (3, 5)):
        assert np.abs(mine - theirs).max() < 32 * terms * np.finfo("float32").eps


def test_no_pictures():
    g = Geometry(2, (5, 6), (3, 3), (1, 1), (1, 1), (1, 1), (5, 6))
    weight, bias = np.ones((4, 2, 3, 3)), np.ones(4)
    for x in (np.zeros((3, 0, 60)), ns.Spikes.from_dense(np.zeros((3, 0, 60)))):
        y = cpu.conv_forward(x, weight, bias, g)
        dweight, dbias, dx = cpu.conv_backward(x, weight, y, g, True)
        assert y.shape == (3, 0, 120) and dx.shape == (3, 0, 60) and not dweight.any() and not dbias.any()


def test_a_picture_does_not_depend_on_its_neighbours():
    """The same bits alone and among others, from values and from events, in narrow and in wide pictures."""
    rng = np.random.default_rng(9)
    for size in ((7, 13), (9, 40)):
        g = Geometry(3, size, (3, 3), (1, 1), (1, 1), (1, 1), size)
        weight, bias = rng.normal(size=(21, 3, 3, 3)).astype("float32"), rng.normal(size=21).astype("float32")
        x, dy = rng.normal(size=(5, 4, 3 * size[0] * size[1])).astype("float32"), rng.normal(size=(5, 4, 21 * size[0] * size[1])).astype("float32")
        whole, dx = cpu.conv_forward(x, weight, bias, g), cpu.conv_backward(x, weight, dy, g, True)[2]
        spikes = ns.Spikes.from_dense(x > 1.5)
        events = cpu.conv_forward(spikes, weight, bias, g)
        for t, b in np.ndindex(5, 4):
            one = slice(t, t + 1), slice(b, b + 1)
            assert np.array_equal(cpu.conv_forward(x[one], weight, bias, g), whole[one])
            assert np.array_equal(cpu.conv_backward(x[one], weight, dy[one], g, True)[2], dx[one])
            assert np.array_equal(cpu.conv_forward(spikes[t:t + 1].select([b]), weight, bias, g), events[one])


def test_short_registers(tmp_path):
    """The same on a processor with vectors of 16 bytes and no fused instruction, in a process of its own with an empty cache."""
    script = """
import test_conv
from numsnn.devices.cpu import lanes
assert lanes.REGISTER == 16, lanes.REGISTER
test_conv.test_any_geometry_on_both_devices("float32")
test_conv.test_a_picture_does_not_depend_on_its_neighbours()
print("done")
"""
    done = run_script(script, beside=__file__, NUMBA_CACHE_DIR=tmp_path, NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="")
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
    return ns.Network(ns.Conv2d(2, 3, 3, padding=1), ns.LIAF((3, 6, 6), per_channel=learn, learn=learn, surrogate="multi_gaussian", activation="tanh"),
                      ns.AvgPool2d(2), ns.Conv2d(3, 4, 2), ns.ALIF((4, 2, 2), learn=("tau_mem", "tau_adp"), per_channel="tau_mem"),
                      ns.Dense(16, 3), ns.OverTime("mean"), input_shape=(2, 6, 6), seed=4, device=device, dtype=dtype, **more)


def test_gradients_of_a_network_of_pictures():
    """Analog and spiking convolutions, pooling, one threshold a channel; every parameter."""
    rng = np.random.default_rng(3)
    net = pictures("reference")
    assert net.params["liaf0.v_threshold"].shape == (3,) and net.params["alif0.tau_mem"].shape == (4,) and net.params["alif0.tau_adp"].shape == (16,)
    assert max(ns.check_gradients(net, rng.normal(0.5, 1, (9, 3, 72)), rng.integers(0, 3, 3)).values()) < 1e-6
    spikes = rng.random((9, 3, 2, 6, 6)) < 0.3
    assert max(ns.check_gradients(net, spikes.reshape(9, 3, 72), rng.integers(0, 3, 3)).values()) < 1e-6


def test_spiking_pictures_feed_convolutions_with_events():
    """LIF in front of a convolution: events on the CPU, values on the reference; gradients agree to rounding."""
    rng = np.random.default_rng(5)
    x, labels = rng.normal(0.5, 1, (7, 5, 2, 6, 6)), rng.integers(0, 3, 5)
    nets = [ns.Network(ns.Conv2d(2, 3, 3, padding=1), ns.LIF((3, 6, 6), learn="tau_mem"), ns.MaxPool2d(2), ns.Conv2d(3, 4, 2), ns.LIF((4, 2, 2)),
                       ns.Conv2d(4, 3, 2), ns.OverTime("sum"), input_shape=(2, 6, 6), seed=4, device=device, dtype="float64")
            for device in ("cpu", "reference")]
    answers, gradients = [], []
    for net in nets:
        y, _, seen = net.run(x, record={"lif0": "spike"})
        assert seen["lif0"]["spike"].shape == (7, 5, 3, 6, 6) and 0.05 < seen["lif0"]["spike"].mean() < 0.9
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
            seen.append((net.run(x)[0].tobytes(), result.loss, {k: v.tobytes() for k, v in result.grads.items()}))
    finally:
        ns.set_num_threads(before)
    assert seen[0] == seen[1] == seen[2]
    whole = net.run(x)[0]
    assert np.array_equal(pictures("cpu", chunk=3).run(x)[0], whole) and np.array_equal(net.run(x[:, 2:4])[0], whole[2:4])


def test_same_padding_keeps_the_size():
    layer = ns.Conv2d(2, 3, (3, 5), dilation=(1, 2), padding="same")
    assert layer.connect((2, 7, 9)) == (3, 7, 9) and layer.padding == (1, 4) and layer.config()["padding"] == (1, 4)


def test_saved_and_described(tmp_path):
    net = pictures("reference")
    ns.save(net, tmp_path / "net.h5")
    x = np.random.default_rng(0).normal(size=(4, 2, 2, 6, 6))
    back = ns.load(tmp_path / "net.h5")
    assert np.array_equal(back.run(x)[0], net.run(x)[0]) and back.input_shape == (2, 6, 6)
    text = net.summary()
    assert "(T, B, 3, 6, 6)" in text and "Conv2d(2, 3, 3)" in text and "AvgPool2d(2)" in text


def test_initialisers_count_the_kernel():
    for name, fans in (("xavier_uniform", (200 * 9 + 100 * 9) / 2), ("kaiming_normal", 200 * 9)):
        net = ns.Network(ns.Conv2d(200, 100, 3, weight=name), input_shape=(200, 3, 3), device="reference")
        std = net.params["conv0.weight"].std()
        assert abs(std - np.sqrt((1 if "xavier" in name else 2) / fans)) < 0.02 * std


@pytest.mark.parametrize(("make", "words"), [
    (lambda: ns.Network(ns.Conv2d(2, 3)), "input_shape=\\(channels, rows, columns\\)"),
    (lambda: ns.Network(ns.Conv2d(2, 3), input_shape=(1, 8, 8)), "conv0: expects 2 channels, but 1 arrive; use Conv2d\\(1, 3\\)"),
    (lambda: ns.Network(ns.Conv2d(2, 3, 9), input_shape=(2, 8, 8)), "is larger than the pictures of 8 x 8"),
    (lambda: ns.Network(ns.Conv2d(2, 3), ns.Dense(9, 2), input_shape=(2, 8, 8)), "dense0: expects 9 inputs, but 108 arrive"),
    (lambda: ns.Network(ns.Conv2d(2, 3), ns.LIF((3, 8, 8)), input_shape=(2, 8, 8)), "has 192 neurons, but 108 inputs arrive"),
    (lambda: ns.Network(ns.AvgPool2d(9), input_shape=(2, 8, 8)), "windows of \\(9, 9\\) are larger"),
    (lambda: ns.Network(ns.Dense(8, 4), ns.MaxPool2d(2)), "needs pictures"),
    (lambda: ns.Conv2d(2, 3, 0), "kernel must be a whole number of at least 1"),
    (lambda: ns.Conv2d(2, 3, (3, 4), padding="same"), "keeps the size with odd kernels and stride 1; got kernel \\(3, 4\\)"),
    (lambda: ns.Conv2d(2, 3, padding="same", stride=2), "and stride \\(2, 2\\). Give the padding as a number"),
    (lambda: ns.Conv2d(2, 3, padding="valid"), "padding must be a whole number of at least 0"),
    (lambda: ns.Network(ns.LIAF(4, per_channel="alpha")), "needs neurons in pictures"),
    (lambda: ns.Network(ns.Conv2d(2, 3), input_shape=(2, 8, 8), device="reference").run(np.zeros((3, 2, 2, 8, 7))), "expected x of shape \\(T, B, 2, 8, 8\\)"),
])
def test_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("padding", [0, 1])
def test_samples_of_larger_arrays(rng, padding):
    """A layer alone in its stage reads some samples of the batch and writes to them; the bits of arrays of its own."""
    net = ns.Network(ns.Conv2d(2, 5, 3, padding=padding), input_shape=(2, 16, 16), chunk=2)
    layer, x = net.layers["conv0"], rng.standard_normal((4, 5, 512)).astype("float32")
    weight, bias = layer.prepare(None)
    assert planned(layer.geometry, 16).ready == (padding == 1)      # the gradient of rows that fill vectors is read where it lies, if it is contiguous
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
