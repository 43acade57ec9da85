"""What a network answers over time, in NumPy (see contract.py).

A device gives its own soft-max and sum over time.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..contract import Over, OverState, steps_and_rounds, steps_so_far, valid_steps


def over_time_forward(
        over: Over, x: np.ndarray, state: OverState, lengths: np.ndarray | None, tape: bool,
        softmax: Callable, sum_over_time: Callable) -> tuple[np.ndarray, OverState | None, Any]:
    """The answer of each sample, or of each step; see contract.py."""
    z = softmax(x) if over.of == "softmax" else x
    valid = valid_steps(z.shape[0], z.shape[1], lengths)
    if over.reduce == "each":
        return np.where(valid, z, z.dtype.type(0)), None, (z, None, valid) if tape else None
    before = steps_so_far(state)
    step = before + np.cumsum(valid, 0, dtype=np.int64)         # (T, B, 1): number of each step, from 1
    counted = valid & (step > over.start)
    run, chosen = _run(over, z, state, counted, sum_over_time)
    total = before + valid.sum(0, dtype=np.int64)
    after = OverState(run, *steps_and_rounds(total, z.dtype))
    n = np.maximum(total - over.start, 1).astype(z.dtype)
    y = run / n if over.reduce == "mean" else run.copy()
    return y, after, (z, chosen, n) if tape else None


def _run(over, z, state, counted, sum_over_time):
    """(value after the steps, (T, B, N) weight of each step in it).

    Sums run in the order of time, so that chunks of a sequence give the same bits as the whole.
    """
    if over.reduce in ("sum", "mean"):
        return sum_over_time(state.value, z, counted), counted
    index = np.arange(1, len(z) + 1)[:, None, None]
    if over.reduce == "last":
        best = np.where(counted, index, 0).max(0) + np.zeros(z.shape[2], int)
    else:
        first = np.where(steps_so_far(state) > over.start, state.value, -np.inf)
        candidates = np.concatenate((first[None], np.where(counted, z, -np.inf)))
        best = candidates.argmax(0)
    taken = np.take_along_axis(np.concatenate((state.value[None], z)), best[None], 0)[0]
    return taken, index == best


def over_time_backward(
        over: Over, tape: Any, dy: np.ndarray,
        dstate: OverState | None) -> tuple[np.ndarray, OverState | None]:
    """The gradients of `over_time_forward`."""
    z, chosen, last = tape
    if over.reduce == "each":
        dz, before = np.where(last, dy, z.dtype.type(0)), None
    else:
        assert dstate is not None
        d = dy / last if over.reduce == "mean" else dy
        d = d + dstate.value
        dz = chosen * d
        kept = 1 if over.reduce in ("sum", "mean") else ~chosen.any(0)
        nothing = np.zeros_like(dstate.steps)
        before = OverState((kept * d).astype(z.dtype), nothing, nothing.copy())
    if over.of == "softmax":
        dz = z * (dz - (dz * z).sum(2, keepdims=True))
    return np.ascontiguousarray(dz, z.dtype), before
