"""A neuron model of one's own: u = leak v + I, a spike above v_threshold, a soft reset."""

from typing import NamedTuple

from numsnn.neurons.model import Inputs, Out


class State(NamedTuple):
    v: float


class Params(NamedTuple):
    leak: float
    v_threshold: float


class Settings(NamedTuple):
    leak: float = 0.9
    v_threshold: float = 0.5


DIFFERS = ("v",)         # Out.v is before the reset, State.v after it


def step(inputs, state, params, f):
    u = params.leak * state.v + inputs.current
    s = f.spike(u - params.v_threshold, f.k)
    return Out(s, u, params.v_threshold), State(u - s * params.v_threshold)


def step_adjoint(inputs, state, params, f, dout, dstate):
    u = params.leak * state.v + inputs.current
    s = f.spike(u - params.v_threshold, f.k)
    # v = u - s * v_threshold
    dx = (dout.spike - dstate.v * params.v_threshold) * f.slope(u - params.v_threshold, f.k)
    du = dout.v + dstate.v + dx
    return Inputs(du), State(params.leak * du), Params(du * state.v, dout.theta - dx - dstate.v * s)


def coefficients(settings, options, dt):
    return Params(*settings)


def coefficients_adjoint(settings, options, dt, dparams):
    return Settings(*dparams)
