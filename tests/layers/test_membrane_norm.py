"""The membrane potential itself normalised: against LIAF written out, gradients, bits, what is refused."""

import numpy as np
import pytest
from compare import central_difference

import numsnn as ns


def network(norm, device="reference", shape=6, **more):
    liaf = ns.LIAF(shape, alpha=0.6, beta=0.1, learn=("alpha", "beta", "v_threshold"), activation="tanh")
    return ns.Network(ns.Dense(4, 6), ns.MembraneNorm(liaf, norm), ns.Dense(6, 3), ns.OverTime("mean"),
                      seed=1, device=device, **more)


def layer_norm():
    return ns.LayerNorm(gain=("normal", 1, 0.2), bias=("normal", 0, 0.2))


def batch_norm():
    return ns.BatchNorm(gain=("normal", 1, 0.2), bias=("normal", 0, 0.2))


NORMS = (layer_norm, batch_norm)


def data(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(0.5, 1, (7, 5, 4)), rng.integers(0, 3, 5)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("lengths", [None, np.array([7, 2, 5, 7, 3])])
def test_gradients(norm, device, lengths):
    x, labels = data()
    assert max(ns.check_gradients(network(norm(), device), x, labels, lengths=lengths).values()) < 1e-6


def test_against_liaf_written_out():
    x, _ = data()
    net = network(ns.LayerNorm(gain=1.3, bias=0.2), dtype="float64")
    fields = ("v", "spike", "analog", "rate", "y")
    _, state, seen = net.run(x, record={"membranenorm0": fields, "dense0": "y"})
    found, current = seen["membranenorm0"], seen["dense0"]["y"]
    v, rates = np.zeros((5, 6)), 0
    for t in range(7):
        u = current[t] + v
        u = 1.3 * (u - u.mean(1, keepdims=True)) / np.sqrt(u.var(1, keepdims=True) + 1e-5) + 0.2
        s = u >= 0.5
        assert np.allclose(found["v"][t], u, rtol=0, atol=1e-12)
        assert np.array_equal(found["spike"][t], s)
        assert np.allclose(found["y"][t], np.tanh(u - 0.5), rtol=0, atol=1e-12)
        v = 0.6 * np.where(s, 0, u) + 0.1
        rates = rates + s / 7
    assert np.allclose(state["membranenorm0"].v, v, rtol=0, atol=1e-12)
    assert np.allclose(found["rate"], rates)
    assert 0.1 < rates.mean() < 0.9


def test_steps_chunks_and_files(tmp_path):
    x, labels = data()
    for norm in NORMS:
        net = network(norm(), "cpu")
        net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels)              # BatchNorm: running statistics
        y, _ = net.run(x)
        state = None
        for t in range(7):
            last, state = net.step(x[t], state)
        assert last.tobytes() == y.tobytes()
        assert net.clone(chunk=2).run(x)[0].tobytes() == y.tobytes()
        ns.save(net, tmp_path / "net.h5")
        assert ns.load(tmp_path / "net.h5").run(x)[0].tobytes() == y.tobytes()


def test_gradient_of_rates():
    x, _ = data()
    net = network(NORMS[0](), dtype="float64").smoothed()
    lengths, weight = np.array([7, 2, 5, 7, 3]), np.random.default_rng(1).normal(size=(5, 6))
    _, _, tape = net.forward(x, lengths=lengths)
    grads, _ = net.backward(tape, np.zeros((5, 3)), dhidden={"membranenorm0": {"rate": weight}})

    def value():
        seen = net.run(x, lengths=lengths, record="rate")[2]
        return (seen["membranenorm0"]["rate"] * weight).sum()

    for name in ("dense0.weight", "membranenorm0.gain", "membranenorm0.alpha"):
        p = net.params[name]
        at = np.unravel_index(1, p.shape)
        assert abs(central_difference(value, p, at) - grads[name][at]) < 1e-6


@pytest.mark.parametrize(("make", "message"), [
    (lambda: ns.MembraneNorm(ns.LIF(4), ns.LayerNorm()), "needs a LIAF population"),
    (lambda: ns.MembraneNorm(ns.LIAF(4), ns.Dense(4, 4)), "needs a LayerNorm or a BatchNorm"),
    (lambda: ns.MembraneNorm(ns.LIAF(4, recurrent="analog"), ns.LayerNorm()), "must not be recurrent"),
])
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
