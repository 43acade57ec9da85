"""Events as text: a line for each, with or without a line of names.

    t,x,y,p             names in any order, quoted or not, separated by comma, semicolon, tab or blanks;
    10,34,20,1          also as a comment: "# x y p t".  timestamp, polarity ... are known, too, and a unit
                        of time: t_us, "time [s]"

Without names the order is that of order=.  A line of names that is not understood is refused, never skipped.
Polarity is 1 (brighter), 0 or -1.  Lines that begin with # or % are comments; one of "geometry:1280,720"
gives the sensor.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np

from .headers import UTF_16
from .piecewise import Columns, File
from .problems import FormatError, Problems
from .tables import NAMES, checked

HEAD = 1 << 16                      # bytes that are looked at for names, and for fractions among the times
BLOCK = 1 << 22                     # bytes of lines that are taken at once
LONGEST = 200                       # bytes of a line with an event
LARGEST_SENSOR = 1 << 16
LARGEST = 1 << 62

COMMENTS = ("#", "%")
CALLED = {
    "t": ("t", "ts", "time", "times", "timestamp", "timestamps"),
    "x": ("x", "xs", "col", "column", "x_pos", "pos_x", "x_coordinate"),
    "y": ("y", "ys", "row", "y_pos", "pos_y", "y_coordinate"),
    "p": ("p", "ps", "pol", "polarity", "polarities", "on"),
}
MICROSECONDS = {"s": 10 ** 6, "sec": 10 ** 6, "seconds": 10 ** 6, "ms": 1000, "us": 1, "\u00b5s": 1,
                "\u03bcs": 1, "usec": 1, "ns": 1e-3}
GEOMETRY = re.compile(r"geometry\W+(\d{1,5})\s*[,x\s]\s*(\d{1,5})", re.IGNORECASE)
TIME = re.compile(r"(?P<name>[a-z]+?)(?:_(?P<a>[a-z\u00b5\u03bc]+)|[\[(](?P<b>[a-z\u00b5\u03bc]+)[\])])")
PLAIN = b"0123456789-,; \t\n"
BLANKS = bytes.maketrans(b",;\t", b"   ")
MINUS = re.compile(rb"-(?![0-9])|(?<=[0-9-])-")         # no sign before a number
LINE = -(1 << 62) - 1                                   # stands for the end of a line among the numbers
END = b" %d " % LINE
WORDS = {b"true": 1, b"false": 0}


class Layout(NamedTuple):
    """What the head of a text says of its lines."""
    lines: int                      # that stand before the first event
    places: tuple[int, ...]         # where in a line t, x, y, p stand
    fields: int                     # of a line
    scale: float | None             # microseconds in a unit of time; None: times are whole ticks
    sensor: tuple[int, int] | None


def open_csv(path: Path | str, problems: Problems, sensor: tuple[int, int] | None = None,
             order: str | None = None, seconds: bool = False) -> tuple[tuple[int, int], Iterator[Columns]]:
    """Text, an event a line of four integers between commas, semicolons, blanks or tabs.

    sensor: (width, height); None: what the file says, else as large as the largest coordinates.
    order: of the columns where no line of names says it, "txyp" if None.
    seconds: times are seconds, which become microseconds.
    """
    if order is not None and sorted(order) != sorted(NAMES):
        raise ValueError(f"order must name t, x, y and p once each, such as 'txyp'; got {order!r}")
    layout = _layout(path, order, seconds)
    sensor = sensor or layout.sensor
    limit = sensor or (LARGEST_SENSOR, LARGEST_SENSOR)
    parts = _parts(path, layout, problems)
    if sensor is None:
        sensor = _largest(_parts(path, layout, Problems(path, strict=False)))
    return sensor, checked(parts, limit, problems, "is the order of the columns right? order= names it")


def _opened(path) -> io.BufferedReader:
    """The bytes of a file, or of a member of an archive."""
    return io.BufferedReader(cast(io.RawIOBase, File(path).open()))


# ---- the head


def _layout(path, order, seconds) -> Layout:
    with _opened(path) as file:
        head = file.read(HEAD)
        complete = not file.read(1)
    if not head:
        raise FormatError(path, "the file is empty", remedy="fetch it again")
    if head.startswith(UTF_16) or b"\0" in head:
        raise FormatError(path, "the file is no text of 8 bits (UTF-16, or binary data)", 0,
                          "save it as UTF-8")
    lines = head.decode("utf-8-sig", "replace").split("\n")
    if not complete:
        lines.pop()
    sensor = names = None
    for number, line in enumerate(lines):
        words = _words(line.strip().lstrip("#% \t"))
        comment = line.lstrip().startswith(COMMENTS)
        if comment and (size := GEOMETRY.search(line)):
            sensor = int(size[1]), int(size[2])
        if not words or comment and _columns(words) is None:
            continue
        if not comment and any(map(_is_number, words)):
            return _of_names(path, names, order, seconds, number, lines[number:], sensor)
        if names is not None and _columns(names) != _columns(words):
            raise FormatError(path, f"two lines of names: {names} and {words}", f"line {number + 1:,}",
                              "leave one")
        names = words
        if not comment and _columns(words) is None and order is None:
            raise FormatError(path, f"names that are not understood: {line.strip()[:80]!r}; expected t, x, y "
                                    f"and p once each", f"line {number + 1:,}",
                              "rename the columns, say what they are with order='txyp', or read a table of "
                              "signals with formats.read_signals")
    if not complete:
        raise FormatError(path, f"no event in its first {HEAD:,} bytes", 0, "is it a text of events?")
    return _of_names(path, names, order, seconds, len(lines), [], sensor)


def _of_names(path, names, order, seconds, number, data, sensor) -> Layout:
    """The layout of a file with these names (None: without), whose events begin after `number` lines."""
    found = None if names is None else _columns(names)
    if found is None:
        places = tuple((order or "txyp").index(name) for name in NAMES)
        scale, fields = None, 4
    else:
        places, scale = found
        fields = len(names)
        said = "".join(NAMES[places.index(place)] for place in sorted(places))
        if order not in (None, said):
            raise FormatError(path, f"its names say the order {said!r}, order= says {order!r}",
                              remedy="leave order= out, or correct the names")
    if seconds and scale not in (None, 10 ** 6):
        raise FormatError(path, f"its names say times of {scale:g} us, seconds=True says seconds",
                          remedy="leave seconds= out")
    scale = 10 ** 6 if seconds else scale
    if scale is None:
        _check_whole(path, data, places[0], number)
    return Layout(number, places, fields, scale, sensor)


def _check_whole(path, lines, place, number):
    """Refuse times with fractions, whose unit nobody told."""
    for i, line in enumerate(lines):
        fields = _words(line)
        if len(fields) > place and _is_number(fields[place]) and float(fields[place]) % 1:
            raise FormatError(path, f"times are whole numbers of microseconds; got {fields[place]}",
                              f"line {number + i + 1:,}",
                              "if they are seconds, seconds=True reads them (numsnn: --set seconds=true)")


def _words(line: str) -> list[str]:
    """The fields of a line, without quotes; a unit in brackets stays with its name."""
    line = re.sub(r"\s+([\[(])", r"\1", line.strip())
    for separator in (",", ";", "\t"):
        if separator in line:
            words = line.split(separator)
            break
    else:
        words = line.split()
    return [word.strip().strip("\"'").strip() for word in words]


def _is_number(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False


def _columns(words: list[str]) -> tuple[tuple[int, ...], float | None] | None:
    """(where t, x, y, p stand, microseconds in a unit of time or None) by names; None: they are no names."""
    where: dict[str, int] = {}
    scale = None
    for i, word in enumerate(words):
        name, unit = word.lower().replace(" ", "_"), ""
        if (match := TIME.fullmatch(name)) and match["name"] in CALLED["t"]:
            name, unit = match["name"], match["a"] or match["b"]
            if unit not in MICROSECONDS:
                return None
        column = next((key for key, known in CALLED.items() if name in known), None)
        if column is None:
            continue
        if column in where:
            return None
        where[column] = i
        scale = MICROSECONDS[unit] if unit else scale
    if len(where) < len(NAMES):
        return None
    return tuple(where[name] for name in NAMES), None if scale == 1 else scale


def named_as_events(names: Iterable[str]) -> bool:
    """Whether names of columns are those of events: t, x, y and p, or what they are called here."""
    return _columns(list(names)) is not None


# ---- the lines


def _largest(parts):
    """A sensor that holds all events of a text, except those that no sensor holds."""
    width = height = 1
    for _, x, y, _ in parts:
        width = max(width, 1 + int(x[x < LARGEST_SENSOR].max(initial=0)))
        height = max(height, 1 + int(y[y < LARGEST_SENSOR].max(initial=0)))
    return width, height


def _parts(path, layout, problems):
    """(t, x, y, p) of the lines of a text, some megabytes at once."""
    with _opened(path) as file:
        for number in range(1, layout.lines + 1):
            file.readline()
        number = layout.lines
        while block := file.readlines(BLOCK):
            table = _at_once(block, layout)
            if table is None:
                rows = (_row(line, layout, problems, number + i) for i, line in enumerate(block, 1))
                table = np.array([row for row in rows if row is not None], np.int64).reshape(-1, 4)
            number += len(block)
            if len(table):
                yield tuple(table.T)


def _at_once(block, layout):
    """(lines, 4) where all lines are integers and nothing else, much faster than one by one; or None."""
    raw = b"".join(block).replace(b"\r", b" ")
    if layout.scale is not None or raw.translate(None, PLAIN) or b"-" in raw and MINUS.search(raw):
        return None
    raw = raw.translate(BLANKS).rstrip(b"\n")
    numbers = np.fromstring(raw.replace(b"\n", END) + END, np.int64, sep=" ")
    if len(numbers) != len(block) * (layout.fields + 1):
        return None
    table = numbers.reshape(len(block), -1)
    whole_lines = (table == LINE).sum(0)[-1] == (table == LINE).sum() == len(block)
    if not whole_lines or np.abs(table[:, :-1]).max() >= LARGEST:
        return None
    return table[:, layout.places]


def _row(line, layout, problems, number):
    """The numbers t, x, y, p of a line; None where it is none, which has then been told."""
    fields = line.replace(b",", b" ").replace(b";", b" ").replace(b'"', b" ").split()
    if not fields or fields[0].startswith((b"#", b"%")):
        return None
    if len(fields) == layout.fields and len(line) < LONGEST and b"_" not in line:
        t, x, y, p = (fields[i] for i in layout.places)
        try:
            time = _whole(t) if layout.scale is None else round(float(t) * layout.scale)
            row = time, _whole(x), _whole(y), WORDS[p.lower()] if p.lower() in WORDS else _whole(p)
            if max(map(abs, row)) < LARGEST:
                return row
        except (ValueError, OverflowError):
            pass
    expected = "four integers" if layout.fields == 4 and layout.scale is None else f"{layout.fields} numbers"
    problems.found("not an event", f"expected {expected}; got {line[:60]!r}", f"line {number:,}")
    return None


def _whole(field):
    """The integer that a field of a line says: 5, or 5.0."""
    try:
        return int(field)
    except ValueError:
        value = float(field)
        if value % 1:
            raise
        return int(value)


def write_csv(path: Path | str, chunks: Iterable[Columns], sensor: tuple[int, int]) -> None:
    """Text with a first line of names."""
    with open(path, "w", newline="\n") as file:
        file.write("t,x,y,p\n")
        for columns in chunks:
            np.savetxt(file, np.stack([column.astype(np.int64) for column in columns], 1), "%d", ",")
