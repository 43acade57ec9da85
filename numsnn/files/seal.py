"""The seal of a checkpoint: its last line, the digest of all bytes before it.

    numsnn checkpoint sha256 HEX

HDF5 does not look at what stands behind a file's end, and drops it when it changes the file.  The digest is
compared before the HDF5 library sees the file, which a damaged one can keep busy for minutes.  A file without
a seal (older, or changed by another program) is read by a process of its own first, for a limited time.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import BinaryIO

MARK = b"\nnumsnn checkpoint sha256 "
LENGTH = len(MARK) + 64 + 1
PIECE = 1 << 20
SECONDS = 20.0                  # for the process that reads a file without a seal

# reads all that can send the HDF5 library astray: links, attributes, texts; numbers are read by their size
SOUND = """
import sys
sys.path[:] = sys.argv[2:]
import h5py
def visit(name, thing):
    dict(thing.attrs)
    if isinstance(thing, h5py.Dataset) and thing.dtype.kind not in "iufb" and thing.size < 100:
        thing[()]
with h5py.File(sys.argv[1], "r") as file:
    visit("", file)
    file.visititems(visit)
"""


def seal(path: Path | str) -> None:
    """Add the seal to a file that is complete."""
    with open(path, "rb+") as file:
        line = MARK + _digest(file, os.fstat(file.fileno()).st_size) + b"\n"
        file.seek(0, os.SEEK_END)
        file.write(line)


def is_sealed(file: BinaryIO) -> bool:
    """Whether a file has a seal; ValueError where it is not that of its content."""
    size = os.fstat(file.fileno()).st_size - LENGTH
    if size < 0:
        return False
    file.seek(size)
    line = file.read(LENGTH)
    if not line.startswith(MARK):
        return False
    if line != MARK + _digest(file, size) + b"\n":
        raise ValueError("its content is not what was written: the digest in its last line is another")
    return True


def _digest(file, size):
    """SHA-256 of the first bytes of a file, in hexadecimal."""
    digest = hashlib.sha256()
    file.seek(0)
    while size > 0 and (part := file.read(min(PIECE, size))):
        digest.update(part)
        size -= len(part)
    return digest.hexdigest().encode()


def sound(path: Path) -> None:
    """Read a file by a process of its own; ValueError where that fails or takes too long."""
    command = [sys.executable or "python3", "-I", "-c", SOUND, os.path.abspath(path), *sys.path]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False,
                              stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise ValueError(f"the HDF5 library does not come to an end with it in {SECONDS:g} s") from None
    except OSError as error:
        warnings.warn(f"{path} has no digest, and no process could be started to try it ({error}); "
                      f"it is read all the same", stacklevel=2)
        return
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"the HDF5 library broke down ({done.returncode})"]
        raise ValueError(last[0])
