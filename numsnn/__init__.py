"""numsnn: spiking neural networks with hand-written backpropagation through time, on NumPy and Numba only."""

from typing import TYPE_CHECKING

from . import datasets, energy, layers, loss, models, moved, neurons, nir, optim, ranks, rules
from .datasets import Dataset, FormatError
from .devices.threads import get_num_threads, set_num_threads
from .export import ExportError, IntegerNetwork, export_c, quantise
from .files import CheckpointError, load, save
from .layers import (
    Activation,
    Add,
    AvgPool1d,
    AvgPool2d,
    BatchNorm,
    Bidirectional,
    Concatenate,
    Conv1d,
    Conv2d,
    ConvARLIF2D,
    ConvLSTM2D,
    Delay,
    DelayedDense,
    Delays,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    From,
    Layer,
    LayerNorm,
    MaxPool1d,
    MaxPool2d,
    MembraneNorm,
    OverTime,
    PoolTime,
    Population,
    Previous,
    Repeat,
    Reshape,
    Residual,
    Reverse,
    Scale,
    SumPool1d,
    SumPool2d,
    Ternary,
    Threshold,
    TimeDistributed,
    population,
)
from .layers.models import *  # one for each neuron model: ALIF, LI, LIF ...
from .network import Network
from .neurons import surrogate
from .reports import plot, report
from .signals import Events, Spikes, audio, encode
from .training import (
    AnnealDelays,
    Diagnosis,
    Evaluation,
    GradientError,
    History,
    TrainingDiverged,
    TrainingWarning,
    check_gradients,
    check_loss,
    diagnose,
    evaluate,
    fit,
    init,
    metrics,
    predict,
    regularise,
    warm_up,
)

__version__ = "0.1.0"

__all__ = [
    "Activation", "Add", "AnnealDelays", "AvgPool1d", "AvgPool2d", "BatchNorm", "Bidirectional",
    "CheckpointError", "Concatenate", "Conv1d", "Conv2d", "ConvARLIF2D", "ConvLSTM2D", "Dataset", "Delay",
    "DelayedDense", "Delays", "Dense", "Diagnosis", "Dropout", "Embedding", "Evaluation", "Events",
    "ExportError", "Flatten", "FormatError", "From", "GradientError", "History", "IntegerNetwork", "Layer",
    "LayerNorm", "MaxPool1d", "MaxPool2d", "MembraneNorm", "Network", "OverTime", "PoolTime", "Population",
    "Previous", "Repeat", "Reshape", "Residual", "Reverse", "Scale", "Spikes", "SumPool1d", "SumPool2d",
    "Ternary", "Threshold", "TimeDistributed", "TrainingDiverged", "TrainingWarning", "audio",
    "check_gradients", "check_loss", "datasets", "diagnose", "encode", "energy", "evaluate", "export_c",
    "fit", "get_num_threads", "init", "layers", "load", "loss", "metrics", "models", "neurons", "nir",
    "optim", "plot", "population", "predict", "quantise", "ranks", "regularise", "report", "rules", "save",
    "set_num_threads", "surrogate", "warm_up",
]
__all__ += layers.models.__all__

moved.install()
if not TYPE_CHECKING:
    def __getattr__(name):              # ns.events, ns.memory ... of version 0.1
        return moved.attribute(__name__, name)
