"""Layers.  `LAYERS` has every class by name: that is how checkpoints find them."""

from .dense import Dense
from .layer import Layer
from .overtime import OverTime
from .population import POPULATIONS, Population, population

_PLAIN = {cls.__name__: cls for cls in (Dense, OverTime)}


def by_name(name: str) -> type:
    """The layer class of a name."""
    layers = {**_PLAIN, **POPULATIONS}
    if name not in layers:
        raise ValueError(f"unknown layer {name!r}; there are {', '.join(layers)}")
    return layers[name]


__all__ = ["Dense", "Layer", "OverTime", "POPULATIONS", "Population", "by_name", "population"]
