"""Activation and Dropout, with LayerNorm among them: gradients, bits, random numbers, what is refused."""

import numpy as np
import pytest

import numsnn as ns
from numsnn.devices.reference.pointwise import random_bits


def network(device="reference", **more):
    norm = ns.LayerNorm(gain=("normal", 1, 0.2), bias=("normal", 0, 0.2))
    return ns.Network(ns.Dense(4, 9), norm, ns.Activation("selu"), ns.Dropout(0.4),
                      ns.Dropout(0.2, per_step=True), ns.Dense(9, 6), ns.LIF(6, surrogate="gaussian"),
                      ns.LayerNorm(),
                      ns.Dense(6, 3), ns.OverTime("mean"), seed=1, device=device, **more)


def data(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(0.5, 1, (8, 7, 4)), rng.integers(0, 3, 7)


def test_gradients():
    x, labels = data()
    assert max(ns.check_gradients(network(), x, labels).values()) < 1e-6
    lengths = np.array([8, 3, 1, 8, 5, 2, 7])
    assert max(ns.check_gradients(network(), x, labels, lengths=lengths).values()) < 1e-6


def test_dropout_leaves_out_the_same_features_in_all_steps():
    net = ns.Network(ns.Dropout(0.3), input_shape=50, device="reference")
    x = np.ones((6, 40, 50), np.float32)
    assert np.array_equal(net.run(x)[0], x)
    y, state, _ = net.forward(x, rng=np.random.default_rng(3))
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.7)}
    assert (y == y[0]).all()
    assert abs((y[0] == 0).mean() - 0.3) < 5 * np.sqrt(0.21 / 2000)
    goes_on = net.forward(x, state)[0]
    assert np.array_equal(goes_on, y)
    assert not np.array_equal(net.forward(x, rng=np.random.default_rng(4))[0], y)
    assert np.array_equal(net.forward(x, rng=np.random.default_rng(3))[0], y)


def test_inference_leaves_everything_in_whatever_the_state():
    x = np.ones((6, 4, 50), np.float32)
    for per_step in (False, True):
        net = ns.Network(ns.Dropout(0.3, per_step=per_step), input_shape=50)
        y, state, _ = net.forward(x, rng=np.random.default_rng(3))
        assert (y == 0).any()
        assert np.array_equal(net.run(x, state)[0], x)
        assert np.array_equal(net.forward(x)[0], x)         # nothing to draw from


# ---- another mask in each step

def per_step(probability=0.3, n=50, **more):
    return ns.Network(ns.Dropout(probability, per_step=True), input_shape=n, **more)


def lowbias32(h, key=0):
    """The mixer in plain integers."""
    h ^= h >> 16
    h = h * 0x7FEB352D % 2**32 ^ key
    h ^= h >> 15
    h = h * 0x846CA68B % 2**32
    return h ^ h >> 16


def test_random_bits_against_plain_integers():
    key, step = np.array([[1, 2], [(1 << 24) - 1, 77]]), np.array([[0, 5], [1, 6], [(1 << 24) - 1, 7]])
    bits = random_bits(key.astype(np.float32), step, 3)
    for t, b, n in np.ndindex(3, 2, 3):
        first, second = (lowbias32(lowbias32(int(k)) ^ int(step[t, b])) for k in key[b])
        assert bits[t, b, n] == lowbias32(lowbias32(n + 1) ^ first, second)


def test_random_bits_are_uniform_and_independent():
    """Bounds of five standard deviations; the numbers are always the same."""
    steps, batch, n = 160, 48, 128
    key = np.random.default_rng(5).integers(1, 1 << 24, (batch, 2))
    bits = random_bits(key, np.arange(steps)[:, None] + np.zeros(batch, int), n)
    expected = bits.size / 256
    for byte in range(4):
        count = np.bincount((bits >> 8 * byte & 255).ravel(), minlength=256)
        assert abs(((count - expected)**2 / expected).sum() - 255) < 5 * np.sqrt(2 * 255)
    for p in (0.1, 0.5):
        z = ((bits < p * 2**32) - p) / np.sqrt(p * (1 - p))         # mean 0, variance 1
        assert abs(z.mean()) < 5 / np.sqrt(z.size)
        for axis in range(3):       # sums along an axis have its length as variance
            chi = (z.sum(axis)**2 / z.shape[axis]).ravel()
            assert abs(chi.mean() - 1) < 5 * np.sqrt(2.5 / chi.size), (p, axis)
            for lag in (1, 2, 3, 8, 16, 32):
                a, b = z.swapaxes(0, axis)[lag:], z.swapaxes(0, axis)[:-lag]
                assert abs((a * b).mean()) < 5 / np.sqrt(a.size), (p, axis, lag)
        across = np.einsum("tbn,tbm->nm", z, z) / (steps * batch)   # every pair of features
        assert np.abs(across[~np.eye(n, dtype=bool)]).max() < 5.5 / np.sqrt(steps * batch)


def test_a_feature_is_left_out_in_some_steps():
    x = np.ones((40, 30, 50), np.float32)
    net = per_step()
    y, _, tape = net.forward(x, rng=np.random.default_rng(3))
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.7)}
    assert abs((y == 0).mean() - 0.3) < 5 * np.sqrt(0.21 / x.size)
    assert not (y == y[0]).all((0, 2)).any()
    assert (y[0, 0] != y[0, 1]).any()
    assert np.array_equal(per_step().forward(x, rng=np.random.default_rng(3))[0], y)
    assert not np.array_equal(per_step().forward(x, rng=np.random.default_rng(4))[0], y)
    dy = np.random.default_rng(0).normal(size=x.shape).astype(np.float32)
    assert np.array_equal(net.backward(tape, dy, want_dx=True)[2], dy * y)


def test_masks_do_not_depend_on_pieces_chunks_and_precision():
    x, rng = np.ones((13, 7, 50), np.float32), lambda: np.random.default_rng(3)
    y, state, _ = per_step().forward(x, rng=rng())
    assert all(np.array_equal(per_step(chunk=chunk).forward(x, rng=rng())[0], y) for chunk in (1, 2, 7))
    assert np.array_equal(per_step(device="reference").forward(x, rng=rng())[0], y)
    assert np.array_equal(per_step(dtype="float64").forward(x, rng=rng())[0] == 0, y == 0)
    net, pieces, after = per_step(), [], None
    for first, last in ((0, 1), (1, 6), (6, 13)):
        piece, after, _ = net.forward(x[first:last], after, rng=rng())
        pieces.append(piece)
    assert np.array_equal(np.concatenate(pieces), y)
    assert all(np.array_equal(a, b) for a, b in zip(after["dropout0"], state["dropout0"], strict=True))
    assert after["dropout0"].steps.ravel().tolist() == [13] * 7
    lengths = np.array([13, 0, 5, 1, 13, 12, 2])
    after = net.forward(x, rng=rng(), lengths=lengths)[1]
    assert after["dropout0"].steps.ravel().tolist() == lengths.tolist()


def test_devices_threads_and_chunks_agree():
    x, labels = data(3)
    x, before, seen = x.astype(np.float32), ns.get_num_threads(), []
    try:
        for threads in (1, 2, 4):
            ns.set_num_threads(threads)
            net = network("cpu", chunk=2)
            result = net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels, rng=np.random.default_rng(0))
            grads = {name: g.tobytes() for name, g in result.grads.items()}
            seen.append((result.loss, net.run(x)[0].tobytes(), grads))
    finally:
        ns.set_num_threads(before)
    assert seen[0] == seen[1] == seen[2]
    net = network("cpu")
    whole, _ = net.run(x)
    assert np.array_equal(network("reference").run(x)[0], whole)
    _, state = net.run(x[:3])
    assert np.array_equal(net.run(x[3:], state)[0], whole)


def test_saved(tmp_path):
    net = network()
    ns.save(net, tmp_path / "n.h5")
    assert np.array_equal(ns.load(tmp_path / "n.h5").run(data()[0])[0], net.run(data()[0])[0])


@pytest.mark.parametrize(("make", "words"), [
    (lambda: ns.Dropout(1.0), "probability must be at least 0 and below 1; got 1.0"),
    (lambda: ns.Activation("gelu"), "unknown activation 'gelu'"),
    (lambda: ns.Dropout(0.5, per_step=3), "per_step must be True or False; got 3"),
    (lambda: ns.Network(ns.Dropout(0.5)), "dropout0: needs to know how many features arrive"),
])
def test_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
