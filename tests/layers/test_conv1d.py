"""Convolution and pooling of sequences (C, L): against loops and PyTorch, gradients, what is refused."""

import numpy as np
import pytest

import numsnn as ns
from numsnn.layers.conv import Conv1d
from numsnn.layers.pool import AvgPool1d, MaxPool1d, SumPool1d

CASES = [       # channels in and out, kernel, stride, padding, dilation, length
    (2, 5, 3, 1, 1, 1, 9),
    (3, 4, 4, 2, 0, 2, 23),
    (1, 3, 1, 3, 2, 1, 7),
    (2, 17, 5, 1, 2, 1, 50),
]


def network(case, device, dtype="float64"):
    n_in, n_out, kernel, stride, padding, dilation, length = case
    layer = Conv1d(n_in, n_out, kernel, stride=stride, padding=padding, dilation=dilation,
                   bias=("normal", 0, 1))
    return ns.Network(layer, input_shape=(n_in, length), device=device, dtype=dtype, seed=1)


def slow_convolution(x, weight, bias, stride, padding, dilation):
    """The sum of the docstring, place by place; x (T, B, C, L)."""
    kernel = weight.shape[2]
    padded = np.pad(x, ((0, 0), (0, 0), (0, 0), (padding, padding)))
    places = []
    for place in range((x.shape[3] + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1):
        columns = (padded[..., place * stride + i * dilation, None] for i in range(kernel))
        total = sum((weight[:, :, i] @ column)[..., 0] for i, column in enumerate(columns))
        places.append(total + bias)
    return np.stack(places, -1)


@pytest.mark.parametrize("device", ["cpu", "reference"])
@pytest.mark.parametrize("case", CASES)
def test_against_a_loop(case, device):
    rng, net = np.random.default_rng(0), network(case, device)
    n_in, n_out, kernel, *_, length = case
    weight, bias = net.params["conv0.weight"], net.params["conv0.bias"]
    assert weight.shape == (n_out, n_in, kernel)
    shape = (3, 2, n_in, length)
    for x in (rng.normal(size=shape), rng.integers(0, 3, shape)):
        want = slow_convolution(x, weight, bias, *case[3:6])
        got = net.run(x)[0]
        assert got.shape == want.shape
        assert np.abs(got - want).max() < 1e-13


@pytest.mark.parametrize("device", ["cpu", "reference"])
@pytest.mark.parametrize("case", CASES)
def test_convolution_against_torch(case, device):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    rng, net = np.random.default_rng(1), network(case, device)
    shape = (3, 2, case[0], case[6])
    for x in (rng.normal(size=shape), rng.random(shape) < 0.2):
        w = torch.tensor(net.params["conv0.weight"], requires_grad=True)
        b = torch.tensor(net.params["conv0.bias"], requires_grad=True)
        xt = torch.tensor(x.reshape(6, *x.shape[2:]).astype(float), requires_grad=True)
        yt = torch.nn.functional.conv1d(xt, w, b, *case[3:6])
        y, _, tape = net.forward(x)
        dy = rng.normal(size=y.shape)
        yt.backward(torch.tensor(dy.reshape(yt.shape)))
        grads, _, dx = net.backward(tape, dy, want_dx=True)
        assert grads["conv0.weight"].shape == net.params["conv0.weight"].shape
        ours = (y, grads["conv0.weight"], grads["conv0.bias"], dx)
        for mine, theirs in zip(ours, (yt.detach(), w.grad, b.grad, xt.grad), strict=True):
            assert np.abs(mine.ravel() - theirs.numpy().ravel()).max() < 1e-12


@pytest.mark.parametrize("device", ["cpu", "reference"])
@pytest.mark.parametrize(("layer", "reduce"), [
    (AvgPool1d, np.mean), (SumPool1d, np.sum), (MaxPool1d, np.max),
])
@pytest.mark.parametrize(("kernel", "stride"), [(2, None), (3, 2), (2, 3)])
def test_pooling_against_a_loop(layer, reduce, kernel, stride, device):
    """Forward against a loop; the gradient against differences along a random direction.

    These are exact: pooling is linear between ties.
    """
    rng = np.random.default_rng(2)
    x = rng.permutation(2 * 3 * 2 * 11).reshape(2, 3, 2, 11).astype(float)             # no ties
    net = ns.Network(layer(kernel, stride=stride), input_shape=(2, 11), dtype="float64", device=device)
    y, _, tape = net.forward(x)
    s = kernel if stride is None else stride
    want = np.stack([reduce(x[..., at:at + kernel], -1) for at in range(0, 11 - kernel + 1, s)], -1)
    assert y.shape == want.shape and np.abs(y - want).max() < 1e-12
    dy, direction = rng.normal(size=y.shape), rng.uniform(-0.4, 0.4, x.shape)
    dx = net.backward(tape, dy, want_dx=True)[2].reshape(x.shape)
    moved = net.run(x + direction)[0] - net.run(x - direction)[0]
    assert abs((dx * direction).sum() * 2 - (dy * moved).sum()) < 1e-10


def test_gradients_of_a_network_of_sequences():
    rng = np.random.default_rng(3)
    net = ns.Network(Conv1d(2, 3, 3, padding="same"), ns.LIF((3, 8), learn="tau_mem"), AvgPool1d(2),
                     Conv1d(3, 4, 2), ns.LIF((4, 3)), MaxPool1d(3), ns.Dense(4, 3), ns.OverTime("mean"),
                     input_shape=(2, 8), seed=4, device="reference")
    assert net.params["conv0.weight"].shape == (3, 2, 3)
    x, labels = rng.normal(0.5, 1, (9, 3, 16)), rng.integers(0, 3, 3)
    assert max(ns.check_gradients(net, x, labels).values()) < 1e-6


def test_made_again_and_described():
    layer = Conv1d(2, 3, 5, stride=2, padding=1, dilation=2, bias=False, name="c")
    assert layer.config() == {"channels_in": 2, "channels_out": 3, "kernel": 5, "stride": 2, "padding": 1,
                              "dilation": 2, "weight": "kaiming_uniform", "bias": False, "name": "c"}
    assert Conv1d(**layer.config()).connect((2, 20)) == layer.connect((2, 20)) == (3, 7)
    assert repr(layer) == "Conv1d(2, 3, 5)"
    assert Conv1d(1, 2, 5, dilation=3, padding="same").connect((1, 9)) == (2, 9)
    assert MaxPool1d(**MaxPool1d(3, stride=2).config()).connect((4, 9)) == (4, 4)
    assert repr(MaxPool1d(3)) == "MaxPool1d(3)"


@pytest.mark.parametrize(("make", "words"), [
    (lambda: ns.Network(Conv1d(2, 3)),
     "needs sequences \\(channels, length\\), but their size is unknown; say Network\\(..., input_shape="),
    (lambda: ns.Network(Conv1d(2, 3), input_shape=(2, 8, 8)),
     "needs sequences \\(channels, length\\), but \\(2, 8, 8\\) arrives"),
    (lambda: ns.Network(Conv1d(2, 3), input_shape=(1, 8)),
     "conv0: expects 2 channels, but 1 arrive; use Conv1d\\(1, 3\\)"),
    (lambda: ns.Network(Conv1d(2, 3, 9), input_shape=(2, 8)),
     "is larger than the sequences of 8 with padding"),
    (lambda: Conv1d(2, 3, (3, 3)), "Conv1d: kernel must be a whole number of at least 1; got \\(3, 3\\)"),
    (lambda: Conv1d(2, 3, 4, padding="same"), "keeps the size with odd kernels"),
    (lambda: ns.Network(MaxPool1d(9), input_shape=(2, 8)),
     "windows of \\(9,\\) are larger than the sequences of 8"),
    (lambda: ns.Network(AvgPool1d(2), input_shape=(2, 8, 8)), "needs sequences \\(channels, length\\)"),
])
def test_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
