"""What `fit`, `evaluate`, `predict` and `warm_up` are given, checked at the door."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ..datasets import Dataset
from ..export import IntegerNetwork
from ..layers.layer import positive_integer
from ..network.network import Network
from ..optim import Optimizer
from ..signals.integers import is_whole
from .history import direction_of
from .regularise import Regulariser

OWN_KEYS = ("loss", "learning_rate", "gradient_norm", "projected")      # of every history


class TrainingWarning(UserWarning):
    """Something about a training or its result is odd: it runs, and will hardly be what was meant."""


def network(net: Any, caller: str, runs: bool = False) -> Network:
    """TypeError where `net` is no network.  runs: one in whole numbers, which only runs, will do."""
    if not isinstance(net, (Network, IntegerNetwork) if runs else Network):
        raise TypeError(f"{caller}: the first argument is a Network; got {_kind(net)}")
    return net      # type: ignore[return-value]


def dataset(data: Any, what: str) -> Dataset:
    """TypeError, in which `what` names who takes it, where `data` is no data set."""
    if not isinstance(data, Dataset):
        raise TypeError(f"{what} takes a Dataset; got {type(data).__name__}. Write Dataset(x, y); "
                        f"for an array x without labels there is net.run(x)")
    return data


def flag(value: Any, what: str) -> bool:
    """TypeError, in which `what` names it, where `value` is neither True nor False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{what} must be True or False; got {value!r}")
    return bool(value)


def check(net: Any, train: Any, valid: Any, watch: Any, optimizer: Any) -> None:
    """Raise where one of what `fit` is given is of another kind, or a data set is empty or does not fit."""
    network(net, "fit")
    if not len(dataset(train, "fit, train,")):
        raise ValueError(f"the training set {train.name!r} is empty")
    if valid is not None and not len(dataset(valid, "fit, valid,")):
        raise ValueError(f"the validation set {valid.name!r} is empty; leave it out or hold out more")
    _check_watched({} if watch is None else watch)
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"fit: optimizer must be one of numsnn.optim, such as ns.optim.Adam(1e-3); "
                        f"got {_kind(optimizer)}")
    for name, data in measured(valid, watch).items():
        _check_alike(net, train, name, data)


def measured(valid: Dataset | None, watch: Mapping[str, Dataset] | None) -> dict[str, Dataset]:
    """The sets that are measured after each epoch, by name."""
    return ({} if valid is None else {"valid": valid}) | dict(watch or {})


def _check_watched(watch):
    if not isinstance(watch, Mapping):
        raise TypeError(f'fit: watch must be a dict of data sets by name, such as {{"test": test}}; '
                        f"got {_kind(watch)}")
    for name, data in watch.items():
        if name == "valid" or name == "" or not isinstance(name, str):
            raise ValueError(f'fit: sets of watch have names of text other than "valid", which is the '
                             f"validation set; got {name!r}")
        if not len(dataset(data, f"fit, watch[{name!r}],")):
            raise ValueError(f"the watched set {name!r} is empty; leave it out")


def _check_alike(net, train, name, data):
    """Refuse before the first epoch what could not be measured after it."""
    kinds = [f"{one.units} features and {_answers(one)}" for one in (train, data)]
    if kinds[0] != kinds[1]:
        raise ValueError(f"fit: the set {name!r} has {kinds[1]}, the training set {kinds[0]}; "
                         f"what is measured must be like what is trained on")
    outputs = next(reversed(net.layers.values())).size_out
    if not data.has_targets and outputs is not None and data.y.max() >= outputs:
        raise ValueError(f"fit: the set {name!r} has labels up to {data.y.max()}, "
                         f"but the network has {outputs} outputs")


def _answers(data):
    """What a network is asked for: "a label for each step", "3 targets for each sequence" ..."""
    what = f"{data.y.shape[-1]} targets" if data.has_targets else "a label"
    return f"{what} for each {'step' if data.per_step else 'sequence'}"


def check_numbers(train: Dataset, *, epochs: Any, batch_size: Any, seed: Any, patience: Any, tbptt: Any,
                  checkpoint_every: Any) -> None:
    """Raise ValueError where a number of `fit` is none, or out of its range."""
    if positive_integer(batch_size, "batch_size") > len(train):
        raise ValueError(f"batch_size {batch_size} is larger than the training set, which has {len(train)} "
                         f"sequences; use at most {len(train)}")
    for what, value in (("epochs", epochs), ("seed", seed)):
        if not is_whole(value, least=0):
            raise ValueError(f"{what} must not be negative, and be an integer; got {value!r}")
    if tbptt is not None and not is_whole(tbptt, least=1):
        raise ValueError(f"tbptt must be an integer, tbptt at least one step, or None; got {tbptt!r}")
    for what, value in (("patience", patience), ("checkpoint_every", checkpoint_every)):
        if value is not None:
            positive_integer(value, what)


def skippable(skip: Any, tbptt: int | None) -> int:
    """`skip`; ValueError where it is no number of batches, or batches are not updated as a whole."""
    if not is_whole(skip, least=0):
        raise ValueError(f"skip must be a number of batches of an epoch, from 0 on; got {skip!r}")
    if skip and tbptt is not None:
        raise ValueError("skip leaves out whole batches, and tbptt (as rule \"fptt\") updates within them; "
                         "leave one of both out")
    return int(skip)


def bits(weight_bits: Any) -> int | None:
    """ValueError where `weight_bits` is no number of bits that weights can have."""
    if weight_bits is not None and not (is_whole(weight_bits, least=4) and weight_bits <= 16):
        raise ValueError(f"weight_bits must be 4 to 16, or None; got {weight_bits!r}")
    return weight_bits


def own_facts(facts: Any) -> dict[str, Any]:
    """What a checkpoint is to say besides; TypeError where it is no dict."""
    if facts is not None and not isinstance(facts, Mapping):
        raise TypeError(f"fit: facts must be a dict of what the checkpoint is to say; got {_kind(facts)}")
    return dict(facts or {})


def check_flags(**flags: Any) -> None:
    """TypeError where one of them is neither True nor False."""
    for what, value in flags.items():
        flag(value, f"fit: {what}")


def all_callable(callbacks: Any) -> tuple[Callable, ...]:
    """The callbacks as a tuple; TypeError where one cannot be called."""
    if callable(callbacks) or not isinstance(callbacks, Iterable):
        raise TypeError(f"fit: callbacks must be a sequence of functions; got {_kind(callbacks)}; "
                        f"for one function write callbacks=(function,)")
    callbacks = tuple(callbacks)
    for callback in callbacks:
        if not callable(callback):
            raise TypeError(f"fit: a callback is a function of an Epoch; got {_kind(callback)}")
    return callbacks


def all_regularisers(regularisers: Any) -> tuple[Regulariser, ...]:
    """The regularisers as a tuple; TypeError where one is none."""
    if not isinstance(regularisers, Iterable):
        raise TypeError(f"fit: regularisers must be a sequence; got {_kind(regularisers)}; "
                        f"for one write regularisers=(RateBand(0.01, 0.3),)")
    regularisers = tuple(regularisers)
    for one in regularisers:
        if isinstance(one, type) or not callable(one) or not hasattr(one, "layers"):
            raise TypeError(f"fit: a regulariser is one of numsnn.training.regularise; got {_kind(one)}")
    return regularisers


def metrics_of(data: Dataset) -> tuple[str, ...]:
    """What `evaluate` measures of a set besides its loss."""
    return ("mse", "mae", "r2", "correlation") if data.has_targets else ("accuracy",)


def monitored(monitor: Any, direction: Any, patience: Any, valid: Dataset | None,
              watch: Mapping[str, Dataset] | None) -> tuple[str | None, str | None]:
    """(key of the history by which the best epoch is chosen, direction); (None, None) where nothing is.

    ValueError where the key is none that this training measures, or patience has nothing to go by.
    """
    if monitor is None and direction is not None:
        raise ValueError("direction is that of monitor; give monitor= too")
    if monitor is None and valid is None and patience is not None:
        raise ValueError(f'patience={patience} needs something to wait for: give the validation set '
                         f'valid=, or name a number of the history, such as monitor="loss"')
    if monitor is None:
        if valid is None:
            return None, None
        monitor = "valid_loss" if valid.has_targets else "valid_accuracy"
    known = list(OWN_KEYS)
    for name, data in measured(valid, watch).items():
        known += [f"{name}_{what}" for what in ("loss", *metrics_of(data))]
    if monitor not in known:
        lacking = "; there is no validation set" if valid is None else ""
        raise ValueError(f"monitor must be a number of this training's history, {', '.join(known)}; "
                         f"got {monitor!r}{lacking}")
    return monitor, direction_of(monitor, direction)


def _kind(value: Any) -> str:
    """What was given, in a few words: "the text 'adam'", "the class Adam", "a tuple"."""
    if isinstance(value, str):
        return f"the text {value!r}"
    if isinstance(value, type):
        return f"the class {value.__name__}, without brackets"
    return "None" if value is None else f"a {type(value).__name__}"
