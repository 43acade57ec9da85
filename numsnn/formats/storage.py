"""Where HDF5 files are written: a place on disk that HDF5 never sees fail.

The HDF5 library ends the whole process where a write fails (a full disk), because it cannot close the file.
Here each write is checked; after the first that fails the library goes on in memory, and the error is raised
as soon as it has closed the file, or by `check`, which whoever writes much calls after each part.
"""

from __future__ import annotations

import errno
import io
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import h5py

HEAD = struct.Struct("<QQ")             # of what `adding` keeps: inode and size of the file
RECORD = struct.Struct("<QQ")           # place and length of the bytes that follow
FAILURES = (OSError, MemoryError, KeyboardInterrupt, SystemExit)        # HDF5 must not see Ctrl-C either


class Storage(io.RawIOBase):
    """A file as h5py wants one.  error: what went wrong first, or None; held: what came after it.

    undo: where what is overwritten is kept first, so that `roll_back` can restore the file.
    """

    def __init__(self, path: Path | str, create: bool = False, undo: Path | None = None):
        super().__init__()
        self.undo: BinaryIO | None = None
        how = os.O_RDWR | getattr(os, "O_BINARY", 0) | (os.O_CREAT | os.O_TRUNC if create else 0)
        self.file = os.open(path, how, 0o666)
        self.end = self.before = os.fstat(self.file).st_size
        if undo is not None:
            self.undo = undo.open("wb", buffering=0)
            self.undo.write(HEAD.pack(os.fstat(self.file).st_ino, self.before))
        self.at = 0
        self.error: BaseException | None = None
        self.held: list[tuple[int, bytes]] = []

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.at, os.SEEK_END: self.end}[whence]
        return self.at

    def tell(self) -> int:
        return self.at

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer; zeros beyond the end, as HDF5's own files have there."""
        view = memoryview(buffer).cast("B")
        os.lseek(self.file, self.at, os.SEEK_SET)
        done = 0
        while done < len(view) and (part := os.read(self.file, len(view) - done)):
            view[done:done + len(part)] = part
            done += len(part)
        view[done:] = bytes(len(view) - done)
        for offset, data in self.held:
            first, last = max(offset, self.at), min(offset + len(data), self.at + len(view))
            if first < last:
                view[first - self.at:last - self.at] = data[first - offset:last - offset]
        self.at += len(view)
        return len(view)

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        try:
            if self.error is None:
                self._write(view)
        except FAILURES as error:
            self.error = error
        if self.error is not None:
            self.held.append((self.at, bytes(view)))
        self.at += len(view)
        self.end = max(self.end, self.at)
        return len(view)

    def _write(self, view):
        self._keep(self.at, self.at + len(view))
        os.lseek(self.file, self.at, os.SEEK_SET)
        while len(view):
            view = view[os.write(self.file, view):]

    def _keep(self, first, last):
        """Keep the bytes of the old file that are about to change."""
        last = min(last, self.before)
        if self.undo is None or first >= last:
            return
        os.lseek(self.file, first, os.SEEK_SET)
        old = b""
        while len(old) < last - first and (part := os.read(self.file, last - first - len(old))):
            old += part
        record = RECORD.pack(first, len(old)) + old
        if self.undo.write(record) < len(record):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def truncate(self, size: int | None = None) -> int:
        self.end = self.at if size is None else size
        try:
            if self.error is None:
                self._keep(self.end, self.before)
                os.ftruncate(self.file, self.end)
        except FAILURES as error:
            self.error = error
        return self.end

    def close(self) -> None:
        if not self.closed:
            os.close(self.file)
            if self.undo is not None:
                self.undo.close()
        super().close()


@contextmanager
def storing(path: Path | str, mode: str, **how: Any) -> Iterator[h5py.File]:
    """An h5py.File: mode "w" for an empty one, "r+" to go on with one that is there; how: of h5py.File.

    OSError, once it is closed, where the disk did not take everything.
    """
    with _stored(Storage(path, mode == "w"), mode, how) as file:
        yield file


@contextmanager
def adding(path: Path, **how: Any) -> Iterator[h5py.File]:
    """An h5py.File to go on with: all that is done to it, or nothing, whatever happens.

    Where the process is killed, `roll_back` restores what was there before.
    """
    try:
        with _stored(Storage(path, undo=undo_of(path)), "r+", how) as file:
            yield file
    except BaseException:
        roll_back(path)
        raise
    undo_of(path).unlink()


def undo_of(path: Path) -> Path:
    """Where `adding` keeps what it overwrites: PATH.undo."""
    return path.with_name(path.name + ".undo")


def roll_back(path: Path) -> None:
    """Restore a file as it was before an `adding` that did not come to its end, if there was one."""
    if not undo_of(path).is_file():
        return
    kept = undo_of(path).read_bytes()
    with path.open("rb+") as file:
        # the first record is complete, or nothing has been changed; and the file is that one, not a later one
        if len(kept) >= HEAD.size and HEAD.unpack_from(kept)[0] == os.fstat(file.fileno()).st_ino:
            for first, old in reversed(list(_records(kept))):
                file.seek(first)
                file.write(old)
            file.truncate(HEAD.unpack_from(kept)[1])
    undo_of(path).unlink()


def _records(kept):
    """(place, bytes) of what was kept; the last one may be cut short, and then nothing was written yet."""
    at = HEAD.size
    while at + RECORD.size <= len(kept):
        first, n = RECORD.unpack_from(kept, at)
        at += RECORD.size + n
        if at <= len(kept):
            yield first, kept[at - n:at]


@contextmanager
def _stored(storage, mode, how):
    import h5py
    try:
        with h5py.File(storage, mode, **how) as file:
            file.storage = storage
            yield file
        if storage.error is not None:
            raise storage.error
    finally:
        storage.close()


def check(file: h5py.File) -> None:
    """Raise what went wrong in writing to a file of `storing` so far."""
    if file.storage.error is not None:
        raise file.storage.error
