"""Graphs of every form as networks: recurrence, feedback, branches, ports that say something else."""

import h5py
import numpy as np
import pytest
from nir_files import chain, graph, node, write

import numsnn as ns
from numsnn.nir import NirError

DT, T, B, N = 1e-3, 15, 2, 4
RNG = np.random.default_rng(21)
X = RNG.normal(0.7, 1.0, (T, B, N)).astype("f4")
W, BIAS, V = RNG.normal(size=(N, N)), RNG.normal(size=N), RNG.normal(size=(N, N))
LIF = node("LIF", tau=np.full(N, 3e-3), r=np.full(N, 3.0), v_leak=np.zeros(N), v_threshold=np.full(N, 0.8),
           v_reset=np.zeros(N))
PORTS = {"input": node("Input", shape=np.array([N])), "output": node("Output", shape=np.array([N]))}


def linear(weight):
    return node("Linear", weight=weight)


def read(tmp_path, content, **how):
    return ns.nir.read(write(tmp_path / "a.nir", content), **{"dt": DT, "device": "reference", **how})


def lif(v, current):
    """(spikes, v) after one step."""
    v = v + (3.0 * current - v) / 3
    s = v > 0.8
    return s.astype(float), np.where(s, 0, v)


def recurrent(weight, bias):
    """Spikes of the population, whose own spikes arrive one step later."""
    s = v = np.zeros((B, N))
    out = []
    for x in X:
        s, v = lif(v, x + s @ weight.T + bias)
        out.append(s)
    return np.array(out)


FORMS = {
    "an Affine": (graph({**PORTS, "lif": LIF, "rec": node("Affine", weight=W, bias=BIAS)},
                        "rec lif, lif output, lif rec, input lif"), W, BIAS),
    "a Linear": (graph({**PORTS, "lif.a": LIF, "lif.w_rec": linear(W)},
                       "input lif.a, lif.a lif.w_rec, lif.w_rec lif.a, lif.a output"), W, 0),
    "itself": (graph({**PORTS, "lif": LIF}, "input lif, lif lif, lif output"), np.eye(N), 0),
    "two": (graph({**PORTS, "lif": LIF, "a": linear(W), "b": node("Affine", weight=V, bias=BIAS)},
                  "input lif, lif a, a lif, lif b, b lif, lif output"), W + V, BIAS),
    "a graph": (graph({**PORTS, "rnn": graph({**PORTS, "lif": LIF, "rec": linear(W)},
                                             "input lif, lif rec, rec lif, lif output")},
                      "input rnn, rnn output"), W, 0),
    "a graph in the loop": (graph({**PORTS, "lif": LIF, "back": graph({**PORTS, "w": linear(W)},
                                                                      "input w, w output")},
                                  "input lif, lif back, back lif, lif output"), W, 0),
}


@pytest.mark.parametrize(("content", "weight", "bias"), FORMS.values(), ids=FORMS)
def test_a_recurrence_is_one_population(tmp_path, content, weight, bias):
    net = read(tmp_path, content)
    assert [type(layer).__name__ for layer in net.layers.values()] == ["LIF"]
    spikes = recurrent(weight, bias)
    assert 0.1 < spikes.mean() < 0.9
    assert np.array_equal(net.run(X)[0], spikes)


def test_edges_in_any_order_give_the_same_network(tmp_path):
    content = graph({**PORTS, "a": LIF, "b": LIF, "w": linear(W), "u": linear(V),
                     "back": linear(W)}, "input w, w a, a u, u b, b back, back a, a b, b output")
    net = read(tmp_path, content)
    for _ in range(3):
        content["edges"] = RNG.permutation(content["edges"]).tolist()
        assert read(tmp_path, content).same_as(net)


def test_other_cycles_are_feedback_one_step_late(tmp_path):
    """Two populations in a circle, of which the first answers too."""
    content = graph({**PORTS, "a": LIF, "b": LIF, "w": linear(W), "back": linear(V)},
                    "input a, a w, w b, b back, back a, a output")
    net = read(tmp_path, content)
    fed = va = vb = np.zeros((B, N))
    expected = []
    for x in X:
        a, va = lif(va, x + fed)
        b, vb = lif(vb, a @ W.T)
        fed = b @ V.T
        expected.append(a)
    assert np.array_equal(net.run(X)[0], expected)
    assert any(isinstance(layer, ns.Previous) for layer in net.layers.values())


def test_a_matrix_that_feeds_others_too_is_no_recurrence(tmp_path):
    content = graph({**PORTS, "lif": LIF, "w": linear(W)}, "input lif, lif w, w lif, w output")
    assert np.allclose(read(tmp_path, content).run(X)[0], recurrent(W, 0) @ W.T, atol=1e-5)


def test_edges_into_one_node_are_a_sum(tmp_path):
    content = graph({**PORTS, "w": linear(W), "v": linear(V), "s": node("Scale", scale=BIAS)},
                    "input w, input v, w s, v s, input s, s output, w output")
    y = read(tmp_path, content).run(X)[0]
    assert np.allclose(y, (X @ W.T + X @ V.T + X) * BIAS + X @ W.T, atol=1e-5)


def test_input_straight_to_the_output(tmp_path):
    assert np.array_equal(read(tmp_path, graph(PORTS, "input output")).run(X)[0], X)


def test_names(tmp_path):
    content = chain(LIF, LIF, LIF, shape=[N], out=[N])
    renamed = {"n0": "a.b", "n1": "a_b", "n2": "lif 2"}
    content["nodes"] = {renamed.get(name, name): one for name, one in content["nodes"].items()}
    content["edges"] = [[renamed.get(name, name) for name in edge] for edge in content["edges"]]
    assert list(read(tmp_path, content).layers) == ["a_b", "a_b_1", "lif 2"]
    content = graph({"in": PORTS["input"], "input": LIF, "output": PORTS["output"]}, "in input, input output")
    assert list(read(tmp_path, content).layers) == ["input_1"]


def test_one_warning_says_all_that_was_assumed(tmp_path):
    """Ports with other shapes, as published files have them, and what nothing takes."""
    inner = graph({"input": node("Input", shape=np.array([12])), "output": PORTS["output"],
                   "lif1": {**LIF, "tau_refractory": np.ones(N)}}, "input lif, lif output")
    content = graph({"input": node("Input", shape=np.array([9])), "w": linear(W), "rnn": inner,
                     "probe": node("Scale", scale=np.ones(N)),
                     "output": node("Output", shape=np.array([1, 1, N]))},
                    "input w, w rnn, rnn output, rnn probe")
    with pytest.warns(UserWarning) as told:
        net = read(tmp_path, content)
    assert len(told) == 1
    message = str(told[0].message)
    for words in ("edges that name rnn.lif, which is not there, mean rnn.lif1",
                  "probe, which leads nowhere, is left out",
                  "what rnn.lif1 says beyond its type, tau_refractory, is left out",
                  "input means the shape (4,), which must arrive; it says (9,)",
                  "output means the shape (4,), which arrives; it says (1, 1, 4)",
                  "rnn.input means the shape (4,), which arrives; it says (12,)"):
        assert words in message
    assert told[0].filename == __file__
    assert list(net.layers) == ["w", "rnn_lif1"]


def test_ports_that_are_not_there(tmp_path):
    words = "assumed that the Output, which is missing, is at b; the Input, which is missing, is at a"
    with pytest.warns(UserWarning, match=words):
        net = read(tmp_path, graph({"a": linear(W), "b": LIF}, "a b"))
    assert list(net.layers) == ["a", "b"]


REFUSED = {
    "the graph has 2 nodes of type Output, output, second": graph(
        {**PORTS, "a": LIF, "second": PORTS["output"]}, "input a, a output, a second"),
    "the graph has 2 nodes of type Input, input, second": graph(
        {**PORTS, "a": LIF, "second": PORTS["input"]}, "input a, a output, second a"),
    "nothing leads to output from input": graph({**PORTS, "a": LIF}, "input a"),
    "nothing arrives at b": graph({**PORTS, "a": LIF, "b": LIF}, "input a, a output, b a"),
    "an edge names the node x, which is not there": graph({**PORTS, "a": LIF}, "input a, a output, x a"),
    "layer w: expects 4 inputs, but 3 arrive": graph(
        {**PORTS, "v": linear(V[:3]), "w": linear(W)}, "input v, v w, w output"),
    "a: its parameters have the shape": graph(
        {**PORTS, "w": linear(W[:3]), "a": LIF}, "input w, w a, a output"),
    "leads 4 neurons to themselves, but its weight has the shape": graph(
        {**PORTS, "a": LIF, "w": linear(W[:3])}, "input a, a w, w a, a output"),
}


@pytest.mark.filterwarnings("ignore:.*assumed that")
@pytest.mark.parametrize("words", REFUSED)
def test_what_no_network_can_be(tmp_path, words):
    with pytest.raises(NirError) as error:
        read(tmp_path, REFUSED[words])
    assert words.replace("a: its", "node a (LIF): its") in str(error.value)


def test_fine_tuning_and_saving(tmp_path):
    """What was read is a network like any other."""
    net = read(tmp_path, FORMS["an Affine"][0])
    result = net.loss_and_gradients(ns.loss.MSE(), X, np.zeros((T, B, N), "f4"))
    assert np.abs(result.grads["lif.recurrent"]).max() > 0
    ns.save(net, tmp_path / "net.h5")
    assert ns.load(tmp_path / "net.h5").same_as(net)


def test_a_file_of_ours_that_others_have_changed(tmp_path):
    """Its step is still known; layers that only we know are not read."""
    path = tmp_path / "net.nir"
    net = ns.Network(ns.Dense(N, N), ns.LI(N), dt=0.5, device="reference")
    ns.nir.write(net, path, unit=1e-3)
    with h5py.File(path, "r+") as file:
        file["node/nodes/more/type"], file["node/nodes/more/scale"] = "Scale", np.full(N, 2.0)
        edges = [[name.replace("output", "more") for name in edge] for edge in file["node/edges"].asstr()[()]]
        del file["node/edges"]
        file["node/edges"] = [*edges, ["more", "output"]]
    with pytest.warns(UserWarning, match="assumed that this file of numsnn, which others have changed"):
        back = ns.nir.read(path)
    assert [type(layer).__name__ for layer in back.layers.values()] == ["Dense", "LI", "Scale"]
    assert back.dt == 0.5e-3
    ns.nir.write(ns.Network(ns.ALIF(N), device="reference"), path, lossy="metadata")
    with pytest.raises(NirError, match=r"types that are not known: alif0 \(numsnn.ALIF\)"):
        ns.nir.read(path, dt=1e-3)
