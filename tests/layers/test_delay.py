"""Delay by whole steps: against slices, pieces of sequences, lengths, spikes, gradients, what is refused."""

from itertools import pairwise

import numpy as np
import pytest

import numsnn as ns
from numsnn.signals.spikes import Spikes

EACH = (0, 3, 3, 1, 9, 2)
STEPS = (0, 1, 3, 9, EACH)
LENGTHS = np.array([7, 3, 0, 5, 1])


def network(steps, **more):
    return ns.Network(ns.Delay(steps), **{"input_shape": 6, "device": "reference", **more})


def data(kind="values"):
    rng = np.random.default_rng(1)
    return rng.normal(0, 1, (7, 5, 6)).astype("f4") if kind == "values" else rng.integers(0, 3, (7, 5, 6))


def delayed(x, steps):
    y = np.zeros_like(x)
    for n, d in enumerate(np.broadcast_to(steps, x.shape[2])):
        y[d:, :, n] = x[:max(len(x) - d, 0), :, n]
    return y


@pytest.mark.parametrize("steps", STEPS)
def test_against_slices(steps):
    x, counts = data(), data("counts")
    net = network(steps)
    assert np.array_equal(net.run(x)[0], delayed(x, steps))
    assert np.array_equal(network(steps, device="cpu", chunk=2).run(x)[0], delayed(x, steps))
    assert np.array_equal(net.run(Spikes.from_dense(counts))[0], delayed(counts, steps))


@pytest.mark.parametrize("steps", STEPS)
def test_pieces_and_steps(steps):
    x, net = data(), network(steps)
    for ends in ([0, 1, 1, 4, 7], range(8)):
        state, parts = None, []
        for first, last in pairwise(ends):
            part, state = net.run(x[first:last], state)
            parts.append(part)
        assert np.array_equal(np.concatenate(parts), delayed(x, steps))
    state = None
    for now, then in zip(x, delayed(x, steps), strict=True):
        y, state = net.step(now, state)
        assert np.array_equal(y, then)


def test_compiled_steps_are_those_of_the_run():
    net = ns.Network(ns.Delay(EACH), ns.Delay(0), ns.Dense(6, 3), ns.Delay(2), input_shape=6)
    x, state = data(), None
    whole, after = net.run(x)
    for now, then in zip(x, whole, strict=True):
        y, state = net.step(now, state)
        assert np.array_equal(y, then)
    assert net._steppers[5] is not None
    assert all(np.array_equal(state[name].past, after[name].past) for name in ("delay0", "delay1", "delay2"))


@pytest.mark.parametrize("steps", STEPS)
def test_padded_steps_are_not_remembered(steps):
    x, net = data(), network(steps)
    y, _ = net.run(x, net.run(x, lengths=LENGTHS)[1])
    for b, n in enumerate(LENGTHS):
        whole = np.concatenate((x[:n, b:b + 1], x[:, b:b + 1]))
        assert np.array_equal(delayed(whole, steps)[n:, 0], y[:, b])


@pytest.mark.parametrize("steps", (0, 2, EACH))
@pytest.mark.parametrize("lengths", (None, LENGTHS))
def test_the_backward_pass_is_the_transpose(steps, lengths):
    """<dy, y> + <dpast, past> on both sides of a linear function."""
    rng, net = np.random.default_rng(2), network(steps, dtype="float64")
    state = net.initial_state(5)["delay0"]
    state = state._replace(past=rng.normal(size=state.past.shape))
    x = data().astype(float)
    y, after, tape = net.forward(x, {"delay0": state}, lengths=lengths)
    dy, dafter = rng.normal(size=y.shape), state._replace(past=rng.normal(size=state.past.shape))
    _, dstate, dx = net.backward(tape, dy, {"delay0": dafter}, want_dx=True)
    out = (dy * y).sum() + (dafter.past * after["delay0"].past).sum()
    given = (dx * x).sum() + (dstate["delay0"].past * state.past).sum()
    assert abs(out - given) < 1e-12


def test_gradients_in_a_network_and_in_a_loop():
    rng = np.random.default_rng(3)
    x, labels = rng.normal(0.5, 1, (9, 5, 4)), rng.integers(0, 3, 5)
    stack = ns.Network(ns.Dense(4, 6), ns.Delay(2), ns.LIF(6), ns.Delay(EACH), ns.Dense(6, 3),
                       ns.OverTime("mean"), device="reference")
    loop = ns.Network(ns.Previous("late", shape=6), ns.Concatenate("input", "previous0"), ns.Dense(10, 6),
                      ns.LIF(6), ns.Delay(2, name="late"), ns.Dense(6, 3), ns.OverTime("mean"),
                      input_shape=4, device="reference")
    lengths = np.array([9, 3, 1, 5, 9])
    for net in (stack, loop):
        assert max(ns.check_gradients(net, x, labels).values()) < 1e-6
        assert max(ns.check_gradients(net, x, labels, lengths=lengths).values()) < 1e-6
        whole = net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels)
        pieces = net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels, checkpoint_every=2)
        assert all(np.allclose(whole.grads[name], pieces.grads[name], atol=1e-6) for name in whole.grads)


def test_spikes_stay_spikes():
    counts = Spikes.from_dense(data("counts"))
    layer = network(3).layers["delay0"]
    context = ns.layers.layer.Context(network(3).loops, None)
    result = layer.forward(counts, layer.initial_state(5), layer.prepare(context), context)
    assert isinstance(result.y, Spikes) and np.array_equal(result.y.dense(), delayed(counts.dense(), 3))
    net = ns.Network(ns.Delay(2), ns.Dense(6, 3), input_shape=6, device="reference")
    layers = ns.energy.operations(net, counts).layers
    assert layers["delay0"].mac == layers["delay0"].ac == 0
    assert layers["dense0"].mac == 0 and layers["dense0"].ac == 3 * counts.dense()[:-2].sum()


def test_saved_and_described(tmp_path):
    for steps in (2, EACH):
        net = network(steps)
        ns.save(net, tmp_path / "n.h5")
        assert ns.load(tmp_path / "n.h5").same_as(net)
    assert repr(ns.Delay(3)) == "Delay(3)" and repr(ns.Delay(np.array(EACH))) == "Delay(0 ... 9)"
    assert ns.Delay(np.array(EACH)).config() == {"steps": EACH, "name": None}
    assert ns.Network(ns.Delay(1), input_shape=(2, 3, 3)).layers["delay0"].shape_out == (2, 3, 3)


@pytest.mark.parametrize("steps", (-1, 65_537, 1.5, True, "two", [], [1, 2.5], [[1, 2]], None, [1, -1]))
def test_steps_are_whole_numbers(steps):
    with pytest.raises(ValueError, match="steps must be a whole number from 0 to 65,536, or one for each"):
        ns.Delay(steps)


def test_sizes_that_do_not_fit():
    with pytest.raises(ValueError, match="delay0: has a delay for each of 6 features, but 5 arrive"):
        network(EACH, input_shape=5)
    with pytest.raises(ValueError, match="delays hold 65,536,000 values of each sample, more than 16,777,2"):
        network(65_536, input_shape=1000)
    with pytest.raises(ValueError, match="delay0: needs to know how many features arrive"):
        ns.Network(ns.Delay(2))
