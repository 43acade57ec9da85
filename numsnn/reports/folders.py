"""What a folder, an archive or a table of signals holds, in words: parts of `numsnn info`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ..formats.piecewise import File, names
from ..formats.signal_files import read_signals
from ..formats.text import named_as_events

LISTED = 12                         # classes, kinds and columns in a line
TRIED = 8                           # kinds of files of which one is tried


def folder_lines(path: Path | str, describe: Callable[[Path], Any],
                 recording: int = 0) -> tuple[list[str], Any]:
    """(lines for a reader, description of one file or None) of a folder or zip archive.

    describe: says what a file holds; recording: the number of the file that is shown, of those of the kind
    that is most common and can be read.
    """
    path = Path(path)
    files = names(path)
    size = sum(_size(path / name) for name in files)
    lines = [f"{path}: {'folder' if path.is_dir() else 'archive'}, {len(files):,} files, {size:,} bytes"]
    if not files:
        return lines, None
    kinds = Counter(_suffix(name) for name in files).most_common()
    lines.append("formats: " + _listed(f"{n:,} {suffix or 'without a suffix'}" for suffix, n in kinds))
    found, said, suffix = _one_of(path, files, [suffix for suffix, _ in kinds[:TRIED]], describe, recording)
    of_kind = [name for name in files if _suffix(name) == suffix] if found else files
    lines += _classes(of_kind, f" of {suffix} files" if found else "")
    return lines + ([] if found else said), found


def _size(path):
    # 0: an empty file is said where it is read
    return path.stat().st_size if path.is_file() else File(path).size()


def _suffix(name):
    return PurePosixPath(name).suffix.lower()


def _listed(parts) -> str:
    parts = list(parts)
    more = f" and {len(parts) - LISTED} more" if len(parts) > LISTED else ""
    return ", ".join(parts[:LISTED]) + more


def _classes(files, suffix) -> list[str]:
    """Files by the folder that they lie in, where this may be their class."""
    of_folder = Counter(PurePosixPath(name).parent.as_posix() for name in files)
    if len(of_folder) < 2:
        return []
    by_name = Counter(PurePosixPath(name).parent.name for name in files)
    counted = by_name if len(by_name) > 1 else of_folder
    what = f"{len(counted)} classes{suffix}, if folders are classes: "
    return [what + _listed(f"{name} {n:,}" for name, n in counted.items())]


def _one_of(path, files, suffixes, describe, recording):
    """(description, lines of what could not be read, suffix) of a file of the first kind that can be read."""
    said = []
    for suffix in suffixes:
        of_kind = [name for name in files if _suffix(name) == suffix]
        if recording >= len(of_kind) or recording < 0:
            said.append(f"{len(of_kind)} files {suffix}: no recording {recording}")
            continue
        try:
            return describe(path / of_kind[recording]), [], suffix
        except (ValueError, OSError) as error:
            said.append(f"cannot be read: {error}")
    return None, said, ""


def table_lines(path: Path | str) -> list[str]:
    """Lines for a reader on a table of signals; none where it is no table, or looks like one of events."""
    try:
        table = read_signals(path, fill=0.0)
    except ValueError:
        return []
    if table.names == ("0", "1", "2", "3") or named_as_events(table.names):
        return []
    columns = [f"{name}: {column.min():.6g} to {column.max():.6g}, mean {column.mean():.6g}"
               for name, column in zip(table.names, table.values.T, strict=True)]
    n, width = np.shape(table.values)
    lines = [f"{path}: table of signals, {n:,} rows of {width} columns (missing values as 0)",
             *columns[:LISTED]]
    return lines + [f"... and {len(columns) - LISTED} more"] * (len(columns) > LISTED)
