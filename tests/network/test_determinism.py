"""What is equal bit for bit: threads, chunks of time, steps, chunks of the batch, events, devices."""

import numpy as np
import pytest
from compare import same_states

import numsnn as ns

READOUTS = {
    "membrane": lambda: ns.ALIF(6, output="v", tau_adp=100, learn=("tau_mem", "tau_adp")),
    "sum of softmax": lambda: ns.LI(6, tau_mem=20),
}


def network(readout="membrane", **more):
    first = ns.ALIF(24, recurrent=True, tau_adp=("normal", 30, 3), beta=0.5, learn=("tau_mem", "tau_adp"),
                    init_state="author")
    second = ns.LIF(24, recurrent=True, v_threshold=0.3, input_scale="1-alpha")
    layers = [ns.Dense(40, 24, weight=("normal", 0, 1)), first,
              ns.Dense(24, 24, weight=("normal", 0, 1)), second,
              ns.Dense(24, 6), READOUTS[readout]()]
    if readout != "membrane":
        layers.append(ns.OverTime("sum", of="softmax", start=3))
    return ns.Network(*layers, seed=3, **more)


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(5)
    return rng.random((60, 37, 40)) < 0.1, rng.integers(0, 6, (60, 37)), rng.integers(20, 61, 37)


def gradient_bytes(net, batch, lengths):
    x, labels, _ = batch
    loss, grads, y, _ = net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels, lengths=lengths,
                                               rng=np.random.default_rng(1))
    return y.tobytes() + np.float64(loss).tobytes() + b"".join(g.tobytes() for g in grads.values())


@pytest.mark.parametrize("ragged", (False, True))
def test_number_of_threads(batch, ragged):
    lengths = batch[2] if ragged else None
    before = ns.get_num_threads()
    try:
        results = []
        for n in (1, 2, 4):
            ns.set_num_threads(n)
            results += [gradient_bytes(network(), batch, lengths) for _ in range(2)]
    finally:
        ns.set_num_threads(before)
    assert len(set(results)) == 1


@pytest.mark.parametrize("device", ("reference", "cpu"))
@pytest.mark.parametrize("readout", READOUTS)
def test_whole_chunks_of_time_and_steps(readout, device, batch):
    net, x = network(readout, device=device), batch[0][:, :9]
    each_step = readout == "membrane"
    whole, final = net.run(x)
    state, pieces = None, []
    for a, b in ((0, 7), (7, 8), (8, 41), (41, 60)):
        y, state = net.run(x[a:b], state)
        pieces.append(y)
    if each_step:
        assert np.concatenate(pieces).tobytes() == whole.tobytes()
    assert pieces[-1].tobytes() == (whole[41:] if each_step else whole).tobytes()
    assert same_states(final, state)
    state = None
    for t in range(60):
        y, state = net.step(x[t], state)
        if each_step:
            assert y.tobytes() == whole[t].tobytes()
    assert y.tobytes() == (whole[-1] if each_step else whole).tobytes()
    assert same_states(final, state)


def test_reference_and_cpu(batch):
    x, _, lengths = batch
    y, s = network(device="cpu").run(x, lengths=lengths)
    z, r = network(device="reference").run(x, lengths=lengths)
    assert y.tobytes() == z.tobytes()
    assert same_states(s, r)


def test_events_and_values_and_chunks_of_the_batch(batch):
    x = batch[0]
    whole = network().run(ns.Spikes.from_dense(x))[0].tobytes()
    assert network().run(x.astype(np.float32))[0].tobytes() == whole
    for chunk in (1, 5, 64):
        assert network(chunk=chunk).run(x)[0].tobytes() == whole


def test_a_sample_does_not_depend_on_its_batch(batch):
    x, _, lengths = batch
    whole = network().run(x, lengths=lengths)[0]
    for b in (0, 20, 36):
        alone = network().run(x[:lengths[b], b:b + 1])[0]
        assert alone[:, 0].tobytes() == whole[:lengths[b], b].tobytes()
        assert not whole[lengths[b]:, b].any()


def test_forward_then_backward_is_loss_and_gradients(batch):
    x, labels, lengths = batch
    net, loss = network(), ns.loss.CrossEntropy(steps="mean")
    value, grads, y, _ = net.loss_and_gradients(loss, x, labels, lengths=lengths,
                                                rng=np.random.default_rng(1))
    y2, _, tape = net.forward(x, rng=np.random.default_rng(1), lengths=lengths)
    value2, dy = loss(y2, labels, lengths=lengths)
    grads2, _ = net.backward(tape, dy)
    assert y.tobytes() == y2.tobytes()
    assert abs(value - value2) < 1e-6
    for name in grads:
        assert np.abs(grads[name] - grads2[name]).max() <= 1e-6 * max(1, np.abs(grads[name]).max()), name


def test_run_draws_nothing_and_changes_nothing(batch):
    net = network()
    before = {k: v.tobytes() for k, v in net.params.items()}
    assert net.run(batch[0])[0].tobytes() == net.run(batch[0])[0].tobytes()
    assert {k: v.tobytes() for k, v in net.params.items()} == before
    a = net.forward(batch[0], rng=np.random.default_rng(1))[0].tobytes()
    assert a == net.forward(batch[0], rng=np.random.default_rng(1))[0].tobytes()
    assert a != net.forward(batch[0], rng=np.random.default_rng(2))[0].tobytes()
