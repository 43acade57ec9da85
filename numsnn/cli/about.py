"""What a training of the command line is: enough to repeat it, and to tell it from another."""

from __future__ import annotations

import json
import platform
from argparse import Namespace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..recipes import Recipe

SAME = "recipe", "options", "seed", "batch_size", "data"        # what a training goes on with


def about_run(options: Namespace, recipe: Recipe, settings: dict, seed: int) -> dict:
    """What the run is: enough to repeat it."""
    from .. import __version__
    versions = {"numsnn": __version__, "python": platform.python_version(),
                **{name: found for name in ("numpy", "numba", "scipy") if (found := _version(name))}}
    epochs = recipe.epochs if options.epochs is None else options.epochs
    if epochs < 1:
        raise ValueError(f"--epochs must be at least 1; got {epochs}")
    batch_size = recipe.batch_size if options.batch_size is None else options.batch_size
    folder = None if options.data is None else str(Path(options.data).resolve())
    return {"recipe": recipe.name, "options": settings, "seed": seed, "epochs_asked": epochs,
            "batch_size": batch_size, "data": folder, "device": options.device,
            "synthetic": options.data is None, "versions": versions}


def refuse_another(folder: Path, wanted: dict, damaged: str) -> None:
    """ValueError where the config.json of a folder says another training; damaged: what to do about it."""
    config = folder / "config.json"
    if not config.is_file():
        return
    try:
        there = dict(json.loads(config.read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{config} is damaged ({error}); {damaged}") from error
    for key, value in wanted.items():
        if there.get(key) != value:
            raise ValueError(f"{folder} was trained with {key} = {there.get(key)!r}, "
                             f"this command says {value!r}; use the same, or another --out")


def _version(name):
    """That of a package, None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
