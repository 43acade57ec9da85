"""Synthetic gestures: two bright hands before an event camera, for use without any data at hand.

The hands are discs with soft edges that move on paths named like the gestures of DVS128 Gesture; each
recording has its own tempo, size of the movement, place and noise.  The camera sends an event where the
logarithm of a pixel's light has changed by the threshold since the last one.
"""

from __future__ import annotations

import numpy as np

from ..checked import MOST, SEEDS, checked, in_range
from ..signals.encode import delta
from ..signals.events import Events
from .cameras import GESTURES

RATE = 100          # steps of the model per second
THRESHOLD = 0.25    # change of log intensity that makes an event
BACKGROUND = 0.2    # light of the background, the hands' being 1
TURN = 2 * np.pi


def _paths(gesture, t, tempo, phase):
    """Where both hands are, relative to where they rest, in units of the movement: (T, 2 hands, 2: x, y)."""
    angle = TURN * tempo * t + phase
    swing = np.sin(angle)
    bob = np.cos(angle)
    rest = np.zeros_like(t)
    right, left = {
        "hand clapping": ((swing, rest), (-swing, rest)),
        "right hand wave": ((swing, 0.2 * np.abs(bob)), (rest, rest)),
        "left hand wave": ((rest, rest), (swing, 0.2 * np.abs(bob))),
        "right arm clockwise": ((bob, swing), (rest, rest)),
        "right arm counter clockwise": ((bob, -swing), (rest, rest)),
        "left arm clockwise": ((rest, rest), (bob, swing)),
        "left arm counter clockwise": ((rest, rest), (bob, -swing)),
        "arm roll": ((0.6 * bob + 0.8, 0.6 * swing), (-0.6 * bob - 0.8, -0.6 * swing)),
        "air drums": ((rest, np.abs(swing)), (rest, np.abs(bob))),
        "air guitar": ((0.3 * swing + 0.6, swing + 0.5), (rest, rest - 0.4)),
        "other gestures": ((np.sin(0.7 * angle), np.sin(1.7 * angle + phase)),
                           (np.sin(1.3 * angle), np.cos(0.6 * angle))),
    }[gesture]
    return np.stack([np.stack(hand, 1) for hand in (right, left)], 1)


def _movie(gesture, size, steps, rng):
    """Light of every pixel, (T, size, size)."""
    t = np.arange(steps) / RATE
    reach = rng.uniform(0.13, 0.2) * size
    tempo = rng.uniform(1.0, 2.0)
    rest = np.array([[0.3, 0.5], [0.7, 0.5]]) * size + rng.normal(0, 0.03 * size, (1, 2))
    at = rest + reach * _paths(gesture, t, tempo, rng.uniform(0, TURN))
    y, x = np.mgrid[:size, :size]
    light = np.full((steps, size, size), BACKGROUND)
    for hand in range(2):
        distance = np.hypot(x - at[:, hand, 0, None, None], y - at[:, hand, 1, None, None])
        radius = rng.uniform(0.06, 0.09) * size
        disc = 1 / (1 + np.exp((distance - radius) * 40 / size))
        light = np.maximum(light, disc)
    return light


@checked
def gestures(n: int, *, size: int = 128, seconds: float = 1.0, seed: int = 0,
             noise: float = 0.02) -> tuple[Events, np.ndarray]:
    """(events of n recordings, gesture of each), the 11 gestures in turn.

    size: pixels in a row and in a column.  seconds: length of a recording.  noise: standard deviation of the
    log intensity.
    """
    in_range(1, MOST, n=n, seconds=seconds + 1)
    in_range(1, 1024, size=size)
    in_range(0, SEEDS, seed=seed, noise=noise)
    rng = np.random.default_rng(seed)
    steps = max(2, round(seconds * RATE))
    labels = np.arange(n) % len(GESTURES)
    parts = []
    for label in labels:
        light = _movie(GESTURES[label], size, steps, rng)
        log_light = np.log(light) + rng.normal(0, noise, (steps, size, size))
        fired = delta(log_light, THRESHOLD).reshape(steps, size, size, 2)
        step, y, x, polarity = np.nonzero(fired)
        t = ((step + rng.random(len(step))) * 1e6 / RATE).astype(np.int64)
        parts.append(Events.sorted(t, x=x, y=y, p=1 - polarity, shape=(2, size, size)))
    return Events.concatenate(parts), labels
