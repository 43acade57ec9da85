"""Gated recurrent unit, reset gate after the product.

Three currents come to a neuron, in Keras' order z, r, h.

    z_t = S(I^z_t),   r_t = S(I^r_t)                 update and reset gate, S: the logistic function
    n_t = g(I^h_t + r_t J_t)                         candidate, g: `activation` (tanh)
    h_t = z_t h_{t-1} + (1 - z_t) n_t                what the next layer receives and what recurs, `analog`

    I^z_t = x^z_t + h_{t-1} U^z + b^z,  I^r_t likewise,  I^h_t = x^h_t,  J_t = h_{t-1} U^h + b^h:
    x (T, B, 3 n) from Dense(n_in, 3 n), U = `recurrent` (n, 3 n), b = `recurrent_bias` (3 n,),
    both in the order z, r, h

Recurrent unless told otherwise, with a recurrent bias, as in Keras (reset_after=True): Dense(m, 3 n) and
GRU(n) have 3 n (m + n + 2) parameters.  Quantities are dimensionless and dt plays no part.  PyTorch computes
the same with the gates in the order r, z, n and transposed weights.  reset_after=False has (r_t h_{t-1}) U^h
instead of r_t (h_{t-1} U^h), and no recurrent bias (see `GRUBefore`).
Source: Cho et al. 2014 (arXiv 1406.1078, first version; the third has the reset gate before the product).
"""

from typing import NamedTuple

from .elementwise import ONE, sigmoid
from .model import Options

NAME, OUTPUT = "GRU", "analog"
FEEDFORWARD = ("z", "r", "h")
RECURRENT = ("z", "r", "h_recurrent")
DEFAULTS = {"activation": "tanh", "recurrent": True}
VARIANTS = {"reset_after": {True: "GRU", False: "GRUBefore"}}


class Inputs(NamedTuple):
    z: float            # of the update gate
    r: float            # of the reset gate
    h: float            # of the candidate, from the layer before
    h_recurrent: float  # of the candidate, from the recurrence: what the reset gate multiplies


class State(NamedTuple):
    analog: float       # h


class Params(NamedTuple):
    """There are none."""


class Out(NamedTuple):
    analog: float


class Settings(NamedTuple):
    """There are none."""


def step(inputs, state, params, f):
    z = sigmoid(inputs.z)
    r = sigmoid(inputs.r)
    new = f.act(inputs.h + r * inputs.h_recurrent)
    h = z * state.analog + (ONE - z) * new
    return Out(h), State(h)


def step_adjoint(inputs, state, params, f, dout, dstate):
    z = sigmoid(inputs.z)
    r = sigmoid(inputs.r)
    a = inputs.h + r * inputs.h_recurrent
    # h = z * h + (1 - z) * new
    dh = dout.analog + dstate.analog
    dz = dh * (state.analog - f.act(a))
    # new = act(a), a = h + r * h_recurrent
    da = dh * (ONE - z) * f.act_slope(a)
    dr = da * inputs.h_recurrent
    # z, r = sigmoid(inputs.z), sigmoid(inputs.r)
    return Inputs(dz * z * (ONE - z), dr * r * (ONE - r), da, da * r), State(dh * z), Params()


def coefficients(settings: Settings, options: Options, dt: float) -> Params:
    return Params()


def coefficients_adjoint(settings: Settings, options: Options, dt: float, dparams: Params) -> Settings:
    return Settings()
