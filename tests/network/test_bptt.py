"""Whole networks: gradients against differences with smooth spikes, naive.py with hard ones, golden ones."""

import naive
import numpy as np
import pytest
from compare import check_gradients_of, dot, normal_like

import numsnn as ns

LEARN = ("tau_mem", "tau_adp")
ALL = ("tau_mem", "tau_adp", "v_threshold", "beta")

# papers.md 2a: N = 1, w = 1, v = .5, tau_mem = 20, tau_adp = 7, beta = 1.8, b_j0 = .01, eta0 = .01;
# loss = sum of spikes
GOLDEN = {
    "dense0.weight": .5233879522278, "alif0.recurrent": .1124810905022, "alif0.tau_mem": -.0293319713936,
    "alif0.tau_adp": .0931178671780, "alif0.beta": -.5637751651630, "alif0.v_threshold": -4.599330766806,
    "v": 1.543173824075, "spike": -.6157667448961, "eta": -3.996939254253,
}


def srnn(n_in=3, n=5, n_out=4, *, device="cpu", dtype="float64", seed=0, beta=1.8, learn=LEARN, readout=None,
         **more):
    """The SRNN's network with a threshold at which a short sequence spikes."""
    hidden = ns.ALIF(n, recurrent=True, tau_mem=5, tau_adp=("uniform", 5, 10), beta=beta, v_threshold=0.1,
                     learn=learn, recurrent_bias_init=("normal", 0, 1), **more)
    readout = readout or ns.ALIF(n_out, output="v", tau_mem=20, tau_adp=100, learn=LEARN)
    return ns.Network(ns.Dense(n_in, n, weight=("normal", 0, 3), bias=("normal", 0, 1)), hidden,
                      ns.Dense(n, n_out), readout, device=device, dtype=dtype, seed=seed)


def data(rng, steps=14, batch=5, n_in=3, n_out=4):
    return rng.random((steps, batch, n_in)) < 0.5, rng.integers(0, n_out, (steps, batch))


def stacked(**more):
    """Two populations of different kinds and an integrator."""
    second = ns.LIF(4, recurrent=True, tau_mem=5, reset="hard", v_reset=-0.1, input_scale="1-alpha",
                    v_threshold=0.1, learn=("tau_mem", "v_threshold", "v_reset"), surrogate="atan")
    first = ns.ALIF(5, recurrent=True, tau_mem=3, learn=LEARN)
    return ns.Network(ns.Dense(3, 5, weight=("normal", 0, 3)), first, ns.Dense(5, 4), second,
                      ns.Dense(4, 4), ns.LI(4, learn="tau_mem"), dtype="float64", **more)


def reset_in_the_next_step(**more):
    hidden = ns.LIF(5, reset_when="next", recurrent="v", tau_mem=5, v_threshold=0.2,
                    learn=("tau_mem", "v_threshold"))
    return ns.Network(ns.Dense(3, 5), hidden, ns.Dense(5, 4), ns.LI(4, input_scale="1", recurrent=True),
                      dtype="float64", **more)


def population_first(**more):
    return ns.Network(ns.LIF(3, recurrent=True, v_threshold=0.3, learn="tau_mem"), ns.Dense(3, 4),
                      dtype="float64", **more)


NETWORKS = {
    "srnn": srnn,
    "srnn, all learned, shared": lambda **more: srnn(
        learn=ALL, shared=("beta", "tau_mem"), init_state="author", **more),
    "stacked, integrator": stacked,
    "reset in the next step, membrane recurs": reset_in_the_next_step,
    "population first": population_first,
}


@pytest.mark.parametrize("device", ("reference", "cpu"))
@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_against_central_differences(name, device, rng):
    x, labels = data(rng)
    net = NETWORKS[name](device=device)
    errors = ns.check_gradients(net, x, labels, samples=12)
    assert errors.keys() == net.params.keys()
    assert max(errors.values()) < 1e-7, errors


@pytest.mark.parametrize("device", ("reference", "cpu"))
@pytest.mark.parametrize("readout", (
    ("sum", "softmax", 2), ("mean", "value", 0), ("mean", "softmax", 3),
    ("max", "value", 1), ("last", "value", 0), ("each", "softmax", 0),
), ids=str)
def test_answers_over_time_with_padding(readout, device, rng):
    x, labels = data(rng)
    reduce, of, start = readout
    hidden = ns.ALIF(5, recurrent=True, learn=LEARN)
    net = ns.Network(ns.Dense(3, 5, weight=("normal", 0, 3)), hidden, ns.Dense(5, 4), ns.LI(4, tau_mem=3),
                     ns.OverTime(reduce, of=of, start=start), dtype="float64", device=device)
    loss = ns.loss.MSE() if of == "softmax" else ns.loss.CrossEntropy(steps="mean")
    labels = labels if reduce == "each" else labels[0]
    lengths = np.array([14, 3, 0, 9, 14])
    errors = ns.check_gradients(net, x, labels, loss=loss, lengths=lengths, tolerance=1e-7)
    assert max(errors.values()) < 1e-7


def test_check_gradients_notices_a_wrong_gradient(rng, monkeypatch):
    from numsnn.layers import Dense
    right = Dense.backward

    def wrong(self, *args):
        g = right(self, *args)
        return g._replace(params=g.params | {"bias": g.params["bias"] * 1.001})

    monkeypatch.setattr(Dense, "backward", wrong)
    with pytest.raises(ns.GradientError, match="gradient of dense"):
        ns.check_gradients(srnn(device="reference"), *data(rng))


@pytest.mark.parametrize("wrong", ({"step": 0}, {"step": float("nan")}, {"samples": 0}))
def test_what_the_check_cannot_do_is_refused(wrong, rng):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be a positive"):
        ns.check_gradients(srnn(device="reference"), *data(rng), **wrong)


def test_detached_reset_is_refused_by_the_check(rng):
    net = ns.Network(ns.Dense(3, 4), ns.LIF(4, detach_reset=True), ns.Dense(4, 4), device="reference")
    with pytest.raises(ValueError, match="lif0 detaches its reset"):
        ns.check_gradients(net, *data(rng))


@pytest.mark.parametrize("device", ("reference", "cpu"))
@pytest.mark.parametrize("dtype", ("float32", "float64"))
def test_golden_hard_spike_gradients(dtype, device):
    neuron = ns.ALIF(1, recurrent=True, recurrent_init=0.5, tau_mem=20, tau_adp=7, beta=1.8, v_threshold=0.01,
                     learn=ALL)
    net = ns.Network(ns.Dense(1, 1, weight=1.0, bias=False), neuron, dtype=dtype, device=device)
    x = np.array([k % 3 != 0 for k in range(1, 13)])[:, None, None]
    state = net.initial_state(1)
    state["alif0"] = state["alif0"]._replace(eta=np.full((1, 1), 0.01, dtype))
    y, after, tape = net.forward(x, state)
    assert y[:, 0, 0].tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]
    grads, dstate = net.backward(tape, np.ones_like(y))
    found = {name: float(g.ravel()[0]) for name, g in grads.items() if name in GOLDEN}
    found.update({field: float(d[0, 0]) for field, d in dstate["alif0"]._asdict().items()})
    assert found.keys() == GOLDEN.keys()
    for name, value in GOLDEN.items():
        printed = 0.5 * 10.0 ** -(len(str(value).split(".")[1]))
        bound = printed + 1e-12 if dtype == "float64" else 1e-6 * max(1, abs(value))
        assert abs(found[name] - value) <= bound, name
    assert abs(after["alif0"].v[0, 0] + .13242262280006) < (1e-13 if dtype == "float64" else 1e-6)


@pytest.mark.parametrize("device", ("reference", "cpu"))
def test_hard_spike_gradients_against_dual_numbers(device, rng):
    """The whole SRNN against forward-mode differentiation in naive.py: hard spikes, multi_gaussian."""
    net = srnn(2, 3, 2, device=device, beta=1.8)
    steps, batch = 9, 2
    x, labels = data(rng, steps, batch, 2, 2)
    state = net.initial_state(batch)
    for name in ("alif0", "alif1"):
        state[name] = state[name]._replace(eta=np.full_like(state[name].eta, 0.1))
    loss, grads, y, _ = net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels, state=state)
    names = {
        "w1": "dense0.weight", "b1": "dense0.bias", "v": "alif0.recurrent", "bv": "alif0.recurrent_bias",
        "tau_mem1": "alif0.tau_mem", "tau_adp1": "alif0.tau_adp",
        "w2": "dense1.weight", "b2": "dense1.bias",
        "tau_mem2": "alif1.tau_mem", "tau_adp2": "alif1.tau_adp",
    }
    p, read = naive.variables(**{short: net.params[long] for short, long in names.items()})
    total, spikes = naive.Dual(0), 0
    for b in range(batch):
        membranes, hidden = naive.srnn(x[:, b], p, beta=(1.8, 1.8), v_threshold=(0.1, 0.01), eta0=0.1)
        spikes += sum(s.x for row in hidden for s in row)
        assert np.allclose([[m.x for m in row] for row in membranes], y[:, b], rtol=0, atol=1e-12)
        losses = (naive.cross_entropy(row, label) for row, label in zip(membranes, labels[:, b], strict=True))
        total = total + sum(losses, naive.Dual(0)) / batch
    assert spikes > 10
    assert abs(total.x - loss) < 1e-10
    exact = read(total.d)
    for short, long in names.items():
        bound = 1e-10 * max(1, np.abs(exact[short]).max())
        assert np.abs(exact[short] - grads[long]).max() < bound, long


@pytest.mark.parametrize("device", ("reference", "cpu"))
def test_gradients_of_state_input_and_hidden_fields(device, rng):
    """dstate in and out, dhidden and dx, against differences of a random linear function of everything."""
    net = srnn(device=device, readout=ns.LI(4, tau_mem=5)).smoothed()
    x = rng.normal(size=(7, 3, 3))
    state = net.initial_state(3)
    state["alif0"] = normal_like(state["alif0"], rng, 0.3)
    state["li0"] = normal_like(state["li0"], rng)
    y, after, tape = net.forward(x, state)
    dy = rng.normal(size=y.shape)
    dafter = {name: normal_like(s, rng) for name, s in after.items()}
    hidden = {field: rng.normal(size=(7, 3, 5)) for field in ("spike", "v", "theta")}

    def value():
        y, after, seen = net.run(x, state, record={"alif0": tuple(hidden)})
        of_hidden = dot((seen["alif0"][field] for field in hidden), hidden.values())
        of_state = sum(dot(after[name], dafter[name]) for name in ("alif0", "li0"))
        return (y * dy).sum() + of_hidden + of_state

    grads, dstate, dx = net.backward(tape, dy, dafter, {"alif0": hidden}, want_dx=True)
    pairs = [(net.params[k], grads[k]) for k in grads] + [(x, dx)]
    for name in ("alif0", "li0"):
        pairs += zip(state[name], dstate[name], strict=True)
    check_gradients_of(value, pairs, rng, 6)


def test_truncated_equals_full_when_gradients_are_carried(rng):
    """Segments with carried state and carried dstate are full BPTT."""
    net = srnn()
    x, _ = data(rng, steps=12)
    y, _, tape = net.forward(x)
    dy = rng.normal(size=y.shape)
    whole, dstate_whole = net.backward(tape, dy)
    y1, state, tape1 = net.forward(x[:5])
    y2, _, tape2 = net.forward(x[5:], state)
    assert np.concatenate((y1, y2)).tobytes() == y.tobytes()
    second, dstate = net.backward(tape2, dy[5:])
    first, dstate = net.backward(tape1, dy[:5], dstate)
    for name in whole:
        bound = 1e-11 * max(1, np.abs(whole[name]).max())
        assert np.abs(whole[name] - first[name] - second[name]).max() < bound, name
    for a, b in zip(dstate["alif0"], dstate_whole["alif0"], strict=True):
        assert np.abs(a - b).max() < 1e-11


def test_changing_the_unit_of_time_changes_nothing(rng):
    """dt and all time constants together in another unit (ms or steps): the same bits."""
    x, labels = data(rng)
    answers, gradients = [], []
    for unit in (1.0, 0.25):
        hidden = ns.ALIF(5, recurrent=True, tau_mem=5 * unit, tau_adp=8 * unit)
        readout = ns.LIF(4, tau_mem=20 * unit, v_threshold=0.1, output="v")
        net = ns.Network(ns.Dense(3, 5, weight=("normal", 0, 3)), hidden, ns.Dense(5, 4), readout, dt=unit)
        answers.append(net.run(x)[0].tobytes())
        gradients.append(net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels).grads)
    assert answers[0] == answers[1]
    for name, g in gradients[0].items():
        assert g.tobytes() == gradients[1][name].tobytes()
