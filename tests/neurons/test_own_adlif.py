"""A neuron in one file of a user's (helpers/se_adlif.py): it trains, is saved and exported as ours are."""

import numpy as np
import pytest
import se_adlif
from exported import Compiled, needs_compiler

import numsnn as ns
from numsnn.export.c_float import Float
from numsnn.export.lowering import lower

SETTINGS = {"tau_u": 9.0, "tau_w": 90.0, "a": 0.7, "b": 0.6}
OURS = {"tau_mem": 9.0, "tau_adp": 90.0, "a": 0.7, "b": 0.6}


@pytest.fixture
def own(own_models):
    return ns.population(ns.neurons.register("SEAdLIF", se_adlif))


def network(layer, **more):
    layers = (ns.Dense(3, 8, weight=("uniform", -20, 20)), layer, ns.Dense(8, 2), ns.LI(2),
              ns.OverTime("mean"))
    return ns.Network(*layers, seed=3, **more)


def data(rng, n=20):
    x = (rng.random((30, n, 3)) < 0.3).astype(np.float32)
    return ns.Dataset(x, (x[:, :, 0].sum(0) > x[:, :, 1].sum(0)).astype(int))


@pytest.mark.parametrize("device", ("reference", "cpu"))
def test_it_is_the_librarys_own(own, device, rng):
    """Two files by two hands: the same spikes, gradients and training."""
    train = data(rng)
    mine = network(own(8, recurrent=True, learn=("tau_u", "a"), **SETTINGS), device=device)
    ours = network(ns.AdLIF(8, recurrent=True, learn=("tau_mem", "a"), **OURS), device=device)
    y, _, seen = mine.run(train.x, record="rate")
    assert np.allclose(y, ours.run(train.x)[0], atol=1e-5) and 0.02 < seen["seadlif0"]["rate"].mean() < 0.5
    losses = []
    for net in (mine, ours):
        history = ns.fit(net, train, loss=ns.loss.CrossEntropy(), optimizer=ns.optim.Adam(1e-3), epochs=3,
                         batch_size=10, progress=False)
        losses.append(history["loss"])
    assert np.allclose(*losses, rtol=1e-3) and losses[0][-1] < losses[0][0]


def test_its_gradients(own, rng):
    train = data(rng, 5)
    for form in ("value", "log"):
        net = network(own(8, recurrent=True, learn=("tau_u", "tau_w", "a", "b"), learn_as=form, **SETTINGS))
        errors = ns.check_gradients(net, train.x, train.y, tolerance=1e-7)
        assert max(errors.values()) < 1e-7
    with pytest.raises(ValueError, match=r"a lies within \(0, 1\); got 1.5"):
        network(own(8, a=1.5))


def test_it_is_saved(own, rng, tmp_path):
    net = network(own(8, learn="b", bounds={"b": (0.2, 0.9)}, **SETTINGS))
    ns.save(net, tmp_path / "net.h5")
    x = data(rng).x
    assert ns.load(tmp_path / "net.h5").run(x)[0].tobytes() == net.run(x)[0].tobytes()


@needs_compiler
def test_its_c(own, rng, tmp_path):
    net = network(own(8, recurrent=True, **SETTINGS), device="reference")
    program = lower(net)
    compiled = Compiled(program, Float(program, "net"), tmp_path)
    state = None
    for now in data(rng, 1).x:
        y, state = net.step(now, state)
        assert compiled.step(now[0]).tobytes() == y[0].tobytes()
