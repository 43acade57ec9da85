"""Checkpoints: one HDF5 file with everything that makes a network, or a training, again.

    /                     attributes format = "numsnn checkpoint", format_version, numsnn_version
    /config               JSON: layers and their arguments, dt, dtype, device, seed
    /params/LAYER/NAME    learned arrays            /fixed/LAYER/NAME   settings that are not learned
    and for a training:
    /training             JSON: epoch, seed, optimiser and schedule, history, the recipe's options
    /optimizer/SLOT/NAME  arrays of the optimiser   /best/NAME          arrays of the best epoch

Files are written beside their place and renamed into it, so that a crash leaves the old file or the new one,
never half of one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..formats.whole import whole
from ..network.network import Network
from ..optim import Optimizer, optimizer_from
from ..packages import needed

FORMAT, VERSION = "numsnn checkpoint", 1

# what reading a damaged file raises
MISREAD = (OSError, KeyError, TypeError, AttributeError, RuntimeError, json.JSONDecodeError)


class CheckpointError(ValueError):
    """A file that cannot be read as a checkpoint, and why."""


class Training(NamedTuple):
    """A training as a checkpoint holds it."""
    net: Network
    optimizer: Optimizer
    facts: dict[str, Any]           # epoch, seed, history ...
    best: dict[str, np.ndarray]     # arrays of the best epoch, may be empty


def save(net: Network, path: Path | str, *, optimizer: Optimizer | None = None, facts: dict | None = None,
         best: Mapping[str, np.ndarray] | None = None) -> None:
    """Write a network, or with the further arguments a training, to an HDF5 file."""
    h5py = needed("h5py", "a checkpoint (HDF5)")

    from .. import __version__
    with whole(path) as part, h5py.File(part, "w") as file:
        file.attrs.update(format=FORMAT, format_version=VERSION, numsnn_version=__version__)
        file["config"] = json.dumps(net.config())
        for name, layer in net.layers.items():
            for kind in ("params", "fixed"):
                for key, array in getattr(layer, kind).items():
                    file[f"{kind}/{name}/{key}"] = array
        if optimizer is not None:
            about = {"optimizer": optimizer.config(), "optimizer_steps": optimizer.steps,
                     "optimizer_epoch": optimizer.epoch}
            file["training"] = json.dumps({**(facts or {}), **about})
            state = {f"{slot}/{name}": array
                     for slot, arrays in optimizer.state.items() for name, array in arrays.items()}
            _write(file, "optimizer", state)
            _write(file, "best", best or {})


def _write(file, group, arrays):
    file.create_group(group)
    for name, array in arrays.items():
        file[f"{group}/{name}"] = array


def load(path: Path | str, *, which: str = "best", **changes) -> Network:
    """The network of a checkpoint.

    which: of a training with a validation set the weights of the "best" epoch or of the "last" one.
    changes: device=, chunk=.
    """
    if which not in ("best", "last"):
        raise ValueError(f"which must be 'best' or 'last'; got {which!r}")
    with _Open(path) as file:
        net = _network(file, changes)
        if which == "best":
            stored = file.get("best", {})
            net.restore({name: _array(file, f"best/{name}", like)
                         for name, like in net.arrays().items() if name in stored})
        return net


def load_training(path: Path | str, **changes) -> Training:
    """The training of a checkpoint."""
    with _Open(path) as file:
        if "training" not in file:
            raise CheckpointError(f"{path} holds a network but no training to continue; "
                                  f"ns.load reads the network")
        net = _network(file, changes)
        facts = json.loads(file["training"].asstr()[()])
        optimizer = optimizer_from(facts.pop("optimizer"))
        optimizer.steps = facts.pop("optimizer_steps")
        optimizer.epoch = facts.pop("optimizer_epoch")
        for slot in optimizer.slots:
            stored = file.get(f"optimizer/{slot}", {})
            optimizer.state[slot] = {name: array[()] for name, array in stored.items()}
        return Training(net, optimizer, facts, {name: array[()] for name, array in file["best"].items()})


def describe(path: Path | str) -> dict[str, Any]:
    """What a checkpoint says of itself: versions, configuration, training (None for a plain network)."""
    with _Open(path) as file:
        return {
            "format_version": int(file.attrs["format_version"]),
            "numsnn_version": str(file.attrs["numsnn_version"]),
            "config": json.loads(file["config"].asstr()[()]),
            "training": json.loads(file["training"].asstr()[()]) if "training" in file else None,
        }


def first_difference(saved: dict, here: dict) -> str:
    """Where two network configurations differ first, in words; "" where they do not.

    Device and chunk may differ.
    """
    saved, here = (json.loads(json.dumps(config)) for config in (saved, here))
    for i, (a, b) in enumerate(zip(saved["layers"], here["layers"], strict=False)):
        for key in ("layer", *sorted(a.keys() | b.keys())):
            if a.get(key) != b.get(key):
                return f"layer {i} ({a['name']}) has {key} = {a.get(key)!r} there, {b.get(key)!r} here"
    there_layers, here_layers = len(saved["layers"]), len(here["layers"])
    if there_layers != here_layers:
        return f"number of layers = {there_layers!r} there, {here_layers!r} here"
    for key in ("dt", "dtype"):
        if saved[key] != here[key]:
            return f"{key} = {saved[key]!r} there, {here[key]!r} here"
    return ""


def _network(file, changes):
    net = Network.from_config(json.loads(file["config"].asstr()[()]), **changes)
    for name, layer in net.layers.items():
        for kind in ("params", "fixed"):
            for key, array in getattr(layer, kind).items():
                array[...] = _array(file, f"{kind}/{name}/{key}", array)
    return net


def _array(file, key, like):
    if key not in file:
        raise CheckpointError(f"{file.filename}: {key} is missing, although the configuration has it; "
                              f"the file is damaged")
    value = file[key][()]
    if value.shape != like.shape or not np.isfinite(value).all():
        raise CheckpointError(f"{file.filename}: {key} should hold finite numbers of shape {like.shape}; "
                              f"got shape {value.shape}")
    return value


class _Open:
    """An HDF5 file that is a checkpoint of a version we know.

    Every failure on the way becomes a CheckpointError that says why.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.file = None

    def __enter__(self):
        h5py = needed("h5py", "a checkpoint (HDF5)")
        if not self.path.is_file():
            raise CheckpointError(f"no checkpoint {self.path}; "
                                  f"give the path of a file that numsnn wrote (checkpoint.h5)")
        try:
            self.file = h5py.File(self.path, "r")
        except OSError as error:
            raise CheckpointError(f"{self.path} cannot be opened as HDF5: "
                                  f"it is damaged, cut short, or something else ({error})") from error
        if self.file.attrs.get("format") != FORMAT:
            self.file.close()
            raise CheckpointError(f"{self.path} is an HDF5 file, but not a checkpoint of numsnn")
        version = int(self.file.attrs.get("format_version", 0))
        if version != VERSION:
            self.file.close()
            advice = "; update numsnn" if version > VERSION else ""
            raise CheckpointError(f"{self.path} has format version {version}; "
                                  f"this numsnn reads version {VERSION}{advice}")
        return self.file

    def __exit__(self, kind, error, trace):
        self.file.close()
        if isinstance(error, MISREAD):
            raise CheckpointError(f"{self.path} is damaged: {error}") from error
