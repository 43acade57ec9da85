"""Gated recurrent unit, reset gate before the product (`GRU(reset_after=False)`).

Three currents come to a neuron, in Keras' order z, r, h.

    z_t = S(I^z_t),   r_t = S(I^r_t)                 update and reset gate, S: the logistic function
    n_t = g(I^h_t)                                   candidate, g: `activation` (tanh)
    h_t = z_t h_{t-1} + (1 - z_t) n_t                what the next layer receives and what recurs, `analog`

    I^z_t = x^z_t + h_{t-1} U^z,  I^r_t likewise,  I^h_t = x^h_t + (r_t h_{t-1}) U^h:
    x (T, B, 3 n) from Dense(n_in, 3 n), U = `recurrent` (n, 3 n), in the order z, r, h

What the third product takes is known only after the second one: two products a step, one after the other.
Recurrent unless told otherwise, without a recurrent bias, as in Keras (reset_after=False): Dense(m, 3 n) and
this have 3 n (m + n + 1) parameters.  Quantities are dimensionless and dt plays no part.  Source: Cho et al.
2014 (arXiv 1406.1078, third version).
"""

from typing import NamedTuple

from .elementwise import ONE, ZERO, sigmoid
from .gru import Out, Params, Settings, State, coefficients, coefficients_adjoint

NAME, OUTPUT = "GRUBefore", "analog"
DEFAULTS = {"activation": "tanh", "recurrent": True, "recurrent_bias_init": False}
SECOND = "h"

__all__ = ["DEFAULTS", "NAME", "OUTPUT", "SECOND", "Inputs", "Out", "Params", "Settings", "State", "between",
           "between_adjoint", "coefficients", "coefficients_adjoint", "step", "step_adjoint"]


class Inputs(NamedTuple):
    z: float            # of the update gate
    r: float            # of the reset gate
    h: float            # of the candidate


def between(inputs, state, params, f):
    return sigmoid(inputs.r) * state.analog


def between_adjoint(inputs, state, params, f, d):
    r = sigmoid(inputs.r)
    return Inputs(ZERO, d * state.analog * r * (ONE - r), ZERO), State(d * r), Params()


def step(inputs, state, params, f):
    z = sigmoid(inputs.z)
    h = z * state.analog + (ONE - z) * f.act(inputs.h)
    return Out(h), State(h)


def step_adjoint(inputs, state, params, f, dout, dstate):
    z = sigmoid(inputs.z)
    # h = z * h + (1 - z) * act(inputs.h)
    dh = dout.analog + dstate.analog
    dz = dh * (state.analog - f.act(inputs.h))
    # z = sigmoid(inputs.z)
    return Inputs(dz * z * (ONE - z), ZERO, dh * (ONE - z) * f.act_slope(inputs.h)), State(dh * z), Params()
