"""An inner ear that spikes: gammatone filters, hair cells with transmitter pools, bushy cells.  One unit is one place of the cochlea.

Symbols: x(t) the signal, f_n the centre frequency of unit n in Hz, dt = 1 / rate.

    filter      z_4 of z_k <- p z_k + (1 - |p|) z_(k-1), k = 1 ... 4, z_0 = G_n x;  p = exp(-2 pi b dt + 2 pi i f_n dt)
                b = 1.019 ERB(f_n), ERB(f) = 24.7 (1 + 0.00437 f); G_n makes a sine at f_n come out as large as it goes in, times
                (f_n / 1 kHz)^emphasis and the scale of level: the amplitude of a tone of 30 dB SPL is sqrt(2)
    receptor    s = [m max(Re z, 0) + (1 - m) |z| / pi] / sqrt(1 + |z| / K),  m = 1 / (1 + (f_n / lock)^2)
    hair cell   k = g (s + A) / (s + A + B)                release probability per second
                dq/dt = y (1 - q) + x_w w - k q            q: in store         y    5.05 /s    g    2000 /s
                dc/dt = k q - (l + r) c                    c: in the cleft     l    2500 /s    A       5
                dw/dt = r c - x_w w                        w: taken back       r    6580 /s    B     300
                R = h (c - c_0)                            release above that of silence, c_0; x_w  66.31 /s,  h  50000 /s
    bushy cell  tau_syn dI/dt = -I + R,  tau_mem dv/dt = -v + I;  v >= theta_n: spike, v = 0 for `refractory`
                theta_n = threshold exp(spread (2 phi_n - 1)),  phi_n = n (sqrt(5) - 1) / 2 mod 1

The decays of filter, cleft and bushy cell are exact for a step, stores and reprocessing go by Euler's method.  The units' frequencies
are equally far apart in ERBs, ascending (SHD counts from the high end).  The onset of a tone empties the stores, so that the response
falls to a fraction within 10 ms; after it they fill again in 200 ms.  What changes is told more loudly than what stays.

What is from where.  Filters: Patterson et al. 1992, in the complex form of Hohmann 2002; bandwidths: Glasberg & Moore 1990.  Hair cell:
Meddis 1986, 1988, with the constants that Cramer et al. 2022 (the Spiking Heidelberg Digits) and Slaney's Auditory Toolbox use.
Bushy cells after hair cells: Cramer et al.  Our own simplifications: their basilar membrane is a hydrodynamic one (Sieroka, Dosch, Rupp
2006); the compression by the root above K and the blend of half wave and envelope stand for outer hair cells and for the loss of phase
locking; they draw the spikes of 40 hair cells at random, here a bushy cell gets their mean, so that a signal always gives the same
spikes; thresholds differ from unit to unit, which keeps neighbours from firing as one and tells loudness apart; bushy cells are slower
(4 ms, theirs 1 ms).  With `rng` the hair cells' chance comes back: sqrt(h c / (hair_cells dt)) times a normal number is added to R, the
width of a Poisson count.  With 40 of them the lowest thresholds are then passed in silence; 400 are the default.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

Y, G, LOSS, REUPTAKE, REPROCESS, A, B, H = 5.05, 2000.0, 2500.0, 6580.0, 66.31, 5.0, 300.0, 50000.0       # Meddis
QUIET = np.float32(1e-15)           # added to the signal: keeps silence, and its squares, out of denormal numbers, which are slow


class EarState(NamedTuple):
    """What goes on from one piece of a signal to the next."""
    elapsed: int                # samples so far
    filters: np.ndarray         # (8, N) four complex stages
    pools: np.ndarray           # (3, N) q, c, w
    cells: np.ndarray           # (3, N) current, v, samples to wait


class Cochlea:
    """A spiking cochlea; the module has the equations.

    rate: samples per second, at least 4000.  units: N.  low, high: centre frequencies of the first and the last unit, Hz; high None is
    0.475 rate or 8 kHz, what is less.  level: dB SPL of a sine of amplitude 1.  knee: K, dB SPL, where compression sets in.
    emphasis: 0.5 is 3 dB per octave.  lock: Hz above which phase locking fades.  threshold, spread: of the bushy cells, release per
    second above silence, and the natural logarithm of the ratio of the highest threshold to the middle one.
    tau_syn, tau_mem, refractory: s.  hair_cells: on one bushy cell; they matter for noise only, which is the smaller the more they are.

    With the default values, speech of RMS 0.1 gives 700 units about 8500 spikes a second.  Silence gives none.
    """

    def __init__(self, rate: int, units: int = 700, *, low: float = 80.0, high: float | None = None, level: float = 80.0,
                 knee: float = 35.0, emphasis: float = 0.5, lock: float = 500.0, threshold: float = 16.0, spread: float = 1.0,
                 tau_syn: float = 1e-3, tau_mem: float = 4e-3, refractory: float = 1e-3, hair_cells: int = 400):
        if not (np.isfinite(rate) and rate >= 4000):
            raise ValueError(f"the cochlea needs at least 4000 samples per second; got {rate!r}")
        if isinstance(units, bool) or not isinstance(units, (int, np.integer)) or not 1 <= units <= 65536:
            raise ValueError(f"units must be a whole number from 1 to 65536; got {units!r}")
        high = min(0.475 * rate, 8000.0) if high is None else high
        if not 0 < low < high <= 0.5 * rate:
            raise ValueError(f"expected 0 < low < high <= rate / 2 = {rate / 2:g} Hz; got low={low!r}, high={high!r}")
        positive = {"lock": lock, "threshold": threshold, "tau_syn": tau_syn, "tau_mem": tau_mem, "hair_cells": hair_cells}
        for name, value in {**positive, "refractory": refractory, "spread": spread}.items():
            if not (np.isfinite(value) and (value > 0 or value == 0 and name not in positive)):
                raise ValueError(f"{name} must be {'positive' if name in positive else 'zero or positive'}; got {value!r}")
        if not np.isfinite([level, knee, emphasis]).all():
            raise ValueError(f"level, knee and emphasis must be numbers; got {level!r}, {knee!r}, {emphasis!r}")
        self.rate, self.units = rate, int(units)
        self.settings = {"low": low, "high": high, "level": level, "knee": knee, "emphasis": emphasis, "lock": lock,
                         "threshold": threshold, "spread": spread, "tau_syn": tau_syn, "tau_mem": tau_mem, "refractory": refractory,
                         "hair_cells": hair_cells}
        self.centre = erb_space(low, high, self.units)              # (N,) Hz
        self._prepare()

    def _prepare(self):
        """The arrays and coefficients of the kernels."""
        s, f, dt = self.settings, self.centre, 1 / self.rate
        shrink = np.exp(-2 * np.pi * 1.019 * erb(f) * dt)
        scale = 2 * np.sqrt(2) * 10 ** ((s["level"] - 30) / 20) * (f / 1000) ** s["emphasis"]      # 2: the real part of half a spectrum
        single = lambda a: np.ascontiguousarray(a, np.float32)
        self._pole = single(shrink * np.cos(2 * np.pi * f * dt)), single(shrink * np.sin(2 * np.pi * f * dt))
        self._gain = single((1 - shrink) * scale ** 0.25)
        locked = 1 / (1 + (f / s["lock"]) ** 2)
        golden = np.arange(self.units) * ((np.sqrt(5) - 1) / 2) % 1
        threshold = s["threshold"] * np.exp(s["spread"] * (2 * golden - 1))
        self._places = single(locked), single((1 - locked) / np.pi), single(threshold)
        k = G * A / (A + B)                                         # the pools of silence
        c = Y * k / (LOSS * k + Y * (LOSS + REUPTAKE))
        self._rest = single(np.outer([c * (LOSS + REUPTAKE) / k, c, c * REUPTAKE / REPROCESS], np.ones(self.units)))
        keep = np.exp(-(LOSS + REUPTAKE) * dt)
        knee = 1 / (np.sqrt(2) * 10 ** ((s["knee"] - 30) / 20))
        self._hair = (knee, A, B, G * dt, Y * dt, keep, (1 - keep) / ((LOSS + REUPTAKE) * dt), REUPTAKE * dt, REPROCESS * dt,
                      self._rest[1, 0], H, H / (s["hair_cells"] * dt))
        syn, mem = np.exp(-dt / s["tau_syn"]), np.exp(-dt / s["tau_mem"])
        self._cell = syn, mem, (1 - syn) * (1 - mem), round(s["refractory"] * self.rate)

    def initial_state(self) -> EarState:
        """Long silence."""
        return EarState(0, np.zeros((8, self.units), np.float32), self._rest.copy(), np.zeros((3, self.units), np.float32))

    def run(self, signal, state: EarState | None = None, *, rng: np.random.Generator | None = None):
        """(times, units, state) of a signal: times in s from the first sample of the first piece, ascending, float64; units uint16.

        signal: (T,) floats, full scale 1.  state: what an earlier run returned, None for silence; pieces of a signal give the spikes of
        the whole, bit for bit.  rng: for noise, None without.
        """
        from .kernels import BLOCK, Cell, Hair, Places, filter_bank, spikes
        signal = checked(signal)
        state = self.initial_state() if state is None else self._checked_state(state)
        places, hair, cell = Places(*self._places), Hair(*map(np.float32, self._hair)), Cell(*map(np.float32, self._cell))
        bank, none = np.empty((2, BLOCK, self.units), np.float32), np.empty((0, 0), np.float32)
        step, unit = np.empty(BLOCK * self.units, np.int64), np.empty(BLOCK * self.units, np.uint16)
        times, units = [np.empty(0)], [np.empty(0, np.uint16)]
        for first in range(0, len(signal), BLOCK):
            piece = signal[first:first + BLOCK].astype(np.float32) + QUIET
            filter_bank(piece, *self._pole, self._gain, state.filters, bank)
            noise = none if rng is None else rng.standard_normal((len(piece), self.units), np.float32)
            n = spikes(bank, len(piece), places, hair, cell, noise, state.pools, state.cells, step, unit)
            times.append((step[:n] + (state.elapsed + first)) / self.rate)
            units.append(unit[:n].copy())
        return np.concatenate(times), np.concatenate(units), state._replace(elapsed=state.elapsed + len(signal))

    def _checked_state(self, state):
        """A copy: what the caller handed in stays as it is."""
        for name, a, rows in zip(state._fields[1:], state[1:], (8, 3, 3), strict=True):
            if np.shape(a) != (rows, self.units):
                raise ValueError(f"state.{name} must have shape ({rows}, {self.units}); got {np.shape(a)}: pass what run returned")
        return EarState(int(state.elapsed), *(np.array(a, np.float32) for a in state[1:]))

    def __repr__(self) -> str:
        return f"Cochlea({self.rate}, {self.units}, {', '.join(f'{k}={v:g}' for k, v in self.settings.items())})"


@lru_cache(maxsize=8)
def _cached(rate, units, settings):
    return Cochlea(rate, units, **dict(settings))


def cochlea(signal, rate: int, units: int = 700, *, rng: np.random.Generator | None = None, **settings):
    """The spikes of a signal (T,) of full scale 1: (times in s, ascending, float64; units uint16).  settings: those of `Cochlea`."""
    return _cached(rate, units, tuple(sorted(settings.items()))).run(signal, rng=rng)[:2]


def erb(f):
    """Equivalent rectangular bandwidth of the auditory filter at f, Hz.  Source: Glasberg & Moore 1990."""
    return 24.7 * (1 + 0.00437 * f)


def erb_space(low: float, high: float, n: int) -> np.ndarray:
    """n frequencies from low to high, equally far apart in ERBs; one alone is `low`."""
    return (np.geomspace(1 + 0.00437 * low, 1 + 0.00437 * high, n) - 1) / 0.00437


def normalise(signal, rms: float = 0.1) -> np.ndarray:
    """The signal without its mean, scaled to a root mean square of `rms`; silence stays silent."""
    signal = checked(signal)
    signal = signal - signal.mean() if signal.size else signal
    have = np.sqrt(np.mean(signal ** 2)) if signal.size else 0.0
    return signal * (rms / have) if have > 0 else signal


def checked(signal) -> np.ndarray:
    """A signal (T,) of finite floats, as float64."""
    signal = np.asarray(signal)
    if signal.ndim != 1 or not np.issubdtype(signal.dtype, np.floating):
        raise ValueError(f"expected a signal (T,) of floats with full scale 1; got {signal.dtype} of shape {signal.shape}"
                         + (": divide integer samples by their full scale" if np.issubdtype(signal.dtype, np.integer) else ""))
    if not np.isfinite(signal).all():
        at = int((~np.isfinite(signal)).argmax())
        raise ValueError(f"the signal is {signal[at]} at sample {at}; clean the recording first")
    return signal.astype(np.float64)
