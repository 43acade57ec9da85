"""Every layer there is: gradients, files, devices, documentation.  A new layer must be added here."""

import copy
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

import numsnn as ns
from numsnn.layers import BLOCKS, LAYERS, POPULATIONS

README = Path(__file__).parents[2] / "README.md"
PICTURES, SEQUENCES, FEATURES = (3, 4, 4), (3, 6), (6,)
smooth = {"surrogate": "gaussian"}


def population(name):
    """Dense for as many currents as the model takes, and 4 neurons with their first settings learned."""
    model = POPULATIONS[name].model
    more = {"learn": model.Settings._fields[:2], **(smooth if model.spiking else {})}
    currents = 4 * len(model.feedforward)
    return lambda: (ns.Dense(6, currents, weight=("normal", 0, 1)), POPULATIONS[name](4, **more))


def arlif():
    return ns.ARLIF(4, threshold="learned", **smooth)


# name -> (shape of the input, layers)
CASES = {name: (FEATURES, population(name)) for name in POPULATIONS} | {
    "ARLIF": (FEATURES, lambda: (ns.Dense(6, 4), arlif())),
    "Activation": (FEATURES, lambda: (ns.Activation("tanh"),)),
    "Add": (FEATURES, lambda: (ns.Dense(6, 6, name="a"), ns.Add("a", "input"))),
    "AvgPool1d": (SEQUENCES, lambda: (ns.AvgPool1d(2),)),
    "MaxPool1d": (SEQUENCES, lambda: (ns.MaxPool1d(2),)),
    "SumPool1d": (SEQUENCES, lambda: (ns.SumPool1d(2),)),
    "AvgPool2d": (PICTURES, lambda: (ns.AvgPool2d(2),)),
    "MaxPool2d": (PICTURES, lambda: (ns.MaxPool2d(2),)),
    "SumPool2d": (PICTURES, lambda: (ns.SumPool2d(2),)),
    "BatchNorm": (PICTURES, lambda: (ns.BatchNorm(),)),
    "LayerNorm": (PICTURES, lambda: (ns.LayerNorm(),)),
    "MembraneNorm": (FEATURES, lambda: (
        ns.MembraneNorm(ns.LIAF(6, activation="tanh", **smooth), ns.LayerNorm()),)),
    "Concatenate": (FEATURES, lambda: (ns.Dense(6, 2, name="a"), ns.Concatenate("a", "input"))),
    "Conv1d": (SEQUENCES, lambda: (ns.Conv1d(3, 2, 3, padding=1),)),
    "Conv2d": (PICTURES, lambda: (ns.Conv2d(3, 2, 3, stride=2, padding=1),)),
    "Delay": (FEATURES, lambda: (ns.Delay((0, 2, 1, 1, 0, 3)), ns.Delay(max=4))),
    "DelayedDense": (FEATURES, lambda: (ns.DelayedDense(6, 3, ns.Delays(3, kernels=2)),)),
    "Dense": (FEATURES, lambda: (ns.Dense(6, 3),)),
    "Dropout": (FEATURES, lambda: (ns.Dropout(0.3, per_step=True),)),
    "Embedding": (None, lambda: (ns.Embedding(5, 4, weight=("normal", 0, 1)),)),
    "Flatten": (PICTURES, lambda: (ns.Flatten(),)),
    "Reshape": (FEATURES, lambda: (ns.Reshape(2, 3),)),
    "From": (FEATURES, lambda: (ns.From("norm0"),)),
    "OverTime": (FEATURES, lambda: ()),
    "PoolTime": (FEATURES, lambda: (ns.PoolTime(2),)),
    "Repeat": (FEATURES, lambda: (ns.Repeat(2),)),
    "Reverse": (FEATURES, lambda: (ns.Reverse(),)),
    "Scale": (FEATURES, lambda: (ns.Scale(("normal", 1, 0.3)),)),
    "Threshold": (FEATURES, lambda: (ns.Threshold(v_threshold=0.2, learn="v_threshold", **smooth),)),
    "Previous": (FEATURES, lambda: (ns.Previous("norm0"),)),
    "Ternary": (FEATURES, lambda: (ns.Ternary(),)),
    "TimeDistributed": (FEATURES, lambda: (ns.TimeDistributed(ns.Dense(6, 3)),)),
    "Bidirectional": (FEATURES, lambda: (ns.Bidirectional(lambda: (ns.Dense(6, 4), arlif())),)),
    "ConvARLIF2D": (PICTURES, lambda: (ns.ConvARLIF2D(3, 2, 3, threshold="learned", **smooth),)),
    "ConvLSTM2D": (PICTURES, lambda: (ns.ConvLSTM2D(3, 2, 3, padding=1),)),
    "Residual": (FEATURES, lambda: (ns.Residual(ns.Dense(6, 6)),)),
}


def network(name, device="reference", **more):
    """Something learned before and after the layer, so that gradients go through it."""
    shape, layers = CASES[name]
    if shape is None:
        before, size = (lambda: ()), None
    else:
        before = lambda: (ns.Reshape(*shape), ns.LayerNorm(gain=("normal", 1, 0.1)))
        size = int(np.prod(shape))
    alone = ns.Network(*before(), *layers(), input_shape=size, device="reference")
    n = next(reversed(alone.layers.values())).size_out
    return ns.Network(*before(), *layers(), ns.Dense(n, 3), ns.OverTime("mean"), seed=2, device=device,
                      input_shape=size, **more)


def data(name):
    rng, shape = np.random.default_rng(1), CASES[name][0]
    x = rng.integers(0, 5, (6, 4)) if shape is None else rng.normal(0.3, 1, (6, 4, int(np.prod(shape))))
    return x, np.array([0, 1, 2, 1])


def test_no_layer_is_missing():
    assert len(LAYERS) > 35 and CASES.keys() == (LAYERS | BLOCKS).keys()


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("name", CASES)
def test_gradients(name, device):
    x, labels = data(name)
    assert max(ns.check_gradients(network(name, device), x, labels, samples=5).values()) < 1e-6


@pytest.mark.parametrize("name", CASES)
def test_files_and_devices(name, tmp_path):
    """Saved and loaded: the same bits.  Reference and compiled: equal to rounding, float64."""
    x, labels = data(name)
    net = network(name, "cpu", dtype="float64")
    net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels, rng=np.random.default_rng(0))
    ns.save(net, tmp_path / "net.h5")
    y = net.run(x)[0]
    assert ns.load(tmp_path / "net.h5").run(x)[0].tobytes() == y.tobytes()
    assert np.abs(net.clone(device="reference").run(x)[0] - y).max() < 1e-12


@pytest.mark.parametrize("name", CASES)
def test_a_network_is_a_value(name):
    """Copies and configurations make an equal network, which is another one: training it leaves the first."""
    x, labels = data(name)
    net = network(name)
    optimizer, loss = ns.optim.Adam(0.1), ns.loss.CrossEntropy()
    optimizer.update(net.params, net.loss_and_gradients(loss, x, labels, rng=np.random.default_rng(0)).grads)
    y, state = net.run(x)
    assert ns.Network.from_config(json.loads(json.dumps(net.config()))).config() == net.config()
    assert net.config() == json.loads(json.dumps(net.config()))
    for make in (copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a)), ns.Network.clone):
        again = make(net)
        assert again.same_as(net) and again.config() == net.config()
        assert again.run(x)[0].tobytes() == y.tobytes()
        again.loss_and_gradients(loss, x, labels, rng=np.random.default_rng(0))
        for p in again.params.values():
            p += 1
        assert not again.same_as(net) and net.run(x)[0].tobytes() == y.tobytes()
    same_state, steps = pickle.loads(pickle.dumps((state, optimizer)))
    assert str(same_state) == str(state)
    assert steps.steps == 1 and str(steps.state) == str(optimizer.state)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_that_belongs_to_no_network_can_be_copied(name):
    for layer in CASES[name][1]():
        for again in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            assert type(again) is type(layer)
            assert again.config() == layer.config()


@pytest.mark.parametrize("name", CASES)
def test_documentation(name):
    """Equation or shapes in the docstring; a place in the README's table."""
    doc = (LAYERS | BLOCKS)[name].__doc__
    assert len(doc) > 80, name
    assert "(T, B" in doc or name in POPULATIONS or "=" in doc, name
    assert f"`{name}" in README.read_text(), f"{name} is not in the README's table"
