"""Arrays from outside: what NumPy would take without a word, and we do not."""

from __future__ import annotations

from typing import Any

import numpy as np

NUMBERS = "biuf"                    # NumPy's letters: booleans, integers, floats
LARGEST = np.iinfo(np.int64).max
TIME_FIRST = "Time comes first, (T, B, ...); with the samples first, use np.swapaxes(a, 0, 1)"


def plain(a: Any, what: str, kinds: str = NUMBERS) -> np.ndarray:
    """`a` as an array of these kinds; lists of unequal length, objects, texts and masked values are refused.

    what: its name in the error.
    """
    if isinstance(a, np.ma.MaskedArray) and np.ma.getmaskarray(a).any():
        raise ValueError(f"{what} is a masked array, and what it masks would count; fill it, a.filled(0), "
                         f"and say by mask= or lengths= which steps count")
    try:
        a = np.asarray(a)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{what} cannot be made an array: {error}. Sequences of unequal length go through "
                         f"Dataset.from_samples, which pads them, or are padded to one length and come with "
                         f"lengths=") from error
    if a.dtype.kind not in kinds:
        raise ValueError(f"{what}: expected numbers; got {_kind(a)} of shape {a.shape}")
    return a


def _kind(a):
    return {"O": "Python objects", "U": "texts", "S": "texts", "c": "complex numbers"}.get(a.dtype.kind,
                                                                                           str(a.dtype))


def checked_lengths(lengths: Any, batch: int, steps: int | None, what: str = "lengths") -> np.ndarray:
    """(B,) int64: how many of the steps of each sample are valid, 0 ... steps (None: any number)."""
    lengths = plain(lengths, what)
    whole = lengths.dtype.kind in "iu" or lengths.dtype.kind == "f" and (lengths == np.trunc(lengths)).all()
    if lengths.shape != (batch,) or not whole:
        values = "" if lengths.size > 20 else f" {lengths.tolist()}"
        raise ValueError(f"{what}: expected {batch} integers, one for each sample; "
                         f"got {lengths.dtype}{values} of shape {lengths.shape}")
    most = LARGEST if steps is None else steps
    if batch and (lengths.min() < 0 or lengths.max() > most):
        raise ValueError(f"{what} must lie in 0 ... T = {steps}; got {lengths.min()} ... {lengths.max()}")
    return lengths.astype(np.int64)


def checked_mask(mask: Any, shape: tuple[int, ...], what: str = "mask") -> np.ndarray:
    """(T, B) booleans; numbers must be 0 or 1."""
    mask = plain(mask, what)
    if mask.shape != shape:
        hint = f"; mask.T fits, {TIME_FIRST}" if mask.shape == shape[::-1] else ""
        raise ValueError(f"expected a {what} (T, B) = {shape}; got shape {mask.shape}{hint}")
    if mask.dtype != bool and not np.isin(mask, (0, 1)).all():
        raise ValueError(f"{what} says which steps count: expected booleans, or 0 and 1; "
                         f"got {mask.dtype}, for instance {mask[~np.isin(mask, (0, 1))][0]}")
    return mask.astype(bool)
