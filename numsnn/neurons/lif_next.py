"""Leaky integrate-and-fire neuron; a spike resets the membrane in the next step (`LIF(reset_when="next")`).

    w_t = alpha v_{t-1} + gain I_t + (1 - alpha) v_leak
    v_t = w_t - s_{t-1} v_threshold                     reset="soft"
          w_t - s_{t-1} (w_t - v_reset)                 reset="hard": the input of that step is lost too
          w_t                                           reset="none"
    s_t = H(v_t - v_threshold)

Meaning and units as in `LIF`.  With a soft reset v_threshold is subtracted one step later and so does not
decay with v: this is not the neuron of `reset_when="same"`.  Source: snnTorch 1.0 (`Leaky`,
reset_delay=True).
"""

from typing import NamedTuple

from .elementwise import ZERO
from .lif import BOUNDS, CONSTANT, OPTIONS, Params, Settings, coefficients, coefficients_adjoint
from .model import Inputs, Out

NAME = "LIFNext"

__all__ = ["BOUNDS", "CONSTANT", "OPTIONS", "Params", "Settings", "coefficients", "coefficients_adjoint"]


class State(NamedTuple):
    v: float            # membrane potential
    spike: float        # of the last step


def step(inputs, state, params, f):
    w = params.alpha * state.v + params.gain * inputs.current + params.rest
    r = params.soft * params.v_threshold + params.hard * (w - params.v_reset)
    v = w - state.spike * r
    s = f.spike(v - params.v_threshold, f.k)
    return Out(s, v, params.v_threshold), State(v, s)


def step_adjoint(inputs, state, params, f, dout, dstate):
    w = params.alpha * state.v + params.gain * inputs.current + params.rest
    r = params.soft * params.v_threshold + params.hard * (w - params.v_reset)
    v = w - state.spike * r
    # s = spike(v - v_threshold)
    dx = (dout.spike + dstate.spike) * f.slope(v - params.v_threshold, f.k)
    dv = dout.v + dstate.v + dx
    # v = w - spike * r
    dspike = -params.attach * (dv * r)
    dr = -dv * state.spike
    # r = soft * v_threshold + hard * (w - v_reset)
    dw = dv + params.hard * dr
    dthreshold = dout.theta + params.soft * dr - dx
    # w = alpha * v + gain * current + rest
    return (Inputs(params.gain * dw), State(params.alpha * dw, dspike),
            Params(dw * state.v, dw * inputs.current, dw, dthreshold, -params.hard * dr, ZERO, ZERO, ZERO))


INITIAL_STATE = {"uniform": lambda settings, draw: State(draw, 0 * draw),
                 "rest": lambda settings, draw: State(0 * draw + settings.v_leak, 0 * draw)}
