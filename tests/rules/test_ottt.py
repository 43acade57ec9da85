"""OTTT and SLTT: against the equations of the paper in NumPy, and BPTT where they must be equal."""

import numpy as np
import pytest
from test_eprop import BATCH, N_IN, STEPS, N, data, eprop, same

import numsnn as ns


def feedforward(n_hidden=5, learn=(), **how):
    hidden = ns.LIF(n_hidden, tau_mem=4, v_threshold=0.5, learn=learn, shared=("tau_mem",), surrogate="atan",
                    **how)
    return ns.Network(ns.Dense(N_IN, n_hidden, bias=("normal", 0, 1)), hidden, ns.Dense(n_hidden, N),
                      ns.LI(N, tau_mem=6), dtype="float64", device="reference", seed=4)


def stepped(rule, net, x, labels):
    trace = rule(net, batch=BATCH)
    for x_t, labels_t in zip(x, labels, strict=True):
        trace.step(x_t, labels_t)
    return trace


def of_the_paper(net, x, labels):
    """OTTT of a LIF layer with a soft reset and a leaky readout, as Xiao et al. write it."""
    p, alpha, kappa = net.params, np.exp(-1 / 4), np.exp(-1 / 6)
    u, y = np.zeros((BATCH, 5)), np.zeros((BATCH, N))
    a_in, a_hidden, ones = np.zeros((BATCH, N_IN)), np.zeros((BATCH, 5)), [0.0, 0.0]
    grads = {name: np.zeros_like(a) for name, a in p.items()}
    for x_t, labels_t in zip(x, labels, strict=True):
        u = alpha * u + x_t @ p["dense0.weight"] + p["dense0.bias"]
        s = (u > 0.5).astype(float)
        slope = 1 / (1 + (np.pi * (u - 0.5)) ** 2)
        u = u - 0.5 * s
        y = kappa * y + (1 - kappa) * (s @ p["dense1.weight"] + p["dense1.bias"])
        q = np.exp(y) / np.exp(y).sum(1, keepdims=True)
        error = (1 - kappa) * (q - np.eye(N)[labels_t]) / BATCH
        a_in, a_hidden = alpha * a_in + x_t, kappa * a_hidden + s
        ones = [alpha * ones[0] + 1, kappa * ones[1] + 1]
        local = error @ p["dense1.weight"].T * slope
        grads["dense1.weight"] += a_hidden.T @ error
        grads["dense1.bias"] += ones[1] * error.sum(0)
        grads["dense0.weight"] += a_in.T @ local
        grads["dense0.bias"] += ones[0] * local.sum(0)
    return grads


def test_ottt_is_what_the_paper_says(rng):
    net, (x, labels) = feedforward(), data(rng)
    same(stepped(ns.rules.OTTT, net, x, labels).gradients(), of_the_paper(net, x, labels))


@pytest.mark.parametrize("recurrent", (False, True))
def test_where_nothing_is_reset_ottt_is_eprop(recurrent, rng):
    net = feedforward(reset="none", recurrent=recurrent, learn=("tau_mem", "v_threshold"))
    x, labels = data(rng)
    same(stepped(ns.rules.OTTT, net, x, labels).gradients(), eprop(net, x, labels, kappa=0).gradients())


def test_a_population_that_resets_nothing_has_the_gradient_of_bptt(rng):
    net = ns.Network(ns.Dense(N_IN, N), ns.LIF(N, reset="none", tau_mem=4), dtype="float64",
                     device="reference")
    x, labels = data(rng)
    wanted = net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels).grads
    same(stepped(ns.rules.OTTT, net, x, labels).gradients(), wanted)


def test_sltt_is_bptt_truncated_to_one_step(rng):
    net, (x, labels) = feedforward(), data(rng)
    state, wanted = None, dict.fromkeys(net.params, 0)
    for t in range(STEPS):
        result = net.loss_and_gradients(ns.loss.CrossEntropy(), x[t:t + 1], labels[t:t + 1], state=state)
        state, wanted = result.state, {name: wanted[name] + g for name, g in result.grads.items()}
    same(stepped(ns.rules.SLTT, net, x, labels).gradients(), wanted)


def test_batches_with_lengths_and_masks(rng):
    net, loss, batch = feedforward(), ns.loss.CrossEntropy("mean"), 5
    x, labels = rng.random((40, batch, N_IN)) < 0.4, rng.integers(0, N, (40, batch))
    lengths = np.array([40, 33, 32, 7, 1])
    rule = ns.rules.batch.Rule(net, loss, "ottt", {}, seed=0)
    found = rule.loss_and_gradients(net, loss, x, labels, rng=np.random.default_rng(0), mask=None,
                                    lengths=lengths)
    wanted = {name: np.zeros_like(p) for name, p in net.params.items()}
    for b, n in enumerate(lengths):
        one = ns.rules.OTTT(net)
        for t in range(n):
            one.step(x[t, b:b + 1], labels[t, b:b + 1])
        wanted = {name: wanted[name] + g / n / batch for name, g in one.gradients().items()}
    same(found.grads, wanted)


@pytest.mark.parametrize("rule", ("ottt", "sltt"))
def test_fit_learns_by_it(rule, rng):
    y = rng.integers(0, N, 12)
    x = rng.random((20, 12, 6)) < 0.1 + 0.5 * (np.arange(6) // 2 == y[:, None])
    net = ns.Network(ns.Dense(6, 8), ns.LIF(8, tau_mem=4), ns.Dense(8, N), ns.LI(N), device="reference")
    history = ns.fit(net, ns.Dataset(x, np.repeat(y[None], 20, 0), time_first=True), epochs=8, batch_size=12,
                     loss=ns.loss.CrossEntropy("mean"), optimizer=ns.optim.Adam(3e-2), rule=rule,
                     progress=False)
    losses = [row["loss"] for row in history.epochs]
    assert losses[-1] < losses[0] - 0.05


def test_what_they_cannot_serve_is_refused(rng):
    cases = (
        (ns.rules.OTTT, (ns.Dense(N_IN, 12), ns.LSTM(3, recurrent=False)), "one current"),
        (ns.rules.OTTT, (ns.Dense(N_IN, N), ns.LI(N), ns.OverTime("mean")), "once a sequence"),
        (ns.rules.SLTT, (ns.Dense(N_IN, N), ns.LI(N, learn="tau_mem")), "learns weights and biases"))
    for rule, layers, words in cases:
        with pytest.raises(ValueError, match=words):
            rule(ns.Network(*layers, device="reference"))
    trace = ns.rules.OTTT(ns.Network(ns.Dense(N_IN, 2), ns.LI(2, tau_mem=[3, 4]), device="reference"))
    with pytest.raises(ValueError, match="different rates"):
        trace.step(rng.random((1, N_IN)), [0])
