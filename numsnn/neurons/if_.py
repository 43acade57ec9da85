"""Integrate-and-fire neuron: a membrane that does not leak.

    dv/dt = R I,   a spike when v crosses v_threshold

    u_t = v_{t-1} + r dt I_t
    s_t = H(u_t - v_threshold)                          H: `surrogate`, comparator ">" or ">="
    v_t = u_t - s_t v_threshold                         reset="soft"
          u_t - s_t (u_t - v_reset)                     reset="hard"
          u_t                                           reset="none"

It is the step of `LIF` with alpha = 1.  The membrane that is handed out, `v`, is u_t, before the reset.

    v_threshold  threshold, in the unit of v
    v_reset      value after a hard reset, in the unit of v
    r            what a current of 1 adds to the membrane in a unit of time
    refractory   time after a spike in which there is none, in the unit of dt (model `IFRefractory`)

Source: Lapicque 1907; NIR's IF (Pedersen et al. 2024).
"""

from typing import Any, NamedTuple

from .lif import CONSTANT, DIFFERS, OPTIONS as OF_LIF, Params, State, of_reset, step, step_adjoint
from .model import Options

NAME = "IF"
VARIANTS = {"refractory": {0.0: "IF", float: "IFRefractory"}}
OPTIONS = {name: OF_LIF[name] for name in ("reset", "detach_reset")}

__all__ = ["CONSTANT", "DIFFERS", "State", "step", "step_adjoint"]


class Settings(NamedTuple):
    v_threshold: float = 1.0
    v_reset: float = 0.0
    r: float = 1.0


def coefficients(settings: Any, options: Options, dt: float) -> Params:
    return Params(1.0, settings.r * dt, 0.0, settings.v_threshold, settings.v_reset, *of_reset(options))


def coefficients_adjoint(settings: Any, options: Options, dt: float, dparams: Any) -> Settings:
    return Settings(dparams.v_threshold, dparams.v_reset, dparams.gain * dt)


INITIAL_STATE = {"uniform": lambda settings, draw: State(draw)}
