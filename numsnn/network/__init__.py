"""Networks: layers in a graph, forward and backward, steps, memory."""

from .network import BatchResult, Network, Tape

__all__ = ["BatchResult", "Network", "Tape"]
