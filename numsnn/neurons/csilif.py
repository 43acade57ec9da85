"""LIF neuron with a complex membrane, parametrised as a state space model: C-SiLIF.

    z_t = alpha (z_{t-1} - v_threshold s_{t-1} / 2) + b I_t     alpha = exp(pace dt (-damping + i omega))
    s_t = H(2 Re z_t - v_threshold)                             H: `surrogate`, comparator ">" or ">="

z = x + i y is carried as two real numbers; the membrane that is handed out, `v`, is 2 x_t (z and its
conjugate).  What is learned of pace and damping is their logarithm.  `detach_reset=True` keeps the gradient
from flowing through the spike of the reset.

    omega        angular frequency, in radians for each unit of the neuron's own time
    damping      rate at which z dies away, per unit of the neuron's own time
    pace         how fast the neuron's own time goes; the paper's time step, log-uniform from 0.01 to 0.5, is
                 pace dt
    b            gain of the input; the paper: U(0, 1)
    v_threshold  threshold, in the unit of v

`init_state="uniform"`: x, y, s ~ U(0, 1), as in the paper.  Source: SSM-inspired LIF (2025), the
authors' code.
"""

from math import pi
from typing import Any, NamedTuple

import numpy as np

from .elementwise import HALF, TWO, ZERO
from .model import Inputs, Options, Out

NAME = "CSiLIF"
BOUNDS = {"damping": (0.0, None), "pace": (0.0, None)}
LEARN_AS = {"damping": "log", "pace": "log"}
OPTIONS = {"detach_reset": (False, True)}
DEFAULTS = {"surrogate": "box"}


class State(NamedTuple):
    x: float            # real part
    y: float            # imaginary part
    spike: float        # of the last step


class Params(NamedTuple):
    real: float         # of alpha
    imaginary: float    # of alpha
    b: float
    v_threshold: float
    attach: float       # 1 where the gradient flows through the spike of the reset, else 0


CONSTANT = ("attach",)


class Settings(NamedTuple):
    omega: float = pi
    damping: float = 0.5
    pace: float = 0.1
    b: float = 0.5
    v_threshold: float = 1.0


def step(inputs, state, params, f):
    kept = state.x - HALF * (params.v_threshold * state.spike)
    x = params.real * kept - params.imaginary * state.y + params.b * inputs.current
    y = params.imaginary * kept + params.real * state.y
    v = TWO * x
    s = f.spike(v - params.v_threshold, f.k)
    return Out(s, v, params.v_threshold), State(x, y, s)


def step_adjoint(inputs, state, params, f, dout, dstate):
    kept = state.x - HALF * (params.v_threshold * state.spike)
    x = params.real * kept - params.imaginary * state.y + params.b * inputs.current
    v = TWO * x
    # s = spike(v - v_threshold)
    ds = (dout.spike + dstate.spike) * f.slope(v - params.v_threshold, f.k)
    dx = dstate.x + TWO * (dout.v + ds)
    # y = imaginary * kept + real * y
    dy = dstate.y
    # kept = x - v_threshold * spike / 2
    dkept = params.real * dx + params.imaginary * dy
    dthreshold = dout.theta - ds - HALF * (dkept * state.spike)
    return (Inputs(params.b * dx),
            State(dkept, params.real * dy - params.imaginary * dx,
                  -(params.attach * (HALF * (dkept * params.v_threshold)))),
            Params(dx * kept + dy * state.y, dy * kept - dx * state.y, dx * inputs.current, dthreshold, ZERO))


def coefficients(settings: Any, options: Options, dt: float) -> Params:
    own = settings.pace * dt
    size, angle = np.exp(-own * settings.damping), own * settings.omega
    return Params(size * np.cos(angle), size * np.sin(angle), settings.b, settings.v_threshold,
                  float(not options["detach_reset"]))


def coefficients_adjoint(settings: Any, options: Options, dt: float, dparams: Any) -> Settings:
    p, own = coefficients(settings, options, dt), settings.pace * dt
    along = dparams.real * p.real + dparams.imaginary * p.imaginary         # of a change of alpha's logarithm
    across = dparams.imaginary * p.real - dparams.real * p.imaginary        # of a change of its angle
    dpace = dt * (settings.omega * across - settings.damping * along)
    return Settings(own * across, -own * along, dpace, dparams.b, dparams.v_threshold)


INITIAL_STATE = {"uniform": lambda settings, draw: State(draw, draw, draw)}
