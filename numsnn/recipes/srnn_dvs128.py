"""Gestures of an event camera: a convolutional encoder in front of two adaptive recurrent populations.

Yin, Corradi, Bohte 2021.  20 frames of equal numbers of events (counts, 2 x 128 x 128) -> 5 x [Conv 3x3, 128
channels - BatchNorm - ReLU - MaxPool 2] on each frame -> dropout -> 128 ALIF -> 128 ALIF, which feed back to
the first population one step later -> leaky integrators.  The answer is the sum of their membranes over time,
of which the authors take a soft-max: at each step they add the membrane and normalise, which comes to the
same.  Loss: cross-entropy at the end; Adam 1e-3, twice that for time constants, cosine over 64 epochs,
batches of 16.

The network has 890,891 learned values; the authors' file holds 892,187: also 1,285 running statistics and
counters, and 11 time constants of the readout that have no effect.  At full size a batch needs about 12 GB
and, on two cores, half a minute; for a look: --set size=32 --set channels=32.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import layers as ns
from ..datasets import Dataset, cameras, converted, synthetic_gestures
from ..datasets.cameras import GESTURES
from ..datasets.listing import Listing
from ..datasets.recordings import Bins, framed
from ..loss import CrossEntropy
from ..network.network import Network
from ..optim import Adam, Cosine
from ..packages import needed
from .recipe import Data, Recipe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OPTIONS = {"size": 128, "channels": 128, "hidden": 128, "beta": 1.84, "v_threshold": 0.1, "dropout": 0.5,
           "lr": 1e-3, "surrogate": "multi_gaussian"}
EPOCHS, FRAME = 64, Bins(n=20, by="number", counts=True)
PIXELS = 128


def data(folder: Path | str | None = None, seed: int = 0, options: dict = OPTIONS) -> Data:
    """DVS128 Gesture in `folder`, or converted, train.h5 and test.h5 in it.

    Without a folder synthetic gestures (132 and 44) of the same form.
    """
    size = _size(options)
    if folder is None:
        train = _made(132, size, 1, "train")
        test = _made(44, size, 2, "test")
    else:
        smaller = None if size == PIXELS else lambda events: events.downscale(PIXELS // size)
        train, test = (_listing(Path(folder), part).dataset(FRAME, prepare=smaller)
                       for part in ("train", "test"))
    rest, held_out = train.split(0.1, seed)
    return Data(rest, held_out, test)


def _listing(folder: Path, part: str) -> Listing:
    file = folder / f"{part}.h5"
    return converted.listing(file) if file.is_file() else cameras.dvs128_gesture(folder, part)


def _made(n, size, seed, part) -> Dataset:
    events, labels = synthetic_gestures.gestures(n, size=size, seed=seed)
    recordings = framed(lambda samples: events[samples], n, events.shape, FRAME)
    return Dataset(recordings, labels, classes=GESTURES, name=f"synthetic gestures, {part}",
                   source=f"SYNTHETIC: moving discs, seed {seed}; not recorded from anyone")


def _size(options):
    size = options["size"]
    if size not in (32, 64, PIXELS):
        raise ValueError("option size of recipe srnn-dvs128 is the side of the frames, "
                         f"32, 64 or 128 pixels; got {size}")
    return size


def network(options: dict, seed: int = 0, device: str = "cpu") -> Network:
    """The encoder, and the two populations with the way back from the second to the first."""
    size, channels, n = _size(options), options["channels"], options["hidden"]
    alif = {"learn": ("tau_mem", "tau_adp"), "tau_mem": ("normal", 20, 5), "tau_adp": ("normal", 25, 5),
            "beta": options["beta"], "v_threshold": options["v_threshold"], "surrogate": options["surrogate"],
            "init_state": "rest"}
    encoded = channels * (size // 32) ** 2
    return Network(
        *_encoder(channels), ns.Dropout(options["dropout"], per_step=True),
        ns.Dense(encoded, n, bias=False, name="encoded"),
        ns.Previous("second", name="late"), ns.Dense(n, n, bias=False, name="feedback"),
        ns.Add("encoded", "feedback"), ns.ALIF(n, name="first", **alif),
        ns.Dense(n, n, bias=False), ns.ALIF(n, name="second", **alif),
        ns.Dense(n, len(GESTURES), bias=False),
        ns.LI(len(GESTURES), tau_mem=("normal", 10, 2), learn="tau_mem"), ns.OverTime("sum"),
        input_shape=(2, size, size), seed=seed, device=device)


def _encoder(channels):
    """Five blocks that each halve the picture."""
    layers = []
    for block in range(5):
        layers += [ns.Conv2d(channels if block else 2, channels, 3, padding=1), ns.BatchNorm(),
                   ns.Activation("relu"), ns.MaxPool2d(2)]
    return layers


def optimizer(options: dict) -> Adam:
    return Adam(options["lr"], schedule=Cosine(EPOCHS), factors={"*.tau_*": 2.0})


def activity(net: Network, data: Dataset) -> Figure:
    """Spikes of both populations and the answer over time, of the first test recordings."""
    plt = needed("matplotlib.pyplot", "a figure")
    example = data.select(np.arange(min(3, len(data))))
    _, _, seen = net.run(example.x, record={"first": "spike", "second": "spike", "li0": "v"})
    fig, axes = plt.subplots(3, len(example), figsize=(4 * len(example), 6), sharex=True, squeeze=False,
                             layout="constrained")
    for b, column in enumerate(axes.T):
        for ax, name in zip(column, ("first", "second"), strict=False):
            t, n = np.nonzero(seen[name]["spike"][:, b])
            ax.scatter(t, n, s=4, c="black", linewidths=0)
            ax.set_ylim(-1, seen[name]["spike"].shape[2])
            ax.set_ylabel(f"{name} population" if b == 0 else "")
        total = np.cumsum(seen["li0"]["v"][:, b], 0)
        best = int(total[-1].argmax())
        for c in range(total.shape[1]):
            column[2].plot(total[:, c], color="C0" if c == best else "0.8", zorder=2 if c == best else 1)
        column[0].set_title(f"{GESTURES[example.y[b]]}\n-> {GESTURES[best]}", fontsize=9)
        column[2].set_xticks(range(0, len(total), 5))
        column[2].set_xlabel("frame")
        column[2].set_ylabel("sum of membranes" if b == 0 else "")
    return fig


RECIPE = Recipe(
    "srnn-dvs128",
    "gestures of an event camera: convolutional encoder, feedback between two ALIF populations "
    "(Yin et al. 2021)",
    OPTIONS, data, network, optimizer, CrossEntropy(), EPOCHS, 16,
    "the authors report 0.979 on DVS128 Gesture", activity)
