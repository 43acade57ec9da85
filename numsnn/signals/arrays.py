"""Arrays from outside: what NumPy would take without a word, and we do not."""

from __future__ import annotations

from typing import Any

import numpy as np

NUMBERS = "biuf"                    # NumPy's letters: booleans, integers, floats
LARGEST = np.iinfo(np.int64).max
TIME_FIRST = "Time comes first, (T, B, ...); with the samples first, use np.swapaxes(a, 0, 1)"


def plain(a: Any, what: str, kinds: str = NUMBERS) -> np.ndarray:
    """`numbers` of sequences, and what goes with them; the errors say what to do about samples."""
    return numbers(a, what, "numbers", kinds, masked=", and say by mask= or lengths= which steps count",
                   ragged=". Sequences of unequal length go through Dataset.from_samples, which pads them")


def numbers(given: Any, what: str, wanted: str = "an array of numbers", kinds: str = NUMBERS, *,
            masked: str = "", ragged: str = "") -> np.ndarray:
    """`given` as an array of these kinds; lists of unequal length, objects, texts and masked values are
    refused.

    what: its name in the error.  wanted: what it should be.  masked, ragged: more advice.
    """
    if isinstance(given, np.ma.MaskedArray) and np.ma.getmaskarray(given).any():
        raise ValueError(f"{what} is a masked array, and what it masks would count; "
                         f"fill it, a.filled(0){masked}")
    try:
        a = np.asarray(given)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{what}: expected one array; got what makes none ({error}){ragged}") from error
    if a.dtype.kind not in kinds:
        raise ValueError(f"{what}: expected {wanted}; got {_kind(given, a)}")
    return a


def _kind(given, a):
    """What is no array of numbers, in words."""
    if a.dtype.kind == "O" and not isinstance(given, (np.ndarray, list, tuple)):
        return f"Python objects, {type(given).__name__}"
    words = {"O": "Python objects", "U": "texts", "S": "texts", "c": "complex numbers"}
    return f"{words.get(a.dtype.kind, a.dtype)} of shape {a.shape}"


def checked_lengths(lengths: Any, batch: int, steps: int | None, what: str = "lengths") -> np.ndarray:
    """(B,) int64: how many of the steps of each sample are valid, 0 ... steps (None: any number)."""
    lengths = plain(lengths, what)
    whole = lengths.dtype.kind in "iu" or lengths.dtype.kind == "f" and (lengths == np.trunc(lengths)).all()
    if lengths.shape != (batch,) or not whole:
        some = ", ".join(map(str, lengths.ravel()[:3]))
        hint = f". {TIME_FIRST}" if steps is not None and lengths.shape == (steps,) else ""
        raise ValueError(f"{what}: expected {batch} integers, one for each sample; "
                         f"got {lengths.dtype} of shape {lengths.shape}: {some} ...{hint}")
    most = LARGEST if steps is None else steps
    if batch and (lengths.min() < 0 or lengths.max() > most):
        upper = "0 on" if steps is None else f"0 ... T = {steps}"
        raise ValueError(f"{what} must lie in {upper}; got {lengths.min()} ... {lengths.max()}")
    return lengths.astype(np.int64)


def checked_mask(mask: Any, shape: tuple[int, ...], name: str = "mask", of: str = "") -> np.ndarray:
    """(T, B) booleans; numbers must be 0 or 1.  of: what has it, before the error."""
    mask = plain(mask, f"{of}{name}")
    if mask.shape != shape:
        hint = f". {TIME_FIRST}" if mask.shape == shape[::-1] else ""
        raise ValueError(f"{of}expected a {name} (T, B) = {shape}; got shape {mask.shape}{hint}")
    if mask.dtype == bool:
        return mask
    other = mask[(mask != 0) & (mask != 1)]
    if other.size:
        raise ValueError(f"{of}{name} says which steps count: expected booleans, or 0 and 1; got {other[0]}")
    return mask.astype(bool)
