"""AEDAT 2.0 and 1.0 (jAER): lines that begin with #, then records of address and time, big-endian.

AEDAT 2.0 has 32 bits of address, AEDAT 1.0 has 16; the time is 32 bits in us and goes over after 71 minutes.
What an address means is told by the camera: a line `# AEChip: ...DAVIS240C` names it.  Where none is named,
addresses are those of a DVS128, and refused where they cannot be.

DVS128  polarity bit 0, x bits 1 to 7, y bits 8 to 14; bits 15 and 31 mark what is no event of a pixel
DAVIS   polarity bit 11, x bits 12 to 21, y bits 22 to 30; bit 31 frames and inertial samples, bit 10 triggers
NAS     a cochlea: the address is the unit

The header can be long: jAER puts the settings of the camera there, in XML.  It ends with `#End Of ASCII
Header`, in older files with the last line of text.

File: iniVation's description of the formats; jAER; pyNAVIS (of cochleas).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .headers import as_text, lines
from .piecewise import FOREIGN, OWN, WRAP, Columns, Decoder, File, state
from .problems import FormatError, Problems
from .records import fits
from .sift import big, jit, sift

X_SHIFT, X_MASK, Y_SHIFT, Y_MASK, P_SHIFT, SKIP_MASK, FOREIGN_MASK = range(OWN, OWN + 7)
CLOCK = 1 << 32                     # the clock goes over here
END = r"#\s*End Of ASCII Header\s*"
UNITS = 256                         # addresses of a cochlea
FEW = 4                             # addresses that tell a cochlea: a camera has more than one row

# shift and mask of x, of y, shift of polarity, bits that mark what is no event of a pixel, and that none has
OF_DVS = 1, 0x7F, 8, 0x7F, 0, 1 << 31 | 1 << 15, 0
OF_DAVIS = 12, 0x3FF, 22, 0x1FF, 11, 1 << 31 | 1 << 10, 0
OF_NAS = 0, 0x7FFF, 31, 0, 31, 0, ~0x7FFF & 0xFFFFFFFF
CAMERAS = {                         # sensor and address
    "dvs128": ((128, 128), OF_DVS),
    "davis240": ((240, 180), OF_DAVIS),
    "davis346": ((346, 260), OF_DAVIS),
    "davis640": ((640, 480), OF_DAVIS),
    "davis128": ((128, 128), OF_DAVIS),
    "davis208": ((208, 192), OF_DAVIS),
}
NAMES = (                           # how the header names a camera -> ours
    (r"cochlea|\bnas\b", "nas"),
    (r"dvs_?128|tmpdiff128", "dvs128"),
    *((rf"davis?_?{name[5:]}", name) for name in CAMERAS if name.startswith("davis")),
)


@jit
def decode_aedat2(raw, end, columns, none, s, strict):
    """8 bytes, address and time.

    The state says where the address holds x, y and polarity, and what else is no event of pixels.
    """
    t, x, y, p = columns
    n = end // 8
    words = raw[:end // 8 * 8].view(np.uint32)
    x_shift, x_mask = np.uint32(s[X_SHIFT]), np.uint32(s[X_MASK])
    y_shift, y_mask = np.uint32(s[Y_SHIFT]), np.uint32(s[Y_MASK])
    p_shift, skip, foreign = np.uint32(s[P_SHIFT]), np.uint32(s[SKIP_MASK]), np.uint32(s[FOREIGN_MASK])
    for i in range(n):
        address = big(words[2 * i])
        t[i] = big(words[2 * i + 1])
        x[i] = address >> x_shift & x_mask | (address & foreign != 0) * FOREIGN
        y[i] = address >> y_shift & y_mask
        p[i] = address >> p_shift & np.uint32(1)
        none[i] = (address & skip) != 0
    kept, done, problem = sift(columns, none, n, s, strict)
    return 8 * done, kept, problem


@jit
def decode_aedat1(raw, end, columns, none, s, strict):
    """6 bytes: the same with addresses of 16 bits."""
    n = end // 6
    wide = np.zeros(8 * n, np.uint8)
    for i in range(n):
        wide[8 * i + 2:8 * i + 8] = raw[6 * i:6 * i + 6]
    used, kept, problem = decode_aedat2(wide, 8 * n, columns, none, s, strict)
    return used // 8 * 6, kept, problem


class Header(NamedTuple):
    """chip: what the header says, "" where it says nothing; camera: its name here, "" where it is not known.

    begin: first byte of the data; record: bytes of a record.
    """
    chip: str
    camera: str
    begin: int
    record: int


def header(path: Path | str) -> Header:
    """What the lines of a file say, and where its data begin."""
    found = lines(path, b"#", END)
    first = found[0][0] if found else b""
    if not re.match(rb"#!AER-DAT[12]", first):
        raise FormatError(path, f"expected #!AER-DAT2.0 in the first line; got {first[:30]!r}", 0)
    text = "\n".join(as_text(line) for line, _ in found)
    named = re.search(r"^#\s*AEChip:\s*(\S.*)|^# (\w+), written by numsnn", text,
                      re.MULTILINE | re.IGNORECASE)
    chip = (named[1] or named[2]).strip() if named else ""
    last = chip.rsplit(".", 1)[-1]
    camera = next((name for pattern, name in NAMES if re.search(pattern, last, re.IGNORECASE)), "")
    record = 6 if first.startswith(b"#!AER-DAT1") else 8
    return Header(chip, camera, _end_of_lines(found, File(path).size(), record), record)


def _end_of_lines(found, size, record) -> int:
    """Where the data begin: a first data byte that is '#' can look like one more line.

    The last line of the header is known, or else is one that begins as such lines do; others behind it count
    if they leave whole records.
    """
    if re.fullmatch(END.encode(), found[-1][0], re.IGNORECASE):
        return found[-1][1]
    usual = [end for line, end in found if line.startswith((b"# ", b"#!", b"#<", b"#\t"))]
    candidates = [end for _, end in found if end >= usual[-1]]
    return next((end for end in reversed(candidates) if (size - end) % record == 0), candidates[-1])


def open_aedat2(path: Path | str, problems: Problems, camera: str | None = None) -> Decoder:
    """AEDAT 2.0 or 1.0 of a camera.

    camera: dvs128 (MNIST-DVS, CIFAR10-DVS), or davis240 and others (frames and IMU samples are passed over).
    None: what the header says, else dvs128.
    """
    if camera is not None and camera not in CAMERAS:
        raise ValueError(f"camera must be one of {', '.join(CAMERAS)}; got {camera!r}")
    head = header(path)
    if head.camera == "nas":
        raise FormatError(path, f"the header names a cochlea, {head.chip}", 0, "format='nas' reads it")
    if head.camera and camera not in (None, head.camera):
        problem = f"the header names the camera {head.chip}, camera={camera!r} was given"
        raise FormatError(path, problem, 0, "leave camera= out")
    if head.chip and not head.camera and camera is None:
        problem = f"the header names the camera {head.chip}, whose addresses are not known here"
        raise FormatError(path, problem, 0, f"say camera=, one of {', '.join(CAMERAS)}")
    camera = camera or head.camera or "dvs128"
    if not head.camera:
        _check_addresses(path, _records(path, head.begin, head.record)[0], camera)
    sensor, places = CAMERAS[camera]
    return _decoder(sensor, places, head.begin, head.record)


def _check_addresses(path, addresses, camera):
    """Refuse addresses that are those of another camera."""
    events = (addresses >> 16 != 0) & (addresses & 0x7FF == 0)          # of a DAVIS, brighter or darker
    frames = addresses >> 31 != 0
    of_davis = CAMERAS[camera][1] is OF_DAVIS
    if not of_davis and 2 * np.count_nonzero(events | frames) > len(addresses):
        problem = f"the addresses are not those of {camera}: they have bits that only those of a DAVIS have"
        raise FormatError(path, problem, remedy="say camera=, such as camera='davis240' or 'davis346'")
    if of_davis and len(addresses) and not (addresses >> 16).any() and (addresses & 0x3FF).any():
        problem = f"the addresses are not those of {camera}: none needs more than 16 bits"
        raise FormatError(path, problem, remedy="say camera='dvs128', or format='nas' for a cochlea")


def _decoder(sensor, places, begin, record):
    s = state(*sensor)
    s[X_SHIFT:FOREIGN_MASK + 1] = places
    s[WRAP] = CLOCK
    return Decoder(decode_aedat2 if record == 8 else decode_aedat1, s, sensor, begin, record)


def _records(path, begin, record):
    """(addresses, times) of the first records of a file."""
    with File(path).open() as file:
        file.seek(begin)
        raw = file.read(1 << 16)
    kind = np.dtype([("address", ">u4" if record == 8 else ">u2"), ("time", ">u4")])
    found = np.frombuffer(raw, kind, len(raw) // record)
    return found["address"].astype(np.int64), found["time"].astype(np.int64)


# ---- cochleas


def is_of_a_cochlea(path: Path | str) -> bool:
    """Whether a file is the recording of a cochlea: the header says so, or says nothing and the data do."""
    head = header(path)
    if head.chip:
        return head.camera == "nas"
    stored = File(path).size() - head.begin
    enough = [record for record in (8, 6) if stored >= FEW * record]
    return any(_share_of_units(path, head.begin, record, UNITS) == 1 for record in enough)


def _share_of_units(path, begin, record, units):
    """The share of the records of this size that are a unit below `units`, no earlier than the one before."""
    addresses, times = _records(path, begin, record)
    good = (addresses < units) & (np.diff(times, prepend=0) >= 0)
    return good.mean() if len(good) else 0.0


def open_nas(path: Path | str, problems: Problems, units: int = UNITS,
             address_bytes: int | None = None) -> Decoder:
    """AEDAT of a cochlea such as NAS: events of units.

    units: how many addresses there are.  address_bytes: of an address, 2 or 4; None: those with which the
    data make sense.
    """
    if not 0 < units <= FOREIGN:
        raise ValueError(f"units must be from 1 to {FOREIGN}; got {units}")
    if address_bytes not in (None, 2, 4):
        raise ValueError(f"address_bytes must be 2 or 4; got {address_bytes}")
    head = header(path)
    if address_bytes is not None:
        record = address_bytes + 4
    else:
        record = max((head.record, 6), key=lambda size: _share_of_units(path, head.begin, size, units))
    return _decoder((units, 1), OF_NAS, head.begin, record)


# ---- writing


def write_aedat2(path: Path | str, chunks: Iterable[Columns], sensor: tuple[int, int]) -> None:
    """AEDAT 2.0 of a DVS128, DAVIS240 or DAVIS346, the first that is large enough."""
    width, height = sensor
    sizes = {name: CAMERAS[name][0] for name in ("dvs128", "davis240", "davis346")}
    large = (name for name, size in sizes.items() if width <= size[0] and height <= size[1])
    camera = next(large, None)
    if camera is None:
        raise ValueError(f"{path}: no camera that writes AEDAT 2.0 has {width} x {height} pixels; "
                         f"the largest has 346 x 260")
    x_shift, _, y_shift, _, p_shift, *_ = CAMERAS[camera][1]
    with open(path, "wb") as file:
        file.write(f"#!AER-DAT2.0\r\n# {camera}, written by numsnn\r\n#End Of ASCII Header\r\n".encode())
        for columns in chunks:
            fits(path, columns, sensor)
            x, y, p = (column.astype(np.uint32) for column in columns[1:])
            address = x << x_shift | y << y_shift | p << p_shift
            file.write(np.stack((address, columns.t & 0xFFFFFFFF), 1).astype(">u4").tobytes())
