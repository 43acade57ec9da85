"""Reading a checkpoint: nothing is taken that is not what `save` writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..formats import hdf5
from .seal import is_sealed, sound

if TYPE_CHECKING:
    import h5py

FORMAT, VERSION = "numsnn checkpoint", 1


class CheckpointError(ValueError):
    """A file that cannot be read as a checkpoint, and why."""


class Stored:
    """A checkpoint that is open; what it hands out has been looked at."""

    def __init__(self, path: Path, file: h5py.File):
        self.path = path
        self.file = file

    def __contains__(self, key: str) -> bool:
        return key in self.file

    def names(self, group: str) -> list[str]:
        """The names of what is in a group, which may be missing."""
        return list(self.file[group]) if group in self.file else []

    def largest(self) -> int:
        """Number of values of the largest array of the network."""
        import h5py
        sizes = [0]

        def visit(name, thing):
            if isinstance(thing, h5py.Dataset):
                sizes.append(hdf5.dataset(self.path, group, name).size)
        for group in (self.file[kind] for kind in ("params", "fixed") if kind in self.file):
            group.visititems(visit)
        return max(sizes)

    def facts(self, key: str) -> dict[str, Any]:
        """The dict that a text of JSON holds."""
        facts = json.loads(self.file[key].asstr()[()])
        if not isinstance(facts, dict):
            raise CheckpointError(f"{self.path}: {key} should hold a dict; got {str(facts)[:60]}")
        return facts

    def array(self, key: str, like: np.ndarray) -> np.ndarray:
        """An array that can take the place of `like`: its shape, real finite numbers in its precision."""
        if key not in self.file:
            raise CheckpointError(f"{self.path}: {key} is missing, although the configuration has it; "
                                  f"the file is damaged")
        dtype = np.dtype(like.dtype)
        value = hdf5.dataset(self.path, self.file, key, "f" if dtype.kind == "f" else "iufb")[()]
        with np.errstate(over="ignore"):
            value = np.asarray(value).astype(dtype)
        if value.shape != like.shape or not np.isfinite(value).all():
            raise CheckpointError(f"{self.path}: {key} should hold finite numbers of shape {like.shape} that "
                                  f"fit {dtype}; got shape {value.shape}")
        return value


@contextmanager
def opened(path: Path | str) -> Iterator[Stored]:
    """A checkpoint of a version we know; every failure on the way becomes a CheckpointError that says why."""
    import h5py
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"no checkpoint {path}; "
                              f"give the path of a file that numsnn wrote (checkpoint.h5)")
    try:
        with path.open("rb") as raw:            # one file, whatever is renamed to its path meanwhile
            sealed = _sealed(path, raw)
            try:
                file = h5py.File(raw, "r")
            except OSError as error:
                raise _no_hdf5(path, error) from error
            with file:
                _check_kind(path, file)
                yield Stored(path, file)
                _check_seal(path, file, sealed)
    except CheckpointError:
        raise
    except ValueError as error:
        raise CheckpointError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    except Exception as error:                  # damaged files make h5py and what reads them raise many kinds
        raise CheckpointError(f"{path} is damaged: {error or type(error).__name__}") from error


def _sealed(path, raw):
    """Whether the file has a seal, which is then right; one without has been tried by another process."""
    try:
        sealed = is_sealed(raw)
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    if not sealed:
        try:
            sound(path)
        except ValueError as error:
            raise _no_hdf5(path, error) from error
    raw.seek(0)
    return sealed


def _no_hdf5(path, error):
    return CheckpointError(f"{path} cannot be opened as HDF5: "
                           f"it is damaged, cut short, or something else ({error})")


def _check_kind(path, file):
    hdf5.check_links(path, file)
    if file.attrs.get("format") != FORMAT:
        raise CheckpointError(f"{path} is an HDF5 file, but not a checkpoint of numsnn")
    version = hdf5.number(file, "format_version")
    if not isinstance(version, int):
        raise CheckpointError(f"{path} has no format version that is a number; the file is damaged")
    if version != VERSION:
        advice = "; update numsnn" if version > VERSION else ""
        raise CheckpointError(f"{path} has format version {version}; "
                              f"this numsnn reads version {VERSION}{advice}")


def _check_seal(path, file, sealed):
    if not sealed and hdf5.number(file, "sealed"):
        raise CheckpointError(f"{path} was sealed with a digest, which is gone: another program has changed "
                              f"the file, or it is cut short; who trusts it deletes its attribute 'sealed'")
