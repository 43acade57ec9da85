"""Leaky integrate and analog fire neuron: it spikes inside, and hands out an analog value.

    u_t = I_t + v_{t-1}
    s_t = H(u_t - v_threshold)                       H: `surrogate` (rectangle), `comparator` (">=")
    r_t = s_t v_reset + (1 - s_t) u_t                hard reset
    v_t = alpha r_t + beta                           multiplicative and additive leak
    y_t = f(u_t - v_threshold)                       threshold_related=True (TR); f: `activation`
          f(u_t)                                     threshold_related=False (NTR)

What the next layer receives is y_t (`output="analog"`); `output="spike"` is the LIF neuron of the same
paper.  The spike resets the neuron and is not sent.  `v` that is handed out is u_t.  `detach_reset=True`
keeps the gradient from flowing through the spike of the reset; with an NTR output nothing then reaches
v_threshold, and learning it is refused.

    alpha        multiplicative leak, what remains of the membrane in one step (dimensionless)
    beta         additive leak, in the unit of v
    v_threshold  threshold, in the unit of v
    v_reset      value after a spike, in the unit of v

Leak and reset come after the output, in the same step; nothing is scaled by dt.  The initial v is 0.
Source: Wu, Zhang, Lin, Li, Wang, Tang, LIAF-Net, IEEE Trans. Neural Netw. Learn. Syst. 2021
(arXiv 2011.06176).
"""

from collections.abc import Collection
from typing import NamedTuple

from .elementwise import ONE, ZERO
from .model import Inputs, Options

NAME, OUTPUT = "LIAF", "analog"
OPTIONS = {"threshold_related": (True, False), "detach_reset": (False, True)}
DEFAULTS = {"surrogate": "rectangle", "comparator": ">=", "activation": "relu"}


class State(NamedTuple):
    v: float            # membrane potential, after reset and leak


class Params(NamedTuple):
    alpha: float        # multiplicative leak
    beta: float         # additive leak
    v_threshold: float
    v_reset: float
    related: float      # 1 for TR, 0 for NTR
    attach: float       # 1 where the gradient flows through the spike of the reset, else 0


CONSTANT = ("related", "attach")
DIFFERS = ("v",)        # handed out before the reset


class Out(NamedTuple):
    spike: float
    v: float
    theta: float
    analog: float


class Settings(NamedTuple):
    alpha: float = 0.3
    beta: float = 0.0
    v_threshold: float = 0.5
    v_reset: float = 0.0


def step(inputs, state, params, f):
    u = inputs.current + state.v
    s = f.spike(u - params.v_threshold, f.k)
    r = u + s * (params.v_reset - u)
    y = f.act(u - params.related * params.v_threshold)
    return Out(s, u, params.v_threshold, y), State(params.alpha * r + params.beta)


def step_adjoint(inputs, state, params, f, dout, dstate):
    u = inputs.current + state.v
    s = f.spike(u - params.v_threshold, f.k)
    r = u + s * (params.v_reset - u)
    # out = (s, u, v_threshold, y); v = alpha * r + beta
    dr = params.alpha * dstate.v
    # y = act(u - related * v_threshold)
    da = dout.analog * f.act_slope(u - params.related * params.v_threshold)
    # r = u + s * (v_reset - u)
    ds = dout.spike + params.attach * (dr * (params.v_reset - u))
    # s = spike(u - v_threshold)
    dx = ds * f.slope(u - params.v_threshold, f.k)
    du = dout.v + dr * (ONE - s) + dx + da
    # u = current + v
    return (Inputs(du), State(du),
            Params(dstate.v * r, dstate.v, dout.theta - dx - params.related * da, dr * s, ZERO, ZERO))


def coefficients(settings: Settings, options: Options, dt: float) -> Params:
    return Params(*settings, float(options["threshold_related"]), float(not options["detach_reset"]))


def coefficients_adjoint(settings: Settings, options: Options, dt: float, dparams: Params) -> Settings:
    return Settings(*dparams[:len(Settings._fields)])


def conflict(learn: Collection[str], options: Options, output: str) -> str:
    """Which choices do not go together."""
    through_output = output != "analog" or options["threshold_related"]
    through_reset = not options["detach_reset"]
    if "v_threshold" in learn and not through_output and not through_reset:
        return ("v_threshold is to be learned, but with threshold_related=False and detach_reset=True "
                "no gradient reaches it; change one of the three")
    return ""
