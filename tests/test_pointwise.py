"""Activation, LayerNorm, Dropout: values, gradients in networks, bits, what is refused."""

import numpy as np
import pytest

import numsnn as ns


def network(device="reference", **more):
    return ns.Network(ns.Dense(4, 9), ns.LayerNorm(gain=("normal", 1, 0.2), bias=("normal", 0, 0.2)), ns.Activation("selu"), ns.Dropout(0.4),
                      ns.Dense(9, 6), ns.LIF(6, surrogate="gaussian"), ns.LayerNorm(), ns.Dense(6, 3), ns.OverTime("mean"), seed=1, device=device, **more)


def data(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(0.5, 1, (8, 7, 4)), rng.integers(0, 3, 7)


def test_gradients():
    x, labels = data()
    assert max(ns.check_gradients(network(), x, labels).values()) < 1e-6
    lengths = np.array([8, 3, 1, 8, 5, 2, 7])
    assert max(ns.check_gradients(network(), x, labels, lengths=lengths).values()) < 1e-6


def test_layer_norm_against_its_formula_and_torch():
    rng = np.random.default_rng(2)
    x, gain, bias = rng.normal(3, 5, (4, 3, 6)), rng.normal(size=6), rng.normal(size=6)
    net = ns.Network(ns.LayerNorm(gain=gain, bias=bias, eps=1e-3), input_shape=6, dtype="float64", device="reference")
    y, _, tape = net.forward(x)
    for t, b in np.ndindex(4, 3):
        want = gain * (x[t, b] - x[t, b].mean()) / np.sqrt(x[t, b].var() + 1e-3) + bias
        assert np.abs(y[t, b] - want).max() < 1e-12
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    xt, g, c = (torch.tensor(a, requires_grad=True) for a in (x, gain, bias))
    dy = rng.normal(size=y.shape)
    torch.nn.functional.layer_norm(xt, (6,), g, c, 1e-3).backward(torch.tensor(dy))
    grads, _, dx = net.backward(tape, dy, want_dx=True)
    for mine, theirs in ((dx, xt), (grads["norm0.gain"], g), (grads["norm0.bias"], c)):
        assert np.abs(mine - theirs.grad.numpy()).max() < 1e-11


def test_dropout_leaves_out_the_same_features_in_all_steps():
    net = ns.Network(ns.Dropout(0.3), input_shape=50, device="reference")
    x = np.ones((6, 40, 50), np.float32)
    assert np.array_equal(net.run(x)[0], x)
    y, state, _ = net.forward(x, rng=np.random.default_rng(3))
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.7)} and (y == y[0]).all()
    assert abs((y[0] == 0).mean() - 0.3) < 5 * np.sqrt(0.21 / 2000)
    assert np.array_equal(net.forward(x, state)[0], y)                                      # a piece that goes on
    assert not np.array_equal(net.forward(x, rng=np.random.default_rng(4))[0], y)
    assert np.array_equal(net.forward(x, rng=np.random.default_rng(3))[0], y)


def test_devices_threads_and_chunks_agree():
    x, labels = data(3)
    x, before, seen = x.astype(np.float32), ns.get_num_threads(), []
    try:
        for threads in (1, 2, 4):
            ns.set_num_threads(threads)
            net = network("cpu", chunk=2)
            result = net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels, rng=np.random.default_rng(0))
            seen.append((result.loss, net.run(x)[0].tobytes(), {k: v.tobytes() for k, v in result.grads.items()}))
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
    (lambda: ns.LayerNorm(eps=0), "eps must be positive"),
    (lambda: ns.Network(ns.LayerNorm()), "norm0: needs to know how many features arrive"),
    (lambda: ns.Network(ns.Dropout(0.5)), "dropout0: needs to know how many features arrive"),
])
def test_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
