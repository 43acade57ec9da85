"""What goes step by step on the CUDA device against the reference (see on_cuda.py): cycles of layers, cells
made of them, thresholds that follow the rate of a batch.
"""

import numpy as np
import pytest
from cuda_compare import LABELS, agreed, close, small  # noqa: F401

import numsnn as ns
from numsnn.devices.cuda import array as cuda_array

RNG = np.random.default_rng(17)
SPIKES = ns.Spikes.from_dense(RNG.random((5, 3, 5)) < 0.4)
VALUES = RNG.standard_normal((5, 3, 5), np.float32)
PICTURES = RNG.standard_normal((3, 3, 2, 3, 4), np.float32)
LENGTHS = np.array([5, 2, 0])
PADDED = pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "padded"])
WIDE = ("normal", 0, 1)


def two_cycles():
    """Spikes and values go round, both by layers that stand later; both leave the cycle."""
    neurons = ns.LIF(6, v_threshold=0.2, learn="tau_mem", surrogate="gaussian")
    return (ns.Dense(5, 6, weight=WIDE), ns.Previous("li", shape=4), ns.Dense(4, 6),
            ns.Previous("lif0", shape=6), ns.Dense(6, 6, weight=("normal", 0, 0.5)),
            ns.Add("dense0", "dense1", "dense2"), neurons, ns.Dense(6, 4),
            ns.LI(4, learn="tau_mem", name="li"), ns.Concatenate("lif0", "li", "previous0"), ns.Dense(14, 3),
            ns.OverTime("mean"))


@PADDED
@pytest.mark.parametrize("x", [SPIKES, VALUES], ids=["spikes", "values"])
def test_cycles(x, lengths):
    agreed(two_cycles, x, lengths=lengths)


def flat(states):
    """The arrays of states by layer and field."""
    there = {name: state._asdict().items() for name, state in states.items() if state}
    return {f"{name}.{field}": np.asarray(a) for name, fields in there.items() for field, a in fields}


@PADDED
def test_states_records_and_hidden_gradients(lengths):
    """Of cycles: from a state that is given, and back to it; what is recorded of each layer."""
    rng, found = np.random.default_rng(3), []
    nets = [ns.Network(*two_cycles(), device=device, seed=3) for device in ("reference", "cuda")]
    begin = nets[0].initial_state(3)
    for name in ("lif0", "li", "previous0", "previous1"):
        begin[name] = type(begin[name])(*(rng.random(a.shape).round() for a in begin[name]))
    record = {"lif0": ("v", "spike", "rate"), "li": "y", "previous0": "y", "previous1": "y", "dense1": "y"}
    hidden = {"lif0": {"v": rng.standard_normal((5, 3, 6)), "rate": rng.standard_normal((3, 6))},
              "li": {"v": rng.standard_normal((5, 3, 4))}}
    dy = rng.standard_normal((3, 3)).astype(np.float32)
    for net in nets:
        given = {name: state and type(state)(*map(net.loops.put, net._state(begin, 3)[name]))
                 for name, state in begin.items()}
        seen = net.run(VALUES, given, lengths=lengths, record=record)[2]
        y, after, tape = net.forward(VALUES, given, lengths=lengths)
        end = {name: after[name] for name in ("lif0", "li", "previous0", "previous1")}
        grads, before, dx = net.backward(tape, dy, end, hidden, want_dx=True)
        seen = {(name, field): a for name, fields in seen.items() for field, a in fields.items()}
        found.append({"y": y, "dx": dx, **grads, **seen, **flat(after),
                      **{f"d{name}": a for name, a in flat(before).items()}})
    wanted, there = found
    assert wanted.keys() == there.keys() and np.any(wanted["lif0", "spike"])
    for name, a in wanted.items():
        assert close(there[name], a, 300), name


def test_a_state_that_is_given_stays_as_it_is():
    """A cycle of one layer adds to what it hands out first."""
    net = ns.Network(ns.Previous("add0", shape=4), ns.Add("input", "previous0"), device="cuda", input_shape=4)
    x, state = np.ones((1, 2, 4), np.float32), None
    for step in range(1, 4):
        y, after = net.run(x, state)
        assert np.array_equal(y, step * x)
        assert state is None or np.array_equal(state["previous0"].last, (step - 1) * x[0])
        state = after


def test_no_step_of_a_cycle_waits_for_the_host():
    """The host waits once in the backward pass, for the loss and the gradients of all settings, and for moved
    thresholds."""
    def waits(layers, steps):
        net, lengths = ns.Network(*layers(), device="cuda", seed=3), np.minimum(LENGTHS, steps)
        cuda_array.transfers.clear()
        net.loss_and_gradients(ns.loss.CrossEntropy(), VALUES[:steps], LABELS, lengths=lengths)
        return cuda_array.transfers["down"]

    def thresholds():
        return ns.Dense(5, 6), moving(6, learn="decay"), ns.Dense(6, 3), ns.OverTime("mean")

    assert waits(two_cycles, 2) == waits(two_cycles, 5) == 1
    assert waits(thresholds, 2) == waits(thresholds, 5) == 2


def test_a_cycle_without_steps():
    net = ns.Network(*two_cycles(), device="cuda", seed=3)
    y, state, tape = net.forward(VALUES[:0])
    grads, _, dx = net.backward(tape, np.ones_like(y), want_dx=True)
    assert dx.shape == (0, 3, 5) and not np.any(np.asarray(state["previous0"].last))
    assert not any(np.any(np.asarray(g)) for name, g in grads.items() if not name.endswith("bias"))


@PADDED
def test_the_step_before_without_a_cycle(lengths):
    def layers():
        return (ns.Dense(5, 6, weight=WIDE), ns.LIF(6, v_threshold=0.2), ns.Previous("lif0"),
                ns.Add("lif0", "previous0"), ns.Previous("dense0"), ns.Concatenate("add0", "previous1"),
                ns.Dense(12, 3), ns.OverTime("last"))

    agreed(layers, SPIKES, lengths=lengths)


@PADDED
def test_lstm_of_pictures(lengths):
    def layers():
        return (ns.ConvLSTM2D(2, 2, 3, padding=1, bias=("normal", 0, 1)), ns.Flatten(), ns.Dense(24, 3),
                ns.OverTime("last"))

    agreed(layers, PICTURES, exactly=False, lengths=lengths if lengths is None else np.array([3, 1, 2]))


def moving(n, **more):
    """Neurons whose thresholds go up and down, and reach both ends."""
    return ns.ARLIF(n, rate_low=0.4, rate_high=0.45, threshold_step=0.07, threshold_min=0.43,
                    threshold_max=0.6, surrogate="gaussian", **more)


@PADDED
@pytest.mark.parametrize("more", [{}, {"shared": ()}, {"recurrent": "spike"}, {"output": "spike"}],
                         ids=["one threshold", "own thresholds", "recurrent", "spikes"])
def test_thresholds_that_follow_a_rate(more, lengths):
    """More neurons than a block has threads."""
    def layers():
        return ns.Dense(5, 37, weight=WIDE), moving(37, **more), ns.Dense(37, 3), ns.OverTime("mean")

    agreed(layers, VALUES, lengths=lengths)
    here, there = (ns.Network(*layers(), device=device, seed=3) for device in ("reference", "cuda"))
    for _ in range(2):
        for net in (here, there):
            net.forward(VALUES, lengths=lengths)
    moved = here.layers["arlif0"].fixed["v_threshold"]
    assert np.array_equal(there.layers["arlif0"].fixed["v_threshold"], moved) and np.any(moved != 0.5)


def test_thresholds_of_pictures():
    def layers():
        cell = ns.ConvARLIF2D(2, 3, 3, padding=1, weight=WIDE, rate_low=0.4, rate_high=0.5, learn=("decay",),
                              shared="decay", per_channel="v_threshold")
        return cell, ns.Flatten(), ns.Dense(36, 3), ns.OverTime("mean")

    agreed(layers, PICTURES, exactly=False, lengths=np.array([3, 1, 2]))
    net = ns.Network(*layers(), device="cuda", input_shape=(2, 3, 4), seed=3)
    _, _, tape = net.forward(PICTURES[:0])
    assert not any(np.any(np.asarray(g)) for g in net.backward(tape, np.zeros((3, 3)))[0].values())
    net.forward(PICTURES)
    assert len(np.unique(net.layers["arlif0"].fixed["v_threshold"])) > 1


def test_steps_by_themselves_move_a_threshold_once():
    def layers():
        neurons = moving(6, learn=())
        return ns.Dense(5, 6, weight=WIDE), ns.TimeDistributed(neurons), ns.Dense(6, 3), ns.OverTime("mean")

    agreed(layers, VALUES, lengths=LENGTHS)
