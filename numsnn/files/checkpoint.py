"""Checkpoints: one HDF5 file with everything that makes a network, or a training, again.

    /                     attributes format = "numsnn checkpoint", format_version, numsnn_version, sealed
    /config               JSON: layers and their arguments, dt, dtype, device, seed
    /params/LAYER/NAME    learned arrays            /fixed/LAYER/NAME   settings that are not learned
    and for a training:
    /training             JSON: epoch, seed, optimiser and schedule, history, the recipe's options
    /optimizer/SLOT/NAME  arrays of the optimiser   /best/NAME          arrays of the best epoch

Files are written beside their place and renamed into it, so that a crash leaves the old file or the new one,
never half of one.  Behind the end of the HDF5 file stands its digest, see seal.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..checked import checked
from ..formats.storage import storing
from ..formats.whole import as_json, whole, writable
from ..layers import initialise
from ..network.network import Network
from ..optim import Optimizer, optimizer_from
from ..packages import needed
from .seal import seal
from .stored import FORMAT, VERSION, CheckpointError, Stored, opened

__all__ = ["CheckpointError", "Training", "describe", "first_difference", "load", "load_training", "rehearse",
           "resume", "save"]


class Training(NamedTuple):
    """A training as a checkpoint holds it."""
    net: Network
    optimizer: Optimizer
    facts: dict[str, Any]           # epoch, seed, history ...
    best: dict[str, np.ndarray]     # arrays of the best epoch, may be empty


# ---- writing


@checked
def save(net: Network, path: Path | str, *, optimizer: Optimizer | None = None, facts: dict | None = None,
         best: Mapping[str, np.ndarray] | None = None) -> None:
    """Write a network, or with the further arguments a training, to an HDF5 file.

    Links are followed, and the mode of a file that is replaced is kept.  Raises OSError where the disk is
    full or the folder read-only, ValueError where an array is not finite or `path` is no file, TypeError
    where a setting cannot be written; what was there before then stays.
    """
    from .. import __version__
    texts = _texts(net, optimizer, facts)
    arrays = _arrays(net)
    of_training = {} if optimizer is None else _arrays_of_training(net, optimizer, best)
    with whole(path) as part:
        with storing(part, "w") as file:
            file.attrs.update(format=FORMAT, format_version=VERSION, numsnn_version=__version__, sealed=1)
            for key, text in texts.items():
                file[key] = text
            for key, array in arrays.items():
                file[key] = array
            for group, found in of_training.items():
                _write(file, group, found)
        seal(part)


def rehearse(net: Network, path: Path | str, *, optimizer: Optimizer, facts: dict | None = None) -> None:
    """Raise now what would keep `save` from writing this training to `path`, as far as it can be known."""
    needed("h5py", "a checkpoint (HDF5)")
    _texts(net, optimizer, facts)
    writable(path)


def _texts(net, optimizer, facts):
    """What is written as JSON."""
    try:
        texts = {"config": as_json(net.config())}
        if optimizer is not None:
            about = {"optimizer": optimizer.config(), "optimizer_steps": optimizer.steps,
                     "optimizer_epoch": optimizer.epoch}
            texts["training"] = as_json({**(facts or {}), **about})
    except (TypeError, ValueError) as error:
        raise type(error)(f"this network or training cannot be saved: {error}") from error
    return texts


def _arrays(net):
    """The arrays of a network by their place in the file."""
    arrays = {}
    for name, layer in net.layers.items():
        for kind in ("params", "fixed"):
            for key, array in getattr(layer, kind).items():
                arrays[f"{kind}/{name}/{key}"] = array = np.asarray(array)
                if layer.impossible(key, array):
                    raise ValueError(f"{name} is not saved: {layer.impossible(key, array)}")
    return _finite(arrays)


def _arrays_of_training(net, optimizer, best):
    """group -> name -> array; what the optimiser has not seen yet is zero."""
    state = {}
    for slot, kept in optimizer.state.items():
        foreign = sorted(set(kept) - set(net.params))
        if foreign:
            raise ValueError(f"the optimiser has trained another network, with {foreign[0]}; "
                             f"a new one for each network can be saved with it")
        for name, p in net.params.items():
            state[f"{slot}/{name}"] = np.asarray(kept[name]) if name in kept else np.zeros(p.shape, p.dtype)
    return {"optimizer": _finite(state), "best": _finite(dict(best or {}))}


def _finite(arrays):
    """The arrays, if they could be loaded again."""
    for place, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{place} holds NaN or infinity, with which no checkpoint can be loaded; "
                             f"nothing is saved")
    return arrays


def _write(file, group, arrays):
    file.create_group(group)
    for name, array in arrays.items():
        file[f"{group}/{name}"] = array


# ---- reading


@checked
def load(path: Path | str, *, which: str = "best", **changes) -> Network:
    """The network of a checkpoint.

    which: of a training with a validation set the weights of the "best" epoch or of the "last" one.
    changes: device=, chunk=.  Raises CheckpointError, which says why, where the file is damaged or none.
    """
    if which not in ("best", "last"):
        raise ValueError(f"which must be 'best' or 'last'; got {which!r}")
    with opened(path) as stored:
        net = _network(stored, changes)
        if which == "best":
            net.restore(_best(stored, net))
    return net


def load_training(path: Path | str, **changes) -> Training:
    """The training of a checkpoint."""
    with opened(path) as stored:
        facts = _training(stored)
        net = _network(stored, changes)
        optimizer = optimizer_from(facts["optimizer"])
        best = _best(stored, net)
        _restore(optimizer, facts, _moments(stored, net, optimizer))
    return Training(net, optimizer, _of_user(facts), best)


def resume(path: Path | str, net: Network, optimizer: Optimizer) -> tuple[dict[str, Any], dict]:
    """Bring a network and an optimiser to the state of a checkpoint: (facts, arrays of the best epoch).

    ValueError, and nothing is changed, where the checkpoint is of another network or another optimiser.
    """
    with opened(path) as stored:
        facts = _training(stored)
        there, here = facts["optimizer"]["optimizer"], type(optimizer).__name__
        as_of_today = _begun(stored, {"device": "reference"}).config()
        different = first_difference(as_of_today, net.config())
        if not different and there == here:
            arrays, best = _values(stored, net), _best(stored, net)
            moments = _moments(stored, net, optimizer)
    if different:
        raise ValueError(f"{path} holds another network: {different}; "
                         f"resume with the network that it was written with")
    if there != here:
        raise ValueError(f"{path} was trained with {there}, this run has {here}; "
                         f"resume with the optimiser that it was written with")
    net.restore(arrays)
    _restore(optimizer, facts, moments)
    return _of_user(facts), best


def describe(path: Path | str) -> dict[str, Any]:
    """What a checkpoint says of itself: versions, configuration, training (None for a plain network)."""
    with opened(path) as stored:
        return {
            "format_version": VERSION,
            "numsnn_version": str(stored.file.attrs["numsnn_version"]),
            "config": stored.facts("config"),
            "training": _training(stored) if "training" in stored else None,
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


# ---- what is read, looked at


def _begun(stored: Stored, changes):
    """A network of the stored configuration, whose arrays are no larger than the file's."""
    with initialise.stored(stored.largest()):
        return Network.from_config(stored.facts("config"), **changes)


def _network(stored: Stored, changes):
    net = _begun(stored, changes)
    net.restore(_values(stored, net))
    return net


def _values(stored, net):
    """The arrays of a network, by name."""
    values, newer = {}, _newer(stored, net)
    for name, layer in net.layers.items():
        for kind in ("params", "fixed"):
            for key, like in getattr(layer, kind).items():
                if f"{name}.{key}" not in newer:
                    values[f"{name}.{key}"] = _possible(stored, layer, key, f"{kind}/{name}/{key}", like)
    return values


def _newer(stored, net):
    """Names of fixed settings that are younger than the file: they have their defaults.

    Its configuration does not name them, and it holds no array of theirs.
    """
    said = {layer.get("name"): json.dumps(layer) for layer in stored.facts("config")["layers"]}
    found = set()
    for name, layer in net.layers.items():
        for key in layer.fixed:
            is_said = f'"{key}":' in said.get(name, "")
            if not is_said and f"fixed/{name}/{key}" not in stored:
                found.add(f"{name}.{key}")
    return found


def _possible(stored, layer, key, place, like):
    """An array, if it is one that the layer can have."""
    array = stored.array(place, like)
    why = layer.impossible(key, array)
    if why:
        raise CheckpointError(f"{stored.path}: {place}: {why}")
    return array


def _best(stored, net):
    """The arrays of the best epoch: all of them, or none."""
    names = stored.names("best")
    if not names:
        return {}
    newer = _newer(stored, net)
    likes = {name: like for name, like in net.arrays().items() if name not in newer}
    if set(names) != set(likes):
        wrong = min(set(names) ^ set(likes))
        raise CheckpointError(f"{stored.path}: best/{wrong} is missing, or nothing the network has; "
                              f"the file is damaged")
    best = {}
    for name, like in likes.items():
        layer, _, key = name.rpartition(".")
        best[name] = _possible(stored, net.layers[layer], key, f"best/{name}", like)
    return best


def _moments(stored, net, optimizer):
    """slot -> name -> array of the optimiser; older files have none before its first step."""
    if not stored.names("optimizer") and not _training(stored)["optimizer_steps"]:
        return {slot: {} for slot in optimizer.slots}
    return {slot: {name: stored.array(f"optimizer/{slot}/{name}", like) for name, like in net.params.items()}
            for slot in optimizer.slots}


def _restore(optimizer, facts, moments):
    optimizer.reset()
    optimizer.steps = facts["optimizer_steps"]
    optimizer.epoch = facts["optimizer_epoch"]
    optimizer.state = moments


def _of_user(facts):
    """The facts without those of the optimiser."""
    return {key: fact for key, fact in facts.items()
            if key not in ("optimizer", "optimizer_steps", "optimizer_epoch")}


def _training(stored):
    """What a checkpoint says of its training."""
    path = stored.path
    if "training" not in stored:
        raise CheckpointError(f"{path} holds a network but no training to continue; "
                              f"ns.load reads the network")
    facts = stored.facts("training")
    optimizer = facts.get("optimizer")
    if not isinstance(optimizer, dict) or not isinstance(optimizer.get("optimizer"), str):
        raise CheckpointError(f"{path} does not say with which optimiser it was trained; the file is damaged")
    numbers = ["optimizer_steps", "optimizer_epoch"]
    if any(key in facts for key in ("epoch", "seed", "history")):       # written by `fit`
        numbers += ["epoch", "seed"]
        _check_history(path, facts)
    for key in numbers:
        if type(facts.get(key)) is not int or facts[key] < 0:
            raise CheckpointError(f"{path}: {key} of the training should be a whole number from 0; "
                                  f"got {facts.get(key)!r}")
    return facts


def _check_history(path, facts):
    history = facts.get("history")
    if not isinstance(history, list) or not all(isinstance(row, dict) for row in history):
        raise CheckpointError(f"{path}: the history of the training should be a list of dicts")
    last = history[-1].get("epoch", facts.get("epoch")) if history else facts.get("epoch")
    if last != facts.get("epoch"):
        raise CheckpointError(f"{path}: the training ends with epoch {facts.get('epoch')!r}, "
                              f"its history with {last!r}")
