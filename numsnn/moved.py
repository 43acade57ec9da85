"""Import paths of version 0.1 that have moved: they still work in this version, with a DeprecationWarning."""

import sys
import warnings
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "numsnn.activation": "numsnn.neurons.activation",
    "numsnn.audio": "numsnn.signals.audio",
    "numsnn.buffers": "numsnn.devices.buffers",
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
    """Knows the old names, and no other."""

    def find_spec(self, name, path=None, target=None):
        now = new_name(name)
        if now is None:
            return None
        _warn(name, now, 3)
        return ModuleSpec(name, _Alias(now))


def install() -> None:
    """Let the old names be imported."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())      # before the path's, which would load a file of an alias twice


def attribute(package: str, name: str) -> ModuleType:
    """The module that was PACKAGE.NAME, for code that took it as an attribute."""
    old = f"{package}.{name}"
    now = new_name(old)
    if now is None:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    _warn(old, now, 4)
    return import_module(now)


def _warn(old, now, stacklevel):
    """Warn the line that asked for the old name."""
    message = f"{old} is now {now}; the old name goes with the next version"
    warnings.warn(message, DeprecationWarning, stacklevel)
