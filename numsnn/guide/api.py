"""The pages of the API, one for each room, made of the docstrings: `python -m numsnn.guide.api` writes them.

A test compares them with the code.
"""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parent / "api"
ROOMS = {
    "numsnn": "numsnn",
    "signals": "numsnn.signals",
    "encode": "numsnn.signals.encode",
    "audio": "numsnn.signals.audio",
    "neurons": "numsnn.neurons",
    "surrogate": "numsnn.neurons.surrogate",
    "layers": "numsnn.layers",
    "loss": "numsnn.loss",
    "optim": "numsnn.optim",
    "network": "numsnn.network",
    "rules": "numsnn.rules",
    "files": "numsnn.files",
    "models": "numsnn.models",
    "nir": "numsnn.nir",
    "formats": "numsnn.formats",
    "datasets": "numsnn.datasets",
    "training": "numsnn.training",
    "ranks": "numsnn.ranks",
    "init": "numsnn.training.init",
    "metrics": "numsnn.training.metrics",
    "regularise": "numsnn.training.regularise",
    "energy": "numsnn.energy",
    "reports": "numsnn.reports",
    "plot": "numsnn.reports.plot",
    "recipes": "numsnn.recipes",
    "sweeps": "numsnn.sweeps",
    "bench": "numsnn.bench",
}


def pages() -> dict[str, str]:
    """The text of each page by its name."""
    return {name: _page(import_module(module)) for name, module in ROOMS.items()}


def write() -> None:
    """Write all pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / f"{name}.md").write_text(text, encoding="utf-8")


def _page(module: ModuleType) -> str:
    parts = [f"# `{module.__name__}`", _doc(module)]
    elsewhere, constants = [], []
    for name in public(module):
        thing = getattr(module, name)
        if inspect.ismodule(thing):
            elsewhere.append(f"- `{name}`: {_first_line(thing)}")
        elif inspect.isclass(thing):
            parts.append(_class(name, thing))
        elif callable(thing):
            parts.append(f"## `{name}{_signature(thing)}`\n\n{_doc(thing)}")
        else:
            constants.append(f"- `{name}`")
    if constants:
        parts.append("## Constants and tables\n\n" + "\n".join(constants))
    if elsewhere:
        parts.append("## Modules\n\n" + "\n".join(elsewhere))
    return "\n\n".join(parts) + "\n"


def public(module: ModuleType) -> list[str]:
    """The names that a module hands out."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return sorted(set(listed))
    own = [name for name, thing in vars(module).items()
           if getattr(thing, "__module__", "") == module.__name__ and not name.startswith("_")]
    return sorted(own)


def _class(name: str, cls: type) -> str:
    parts = [f"## `{name}{_signature(cls)}`", _doc(cls)]
    for key, member in sorted(vars(cls).items()):
        if key.startswith("_") or key in getattr(cls, "_fields", ()):
            continue
        function = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
        if inspect.isfunction(function) and function.__doc__:
            parts.append(f"### `{name}.{key}{_signature(function)}`\n\n{_doc(function)}")
        elif isinstance(function, property) and function.__doc__:
            parts.append(f"### `{name}.{key}`\n\n{_doc(function)}")
    return "\n\n".join(parts)


def _signature(thing) -> str:
    try:
        text = str(inspect.signature(thing))
    except (TypeError, ValueError):
        return ""
    text = re.sub(r"ForwardRef\('([^']*)'\)", r"\1", text)      # how a NamedTuple keeps an annotation
    text = re.sub(r"<function (\S+) at 0x[0-9a-f]+>|<class '([\w.]+)'>", r"\1\2", text)
    return text.replace("'", "")


def _doc(thing) -> str:
    """A docstring; what is indented or aligned in it stays as it is."""
    lines = (inspect.getdoc(thing) or "").splitlines()
    aligned = any(re.search(r"\S {3,}\S", line) for line in lines)
    return "```text\n" + "\n".join(lines) + "\n```" if aligned else "\n".join(lines)


def _first_line(thing) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0]


if __name__ == "__main__":
    write()
