"""Initial weights from data: membranes fluctuate and layers hand out as asked; deep networks stay alive."""

import numpy as np
import pytest

import numsnn as ns
from numsnn.training import init

N_IN, N, RATE, XI = 300, 40, 0.1, 2.0
THRESHOLDS = np.linspace(0.5, 1.5, N)
DECAY = np.exp(-1 / 20)

# model, settings, sum_k eps_k, sum_k eps_k^2: geometric series
MODELS = {
    "LIF": (ns.LIF, {}, 1 / (1 - DECAY), 1 / (1 - DECAY ** 2)),
    "LIF, gain 1 - alpha": (ns.LIF, {"input_scale": "1-alpha"}, 1.0, (1 - DECAY) ** 2 / (1 - DECAY ** 2)),
    "LIF, reset in the next step": (ns.LIF, {"reset_when": "next", "tau_mem": 5.0},
                                    1 / (1 - np.exp(-0.2)), 1 / (1 - np.exp(-0.4))),
    "ALIF": (ns.ALIF, {}, 1.0, (1 - DECAY) ** 2 / (1 - DECAY ** 2)),
    "LIAF": (ns.LIAF, {}, 1 / 0.7, 1 / (1 - 0.09)),
    "LIAF with an additive leak": (ns.LIAF, {"beta": 0.05}, 1 / 0.7, 1 / (1 - 0.09))}


def one_population(model, settings, recurrent=False, **more):
    population = model(N, recurrent=recurrent, v_threshold=THRESHOLDS, **settings)
    return ns.Network(ns.Dense(N_IN, N, bias="ones"), population, ns.Dense(N, 3), ns.LI(3), **more)


def membranes(net, x, skip=150):
    """v (T, B, N) of the first population, whose threshold is set out of reach, without the first steps."""
    name = next(name for name, layer in net.layers.items() if "v_threshold" in layer.fixed)
    net = net.clone()
    net.layers[name].fixed["v_threshold"][...] = 1e9
    _, _, seen = net.run(x, record={name: ("v", "spike")})
    assert not seen[name]["spike"].any()
    v = seen[name]["v"][skip:].astype(np.float64)
    return v.reshape(*v.shape[:2], -1)


def deviation(v, want):
    """Root of the mean over neurons of (std over time / want)^2."""
    return np.sqrt(np.mean(v.var((0, 1)) / want ** 2))


@pytest.mark.parametrize("name", MODELS)
def test_the_formula(name):
    """mu and sigma by the formulas with the series of each model; membranes' answers are measured to 1e-6."""
    model, settings, total, square = MODELS[name]
    for v_mean in (0.0, 0.2):
        net, rng = one_population(model, settings), np.random.default_rng(0)
        report = init.fluctuation_driven(net, RATE, xi=XI, v_mean=v_mean, rng=rng)
        v_std = (THRESHOLDS - v_mean) / XI
        mu = v_mean / (N_IN * RATE * total)
        sigma = np.sqrt(v_std ** 2 / (N_IN * RATE * (1 - RATE) * square) - mu ** 2)
        want = {"mean": mu, "std": sigma.mean(), "v_mean": v_mean, "v_std": v_std.mean(),
                "v_spread": RATE * np.sqrt(N_IN) * sigma.mean() * total}
        assert list(report) == ["dense0"]
        assert report["dense0"] == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("recurrent", (False, True))
@pytest.mark.parametrize("name", MODELS)
def test_the_membranes_fluctuate_as_asked(name, recurrent):
    """Simulated with Bernoulli spikes and a threshold out of reach.

    Recurrent weights are silent then: 0.9 of the variance.

    Relative standard error of the variance, averaged over 40 neurons: of the 300 squared weights sqrt(2 / 300
    / 40) = 1.3 %, of the samples (8 sequences of 1350 steps, tanh(1 / tau) independent ones a step) sqrt(2 /
    540 / 40) = 1.0 %; together 1.6 %, 0.8 % of the standard deviation, and 4 of these are allowed.  The mean:
    spread / sqrt(40).
    """
    model, settings, _, _ = MODELS[name]
    x = np.random.default_rng(1).random((1500, 8, N_IN)) < RATE
    for v_mean in (0.0, 0.2):
        net = one_population(model, settings, recurrent)
        facts = init.fluctuation_driven(net, RATE, xi=XI, v_mean=v_mean, rng=np.random.default_rng(2))
        report = facts["dense0"]
        without_input = membranes(net, np.zeros((400, 1, N_IN)))[-1]
        v = membranes(net, x) - without_input
        share = 0.9 if recurrent else 1.0
        assert abs(deviation(v, np.sqrt(share) * (THRESHOLDS - v_mean) / XI) - 1) < 0.033
        assert abs(v.mean() - report["v_mean"]) < 4 * report["v_spread"] / np.sqrt(N)
        # of 40 neurons: 4 * 11 %, and 5 % for their thresholds
        assert abs(v.mean((0, 1)).std() / report["v_spread"] - 1) < 0.5
        part_of_mean = N_IN / (N_IN + N) if recurrent else 1
        assert report["v_mean"] == pytest.approx(v_mean * part_of_mean, rel=1e-5)


def test_recurrent_weights_get_their_share():
    """Variances that the drawn weights give, by the plain formula, against the budget.

    4 standard errors of 40 x 40 and 300 x 40 squares.
    """
    def squares(weights):
        return np.array([sum(w * w for w in column) for column in weights.T.tolist()])

    net = one_population(ns.LIF, {}, True)
    rates = {"dense0": 0.1, "lif0": 0.02}
    report = init.fluctuation_driven(net, rates, xi=1.0, recurrent_share=0.3, rng=np.random.default_rng(0))
    square = MODELS["LIF"][3]
    feed = squares(net.params["dense0.weight"]) * 0.1 * 0.9 * square
    back = squares(net.params["lif0.recurrent"]) * 0.02 * 0.98 * square
    assert np.mean(feed / THRESHOLDS ** 2) == pytest.approx(0.7, rel=4 * np.sqrt(2 / (N_IN * N)))
    assert np.mean(back / THRESHOLDS ** 2) == pytest.approx(0.3, rel=4 * np.sqrt(2 / (N * N)))
    variance = report["lif0"]["v_std"] ** 2 + report["dense0"]["v_std"] ** 2
    assert variance == pytest.approx(THRESHOLDS.mean() ** 2, rel=1e-5)
    assert not net.params["lif0.recurrent_bias"].any()
    init.fluctuation_driven(net, 0.1, recurrent_share=0.0, rng=np.random.default_rng(0))
    assert not net.params["lif0.recurrent"].any()


def test_convolutions():
    """n_in = 2 * 3 * 3; 32 channels of 36 places, 18 squared weights each.

    4 * sqrt(2 / (18 * 32)) / 2 = 12 % of the standard deviation.
    """
    net = ns.Network(ns.Conv2d(2, 32, 3), ns.LIF((32, 6, 6), tau_mem=5.0), input_shape=(2, 8, 8))
    report = init.fluctuation_driven(net, 0.2, xi=1.5, rng=np.random.default_rng(0))
    square = 1 / (1 - np.exp(-0.4))
    sigma = np.sqrt(1 / 1.5 ** 2 / (18 * 0.2 * 0.8 * square))
    assert report["conv0"]["std"] == pytest.approx(sigma, rel=1e-5)
    v = membranes(net, np.random.default_rng(1).random((400, 4, 2, 8, 8)) < 0.2, skip=50)
    assert abs(deviation(v, 1 / 1.5) - 1) < 0.12


def test_values_at_the_input():
    """White noise of mean square 4, as in the test with spikes: 3.3 %."""
    net = one_population(ns.LIF, {})
    report = init.fluctuation_driven(net, 0.1, xi=XI, mean_square=4.0, rng=np.random.default_rng(0))
    v = membranes(net, np.random.default_rng(1).normal(0, 2, (1500, 8, N_IN)))
    assert abs(deviation(v, THRESHOLDS / XI) - 1) < 0.033
    assert report["dense0"]["v_spread"] == 0


def test_what_is_changed_and_what_is_not():
    def made(rate, seed=0):
        net = ns.Network(ns.Dense(9, 8, bias="ones"), ns.LIF(8), ns.Dropout(0.5),
                         ns.Dense(8, 7, bias="ones"), ns.Dropout(0.5), ns.ALIF(7),
                         ns.Dense(7, 3, bias="ones"), ns.LI(3), ns.OverTime("mean"))
        before = net.params.copy()
        report = init.fluctuation_driven(net, rate, rng=np.random.default_rng(seed))
        changed = [key for key in before if not np.array_equal(before[key], net.params[key])]
        return report, changed, net.params

    report, changed, params = made(0.1)
    assert changed == ["dense0.weight", "dense0.bias", "dense1.weight", "dense1.bias"]
    assert list(report) == ["dense0", "dense1"]
    assert not params["dense1.bias"].any()
    assert made({"dense1": 0.1})[1] == ["dense1.weight", "dense1.bias"]
    again, other = made(0.1)[2], made(0.1, 1)[2]
    assert all(np.array_equal(params[key], again[key]) for key in params)
    assert not np.array_equal(params["dense0.weight"], other["dense0.weight"])


def small(*layers, **more):
    return ns.Network(ns.Dense(4, 6), *layers, **more)


@pytest.mark.parametrize(("net", "rate", "more", "words"), [
    (small(ns.LIF(6)), 0.0, {}, "rate: expected spikes per step between 0 and 1 for dense0; got 0.0"),
    (small(ns.LIF(6)), 1.0, {}, "for dense0; got 1.0"),
    (small(ns.LIF(6)), {"dense9": 0.1}, {}, "rate: 'dense9' is no layer of weights .*; there are dense0"),
    (small(ns.LIF(6), ns.Dense(6, 2), ns.LI(2)), {"dense1": 0.1}, {}, "rate: 'dense1' is no layer"),
    (small(ns.LIF(6, recurrent=True)), {"dense0": 0.1}, {}, "for lif0; got None"),
    (small(ns.LIF(6)), 0.1, {"xi": 0.0}, "xi must be a positive number"),
    (small(ns.LIF(6)), 0.1, {"recurrent_share": 1.0},
     "recurrent_share must be at least 0 and below 1; got 1.0"),
    (small(ns.LIF(6)), 0.1, {"mean_square": -1.0}, "mean_square must be positive"),
    (small(ns.LIF(6)), 0.1, {"mean_square": 1.0, "v_mean": 0.1}, "v_mean 0, for inputs of mean 0"),
    (small(ns.LIF(6)), 0.1, {"v_mean": 1.0},
     "layer lif0: v_mean must be below every threshold; got v_mean=1, v_threshold=1"),
    (small(ns.LIF(6)), 0.01, {"v_mean": 0.9, "xi": 3.0},
     "layer dense0: weights with the mean that v_mean=0.9 needs make v fluctuate more than xi=3"),
    (small(ns.LIF(6, recurrent="v")), 0.1, {}, "layer lif0: recurs through 'v'"),
    (small(ns.LIF(6, v_threshold=-1.0)), 0.1, {},
     "layer lif0: needs positive thresholds; got v_threshold=-1"),
    (small(ns.LIAF(6, beta=1.0)), 0.1, {}, "layer liaf0: spikes without input"),
    (small(ns.LIF(6, tau_mem=1e9)), 0.1, {},
     "layer lif0: its membrane remembers a current for more than 32768 steps"),
    (small(ns.LayerNorm(), ns.LIF(6)), 0.1, {}, "between dense0 and lif0 stands norm0.*ns.init.lsuv"),
    (small(ns.LI(6)), 0.1, {}, "no layer with weights feeds a population with a threshold")])
def test_what_fluctuation_driven_refuses(net, rate, more, words):
    before = net.params.copy()
    with pytest.raises(ValueError, match=words):
        init.fluctuation_driven(net, rate, **more, rng=np.random.default_rng(0))
    assert all(np.array_equal(before[key], net.params[key]) for key in before)
    with pytest.raises(TypeError, match="rng must be a generator"):
        init.fluctuation_driven(net, rate, **more, rng=0)


# ---- lsuv


def test_lsuv_reaches_its_target_with_orthogonal_weights(rng):
    """Outputs of the layers by plain products of what populations spiked; one scaling is exact to float32."""
    x, lengths = rng.random((12, 7, 20)) < 0.3, np.array([12, 3, 1, 9, 12, 5, 0])
    net = ns.Network(ns.Dense(20, 30), ns.LIF(30, tau_mem=3.0), ns.Dense(30, 10), ns.LI(10))
    report = init.lsuv(net, x, target=1.5, lengths=lengths)
    _, _, seen = net.run(x, lengths=lengths, record={"lif0": "spike"})
    valid = [(t, b) for b, n in enumerate(lengths) for t in range(n)]
    for name, inputs in (("dense0", x), ("dense1", seen["lif0"]["spike"])):
        w = net.params[f"{name}.weight"].astype(np.float64)
        out = np.array([inputs[t, b] @ w for t, b in valid])
        assert out.std() == pytest.approx(1.5, rel=1e-4)
        assert report[name]["std"] == pytest.approx(out.std(), rel=1e-4)
        assert report[name]["scalings"] == 1
        gram = (w @ w.T if len(w) < len(w.T) else w.T @ w) / report[name]["scale"] ** 2
        assert np.abs(gram - np.eye(len(gram))).max() < 1e-5
    once, again = net.params.copy(), ns.Network.from_config(net.config())
    init.lsuv(again, x, target=1.5, lengths=lengths)
    assert all(np.array_equal(once[key], again.params[key]) for key in once)
    init.lsuv(again, x, target=1.5, lengths=lengths, rng=np.random.default_rng(5))
    assert not np.array_equal(once["dense0.weight"], again.params["dense0.weight"])


def test_lsuv_in_units_of_the_threshold_and_with_biases(rng):
    x = rng.random((12, 7, 20)) < 0.3
    net = ns.Network(ns.Dense(20, 30, bias=("normal", 0, 0.01)),
                     ns.LIF(30, v_threshold=("uniform", 0.05, 0.1)), ns.Dense(30, 10), ns.LI(10))
    bias = net.params["dense0.bias"].copy()
    threshold = net.layers["lif0"].fixed["v_threshold"].mean()
    report = init.lsuv(net, x, target=2.0, of="threshold", tolerance=0.01)
    assert report["dense0"]["std"] == pytest.approx(2 * threshold, rel=0.01)
    assert report["dense1"]["std"] == pytest.approx(2.0, rel=0.01)              # a readout has no threshold
    assert np.array_equal(net.params["dense0.bias"], bias)


def dense_stack(depth=10, n=100):
    layers = [layer for _ in range(depth) for layer in (ns.Dense(n, n), ns.LIF(n, tau_mem=5.0))]
    return ns.Network(*layers, ns.Dense(n, 4), ns.LI(4), seed=3)


def conv_stack(depth=8):
    channels_in = [2] + [8] * (depth - 1)
    layers = [layer for n in channels_in for layer in (ns.Conv2d(n, 8, 3, padding=1), ns.LIAF((8, 8, 8)))]
    return ns.Network(*layers, ns.Dense(512, 4), ns.LI(4), seed=3, input_shape=(2, 8, 8))


def mean_rates(net, x):
    """Of each population."""
    _, _, seen = net.run(x, record="rate")
    return [float(fields["rate"].mean()) for fields in seen.values()]


@pytest.mark.parametrize("make", (dense_stack, conv_stack))
def test_deep_networks_stay_alive(make, rng):
    """With the layers' own weights nothing reaches the last population; with LSUV all of them are active.

    None saturates.
    """
    net = make()
    x = rng.random((30, 8, *net.input_shape)) < 0.05
    assert mean_rates(net, x)[-1] == 0
    report = init.lsuv(net, x, target=0.5)
    assert all(0.01 < rate < 0.3 for rate in mean_rates(net, x))
    assert all(abs(facts["std"] / 0.5 - 1) <= 0.05 for facts in report.values())


def test_a_deep_network_driven_by_fluctuations_stays_alive(rng):
    net = dense_stack()
    x = rng.random((30, 8, 100)) < 0.05
    init.fluctuation_driven(net, 0.05, rng=np.random.default_rng(0))
    assert all(0.02 < rate < 0.5 for rate in mean_rates(net, x))


def test_lsuv_names_the_dead_layer(rng):
    net = dense_stack(3)
    net.layers["lif1"].fixed["v_threshold"][...] = 1e6
    before = net.params.copy()
    silent = "layer dense2: what it hands out on this batch does not vary.*the layers before it are silent"
    with pytest.raises(ValueError, match=silent):
        init.lsuv(net, rng.random((10, 4, 100)) < 0.1)
    assert all(np.array_equal(before[key], net.params[key]) for key in before)
    with pytest.raises(ValueError, match="layer dense0: what it hands out"):
        init.lsuv(net, np.zeros((10, 4, 100)))


@pytest.mark.parametrize(("more", "words"), [
    ({"target": 0.0}, "target must be a positive number"), ({"of": "rate"}, 'of "current" or "threshold"'),
    ({"tolerance": 1.0}, "tolerance must lie between 0 and 1"), ({"most": 0}, "most be at least 1"),
    ({"target": 0.1},
     "layer dense0: its standard deviation is .* after 10 scalings, not 0.1; its biases hold it there")])
def test_what_lsuv_refuses(more, words, rng):
    net = ns.Network(ns.Dense(4, 6, bias=np.arange(6.0)), ns.LIF(6))
    with pytest.raises(ValueError, match=words):
        init.lsuv(net, rng.random((5, 3, 4)), **more)
