"""Harmonic resonate-and-fire neuron: a mass on a spring, which spikes where its speed is above the threshold.

    d^2w/dt^2 + 2 b dw/dt + omega^2 w = I,   v = dw/dt

    b_t = 0.005 omega^2 + damping + q_{t-1}
    w_t = w_{t-1} + dt v_{t-1}
    v_t = v_{t-1} + dt (I_t - 2 b_t v_{t-1} - omega^2 w_t)
    s_t = H(v_t - theta_t)                              theta_t = v_threshold + q_{t-1}
    q_t = gamma q_{t-1} + s_t                           H: `surrogate`, comparator ">" or ">="

A spike raises the threshold and damps the oscillation for a while, and resets nothing.

    omega        angular frequency without damping, in radians for each unit of dt, 0 or more
    damping      beyond 0.005 omega^2, per unit of dt, 0 or more (|b_offset| in the paper)
    v_threshold  threshold at rest, in the unit of v
    gamma        what is left of q after a step

Each spike adds 1 to the damping rate, per unit of dt: dt is small, 0.01 in the paper, or Euler's steps fail.

Source: Higuchi, Kairat, Bohte, Otte 2024 (arXiv 2402.14603) and their code: dt = 0.01.
"""

from typing import Any, NamedTuple

from .elementwise import TWO, ZERO
from .model import Inputs, Options, Out

NAME = "HRF"
BOUNDS = {"omega": (0.0, None), "damping": (0.0, None), "gamma": (0.0, 1.0)}
DEFAULTS = {"surrogate": "double_gaussian"}
OWN_DAMPING = 0.005     # of omega^2


class State(NamedTuple):
    v: float            # speed, the membrane potential
    w: float            # place
    q: float            # refractory trace of the spikes


class Params(NamedTuple):
    keep: float         # 1 - 2 dt (0.005 omega^2 + damping): what is left of v where q is 0
    spring: float       # dt omega^2
    gain: float         # dt, of the input, v and q
    v_threshold: float
    gamma: float


CONSTANT = ("gain",)


class Settings(NamedTuple):
    omega: float = 0.1
    damping: float = 0.01
    v_threshold: float = 1.0
    gamma: float = 0.9


def step(inputs, state, params, f):
    w = state.w + params.gain * state.v
    keep = params.keep - TWO * (params.gain * state.q)
    v = keep * state.v - params.spring * w + params.gain * inputs.current
    theta = params.v_threshold + state.q
    s = f.spike(v - theta, f.k)
    return Out(s, v, theta), State(v, w, params.gamma * state.q + s)


def step_adjoint(inputs, state, params, f, dout, dstate):
    w = state.w + params.gain * state.v
    keep = params.keep - TWO * (params.gain * state.q)
    v = keep * state.v - params.spring * w + params.gain * inputs.current
    theta = params.v_threshold + state.q
    # q = gamma * q + s
    ds = dout.spike + dstate.q
    # s = spike(v - theta)
    dx = ds * f.slope(v - theta, f.k)
    dv = dout.v + dstate.v + dx
    dtheta = dout.theta - dx
    # v = keep * v - spring * w + gain * current
    dw = dstate.w - params.spring * dv
    # keep = params.keep - 2 * gain * q
    dkeep = dv * state.v
    dq = params.gamma * dstate.q + dtheta - TWO * (params.gain * dkeep)
    # w = w + gain * v
    return (Inputs(params.gain * dv),
            State(keep * dv + params.gain * dw, dw, dq),
            Params(dkeep, -(dv * w), ZERO, dtheta, dstate.q * state.q))


def coefficients(settings: Any, options: Options, dt: float) -> Params:
    damping = OWN_DAMPING * settings.omega ** 2 + settings.damping
    return Params(1 - 2 * dt * damping, dt * settings.omega ** 2, dt, settings.v_threshold, settings.gamma)


def coefficients_adjoint(settings: Any, options: Options, dt: float, dparams: Any) -> Settings:
    ddamping = -2 * dt * dparams.keep
    domega = 2 * settings.omega * (OWN_DAMPING * ddamping + dt * dparams.spring)
    return Settings(domega, ddamping, dparams.v_threshold, dparams.gamma)


INITIAL_STATE = {"uniform": lambda settings, draw: State(draw, 0 * draw, 0 * draw)}
