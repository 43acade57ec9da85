"""MNIST and Fashion-MNIST: images of 28 x 28 pixels, also as sequences (S-MNIST, PS-MNIST, row by row)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..checked import SEEDS, checked, in_range
from ..formats import idx
from ..formats.problems import FormatError
from ..signals.integers import is_whole
from .dataset import Dataset, Sequences

SIDE = 28
PIXELS = SIDE * SIDE
WHITE = np.float32(255)
FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
    "subset": ("fashion-900-images-idx3-ubyte", "fashion-900-labels-idx1-ubyte"),
}
COUNTS = {"train": 60000, "test": 10000, "subset": 900}
DIGITS = tuple("0123456789")
CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
           "Ankle boot")
CLASSES = {"MNIST": DIGITS, "Fashion-MNIST": CLOTHES}
FROM = ("MNIST is at yann.lecun.com/exdb/mnist and its mirrors, "
        "Fashion-MNIST at github.com/zalandoresearch/fashion-mnist (data/fashion)")
CITATION = ("LeCun, Cortes, Burges, The MNIST database of handwritten digits (1998); "
            "Xiao, Rasul, Vollgraf, Fashion-MNIST, arXiv 1708.07747 (2017)")


class Images(NamedTuple):
    """pixels: (n, 28, 28) uint8, 0 (ground) to 255; labels: (n,) uint8, 0 to 9."""
    pixels: np.ndarray
    labels: np.ndarray


@checked
def images(folder: Path | str, part: str) -> Images:
    """The images and labels of a part: "train", "test", or "subset".

    The subset is 900 images of Fashion-MNIST, 90 of each class.
    folder holds the IDX files under their usual names (FILES), with or without .gz.
    """
    if part not in FILES:
        raise ValueError(f"MNIST has the parts {', '.join(map(repr, FILES))}; got {part!r}")
    (pixels, where), (labels, labels_where) = (_array(Path(folder), name) for name in FILES[part])
    if pixels.dtype != np.uint8 or pixels.shape[1:] != (SIDE, SIDE):
        raise FormatError(where, f"expected uint8 images ({SIDE}, {SIDE}); "
                                 f"got {pixels.dtype} of shape {pixels.shape}")
    fit = labels.dtype == np.uint8 and labels.shape == pixels.shape[:1]
    if not fit or not labels.size or labels.max() > 9:
        largest = f" up to {labels.max()}" if labels.size else ""
        raise FormatError(labels_where, f"expected {len(pixels)} labels from 0 to 9; "
                                        f"got {labels.dtype} of shape {labels.shape}{largest}")
    return Images(pixels, labels)


def _array(folder, name):
    """(array, path) of a file that may be compressed, and may be called -idx3-ubyte or .idx3-ubyte."""
    for stem in (name, name.replace("-idx", ".idx")):
        for suffix in (".gz", ""):
            path = folder / f"{stem}{suffix}"
            if path.is_file():
                return idx.read(path), path
    needed = " and ".join(FILES["train"] + FILES["test"])
    raise FileNotFoundError(f"no file {folder / name}.gz (or without .gz); the folder must hold {needed}. "
                            f"{FROM}")


@checked
def permutation(seed: int) -> np.ndarray:
    """The order (784,) in which PS-MNIST shows the pixels.

    Published results used each their own; the seed fixes ours.
    """
    in_range(0, SEEDS, seed=seed)
    return np.random.default_rng([seed, PIXELS]).permutation(PIXELS)


@checked
def mnist(folder: Path | str, part: str, steps: int = PIXELS, seed: int | None = None,
          window: int = 1) -> Dataset:
    """MNIST as sequences of float32, pixel / 255.

    steps: 784, pixel by pixel in the order of reading (S-MNIST, x (784, B, 1)); 28, row by row (28, B, 28);
    1, the whole image (1, B, 784); or another divisor of 784.
    seed: permute the pixels first, all images alike (PS-MNIST, see `permutation`); None: leave them.
    window: pixel by pixel, show this many pixels at once, those of steps t to t + window - 1; the last full
    window is shown to the end.

    The training part takes 188 MB, times `window`; it is made in one go, without a copy.
    """
    return _sequences(images(folder, part), steps, seed, window, DIGITS, "MNIST", part)


@checked
def fashion(folder: Path | str, part: str, steps: int = SIDE, seed: int | None = None,
            window: int = 1) -> Dataset:
    """Fashion-MNIST as sequences, by default row by row.

    Parameters as in `mnist`, and part may be "subset".
    """
    return _sequences(images(folder, part), steps, seed, window, CLOTHES, "Fashion-MNIST", part)


class _Still(Sequences):
    """Images, each shown for some steps; a batch is made when it is asked for."""

    draws = False

    def __init__(self, pixels, steps):
        self.pixels = pixels.reshape(len(pixels), -1)
        self.steps = steps
        self.units = PIXELS

    def __len__(self) -> int:
        return len(self.pixels)

    def fetch(self, samples: np.ndarray, rng: np.random.Generator | None = None) -> tuple[np.ndarray, None]:
        """(x (steps, B, 784), None) of the given images."""
        image = self.pixels[samples] / WHITE
        return np.broadcast_to(image, (self.steps, *image.shape)), None


@checked
def still(folder: Path | str, part: str, steps: int = 10, *, name: str = "MNIST") -> Dataset:
    """Each image, pixel / 255, shown unchanged for `steps` steps.

    x (steps, B, 784) is for networks with input_shape=(1, 28, 28).  Batches are made when they are needed: a
    byte a pixel in memory.
    name: "MNIST" or "Fashion-MNIST", for the names of the classes.
    """
    if not is_whole(steps, least=1):
        raise ValueError(f"steps must be a positive whole number; got {steps!r}")
    if name not in CLASSES:
        raise ValueError(f"name must be {' or '.join(map(repr, CLASSES))}; got {name!r}")
    data = images(folder, part)
    return Dataset(_Still(data.pixels, int(steps)), data.labels.astype(np.int64), classes=CLASSES[name],
                   name=f"{name}, {part}, shown {steps} steps", source=f"{name}, IDX files. {CITATION}")


def _sequences(data, steps, seed, window, classes, name, part):
    if not 0 < steps <= PIXELS or PIXELS % steps:
        raise ValueError(f"steps must divide the {PIXELS} pixels; got {steps!r}")
    if not 0 < window <= PIXELS or window > 1 and steps != PIXELS:
        raise ValueError(f"window goes from 1 to {PIXELS} and is for {PIXELS} steps only; "
                         f"got window={window!r}, steps={steps!r}")
    pixels = data.pixels.reshape(len(data.pixels), PIXELS).T
    order = np.arange(PIXELS) if seed is None else permutation(seed)
    x = _in_steps(pixels, order, steps) if window == 1 else _in_windows(pixels, order, window)
    kind = "rows" if steps == SIDE else f"{steps} steps"
    how = kind + f", permuted with seed {seed}" * (seed is not None) + f", window {window}" * (window > 1)
    return Dataset(x, data.labels.astype(np.int64), classes=classes, name=f"{name}, {part}, {how}",
                   source=f"{name}, IDX files. {CITATION}")


def _in_steps(pixels, order, steps):
    """x (steps, B, 784 / steps) of pixels (784, B)."""
    units = PIXELS // steps
    x = np.empty((steps, pixels.shape[1], units), np.float32)
    for i, pixel in enumerate(order):           # one pixel of all images at a time: nothing is copied twice
        np.divide(pixels[pixel], WHITE, out=x[i // units, :, i % units])
    return x


def _in_windows(pixels, order, window):
    """x (784, B, window) of pixels (784, B)."""
    x = np.empty((PIXELS, pixels.shape[1], window), np.float32)
    for i in range(PIXELS):
        first = min(i, PIXELS - window)
        for k in range(window):
            np.divide(pixels[order[first + k]], WHITE, out=x[i, :, k])
    return x
