"""Lines of text that stand before binary data: where they end, whatever bytes the data begin with."""

from __future__ import annotations

import re
from pathlib import Path

from .piecewise import File

AT_ONCE, MOST = 1 << 16, 1 << 24            # bytes that are looked at first, and in all
UTF_16 = (b"\xff\xfe", b"\xfe\xff")         # how text of 16 bits begins


def is_text(line: bytes) -> bool:
    """Whether bytes are printable text, in UTF-8 or Latin-1."""
    return as_text(line).replace("\t", " ").isprintable()


def as_text(line: bytes) -> str:
    """Bytes as text: UTF-8, or Latin-1 where they are none."""
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("latin-1")


def lines(path: Path | str, mark: bytes, last: str = "(?!)") -> list[tuple[bytes, int]]:
    """The lines at the begin of a file that start with `mark`, each with the byte after it.

    last: a pattern of the line that ends them, in any case; data after it may begin with `mark`, too.  Where
    no such line comes, data begin with the first line that is not printable text.
    """
    head, want = b"", AT_ONCE
    with File(path).open() as file:
        while True:
            piece = file.read(want - len(head))
            head += piece
            found, ended, rest = _lines(head, mark, re.compile(last.encode(), re.IGNORECASE))
            goes_on = (rest.startswith(mark) or mark.startswith(rest)) and is_text(rest)
            if ended or not piece or not goes_on or want >= MOST:
                return found
            want *= 4 if len(head) == want else 1


def _lines(head, mark, last):
    """(lines, whether the last one came, bytes behind them) of the first bytes of a file."""
    found: list[tuple[bytes, int]] = []
    of_text = None                          # how many are text, once one is none
    at = 0
    while head.startswith(mark, at) and (end := head.find(b"\n", at)) >= 0:
        line = head[at:end].rstrip(b"\r")
        if of_text is None and not is_text(line):
            of_text = len(found)
        at = end + 1
        found.append((line, at))
        if last.fullmatch(line):
            return found, True, head[at:]
    return found[:of_text], False, head[at:]
