"""The CUDA device: kernels of numba.cuda (see contract.py for what each function does).

Arrays are Arrays (array.py) and stay on the GPU.
"""

from contextlib import nullcontext as one_thread

from .array import busy, finish, held, name, zeros
from .coming import later
from .conv import conv_backward, conv_forward
from .delay import delay_backward, delay_forward
from .dense import (
    arrived,
    dense_backward,
    dense_forward,
    euclidean,
    finite,
    norm_and_squares,
    softmax,
    softmax_cross_entropy,
    square_sums,
    update,
)
from .driver import SIMULATED, gpu, take_gpu
from .gated import beside, parted
from .lagged import lagged_backward, lagged_forward
from .layer_norm import layer_norm_backward, layer_norm_forward
from .norm import batch_norm_backward, batch_norm_forward
from .over_time import over_time_backward, over_time_forward
from .pointwise import (
    activation_backward,
    activation_forward,
    random_factors,
    ternary_backward,
    ternary_forward,
    times,
)
from .pool import (
    max_pool_backward,
    max_pool_forward,
    sum_pool_backward,
    sum_pool_forward,
)
from .population import population_backward, population_forward, refusal
from .rate_band import rate_band
from .spikes import holds, in_time as joined, placed as put, send
from .steps import reordered, sum_steps

HOST = False        # arrays are Arrays; layers may do with them what the functions here do, and no more
CHUNKED = False     # a batch goes through the layers as a whole
STEPS = False
ASIDE = not SIMULATED   # a thread of its own may send batches; the simulator runs one kernel at a time


__all__ = [
    "ASIDE", "CHUNKED", "HOST", "STEPS", "activation_backward", "activation_forward", "arrived",
    "batch_norm_backward", "batch_norm_forward", "beside", "busy", "conv_backward", "conv_forward",
    "delay_backward", "delay_forward", "dense_backward", "dense_forward", "euclidean", "finish", "finite",
    "gpu", "held", "holds", "joined", "lagged_backward", "lagged_forward", "later", "layer_norm_backward",
    "layer_norm_forward", "max_pool_backward", "max_pool_forward", "name", "norm_and_squares",
    "one_thread", "over_time_backward", "over_time_forward", "parted", "population_backward",
    "population_forward", "put", "random_factors", "rate_band", "refusal", "reordered", "send", "softmax",
    "softmax_cross_entropy", "square_sums", "sum_pool_backward", "sum_pool_forward", "sum_steps",
    "take_gpu", "ternary_backward", "ternary_forward", "times", "update", "zeros",
]
