"""Layers that NIR cannot express, as nodes of our own: type "numsnn.LAYER", the arrays as they are."""

from __future__ import annotations

import numpy as np

from ..layers import Layer
from .nodes import Node

PREFIX = "numsnn."


def extended(layer: Layer) -> Node:
    """The node of a layer; who writes the graph adds its configuration."""
    found = {**layer.params, **layer.fixed}
    note = "an extension of numsnn, which NIR does not know"
    return Node(f"{PREFIX}{type(layer).__name__}", {key: np.asarray(a) for key, a in found.items()},
                {"note": note})
