"""Files that appear when they are complete, and never in half."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def part_of(path: Path | str) -> Path:
    """Where a file is written before it has its name: PATH.part."""
    path = Path(path)
    return path.with_name(path.name + ".part")


@contextmanager
def whole(path: Path | str) -> Iterator[Path]:
    """The place beside `path` to write to.

    It is renamed to `path` at the end and removed after an error, so that an old file stays until then.
    """
    part = part_of(path)
    try:
        yield part
        into_place(part, path)
    finally:
        part.unlink(missing_ok=True)


def into_place(part: Path | str, path: Path | str) -> None:
    """Rename `part` to `path`, with everything on disk before and after."""
    with open(part, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(part, path)
    if hasattr(os, "O_DIRECTORY"):
        folder = os.open(Path(path).parent, os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
