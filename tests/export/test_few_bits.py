"""Training for weights of few bits."""

import numpy as np
import pytest
from exported import network

import numsnn as ns
from numsnn.export.rounding import rounded


def made():
    return network(ns.Dense(4, 8), ns.ALIF(8, recurrent=True), ns.Dense(8, 3), ns.LI(3), ns.OverTime("mean"))


def data(rng):
    y = np.arange(40) % 3
    x = rng.normal(0, 0.5, (12, 40, 4)).astype("f4")
    x[:, np.arange(40), y] += 1
    return ns.Dataset(x, y, time_first=True)


def trained(rng, bits, epochs=12, **more):
    net = made()
    ns.fit(net, data(rng), loss=ns.loss.CrossEntropy(), optimizer=ns.optim.Adam(0.02), epochs=epochs,
           batch_size=20, progress=False, weight_bits=bits, **more)
    return net


def test_weights_are_those_of_quantise_and_come_back(rng):
    net = made()
    before = net.arrays()
    whole = ns.quantise(net, data(rng), weights=4)
    with rounded(net, 4):
        for operation, weights in whole.integers.weights.items():
            name = operation.weight.name
            own = net.layers["alif0"].params["recurrent"] if "recurrent" in name else \
                net.layers[name.partition("_")[0]].params["weight"]
            np.testing.assert_array_equal(own, weights.q / 2.0 ** weights.fraction)
    after = net.arrays()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_gradients_are_those_of_the_rounded_network(rng):
    net, few = made(), data(rng)[:8]
    twin = net.clone()
    with rounded(net, 4):
        values = net.arrays()
        grads = net.loss_and_gradients(ns.loss.CrossEntropy(), few.x, few.y).grads
    twin.restore(values)
    wanted = twin.loss_and_gradients(ns.loss.CrossEntropy(), few.x, few.y).grads
    assert all(np.array_equal(grads[name], wanted[name]) for name in wanted)


def test_what_is_measured_is_the_rounded_network(rng):
    net, held_out = made(), data(rng)
    history = ns.fit(net, data(rng), held_out, loss=ns.loss.CrossEntropy(), optimizer=ns.optim.Adam(0.02),
                     epochs=2, batch_size=20, progress=False, keep_best=False, weight_bits=4)
    with rounded(net, 4):
        found = ns.evaluate(net, held_out, loss=ns.loss.CrossEntropy()).loss
    assert history["valid_loss"][-1] == found
    assert ns.evaluate(net, held_out, loss=ns.loss.CrossEntropy()).loss != found


def test_resumed_bit_for_bit(rng, tmp_path):
    seed = rng.integers(1 << 30)
    whole = trained(np.random.default_rng(seed), 4, 3)
    for epochs, resume in ((2, False), (3, True)):
        net = trained(np.random.default_rng(seed), 4, epochs, checkpoint=tmp_path / "a.h5", resume=resume)
    assert net.same_as(whole)


def test_numbers_of_bits(rng):
    for bits in (3, 17, 4.5, True, "8"):
        with pytest.raises(ValueError, match="weight_bits must be 4 to 16"):
            trained(rng, bits)
