"""From a list of layers to a network: names, connections, first parameters, arrays on the device."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..layers import Block, Layer, Population, Previous
from ..layers.joins import INPUT
from ..layers.layer import positive_integer, size
from .graph import Graph


class Assembly:
    """Takes the layers of a network one by one; `layers` by name and their `graph` are what it makes.

    seed: of the parameters, which each layer draws from a stream of its own number.
    """

    def __init__(self, given: tuple, input_shape, *, seed: int, dtype: np.dtype, dt: float):
        self.seed, self.dtype, self.dt = seed, dtype, dt
        self.layers: dict[str, Layer] = {}
        self.graph = Graph(_shape(input_shape))
        for layer in given:
            self._take(layer)
        if self.graph.input_shape is None:
            self.graph.input_shape = self._told()
        for name, layer in self.layers.items():
            self._connect(name, layer)
        self.graph.close()

    def _take(self, layer: Layer | Block) -> str:
        """Take a layer into the list; its name.  A block puts in its own layers."""
        if isinstance(layer, Block):
            before = next(reversed(self.layers), INPUT)
            layer.layers_after(before, self._take, self._free)
            return next(reversed(self.layers))
        if hasattr(layer, "size_out"):
            what = layer.name or repr(layer)
            raise ValueError(f"layer {what} is part of a network already; make a new one for each place")
        if layer.name is None:
            layer.name = self._free(layer.kind)
        if layer.name in self.layers:
            raise ValueError(f"two layers are named {layer.name!r}; names must differ")
        if layer.name == INPUT:
            raise ValueError(f"a layer cannot be named {INPUT!r}, which stands for what the network is given")
        self.layers[layer.name] = layer
        return layer.name

    def _free(self, kind: str) -> str:
        """A name of this kind that no layer has."""
        candidates = (f"{kind}{i}" for i in range(len(self.layers) + 1))
        return next(name for name in candidates if name not in self.layers)

    def _told(self) -> tuple | None:
        """The shape of the input as the first layer that knows it says."""
        for layer in self.layers.values():
            if hasattr(layer, "n_in"):
                return (layer.n_in,)
            if not layer.keeps_shape:
                return None
        return None

    def _connect(self, name: str, layer: Layer) -> None:
        """Connect a layer to its sources, and draw its parameters."""
        graph, number = self.graph, len(self.graph.nodes)
        graph.add(layer)
        if isinstance(layer, Previous) and layer.like is not None:
            layer.shape = self._like(layer, *layer.like)
        arriving = [self._shape_of(source) for source in graph.nodes[name].sources]
        layer.shape_out = layer.connect(*arriving)
        if number == 0 and graph.input_shape is None:
            graph.input_shape = layer.shape_out
        layer.size_out = size(layer.shape_out)
        layer.build(np.random.default_rng([self.seed, number]), self.dtype, self.dt)

    def _like(self, layer: Previous, name: str, channels: int) -> tuple:
        """The shape of a `Previous` that is told which picture it resembles, but for the channels."""
        picture = self.graph.shape(name)
        if picture is None:
            layer.refuse(f"the shape of {name} is not known here")
        return (channels, *picture[1:])

    def _shape_of(self, source: str) -> tuple | None:
        """The shape of what a source hands out; a later layer may have declared its own."""
        if source in self.layers and source not in self.graph.nodes:
            declared = self.layers[source].declared_shape()
            if declared:
                return declared
        return self.graph.shape(source)


def put_on_device(layers: dict[str, Layer], loops: Any, device: str, dtype: np.dtype) -> None:
    """Put the parameters where the device works; refuse layers that it does not know."""
    if loops.HOST:
        return
    for name, layer in layers.items():
        inside = _all_inside(layer)
        populations = [own for own in inside if isinstance(own, Population)]
        why = "".join(loops.refusal(own.dynamics(), own.n, dtype) for own in populations)
        unknown = layer.needs is None or not all(hasattr(loops, function) for function in layer.needs)
        if why or unknown:
            reason = f": {why}" if why else ""
            raise ValueError(f"device={device!r} cannot run layer {name}, {layer.describe()}{reason}; "
                             f'use device="cpu"')
        there = {key: a if key in layer.settings_of_host else loops.put(a)
                 for key, a in layer.params.items()}
        for own in inside:
            own.params |= {key: there[key] for key in own.params}


def _all_inside(layer):
    """The layer, those that it is made of, theirs: parameters of one name are the same ones."""
    return [layer, *(own for inner in layer.inside() for own in _all_inside(inner))]


def _shape(given) -> tuple | None:
    """input_shape= as a tuple."""
    if given is None:
        return None
    return tuple(positive_integer(n, "input_shape") for n in np.atleast_1d(given))
