"""From a network to a `Program`: each layer says here which plain operations a step of it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np

from ..layers.joins import INPUT
from ..layers.layer import Layer, size
from ..network.graph import Node
from ..network.network import Network
from .expression import Trace, Value
from .program import (
    Array,
    Copy,
    Loop,
    Map,
    MeanOf,
    Operation,
    Program,
    Read,
    Write,
)


class ExportError(ValueError):
    """A network, or a part of it, that has no form outside of Python, and why."""


def lower(net: Network) -> Program:
    """The program of a step; ExportError, naming the layer, where there is none."""
    if net.dtype != np.float32:
        raise ExportError(f"a network of {net.dtype} is not exported; net.clone(dtype='float32') is")
    net.require_causal("be exported, because it runs step by step")
    if net.input_shape is None:
        raise ExportError("nothing says how many inputs the network has; say Network(..., input_shape=N)")
    return Lowering(net).program()


LOWERED: dict[type[Layer], Callable] = {}       # layer class -> method of Lowering's that lowers it


def lowers(*classes: type[Layer]) -> Callable:
    """Marks the function (lowering, name, layer, sources) -> Array for layers of these classes."""
    def mark(function: Callable) -> Callable:
        LOWERED.update(dict.fromkeys(classes, function))
        return function
    return mark


RESERVED = {"output", "ignored", "events", "count", "indices", "index"}       # names that the C has already


class Lowering:
    """What is known of a program while it is made."""

    def __init__(self, net: Network):
        self.net = net
        self.arrays: list[Array] = []
        self.operations: list[Operation] = []
        self.delayed: list[Node] = []           # take, at the end of the step, what their source handed out
        self.layer_of: dict[Operation, str] = {}
        self.layer = ""
        self.mean_of: MeanOf | None = None
        first = next(iter(net.layers.values()))
        n_in = size(net.input_shape)
        assert n_in is not None                 # `lower` has looked
        kind = "token" if first.reads_tokens else "input"
        self.input = self.array("input", 1 if first.reads_tokens else n_in, kind)
        self.done: dict[str, Array] = {INPUT: self.input}

    def program(self) -> Program:
        nodes = [self.net.graph.nodes[name] for c in self.net.graph.components for name in c.names]
        for node in nodes:
            if node.layer.delayed:              # what it hands out is known before its source runs
                n = size(node.layer.shape_out)
                self.done[node.name] = self.state(f"{c_name(node.name)}_last", np.zeros(n))
        loop: Loop | None = None
        for node in nodes:
            loop = self._in_loop(node, loop)
            self._lower(node)
        self._close(loop)
        answer = self.net.graph.answer
        assert answer is not None
        return Program(self.input, self.done[answer], self.operations, self.layer_of, self.arrays,
                       self.mean_of)

    def _in_loop(self, node, loop):
        """The loop that the operations of a layer belong to, None outside."""
        times = node.times
        if times.denominator != 1:
            raise ExportError(f"layer {node.name} makes one step of {times.denominator} of the network's "
                              f"input, which a program that takes one step at a time cannot; "
                              f"leave the PoolTime out")
        current = 1 if loop is None else loop.times
        if times == current:
            return loop
        self._close(loop)
        if times == 1:
            return None
        opened = Loop(int(times))
        self.outside, self.operations = self.operations, opened.inside
        return opened

    def _close(self, loop):
        """The end of a step, or of a turn of a loop."""
        for node in self.delayed:
            self.layer = node.name
            last, source = self.done[node.name], self.done[node.sources[0]]
            last.like, last.binary = source, source.binary
            self.do(Copy(last, source))
        self.delayed = []
        if loop is not None:
            self.operations = self.outside
            self.operations.append(loop)

    def _lower(self, node: Node) -> None:
        self.layer = node.name
        if node.layer.delayed:
            self.delayed.append(node)
            return
        sources = [self.done[name] for name in node.sources]
        self.done[node.name] = self.lowered(c_name(node.name), node.layer, sources)

    def lowered(self, name: str, layer: Layer, sources: list[Array]) -> Array:
        """What a layer hands out."""
        for cls in type(layer).__mro__:
            if cls in LOWERED:
                return LOWERED[cls](self, name, layer, sources)
        raise ExportError(f"layer {self.layer}: {type(layer).__name__} cannot be exported")

    # ---- what layers are made of

    def array(self, name: str, n: int, kind: str = "work", values: Any = None, binary: bool = False) -> Array:
        taken = {array.name for array in self.arrays} | RESERVED
        numbered = (f"{name}_{i}" for i in count(2))
        array = Array(name if name not in taken else next(n for n in numbered if n not in taken),
                      n, kind, values, binary)
        self.arrays.append(array)
        return array

    def state(self, name: str, values: Any, binary: bool = False) -> Array:
        values = np.asarray(values, np.float32)
        return self.array(name, values.size, "state", values, binary)

    def constant(self, name: str, values: Any) -> Array:
        values = np.asarray(values, np.float32)
        return self.array(name, values.size, "constant", values)

    def place(self, name: str, values: np.ndarray) -> Array:
        return self.array(name, values.size, "place", values)

    def do(self, operation: Operation) -> None:
        self.operations.append(operation)
        self.layer_of[operation] = self.layer

    def map(self, n: int, trace: Trace, *writes: tuple[Array, Value]) -> None:
        self.do(Map(n, trace, [Write(array, trace.as_value(value)) for array, value in writes]))

    def each(self, name: str, x: Array, function: Callable[[Trace, Value], Value]) -> Array:
        """y[i] = function(x[i])."""
        trace = Trace()
        y = self.array(name, x.n)
        self.map(x.n, trace, (y, function(trace, trace.input(Read(x)))))
        return y

    def number(self, trace: Trace, name: str, values: np.ndarray, places: int = 1) -> Value:
        """A coefficient: a constant where it is the same for all, else an element of a constant array."""
        values = np.asarray(values, np.float32)
        if values.size and (values == values.flat[0]).all():
            return trace.constant(np.float32(values.flat[0]))
        return trace.input(Read(self.constant(name, values), places=places))


def c_name(name):
    letters = re.sub(r"\W", "_", name, flags=re.ASCII)
    return letters if letters[:1].isalpha() else f"layer_{letters}"
