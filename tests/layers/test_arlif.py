"""ARLIF: the rate-band rule against a plain loop, gradients, counts, bits, files, what is refused."""

import numpy as np
import pytest

import numsnn as ns


def data(seed=0, steps=9, batch=6, n=4):
    rng = np.random.default_rng(seed)
    return rng.normal(0.6, 1, (steps, batch, n)), rng.integers(0, 3, batch)


def network(device="reference", readout=3, n=8, **more):
    options = {key: more.pop(key) for key in ("dtype", "chunk") if key in more}
    return ns.Network(ns.Dense(4, n, weight=("normal", 0, 1)), ns.ARLIF(n, **more), ns.Dense(n, readout),
                      ns.OverTime("mean"), seed=1, device=device, **options)


CASES = [
    {"threshold": "fixed"},
    {"threshold": "learned", "learn": ("decay", "v_reset"), "reset": "hard"},
    {"threshold": "learned", "output": "spike", "reset": "soft"},
    {"threshold": "trace", "learn": ("beta", "tau_adp", "decay"), "threshold_related": True,
     "activation": "tanh"},
    {"threshold": "rate_band", "shared": ()},
    {"threshold": "fixed", "self_weight": 0.3, "learn": "self_weight"},
    {"threshold": "learned", "recurrent": True, "recurrent_init": ("normal", 0, 0.3)},
    {"threshold": "rate_band", "recurrent": "spike"},
]


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("case", CASES)
def test_gradients(case, device):
    x, labels = data()
    net = network(device, surrogate="gaussian", **case)
    errors = ns.check_gradients(net, x, labels, lengths=np.array([9, 3, 0, 7, 9, 1]))
    assert max(errors.values()) < 1e-6


def moved(theta, rate):
    """The threshold of a group after a step in which it spiked at a rate: the rule of the docstring."""
    if rate > 0.5:
        return min(0.9, theta + 0.07)
    if rate < 0.3:
        return max(0.1, theta - 0.07)
    return theta


def rate_band(current, lengths, groups):
    """(membranes, thresholds of the groups, spikes of all steps) by a loop over steps and groups."""
    steps, batch, n = current.shape
    size = n // groups
    v, theta, spikes = np.zeros((batch, n)), np.full(groups, 0.5), []
    leak = 1 / (1 + np.exp(-0.5))
    for t in range(steps):
        u = current[t] + v
        valid = t < lengths
        s = (u > np.repeat(theta, size)) & valid[:, None]
        v = np.where(valid[:, None], leak * np.where(s, 0, u), v)
        spikes.append(s)
        for g in range(groups):
            mine = s[:, g * size:(g + 1) * size]
            rate = sum(bool(b) for b in mine.ravel()) / (valid.sum() * size)
            theta[g] = moved(theta[g], rate)
    return v, theta, spikes


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("sharing", [
    {}, {"shared": ()}, {"n": 12, "shape": True, "per_channel": "v_threshold"},
])
def test_rate_band_rule_against_a_loop(device, sharing):
    """Thresholds after a training batch, by the rule in plain Python; spikes follow what moves."""
    more = dict(sharing)
    in_pictures, n = more.pop("shape", None), more.pop("n", 8)
    layer = ns.ARLIF((3, 2, 2) if in_pictures else n, rate_low=0.3, rate_high=0.5, threshold_step=0.07,
                     threshold_max=0.9, **more)
    net = ns.Network(ns.Dense(4, n, weight=("normal", 0, 1)), layer, dtype="float64", device=device)
    if "per_channel" in sharing:
        groups = 3
    else:
        groups = n if "shared" in sharing else 1
    x, _ = data(seed=3, steps=15)
    lengths = np.array([15, 4, 0, 9, 15, 2])
    current = net.run(x, record={"dense0": "y"})[2]["dense0"]["y"]
    v, theta, spikes = rate_band(current, lengths, groups)
    before = layer.fixed["v_threshold"].copy()
    assert np.array_equal(net.run(x, lengths=lengths)[0], net.run(x, lengths=lengths)[0])
    assert np.array_equal(layer.fixed["v_threshold"], before)
    _, state, tape = net.forward(x, lengths=lengths)
    assert np.allclose(layer.fixed["v_threshold"], theta, rtol=0, atol=1e-12)
    assert len(np.unique(theta)) >= min(groups, 2)
    assert np.abs(state["arlif0"].v - v).max() < 1e-12
    assert np.array(spikes).any()
    grads, _ = net.backward(tape, np.ones((15, 6, n)))
    assert all(np.isfinite(g).all() for g in grads.values())


def test_chunks_threads_and_files(tmp_path):
    """The rate is that of the whole batch, whatever the chunks; the moved threshold is saved."""
    x, labels = data(batch=20)
    losses, thresholds, nets = [], [], []
    for chunk, threads in ((3, 1), (None, 2)):
        ns.set_num_threads(threads)
        net = network("cpu", chunk=chunk, rate_low=0.4)
        losses.append(net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels).loss)
        thresholds.append(net.layers["arlif0"].fixed["v_threshold"].copy())
        nets.append(net)
    assert abs(losses[0] - losses[1]) < 1e-6
    assert np.array_equal(thresholds[0], thresholds[1])
    assert thresholds[0][0] != 0.5
    ns.save(nets[0], tmp_path / "net.h5")
    assert ns.load(tmp_path / "net.h5").run(x)[0].tobytes() == nets[0].run(x)[0].tobytes()


def test_counts_of_the_paper():
    """Weights against those of the layers it replaces, at 28 inputs and 128 units."""
    n_params = lambda *layers: ns.Network(*layers).n_params
    assert n_params(ns.Dense(28, 128), ns.ARLIF(128, learn=())) == 3_712
    assert n_params(ns.Dense(28, 128), ns.SimpleRNN(128)) == 20_096
    assert n_params(ns.Dense(28, 384), ns.GRU(128)) == 60_672
    assert n_params(ns.Dense(28, 512), ns.LSTM(128)) == 80_384
    assert n_params(ns.Dense(28, 128), ns.ARLIF(128)) == 3_713          # and the leak


def test_it_learns():
    """The leak and the weights of a small ARLIF network fit a task of remembering."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 128)
    x = rng.normal(0, 0.1, (12, 128, 2))
    x[:3, np.arange(128), labels] += 1
    net = ns.Network(ns.Dense(2, 16), ns.ARLIF(16), ns.Dense(16, 2), ns.OverTime("last"), seed=0)
    data = ns.Dataset(x, labels)
    ns.fit(net, data, loss=ns.loss.CrossEntropy(), optimizer=ns.optim.Adam(2e-2), epochs=20, batch_size=32,
           progress=False)
    assert ns.evaluate(net, data).accuracy > 0.95


@pytest.mark.parametrize(("options", "message"), [
    ({"threshold": "moving"}, "threshold must be one of 'rate_band', 'fixed', 'learned', 'trace'"),
    ({"learn": ("v_threshold",)}, "the rate-band rule moves it too; use threshold='learned'"),
    ({"rate_low": 0.9}, "expected 0 <= rate_low <= rate_high <= 1"),
    ({"threshold_min": 3.0}, "threshold_min <= threshold_max"),
    ({"threshold": "trace", "beta": 0.0}, "needs beta, which is 0"),
    ({"gain": 1}, "unknown keyword 'gain'"),
])
def test_what_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ns.ARLIF(4, **options)
