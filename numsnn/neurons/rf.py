"""Resonate-and-fire neuron: a damped oscillator, which spikes where its real part is above the threshold.

    dz/dt = (-damping + i omega) z + I,   z = v + i w

    v_t = v_{t-1} + dt (-damping v_{t-1} - omega w_{t-1} + I_t)
    w_t = w_{t-1} + dt (omega v_{t-1} - damping w_{t-1})
    s_t = H(v_t - v_threshold)                                          H: `surrogate`, comparator ">" or ">="

There is no reset: the neuron goes on swinging.  It answers inputs that come in its rhythm.  Both lines take
the old values (Euler); without enough damping, below dt omega^2 / 2, the oscillation grows, which `BRF`
mends.

    omega        angular frequency, in radians for each unit of dt, 0 or more
    damping      rate at which oscillations die away, per unit of dt, 0 or more (|b_offset| in the paper)
    v_threshold  threshold, in the unit of v

Source: Izhikevich 2001; Higuchi, Kairat, Bohte, Otte 2024 (arXiv 2402.14603) and their code.
"""

from typing import Any, NamedTuple

from .elementwise import ZERO
from .model import Inputs, Options, Out

NAME = "RF"
BOUNDS = {"omega": (0.0, None), "damping": (0.0, None)}
DEFAULTS = {"surrogate": "double_gaussian"}


class State(NamedTuple):
    v: float            # real part, the membrane potential
    w: float            # imaginary part


class Params(NamedTuple):
    keep: float         # 1 - dt damping: what is left of v and w
    turn: float         # dt omega: how far they turn
    gain: float         # dt, of the input
    v_threshold: float


CONSTANT = ("gain",)


class Settings(NamedTuple):
    omega: float = 0.1
    damping: float = 0.01
    v_threshold: float = 1.0


def step(inputs, state, params, f):
    v = params.keep * state.v - params.turn * state.w + params.gain * inputs.current
    w = params.turn * state.v + params.keep * state.w
    s = f.spike(v - params.v_threshold, f.k)
    return Out(s, v, params.v_threshold), State(v, w)


def step_adjoint(inputs, state, params, f, dout, dstate):
    v = params.keep * state.v - params.turn * state.w + params.gain * inputs.current
    # s = spike(v - v_threshold)
    dx = dout.spike * f.slope(v - params.v_threshold, f.k)
    dv = dout.v + dstate.v + dx
    # w = turn * v + keep * w
    dw = dstate.w
    return (Inputs(params.gain * dv),
            State(params.keep * dv + params.turn * dw, params.keep * dw - params.turn * dv),
            Params(dv * state.v + dw * state.w, dw * state.v - dv * state.w, ZERO, dout.theta - dx))


def coefficients(settings: Any, options: Options, dt: float) -> Params:
    return Params(1 - dt * settings.damping, dt * settings.omega, dt, settings.v_threshold)


def coefficients_adjoint(settings: Any, options: Options, dt: float, dparams: Any) -> Settings:
    return Settings(dt * dparams.turn, -dt * dparams.keep, dparams.v_threshold)


INITIAL_STATE = {"uniform": lambda settings, draw: State(draw, 0 * draw)}
