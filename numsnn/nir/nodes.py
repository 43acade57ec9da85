"""What a NIR file holds: graphs of nodes, and the types of nodes that version 1.0.8 of NIR knows.

    type                what it computes (arrays have the shape of the neurons, without batch and time)
    Input, Output       nothing: the ports of a graph
    Linear, Affine      W x, W x + b; weight (outputs, inputs)
    Scale               scale * x
    Conv1d, Conv2d      weight (channels out, channels in / groups, *kernel); padding: numbers, same, valid
    SumPool2d, AvgPool2d
    Flatten             makes one axis of start_dim..end_dim; the batch is not counted
    Threshold           x > threshold
    Delay               x(t - delay)
    I                   dv/dt = r x
    IF                  the same, with v > v_threshold -> spike, v <- v_reset
    LI                  tau dv/dt = v_leak - v + r x
    LIF                 the same, with v > v_threshold -> spike, v <- v_reset
    CubaLI              tau_syn di/dt = -i + w_in x; tau_mem dv/dt = v_leak - v + r i
    CubaLIF             the same, with v > v_threshold -> spike, v <- v_reset
    NIRGraph            a graph within a graph
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

Value = np.ndarray | int | str


class NirError(ValueError):
    """A NIR file that cannot be read, or a network that NIR cannot express, and why."""


class Kind(NamedTuple):
    """The parameters of a type of node."""

    needed: tuple[str, ...]
    optional: tuple[str, ...] = ()

    @property
    def params(self) -> tuple[str, ...]:
        """All of them, in the order in which NIR names them."""
        return self.needed + self.optional


GRAPH = "NIRGraph"
_CONV = ("weight", "stride", "padding", "dilation", "groups", "bias")
_POOL = ("kernel_size", "stride", "padding")
_CUBA = ("tau_syn", "tau_mem", "r", "v_leak")
KINDS: dict[str, Kind] = {
    "Input": Kind(("shape",)),
    "Output": Kind(("shape",)),
    "Linear": Kind(("weight",)),
    "Affine": Kind(("weight", "bias")),
    "Scale": Kind(("scale",)),
    "Conv1d": Kind(_CONV, ("input_shape",)),
    "Conv2d": Kind(_CONV, ("input_shape",)),
    "SumPool2d": Kind(_POOL),
    "AvgPool2d": Kind(_POOL),
    "Flatten": Kind(("start_dim", "end_dim"), ("input_type",)),
    "Threshold": Kind(("threshold",)),
    "Delay": Kind(("delay",)),
    "I": Kind(("r",)),
    "IF": Kind(("r", "v_threshold"), ("v_reset",)),
    "LI": Kind(("tau", "r", "v_leak")),
    "LIF": Kind(("tau", "r", "v_leak", "v_threshold"), ("v_reset",)),
    "CubaLI": Kind(_CUBA, ("w_in",)),
    "CubaLIF": Kind((*_CUBA, "v_threshold"), ("v_reset", "w_in")),
}
PORTS = ("Input", "Output")
MATRICES = ("Linear", "Affine")
CONVOLUTIONS = ("Conv1d", "Conv2d")
POOLS = ("SumPool2d", "AvgPool2d")
SPIKING = ("IF", "LIF", "CubaLIF")
POPULATIONS = ("I", "LI", "CubaLI", *SPIKING)


@dataclass
class Node:
    """A node: its type, its parameters by NIR's names, and what else was written with it."""

    type: str
    params: dict[str, Value] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.type}({', '.join(f'{name}={told(v)}' for name, v in self.params.items())})"


@dataclass
class Graph:
    """A graph: nodes (or graphs) by name, and the edges (from, to) between them.

    Printed, it shows each node with the shapes and ranges of its parameters, and what leads to it.
    """

    nodes: dict[str, Node | Graph] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    version: str = ""

    @property
    def type(self) -> str:
        """A graph is a node of a larger graph."""
        return GRAPH

    def sources(self, name: str) -> list[str]:
        """The nodes whose edges lead to this one."""
        return [a for a, b in self.edges if b == name]

    def of_type(self, *types: str) -> list[str]:
        """The names of the nodes of these types."""
        return [name for name, node in self.nodes.items() if node.type in types]

    def __str__(self) -> str:
        head = f"NIR graph{f' {self.version}' if self.version else ''}: " \
               f"{len(self.nodes)} nodes, {len(self.edges)} edges"
        return "\n".join((head, *_lines(self, "    ")))


def told(value: Value) -> str:
    """A parameter in a few words: its value, or its shape and range."""
    if isinstance(value, str):
        return repr(value)
    value = np.asarray(value)
    if value.size <= 3:
        return " ".join(f"{v:.6g}" for v in np.ravel(value)) or "nothing"
    low, high = value.min(), value.max()
    shape = "x".join(map(str, value.shape))
    return f"{shape} of {low:.4g}" if low == high else f"{shape} in {low:.4g} .. {high:.4g}"


def _from_input_to_output(graph, targets):
    """The names of the nodes, those that others lead to after these."""
    names = dict.fromkeys(graph.of_type("Input"))
    waiting = list(names)
    while waiting:
        new = [b for b in targets.get(waiting.pop(), ()) if b in graph.nodes and b not in names]
        names |= dict.fromkeys(new)
        waiting += new
    outputs = dict.fromkeys(graph.of_type("Output"))
    return [*(name for name in {**names, **dict.fromkeys(graph.nodes)} if name not in outputs), *outputs]


def _lines(graph: Graph, indent: str) -> Iterator[str]:
    width = max((len(name) for name in graph.nodes), default=0)
    sources: dict[str, list[str]] = {}
    targets: dict[str, list[str]] = {}
    for a, b in graph.edges:
        sources.setdefault(b, []).append(a)
        targets.setdefault(a, []).append(b)
    for name in _from_input_to_output(graph, targets):
        node = graph.nodes[name]
        after = f"  <- {', '.join(sources[name])}" if name in sources else ""
        if isinstance(node, Graph):
            yield f"{indent}{name:{width}}  NIRGraph{after}"
            yield from _lines(node, indent + "    ")
        else:
            yield f"{indent}{name:{width}}  {node}{after}"
