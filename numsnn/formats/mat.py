"""MATLAB 5 files: whether one is there to its end.

128 bytes of header, of which the last two tell the order of the bytes ("IM": little-endian); then elements,
each with its kind and its number of bytes, 32 bits each.

File: MathWorks, MAT-File Format.
"""

from __future__ import annotations

import struct
from pathlib import Path

from .problems import FormatError, existing

HEADER = 128
MATRIX, COMPRESSED = 14, 15         # kinds of elements
AGAIN = "it may not have been downloaded to the end; fetch it again"


def check(path: Path | str) -> None:
    """Refuse a MATLAB 5 file that is cut short; its elements are passed over unread."""
    path = existing(path)
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(HEADER)
        if len(head) < HEADER:
            raise FormatError(path, "cut short, the file ends inside its header", len(head), AGAIN)
        if head[126:] not in (b"IM", b"MI") or head.startswith(b"MATLAB 7.3"):
            raise FormatError(path, f"no MATLAB 5 file: it begins with {head[:10]!r}", 0,
                              "save it with -v7 or -v6 in MATLAB")
        order = "<" if head[126:] == b"IM" else ">"
        at = HEADER
        while at < size:
            file.seek(at)
            tag = file.read(8)
            kind, length = struct.unpack(f"{order}II", tag) if len(tag) == 8 else (MATRIX, size)
            if kind not in (MATRIX, COMPRESSED) or not length:
                raise FormatError(path, f"damaged: an element of kind {kind}, {length:,} bytes", at, AGAIN)
            if length > size - at - 8:
                missing = f"an element of {length:,} bytes begins, {max(size - at - 8, 0):,} are there"
                raise FormatError(path, f"cut short, {missing}", at, AGAIN)
            at += 8 + length
