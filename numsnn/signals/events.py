"""`Events`: recordings of events, the form in which event data lie in memory before a network sees them.

An event has a time and a place: a unit (a channel of a cochlea), or a pixel x, y and a polarity p (1 = brighter).  Many recordings lie one
after the other in the same columns; recording s is `offsets[s] : offsets[s + 1]`, its times ascend.  `bin` makes `Spikes` of them, which
the layers read as they are: on the way from a file to the first layer nothing is made dense.

Pixels are numbered polarity first, then row, then column: unit = (p * H + y) * W + x, the order of an array (T, B, P, H, W).
"""

from __future__ import annotations

import math

import numpy as np

from .spikes import Spikes, index_dtype

LARGEST = 1 << 31                   # rows (steps x recordings) that binning may make


class Events:
    """Recordings of events.

    t: time of each event, in ticks: integers, or floats; ascending in each recording.
    unit: unit of each event; or x, y, p: pixel and polarity of each event.
    shape: (N,) units, or (P, H, W) polarities (1 or 2), rows, columns.
    offsets: (S + 1,) bounds of the recordings; None for one.
    tick: seconds in a unit of t (1e-6: microseconds, as cameras have; 1.0: seconds, as SHD has).
    """

    __slots__ = ("offsets", "p", "place", "shape", "t", "tick", "x", "y")

    def __init__(self, t, unit=None, *, x=None, y=None, p=None, shape, offsets=None, tick: float = 1e-6):
        self.t, self.shape, self.tick = np.asarray(t), tuple(int(n) for n in np.atleast_1d(shape)), float(tick)
        self.offsets = np.array([0, len(self.t)] if offsets is None else offsets, np.int64)
        if len(self.shape) not in (1, 3) or min(self.shape) < 1 or (len(self.shape) == 3 and self.shape[0] > 2):
            raise ValueError(f"shape must be (N,) units, or (P, H, W) with one or two polarities; got {self.shape}")
        if (unit is None) == (len(self.shape) == 1):
            raise ValueError(f"events of shape {self.shape} need {'unit' if len(self.shape) == 1 else 'x, y and p'}")
        self.place = None if unit is None else np.asarray(unit)
        self.x, self.y, self.p = (None if a is None else np.asarray(a) for a in (x, y, p))
        if len(self.shape) == 3 and self.p is None and self.shape[0] == 1:
            self.p = np.zeros(len(self.t), np.uint8)
        self._check()

    def _check(self):
        if self.t.ndim != 1 or self.t.dtype.kind not in "iuf" or not 0 < self.tick < math.inf:
            raise ValueError(f"t must be a vector of numbers and tick positive; got {self.t.dtype} of shape {self.t.shape}, {self.tick}")
        if self.t.dtype.kind == "f" and not np.isfinite(self.t).all():
            raise ValueError(f"t holds {(~np.isfinite(self.t)).sum()} times that are not finite; drop these events first")
        o = self.offsets
        if o.ndim != 1 or o.size < 1 or o[0] != 0 or o[-1] != len(self.t) or (np.diff(o) < 0).any():
            raise ValueError(f"offsets must ascend from 0 to the number of events, {len(self.t)}; got {o[:3]} ... {o[-1:]}")
        down = np.flatnonzero(self.t[1:] < self.t[:-1]) + 1
        down = down[~np.isin(down, o)]
        if down.size:
            raise ValueError(f"times run backwards in recording {int(np.searchsorted(o, down[0], 'right')) - 1} at event {down[0]}; "
                             f"sort the events first (Events.sorted)")
        sizes = self.shape if len(self.shape) == 1 else (self.shape[2], self.shape[1], self.shape[0])
        for name, column, size in zip(("unit",) if len(sizes) == 1 else ("x", "y", "p"), self.columns[1:], sizes, strict=True):
            if column is None or column.shape != self.t.shape or column.dtype.kind not in "iub":
                raise ValueError(f"{name} must be a vector of {len(self.t)} integers; got "
                                 f"{'none' if column is None else f'{column.dtype} of shape {column.shape}'}")
            if len(column) and not (0 <= column.min() and column.max() < size):
                raise ValueError(f"{name} must be from 0 to {size - 1}; got {column.min()} to {column.max()}")

    @classmethod
    def sorted(cls, t, unit=None, *, x=None, y=None, p=None, shape, offsets=None, tick: float = 1e-6) -> Events:
        """The same from events in any order: a stable sort by time in each recording."""
        t = np.asarray(t)
        bounds = np.array([0, len(t)] if offsets is None else offsets, np.int64)
        order = np.lexsort((t, np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))))
        t, unit, x, y, p = (None if a is None else np.asarray(a)[order] for a in (t, unit, x, y, p))
        return cls(t, unit, x=x, y=y, p=p, shape=shape, offsets=bounds, tick=tick)

    # ---- what is in it

    @property
    def columns(self) -> tuple:
        """(t, unit), or (t, x, y, p)."""
        return (self.t, self.place) if len(self.shape) == 1 else (self.t, self.x, self.y, self.p)

    @property
    def unit(self) -> np.ndarray:
        """The unit of each event; pixels numbered (p * H + y) * W + x."""
        if self.place is not None:
            return self.place
        height, width = self.shape[1:]
        return (self.p.astype(np.int64) * height + self.y) * width + self.x

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
        spans = np.zeros(len(self))
        spans[full] = self.t[self.offsets[1:][full] - 1].astype(np.float64) - self.t[self.offsets[:-1][full]].astype(np.float64)
        return spans * self.tick

    def __repr__(self) -> str:
        return f"Events({len(self)} recordings, {self.n_events:,} events, shape={self.shape}, tick={self.tick:g} s)"

    def __eq__(self, other) -> bool:
        return (isinstance(other, Events) and self.shape == other.shape and math.isclose(self.tick, other.tick)
                and np.array_equal(self.offsets, other.offsets)
                and all(np.array_equal(a, b) for a, b in zip(self.columns, other.columns, strict=True)))

    __hash__ = None

    # ---- choosing

    def _with(self, columns, shape=None, offsets=None, tick=None) -> Events:
        """The same kind of events with other columns."""
        names = ("unit",) if len(shape or self.shape) == 1 else ("x", "y", "p")
        return Events(columns[0], **dict(zip(names, columns[1:], strict=True)), shape=shape or self.shape,
                      offsets=self.offsets if offsets is None else offsets, tick=tick or self.tick)

    def keep(self, mask) -> Events:
        """The events where mask (n_events,) is true; recordings stay, even where they become empty."""
        mask = np.asarray(mask, bool)
        offsets = np.concatenate(([0], np.cumsum(mask)))[self.offsets]
        return self._with([column[mask] for column in self.columns], offsets=offsets)

    def __getitem__(self, recordings) -> Events:
        """The given recordings: a number, a slice or indices."""
        pick = np.atleast_1d(np.arange(len(self))[recordings])
        sizes = np.diff(self.offsets)[pick]
        offsets = np.concatenate(([0], np.cumsum(sizes)))
        entries = np.arange(offsets[-1]) + np.repeat(self.offsets[pick] - offsets[:-1], sizes)
        return self._with([column[entries] for column in self.columns], offsets=offsets)

    @staticmethod
    def concatenate(parts: list[Events]) -> Events:
        """The recordings of all parts, which must have one shape and tick."""
        if len({(part.shape, part.tick) for part in parts}) != 1:
            raise ValueError(f"expected events of one shape and tick; got {sorted({(part.shape, part.tick) for part in parts})}")
        offsets = np.concatenate([[0], *(np.diff(part.offsets) for part in parts)]).cumsum()
        return parts[0]._with([np.concatenate(columns) for columns in zip(*(part.columns for part in parts), strict=True)], offsets=offsets)

    def slice(self, first: float, last: float, from_zero: bool = True) -> Events:
        """Events with first <= time < last, in seconds; from_zero: times then begin at `first`."""
        a, b = (round(seconds / self.tick, 6) for seconds in (first, last))      # 0.003 s are 3000 us, not 3000.0000000000005
        kept = self.keep((self.t >= a) & (self.t < b))
        return kept.shifted(-first) if from_zero else kept

    def shifted(self, seconds: float) -> Events:
        """All times later by `seconds`."""
        by = seconds / self.tick
        columns = list(self.columns)
        columns[0] = self.t.astype(np.float64) + by if self.t.dtype.kind == "f" else self.t + np.int64(round(by))
        return self._with(columns)

    def from_zero(self) -> Events:
        """Each recording begins with an event at time 0."""
        full = np.diff(self.offsets) > 0
        begin = np.zeros(len(self), self.t.dtype)
        begin[full] = self.t[self.offsets[:-1][full]]
        return self._with([self.t - begin[self.recording], *self.columns[1:]])

    # ---- places

    def pool(self, n: int) -> Events:
        """Units in groups of n neighbours: 700 channels with n = 5 become 140."""
        self._only(1, "pool")
        if n < 1:
            raise ValueError(f"expected n of at least 1; got {n}")
        return self._with([self.t, self.place // n], shape=(-(-self.shape[0] // n),))

    def downscale(self, factor: int) -> Events:
        """Pixels in squares of `factor` x `factor`."""
        self._only(3, "downscale")
        if factor < 1:
            raise ValueError(f"expected a factor of at least 1; got {factor}")
        p, h, w = self.shape
        return self._with([self.t, self.x // factor, self.y // factor, self.p], shape=(p, -(-h // factor), -(-w // factor)))

    def crop(self, x: int, y: int, width: int, height: int) -> Events:
        """The rectangle of `width` x `height` pixels with its corner at (x, y)."""
        self._only(3, "crop")
        if min(x, y) < 0 or min(width, height) < 1 or x + width > self.shape[2] or y + height > self.shape[1]:
            raise ValueError(f"the rectangle from ({x}, {y}) of {width} x {height} does not lie in {self.shape[2]} x {self.shape[1]} pixels")
        inside = self.keep((self.x >= x) & (self.x < x + width) & (self.y >= y) & (self.y < y + height))
        return inside._with([inside.t, inside.x - self.x.dtype.type(x), inside.y - self.y.dtype.type(y), inside.p],
                            shape=(self.shape[0], height, width))

    def polarity(self, which: str) -> Events:
        """One polarity: "on" or "off" keeps these events, "merge" keeps all."""
        self._only(3, "polarity")
        if which not in ("on", "off", "merge"):
            raise ValueError(f"expected 'on', 'off' or 'merge'; got {which!r}")
        part = self if which == "merge" else self.keep(self.p == (which == "on"))
        return part._with([part.t, part.x, part.y, np.zeros(part.n_events, np.uint8)], shape=(1, *self.shape[1:]))

    def mirrored(self) -> Events:
        """Left and right exchanged."""
        self._only(3, "mirrored")
        return self._with([self.t, self.x.dtype.type(self.shape[2] - 1) - self.x, self.y, self.p])

    def flat(self) -> Events:
        """Pixels as units."""
        return self if len(self.shape) == 1 else self._with([self.t, self.unit], shape=(self.n_units,))

    def _only(self, n, what):
        if len(self.shape) != n:
            raise ValueError(f"{what} is for {'units' if n == 1 else 'pixels'}; these events have shape {self.shape}")

    # ---- changed at random, for training

    def dropped(self, probability: float, rng: np.random.Generator) -> Events:
        """Each event is lost with this probability."""
        if not 0 <= probability < 1:
            raise ValueError(f"expected a probability from 0 to below 1; got {probability}")
        return self.keep(rng.random(self.n_events) >= probability)

    def jittered(self, seconds: float, rng: np.random.Generator) -> Events:
        """Times moved by normal noise of this standard deviation; those that would fall before 0 are set to 0."""
        noise = rng.normal(0, seconds / self.tick, self.n_events)
        t = np.maximum(self.t + (noise if self.t.dtype.kind == "f" else np.rint(noise).astype(np.int64)), 0)
        order = np.lexsort((t, self.recording))
        return self._with([t[order], *(column[order] for column in self.columns[1:])])

    def moved(self, most: int, rng: np.random.Generator) -> Events:
        """Each recording moved by up to `most` units, or pixels in x and y, in either direction; what leaves the field is lost."""
        of = self.recording
        if len(self.shape) == 1:
            unit = self.place.astype(np.int64) + rng.integers(-most, most + 1, len(self))[of]
            inside = (unit >= 0) & (unit < self.shape[0])
            moved = [unit]
        else:
            x, y = (column.astype(np.int64) + rng.integers(-most, most + 1, len(self))[of] for column in (self.x, self.y))
            inside = (x >= 0) & (x < self.shape[2]) & (y >= 0) & (y < self.shape[1])
            moved = [x, y, self.p]
        offsets = np.concatenate(([0], np.cumsum(inside)))[self.offsets]
        columns = [column[inside].astype(old.dtype) for column, old in zip(moved, self.columns[1:], strict=True)]
        return self._with([self.t[inside], *columns], offsets=offsets)

    # ---- to steps

    def steps(self, dt: float | None = None, *, n: int | None = None, per_step: int | None = None,
              by: str = "time") -> tuple[np.ndarray, np.ndarray]:
        """(step of each event, number of steps of each recording); one of the three says how time is cut.

        dt: steps of dt seconds from time 0, up to the one of the last event.  n: each recording is cut into n parts from its first
        to its last event: of equal time, or with by="number" of equal numbers of events (what is left over goes to the last part).
        per_step: so many events make a step (the last may have fewer).
        """
        if sum(given is not None for given in (dt, n, per_step)) != 1:
            raise ValueError("say how time is cut: dt= seconds, n= parts of each recording, or per_step= events")
        if by not in ("time", "number") or by == "number" and n is None:
            raise ValueError(f'by must be "time", or with n= parts "number"; got {by!r}')
        wrong = [given for given in (dt, n, per_step) if given is not None and not 0 < given < math.inf]
        if wrong:
            raise ValueError(f"dt, n and per_step must be positive; got {wrong[0]}")
        sizes = np.diff(self.offsets)
        if per_step is not None:
            step = (np.arange(self.n_events) - np.repeat(self.offsets[:-1], sizes)) // per_step
            return step, -(-sizes // per_step)
        if by == "number":
            number = np.arange(self.n_events) - np.repeat(self.offsets[:-1], sizes)
            return np.minimum(number // np.repeat(np.maximum(sizes // n, 1), sizes), n - 1), np.full(len(self), n)
        if n is not None:
            part = self.from_zero()
            span = np.where(sizes > 0, part.durations / self.tick, 1)
            # the last event belongs to the last part
            step = np.minimum((part.t * (n / np.where(span > 0, span, 1)[self.recording])).astype(np.int64), n - 1)
            return step, np.full(len(self), n)
        step = np.floor(self.t.astype(np.float64) * self.tick / dt + 1e-9).astype(np.int64)        # 3 * 1e-3 / 1e-3 is step 3
        if len(step) and step.min() < 0:
            raise ValueError("times before 0 have no step; shift the events first (from_zero, shifted)")
        ends = np.zeros(len(self), np.int64)
        ends[sizes > 0] = step[self.offsets[1:][sizes > 0] - 1] + 1
        return step, ends

    def bin(self, dt: float | None = None, *, n: int | None = None, per_step: int | None = None, steps: int | None = None,
            counts: bool = False) -> Spikes:
        """Spikes (T, recordings, units).

        dt, n, per_step: how time is cut, see `steps`.  steps: T; later events are lost; None: as many as the longest recording has.
        counts: several events of a unit in one step count (multiplicity); otherwise they are one spike.
        """
        step, lengths = self.steps(dt, n=n, per_step=per_step)
        total = int(lengths.max(initial=1)) if steps is None else int(steps)
        return self.rows(step, total, counts)

    def rows(self, step, total: int, counts: bool = False) -> Spikes:
        """Spikes from the step of each event; events of steps from `total` on, or below 0, are lost."""
        if total < 1 or total * max(len(self), 1) > LARGEST:
            raise ValueError(f"{total:,} steps for {len(self)} recordings; choose a longer dt, or give steps= (from 1 on)")
        batch, units = len(self), self.n_units
        inside = (step >= 0) & (step < total)
        key = ((step * batch + self.recording) * units + self.unit)[inside]
        key.sort()
        new = np.ones(len(key), bool)
        np.not_equal(key[1:], key[:-1], out=new[1:])
        first = np.flatnonzero(new)
        row, index = np.divmod(key[first], units)
        count = np.bincount(row, minlength=total * batch).astype(np.int32)
        start = np.cumsum(count, dtype=np.int64) - count
        many = np.diff(first, append=len(key)).astype(np.float32) if counts and len(first) < len(key) else None
        return Spikes.of_rows((total, batch, units), start, count, index.astype(index_dtype(units)), many)

    def frames(self, dt: float | None = None, *, n: int | None = None, per_step: int | None = None, steps: int | None = None,
               counts: bool = True) -> np.ndarray:
        """The same as dense pictures (T, recordings, P, H, W), for layers that want them and for looking at."""
        self._only(3, "frames")
        x = self.bin(dt, n=n, per_step=per_step, steps=steps, counts=counts)
        return x.dense().reshape(*x.shape[:2], *self.shape)


def shd_frames(events: Events, dt: float = 4e-3, duration: float = 1.0) -> Spikes:
    """Spikes of a spoken digit as the SRNN's authors frame them: (duration / dt, B, N), binary.

    Step i holds the events that no earlier step took with t <= i dt, so that events after duration - dt are lost; the order of the
    channels is reversed, unit 0 is dropped: unit u becomes N - u.  Bounds are rounded to the type of the times, as NumPy did there.
    Source: Yin, Corradi, Bohte 2021, their program for SHD.
    """
    events._only(1, "shd_frames")
    bounds = (np.arange(int(duration / dt)) * dt / events.tick).astype(events.t.dtype)
    step = np.searchsorted(bounds, events.t, side="left")
    heard = events.place > 0
    kept = events.keep(heard)
    reversed_ = kept._with([kept.t, events.shape[0] - kept.place.astype(np.int64)])
    return reversed_.rows(step[heard], len(bounds))

