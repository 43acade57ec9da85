"""Layers.  `by_name` knows every class: that is how checkpoints find them."""

from .conv import Conv2d
from .dense import Dense
from .layer import Layer
from .overtime import OverTime
from .pool import AvgPool2d, MaxPool2d, SumPool2d
from .population import POPULATIONS, Population, population

globals().update(POPULATIONS)               # a class for each neuron model: ALIF, LI, LIF ...


def by_name(name: str) -> type:
    """The layer class of a name."""
    layers = {layer.__name__: layer for layer in (AvgPool2d, Conv2d, Dense, MaxPool2d, OverTime, SumPool2d)} | POPULATIONS
    if name not in layers:
        raise ValueError(f"unknown layer {name!r}; there are {', '.join(layers)}")
    return layers[name]


__all__ = ["POPULATIONS", "AvgPool2d", "Conv2d", "Dense", "Layer", "MaxPool2d", "OverTime", "Population", "SumPool2d", "by_name",
           "population"]
__all__ += list(POPULATIONS)
