"""Leaky integrate-and-fire neuron with a refractory time (`LIF(refractory=...)`).

The equations of `LIF`, with spikes held back as numsnn.neurons.refractory says.

    refractory  time after a spike in which there is none, in the unit of dt

Source: Gerstner & Kistler 2002, sections 4.1 and 4.2.
"""

from typing import NamedTuple

from . import lif
from .elementwise import ZERO, elementwise
from .lif import DIFFERS, OPTIONS, step as lif_step, step_adjoint as lif_adjoint
from .model import Options, Out
from .refractory import held_back, held_back_adjoint, steps

NAME = "LIFRefractory"
BOUNDS = lif.BOUNDS
CONSTANT = (*lif.CONSTANT, "refractory")

__all__ = ["DIFFERS", "OPTIONS"]


class State(NamedTuple):
    v: float            # membrane potential, after the reset
    wait: float         # steps in which there can be no spike yet


class Params(NamedTuple):
    alpha: float
    gain: float
    rest: float
    v_threshold: float
    v_reset: float
    soft: float
    hard: float
    attach: float
    refractory: float   # steps


class Settings(NamedTuple):
    tau_mem: float = 20.0
    v_threshold: float = 1.0
    v_reset: float = 0.0
    v_leak: float = 0.0
    r: float = 1.0
    refractory: float = 0.0


@elementwise
def step(inputs, state, params, f):
    out, after = lif_step(inputs, state, params, f)
    spike, v, wait = held_back(out, after.v, state.wait, params.refractory)
    return Out(spike, out.v, out.theta), State(v, wait)


@elementwise
def step_adjoint(inputs, state, params, f, dout, dstate):
    out, _ = lif_step(inputs, state, params, f)
    dspike, du, dv, dwait = held_back_adjoint(out, state.wait, dout.spike, dstate.v, dstate.wait)
    dinner = Out(dspike, dout.v + du, dout.theta)
    dinputs, dbefore, d = lif_adjoint(inputs, state, params, f, dinner, State(dv, dwait))
    return (dinputs, State(dbefore.v, dwait),
            Params(d.alpha, d.gain, d.rest, d.v_threshold, d.v_reset, d.soft, d.hard, d.attach, ZERO))


def coefficients(settings: Settings, options: Options, dt: float) -> Params:
    of_membrane: tuple = lif.coefficients(settings, options, dt)
    return Params._make((*of_membrane, steps(settings.refractory, dt)))


def coefficients_adjoint(settings: Settings, options: Options, dt: float, dparams: Params) -> Settings:
    d: tuple = lif.coefficients_adjoint(settings, options, dt, dparams)
    return Settings._make((*d, 0 * dparams.v_reset))


INITIAL_STATE = {"uniform": lambda settings, draw: State(draw, 0 * draw),
                 "rest": lambda settings, draw: State(0 * draw + settings.v_leak, 0 * draw)}
