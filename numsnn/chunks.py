"""Pieces of a batch: states, answers and gradients cut into chunks of samples, and put together again."""

from typing import Any

import numpy as np

from .spikes import Spikes


def rows(state: Any, first, last):
    return None if state is None else type(state)(*(np.ascontiguousarray(a[first:last]) for a in state))


def zeros(state):
    return None if state is None else type(state)(*(np.zeros_like(a) for a in state))


def join_states(parts):
    return None if parts[0] is None else type(parts[0])(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def part(a, first, last, per_step=None):
    """The samples of an answer or its gradient, (B, C) or (T, B, C); of labels or weights where per_step tells which."""
    per_step = a.ndim == 3 if per_step is None else per_step
    return np.ascontiguousarray(a[:, first:last] if per_step else a[first:last])


def samples(x, first, last, borrowed=False):
    """Samples of a sequence (T, B, N), array or Spikes, as a copy of one's own or, borrowed, where they lie."""
    return x.select(slice(first, last)) if isinstance(x, Spikes) else x[:, first:last] if borrowed else np.array(x[:, first:last], order="C")


def join(parts):
    """Samples beside each other: sequences (T, B, N), Spikes among them, or answers (B, C)."""
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], Spikes):
        return Spikes.join(parts, 1)
    return np.concatenate(parts, 1 if parts[0].ndim == 3 else 0)


def in_time(parts):
    """Pieces of a sequence, one after the other."""
    return Spikes.join(parts, 0) if isinstance(parts[0], Spikes) else np.concatenate(parts)


def total(parts):
    """The sum in order of chunks, whatever thread computed them."""
    if len(parts) == 1:
        return parts[0]
    result = parts[0] + parts[1]
    for part in parts[2:]:
        result += part
    return result
