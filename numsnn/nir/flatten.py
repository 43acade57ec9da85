"""Graphs within graphs as one graph: `lif` in the graph `rnn` becomes the node `rnn.lif`, and the ports of
the inner graph give way to what leads through them.

Edges that name no node, which published files have, are read where they can mean one thing only.
"""

from __future__ import annotations

from collections import Counter
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from math import prod
from typing import NamedTuple

import numpy as np

from .nodes import PORTS, Graph, NirError, Node

MOST = 1_000_000                # edges of a flat graph
LARGEST_SIZE = 1 << 31          # features of a step
WRONG = 20                      # names in edges that may be none of nodes


class Port(NamedTuple):
    """A port that has given way: what it says of its shape, and the nodes that lead to it."""
    name: str
    shape: tuple[int, ...]
    sources: list[str]


class Flat(NamedTuple):
    """A graph without graphs in it."""
    nodes: dict[str, Node]
    edges: list[tuple[str, str]]
    ports: tuple[Port, ...] = ()

    def of_type(self, *types: str) -> list[str]:
        """The names of the nodes of these types."""
        return [name for name, node in self.nodes.items() if node.type in types]


def flat(graph: Graph, notes: list[str]) -> Flat:
    """The graph without graphs in it; what had to be assumed is added to `notes`, a sentence each."""
    opened = _Opened()
    opened.take(graph, "", notes)
    return opened.without_ports(set(graph.of_type(*PORTS)))


class _Opened:
    """All nodes of a graph by their dotted names, with the edges between them."""

    def __init__(self):
        self.nodes: dict[str, Node] = {}
        self.edges: list[tuple[str, str]] = []

    def take(self, graph: Graph, prefix: str, notes: list[str]) -> None:
        """Take the nodes of a graph, and those of the graphs in it."""
        for name, node in graph.nodes.items():
            if isinstance(node, Graph):
                self.take(node, f"{prefix}{name}.", notes)
            elif prefix + name in self.nodes:
                raise NirError(f"two nodes are named {prefix}{name} once their graphs are one")
            else:
                self.nodes[prefix + name] = node
        for a, b in repaired(graph, prefix, notes):
            self.edges.append((_end(graph, prefix, a, "Output"), _end(graph, prefix, b, "Input")))

    def without_ports(self, outer: set[str]) -> Flat:
        """One graph, in which only the outer graph's own ports are left."""
        sources: dict[str, list[str]] = {name: [] for name in self.nodes}
        for a, b in self.edges:
            sources[b].append(a)
        inner = [name for name, node in self.nodes.items() if node.type in PORTS and name not in outer]
        among = set(inner)
        try:
            order = list(TopologicalSorter({p: among.intersection(sources[p]) for p in inner}).static_order())
        except CycleError as error:
            raise NirError(f"a loop leads through ports only, {' -> '.join(error.args[1])}") from None
        through: dict[str, list[str]] = {}
        n = 0
        for name in (*order, *(name for name in self.nodes if name not in among)):
            found = list(chain.from_iterable(through.get(a, (a,)) for a in sources[name]))
            n += len(found)
            if n > MOST:
                raise NirError(f"it has more than {MOST:,} edges once its graphs are one")
            if name in among:
                through[name] = found
            else:
                sources[name] = found
        ports = tuple(Port(name, shape_of(self.nodes[name]), through[name]) for name in inner)
        nodes = {name: node for name, node in self.nodes.items() if name not in among}
        return Flat(nodes, [(a, b) for b in nodes for a in sources[b]], ports)


def shape_of(node: Node) -> tuple[int, ...]:
    """What a port says of its shape; () where it says nothing that could be one."""
    value = node.params.get("shape")
    if value is None or isinstance(value, str):
        return ()
    sizes = np.ravel(value)
    fits = sizes.dtype.kind in "iuf" and np.isfinite(sizes).all() and (sizes == np.round(sizes)).all()
    shape = tuple(map(int, sizes)) if fits and (sizes > 0).all() else ()
    return shape if prod(shape) < LARGEST_SIZE else ()


def _end(graph, prefix, name, kind):
    """The node that an edge means: where it names a graph, that one's port."""
    node = graph.nodes.get(name)
    if node is None:                                    # rnn.lif, named from outside
        head, _, rest = name.partition(".")
        return _end(graph.nodes[head], f"{prefix}{head}.", rest, kind)
    if not isinstance(node, Graph):
        return prefix + name
    ports = node.of_type(kind)
    if not ports:                                       # without ports: the node at its edge
        side = 1 if kind == "Input" else 0
        linked = {edge[side] for edge in node.edges}
        ports = [one for one in node.nodes if one not in linked]
    if len(ports) != 1:
        raise NirError(f"graph {prefix}{name} has {len(ports)} nodes of type {kind}, "
                       f"{', '.join(ports[:20])}; an edge that names the graph can only mean one")
    return _end(node, f"{prefix}{name}.", ports[0], kind)


def repaired(graph: Graph, prefix: str, notes: list[str]) -> list[tuple[str, str]]:
    """The edges of a graph, each once, between nodes that are there."""
    named = [name for edge in graph.edges for name in edge]
    missing = sorted({name for name in named if not _is_there(graph, name)})
    lost = sorted(set(graph.nodes) - set(named))
    meant = {name: _meant(name, missing, lost) for name in missing[:WRONG]}
    taken = Counter(meant.values())
    unknown = [name for name in missing if meant.get(name) is None or taken[meant[name]] > 1]
    if unknown:
        there = ", ".join(list(graph.nodes)[:20]) or "no nodes"
        raise NirError(f"an edge names the node {prefix}{unknown[0]}, which is not there; there are {there}")
    notes += [f"edges that name {prefix}{name}, which is not there, mean {prefix}{other}"
              for name, other in meant.items()]
    edges = Counter((meant.get(a) or a, meant.get(b) or b) for a, b in graph.edges)
    notes += [f"the edge {prefix}{a} -> {prefix}{b}, which is written {n} times, counts once"
              for (a, b), n in edges.items() if n > 1]
    return list(edges)


def _is_there(graph, name):
    while name not in graph.nodes:
        head, _, name = name.partition(".")
        graph = graph.nodes.get(head)
        if not isinstance(graph, Graph):
            return False
    return True


def _meant(name: str, missing: list[str], lost: list[str]) -> str | None:
    """The node without edges that must be meant: `lif1` by `lif`, or the only one by the only name."""
    alike = [other for other in lost if _bare(other) == _bare(name)]
    if len(alike) == 1:
        return alike[0]
    return lost[0] if len(missing) == len(lost) == 1 else None


def _bare(name):
    return name.rstrip("0123456789_.").lower() or name
