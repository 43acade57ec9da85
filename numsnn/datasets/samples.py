"""Data sets from sequences sample by sample: padded to one length, time first; see Dataset.from_samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..signals.arrays import NUMBERS, checked_lengths, plain
from ..signals.events import Events
from ..signals.spikes import Spikes
from .checks import warn_of_targets

WARNED = 3                          # from `time_first` to who called from_samples


class TimeFirst(NamedTuple):
    """What `Dataset` takes."""
    x: Spikes | np.ndarray
    y: np.ndarray
    lengths: np.ndarray | None
    mask: np.ndarray | None
    labelled: np.ndarray | None


def time_first(samples: Any, y: Any, lengths: ArrayLike | None, masks: Sequence[Any], dt: float | None,
               what: str) -> TimeFirst:
    """Samples (B, T, N), or of unequal length, their labels, and (mask, labelled)."""
    x, own = _sequences(samples, dt, what)
    steps, batch, _ = x.shape
    valid = own
    if lengths is not None:
        valid = checked_lengths(lengths, batch, steps, f"{what}: lengths")
        if (valid > own).any():
            b = int((valid > own).argmax())
            raise ValueError(f"{what}: sample {b} has {own[b]} steps; its length cannot be {valid[b]}")
    labels = _labels(y, own, steps, what)
    mask, labelled = (None if each is None else _by_step(each, own, steps, f"{what}: {name}", "biu")
                      for each, name in zip(masks, ("mask", "labelled"), strict=True))
    equal = lengths is None and (own == steps).all()
    return TimeFirst(x, labels, None if equal else valid, mask, labelled)


def _sequences(samples, dt, what):
    """(x (T, B, N), steps of each sample)."""
    if isinstance(samples, Spikes):
        raise TypeError(f"{what}: Spikes are (T, B, N), time first, already: Dataset(spikes, y). "
                        f"from_samples takes a list of Spikes (T_i, 1, N)")
    if isinstance(samples, Events):
        return _of_events(samples, dt, what)
    if isinstance(samples, np.ndarray) and samples.dtype.kind in NUMBERS and samples.ndim > 1:
        a = plain(samples, f"{what}: samples")
        features = math.prod(a.shape[2:])
        x = np.ascontiguousarray(np.swapaxes(a.reshape(*a.shape[:2], features), 0, 1))
        return x, np.full(len(a), a.shape[1])
    items = _items(samples, f"{what}: samples")
    if not items:
        raise ValueError(f"{what}: there are no samples; an empty set is Dataset(np.zeros((T, 0, N)), [])")
    if all(isinstance(item, Events) for item in items):
        return _of_events(Events.concatenate(items), dt, what)
    if all(isinstance(item, Spikes) for item in items):
        return _of_spikes(items, what)
    return _of_arrays(items, what)


def _of_events(events, dt, what):
    if dt is None:
        raise ValueError(f"{what}: events have no steps yet; say how long one is, dt= seconds")
    step, lengths = events.steps(dt)
    lengths = np.maximum(lengths, 1)            # a recording without events is a step without spikes
    return events.rows(step, int(lengths.max(initial=1))), lengths


def _of_spikes(items, what):
    """Spikes (T_i, 1, N), their rows put where time comes first."""
    units = items[0].shape[2]
    for b, item in enumerate(items):
        if item.shape[1:] != (1, units) or not item.shape[0]:
            raise ValueError(f"{what}: expected samples of Spikes (T_i, 1, {units}); "
                             f"sample {b} has shape {item.shape}")
    lengths = np.array([item.shape[0] for item in items])
    start = np.zeros((lengths.max(), len(items)), np.int64)
    count = np.zeros(start.shape, np.int32)
    first = 0
    for b, item in enumerate(items):
        start[:len(item), b] = item.start + first
        count[:len(item), b] = item.count
        first += len(item.index)
    multiplicity = None
    if any(item.multiplicity is not None for item in items):
        multiplicity = np.concatenate([np.ones(len(item.index), np.float32) if item.multiplicity is None
                                       else item.multiplicity for item in items])
    index = np.concatenate([item.index for item in items])
    x = Spikes.of_rows((*start.shape, units), start.ravel(), count.ravel(), index, multiplicity)
    return x, lengths


def _of_arrays(items, what):
    """Arrays (T_i, ...), further axes as features, padded with zeros."""
    arrays = [plain(item, f"{what}: sample {b}") for b, item in enumerate(items)]
    for b, a in enumerate(arrays):
        if not a.ndim or not len(a):
            raise ValueError(f"{what}: sample {b} has shape {a.shape}; expected (T_i, N), or (T_i,) of one "
                             f"feature, with at least one step")
        if a.shape[1:] != arrays[0].shape[1:]:
            raise ValueError(f"{what}: samples must have the same features; sample 0 has shape "
                             f"{arrays[0].shape}, sample {b} {a.shape}")
    lengths = np.array([len(a) for a in arrays])
    features = math.prod(arrays[0].shape[1:])
    x = np.zeros((lengths.max(), len(arrays), features), np.result_type(*{a.dtype for a in arrays}))
    for b, a in enumerate(arrays):
        x[:len(a), b] = a.reshape(len(a), features)
    return x, lengths


def _labels(y, own, steps, what):
    """Labels or targets of samples as they are, those of steps with time first."""
    items = _items(y, f"{what}: labels")
    first = plain(items[0], f"{what}: labels", "biufU") if items else np.zeros(())
    per_step = first.ndim == 1 + (first.dtype.kind == "f")
    if per_step:
        return _by_step(y if isinstance(y, np.ndarray) else items, own, steps, f"{what}: labels", "biufU")
    if first.shape == (own[0],) and len({len(item) for item in items}) > 1:
        raise ValueError(f"{what}: labels are integers; numbers for each step are targets (T_i, K): of one "
                         f"target a[:, None] of each sample")
    a = plain(y if isinstance(y, np.ndarray) else items, f"{what}: labels", "biufU")
    if a.shape[:1] != own.shape:
        raise ValueError(f"{what}: {len(own)} samples, but labels of shape {a.shape}; expected {len(own)} "
                         f"labels, or as many arrays of labels (T_i,), floats with an axis more")
    if a.dtype.kind == "f" and a.ndim == 2 and a.shape[1] == steps > 1 and (own == steps).all():
        warn_of_targets(a.shape, what, WARNED + 1)
    return a if items else a.astype(int)


def _items(given, what):
    """What is given for each sample, as a list."""
    try:
        return list(given)
    except TypeError as error:
        raise TypeError(f"{what}: expected an array or a list, one item for each sample; "
                        f"got {given!r}") from error


def _by_step(given, own, steps, what, kinds):
    """(T, B, ...) of what is given for each step of each sample; padding is 0, or any of the texts."""
    items = [plain(item, f"{what} of sample {b}", kinds) for b, item in enumerate(_items(given, what))]
    if len(items) != len(own):
        raise ValueError(f"{what}: expected them for {len(own)} samples; got {len(items)}")
    for b, (item, n) in enumerate(zip(items, own, strict=True)):
        padded = isinstance(given, np.ndarray) and item.shape[:1] == (steps,)
        if item.shape[1:] != items[0].shape[1:] or not padded and item.shape[:1] != (n,):
            raise ValueError(f"{what}: sample {b} has {n} steps, but {what.rpartition(': ')[2]} of shape "
                             f"{item.shape}")
    found = np.result_type(*{item.dtype for item in items})
    a = np.zeros((steps, len(items), *items[0].shape[1:]), found)
    if found.kind == "U":
        a[...] = items[0][0]
    for b, (item, n) in enumerate(zip(items, own, strict=True)):
        a[:n, b] = item[:n]
    return a
