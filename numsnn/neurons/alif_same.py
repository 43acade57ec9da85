"""The neuron of the SRNN with a spike that resets the membrane in the same step (`ALIF(reset_when="same")`).

    eta_t   = rho eta_{t-1} + (1 - rho) s_{t-1}
    theta_t = v_threshold + beta eta_t
    u_t     = alpha v_{t-1} + (1 - alpha) I_t
    s_t     = H(u_t - theta_t)
    v_t     = u_t - theta_t s_t

The membrane that is handed out, `v`, is u_t, before the reset.  What a spike takes from the membrane decays
with it, while in `ALIF` it is taken one step later.  `detach_reset=True` keeps the gradient from flowing
through the spike of the reset.

    tau_mem      membrane time constant, in the unit of dt
    tau_adp      time constant of the adaptation, in the unit of dt
    v_threshold  resting threshold, in the unit of v
    beta         strength of the adaptation, in the unit of v

Initial states as in `ALIF`.  Source: Yin, Corradi, Bohte 2020, with the reset of most simulators.
"""

from typing import NamedTuple

from .alif import (
    BOUNDS,
    CONSTANT,
    INITIAL_STATE,
    OPTIONS,
    Params,
    Settings,
    coefficients,
    coefficients_adjoint,
)
from .elementwise import ONE, ZERO
from .model import Inputs, Out

NAME = "ALIFSame"
DIFFERS = ("v",)        # handed out before the reset

__all__ = ["BOUNDS", "CONSTANT", "INITIAL_STATE", "OPTIONS", "Params", "Settings", "coefficients",
           "coefficients_adjoint"]


class State(NamedTuple):
    v: float            # membrane potential, after the reset
    spike: float        # of the last step
    eta: float          # adaptation, a low-pass of the spikes


def step(inputs, state, params, f):
    eta = params.rho * state.eta + (ONE - params.rho) * state.spike
    theta = params.v_threshold + params.beta * eta
    u = params.alpha * state.v + (ONE - params.alpha) * inputs.current
    s = f.spike(u - theta, f.k)
    return Out(s, u, theta), State(u - theta * s, s, eta)


def step_adjoint(inputs, state, params, f, dout, dstate):
    eta = params.rho * state.eta + (ONE - params.rho) * state.spike
    theta = params.v_threshold + params.beta * eta
    u = params.alpha * state.v + (ONE - params.alpha) * inputs.current
    s = f.spike(u - theta, f.k)
    # v = u - theta * s
    ds = dout.spike + dstate.spike - params.attach * (dstate.v * theta)
    # s = spike(u - theta)
    dx = ds * f.slope(u - theta, f.k)
    du = dout.v + dstate.v + dx
    dtheta = dout.theta - dx - dstate.v * s
    # theta = v_threshold + beta * eta
    deta = dstate.eta + params.beta * dtheta
    # eta = rho * eta + (1 - rho) * spike
    return (Inputs((ONE - params.alpha) * du),
            State(params.alpha * du, (ONE - params.rho) * deta, params.rho * deta),
            Params(du * (state.v - inputs.current), deta * (state.eta - state.spike), dtheta, dtheta * eta,
                   ZERO))
