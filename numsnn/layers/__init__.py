"""Layers: what a network is made of.  `by_name` knows every class: that is how checkpoints find them."""

from ..checked import checked
from . import models
from .cells import ConvARLIF2D, ConvLSTM2D
from .conv import Conv1d, Conv2d
from .delay import Delay
from .delays import Delays
from .dense import DelayedDense, Dense
from .distributed import TimeDistributed
from .embedding import Embedding
from .factory import POPULATIONS, population
from .joins import Add, Bidirectional, Block, Concatenate, From, Previous, Residual
from .layer import Layer
from .membrane_norm import MembraneNorm
from .memoryless import Scale, Threshold
from .models import *  # one for each neuron model: ALIF, LI, LIF ...
from .norm import BatchNorm, LayerNorm
from .overtime import OverTime
from .pointwise import Activation, Dropout
from .pool import AvgPool1d, AvgPool2d, MaxPool1d, MaxPool2d, SumPool1d, SumPool2d
from .population import Population
from .reshape import Flatten, Reshape
from .steps import PoolTime, Repeat, Reverse
from .ternary import Ternary

LAYERS: dict[str, type[Layer]] = {
    **{layer.__name__: layer for layer in (
        Activation, Add, AvgPool1d, AvgPool2d, BatchNorm, Concatenate, Conv1d, Conv2d, Delay, DelayedDense,
        Dense, Dropout, Embedding, Flatten, From, LayerNorm, MaxPool1d, MaxPool2d, MembraneNorm, OverTime,
        PoolTime, Previous, Repeat, Reshape, Reverse, Scale, SumPool1d, SumPool2d, Ternary, Threshold,
        TimeDistributed)},
    **POPULATIONS}
# what a network puts into its list layer by layer
BLOCKS: dict[str, type[Block]] = {
    block.__name__: block for block in (Bidirectional, ConvARLIF2D, ConvLSTM2D, Residual)}


@checked
def by_name(name: str) -> type[Layer]:
    """The layer class of a name; populations of models that were registered later included."""
    layers = {**LAYERS, **POPULATIONS}
    if name not in layers:
        raise ValueError(f"unknown layer {name!r}; there are {', '.join(layers)}. "
                         f"A neuron model of one's own is registered before a file with it is read")
    return layers[name]


__all__ = [
    "BLOCKS", "LAYERS", "POPULATIONS", "Activation", "Add", "AvgPool1d", "AvgPool2d", "BatchNorm",
    "Bidirectional", "Block", "Concatenate", "Conv1d", "Conv2d", "ConvARLIF2D", "ConvLSTM2D", "Delay",
    "DelayedDense", "Delays", "Dense", "Dropout", "Embedding", "Flatten", "From", "Layer", "LayerNorm",
    "MaxPool1d", "MaxPool2d", "MembraneNorm", "OverTime", "PoolTime", "Population", "Previous", "Repeat",
    "Reshape", "Residual", "Reverse", "Scale", "SumPool1d", "SumPool2d", "Ternary", "Threshold",
    "TimeDistributed", "by_name", "population",
]
__all__ += models.__all__
