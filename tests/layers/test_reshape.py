"""Flatten, Reshape, TimeDistributed: the same data in other shapes."""

import json

import numpy as np
import pytest

import numsnn as ns
from numsnn.layers.layer import Context
from numsnn.signals.spikes import Spikes

LENGTHS = np.array([6, 1, 0, 4])


def data(n, seed=0, steps=6, batch=4):
    return np.random.default_rng(seed).normal(0.5, 1, (steps, batch, n)).astype(np.float32)


# ---- Flatten and Reshape

def test_the_data_pass_as_they_are():
    cases = (       # layer, shape that arrives, shape handed out
        (ns.Flatten(), (2, 3, 4), (24,)),
        (ns.Flatten(), None, None),
        (ns.Reshape(2, 3, 4), (24,), (2, 3, 4)),
        (ns.Reshape(2, -1, 4), (6, 4), (2, 3, 4)),
        (ns.Reshape((4, -1)), (2, 3, 4), (4, 6)),
        (ns.Reshape(24), None, (24,)),
    )
    for layer, shape, want in cases:
        assert layer.connect(shape) == want
        for x in (data(24), Spikes.from_dense(data(24) > 0)):
            assert layer.forward(x, None, None, Context(None, None, True)).y is x
        dy = data(24, 1)
        assert layer.backward(None, dy, None, None, None, Context(None, None, True)).dx is dy


def pictures(*between, n=36):
    return ns.Network(ns.Reshape(1, 6, 6), ns.Conv2d(1, 2, 3), *between, ns.Dense(32, 3), ns.OverTime("sum"),
                      seed=1, input_shape=n)


def test_in_networks(tmp_path):
    x, labels = data(36), np.array([0, 1, 2, 0])
    net, plain = pictures(ns.Flatten(), ns.Reshape(2, 4, -1)), pictures()
    assert [layer.shape_out for layer in net.layers.values()][:4] == [(1, 6, 6), (2, 4, 4), (32,), (2, 4, 4)]
    for name, other in zip(net.params, plain.params, strict=True):
        net.params[name] = plain.params[other]
    y, _, tape = net.forward(x)
    want, _, kept = plain.forward(x)
    assert np.array_equal(y, want)
    for a, b in zip(net.backward(tape, y)[0].values(), plain.backward(kept, y)[0].values(), strict=True):
        assert np.array_equal(a, b)
    assert max(ns.check_gradients(net, x, labels).values()) < 1e-6
    ns.save(net, tmp_path / "n.h5")
    loaded = ns.load(tmp_path / "n.h5")
    assert np.array_equal(loaded.run(x)[0], y)
    assert json.dumps(loaded.config()) == json.dumps(net.config())


@pytest.mark.parametrize(("make", "words"), [
    (lambda: ns.Reshape(), r"a shape is made of positive integers, of which one may be -1.*got \(\)"),
    (lambda: ns.Reshape(2, -1, -1), "of which one may be -1"),
    (lambda: ns.Reshape(2, 0), r"got \(2, 0\)"),
    (lambda: ns.Network(ns.Dense(4, 9), ns.Reshape(2, 4)),
     r"reshape0: cannot make \(2, 4\) of \(9,\): 9 features arrive, 8 are needed"),
    (lambda: ns.Network(ns.Reshape(4, -1), input_shape=(2, 3, 3)),
     r"cannot make \(4, -1\) of \(2, 3, 3\): 18 features arrive, a multiple of 4 are needed"),
    (lambda: ns.Network(ns.Reshape(4, -1)),
     r"needs to know how many features arrive to find the -1 of \(4, -1\)"),
])
def test_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


# ---- TimeDistributed

def train(net, x, lengths=None):
    """(y, gradients of parameters by their last names, dx)."""
    y, _, tape = net.forward(x, lengths=lengths)
    grads, _, dx = net.backward(tape, np.cos(np.arange(y.size)).reshape(y.shape), want_dx=True)
    return y, {name.rpartition(".")[2]: g for name, g in grads.items()}, dx


@pytest.mark.parametrize("lengths", (None, LENGTHS), ids=("whole", "ragged"))
@pytest.mark.parametrize(("make", "shape"), [
    (lambda: ns.Dense(8, 5, bias=("normal", 0, 1)), (8,)),
    (lambda: ns.Conv2d(2, 3, 2), (2, 2, 2)),
    (lambda: ns.LayerNorm(gain=("normal", 1, 1)), (8,)),
    (lambda: ns.BatchNorm(), (2, 4)),
], ids=("dense", "conv", "layer-norm", "batch-norm"))
def test_a_layer_without_state_is_unchanged(make, shape, lengths):
    x = data(8).astype(np.float64)
    settings = {"input_shape": shape, "seed": 2, "dtype": "float64", "chunk": 2}
    plain, steps = ns.Network(make(), **settings), ns.Network(ns.TimeDistributed(make()), **settings)
    for a, b in zip(plain.params.values(), steps.params.values(), strict=True):
        assert np.array_equal(a, b)
    y, grads, dx = train(plain, x, lengths)
    other, mine, dmine = train(steps, x, lengths)
    assert np.abs(other - y).max() < 1e-12
    assert np.abs(dmine - dx).max() < 1e-12
    assert grads.keys() == mine.keys()
    assert all(np.abs(mine[name] - grads[name]).max() < 1e-12 for name in grads)
    # the running statistics too
    assert np.abs(steps.run(x, lengths=lengths)[0] - plain.run(x, lengths=lengths)[0]).max() < 1e-12


@pytest.mark.parametrize("device", ("reference", "cpu"))
def test_a_layer_with_state_begins_afresh_in_every_step(device):
    settings = {"tau_mem": 3.0, "recurrent": True, "recurrent_bias_init": ("normal", 0, 1),
                "v_threshold": 0.3}
    fields = ("v", "spike")
    net = ns.Network(ns.TimeDistributed(ns.ALIF(8, **settings)), seed=1, device=device, input_shape=8)
    plain = ns.Network(ns.ALIF(8, **settings), seed=1, device=device, input_shape=8)
    x = data(8)
    y, state, seen = net.run(x, lengths=LENGTHS, record={"timedistributed0": fields})
    assert state == {"timedistributed0": None}
    assert y.any()
    for t in range(6):
        lengths = (t < LENGTHS).astype(int)
        alone, _, recorded = plain.run(x[t:t + 1], lengths=lengths, record={"alif0": fields})
        assert np.array_equal(y[t], alone[0])
        for field in fields:
            assert np.array_equal(seen["timedistributed0"][field][t], recorded["alif0"][field][0])
    assert np.array_equal(net.step(x[0])[0], plain.run(x[:1])[0][0])


def network(**more):
    population = ns.ALIF(6, learn=("tau_mem",), tau_mem=3, recurrent=True, v_threshold=0.5)
    return ns.Network(ns.TimeDistributed(ns.Dense(4, 6), name="first"),
                      ns.TimeDistributed(ns.BatchNorm(gain=("normal", 1, 0.1))),
                      ns.TimeDistributed(population), ns.TimeDistributed(ns.Reshape(2, -1)),
                      ns.LI(6), ns.Dense(6, 3), ns.OverTime("mean"), seed=1, **more)


def test_gradients_names_and_bounds():
    x, labels = data(4, 3), np.array([0, 1, 2, 0])
    net = network()
    assert max(ns.check_gradients(net, x, labels, lengths=np.array([6, 1, 2, 4])).values()) < 1e-6
    assert list(net.params)[:2] == ["first.weight", "first.bias"]
    assert "timedistributed1.recurrent" in net.params
    assert net.params["first.weight"] is net.layers["first"].layer.params["weight"]
    net.params["timedistributed1.tau_mem"][...] = 1e-6      # as an optimiser does
    assert net.params.project() == 6
    assert np.allclose(net.params["timedistributed1.tau_mem"], 0.1, rtol=1e-6)
    tape = net.forward(x)[2]
    hidden = {"timedistributed1": {"spike": np.ones((6, 4, 6))}}
    dy = np.zeros((4, 3))
    assert net.backward(tape, dy, dhidden=hidden)[0]["first.weight"].any()
    assert not net.backward(tape, dy, dhidden=None)[0]["first.weight"].any()


def test_tokens_and_events_pass_through():
    x = np.random.default_rng(0).integers(0, 5, (4, 3))
    one = ns.Network(ns.Embedding(5, 2), seed=1)
    other = ns.Network(ns.TimeDistributed(ns.Embedding(5, 2)), seed=1)
    assert np.array_equal(one.run(x)[0], other.run(x)[0])
    spikes = Spikes.from_dense(np.random.default_rng(1).random((9, 3, 8)) < 0.3)
    events = spikes[2:7].select([2, 0])     # rows that lie apart
    one = ns.Network(ns.Dense(8, 2), seed=1)
    other = ns.Network(ns.TimeDistributed(ns.Dense(8, 2)), seed=1)
    assert np.array_equal(one.run(events)[0], other.run(events)[0])
    assert one.run(events)[0].any()


def test_saved(tmp_path):
    x, net = data(4), network()
    net.forward(x)
    ns.save(net, tmp_path / "n.h5")
    loaded = ns.load(tmp_path / "n.h5")
    assert np.array_equal(loaded.run(x)[0], net.run(x)[0])
    assert json.dumps(loaded.config()) == json.dumps(net.config())
    nested = ns.Network(ns.TimeDistributed(ns.TimeDistributed(ns.Dense(4, 6))), seed=1)
    again = ns.Network.from_config(json.loads(json.dumps(nested.config())))
    assert np.array_equal(again.run(x)[0], nested.run(x)[0])


def used():
    layer = ns.Dense(4, 4)
    ns.Network(layer)
    return layer


@pytest.mark.parametrize(("make", "words"), [
    (lambda: ns.TimeDistributed(ns.Dropout(0.3)),
     r"draws one mask for a sequence; another mask for each step is Dropout\(0.3, per_step=True\)"),
    (lambda: ns.TimeDistributed(ns.OverTime("mean")),
     r'OverTime answers once per sequence.*use OverTime\("each"\)'),
    (lambda: ns.TimeDistributed(ns.Add("a", "b")), "Add takes other steps than its own or hands out several"),
    (lambda: ns.TimeDistributed(ns.Repeat(2)), "Repeat takes other steps"),
    (lambda: ns.TimeDistributed(used()), "layer dense0: it is part of a network already"),
    (lambda: ns.Network(ns.TimeDistributed(ns.ALIF(4, init_state="uniform"))),
     r"the initial state of ALIF\(4\) is drawn at random"),
    (lambda: ns.Network(ns.Dense(2, 3), ns.TimeDistributed(ns.Dense(4, 5))),
     "layer timedistributed0: expects 4 inputs, but 3 arrive"),
])
def test_time_distributed_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_time_distributed_holds_a_layer():
    with pytest.raises(TypeError, match="TimeDistributed holds one layer"):
        ns.TimeDistributed("dense")
