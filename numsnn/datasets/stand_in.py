"""Stand-ins for data sets that are not at hand.  SYNTHETIC, all of it.

There are words as spikes or as log-mel features, and digits drawn with a pen.  They have the form of the
Spiking Heidelberg Digits, of Speech Commands and of MNIST, so that recipes run as they do on the real sets;
what accuracy a network reaches on them says nothing about these.

A word is three formants: places between low and high pitch, and loudnesses, that move on straight lines
between a few points, which its number decides.  Recordings differ in onset, tempo, pitch and loudness.  A
digit is a line through a few points; pictures differ in place, size, turn, slant, pen and in the points
themselves.
"""

import numpy as np

from ..checked import MOST, SEEDS, checked, in_range
from ..signals.events import Events
from .mnist import PIXELS, SIDE, Images
from .shd import CHANNELS

FORMANTS, POINTS = 3, 5
LOUDEST = 4000              # spikes per second of a formant at full loudness
BACKGROUND = 400            # spikes per second of the whole ear
SPREAD = 0.03               # of a formant, over places from 0 to 1
FRAMES, BANDS = 101, 40     # of the log-mel features: a second in steps of 10 ms
DIGITS = (                  # the pen's way, x to the right and y down, from 0 to 1
    ((0.5, 0.1), (0.25, 0.25), (0.2, 0.5), (0.25, 0.75), (0.5, 0.9), (0.75, 0.75), (0.8, 0.5), (0.75, 0.25),
     (0.5, 0.1)),
    ((0.35, 0.3), (0.55, 0.1), (0.55, 0.9)),
    ((0.2, 0.3), (0.35, 0.1), (0.65, 0.1), (0.8, 0.3), (0.7, 0.5), (0.2, 0.9), (0.8, 0.9)),
    ((0.2, 0.15), (0.6, 0.1), (0.78, 0.28), (0.5, 0.48), (0.8, 0.68), (0.6, 0.9), (0.2, 0.85)),
    ((0.6, 0.1), (0.2, 0.6), (0.85, 0.6), (0.65, 0.6), (0.65, 0.35), (0.65, 0.9)),
    ((0.8, 0.1), (0.3, 0.1), (0.25, 0.45), (0.6, 0.42), (0.8, 0.65), (0.6, 0.9), (0.2, 0.85)),
    ((0.7, 0.1), (0.35, 0.4), (0.25, 0.7), (0.45, 0.9), (0.7, 0.8), (0.7, 0.6), (0.45, 0.52), (0.28, 0.65)),
    ((0.2, 0.1), (0.8, 0.1), (0.4, 0.9)),
    ((0.5, 0.48), (0.25, 0.3), (0.5, 0.1), (0.75, 0.3), (0.5, 0.48), (0.25, 0.7), (0.5, 0.9), (0.75, 0.7),
     (0.5, 0.48)),
    ((0.75, 0.35), (0.5, 0.5), (0.28, 0.3), (0.5, 0.1), (0.75, 0.3), (0.7, 0.6), (0.5, 0.9)))


@checked
def source(what: str, seed: int) -> str:
    """What `Dataset.source` says of such data."""
    return f"SYNTHETIC {what} of numsnn, seed {seed}: made by a model, recorded from nobody"


def _word(number, rng):
    """One recording of a word: a function of times (s) to (places, loudnesses) of its formants, (FORMANTS, T)
    each."""
    own = np.random.default_rng([number, 2022])
    places = own.uniform(0.08, 0.92, (FORMANTS, POINTS))
    loudnesses = own.uniform(0.1, 1, (FORMANTS, POINTS))
    onset = rng.uniform(0.05, 0.15)
    length = rng.uniform(0.55, 0.75)
    places = places + rng.normal(0, 0.02)
    loudnesses = loudnesses * rng.uniform(0.7, 1)
    knots = onset + length * np.linspace(0, 1, POINTS)

    def at(t):
        place = np.stack([np.interp(t, knots, values) for values in places])
        loudness = np.stack([np.interp(t, knots, values, left=0, right=0) for values in loudnesses])
        return place, loudness

    return at


@checked
def spoken(n: int, classes: int = 20, *, seed: int = 0) -> tuple[Events, np.ndarray]:
    """(events of n recordings of a second, word of each), in the form of the Spiking Heidelberg Digits.

    There are 700 units, times are in seconds.
    """
    in_range(1, MOST, n=n, classes=classes)
    in_range(0, SEEDS, seed=seed)
    rng = np.random.default_rng([seed, n])
    labels = np.arange(n) % classes
    times, places = [], []
    for label in labels:
        word = _word(label, rng)
        t = rng.random(LOUDEST)
        middles, loudnesses = word(t)
        formant, heard = np.nonzero(rng.random(middles.shape) < loudnesses)
        at = middles[formant, heard] + SPREAD * rng.standard_normal(len(formant))
        times.append(np.concatenate((t[heard], rng.random(BACKGROUND))))
        places.append(np.concatenate((at, rng.random(BACKGROUND))))
    offsets = np.cumsum([0, *map(len, times)])
    t = np.concatenate(times).astype(np.float32)
    units = np.clip(np.concatenate(places) * CHANNELS, 0, CHANNELS - 1).astype(np.uint16)
    return Events.sorted(t, units, shape=(CHANNELS,), offsets=offsets, tick=1.0), labels


@checked
def features(n: int, classes: int = 12, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(x (101, n, 120) float32, word of each of n recordings), in the form of `audio.log_mel`.

    x holds 40 bands, first and second differences, each divided by its deviation over time.
    """
    in_range(1, MOST, n=n, classes=classes)
    in_range(0, SEEDS, seed=seed)
    rng = np.random.default_rng([seed, n])
    labels = np.arange(n) % classes
    t = np.linspace(0, 1, FRAMES)
    bands = (np.arange(BANDS) + 0.5) / BANDS
    x = np.empty((FRAMES, n, 3 * BANDS), np.float32)
    for i, label in enumerate(labels):
        places, loudnesses = _word(label, rng)(t)
        tuned = np.exp(-0.5 * ((bands - places[..., None]) / SPREAD) ** 2)
        mel = np.log1p((loudnesses[..., None] * tuned).sum(0) + 0.1 * rng.random((FRAMES, BANDS)))
        first = np.gradient(mel, axis=0)
        second = np.gradient(first, axis=0)
        x[:, i] = np.concatenate((mel, first, second), 1)
    return x / x.std(0), labels


@checked
def digits(n: int, *, seed: int = 0) -> Images:
    """n pictures of the digits 0 to 9 in turn, in the form of MNIST: (n, 28, 28) bytes, 0 the ground."""
    in_range(1, MOST, n=n)
    in_range(0, SEEDS, seed=seed)
    rng = np.random.default_rng([seed, n])
    labels = (np.arange(n) % 10).astype(np.uint8)
    y, x = np.mgrid[:SIDE, :SIDE]
    grid = np.stack((x.ravel(), y.ravel()), 1)
    pixels = np.stack([_drawn(np.array(DIGITS[label]), grid, rng) for label in labels])
    return Images(pixels.reshape(n, SIDE, SIDE), labels)


def _drawn(points, grid, rng):
    """A line through the points, drawn with a soft pen: bytes (784,)."""
    turn = rng.normal(0, 0.12)
    slant = rng.normal(0, 0.15)
    size = rng.uniform(17, 21)
    pen = rng.uniform(0.9, 1.5)
    points = points - 0.5 + rng.normal(0, 0.02, points.shape)
    points = points @ np.array([[np.cos(turn), np.sin(turn)], [slant - np.sin(turn), np.cos(turn)]])
    points = points * size + (SIDE - 1) / 2 + rng.normal(0, 1, 2)
    along = np.diff(points, axis=0)
    away = grid[:, None] - points[:-1]                      # (784, lines, 2)
    length_squared = np.maximum((along ** 2).sum(-1), 1e-9)
    share = np.clip((away * along).sum(-1) / length_squared, 0, 1)
    distance = np.linalg.norm(away - share[..., None] * along, axis=-1).min(1)
    return (255 * np.clip(1.5 - distance / pen, 0, 1)).astype(np.uint8).reshape(PIXELS)
