"""Adaptive leaky integrate-and-fire neuron with a refractory time (`ALIF(refractory=...)`).

The equations of `ALIF`, with spikes held back as numsnn.neurons.refractory says: one that is held back raises
no threshold and resets nothing.

    tau_mem, tau_adp, v_threshold, beta, and the option detach_reset: as in `ALIF`
    refractory                           time after a spike in which there is none, in the unit of dt

Source: Yin, Corradi, Bohte 2020; Gerstner & Kistler 2002, section 4.2.
"""

from typing import NamedTuple

from . import alif
from .alif import step as alif_step, step_adjoint as alif_adjoint
from .elementwise import ZERO, elementwise
from .model import Options, Out
from .refractory import held_back, held_back_adjoint, steps

NAME = "ALIFRefractory"
BOUNDS = alif.BOUNDS
CONSTANT = ("attach", "refractory")
OPTIONS = alif.OPTIONS


class State(NamedTuple):
    v: float            # membrane potential
    spike: float        # of the last step
    eta: float          # adaptation, a low-pass of the spikes
    wait: float         # steps in which there can be no spike yet


class Params(NamedTuple):
    alpha: float
    rho: float
    v_threshold: float
    beta: float
    attach: float       # 1 where the gradient flows through the spike of the reset, else 0
    refractory: float   # steps


class Settings(NamedTuple):
    tau_mem: float = 20.0
    tau_adp: float = 150.0
    v_threshold: float = 0.01
    beta: float = 1.8
    refractory: float = 0.0


@elementwise
def step(inputs, state, params, f):
    out, after = alif_step(inputs, state, params, f)
    spike, v, wait = held_back(out, after.v, state.wait, params.refractory)
    return Out(spike, v, out.theta), State(v, spike, after.eta, wait)


@elementwise
def step_adjoint(inputs, state, params, f, dout, dstate):
    out, _ = alif_step(inputs, state, params, f)
    spikes = dout.spike + dstate.spike
    dspike, du, dv, dwait = held_back_adjoint(out, state.wait, spikes, dout.v + dstate.v, dstate.wait)
    dinner = Out(dspike, du + dv, dout.theta)
    dinputs, dbefore, d = alif_adjoint(inputs, state, params, f, dinner, State(ZERO, ZERO, dstate.eta, ZERO))
    return (dinputs, State(dbefore.v, dbefore.spike, dbefore.eta, dwait),
            Params(d.alpha, d.rho, d.v_threshold, d.beta, ZERO, ZERO))


def coefficients(settings: Settings, options: Options, dt: float) -> Params:
    of_neuron: tuple = alif.coefficients(settings, options, dt)
    return Params._make((*of_neuron, steps(settings.refractory, dt)))


def coefficients_adjoint(settings: Settings, options: Options, dt: float, dparams: Params) -> Settings:
    d: tuple = alif.coefficients_adjoint(settings, options, dt, dparams)
    return Settings._make((*d, 0 * dparams.beta))


def waiting(begin):
    """An initial state of the ALIF, in which nothing is waited for."""
    return lambda settings, draw: State(*begin(settings, draw), 0 * draw)


INITIAL_STATE = {name: waiting(begin) for name, begin in alif.INITIAL_STATE.items()}
