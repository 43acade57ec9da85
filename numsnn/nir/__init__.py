"""NIR, the files in which libraries and chips exchange spiking networks: read and written."""

from .hdf5 import load as graph
from .nodes import Graph, NirError, Node
from .reading import read
from .writing import write

__all__ = ["Graph", "NirError", "Node", "graph", "read", "write"]
