"""`net.step` in one compiled call: the bits of `run`, whatever the layers, states and parameters."""

import copy
import threading

import numpy as np
import pytest
from compare import same_states

import numsnn as ns
from numsnn.layers import POPULATIONS
from numsnn.network.stepping import Stepper, StepState

SETTINGS = {
    "ALIF": {"v_threshold": 0.1}, "LIF": {"v_threshold": 0.3}, "LIAF": {"v_threshold": 0.3},
    "ARLIF": {"v_threshold": 0.3},
}


def stack(kind, recurrent, dtype="float32", n=11, n_in=5, device="cpu", **more):
    """Dense, a population, Dense, integrator, the mean of soft-maxes."""
    population = POPULATIONS[kind](n, recurrent=recurrent, **SETTINGS.get(kind, {}), **more)
    currents = len(population.model.feedforward) * n
    dense = ns.Dense(n_in, currents, weight=("normal", 0, 1), bias=("normal", 0, 0.3))
    return ns.Network(dense, population, ns.Dense(n, 4), ns.LI(4, tau_mem=5.0),
                      ns.OverTime("mean", of="softmax", start=3), dtype=dtype, device=device)


def stepped(net, x, state=None):
    """The answers after each step, and the last state."""
    answers = []
    for row in x:
        y, state = net.step(row, state)
        answers.append(y)
    return np.array(answers), state


@pytest.mark.parametrize("recurrent", (False, True), ids=("feed-forward", "recurrent"))
@pytest.mark.parametrize("kind", sorted(POPULATIONS))
def test_the_bits_of_run(kind, recurrent, rng):
    for dtype in ("float32", "float64") if kind == "ALIF" else ("float32",):
        net, x = stack(kind, recurrent, dtype), rng.normal(0.3, 1, (9, 3, 5)).astype(dtype)
        y, state = stepped(net, x)
        whole, after = net.run(x)
        assert y[-1].tobytes() == whole.tobytes()
        assert y.dtype == dtype
        assert type(state) is StepState
        assert same_states(state, after)
        assert whole.tobytes() == net.clone(device="reference").run(x)[0].tobytes()
        assert net.run(x[:6])[0].tobytes() == y[5].tobytes()


@pytest.mark.parametrize("more", (
    {"output": "v"}, {"output": "theta"}, {"recurrent": "v"}, {"surrogate": "relu"},
    {"comparator": ">=", "surrogate": "atan"},
), ids=str)
def test_other_outputs(more, rng):
    net, x = stack("ALIF", **{"recurrent": True, **more}), rng.normal(0.3, 1, (9, 2, 5))
    y, state = stepped(net, x)
    whole, after = net.run(x)
    assert y[-1].tobytes() == whole.tobytes()
    assert same_states(state, after)
    assert np.ptp(y[-1]) > 0


@pytest.mark.parametrize("of", ("value", "softmax"))
@pytest.mark.parametrize(("reduce", "start"), (
    ("sum", 0), ("sum", 4), ("mean", 0), ("mean", 2), ("max", 0), ("max", 3), ("last", 1), ("each", 0),
))
def test_answers(reduce, start, of, rng):
    net = ns.Network(ns.Dense(3, 6), ns.LI(6), ns.OverTime(reduce, of=of, start=start))
    x = rng.normal(0, 2, (7, 2, 3)).astype(np.float32)
    y, state = stepped(net, x)
    assert type(state) is StepState
    for t in range(7):
        whole, _ = net.run(x[:t + 1])
        assert y[t].tobytes() == (whole[-1] if reduce == "each" else whole).tobytes()


def test_inputs_of_all_kinds(rng):
    """Bits, counts, floats, signed numbers and strided arrays; Spikes go layer by layer."""
    net = stack("ALIF", True)
    inputs = (
        rng.random((6, 2, 5)) < 0.4,
        rng.integers(0, 3, (6, 2, 5)),
        rng.integers(-2, 3, (6, 2, 5)),
        rng.normal(size=(6, 2, 5)),
        rng.random((6, 2, 10))[:, :, ::2],
        rng.integers(0, 3, (6, 2, 5)).astype(np.uint8),
    )
    for x in inputs:
        assert stepped(net, x)[0][-1].tobytes() == net.run(x)[0].tobytes()
    x = ns.Spikes.from_dense(rng.random((6, 2, 5)) < 0.4)
    assert stepped(net, [x[t:t + 1] for t in range(6)])[0][-1].tobytes() == net.run(x)[0].tobytes()


def test_states_come_and_go(rng):
    """From run to step and back; a state that was changed counts, and an old one is what it was."""
    net, x = stack("ALIF", True), rng.normal(0.3, 1, (9, 2, 5)).astype(np.float32)
    whole, _ = net.run(x)
    _, half = net.run(x[:4])
    y, state = stepped(net, x[4:], half)
    assert y[-1].tobytes() == whole.tobytes()
    _, early = stepped(net, x[:3])
    kept = copy.deepcopy(dict(early))
    once, again = (stepped(net, x[3:], early)[0][-1] for _ in range(2))
    assert once.tobytes() == again.tobytes() == whole.tobytes()
    assert same_states(early, kept)
    assert net.run(x[3:], early)[0].tobytes() == whole.tobytes()
    early["alif0"] = early["alif0"]._replace(v=early["alif0"].v + 0.5)
    shifted = stepped(net, x[3:], early)[0][-1]
    assert shifted.tobytes() == net.run(x[3:], dict(early))[0].tobytes() != whole.tobytes()
    early["alif0"].v[:] = kept["alif0"].v
    assert stepped(net, x[3:], early)[0][-1].tobytes() == whole.tobytes()
    assert type(copy.copy(state)) is dict and type(state.copy()) is dict
    copied = copy.deepcopy(state)
    copied["alif0"].v[:] = 5.0
    answer = net.step(x[0], copied)[0].tobytes()
    assert answer == net.run(x[:1], copied)[0].tobytes() != net.step(x[0], state)[0].tobytes()
    with pytest.raises(ValueError, match=r"state\['alif0'\].v holds 2 samples, but the input 3"):
        net.step(np.zeros((3, 5)), state)
    with pytest.raises(ValueError, match="state: layer alif0 is missing"):
        net.step(np.zeros((2, 5)), {"li0": state["li0"]})


def test_a_state_of_another_network_is_not_mistaken(rng):
    """Two networks whose vectors are of one length: the state of one is refused by the other, as by run."""
    one, other = (ns.Network(ns.Dense(5, 6), ns.LIF(6, name=name), ns.Dense(6, 3))
                  for name in ("left", "right"))
    _, state = one.step(np.zeros((1, 5)))
    other.step(np.zeros((1, 5)))
    with pytest.raises(ValueError, match="state: layer right is missing"):
        other.step(np.zeros((1, 5)), state)


def test_parameters_may_change_between_steps(rng):
    net = stack("ALIF", True, learn=("tau_mem", "tau_adp"))
    x = rng.normal(0.3, 1, (6, 2, 5)).astype(np.float32)
    before = stepped(net, x)[0]
    names = ("dense0.weight", "dense1.bias", "alif0.recurrent", "alif0.recurrent_bias", "alif0.tau_mem",
             "alif0.tau_adp")
    for name in names:
        p = net.params[name]
        net.params[name] = p * rng.uniform(1.1, 1.5) + rng.uniform(0, 0.3, p.shape)
        now = stepped(net, x)[0]
        assert now[-1].tobytes() == net.run(x)[0].tobytes() != before[-1].tobytes(), name
        before = now
    net.layers["alif0"].fixed["v_threshold"] += 0.2
    assert stepped(net, x)[0][-1].tobytes() == net.run(x)[0].tobytes() != before[-1].tobytes()


def test_copies_have_steps_of_their_own(rng):
    net, x = stack("LIF", True), rng.normal(0.3, 1, (4, 1, 5)).astype(np.float32)
    y, _ = stepped(net, x)
    stepper = net._steppers[1]
    assert isinstance(stepper, Stepper)
    assert copy.copy(stepper) is None
    assert copy.deepcopy(net._steppers) == {1: None}
    other = net.clone()
    other.params["dense0.weight"] = 0 * other.params["dense0.weight"]
    del net
    assert stepped(other, x)[0].tobytes() != y.tobytes()


def test_what_has_no_compiled_step_goes_layer_by_layer(rng):
    x = rng.normal(size=(5, 2, 5)).astype(np.float32)
    networks = (
        (ns.Dense(5, 6), ns.LayerNorm(), ns.LIF()),
        (ns.Dense(5, 6), ns.From("input"), ns.Dense(5, 6), ns.Add("dense0", "dense1")),
        (ns.Dense(5, 9), ns.GRU(3, reset_after=False)),
    )
    for layers in networks:
        net = ns.Network(*layers)
        y, state = stepped(net, x)
        assert type(state) is dict
        assert net._steppers == {2: None}
        assert y.tobytes() == net.run(x)[0].tobytes()
    reference = stack("LIF", True, device="reference")
    y, state = stepped(reference, x)
    assert type(state) is dict and y[-1].tobytes() == reference.run(x)[0].tobytes()
    large = ns.Network(ns.Dense(5, 300), ns.LIF(300))
    assert Stepper.of(large, 8) is not None and Stepper.of(large, 500) is None


def test_bad_input_is_refused_as_by_run():
    net = stack("LIF", False)
    net.step(np.zeros((1, 5)))
    refused = (
        (np.zeros((1, 4)), "expected x of shape"),
        (np.full((1, 5), np.nan), "the input is not finite"),
        (np.zeros(5), "step takes one time step"),
        (np.array([["a"] * 5]), "expected numbers"),
    )
    for x, message in refused:
        with pytest.raises(ValueError, match=message):
            net.step(x)


def test_threads_do_not_meet(rng):
    """Several streams at once, each with its state."""
    net, x = stack("ALIF", True), rng.normal(0.3, 1, (40, 4, 1, 5)).astype(np.float32)
    want = [stepped(net, x[:, k])[0].tobytes() for k in range(4)]
    found = [None] * 4

    def work(k):
        found[k] = stepped(net, x[:, k])[0].tobytes()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == want
