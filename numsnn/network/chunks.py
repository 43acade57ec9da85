"""Pieces of a batch: states, answers and gradients cut into chunks of samples, and put together again."""

from typing import Any

import numpy as np

from ..devices import buffers, threads
from ..signals.spikes import Spikes


def rows(state: Any, first: int, last: int) -> Any:
    """A layer's state of some samples."""
    if state is None:
        return None
    return type(state)(*(a if last - first == len(a) else np.ascontiguousarray(a[first:last]) for a in state))


def zeros(state: Any, make=np.zeros) -> Any:
    """A state of zeros like another."""
    return None if state is None else type(state)(*(make(a.shape, a.dtype) for a in state))


def join_states(parts: list) -> Any:
    """A layer's state of all samples."""
    first = parts[0]
    if len(parts) == 1 or first is None:
        return first
    return type(first)(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def part(a, first: int, last: int, per_step: bool | None = None):
    """The samples of an answer or its gradient, (B, C) or (T, B, C).

    per_step: which of both, for labels and weights.
    """
    per_step = a.ndim == 3 if per_step is None else per_step
    if last - first == a.shape[int(per_step)]:
        return a
    return buffers.contiguous(a[:, first:last] if per_step else a[first:last])


def samples(x, first: int, last: int, borrowed: bool = False):
    """Samples of a sequence (T, B, N), array or Spikes: a copy of one's own or, borrowed, where they lie."""
    everything = last - first == x.shape[1]
    if isinstance(x, Spikes):
        return x if everything else x.select(slice(first, last))
    if not everything:
        return x[:, first:last] if borrowed else buffers.copy(x[:, first:last])
    if borrowed:
        return x
    return buffers.copy(x) if isinstance(x, np.ndarray) else x.copy()


def handed(a, dtype, into: np.ndarray | None = None):
    """What a layer hands out or back, as loops take it: of this precision, in one piece and theirs to change.

    Views and foreign types are copied; what lies in `into`, and what is no NumPy array, stays.
    """
    if not isinstance(a, np.ndarray) or a is into or a.dtype == dtype and a.flags.carray:
        return a
    return np.array(a, dtype, order="C")


def place(shape: tuple, dtype, n_chunks: int) -> np.ndarray | None:
    """An array (T, B, N) for chunks of samples; None where there is but one."""
    return None if n_chunks == 1 else buffers.empty(shape, dtype)


def join(parts: list, whole: np.ndarray | None = None):
    """Samples beside each other: sequences (T, B, N), Spikes among them, or answers (B, C).

    whole: where arrays may lie side by side already.
    """
    if len(parts) == 1:
        return parts[0]
    if whole is not None and all(isinstance(p, np.ndarray) and np.may_share_memory(p, whole) for p in parts):
        return whole
    if isinstance(parts[0], Spikes):
        return Spikes.join(parts, 1)
    axis = 1 if parts[0].ndim == 3 else 0
    ends = np.cumsum([p.shape[axis] for p in parts])
    before, after = parts[0].shape[:axis], parts[0].shape[axis + 1:]
    whole = buffers.empty((*before, int(ends[-1]), *after), parts[0].dtype)

    def copy(c):
        own = slice(ends[c] - parts[c].shape[axis], ends[c])
        np.copyto(whole[(slice(None),) * axis + (own,)], parts[c])

    threads.run(copy, len(parts), whole.size)
    return whole


def in_time(parts: list):
    """Pieces of a sequence, one after the other."""
    return Spikes.join(parts, 0) if isinstance(parts[0], Spikes) else np.concatenate(parts)


def total(parts: list):
    """The sum in order of chunks, whatever thread computed them."""
    if len(parts) == 1:
        return parts[0]
    result = parts[0] + parts[1]
    for part in parts[2:]:
        result += part
    return result
