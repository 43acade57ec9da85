"""Delays in NumPy (see contract.py)."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ...signals.spikes import Spikes, index_dtype
from ..contract import Delays

# What arrived before and what arrives, `length` + T steps of a feature, are one column.  Step t is handed out
# of places length - steps + t (newer) and the one before it (older); what goes on are the `length` places
# from lengths[b] on, where the sample ends.


class Alike(NamedTuple):
    """Features with the same delay but for the part of a step."""
    length: int
    newer: slice                # of their columns: what is handed out
    older: slice | None         # and what came a step before it
    features: np.ndarray
    pasts: np.ndarray           # (length, n): where in the row of all pasts theirs lie


def _alike(delays: Delays, steps: int) -> Iterator[Alike]:
    kinds, which = np.unique(np.stack((delays.length, delays.steps)), axis=1, return_inverse=True)
    for i, (length, shift) in enumerate(kinds.T.tolist()):
        features = np.flatnonzero(which.ravel() == i)
        first = length - shift
        yield Alike(length, slice(first, first + steps),
                    slice(first - 1, first - 1 + steps) if length > shift else None,
                    features, delays.first[features] + np.arange(length)[:, None])


def delay_forward(
        delays: Delays, x: np.ndarray, past: np.ndarray, lengths: np.ndarray | None,
        want_slope: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Features that are equally late in one go; see contract.py."""
    y, after = np.empty(x.shape, x.dtype), np.empty_like(past)
    slope = np.empty(x.shape, x.dtype) if want_slope else None
    for alike in _alike(delays, len(x)):
        n = alike.features
        whole = np.concatenate((past[:, alike.pasts].swapaxes(0, 1), x[:, :, n]))
        newer = whole[alike.newer]
        y[:, :, n] = newer
        if alike.older is not None:
            older = whole[alike.older]
            between = delays.older[n] != 0
            y[:, :, n] = np.where(between, delays.newer[n] * newer + delays.older[n] * older, newer)
            if slope is not None:
                slope[:, :, n] = older - newer
        after[:, alike.pasts] = whole[_last(alike.length, x.shape, lengths)]
    return y, after, slope


def delay_backward(
        delays: Delays, slope: np.ndarray | None, dy: np.ndarray, dafter: np.ndarray,
        lengths: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The gradients of `delay_forward`; see contract.py."""
    dx, dpast = np.empty(dy.shape, dy.dtype), np.empty_like(dafter)
    for alike in _alike(delays, len(dy)):
        n, of_y = alike.features, dy[:, :, alike.features]
        dwhole = np.zeros((alike.length + len(dy), *of_y.shape[1:]), dy.dtype)
        dwhole[alike.newer] = delays.newer[n] * of_y
        if alike.older is not None:
            dwhole[alike.older] += delays.older[n] * of_y
        dwhole[_last(alike.length, dy.shape, lengths)] += dafter[:, alike.pasts]
        dpast[:, alike.pasts] = dwhole[:alike.length].swapaxes(0, 1)
        dx[:, :, n] = dwhole[alike.length:]
    ddelay = None if slope is None else (dy * slope).sum((0, 1), np.float64).astype(dy.dtype)
    return dx, dpast, ddelay


def _last(length, shape, lengths):
    """Where in (length + T, B) the last `length` values of each sample lie: (B, length)."""
    return _ends(shape, lengths)[:, None] + np.arange(length), np.arange(shape[1])[:, None]


def _ends(shape, lengths):
    """(B,): the number of steps of each sample."""
    return np.full(shape[1], shape[0]) if lengths is None else lengths


# ---- events


class Entries(NamedTuple):
    """Spikes one by one: in which step, of which sample and unit, how many times."""
    step: np.ndarray
    sample: np.ndarray
    unit: np.ndarray
    times: np.ndarray


def delay_spikes(
        shift: np.ndarray, delays: Delays, x: Spikes, past: np.ndarray,
        lengths: np.ndarray | None) -> tuple[Spikes, np.ndarray]:
    """Each entry of the lists `shift` steps later; those that are on their way are the past's."""
    both = zip(_before(delays, past), _arriving(x, past.dtype), strict=True)
    step, sample, unit, times = map(np.concatenate, both)
    place = step - _ends(x.shape, lengths)[sample] + delays.length[unit]
    kept = (place >= 0) & (place < delays.length[unit])
    after = np.zeros_like(past)
    after[sample[kept], delays.first[unit[kept]] + place[kept]] = times[kept]
    late = step + shift[unit]
    now = (late >= 0) & (late < len(x))
    return _listed(Entries(late[now], sample[now], unit[now], times[now]), x.shape), after


def _before(delays, past):
    """The entries of the past; the step before the first one is -1."""
    sample, place = np.nonzero(past)
    unit = delays.feature[place]
    return Entries(place - delays.first[unit] - delays.length[unit], sample, unit, past[sample, place])


def _arriving(x, dtype):
    row, entry = x.entries()
    step, sample = np.divmod(row, x.shape[1])
    times = np.ones(len(row), dtype) if x.multiplicity is None else x.multiplicity[entry].astype(dtype)
    return Entries(step, sample, x.index[entry].astype(np.int64), times)


def _listed(entries, shape):
    """Spikes of entries in any order, of which none is twice in one place."""
    (steps, batch, units), (step, sample, unit, times) = shape, entries
    row = step * batch + sample
    order = np.argsort(row * units + unit)
    count = np.bincount(row, minlength=steps * batch).astype(np.int32)
    start = np.cumsum(count, dtype=np.int64) - count
    multiplicity = None if (times == 1).all() else times[order].astype(np.float32)
    return Spikes.of_rows(shape, start, count, unit[order].astype(index_dtype(units)), multiplicity)


__all__ = ["delay_backward", "delay_forward", "delay_spikes"]
