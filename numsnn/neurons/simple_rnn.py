"""Simple recurrent unit: a nonlinear function of its current, fed back.

    h_t = g(I_t),   I_t = x_t + h_{t-1} U            g: `activation` (tanh), U = `recurrent` (n, n)

What the next layer receives and what recurs is h, `analog`.  Recurrent unless told otherwise, without a
recurrent bias, as in Keras: Dense(m, n) and SimpleRNN(n) have n (m + n + 1) parameters.  Quantities are
dimensionless and dt plays no part.  PyTorch's RNN holds transposed weights and has the second bias
(`recurrent_bias_init="zeros"`).  Source: Elman 1990.
"""

from typing import NamedTuple

from .elementwise import ZERO
from .model import Inputs, Options

NAME, OUTPUT = "SimpleRNN", "analog"
DEFAULTS = {"activation": "tanh", "recurrent": True, "recurrent_bias_init": False}


class State(NamedTuple):
    analog: float       # h


class Params(NamedTuple):
    """There are none."""


class Out(NamedTuple):
    analog: float


class Settings(NamedTuple):
    """There are none."""


def step(inputs, state, params, f):
    h = f.act(inputs.current)
    return Out(h), State(h)


def step_adjoint(inputs, state, params, f, dout, dstate):
    # h = act(current)
    return Inputs((dout.analog + dstate.analog) * f.act_slope(inputs.current)), State(ZERO), Params()


def coefficients(settings: Settings, options: Options, dt: float) -> Params:
    return Params()


def coefficients_adjoint(settings: Settings, options: Options, dt: float, dparams: Params) -> Settings:
    return Settings()
