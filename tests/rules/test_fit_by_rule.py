"""`fit(rule=...)`: everything else of a training is as with BPTT."""

import numpy as np
import pytest

import numsnn as ns

STEPS, SAMPLES = 20, 24


def data(seed=0):
    """Three classes, told by which inputs are busy."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, SAMPLES)
    busy = np.arange(6)[None, None] // 2 == y[None, :, None]
    return ns.Dataset(rng.random((STEPS, SAMPLES, 6)) < 0.1 + 0.5 * busy, np.repeat(y[None], STEPS, 0))


def network(**more):
    hidden = ns.ALIF(8, recurrent=True, v_threshold=0.1, tau_mem=5, tau_adp=20, learn=("tau_mem", "tau_adp"),
                     init_state="author")
    return ns.Network(ns.Dense(6, 8), hidden, ns.Dense(8, 3), ns.LI(3, tau_mem=5), device="reference", seed=1,
                      **more)


def trained(net=None, epochs=4, **how):
    net = network() if net is None else net
    history = ns.fit(net, data(), data(1), loss=ns.loss.CrossEntropy("mean"), optimizer=ns.optim.Adam(3e-2),
                     epochs=epochs, batch_size=12, progress=False, **how)
    return net, history


RULES = ("eprop", {"name": "eprop", "feedback": "random"}, {"name": "eprop", "feedback": "adaptive"},
         {"name": "eprop", "feedback": "random", "spatial": "direct"})


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_it_learns(rule):
    _, history = trained(rule=rule, epochs=8)
    losses = [row["loss"] for row in history.epochs]
    assert losses[-1] < losses[0] - 0.05
    assert history.epochs[-1]["valid_accuracy"] > 0.5


def test_the_same_seed_gives_the_same_bytes_and_another_one_others():
    first, again, other = (trained(rule=RULES[1], seed=seed)[0] for seed in (3, 3, 4))
    for name, a in first.arrays().items():
        np.testing.assert_array_equal(a, again.arrays()[name])
    assert any(np.any(a != other.arrays()[name]) for name, a in first.arrays().items())


@pytest.mark.parametrize("rule", RULES[:2], ids=str)
def test_a_training_goes_on_from_its_checkpoint_bit_for_bit(rule, tmp_path):
    whole, history = trained(rule=rule, keep_best=False)
    file = tmp_path / "t.h5"
    trained(rule=rule, epochs=2, keep_best=False, checkpoint=file)
    resumed, later = trained(rule=rule, keep_best=False, checkpoint=file, resume=True)
    for name, a in whole.arrays().items():
        np.testing.assert_array_equal(a, resumed.arrays()[name], name)
    assert [row["loss"] for row in later.epochs] == [row["loss"] for row in history.epochs]


def test_adaptive_feedback_does_not_resume(tmp_path):
    with pytest.raises(ValueError, match="no checkpoint holds"):
        trained(rule=RULES[2], checkpoint=tmp_path / "t.h5", resume=True)


@pytest.mark.parametrize("rule, error, words", (
    ("backprop", ValueError, "'eprop'"), (None, ValueError, "'eprop'"),
    ({"feedback": "random"}, ValueError, "name"),
    ({"name": "bptt", "k": 1}, ValueError, "no settings"), ({"name": "eprop", "k": 1}, TypeError, "k"),
    ({"name": "eprop", "feedback": "k"}, ValueError, "'symmetric'")), ids=str)
def test_rules_that_are_none_are_refused(rule, error, words):
    with pytest.raises(error, match=words):
        trained(rule=rule)


@pytest.mark.parametrize("how", ({"tbptt": 5}, {"checkpoint_every": 5}, {"memory": 1 << 30},
                                 {"regularisers": (ns.regularise.RateBand(0.01, 0.3),)}), ids=str)
def test_what_speaks_of_the_tape_is_refused(how):
    with pytest.raises(ValueError, match="keeps no tape"):
        trained(rule="eprop", **how)


def test_layers_that_cannot_be_served_are_named():
    net = ns.Network(ns.Dense(6, 3), ns.LI(3), ns.Dropout(0.1), device="reference")
    with pytest.raises(ValueError, match=r"layer dropout0.*bptt"):
        trained(net, rule="eprop")


def test_weights_of_few_bits():
    net, _ = trained(rule="eprop", weight_bits=8)
    assert np.isfinite(net.params["dense0.weight"]).all()
