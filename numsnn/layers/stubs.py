"""models.pyi: signatures of the layer classes made from neuron models, for editors and type checkers.

`python -m numsnn.layers.stubs` writes it; a test compares it with the models.
"""

from __future__ import annotations

import textwrap
from inspect import Parameter, getdoc, signature
from pathlib import Path

from ..neurons import NEURONS
from .factory import POPULATIONS, of_variants
from .population import Population

PATH = Path(__file__).with_name("models.pyi")
HEAD = '''"""Written by `python -m numsnn.layers.stubs` from numsnn.neurons; do not edit."""

from typing import Any, Literal

from ..neurons import surrogate as surrogates
from .delays import Delays
from .initialise import Value
from .population import Names, Population
'''


def text() -> str:
    """The whole file."""
    names = sorted(NEURONS.keys() - of_variants(), key=_case_first)     # variants have classes when asked for
    classes = [POPULATIONS[name] for name in names if name in POPULATIONS]
    listed = "".join(f'    "{cls.__name__}",\n' for cls in classes)
    return "\n\n".join([f"{HEAD}\n__all__ = [\n{listed}]\n", *map(_class, classes)])


def _case_first(name: str) -> tuple[bool, str]:
    """Names in capitals come first, as in every sorted __all__."""
    return not name.isupper(), name


def _class(cls) -> str:
    doc = textwrap.indent(f'"""{(getdoc(cls) or "").rstrip()}\n"""', "    ")
    arguments = "".join(f"        {argument},\n" for argument in ("self", *_arguments(cls)))
    return f"class {cls.__name__}(Population):\n{doc}\n\n    def __init__(\n{arguments}    ) -> None: ...\n"


def _arguments(cls):
    """Each argument as it stands in a signature."""
    keywords = False
    for parameter in signature(cls).parameters.values():
        if parameter.kind == Parameter.KEYWORD_ONLY and not keywords:
            keywords = True
            yield "*"
        yield f"{parameter.name}: {_type(cls, parameter)} = {parameter.default!r}"


def _type(cls, parameter) -> str:
    """What is accepted for an argument."""
    name = parameter.name
    allowed = {**cls.model.options, **cls.model.variants, **getattr(cls, "choices", {})}
    if float in allowed.get(name, ()):
        return "float"
    if name in allowed:
        return f"Literal[{', '.join(map(repr, allowed[name]))}]"
    if name in cls.model.Settings._fields:
        return "Value"
    for owner in (cls, Population):
        annotation = owner.__init__.__annotations__.get(name)
        if annotation is not None:
            return annotation
    raise TypeError(f"{cls.__name__}: nothing says what {name} may be")


if __name__ == "__main__":
    PATH.write_text(text())
