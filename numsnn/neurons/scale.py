"""The memoryless unit of the layer `Scale` (layers/memoryless.py).

    y_t = scale I_t
"""

from typing import NamedTuple

from .model import Inputs, Options

OUTPUT = "v"


class State(NamedTuple):
    """There is none."""


class Params(NamedTuple):
    scale: float


class Out(NamedTuple):
    v: float            # y


class Settings(NamedTuple):
    scale: float = 1.0


def step(inputs, state, params, f):
    return Out(params.scale * inputs.current), State()


def step_adjoint(inputs, state, params, f, dout, dstate):
    # y = scale * current
    return Inputs(params.scale * dout.v), State(), Params(inputs.current * dout.v)


def coefficients(settings: Settings, options: Options, dt: float) -> Params:
    return Params(*settings)


def coefficients_adjoint(settings: Settings, options: Options, dt: float, dparams: Params) -> Settings:
    return Settings(*dparams)
