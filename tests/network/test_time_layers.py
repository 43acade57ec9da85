"""Layers that turn or pool time: both directions by hand, gradients, what is refused."""

import numpy as np
import pytest

import numsnn as ns

DEVICES = ("reference", "cpu")


def data():
    rng = np.random.default_rng(0)
    return rng.normal(0.5, 1, (8, 5, 4)), rng.integers(0, 3, 5)


def recurrent():
    return ns.ALIF(5, recurrent=True, v_threshold=0.1, surrogate="gaussian")


def both_ways(device="reference", **more):
    both = ns.Bidirectional(lambda: (ns.Dense(4, 5, weight=("normal", 0, 2)), recurrent()), name="both")
    return ns.Network(both, ns.Dense(10, 6), ns.Repeat(3), ns.LIF(6, surrogate="gaussian", v_threshold=0.1),
                      ns.PoolTime(3), ns.PoolTime(2, "max"), ns.Dense(6, 3), ns.OverTime("mean"),
                      seed=1, device=device, **more)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("lengths", [None, np.array([8, 4, 2, 0, 6])])
def test_gradients_both_ways(device, lengths):
    x, labels = data()
    assert max(ns.check_gradients(both_ways(device), x, labels, lengths=lengths).values()) < 1e-6


def turned(x, lengths):
    """Sequences turned around within their lengths."""
    result = x.copy()
    for b, n in enumerate(lengths):
        result[:n, b] = x[:n, b][::-1]
    return result


def test_both_ways_by_hand():
    """Each direction as a network of its own, the second one on sequences turned around."""
    x, _ = data()
    net, lengths = both_ways(), np.array([8, 3, 2, 0, 6])
    _, _, seen = net.run(x, lengths=lengths, record={"both": "y"})
    halves = []
    for i in range(2):
        one = ns.Network(ns.Dense(4, 5), recurrent(), device="reference")
        for key in one.params:
            one.params[key] = net.params[key.replace("0", str(i), 1)]
        y, _ = one.run(turned(x, lengths) if i else x, lengths=lengths)
        halves.append(turned(y, lengths) if i else y)
    assert np.array_equal(seen["both"]["y"], np.concatenate(halves, 2))
    assert halves[1].sum() > 10


def test_both_ways_need_the_whole_sequence():
    x, labels = data()
    net = both_ways()
    with pytest.raises(ValueError, match="cannot run step by step: layer reverse0 needs the whole sequence"):
        net.step(x[0])
    with pytest.raises(ValueError, match="cannot be trained by truncated BPTT"):
        ns.fit(net, ns.Dataset(x, labels), loss=ns.loss.CrossEntropy(), optimizer=ns.optim.Adam(), epochs=1,
               batch_size=2, tbptt=4)


@pytest.mark.parametrize("reduce", ("mean", "sum", "max"))
def test_pooled_time(reduce):
    rng = np.random.default_rng(0)
    net = ns.Network(ns.PoolTime(3, reduce), input_shape=4, dtype="float64", device="reference")
    x = rng.normal(size=(6, 2, 4))
    want = getattr(x.reshape(2, 3, 2, 4), reduce)(1)
    assert np.abs(net.run(x)[0] - want).max() < 1e-15
    assert np.array_equal(net.run(x > 0)[0], net.run((x > 0).astype(float))[0])
    with pytest.raises(ValueError, match="layer pooltime0: makes one step of 3, but 7 steps arrive"):
        net.run(rng.normal(size=(7, 2, 4)))


def test_what_time_layers_refuse():
    refused = (
        (lambda: ns.PoolTime(2, "median"), "'mean', 'sum' or 'max'"),
        (lambda: ns.Bidirectional(ns.Dense(2, 2)), "takes a function"),
        (lambda: ns.Bidirectional(lambda: ns.Dense(2, 2), "dot"), "'concat' or 'sum'"),
        (lambda: ns.PoolTime(0), "positive"),
    )
    for call, message in refused:
        with pytest.raises((TypeError, ValueError), match=message):
            call()
