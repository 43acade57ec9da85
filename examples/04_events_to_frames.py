"""From a file of events to pictures and to spikes: python examples/04_events_to_frames.py [FILE]

Without a file an edge that turns before a camera of 64 x 64 pixels is made up, written as AEDAT 4 and read
again.  Draws runs/events_frames.png and runs/events_surface.png.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import numsnn as ns
from numsnn import formats
from numsnn.reports.plot import event_frames, save, time_surface


def turning_edge(seconds=1.0, turns=1.0, size=64, rate=60_000, seed=0):
    """Events of an edge that turns around the middle: brighter where it comes, darker where it goes.

    A twentieth of them is noise.
    """
    rng = np.random.default_rng(seed)
    n = int(rate * seconds)
    t = np.sort(rng.integers(0, int(1e6 * seconds), n))
    angle = 2 * np.pi * turns * t * 1e-6
    along = rng.uniform(0, size / 2 - 2, n)
    p = rng.integers(0, 2, n)
    angle += np.where(p == 1, 0.06, -0.06) + rng.normal(0, 0.03, n)
    x = size / 2 + along * np.cos(angle)
    y = size / 2 - along * np.sin(angle)
    noise = rng.random(n) < 0.05
    x, y = (np.where(noise, rng.integers(0, size, n), place).astype(int) for place in (x, y))
    return ns.Events(t, x=x, y=y, p=p, shape=(2, size, size))


if len(sys.argv) > 1:
    path = Path(sys.argv[1])
else:
    path = Path(tempfile.mkdtemp()) / "edge.aedat4"
    formats.write(path, turning_edge())

# A file of any size: piece by piece, in constant memory.
stream = formats.stream(path)
n = sum(len(piece.t) for piece in stream)
print(f"{path.name}: {stream.format}, {n:,} events of {stream.sensor[0]} x {stream.sensor[1]} pixels")

# Or all of it, and then what a network wants: fewer pixels, steps of 10 ms.
events = formats.read(path).from_zero().downscale(2)
spikes = events.bin(dt=10e-3)                     # lists of events by step: nothing is made dense
frames = events.frames(dt=100e-3)                 # (time, recordings, polarity, rows, columns)
print(f"{spikes}; as pictures of 100 ms {frames.shape}")

# Spikes go into a network as they are: here 16 neurons that have learned nothing yet.
net = ns.Network(ns.Dense(events.n_units, 16), ns.LIF(16, tau_mem=10), dt=10.0, seed=0)
out, state = net.run(spikes)
print(f"16 neurons answer with {int(out.sum())} spikes in {out.shape[0]} steps")

name = "an edge that turns" if len(sys.argv) == 1 else path.name
out = Path("runs")
out.mkdir(exist_ok=True)
print("drawn:", save(event_frames(formats.read(path), title=name), out / "events_frames.png"),
      save(time_surface(formats.read(path), title=name), out / "events_surface.png"))
