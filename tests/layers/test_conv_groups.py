"""Convolutions of groups of channels: against one whose other weights are 0, PyTorch, files, errors."""

import numpy as np
import pytest

import numsnn as ns
from numsnn.signals.spikes import Spikes

CASES = [       # layer, channels in and out, groups, settings, size
    (ns.Conv2d, 4, 6, 2, {"kernel": 3, "padding": (1, 2)}, (5, 4)),
    (ns.Conv2d, 3, 3, 3, {"kernel": (2, 1), "stride": 2, "dilation": (1, 2)}, (6, 5)),
    (ns.Conv1d, 4, 4, 2, {"kernel": 3, "padding": "same"}, (7,)),
]


def network(case, device, groups=True, **more):
    layer, n_in, n_out, g, settings, size = case
    conv = layer(n_in, n_out, **settings, groups=g if groups else 1, bias=("normal", 0, 1), name="c")
    return ns.Network(conv, input_shape=(n_in, *size), device=device, dtype="float64", seed=1, **more)


def whole(case, device, weight, bias):
    """The convolution of all channels with the weights of the groups, and 0 elsewhere."""
    net, (_, n_in, n_out, g, _, _) = network(case, device, False), case
    net.params["c.weight"], net.params["c.bias"] = 0 * net.params["c.weight"], bias
    for k in range(g):
        rows, columns = (slice(k * n // g, (k + 1) * n // g) for n in (n_out, n_in))
        net.params["c.weight"][rows, columns] = weight[rows]
    return net


def inputs(case):
    """Values, and spikes of which some count twice."""
    rng, shape = np.random.default_rng(2), (3, 2, case[1], *case[5])
    return rng.normal(size=shape), Spikes.from_dense(rng.integers(0, 3, shape).reshape(3, 2, -1))


@pytest.mark.parametrize("device", ["cpu", "reference"])
@pytest.mark.parametrize("case", CASES)
def test_against_a_convolution_of_all_channels(case, device):
    net = network(case, device)
    weight, g = net.params["c.weight"], case[3]
    assert weight.shape[:2] == (case[2], case[1] // g)
    other = whole(case, device, weight, net.params["c.bias"])
    for x in inputs(case):
        (y, _, tape), (wanted, _, theirs) = net.forward(x), other.forward(x)
        assert y.shape == wanted.shape and np.abs(y - wanted).max() < 1e-13
        dy = np.random.default_rng(3).normal(size=y.shape)
        grads, _, dx = net.backward(tape, dy, want_dx=True)
        full, _, full_dx = other.backward(theirs, dy, want_dx=True)
        assert np.abs(dx.ravel() - full_dx.ravel()).max() < 1e-12
        assert np.abs(grads["c.bias"] - full["c.bias"]).max() < 1e-12
        for k in range(g):
            rows, columns = (slice(k * n // g, (k + 1) * n // g) for n in (case[2], case[1]))
            assert np.abs(grads["c.weight"][rows] - full["c.weight"][rows, columns]).max() < 1e-12
        mine, theirs = (ns.energy.operations(n, x).layers["c"] for n in (net, other))
        assert (mine.mac * g, mine.ac * g) == (theirs.mac, theirs.ac)


@pytest.mark.parametrize("case", CASES)
def test_against_torch(case):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    layer, _, _, g, settings, _ = case
    net, (x, _) = network(case, "cpu"), inputs(case)
    w, b = (torch.tensor(net.params[f"c.{key}"], requires_grad=True) for key in ("weight", "bias"))
    xt = torch.tensor(x.reshape(6, *x.shape[2:]), requires_grad=True)
    convolve = torch.nn.functional.conv2d if layer is ns.Conv2d else torch.nn.functional.conv1d
    more = {key: value for key, value in settings.items() if key != "kernel"}
    yt = convolve(xt, w, b, groups=g, **more)
    y, _, tape = net.forward(x)
    dy = np.random.default_rng(3).normal(size=y.shape)
    yt.backward(torch.tensor(dy.reshape(yt.shape)))
    grads, _, dx = net.backward(tape, dy, want_dx=True)
    ours = y, grads["c.weight"], grads["c.bias"], dx
    for mine, theirs in zip(ours, (yt.detach(), w.grad, b.grad, xt.grad), strict=True):
        assert np.abs(mine.ravel() - theirs.numpy().ravel()).max() < 1e-12


def test_chunks_gradients_and_steps():
    def made(chunk=None):
        return ns.Network(ns.Conv2d(2, 4, 3, padding=1, groups=2), ns.LIF(),
                          ns.Conv2d(4, 4, 3, groups=4, bias=False), ns.LIF(), ns.Dense(16, 3),
                          ns.OverTime("mean"), input_shape=(2, 4, 4), seed=4,
                          chunk=chunk, device="cpu", dtype="float64")

    rng = np.random.default_rng(5)
    x, labels = rng.normal(0.5, 1, (6, 5, 32)), rng.integers(0, 3, 5)
    assert max(ns.check_gradients(made(2), x, labels).values()) < 1e-6
    y, _ = made().run(x)
    assert np.array_equal(made(1).run(x)[0], y)
    net, state = made(), None
    for now in x:
        last, state = net.step(now, state)
    assert np.array_equal(last, y)


def test_files_hold_groups_only_where_there_are_any(tmp_path):
    assert "groups" not in ns.Conv2d(2, 4).config()
    layer = ns.Conv2d(4, 8, 3, groups=4)
    assert layer.config()["groups"] == 4 and repr(layer) == "Conv2d(4, 8, 3, groups=4)"
    for case in CASES:
        net = network(case, "reference")
        ns.save(net, tmp_path / "n.h5")
        assert ns.load(tmp_path / "n.h5").same_as(net)


def test_initial_weights_count_the_inputs_of_a_group():
    net = ns.Network(ns.Conv2d(8, 64, groups=4), input_shape=(8, 4, 4), device="reference")
    alone = ns.Network(ns.Conv2d(2, 64), input_shape=(2, 4, 4), device="reference")
    assert np.array_equal(net.params["conv0.weight"], alone.params["conv0.weight"])


def test_spikes_are_parted_as_values_are():
    counts = np.random.default_rng(6).integers(0, 3, (4, 3, 12))
    for x in (counts, counts > 0):
        for k, part in enumerate(Spikes.from_dense(x)[1:].parted(4)):
            assert np.array_equal(part.dense(), x[1:, :, 4 * k:4 * k + 4])
    with pytest.raises(ValueError, match="12 units are not parted into groups of 5"):
        Spikes.from_dense(counts).parted(5)


@pytest.mark.parametrize(("make", "words"), [
    (lambda: ns.Conv2d(4, 6, groups=4), "groups=4 must divide the numbers of channels, 4 and 6"),
    (lambda: ns.Conv1d(3, 6, groups=2), "groups=2 must divide the numbers of channels, 3 and 6"),
    (lambda: ns.Conv2d(4, 4, groups=0), "Conv2d: groups must be a positive integer; got 0"),
    (lambda: ns.Network(ns.Conv2d(4, 4, groups=2), input_shape=(2, 8, 8)), "expects 4 channels, but 2"),
])
def test_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
