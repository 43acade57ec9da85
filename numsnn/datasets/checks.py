"""What a data set is refused for, and what it warns of."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..signals.arrays import LARGEST, plain
from ..signals.spikes import Spikes

FEW = 64                            # steps and samples that are looked at to tell one axis from the other
ALIKE = 0.8                         # neighbours in time differ by less than this share of other neighbours
SAMPLES_FIRST = "Time comes first; data with the samples first go through Dataset.from_samples(x, y)"


class AxesWarning(UserWarning):
    """Arrays that fit with time first, and with the samples first as well."""


def checked_values(x: Any, what: str) -> np.ndarray:
    """x (T, B, N) of numbers."""
    x = plain(x, f"{what}: x")
    if x.ndim == 3:
        return x
    hint = ""
    if x.ndim == 2:
        hint = ". One sequence (T, N) is x[:, None, :], one feature (T, B) is x[:, :, None]"
    elif x.ndim > 3:
        hint = ". Pictures are features, x.reshape(*x.shape[:2], -1)"
    raise ValueError(f"{what}: a data set needs x of shape (T, B, N): time, samples, features; "
                     f"got shape {x.shape}{hint}. {SAMPLES_FIRST}")


def refuse_not_finite(x: np.ndarray, lengths: np.ndarray | None, what: str) -> None:
    """Raise a ValueError that names the first number which is none."""
    if x.dtype.kind != "f" or np.isfinite(x).all():
        return
    t, b, n = np.argwhere(~np.isfinite(x))[0]
    is_padding = lengths is not None and lengths[b] <= t
    padded = ". It is padding, which must be finite, too: put 0 there" if is_padding else ""
    raise ValueError(f"{what}: sample {b} is {x[t, b, n]} at step {t}, feature {n}; "
                     f"clean the data first{padded}")


def checked_labels(y: Any, steps: int, batch: int, classes: Sequence[str], what: str,
                   any_steps: bool = False) -> np.ndarray:
    """Labels (B,), (T, B) as int64, or targets (B, K), (T, B, K) as float32 or float64.

    any_steps: T is not known, and y says it.
    """
    y = plain(y, f"{what}: labels", "biufU")
    if y.dtype.kind == "U":
        y = _of_names(y, classes, what)
    if y.shape == (0,):
        y = y.astype(np.int64)          # NumPy takes [] for floats
    is_float = y.dtype.kind == "f"
    axes = y.ndim - is_float
    wanted = [(batch,), (len(y) if any_steps and y.ndim else steps, batch)]
    if y.dtype.kind not in "iuf" or axes < 1 or y.shape[:axes] not in wanted:
        raise ValueError(f"{what}: expected integer labels of shape {wanted[0]}, or {wanted[1]} for one per "
                         f"step, or floats with an axis more, which are targets of a regression; "
                         f"got {y.dtype} of shape {y.shape}{_hint(y, steps, batch)}")
    if is_float:
        return _targets(y, what)
    if y.size and (y.min() < 0 or y.max() > LARGEST):
        remedy = "Leave sequences without a label out"
        if is_per_step(y):
            remedy = "Steps without a label get 0 and are left out by mask=(y >= 0)"
        raise ValueError(f"{what}: labels are classes from 0 on; got {y.min()} ... {y.max()}. {remedy}")
    if classes and y.size and y.max() >= len(classes):
        raise ValueError(f"{what}: label {y.max()}, but {len(classes)} classes have names: "
                         f"{', '.join(classes[:20])}")
    return y.astype(np.int64)


def names(classes: Iterable[str], what: str) -> tuple[str, ...]:
    """The names of classes, each of which belongs to one."""
    if not isinstance(classes, Iterable):
        raise TypeError(f"{what}: classes are names of classes, such as ('left', 'right'); got {classes!r}")
    found = tuple(map(str, classes))
    twice = next((name for i, name in enumerate(found) if name in found[:i]), None)
    if twice is not None:
        raise ValueError(f"{what}: two classes have the name {twice!r}")
    return found


def _of_names(y, classes, what):
    """The numbers of classes that are given by name."""
    if not classes:
        raise ValueError(f"{what}: labels are texts; say which class has which number: "
                         f"classes={sorted(set(y.ravel().tolist()))[:20]}")
    number = {name: i for i, name in enumerate(classes)}
    unknown = sorted(set(y.ravel().tolist()) - number.keys())
    if unknown:
        raise ValueError(f"{what}: no class {unknown[0]!r}; classes are {', '.join(classes[:20])}")
    return np.array([number[name] for name in y.ravel()], np.int64).reshape(y.shape)


def _targets(y, what):
    if not y.shape[-1]:
        raise ValueError(f"{what}: targets of shape {y.shape} hold no number")
    if not np.isfinite(y).all():
        place = np.argwhere(~np.isfinite(y))[0]
        raise ValueError(f"{what}: the target {tuple(map(int, place))} is {y[tuple(place)]}; targets must be "
                         f"finite, padded ones, too. Steps without a target get 0 and are left out by mask=")
    return y.astype(np.float32 if y.dtype.itemsize <= 4 else np.float64)


def _hint(y, steps, batch):
    """What may be meant by labels of this shape."""
    if y.shape[:2] == (batch, steps):
        return ". Labels of steps come with time first, too: np.swapaxes(y, 0, 1)"
    if y.shape in ((batch,), (steps, batch)) and y.dtype.kind in "bf":
        return ". Labels of classes are y.astype(int), targets y[..., None]"
    if y.dtype.kind in "iu" and y.shape[:-1] in ((batch,), (steps, batch)):
        labels = "Labels are y[..., 0]" if y.shape[-1] == 1 else "One-hot labels are y.argmax(-1)"
        return f". {labels}, targets y.astype(float)"
    if y.shape[:1] == (steps,):
        return f". They fit the first axis of x: is that the samples? {SAMPLES_FIRST}"
    return f". {SAMPLES_FIRST}"


# ---- both readings fit


def warn_if_ambiguous(x: Spikes | np.ndarray, y: np.ndarray, what: str, stacklevel: int) -> None:
    """A warning where x and y fit with the samples first, too, and the values do not show that time is.

    In time neighbours are alike, of other samples they are not; nothing is said where that is so.
    """
    steps, batch, _ = x.shape
    if y.dtype.kind == "f" and y.shape == (steps, batch) and steps == batch > 1:
        warn_of_targets(y.shape, what, stacklevel + 1)
    elif (is_per_step(y) or steps == batch) and batch > 1 and steps and not _time_is_first(x, y):
        warnings.warn(f"{what}: x {x.shape} is taken as {steps} steps of {batch} samples; {batch} steps of "
                      f"{steps} samples fit as well. If the samples come first, use "
                      f"Dataset.from_samples(x, y); if time does, say time_first=True",
                      AxesWarning, stacklevel=stacklevel + 1)


def warn_of_targets(shape: Sequence[int], what: str, stacklevel: int) -> None:
    """The warning for targets (B, K) of sequences of K steps."""
    warnings.warn(f"{what}: y {shape} is taken as {shape[1]} targets of each sequence; if it is one target "
                  f"for each of {shape[1]} steps, give y[..., None]", AxesWarning, stacklevel=stacklevel + 1)


def is_per_step(y: np.ndarray) -> bool:
    """Whether labels or targets are of steps, (T, B) or floats (T, B, K), not of sequences."""
    return y.ndim == 2 + (y.dtype.kind == "f")


def _time_is_first(x, y):
    """Whether neighbours in time are clearly more alike than those of other samples: labels, else values."""
    if is_per_step(y):
        ratio = _alike(y[:FEW, :FEW])
        if not ALIKE <= ratio <= 1 / ALIKE:
            return ratio < 1
    block = x[:FEW]
    block = block.select(slice(0, FEW)).dense() if isinstance(block, Spikes) else block[:, :FEW]
    return _alike(block) < ALIKE


def _alike(a):
    """How much neighbours differ along the first axis, as a share of how much along the second."""
    if min(a.shape[:2]) < 2:
        return 1.0
    along, across = (np.abs(np.diff(a.astype(np.float64), axis=axis)).mean() for axis in (0, 1))
    if not across:
        return np.inf if along else 1.0
    return along / across
