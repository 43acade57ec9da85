"""Layers.  `by_name` knows every class: that is how checkpoints find them."""

from .conv import Conv2d
from .dense import Dense
from .joins import Add, Block, Concatenate, From, Previous, Repeat, Residual
from .layer import Layer
from .overtime import OverTime
from .pointwise import Activation, Dropout, LayerNorm
from .pool import AvgPool2d, MaxPool2d, SumPool2d
from .population import POPULATIONS, Population, population

# a class for each neuron model among them: ALIF, LI, LIF ...
LAYERS = {layer.__name__: layer for layer in (
    Activation, Add, AvgPool2d, Concatenate, Conv2d, Dense, Dropout, From, LayerNorm, MaxPool2d, OverTime, Previous, Repeat, SumPool2d)} | POPULATIONS
globals().update(LAYERS)


def by_name(name: str) -> type:
    """The layer class of a name; populations of models that were registered later included."""
    layers = {**LAYERS, **POPULATIONS}
    if name not in layers:
        raise ValueError(f"unknown layer {name!r}; there are {', '.join(layers)}")
    return layers[name]


__all__ = ["LAYERS", "POPULATIONS", "Block", "Layer", "Population", "Residual", "by_name", "population"]
__all__ += list(LAYERS)
