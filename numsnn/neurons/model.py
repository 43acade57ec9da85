"""The contract of a neuron model.

A model is one file with these names, all of them plain Python; `Model.of(module)` collects them.

    State, Params       NamedTuples of what the neuron carries from step to step and of its coefficients
    Inputs, Out         what comes in (default: `current`) and what can be handed out (default: `spike`, `v`,
                        `theta`)
    FEEDFORWARD         the fields of Inputs that the layer before feeds, one current each (default: all of
                        them, in their order)
    RECURRENT           the fields of Inputs that the recurrent product feeds, one matrix each (default: all)
    step(inputs, state, params, f) -> (out, state)
    step_adjoint(inputs, state, params, f, dout, dstate) -> (dinputs, dstate, dparams)
                        elementwise functions of scalars (see numsnn.neurons.elementwise).  The adjoint takes
                        what the step took, and the gradients of what it gave; gradients come in and go out in
                        the same tuples.
    Settings            what the user sets, with defaults: numbers or one per neuron; all can be learned
    coefficients(settings, options, dt) -> Params
    coefficients_adjoint(settings, options, dt, dparams) -> Settings
    BOUNDS              setting -> (low, high), None: no bound on that side: where its values lie, and where
                        learned ones are put back.  A user may say others.  Or a function (options, dt,
                        learned) -> Bound where the equations mean nothing outside, such as
                        `bounds.time_constant`, within which a user's bounds stay
    LEARN_AS            setting -> "log" or "logit", where not its value is learned but one of these
                        (numsnn.layers.learned) unless told otherwise
    OPTIONS             name -> allowed values, the default first; they become coefficients that are exactly
                        0 or 1
    CONSTANT            the fields of Params that options set: no gradient
    INITIAL_STATE       name -> function(settings, draw) -> State, draw being uniform random numbers in [0, 1)
    OUTPUT              the field of Out that the next layer receives unless told otherwise
    DIFFERS             fields of Out that are not the field of State of the same name
    RECURS              the field of Out that recurs with recurrent=True (default: the spike, or OUTPUT where
                        there is none)
    VARIANTS            option -> {value: name of the model that has it}, for what differs in order; the type
                        float stands for positive numbers, which are a setting of that model
    DEFAULTS            surrogate, comparator, activation, recurrent and recurrent_bias_init unless told
                        otherwise; who names an activation has an analog output
    SECOND              a field of Inputs whose recurrent product comes after the others, and takes `between`
                        instead of what recurs
    between(inputs, state, params, f)
    between_adjoint(inputs, state, params, f, d) -> (dinputs, dstate, dparams)
                        elementwise functions too; inputs: the total currents but for SECOND's
    conflict(learn, options, output) -> text
                        what does not go together, "" where everything does

`f` is a `Functions` tuple: `f.spike(x, f.k)` and `f.slope(x, f.k)` are the surrogate's functions of the
distance to the threshold, `f.k` their constants; `f.act(x)` and `f.act_slope(x)` the activation of an analog
output.  A field of Out that is also a field of State (the ALIF's `spike`) is the same quantity: if it
recurs, the state carries it.  Where it is not, as the LIF's `v`, which is handed out before the reset and
carried on after it, the model names it in DIFFERS.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np

from . import surrogate
from .activation import identity, identity_slope
from .bounds import Bound, time_constant
from .elementwise import elementwise
from .trial import try_out

TupleClass: TypeAlias = Any         # a class of NamedTuples, for which there is no type
Options: TypeAlias = dict[str, str | bool]
Number = TypeVar("Number", float, np.ndarray)

NEEDED = ("State", "Params", "Settings", "step", "step_adjoint", "coefficients", "coefficients_adjoint")
DEFAULTS = {"surrogate": "multi_gaussian", "comparator": ">", "recurrent": False,
            "recurrent_bias_init": "zeros"}


class Inputs(NamedTuple):
    current: float


class Out(NamedTuple):
    spike: float        # 0 or 1
    v: float            # membrane potential that was compared with the threshold in this step
    theta: float        # the threshold it was compared with


class Functions(NamedTuple):
    spike: Callable
    slope: Callable
    k: Any
    act: Callable = identity
    act_slope: Callable = identity_slope


@dataclass(frozen=True, eq=False)
class Model:
    """A neuron model; the module says what each of its parts is."""
    name: str
    doc: str | None
    State: TupleClass
    Params: TupleClass
    Inputs: TupleClass
    Out: TupleClass
    Settings: TupleClass
    step: Callable
    step_adjoint: Callable
    coefficients: Callable
    coefficients_adjoint: Callable
    bounds: dict[str, Any]              # setting -> (low, high), or function (options, dt, learned) -> Bound
    learn_as: dict[str, str]            # setting -> "log" or "logit"
    options: dict[str, tuple]
    constant: tuple[str, ...]
    initial_state: dict[str, Callable]
    output: str
    variants: dict[str, dict]           # option -> {value, or float: name of the model that has it}
    defaults: dict[str, Any]            # surrogate, comparator, activation, recurrent, recurrent_bias_init
    conflict: Callable                  # (learn, options, output) -> what does not go together
    feedforward: tuple[str, ...]        # fields of Inputs
    recurrent: tuple[str, ...]          # fields of Inputs
    recurs: str                         # the field of Out that recurs with recurrent=True
    differs: tuple[str, ...]            # fields of Out that are not the field of State of the same name
    second: str | None                  # the field of Inputs whose recurrent product takes `between`
    between: Callable | None
    between_adjoint: Callable | None

    @classmethod
    def of(cls, name: str, module: ModuleType | Any) -> Model:
        """The model of a module, or of any namespace with its names; the functions are marked elementwise."""
        missing = [needed for needed in NEEDED if not hasattr(module, needed)]
        if missing:
            raise ValueError(f"neuron model {name!r} does not define {', '.join(missing)}; "
                             f"see numsnn.neurons.model")

        for part in ("State", "Params", "Settings", "Inputs", "Out"):
            if not hasattr(getattr(module, part, Out), "_fields"):
                raise ValueError(f"neuron model {name!r}: {part} must be a class of NamedTuple; "
                                 f"got {getattr(module, part)!r}")

        def zeros(settings: Any, draw: np.ndarray) -> Any:
            return module.State(*(0 * draw for _ in module.State._fields))

        def marked(function: str) -> Callable | None:
            return elementwise(getattr(module, function)) if hasattr(module, function) else None

        inputs = getattr(module, "Inputs", Inputs)
        out = getattr(module, "Out", Out)
        output = getattr(module, "OUTPUT", "spike")
        return cls(
            name=name,
            doc=module.__doc__,
            State=module.State,
            Params=module.Params,
            Inputs=inputs,
            Out=out,
            Settings=module.Settings,
            step=elementwise(module.step),
            step_adjoint=elementwise(module.step_adjoint),
            coefficients=module.coefficients,
            coefficients_adjoint=module.coefficients_adjoint,
            bounds=getattr(module, "BOUNDS", {}),
            learn_as=getattr(module, "LEARN_AS", {}),
            options=getattr(module, "OPTIONS", {}),
            constant=getattr(module, "CONSTANT", ()),
            initial_state={"zeros": zeros, **getattr(module, "INITIAL_STATE", {})},
            output=output,
            variants=getattr(module, "VARIANTS", {}),
            defaults={**DEFAULTS, **getattr(module, "DEFAULTS", {})},
            conflict=getattr(module, "conflict", _no_conflict),
            feedforward=getattr(module, "FEEDFORWARD", inputs._fields),
            recurrent=getattr(module, "RECURRENT", inputs._fields),
            recurs=getattr(module, "RECURS", "spike" if "spike" in out._fields else output),
            differs=getattr(module, "DIFFERS", ()),
            second=getattr(module, "SECOND", None),
            between=marked("between"),
            between_adjoint=marked("between_adjoint"))

    @property
    def gates(self) -> tuple[int, ...]:
        """The indices of the fields of Inputs that the recurrence feeds."""
        return tuple(map(self.Inputs._fields.index, self.recurrent))

    def bound(self, setting: str, options: Options, dt: float, learned: bool) -> Bound:
        """Where the values of a setting lie unless told otherwise."""
        own = self.bounds.get(setting, (None, None))
        if callable(own):
            return own(options, dt, learned)
        low, high = own
        return Bound(-np.inf if low is None else low, np.inf if high is None else high)

    @property
    def time_constants(self) -> tuple[str, ...]:
        """Names of the settings that are times in the unit of dt, with which something decays."""
        return tuple(name for name in self.Settings._fields if self.bounds.get(name) is time_constant)

    def carries(self, field: str | None) -> bool:
        """Whether the state carries a field of Out from step to step."""
        return field in self.State._fields and field not in self.differs

    @property
    def spiking(self) -> bool:
        return "spike" in self.Out._fields

    def __reduce__(self):
        if NEURONS.get(self.name) is not self:
            raise TypeError(f"neuron model {self.name!r} goes to another process by its name, but is not "
                            f"registered; make it by ns.neurons.register({self.name!r}, module)")
        return named, (self.name,)

    def __copy__(self) -> Model:
        return self

    def __deepcopy__(self, memo: dict) -> Model:
        return self         # nothing in it changes


def _no_conflict(learn: Collection[str], options: Options, output: str) -> str:
    return ""


def decay(tau: Number, dt: float) -> Number:
    """exp(-dt / tau): the factor by which a first-order leak shrinks in one step."""
    return np.exp(-dt / tau)


def decay_adjoint(tau: Number, dt: float, dalpha: Number) -> Number:
    """d loss / d tau from d loss / d decay(tau)."""
    return dalpha * decay(tau, dt) * dt / tau ** 2


INTEGRATORS = ("exponential", "euler")


def leak(tau: Number, dt: float, integrator: str | bool) -> Number:
    """What is left of a first-order quantity after one step.

    exp(-dt / tau) ("exponential": exact where the input stands still) or 1 - dt / tau ("euler").
    """
    return decay(tau, dt) if integrator == "exponential" else 1 - dt / tau


def leak_adjoint(tau: Number, dt: float, integrator: str | bool, dalpha: Number) -> Number:
    """d loss / d tau from d loss / d leak(tau)."""
    return decay_adjoint(tau, dt, dalpha) if integrator == "exponential" else dalpha * dt / tau ** 2


def scaled(scale: Number, alpha: Number, of_input: str | bool) -> Number:
    """The gain of an input: `scale` ("1"), or scale (1 - alpha) ("1-alpha")."""
    return scale * (1 - alpha) if of_input == "1-alpha" else scale


def scaled_adjoint(scale: Number, alpha: Number, of_input: str | bool,
                   dgain: Number) -> tuple[Number, Number]:
    """(d loss / d scale, d loss / d alpha) from d loss / d scaled(scale, alpha)."""
    if of_input == "1-alpha":
        return dgain * (1 - alpha), -dgain * scale
    return dgain, 0 * dgain


NEURONS: dict[str, Model] = {}      # every model by name; numsnn.neurons fills it


def unknown(name: str) -> str:
    """What to say of a name that is no model's."""
    return (f"there is no neuron model {name!r}; there are {', '.join(NEURONS)}. One of your own is "
            f"registered first, in every process: ns.population(ns.neurons.register({name!r}, module))")


def named(name: str) -> Model:
    """The model of a name; ValueError where there is none."""
    if name not in NEURONS:
        raise ValueError(unknown(name))
    return NEURONS[name]


def register(name: str, module: ModuleType | Any) -> Model:
    """Add a model, so that layers, tests, plots and files know it.

    ValueError where the name is taken, or a part is missing or gives other tuples than the contract says.
    """
    if name in NEURONS:
        raise ValueError(f"there is a neuron model {name!r} already; choose another name")
    model = Model.of(name, module)
    spike = surrogate.get(model.defaults["surrogate"])
    try_out(model, Functions(spike.spike, spike.slope, spike.typed(np.float64)))
    NEURONS[name] = model
    return model
