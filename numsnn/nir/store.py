"""Writing a graph to a NIR file: the same graph gives the same bytes.

    /version            text
    /node               type = "NIRGraph"
    /node/edges         texts (n, 2): from, to
    /node/nodes/NAME    type, and a dataset for each parameter
    .../metadata/KEY    text, number or array, where there is metadata

Arrays are neither compressed nor dated: the bytes then depend on nothing but the graph.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..formats.whole import whole_hdf5
from ..packages import needed
from .nodes import GRAPH, Graph, NirError, Node

if TYPE_CHECKING:
    import h5py

VERSION = "1.0.8"               # of NIR, whose nodes and layout these are


def store(graph: Graph, path: Path | str) -> None:
    """Write a graph to `path`, whole or not at all.

    OSError where the disk is full or the folder read-only, NirError where a name cannot stand in a file.
    """
    needed("h5py", "a NIR file (HDF5)")
    _check(graph)
    with whole_hdf5(path) as file:
        _put(file, "version", graph.version or VERSION)
        _put_graph(file.create_group("node"), graph)


def _check(graph: Graph) -> None:
    for name, node in graph.nodes.items():
        if not name or name == "." or "/" in name or "\0" in name:
            raise NirError(f"a node's name is a non-empty text without '/', and not '.'; got {name!r}")
        if isinstance(node, Graph):
            _check(node)


def _put_graph(group: h5py.Group, graph: Graph) -> None:
    _put(group, "type", GRAPH)
    _put(group, "edges", np.array(graph.edges, object).reshape(-1, 2))
    nodes = group.create_group("nodes")
    for name, node in graph.nodes.items():
        place = nodes.create_group(name)
        if isinstance(node, Graph):
            _put_graph(place, node)
        else:
            _put_node(place, node)
    _put_metadata(group, graph.metadata)


def _put_node(group: h5py.Group, node: Node) -> None:
    _put(group, "type", node.type)
    for name, value in node.params.items():
        _put(group, name, value)
    _put_metadata(group, node.metadata)


def _put_metadata(group: h5py.Group, metadata: dict[str, Any]) -> None:
    """Nothing where there is none: readers take an empty group for something."""
    if not metadata:
        return
    place = group.create_group("metadata")
    for name, value in metadata.items():
        _put(place, name, value)


def _put(group: h5py.Group, name: str, value: Any) -> None:
    """A text, a number or an array; text as NIR has it, of any length in UTF-8."""
    import h5py
    is_text = isinstance(value, str) or getattr(value, "dtype", None) == object
    group.create_dataset(name, data=value, dtype=h5py.string_dtype() if is_text else None, track_times=False)
