"""Leaky integrator: a membrane without spikes, for readouts.

    tau_mem dv/dt = v_leak - v + R I

    v_t = alpha v_{t-1} + gain I_t + (1 - alpha) v_leak

    tau_mem      membrane time constant, in the unit of dt
    v_leak       potential at rest, in the unit of v
    r            resistance: what a current of 1 adds to the membrane, see input_scale
    input_scale  gain = r (1 - alpha) ("1-alpha"; I in the unit of v / r) or gain = r ("1")
    integrator   alpha = exp(-dt / tau_mem) ("exponential") or 1 - dt / tau_mem ("euler")

`init_state="rest"`: v = v_leak.  Source: Yin, Corradi, Bohte 2020 (the integrator readout); NIR's LI
(Pedersen et al. 2024).
"""

from typing import Any, NamedTuple

from .bounds import time_constant
from .elementwise import elementwise
from .model import INTEGRATORS, Inputs, Options, leak, leak_adjoint, scaled, scaled_adjoint

NAME = "LI"
BOUNDS = {"tau_mem": time_constant}
OPTIONS = {"input_scale": ("1-alpha", "1"), "integrator": INTEGRATORS}
OUTPUT = "v"


class State(NamedTuple):
    v: float


class Params(NamedTuple):
    alpha: float
    gain: float
    rest: float         # what the resting potential adds in a step


class Out(NamedTuple):
    v: float


class Settings(NamedTuple):
    tau_mem: float = 20.0
    v_leak: float = 0.0
    r: float = 1.0


@elementwise
def step(inputs, state, params, f):
    v = params.alpha * state.v + params.gain * inputs.current + params.rest
    return Out(v), State(v)


@elementwise
def step_adjoint(inputs, state, params, f, dout, dstate):
    # v = alpha * v + gain * current + rest
    dv = dout.v + dstate.v
    return Inputs(params.gain * dv), State(params.alpha * dv), Params(dv * state.v, dv * inputs.current, dv)


def coefficients(settings: Any, options: Options, dt: float) -> Params:
    alpha = leak(settings.tau_mem, dt, options["integrator"])
    return Params(alpha, scaled(settings.r, alpha, options["input_scale"]), (1 - alpha) * settings.v_leak)


def coefficients_adjoint(settings: Any, options: Options, dt: float, dparams: Any) -> Settings:
    alpha = leak(settings.tau_mem, dt, options["integrator"])
    dr, dalpha = scaled_adjoint(settings.r, alpha, options["input_scale"], dparams.gain)
    dalpha = dparams.alpha + dalpha - dparams.rest * settings.v_leak
    dtau = leak_adjoint(settings.tau_mem, dt, options["integrator"], dalpha)
    return Settings(dtau, (1 - alpha) * dparams.rest, dr)


INITIAL_STATE = {"uniform": lambda settings, draw: State(draw),
                 "rest": lambda settings, draw: State(0 * draw + settings.v_leak)}
