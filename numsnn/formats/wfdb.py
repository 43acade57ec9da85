"""WFDB records, the format of PhysioNet: header, signals, annotations.

`NAME.hea` is text.  Its first line says `name nsig rate[/counter] samples ...`; then each signal has a line

    file format[xframe][:skew][+offset] gain[(baseline)][/units] adcres adczero initval checksum blocksize
    description

(everything after the format may be missing: gain 200 per mV, baseline = adczero, adczero 0), and lines that
begin with # are comments.

Signal files hold the samples of their signals in turn: s0[0] s1[0] s0[1] s1[1] ...

* format 16: int16, little-endian
* format 212: two samples in three bytes, 12 bits each in two's complement: b0 | (b1 & 0x0F) << 8 and
  b2 | (b1 & 0xF0) << 4

The header tells the first sample of each signal (initval) and the sum of all its samples modulo 2^16
(checksum); both are verified.

Annotation files (`NAME.atr`, `.q1c` ...) are 16-bit words, little-endian: code = word >> 10, interval = word
& 0x3FF.  Intervals add up to the sample of the annotation.  Some codes change what stands before them: SKIP
59 (the next four bytes are a longer interval, high word first), NUM 60, SUB 61, CHN 62 (number, subtype,
channel; the first and the last also hold for what follows) and AUX 63 (so many bytes of text follow, padded
to an even number).  A word 0 ends the file.

Source: PhysioNet, WFDB Applications Guide, header(5), signal(5), annot(5).
"""

import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..checked import checked
from .headers import as_text
from .problems import FormatError, Problems
from .source import Source

TEXT, ANNOTATIONS = 1 << 20, 1 << 26            # bytes that a header and an annotation file can have
BITS = {16: 16, 212: 12}                        # formats read here -> bits of a sample
SKIP, NUM, SUB, CHN, AUX, LAST_CODE = 59, 60, 61, 62, 63, 49
# the letter of each code from 0 to 41, as PhysioNet prints it
SYMBOLS = " NLRaVFJASEj/Q~ | sT*D\"=pB^t+u?![]en@xf()r"

NAME = re.compile(r"[A-Za-z0-9_\-]+")
FILE = re.compile(r"[A-Za-z0-9_.\-]{1,200}")
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
INTEGER = r"[-+]?\d{1,15}"
# the fields of each line in their order: what it is, its pattern; a field can be missing with all behind it
RECORD = (
    ("the name of a record", r"(?P<name>[^\s/]+)(?P<segments>/\d+)?"),
    ("a number of signals", r"(?P<signals>\d{1,4})"),
    ("a rate such as 250 or 250/1000(0)", rf"(?P<rate>{NUMBER})(?:/(?P<counter>{NUMBER})(?:\({NUMBER}\))?)?"),
    ("a number of samples", r"(?P<samples>\d{1,15})"),
    ("a time such as 10:05:00", r"\d{0,2}(?::\d{0,2}){0,2}(?:\.\d*)?"),
    ("a date such as 25/04/1989", r"\d{1,2}/\d{1,2}/\d{1,4}"),
)
SIGNAL = (
    ("the name of a file", r"(?P<file>\S+)"),
    ("a format such as 212",
     r"(?P<format>\d{1,4})(?:x(?P<frame>\d{1,6}))?(?::(?P<skew>\d{1,9}))?(?:\+(?P<offset>\d{1,15}))?"),
    ("a gain such as 200(1024)/mV",
     rf"(?P<gain>{NUMBER})(?:\((?P<baseline>[-+]?\d{{1,10}})\))?(?:/(?P<units>\S+))?"),
    ("a resolution", rf"(?P<resolution>{INTEGER})"),
    ("a zero", rf"(?P<zero>{INTEGER})"),
    ("a first sample", rf"(?P<initial>{INTEGER})"),
    ("a checksum", rf"(?P<checksum>{INTEGER})"),
    ("a size of blocks", INTEGER),
)


class Signal(NamedTuple):
    """What the header says of a signal.

    gain: steps of the converter for one unit; baseline: its value at 0 units; None: not told.
    """
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
    """name; rate: samples per second; samples of each signal (0: not told); signals; comments: lines.

    counter: its frequency.
    """
    name: str
    rate: float
    samples: int
    signals: tuple[Signal, ...]
    comments: tuple[str, ...] = ()
    counter: float | None = None


class Record(NamedTuple):
    """header; adc: (T, C) int16 as stored; problems: what was skipped, kind -> how often (strict=False)."""
    header: Header
    adc: np.ndarray
    problems: Counter[str]

    def physical(self) -> np.ndarray:
        """(T, C) float64 in the units of the header: (adc - baseline) / gain, or NaN for a missing sample."""
        signals = self.header.signals
        gain = np.array([signal.gain for signal in signals])
        baseline = np.array([signal.baseline for signal in signals])
        missing = [-1 << BITS[signal.format] - 1 for signal in signals]        # what marks such a sample
        return np.where(self.adc == missing, np.nan, (self.adc - baseline.astype(float)) / gain)


class Annotations(NamedTuple):
    """Columns, one row for each annotation.

    sample: at the rate of the record, int64; code: uint8, SYMBOLS has the letters; subtype: int8; channel:
    uint8; num: int8; aux: texts; problems: as in `Record`.
    """
    sample: np.ndarray
    code: np.ndarray
    subtype: np.ndarray
    channel: np.ndarray
    num: np.ndarray
    aux: tuple[str, ...]
    problems: Counter[str]

    @property
    def symbols(self) -> list[str]:
        """The letter of each annotation: "N", "p", "(" ..., a blank where the code has none."""
        return [SYMBOLS[code] if code < len(SYMBOLS) else " " for code in self.code.tolist()]


@checked
def records(source: Path | str) -> list[str]:
    """Names of the records in a folder or zip file: those that have a header."""
    return [name.removesuffix(".hea") for name in Source(source).names(".hea")]


@checked
def header(source: Path | str, record: str, strict: bool = True) -> Header:
    """The header of a record."""
    return _header(Source(source), record, strict)[0]


@checked
def read(source: Path | str, record: str, strict: bool = True) -> Record:
    """A record with its signals.

    source: folder or zip file (see `Source`); strict: raise FormatError at the first part that is wrong,
    else skip it and count it.
    """
    files = Source(source)
    head, problems = _header(files, record, strict)
    signals_of: dict[str, list[Signal]] = {}
    for signal in head.signals:
        signals_of.setdefault(signal.file, []).append(signal)
    columns: list[np.ndarray] = []
    for file, signals in signals_of.items():
        if len({(signal.format, signal.offset) for signal in signals}) > 1:
            raise problems.fatal(f"the signals of {file} differ in format or offset")
        columns += list(_samples(files, file, signals, head.samples, problems).T)
    lengths = [len(column) for column in columns]
    length = min(lengths)
    if length < max(lengths):
        problems.found("signals of unequal length", f"{', '.join(map(str, lengths))} samples")
    adc = np.stack([c[:length] for c in columns], -1)
    _verify(adc, head, problems)
    return Record(head, adc, problems.counts)


@checked
def annotations(source: Path | str, record: str, annotator: str, strict: bool = True) -> Annotations:
    """The annotations NAME.annotator of a record; parameters as in `read`."""
    files = Source(source)
    name = f"{_plain(record)}.{_plain(annotator)}"
    problems = Problems(files.where(name), strict)
    content = files.read(name, ANNOTATIONS)
    if len(content) % 2:
        problems.found("odd number of bytes", f"{len(content)}", len(content) - 1)
    words = np.frombuffer(content, "<u2", len(content) // 2).tolist()
    rows, aux = _rows(words, content, problems)
    sample, code, subtype, channel, num = np.array(rows, np.int64).reshape(-1, 5).T
    return Annotations(sample.astype(np.int64), code.astype(np.uint8), subtype.astype(np.int8),
                       channel.astype(np.uint8), num.astype(np.int8), tuple(aux), problems.counts)


def _plain(name):
    """A name that cannot lead out of the folder."""
    if not NAME.fullmatch(name):
        raise ValueError(f"names of records and annotators are letters, digits, - and _; got {name!r}")
    return name


def _header(source, record, strict):
    """(header, its problems)."""
    name = f"{_plain(record)}.hea"
    problems = Problems(source.where(name), strict)
    text = [line.strip() for line in as_text(source.read(name, TEXT)).splitlines()]
    comments = tuple(line[1:].strip() for line in text if line.startswith("#"))
    lines = [(i, line) for i, line in enumerate(text, 1) if line and not line.startswith("#")]
    where, begin = lines[0] if lines else (1, "")
    first, rest = _fields(begin, "a line `name signals rate samples`", RECORD, 2, f"line {where}", problems)
    n = int(first["signals"])
    if not n:
        raise problems.fatal(f"expected a line `name signals rate samples`; got {begin[:60]!r}",
                             f"line {where}", "a WFDB header with at least one signal is needed")
    if first["segments"]:
        raise problems.fatal("records of several segments are not read; name the record of one segment",
                             f"line {where}")
    if rest:
        problems.found("field after the last of a record", rest[:60], f"line {where}")
    rate = float(first["rate"] or 250)
    described = len(lines) - 1
    if described < n:
        raise problems.fatal(f"{n} signals are announced, {described} are described")
    if described > n:
        i, line = lines[n + 1]
        problems.found("line that belongs to nothing", line[:60], f"line {i}", n=described - n)
    if not 0 < rate < 1e9:
        raise problems.fatal(f"the rate must be positive; got {first['rate']}", f"line {where}")
    signals = tuple(_signal(line, i, problems) for i, line in lines[1:n + 1])
    counter = float(first["counter"]) if first["counter"] else None
    return Header(first["name"], rate, int(first["samples"] or 0), signals, comments, counter), problems


def _fields(line, form, patterns, needed, where, problems):
    """({name: text or None} of the fields of a line, what stands behind the last of them).

    A field that is not what stands at its place is an error: were it passed over, it would get the value that
    holds where nothing is told.
    """
    found = defaultdict(lambda: None)
    rest = line
    for i, (what, pattern) in enumerate(patterns):
        if not rest and i >= needed:
            break
        field, *behind = rest.split(None, 1) or [""]
        m = re.fullmatch(pattern, field)
        if m is None:
            got = f"{line[:60]!r}, where {field[:60]!r} is not {what}"
            raise problems.fatal(f"expected {form}; got {got}", where)
        found |= m.groupdict()
        rest = behind[0] if behind else ""
    return found, rest


def _signal(line, i, problems):
    """One line of the header."""
    where = f"line {i}"
    m, description = _fields(line, "`file format gain ...`", SIGNAL, 2, where, problems)
    form = int(m["format"])
    if form not in BITS or int(m["frame"] or 1) != 1 or int(m["skew"] or 0):
        known = " and ".join(map(str, BITS))
        raise problems.fatal(f"formats {known} with one sample per frame and no skew are read; "
                             f"got {line.split()[1]}", where)
    if not FILE.fullmatch(m["file"]):
        raise problems.fatal(f"expected the name of a signal file beside the header; got {m['file']!r}",
                             where)
    gain = float(m["gain"] or 0) or 200.0
    if not np.isfinite(gain):
        raise problems.fatal(f"the gain must be a number; got {m['gain']}", where)
    zero = int(m["zero"] or 0)
    return Signal(
        file=m["file"],
        format=form,
        offset=int(m["offset"] or 0),
        gain=gain,
        baseline=zero if m["baseline"] is None else int(m["baseline"]),
        units=m["units"] or "mV",
        resolution=int(m["resolution"] or 0) or BITS[form],
        zero=zero,
        initial=None if m["initial"] is None else int(m["initial"]),
        checksum=None if m["checksum"] is None else int(m["checksum"]),
        description=description,
    )


def _samples(source, file, signals, samples, problems):
    """(T, C) int16, the samples of a signal file.  samples: what the header promises, or 0."""
    channels = len(signals)
    bits = BITS[signals[0].format]
    offset = signals[0].offset
    most = (samples * channels * bits + 7) // 8
    content = source.read(file, most + offset + (1 << 16) if samples else 1 << 31)[offset:]
    there = len(content) * 8 // bits // channels
    if samples and there < samples:
        detail = f"{file} holds {there:,} of {samples:,} samples"
        problems.found("signal file is too short", detail, n=samples - there)
    elif samples and len(content) > most:
        detail = f"{file} has {len(content):,} bytes, {most:,} were expected"
        problems.found("signal file is too long", detail, n=len(content) - most)
    n = min(samples or there, there) * channels
    if not n:
        raise FormatError(source.where(file), "no sample in it", remedy="fetch it again")
    flat = _unpack_212(content, n) if bits == 12 else np.frombuffer(content, "<i2", n).astype(np.int16)
    return flat.reshape(-1, channels)


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
    modulus = 1 << 16
    for i, signal in enumerate(head.signals):
        if signal.initial is not None and adc[0, i] != signal.initial:
            detail = f"signal {i}: expected {signal.initial}, got {adc[0, i]}"
            problems.found("first sample differs from the header", detail)
        total = int(adc[:, i].sum(dtype=np.int64))
        if signal.checksum is not None and (total - signal.checksum) % modulus:
            detail = f"signal {i}: expected {signal.checksum % modulus}, got {total % modulus}"
            problems.found("checksum differs", detail,
                           remedy="the signal file is damaged, or belongs to another header; "
                                  "strict=False reads it all the same")


def _rows(words, content, problems):
    """[(sample, code, subtype, channel, num)], [text of each] of an annotation file."""
    rows, aux = [], []
    time = subtype = channel = num = i = 0
    while i < len(words):
        word, at = words[i], 2 * i
        code, interval = word >> 10, word & 0x3FF
        i += 1
        if not word:
            if any(content[2 * i:]):
                problems.found("bytes after the end", f"{len(content) - 2 * i}", 2 * i)
            return rows, aux
        if code == SKIP:
            if i + 2 > len(words):
                break
            time += _signed(words[i] << 16 | words[i + 1], 32)
            i += 2
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
    """A number of so many bits in two's complement."""
    return value - (1 << bits) if value >> bits - 1 else value
