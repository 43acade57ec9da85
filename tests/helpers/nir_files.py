"""NIR files as others write them, with h5py alone."""

from itertools import pairwise

import h5py
import numpy as np


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
