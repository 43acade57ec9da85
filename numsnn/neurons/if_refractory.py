"""Integrate-and-fire neuron with a refractory time (`IF(refractory=...)`).

The equations of `IF`, with spikes held back as numsnn.neurons.refractory says; the step of `LIF` with a
refractory time and alpha = 1.

    v_threshold, v_reset, r  as in `IF`
    refractory               time after a spike in which there is none, in the unit of dt

Options reset and detach_reset as in `LIF`.  Source: Gerstner & Kistler 2002, section 4.2.
"""

from typing import NamedTuple

from . import if_
from .if_ import OPTIONS
from .lif_refractory import CONSTANT, DIFFERS, Params, State, step, step_adjoint
from .model import Options
from .refractory import steps

NAME = "IFRefractory"

__all__ = ["CONSTANT", "DIFFERS", "OPTIONS", "step", "step_adjoint"]


class Settings(NamedTuple):
    v_threshold: float = 1.0
    v_reset: float = 0.0
    r: float = 1.0
    refractory: float = 0.0


def coefficients(settings: Settings, options: Options, dt: float) -> Params:
    of_membrane: tuple = if_.coefficients(settings, options, dt)
    return Params._make((*of_membrane, steps(settings.refractory, dt)))


def coefficients_adjoint(settings: Settings, options: Options, dt: float, dparams: Params) -> Settings:
    d: tuple = if_.coefficients_adjoint(settings, options, dt, dparams)
    return Settings._make((*d, 0 * dparams.v_reset))


INITIAL_STATE = {"uniform": lambda settings, draw: State(draw, 0 * draw)}
