"""numsnn: spiking neural networks with hand-written backpropagation through time, on NumPy and Numba only."""

from . import layers as _layers
from . import loss, neurons, optim, surrogate
from .gradcheck import GradientError, check_gradients
from .layers import Dense, Layer, OverTime, Population, population
from .loops.threads import get_num_threads, set_num_threads
from .network import Network
from .spikes import Spikes

__version__ = "0.1.0"

globals().update(_layers.POPULATIONS)       # a class for each neuron model: ALIF, LI, LIF ...

__all__ = ["Dense", "GradientError", "Layer", "Network", "OverTime", "Population", "Spikes", "check_gradients", "get_num_threads",
           "loss", "neurons", "optim", "population", "set_num_threads", "surrogate", *_layers.POPULATIONS]
