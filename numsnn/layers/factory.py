"""Makes the layer class of a neuron model."""

from __future__ import annotations

from inspect import Parameter, Signature, signature

from ..neurons import NEURONS, Model
from .population import Population

POPULATIONS: dict[str, type[Population]] = {}       # the layer class of each model, by name


def population(model: Model) -> type[Population]:
    """The layer class of a model; a model registered by the user gets one that checkpoints know."""
    doc = f"{model.doc}\n\nFurther arguments: see `Population`."
    arguments = Signature([*_general(model), *_own(model)])
    body = {"model": model, "__doc__": doc, "__module__": __name__, "__signature__": arguments}
    cls = type(model.name, (Population,), body)
    POPULATIONS[model.name] = cls
    return cls


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


def _of_variants():
    """Names of models that are variants of another one (LIFNext), reached through that one's option."""
    for model in NEURONS.values():
        for models in model.variants.values():
            yield from (name for name in models.values() if name != model.name)


for _model in [model for model in NEURONS.values() if model.name not in set(_of_variants())]:
    population(_model)
