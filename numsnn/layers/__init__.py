"""Layers.  `by_name` knows every class: that is how checkpoints find them."""

from .dense import Dense
from .layer import Layer
from .overtime import OverTime
from .population import POPULATIONS, Population, population

globals().update(POPULATIONS)               # a class for each neuron model: ALIF, LI, LIF ...


def by_name(name: str) -> type:
    """The layer class of a name."""
    layers = {"Dense": Dense, "OverTime": OverTime, **POPULATIONS}
    if name not in layers:
        raise ValueError(f"unknown layer {name!r}; there are {', '.join(layers)}")
    return layers[name]


__all__ = ["POPULATIONS", "Dense", "Layer", "OverTime", "Population", "by_name", "population"]
__all__ += list(POPULATIONS)
