"""numsnn: spiking neural networks with hand-written backpropagation through time, on NumPy and Numba only."""

from . import datasets, energy, layers, loss, moved, neurons, optim
from .datasets import Dataset, FormatError
from .devices.threads import get_num_threads, set_num_threads
from .files import CheckpointError, load, save
from .layers import Layer, Population, population
from .network import Network
from .neurons import surrogate
from .reports import plot
from .signals import Events, Spikes, audio, encode
from .training import (
    Evaluation,
    GradientError,
    History,
    TrainingDiverged,
    check_gradients,
    evaluate,
    fit,
    init,
    metrics,
    predict,
    regularise,
    warm_up,
)

__version__ = "0.1.0"

moved.install()

globals().update(layers.LAYERS | layers.BLOCKS)     # Dense, Conv2d, Residual ..., and one for each neuron model: ALIF, LI, LIF ...

__all__ = ["CheckpointError", "Dataset", "Evaluation", "Events", "FormatError", "GradientError", "History", "Layer", "Network", "Population",
           "Spikes", "TrainingDiverged", "audio", "check_gradients", "datasets", "encode", "energy", "evaluate", "fit", "get_num_threads", "init", "layers", "load", "loss",
           "metrics", "neurons", "optim", "plot", "population", "predict", "regularise", "save", "set_num_threads", "surrogate", "warm_up"]
__all__ += list(layers.LAYERS)
__all__ += list(layers.BLOCKS)
