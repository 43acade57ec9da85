"""The CUDA device: kernels of numba.cuda (see contract.py for what each function does).  Arrays are cuda_array.Array and stay on the GPU."""

from contextlib import nullcontext as one_thread

from .cuda_array import holds, put, zeros
from .cuda_conv import (
    conv_backward,
    conv_forward,
    max_pool_backward,
    max_pool_forward,
    sum_pool_backward,
    sum_pool_forward,
)
from .cuda_dense import (
    dense_backward,
    dense_forward,
    finite,
    softmax,
    softmax_cross_entropy,
    square_sums,
    update,
)
from .cuda_over_time import over_time_backward, over_time_forward
from .cuda_population import population_backward, population_forward, refusal

HOST = False        # arrays are Arrays; layers may do with them what the functions here do, and no more
CHUNKED = False     # a batch goes through the layers as a whole
STEPS = False


__all__ = ["CHUNKED", "HOST", "STEPS", "conv_backward", "conv_forward", "dense_backward", "dense_forward", "finite", "holds", "max_pool_backward", "max_pool_forward", "one_thread", "over_time_backward", "over_time_forward",
           "population_backward", "population_forward", "put", "refusal", "softmax", "softmax_cross_entropy", "square_sums", "sum_pool_backward",
           "sum_pool_forward", "update", "zeros"]
