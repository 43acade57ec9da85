"""The door through which files are written: they appear when they are complete, and never in half.

    with whole(path) as part: ...           a file of any kind is written to `part`
    with whole_hdf5(path) as file: ...      an h5py.File
    write_bytes, write_text, write_json     what is made in memory

Until it is complete, a file stands beside its place as NAME.part, or under a name of its own,
NAME.TOKEN.part, where somebody else is writing the same file.  Links are followed, and the mode of a file
that is replaced is kept.  What a writer left behind that was killed is removed by the next one.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .storage import roll_back, storing

try:
    import fcntl
except ImportError:                     # not on Windows: there names of their own are all that writers have
    fcntl = None                        # type: ignore[assignment]

if TYPE_CHECKING:
    import h5py

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
LONGEST = 240                           # bytes of a name that leave room for what a .part has besides


def part_of(path: Path | str, token: str = "") -> Path:
    """Where a file is written before it has its name: PATH.part, or PATH.TOKEN.part."""
    path = Path(path)
    name = path.name if len(os.fsencode(path.name)) <= LONGEST else path.name[:LONGEST // 4]
    return path.with_name(f"{name}{token and '.'}{token}.part")


def place(path: Path | str) -> Path:
    """Where a file is to be written: the path, links followed.

    Raises FileNotFoundError, PermissionError or ValueError where it cannot be written.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{path} cannot be written: "
                                f"there is no folder {target.parent}; make it first")
    if os.path.lexists(target):
        if not target.is_file():
            what = "a folder" if target.is_dir() else "a device, a pipe or a circle of links"
            raise ValueError(f"{path} is {what}, which no file can replace; give the path of a file")
        if not os.access(target, os.W_OK):
            raise PermissionError(f"{path} is write-protected; choose another path, or make it writable")
    return target


def writable(path: Path | str) -> None:
    """Raise OSError or ValueError, as `whole` would, where no file can be written to `path`."""
    part = part_of(place(path), secrets.token_hex(4))
    descriptor = _opened(path, part, os.O_CREAT | os.O_EXCL)
    _remove_own(part, descriptor)
    os.close(descriptor)


@contextmanager
def whole(path: Path | str) -> Iterator[Path]:
    """The place beside `path` to write to.

    It is renamed to `path` at the end and removed after an error, so that an old file stays until then.
    OSError where the disk is full or the folder read-only, ValueError where `path` is no file.
    """
    target = place(path)
    with _claimed(path, target) as (part, lock):
        try:
            yield part
            _into_place(part, lock, target)
        except OSError as error:
            if error.errno in NO_ROOM:
                raise _unwritten(path, error) from error
            raise


@contextmanager
def whole_hdf5(path: Path | str, **how: Any) -> Iterator[h5py.File]:
    """A new h5py.File that appears at `path` at the end, see `whole`; how: of h5py.File.

    Who writes much calls `storage.check` after each part, which raises what went wrong with the disk.
    """
    with whole(path) as part, storing(part, "w", **how) as file:
        yield file


@contextmanager
def growing(path: Path | str) -> Iterator[Path]:
    """As `whole`, for a file that takes long: what an interrupted writer left in PATH.part is still there.

    It is removed where the disk is full.  ValueError where another process is writing it.
    """
    target = place(path)
    part = part_of(target)
    lock = _opened(path, part, os.O_CREAT)
    try:
        if not _lock(lock):
            raise ValueError(f"{path} is being written by another process; "
                             f"wait for it, or choose another name")
        _take_mode(lock, target)
        roll_back(part)
        yield part
        _into_place(part, lock, target)
    except OSError as error:
        _remove_own(part, lock)
        if error.errno in NO_ROOM:
            raise _unwritten(path, error) from error
        raise
    finally:
        os.close(lock)


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write a file that is there as a whole or not at all."""
    with whole(path) as part:
        part.write_bytes(content)


def write_text(path: Path | str, text: str) -> None:
    """Write a text, in UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path | str, thing: Any) -> None:
    """Write a thing as JSON."""
    write_text(path, as_json(thing, indent=1))


def as_json(thing: Any, **how: Any) -> str:
    """A thing as JSON, NumPy's numbers and arrays as Python's; how: of json.dumps.

    TypeError where it holds something else than numbers, texts, lists and dicts.
    """
    return json.dumps(thing, default=_plain, **how)


def _plain(value):
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"only numbers, texts, lists and dicts can be saved; got {value!r}")


# ---- names of their own


@contextmanager
def _claimed(path, target):
    """(part, lock) of a new file that nobody else writes to; it is removed if it is still there."""
    _remove_abandoned(target)
    part = part_of(target)
    try:
        lock = _opened(path, part, os.O_CREAT | os.O_EXCL)
        if not _lock(lock) or not os.fstat(lock).st_nlink:      # somebody took it for abandoned
            os.close(lock)
            raise FileExistsError
    except FileExistsError:
        part = part_of(target, secrets.token_hex(4))
        lock = _opened(path, part, os.O_CREAT | os.O_EXCL)
        _lock(lock)
    try:
        _take_mode(lock, target)
        yield part, lock
    finally:
        _remove_own(part, lock)
        os.close(lock)


def _opened(path, part, how):
    """A descriptor of the file `part`."""
    try:
        return os.open(part, os.O_RDWR | how | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except FileExistsError:
        raise
    except OSError as error:
        raise _unwritten(path, error) from error


def _unwritten(path, error):
    return OSError(error.errno, f"{path} cannot be written, and is as it was before: {error.strerror}")


def _lock(descriptor) -> bool:
    """Lock a file; False where another has the lock.  It ends with the process, however that ends."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:                     # a file system without locks
        return True
    return True


def _remove_abandoned(target):
    """Remove what writers of a file left that no longer live."""
    if fcntl is None:
        return
    of_target = re.compile(re.escape(part_of(target).stem) + r"(\.[0-9a-f]{8})?\.part")
    with suppress(OSError):
        for name in filter(of_target.fullmatch, os.listdir(target.parent)):
            with suppress(OSError):
                _remove_unlocked(target.with_name(name))


def _remove_unlocked(part):
    if not stat.S_ISREG(part.lstat().st_mode):
        return
    descriptor = os.open(part, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove_own(part, descriptor)
    finally:
        os.close(descriptor)


def _remove_own(part, descriptor):
    """Remove a file, if it is still the one of the descriptor: another may have its name by now."""
    with suppress(FileNotFoundError):
        if os.path.samestat(os.lstat(part), os.fstat(descriptor)):
            os.unlink(part)


def _take_mode(descriptor, target):
    """Owner and mode of the file that will be replaced."""
    if not target.is_file() or not hasattr(os, "fchmod"):
        return
    old, new = target.stat(), os.fstat(descriptor)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        with suppress(OSError):         # only root gives files away
            os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


def _into_place(part, descriptor, target):
    """Rename `part` to `target`, with everything on disk before and after."""
    os.fsync(descriptor)
    os.replace(part, target)
    if hasattr(os, "O_DIRECTORY"):
        folder = os.open(target.parent, os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
