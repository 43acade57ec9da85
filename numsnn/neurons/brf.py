"""Balanced resonate-and-fire neuron: an oscillator that cannot grow, with a refractory threshold.

    b_t = p(omega) - damping - q_{t-1}                  p(omega) = (-1 + sqrt(1 - (dt omega)^2)) / dt
    v_t = v_{t-1} + dt (b_t v_{t-1} - omega w_{t-1} + I_t)
    w_t = w_{t-1} + dt (omega v_{t-1} + b_t w_{t-1})
    s_t = H(v_t - theta_t)                              theta_t = v_threshold + q_{t-1}
    q_t = gamma q_{t-1} + s_t                           H: `surrogate`, comparator ">" or ">="

With the damping p(omega) the Euler steps keep the length of v + i w (the divergence boundary); all that is
beyond it makes the oscillation die away.  A spike raises the threshold and damps the oscillation for a
while, and resets nothing.

    omega        angular frequency, in radians for each unit of dt, 0 or more, below 1 / dt
    damping      rate at which oscillations die away, per unit of dt, 0 or more (|b_offset| in the paper)
    v_threshold  threshold at rest, in the unit of v
    gamma        what is left of q after a step

Each spike adds 1 to the damping rate, per unit of dt: dt is small, 0.01 in the paper, or Euler's steps fail.

Source: Higuchi, Kairat, Bohte, Otte 2024 (arXiv 2402.14603) and their code: dt = 0.01, omega and damping
drawn from U(5, 10), U(2, 3) for speech, U(15, 85), U(0.1, 1) for permuted digits.
"""

from typing import Any, NamedTuple

import numpy as np

from .bounds import Bound
from .elementwise import ZERO
from .model import Inputs, Options, Out

NAME = "BRF"
NEAREST = 0.999         # of 1 / dt, where the slope of p is infinite


def below_one_step(options: Options, dt: float, learned: bool) -> Bound:
    """An oscillation that turns by less than 1 in a step."""
    return Bound(0.0, NEAREST / dt, f"is an angular frequency from 0 to below 1 / dt = {1 / dt:g}")


BOUNDS = {"omega": below_one_step, "damping": (0.0, None), "gamma": (0.0, 1.0)}
DEFAULTS = {"surrogate": "double_gaussian"}


class State(NamedTuple):
    v: float            # real part, the membrane potential
    w: float            # imaginary part
    q: float            # refractory trace of the spikes


class Params(NamedTuple):
    keep: float         # 1 + dt (p - damping): what is left of v and w where q is 0
    turn: float         # dt omega: how far they turn
    gain: float         # dt, of the input and of q
    v_threshold: float
    gamma: float


CONSTANT = ("gain",)


class Settings(NamedTuple):
    omega: float = 0.1
    damping: float = 0.01
    v_threshold: float = 1.0
    gamma: float = 0.9


def step(inputs, state, params, f):
    keep = params.keep - params.gain * state.q
    v = keep * state.v - params.turn * state.w + params.gain * inputs.current
    w = params.turn * state.v + keep * state.w
    theta = params.v_threshold + state.q
    s = f.spike(v - theta, f.k)
    return Out(s, v, theta), State(v, w, params.gamma * state.q + s)


def step_adjoint(inputs, state, params, f, dout, dstate):
    keep = params.keep - params.gain * state.q
    v = keep * state.v - params.turn * state.w + params.gain * inputs.current
    theta = params.v_threshold + state.q
    # q = gamma * q + s
    ds = dout.spike + dstate.q
    # s = spike(v - theta)
    dx = ds * f.slope(v - theta, f.k)
    dv = dout.v + dstate.v + dx
    dtheta = dout.theta - dx
    # w = turn * v + keep * w
    dw = dstate.w
    # keep = params.keep - gain * q
    dkeep = dv * state.v + dw * state.w
    dq = params.gamma * dstate.q + dtheta - params.gain * dkeep
    return (Inputs(params.gain * dv),
            State(keep * dv + params.turn * dw, keep * dw - params.turn * dv, dq),
            Params(dkeep, dw * state.v - dv * state.w, ZERO, dtheta, dstate.q * state.q))


def coefficients(settings: Any, options: Options, dt: float) -> Params:
    turn = dt * settings.omega
    keep = np.sqrt(1 - turn ** 2) - dt * settings.damping
    return Params(keep, turn, dt, settings.v_threshold, settings.gamma)


def coefficients_adjoint(settings: Any, options: Options, dt: float, dparams: Any) -> Settings:
    turn = dt * settings.omega
    dturn = dparams.turn - dparams.keep * turn / np.sqrt(1 - turn ** 2)
    return Settings(dt * dturn, -dt * dparams.keep, dparams.v_threshold, dparams.gamma)


INITIAL_STATE = {"uniform": lambda settings, draw: State(draw, 0 * draw, 0 * draw)}
