"""Makes the layer class of a neuron model."""

from __future__ import annotations

from inspect import Parameter, Signature, signature

from ..checked import checked
from ..neurons import NEURONS, Model
from ..neurons.model import named
from .population import Population

POPULATIONS: dict[str, type[Population]] = {}       # the layer class of each model, by name
MODULE = "numsnn.layers.models"                     # where other processes find the classes by name


@checked
def population(model: Model | str) -> type[Population]:
    """The layer class of a model, or of a model's name; one that checkpoints and other processes know.

    A model of one's own is registered before: ns.population(ns.neurons.register("Mine", module)).  ValueError
    or TypeError where there is no such model, or `model` is none.
    """
    if isinstance(model, str):
        model = named(model)
    if not isinstance(model, Model):
        raise TypeError(f"population takes a neuron model, which ns.neurons.register(name, module) returns, "
                        f"or its name; got {model!r}")
    known = POPULATIONS.get(model.name)
    if known is not None and known.model is model:
        return known
    doc = f"{model.doc}\n\nFurther arguments: see `Population`."
    arguments = Signature([*_general(model), *_own(model)])
    body = {"model": model, "__doc__": doc, "__module__": MODULE, "__signature__": arguments,
            "__reduce__": _reduced}
    cls = type(model.name, (Population,), body)
    POPULATIONS[model.name] = cls
    return cls


def _reduced(layer):
    """A layer goes to another process with the name of its model, which that process must know, too."""
    cls = type(layer)
    derived = POPULATIONS.get(cls.__name__) is not cls
    return _blank, (cls if derived else cls.__name__,), layer.__getstate__()


def _blank(cls):
    cls = population(cls) if isinstance(cls, str) else cls
    return cls.__new__(cls)


def _general(model):
    """The arguments that populations have, with the model's defaults."""
    for parameter in list(signature(Population.__init__).parameters.values())[1:]:
        known = parameter.name != "activation" or "activation" in model.defaults
        if parameter.kind != Parameter.VAR_KEYWORD and known:
            yield parameter.replace(default=model.defaults.get(parameter.name, parameter.default))


def _own(model):
    """Its settings, options and variants."""
    options = {name: allowed[0] for name, allowed in model.options.items()}
    variants = {name: next(iter(models)) for name, models in model.variants.items()}
    for name, default in {**model.Settings._field_defaults, **options, **variants}.items():
        yield Parameter(name, Parameter.KEYWORD_ONLY, default=default)


def of_variants() -> set[str]:
    """Names of models that are variants of another one (LIFNext), reached through that one's option."""
    found = set()
    for model in NEURONS.values():
        for models in model.variants.values():
            found |= set(models.values()) - {model.name}
    return found


for _name in [name for name in NEURONS if name not in of_variants()]:
    population(_name)
