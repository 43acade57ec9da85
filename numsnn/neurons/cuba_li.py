"""Current-based leaky integrator: a membrane without spikes behind a synapse that decays.

    tau_syn di/dt = -i + w_in S,   tau_mem dv/dt = v_leak - v + R i

    i_t = alpha_syn i_{t-1} + gain_syn S_t
    v_t = alpha v_{t-1} + gain i_t + (1 - alpha) v_leak

The membrane takes the current of the same step.  It is the step of `LI` on i.

    tau_syn      time constant of the synapse, in the unit of dt
    tau_mem      membrane time constant, in the unit of dt
    v_leak       potential at rest, in the unit of v
    r            resistance: what a current of 1 adds to the membrane, see input_scale
    w_in         what an input of 1 adds to the current, see input_scale
    input_scale  gain = r (1 - alpha), gain_syn = w_in (1 - alpha_syn) ("1-alpha") or
                 gain = r, gain_syn = w_in ("1")
    integrator   alphas are exp(-dt / tau) ("exponential") or 1 - dt / tau ("euler")

Source: NIR's CubaLI (Pedersen et al. 2024).
"""

from typing import Any, NamedTuple

from . import li
from .bounds import time_constant
from .elementwise import elementwise
from .li import OUTPUT, Out, step as li_step, step_adjoint as li_adjoint
from .model import Inputs, Options, leak, leak_adjoint, scaled, scaled_adjoint

NAME = "CubaLI"
BOUNDS = {"tau_syn": time_constant, "tau_mem": time_constant}
OPTIONS = li.OPTIONS

__all__ = ["OUTPUT", "Out"]


class State(NamedTuple):
    v: float
    i: float            # current


class Params(NamedTuple):
    alpha_syn: float
    gain_syn: float
    alpha: float
    gain: float
    rest: float         # what the resting potential adds in a step


class Settings(NamedTuple):
    tau_syn: float = 5.0
    tau_mem: float = 20.0
    v_leak: float = 0.0
    r: float = 1.0
    w_in: float = 1.0


@elementwise
def step(inputs, state, params, f):
    i = params.alpha_syn * state.i + params.gain_syn * inputs.current
    out, after = li_step(Inputs(i), state, params, f)
    return out, State(after.v, i)


@elementwise
def step_adjoint(inputs, state, params, f, dout, dstate):
    i = params.alpha_syn * state.i + params.gain_syn * inputs.current
    dcurrent, dbefore, d = li_adjoint(Inputs(i), state, params, f, dout, dstate)
    # i = alpha_syn * i + gain_syn * current
    di = dstate.i + dcurrent.current
    return (Inputs(params.gain_syn * di), State(dbefore.v, params.alpha_syn * di),
            Params(di * state.i, di * inputs.current, d.alpha, d.gain, d.rest))


def coefficients(settings: Settings, options: Options, dt: float) -> Params:
    of_membrane: tuple = li.coefficients(settings, options, dt)
    return Params(*of_synapse(settings, options, dt), *of_membrane)


def of_synapse(settings: Any, options: Options, dt: float) -> tuple:
    """(alpha_syn, gain_syn)."""
    alpha = leak(settings.tau_syn, dt, options["integrator"])
    return alpha, scaled(settings.w_in, alpha, options["input_scale"])


def of_synapse_adjoint(settings: Any, options: Options, dt: float, dparams: Any) -> tuple:
    """(d loss / d tau_syn, d loss / d w_in)."""
    alpha = leak(settings.tau_syn, dt, options["integrator"])
    dw_in, dalpha = scaled_adjoint(settings.w_in, alpha, options["input_scale"], dparams.gain_syn)
    return leak_adjoint(settings.tau_syn, dt, options["integrator"], dparams.alpha_syn + dalpha), dw_in


def coefficients_adjoint(settings: Settings, options: Options, dt: float, dparams: Params) -> Settings:
    dtau_syn, dw_in = of_synapse_adjoint(settings, options, dt, dparams)
    d = li.coefficients_adjoint(settings, options, dt, dparams)
    return Settings(dtau_syn, d.tau_mem, d.v_leak, d.r, dw_in)


INITIAL_STATE = {"uniform": lambda settings, draw: State(draw, 0 * draw),
                 "rest": lambda settings, draw: State(0 * draw + settings.v_leak, 0 * draw)}
