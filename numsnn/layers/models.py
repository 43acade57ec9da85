"""A layer class for each neuron model of numsnn.neurons: ALIF, LI, LIF ...

models.pyi tells editors and type checkers what their arguments are; after a model was added or changed,
`python -m numsnn.layers.stubs` writes it anew.
"""

from ..neurons.model import NEURONS, unknown
from .arlif import ARLIF  # noqa: F401  registers itself in place of the plain class
from .factory import POPULATIONS, population
from .population import Population

__all__ = list(POPULATIONS)


def __getattr__(name: str) -> type[Population]:
    if name in NEURONS:
        return population(name)
    raise AttributeError(f"module {__name__} has no attribute {name!r}: {unknown(name)}")
