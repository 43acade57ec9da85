"""Every neuron model: its step against naive.py, its adjoint against differences, golden values of papers."""

import dataclasses
import inspect
import itertools
import re
import types

import naive
import numpy as np
import pytest
from naive_models import naive_step, number
from population_cases import OF_THEIR_OWN

from numsnn.neurons import NEURONS, surrogate as sg
from numsnn.neurons.activation import ACTIVATIONS
from numsnn.neurons.model import Functions

MODELS = list(NEURONS.values())
# (v, theta, spike) of papers.md 2a for I = 1, tau_mem = 20, tau_adp = 7, beta = 1.8, v_threshold = eta0 = .01
TRACE = """
0.048770575499286 0.025603802195503 1
-0.167983789760988 0.263146371725028 0
-0.111020548160507 0.229446995050371 0
-0.056835436635187 0.200233750175754 0
-0.005292964182450 0.174909433813959 0
0.043735752226111 0.152956343633636 0
0.090373309919436 0.133925694925092 0
0.134736327084175 0.117428446141745 1
-0.165811391843549 0.342747126214455 0
-0.108954099339715 0.298451129920695 0
-0.054869769712625 0.260051909686219 0
-0.003423163966941 0.226764474297312 0"""


def options_of(model):
    """Every combination of a model's options."""
    combinations = itertools.product(*model.options.values())
    return [dict(zip(model.options, values, strict=True)) for values in combinations]


def random_case(model, options, rng, n=64, dtype=np.float64):
    """Random inputs, state, coefficients, gradients."""
    settings = model.Settings(*(np.asarray(v, float) * rng.uniform(0.5, 1.5, n) for v in model.Settings()))
    # what is 0 unless told otherwise is not 0 here
    settings = model.Settings(*(v if v.any() else rng.uniform(-0.5, 0.5, n) for v in settings))
    params = model.coefficients(settings, options, 1.0)
    params = model.Params(*(np.broadcast_to(a, n).astype(dtype) for a in params))
    draw = lambda cls: cls(*(rng.normal(0.3, 0.7, n).astype(dtype) for _ in cls._fields))
    return settings, params, draw(model.Inputs), draw(model.State), draw(model.Out), draw(model.State)


def functions(model, dtype=np.float64, surrogate=None, activation="selu"):
    """What a step gets: a surrogate, and for analog outputs an activation (by default a rich one)."""
    s = surrogate or sg.multi_gaussian()
    a = ACTIVATIONS[activation if "activation" in model.defaults else "identity"]
    return Functions(s.spike, s.slope, s.typed(dtype), a.value, a.slope)


def vjp_errors(model, options, seed=0, h=1e-6, activation="selu"):
    """Largest error of the adjoint against differences of <dout, out> + <dstate, state>, by field."""
    rng = np.random.default_rng(seed)
    f = functions(model, surrogate=sg.multi_gaussian().smoothed(), activation=activation)
    _, params, inputs, state, dout, dstate = random_case(model, options, rng)
    classes = (model.Inputs, model.State, model.Params)
    bounds = itertools.pairwise(np.cumsum([0, *(len(c._fields) for c in classes)]))
    parts = [(c, slice(first, last)) for c, (first, last) in zip(classes, bounds, strict=True)]
    everything = [*inputs, *state, *params]

    def loss(values):
        out, after = model.step(*(c(*values[part]) for c, part in parts), f)
        return sum(d * v for d, v in zip((*dout, *dstate), (*out, *after), strict=True))

    found = model.step_adjoint(inputs, state, params, f, dout, dstate)
    grads = [np.broadcast_to(g, inputs[0].shape) for part in found for g in part]
    names = [f"{c.__name__}.{name}" for c in classes for name in c._fields]
    errors = {}
    for i, name in enumerate(names):
        if name.removeprefix("Params.") in model.constant:
            errors[name] = float(np.abs(grads[i]).max())         # no gradient by contract
            continue
        above, below = list(everything), list(everything)
        above[i], below[i] = everything[i] + h, everything[i] - h
        errors[name] = float(np.abs((loss(above) - loss(below)) / (2 * h) - grads[i]).max())
    return errors


def test_the_registry_is_full():
    assert len(NEURONS) >= 10
    assert {"LIF", "LIFNext", "ALIF", "LI", "LIAF"} <= set(NEURONS)
    assert {"LSTM", "GRU", "GRUBefore", "SimpleRNN", "LIAFLSTM", "LIAFGRU"} <= set(NEURONS)


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_adjoint_against_central_differences(model):
    for options in options_of(model):
        for activation in ACTIVATIONS if "activation" in model.defaults else ("identity",):
            if not options.get("detach_reset"):
                errors = vjp_errors(model, options, activation=activation)
                assert max(errors.values()) < 1e-7, (options, activation, errors)


def test_what_stands_between_two_products_against_central_differences():
    models = [model for model in MODELS if model.second]
    assert models
    for model in models:
        _, params, inputs, state, *_ = random_case(model, options_of(model)[0], np.random.default_rng(6))
        f, d, h = functions(model), np.random.default_rng(7).normal(size=64), 1e-6
        values, sizes = [*inputs, *state, *params], (len(inputs), len(inputs) + len(state))

        def value(v, model=model, f=f, sizes=sizes):
            first, second = sizes
            parts = model.Inputs(*v[:first]), model.State(*v[first:second]), model.Params(*v[second:])
            return model.between(*parts, f)

        grads = [g for part in model.between_adjoint(inputs, state, params, f, d) for g in part]
        for i, g in enumerate(grads):
            above, below = ([v + sign * h * (i == j) for j, v in enumerate(values)] for sign in (1, -1))
            assert np.abs(d * (value(above) - value(below)) / (2 * h) - g).max() < 1e-7
        assert max(np.abs(g).max() for g in grads) > 0.1
        assert not np.any(grads[model.Inputs._fields.index(model.second)])


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_what_the_state_carries_is_what_is_handed_out(model):
    """What recurs is read from the state where it carries a field of Out.

    Models say where a field of that name is something else.
    """
    for options in options_of(model):
        _, params, inputs, state, *_ = random_case(model, options, np.random.default_rng(4), n=200)
        out, after = model.step(inputs, state, params, functions(model))
        for name in set(model.Out._fields) & set(model.State._fields):
            same = np.array_equal(getattr(out, name), getattr(after, name))
            assert same if model.carries(name) else options.get("reset") == "none" or not same, name


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_coefficients_adjoint_against_central_differences(model):
    rng = np.random.default_rng(1)
    for options in options_of(model):
        settings, params, *_ = random_case(model, options, rng)
        dparams = model.Params(*(rng.normal(size=64) for _ in params))

        def loss(s, options=options, dparams=dparams):
            return sum(d * p for d, p in zip(dparams, model.coefficients(s, options, 0.7), strict=True))

        grads = model.coefficients_adjoint(settings, options, 0.7, dparams)
        for i, value in enumerate(settings):
            h = 1e-6 * np.maximum(1, np.abs(value))
            up = model.Settings(*(v + h * (i == j) for j, v in enumerate(settings)))
            down = model.Settings(*(v - h * (i == j) for j, v in enumerate(settings)))
            numeric = (loss(up) - loss(down)) / (2 * h)
            assert np.abs(numeric - grads[i]).max() < 1e-7, (options, model.Settings._fields[i])


@pytest.mark.parametrize("model", OF_THEIR_OWN, ids=lambda m: m.name)
def test_mutants_of_the_adjoint_die(model):
    """Flip an operator or drop a statement of step_adjoint: does the gradient test notice?"""
    source = inspect.getsource(model.step_adjoint)
    forward = inspect.getsource(model.step)
    head, *body = source.split("\n")
    mutants = []
    for i, line in enumerate(body):
        if not line.strip() or line.strip().startswith("#"):
            continue
        for match in re.finditer(r" [+*-] ", line):
            for operator in {" + ", " - ", " * "} - {match.group()}:
                mutants.append((i, line[:match.start()] + operator + line[match.end():]))
        if re.search(r"[(=,] ?-[a-z]", line):
            mutants.append((i, re.sub(r"([(=,] ?)-([a-z])", r"\1\2", line, count=1)))
    assert len(mutants) >= 2
    alive = []
    for i, changed in mutants:
        module = types.ModuleType("mutant")
        module.__dict__.update(inspect.getmodule(model.step).__dict__)
        module.__dict__["elementwise"] = lambda function: function      # a mutant is no part of the dialect
        exec("\n".join([forward, head, *body[:i], changed, *body[i + 1:]]), module.__dict__)  # noqa: S102
        mutant = dataclasses.replace(model, step_adjoint=module.step_adjoint)
        # each combination of options sees its own terms; a mutant must die in one of them
        options = [o for o in options_of(model) if not o.get("detach_reset")]
        if all(max(vjp_errors(mutant, o).values()) < 1e-7 for o in options):
            alive.append(changed.strip())
    assert not alive


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_precision_is_kept(model, dtype):
    f = functions(model, dtype)
    for options in options_of(model):
        rng = np.random.default_rng(0)
        _, params, inputs, state, dout, dstate = random_case(model, options, rng, dtype=dtype)
        out, after = model.step(inputs, state, params, f)
        grads = model.step_adjoint(inputs, state, params, f, dout, dstate)
        for a in (*out, *after, *(g for part in grads for g in part)):
            # the gradients that are no gradients are the constant 0
            assert a.dtype == dtype if np.ndim(a) else a == 0


# ---- against naive.py


@pytest.mark.parametrize("inclusive", (False, True))
@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_step_against_naive(model, inclusive):
    f = functions(model, surrogate=sg.multi_gaussian().with_comparator(">=" if inclusive else ">"))
    rng, n, steps = np.random.default_rng(2), 5, 30
    for options in options_of(model):
        settings, params, _, state, _, _ = random_case(model, options, rng, n)
        state = model.State(*(np.zeros(n) if name == "spike" else a for name, a in state._asdict().items()))
        mine = [dict(zip(state._fields, (float(a[i]) for a in state), strict=True)) for i in range(n)]
        for _ in range(steps):
            currents = rng.normal(1.0, 2.0, (len(model.Inputs._fields), n))
            out, state = model.step(model.Inputs(*currents), state, params, f)
            for i in range(n):
                s = {name: float(value[i]) for name, value in settings._asdict().items()}
                received = [float(a[i]) for a in currents]
                expected, mine[i] = naive_step(model, options, s, received, mine[i], inclusive)
                for name in model.Out._fields:
                    value = np.broadcast_to(getattr(out, name), n)[i]
                    exact = number(expected[name])
                    assert abs(value - exact) < 1e-12 * max(1, abs(exact)), (options, name)
                mine[i] = {name: number(v) for name, v in mine[i].items()}


def test_comparator_at_the_threshold():
    """v exactly at the threshold is a spike with ">=" and none with ">"."""
    model = NEURONS["LIF"]
    options = {"reset": "soft", "input_scale": "1", "detach_reset": False, "integrator": "exponential"}
    params = model.coefficients(model.Settings(20.0, 1.0, 0.0), options, 1.0)
    for comparator, spikes in ((">", 0), (">=", 1)):
        s = sg.gaussian().with_comparator(comparator)
        f = Functions(s.spike, s.slope, s.constants)
        out, _ = model.step(model.Inputs(np.ones(1)), model.State(np.zeros(1)), params, f)
        assert out.spike == spikes


@pytest.mark.parametrize(("dtype", "tolerance"), ((np.float64, 5e-16), (np.float32, 1e-6)))
def test_golden_trace_of_the_alif(dtype, tolerance):
    model, s = NEURONS["ALIF"], sg.multi_gaussian()
    f = Functions(s.spike, s.slope, s.typed(dtype))
    p = model.coefficients(model.Settings(20.0, 7.0, 0.01, 1.8), options_of(model)[0], 1.0)
    params = model.Params(*(np.array([a], dtype) for a in p))
    state = model.State(np.zeros(1, dtype), np.zeros(1, dtype), np.full(1, 0.01, dtype))
    for line in TRACE.split("\n")[1:]:
        u, theta, spike = map(float, line.split())
        out, state = model.step(model.Inputs(np.ones(1, dtype)), state, params, f)
        assert abs(out.v[0] - u) <= tolerance
        assert abs(out.theta[0] - theta) <= tolerance
        assert out.spike[0] == spike


@pytest.mark.parametrize("reset", ("soft", "hard"))
@pytest.mark.parametrize("name", ("LIF", "LIFNext"))
def test_detached_reset_is_the_derivative_with_the_resets_spike_held(name, reset):
    """Forward-mode derivative by naive.py, in which the spike of the reset is a constant."""
    model, psi = NEURONS[name], naive.psi_multi_gaussian
    s = sg.multi_gaussian()
    f = Functions(s.spike, s.slope, s.typed(np.float64))
    options = {"reset": reset, "input_scale": "1-alpha", "detach_reset": True, "integrator": "exponential"}
    rng = np.random.default_rng(3)
    settings = model.Settings(5.0, 0.3, -0.2)
    params = model.Params(*(np.array([v]) for v in model.coefficients(settings, options, 1.0)))
    currents, weight = rng.normal(0.5, 1.0, 12), 1.3
    dual, read = naive.variables(w=weight, v_threshold=settings.v_threshold)
    v, spike, total = naive.Dual(0.1), naive.Dual(0), naive.Dual(0)
    tape, state = [], model.State(*(np.array([0.1 if n == "v" else 0.0]) for n in model.State._fields))
    kind = {"tau_mem": 5.0, "v_threshold": dual["v_threshold"][()], "v_reset": -0.2, "reset": reset,
            "when": "next" if name == "LIFNext" else "same", "scale": "1-alpha", "detach": True, "psi": psi}
    for c in currents:
        _, spike, v = naive.lif(float(c) * dual["w"][()], v, spike, **kind)
        total = total + spike
        tape.append(state)
        _, state = model.step(model.Inputs(np.array([c * weight])), state, params, f)
    dstate, dw, dthreshold = model.State(*(np.zeros(1) for _ in model.State._fields)), 0.0, 0.0
    for c, before in zip(currents[::-1], tape[::-1], strict=True):
        din, dstate, dp = model.step_adjoint(model.Inputs(np.array([c * weight])), before, params, f,
                                             model.Out(1.0, 0.0, 0.0), dstate)
        dw, dthreshold = dw + float(din.current[0]) * c, dthreshold + float(dp.v_threshold[0])
    assert total.x > 0
    grads = read(total.d)
    assert abs(dw - grads["w"]) < 1e-12
    assert abs(dthreshold - grads["v_threshold"]) < 1e-12
