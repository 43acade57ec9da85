"""Random initial states in evaluation, and gradients at places where there is no derivative."""

import warnings

import numpy as np
import pytest

import numsnn as ns
from numsnn.layers.layer import Gradients


def data(n=8):
    rng = np.random.default_rng(0)
    return ns.Dataset(rng.normal(0.2, 1, (5, n, 3)).astype(np.float32), rng.integers(0, 2, n), name="noise")


def random_start(**more):
    return ns.Network(ns.Dense(3, 4), ns.ALIF(4, init_state="uniform"), ns.Dense(4, 2), ns.LI(2),
                      ns.OverTime("mean"), device="reference", **more)


def test_evaluation_says_where_it_began():
    net = random_start()
    found = ns.evaluate(net, data())
    assert found.drawn == ("alif0",) and found.seed == 0
    assert "begun from the initial states that training draws for alif0, seed 0" in str(found)
    rest = ns.evaluate(net, data(), seed=None)
    assert "begun at rest, without the initial states that training draws for alif0" in str(rest)
    still = ns.Network(ns.Dense(3, 2), ns.Dropout(0.5), ns.LI(2), ns.OverTime("mean"), device="reference")
    assert ns.evaluate(still, data()).drawn == () and "begun" not in str(ns.evaluate(still, data()))


def test_evaluation_begins_as_training_does():
    """Each sequence begins in the state that the seed draws for its place, whatever the batches."""
    net, x = random_start(), data(300)
    blocks = [net.initial_state(256, np.random.default_rng([3, block])) for block in (0, 1)]
    v, s, eta = (np.concatenate(arrays)[:300]
                 for arrays in zip(*(block["alif0"] for block in blocks), strict=True))
    assert np.ptp(v) > 0.9 and not s.any()
    state = net.initial_state(300) | {"alif0": type(blocks[0]["alif0"])(v, s, eta)}
    right = net.run(x.x, state)[0]
    for size in (256, 300, 7):
        assert ns.predict(net, x, batch_size=size, answers=True, seed=3).tobytes() == right.tobytes()
    at_rest = ns.predict(net, x, answers=True, seed=None)
    assert at_rest.tobytes() == net.run(x.x)[0].tobytes() != right.tobytes()
    for seed in (-1, 1.5, "0"):
        with pytest.raises(ValueError, match="seed must be an integer from 0 on"):
            ns.evaluate(net, x, seed=seed)


def test_a_network_that_needs_its_start_is_told():
    """All it answers comes from its initial state: half the answers change where that is not drawn."""
    net = ns.Network(ns.Dense(3, 1, weight="zeros"),
                     ns.ALIF(1, init_state="uniform", tau_mem=50.0, v_threshold=5.0, output="v"),
                     ns.Dense(1, 2), ns.OverTime("sum"), device="reference")
    net.params["dense1.weight"][:] = np.reshape([0, 1], net.params["dense1.weight"].shape)
    net.params["dense1.bias"][:] = 0, -1e-3
    x = ns.Dataset(data().x, np.ones(8, int))
    with pytest.warns(ns.TrainingWarning, match="1.0000 are right from initial states drawn as in training, "
                                                "0.0000 from rest"):
        assert ns.evaluate(net, x).accuracy == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ns.evaluate(net, x, seed=None).accuracy == 0


@pytest.mark.parametrize("function", ("relu", "selu"))
def test_gradients_at_a_kink(function, rng, monkeypatch):
    """All activations stand exactly at 0: no derivative there, and one beside it.

    A wrong gradient is found all the same.
    """
    x, labels = rng.normal(size=(4, 3, 2)), np.array([0, 1, 1])
    net = ns.Network(ns.Dense(2, 3, weight="zeros"), ns.Activation(function),
                     ns.Dense(3, 2, weight=("normal", 0, 2)), ns.OverTime("sum"), device="reference")
    before, right = net.arrays(), ns.Dense.backward
    assert max(ns.check_gradients(net, x, labels).values()) < 1e-6

    def bent(*given):
        found = right(*given)
        return Gradients(found.dx, None, {key: g * 1.01 for key, g in found.params.items()})

    monkeypatch.setattr(ns.Dense, "backward", bent)
    with pytest.raises(ns.GradientError, match="dense"):
        ns.check_gradients(net, x, labels)
    assert all((a == before[name]).all() for name, a in net.arrays().items())


def test_a_tie_of_a_maximum_is_a_kink():
    net = ns.Network(ns.Dense(2, 2, weight="ones"), ns.OverTime("max"), device="reference")
    ns.check_gradients(net, np.array([[[1.0, 2.0]], [[2.0, 1.0]]]), np.array([1]))
