"""Long short-term memory: a cell that gates write, keep and read.

Four currents come to a neuron, in Keras' order i, f, c, o.

    i_t = S(I^i_t)                                   input gate, S: the logistic function
    f_t = S(I^f_t + forget_bias)                     forget gate
    c_t = f_t c_{t-1} + i_t g(I^c_t)                 cell, g: `activation` (tanh)
    o_t = S(I^o_t)                                   output gate
    h_t = o_t g(c_t)                                 what the next layer receives and what recurs, `analog`

    I^k_t = x^k_t + h_{t-1} U^k  for k in i, f, c, o:
    x (T, B, 4 n) from Dense(n_in, 4 n), U = `recurrent` (n, 4 n)

    forget_bias  added to the current of the forget gate.  1 is Keras' unit_forget_bias=True, which is the
                 initial value of a bias there: the same function.  0 for weights that bring their own
                 (PyTorch, trained Keras layers)

Recurrent unless told otherwise, without a recurrent bias, as in Keras: Dense(m, 4 n) and LSTM(n) have
4 n (m + n + 1) parameters.  Quantities are dimensionless and dt plays no part.  PyTorch orders the gates
i, f, g, o as well (its g is the c here), holds transposed weights and has the second bias
(`recurrent_bias_init="zeros"`).
Source: Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber, Cummins 2000; its bias: Jozefowicz,
Zaremba, Sutskever 2015.
"""

from typing import NamedTuple

from .elementwise import ONE, sigmoid
from .model import Options

NAME, OUTPUT = "LSTM", "analog"
DEFAULTS = {"activation": "tanh", "recurrent": True, "recurrent_bias_init": False}


class Inputs(NamedTuple):
    i: float            # of the input gate
    f: float            # of the forget gate
    c: float            # of what is to be written
    o: float            # of the output gate


class State(NamedTuple):
    c: float            # cell


class Params(NamedTuple):
    forget_bias: float


class Out(NamedTuple):
    c: float
    analog: float       # h


class Settings(NamedTuple):
    forget_bias: float = 1.0


def step(inputs, state, params, f):
    i = sigmoid(inputs.i)
    keep = sigmoid(inputs.f + params.forget_bias)
    o = sigmoid(inputs.o)
    c = keep * state.c + i * f.act(inputs.c)
    return Out(c, o * f.act(c)), State(c)


def step_adjoint(inputs, state, params, f, dout, dstate):
    i = sigmoid(inputs.i)
    keep = sigmoid(inputs.f + params.forget_bias)
    o = sigmoid(inputs.o)
    new = f.act(inputs.c)
    c = keep * state.c + i * new
    # analog = o * act(c)
    do = dout.analog * f.act(c)
    dc = dout.c + dstate.c + dout.analog * o * f.act_slope(c)
    # c = keep * c + i * act(inputs.c)
    dnew = dc * i * f.act_slope(inputs.c)
    # i, keep, o = sigmoid(inputs.i), sigmoid(inputs.f + forget_bias), sigmoid(inputs.o)
    dinput = dc * new * i * (ONE - i)
    dforget = dc * state.c * keep * (ONE - keep)
    doutput = do * o * (ONE - o)
    return Inputs(dinput, dforget, dnew, doutput), State(dc * keep), Params(dforget)


def coefficients(settings: Settings, options: Options, dt: float) -> Params:
    return Params(*settings)


def coefficients_adjoint(settings: Settings, options: Options, dt: float, dparams: Params) -> Settings:
    return Settings(*dparams)
