"""What is refused when a neuron model is registered: it would show late, or in a compiler's forty lines."""

import functools
import re
import types

import leaky
import numpy as np
import pytest

from numsnn.devices.jit import fingerprint
from numsnn.neurons import NEURONS, register, trial
from numsnn.neurons.elementwise import ELEMENTWISE, ONE, ZERO, elementwise, referenced

WRONG_MODELS = {
    "step must give (Out, State); got (State, Out)": {
        "step": lambda inputs, state, params, f: leaky.step(inputs, state, params, f)[::-1]},
    "step_adjoint must give (Inputs, State, Params); got (Inputs, State)": {
        "step_adjoint": lambda *given: leaky.step_adjoint(*given)[:2]},
    "step must be arithmetic of scalars": {
        "step": lambda inputs, state, *more: None if state.v > 0 else leaky.step(inputs, state, *more)},
    "step hands out another 'v' than it carries on; say DIFFERS = ('v',)": {"DIFFERS": ()},
    "Params must be a class of NamedTuple; got": {"Params": dict},
    "step must be arithmetic of scalars that gives (Out, State); it says: ": {
        "step": lambda inputs, state, params, f: params.no_such_field},
    "BOUNDS names 'tau', which is no setting; there are ": {"BOUNDS": {"tau": (0, 1)}},
    "BOUNDS['leak'] must be (low, high), with None for no bound": {"BOUNDS": {"leak": 5}},
    "LEARN_AS['leak'] must be \"log\" or \"logit\"; got 'exp'": {"LEARN_AS": {"leak": "exp"}},
    "step_adjoint must be a plain function (def); got partial": {
        "step_adjoint": functools.partial(leaky.step_adjoint)},
}


@pytest.mark.parametrize("message", WRONG_MODELS)
def test_mistakes_of_a_model_are_refused_when_it_is_registered(message):
    module = types.SimpleNamespace(**{**vars(leaky), **WRONG_MODELS[message]})
    functions = list(ELEMENTWISE)
    try:
        with pytest.raises(ValueError, match=re.escape(message)):
            register("Wrong", module)
    finally:
        ELEMENTWISE[:] = functions
    assert "Wrong" not in NEURONS


class Setup:
    scale = 0.5


SCALES = [0.5]
SCALE = 0.5
v = np.ones(3)          # the name of a field, too


def twice(x):
    return x + x


def scaled(x):
    return SCALES[0] * x


def using(helper):
    """A leaky neuron whose step calls a function."""
    def step(inputs, state, params, f):
        u = params.leak * state.v + inputs.current + ZERO * helper(state.v)
        s = f.spike(u - params.v_threshold, f.k)
        return leaky.Out(s, u, params.v_threshold), leaky.State(u - s * params.v_threshold)
    return types.SimpleNamespace(**{**vars(leaky), "step": step})


WRONG_USES = {
    "<lambda> refers to Setup, a class; beside its arguments": lambda v: Setup.scale * v,
    "<lambda> refers to SCALES, of type list; beside": lambda v: SCALES[0] * v,
    "scaled refers to SCALES, of type list; beside": lambda v: scaled(v),
    "<lambda> calls twice, which is not compiled: mark it with the decorator elementwise": lambda v: twice(v),
}


@pytest.fixture
def marked():
    """What is marked elementwise within it is so within it only."""
    functions = list(ELEMENTWISE)
    yield elementwise
    ELEMENTWISE[:] = functions
    NEURONS.pop("Uses", None)


@pytest.mark.parametrize("message", WRONG_USES)
def test_what_cannot_be_compiled_is_refused_when_a_model_is_registered(message, marked):
    marked(scaled)
    with pytest.raises(ValueError, match=re.escape(message)):
        register("Uses", using(marked(WRONG_USES[message])))
    with pytest.raises(ValueError, match="step calls helper, which is not compiled"):
        register("Uses", using(twice))
    assert "Uses" not in NEURONS


def test_what_a_neuron_may_refer_to(marked):
    """Numbers and modules outside, and a global array with the name of a field, which is not looked at."""
    model = register("Uses", using(marked(lambda v: np.float32(2) * ONE * v)))
    assert referenced(model.step).keys() == {"ZERO", "helper", "leaky.Out", "leaky.State"}
    assert fingerprint(model.step) == fingerprint(model.step) != fingerprint(leaky.step)


def test_a_number_outside_is_part_of_what_is_compiled(monkeypatch):
    """Compiled code on disk has the number that it was compiled with."""
    def step(x):
        return SCALE * x

    found = set()
    for number in (np.float32(0.5), 0.5, 0.25):
        monkeypatch.setitem(globals(), "SCALE", number)
        found.add(fingerprint(step))
    assert len(found) == 3


@pytest.mark.parametrize("model", NEURONS.values(), ids=lambda m: m.name)
def test_our_own_models_refer_to_what_is_compiled_only(model):
    """Which registering them leaves out."""
    trial.check_names(model)
