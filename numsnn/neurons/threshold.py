"""The memoryless neuron of the layer `Threshold` (layers/memoryless.py).

    s_t = H(I_t - v_threshold)                       H: `surrogate`, `comparator` (">")

Source: McCulloch & Pitts 1943.
"""

from typing import NamedTuple

from .model import Inputs, Options, Out


class State(NamedTuple):
    """There is none."""


class Params(NamedTuple):
    v_threshold: float


class Settings(NamedTuple):
    v_threshold: float = 1.0


def step(inputs, state, params, f):
    s = f.spike(inputs.current - params.v_threshold, f.k)
    return Out(s, inputs.current, params.v_threshold), State()


def step_adjoint(inputs, state, params, f, dout, dstate):
    # s = spike(current - v_threshold)
    dx = dout.spike * f.slope(inputs.current - params.v_threshold, f.k)
    return Inputs(dout.v + dx), State(), Params(dout.theta - dx)


def coefficients(settings: Settings, options: Options, dt: float) -> Params:
    return Params(*settings)


def coefficients_adjoint(settings: Settings, options: Options, dt: float, dparams: Params) -> Settings:
    return Settings(*dparams)
