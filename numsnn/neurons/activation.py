"""Activations: what a neuron with an analog output hands out, f(x) and its slope, in the dialect.

    identity  x                 relu     max(x, 0)            slope at 0: 0
    sigmoid   1 / (1 + e^-x)    selu     1.0507 x for x > 0, 1.0507 * 1.6733 (e^x - 1) else
    tanh      tanh(x)

The constants of selu are rounded to float32 in both precisions.  Source of selu: Klambauer et al. 2017.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .elementwise import (
    ONE,
    ZERO,
    elementwise,
    exp,
    expm1,
    greater,
    maximum,
    minimum,
    sigmoid as _sigmoid,
    tanh as _tanh,
)

SCALE, SCALED_ALPHA = np.float32(1.0507009873554805), np.float32(1.0507009873554805 * 1.6732632423543772)


class Activation(NamedTuple):
    name: str
    value: Callable
    slope: Callable


@elementwise
def identity(x):
    return x


@elementwise
def identity_slope(x):
    return ONE


@elementwise
def relu(x):
    return maximum(x, ZERO)


@elementwise
def relu_slope(x):
    return greater(x, ZERO)


@elementwise
def selu(x):
    return SCALE * maximum(x, ZERO) + SCALED_ALPHA * expm1(minimum(x, ZERO))


@elementwise
def selu_slope(x):
    on = greater(x, ZERO)
    return SCALE * on + SCALED_ALPHA * (ONE - on) * exp(minimum(x, ZERO))


@elementwise
def sigmoid(x):
    return _sigmoid(x)


@elementwise
def sigmoid_slope(x):
    y = _sigmoid(x)
    return y * (ONE - y)


@elementwise
def tanh(x):
    return _tanh(x)


@elementwise
def tanh_slope(x):
    y = _tanh(x)
    return ONE - y * y


ACTIVATIONS = {a.name: a for a in (
    Activation("identity", identity, identity_slope),
    Activation("relu", relu, relu_slope),
    Activation("selu", selu, selu_slope),
    Activation("sigmoid", sigmoid, sigmoid_slope),
    Activation("tanh", tanh, tanh_slope))}


def get(name: str) -> Activation:
    """The activation of a name."""
    if name not in ACTIVATIONS:
        raise ValueError(f"unknown activation {name!r}; there are {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]
