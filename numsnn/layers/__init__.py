"""Layers.  `by_name` knows every class: that is how checkpoints find them."""

from .arlif import ARLIF
from .conv import Conv2d
from .dense import Dense
from .distributed import TimeDistributed
from .embedding import Embedding
from .joins import Add, Bidirectional, Block, Concatenate, From, Previous, Residual
from .layer import Layer
from .membrane_norm import MembraneNorm
from .norm import BatchNorm, LayerNorm
from .overtime import OverTime
from .pointwise import Activation, Dropout
from .pool import AvgPool2d, MaxPool2d, SumPool2d
from .population import POPULATIONS, Population, population
from .reshape import Flatten, Reshape
from .steps import PoolTime, Repeat, Reverse

# a class for each neuron model among them: ALIF, LI, LIF ...
LAYERS = {layer.__name__: layer for layer in (
    ARLIF, Activation, Add, AvgPool2d, BatchNorm, Concatenate, Conv2d, Dense, Dropout, Embedding, Flatten, From, LayerNorm, MaxPool2d, MembraneNorm,
    OverTime, PoolTime, Previous, Repeat, Reshape, Reverse, SumPool2d, TimeDistributed)}
LAYERS |= POPULATIONS
globals().update(LAYERS)


def by_name(name: str) -> type:
    """The layer class of a name; populations of models that were registered later included."""
    layers = {**LAYERS, **POPULATIONS}
    if name not in layers:
        raise ValueError(f"unknown layer {name!r}; there are {', '.join(layers)}")
    return layers[name]


__all__ = ["LAYERS", "POPULATIONS", "Bidirectional", "Block", "Layer", "Population", "Residual", "by_name", "population"]
__all__ += list(LAYERS)
