"""Recipes: the papers' experiments.

Every file of this folder that sets RECIPE, or RECIPES where it holds several, is found.
"""

from importlib import import_module
from pkgutil import iter_modules

from .recipe import Data, Recipe

RECIPES: dict[str, Recipe] = {}
for _info in iter_modules(__path__):
    _module = import_module(f"{__name__}.{_info.name}")
    _one = (_module.RECIPE,) if hasattr(_module, "RECIPE") else ()
    RECIPES |= {recipe.name: recipe for recipe in getattr(_module, "RECIPES", _one)}


def get(name: str) -> Recipe:
    """The recipe of a name."""
    if name not in RECIPES:
        there = ", ".join(RECIPES)
        raise ValueError(f"unknown recipe {name!r}; there are {there} (numsnn recipes lists them)")
    return RECIPES[name]


__all__ = ["RECIPES", "Data", "Recipe", "get"]
