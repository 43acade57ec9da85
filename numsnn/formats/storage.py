"""Where HDF5 files are written: a place on disk that HDF5 never sees fail.

The HDF5 library ends the whole process where a write fails (a full disk), because it cannot close the file.
Here each write is checked; after the first that fails the library goes on in memory, and the error is raised
as soon as it has closed the file, or by `check`, which whoever writes much calls after each part.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import h5py

FAILURES = (OSError, MemoryError, KeyboardInterrupt, SystemExit)        # HDF5 must not see Ctrl-C either


class Storage(io.RawIOBase):
    """A file as h5py wants one.  error: what went wrong first, or None; held: what came after it."""

    def __init__(self, path: Path | str, create: bool = False):
        super().__init__()
        how = os.O_RDWR | getattr(os, "O_BINARY", 0) | (os.O_CREAT | os.O_TRUNC if create else 0)
        self.file = os.open(path, how, 0o666)
        self.end = os.fstat(self.file).st_size
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
        os.lseek(self.file, self.at, os.SEEK_SET)
        while len(view):
            view = view[os.write(self.file, view):]

    def truncate(self, size: int | None = None) -> int:
        self.end = self.at if size is None else size
        try:
            if self.error is None:
                os.ftruncate(self.file, self.end)
        except FAILURES as error:
            self.error = error
        return self.end

    def close(self) -> None:
        if not self.closed:
            os.close(self.file)
        super().close()


@contextmanager
def storing(path: Path | str, mode: str, **how: Any) -> Iterator[h5py.File]:
    """An h5py.File: mode "w" for an empty one, "r+" to go on with one that is there; how: of h5py.File.

    OSError, once it is closed, where the disk did not take everything.
    """
    import h5py
    storage = Storage(path, mode == "w")
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
