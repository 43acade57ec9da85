"""Your own spiking audio set: WAV files -> a cochlea that spikes -> HDF5 in the layout of the Spiking Heidelberg Digits.

    python examples/05_spiking_audio.py [FOLDER]          writes runs/spiking_audio.h5 and runs/spiking_audio.png

FOLDER has a folder of WAV files for each class.  Without one three kinds of sounds are made up: a rising and a falling glide, and a vowel.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from numsnn.datasets import shd, speech
from numsnn.formats import wav
from numsnn.reports import plot

RATE = 16000


def made_up(folder, each=4, seed=0):
    """Half a second of sound per file."""
    rng, t = np.random.default_rng(seed), np.arange(RATE // 2) / RATE
    for name in ("down", "up", "vowel"):
        (folder / name).mkdir(parents=True)
        for i in range(each):
            low, high = rng.uniform(150, 300), rng.uniform(1500, 3000)
            if name == "vowel":         # harmonics of a voice, louder around two formants
                pitch, formants = rng.uniform(90, 200), (rng.uniform(500, 800), rng.uniform(1000, 1800))
                sound = sum(np.sin(2 * np.pi * k * pitch * t) * sum(np.exp(-((k * pitch - f) / 150) ** 2) for f in formants) for k in range(1, 30))
            else:
                f = low * (high / low) ** (2 * t if name == "up" else 1 - 2 * t)
                sound = np.sin(2 * np.pi * np.cumsum(f) / RATE)
            sound = sound * np.minimum(1, np.minimum(t, 0.5 - t) / 0.03) + 0.003 * rng.standard_normal(len(t))
            wav.write(folder / name / f"{i}.wav", 0.3 * sound / np.abs(sound).max(), RATE)
    return folder


folder = Path(sys.argv[1]) if len(sys.argv) > 1 else made_up(Path(tempfile.mkdtemp()))
classes = sorted(path.name for path in folder.iterdir() if path.is_dir())
recordings = (speech.Recording(path.name, classes.index(path.parent.name), "me", wav.read(path, rate=RATE).signal)
              for path in sorted(folder.glob("*/*.wav")))

out = Path("runs")
out.mkdir(exist_ok=True)
n = speech.write_spikes(out / "spiking_audio.h5", recordings, classes, RATE, units=700, source="examples/05_spiking_audio.py")
listing = shd.layout(out / "spiking_audio.h5")
print(f"{n} recordings of {', '.join(classes)} in {out / 'spiking_audio.h5'}; `numsnn info` says more")

first = [next(item for item in listing.items if item.label == i).read() for i in range(len(classes))]
for name, events in zip(classes, first, strict=True):
    print(f"{name:>8}: {events.n_events:,} spikes in {events.durations[0]:.2f} s")
fig, axes = plot.figure(9, 3, 1, len(first), sharey=True, squeeze=False)
for axis, name, events in zip(axes[0], classes, first, strict=True):
    axis.scatter(events.t.astype(float), events.unit, s=0.6, c=plot.INK, lw=0)
    axis.set(title=name, xlabel="time (s)", ylabel="unit" if axis is axes[0][0] else "")
print("drawn:", plot.save(fig, out / "spiking_audio.png"))
