"""Bounds of settings, and settings that are learned as their logarithm or logit."""

import pickle

import numpy as np
import pytest

import numsnn as ns

BOUNDS = {"tau_mem": (5, 25), "tau_adp": (60, 300), "beta": (None, 2.5)}


def network(dtype="float64", device="reference", **more):
    given = {"learn": ("tau_mem", "tau_adp", "beta"), "bounds": BOUNDS, **more}
    layers = (ns.Dense(3, 5, weight=("normal", 0, 2)), ns.ALIF(5, recurrent=True, **given), ns.Dense(5, 4),
              ns.LI(4, tau_mem=3), ns.OverTime("sum"))
    return ns.Network(*layers, seed=0, dtype=dtype, device=device)


def data(rng):
    return rng.normal(1, 2, (12, 6, 3)), np.arange(6) % 4


FORMS = ("value", "log", {"tau_mem": "logit", "tau_adp": "logit", "beta": "log"})


@pytest.mark.parametrize("device", ("reference", "cpu"))
@pytest.mark.parametrize("learn_as", FORMS, ids=("value", "log", "mixed"))
def test_gradients(learn_as, device, rng):
    net = network(device=device, learn_as=learn_as)
    assert max(ns.check_gradients(net, *data(rng), tolerance=1e-7).values()) < 1e-7


def test_gradients_with_bounds_active(rng):
    """On the bound the gradient is that of the value: the next update may lead back."""
    net = network(tau_mem=25.0, tau_adp=60.0, beta=2.5)
    assert max(ns.check_gradients(net, *data(rng), tolerance=1e-7).values()) < 1e-7


@pytest.mark.parametrize("dtype", ("float32", "float64"))
@pytest.mark.parametrize("learn_as", ("value", "log"))
def test_an_update_that_crosses_a_bound_ends_on_it(learn_as, dtype):
    net = network(dtype, learn_as=learn_as)
    layer = net.layers["alif0"]
    for key, sign in (("tau_mem", 1), ("tau_adp", -1), ("beta", 1)):
        net.params[f"alif0.{layer.key(key)}"][0] += sign * 1e3
    assert net.params.project() == 3
    assert net.params.project() == 0
    found = [layer.values()[name][0] for name in ("tau_mem", "tau_adp", "beta")]
    assert np.allclose(found, (25, 60, 2.5), rtol=1e-6)
    assert layer.values()["tau_mem"][1] == pytest.approx(20)


def test_a_logit_stays_between_its_bounds_whatever_is_learned():
    net = network(learn=("tau_mem",), learn_as="logit")
    raw = net.params["alif0.logit_tau_mem"]
    raw[...] = (-1e6, -3, 0, 3, 1e6)
    assert net.params.project() == 0
    tau = net.layers["alif0"].values()["tau_mem"]
    assert np.allclose(tau, 5 + 20 / (1 + np.exp(-raw.clip(-700, 700))))
    assert np.isfinite(net.run(np.ones((4, 2, 3)))[0]).all()


def test_bounds_for_each_neuron_and_for_a_shared_setting():
    low = np.array([1.0, 2, 3, 4, 5])
    net = network(bounds={"tau_mem": (low, 30)})
    net.params["alif0.tau_mem"][...] = low + np.array([0, 1, 0, 1, 0])
    net.params["alif0.tau_mem"][2] = 0.5        # past the door, as an optimiser would
    assert net.params.project() == 1 and net.params["alif0.tau_mem"][2] == 3
    shared = network(bounds={"tau_mem": (15, 22)}, shared="tau_mem")
    shared.params["alif0.tau_mem"][...] = 16
    with pytest.raises(ValueError, match=r"tau_mem lies within \(15, 22\); got 23"):
        shared.params["alif0.tau_mem"] = np.full(1, 23.0)


def test_the_summary_shows_bounds_that_are_not_the_equations_own():
    net = network(learn_as={"tau_mem": "log"}, bounds={"tau_mem": (5, 25), "beta": (None, 2.5)})
    assert net.summary().splitlines()[-1] == \
        "bounds: alif0.tau_mem (5, 25) learned as log, alif0.beta (-inf, 2.5)"
    assert "bounds" not in network(bounds=None).summary()


def test_training_counts_what_it_put_back_and_files_keep_it(tmp_path, rng):
    bounds = {"tau_mem": (5, 25), "tau_adp": (np.full(5, 60.0), np.inf)}
    net = network("float32", "cpu", learn_as={"tau_mem": "log"}, bounds=bounds)
    x, labels = data(rng)
    train = ns.Dataset(x.astype(np.float32), labels)
    history = ns.fit(net, train, loss=ns.loss.CrossEntropy(), optimizer=ns.optim.SGD(50.0), epochs=2,
                     batch_size=6)
    assert sum(history["projected"]) > 0
    tau = net.layers["alif0"].values()["tau_mem"]
    assert tau.min() >= 5 * (1 - 1e-6) and tau.max() <= 25 * (1 + 1e-6)
    ns.save(net, tmp_path / "net.h5")
    again = ns.load(tmp_path / "net.h5")
    assert again.run(x)[0].tobytes() == net.run(x)[0].tobytes()
    assert again.layers["alif0"].config() == net.layers["alif0"].config()
    assert list(again.params) == list(net.params) and "alif0.log_tau_mem" in net.params
    assert net.clone().run(x)[0].tobytes() == net.run(x)[0].tobytes()


WRONG = (
    ({"bounds": {"tau_mem": (25, 5)}}, "lower bound is above the upper one"),
    ({"bounds": {"tau": (5, 25)}}, "bounds: there is no setting 'tau'; there are tau_mem"),
    ({"bounds": {"tau_mem": (30, 50)}}, r"tau_mem lies within \(30, 50\); got 20"),
    ({"bounds": {"tau_mem": (-9, -1)}}, "time constant in the unit of dt.* must be positive"),
    ({"bounds": {"tau_mem": 5}}, r"expected \(low, high\)"),
    ({"bounds": {"tau_mem": (5, 10, 25)}}, r"expected \(low, high\)"),
    ({"bounds": {"tau_mem": ("a", 25)}}, "a bound is a number"),
    ({"bounds": {"tau_mem": (np.nan, 25)}}, "a bound is a number"),
    ({"bounds": {"tau_mem": (np.ones(4), 25)}}, "an array of shape"),
    ({"bounds": {"tau_mem": (1j, 25)}}, "a bound is a number"),
    ({"bounds": 5}, "bounds must be a dict"),
    ({"learn_as": "exp"}, "learn_as: expected one of 'value', 'log', 'logit'; got 'exp'"),
    ({"learn_as": {"v_threshold": "log"}}, "v_threshold is not learned"),
    ({"learn_as": {"gamma": "log"}}, "learn_as: there is no setting 'gamma'"),
    ({"learn_as": {"beta": "logit"}}, "beta needs a lower and an upper bound"),
    ({"learn_as": {"beta": "log"}, "beta": -1.0}, "beta is positive where learn_as"),
    ({"learn_as": {"tau_mem": "logit"}, "tau_mem": 25.0}, "begins between its bounds"),
    ({"tau_mem": ns.init.uniform(1, 4)}, r"tau_mem lies within \(5, 25\)"),
)


@pytest.mark.parametrize(("given", "message"), WRONG)
def test_bad_bounds_are_refused(given, message):
    with pytest.raises((ValueError, TypeError), match=message):
        network(**given)


@pytest.mark.parametrize(("name", "numbers"), (
    ("uniform", (3, 1)), ("uniform", (0, np.inf)), ("normal", (0, -1)), ("log_uniform", (0, 1))))
def test_bad_distributions_are_refused(name, numbers):
    with pytest.raises(ValueError, match="expected"):
        getattr(ns.init, name)(*numbers)


def test_distributions_are_drawn_with_the_seed():
    one, two, three = (ns.Network(ns.ALIF(4000, tau_adp=ns.init.log_uniform(10, 1000)), seed=seed)
                       for seed in (1, 1, 2))
    tau, same, other = (net.layers["alif0"].values()["tau_adp"] for net in (one, two, three))
    assert (tau == same).all() and (tau != other).any()
    assert 10 <= tau.min() and tau.max() <= 1000
    assert abs(np.mean(tau < 100) - 0.5) < 0.03         # each decade alike


def test_copies_of_networks_whose_settings_a_function_gave():
    """Their bounds hold for the copy, too: it begins with what the function gave."""
    net = network(tau_mem=lambda rng, shape: rng.uniform(5, 25, shape))
    for other in (net.clone(), pickle.loads(pickle.dumps(net)).clone(), net.to("cpu")):
        assert (other.layers["alif0"].values()["tau_mem"] == net.layers["alif0"].values()["tau_mem"]).all()
