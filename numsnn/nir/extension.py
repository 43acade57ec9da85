"""Layers that NIR cannot express, as nodes of our own: type "numsnn.LAYER", the arrays as they are.

For reading.py:  `if is_extension(node): layer = extension(node)`, and once the network is made,
`net.restore(arrays(node, layer.name))`.  (Files that nobody has changed since `write` are read by own.py,
which needs none of this.)
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ..layers import Layer, by_name
from .nodes import NirError, Node

PREFIX = "numsnn."
KEY = "numsnn"                  # of our metadata, which holds the layer's configuration


def extended(layer: Layer) -> Node:
    """The node of a layer; who writes the graph adds its configuration."""
    found = {**layer.params, **layer.fixed}
    note = "an extension of numsnn, which NIR does not know"
    return Node(f"{PREFIX}{type(layer).__name__}", {key: np.asarray(a) for key, a in found.items()},
                {"note": note})


def is_extension(node: Any) -> bool:
    """Whether a node is one of ours, with the configuration that makes its layer again."""
    return isinstance(node, Node) and node.type.startswith(PREFIX) and KEY in node.metadata


def extension(node: Node) -> Layer:
    """The layer of a node of our own; NirError where its configuration makes none."""
    try:
        config = json.loads(node.metadata[KEY])
        return by_name(config.pop("layer")).from_config(config)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise NirError(f"a node {node.type} does not say what layer it is: {error}") from error


def arrays(node: Node, name: str) -> dict[str, np.ndarray]:
    """Its arrays, as `Network.restore` takes them for the layer of this name."""
    return {f"{name}.{key}": np.asarray(a) for key, a in node.params.items()}
