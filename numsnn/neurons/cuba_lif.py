"""Current-based leaky integrate-and-fire neuron: a synapse that decays, and a membrane that spikes.

    tau_syn di/dt = -i + w_in S,   tau_mem dv/dt = v_leak - v + R i,   a spike when v crosses v_threshold

    i_t = alpha_syn i_{t-1} + gain_syn S_t
    u_t = alpha v_{t-1} + gain i_t + (1 - alpha) v_leak
    s_t, v_t: spike and reset of `LIF`

The membrane takes the current of the same step.  It is the step of `LIF` on i.

    tau_syn      time constant of the synapse, in the unit of dt
    tau_mem      membrane time constant, in the unit of dt
    v_threshold  threshold, in the unit of v
    v_reset      value after a hard reset, in the unit of v
    v_leak       potential at rest, in the unit of v
    r            resistance: what a current of 1 adds to the membrane, see input_scale
    w_in         what an input of 1 adds to the current, see input_scale
    refractory   time after a spike in which there is none, in the unit of dt (model `CubaLIFRefractory`)
    input_scale  gain = r, gain_syn = w_in ("1") or gain = r (1 - alpha), gain_syn = w_in (1 - alpha_syn)
                 ("1-alpha")
    integrator   alphas are exp(-dt / tau) ("exponential") or 1 - dt / tau ("euler")

Source: NIR's CubaLIF (Pedersen et al. 2024); snnTorch's Synaptic is input_scale="1", reset_when "next" apart.
"""

from typing import Any, NamedTuple

from . import lif
from .bounds import time_constant
from .cuba_li import of_synapse, of_synapse_adjoint
from .elementwise import elementwise
from .lif import CONSTANT, DIFFERS, OPTIONS, step as lif_step, step_adjoint as lif_adjoint
from .model import Inputs, Options

NAME = "CubaLIF"
BOUNDS = {"tau_syn": time_constant, "tau_mem": time_constant}
VARIANTS = {"refractory": {0.0: "CubaLIF", float: "CubaLIFRefractory"}}

__all__ = ["CONSTANT", "DIFFERS", "OPTIONS"]


class State(NamedTuple):
    v: float            # membrane potential, after the reset
    i: float            # current


class Params(NamedTuple):
    alpha_syn: float
    gain_syn: float
    alpha: float
    gain: float
    rest: float         # what the resting potential adds in a step
    v_threshold: float
    v_reset: float
    soft: float         # 1 for a soft reset, else 0
    hard: float         # 1 for a hard reset, else 0
    attach: float       # 1 where the gradient flows through the spike of the reset, else 0


class Settings(NamedTuple):
    tau_syn: float = 5.0
    tau_mem: float = 20.0
    v_threshold: float = 1.0
    v_reset: float = 0.0
    v_leak: float = 0.0
    r: float = 1.0
    w_in: float = 1.0


@elementwise
def step(inputs, state, params, f):
    i = params.alpha_syn * state.i + params.gain_syn * inputs.current
    out, after = lif_step(Inputs(i), state, params, f)
    return out, State(after.v, i)


@elementwise
def step_adjoint(inputs, state, params, f, dout, dstate):
    i = params.alpha_syn * state.i + params.gain_syn * inputs.current
    dcurrent, dbefore, d = lif_adjoint(Inputs(i), state, params, f, dout, dstate)
    # i = alpha_syn * i + gain_syn * current
    di = dstate.i + dcurrent.current
    return (Inputs(params.gain_syn * di), State(dbefore.v, params.alpha_syn * di),
            Params(di * state.i, di * inputs.current, d.alpha, d.gain, d.rest, d.v_threshold, d.v_reset,
                   d.soft, d.hard, d.attach))


def coefficients(settings: Any, options: Options, dt: float) -> Params:
    of_membrane: tuple = lif.coefficients(settings, options, dt)
    return Params(*of_synapse(settings, options, dt), *of_membrane)


def coefficients_adjoint(settings: Any, options: Options, dt: float, dparams: Any) -> Settings:
    dtau_syn, dw_in = of_synapse_adjoint(settings, options, dt, dparams)
    d = lif.coefficients_adjoint(settings, options, dt, dparams)
    return Settings(dtau_syn, d.tau_mem, d.v_threshold, d.v_reset, d.v_leak, d.r, dw_in)


INITIAL_STATE = {"uniform": lambda settings, draw: State(draw, 0 * draw),
                 "rest": lambda settings, draw: State(0 * draw + settings.v_leak, 0 * draw)}
