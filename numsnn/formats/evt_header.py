"""The header of Prophesee's files: lines that begin with % and a blank, a keyword and its value each.

Raw files tell `evt VERSION`, `format NAME;width=...;height=...;endianness=...` and `geometry WIDTHxHEIGHT`;
their header ends with `% end`, or with the first line that is no text.  DAT files tell `Data file containing
... events`, `Version`, `Width` and `Height`.

File: Prophesee's description of the RAW and DAT formats.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from .headers import as_text, lines
from .problems import FormatError


class Header(NamedTuple):
    """What the lines say.

    version: such as "3.0"; size: of the sensor; endianness: the order of the bytes; dat, dat_version: what
    DAT files say of their data, and their version; all in words, "" where there are none.  begin: first byte
    of the data.
    """
    version: str
    size: str
    endianness: str
    begin: int
    dat: str
    dat_version: str


# version in the header -> format
READ = {"2": "evt2", "2.0": "evt2", "2.1": "evt21", "3": "evt3", "3.0": "evt3"}
NAMED = {"EVT2": "2.0", "EVT21": "2.1", "EVT3": "3.0"}     # after "format" -> version


def header(path: Path | str) -> Header:
    """What the header lines of a file say."""
    found = lines(path, b"% ", r"% end\s*")
    facts: dict[str, str] = {}
    for line, _ in found:
        key, _, value = as_text(line[2:]).strip().partition(" ")
        facts.setdefault(key.lower(), value.strip())
    name, *settings = facts.get("format", "").split(";")
    facts |= {key.strip().lower(): value for key, _, value in (s.partition("=") for s in settings)}
    version, named = facts.get("evt", ""), NAMED.get(name.upper(), name)
    if version and named and READ.get(version, version) != READ.get(named, named):
        problem = f"the header says EVT {version} in one line and {name} in another"
        raise FormatError(path, problem, 0, "mend the header; nobody knows which of them holds")
    size = facts.get("geometry") or "x".join(facts[key] for key in ("width", "height") if key in facts)
    begin = found[-1][1] if found else 0
    return Header(version or named, size, facts.get("endianness", "").lower(), begin, facts.get("data", ""),
                  facts.get("version", ""))


def sensor_of(path: Path | str, size: str, sensor: tuple[int, int] | None,
              largest: int) -> tuple[int, int]:
    """(width, height) as given, else as the header says in words, else as large as it can be."""
    if sensor is not None:
        return sensor
    if not size:
        return largest, largest
    m = re.fullmatch(r"(\d{1,5})\s*x\s*(\d{1,5})", size)
    if m is None:
        problem = f"expected the size of the sensor as WIDTHxHEIGHT in the header; got {size!r}"
        raise FormatError(path, problem, 0, "give sensor=(width, height)")
    return int(m[1]), int(m[2])


def check_version(path: Path | str, head: Header, wanted: str) -> None:
    """Refuse a header that says that the data are in another format than `wanted`, or in none read here."""
    if head.dat:
        raise FormatError(path, f"the header is that of a DAT file: data {head.dat}", 0,
                          "format='dat' reads it")
    if head.version and READ.get(head.version) != wanted:
        raise FormatError(path, f"the header says EVT {head.version}, expected {wanted}", 0,
                          "leave format= out; EVT 2.0, 2.1 and 3.0 are read")
    if head.endianness not in ("", "little", "legacy"):
        raise FormatError(path, f"words in the order {head.endianness!r} are not read", 0,
                          "write it again with little-endian words")
