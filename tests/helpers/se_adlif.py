"""SE-adLIF (Baronig et al. 2024) as somebody else's file: nothing but the contract of a neuron model."""

from typing import NamedTuple

import numpy as np

from numsnn.neurons.bounds import time_constant
from numsnn.neurons.elementwise import ONE
from numsnn.neurons.model import Inputs, Out


class State(NamedTuple):
    u: float
    w: float


class Params(NamedTuple):
    keep: float
    slow: float
    take: float
    jump: float
    v_threshold: float


class Settings(NamedTuple):
    tau_u: float = 15.0
    tau_w: float = 180.0
    a: float = 0.5
    b: float = 1.0
    v_threshold: float = 1.0


BOUNDS = {"tau_u": time_constant, "tau_w": time_constant, "a": (0, 1), "b": (0, 2)}
DEFAULTS = {"surrogate": "symmetric_exponential"}


def step(inputs, state, params, f):
    potential = params.keep * state.u + (ONE - params.keep) * (inputs.current - state.w)
    z = f.spike(potential - params.v_threshold, f.k)
    u = potential * (ONE - z)
    w = params.slow * state.w + params.take * u + params.jump * z
    return Out(z, potential, params.v_threshold), State(u, w)


def step_adjoint(inputs, state, params, f, dout, dstate):
    potential = params.keep * state.u + (ONE - params.keep) * (inputs.current - state.w)
    z = f.spike(potential - params.v_threshold, f.k)
    u = potential * (ONE - z)
    # w = slow * w + take * u + jump * z
    du = dstate.u + params.take * dstate.w
    # u = potential * (1 - z)
    dz = dout.spike + params.jump * dstate.w - du * potential
    # z = spike(potential - v_threshold)
    dx = dz * f.slope(potential - params.v_threshold, f.k)
    dpotential = dout.v + du * (ONE - z) + dx
    # potential = keep * u + (1 - keep) * (current - w)
    dcurrent = (ONE - params.keep) * dpotential
    return (Inputs(dcurrent), State(params.keep * dpotential, params.slow * dstate.w - dcurrent),
            Params(dpotential * (state.u - inputs.current + state.w), dstate.w * state.w, dstate.w * u,
                   dstate.w * z, dout.theta - dx))


def coefficients(settings, options, dt):
    slow = np.exp(-dt / settings.tau_w)
    scale = 120 * (1 - slow)
    return Params(np.exp(-dt / settings.tau_u), slow, scale * settings.a, scale * settings.b,
                  settings.v_threshold)


def coefficients_adjoint(settings, options, dt, dparams):
    keep, slow = np.exp(-dt / settings.tau_u), np.exp(-dt / settings.tau_w)
    dslow = dparams.slow - 120 * (dparams.take * settings.a + dparams.jump * settings.b)
    return Settings(dparams.keep * keep * dt / settings.tau_u ** 2, dslow * slow * dt / settings.tau_w ** 2,
                    120 * (1 - slow) * dparams.take, 120 * (1 - slow) * dparams.jump, dparams.v_threshold)
