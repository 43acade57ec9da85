"""WFDB records, the format of PhysioNet: header, signals, annotations.

`NAME.hea` is text.  Its first line says `name nsig rate[/counter] samples ...`, then one line for each signal says

    file format[xframe][:skew][+offset] gain[(baseline)][/units] adcres adczero initval checksum blocksize description

(everything after the format may be missing: gain 200 per mV, baseline = adczero, adczero 0), and lines that begin with # are comments.

Signal files hold the samples of their signals in turn: s0[0] s1[0] s0[1] s1[1] ...

* format 16: int16, little-endian
* format 212: two samples in three bytes, 12 bits each in two's complement: b0 | (b1 & 0x0F) << 8 and b2 | (b1 & 0xF0) << 4

The header tells the first sample of each signal (initval) and the sum of all its samples modulo 2^16 (checksum); both are verified.

Annotation files (`NAME.atr`, `.q1c` ...) are 16-bit words, little-endian: code = word >> 10, interval = word & 0x3FF.  Intervals add up to the
sample of the annotation.  Some codes change what stands before them: SKIP 59 (the next four bytes are a longer interval, high word
first), NUM 60, SUB 61, CHN 62 (number, subtype, channel; the first and the last also hold for what follows) and AUX 63 (so many bytes of text
follow, padded to an even number).  A word 0 ends the file.

Source: PhysioNet, WFDB Applications Guide, header(5), signal(5), annot(5).
"""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

import numpy as np

from .problems import FormatError, Problems
from .source import Source

TEXT, ANNOTATIONS = 1 << 20, 1 << 26            # bytes that a header and an annotation file can have
BITS = {16: 16, 212: 12}                        # formats read here -> bits of a sample
SKIP, NUM, SUB, CHN, AUX, LAST_CODE = 59, 60, 61, 62, 63, 49
SYMBOLS = " NLRaVFJASEj/Q~ | sT*D\"=pB^t+u?![]en@xf()r"         # the letter of each code from 0 to 41, as PhysioNet prints it

NAME, FILE = re.compile(r"[A-Za-z0-9_\-]+"), re.compile(r"[A-Za-z0-9_.\-]{1,200}")
NUMBER = r"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?"
RECORD = re.compile(rf"(?P<name>[^\s/]+)(?P<segments>/\d+)?\s+(?P<signals>\d{{1,4}})"
                    rf"(?:\s+(?P<rate>{NUMBER})(?:/(?P<counter>{NUMBER})(?:\({NUMBER}\))?)?(?:\s+(?P<samples>\d{{1,15}}))?)?(?:\s.*)?")
SIGNAL = re.compile(rf"(?P<file>\S+)\s+(?P<format>\d{{1,4}})(?:x(?P<frame>\d{{1,6}}))?(?::(?P<skew>\d{{1,9}}))?(?:\+(?P<offset>\d{{1,15}}))?"
                    rf"(?:\s+(?P<gain>{NUMBER})(?:\((?P<baseline>[-+]?\d{{1,10}})\))?(?:/(?P<units>\S+))?(?P<rest>(?:\s.*)?))?\s*")


class Signal(NamedTuple):
    """What the header says of a signal.  gain: steps of the converter for one unit; baseline: its value at 0 units; None: not told."""
    file: str
    format: int
    offset: int = 0
    gain: float = 200.0
    baseline: int = 0
    units: str = "mV"
    resolution: int = 12
    zero: int = 0
    initial: int | None = None
    checksum: int | None = None
    description: str = ""


class Header(NamedTuple):
    """name; rate: samples per second; samples of each signal (0: not told); signals; comments: lines; counter: its frequency."""
    name: str
    rate: float
    samples: int
    signals: tuple[Signal, ...]
    comments: tuple[str, ...] = ()
    counter: float | None = None


class Record(NamedTuple):
    """header; adc: (T, C) int16 as stored; problems: what was wrong and skipped, kind -> how often (strict=False)."""
    header: Header
    adc: np.ndarray
    problems: Counter

    def physical(self) -> np.ndarray:
        """(T, C) float64 in the units of the header, (adc - baseline) / gain; NaN where the file marks a sample as missing."""
        gain, baseline = (np.array([getattr(s, key) for s in self.header.signals]) for key in ("gain", "baseline"))
        missing = [-1 << BITS[s.format] - 1 for s in self.header.signals]
        return np.where(self.adc == missing, np.nan, (self.adc - baseline.astype(float)) / gain)


class Annotations(NamedTuple):
    """Columns, one row for each annotation: sample int64 (at the rate of the record), code uint8 (SYMBOLS has the letters), subtype int8,
    channel uint8, num int8, aux (texts); problems as in `Record`."""
    sample: np.ndarray
    code: np.ndarray
    subtype: np.ndarray
    channel: np.ndarray
    num: np.ndarray
    aux: tuple[str, ...]
    problems: Counter

    @property
    def symbols(self) -> list[str]:
        """The letter of each annotation: "N", "p", "(" ..., a blank where the code has none."""
        return [SYMBOLS[code] if code < len(SYMBOLS) else " " for code in self.code.tolist()]


def records(source) -> list[str]:
    """Names of the records in a folder or zip file: those that have a header."""
    return [name.removesuffix(".hea") for name in Source(source).names(".hea")]


def header(source, record: str, strict: bool = True) -> Header:
    """The header of a record."""
    return _header(Source(source), record, strict)[0]


def read(source, record: str, strict: bool = True) -> Record:
    """A record with its signals.

    source: folder or zip file (see `Source`); strict: raise FormatError at the first part that is wrong, else skip it and count it.
    """
    source = Source(source)
    head, problems = _header(source, record, strict)
    groups: dict[str, list] = {}
    for signal in head.signals:
        groups.setdefault(signal.file, []).append(signal)
    columns = []
    for file, signals in groups.items():
        if {(s.format, s.offset) for s in signals} != {signals[0][1:3]}:
            raise problems.fatal(f"the signals of {file} differ in format or offset")
        columns += list(_samples(source, file, signals, head.samples, problems).T)
    length = min(map(len, columns))
    if length < max(map(len, columns)):
        problems.found("signals of unequal length", f"{', '.join(str(len(c)) for c in columns)} samples")
    adc = np.stack([c[:length] for c in columns], -1)
    _verify(adc, head, problems)
    return Record(head, adc, problems.counts)


def annotations(source, record: str, annotator: str, strict: bool = True) -> Annotations:
    """The annotations NAME.annotator of a record; parameters as in `read`."""
    source, name = Source(source), f"{_plain(record)}.{_plain(annotator)}"
    problems = Problems(source.where(name), strict)
    content = source.read(name, ANNOTATIONS)
    if len(content) % 2:
        problems.found("odd number of bytes", f"{len(content)}", len(content) - 1)
    rows, aux = _rows(np.frombuffer(content, "<u2", len(content) // 2).tolist(), content, problems)
    columns = np.array(rows, np.int64).reshape(-1, 5).T
    kinds = (np.int64, np.uint8, np.int8, np.uint8, np.int8)
    return Annotations(*(c.astype(kind) for c, kind in zip(columns, kinds, strict=True)), tuple(aux), problems.counts)


def _plain(name):
    """A name that cannot lead out of the folder."""
    if not NAME.fullmatch(name):
        raise ValueError(f"names of records and annotators are letters, digits, - and _; got {name!r}")
    return name


def _header(source, record, strict):
    name = f"{_plain(record)}.hea"
    problems = Problems(source.where(name), strict)
    lines = [line.strip() for line in source.read(name, TEXT).decode("utf-8", "replace").splitlines()]
    comments = tuple(line[1:].strip() for line in lines if line.startswith("#"))
    lines = [(i, line) for i, line in enumerate(lines, 1) if line and not line.startswith("#")]
    first = RECORD.fullmatch(lines[0][1]) if lines else None
    if first is None or not int(first["signals"]):
        raise problems.fatal("expected a line `name signals rate samples`; got " + repr(lines[0][1][:60] if lines else ""), "line 1",
                             "a WFDB header with at least one signal is needed")
    if first["segments"]:
        raise problems.fatal("records of several segments are not read; name the record of one segment", "line 1")
    n, rate = int(first["signals"]), float(first["rate"] or 250)
    if len(lines) - 1 < n:
        raise problems.fatal(f"{n} signals are announced, {len(lines) - 1} are described")
    if len(lines) - 1 > n:
        problems.found("line that belongs to nothing", lines[n + 1][1][:60], f"line {lines[n + 1][0]}", n=len(lines) - 1 - n)
    if not 0 < rate < 1e9:
        raise problems.fatal(f"the rate must be positive; got {first['rate']}", "line 1")
    signals = tuple(_signal(line, i, problems) for i, line in lines[1:n + 1])
    counter = float(first["counter"]) if first["counter"] else None
    return Header(first["name"], rate, int(first["samples"] or 0), signals, comments, counter), problems


def _signal(line, i, problems):
    """One line of the header."""
    m = SIGNAL.fullmatch(line)
    if m is None:
        raise problems.fatal(f"expected `file format gain ...`; got {line[:60]!r}", f"line {i}")
    if int(m["format"]) not in BITS or int(m["frame"] or 1) != 1 or int(m["skew"] or 0):
        raise problems.fatal(f"formats {' and '.join(map(str, BITS))} with one sample per frame and no skew are read; got "
                             f"{line.split()[1]}", f"line {i}")
    if not FILE.fullmatch(m["file"]):
        raise problems.fatal(f"expected the name of a signal file beside the header; got {m['file']!r}", f"line {i}")
    fields = re.match(r"((?:\s+[-+]?\d{1,15}(?=\s|$)){0,5})\s*(.*)", m["rest"] or "")
    numbers = [int(field) for field in fields[1].split()]
    resolution, zero, initial, checksum, _ = numbers + [None] * (5 - len(numbers))
    zero, gain = zero or 0, float(m["gain"] or 0) or 200.0
    baseline = zero if m["baseline"] is None else int(m["baseline"])
    if not np.isfinite(gain):
        raise problems.fatal(f"the gain must be a number; got {m['gain']}", f"line {i}")
    bits = BITS[int(m["format"])]
    return Signal(m["file"], int(m["format"]), int(m["offset"] or 0), gain, baseline, m["units"] or "mV", resolution or bits, zero,
                  initial, checksum, fields[2])


def _samples(source, file, signals, samples, problems):
    """(T, C) int16, the samples of a signal file.  samples: what the header promises, or 0."""
    channels, bits, skipped = len(signals), BITS[signals[0].format], signals[0].offset
    most = (samples * channels * bits + 7) // 8
    content = source.read(file, most + skipped + (1 << 16) if samples else 1 << 31)[skipped:]
    there = len(content) * 8 // bits // channels
    if samples and there < samples:
        problems.found("signal file is too short", f"{file} holds {there:,} of {samples:,} samples", n=samples - there)
    elif samples and len(content) > most:
        problems.found("signal file is too long", f"{file} has {len(content):,} bytes, {most:,} were expected", n=len(content) - most)
    n = min(samples or there, there) * channels
    if not n:
        raise FormatError(source.where(file), "no sample in it", remedy="fetch it again")
    return (_unpack_212(content, n) if bits == 12 else np.frombuffer(content, "<i2", n).astype(np.int16)).reshape(-1, channels)


def _unpack_212(content, n):
    """n samples, two in three bytes; a last single one takes two bytes."""
    raw = np.zeros((n + 1) // 2 * 3, np.uint8)
    used = (n * 12 + 7) // 8
    raw[:used] = np.frombuffer(content, np.uint8, used)
    low, middle, high = raw.reshape(-1, 3).astype(np.int16).T
    pairs = np.stack((low | (middle & 0x0F) << 8, high | (middle & 0xF0) << 4), -1).ravel()[:n]
    return pairs << 4 >> 4                      # the sign is bit 11


def _verify(adc, head, problems):
    """The first sample and the checksum of each signal."""
    for i, signal in enumerate(head.signals):
        if signal.initial is not None and adc[0, i] != signal.initial:
            problems.found("first sample differs from the header", f"signal {i}: expected {signal.initial}, got {adc[0, i]}")
        total = int(adc[:, i].sum(dtype=np.int64))
        if signal.checksum is not None and (total - signal.checksum) % (1 << 16):
            problems.found("checksum differs", f"signal {i}: expected {signal.checksum % (1 << 16)}, got {total % (1 << 16)}",
                           remedy="the signal file is damaged, or belongs to another header; strict=False reads it all the same")


def _rows(words, content, problems):
    """[(sample, code, subtype, channel, num)], [text of each] of an annotation file."""
    rows, aux = [], []
    time = subtype = channel = num = i = 0
    while i < len(words):
        word, at = words[i], 2 * i
        code, interval, i = word >> 10, word & 0x3FF, i + 1
        if not word:
            if any(content[2 * i:]):
                problems.found("bytes after the end", f"{len(content) - 2 * i}", 2 * i)
            return rows, aux
        if code == SKIP:
            if i + 2 > len(words):
                break
            time, i = time + _signed(words[i] << 16 | words[i + 1], 32), i + 2
        elif code in (NUM, SUB, CHN, AUX):
            if not rows:
                problems.found("modifies an annotation before the first", f"code {code}", at)
                i += (interval + 1) // 2 if code == AUX else 0
            elif code == NUM:
                num = _signed(interval & 0xFF, 8)
                rows[-1][4] = num
            elif code == SUB:
                rows[-1][2] = _signed(interval & 0xFF, 8)
            elif code == CHN:
                channel = interval & 0xFF
                rows[-1][3] = channel
            else:
                if 2 * i + interval > len(content):
                    break
                aux[-1] = content[2 * i:2 * i + interval].decode("utf-8", "replace").rstrip("\0")
                i += (interval + 1) // 2
        else:
            time += interval
            _append(rows, aux, [time, code, subtype, channel, num], at, problems)
    problems.found("no end mark", "the file seems to be cut short", 2 * len(words))
    return rows, aux


def _append(rows, aux, row, at, problems):
    """An annotation, if it can be one."""
    time, code = row[:2]
    if not 0 < code <= LAST_CODE:
        problems.found("unknown code", f"{code}", at)
    elif time < (rows[-1][0] if rows else 0):
        problems.found("time runs backwards", f"sample {time:,}", at)
    else:
        rows.append(row)
        aux.append("")


def _signed(value, bits):
    return value - (1 << bits) if value >> bits - 1 else value
