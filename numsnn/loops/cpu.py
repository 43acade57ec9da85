"""The CPU device: compiled loops (see contract.py for what each function does)."""

from .blas import one_thread
from .cpu_dense import dense_backward, dense_forward, softmax_cross_entropy
from .cpu_population import population_backward, population_forward

CHUNKED = True      # a batch goes through the layers in chunks of samples, in threads

__all__ = ["CHUNKED", "dense_backward", "dense_forward", "one_thread", "population_backward", "population_forward", "softmax_cross_entropy"]
