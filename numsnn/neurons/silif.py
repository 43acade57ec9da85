"""LIF neuron with an adaptation, parametrised as a state space model: SiLIF.

    w_t = rho w_{t-1} + a v_{t-1} + b s_{t-1}                           rho   = exp(-pace dt / tau_adp)
    v_t = alpha (v_{t-1} - v_threshold s_{t-1}) + (1 - alpha) (I_t - w_t)
    s_t = H(v_t - v_threshold)                                          alpha = exp(-pace dt / tau_mem)

H: `surrogate`, comparator ">" or ">=".  The adaptation moves first and takes the old v and s; the membrane
takes the new adaptation.  What is learned of tau_mem, tau_adp and pace is their logarithm.
`detach_reset=True` keeps the gradient from flowing through the spike of the reset.

    tau_mem      membrane time constant, in the unit of dt; the paper: log-uniform, 4 to 100 ms
    tau_adp      time constant of the adaptation, in the unit of dt; the paper: log-uniform, 100 to 400 ms
    pace         how fast the neuron's own time goes (the paper's time step is pace dt)
    a            what the membrane adds to the adaptation in a step, from 0 to 1
    b            what a spike adds to the adaptation, from 0 to 2
    v_threshold  threshold, in the unit of v

`init_state="uniform"`: v, w, s ~ U(0, 1), as in the paper.  Source: SSM-inspired LIF (2025), the
authors' code.
"""

from typing import Any, NamedTuple

from .bounds import time_constant
from .elementwise import ONE, ZERO
from .model import Inputs, Options, Out, decay, decay_adjoint

NAME = "SiLIF"
BOUNDS = {"tau_mem": time_constant, "tau_adp": time_constant, "pace": (0.0, None), "a": (0.0, 1.0),
          "b": (0.0, 2.0)}
LEARN_AS = {"tau_mem": "log", "tau_adp": "log", "pace": "log"}
OPTIONS = {"detach_reset": (False, True)}
DEFAULTS = {"surrogate": "box"}


class State(NamedTuple):
    v: float            # membrane potential
    spike: float        # of the last step
    w: float            # adaptation, a current


class Params(NamedTuple):
    alpha: float
    rho: float
    a: float
    b: float
    v_threshold: float
    attach: float       # 1 where the gradient flows through the spike of the reset, else 0


CONSTANT = ("attach",)


class Settings(NamedTuple):
    tau_mem: float = 20.0
    tau_adp: float = 200.0
    pace: float = 1.0
    a: float = 0.5
    b: float = 1.0
    v_threshold: float = 1.0


def step(inputs, state, params, f):
    w = params.rho * state.w + params.a * state.v + params.b * state.spike
    kept = state.v - params.v_threshold * state.spike
    v = params.alpha * kept + (ONE - params.alpha) * (inputs.current - w)
    s = f.spike(v - params.v_threshold, f.k)
    return Out(s, v, params.v_threshold), State(v, s, w)


def step_adjoint(inputs, state, params, f, dout, dstate):
    w = params.rho * state.w + params.a * state.v + params.b * state.spike
    kept = state.v - params.v_threshold * state.spike
    v = params.alpha * kept + (ONE - params.alpha) * (inputs.current - w)
    # s = spike(v - v_threshold)
    dx = (dout.spike + dstate.spike) * f.slope(v - params.v_threshold, f.k)
    dv = dout.v + dstate.v + dx
    # v = alpha * kept + (1 - alpha) * (current - w)
    dcurrent = (ONE - params.alpha) * dv
    dkept = params.alpha * dv
    dw = dstate.w - dcurrent
    # kept = v - v_threshold * spike
    dthreshold = dout.theta - dx - dkept * state.spike
    dspike = params.b * dw - params.attach * (dkept * params.v_threshold)
    # w = rho * w + a * v + b * spike
    return (Inputs(dcurrent),
            State(dkept + params.a * dw, dspike, params.rho * dw),
            Params(dv * (kept - (inputs.current - w)), dw * state.w, dw * state.v, dw * state.spike,
                   dthreshold, ZERO))


def coefficients(settings: Any, options: Options, dt: float) -> Params:
    own = settings.pace * dt
    return Params(decay(settings.tau_mem, own), decay(settings.tau_adp, own), settings.a, settings.b,
                  settings.v_threshold, float(not options["detach_reset"]))


def coefficients_adjoint(settings: Any, options: Options, dt: float, dparams: Any) -> Settings:
    own = settings.pace * dt
    dtau_mem = decay_adjoint(settings.tau_mem, own, dparams.alpha)
    dtau_adp = decay_adjoint(settings.tau_adp, own, dparams.rho)
    # alpha and rho depend on tau / pace
    dpace = -(dtau_mem * settings.tau_mem + dtau_adp * settings.tau_adp) / settings.pace
    return Settings(dtau_mem, dtau_adp, dpace, dparams.a, dparams.b, dparams.v_threshold)


INITIAL_STATE = {"uniform": lambda settings, draw: State(draw, draw, draw)}
