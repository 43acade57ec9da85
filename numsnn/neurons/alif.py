"""Adaptive leaky integrate-and-fire neuron of the SRNN: a spike raises the threshold, which decays back.

    tau_mem dv/dt = -v + R I,   tau_adp deta/dt = -eta + spikes,   theta = v_threshold + beta eta

    eta_t   = rho eta_{t-1} + (1 - rho) s_{t-1}                          rho   = exp(-dt / tau_adp)
    theta_t = v_threshold + beta eta_t
    v_t     = alpha v_{t-1} + (1 - alpha) I_t - theta_t s_{t-1}          alpha = exp(-dt / tau_mem)
    s_t     = H(v_t - theta_t)                                           H: `surrogate`, comparator ">", ">="

The order matters: the threshold moves first, and the soft reset subtracts the new threshold for the previous
spike.  Neither is scaled by dt.  With beta = 0 this is a LIF neuron with a reset in the next step.
`reset_when="same"` resets in the step of the spike (model `ALIFSame`).  `detach_reset=True` keeps the
gradient from flowing through the spike of the reset.

    tau_mem      membrane time constant, in the unit of dt
    tau_adp      time constant of the adaptation, in the unit of dt
    v_threshold  resting threshold (b_j0 in the papers), in the unit of v
    beta         strength of the adaptation, in the unit of v
    refractory   time after a spike in which there is none, in the unit of dt (model `ALIFRefractory`)

`init_state="zeros"`: all 0; `"rest"`: v = s = 0, eta = v_threshold; `"uniform"`: v ~ U(0, 1), s = 0,
eta = v_threshold; `"author"`: v = s ~ U(0, v_threshold), eta = v_threshold (the ECG script: a spike that is
no spike).  Source: Yin, Corradi, Bohte 2020 and 2021, and their code.
"""

from typing import Any, NamedTuple

from .bounds import time_constant
from .elementwise import ONE, ZERO, elementwise
from .model import Inputs, Options, Out, decay, decay_adjoint

NAME = "ALIF"
BOUNDS = {"tau_mem": time_constant, "tau_adp": time_constant}
OPTIONS = {"detach_reset": (False, True)}
VARIANTS = {"refractory": {0.0: "ALIF", float: "ALIFRefractory"},
            "reset_when": {"next": "ALIF", "same": "ALIFSame"}}


class State(NamedTuple):
    v: float            # membrane potential
    spike: float        # of the last step
    eta: float          # adaptation, a low-pass of the spikes


class Params(NamedTuple):
    alpha: float
    rho: float
    v_threshold: float
    beta: float
    attach: float       # 1 where the gradient flows through the spike of the reset, else 0


CONSTANT = ("attach",)


class Settings(NamedTuple):
    tau_mem: float = 20.0
    tau_adp: float = 150.0
    v_threshold: float = 0.01
    beta: float = 1.8


@elementwise
def step(inputs, state, params, f):
    eta = params.rho * state.eta + (ONE - params.rho) * state.spike
    theta = params.v_threshold + params.beta * eta
    v = params.alpha * state.v + (ONE - params.alpha) * inputs.current - theta * state.spike
    s = f.spike(v - theta, f.k)
    return Out(s, v, theta), State(v, s, eta)


@elementwise
def step_adjoint(inputs, state, params, f, dout, dstate):
    eta = params.rho * state.eta + (ONE - params.rho) * state.spike
    theta = params.v_threshold + params.beta * eta
    v = params.alpha * state.v + (ONE - params.alpha) * inputs.current - theta * state.spike
    # s = spike(v - theta)
    dx = (dout.spike + dstate.spike) * f.slope(v - theta, f.k)
    dv = dout.v + dstate.v + dx
    # v = alpha * v + (1 - alpha) * current - theta * spike
    dtheta = dout.theta - dx - dv * state.spike
    # theta = v_threshold + beta * eta
    deta = dstate.eta + params.beta * dtheta
    # eta = rho * eta + (1 - rho) * spike
    return (Inputs((ONE - params.alpha) * dv),
            State(params.alpha * dv, (ONE - params.rho) * deta - params.attach * (theta * dv),
                  params.rho * deta),
            Params(dv * (state.v - inputs.current), deta * (state.eta - state.spike), dtheta, dtheta * eta,
                   ZERO))


def coefficients(settings: Any, options: Options, dt: float) -> Params:
    alpha = decay(settings.tau_mem, dt)
    rho = decay(settings.tau_adp, dt)
    return Params(alpha, rho, settings.v_threshold, settings.beta, float(not options["detach_reset"]))


def coefficients_adjoint(settings: Any, options: Options, dt: float, dparams: Any) -> Settings:
    dtau_mem = decay_adjoint(settings.tau_mem, dt, dparams.alpha)
    dtau_adp = decay_adjoint(settings.tau_adp, dt, dparams.rho)
    return Settings(dtau_mem, dtau_adp, dparams.v_threshold, dparams.beta)


INITIAL_STATE = {
    "rest": lambda settings, draw: State(0 * draw, 0 * draw, 0 * draw + settings.v_threshold),
    "uniform": lambda settings, draw: State(draw, 0 * draw, 0 * draw + settings.v_threshold),
    "author": lambda settings, draw: State(draw * settings.v_threshold, draw * settings.v_threshold,
                                           0 * draw + settings.v_threshold)}
