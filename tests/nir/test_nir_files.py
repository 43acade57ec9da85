"""NIR files as they are loaded: layouts of the field, graphs in graphs, damaged files."""

import contextlib

import h5py
import numpy as np
import pytest
from mutations import mutations
from nir_files import chain, graph, node, small, write

import numsnn as ns
from numsnn.nir import Graph, NirError, Node
from numsnn.nir.flatten import flat


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_a_file_as_it_stands(tmp_path, compression):
    found = ns.nir.graph(write(tmp_path / "a.nir", small(), compression=compression))
    assert found.version == "1.0.8"
    assert found.edges == [("input", "fc"), ("rnn", "output"), ("fc", "rnn")]
    assert isinstance(found.nodes["rnn"], Graph)
    assert found.nodes["rnn"].metadata == {"made": "by hand"}
    fc = found.nodes["fc"]
    assert (fc.type, list(fc.params)) == ("Affine", ["weight", "bias"])
    assert fc.metadata["n"] == 3
    assert fc.metadata["more"]["a"].tolist() == [0, 1]
    assert found.nodes["rnn"].nodes["w_rec"].params["weight"].dtype == np.float32
    text = str(found)
    assert "LIF(tau=0.0025 0.0025 0.0025, r=1 1 1, " in text
    assert "fc      Affine(weight=3x2 of 1, bias=0 0 0)  <- input" in text


def test_texts_in_every_form(tmp_path):
    """Of fixed length, in chunks, compressed; numbers with no axis or one; no version, no edges."""
    path = tmp_path / "a.nir"
    with h5py.File(path, "w") as file:
        pairs = np.array([["input", "a.b"], ["a.b", "output"], ["input", "output"]], object)
        file.create_dataset("node/edges", data=pairs, dtype=h5py.string_dtype(), chunks=(2, 1),
                            compression="gzip", shuffle=True)
        file["node/type"] = np.bytes_("NIRGraph")
        for name, kind in {"input": "Input", "a.b": "Threshold", "output": "Output"}.items():
            file[f"node/nodes/{name}/type"] = [kind]
            file[f"node/nodes/{name}/{'threshold' if kind == 'Threshold' else 'shape'}"] = 1
    found = ns.nir.graph(path)
    assert found.version == ""
    assert found.edges == [tuple(pair) for pair in pairs]
    assert found.nodes["a.b"] == Node("Threshold", {"threshold": 1})
    assert not ns.nir.graph(write(tmp_path / "b.nir", graph({}, ""))).nodes


def test_what_is_none_of_nir(tmp_path):
    with pytest.raises(FileNotFoundError):
        ns.nir.graph(tmp_path / "none.nir")
    (tmp_path / "text.nir").write_text("no HDF5")
    with pytest.raises(NirError, match="cannot be read as HDF5"):
        ns.nir.graph(tmp_path / "text.nir")
    with h5py.File(tmp_path / "other.nir", "w") as file:
        file["spikes"] = np.zeros(3)
    with pytest.raises(NirError, match="none of NIR: it should have /node with a type; it has spikes"):
        ns.nir.graph(tmp_path / "other.nir")
    with h5py.File(tmp_path / "link.nir", "w") as file:
        file["node"] = h5py.ExternalLink("/etc/passwd", "/node")
    with pytest.raises(NirError, match="link to another file"):
        ns.nir.graph(tmp_path / "link.nir")


def test_a_graph_that_holds_itself(tmp_path):
    path = write(tmp_path / "a.nir", small())
    with h5py.File(path, "r+") as file:
        file["node/nodes/rnn/nodes/again"] = file["node"]
    with pytest.raises(NirError, match="names the same nodes again and again|is a graph within 32 others"):
        ns.nir.graph(path)


def test_sizes_that_cannot_be(tmp_path):
    path = tmp_path / "a.nir"
    write(path, chain(node("Linear", weight=np.eye(2))))
    with h5py.File(path, "r+") as file:
        del file["node/nodes/n0/weight"]
        file.create_dataset("node/nodes/n0/weight", (1 << 20, 1 << 20), "f4", chunks=(1024, 1024))
    with pytest.raises(NirError, match="cannot fit into a file"):
        ns.nir.graph(path)


def opened(content, tmp_path):
    """(flat graph, notes)."""
    notes = []
    return flat(ns.nir.graph(write(tmp_path / "a.nir", content)), notes), notes


def test_graphs_in_graphs_become_one(tmp_path):
    found, notes = opened(small(), tmp_path)
    assert sorted(found.edges) == [("fc", "rnn.lif"), ("input", "fc"), ("rnn.lif", "output"),
                                   ("rnn.lif", "rnn.w_rec"), ("rnn.w_rec", "rnn.lif")]
    assert set(found.nodes) == {"input", "fc", "rnn.lif", "rnn.w_rec", "output"}
    assert [(port.name, port.shape, port.sources) for port in found.ports] == [
        ("rnn.input", (3,), ["fc"]), ("rnn.output", (3,), ["rnn.lif"])]
    assert not notes


def test_inner_graphs_named_from_outside_or_without_ports(tmp_path):
    inner = graph({"a": node("Scale", scale=np.ones(1)), "b": node("Scale", scale=np.ones(1))}, "a b")
    ports = {"input": node("Input", shape=np.array([1])), "output": node("Output", shape=np.array([1]))}
    found, _ = opened(graph({"g": inner, **ports}, "input g, g output"), tmp_path)
    assert sorted(found.edges) == [("g.a", "g.b"), ("g.b", "output"), ("input", "g.a")]
    found, _ = opened(graph({"g": inner, **ports}, "input g.b, g.a output"), tmp_path)
    assert sorted(found.edges) == [("g.a", "g.b"), ("g.a", "output"), ("input", "g.b")]


def test_edges_that_name_no_node(tmp_path):
    """As in published files, where edges say lif and the node is lif1."""
    content = small()
    inner = content["nodes"]["rnn"]["nodes"]
    inner["lif1"] = inner.pop("lif")
    found, notes = opened(content, tmp_path)
    assert ("fc", "rnn.lif1") in found.edges
    assert notes == ["edges that name rnn.lif, which is not there, mean rnn.lif1"]
    inner["lif2"] = inner["lif1"]
    with pytest.raises(NirError, match="names the node rnn.lif, which is not there; there are input, lif1"):
        opened(content, tmp_path)


def test_edges_that_are_written_twice_and_loops_of_ports(tmp_path):
    content = small()
    content["edges"].append(["input", "fc"])
    found, notes = opened(content, tmp_path)
    assert found.edges.count(("input", "fc")) == 1
    assert notes == ["the edge input -> fc, which is written 2 times, counts once"]
    ports = {"input": node("Input", shape=np.array([1])), "output": node("Output", shape=np.array([1]))}
    loop = graph({**ports, "g": graph(ports, "input output, output input")}, "input g, g output")
    with pytest.raises(NirError, match="a loop leads through ports only"):
        opened(loop, tmp_path)


@pytest.mark.filterwarnings("ignore:.*assumed that")
def test_damaged_files(tmp_path):
    path = write(tmp_path / "a.nir", small())
    content, good = path.read_bytes(), 0
    for bad in mutations(content, 200, 20):
        path.write_bytes(bad)
        with contextlib.suppress(NirError):
            ns.nir.read(path, dt=1e-4, device="reference")
            good += 1
    assert 20 < good < 180
