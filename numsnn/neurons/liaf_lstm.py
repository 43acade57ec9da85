"""LIAF neurons as the gates of an LSTM.

Each of the four currents charges a membrane that leaks and is reset by its own spikes.

    for each k in i, f, c, o (Keras' order):
        u^k_t = I^k_t + v^k_{t-1}
        s^k_t = H(u^k_t - v_threshold)               H: `surrogate` (rectangle), `comparator` (">=")
        r^k_t = s^k_t v_reset + (1 - s^k_t) u^k_t    hard reset
        v^k_t = alpha r^k_t + beta                   multiplicative and additive leak
    i_t = S(u^i_t),   f_t = S(u^f_t),   o_t = S(u^o_t)                   S: the logistic function
    c_t = f_t c_{t-1} + i_t g(u^c_t)                 cell, g: `activation` (tanh)
    y_t = o_t g(c_t)                                 what the next layer receives, `analog`

x is (T, B, 4 n), from Dense(n_in, 4 n).  Not recurrent unless told otherwise; recurrent=True feeds y back.
With alpha = beta = 0 this is an LSTM cell (forget_bias = 0), and with recurrent=True the `LSTM`.  Of the
four spikes only that of the output gate is handed out: `spike`, `v` and `theta` are s^o, u^o and
v_threshold.  The spikes reset and are not sent.

    alpha        multiplicative leak, what remains of a membrane in one step (dimensionless)
    beta         additive leak, in the unit of the current
    v_threshold  threshold of all four membranes, in the unit of the current
    v_reset      value after a spike, in the unit of the current

Leak and reset come after the gates, in the same step; nothing is scaled by dt.
Source: LIAFLSTMCell of the code to Wu, Zhang, Lin, Li, Wang, Tang, LIAF-Net 2021.  Its comments write S and
tanh, as here; its default functions are relu for the gates and selu for g; its beta and v_reset are 0.
"""

from typing import NamedTuple

from .elementwise import ONE, ZERO, elementwise, sigmoid
from .lstm import Inputs
from .model import Options

NAME, OUTPUT, RECURS = "LIAFLSTM", "analog", "analog"
DEFAULTS = {"surrogate": "rectangle", "comparator": ">=", "activation": "tanh", "recurrent_bias_init": False}


class State(NamedTuple):
    v_i: float          # the membranes, after reset and leak
    v_f: float
    v_c: float
    v_o: float
    c: float            # cell


class Params(NamedTuple):
    alpha: float
    beta: float
    v_threshold: float
    v_reset: float


class Out(NamedTuple):
    spike: float        # of the output gate
    v: float            # u of the output gate
    theta: float
    c: float
    analog: float       # y


class Settings(NamedTuple):
    alpha: float = 0.3
    beta: float = 0.0
    v_threshold: float = 0.5
    v_reset: float = 0.0


@elementwise
def leak(u, params, f):
    """(spike, what remains of u) of one membrane."""
    s = f.spike(u - params.v_threshold, f.k)
    return s, params.alpha * (u + s * (params.v_reset - u)) + params.beta


@elementwise
def leak_adjoint(u, params, f, ds, dv):
    s = f.spike(u - params.v_threshold, f.k)
    # v = alpha * (u + s * (v_reset - u)) + beta
    dr = params.alpha * dv
    # s = spike(u - v_threshold)
    dx = (ds + dr * (params.v_reset - u)) * f.slope(u - params.v_threshold, f.k)
    return dr * (ONE - s) + dx, Params(dv * (u + s * (params.v_reset - u)), dv, -dx, dr * s)


@elementwise
def total(a, b, c, d):
    """The sum of the gradients of four membranes."""
    return Params(a.alpha + b.alpha + c.alpha + d.alpha,
                  a.beta + b.beta + c.beta + d.beta,
                  a.v_threshold + b.v_threshold + c.v_threshold + d.v_threshold,
                  a.v_reset + b.v_reset + c.v_reset + d.v_reset)


def step(inputs, state, params, f):
    u_i = inputs.i + state.v_i
    u_f = inputs.f + state.v_f
    u_c = inputs.c + state.v_c
    u_o = inputs.o + state.v_o
    _, v_i = leak(u_i, params, f)
    _, v_f = leak(u_f, params, f)
    _, v_c = leak(u_c, params, f)
    s_o, v_o = leak(u_o, params, f)
    c = sigmoid(u_f) * state.c + sigmoid(u_i) * f.act(u_c)
    return Out(s_o, u_o, params.v_threshold, c, sigmoid(u_o) * f.act(c)), State(v_i, v_f, v_c, v_o, c)


def step_adjoint(inputs, state, params, f, dout, dstate):
    u_i = inputs.i + state.v_i
    u_f = inputs.f + state.v_f
    u_c = inputs.c + state.v_c
    u_o = inputs.o + state.v_o
    i = sigmoid(u_i)
    keep = sigmoid(u_f)
    new = f.act(u_c)
    o = sigmoid(u_o)
    c = keep * state.c + i * new
    # analog = o * act(c)
    do = dout.analog * f.act(c)
    dc = dout.c + dstate.c + dout.analog * o * f.act_slope(c)
    # c = keep * c + i * act(u_c)
    # spike, v = leak(u)
    di, p_i = leak_adjoint(u_i, params, f, ZERO, dstate.v_i)
    df, p_f = leak_adjoint(u_f, params, f, ZERO, dstate.v_f)
    dn, p_c = leak_adjoint(u_c, params, f, ZERO, dstate.v_c)
    du, p_o = leak_adjoint(u_o, params, f, dout.spike, dstate.v_o)
    # i, keep, o = sigmoid(u_i), sigmoid(u_f), sigmoid(u_o)
    du_i = di + dc * new * i * (ONE - i)
    du_f = df + dc * state.c * keep * (ONE - keep)
    du_c = dn + dc * i * f.act_slope(u_c)
    du_o = du + dout.v + do * o * (ONE - o)
    # u = inputs + v
    p = total(p_i, p_f, p_c, p_o)
    return (Inputs(du_i, du_f, du_c, du_o), State(du_i, du_f, du_c, du_o, dc * keep),
            Params(p.alpha, p.beta, p.v_threshold + dout.theta, p.v_reset))


def coefficients(settings: Settings, options: Options, dt: float) -> Params:
    return Params(*settings)


def coefficients_adjoint(settings: Settings, options: Options, dt: float, dparams: Params) -> Settings:
    return Settings(*dparams)
