"""Scale and Threshold: against NumPy, gradients, what they hand out, count and refuse."""

import pickle

import numpy as np
import pytest

import numsnn as ns
from numsnn.signals.spikes import Spikes


def network(device="reference", **more):
    return ns.Network(ns.Dense(4, 6, weight=("normal", 0, 2)), ns.Scale(("normal", 1, 0.3)),
                      ns.Threshold(v_threshold=0.3, learn="v_threshold", surrogate="gaussian"),
                      ns.Dense(6, 3), ns.Threshold(v_threshold=0.1), ns.Scale(2.5, learn=()),
                      ns.OverTime("sum"), seed=1, device=device, **more)


def data():
    rng = np.random.default_rng(0)
    return rng.normal(0, 1, (7, 5, 4)).astype(np.float32), rng.integers(0, 3, 5)


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_against_numpy(device):
    x = np.random.default_rng(2).normal(size=(6, 3, 8)).astype(np.float32)
    scale, threshold = np.linspace(-1, 2, 8, dtype="f4"), np.linspace(-0.5, 1, 8, dtype="f4")
    net = ns.Network(ns.Scale(scale), ns.Threshold(v_threshold=threshold), input_shape=8, device=device)
    y, _, seen = net.run(x, record={"scale0": "y", "threshold0": ("y", "spike", "v", "theta", "rate")})
    assert np.array_equal(seen["scale0"]["y"], x * scale)
    assert np.array_equal(y, x * scale > threshold)
    assert np.array_equal(seen["threshold0"]["v"], x * scale)
    assert np.array_equal(seen["threshold0"]["rate"], y.mean(0, dtype=float))
    assert 0 < y.mean() < 1


def test_the_threshold_itself():
    x = np.full((1, 1, 2), 0.5, np.float32)
    for comparator, spikes in ((">", 0), (">=", 1)):
        layer = ns.Threshold(v_threshold=0.5, comparator=comparator)
        assert (ns.Network(layer, input_shape=2, device="reference").run(x)[0] == spikes).all()


def test_gradients():
    x, labels = data()
    errors = ns.check_gradients(network(), x, labels, lengths=np.array([7, 3, 1, 7, 5]))
    assert {"scale0.scale", "threshold0.v_threshold"} <= set(errors) and "scale1.scale" not in errors
    assert max(errors.values()) < 1e-6


def test_one_for_all_and_one_for_each_channel():
    rng = np.random.default_rng(3)
    net = ns.Network(ns.Scale(("normal", 1, 0.3), per_channel="scale"),
                     ns.Threshold(v_threshold=0.3, shared="v_threshold", learn="v_threshold"),
                     ns.Dense(12, 2), ns.OverTime("mean"), input_shape=(3, 2, 2), device="reference")
    assert net.params["scale0.scale"].shape == (3,) and net.params["threshold0.v_threshold"].shape == (1,)
    x = rng.normal(0, 1, (5, 4, 3, 2, 2))
    assert max(ns.check_gradients(net, x, rng.integers(0, 2, 4)).values()) < 1e-6
    seen = net.run(x, record={"scale0": "y"})[2]
    scale = net.params["scale0.scale"][:, None, None]
    assert np.array_equal(seen["scale0"]["y"], x.astype("f4") * scale)


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_steps_pieces_and_padding(device):
    (x, _), net = data(), network(device)
    y, _ = net.run(x)
    state = None
    for now in x:
        last, state = net.step(now, state)
    assert np.array_equal(last, y)
    _, state = net.run(x[:3])
    assert np.array_equal(net.run(x[3:], state)[0], y)
    lengths = np.array([7, 3, 1, 7, 5])
    padded = net.run(x, lengths=lengths)[0]
    assert all(np.array_equal(padded[b], net.run(x[:n, b:b + 1])[0][0]) for b, n in enumerate(lengths))


def test_spikes_come_and_go():
    x = Spikes.from_dense(np.random.default_rng(5).integers(0, 3, (5, 2, 6)))
    net = ns.Network(ns.Scale(0.5), ns.Threshold(v_threshold=0.6), ns.Dense(6, 2), input_shape=6,
                     device="reference")
    assert np.array_equal(net.run(x)[0], net.run(x.dense())[0])
    assert net.layers["threshold0"].emits_events


def test_saved_copied_and_described(tmp_path):
    net, (x, _) = network(), data()
    ns.save(net, tmp_path / "n.h5")
    for other in (ns.load(tmp_path / "n.h5"), pickle.loads(pickle.dumps(net)), net.clone(dtype="float32")):
        assert other.same_as(net) and np.array_equal(other.run(x)[0], net.run(x)[0])
    assert repr(ns.Scale(2.0, 3)) == "Scale(3)" and repr(ns.Threshold((2, 4, 4))) == "Threshold((2, 4, 4))"
    assert ns.Scale(2.0, 3, name="s").config() == {
        "scale": 2.0, "n": 3, "name": "s", "learn": ("scale",), "shared": (), "per_channel": ()}
    assert "63 parameters: 57 weights and biases, 6 of neurons" in net.summary()


def test_operations_are_counted():
    x, _ = data()
    layers = ns.energy.operations(network(), x).layers
    steps = 7 * 5
    assert layers["scale0"].mac == 6 * steps and layers["scale1"].mac == 3 * steps
    assert layers["threshold0"].compare == 6 * steps and layers["threshold0"].mac == 0
    assert layers["dense1"].mac == 0 and layers["dense1"].ac > 0        # it gets spikes


def test_initial_weights_know_them():
    net = ns.Network(ns.Dense(9, 8), ns.Threshold(), ns.Dense(8, 4), ns.LI(4), device="reference")
    ns.init.fluctuation_driven(net, 0.1, rng=np.random.default_rng(0))
    net = ns.Network(ns.Dense(9, 8), ns.Scale(2.0), ns.LIF(8), device="reference")
    with pytest.raises(ValueError, match="between dense0 and lif0 stands scale0"):
        ns.init.fluctuation_driven(net, 0.1, rng=np.random.default_rng(0))


@pytest.mark.parametrize(("make", "words"), [
    (lambda: ns.Network(ns.Scale([1.0, 2.0]), input_shape=3),
     "expected a number or an array of shape \\(3,\\)"),
    (lambda: ns.Scale(1.0, learn="gain"), "Scale has no setting 'gain'; there are scale"),
    (lambda: ns.Threshold(3, comparator="<"), "comparator"),
    (lambda: ns.Network(ns.Threshold()), "threshold0: does not know how many neurons it has"),
    (lambda: ns.Network(ns.Dense(2, 3), ns.Threshold(4)), "has 4 neurons, but 3 inputs arrive"),
])
def test_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
