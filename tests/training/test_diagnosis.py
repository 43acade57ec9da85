"""`diagnose`: networks with one thing wrong, and what is said of each."""

import numpy as np
import pytest

import numsnn as ns

INPUT = {"weight": ("normal", 0, 3)}


@pytest.fixture
def data(rng):
    return ns.Dataset((rng.random((120, 24, 8)) < 0.05).astype(np.float32), np.arange(24) % 3)


def network(*hidden, tau=200):
    readout = ns.LI(3, tau_mem=tau), ns.OverTime("last")
    return ns.Network(*hidden, ns.Dense(20, 3), *readout, seed=0, device="reference")


WRONG = {
    "never spikes, and what comes after it gets nothing": lambda: network(
        ns.Dense(8, 20), ns.LIF(20, v_threshold=50)),
    "spikes too much": lambda: network(ns.Dense(8, 20, bias=("constant", 9)), ns.LIF(20)),
    "neurons never spike": lambda: network(
        ns.Dense(8, 20, **INPUT), ns.LIF(20, v_threshold=np.repeat([1.0, 99.0], (7, 13)))),
    "near its threshold, and only there gradients pass": lambda: network(
        ns.Dense(8, 20, **INPUT), ns.LIF(20, surrogate={"name": "rectangle", "a": 1e-3})),
    "the gradient dies on its way back": lambda: network(
        ns.Dense(8, 20, **INPUT), ns.LIF(20, tau_mem=4.0), tau=4),
    "the gradient grows on its way back": lambda: network(
        ns.Dense(8, 20, **INPUT), ns.LIF(20, recurrent=True, recurrent_init=("orthogonal", 9), surrogate={
            "name": "gaussian", "gamma": 2.0})),
    "speaks once in": lambda: network(ns.Dense(8, 20, **INPUT), ns.LIF(20, tau_mem=2.0)),
    "values lie on their bound (2, 3), and the gradient holds": lambda: network(
        ns.Dense(8, 20, **INPUT), ns.LIF(20, tau_mem=2.0, learn="tau_mem", bounds={"tau_mem": (2, 3)})),
    "from rest, where run, step and exported networks begin": lambda: network(
        ns.Dense(8, 20, **INPUT), ns.LI(20, init_state="uniform"), ns.Dense(20, 20, weight=("constant", 3)),
        ns.LI(20, tau_mem=1e6, input_scale="1")),
}


@pytest.mark.parametrize("sentence", WRONG)
def test_what_is_wrong_is_said(sentence, data):
    found = ns.diagnose(WRONG[sentence](), data)
    assert any(sentence in said for said in found.findings), found.findings
    assert sentence in str(found)


def test_nothing_is_wrong_with_a_network_that_learns(data):
    net = network(ns.Dense(8, 20, **INPUT), ns.ALIF(20, recurrent=True))
    before = net.arrays()
    found = ns.diagnose(net, data)
    assert not found.findings and "nothing stands out" in str(found)
    assert all((a == before[name]).all() for name, a in net.arrays().items())
    assert str(ns.diagnose(net, data)) == str(found)


def test_the_gradient_on_its_way_back_is_that_of_the_state(data):
    """Against a membrane of one time constant: each step back it is alpha of what it was."""
    net = ns.Network(ns.Dense(8, 3), ns.LI(3, tau_mem=10.0), seed=0, device="reference", dtype="float64")
    of_steps = ns.Dataset(data.x, np.tile(data.y, (120, 1)))
    found, = ns.diagnose(net, of_steps, pieces=7).layers
    assert found.growth == pytest.approx(np.exp(-1 / 10), rel=1e-6)
    assert len(found.gradients) == 7 and found.taus["tau_mem"] == (10, 10, 10)


def test_numbers_of_a_layer(data):
    net = network(ns.Dense(8, 20, **INPUT), ns.LIF(20, recurrent=True, recurrent_init=("orthogonal", 0.7)))
    found = ns.diagnose(net, data, samples=24).layers[0]
    rate = net.run(data.x, record="rate")[2]["lif0"]["rate"]
    assert found.rate == pytest.approx(rate.mean()) and found.dead == (rate.max(0) == 0).sum()
    assert found.radius == pytest.approx(0.7, rel=1e-5) == found.norm
    batch = next(data.batches(24, prefetch=0))
    assert str(ns.diagnose(net, batch)) == str(ns.diagnose(net, data, samples=24))


def test_events_steps_and_lengths(data):
    """Spikes, labels of steps and sequences that end early give what arrays give."""
    net = ns.Network(ns.Dense(8, 20, **INPUT), ns.ALIF(20, recurrent=True), ns.Dense(20, 3), ns.LI(3), seed=0,
                     device="reference")
    lengths = np.linspace(80, 120, 24).astype(int)
    labels = np.tile(data.y, (120, 1))
    x = data.x * (np.arange(120)[:, None, None] < lengths[:, None])
    dense, events = (ns.Dataset(form, labels, lengths=lengths) for form in (x, ns.Spikes.from_dense(x)))
    assert str(ns.diagnose(net, dense)) == str(ns.diagnose(net, events))


def test_bad_input_is_refused(data):
    net = network(ns.Dense(8, 20), ns.LIF(20))
    for wrong in ({"samples": 0}, {"pieces": 1.5}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be a positive integer"):
            ns.diagnose(net, data, **wrong)
    with pytest.raises(TypeError, match="diagnose takes a Dataset"):
        ns.diagnose(net, data.x)


def test_a_network_that_cannot_be_cut_in_time(data):
    net = network(ns.Dense(8, 20), ns.BatchNorm(), ns.LIF(20))
    assert not ns.diagnose(net, data).moments.size
