"""Reading what `write` wrote: the network, bit for bit, from a graph and the metadata in it.

A graph whose nodes, shapes or edges somebody has changed since is no longer ours: it is read as any other.
Changed values are taken.
"""

from __future__ import annotations

import json
from math import inf
from typing import Any

import numpy as np

from ..layers.initialise import stored
from ..network.network import Network
from .nodes import Graph, NirError, Node
from .terms import Times
from .writing import METADATA, graph_of, read_back

VERSION = 1


def rebuilt(graph: Graph, device: str = "cpu") -> Network | None:
    """The network of a graph that `write` wrote; None where it is another's, or was changed.

    NirError where the metadata are of a newer version.
    """
    facts = _json(graph.metadata)
    if facts is None or any(isinstance(node, Graph) for node in graph.nodes.values()):
        return None
    if isinstance(facts.get("version"), int) and facts["version"] > VERSION:
        raise NirError(f"the file was written by a newer numsnn (version {facts['version']} of its metadata; "
                       f"this one reads {VERSION}); update numsnn")
    try:
        with stored(_largest(graph)), np.errstate(all="ignore"):
            net = _network(graph, facts)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None             # the metadata do not fit the nodes
    if net is None or device == net.device:
        return net
    with stored(inf):           # a device that cannot run it says so
        return net.to(device)


def step_of(graph: Graph) -> float | None:
    """The step in seconds of the network that a graph was written from; None where it does not say it."""
    facts = _json(graph.metadata) or {}
    try:
        return float(facts["dt"]) * float(facts["unit"])
    except (ArithmeticError, KeyError, TypeError, ValueError):
        return None


def _json(metadata: dict[str, Any]) -> dict[str, Any] | None:
    text = metadata.get(METADATA)
    try:
        facts = json.loads(text) if isinstance(text, str) else None
    except (RecursionError, ValueError):
        return None
    return facts if isinstance(facts, dict) else None


def _largest(graph):
    """Number of values of the largest array."""
    found = [a for node in graph.nodes.values() for a in (*node.params.values(), *node.metadata.values())]
    return max(np.size(a) for a in found if not isinstance(a, (dict, str)))


def _network(graph, facts):
    layers = [_json(graph.nodes[entry].metadata) if isinstance(entry, str) else entry
              for entry in facts["layers"]]
    times = Times(float(facts["dt"]), float(facts["unit"]))
    config = {"layers": layers, "dt": times.dt, "dtype": facts["dtype"], "input_shape": facts["input_shape"]}
    net = Network.from_config(config, device="reference")
    kept = {key: a for node in graph.nodes.values() for key, a in node.metadata.items()}
    for name, layer in net.layers.items():
        found = read_back(layer, name, graph.nodes, times)
        found |= {key: kept[f"{name}.{key}"] for key in {**layer.params, **layer.fixed}
                  if f"{name}.{key}" in kept}
        _restore(net, name, found)
    return net if _same(graph, graph_of(net, unit=times.unit, lossy="metadata")) else None


def _restore(net, name, arrays):
    """Take arrays that a layer can have; ValueError where it cannot."""
    for key, a in arrays.items():
        if not np.isfinite(a).all() or net.layers[name].impossible(key, a):
            raise ValueError(f"{name}.{key} is none that the layer can have")
    net.restore({f"{name}.{key}": a for key, a in arrays.items()})


def _same(graph, other):
    """Whether two graphs have the same nodes and edges, and values as close as float32 comes."""
    return sorted(graph.edges) == sorted(other.edges) and graph.nodes.keys() == other.nodes.keys() and \
        all(_alike(node, other.nodes[name]) for name, node in graph.nodes.items())


def _alike(node: Node, other: Node) -> bool:
    if node.type != other.type or node.params.keys() != other.params.keys():
        return False
    exact = {key for key in node.metadata if "." in key}        # what was kept holds for these values only
    for key, a in node.params.items():
        b = other.params[key]
        if np.shape(a) != np.shape(b):
            return False
        if not (np.array_equal(a, b) if exact else np.allclose(a, b, 1e-5, 0)):
            return False
    return True
