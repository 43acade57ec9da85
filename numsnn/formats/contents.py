"""What a file is, by what is in it: formats that begin with their name, text, and what holds no events."""

from __future__ import annotations

import re
import zipfile
from math import prod
from pathlib import Path

from . import aedat2
from .evt_header import READ, header
from .headers import UTF_16, is_text
from .idx import DTYPES
from .piecewise import File
from .problems import FormatError

LOOKED_AT = 4096                            # bytes
# how files begin that say what they are
STARTS = {b"#!AER-DAT1": "aedat2", b"#!AER-DAT2": "aedat2", b"#!AER-DAT3": "aedat3", b"#!AER-DAT4": "aedat4",
          b"\x89HDF\r\n": "hdf5"}
SAME = {"nas": "aedat2"}                    # they begin alike
# how files begin that hold no events, and what reads them
OTHERS = {
    b"RIFF": "a WAV file (numsnn.formats.wav reads it)",
    b"MATLAB": "a MATLAB file (numsnn info shows what it holds)",
    b"\x1f\x8b\x08": "a gzip file; unpack it first",
    b"BZh91AY&SY": "a bzip2 file; unpack it first",
    b"\xfd7zXZ": "an xz file; unpack it first",
    b"\x28\xb5\x2f\xfd": "a Zstandard file; unpack it first",
    b"\x93NUMPY": "a NumPy array; np.load reads it, ns.Events takes its columns",
    b"#ROSBAG": "a ROS bag; write its events to one of the formats first",
    b"Event Stream": "an Event Stream file (.es); write it to one of the formats first",
    b"\x89PNG": "a picture",
    b"%PDF": "a PDF document",
}
NUMBERS = re.compile(rb"\s*[-+.\d]+(?:[eE][-+]?\d+)?(?:[\s,;]+[-+.\d]+(?:[eE][-+]?\d+)?){2,}[\s,;]*")


def guess(path: Path | str, suffixes: dict[str, tuple[str, ...]]) -> str:
    """The name of a file's format, from what is in it, or where that says nothing from its suffix.

    suffixes: format -> suffixes of its files.
    """
    path = Path(path)
    head = _head(path)
    named = _named(path, head)
    if named == "aedat2":
        return "nas" if aedat2.is_of_a_cochlea(path) else named
    if named is not None:
        return named
    found = [name for name, known in suffixes.items() if path.suffix.lower() in known]
    if _looks_like_events_in_text(head):
        return "csv"
    binary = found == ["csv"] and b"\0" in head and not head.startswith(UTF_16)
    if len(found) != 1 or binary or found[0] in {*STARTS.values(), "npz", "dat"} or _is_all_text(head, found):
        suffix = path.suffix or "without a suffix"
        problem = f"cannot tell its format: it begins with {head[:12]!r} and is named {suffix!r}"
        raise FormatError(path, problem, 0, f"say format=, one of {', '.join(suffixes)}")
    return found[0]


def refuse_others(path: Path | str, format: str) -> None:
    """Refuse a file that begins with the name of another format than this."""
    named = _named(Path(path), _head(path))
    ours = SAME.get(format, format)
    if named not in (None, ours) and not (named == "dat" and ours == "csv"):
        raise FormatError(path, f"expected {format}; it begins as files of the format {named} do", 0,
                          f"leave format= out, or say format={named!r}")


def _head(path):
    with File(path).open() as file:
        head = file.read(LOOKED_AT)
    if not head:
        raise FormatError(path, "the file is empty",
                          remedy="it may not have been downloaded to the end; fetch it again")
    return head


def _named(path, head):
    """The format that the first bytes name, or None; files that hold no events are refused by their name."""
    for start, name in STARTS.items():
        if head.startswith(start):
            return name
    if head.startswith(b"PK\x03\x04"):
        return _in_archive(path)
    if head.startswith(b"% "):
        return _of_prophesee(path)
    other = next((what for start, what in OTHERS.items() if head.startswith(start)), None)
    if other is None and _is_idx(path, head):
        other = "an IDX file (numsnn.formats.idx reads it)"
    if other is not None:
        raise FormatError(path, f"no event file, but {other}", 0)
    return None


def _of_prophesee(path):
    """What follows lines that begin with % and a blank: raw words, DAT, or text."""
    head = header(path)
    if not head.begin:
        return None
    if head.version in READ:
        return READ[head.version]
    if head.version:
        raise FormatError(path, f"the header says {head.version}, which is not read", 0,
                          "EVT 2.0, 2.1 and 3.0 are; write it again in one of them")
    with File(path).open() as file:
        file.seek(head.begin)
        data = file.read(LOOKED_AT)
    return "csv" if _looks_like_events_in_text(data) else "dat"


def _in_archive(path):
    """NumPy archives are zip archives; others hold files that can be named."""
    if File(path).member is not None:
        return "npz"
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception as error:              # zipfile raises many kinds for damaged files
        problem = f"cannot be read as a NumPy archive, nor as another zip archive ({error})"
        raise FormatError(path, problem, 0, "it may be damaged or incomplete, fetch it again") from error
    if names and not any(name.endswith(".npy") for name in names):
        problem = f"a zip archive with {len(names):,} files, of which {names[0]!r} is the first"
        raise FormatError(path, problem, 0, "name the one to be read, ARCHIVE.zip/MEMBER")
    return "npz"


def _is_idx(path, head):
    """Whether the sizes of an IDX header are those of the file, which no other file has by chance."""
    if len(head) < 8 or head[:2] != b"\0\0" or head[2] not in DTYPES or not 0 < head[3] <= 4:
        return False
    begin = 4 + 4 * head[3]
    sizes = [int.from_bytes(head[at:at + 4], "big") for at in range(4, begin, 4)]
    return begin + prod(sizes) * int(DTYPES[head[2]][-1]) == File(path).size()


def _looks_like_events_in_text(head):
    """Whether lines that are no comments are numbers, after a line of names perhaps."""
    lines = head.split(b"\n")
    if len(head) == LOOKED_AT:
        lines = lines[:-1]                  # it may be cut
    lines = [line for line in lines if line.strip() and not line.lstrip().startswith((b"#", b"%"))]
    numbers = [NUMBERS.fullmatch(line) is not None for line in lines]
    return any(numbers) and all(numbers[1:]) and (numbers[0] or is_text(lines[0].strip()))


def _is_all_text(head, found):
    """Whether a file that is named as binary data is a text."""
    lines = head.splitlines()
    return found != ["csv"] and len(lines) > 1 and all(is_text(line) for line in lines[:-1])
