"""The layout of the Spiking Heidelberg Digits (and Spiking Speech Commands): spike trains in HDF5.

    spikes/times          (N,) variable-length float16, seconds, ascending
    spikes/units          (N,) variable-length uint16
    labels                (N,) uint16, index into extra/keys
    extra/keys            names of the classes, bytes
    extra/speaker         (N,) uint16, index into extra/meta_info
    extra/meta_info/NAME  a value for each speaker

float16 times are what SHD has; they resolve 0.5 ms at 0.5 to 1 s and 1 ms at 1 to 2 s, and dtype="float32"
is finer.  Ours have besides, as attributes of the root, `channels` (how many units there are, 700 in SHD)
and what `write` was told.  Source: Cramer, Stradmann, Schemmel, Zenke, IEEE Trans. Neural Netw. Learn. Syst.
33 (2022), and the files' description at zenkelab.org.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ..packages import needed
from .whole import whole

TOGETHER = 32               # recordings that are held in memory and written together


class Train(NamedTuple):
    """The spikes of one recording."""
    times: np.ndarray       # (n,) s, ascending
    units: np.ndarray       # (n,)
    label: int
    speaker: int = 0


def write(path: Path | str, recordings: Iterable[tuple], classes: Iterable, *, units: int = 700,
          dtype: DTypeLike = "float16", speakers: Mapping[str, Sequence] | None = None, **attributes) -> int:
    """Write recordings, an iterable of `Train` (or tuples like it), one after the other; how many they were.

    classes: names.  units: how many there are.  dtype: of the times.  speakers: name -> a value for each
    speaker, such as gender or age.  attributes: go to the root of the file.  The file appears under its name
    when it is complete; until then it is PATH.part.
    """
    h5py = needed("h5py", "an HDF5 file")
    names = [str(c).encode() for c in classes]
    kind = np.dtype(dtype)
    if kind not in (np.float16, np.float32, np.float64):
        raise ValueError(f"times are float16 (as in SHD), float32 or float64; got {dtype!r}")
    if not 0 < units <= 65536 or not names:
        raise ValueError(f"expected 1 to 65536 units and at least one class; "
                         f"got {units} units, {len(names)} classes")
    left = iter(recordings)
    n = 0
    with whole(path) as part, h5py.File(part, "w") as file:
        sets = _create(file, kind)
        while group := list(islice(left, TOGETHER)):
            trains = [_checked(Train(*train), number, units, len(names), kind)
                      for number, train in enumerate(group, n)]
            for field, column in zip(Train._fields, zip(*trains, strict=True), strict=True):
                _append(sets[field], column, n)
            n += len(group)
        if not n:
            raise ValueError(f"there is no recording to write to {path}")
        file["extra/keys"] = np.array(names)
        for name, values in (speakers or {}).items():
            texts_as_bytes = [v.encode() if isinstance(v, str) else v for v in values]
            file[f"extra/meta_info/{name}"] = np.asarray(texts_as_bytes)
        told = {name: np.bytes_(v.encode()) if isinstance(v, str) else v for name, v in attributes.items()}
        file.attrs.update({"channels": units, **told})
    return n


def _create(file, dtype):
    """The empty data sets, by the fields of `Train`."""
    h5py = needed("h5py", "an HDF5 file")
    kinds = {"times": ("spikes/times", h5py.vlen_dtype(dtype)),
             "units": ("spikes/units", h5py.vlen_dtype(np.dtype(np.uint16))),
             "label": ("labels", np.uint16),
             "speaker": ("extra/speaker", np.uint16)}
    return {key: file.create_dataset(name, (0,), maxshape=(None,), chunks=(256,), dtype=kind)
            for key, (name, kind) in kinds.items()}


def _append(dataset, values, n):
    dataset.resize(n + len(values), 0)
    for i, value in enumerate(values):
        dataset[n + i] = value


def _checked(train, number, units, classes, dtype):
    """The train in the types of the file, or an error that says what is wrong with it."""
    times = np.asarray(train.times, np.float64)
    which = np.asarray(train.units)
    are_whole = not which.size or np.issubdtype(which.dtype, np.integer)
    if times.ndim != 1 or times.shape != which.shape or not are_whole:
        raise ValueError(f"recording {number}: expected times (n,) and as many integer units; "
                         f"got {times.shape}, {which.shape} of {which.dtype}")
    if times.size and not (np.isfinite(times).all() and times[0] >= 0 and (np.diff(times) >= 0).all()):
        raise ValueError(f"recording {number}: times must be finite, in seconds from 0, and ascend")
    if times.size and times[-1] > np.finfo(dtype).max:
        raise ValueError(f"recording {number}: {times[-1]:g} s is too late for {dtype} times; "
                         f'use dtype="float32"')
    if which.size and not 0 <= which.min() <= which.max() < units:
        raise ValueError(f"recording {number}: units must lie in 0 ... {units - 1}; "
                         f"got {which.min()} ... {which.max()}")
    if not 0 <= train.label < classes or not 0 <= train.speaker < 65536:
        raise ValueError(f"recording {number}: label {train.label} or speaker {train.speaker} "
                         f"is out of range ({classes} classes)")
    return Train(times.astype(dtype), which.astype(np.uint16), int(train.label), int(train.speaker))
