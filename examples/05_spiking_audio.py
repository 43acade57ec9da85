"""Your own spiking audio set: WAV files -> a cochlea that spikes -> HDF5 in the layout of SHD.

    python examples/05_spiking_audio.py [FOLDER]

Writes runs/spiking_audio.h5 and runs/spiking_audio.png.  FOLDER has a folder of WAV files for each class.
Without one three kinds of sounds are made up: a rising and a falling glide, and a vowel.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from numsnn.datasets import shd, speech
from numsnn.formats import wav
from numsnn.reports import plot

RATE = 16000


def vowel(rng, t):
    """Harmonics of a voice, louder around two formants."""
    pitch = rng.uniform(90, 200)
    formants = rng.uniform(500, 800), rng.uniform(1000, 1800)

    def loudness(frequency):
        return sum(np.exp(-((frequency - formant) / 150) ** 2) for formant in formants)

    return sum(np.sin(2 * np.pi * k * pitch * t) * loudness(k * pitch) for k in range(1, 30))


def glide(low, high, t, rising):
    f = low * (high / low) ** (2 * t if rising else 1 - 2 * t)
    return np.sin(2 * np.pi * np.cumsum(f) / RATE)


def made_up(folder, each=4, seed=0):
    """Half a second of sound per file."""
    rng, t = np.random.default_rng(seed), np.arange(RATE // 2) / RATE
    fade = np.minimum(1, np.minimum(t, 0.5 - t) / 0.03)
    for name in ("down", "up", "vowel"):
        (folder / name).mkdir(parents=True)
        for i in range(each):
            low, high = rng.uniform(150, 300), rng.uniform(1500, 3000)
            sound = vowel(rng, t) if name == "vowel" else glide(low, high, t, name == "up")
            sound = sound * fade + 0.003 * rng.standard_normal(len(t))
            wav.write(folder / name / f"{i}.wav", 0.3 * sound / np.abs(sound).max(), RATE)
    return folder


folder = Path(sys.argv[1]) if len(sys.argv) > 1 else made_up(Path(tempfile.mkdtemp()))
classes = sorted(path.name for path in folder.iterdir() if path.is_dir())
paths = sorted(folder.glob("*/*.wav"))
recordings = (speech.Recording(path.name, classes.index(path.parent.name), "me",
                               wav.read(path, rate=RATE).signal) for path in paths)

out = Path("runs")
out.mkdir(exist_ok=True)
file = out / "spiking_audio.h5"
n = speech.write_spikes(file, recordings, classes, RATE, units=700, source="examples/05_spiking_audio.py")
print(f"{n} recordings of {', '.join(classes)} in {file}; `numsnn info` says more")

items = shd.layout(file).items
first = [next(item for item in items if item.label == i).read() for i in range(len(classes))]
for name, events in zip(classes, first, strict=True):
    print(f"{name:>8}: {events.n_events:,} spikes in {events.durations[0]:.2f} s")
fig, axes = plot.figure(9, 3, 1, len(first), sharey=True, squeeze=False)
for axis, name, events in zip(axes[0], classes, first, strict=True):
    axis.scatter(events.t.astype(float), events.unit, s=0.6, c=plot.INK, lw=0)
    axis.set(title=name, xlabel="time (s)", ylabel="unit" if axis is axes[0][0] else "")
print("drawn:", plot.save(fig, out / "spiking_audio.png"))
