"""What `ns.nir.write` writes comes back bit by bit, means what NIR says, and is read by the reference."""

import json
import warnings

import h5py
import numpy as np
import pytest
from nir_files import reference
from nir_networks import random_network

import numsnn as ns
from numsnn import nir
from numsnn.nir.own import rebuilt
from numsnn.nir.writing import graph_of

EACH_LAYER = {
    "Dense": lambda: [ns.Dense(4, 3), ns.Dense(3, 2, bias=False)],
    "LIF": lambda: [ns.LIF(4, tau_mem=("normal", 20, 5, 2), learn=("tau_mem", "r"), reset="hard",
                           v_reset=-0.1, v_leak=0.05, input_scale="1-alpha", integrator="euler",
                           surrogate="triangle")],
    "LIF, next": lambda: [ns.LIF(4, reset_when="next", comparator=">=", shared="tau_mem")],
    "LIF, refractory": lambda: [ns.LIF(4, refractory=2.1, v_threshold=0.3), ns.CubaLIF(4, refractory=1.4)],
    "LIF, no reset": lambda: [ns.LIF(4, reset="none", init_state="uniform")],
    "LIF, recurrent": lambda: [ns.LIF(4, recurrent=True)],
    "LIF, recurrent without bias": lambda: [ns.LIF(4, recurrent=True, recurrent_bias_init=False)],
    "LIF, recurrent with delays": lambda: [
        ns.LIF(4, v_threshold=0.3, recurrent=ns.Delays(5, axonal=True, sigma=0, position=("uniform", 0, 3))),
        ns.LIF(4, recurrent=ns.Delays(2, axonal=True, sigma=0), recurrent_bias_init=False)],
    "LI": lambda: [ns.LI(4, tau_mem=7, input_scale="1", v_leak=0.2)],
    "LI, recurrent": lambda: [ns.LI(4, recurrent=True)],
    "IF": lambda: [ns.IF(4, r=0.3, v_reset=0.2, reset="hard")],
    "Integrator": lambda: [ns.Integrator(4, r=0.3)],
    "CubaLIF": lambda: [ns.CubaLIF(4, w_in=0.7, learn=("tau_syn", "w_in"))],
    "CubaLIF, recurrent": lambda: [ns.CubaLIF(4, recurrent=True)],
    "CubaLI": lambda: [ns.CubaLI(4, input_scale="1", integrator="euler")],
    "CubaLI, recurrent": lambda: [ns.CubaLI(4, recurrent=True)],
    "Scale": lambda: [ns.Scale(0.3), ns.Scale(2.0, learn=(), shared="scale")],
    "Threshold": lambda: [ns.Threshold(v_threshold=0.4, comparator=">=", learn="v_threshold")],
    "Delay": lambda: [ns.Delay(2), ns.Delay((0, 1, 2, 3))],
    "Delay, learned": lambda: [ns.Delay(max=5), ns.Delay(max=3, delay=1.25, per="layer"),
                               ns.Delay(max=7, delay=("normal", 4, 1), learn=False)],
    "BatchNorm": lambda: [ns.Dense(4, 3), ns.BatchNorm(), ns.BatchNorm(v_threshold=0.5), ns.LIF(3)],
    "passing": lambda: [ns.Dropout(0.1), ns.Activation("identity"), ns.Repeat(2), ns.From("repeat0"),
                        ns.TimeDistributed(ns.Dense(4, 3)), ns.OverTime("mean", start=1)],
    "Add": lambda: [ns.Dense(4, 3), ns.LIF(3), ns.Dense(3, 3), ns.Add("dense1", "lif0"), ns.LIF(3),
                    ns.Add("lif1", "lif1", "lif0")],
    "Previous": lambda: [ns.Dense(4, 3), ns.Previous("lif1", shape=3), ns.Dense(3, 3),
                         ns.Add("dense0", "dense1"), ns.LIF(3), ns.Dense(3, 3), ns.LIF(3)],
    "Previous of itself": lambda: [ns.Previous("lif0", shape=4), ns.Add("input", "previous0"), ns.LIF(4)],
    "Previous of a sum": lambda: [ns.Previous("add0", shape=4), ns.Add("input", "previous0")],
    "Previous without a cycle": lambda: [ns.LIF(4), ns.Previous("lif0"), ns.Add("lif0", "previous0")],
}
EACH_PICTURE = {
    "Conv2d": lambda: [ns.Conv2d(2, 4, 3, padding=(1, 0), stride=(1, 2), dilation=(2, 1), bias=False)],
    "Conv2d in groups": lambda: [ns.Conv2d(2, 4, 3, padding="same", groups=2), ns.LIF()],
    "Conv2d, not square": lambda: [ns.Conv2d(2, 3, (1, 3)), ns.LIF(), ns.Conv2d(3, 1, (5, 3), padding=2)],
    "pools": lambda: [ns.SumPool2d(2, stride=1, padding=1), ns.AvgPool2d((2, 3))],
    "LIF": lambda: [ns.LIF((2, 5, 6), per_channel="tau_mem"), ns.Scale(3.0, per_channel="scale")],
    "Flatten": lambda: [ns.Flatten(), ns.LIF(60), ns.Dense(60, 2)],
    "Dense takes pictures": lambda: [ns.Conv2d(2, 1, 3), ns.BatchNorm(), ns.LIF(), ns.Dense(12, 2)],
    "LIF, recurrent": lambda: [ns.LIF((2, 5, 6), recurrent=True), ns.Dense(60, 2)],
}
CASES = [*((4, name, make) for name, make in EACH_LAYER.items()),
         *(((2, 5, 6), name, make) for name, make in EACH_PICTURE.items()),
         ((2, 9), "Conv1d", lambda: [ns.Conv1d(2, 4, 3, groups=2, stride=2), ns.LIF(), ns.Conv1d(4, 1, 2)])]


def network(shape, layers, **how):
    return ns.Network(*layers, input_shape=shape, device="reference", **how)


def answers(net):
    x = np.random.default_rng(0).random((12, 2, *net.input_shape)) < 0.5
    return net.run(x.astype(net.dtype))[0]


def close(one, other):
    np.testing.assert_allclose(answers(one), answers(other), 1e-4, 1e-6)


def comes_back(net, path=None, **how):
    """Through a file, or without a path through the graph alone."""
    if path is None:
        back = rebuilt(graph_of(net, **how), "reference")
    else:
        nir.write(net, path, **how)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            back = nir.read(path, device="reference")
    before, after = net.arrays(), back.arrays()
    assert before.keys() == after.keys()
    for name, array in before.items():
        assert array.dtype == after[name].dtype and array.tobytes() == after[name].tobytes(), name
    assert answers(net).tobytes() == answers(back).tobytes()
    assert net.config() == {**back.config(), "seed": net.seed} and net.same_as(back)
    assert list(net.params) == list(back.params)


@pytest.mark.parametrize(("shape", "name", "make"), CASES, ids=lambda case: case if type(case) is str else "")
def test_each_layer_comes_back(shape, name, make, tmp_path):
    comes_back(network(shape, make(), dt=0.7), tmp_path / "net.nir", unit=1e-3)
    comes_back(network(shape, make(), dt=0.7, dtype="float64"), tmp_path / "net.nir", unit=3e-3)
    if reference():
        reference().read(tmp_path / "net.nir", type_check=True)


def test_random_networks_come_back(tmp_path):
    """The reference, where it is installed, takes them all; without it, some are written to files."""
    others = reference()
    spoken = 0
    for seed in range(100):
        net = random_network(seed, dtype=("float32", "float64")[seed % 4 == 0])
        path = tmp_path / f"{seed}.nir" if others or seed % 5 == 0 else None
        comes_back(net, path, unit=(1.0, 1e-3, 3e-3)[seed % 3])
        spoken += np.unique(answers(net)).size > 1
        if others:
            others.read(path, type_check=True)
    assert spoken > 80


# ---- what the file says


def test_the_same_network_gives_the_same_bytes_in_the_layout_of_nir(tmp_path):
    for name in "ab":
        net = network(4, [ns.Dense(4, 3, weight=2.0), ns.LIF(3, recurrent=True), ns.OverTime()])
        nir.write(net, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with h5py.File(tmp_path / "a") as file:
        assert file["version"].asstr()[()] == "1.0.8" and file["node/type"].asstr()[()] == "NIRGraph"
        edges = {tuple(edge) for edge in file["node/edges"].asstr()[()]}
        assert edges == {("input", "dense0"), ("dense0", "lif0"), ("lif0", "lif0.w_rec"),
                         ("lif0.w_rec", "lif0"), ("lif0", "output")}
        nodes = file["node/nodes"]
        assert {name: node["type"].asstr()[()] for name, node in nodes.items()} == {
            "input": "Input", "dense0": "Affine", "lif0": "LIF", "lif0.w_rec": "Affine", "output": "Output"}
        assert nodes["dense0/weight"].shape == (3, 4) and nodes["input/shape"][()].tolist() == [4]
        assert set(nodes["lif0"]) == {"type", "metadata", "tau", "r", "v_leak", "v_threshold", "v_reset"}
        facts = json.loads(file["node/metadata/numsnn"].asstr()[()])
        assert (facts["version"], facts["dt"], facts["unit"]) == (1, 1.0, 1.0)
        assert "metadata" not in nodes["input"]


def test_parameters_are_those_of_nirs_equations(tmp_path):
    """Steps of the equations, exact for a current that stands still, with the numbers of the file alone."""
    dt, unit = 0.5, 1e-3
    net = network(3, [ns.CubaLIF(3, tau_syn=4, tau_mem=11, w_in=0.6, r=0.8, v_leak=0.1, reset="hard",
                                 v_reset=-0.2, v_threshold=0.7),
                      ns.IF(3, r=0.4, reset="hard", v_threshold=0.9)], dt=dt)
    nir.write(net, tmp_path / "net.nir", unit=unit)
    first, second = (nir.graph(tmp_path / "net.nir").nodes[name].params for name in ("cubalif0", "if0"))
    x = (np.random.default_rng(0).random((40, 3)) < 0.5).astype(np.float32)
    alpha, beta = np.exp(-dt * unit / first["tau_syn"]), np.exp(-dt * unit / first["tau_mem"])
    current, v, w, spikes = np.zeros(3), np.zeros(3), np.zeros(3), []
    for step in x:
        current = alpha * current + (1 - alpha) * first["w_in"] * step
        v = beta * v + (1 - beta) * (first["v_leak"] + first["r"] * current)
        spike = v > first["v_threshold"]
        v = np.where(spike, first["v_reset"], v)
        w = w + dt * unit * second["r"] * spike
        spikes.append(w > second["v_threshold"])
        w = np.where(spikes[-1], second["v_reset"], w)
    assert np.sum(spikes) > 5
    np.testing.assert_array_equal(net.run(x[:, None])[0][:, 0], spikes)


def test_others_read_the_same_network(tmp_path):
    """Our reader, told to read the file as another's: without metadata, in seconds."""
    net = network((2, 5, 6), [
        ns.Conv2d(2, 2, (3, 1), padding=(1, 0)), ns.BatchNorm(), ns.LIF(v_leak=0.05, v_threshold=0.5),
        ns.AvgPool2d(2), ns.Delay(1), ns.Dense(12, 4), ns.CubaLIF(4, recurrent=True, v_threshold=0.3),
        ns.Previous("lif1", shape=3), ns.Dense(3, 4),
        ns.Add("cubalif0", "dense1"), ns.Dense(4, 3), ns.LIF(3, v_threshold=0.2), ns.LI(3)])
    net.restore({"norm0.running_mean": np.array([0.2, -0.1], np.float32),
                 "norm0.running_var": np.array([0.5, 2.0], np.float32)})
    nir.write(net, tmp_path / "net.nir", unit=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other = nir.read(tmp_path / "net.nir", dt=1e-3, integrator="exponential", reset="soft",
                         device="reference")
    assert len(np.unique(answers(net))) > 10
    close(net, other)


def test_others_read_delays_in_a_recurrence(tmp_path):
    """As a cycle of layers, one of which is a Delay, with the same answers."""
    net = network(4, [ns.Dense(4, 6, weight=("normal", 0, 1)),
                      ns.LIF(6, v_threshold=0.3, recurrent=ns.Delays(4, axonal=True)), ns.LI(6)])
    with pytest.raises(nir.NirError, match="delays that are spread over steps .*round_delays"):
        nir.write(net, tmp_path / "net.nir")
    net.round_delays()
    assert len(set(net.params["lif0.delay"])) > 2
    nir.write(net, tmp_path / "net.nir", unit=1e-3)
    other = nir.read(tmp_path / "net.nir", dt=1e-3, integrator="exponential", reset="soft",
                     device="reference")
    assert {"Previous", "Delay", "Add"} < {type(layer).__name__ for layer in other.layers.values()}
    assert len(np.unique(answers(net))) > 10
    close(net, other)


# ---- files that were changed since


def test_values_that_another_program_changed_are_taken(tmp_path):
    path = tmp_path / "net.nir"
    net = network(4, [ns.Dense(4, 3), ns.LIF(3, learn="tau_mem"), ns.OverTime("max")])
    nir.write(net, path, unit=1e-3)
    with h5py.File(path, "r+") as file:
        file["node/nodes/dense0/weight"][...] *= 2
        file["node/nodes/lif0/tau"][...] = 0.01
    back = nir.read(path, device="reference")
    np.testing.assert_array_equal(back.params["dense0.weight"], 2 * net.params["dense0.weight"])
    np.testing.assert_array_equal(back.params["lif0.tau_mem"], 10)
    assert back.config() == net.config()


def test_graphs_that_another_program_changed_are_read_as_any(tmp_path):
    path = tmp_path / "net.nir"
    net = network(4, [ns.Dense(4, 3), ns.BatchNorm(), ns.LI(3)])
    nir.write(net, path)
    with h5py.File(path, "r+") as file:         # folded values, which nobody can undo
        file["node/nodes/dense0/weight"][...] *= 2
    back = nir.read(path, dt=1.0, integrator="exponential", device="reference")
    assert [type(layer).__name__ for layer in back.layers.values()] == ["Dense", "LI"]
    np.testing.assert_allclose(back.params["dense0.weight"], 2 * net.params["dense0.weight"], 1e-4)


def test_a_network_comes_back_on_its_device(tmp_path):
    net = network(4, [ns.Dense(4, 3), ns.LIF(3, recurrent=True)])
    nir.write(net, tmp_path / "net.nir")
    on_cpu = nir.read(tmp_path / "net.nir")
    assert on_cpu.device == "cpu" and on_cpu.same_as(net)
    with pytest.raises(ValueError, match="unknown device 'tpu'"):
        nir.read(tmp_path / "net.nir", device="tpu")


WRONG = {"unit": 0}, {"dt": None}, {"layers": ["lif0"] * 3}, {"layers": [[]]}, {"dtype": "int"}


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_metadata_that_do_not_fit_the_nodes_are_left_alone(wrong, tmp_path):
    graph = graph_of(network(4, [ns.Dense(4, 3), ns.LIF(3)]))
    facts = json.loads(graph.metadata["numsnn"])
    graph.metadata["numsnn"] = json.dumps({**facts, **wrong})
    assert rebuilt(graph, "reference") is None
    graph.metadata["numsnn"] = json.dumps({**facts, "version": 2})
    with pytest.raises(nir.NirError, match="newer numsnn"):
        rebuilt(graph, "reference")


# ---- what NIR cannot express

REFUSED = {
    "alif0, ALIF": lambda: [ns.Dense(4, 3), ns.ALIF(3, recurrent=True)],
    "lstm0, LSTM": lambda: [ns.Dense(4, 12), ns.LSTM(3)],
    "norm0, LayerNorm": lambda: [ns.LayerNorm()],
    "norm0, BatchNorm.*right before it": lambda: [ns.LIF(4), ns.BatchNorm()],
    "norm0, BatchNorm.*nothing else takes": lambda: [
        ns.Dense(4, 4), ns.BatchNorm(), ns.Add("norm0", "dense0")],
    "lif0.*hands out, and feeds back, spike only": lambda: [ns.LIF(4, output="v")],
    "lif0.*delays of neurons, axonal=True": lambda: [ns.LIF(4, recurrent=ns.Delays(2))],
    "activation0.*no such function": lambda: [ns.Activation("relu")],
    "5 layers.*reverse0.*reverse1.*concatenate0": lambda: [
        ns.Bidirectional(lambda: ns.ALIF(4, recurrent=False))],
    "embedding0": lambda: [ns.Embedding(4, 3)],
    "reshape0.*pictures": lambda: [ns.Reshape(1, 2, 2), ns.MaxPool2d(2)],
    "conv0.*pictures": lambda: [ns.Flatten(), ns.LIF((1, 2, 2)), ns.Conv2d(1, 2, 1)],
    "timedistributed0": lambda: [ns.TimeDistributed(ns.LIF(4))],
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_nir_cannot_express_is_refused_or_an_extension(why, tmp_path):
    path = tmp_path / "net.nir"
    path.write_text("before")
    net = network(4, REFUSED[why]())
    with pytest.raises(nir.NirError, match=f"(?s)NIR cannot express .*{why}.*lossy='metadata'"):
        nir.write(net, path)
    assert path.read_text() == "before"
    nir.write(net, path, lossy="metadata")
    assert any(node.type.startswith("numsnn.") for node in nir.graph(path).nodes.values())
    assert nir.read(path, device="reference").same_as(net)


def test_bad_arguments(tmp_path):
    net = network(4, [ns.Dense(4, 3)])
    for wrong in (0, -1, np.inf, "ms"):
        with pytest.raises((TypeError, ValueError), match="unit"):
            nir.write(net, tmp_path / "net.nir", unit=wrong)
    with pytest.raises(ValueError, match="lossy must be None or 'metadata'"):
        nir.write(net, tmp_path / "net.nir", lossy="yes")
    with pytest.raises(FileNotFoundError, match="no folder"):
        nir.write(net, tmp_path / "none" / "net.nir")
    with pytest.raises(nir.NirError, match="input_shape="):
        nir.write(ns.Network(ns.OverTime("each"), device="reference"), tmp_path / "net.nir")
    net.params["dense0.bias"][1] = np.nan
    with pytest.raises(nir.NirError, match="NaN"):
        nir.write(net, tmp_path / "net.nir")
    assert not list(tmp_path.iterdir())
