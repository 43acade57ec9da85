"""An inner ear that spikes: gammatone filters, hair cells with transmitter pools, bushy cells.

One unit is one place of the cochlea.  Symbols: x(t) the signal, f_n the centre frequency of unit n in Hz,
dt = 1 / rate.

    filter      z_4 of z_k <- p z_k + (1 - |p|) z_(k-1), k = 1 ... 4, z_0 = G_n x
                p = exp(-2 pi b dt + 2 pi i f_n dt),  b = 1.019 ERB(f_n),  ERB(f) = 24.7 (1 + 0.00437 f)
                G_n makes a sine at f_n come out as large as it goes in, times (f_n / 1 kHz)^emphasis and the
                scale of level: the amplitude of a tone of 30 dB SPL is sqrt(2)
    receptor    s = [m max(Re z, 0) + (1 - m) |z| / pi] / sqrt(1 + |z| / K),  m = 1 / (1 + (f_n / lock)^2)
    hair cell   k = g (s + A) / (s + A + B)            release probability per second
                dq/dt = y (1 - q) + x_w w - k q        q: in store         y    5.05 /s    g    2000 /s
                dc/dt = k q - (l + r) c                c: in the cleft     l    2500 /s    A       5
                dw/dt = r c - x_w w                    w: taken back       r    6580 /s    B     300
                R = h (c - c_0)                        release above that of silence, c_0
                                                                           x_w  66.31 /s   h   50000 /s
    bushy cell  tau_syn dI/dt = -I + R,  tau_mem dv/dt = -v + I
                v >= theta_n: spike, v = 0 for `refractory`
                theta_n = threshold exp(spread (2 phi_n - 1)),  phi_n = n (sqrt(5) - 1) / 2 mod 1

The decays of filter, cleft and bushy cell are exact for a step, stores and reprocessing go by Euler's
method.  The units' frequencies are equally far apart in ERBs, ascending (SHD counts from the high end).  The
onset of a tone empties the stores, so that the response falls to a fraction within 10 ms; after it they fill
again in 200 ms.  What changes is told more loudly than what stays.

What is from where.  Filters: Patterson et al. 1992, in the complex form of Hohmann 2002; bandwidths:
Glasberg & Moore 1990.  Hair cell: Meddis 1986, 1988, with the constants that Cramer et al. 2022 (the Spiking
Heidelberg Digits) and Slaney's Auditory Toolbox use.  Bushy cells after hair cells: Cramer et al.

Our own simplifications: their basilar membrane is a hydrodynamic one (Sieroka, Dosch, Rupp 2006); the
compression by the root above K and the blend of half wave and envelope stand for outer hair cells and for
the loss of phase locking; they draw the spikes of 40 hair cells at random, here a bushy cell gets their
mean, so that a signal always gives the same spikes; thresholds differ from unit to unit, which keeps
neighbours from firing as one and tells loudness apart; bushy cells are slower (4 ms, theirs 1 ms).

With `rng` the hair cells' chance comes back: sqrt(h c / (hair_cells dt)) times a normal number is added to
R, the width of a Poisson count.  With 40 of them the lowest thresholds are then passed in silence; 400 are
the default.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ...checked import SEEDS, checked, in_range
from ..integers import is_whole

# Constants of Meddis, per second where the module's equations say so
Y, G = 5.05, 2000.0
LOSS, REUPTAKE, REPROCESS = 2500.0, 6580.0, 66.31
A, B, H = 5.0, 300.0, 50000.0
QUIET = np.float32(1e-15)       # added to the signal: keeps silence, and its squares, out of slow denormals


class EarState(NamedTuple):
    """What goes on from one piece of a signal to the next."""
    elapsed: int                # samples so far
    filters: np.ndarray         # (8, N) four complex stages
    pools: np.ndarray           # (3, N) q, c, w
    cells: np.ndarray           # (3, N) current, v, samples to wait


class Cochlea:
    """A spiking cochlea; the module has the equations.

    rate: samples per second, at least 4000.
    units: N.
    low, high: centre frequencies of the first and the last unit, Hz; high None is 0.475 rate or 8 kHz, what
    is less.
    level: dB SPL of a sine of amplitude 1.
    knee: K, dB SPL, where compression sets in.
    emphasis: 0.5 is 3 dB per octave.
    lock: Hz above which phase locking fades.
    threshold, spread: of the bushy cells, release per second above silence, and the natural logarithm of the
        ratio of the highest threshold to the middle one.
    tau_syn, tau_mem, refractory: s.
    hair_cells: on one bushy cell; they matter for noise only, which is the smaller the more they are.

    With the default values, speech of RMS 0.1 gives 700 units about 8500 spikes a second.  Silence gives
    none.
    """

    @checked
    def __init__(self, rate: int, units: int = 700, *, low: float = 80.0, high: float | None = None,
                 level: float = 80.0, knee: float = 35.0, emphasis: float = 0.5, lock: float = 500.0,
                 threshold: float = 16.0, spread: float = 1.0, tau_syn: float = 1e-3, tau_mem: float = 4e-3,
                 refractory: float = 1e-3, hair_cells: int = 400):
        if not (np.isfinite(rate) and rate >= 4000):
            raise ValueError(f"the cochlea needs at least 4000 samples per second; got {rate!r}")
        if not is_whole(units, least=1) or units > 65536:
            raise ValueError(f"units must be a whole number from 1 to 65536; got {units!r}")
        high = min(0.475 * rate, 8000.0) if high is None else high
        if not 0 < low < high <= 0.5 * rate:
            raise ValueError(f"expected 0 < low < high <= rate / 2 = {rate / 2:g} Hz; "
                             f"got low={low!r}, high={high!r}")
        _check_signs(positive={"lock": lock, "threshold": threshold, "tau_syn": tau_syn, "tau_mem": tau_mem,
                               "hair_cells": hair_cells},
                     not_negative={"refractory": refractory, "spread": spread})
        if not np.isfinite([level, knee, emphasis]).all():
            raise ValueError(f"level, knee and emphasis must be numbers; "
                             f"got {level!r}, {knee!r}, {emphasis!r}")
        in_range(-300, 300, level=level, knee=knee)         # dB
        in_range(-20, 20, emphasis=emphasis)
        self.rate = rate
        self.units = int(units)
        settings = {
            "low": low, "high": high, "level": level, "knee": knee, "emphasis": emphasis, "lock": lock,
            "threshold": threshold, "spread": spread, "tau_syn": tau_syn, "tau_mem": tau_mem,
            "refractory": refractory, "hair_cells": hair_cells}
        self.settings = {name: float(value) for name, value in settings.items()}
        self.centre = erb_space(low, high, self.units)              # (N,) Hz
        self._prepare_filters()
        self._prepare_hair_cells()
        self._prepare_bushy_cells()

    def _prepare_filters(self) -> None:
        """The coefficients of `kernels.filter_bank`."""
        s, f, dt = self.settings, self.centre, 1 / self.rate
        shrink = np.exp(-2 * np.pi * 1.019 * erb(f) * dt)
        turn = 2 * np.pi * f * dt
        self._pole = _single(shrink * np.cos(turn)), _single(shrink * np.sin(turn))
        # 2: the real part of half a spectrum
        loudness = 2 * np.sqrt(2) * 10 ** ((s["level"] - 30) / 20)
        scale = loudness * (f / 1000) ** s["emphasis"]
        self._gain = _single((1 - shrink) * scale ** 0.25)

    def _prepare_hair_cells(self) -> None:
        """The pools of silence, and the fields of `kernels.Hair`, in their order."""
        s, dt = self.settings, 1 / self.rate
        k = G * A / (A + B)
        c = Y * k / (LOSS * k + Y * (LOSS + REUPTAKE))
        pools = [c * (LOSS + REUPTAKE) / k, c, c * REUPTAKE / REPROCESS]
        self._rest = _single(np.outer(pools, np.ones(self.units)))
        knee = 1 / (np.sqrt(2) * 10 ** ((s["knee"] - 30) / 20))
        keep = np.exp(-(LOSS + REUPTAKE) * dt)
        gain = (1 - keep) / ((LOSS + REUPTAKE) * dt)
        noise = H / (s["hair_cells"] * dt)
        self._hair = (knee, A, B, G * dt, Y * dt, keep, gain, REUPTAKE * dt, REPROCESS * dt,
                      self._rest[1, 0], H, noise)

    def _prepare_bushy_cells(self) -> None:
        """The fields of `kernels.Places` and of `kernels.Cell`, in their order."""
        s, f, dt = self.settings, self.centre, 1 / self.rate
        locked = 1 / (1 + (f / s["lock"]) ** 2)
        golden = np.arange(self.units) * ((np.sqrt(5) - 1) / 2) % 1
        threshold = s["threshold"] * np.exp(s["spread"] * (2 * golden - 1))
        self._places = _single(locked), _single((1 - locked) / np.pi), _single(threshold)
        syn = np.exp(-dt / s["tau_syn"])
        mem = np.exp(-dt / s["tau_mem"])
        self._cell = syn, mem, (1 - syn) * (1 - mem), round(s["refractory"] * self.rate)

    def initial_state(self) -> EarState:
        """Long silence."""
        filters = np.zeros((8, self.units), np.float32)
        cells = np.zeros((3, self.units), np.float32)
        return EarState(0, filters, self._rest.copy(), cells)

    def run(self, signal: ArrayLike, state: EarState | None = None, *,
            rng: np.random.Generator | None = None) -> tuple[np.ndarray, np.ndarray, EarState]:
        """(times, units, state) of a signal; times in s from the first sample of the first piece, ascending.

        Times are float64, units uint16.
        signal: (T,) floats, full scale 1.
        state: what an earlier run returned, None for silence; pieces of a signal give the spikes of the
        whole, bit for bit.
        rng: for noise, None without.
        """
        from .kernels import BLOCK, Cell, Hair, Places, filter_bank, spikes
        signal = as_signal(signal)
        state = self.initial_state() if state is None else self._checked_state(state)
        places = Places(*self._places)
        hair = Hair(*map(np.float32, self._hair))
        cell = Cell(*map(np.float32, self._cell))
        bank = np.empty((2, BLOCK, self.units), np.float32)
        silent = np.empty((0, 0), np.float32)
        step = np.empty(BLOCK * self.units, np.int64)
        unit = np.empty(BLOCK * self.units, np.uint16)
        times = [np.empty(0)]
        units = [np.empty(0, np.uint16)]
        for first in range(0, len(signal), BLOCK):
            piece = signal[first:first + BLOCK].astype(np.float32) + QUIET
            filter_bank(piece, *self._pole, self._gain, state.filters, bank)
            noise = silent if rng is None else rng.standard_normal((len(piece), self.units), np.float32)
            n = spikes(bank, len(piece), places, hair, cell, noise, state.pools, state.cells, step, unit)
            times.append((step[:n] + (state.elapsed + first)) / self.rate)
            units.append(unit[:n].copy())
        after = state._replace(elapsed=state.elapsed + len(signal))
        return np.concatenate(times), np.concatenate(units), after

    def _checked_state(self, state: EarState) -> EarState:
        """A copy: what the caller handed in stays as it is."""
        for name, a, rows in zip(state._fields[1:], state[1:], (8, 3, 3), strict=True):
            if np.shape(a) != (rows, self.units):
                raise ValueError(f"state.{name} must have shape ({rows}, {self.units}); got {np.shape(a)}: "
                                 f"pass what run returned")
        return EarState(int(state.elapsed), *(np.array(a, np.float32) for a in state[1:]))

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value:g}" for name, value in self.settings.items())
        return f"Cochlea({self.rate}, {self.units}, {settings})"


def _check_signs(positive: dict[str, float], not_negative: dict[str, float]) -> None:
    for name, value in positive.items():
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be positive; got {value!r}")
    for name, value in not_negative.items():
        if not (np.isfinite(value) and value >= 0):
            raise ValueError(f"{name} must be zero or positive; got {value!r}")


def _single(a: ArrayLike) -> np.ndarray:
    return np.ascontiguousarray(a, np.float32)


@lru_cache(maxsize=8)
def _cached(rate: int, units: int, settings: tuple) -> Cochlea:
    return Cochlea(rate, units, **dict(settings))


@checked
def cochlea(signal: ArrayLike, rate: int, units: int = 700, *, rng: np.random.Generator | None = None,
            **settings: Any) -> tuple[np.ndarray, np.ndarray]:
    """The spikes of a signal (T,) of full scale 1: (times in s, ascending, float64; units uint16).

    settings: those of `Cochlea`.
    """
    times, unit, _ = _cached(rate, units, tuple(sorted(settings.items()))).run(signal, rng=rng)
    return times, unit


def erb(f: np.ndarray) -> np.ndarray:
    """Equivalent rectangular bandwidth of the auditory filter at f, Hz.  Source: Glasberg & Moore 1990."""
    return 24.7 * (1 + 0.00437 * f)


def erb_space(low: float, high: float, n: int) -> np.ndarray:
    """n frequencies from low to high, equally far apart in ERBs; one alone is `low`."""
    return (np.geomspace(1 + 0.00437 * low, 1 + 0.00437 * high, n) - 1) / 0.00437


@checked
def normalise(signal: ArrayLike, rms: float = 0.1) -> np.ndarray:
    """The signal without its mean, scaled to a root mean square of `rms`; silence stays silent."""
    in_range(0, SEEDS, rms=rms)
    signal = as_signal(signal)
    signal = signal - signal.mean() if signal.size else signal
    have = np.sqrt(np.mean(signal ** 2)) if signal.size else 0.0
    return signal * (rms / have) if have > 0 else signal


def as_signal(signal: ArrayLike) -> np.ndarray:
    """A signal (T,) of finite floats, as float64."""
    signal = np.asarray(signal)
    if signal.ndim != 1 or not np.issubdtype(signal.dtype, np.floating):
        integers = np.issubdtype(signal.dtype, np.integer)
        advice = ": divide integer samples by their full scale" if integers else ""
        raise ValueError(f"expected a signal (T,) of floats with full scale 1; got {signal.dtype} of shape "
                         f"{signal.shape}{advice}")
    if not np.isfinite(signal).all():
        at = int((~np.isfinite(signal)).argmax())
        raise ValueError(f"the signal is {signal[at]} at sample {at}; clean the recording first")
    return signal.astype(np.float64)
