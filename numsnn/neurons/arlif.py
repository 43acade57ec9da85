"""Recurrent leaky integrate and fire neuron with an adaptive firing threshold, and an analog output.

    theta_t = v_threshold + beta eta_{t-1}
    u_t = I_t + self_weight y_{t-1} + v_{t-1}
    s_t = H(u_t - theta_t)                           H: `surrogate` (rectangle), `comparator` (">")
    y_t = f(u_t)                                     threshold_related=False;  f: `activation` (selu)
          f(u_t - theta_t)                           threshold_related=True
    r_t = s_t v_reset + (1 - s_t) u_t                reset="hard";  u_t - s_t theta_t for "soft"
    v_t = sigmoid(decay) r_t
    eta_t = rho eta_{t-1} + (1 - rho) s_t            rho = exp(-dt / tau_adp)

What the next layer receives is y_t (`output="analog"`), or s_t (`output="spike"`).  `recurrent` of the
population adds a dense kernel to the diagonal one, self_weight.  `detach_reset=True` keeps the gradient from
flowing through the spike of the reset.

    decay        leak before the sigmoid; sigmoid(decay) of the membrane remains in one step (0.5: 0.62)
    v_threshold  threshold, in the unit of v; the layer ARLIF moves it by its rate-band rule
    v_reset      value after a spike, in the unit of v
    self_weight  weight of a neuron's own last output (0: none)
    tau_adp      time constant of the trace of spikes, in the unit of dt
    beta         how far the trace moves the threshold, in the unit of v (0: not at all)

Source: Gao, Wu, Wu, Li, Pei, HBAI 2021, of which the abstract alone was at hand.  From it: the name, hence
recurrence, adaptive threshold and LIF; layers that replace SimpleRNN, LSTM and ConvLSTM2D with far fewer
weights, hence no dense recurrent kernel by default.  From code of the same group that names ARLIF: u, the
leak through a sigmoid with initial value 0.5, the hard reset to 0, the threshold 0.5, the output act(u), the
rate-band rule.  Reconstructed, because neither says so: the reset potential, the soft reset, the trace
(ALIF's), the diagonal kernel, gradients through the reset (that code detaches it).
"""

from typing import NamedTuple

import numpy as np

from .bounds import time_constant
from .elementwise import ONE, ZERO
from .model import Inputs, Options, decay, decay_adjoint

NAME, OUTPUT = "ARLIF", "analog"
BOUNDS = {"tau_adp": time_constant}
OPTIONS = {"reset": ("hard", "soft"), "threshold_related": (False, True), "detach_reset": (False, True)}
DEFAULTS = {"surrogate": "rectangle", "comparator": ">", "activation": "selu"}
RECURS = "analog"


class State(NamedTuple):
    v: float            # membrane potential, after reset and leak
    last: float         # what was handed out as analog value
    eta: float          # trace of the spikes


class Params(NamedTuple):
    """Coefficients of a step; the last three are set by options."""
    leak: float         # sigmoid(decay)
    v_threshold: float
    v_reset: float
    self_weight: float
    rho: float          # exp(-dt / tau_adp)
    beta: float
    hard: float         # 1 for the hard reset, 0 for the soft one
    related: float      # 1 where the threshold is subtracted from what is handed out
    attach: float       # 1 where the gradient flows through the spike of the reset, else 0


CONSTANT = ("hard", "related", "attach")
DIFFERS = ("v",)


class Out(NamedTuple):
    spike: float
    v: float
    theta: float
    analog: float


class Settings(NamedTuple):
    decay: float = 0.5
    v_threshold: float = 0.5
    v_reset: float = 0.0
    self_weight: float = 0.0
    tau_adp: float = 20.0
    beta: float = 0.0


def step(inputs, state, params, f):
    theta = params.v_threshold + params.beta * state.eta
    u = inputs.current + params.self_weight * state.last + state.v
    s = f.spike(u - theta, f.k)
    y = f.act(u - params.related * theta)
    jump = params.hard * (params.v_reset - u) - (ONE - params.hard) * theta
    r = u + s * jump
    eta = params.rho * state.eta + (ONE - params.rho) * s
    return Out(s, u, theta, y), State(params.leak * r, y, eta)


def step_adjoint(inputs, state, params, f, dout, dstate):
    theta = params.v_threshold + params.beta * state.eta
    u = inputs.current + params.self_weight * state.last + state.v
    s = f.spike(u - theta, f.k)
    jump = params.hard * (params.v_reset - u) - (ONE - params.hard) * theta
    r = u + s * jump
    # out = (s, u, theta, y); v = leak * r; last = y; eta = rho * eta + (1 - rho) * s
    dr = params.leak * dstate.v
    dy = dout.analog + dstate.last
    # r = u + s * jump, jump = hard * (v_reset - u) - (1 - hard) * theta
    ds = dout.spike + (ONE - params.rho) * dstate.eta + params.attach * (dr * jump)
    # y = act(u - related * theta)
    da = dy * f.act_slope(u - params.related * theta)
    # s = spike(u - theta)
    dx = ds * f.slope(u - theta, f.k)
    du = dout.v + dr * (ONE - params.hard * s) + dx + da
    # theta = v_threshold + beta * eta;  u = current + self_weight * last + v
    dtheta = dout.theta - dx - params.related * da - dr * s * (ONE - params.hard)
    deta = params.rho * dstate.eta + params.beta * dtheta
    dreset = dr * s * params.hard
    drho = dstate.eta * (state.eta - s)
    return (Inputs(du), State(du, params.self_weight * du, deta),
            Params(dstate.v * r, dtheta, dreset, du * state.last, drho, dtheta * state.eta, ZERO, ZERO, ZERO))


def coefficients(settings: Settings, options: Options, dt: float) -> Params:
    leak = _sigmoid(settings.decay)
    rho = decay(settings.tau_adp, dt)
    hard = float(options["reset"] == "hard")
    related = float(options["threshold_related"])
    attach = float(not options["detach_reset"])
    return Params(leak, settings.v_threshold, settings.v_reset, settings.self_weight, rho, settings.beta,
                  hard, related, attach)


def coefficients_adjoint(settings: Settings, options: Options, dt: float, dparams: Params) -> Settings:
    leak = _sigmoid(settings.decay)
    ddecay = dparams.leak * leak * (1 - leak)
    dtau_adp = decay_adjoint(settings.tau_adp, dt, dparams.rho)
    return Settings(ddecay, dparams.v_threshold, dparams.v_reset, dparams.self_weight, dtau_adp, dparams.beta)


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))
