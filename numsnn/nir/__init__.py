"""NIR, the files in which libraries and chips exchange spiking networks: read and written."""

from .nodes import Graph, NirError, Node

__all__ = ["Graph", "NirError", "Node"]
