"""The CPU device: compiled loops (see contract.py for what each function does)."""

from collections.abc import Collection
from functools import partial
from typing import Any

from ..contract import Dynamics, Gradients, PopulationGradients, Recurrent, Run, Start, Tape, Want
from ..norm import (
    batch_norm_backward,
    batch_norm_forward,
    layer_norm_backward,
    layer_norm_forward,
)
from ..reference.device import (
    arrived,
    beside,
    busy,
    euclidean,
    finish,
    finite,
    held,
    holds,
    joined,
    later,
    name,
    norm_and_squares,
    over_time_backward,
    parted,
    put,
    refusal,
    send,
    square_sums,
    sum_pool_backward,
    sum_pool_forward,
    zeros,
)
from ..reference.over_time import over_time_forward as _over_time_forward
from ..reference.pointwise import (
    activation_backward,
    activation_forward,
    random_factors,
    ternary_backward,
    ternary_forward,
    times,
)
from ..reference.rate_band import rate_band
from ..reference.steps import reordered, sum_steps
from .blas import one_thread
from .conv import conv_backward, conv_forward
from .delay import delay_backward, delay_forward, delay_spikes, delay_step
from .dense import (
    dense_backward,
    dense_forward,
    softmax,
    softmax_cross_entropy,
    sum_over_time,
)
from .eligibility import eligibility_forward, eligibility_step
from .lagged import lagged_backward, lagged_forward, lagged_step
from .pool import max_pool_backward, max_pool_forward
from .population import one_stage_backward, one_stage_forward
from .population_step import population_step
from .step import StepTable, dense_step, over_time_step
from .two_stage import two_stage_backward, two_stage_forward
from .update import update

HOST = True         # arrays are NumPy's
CHUNKED = True      # a batch goes through the layers in chunks of samples, in threads
STEPS = True        # it has compiled steps of whole networks


over_time_forward = partial(_over_time_forward, softmax=softmax, sum_over_time=sum_over_time)


def population_forward(
        dynamics: Dynamics, x: Any, start: Start, recurrent: Recurrent | None, want: Want) -> Run:
    forward = two_stage_forward if dynamics.in_two_stages else one_stage_forward
    return forward(dynamics, x, start, recurrent, want)


def population_backward(
        dynamics: Dynamics, tape: Tape, recurrent: Recurrent | None, gradients: Gradients,
        learn: Collection[str]) -> PopulationGradients:
    backward = two_stage_backward if dynamics.in_two_stages else one_stage_backward
    return backward(dynamics, tape, recurrent, gradients, learn)


__all__ = ["CHUNKED", "HOST", "STEPS", "StepTable", "activation_backward", "activation_forward",
           "arrived", "batch_norm_backward", "batch_norm_forward", "beside", "busy", "conv_backward",
           "conv_forward", "delay_backward", "delay_forward", "delay_spikes", "delay_step",
           "dense_backward", "dense_forward", "dense_step", "eligibility_forward", "eligibility_step",
           "euclidean", "finish", "finite", "held", "holds", "joined", "lagged_backward",
           "lagged_forward", "lagged_step", "later", "layer_norm_backward", "layer_norm_forward",
           "max_pool_backward", "max_pool_forward", "name", "norm_and_squares", "one_thread",
           "over_time_backward", "over_time_forward", "over_time_step", "parted", "population_backward",
           "population_forward", "population_step", "put", "random_factors", "rate_band", "refusal",
           "reordered", "send", "softmax", "softmax_cross_entropy", "square_sums", "sum_pool_backward",
           "sum_pool_forward", "sum_steps", "ternary_backward", "ternary_forward", "times", "update",
           "zeros"]
