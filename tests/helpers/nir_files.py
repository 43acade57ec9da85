"""NIR files as others write them, with h5py alone."""

import warnings
from importlib import import_module
from itertools import pairwise

import h5py
import numpy as np

import numsnn as ns


def reference():
    """The package nir, or None where it is not installed (a folder of tests has that name, too)."""
    try:
        import_module("nir.ir")
    except ImportError:
        return None
    return import_module("nir")


def node(type, **params):
    return {"type": type, **params}


def graph(nodes, edges, **more):
    """A NIRGraph as the value of a node; edges: "a b, b c"."""
    pairs = [edge.split() for edge in edges.split(",") if edge]
    return {"type": "NIRGraph", "nodes": nodes, "edges": pairs, **more}


def chain(*nodes, shape=None, out=None):
    """A graph of nodes in a row: input, n0, n1 ..., output."""
    named = {"input": node("Input", shape=np.array(shape or [1])),
             **{f"n{i}": one for i, one in enumerate(nodes)},
             "output": node("Output", shape=np.array(out or [1]))}
    return graph(named, ", ".join(map(" ".join, pairwise(named))))


def small():
    """A graph in a graph, with metadata."""
    of_neurons = {"tau": 0.0025, "r": 1.0, "v_leak": 0.0, "v_threshold": 0.1}
    lif = node("LIF", **{name: np.full(3, value) for name, value in of_neurons.items()})
    rnn = graph({"input": node("Input", shape=np.array([3])), "lif": lif,
                 "w_rec": node("Linear", weight=np.eye(3, dtype="f4")),
                 "output": node("Output", shape=np.array([3]))},
                "input lif, lif w_rec, w_rec lif, lif output", metadata={"made": "by hand"})
    fc = node("Affine", weight=np.ones((3, 2)), bias=np.zeros(3),
              metadata={"n": 3, "more": {"a": np.arange(2.0)}})
    return graph({"input": node("Input", shape=np.array([2])), "fc": fc, "rnn": rnn,
                  "output": node("Output", shape=np.array([3]))}, "input fc, rnn output, fc rnn")


def ours(path):
    """A file that numsnn writes."""
    layers = (ns.Dense(4, 3), ns.LIF(3, recurrent=True, learn="tau_mem"), ns.Dense(3, 2), ns.LI(2), ns.OverTime())
    ns.nir.write(ns.Network(*layers, device="reference"), path, unit=1e-3)


def read(path, foreign=True):
    """All that is read of a file: the graph, and the network."""
    str(ns.nir.graph(path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ns.nir.read(path, dt=1e-4 if foreign else None, device="reference")


def write(path, content, version="1.0.8", compression=None):
    """Write a graph to a file."""
    with h5py.File(path, "w") as file:
        if version:
            file["version"] = version
        _put(file, "node", content, compression)
    return path


def _put(group, name, value, compression):
    if isinstance(value, dict):
        inner = group.create_group(name)
        for key, one in value.items():
            _put(inner, key, one, compression)
    elif isinstance(value, np.ndarray) and value.ndim:
        group.create_dataset(name, data=value, compression=compression)
    else:
        group[name] = value
