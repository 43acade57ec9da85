"""numsnn: spiking neural networks with hand-written backpropagation through time, on NumPy and Numba only."""

from . import audio, datasets, encode, loss, metrics, neurons, optim, plot, surrogate
from . import energy as energy
from . import init as init
from . import layers as layers
from . import regularise as regularise
from .datasets import Dataset, FormatError
from .events import Events
from .gradcheck import GradientError, check_gradients
from .io import CheckpointError, load, save
from .layers import Layer, Population, population
from .loops.threads import get_num_threads, set_num_threads
from .network import Network
from .spikes import Spikes
from .train import (
           Evaluation,
           History,
           TrainingDiverged,
           evaluate,
           fit,
           predict,
           warm_up,
)

__version__ = "0.1.0"

globals().update(layers.LAYERS | layers.BLOCKS)     # Dense, Conv2d, Residual ..., and one for each neuron model: ALIF, LI, LIF ...

__all__ = ["CheckpointError", "Dataset", "Evaluation", "Events", "FormatError", "GradientError", "History", "Layer", "Network", "Population",
           "Spikes", "TrainingDiverged", "audio", "check_gradients", "datasets", "encode", "energy", "evaluate", "fit", "get_num_threads", "init", "layers", "load", "loss",
           "metrics", "neurons", "optim", "plot", "population", "predict", "regularise", "save", "set_num_threads", "surrogate", "warm_up"]
__all__ += list(layers.LAYERS)
__all__ += list(layers.BLOCKS)
