"""Signals from files of several kinds, at one door: `read_signals`."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from ..checked import checked
from ..signals.integers import is_whole
from . import signal_text, wav
from .piecewise import File
from .problems import FormatError
from .source import RATIO

LARGEST = 1 << 30                   # bytes of a file, and of the arrays that it unpacks to
Columns = str | int | Sequence[str | int]


class Signals(NamedTuple):
    """Columns of numbers."""
    values: np.ndarray              # (T, N) float64
    names: tuple[str, ...]          # of the columns, units and all, as the file has them
    time: np.ndarray | None         # (T,) the time column, in the file's unit, where one was named
    rate: float | None              # samples per second, where the file says it


class _Table(NamedTuple):
    """What a file holds."""
    names: tuple[str, ...]
    column: Callable[[int], np.ndarray]         # number -> (T,)
    where: Callable[[int], str]                 # sample -> how an error names it
    groups: Mapping[str, list[int]] = MappingProxyType({})     # name of an array of columns -> theirs
    rate: float | None = None


@checked
def read_signals(path: Path | str, columns: Columns | None = None, *, time: str | int | None = None,
                 fill: float | str | None = None, **options: Any) -> Signals:
    """The columns of a file of signals: text (CSV), NPZ, NPY, WAV, MATLAB up to version 7.

    path: a file, or ARCHIVE.zip/MEMBER; its content says what it is.
    columns: names, or numbers from 0, in the order wanted; None: all but `time`.  Columns without a name are
    called "0", "1" ...; of an array (T, K) named a they are "a[0]" ..., and "a" means all of them.
    time: the column of times, which must ascend; none is recognised by itself.
    fill: for missing values, which are refused otherwise: a number, "hold" (the value before) or "linear"
    (between the neighbours).
    options: of text: delimiter, decimal (","), header (True or False where the first line does not show
    whether it holds names); of WAV: rate, resample, as `wav.read` has them.
    """
    path = Path(path)
    if fill is not None and fill not in ("hold", "linear") and not _is_finite(fill):
        raise ValueError(f'fill must be a finite number, "hold" or "linear"; got {fill!r}')
    table = _opened(path, options)
    timed = None if time is None else _numbers(path, table, time)
    if timed is not None and len(timed) > 1:
        raise ValueError(f"time must be one column; {time!r} are {len(timed)}")
    chosen = range(len(table.names)) if columns is None else _places(path, table, columns)
    chosen = [i for i in chosen if columns is not None or timed is None or i != timed[0]]
    if not chosen:
        raise ValueError(f"{path}: no column is left to read")
    values = [_filled(path, table, i, fill) for i in chosen]
    lengths = {len(v) for v in values}
    if len(lengths) > 1:
        sizes = ", ".join(f"{table.names[i]} {len(v):,}" for i, v in zip(chosen, values, strict=True))
        raise FormatError(path, f"columns of unequal length: {sizes}", remedy="choose with columns=")
    when = None if timed is None else _times(path, table, timed[0], lengths.pop())
    return Signals(np.stack(values, 1), tuple(table.names[i] for i in chosen), when, table.rate)


def _is_finite(value):
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and np.isfinite(value)


def _places(path, table, columns) -> list[int]:
    """The numbers of the columns that were asked for."""
    asked = [columns] if isinstance(columns, (str, int)) else list(columns)
    places = [i for column in asked for i in _numbers(path, table, column)]
    if len(set(places)) < len(places):
        raise ValueError(f"each column can be chosen once; got {asked}")
    return places


def _numbers(path, table, column) -> list[int]:
    names = table.names
    if isinstance(column, str):
        found = table.groups.get(column) or [i for i, name in enumerate(names) if name == column]
        if len(found) > 1 and column not in table.groups:
            raise FormatError(path, f"{len(found)} columns are called {column!r}",
                              remedy=f"choose by number: {', '.join(map(str, found))}")
    else:
        found = [int(column)] if is_whole(column, least=0) and column < len(names) else []
    if not found:
        there = ", ".join(repr(name) for name in names[:40]) or "none"
        raise FormatError(path, f"no column {column!r}", remedy=f"it has {there}")
    return found


def _filled(path, table, i, fill) -> np.ndarray:
    """A column without missing values."""
    values = table.column(i)
    if np.isinf(values).any():
        k = int(np.isinf(values).argmax())
        raise FormatError(path, f"column {table.names[i]!r} is {values[k]}", table.where(k),
                          "correct the recording")
    missing = np.isnan(values)
    if not missing.any():
        return values
    k = int(missing.argmax())
    if fill is None or missing.all() and isinstance(fill, str):
        raise FormatError(path, f"column {table.names[i]!r} has no value ({missing.sum():,} are missing)",
                          table.where(k), 'fill= takes a number, "hold" or "linear"; or leave the column out')
    there = np.flatnonzero(~missing)
    if fill == "linear":
        return np.interp(np.arange(len(values)), there, values[there])
    if fill == "hold":
        before = np.searchsorted(there, np.arange(len(values)), "right") - 1
        return values[there[np.maximum(before, 0)]]             # at the begin: the first that is there
    return np.where(missing, float(fill), values)


def _times(path, table, i, n) -> np.ndarray:
    times = _filled(path, table, i, None)
    name = table.names[i]
    if len(times) != n:
        raise FormatError(path, f"{len(times):,} times in {name!r} for {n:,} samples")
    down = np.flatnonzero(np.diff(times) < 0)
    if down.size:
        k = int(down[0]) + 1
        raise FormatError(path, f"times in {name!r} run backwards: {times[k]:g} after {times[k - 1]:g}",
                          table.where(k), "sort the recording first")
    return times


# ---- the kinds of files


def _opened(path, options) -> _Table:
    data = contents(path)
    for start, (kind, reader, takes) in KINDS.items():
        if data.startswith(start):
            break
    unknown = [name for name in options if name not in takes]
    if unknown:
        has = f"it has {', '.join(takes)}" if takes else "it has none"
        raise ValueError(f"{path}: {kind} has no option {unknown[0]!r}; {has}")
    return reader(path, data, **options)


def contents(path: Path | str) -> bytes:
    """The bytes of a file of signals, or of a member of an archive; one that cannot be such is refused."""
    file = File(path)
    size = file.size()
    if file.member is not None:
        info = file.archive.getinfo(file.member)
        if size > RATIO * info.compress_size + 64:
            raise FormatError(path, f"claims to hold {size:,} bytes in {info.compress_size:,}",
                              remedy="the archive may be damaged")
    if size > LARGEST:
        raise FormatError(path, f"{size:,} bytes; signals are read from files of up to {LARGEST:,}",
                          remedy="cut it into recordings")
    with file.open() as opened:
        data = opened.read()
    if not data:
        raise FormatError(path, "the file is empty", remedy="fetch it again")
    return data


def _text(path, data, delimiter=None, decimal=".", header=None) -> _Table:
    text = signal_text.parse(path, data, delimiter, decimal, header)
    return _Table(text.names, text.column, text.where)


def _sample(k):
    return f"sample {k:,}"


def _wav(path, data, rate=None, resample=False) -> _Table:
    sound = wav.read(data, rate=rate, resample=resample, channel="all", name=str(path))
    names = tuple(str(i) for i in range(sound.signal.shape[1]))
    return _Table(names, lambda i: sound.signal[:, i], _sample, rate=sound.rate)


def _npy(path, data) -> _Table:
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as error:          # numpy raises many kinds for damaged files
        problem = f"cannot be read as a NumPy file ({type(error).__name__}: {error})"
        raise FormatError(path, problem) from error
    table = _of_arrays(path, {"": array})
    return table._replace(names=tuple(str(i) for i in range(len(table.names))), groups={})


def _npz(path, data) -> _Table:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(info.file_size for info in archive.infolist())
        if size > LARGEST:
            raise FormatError(path, f"would unpack to {size:,} bytes; up to {LARGEST:,} are read")
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FormatError:
        raise
    except Exception as error:          # as above
        problem = f"cannot be read as a NumPy archive ({type(error).__name__}: {error})"
        raise FormatError(path, problem) from error
    return _of_arrays(path, arrays)


def _mat(path, data) -> _Table:
    from scipy.io import loadmat
    try:
        found = loadmat(io.BytesIO(data))
    except Exception as error:          # scipy raises many kinds for damaged files
        problem = f"cannot be read as a MATLAB file ({type(error).__name__}: {error})"
        raise FormatError(path, problem, remedy="it may be damaged or cut short") from error
    arrays = {name: np.asarray(a) for name, a in found.items() if not name.startswith("__")}
    # MATLAB has no vectors: (1, T) and (T, 1) are columns
    return _of_arrays(path, {name: a.ravel() if 1 in a.shape else a for name, a in arrays.items()})


def _hdf5(path, data) -> _Table:
    raise FormatError(path, "HDF5, or MATLAB from version 7.3 on, has no columns that are known here", 0,
                      "read the arrays with h5py and hand them to Dataset")


def _of_arrays(path, arrays) -> _Table:
    """The columns of the arrays of numbers (T,) and (T, K); others are passed over."""
    columns: list[np.ndarray] = []
    names: list[str] = []
    groups: dict[str, list[int]] = {}
    for name, array in arrays.items():
        if array.ndim not in (1, 2) or array.dtype.kind not in "iufb" or not array.size:
            continue
        if array.ndim == 1:
            names.append(name)
            columns.append(array)
            continue
        groups[name] = list(range(len(names), len(names) + array.shape[1]))
        names += [f"{name}[{k}]" for k in range(array.shape[1])]
        columns += list(array.T)
    if not names:
        there = ", ".join(f"{name} {a.dtype} {a.shape}" for name, a in arrays.items()) or "nothing"
        raise FormatError(path, f"no array of numbers (T,) or (T, columns); it holds {there}")
    return _Table(tuple(names), lambda i: columns[i].astype(np.float64), _sample, groups)


# how files begin -> (name, reader, its options); text begins with anything
KINDS: dict[bytes, tuple[str, Callable[..., _Table], tuple[str, ...]]] = {
    b"RIFF": ("WAV", _wav, ("rate", "resample")),
    b"PK\x03\x04": ("NPZ", _npz, ()),
    b"\x93NUMPY": ("NPY", _npy, ()),
    b"MATLAB": ("MATLAB", _mat, ()),
    b"\x89HDF": ("HDF5", _hdf5, ()),
    b"": ("text", _text, ("delimiter", "decimal", "header")),
}
