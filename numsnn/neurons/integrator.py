"""Integrator: a sum of its current over time, without leak and without spikes.

    dv/dt = R I

    v_t = v_{t-1} + r dt I_t

It is the step of `LI` with alpha = 1.  r: what a current of 1 adds in a unit of time.
Source: NIR's I (Pedersen et al. 2024).
"""

from typing import NamedTuple

from .li import OUTPUT, Out, Params, State, step, step_adjoint
from .model import Options

NAME = "Integrator"

__all__ = ["OUTPUT", "Out", "State", "step", "step_adjoint"]


class Settings(NamedTuple):
    r: float = 1.0


def coefficients(settings: Settings, options: Options, dt: float) -> Params:
    return Params(1.0, settings.r * dt, 0.0)


def coefficients_adjoint(settings: Settings, options: Options, dt: float, dparams: Params) -> Settings:
    return Settings(dparams.gain * dt)


INITIAL_STATE = {"uniform": lambda settings, draw: State(draw)}
