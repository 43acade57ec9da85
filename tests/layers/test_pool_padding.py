"""Pools with zeros around the picture: against NumPy and PyTorch, files, what is refused."""

import numpy as np
import pytest

import numsnn as ns

CASES = [       # layer, kernel, stride, padding, size of the picture
    (ns.SumPool2d, (2, 4), (1, 2), (1, 2), (4, 5)),
    (ns.AvgPool2d, 3, 2, 1, (5, 6)),
    (ns.AvgPool2d, (4, 2), None, (2, 0), (5, 4)),
    (ns.SumPool1d, 3, 1, 1, (7,)),
    (ns.AvgPool1d, 5, 2, 2, (9,)),
]


def network(case, device="reference", dtype="float64"):
    layer, kernel, stride, padding, size = case
    return ns.Network(layer(kernel, stride=stride, padding=padding), input_shape=(2, *size), device=device,
                      dtype=dtype)


def ours(case, device):
    """(x, y, dy, dx) of random numbers."""
    rng, net = np.random.default_rng(1), network(case, device)
    x = rng.normal(size=(3, 2, 2, *case[4]))
    y, _, tape = net.forward(x)
    dy = rng.normal(size=y.shape)
    return x, y, dy, net.backward(tape, dy, want_dx=True)[2].reshape(x.shape)


@pytest.mark.parametrize("case", CASES)
def test_as_a_picture_with_zeros_around_it(case):
    layer, kernel, stride, padding, size = case
    x, y, dy, dx = ours(case, "reference")
    around = np.broadcast_to(padding, len(size))
    padded = np.pad(x, [(0, 0)] * 3 + [(p, p) for p in around])
    net = ns.Network(layer(kernel, stride=stride), input_shape=padded.shape[2:], dtype="float64",
                     device="reference")
    wanted, _, tape = net.forward(padded)
    assert np.array_equal(y, wanted)
    inside = tuple(slice(p, p + n) for p, n in zip(around, size, strict=True))
    back = net.backward(tape, dy, want_dx=True)[2].reshape(padded.shape)
    assert np.array_equal(dx, back[(..., *inside)])
    operations = ns.energy.operations(network(case), x).layers["pool0"]
    seen = ns.energy.operations(network((ns.SumPool2d if len(size) == 2 else ns.SumPool1d, *case[1:])),
                                np.ones_like(x)).layers["pool0"]
    assert operations.ac == seen.ac < 3 * 2 * y[0, 0].size * (np.prod(net.layers["pool0"].kernel) - 1)


@pytest.mark.parametrize("case", CASES)
def test_against_torch(case):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    layer, kernel, stride, padding, size = case
    for device in ("reference", "cpu"):
        x, y, dy, dx = ours(case, device)
        xt = torch.tensor(x.reshape(6, *x.shape[2:]), requires_grad=True)
        pool = torch.nn.functional.avg_pool2d if len(size) == 2 else torch.nn.functional.avg_pool1d
        yt = pool(xt, kernel, stride, padding, count_include_pad=True)
        if "Sum" in layer.__name__:
            yt = yt * np.prod(np.broadcast_to(kernel, len(size)))
        yt.backward(torch.tensor(dy.reshape(yt.shape)))
        assert np.abs(y.ravel() - yt.detach().numpy().ravel()).max() < 1e-12
        assert np.abs(dx.ravel() - xt.grad.numpy().ravel()).max() < 1e-12


def test_files_hold_a_padding_only_where_there_is_one(tmp_path):
    assert ns.AvgPool2d(3).config() == {"kernel": (3, 3), "stride": (3, 3), "name": None}
    assert ns.SumPool1d(3, padding=1).config() == {"kernel": 3, "stride": 3, "padding": 1, "name": None}
    for case in CASES:
        net = network(case)
        ns.save(net, tmp_path / "n.h5")
        assert ns.load(tmp_path / "n.h5").same_as(net)


@pytest.mark.parametrize(("make", "words"), [
    (lambda: ns.AvgPool2d(2, padding=2), "padding must be below the kernel, or windows hold nothing; got"),
    (lambda: ns.SumPool2d(2, padding=-1), "SumPool2d: padding must be a whole number of at least 0"),
    (lambda: ns.SumPool1d(2, padding=(1, 1)), "SumPool1d: padding must be a whole number of at least 0"),
    (lambda: ns.Network(ns.AvgPool2d(9, padding=1), input_shape=(1, 6, 6)), "larger than the pictures"),
])
def test_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_the_largest_value_has_no_padding():
    with pytest.raises(TypeError, match="padding"):
        ns.MaxPool2d(2, padding=1)
