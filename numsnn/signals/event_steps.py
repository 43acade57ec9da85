"""From the times of events to steps, and from steps to the rows of `Spikes`.

`events` are `Events`, whose methods these are.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checked import checked
from .integers import integers, whole
from .spikes import Spikes, index_dtype

if TYPE_CHECKING:
    from .events import Events

LARGEST = 1 << 28                   # rows (steps x recordings) that binning may make
FARTHEST = 1 << 53                  # steps are not told apart beyond it


def steps(events: Any, dt: float | None, n: int | None, per_step: int | None,
          by: str) -> tuple[np.ndarray, np.ndarray]:
    """(step of each event, number of steps of each recording), see `Events.steps`."""
    if sum(given is not None for given in (dt, n, per_step)) != 1:
        raise ValueError("say how time is cut: dt= seconds, n= parts of each recording, or per_step= events")
    if by not in ("time", "number") or by == "number" and n is None:
        raise ValueError(f'by must be "time", or with n= parts "number"; got {by!r}')
    wrong = [given for given in (dt, n, per_step) if given is not None and not 0 < given < math.inf]
    if wrong:
        raise ValueError(f"dt, n and per_step must be positive; got {wrong[0]}")
    sizes = np.diff(events.offsets)
    if per_step is not None:
        per_step = min(whole("per_step", per_step, 1), len(events.t) + 1)
        return _place_in_recording(events) // per_step, -(-sizes // per_step)
    if n is not None:
        n = whole("n", n, 1)
        step = _parts_of_equal_number(events, n) if by == "number" else _parts_of_equal_time(events, n)
        return step, np.full(len(events), n)
    assert dt is not None
    return _steps_of(events, float(dt))


def _place_in_recording(events: Any) -> np.ndarray:
    """The number of each event in its recording."""
    return np.arange(events.n_events) - np.repeat(events.offsets[:-1], np.diff(events.offsets))


def _parts_of_equal_number(events: Any, n: int) -> np.ndarray:
    sizes = np.diff(events.offsets)
    each = np.repeat(np.maximum(sizes // n, 1), sizes)
    return np.minimum(_place_in_recording(events) // each, n - 1)


def _parts_of_equal_time(events: Any, n: int) -> np.ndarray:
    moved = events.from_zero()
    span = np.where(np.diff(events.offsets) > 0, moved.durations / events.tick, 1)
    span_of_event = np.where(span > 0, span, 1)[events.recording]
    part = (moved.t * (n / span_of_event)).astype(np.int64)
    return np.minimum(part, n - 1)              # the last event belongs to the last part


def _steps_of(events: Any, dt: float) -> tuple[np.ndarray, np.ndarray]:
    """Steps of dt seconds from time 0."""
    # rounded up a little: 3 * 1e-3 / 1e-3 is step 3
    step = np.floor(events.t.astype(np.float64) * events.tick / dt + 1e-9)
    step = np.clip(step, -1, FARTHEST).astype(np.int64)
    if len(step) and step.min() < 0:
        raise ValueError("times before 0 have no step; shift the events first (from_zero, shifted)")
    full = np.diff(events.offsets) > 0
    ends = np.zeros(len(events), np.int64)
    ends[full] = step[events.offsets[1:][full] - 1] + 1
    return step, ends


def rows(events: Any, step: np.ndarray, total: int, counts: bool) -> Spikes:
    """Spikes (total, recordings, units) from the step of each event, see `Events.rows`."""
    step = integers("step", step)
    if step.shape != events.t.shape:
        raise ValueError(f"expected a step for each of the {len(events.t)} events; got shape {step.shape}")
    total = whole("steps", total, 0)
    if total < 1 or total * max(len(events), 1) > LARGEST:
        raise ValueError(f"{total:,} steps for {len(events)} recordings; "
                         f"choose a longer dt, or give steps= (from 1 on)")
    batch, units = len(events), events.n_units
    inside = (step >= 0) & (step < total)
    key = ((step * batch + events.recording) * units + events.unit)[inside]
    key.sort()
    new = np.ones(len(key), bool)
    np.not_equal(key[1:], key[:-1], out=new[1:])
    first = np.flatnonzero(new)
    row, index = np.divmod(key[first], units)
    count = np.bincount(row, minlength=total * batch).astype(np.int32)
    start = np.cumsum(count, dtype=np.int64) - count
    many = None
    if counts and len(first) < len(key):
        many = np.diff(first, append=len(key)).astype(np.float32)
    return Spikes.of_rows((total, batch, units), start, count, index.astype(index_dtype(units)), many)


@checked
def shd_frames(events: Events, dt: float = 4e-3, duration: float = 1.0) -> Spikes:
    """Spikes of a spoken digit as the SRNN's authors frame them: (duration / dt, B, N), binary.

    Step i holds the events that no earlier step took with t <= i dt, so that events after duration - dt are
    lost; the order of the channels is reversed, unit 0 is dropped: unit u becomes N - u.  Bounds are rounded
    to the type of the times, as NumPy did there.
    Source: Yin, Corradi, Bohte 2021, their program for SHD.
    """
    events._only(1, "shd_frames")
    dt = float(dt)
    bounds = (np.arange(int(duration / dt)) * dt / events.tick).astype(events.t.dtype)
    step = np.searchsorted(bounds, events.t, side="left")
    heard = events._places() > 0
    kept = events.keep(heard)
    reversed_ = kept._with([kept.t, events.shape[0] - kept._places()])
    return reversed_.rows(step[heard], len(bounds))
