"""Leaky integrate-and-fire neuron; a spike resets the membrane in the same step.

    tau_mem dv/dt = -v + R I,   a spike when v crosses v_threshold

    u_t = alpha v_{t-1} + gain I_t                      alpha = exp(-dt / tau_mem)
    s_t = H(u_t - v_threshold)                          H: `surrogate`, comparator ">" or ">="
    v_t = u_t - s_t v_threshold                         reset="soft"
          u_t - s_t (u_t - v_reset)                     reset="hard"
          u_t                                           reset="none"

The membrane that is handed out, `v`, is u_t, before the reset.  `reset_when="next"` subtracts s_{t-1}
instead of s_t (model `LIFNext`, snnTorch's default).  `detach_reset=True` keeps the gradient from flowing
through the spike of the reset.

    tau_mem      membrane time constant, in the unit of dt
    v_threshold  threshold, in the unit of v
    v_reset      value after a hard reset, in the unit of v
    input_scale  gain = 1 ("1"; I in units of v per step), or
                 gain = 1 - alpha ("1-alpha"; R = 1, I in the unit of v)

The reset is not scaled by dt.  Source: Gerstner & Kistler 2002, section 4.1; exponential Euler.
"""

from typing import NamedTuple

from .elementwise import ZERO
from .model import Inputs, Options, Out, decay, decay_adjoint

NAME = "LIF"
OPTIONS = {"reset": ("soft", "hard", "none"), "input_scale": ("1", "1-alpha"), "detach_reset": (False, True)}
VARIANTS = {"reset_when": {"same": "LIF", "next": "LIFNext"}}


class State(NamedTuple):
    v: float            # membrane potential, after the reset


class Params(NamedTuple):
    alpha: float        # leak
    gain: float         # of the input
    v_threshold: float
    v_reset: float
    soft: float         # 1 for a soft reset, else 0
    hard: float         # 1 for a hard reset, else 0
    attach: float       # 1 where the gradient flows through the spike of the reset, else 0


CONSTANT = ("soft", "hard", "attach")
DIFFERS = ("v",)        # handed out before the reset


class Settings(NamedTuple):
    tau_mem: float = 20.0
    v_threshold: float = 1.0
    v_reset: float = 0.0


def step(inputs, state, params, f):
    u = params.alpha * state.v + params.gain * inputs.current
    s = f.spike(u - params.v_threshold, f.k)
    r = params.soft * params.v_threshold + params.hard * (u - params.v_reset)
    return Out(s, u, params.v_threshold), State(u - s * r)


def step_adjoint(inputs, state, params, f, dout, dstate):
    u = params.alpha * state.v + params.gain * inputs.current
    s = f.spike(u - params.v_threshold, f.k)
    r = params.soft * params.v_threshold + params.hard * (u - params.v_reset)
    # out = (s, u, v_threshold); v = u - s * r
    ds = dout.spike - params.attach * (dstate.v * r)
    dr = -dstate.v * s
    # r = soft * v_threshold + hard * (u - v_reset)
    # s = spike(u - v_threshold)
    dx = ds * f.slope(u - params.v_threshold, f.k)
    du = dout.v + dstate.v + params.hard * dr + dx
    dthreshold = dout.theta + params.soft * dr - dx
    # u = alpha * v + gain * current
    return (Inputs(params.gain * du), State(params.alpha * du),
            Params(du * state.v, du * inputs.current, dthreshold, -params.hard * dr, ZERO, ZERO, ZERO))


def coefficients(settings: Settings, options: Options, dt: float) -> Params:
    alpha = decay(settings.tau_mem, dt)
    gain = 1 - alpha if options["input_scale"] == "1-alpha" else 1.0
    soft = float(options["reset"] == "soft")
    hard = float(options["reset"] == "hard")
    attach = float(not options["detach_reset"])
    return Params(alpha, gain, settings.v_threshold, settings.v_reset, soft, hard, attach)


def coefficients_adjoint(settings: Settings, options: Options, dt: float, dparams: Params) -> Settings:
    dalpha = dparams.alpha - (dparams.gain if options["input_scale"] == "1-alpha" else 0.0)
    return Settings(decay_adjoint(settings.tau_mem, dt, dalpha), dparams.v_threshold, dparams.v_reset)


INITIAL_STATE = {"uniform": lambda settings, draw: State(draw)}
