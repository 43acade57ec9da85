"""`Events`: recordings of events, the form in which event data lie in memory before a network sees them.

An event has a time and a place: a unit (a channel of a cochlea), or a pixel x, y and a polarity p
(1 = brighter).  Many recordings lie one after the other in the same columns; recording s is
`offsets[s] : offsets[s + 1]`, its times ascend.  `bin` makes `Spikes` of them, which the layers read as they
are: on the way from a file to the first layer nothing is made dense.

Pixels are numbered polarity first, then row, then column: unit = (p * H + y) * W + x, the order of an array
(T, B, P, H, W).

Columns of any type are held in these signed ones, and what does not fit is refused: times int64, or the float
that they are (computed with as float64); unit, x, y int32 (unit int64 from 2^31 units on), p int8.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ..checked import checked, chosen
from . import event_steps
from .event_steps import shd_frames
from .integers import LARGEST_TIME, LARGEST_UNITS, column_of_events, integers, times_of_events, whole
from .spikes import Spikes

Choice = int | slice | Sequence[int] | np.ndarray       # of recordings

__all__ = ["Choice", "Events", "shd_frames"]


class Events:
    """Recordings of events.

    t: time of each event, in ticks: integers, or floats; ascending in each recording.
    unit: unit of each event; or x, y, p: pixel and polarity of each event.
    shape: (N,) units, or (P, H, W) polarities (1 or 2), rows, columns.
    offsets: (S + 1,) bounds of the recordings; None for one.
    tick: seconds in a unit of t (1e-6: microseconds, as cameras have; 1.0: seconds, as SHD has).
    """

    __slots__ = ("offsets", "p", "place", "shape", "t", "tick", "x", "y")

    place: np.ndarray | None        # the unit of each event, None for pixels
    x: np.ndarray | None
    y: np.ndarray | None
    p: np.ndarray | None

    @checked
    def __init__(self, t: ArrayLike, unit: ArrayLike | None = None, *, x: ArrayLike | None = None,
                 y: ArrayLike | None = None, p: ArrayLike | None = None, shape: int | Sequence[int],
                 offsets: ArrayLike | None = None, tick: float = 1e-6):
        self.t = times_of_events(t)
        self.shape = tuple(integers("shape", np.atleast_1d(shape)).tolist())
        self.tick = float(tick)
        self.offsets = integers("offsets", np.array([0, len(self.t)] if offsets is None else offsets))
        flat = len(self.shape) == 1
        if not (flat or len(self.shape) == 3 and self.shape[0] <= 2) or min(self.shape) < 1:
            raise ValueError(f"shape must be (N,) units, or (P, H, W) with one or two polarities; "
                             f"got {self.shape}")
        if self.n_units > LARGEST_UNITS:
            raise ValueError(f"events of shape {self.shape} have {self.n_units:,} units; 2^32 are the most")
        if (unit is None) == flat:
            raise ValueError(f"events of shape {self.shape} need {'unit' if flat else 'x, y and p'}")
        self.place = None if unit is None else np.asarray(unit)
        self.x, self.y, self.p = (None if a is None else np.asarray(a) for a in (x, y, p))
        if self.p is None and not flat and self.shape[0] == 1:
            self.p = np.zeros(len(self.t), np.int8)
        self._check_times()
        self._take_places()

    def _check_times(self) -> None:
        t, o = self.t, self.offsets
        if not 0 < self.tick < math.inf:
            raise ValueError(f"tick must be positive: the seconds in a unit of t; got {self.tick}")
        if o.ndim != 1 or o.size < 1 or o[0] != 0 or o[-1] != len(t) or (np.diff(o) < 0).any():
            raise ValueError(f"offsets must ascend from 0 to the number of events, {len(t)}; "
                             f"got {np.ravel(o)[:3]} ... {np.ravel(o)[-1:]}")
        down = np.flatnonzero(t[1:] < t[:-1]) + 1
        down = down[~np.isin(down, o)]
        if down.size:
            recording = int(np.searchsorted(o, down[0], "right")) - 1
            raise ValueError(f"times run backwards in recording {recording} at event {down[0]}; "
                             f"sort the events first (Events.sorted)")

    def _take_places(self) -> None:
        """The columns of places, checked, in their fixed types."""
        n = len(self.t)
        if len(self.shape) == 1:
            dtype = np.int32 if self.shape[0] <= 1 << 31 else np.int64
            self.place = column_of_events("unit", self.place, n, self.shape[0], dtype)
            return
        polarities, height, width = self.shape
        self.x = column_of_events("x", self.x, n, width, np.int32)
        self.y = column_of_events("y", self.y, n, height, np.int32)
        self.p = column_of_events("p", self.p, n, polarities, np.int8)

    @classmethod
    @checked
    def sorted(cls, t: ArrayLike, unit: ArrayLike | None = None, *, x: ArrayLike | None = None,
               y: ArrayLike | None = None, p: ArrayLike | None = None, shape: int | Sequence[int],
               offsets: ArrayLike | None = None, tick: float = 1e-6) -> Events:
        """The same from events in any order: a stable sort by time in each recording."""
        t = times_of_events(t)
        columns = [None if a is None else np.asarray(a) for a in (unit, x, y, p)]
        if t.ndim != 1 or any(column is not None and column.shape != t.shape for column in columns):
            raise ValueError("expected times (n,), and as many numbers in each of unit, x, y, p")
        bounds = integers("offsets", np.ravel([0, len(t)] if offsets is None else offsets))
        if len(bounds) < 2 or (bounds[0], bounds[-1]) != (0, len(t)) or (np.diff(bounds) < 0).any():
            raise ValueError(f"offsets must ascend from 0 to the number of events, {len(t)}; got {offsets!r}")
        order = np.lexsort((t, np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))))
        unit, x, y, p = (None if column is None else column[order] for column in columns)
        return cls(t[order], unit, x=x, y=y, p=p, shape=shape, offsets=bounds, tick=tick)

    # ---- what is in it

    @property
    def columns(self) -> tuple[np.ndarray, ...]:
        """(t, unit), or (t, x, y, p)."""
        return (self.t, self._places()) if len(self.shape) == 1 else (self.t, *self._pixels())

    @property
    def unit(self) -> np.ndarray:
        """The unit of each event; pixels numbered (p * H + y) * W + x (int64)."""
        if self.place is not None:
            return self.place
        height, width = self.shape[1:]
        x, y, p = self._pixels()
        return (p.astype(np.int64) * height + y) * width + x

    def _places(self) -> np.ndarray:
        """The unit of events that are no pixels."""
        assert self.place is not None
        return self.place

    def _pixels(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(x, y, p) of pixels."""
        assert self.x is not None and self.y is not None and self.p is not None
        return self.x, self.y, self.p

    @property
    def n_units(self) -> int:
        """N, or P * H * W."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        """Number of recordings."""
        return len(self.offsets) - 1

    @property
    def n_events(self) -> int:
        """Number of events of all recordings."""
        return len(self.t)

    @property
    def recording(self) -> np.ndarray:
        """The recording of each event."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @property
    def durations(self) -> np.ndarray:
        """Seconds from the first to the last event of each recording."""
        full = np.diff(self.offsets) > 0
        t = self._exact_times()
        spans = np.zeros(len(self))
        spans[full] = t[self.offsets[1:][full] - 1] - t[self.offsets[:-1][full]]
        return spans * self.tick

    def _exact_times(self) -> np.ndarray:
        """The times as numbers to compute with: int64 or float64."""
        return self.t if self.t.dtype.kind == "i" else self.t.astype(np.float64, copy=False)

    def __repr__(self) -> str:
        return (f"Events({len(self)} recordings, {self.n_events:,} events, shape={self.shape}, "
                f"tick={self.tick:g} s)")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Events) or self.shape != other.shape:
            return False
        return (math.isclose(self.tick, other.tick) and np.array_equal(self.offsets, other.offsets)
                and all(map(np.array_equal, self.columns, other.columns)))

    # ---- choosing

    def _with(self, columns: Sequence[np.ndarray], shape: tuple[int, ...] | None = None,
              offsets: np.ndarray | None = None) -> Events:
        """The same kind of events with other columns."""
        shape = shape or self.shape
        names = ("unit",) if len(shape) == 1 else ("x", "y", "p")
        places = dict(zip(names, columns[1:], strict=True))
        offsets = self.offsets if offsets is None else offsets
        return Events(columns[0], **places, shape=shape, offsets=offsets, tick=self.tick)

    @checked
    def keep(self, mask: ArrayLike) -> Events:
        """The events where mask (n_events,) is true; recordings stay, even where they become empty."""
        mask = np.asarray(mask)
        if mask.shape != self.t.shape or mask.dtype != bool:
            raise ValueError(f"mask must hold true or false for each of the {self.n_events} events; "
                             f"got {mask.dtype} of shape {mask.shape}")
        offsets = np.concatenate(([0], np.cumsum(mask)))[self.offsets]
        return self._with([column[mask] for column in self.columns], offsets=offsets)

    def __getitem__(self, recordings: Choice) -> Events:
        """The given recordings: a number, a slice or indices."""
        pick = np.atleast_1d(chosen(recordings, len(self), "events: recordings"))
        sizes = np.diff(self.offsets)[pick]
        offsets = np.concatenate(([0], np.cumsum(sizes)))
        entries = np.arange(offsets[-1]) + np.repeat(self.offsets[pick] - offsets[:-1], sizes)
        return self._with([column[entries] for column in self.columns], offsets=offsets)

    @staticmethod
    @checked
    def concatenate(parts: list[Events]) -> Events:
        """The recordings of all parts, which must have one shape and tick."""
        kinds = {(part.shape, part.tick) for part in parts}
        if len(kinds) != 1:
            raise ValueError(f"expected events of one shape and tick; got {sorted(kinds)}")
        offsets = np.concatenate([[0], *(np.diff(part.offsets) for part in parts)]).cumsum()
        columns = zip(*(part.columns for part in parts), strict=True)
        return parts[0]._with([np.concatenate(pieces) for pieces in columns], offsets=offsets)

    @checked
    def slice(self, first: float, last: float, from_zero: bool = True) -> Events:
        """Events with first <= time < last, in seconds; from_zero: times then begin at `first`."""
        # rounded: 0.003 s are 3000 us, not 3000.0000000000005
        begin = round(float(first) / self.tick, 6)
        end = round(float(last) / self.tick, 6)
        if math.isnan(begin) or math.isnan(end):
            raise ValueError(f"expected two times in seconds; got {first} and {last}")
        t = self._exact_times()
        kept = self.keep((t >= begin) & (t < end))
        return kept.shifted(-first) if from_zero else kept

    @checked
    def shifted(self, seconds: float) -> Events:
        """All times later by `seconds`."""
        by = float(seconds) / self.tick
        if not abs(by) < LARGEST_TIME:
            raise ValueError(f"times cannot be moved by {seconds} s; expected a finite number, less than "
                             f"2^62 ticks of {self.tick:g} s")
        t = self._exact_times()
        return self._with([t + (by if t.dtype.kind == "f" else round(by)), *self.columns[1:]])

    def from_zero(self) -> Events:
        """Each recording begins with an event at time 0."""
        full = np.diff(self.offsets) > 0
        t = self._exact_times()
        begin = np.zeros(len(self), t.dtype)
        begin[full] = t[self.offsets[:-1][full]]
        return self._with([t - begin[self.recording], *self.columns[1:]])

    # ---- places

    @checked
    def pool(self, n: int) -> Events:
        """Units in groups of n neighbours: 700 channels with n = 5 become 140."""
        self._only(1, "pool")
        n = min(whole("n", n, 1), self.shape[0])
        return self._with([self.t, self._places() // n], shape=(-(-self.shape[0] // n),))

    @checked
    def downscale(self, factor: int) -> Events:
        """Pixels in squares of `factor` x `factor`."""
        self._only(3, "downscale")
        polarities, height, width = self.shape
        factor = min(whole("the factor", factor, 1), max(height, width))
        x, y, p = self._pixels()
        shape = (polarities, -(-height // factor), -(-width // factor))
        return self._with([self.t, x // factor, y // factor, p], shape=shape)

    @checked
    def crop(self, x: int, y: int, width: int, height: int) -> Events:
        """The rectangle of `width` x `height` pixels with its corner at (x, y)."""
        self._only(3, "crop")
        polarities, rows, columns = self.shape
        x, y = whole("x", x, 0), whole("y", y, 0)
        width, height = whole("the width", width, 1), whole("the height", height, 1)
        if x + width > columns or y + height > rows:
            raise ValueError(f"the rectangle from ({x}, {y}) of {width} x {height} does not lie in "
                             f"{columns} x {rows} pixels")
        xs, ys, _ = self._pixels()
        inside = self.keep((xs >= x) & (xs < x + width) & (ys >= y) & (ys < y + height))
        xs, ys, p = inside._pixels()
        return inside._with([inside.t, xs - x, ys - y, p], shape=(polarities, height, width))

    @checked
    def polarity(self, which: str) -> Events:
        """One polarity: "on" or "off" keeps these events, "merge" keeps all."""
        self._only(3, "polarity")
        if which not in ("on", "off", "merge"):
            raise ValueError(f"expected 'on', 'off' or 'merge'; got {which!r}")
        part = self if which == "merge" else self.keep(self._pixels()[2] == (which == "on"))
        x, y, _ = part._pixels()
        return part._with([part.t, x, y, np.zeros(part.n_events, np.int8)], shape=(1, *self.shape[1:]))

    def mirrored(self) -> Events:
        """Left and right exchanged."""
        self._only(3, "mirrored")
        x, y, p = self._pixels()
        return self._with([self.t, self.shape[2] - 1 - x, y, p])

    def flat(self) -> Events:
        """Pixels as units."""
        return self if len(self.shape) == 1 else self._with([self.t, self.unit], shape=(self.n_units,))

    def _only(self, n: int, what: str) -> None:
        if len(self.shape) != n:
            kind = "units" if n == 1 else "pixels"
            raise ValueError(f"{what} is for {kind}; these events have shape {self.shape}")

    # ---- changed at random, for training

    @checked
    def dropped(self, probability: float, rng: np.random.Generator) -> Events:
        """Each event is lost with this probability."""
        if not 0 <= probability < 1:
            raise ValueError(f"expected a probability from 0 to below 1; got {probability}")
        return self.keep(rng.random(self.n_events) >= probability)

    @checked
    def jittered(self, seconds: float, rng: np.random.Generator) -> Events:
        """Times moved by normal noise of this standard deviation; none falls before 0."""
        spread = float(seconds) / self.tick
        if not 0 <= spread < LARGEST_TIME / 64:         # no normal noise is as large as 64 deviations
            raise ValueError(f"expected a standard deviation in seconds, from 0 on; got {seconds}")
        noise = rng.normal(0, spread, self.n_events)
        t = self._exact_times()
        if t.dtype.kind == "i":
            noise = np.rint(noise).astype(np.int64)
        t = np.maximum(t + noise, 0)
        order = np.lexsort((t, self.recording))
        return self._with([t[order], *(column[order] for column in self.columns[1:])])

    @checked
    def moved(self, most: int, rng: np.random.Generator) -> Events:
        """Each recording moved by up to `most` units, or pixels in x and y, in either direction.

        What leaves the field is lost.
        """
        most = whole("most", most, 0)
        recording = self.recording

        def displaced(column: np.ndarray) -> np.ndarray:
            return column.astype(np.int64) + rng.integers(-most, most + 1, len(self))[recording]

        if len(self.shape) == 1:
            unit = displaced(self._places())
            inside = (unit >= 0) & (unit < self.shape[0])
            places = [unit]
        else:
            x, y, p = self._pixels()
            x = displaced(x)
            y = displaced(y)
            inside = (x >= 0) & (x < self.shape[2]) & (y >= 0) & (y < self.shape[1])
            places = [x, y, p]
        offsets = np.concatenate(([0], np.cumsum(inside)))[self.offsets]
        columns = [new[inside].astype(old.dtype) for new, old in zip(places, self.columns[1:], strict=True)]
        return self._with([self.t[inside], *columns], offsets=offsets)

    # ---- to steps

    @checked
    def steps(self, dt: float | None = None, *, n: int | None = None, per_step: int | None = None,
              by: str = "time") -> tuple[np.ndarray, np.ndarray]:
        """(step of each event, number of steps of each recording); one of the three says how time is cut.

        dt: steps of dt seconds from time 0, up to the one of the last event.
        n: each recording is cut into n parts from its first to its last event: of equal time, or with
        by="number" of equal numbers of events (what is left over goes to the last part).
        per_step: so many events make a step (the last may have fewer).
        """
        return event_steps.steps(self, dt, n, per_step, by)

    @checked
    def bin(self, dt: float | None = None, *, n: int | None = None, per_step: int | None = None,
            steps: int | None = None, counts: bool = False) -> Spikes:
        """Spikes (T, recordings, units).

        dt, n, per_step: how time is cut, see `steps`.
        steps: T; later events are lost; None: as many as the longest recording has.
        counts: several events of a unit in one step count (multiplicity); otherwise they are one spike.
        """
        step, lengths = self.steps(dt, n=n, per_step=per_step)
        return self.rows(step, int(lengths.max(initial=1)) if steps is None else steps, counts)

    @checked
    def rows(self, step: np.ndarray, total: int, counts: bool = False) -> Spikes:
        """Spikes from the step of each event; events of steps from `total` on, or below 0, are lost."""
        return event_steps.rows(self, step, total, counts)

    @checked
    def frames(self, dt: float | None = None, *, n: int | None = None, per_step: int | None = None,
               steps: int | None = None, counts: bool = True) -> np.ndarray:
        """The same as dense pictures (T, recordings, P, H, W), for layers that want them and to look at."""
        self._only(3, "frames")
        x = self.bin(dt, n=n, per_step=per_step, steps=steps, counts=counts)
        return x.dense().reshape(*x.shape[:2], *self.shape)
