"""Synthetic ECG: the dynamical model of McSharry et al., two leads, with the waves labelled.

It is for use without any data at hand.  A phase theta runs around a limit cycle, once a beat; each wave i in
P, Q, R, S, T pulls the potential z when the phase passes it:

    dtheta/dt = 2 pi / RR(t)
    dz/dt     = - sum_i a_i d_i exp(-d_i^2 / (2 b_i^2)) - (z - z_0(t))
    d_i       = theta - theta_i, wrapped to (-pi, pi]

RR(t) varies with the two bands of heart-rate variability (0.1 and 0.25 Hz); z_0 is the baseline, moved by
breathing (0.25 Hz).  Each record has its own heart rate, amplitudes, widths and positions; the second lead
sees the waves at other strengths.

Source: McSharry, Clifford, Tarassenko, Smith, IEEE Trans. Biomed. Eng. 50 (2003); theta_i, a_i, b_i and the
size of the baseline as in the authors' program ECGSYN.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..checked import MOST, SEEDS, checked, in_range
from ..formats import hdf5
from ..formats.problems import FormatError
from ..formats.whole import whole_hdf5
from ..packages import needed
from ..signals.encode import level_crossing
from ..signals.spikes import Spikes
from .dataset import Dataset
from .qtdb import CLASSES, FIRST

RATE = 250                                  # samples per second, as QTDB
FINE = 4                                    # steps of the model per sample
GROUP = 64                                  # records made together
POSITION = np.radians([-70.0, -15.0, 0.0, 15.0, 100.0])                           # P, Q, R, S, T
AMPLITUDE = np.array([1.2, -5.0, 30.0, -7.5, 0.75])
WIDTH = np.array([0.25, 0.1, 0.1, 0.1, 0.4])


class Ecg(NamedTuple):
    """Synthetic records: time, records, leads."""
    signal: np.ndarray      # (T, B, 2) mV
    labels: np.ndarray      # (T, B) index into CLASSES


@checked
def ecg_signals(n: int, steps: int = 1300, seed: int = 0, noise: float = 0.015) -> Ecg:
    """n records of `steps` samples at 250 Hz.  noise: mean standard deviation of the measurement noise,
    mV."""
    in_range(1, MOST, n=n, steps=steps)
    in_range(0, SEEDS, seed=seed, noise=noise)
    n, steps = int(n), int(steps)           # a uint8 of NumPy's counts to 255
    groups = []
    for first in range(0, n, GROUP):
        rng = np.random.default_rng([seed, 2003, first])
        groups.append(_records(rng, min(GROUP, n - first), steps, noise))
    signal = np.concatenate([group.signal for group in groups], 1)
    labels = np.concatenate([group.labels for group in groups], 1)
    return Ecg(signal, labels)


def _records(rng, n, steps, noise):
    """A group of records; groups keep the memory small."""
    warm = 2 * RATE * FINE                                     # the model settles before the record begins
    total = warm + steps * FINE
    dt = 1 / (RATE * FINE)
    time = np.arange(total)[:, None] * dt
    theta = _phase(rng, time, dt, n)
    position = POSITION * rng.normal(1, 0.05, (n, 5))
    width = WIDTH * rng.normal(1, 0.08, (n, 5)).clip(0.7, 1.3)
    baseline = 0.005 * np.sin(2 * np.pi * 0.25 * time + rng.uniform(0, 2 * np.pi, n))
    leads = []
    for lead in range(2):
        strength = AMPLITUDE * rng.normal(1, 0.15, (n, 5)).clip(0.5, 1.5)
        if lead:                        # another direction of view: other strengths, sometimes an inverted T
            strength *= rng.uniform((0.4, 0.3, 0.3, 0.5, 0.4), (1.0, 1.5, 1.0, 1.8, 1.2), (n, 5))
            strength[:, 4] *= np.where(rng.random(n) < 0.15, -1, 1)
        drive = _force(theta, position, width, strength) + baseline
        leads.append(_potential(drive, dt)[warm::FINE])
    signal = np.stack(leads, -1)
    signal *= 1.2 / np.abs(signal).max((0, 2), keepdims=True)
    signal += noise * rng.standard_normal(signal.shape) * rng.uniform(0.3, 2.0, (1, n, 1))
    return Ecg(signal.astype(np.float32), _waves(theta[warm::FINE], position, width))


def _phase(rng, time, dt, n):
    """The phase (T, B) of each record, from its heart rate and its variability."""
    mean = 60 / rng.uniform(50, 95, n)                         # seconds per beat
    low, high = (rng.uniform(0, 2 * np.pi, n) for _ in range(2))
    drift = 0.03 * np.sin(2 * np.pi * 0.1 * time + low) + 0.04 * np.sin(2 * np.pi * 0.25 * time + high)
    beat = mean * (1 + drift * rng.uniform(0.3, 1.5, n))
    return rng.uniform(-np.pi, np.pi, n) + np.cumsum(2 * np.pi / beat * dt, 0)


def _wrap(angle):
    return (angle + np.pi) % (2 * np.pi) - np.pi


def _force(theta, position, width, strength):
    """- sum_i a_i d_i exp(-d_i^2 / (2 b_i^2))."""
    force = np.zeros_like(theta)
    for i in range(5):
        d = _wrap(theta - position[:, i])
        force -= strength[:, i] * d * np.exp(-d ** 2 / (2 * width[:, i] ** 2))
    return force


def _potential(drive, dt):
    """dz/dt = drive - z, by the exponential Euler method."""
    lfilter = needed("scipy.signal", "the synthetic ECG").lfilter
    leak = np.exp(-dt)
    return lfilter([1 - leak], [1, -leak], drive, axis=0)


def _waves(theta, position, width):
    """The class of each step from the phase: a wave ends where its Gaussian has fallen to a fraction."""
    (p, q, r, s, t), (p_width, q_width, _, s_width, t_width) = position.T, width.T
    bounds = (p - 1.9 * p_width, p + 1.9 * p_width, q - 1.5 * q_width,
              r, s + 1.5 * s_width, t + 1.9 * t_width)
    angle = _wrap(theta)
    labels = np.full(theta.shape, CLASSES.index("TP"), np.uint8)
    for name, begin, end in zip(CLASSES, bounds[:-1], bounds[1:], strict=False):
        labels[(angle >= begin) & (angle < np.maximum(end, begin))] = CLASSES.index(name)
    return labels


@checked
def ecg(n: int, steps: int = 1300, seed: int = 0, part: str = "") -> Dataset:
    """n synthetic records as a data set of the form of the coded QT Database.

    There are 4 spike trains, six classes, a label for each step.
    """
    return _dataset(*ecg_signals(n, steps, seed), part, f"seed {seed}")


def _dataset(signal, labels, part, origin):
    counts = np.broadcast_to(np.arange(len(labels))[:, None] >= FIRST, labels.shape)
    return Dataset(Spikes.from_dense(level_crossing(signal)), labels.astype(np.int64), mask=counts,
                   classes=CLASSES, time_first=True, name=f"synthetic ECG{', ' * bool(part)}{part}",
                   source=f"SYNTHETIC: model of McSharry et al. 2003, {origin}; not recorded from anyone")


@checked
def write_sample(path: Path | str, n: int = 16, seed: int = 0) -> None:
    """Write n records as HDF5: signal (T, B, 2) in mV, labels (T, B); data/ecg_synthetic.h5 is made by
    this."""
    signal, labels = ecg_signals(n, seed=seed)
    with whole_hdf5(path, track_order=False) as file:
        source = f"SYNTHETIC ECG, model of McSharry et al. 2003, numsnn, seed {seed}"
        file.attrs.update(source=source, rate=RATE, classes=CLASSES)
        # 1/2000 mV is a fortieth of the noise: rounding lets the file shrink
        file.create_dataset("signal", data=np.round(signal * 2000) / 2000, compression="gzip", shuffle=True)
        file.create_dataset("labels", data=labels, compression="gzip", shuffle=True)


@checked
def read(path: Path | str) -> Dataset:
    """A file of `write_sample` as a data set."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; data/ of the repository holds ecg_synthetic.h5, "
                                f"and write_sample makes another")
    with hdf5.opened(path) as file:
        if not {"signal", "labels"} <= set(file):
            raise ValueError(f"{path}: expected signal (T, B, leads) and labels (T, B); "
                             f"got {', '.join(file) or 'nothing'}")
        try:
            signal, labels = (hdf5.dataset(path, file, key)[()] for key in ("signal", "labels"))
        except OSError as error:
            raise FormatError(path, f"damaged HDF5 data: {error}") from error
    if signal.ndim != 3 or signal.shape[:2] != labels.shape:
        raise ValueError(f"{path}: expected signal (T, B, leads) and labels (T, B); "
                         f"got {signal.shape} and {labels.shape}")
    return _dataset(signal, labels, "sample", path.name)
