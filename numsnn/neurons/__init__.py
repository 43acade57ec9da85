"""Neuron models: one file each; every file of this folder that sets NAME is registered."""

from importlib import import_module
from pkgutil import iter_modules

from .model import NEURONS, Model, register

for _info in iter_modules(__path__):
    _module = import_module(f"{__name__}.{_info.name}")
    if hasattr(_module, "NAME"):
        register(_module.NAME, _module)

__all__ = ["NEURONS", "Model", "register"]
