"""Pieces of a batch: states, answers and gradients cut into chunks of samples, and put together again."""

from typing import Any

import numpy as np

from ..devices import buffers, threads
from ..signals.spikes import Spikes


def rows(state: Any, first, last):
    return None if state is None else type(state)(*(a if last - first == len(a) else np.ascontiguousarray(a[first:last]) for a in state))


def zeros(state, make=np.zeros):
    return None if state is None else type(state)(*(make(a.shape, a.dtype) for a in state))


def join_states(parts):
    return parts[0] if len(parts) == 1 else None if parts[0] is None else type(parts[0])(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def part(a, first, last, per_step=None):
    """The samples of an answer or its gradient, (B, C) or (T, B, C); of labels or weights where per_step tells which."""
    per_step = a.ndim == 3 if per_step is None else per_step
    if last - first == a.shape[int(per_step)]:
        return a
    return buffers.contiguous(a[:, first:last] if per_step else a[first:last])


def samples(x, first, last, borrowed=False):
    """Samples of a sequence (T, B, N), array or Spikes, as a copy of one's own or, borrowed, where they lie."""
    if last - first == x.shape[1]:
        return x if borrowed or isinstance(x, Spikes) else buffers.copy(x) if isinstance(x, np.ndarray) else x.copy()
    return x.select(slice(first, last)) if isinstance(x, Spikes) else x[:, first:last] if borrowed else buffers.copy(x[:, first:last])


def place(shape, dtype, n_chunks):
    """An array (T, B, N) for chunks of samples; None where there is but one."""
    return None if n_chunks == 1 else buffers.empty(shape, dtype)


def join(parts, whole=None):
    """Samples beside each other: sequences (T, B, N), Spikes among them, or answers (B, C), where they do not lie in `whole` already."""
    if len(parts) == 1:
        return parts[0]
    if whole is not None and all(isinstance(p, np.ndarray) and np.may_share_memory(p, whole) for p in parts):
        return whole
    if isinstance(parts[0], Spikes):
        return Spikes.join(parts, 1)
    axis = 1 if parts[0].ndim == 3 else 0
    ends = np.cumsum([p.shape[axis] for p in parts])
    whole = buffers.empty((*parts[0].shape[:axis], int(ends[-1]), *parts[0].shape[axis + 1:]), parts[0].dtype)

    def copy(c):
        np.copyto(whole[(slice(None),) * axis + (slice(ends[c] - parts[c].shape[axis], ends[c]),)], parts[c])

    threads.run(copy, len(parts), whole.size)
    return whole


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
