"""Leaky integrate-and-fire neuron with a learned leak: PLIF.

    u_t = v_{t-1} + k (I_t - (v_{t-1} - v_reset))                       input_scale="k"
          v_{t-1} - k (v_{t-1} - v_reset) + I_t                         input_scale="1"
    s_t = H(u_t - v_threshold)                                          H: `surrogate`, comparator ">" or ">="
    v_t = u_t - s_t (u_t - v_reset)                                     reset="hard"
          u_t - s_t v_threshold                                         reset="soft"
          u_t                                                           reset="none"

k is what the membrane goes of its way in one step: 1 / tau in the paper, tau in steps.  It is the step of
`LIF` with alpha = 1 - k; what is learned of k is its logit (learn_as="logit"), which keeps it between 0 and
1.  The paper learns one k for a layer: learn="k", shared="k".  The membrane that is handed out, `v`, is u_t,
before the reset.  `detach_reset=True` keeps the gradient from flowing through the spike of the reset.

    k            share of the way to its input that v goes in a step, between 0 and 1
    v_threshold  threshold, in the unit of v
    v_reset      value after a hard reset, and at rest, in the unit of v

`init_state="rest"`: v = v_reset.  Source: Fang, Yu, Chen, Masquelier, Huang, Tian 2021 (arXiv 2007.05785)
and their code.
"""

from typing import Any, NamedTuple

from .lif import CONSTANT, DIFFERS, Params, State, of_reset, step, step_adjoint
from .model import Options

NAME = "PLIF"
BOUNDS = {"k": (0.0, 1.0)}
LEARN_AS = {"k": "logit"}
OPTIONS = {"reset": ("hard", "soft", "none"), "input_scale": ("k", "1"), "detach_reset": (False, True)}
DEFAULTS = {"surrogate": "atan", "comparator": ">="}

__all__ = ["CONSTANT", "DIFFERS", "State", "step", "step_adjoint"]


class Settings(NamedTuple):
    k: float = 0.5
    v_threshold: float = 1.0
    v_reset: float = 0.0


def coefficients(settings: Any, options: Options, dt: float) -> Params:
    gain = settings.k if options["input_scale"] == "k" else 0 * settings.k + 1
    return Params(1 - settings.k, gain, settings.k * settings.v_reset, settings.v_threshold, settings.v_reset,
                  *of_reset(options))


def coefficients_adjoint(settings: Any, options: Options, dt: float, dparams: Any) -> Settings:
    dgain = dparams.gain if options["input_scale"] == "k" else 0 * dparams.gain
    return Settings(dgain - dparams.alpha + dparams.rest * settings.v_reset, dparams.v_threshold,
                    dparams.v_reset + dparams.rest * settings.k)


INITIAL_STATE = {"uniform": lambda settings, draw: State(draw),
                 "rest": lambda settings, draw: State(0 * draw + settings.v_reset)}
