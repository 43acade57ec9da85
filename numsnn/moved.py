"""Import paths of version 0.1 that have moved: they still work in this version, with a DeprecationWarning."""

import sys
import warnings
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec

MOVED = {
    "numsnn.activation": "numsnn.neurons.activation",
    "numsnn.audio": "numsnn.signals.audio",
    "numsnn.devices.buffers": "numsnn.devices.buffers",
    "numsnn.datasets.formats": "numsnn.formats",
    "numsnn.describe": "numsnn.reports.describe",
    "numsnn.elementwise": "numsnn.neurons.elementwise",
    "numsnn.encode": "numsnn.signals.encode",
    "numsnn.events": "numsnn.signals.events",
    "numsnn.gradcheck": "numsnn.training.gradcheck",
    "numsnn.init": "numsnn.training.init",
    "numsnn.io": "numsnn.files",
    "numsnn.loops": "numsnn.devices",
    "numsnn.memory": "numsnn.network.memory",
    "numsnn.metrics": "numsnn.training.metrics",
    "numsnn.plot": "numsnn.reports.plot",
    "numsnn.regularise": "numsnn.training.regularise",
    "numsnn.report": "numsnn.recipes.report",
    "numsnn.spikes": "numsnn.signals.spikes",
    "numsnn.summary": "numsnn.network.summary",
    "numsnn.surrogate": "numsnn.neurons.surrogate",
    "numsnn.train": "numsnn.training.train",
}


def new_name(name: str) -> str | None:
    """Where a module, or one inside a folder that moved, is now; None for what has not moved."""
    for old, new in MOVED.items():
        if name == old or name.startswith(old + "."):
            return new + name.removeprefix(old)
    return None


class _Alias(Loader):
    """Gives the module of the new name for the old one."""

    def __init__(self, name):
        self.name = name

    def create_module(self, spec):
        module = import_module(self.name)
        self.own_spec = module.__spec__
        return module

    def exec_module(self, module):
        module.__spec__ = self.own_spec         # the import system has just put the old name's there


class _Finder(MetaPathFinder):
    """Asked last, for names that nobody else knows."""

    def find_spec(self, name, path=None, target=None):
        now = new_name(name)
        if now is None:
            return None
        message = f"{name} is now {now}; the old name goes with the next version"
        warnings.warn(message, DeprecationWarning, stacklevel=2)       # the line that imports
        return ModuleSpec(name, _Alias(now))


def install() -> None:
    """Let the old names be imported."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())


def attribute(name: str):
    """The module that was numsnn.NAME, for code that took it as an attribute."""
    if f"numsnn.{name}" in MOVED:
        return import_module(f"numsnn.{name}")
    raise AttributeError(f"module 'numsnn' has no attribute {name!r}")
