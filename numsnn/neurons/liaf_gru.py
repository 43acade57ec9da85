"""LIAF neuron with the gates of a GRU: it carries on a membrane that leaks and is reset by its spikes.

    z_t = S(I^z_t),   r_t = S(I^r_t)                 update and reset gate, S: the logistic function
    n_t = tanh(I^h_t + r_t J_t)                      candidate
    u_t = (1 - z_t) h_{t-1} + z_t n_t                membrane; z the other way round than in `GRU`
    s_t = H(u_t - v_threshold)                       H: `surrogate` (rectangle), `comparator` (">=")
    h_t = alpha (1 - s_t) u_t                        leak and reset; this recurs
    y_t = g(u_t)                                     output="analog", g: `activation`

    I^z_t = x^z_t + h_{t-1} U^z + b^z,  I^r_t likewise,  I^h_t = x^h_t,  J_t = h_{t-1} U^h + b^h:
    x (T, B, 3 n) from Dense(n_in, 3 n), U = `recurrent` (n, 3 n), b = `recurrent_bias` (3 n,),
    both in the order z, r, h

What the next layer receives is the spike s_t, or with output="analog" y_t.  `v` that is handed out is u_t.
Recurrent unless told otherwise.

    alpha        leak, what remains of the membrane in one step (dimensionless)
    v_threshold  threshold, in the unit of u (dimensionless; |u| < 1)

Nothing is scaled by dt.  Source: LIAFGRUCell of the code to Wu, Zhang, Lin, Li, Wang, Tang, LIAF-Net 2021,
which differs: its h_t is made of u_{t-1}, the membrane of the step before (h is renewed before u); its gate
function is selu by default; J has no bias; only spikes leave the cell.
"""

from typing import NamedTuple

from .elementwise import ONE, sigmoid, tanh
from .gru import FEEDFORWARD, RECURRENT, Inputs
from .model import Options

NAME, RECURS = "LIAFGRU", "h"
DEFAULTS = {"surrogate": "rectangle", "comparator": ">=", "activation": "relu", "recurrent": True}

__all__ = ["FEEDFORWARD", "RECURRENT"]


class State(NamedTuple):
    h: float            # membrane after reset and leak


class Params(NamedTuple):
    alpha: float
    v_threshold: float


class Out(NamedTuple):
    spike: float
    v: float            # u
    theta: float
    analog: float       # y
    h: float


class Settings(NamedTuple):
    alpha: float = 0.3
    v_threshold: float = 0.5


def step(inputs, state, params, f):
    z = sigmoid(inputs.z)
    r = sigmoid(inputs.r)
    u = (ONE - z) * state.h + z * tanh(inputs.h + r * inputs.h_recurrent)
    s = f.spike(u - params.v_threshold, f.k)
    h = params.alpha * (ONE - s) * u
    return Out(s, u, params.v_threshold, f.act(u), h), State(h)


def step_adjoint(inputs, state, params, f, dout, dstate):
    z = sigmoid(inputs.z)
    r = sigmoid(inputs.r)
    new = tanh(inputs.h + r * inputs.h_recurrent)
    u = (ONE - z) * state.h + z * new
    s = f.spike(u - params.v_threshold, f.k)
    # h = alpha * (1 - s) * u
    dh = dout.h + dstate.h
    ds = dout.spike - dh * params.alpha * u
    # s = spike(u - v_threshold)
    dx = ds * f.slope(u - params.v_threshold, f.k)
    # analog = act(u)
    du = dout.v + dh * params.alpha * (ONE - s) + dx + dout.analog * f.act_slope(u)
    # u = (1 - z) * h + z * new
    dz = du * (new - state.h)
    # new = tanh(a), a = inputs.h + r * h_recurrent
    da = du * z * (ONE - new * new)
    dr = da * inputs.h_recurrent
    # z, r = sigmoid(inputs.z), sigmoid(inputs.r)
    return (Inputs(dz * z * (ONE - z), dr * r * (ONE - r), da, da * r), State(du * (ONE - z)),
            Params(dh * (ONE - s) * u, dout.theta - dx))


def coefficients(settings: Settings, options: Options, dt: float) -> Params:
    return Params(*settings)


def coefficients_adjoint(settings: Settings, options: Options, dt: float, dparams: Params) -> Settings:
    return Settings(*dparams)
