"""Leaky integrator: a membrane without spikes, for readouts.

    tau_mem dv/dt = -v + R I

    v_t = alpha v_{t-1} + gain I_t                      alpha = exp(-dt / tau_mem)

    tau_mem      membrane time constant, in the unit of dt
    input_scale  gain = 1 - alpha ("1-alpha"; R = 1, I in the unit of v) or gain = 1 ("1")

Source: Yin, Corradi, Bohte 2020 (the integrator readout).
"""

from typing import NamedTuple

from .model import Inputs, Options, decay, decay_adjoint

NAME = "LI"
OPTIONS = {"input_scale": ("1-alpha", "1")}
OUTPUT = "v"


class State(NamedTuple):
    v: float


class Params(NamedTuple):
    alpha: float
    gain: float


class Out(NamedTuple):
    v: float


class Settings(NamedTuple):
    tau_mem: float = 20.0


def step(inputs, state, params, f):
    v = params.alpha * state.v + params.gain * inputs.current
    return Out(v), State(v)


def step_adjoint(inputs, state, params, f, dout, dstate):
    # v = alpha * v + gain * current
    dv = dout.v + dstate.v
    return Inputs(params.gain * dv), State(params.alpha * dv), Params(dv * state.v, dv * inputs.current)


def coefficients(settings: Settings, options: Options, dt: float) -> Params:
    alpha = decay(settings.tau_mem, dt)
    return Params(alpha, 1 - alpha if options["input_scale"] == "1-alpha" else 1.0)


def coefficients_adjoint(settings: Settings, options: Options, dt: float, dparams: Params) -> Settings:
    dalpha = dparams.alpha - (dparams.gain if options["input_scale"] == "1-alpha" else 0.0)
    return Settings(decay_adjoint(settings.tau_mem, dt, dalpha))


INITIAL_STATE = {"uniform": lambda settings, draw: State(draw)}
