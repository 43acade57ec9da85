"""Leaky integrate-and-fire neuron; a spike resets the membrane in the same step.

    tau_mem dv/dt = v_leak - v + R I,   a spike when v crosses v_threshold

    u_t = alpha v_{t-1} + gain I_t + (1 - alpha) v_leak
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
    v_leak       potential at rest, in the unit of v
    r            resistance: what a current of 1 adds to the membrane, see input_scale
    input_scale  gain = r ("1"; I in units of v per step), or
                 gain = r (1 - alpha) ("1-alpha"; I in the unit of v / r)
    refractory   time after a spike in which there is none, in the unit of dt (model `LIFRefractory`)
    integrator   alpha = exp(-dt / tau_mem) ("exponential"; exact with "1-alpha" where I stands still in a
                 step) or 1 - dt / tau_mem ("euler")

The reset is not scaled by dt.  `init_state="rest"`: v = v_leak.  Source: Gerstner & Kistler 2002, section
4.1; NIR's LIF (Pedersen et al. 2024).
"""

from typing import Any, NamedTuple

from .bounds import time_constant
from .elementwise import ZERO, elementwise
from .model import INTEGRATORS, Inputs, Options, Out, leak, leak_adjoint, scaled, scaled_adjoint

NAME = "LIF"
BOUNDS = {"tau_mem": time_constant}
OPTIONS = {"reset": ("soft", "hard", "none"), "input_scale": ("1", "1-alpha"), "detach_reset": (False, True),
           "integrator": INTEGRATORS}
VARIANTS = {"reset_when": {"same": "LIF", "next": "LIFNext"},
            "refractory": {0.0: "LIF", float: "LIFRefractory"}}


class State(NamedTuple):
    v: float            # membrane potential, after the reset


class Params(NamedTuple):
    alpha: float        # leak
    gain: float         # of the input
    rest: float         # what the resting potential adds in a step
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
    v_leak: float = 0.0
    r: float = 1.0


@elementwise
def step(inputs, state, params, f):
    u = params.alpha * state.v + params.gain * inputs.current + params.rest
    s = f.spike(u - params.v_threshold, f.k)
    r = params.soft * params.v_threshold + params.hard * (u - params.v_reset)
    return Out(s, u, params.v_threshold), State(u - s * r)


@elementwise
def step_adjoint(inputs, state, params, f, dout, dstate):
    u = params.alpha * state.v + params.gain * inputs.current + params.rest
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
    # u = alpha * v + gain * current + rest
    return (Inputs(params.gain * du), State(params.alpha * du),
            Params(du * state.v, du * inputs.current, du, dthreshold, -params.hard * dr, ZERO, ZERO, ZERO))


def coefficients(settings: Any, options: Options, dt: float) -> Params:
    alpha = leak(settings.tau_mem, dt, options["integrator"])
    gain = scaled(settings.r, alpha, options["input_scale"])
    return Params(alpha, gain, (1 - alpha) * settings.v_leak, settings.v_threshold, settings.v_reset,
                  *of_reset(options))


def of_reset(options: Options) -> tuple[float, float, float]:
    """(soft, hard, attach) of the options of a reset."""
    return (float(options["reset"] == "soft"), float(options["reset"] == "hard"),
            float(not options["detach_reset"]))


def coefficients_adjoint(settings: Any, options: Options, dt: float, dparams: Any) -> Settings:
    alpha = leak(settings.tau_mem, dt, options["integrator"])
    dr, dalpha = scaled_adjoint(settings.r, alpha, options["input_scale"], dparams.gain)
    dalpha = dparams.alpha + dalpha - dparams.rest * settings.v_leak
    dtau = leak_adjoint(settings.tau_mem, dt, options["integrator"], dalpha)
    return Settings(dtau, dparams.v_threshold, dparams.v_reset, (1 - alpha) * dparams.rest, dr)


INITIAL_STATE = {"uniform": lambda settings, draw: State(draw),
                 "rest": lambda settings, draw: State(0 * draw + settings.v_leak)}
