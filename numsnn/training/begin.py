"""Where a training begins: anew, or where its checkpoint left off; whether that can be written."""

from __future__ import annotations

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from ..files.checkpoint import CheckpointError, describe, rehearse, resume as resumed
from ..network.network import Network
from ..optim import Optimizer
from ..ranks import ALONE, Ranks


class Begin(NamedTuple):
    """epochs: of the history until now.  best: arrays of the best epoch.  first: the next epoch."""
    epochs: list[dict]
    best: dict[str, Any]
    first: int


def begin(net: Network, optimizer: Optimizer, path: Path | str | None, facts: dict[str, Any],
          resume: bool, ranks: Ranks = ALONE) -> Begin:
    """Where to begin; net and optimizer are brought there.

    facts: what a checkpoint of this training says of itself, its seed and what it monitors among it.
    ranks: of which rank 0 looks at the file; the others get from it what is in there.
    A warning says where a training is overwritten, or where there is none to resume; ValueError where the
    checkpoint is of another training, or no checkpoint.
    """
    if ranks.size == 1 or path is None:
        return _begin(net, optimizer, path, facts, resume)
    there = ranks.root and resume and Path(path).is_file()
    began = ranks.on_root(lambda: _begin(net, optimizer, path, facts, resume))
    data = ranks.from_root(Path(path).read_bytes() if there else None)
    if data is None or ranks.root:
        return began or Begin([], {}, 0)
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "checkpoint.h5"
        copy.write_bytes(data)
        return _resume(net, optimizer, copy, facts)


def _begin(net, optimizer, path, facts, resume):
    anew = Begin([], {}, 0)
    if path is None:
        if resume:
            raise ValueError("resume=True goes on from a file; give its path as checkpoint=")
        return anew
    rehearse(net, path, optimizer=optimizer, facts=facts)
    if not Path(path).is_file():
        if resume:
            warnings.warn(f"there is no checkpoint {path} to resume; the training starts anew", stacklevel=5)
        return anew
    if resume:
        return _resume(net, optimizer, path, facts)
    warnings.warn(_overwritten(path), stacklevel=5)
    return anew


def _overwritten(path):
    """What will be lost with a file; a ValueError where it is no checkpoint."""
    try:
        training = describe(path)["training"]
    except CheckpointError as error:
        raise ValueError(f"{path} is not overwritten, because it is no checkpoint that can be read "
                         f"({error}); remove it, or choose another path") from error
    done = training["epoch"] + 1 if training and "epoch" in training else None
    what = "a network" if done is None else f"a training of {done} epochs"
    return f"{path} holds {what}, which this training overwrites; resume=True goes on with a training"


def _resume(net, optimizer, path, facts):
    training = describe(path)["training"] or {}
    seed, monitor = facts["seed"], facts["monitor"]
    if training.get("seed", seed) != seed:
        raise ValueError(f"{path} was trained with seed {training['seed']}, "
                         f"this run has seed {seed}; a training is resumed with its own seed")
    if training and "epoch" not in training:
        raise ValueError(f"{path} was not written by fit, so that nothing says how far it is; "
                         f"start anew with its network (ns.load) and another checkpoint=")
    before = training.get("monitor", "valid_accuracy")
    has_best = any(before in row for row in training.get("history", []))
    if has_best and monitor not in (None, before):
        raise ValueError(f"{path} holds the best epoch by {before}, this run asks for {monitor}; "
                         f"resume with monitor={before!r}")
    found, best = resumed(path, net, optimizer)
    return Begin(found["history"], best, found["epoch"] + 1)
