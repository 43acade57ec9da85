"""The contract of a neuron model.

A model is one file with these names, all of them plain Python; `Model.of(module)` collects them.

    State, Params       NamedTuples of what the neuron carries from step to step and of its coefficients
    Inputs, Out         what comes in (default: `current`) and what can be handed out (default: `spike`, `v`, `theta`)
    FEEDFORWARD         the fields of Inputs that the layer before feeds, one current each (default: all of them, in their order)
    RECURRENT           the fields of Inputs that the recurrent product feeds, one matrix each (default: all)
    step(inputs, state, params, f) -> (out, state)
    step_adjoint(inputs, state, params, f, dout, dstate) -> (dinputs, dstate, dparams)
                        elementwise functions of scalars (see numsnn.neurons.elementwise).  The adjoint takes what the step took, and
                        the gradients of what it gave; gradients come in and go out in the same tuples.
    Settings            what the user sets, with defaults: numbers or one per neuron; any of them can be learned
    coefficients(settings, options, dt) -> Params, and coefficients_adjoint(settings, options, dt, params, dparams) -> Settings
    OPTIONS             name -> allowed values, the default first; they become coefficients that are exactly 0 or 1
    CONSTANT            the fields of Params that options set: no gradient
    INITIAL_STATE       name -> function(settings, draw) -> State, draw being uniform random numbers in [0, 1)
    OUTPUT              the field of Out that the next layer receives unless told otherwise
    DIFFERS             fields of Out that are not the field of State of the same name
    RECURS              the field of Out that recurs with recurrent=True (default: the spike, or OUTPUT where there is none)
    DEFAULTS            surrogate, comparator, activation, recurrent and recurrent_bias_init unless told otherwise; who names an
                        activation has an analog output
    SECOND              a field of Inputs whose recurrent product comes after the others, and takes `between` instead of what recurs
    between(inputs, state, params, f), between_adjoint(inputs, state, params, f, d) -> (dinputs, dstate, dparams)
                        elementwise functions too; inputs: the total currents but for SECOND's
    conflict(learn, options, output) -> text     what does not go together, "" where everything does

`f` is a `Functions` tuple: `f.spike(x, f.k)` and `f.slope(x, f.k)` are the surrogate's functions of the distance to the
threshold, `f.k` their constants; `f.act(x)` and `f.act_slope(x)` the activation of an analog output.  A field of Out that is also a field of
State (the ALIF's `spike`) is the same quantity: if it recurs, the state carries it.  Where it is not, as the LIF's `v`, which is handed out
before the reset and carried on after it, the model names it in DIFFERS.

Settings whose name begins with `tau_` are time constants in the unit of dt; they are kept at or above dt / 10.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from .activation import identity, identity_slope
from .elementwise import elementwise


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
    name: str
    doc: str
    State: type
    Params: type
    Inputs: type
    Out: type
    Settings: type
    step: Callable
    step_adjoint: Callable
    coefficients: Callable
    coefficients_adjoint: Callable
    options: dict
    constant: tuple
    initial_state: dict
    output: str
    variants: dict      # option -> {value: name of the model that has it}, for what differs in order
    defaults: dict      # surrogate, comparator, activation, recurrent, recurrent_bias_init
    conflict: Callable  # (learn, options, output) -> what does not go together
    feedforward: tuple  # fields of Inputs
    recurrent: tuple    # fields of Inputs
    recurs: str         # the field of Out that recurs with recurrent=True
    differs: tuple      # fields of Out that are not the field of State of the same name
    second: str | None  # the field of Inputs whose recurrent product takes `between`
    between: Callable | None
    between_adjoint: Callable | None

    @classmethod
    def of(cls, name: str, module: ModuleType | Any) -> "Model":
        """The model that a module (or any namespace with these names) defines; its functions are marked elementwise."""
        missing = [n for n in ("State", "Params", "Settings", "step", "step_adjoint", "coefficients", "coefficients_adjoint")
                   if not hasattr(module, n)]
        if missing:
            raise ValueError(f"neuron model {name!r} does not define {', '.join(missing)}; see numsnn.neurons.model")
        default = {"zeros": lambda settings, draw: module.State(*(0 * draw for _ in module.State._fields))}
        inputs, out, output = getattr(module, "Inputs", Inputs), getattr(module, "Out", Out), getattr(module, "OUTPUT", "spike")
        return cls(name, module.__doc__, module.State, module.Params, inputs, out,
                   module.Settings, elementwise(module.step), elementwise(module.step_adjoint),
                   module.coefficients, module.coefficients_adjoint, getattr(module, "OPTIONS", {}),
                   getattr(module, "CONSTANT", ()), {**default, **getattr(module, "INITIAL_STATE", {})},
                   output, getattr(module, "VARIANTS", {}),
                   {"surrogate": "multi_gaussian", "comparator": ">", "recurrent": False, "recurrent_bias_init": "zeros",
                    **getattr(module, "DEFAULTS", {})},
                   getattr(module, "conflict", lambda learn, options, output: ""),
                   getattr(module, "FEEDFORWARD", inputs._fields), getattr(module, "RECURRENT", inputs._fields),
                   getattr(module, "RECURS", "spike" if "spike" in out._fields else output),
                   getattr(module, "DIFFERS", ()), getattr(module, "SECOND", None),
                   *(elementwise(getattr(module, n)) if hasattr(module, n) else None for n in ("between", "between_adjoint")))

    @property
    def gates(self) -> tuple:
        """The indices of the fields of Inputs that the recurrence feeds."""
        return tuple(map(self.Inputs._fields.index, self.recurrent))

    def carries(self, field: str | None) -> bool:
        """Whether the state carries a field of Out from step to step."""
        return field in self.State._fields and field not in self.differs

    @property
    def spiking(self) -> bool:
        return "spike" in self.Out._fields


def decay(tau, dt: float):
    """exp(-dt / tau): the factor by which a first-order leak shrinks in one step."""
    return np.exp(-dt / tau)


def decay_adjoint(tau, dt: float, dalpha):
    """d loss / d tau from d loss / d decay(tau)."""
    return dalpha * decay(tau, dt) * dt / tau ** 2


NEURONS: dict[str, Model] = {}      # every model by name; numsnn.neurons fills it


def register(name: str, module: ModuleType | Any) -> Model:
    """Add a model, so that layers, tests, plots and files know it."""
    if name in NEURONS:
        raise ValueError(f"there is a neuron model {name!r} already; choose another name")
    NEURONS[name] = Model.of(name, module)
    return NEURONS[name]
