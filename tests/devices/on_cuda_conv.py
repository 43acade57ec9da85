"""Convolutions and products by tiles on the CUDA device (see on_cuda.py).

Against the reference, and bit for bit against sums in the promised order.
"""

import numpy as np
import pytest
from cuda_compare import SIMULATED, SMALL, close, same, small  # noqa: F401

import numsnn as ns
from numsnn.devices.cuda import (
    array as cuda_array,
    conv as cuda_conv,
    conv_tables as cuda_conv_tables,
    device as cuda,
    product as cuda_product,
)
from numsnn.devices.reference import device as reference

F = np.float32


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """Few k at a time, several segments of several pictures."""
    if SMALL:
        monkeypatch.setattr(cuda_product, "TILE", 2)
        monkeypatch.setattr(cuda_conv, "SEGMENT", 2)
        monkeypatch.setattr(cuda_conv, "THREADS", 1)


# (channels, rows, columns), channels that go out, (T, B), the rest of Conv2d's arguments
CONVOLUTIONS = {
    "plain": ((2, 4, 5), 3, (1, 3), {}),
    "padded, stride 2": ((2, 5, 6), 3, (1, 2), {"stride": 2, "padding": 1}),
    "dilated": ((2, 5, 4), 2, (1, 1), {"kernel": 2, "dilation": 2, "padding": 2}),
    "not square": ((2, 4, 5), 2, (2, 1),
                   {"kernel": (2, 3), "stride": (1, 2), "padding": (1, 2), "dilation": (2, 1)}),
    "1 x 1": ((3, 3, 2), 2, (1, 2), {"kernel": 1}),
    "places that nothing sees": ((1, 5, 4), 2, (1, 2), {"kernel": 1, "stride": (3, 2)}),
    "several tiles of channels": ((2, 2, 3), 17, (1, 1), {"kernel": (1, 2)}),
    "several tiles of weights": ((9, 2, 2), 1, (1, 3), {"kernel": 2}),
    "one place": ((2, 3, 3), 2, (2, 3), {"kernel": 3}),
    "a row": ((2, 1, 9), 2, (1, 2), {"kernel": (1, 4), "dilation": (1, 2)}),
}


def drawn(kind, more=0):
    """(x, weight, bias, dy, geometry)."""
    shape, channels_out, (steps, batch), settings = CONVOLUTIONS[kind]
    net = ns.Network(ns.Conv2d(shape[0], channels_out, **settings), device="reference", input_shape=shape)
    layer, rng = net.layers["conv0"], np.random.default_rng(more)
    x = rng.standard_normal((steps, batch, int(np.prod(shape)))).astype(F)
    weight = rng.standard_normal(layer.params["weight"].shape).astype(F)
    bias = rng.standard_normal(channels_out).astype(F)
    dy = rng.standard_normal((steps, batch, layer.size_out)).astype(F)
    return x, weight, bias, dy, layer.geometry


def windows(x, g):
    """(pictures, places, K): what each output sees, k = (channel, row, column)."""
    padded = np.pad(x.reshape(-1, g.channels, *g.size), ((0, 0), (0, 0), *((p, p) for p in g.padding)))
    axes = zip(g.out, g.stride, g.kernel, g.dilation, strict=True)
    rows, columns = (np.arange(o)[:, None] * s + np.arange(k) * d for o, s, k, d in axes)
    seen = padded[:, :, rows[:, None, :, None], columns[None, :, None, :]]
    return seen.transpose(0, 2, 3, 1, 4, 5).reshape(len(padded), g.out[0] * g.out[1], -1)


def summed(terms):
    """Sums over the first axis, ascending, one accumulator each."""
    return np.add.accumulate(terms)[-1] if len(terms) else np.zeros(terms.shape[1:], F)


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_convolution_of_values(kind):
    """The bits of sums in ascending order, forward; all gradients; twice the same bytes."""
    x, weight, bias, dy, g = drawn(kind)
    y, seen = np.asarray(cuda.conv_forward(x, weight, bias, g)), windows(x, g)
    # (K, pictures, channels that go out, places)
    terms = weight.reshape(len(weight), -1).T[:, None, :, None] * seen.transpose(2, 0, 1)[:, :, None]
    first = np.broadcast_to(bias[:, None], (1, *terms.shape[1:]))
    assert same(y, summed(np.concatenate((first, terms))).reshape(y.shape), len(terms))
    assert close(y, reference.conv_forward(x, weight, bias, g), len(terms)) and (np.any(y) or not y.size)
    wanted = reference.conv_backward(x, weight, dy, g, True)
    found, again = (cuda.conv_backward(x, weight, dy, g, True) for _ in range(2))
    n_terms = seen.shape[0] * seen.shape[1] + len(terms) * len(bias)
    assert all(close(a, b, n_terms) for a, b in zip(found, wanted, strict=True))
    assert all(np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in zip(found, again, strict=True))
    assert y.tobytes() == np.asarray(cuda.conv_forward(x, weight, bias, g)).tobytes()
    assert cuda.conv_backward(x, weight, dy, g, False)[2] is None


def test_no_picture():
    x, weight, bias, dy, g = drawn("plain")
    assert np.asarray(cuda.conv_forward(x[:0], weight, bias, g)).shape == (0, 3, 18)
    dweight, dbias, dx = map(np.asarray, cuda.conv_backward(x[:0], weight, dy[:0], g, True))
    assert dx.shape == (0, 3, 40)
    assert np.array_equal(dweight, np.zeros_like(weight)) and np.array_equal(dbias, np.zeros(3))


@pytest.mark.parametrize("kind", ["plain", "not square", "one place"])
def test_weight_gradient_adds_segments_of_pictures(kind):
    """Pictures of a segment and their places in ascending order, then the segments in theirs."""
    x, weight, _, dy, g = drawn(kind, 1)
    seen, d = windows(x, g), dy.reshape(-1, len(weight), g.out[0] * g.out[1])
    n, size = len(seen), cuda_conv.SEGMENT if SMALL else 1
    terms = d.transpose(0, 2, 1)[..., None] * seen[:, :, None]      # (pictures, places, channels out, K)
    segments = [summed(terms[s:s + size].reshape(-1, *terms.shape[2:])) for s in range(0, n, size)]
    found = cuda.conv_backward(x, weight, dy, g, False)[0]
    assert same(found, summed(np.array(segments)).reshape(weight.shape), seen.shape[0] * seen.shape[1])


@pytest.mark.parametrize("shape", [(4, 4), (8, 4), (4, 8), (16, 4)], ids=str)
def test_bits_do_not_depend_on_tiles(shape, monkeypatch):
    """A block of other threads adds in the same order."""
    x, weight, bias, dy, g = drawn("padded, stride 2", 2)
    rng = np.random.default_rng(3)
    a, b = (cuda_array.put(rng.standard_normal(s).astype(F)) for s in ((6, 5), (5, 3)))

    def bytes_of():
        y, back = cuda.conv_forward(x, weight, bias, g), cuda.conv_backward(x, weight, dy, g, True)
        return [np.asarray(array).tobytes() for array in (y, *back, cuda_product.product(a, b))]

    wanted = bytes_of()
    monkeypatch.setattr(cuda_product, "TILE", 4)
    for module in (cuda_conv, cuda_product):
        monkeypatch.setattr(module, "cut", lambda m, n, times=1: cuda_product.Cut(*shape, cuda_product.TILE))
    assert bytes_of() == wanted


@pytest.mark.parametrize("shape", [(1, 1, 1), (17, 3, 5), (3, 33, 4), (9, 18, 3)], ids=str)
@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True)], ids=str)
def test_products_add_in_ascending_order(shape, turned):
    """With a bias and without; several tiles and parts of them."""
    rng, (m, n, k) = np.random.default_rng(4), shape
    a, b, bias = (rng.standard_normal(s).astype(F) for s in ((m, k), (k, n), (n,)))
    a_turned, b_turned = turned
    left = cuda_array.put(np.ascontiguousarray(a.T) if a_turned else a)
    right = cuda_array.put(np.ascontiguousarray(b.T) if b_turned else b)
    terms = a.T[:, :, None] * b[:, None]
    for added, first in ((cuda_array.put(bias), bias), (None, F(0))):
        found = cuda_product.product(left, right, a_turned=a_turned, b_turned=b_turned, bias=added)
        assert same(found, summed(np.concatenate((np.broadcast_to(first, (1, m, n)), terms))), k)


def test_blocks_are_of_few_threads_where_there_is_little_to_do(monkeypatch):
    """Powers of two, of which none fetches nothing; as many blocks as fill a GPU, if that can be."""
    monkeypatch.setattr(cuda_product, "TILE", 16)
    many = 1 << 20
    for m, n in ((1, 1), (5, many), (32, many), (64, many), (many, many), (many, 10), (128, 128), (700, 128),
                 (17, 65)):
        tiles = cuda_product.cut(m, n)
        assert all(side & (side - 1) == 0 and 4 <= side <= 64 for side in tiles[:2])
        assert 16 <= tiles.threads <= cuda_product.THREADS
        assert tiles.wide <= cuda_conv_tables.BEYOND
        assert tiles.threads <= 32 or np.prod(tiles.grid(m, n)) >= cuda_product.BLOCKS
        assert tiles.tall < max(2 * m, 17) and tiles.wide < max(2 * n, 17)
    assert cuda_product.cut(many, many)[:2] == (16, 16) and cuda_product.cut(5, many)[:2] == (4, 64)


@pytest.mark.parametrize("stride", [1, 2])
def test_gradients_of_a_network_of_pictures(stride):
    """The second convolution's input gradient goes into the first one's weights; values; padded steps."""
    def made(device):
        by_channel = ns.LIAF(per_channel="v_threshold", learn="v_threshold", v_threshold=0.1)
        return ns.Network(ns.Conv2d(1, 2, 2, stride=stride), by_channel, ns.Conv2d(2, 2, 2, padding=1),
                          ns.Flatten(), ns.LI({1: 40, 2: 18}[stride]), ns.OverTime("mean"),
                          device=device, seed=3, input_shape=(1, 4, 5))

    nets = [made(device) for device in ("reference", "cuda")]
    x, labels = np.random.default_rng(5).standard_normal((3, 2, 20)).astype(F), np.array([0, 2])
    loss, lengths = ns.loss.CrossEntropy(), np.array([3, 1])
    wanted, found = (net.loss_and_gradients(loss, x, labels, lengths=lengths) for net in nets)
    assert close(found.y, wanted.y, 100) and found.grads.keys() == wanted.grads.keys()
    for name, g in wanted.grads.items():
        assert close(found.grads[name], g, 300), name
    assert np.any(wanted.grads["conv0.weight"])
