"""`write`: a network as a NIR file.

Each layer becomes a node of its name, and what leads to it edges; several edges into a node are their sum,
so that an Add is no node.  The synapses of a recurrent population with itself are a node NAME.w_rec in a
cycle with it; a Previous that closes a cycle is a plain edge, another one a Delay of a step.  BatchNorm is
folded into the Dense or convolution before it.  NIR has no step, no integrator, no kinds of reset: these
stand as JSON in the metadata `numsnn` of the graph and its nodes, which own.py reads.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..checked import checked
from ..formats.whole import as_json
from ..layers import Activation, BatchNorm, Flatten, Layer, Population, Previous, Reshape
from ..layers.joins import INPUT
from ..layers.layer import Shape, number, size
from ..network.configuration import plain_data
from ..network.network import Network
from . import terms
from .extension import extended
from .nodes import Graph, NirError, Node
from .store import VERSION, store
from .terms import SYNAPSES, TERMS, Times, inner

METADATA = "numsnn"             # the key of ours in the metadata of graphs and nodes
PASSING = ("Dropout", "From", "OverTime", "Repeat")     # they hand on what they get, as far as NIR goes


@checked
def write(net: Network, path: Path | str, *, unit: float = 1.0, lossy: str | None = None) -> None:
    """Write a network to a NIR file; `ns.nir.read` gives the same parameters, options and outputs, bit for
    bit.

    Other programs find the network as NIR means it: time constants in seconds, r and w_in so that NIR's
    equations give our steps, hard resets to v_reset.  What NIR cannot say (dt, integrator, kind of reset,
    comparator, surrogate, OverTime) stands in metadata that others leave alone.  A BatchNorm behind a Dense
    or convolution is folded into it, which for others is equal to rounding; groups of a convolution, and
    kernels that are not square, are filled up with zeros, because others misread them.  The same network
    gives the same bytes.

    unit: seconds in the unit of the network's dt and time constants; 1e-3 where they are milliseconds.
    lossy: "metadata" writes layers that NIR cannot express as nodes numsnn.LAYER, which only numsnn reads.

    NirError (a ValueError), which lists them, where there are such layers and lossy is None.  OSError where
    the disk is full or the folder read-only.  A file that was there stays until the new one is complete.
    """
    store(graph_of(net, unit=unit, lossy=lossy), path)


def graph_of(net: Network, *, unit: float = 1.0, lossy: str | None = None, exact: bool = True) -> Graph:
    """The graph that `write` writes; exact=False: without arrays that NIR's parameters do not give back."""
    if lossy not in (None, "metadata"):
        raise ValueError(f"lossy must be None or 'metadata'; got {lossy!r}")
    unit = number(unit, "unit", "the seconds in a unit of the network's dt, a positive number",
                  lambda u: u > 0)
    if net.input_shape is None:
        raise NirError("the size of this network's input is not known, and NIR needs it; "
                       "say Network(..., input_shape=...)")
    writer = _Writer(net if net.loops.HOST else net.to("reference"), Times(net.dt, unit))
    graph = writer.graph()
    if exact:
        writer.keep()
    if writer.refused and lossy is None:
        several = f"{len(writer.refused)} layers" if len(writer.refused) > 1 else "a layer"
        listed = "; ".join(f"{name}, {why}" for name, why in writer.refused.items())
        raise NirError(f"NIR cannot express {several} of this network: {listed}. "
                       f"lossy='metadata' writes them in a way that only numsnn reads")
    return graph


class Part(NamedTuple):
    """One of the things whose sum a layer hands out."""
    node: str
    late: bool = False      # what it handed out one step before; the node may come later


class _Writer:
    """Makes the nodes of the layers, one after the other, and the edges."""

    def __init__(self, net: Network, times: Times):
        self.net, self.times = net, times
        self.layers, self.places = net.layers, net.graph.nodes
        self.nodes: dict[str, Node] = {}
        self.edges: list[tuple[str, str]] = []
        self.shapes: dict[str, Shape] = {}              # of what nodes hand out
        self.parts: dict[str, tuple[Part, ...]] = {}    # of what layers hand out
        self.late: list[tuple[str, str, Shape]] = []    # edges to be: layer, node, what that takes
        self.refused: dict[str, str] = {}               # layer -> why NIR cannot express it
        self.waited_for = {self.maker(self._source(name)) for name, layer in self.layers.items()
                           if layer.delayed}        # layers that must be one node

    # ---- the whole

    def graph(self) -> Graph:
        """All nodes and edges."""
        shape: Any = self.net.input_shape
        self._add_node(INPUT, Node("Input", {"shape": np.array(shape)}), shape)
        self.parts[INPUT] = (Part(INPUT),)
        for last in self.layers:
            self._take(last, self.layers[last])
        answer, end = self.parts[last], self._free("output")
        shape = self._common(answer, last)
        self._add_node(end, Node("Output", {"shape": np.array(shape)}), shape)
        self._lead(answer, end, shape)
        self._lead_late()
        return Graph({**self.nodes}, self.edges, {METADATA: as_json(self._facts())}, VERSION)

    def _free(self, name):
        """A name of a node that no layer has."""
        return self._free(f"{name}_") if name in self.layers else name

    def _facts(self):
        """What is needed to make the network again, beyond the nodes."""
        layers = [name if name in self.nodes else self._config(name) for name in self.layers]
        return {"version": 1, "dt": self.net.dt, "unit": self.times.unit, "dtype": self.net.dtype.name,
                "input_shape": self.net.input_shape, "layers": layers}

    def _config(self, name):
        """The configuration of a layer; arrays of initial values are left out, since the values are there."""
        layer = self.layers[name]
        config = plain_data({"layer": type(layer).__name__, **layer.config()})
        initial = {*layer.params, *layer.fixed, "recurrent_init", "recurrent_bias_init"}
        return {key: "ones" if key in initial and _is_array(value) else value
                for key, value in config.items()}

    # ---- a layer

    def _take(self, name, layer):
        """Make what a layer is made of, and say what it hands out."""
        why = self._why_not(name, layer)
        if why:
            self.refused[name] = f"{layer.describe()}: {why}"
            self._extend(name, layer)
        elif self._is_passing(name):
            self.parts[name] = self.parts[self._source(name)]
        elif self._is_folded(name):
            self._fold(name, layer)
        elif isinstance(layer, Previous):
            self._previous(name, layer)
        elif type(layer).__name__ == "Add":
            self._sum(name, layer)
        elif isinstance(layer, (Flatten, Reshape)):
            shape = self._common(self._arriving(name), self._source(name))
            self._add(name, terms.flatten(shape), shape, (size(shape),))
        else:
            self._term(name, layer)

    def _why_not(self, name, layer):
        """Why NIR cannot express a layer, "" where it can."""
        kind = type(inner(layer)).__name__
        if isinstance(layer, BatchNorm):
            return "" if self._is_folded(name) else \
                "it can be folded only into a Dense or convolution right before it, which nothing else takes"
        if isinstance(layer, Reshape) and len(layer.shape_out) > 1 and not self._is_passing(name):
            return "NIR has no node that makes pictures of features"
        if isinstance(layer, Activation) and not self._is_passing(name):
            return "NIR has no such function"
        if isinstance(layer, Population) and kind in terms.POPULATIONS:
            output = layer.model.output
            if layer.output != output or layer.recur not in (None, output):
                return f"NIR's {kind} hands out, and feeds back, {output} only"
            if layer.by_synapse:
                return "NIR has delays of neurons, axonal=True, but not of synapses"
            if layer.delays and layer.sigma:
                return "delays that are spread over steps have no place in NIR; net.round_delays() ends that"
            return ""
        known = kind in TERMS or kind in ("Add", "Flatten", "Previous", "Reshape")
        return "" if known or self._is_passing(name) else "NIR has no such node"

    def _is_passing(self, name):
        """Whether a layer hands on what it gets, as far as NIR goes."""
        layer = self.layers[name]
        if isinstance(layer, (Flatten, Reshape)):
            return layer.shape_out == self.net.graph.shape(self._source(name))
        if isinstance(layer, Activation):
            return layer.function.name == "identity"
        return type(layer).__name__ in PASSING

    def _is_folded(self, name):
        """Whether a norm is folded into the synapses before it."""
        if not isinstance(self.layers[name], BatchNorm):
            return False
        source = self._source(name)
        alone = sum(node.sources.count(source) for node in self.places.values()) == 1
        return source != INPUT and alone and \
            (type(inner(self.layers[source])).__name__ in SYNAPSES or self._is_folded(source))

    def maker(self, name: str) -> str:
        """The layer whose node, or sum, a layer hands on."""
        while name != INPUT and (self._is_passing(name) or self._is_folded(name)):
            name = self._source(name)
        return name

    def _source(self, name):
        return self.places[name].sources[0]

    def _arriving(self, name):
        return self.parts[self._source(name)]

    # ---- kinds of layers

    def _term(self, name, layer):
        """A layer that is a node."""
        parts, before = self._arriving(name), self.net.graph.shape(self._source(name))
        kind = type(inner(layer)).__name__
        if kind == "Dense":
            shape, after = (size(before),), layer.shape_out
        elif kind in terms.POPULATIONS or kind == "Delay":     # each feature by itself, in any shape
            shape = after = self._common(parts, name)
        else:
            shape, after = before, layer.shape_out
        recurs = isinstance(layer, Population) and layer.recur
        if recurs:
            shape = after = (size(shape),)
        self._add(name, TERMS[kind].there(layer, shape, self.times), shape, after)
        if recurs:
            back = f"{name}.w_rec"
            self._add_node(back, terms.recurrent(layer), after, of=name)
            around = [name, back, name]
            if layer.delays:
                late = f"{name}.delay"
                self._add_node(late, terms.delay(layer.params["delay"], self.times), after, of=name)
                around.insert(1, late)
            self.edges += pairwise(around)

    def _sum(self, name, layer):
        """The edges of all sources; a node where a Previous needs one."""
        parts = []
        for part in (p for source in layer.sources for p in self.parts[source]):
            if any(part.node == other.node for other in parts):         # an edge counts once
                shape, again = self._common((part,), name), f"{name}.{len(parts)}"
                self._add_node(again, terms.same(shape), shape, of=name)
                self._lead((part,), again, shape)
                part = Part(again)
            parts.append(part)
        self.parts[name] = tuple(parts)
        if name in self.waited_for:
            shape = self._common(self.parts[name], name)
            self._lead(parts, name, shape)
            self._add_node(name, terms.same(shape), shape)
            self.parts[name] = (Part(name),)

    def _previous(self, name, layer):
        """What closes a cycle is a plain edge, which arrives one step later in every reader."""
        maker = self.maker(layer.sources[0])
        is_feedback = maker != INPUT and not self.layers[maker].delayed and self._feeds(name, maker)
        if is_feedback:
            self.parts[name] = (Part(maker, late=True),)
            return
        shape = layer.shape_out
        self._add_node(name, terms.delay(np.ones(shape), self.times), shape)
        self.late.append((maker, name, shape))
        self.parts[name] = (Part(name),)

    def _feeds(self, name, other):
        """Whether a layer feeds another one within the step."""
        found, waiting = set(), [other]
        while waiting:
            at = waiting.pop()
            if at in found or at == INPUT:
                continue
            found.add(at)
            if not self.layers[at].delayed:
                waiting += self.places[at].sources
        return name in found

    def _fold(self, name, layer):
        source = self.maker(name)
        self.nodes[source] = terms.folded(self.nodes[source], layer)
        self.parts[name] = self.parts[source]

    def _extend(self, name, layer):
        """A node of our own, of which only we know what it takes."""
        self._add_node(name, extended(layer), layer.shape_out)
        self.parts[name] = (Part(name),)
        for part in {part.node: part for source in self.places[name].sources
                     for part in self.parts[source]}.values():
            if part.late:
                self.late.append((part.node, name, None))
            else:
                self.edges.append((part.node, name))

    # ---- nodes and edges

    def _add(self, name, node, shape, after):
        """The node of a layer that takes one shape and hands out another."""
        self._lead(self._arriving(name), name, shape)
        self._add_node(name, node, after)
        self.parts[name] = (Part(name),)

    def _add_node(self, name, node, shape, of=None):
        if name in self.layers:
            node.metadata[METADATA] = as_json(self._config(name))
        elif of is not None:
            node.metadata[METADATA] = as_json({"of": of})
        self.nodes[name], self.shapes[name] = node, tuple(shape)

    def _common(self, parts, name):
        """The one shape of all parts, or else a row of features."""
        shapes = {self.shapes[part.node] for part in parts if not part.late}
        if len(shapes) > 1:
            return (size(shapes.pop()),)
        return shapes.pop() if shapes else self.layers[name].shape_out

    def _lead(self, parts, node, shape):
        """Lead parts to a node that takes this shape."""
        for part in parts:
            if part.late:
                self.late.append((part.node, node, shape))
            else:
                self.edges.append((self._adapted(part.node, shape, node), node))

    def _lead_late(self):
        while self.late:
            maker, node, shape = self.late.pop(0)
            for part in self.parts[maker]:
                if part.late:
                    self.late.append((part.node, node, shape))
                else:
                    self.edges.append((self._adapted(part.node, shape, node), node))

    def _adapted(self, node, shape, taker):
        """The node that hands out the same in this shape."""
        have = self.shapes[node]
        if shape in (None, have):
            return node
        if len(shape) == 1:
            adapter = f"{node}.flatten"
            made = terms.flatten(have)
        else:
            layer = taker.partition(".")[0]
            what = self.layers[layer].describe() if layer in self.layers else "the answer"
            self.refused.setdefault(layer, f"{what}: it takes pictures {shape}, and NIR has no node that "
                                           f"makes them of the {have} before it")
            adapter = f"{node}.reshape{'x'.join(map(str, shape))}"
            made = Node("numsnn.Reshape", {"shape": np.array(shape)})
        if adapter not in self.nodes:
            self._add_node(adapter, made, shape, of=node)
            self.edges.append((node, adapter))
        return adapter

    # ---- what would not come back

    def keep(self) -> None:
        """Keep the arrays that NIR's parameters do not give back bit by bit, with their nodes."""
        for name in self.layers:
            self._keep(name)

    def _keep(self, name):
        layer, maker = self.layers[name], self.maker(name)
        if maker not in self.nodes or name != maker and not self._is_folded(name):
            return
        node = self.nodes[maker]
        found = read_back(layer, name, self.nodes, self.times)
        for key, a in {**layer.params, **layer.fixed}.items():
            a = np.asarray(a)
            if not np.isfinite(a).all() or layer.impossible(key, a):
                raise NirError(f"{name}.{key} holds NaN or infinity, or what it cannot be; "
                               f"nothing is written")
            if key not in found or found[key].tobytes() != a.tobytes():
                node.metadata[f"{name}.{key}"] = a


def read_back(layer: Layer, name: str, nodes: dict[str, Any], times: Times) -> terms.Arrays:
    """The arrays of a layer as its nodes give them, by name."""
    term, node = TERMS.get(type(inner(layer)).__name__), nodes.get(name)
    if node is None:
        return {}
    if term is None or node.type.startswith("numsnn."):
        return {key: node.params[key] for key in {**layer.params, **layer.fixed} if key in node.params}
    found = term.back(layer, node.params, times)
    if isinstance(layer, Population) and layer.recur:
        found |= terms.recurrent_back(layer, nodes[f"{name}.w_rec"].params)
        if layer.delays:
            found |= terms.steps_back(layer, nodes[f"{name}.delay"].params, times)
    return found


def _is_array(value):
    """Whether the JSON of an initial value is an array."""
    return isinstance(value, list) and not (value and isinstance(value[0], str))
