"""Tables of numbers as text: the delimiter is found, names stand in the first line or in a comment before it.

    time (s);"ax [m/s^2]";label
    0,00;9,81;walk

A file has one delimiter: semicolon, tab, comma, bar, or blanks; the first of these that gives every line as
many fields.  Names are kept as they are, without quotes.  Fields that say that nothing was measured (empty,
NA, NaN, null, -, ?) are missing values; other text in a column of numbers is refused.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .headers import UTF_16
from .problems import FormatError

DELIMITERS = (";", "\t", ",", "|", " ")
LOOKED_AT = 50                      # lines by which the delimiter is found
COMMENTS = ("#", "%")
MISSING = frozenset(("", "na", "n/a", "#n/a", "nan", "null", "none", "-", "--", "?"))


class Text(NamedTuple):
    """names of the columns; rows of fields; lines: the number of each row's line."""
    path: Path
    names: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]
    decimal: str

    def column(self, i: int) -> np.ndarray:
        """The numbers of a column (T,), NaN where they are missing."""
        return np.array([self._number(row[i], i, k) for k, row in enumerate(self.rows)], np.float64)

    def where(self, k: int) -> str:
        """How an error names row k."""
        return f"line {self.lines[k]:,}"

    def _number(self, field, i, k):
        if self.decimal != ".":
            field = field.replace(".", " ").replace(self.decimal, ".")      # 1.234,5 is no number here
        try:
            if "_" not in field:
                return float(field)
        except ValueError:
            if field.strip().lower() in MISSING:
                return np.nan
        comma = self.decimal == "." and field.count(",") == 1
        remedy = "decimal=',' reads it" if comma else "leave the column out with columns="
        raise FormatError(self.path, f"column {self.names[i]!r} should hold numbers; got {field[:40]!r}",
                          self.where(k), remedy)


def parse(path: Path, data: bytes, delimiter: str | None, decimal: str, header: bool | None) -> Text:
    """A table; see `formats.read_signals` for the options."""
    if decimal not in (".", ","):
        raise ValueError(f"decimal must be '.' or ','; got {decimal!r}")
    if delimiter is not None and (not isinstance(delimiter, str) or len(delimiter) != 1):
        raise ValueError(f"delimiter must be one character; got {delimiter!r}")
    lines = _decoded(path, data).split("\n")
    first = next((i for i, line in enumerate(lines) if line.strip() and not _comment(line)), None)
    if first is None:
        raise FormatError(path, "there is no line of numbers")
    delimiter = delimiter or _delimiter(path, lines[first:])
    rows, numbers = _rows(path, lines, first, delimiter)
    names = _in_a_comment(lines[:first], delimiter, len(rows[0]))
    if header or header is None and not all(map(_may_be_a_number, rows[0])):
        names = [field.strip() for field in rows.pop(0)]
        numbers.pop(0)
    names = names or [str(i) for i in range(len(rows[0]))]
    for row, number in zip(rows, numbers, strict=True):
        if len(row) != len(names):
            raise FormatError(path, f"expected {len(names)} fields between {delimiter!r}; got {len(row)}",
                              f"line {number:,}", "say delimiter= if it is another")
    if names[-1] == "" and not any(row[-1] for row in rows):            # a delimiter at the end of each line
        names = names[:-1]
    return Text(path, tuple(names), rows, numbers, decimal)


def _decoded(path, data):
    if data.startswith(UTF_16):
        return data.decode("utf-16", "replace")
    if b"\0" in data:
        raise FormatError(path, f"no table of signals that is known here; it begins with {data[:12]!r}", 0,
                          "read are text (CSV), NPZ, NPY, WAV and MATLAB up to version 7")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")           # so that the unit of "200 µV" is that


def _comment(line):
    return line.lstrip().startswith(COMMENTS)


def _may_be_a_number(field):
    field = field.strip().lower()
    try:
        float(field.replace(",", "."))
    except ValueError:
        return field in MISSING
    return True


def _delimiter(path, lines) -> str:
    """The one that gives all lines as many fields, more than one; a single column has none."""
    some = [line for line in lines if line.strip() and not _comment(line)][:LOOKED_AT]
    for delimiter in DELIMITERS:
        sizes = {len(row) for row in _split(some, delimiter)}
        if len(sizes) == 1 and sizes != {1}:
            return delimiter
    if not any(delimiter in line.strip() for line in some for delimiter in DELIMITERS):
        return ","
    raise FormatError(path, "no delimiter gives every line as many fields",
                      remedy=f"say delimiter=, one of {', '.join(map(repr, DELIMITERS))}; "
                             f"is every line complete?")


def _split(lines, delimiter):
    """A csv.reader of the lines."""
    if delimiter == " ":
        lines = (" ".join(line.split()) for line in lines)
    text = io.StringIO("\n".join(line.rstrip("\r") for line in lines), newline="")
    return csv.reader(text, delimiter=delimiter, skipinitialspace=True)


def _rows(path, lines, first, delimiter) -> tuple[list[list[str]], list[int]]:
    rows, numbers = [], []
    kept = [i for i in range(first, len(lines)) if lines[i].strip() and not _comment(lines[i])]
    try:
        reader = _split([lines[i] for i in kept], delimiter)
        for row in reader:
            rows.append(row)
            numbers.append(kept[reader.line_num - 1] + 1)
    except csv.Error as error:
        raise FormatError(path, f"cannot be read as a table ({error})") from error
    return rows, numbers


def _in_a_comment(lines, delimiter, n) -> list[str]:
    """Names in the last comment before the numbers, as NumPy's savetxt writes them; or none."""
    comments = [line.strip().lstrip("#% ") for line in lines if _comment(line)]
    if not comments:
        return []
    names = [name.strip() for name in next(iter(_split(comments[-1:], delimiter)), [])]
    named = len(names) == n and not any(map(_may_be_a_number, names))
    return names if named else []
