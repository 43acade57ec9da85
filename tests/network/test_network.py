"""The public door: names, shapes, states, records, summaries, and what is refused with which words."""

import json
import pickle
import subprocess
import sys
from types import SimpleNamespace

import leaky
import numpy as np
import pytest

import numsnn as ns
from numsnn.layers import POPULATIONS
from numsnn.neurons import NEURONS, register
from numsnn.neurons.elementwise import ELEMENTWISE

DEVICE = "reference"        # nothing here depends on it, and the reference compiles nothing


def network(**more):
    hidden = ns.ALIF(5, recurrent=True, learn=("tau_mem", "tau_adp"), tau_adp=7)
    return ns.Network(ns.Dense(3, 5, weight=("normal", 0, 3)), hidden, ns.Dense(5, 2), ns.LI(2),
                      **{"device": DEVICE, **more})


def test_names_counts_and_summary(rng):
    net = network()
    assert list(net.layers) == ["dense0", "alif0", "dense1", "li0"]
    assert list(net.params) == [
        "dense0.weight", "dense0.bias",
        "alif0.tau_mem", "alif0.tau_adp", "alif0.recurrent", "alif0.recurrent_bias",
        "dense1.weight", "dense1.bias",
    ]
    assert net.n_params == 15 + 5 + 10 + 25 + 5 + 10 + 2
    _, _, seen = net.run(rng.random((20, 4, 3)) < 0.3, record="rate")
    assert seen["alif0"]["rate"].shape == (4, 5)
    text = net.summary(seen)
    assert "alif0   ALIF(5, recurrent)  (T, B, 5)" in text
    assert "72 parameters: 62 weights and biases, 10 of neurons" in text
    assert f"{seen['alif0']['rate'].mean():.4f}" in text
    assert "ALIF(5, recurrent)" in repr(net)


def test_the_papers_parameter_counts():
    learn = ("tau_mem", "tau_adp")
    ecg = ns.Network(ns.Dense(4, 36), ns.ALIF(36, recurrent=True, learn=learn),
                     ns.Dense(36, 6), ns.ALIF(6, output="v", learn=learn), device=DEVICE)
    assert ecg.n_params == 1818
    assert sum(p.size for k, p in ecg.params.items() if "tau" not in k) == 1734
    shd = ns.Network(ns.Dense(700, 128), ns.ALIF(128, recurrent=True, learn=learn),
                     ns.Dense(128, 128), ns.ALIF(128, recurrent=True, learn=learn),
                     ns.Dense(128, 20), ns.LI(20, learn="tau_mem"), device=DEVICE)
    assert shd.n_params == 142_376


def test_records(rng):
    net, x = network(), rng.random((12, 4, 3)) < 0.5
    fields = ("v", "spike", "theta", "rate")
    y, _, seen = net.run(x, record={"alif0": fields, "li0": "v"}, lengths=np.array([12, 5, 0, 12]))
    assert (seen["li0"]["v"] == y).all()
    seen = seen["alif0"]
    shapes = {field: (12, 4, 5) for field in ("v", "spike", "theta")} | {"rate": (4, 5)}
    assert {field: a.shape for field, a in seen.items()} == shapes
    assert np.allclose(seen["rate"], seen["spike"].sum(0) / np.array([12, 5, 1, 12])[:, None])
    assert (seen["theta"][:, 0] >= 0.01).all()
    assert not seen["theta"][5:, 1].any()


def test_parameters_behave_like_a_dict():
    net = network()
    weight = net.params["dense0.weight"]
    net.params["dense0.weight"] = np.ones((3, 5))
    assert weight is net.params["dense0.weight"]
    assert (weight == 1).all()
    with pytest.raises(ValueError, match=r"'dense0.weight' has shape \(3, 5\); got shape \(5, 3\)"):
        net.params["dense0.weight"] = np.ones((5, 3))
    with pytest.raises(ValueError, match="finite"):
        net.params["dense0.weight"] = np.full((3, 5), np.nan)
    with pytest.raises(KeyError, match="no parameter 'dense0.wieght'; there are dense0.weight"):
        net.params["dense0.wieght"]
    with pytest.raises(TypeError, match="cannot be deleted"):
        del net.params["dense0.bias"]


def test_clone_and_config_make_the_same_network(rng):
    net, x = network(seed=4), rng.random((9, 3, 3)) < 0.5
    net.params["dense0.bias"] = rng.normal(size=5)
    twin = net.clone()
    assert twin.run(x)[0].tobytes() == net.run(x)[0].tobytes()
    again = ns.Network.from_config(json.loads(json.dumps(net.config())))
    assert again.run(x)[0].shape == net.run(x)[0].shape
    assert json.loads(json.dumps(again.config())) == json.loads(json.dumps(net.config()))
    assert net.clone(dtype="float64").run(x)[0].dtype == np.float64


def test_settings_may_be_numbers_arrays_initialisers_and_shared():
    population = ns.ALIF(4, tau_mem=("normal", 20, 1), tau_adp=[1, 2, 3, 4], beta=("constant", 0.5),
                         v_threshold=lambda rng, shape: np.full(shape, 0.2), learn=("tau_mem", "beta"),
                         shared="beta")
    net = ns.Network(population, device=DEVICE)
    assert net.params["alif0.tau_mem"].std() > 0
    assert net.params["alif0.beta"].shape == (1,)
    assert net.layers["alif0"].fixed["tau_adp"].tolist() == [1, 2, 3, 4]
    initialisers = (
        "orthogonal", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal", "zeros", "ones",
        ("normal", 0, 0.1), ("uniform", -1, 1), ("constant", 2),
    )
    for weight in initialisers:
        dense = ns.Network(ns.Dense(30, 20, weight=weight), device=DEVICE).params["dense0.weight"]
        assert np.isfinite(dense).all()
    dense = ns.Network(ns.Dense(30, 20, weight="orthogonal"), device=DEVICE, dtype="float64")
    w = dense.params["dense0.weight"]
    assert np.allclose(w.T @ w, np.eye(20), atol=1e-12)
    dense = ns.Network(ns.Dense(300, 200, weight="kaiming_normal"), device=DEVICE)
    w = dense.params["dense0.weight"]
    assert abs(w.std() / np.sqrt(2 / 300) - 1) < 0.02


@pytest.mark.parametrize(("make", "message"), (
    (lambda: ns.Network(), "a network is made of layers"),
    (lambda: ns.Network(3), "got 3"),
    (lambda: network(dt=0), "dt must be a positive number; got 0"),
    (lambda: network(dtype="float16"), "dtype must be float32 or float64"),
    (lambda: network(device="gpu"), "unknown device 'gpu'; there are 'cpu', 'reference'"),
    (lambda: network(chunk=0), "chunk must be a positive number"),
    (lambda: ns.Network(ns.Dense(3, 5), ns.ALIF(6)),
     r"layer alif0: has 6 neurons, but 5 inputs arrive; put Dense\(5, 6\) before it"),
    (lambda: ns.Network(ns.Dense(3, 5), ns.Dense(6, 2)),
     r"layer dense1: expects 6 inputs, but 5 arrive; use Dense\(5, 2\)"),
    (lambda: ns.Network(ns.Dense(3, 5, name="a"), ns.Dense(5, 2, name="a")), "two layers are named 'a'"),
    (lambda: ns.Dense(3, 5, name="a.b"), "without '.'"),
    (lambda: ns.Dense(0, 5), "n_in must be a positive integer; got 0"),
    (lambda: ns.ALIF(2.5), "n must be a positive integer; got 2.5"),
    (lambda: ns.Network(ns.ALIF(3, tau_mem=0)),
     "tau_mem is a time constant in the unit of dt and must be positive; got 0"),
    (lambda: ns.Network(ns.ALIF(3, tau_adp=[1, -2, 3])), "tau_adp .* must be positive; got -2"),
    (lambda: ns.Network(ns.ALIF(3, beta=np.nan)), "alif0.beta: expected finite numbers, got nan"),
    (lambda: ns.Network(ns.ALIF(3, beta=[1, 2])),
     r"alif0.beta: expected a number or an array of shape \(3,\), got shape \(2,\)"),
    (lambda: ns.Network(ns.Dense(2, 3, weight="xavier")), "unknown initialiser 'xavier'; there are zeros"),
    (lambda: ns.Network(ns.Dense(2, 3, weight=("normal", 1, 2, 3, 4))), "does not fit shape"),
    (lambda: ns.ALIF(3, tau=5), "unknown keyword 'tau'; settings of ALIF: tau_mem, tau_adp"),
    (lambda: ns.LIF(3, reset="sof"), "reset must be one of 'soft', 'hard', 'none'; got 'sof'"),
    (lambda: ns.LIF(3, reset_when="later"), "reset_when must be one of 'same', 'next'; got 'later'"),
    (lambda: ns.ALIF(3, learn="tau"), "learn: ALIF has no setting 'tau'"),
    (lambda: ns.ALIF(3, output="u"), "output: ALIF hands out spike, v, theta; got 'u'"),
    (lambda: ns.LI(3, recurrent="spike"), "recurrent: LI hands out v; got 'spike'"),
    (lambda: ns.LIF(3, init_state="author"),
     "init_state: LIF knows 'zeros', 'uniform', 'rest'; got 'author'"),
    (lambda: ns.ALIF(3, surrogate="step"), "unknown surrogate 'step'"),
    (lambda: ns.OverTime("average"), "reduce must be one of"),
    (lambda: ns.OverTime(of="sigmoid"), "of must be one of"),
    (lambda: ns.OverTime(start=-1), "start must be a step"),
    (lambda: ns.OverTime("each", start=5), 'start=5 does not go with reduce="each"'),
))
def test_what_is_refused_when_a_network_is_built(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_layer_belongs_to_one_network():
    layer = ns.Dense(3, 5)
    ns.Network(layer, device=DEVICE)
    with pytest.raises(ValueError, match="part of a network already"):
        ns.Network(layer, device=DEVICE)


@pytest.mark.parametrize(("call", "message"), (
    (lambda net: net.run(np.zeros((4, 3))),
     r"expected x of shape \(T, B, 3\).*got shape \(4, 3\).*x\[:, None, :\]"),
    (lambda net: net.run(np.zeros((4, 2, 5))),
     r"expected x of shape \(T, B, 3\) for layer dense0; got shape \(4, 2, 5\)"),
    (lambda net: net.run(ns.Spikes.from_dense(np.zeros((4, 2, 5), bool))), r"got shape \(4, 2, 5\)"),
    (lambda net: net.run(np.full((4, 2, 3), np.nan)), r"x\[0, 0, 0\] is nan"),
    (lambda net: net.run(np.full((4, 2, 3), "a")), "expected numbers or Spikes"),
    (lambda net: net.run(np.zeros((4, 2, 3)), lengths=[4]), "lengths: expected 2 integers"),
    (lambda net: net.run(np.zeros((4, 2, 3)), lengths=[4, 5]), r"0 ... T = 4; got 4 ... 5"),
    (lambda net: net.run(np.zeros((4, 2, 3)), record={"alif1": "v"}), "no layer 'alif1'; there are dense0"),
    (lambda net: net.run(np.zeros((4, 2, 3)), record={"alif0": "u"}),
     "cannot record 'u'; it has y, spike, v, theta, rate"),
    (lambda net: net.run(np.zeros((4, 2, 3)), record={"dense0": "v"}), "it has y"),
    (lambda net: net.run(np.zeros((4, 2, 3)), net.initial_state(3)), "holds 3 samples, but the input 2"),
    (lambda net: net.run(np.zeros((4, 2, 3)), {}), "state: layer alif0 is missing"),
    (lambda net: net.step(np.zeros(3)), r"step takes one time step, x \(B, N\); got shape \(3,\)"),
    (lambda net: net.step(np.zeros((4, 2, 3))), "for a sequence"),
))
def test_what_is_refused_at_the_door(call, message):
    with pytest.raises(ValueError, match=message):
        call(network())


def test_record_of_a_wrong_type():
    with pytest.raises(TypeError, match="record must be a dict"):
        network().run(np.zeros((4, 2, 3)), record="v")


def test_what_backward_refuses():
    net = network()
    y, _, tape = net.forward(np.zeros((4, 2, 3)))
    with pytest.raises(ValueError, match=r"must have its shape \(4, 2, 2\); got \(2, 4, 2\)"):
        net.backward(tape, y.swapaxes(0, 1))
    refused = (
        ({"alif0": {"u": y}}, "layer alif0 hands out spike, v, theta, rate; got a gradient of 'u'"),
        ({"dense0": {"y": y}}, "layer dense0 hands out nothing"),
        ({"alif9": {}}, "no layer 'alif9'"),
    )
    for hidden, message in refused:
        with pytest.raises(ValueError, match=message):
            net.backward(tape, y, dhidden=hidden)


def test_a_state_of_another_precision_is_taken():
    net, x = network(), np.zeros((4, 2, 3))
    _, state = network(dtype="float64").run(x)
    y, after = net.run(x, state)
    assert y.dtype == np.float32
    for state in after.values():
        assert state is None or all(a.dtype == np.float32 for a in state)


def test_empty_batches_and_sequences():
    net = network()
    assert net.run(np.zeros((0, 2, 3)))[0].shape == (0, 2, 2)
    assert net.run(np.zeros((4, 0, 3)))[0].shape == (4, 0, 2)


def test_without_numba_the_reference_works_and_the_rest_says_so():
    code = """
import sys
sys.modules["numba"] = None                     # as if it were not installed
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == "numba" else find(name, *a)
import numpy as np, numsnn as ns
layers = lambda: (ns.Dense(3, 5), ns.ALIF(5, recurrent=True, learn="tau_mem"), ns.Dense(5, 2), ns.LI(2))
net = ns.Network(*layers(), device="reference")
x = np.random.default_rng(0).random((9, 4, 3)) < 0.5
loss, grads, y, _ = net.loss_and_gradients(ns.loss.CrossEntropy(), x, np.zeros((9, 4), int))
ns.optim.Adam().update(net.params, grads)
assert np.isfinite(loss)
try:
    ns.Network(*layers())
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'device="cpu" needs the package numba' in done.stdout
    assert 'device="reference"' in done.stdout


def test_import_is_light():
    """Nothing heavy is imported, and nothing compiled, by `import numsnn`."""
    code = ("import sys, numsnn; "
            "print([m for m in ('numba', 'scipy', 'h5py', 'matplotlib') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_neuron_of_ones_own(rng):
    """The README's way to add a model: one namespace, and everything knows it."""
    mine = SimpleNamespace(**vars(leaky))
    functions = (mine.step, mine.step_adjoint)
    try:
        Mine = ns.population(register("Mine", mine))
        for device in ("reference", "cpu"):
            population = Mine(4, recurrent=True, learn=("leak", "v_threshold"))
            net = ns.Network(ns.Dense(3, 4), population, ns.Dense(4, 2), device=device)
            x, labels = rng.random((9, 3, 3)) < 0.5, rng.integers(0, 2, (9, 3))
            assert max(ns.check_gradients(net, x, labels).values()) < 1e-7
        assert net.clone().layers["mine0"].describe() == "Mine(4, recurrent)"
        sent = pickle.dumps(net)
        assert pickle.loads(sent).run(x)[0].tobytes() == net.run(x)[0].tobytes()
        assert ns.population("Mine") is ns.population(NEURONS["Mine"]) is Mine
        with pytest.raises(ValueError, match="there is a neuron model 'Mine' already"):
            register("Mine", mine)
        del mine.step
        with pytest.raises(ValueError, match="'Other' does not define step"):
            register("Other", mine)
    finally:
        NEURONS.pop("Mine")
        POPULATIONS.pop("Mine")
        ELEMENTWISE[:] = [f for f in ELEMENTWISE if f not in functions]
    with pytest.raises(ValueError, match=r"no neuron model 'Mine'.* registered first, in every process"):
        pickle.loads(sent)
    with pytest.raises(TypeError, match="'Mine' goes to another process by its name, but is not registered"):
        pickle.dumps(Mine.model)
    for config in (net.config(), {**net.config(), "layers": [{"layer": "Mine", "n": 3}]}):
        with pytest.raises(ValueError, match=r"unknown layer 'Mine'.*registered before a file"):
            ns.Network.from_config(config)


def test_what_is_no_neuron_model():
    assert ns.population("ALIF") is ns.ALIF and ns.population(NEURONS["ARLIF"]) is ns.ARLIF
    with pytest.raises(ValueError, match="no neuron model 'ALFI'; there are AdLIF, ALIF"):
        ns.population("ALFI")
    for wrong in (ns.ALIF, leaky, None):
        with pytest.raises(TypeError, match="population takes a neuron model, which"):
            ns.population(wrong)


def test_another_device_or_precision_is_a_copy(rng):
    net, x = network(seed=4, device="cpu"), rng.random((9, 3, 3)) < 0.5
    there = net.to("reference")
    assert there.device == "reference" and net.device == "cpu" and there.same_as(net)
    assert there.run(x)[0].tobytes() == net.run(x)[0].tobytes()
    there.params["dense0.bias"][:] = 7
    assert not there.same_as(net) and net.same_as(net.to())
    wider = there.to(dtype="float64")
    assert wider.device == "reference" and wider.run(x)[0].dtype == np.float64 and not wider.same_as(there)
    with pytest.raises(ValueError, match="unknown device 'gpu'"):
        net.to("gpu")


def test_functions_stay_behind_once_they_have_drawn(tmp_path):
    net = ns.Network(ns.Dense(2, 3, weight=lambda rng, shape: rng.normal(size=shape)),
                     ns.LIF(3, tau_mem=lambda rng, shape: rng.uniform(2, 9, shape)), device="reference")
    assert pickle.loads(pickle.dumps(net)).same_as(net)


def test_initial_values_from_a_function_survive_copies(tmp_path):
    """A function cannot be written down; what it gave can."""
    dense = ns.Dense(2, 3, weight=lambda rng, shape: rng.normal(size=shape))
    lif = ns.LIF(3, tau_mem=lambda rng, shape: rng.uniform(2, 9, shape))
    net = ns.Network(dense, lif)
    ns.save(net, tmp_path / "net.h5")
    for other in (net.clone(), ns.load(tmp_path / "net.h5")):
        assert np.array_equal(other.params["dense0.weight"], net.params["dense0.weight"])
        assert np.array_equal(other.layers["lif0"].fixed["tau_mem"], net.layers["lif0"].fixed["tau_mem"])


def test_extended_by_further_layers():
    net = ns.Network(ns.Dense(3, 4), ns.LIF(4), ns.Dense(4, 2), ns.LI(2), seed=3, device="reference")
    longer = net.extended(ns.OverTime("mean"))
    x = np.random.default_rng(0).random((5, 2, 3)).astype("f4")
    assert list(longer.layers) == [*net.layers, "overtime0"] and longer.params["dense0.weight"] is not \
        net.params["dense0.weight"]
    np.testing.assert_allclose(longer.run(x)[0], net.run(x)[0].mean(0), 1e-6)
    deeper = net.extended(ns.Dense(2, 2), ns.LI(2))
    assert all(np.array_equal(deeper.params[name], p) for name, p in net.params.items())
    with pytest.raises(ValueError, match="2 inputs|expects 3|arrive"):
        net.extended(ns.Dense(3, 2))
