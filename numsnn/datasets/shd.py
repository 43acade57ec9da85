"""Spiking Heidelberg Digits, Spiking Speech Commands, and every other set in their HDF5 layout.

    spikes/times   one vector of times in seconds for each recording (float16 in the originals: steps of
                   0.5 to 1 ms near 1 s)
    spikes/units   one vector of channels          labels   (B,)
    extra/speaker  (B,), extra/keys names of the classes; both may be missing

Source: Cramer, Stradmann, Schemmel, Zenke, The Heidelberg Spiking Data Sets, IEEE Trans. Neural Netw. Learn.
Syst. 33 (2022).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..checked import checked
from ..formats import hdf5
from ..formats.problems import FormatError, Problems
from ..signals.events import Events, shd_frames
from ..signals.spikes import Spikes
from .listing import Item, Listing

CITATION = "Cramer et al., The Heidelberg Spiking Data Sets, IEEE Trans. Neural Netw. Learn. Syst. 33 (2022)"
CHANNELS = 700
FILES = {
    "shd": {"train": "shd_train.h5", "test": "shd_test.h5"},
    "ssc": {"train": "ssc_train.h5", "valid": "ssc_valid.h5", "test": "ssc_test.h5"},
}


@checked
def layout(path: Path | str, *, channels: int | None = None, strict: bool = True, name: str = "",
           problems: Problems | None = None) -> Listing:
    """The recordings of one file in SHD layout.

    channels: number of units; None: what the file says, else 700.
    strict: False skips events that are wrong, and sorts times that are not in order; what was skipped is
    counted in `problems` where one is given.
    """
    problems = problems or Problems(path, strict)
    file = hdf5.opened(path)
    kind = "a file in SHD layout"
    try:
        times, units = (_vectors(path, file, f"spikes/{key}", kind) for key in ("times", "units"))
        labels = hdf5.dataset(path, file, "labels", "iu", 1, kind)
        if not (times.shape == units.shape == labels.shape):
            raise FormatError(path, f"spikes/times, spikes/units and labels should be of one length; got "
                                    f"{times.shape}, {units.shape} and {labels.shape}")
        labels = labels[()]
        classes = _strings(path, file, "extra/keys") if "extra/keys" in file else ()
        speakers = hdf5.dataset(path, file, "extra/speaker", "iu", 1)[()] if "extra/speaker" in file else None
        channels = int(channels or hdf5.number(file, "channels") or CHANNELS)
    except FormatError:
        raise
    except hdf5.DAMAGED as error:
        raise FormatError(path, f"damaged HDF5 data: {error}") from error
    _check(path, labels, classes, speakers)
    items = []
    for i in range(len(labels)):
        speaker = "" if speakers is None else str(speakers[i])
        items.append(Item(str(i), int(labels[i]), speaker, _recording(times, units, i, channels, problems)))
    if not classes:
        classes = tuple(map(str, range(int(labels.max(initial=0)) + 1)))
    source = hdf5.text(file, "source") or Path(path).name
    return Listing(name or Path(path).stem, source, (channels,), 1.0, classes, items)


def _vectors(path, file, key, kind):
    return hdf5.Vectors(path, hdf5.dataset(path, file, key, "O", 1, kind), key)


def _check(path, labels, classes, speakers):
    """Refuse labels without a name, and speakers that are not those of the recordings."""
    if len(labels):
        smallest, largest = int(labels.min()), int(labels.max())         # uint8 has no 256
        n_classes = len(classes) if classes else largest + 1
        if not 0 <= smallest <= largest < n_classes:
            raise FormatError(path, f"labels from {smallest} to {largest}, "
                                    f"but {len(classes)} names in extra/keys")
    if speakers is not None and speakers.shape != labels.shape:
        raise FormatError(path, f"extra/speaker should hold {len(labels)} numbers; "
                                f"got shape {speakers.shape}")


def _strings(path, file, key):
    found = hdf5.dataset(path, file, key, "SO", 1)
    if found.dtype.kind == "S":
        texts = found[()]
    else:
        texts = [v.tobytes() for v in hdf5.Vectors(path, found, key)]
    return tuple(text.decode("utf-8", "replace") for text in texts)


def _recording(times, units, i, channels, problems):
    def load():
        try:
            t, u = times[i], units[i]
        except hdf5.DAMAGED as error:
            raise FormatError(problems.path, f"damaged HDF5 data: {error}", f"recording {i}") from error
        t, u = _checked(np.asarray(t), np.asarray(u), channels, problems, f"recording {i}")
        return Events(t, u, shape=(channels,), tick=1.0)
    return load


def _checked(t, u, channels, problems, where):
    """The times and units of a recording, without what is wrong."""
    if t.shape != u.shape or t.dtype.kind not in "fiu" or u.dtype.kind not in "iu":
        raise FormatError(problems.path, f"expected as many times as units; got {t.dtype} {t.shape} and "
                                         f"{u.dtype} {u.shape}", where)
    finite = np.isfinite(t)
    inside = (u >= 0) & (u < channels)
    if not finite.all():
        n = int((~finite).sum())
        problems.found("time that is not finite", f"{n} of {len(t)}", where, n=n)
    if not inside.all():
        outside = u[~inside]
        problems.found("unit outside the channels", f"{outside[0]}, expected 0 to {channels - 1}", where,
                       "give channels=", n=len(outside))
    t, u = t[finite & inside], u[finite & inside]
    if (np.diff(t.astype(np.float64)) < 0).any():
        problems.found("time runs backwards", "", where, "strict=False sorts them")
        order = np.argsort(t, kind="stable")
        t, u = t[order], u[order]
    return t, u


def _of(kind, folder, part, options):
    files = FILES[kind]
    if part not in files:
        raise ValueError(f"{kind.upper()} has the parts {', '.join(map(repr, files))}; got {part!r}")
    path = Path(folder) / files[part]
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; expected {', '.join(files.values())} (unpacked). "
                                f"data/README.md says where to get them")
    listing = layout(path, name=f"{kind.upper()}, {part}", **options)
    return listing._replace(source=CITATION)


@checked
def shd(folder: Path | str, part: str = "train", **options: Any) -> Listing:
    """Spiking Heidelberg Digits: 700 channels, 20 classes (digits in German and English), 12 speakers.

    There are 8156 and 2264 recordings, and no official validation part: `listing.dataset(...).hold_out("4",
    "5")` holds two speakers out.
    folder: holds shd_train.h5 and shd_test.h5.  options: of `layout`.
    """
    return _of("shd", folder, part, options)


@checked
def ssc(folder: Path | str, part: str = "train", **options: Any) -> Listing:
    """Spiking Speech Commands: 700 channels, 35 words, 75 466, 9 981 and 20 382 recordings.

    folder: holds ssc_train.h5, ssc_valid.h5 and ssc_test.h5.  options: of `layout`.
    """
    return _of("ssc", folder, part, options)


class AuthorFrames:
    """Framing of the SRNN's authors, see `numsnn.signals.events.shd_frames`."""

    @checked
    def __init__(self, dt: float = 4e-3, duration: float = 1.0):
        self.dt, self.duration = dt, duration

    def __call__(self, events: Events) -> tuple[Spikes, None]:
        return shd_frames(events, self.dt, self.duration), None


LISTINGS = {"shd": shd, "ssc": ssc}
