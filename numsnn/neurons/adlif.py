"""Adaptive leaky integrate-and-fire neuron whose adaptation follows the membrane, too: SE-adLIF and EF-adLIF.

    tau_mem dv/dt = -v + I - w,   tau_adp dw/dt = -w + q (a v + b spikes)

    u_t = alpha v_{t-1} + (1 - alpha) (I_t - w_{t-1})                    alpha = exp(-dt / tau_mem)
    s_t = H(u_t - v_threshold)                                          H: `surrogate`, comparator ">", ">="
    v_t = u_t (1 - s_t)                                                 a hard reset to 0
    w_t = rho w_{t-1} + (1 - rho) q (a v_t     + b s_t)                 order="symplectic" (SE-adLIF)
          rho w_{t-1} + (1 - rho) q (a v_{t-1} + b s_{t-1})             order="euler" (EF-adLIF)
                                                                        rho = exp(-dt / tau_adp)

The symplectic order keeps the oscillations of v and w stable for every dt.  The membrane that is handed out,
`v`, is u_t, before the reset.  `detach_reset=True`, as in the paper, keeps the gradient from flowing through
the spike of the reset.

    tau_mem      membrane time constant, in the unit of dt; the paper: from 5 to 25 ms
    tau_adp      time constant of the adaptation, in the unit of dt; the paper: from 60 to 300 ms
    v_threshold  threshold, in the unit of v
    a            how much of the membrane the adaptation takes up, from 0 to 1
    b            how much a spike adds to the adaptation, from 0 to 2
    q            scale of the adaptation

`init_state="uniform"`: v ~ U(0, 1), the rest 0.  Source: Baronig, Ferrand, Sabathiel, Legenstein 2024
(arXiv 2408.07517) and their code.
"""

from typing import Any, NamedTuple

from .bounds import time_constant
from .elementwise import ONE, ZERO
from .model import Inputs, Options, Out, decay, decay_adjoint

NAME = "AdLIF"
BOUNDS = {"tau_mem": time_constant, "tau_adp": time_constant, "a": (0.0, 1.0), "b": (0.0, 2.0)}
OPTIONS = {"order": ("symplectic", "euler"), "detach_reset": (False, True)}
DEFAULTS = {"surrogate": "symmetric_exponential"}


class State(NamedTuple):
    v: float            # membrane potential, after the reset
    spike: float        # of the last step
    w: float            # adaptation, a current


class Params(NamedTuple):
    alpha: float
    rho: float
    a: float            # (1 - rho) q a
    b: float            # (1 - rho) q b
    v_threshold: float
    now: float          # 1 where the adaptation takes the new v and spike, else 0
    before: float       # 1 - now
    attach: float       # 1 where the gradient flows through the spike of the reset, else 0


CONSTANT = ("now", "before", "attach")
DIFFERS = ("v",)        # handed out before the reset


class Settings(NamedTuple):
    tau_mem: float = 15.0
    tau_adp: float = 180.0
    v_threshold: float = 1.0
    a: float = 0.5
    b: float = 1.0
    q: float = 120.0


def step(inputs, state, params, f):
    u = params.alpha * state.v + (ONE - params.alpha) * (inputs.current - state.w)
    s = f.spike(u - params.v_threshold, f.k)
    v = u * (ONE - s)
    of_membrane = params.now * v + params.before * state.v
    of_spike = params.now * s + params.before * state.spike
    w = params.rho * state.w + params.a * of_membrane + params.b * of_spike
    return Out(s, u, params.v_threshold), State(v, s, w)


def step_adjoint(inputs, state, params, f, dout, dstate):
    u = params.alpha * state.v + (ONE - params.alpha) * (inputs.current - state.w)
    s = f.spike(u - params.v_threshold, f.k)
    v = u * (ONE - s)
    # w = rho * w + a * of_membrane + b * of_spike
    dw = dstate.w
    of_membrane = params.now * v + params.before * state.v
    of_spike = params.now * s + params.before * state.spike
    dmembrane = params.a * dw
    dspike = params.b * dw
    # v = u * (1 - s)
    dv = dstate.v + params.now * dmembrane
    ds = dout.spike + dstate.spike + params.now * dspike - params.attach * (dv * u)
    # s = spike(u - v_threshold)
    dx = ds * f.slope(u - params.v_threshold, f.k)
    du = dout.v + dv * (ONE - s) + dx
    # u = alpha * v + (1 - alpha) * (current - w)
    dcurrent = (ONE - params.alpha) * du
    return (Inputs(dcurrent),
            State(params.alpha * du + params.before * dmembrane, params.before * dspike,
                  params.rho * dw - dcurrent),
            Params(du * (state.v - (inputs.current - state.w)), dw * state.w, dw * of_membrane, dw * of_spike,
                   dout.theta - dx, ZERO, ZERO, ZERO))


def coefficients(settings: Any, options: Options, dt: float) -> Params:
    rho = decay(settings.tau_adp, dt)
    scale = (1 - rho) * settings.q
    now = float(options["order"] == "symplectic")
    return Params(decay(settings.tau_mem, dt), rho, scale * settings.a, scale * settings.b,
                  settings.v_threshold, now, 1 - now, float(not options["detach_reset"]))


def coefficients_adjoint(settings: Any, options: Options, dt: float, dparams: Any) -> Settings:
    rho = decay(settings.tau_adp, dt)
    dscale = dparams.a * settings.a + dparams.b * settings.b
    scale = (1 - rho) * settings.q
    return Settings(decay_adjoint(settings.tau_mem, dt, dparams.alpha),
                    decay_adjoint(settings.tau_adp, dt, dparams.rho - settings.q * dscale),
                    dparams.v_threshold, scale * dparams.a, scale * dparams.b, (1 - rho) * dscale)


INITIAL_STATE = {"uniform": lambda settings, draw: State(draw, 0 * draw, 0 * draw)}
