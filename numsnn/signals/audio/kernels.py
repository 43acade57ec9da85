"""The compiled steps of the cochlea: one time step of every unit after the other.

All state lies in arrays (K, N), float32.  Each step is a loop of its own over few arrays, so that LLVM's
overlap checks succeed and it vectorises; without `fastmath`, so that the same signal gives the same spikes
whatever it is cut into.  numsnn/signals/audio/ear.py has the equations.
"""

from typing import Any, NamedTuple

import numpy as np

from ...packages import needed, options

njit = needed("numba", "the model of the ear").njit
OPTIONS: dict[str, Any] = options()
ZERO, ONE = np.float32(0), np.float32(1)
BLOCK = 128                     # time steps from one call of the filter bank to the next


class Places(NamedTuple):
    """Coefficients that differ from unit to unit, (N,)."""
    locked: np.ndarray      # weight of the half wave
    smooth: np.ndarray      # weight of the envelope
    threshold: np.ndarray


class Hair(NamedTuple):
    """Coefficients of the hair cells, the same for all units."""
    knee: float         # 1 / amplitude at which compression sets in
    a: float
    b: float
    g: float            # g dt
    y: float            # y dt
    keep: float         # exp(-(l + r) dt)
    gain: float         # (1 - keep) / ((l + r) dt)
    r: float            # r dt
    x: float            # x dt
    rest: float         # cleft content of silence
    h: float            # cleft content -> release per second
    noise: float        # h / (hair cells dt): cleft content -> variance of the release


class Cell(NamedTuple):
    """Coefficients of the bushy cells."""
    syn: float          # exp(-dt / tau_syn)
    mem: float          # exp(-dt / tau_mem)
    gain: float         # (1 - syn) (1 - mem)
    refractory: float   # time steps


@njit(**OPTIONS)
def filter_bank(signal, re, im, gain, z, out):
    """The gammatone filters over a block.

    signal (T,), poles re + i im (N,), gain (N,); z (8, N) real and imaginary parts of four stages;
    out (2, BLOCK, N) real and imaginary part.
    """
    for t in range(signal.size):
        x = signal[t]
        for n in range(re.size):
            zr = z[0, n]
            zi = z[1, n]
            z[0, n] = re[n] * zr - im[n] * zi + gain[n] * x
            z[1, n] = re[n] * zi + im[n] * zr
        for k in range(2, 8, 2):
            _stage(re, im, gain, z[k - 2], z[k - 1], z[k], z[k + 1])
        out[0, t] = z[6]
        out[1, t] = z[7]


@njit(**OPTIONS)
def _stage(re, im, gain, ur, ui, zr, zi):
    """One of the later stages, whose input is u and whose state is z."""
    for n in range(re.size):
        r = re[n] * zr[n] - im[n] * zi[n] + gain[n] * ur[n]
        zi[n] = re[n] * zi[n] + im[n] * zr[n] + gain[n] * ui[n]
        zr[n] = r


@njit(**OPTIONS)
def _receptor(re, im, locked, smooth, knee, drive):
    """The half wave where phase locking lasts, else the envelope / pi (its mean over a cycle); compressed."""
    for n in range(re.size):
        envelope = np.sqrt(re[n] * re[n] + im[n] * im[n])
        blend = locked[n] * max(re[n], ZERO) + smooth[n] * envelope
        drive[n] = blend / np.sqrt(ONE + knee * envelope)


@njit(**OPTIONS)
def _release(drive, q, c, w, p, rate):
    """Transmitter: store q, cleft c, reprocessed w.

    rate: the release of one hair cell above that of silence, 1/s.
    """
    for n in range(drive.size):
        s = drive[n] + p.a
        freed = p.g * s / (s + p.b) * q[n]
        back = p.x * w[n]
        w[n] = w[n] + (p.r * c[n] - back)
        q[n] = q[n] + (p.y * (ONE - q[n]) - freed + back)
        c[n] = p.keep * c[n] + p.gain * freed
        rate[n] = p.h * (c[n] - p.rest)


@njit(**OPTIONS)
def _fire(rate, current, v, waits, threshold, p, fired):
    """Leaky integration.

    A unit that reaches its threshold fires, returns to 0 and stays there while it is refractory.
    """
    for n in range(rate.size):
        current[n] = p.syn * current[n] + rate[n]
        u = p.mem * v[n] + p.gain * current[n]
        u = u if waits[n] <= ZERO else ZERO
        f = ONE if u >= threshold[n] else ZERO
        v[n] = u * (ONE - f)
        waits[n] = max(waits[n] - ONE, ZERO) + f * p.refractory
        fired[n] = f


@njit(**OPTIONS)
def spikes(bank, steps, places, hair, cell, noise, pools, cells, step, unit):
    """Hair and bushy cells over the first `steps` of the filter bank's output: the number of spikes.

    step, unit: the time step and the unit of each spike are written here.
    noise: (T, N) standard normal, or (0, 0).  pools (3, N): q, c, w.  cells (3, N): current, v, steps to
    wait.
    """
    n_units = places.threshold.size
    found = 0
    drive = np.empty(n_units, np.float32)
    rate = np.empty(n_units, np.float32)
    fired = np.empty(n_units, np.float32)
    for t in range(steps):
        _receptor(bank[0, t], bank[1, t], places.locked, places.smooth, hair.knee, drive)
        _release(drive, pools[0], pools[1], pools[2], hair, rate)
        if noise.size:
            for n in range(n_units):
                rate[n] += np.sqrt(hair.noise * max(pools[1, n], ZERO)) * noise[t, n]
        _fire(rate, cells[0], cells[1], cells[2], places.threshold, cell, fired)
        for n in range(n_units):
            if fired[n] > ZERO:
                step[found] = t
                unit[found] = n
                found += 1
    return found
