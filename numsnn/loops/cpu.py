"""The CPU device: compiled loops (see contract.py for what each function does)."""

from .blas import one_thread
from .cpu_conv import conv_backward, conv_forward
from .cpu_dense import (
    dense_backward,
    dense_forward,
    softmax,
    softmax_cross_entropy,
    sum_over_time,
)
from .cpu_pool import max_pool_backward, max_pool_forward
from .cpu_population import one_stage_backward, one_stage_forward
from .cpu_step import StepTable, dense_step, over_time_step, population_step
from .cpu_two_stage import two_stage_backward, two_stage_forward
from .cpu_update import update

CHUNKED = True      # a batch goes through the layers in chunks of samples, in threads
STEPS = True        # it has compiled steps of whole networks


def population_forward(dynamics, x, start, recurrent, want):
    return (two_stage_forward if dynamics.in_two_stages else one_stage_forward)(dynamics, x, start, recurrent, want)


def population_backward(dynamics, tape, recurrent, gradients, learn):
    return (two_stage_backward if dynamics.in_two_stages else one_stage_backward)(dynamics, tape, recurrent, gradients, learn)


__all__ = ["CHUNKED", "STEPS", "StepTable", "conv_backward", "conv_forward", "dense_backward", "dense_forward", "dense_step", "max_pool_backward",
           "max_pool_forward", "one_thread", "over_time_step", "population_backward", "population_forward", "population_step", "softmax",
           "softmax_cross_entropy", "sum_over_time", "update"]
