"""Layers.  `by_name` knows every class: that is how checkpoints find them."""

from .arlif import ARLIF
from .cells import ConvARLIF2D, ConvLSTM2D
from .conv import Conv1d, Conv2d
from .dense import Dense
from .distributed import TimeDistributed
from .embedding import Embedding
from .joins import Add, Bidirectional, Block, Concatenate, From, Previous, Residual
from .layer import Layer
from .membrane_norm import MembraneNorm
from .norm import BatchNorm, LayerNorm
from .overtime import OverTime
from .pointwise import Activation, Dropout
from .pool import AvgPool1d, AvgPool2d, MaxPool1d, MaxPool2d, SumPool1d, SumPool2d
from .population import POPULATIONS, Population, population
from .reshape import Flatten, Reshape
from .steps import PoolTime, Repeat, Reverse
from .ternary import Ternary

# a class for each neuron model among them: ALIF, LI, LIF ...
LAYERS = {layer.__name__: layer for layer in (
    ARLIF, Activation, Add, AvgPool1d, AvgPool2d, BatchNorm, Concatenate, Conv1d, Conv2d, Dense, Dropout, Embedding, Flatten, From, LayerNorm,
    MaxPool1d, MaxPool2d, MembraneNorm, OverTime, PoolTime, Previous, Repeat, Reshape, Reverse, SumPool1d, SumPool2d, Ternary, TimeDistributed)}
LAYERS |= POPULATIONS
globals().update(LAYERS)
# what a network puts into its list layer by layer
BLOCKS = {block.__name__: block for block in (Bidirectional, ConvARLIF2D, ConvLSTM2D, Residual)}


def by_name(name: str) -> type:
    """The layer class of a name; populations of models that were registered later included."""
    layers = {**LAYERS, **POPULATIONS}
    if name not in layers:
        raise ValueError(f"unknown layer {name!r}; there are {', '.join(layers)}")
    return layers[name]


__all__ = ["BLOCKS", "LAYERS", "POPULATIONS", "Block", "Layer", "Population", "by_name", "population"]
__all__ += list(LAYERS)
__all__ += list(BLOCKS)
