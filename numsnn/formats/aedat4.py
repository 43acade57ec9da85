"""AEDAT 4.0 (iniVation DV): a FlatBuffer header, then packets.

A packet is int32 stream, int32 size, and a FlatBuffer, plain or as an LZ4 frame.  The header (IOHE) has
compression (0 none, 1 and 2 LZ4, 3 and 4 ZSTD), the position of the table at the end of the file (-1: none)
and a description in XML that lists the streams: EVTS events, FRME frames, IMUS inertial samples, TRIG
triggers.  An event is 16 bytes: int64 time in us, int16 x, int16 y, bool brighter.  ZSTD would need a
further package and is refused.

File: iniVation's description of the format and its FlatBuffer schemas.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .lz4 import LZ4Error, decompress
from .piecewise import Columns, Decoder, File, decoded, skipped, state
from .problems import FormatError, Problems
from .sift import jit, sift

MAGIC = b"#!AER-DAT4.0\r\n"
EVENT = np.dtype({"names": ["t", "x", "y", "on"], "formats": ["<i8", "<u2", "<u2", "u1"],
                  "offsets": [0, 8, 10, 12], "itemsize": 16})
LARGEST = 1 << 28                   # no packet is larger, compressed or not
PER_PACKET = 1 << 14                # events in a packet that we write


class Header(NamedTuple):
    """compression: number; begin, end: bytes of the packets; streams: number -> kind.

    sensor: of the first stream of events.
    """
    compression: int
    begin: int
    end: int
    streams: dict[int, str]
    sensor: tuple[int, int] | None


# ---- FlatBuffers: just enough of them, every offset checked


class _Table:
    """A table in a buffer: field i as a number, or where its vector lies."""

    def __init__(self, raw: bytes, at: int):
        self.raw = raw
        self.at = at
        self.vtable = at - self._unpack("<i", at)
        self.size = self._unpack("<H", self.vtable)

    def _unpack(self, form, at):
        if at < 0 or at + struct.calcsize(form) > len(self.raw):
            raise ValueError(f"an offset points to byte {at} of {len(self.raw)}")
        return struct.unpack_from(form, self.raw, at)[0]

    def number(self, field: int, form: str, default: int) -> int:
        place = self._place(field)
        return default if place is None else self._unpack(form, place)

    def vector(self, field: int, item: int) -> tuple[int, int]:
        """(first byte, length) of a vector of items of `item` bytes."""
        place = self._place(field)
        if place is None:
            return 0, 0
        at = place + self._unpack("<I", place)
        n = self._unpack("<I", at)
        if at + 4 + n * item > len(self.raw):
            raise ValueError(f"a vector of {n} items of {item} bytes does not fit into {len(self.raw)} bytes")
        return at + 4, n

    def _place(self, field):
        entry = 4 + 2 * field
        offset = self._unpack("<H", self.vtable + entry) if entry + 2 <= self.size else 0
        return self.at + offset if offset else None


def _root(raw: bytes, kind: bytes) -> _Table:
    """The root table of a size-prefixed buffer."""
    if len(raw) < 12 or raw[8:12] != kind:
        raise ValueError(f"expected a FlatBuffer {kind.decode()}; got {raw[8:12]!r}")
    return _Table(raw, 4 + struct.unpack_from("<I", raw, 4)[0])


# ---- reading


def read_header(path: Path | str) -> Header:
    """What the header of a file says."""
    size = File(path).size()
    start = len(MAGIC) + 4                  # of the FlatBuffer, behind its length
    with File(path).open() as file:
        head = file.read(start)
        if head[:len(MAGIC)] != MAGIC:
            raise FormatError(path, f"expected #!AER-DAT4.0 at the begin; got {head[:14]!r}", 0)
        length = struct.unpack("<I", head[len(MAGIC):])[0] if len(head) == start else 0
        if not 8 < length <= size - start:
            problem = f"the header should be {length:,} bytes long, the file has {size:,}"
            raise FormatError(path, problem, len(MAGIC), "the file is cut short")
        raw = head[len(MAGIC):] + file.read(length)
    try:
        table = _root(raw, b"IOHE")
        compression, end = table.number(0, "<i", 0), table.number(1, "<q", -1)
        at, n = table.vector(2, 1)
    except ValueError as error:
        raise FormatError(path, f"the header is damaged: {error}", len(MAGIC)) from None
    streams, sensor = _streams(path, raw[at:at + n].decode("utf-8", "replace"))
    if compression in (3, 4):
        problem = "the packets are compressed with ZSTD, which numsnn cannot read without a further package"
        raise FormatError(path, problem,
                          remedy="write it again with LZ4 or without compression, for instance in DV")
    if compression not in (0, 1, 2):
        raise FormatError(path, f"unknown compression {compression}", len(MAGIC))
    return Header(compression, start + length, size if end < 0 else min(end, size), streams, sensor)


def _streams(path, description):
    """The streams of the description, and the size of the sensor of the first one with events."""
    from xml.etree import ElementTree
    if "<!" in description:
        raise FormatError(path, "the description in the header declares entities; refused")
    try:
        root = ElementTree.fromstring(description)
    except ElementTree.ParseError as error:
        raise FormatError(path, f"the description in the header is no XML: {error}") from None
    streams = {}
    sensor = None
    for node in root.iterfind(".//node[@name='outInfo']/node"):
        kind = node.findtext("attr[@key='typeIdentifier']") or ""
        if not re.fullmatch(r"\d{1,9}", node.get("name", "")):
            continue
        streams[int(node.get("name"))] = kind
        width = node.findtext("node[@name='info']/attr[@key='sizeX']") or ""
        height = node.findtext("node[@name='info']/attr[@key='sizeY']") or ""
        has_size = re.fullmatch(r"\d{1,5}", width) and re.fullmatch(r"\d{1,5}", height)
        if kind == "EVTS" and sensor is None and has_size:
            sensor = int(width), int(height)
    return streams, sensor


def packets(path: Path | str, head: Header, problems: Problems,
            kinds: Sequence[str] = ("EVTS",)) -> Iterator[tuple[str, int, bytes]]:
    """(kind, position, FlatBuffer) of each packet of the given kinds; others are passed over unread."""
    with File(path).open() as file:
        at = head.begin
        while at + 8 <= head.end:
            file.seek(at)
            stream, size = struct.unpack("<ii", file.read(8))
            left = head.end - at - 8
            if size < 0 or size > min(LARGEST, left) or stream not in head.streams:
                problems.found("damaged packet", f"stream {stream} of {size:,} bytes, {left:,} are left", at)
                return
            if head.streams[stream] in kinds:
                raw = file.read(size)
                try:
                    yield head.streams[stream], at, _plain(raw) if head.compression else raw
                except LZ4Error as error:
                    problems.found("damaged LZ4 packet", str(error), at)
            at += 8 + size
    if at != head.end:
        problems.found("the file ends inside a packet", f"{head.end - at} bytes are left over", at)


def _plain(raw: bytes) -> bytes:
    """The content of a packet that is an LZ4 frame."""
    return decompress(np.frombuffer(raw, np.uint8), LARGEST).tobytes()


@jit
def decode(raw, end, columns, none, s, strict):
    """16 bytes an event."""
    t, x, y, p = columns
    n = end // 16
    for i in range(n):
        event = raw[i]
        t[i], x[i], y[i], p[i] = event["t"], event["x"], event["y"], event["on"] & 1
        none[i] = 0
    kept, done, problem = sift(columns, none, n, s, strict)
    return 16 * done, kept, problem


def pieces(path: Path | str, problems: Problems,
           sensor: tuple[int, int] | None = None) -> tuple[tuple[int, int], Iterator[Columns]]:
    """(sensor, events piece by piece); sensor (width, height) from the header, or given."""
    head = read_header(path)
    if "EVTS" not in head.streams.values():
        there = ", ".join(head.streams.values()) or "none at all"
        raise FormatError(path, f"no stream of events; it has {there}")
    sensor = sensor or head.sensor or (1 << 15, 1 << 15)
    decoder = Decoder(decode, state(*sensor), sensor, head.begin, record=16)
    return sensor, _events(path, head, problems, decoder)


def _events(path, head, problems, decoder):
    columns = Columns.empty(PER_PACKET)
    none = np.empty(PER_PACKET, np.uint8)
    for _, at, raw in packets(path, head, problems):
        try:
            first, n = _root(raw, b"EVTS").vector(0, 16)
        except ValueError as error:
            problems.found("damaged packet", str(error), at)
            continue
        if n > len(columns.t):
            columns = Columns.empty(n)
            none = np.empty(n, np.uint8)
        if n:
            packed = np.frombuffer(raw, EVENT, n, first)
            yield decoded(decoder, packed, 16 * n, columns, none, at, problems)[1]
    skipped(decoder, problems)


def contents(path: Path | str) -> Counter[str]:
    """How many events (EVTS), frames (FRME), inertial samples (IMUS) and triggers (TRIG) a file holds."""
    head = read_header(path)
    item_bytes = {"EVTS": 16, "IMUS": 4, "TRIG": 4}
    counts: Counter[str] = Counter()
    for kind, at, raw in packets(path, head, Problems(path), ("FRME", *item_bytes)):
        if kind == "FRME":
            counts[kind] += 1
            continue
        try:
            _, n = _root(raw, kind.encode()).vector(0, item_bytes[kind])
            counts[kind] += n
        except ValueError as error:
            raise FormatError(path, f"damaged packet: {error}", at) from None
    return counts


# ---- writing


def _text(value: bytes) -> bytes:
    return struct.pack("<I", len(value)) + value + b"\0" * (4 - len(value) % 4)


def header_bytes(width: int, height: int, source: str = "numsnn") -> bytes:
    """A header for one uncompressed stream of events."""
    place = "/mainloop/Recorder/outInfo/"
    xml = (f'<dv version="2.0"><node name="outInfo" path="{place}"><node name="0" path="{place}0/">'
           f'<attr key="compression" type="string">NONE</attr>'
           f'<attr key="originalModuleName" type="string">{source}</attr>'
           f'<attr key="originalOutputName" type="string">events</attr>'
           f'<attr key="typeIdentifier" type="string">EVTS</attr>'
           f'<node name="info" path="{place}0/info/">'
           f'<attr key="sizeX" type="int">{width}</attr><attr key="sizeY" type="int">{height}</attr>'
           f'<attr key="source" type="string">{source}</attr></node></node></node></dv>').encode()
    # vtable (10 bytes) at 8, table at 20:
    # offset to the vtable, compression, position of the table at the end, offset of the text
    body = struct.pack("<I4sHHHHHxxiiqI", 20, b"IOHE", 10, 20, 4, 8, 16, 12, 0, -1, 4) + _text(xml)
    return MAGIC + struct.pack("<I", len(body)) + body


def packet_bytes(columns: Columns) -> bytes:
    """One packet of events."""
    events = np.zeros(len(columns.t), EVENT)
    events["t"], events["x"], events["y"], events["on"] = columns
    # vtable (6 bytes) at 8, table at 16, the events from 28:
    # multiples of 8 from the prefix on, as 64-bit times want it
    body = struct.pack("<I4sHHHxxiII", 16, b"EVTS", 6, 8, 4, 8, 4, len(events)) + events.tobytes()
    return struct.pack("<iiI", 0, len(body) + 4, len(body)) + body


def write(path: Path | str, chunks: Iterable[Columns], sensor: tuple[int, int]) -> None:
    """Write events, chunks of Columns, as one uncompressed stream."""
    with open(path, "wb") as file:
        file.write(header_bytes(*sensor))
        for columns in chunks:
            starts = range(0, len(columns.t), PER_PACKET)
            file.writelines(packet_bytes(columns.part(i, i + PER_PACKET)) for i in starts)
