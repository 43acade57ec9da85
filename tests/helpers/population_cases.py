"""A population of any model with random coefficients, state, weights and gradients, as a device takes it."""

import inspect

import numpy as np

from numsnn.devices.contract import Dynamics, Gradients, Recurrent, Start, Want
from numsnn.neurons import NEURONS, surrogate as sg
from numsnn.neurons.activation import ACTIVATIONS

# models whose step is another one's (IF: the LIF's) are compiled to the same loops
OF_THEIR_OWN = [model for model in NEURONS.values() if inspect.getmodule(model.step).NAME == model.name]

# models that few steps of small currents do not bring to a threshold of 1: (1 - alpha) I, and adaptation
FAINT = ("SiLIF",)


def case(model, shape, *, dtype=np.float32, recur=True, smooth=False, ragged=False, bias=True, seed=0):
    """(dynamics, x, start, recurrent) with random coefficients, state and weights.

    recur: whether, or the field.
    """
    rng = np.random.default_rng(seed)
    steps, batch, units = shape
    options = {name: allowed[0] for name, allowed in model.options.items()}
    settings = model.Settings(*(np.asarray(v) * rng.uniform(0.8, 1.2, units) for v in model.Settings()))
    coefficients = model.coefficients(settings, options, 1.0)
    coefficients = model.Params(*(np.broadcast_to(c, units).astype(dtype) for c in coefficients))
    state = model.State(*(0.1 * rng.random((batch, units)).astype(dtype) for _ in model.State._fields))
    field = {True: model.recurs, False: None}.get(recur, recur)
    last = None
    if model.carries(field):
        last = getattr(state, field)
    elif recur:
        last = rng.random((batch, units)).astype(dtype)
    recurrent = weights(model, units, dtype, bias, rng) if recur else None
    lengths = rng.integers(0, steps + 1, batch) if ragged else None
    surrogate = sg.multi_gaussian().smoothed() if smooth else sg.multi_gaussian()
    activation = ACTIVATIONS["tanh" if "activation" in model.defaults else "identity"]
    spread = 30 if model.name in FAINT else 3
    x = model.Inputs(*(rng.normal(0.5, spread, shape).astype(dtype) for _ in model.Inputs._fields))
    dynamics = Dynamics(model, surrogate, field, activation)
    return dynamics, x, Start(coefficients, state, last, lengths), recurrent


def weights(model, units, dtype, bias, rng):
    """Random recurrent weights, and biases or None."""
    gates = model.recurrent
    matrices = tuple((rng.normal(size=(units, units)) / np.sqrt(units)).astype(dtype) for _ in gates)
    biases = tuple(rng.normal(size=units).astype(dtype) for _ in gates) if bias else None
    return Recurrent(matrices, biases)


def gradients(dynamics, shape, dtype, seed=1):
    """Random gradients of everything that a population hands out."""
    rng, model = np.random.default_rng(seed), dynamics.model
    draw = lambda s: rng.normal(size=s).astype(dtype)
    dout = model.Out(*(draw(shape) for _ in model.Out._fields))
    dstate = model.State(*(draw(shape[1:]) for _ in model.State._fields))
    return Gradients(dout, dstate, draw(shape[1:]) if dynamics.recur else None)


def everything(model, events=True):
    return Want(model.Out._fields, events and model.spiking, True)


def run(loops, c, want):
    dynamics, x, start, recurrent = c
    return loops.population_forward(dynamics, copied(x), start, recurrent, want)


def copied(x):
    return type(x)(*(a.copy() for a in x))
