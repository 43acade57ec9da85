"""WAV files: PCM and IEEE float, read with every size checked first, and written as PCM of 8 to 32 bits.

A file is a RIFF container, little-endian: "RIFF", size (u32), "WAVE", then chunks of id (4 bytes), size
(u32), content, and a pad byte after an odd size.  Needed are "fmt " (before the data) and "data"; others are
skipped.

    fmt   format tag (u16: 1 PCM, 3 float, 0xFFFE extensible), channels (u16), rate (u32), bytes per second
          (u32), bytes per frame (u16), bits per sample (u16); extensible adds size (u16), valid bits (u16),
          channel mask (u32) and a 16-byte code whose first two bytes are the format tag
    data  frames one after the other, a sample of each channel; 8 bits unsigned around 128, otherwise two's
          complement

Samples come as float64 in [-1, 1): integer / 2^(bits of the container - 1); the valid bits of a sample are
its highest.
Source: Microsoft and IBM, Multimedia Programming Interface and Data Specifications 1.0 (1991); Microsoft,
WAVEFORMATEXTENSIBLE.
The standard library's `wave` is not used: it knows no float, and takes truncated data silently for a shorter
recording.
"""

from __future__ import annotations

import struct
from math import gcd
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..checked import checked
from ..packages import needed
from ..signals.integers import is_whole
from . import whole as files
from .problems import FormatError, Problems, existing

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
CODECS = {2: "MS ADPCM", 6: "A-law", 7: "mu-law", 17: "IMA ADPCM", 49: "GSM 6.10", 85: "MP3"}
GUID = bytes.fromhex("000000001000800000aa00389b71")    # what follows a plain tag in an extensible format
RATES = (1, 1_000_000)                                  # samples per second that can be meant
OTHERS = (b"RIFX", b"RF64", b"FORM", b"fLaC", b"OggS", b"caff")     # how other sound formats begin
CONVERT = "convert it to PCM, for instance with `sox in.wav -e signed -b 16 out.wav`"
DAMAGED = "the file is damaged; fetch it again"
CUT_SHORT = "the file is damaged or cut short; fetch it again"
REFETCH = ("the file may not have been copied to the end; "
           "fetch it again, or take what is there with strict=False")


class Wav(NamedTuple):
    """A recording."""
    signal: np.ndarray      # (N,) float64, full scale 1; (N, channels) where all were asked for
    rate: int               # samples per second
    problems: dict          # kind -> count of what strict=False passed over


class Layout(NamedTuple):
    """What a fmt chunk says."""
    tag: int
    channels: int
    rate: int
    width: int              # bytes of a sample


@checked
def read(source: Path | str | bytes | bytearray | memoryview, *, rate: int | None = None,
         resample: bool = False, channel: int | str | None = None, strict: bool = True,
         name: str | None = None) -> Wav:
    """A WAV file as one signal.

    source: a path, or the bytes of a file (a member of a zip), for which `name` stands in messages.
    rate: samples per second that are needed; a file of another rate is refused, or with resample=True
        resampled (polyphase, Kaiser window).
    channel: for files of several channels: which one (from 0), "mean", or "all", a signal (N, channels); None
        accepts one channel only.
    strict: raise FormatError at data cut short, at half a frame, and at sizes that are not so; otherwise take
        what is there.
    """
    data, called = _content(source, name)
    problems = Problems(called, strict)
    layout, first, size = _find(data, problems)
    frame = layout.width * layout.channels
    frames, left_over = divmod(size, frame)
    if left_over:
        detail = f"{size:,} bytes are no multiple of {frame}"
        problems.found("half a frame at the end of the data", detail, first + size - left_over, REFETCH)
    samples = _samples(data, first, frames, layout, called)
    signal = _one_channel(samples, channel, called)
    if rate is not None and rate != layout.rate:
        if not resample:
            problem = f"the recording has {layout.rate:,} samples per second, {rate:,} are needed"
            raise FormatError(called, problem, remedy="resample=True resamples it")
        signal = resampled(signal, layout.rate, rate)
    return Wav(signal, layout.rate if rate is None else rate, dict(problems.counts))


@checked
def resampled(signal: ArrayLike, old: int, new: int) -> np.ndarray:
    """A signal (N,) of `old` samples per second at `new` ones: ceil(N new / old) samples.

    scipy.signal.resample_poly does it.
    """
    _check_rate("the old rate", old)
    _check_rate("the new rate", new)
    if new > 64 * old:
        raise ValueError(f"resampling from {old:,} to {new:,} samples per second would lengthen the signal "
                         f"more than 64 times; is the rate of the file right?")
    if np.ndim(signal) < 1:
        raise ValueError(f"resampled: expected a signal (N,) or (N, channels); got {signal!r}")
    common = gcd(int(old), int(new))
    if max(old, new) // common > 50_000:        # the filter is 20 times as long
        raise ValueError(f"the rates {old:,} and {new:,} have no ratio of small numbers; "
                         f"resample to another rate, or with another program")
    samples = np.asarray(signal, np.float64)
    if not np.isfinite(samples).all():
        raise ValueError("resampled: the signal is not finite")
    if old == new or not len(samples):
        return samples
    resample_poly = needed("scipy.signal", "another sampling rate").resample_poly
    return resample_poly(samples, int(new) // common, int(old) // common)


def _check_rate(what, rate):
    if not RATES[0] <= rate <= RATES[1] or int(rate) != rate:
        raise ValueError(f"{what} must be a whole number of samples per second "
                         f"from {RATES[0]} to {RATES[1]:,}; got {rate!r}")


def _content(source, name):
    """(bytes, name) of a path or of bytes; a path is looked at before it is read whole."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        data, name = bytes(source), name or "WAV data"
        if not data:
            raise FormatError(name, "there are no bytes",
                              remedy="it may not have been downloaded to the end; fetch it again")
        _check_magic(data[:12], name)
        return data, name
    path = existing(source)
    name = name or path
    with path.open("rb") as file:
        head = file.read(12)
        _check_magic(head, name)
        size = path.stat().st_size
        if size > 2 ** 32 + 8:
            raise FormatError(name, f"{size:,} bytes are more than a WAV file can hold",
                              remedy="cut it into pieces")
        return head + file.read(), name


def _check_magic(head, name):
    """Refuse a file by its first bytes."""
    if head[:4] in OTHERS or head[:3] == b"ID3":
        raise FormatError(name, f"the file begins with {bytes(head[:4])!r}: another sound format", 0, CONVERT)
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        problem = f'expected a WAV file, "RIFF", size, "WAVE"; it begins with {bytes(head)!r}'
        raise FormatError(name, problem, 0, "is it a sound file?")


def _find(data, problems) -> tuple[Layout, int, int]:
    """(layout, first byte, bytes) of the samples."""
    name = problems.path
    layout = None
    at = 12
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        first = at + 8
        there = min(size, len(data) - first)
        if kind == b"fmt ":
            layout = _layout(data[first:first + min(there, 40)], first, name)
        elif kind == b"data":
            if layout is None:
                raise FormatError(name, 'the "data" chunk comes before "fmt "', at, DAMAGED)
            if there < size:
                detail = f"{size:,} bytes announced, {there:,} are there"
                problems.found("the data are cut short", detail, at + 4, REFETCH)
            return layout, first, there
        at = first + size + size % 2
    missing = '"data" chunk' if layout else '"fmt " chunk'
    raise FormatError(name, f"there is no {missing}", min(at, len(data)), CUT_SHORT)


def _layout(chunk, at, name) -> Layout:
    """What the content of a fmt chunk says; at: where in the file it begins."""
    if len(chunk) < 16:
        problem = f'the "fmt " chunk must have at least 16 bytes; got {len(chunk)}'
        raise FormatError(name, problem, at, DAMAGED)
    tag, channels, rate, _, frame, bits = struct.unpack_from("<HHIIHH", chunk)
    if tag == EXTENSIBLE:
        if len(chunk) < 40 or chunk[26:40] != GUID:
            raise FormatError(name, "an extensible format that is neither PCM nor float", at, CONVERT)
        tag = struct.unpack_from("<H", chunk, 24)[0]
    if tag not in (PCM, FLOAT):
        codec = CODECS.get(tag, f"format {tag}")
        raise FormatError(name, f"the samples are coded as {codec}; PCM and float are read", at, CONVERT)
    if not channels or not RATES[0] <= rate <= RATES[1]:
        problem = f"{channels} channels, {rate:,} samples per second cannot be"
        raise FormatError(name, problem, at + 2, DAMAGED)
    width = (bits + 7) // 8
    if tag == PCM:
        kind, can_be_read = "PCM", width in (1, 2, 3, 4)
    else:
        kind, can_be_read = "float", bits in (32, 64)
    if not can_be_read:
        problem = f"{bits} bits per sample ({kind}); read are PCM up to 32 bits, float of 32 and 64"
        raise FormatError(name, problem, at + 14, CONVERT)
    needed = width * channels
    if frame != needed:
        problem = f"{channels} channels of {bits} bits need {needed} bytes a frame; the file says {frame}"
        raise FormatError(name, problem, at + 12, DAMAGED)
    return Layout(tag, channels, rate, width)


def _samples(data, first, frames, layout, name) -> np.ndarray:
    """(frames, channels) float64."""
    shape = frames, layout.channels
    n = frames * layout.channels
    width = layout.width
    if layout.tag == FLOAT:
        samples = np.frombuffer(data, f"<f{width}", n, first).astype(np.float64)
        bad = ~np.isfinite(samples)
        if bad.any():
            at = int(bad.argmax())
            place = first + at * width
            raise FormatError(name, f"a sample is {samples[at]}", place, "clean the recording first")
        return samples.reshape(shape)
    if width == 1:
        return (np.frombuffer(data, np.uint8, n, first).reshape(shape) - 128.0) / 128
    if width == 3:      # into the upper three bytes of 32 bits
        wide = np.zeros((n, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8, 3 * n, first).reshape(n, 3)
        return wide.view("<i4").reshape(shape) / 2.0 ** 31
    return np.frombuffer(data, f"<i{width}", n, first).reshape(shape) / 2.0 ** (8 * width - 1)


def _one_channel(samples, channel, name):
    """(frames,) of the channel that was asked for."""
    channels = samples.shape[1]
    if channel == "mean":
        return samples.mean(1)
    if channel == "all":
        return samples
    if channel is None:
        if channels > 1:
            raise FormatError(name, f"the recording has {channels} channels, one is needed",
                              remedy='choose: channel=0, ..., "mean" or "all"')
        channel = 0
    if not is_whole(channel, least=0) or channel >= channels:
        raise ValueError(f'{name}: channel must be 0 ... {channels - 1}, "mean" or "all"; got {channel!r}')
    return np.ascontiguousarray(samples[:, channel])


# ---- writing


@checked
def encoded(signal: ArrayLike, rate: int, bits: int = 16) -> bytes:
    """The bytes of a PCM WAV file.

    signal: (N,) or (N, channels), within [-1, 1]; rounded to the nearest step of 2^(1 - bits).
    """
    signal = np.asarray(signal)
    is_float = np.issubdtype(signal.dtype, np.floating)
    if not is_float or not (signal.ndim == 1 or signal.ndim == 2 and 0 < signal.shape[1] < 16384):
        raise ValueError(f"expected a float signal (N,) or (N, channels) within [-1, 1]; "
                         f"got {signal.dtype} of shape {signal.shape}")
    if signal.size and not np.abs(signal).max() <= 1:
        raise ValueError(f"the signal must lie within [-1, 1], without NaN; "
                         f"its largest magnitude is {np.abs(signal).max()}; scale it")
    if bits not in (8, 16, 24, 32):
        raise ValueError(f"PCM is written with 8, 16, 24 or 32 bits; got {bits!r}")
    _check_rate("rate", rate)
    size = signal.size * (bits // 8)
    if size > 2 ** 32 - 64:
        raise ValueError(f"{size:,} bytes of samples are more than a WAV file can hold; "
                         f"cut the recording into pieces")
    data = _steps(signal, bits)
    pad = b"\0" * (len(data) % 2)
    channels = 1 if signal.ndim == 1 else signal.shape[1]
    frame = channels * (bits // 8)
    bytes_a_second = int(rate) * frame % 2 ** 32
    layout = struct.pack("<4sIHHIIHH", b"fmt ", 16, PCM, channels, int(rate), bytes_a_second, frame, bits)
    head = struct.pack("<4sI4s", b"RIFF", 4 + len(layout) + 8 + len(data) + len(pad), b"WAVE")
    return head + layout + struct.pack("<4sI", b"data", len(data)) + data + pad


def _steps(signal, bits):
    """The bytes of the samples, each rounded to a step."""
    half = 2.0 ** (bits - 1)
    whole = np.clip(np.rint(signal.astype(np.float64) * half), -half, half - 1)
    if bits == 8:
        return (whole + 128).astype(np.uint8).tobytes()
    if bits == 24:
        return whole.astype("<i4").reshape(-1, 1).view(np.uint8)[:, :3].tobytes()
    return whole.astype(f"<i{bits // 8}").tobytes()


@checked
def write(path: Path | str, signal: ArrayLike, rate: int, bits: int = 16) -> None:
    """Write a signal as a PCM WAV file (see `encoded`); an existing file stays whole until the new one is."""
    data = encoded(signal, rate, bits)
    files.write_bytes(path, data)
