"""WAV files: PCM of 8, 16, 24 and 32 bits and IEEE float, read with every size checked first, and written as PCM.

A file is a RIFF container, little-endian: "RIFF", size (u32), "WAVE", then chunks of id (4 bytes), size (u32), content, and a pad byte
after an odd size.  Needed are "fmt " (before the data) and "data"; others are skipped.

    fmt   format tag (u16: 1 PCM, 3 float, 0xFFFE extensible), channels (u16), rate (u32), bytes per second (u32),
          bytes per frame (u16), bits per sample (u16); extensible adds size (u16), valid bits (u16), channel mask (u32) and a
          16-byte code whose first two bytes are the format tag
    data  frames one after the other, a sample of each channel; 8 bits unsigned around 128, otherwise two's complement

Samples come as float64 in [-1, 1): integer / 2^(bits of the container - 1); the valid bits of a sample are its highest.
Source: Microsoft and IBM, Multimedia Programming Interface and Data Specifications 1.0 (1991); Microsoft, WAVEFORMATEXTENSIBLE.
The standard library's `wave` is not used: it knows no float, and takes truncated data silently for a shorter recording.
"""

from __future__ import annotations

import struct
from math import gcd
from typing import NamedTuple

import numpy as np

from . import whole as files
from .problems import FormatError, Problems, existing

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
CODECS = {2: "MS ADPCM", 6: "A-law", 7: "mu-law", 17: "IMA ADPCM", 49: "GSM 6.10", 85: "MP3"}
GUID = bytes.fromhex("000000001000800000aa00389b71")     # the rest of the code of an extensible format that is a plain format tag
RATES = (1, 1_000_000)                                  # samples per second that can be meant
CONVERT = "convert it to PCM, for instance with `sox in.wav -e signed -b 16 out.wav`"
DAMAGED = "the file is damaged; fetch it again"
REFETCH = "the file may not have been copied to the end; fetch it again, or take what is there with strict=False"


class Wav(NamedTuple):
    """A recording."""
    signal: np.ndarray      # (N,) float64, full scale 1
    rate: int               # samples per second
    problems: dict          # kind -> count of what strict=False passed over


class Layout(NamedTuple):
    """What a fmt chunk says."""
    tag: int
    channels: int
    rate: int
    width: int              # bytes of a sample


def read(source, *, rate: int | None = None, resample: bool = False, channel: int | str | None = None, strict: bool = True,
         name: str | None = None) -> Wav:
    """A WAV file as one signal.

    source: a path, or the bytes of a file (a member of a zip), for which `name` stands in messages.
    rate: samples per second that are needed; a file of another rate is refused, or with resample=True resampled (polyphase, Kaiser window).
    channel: for files of several channels: which one (from 0), or "mean"; None accepts one channel only.
    strict: raise FormatError at data cut short, at half a frame, and at sizes that are not so; otherwise take what is there.
    """
    data, name = _content(source, name)
    problems = Problems(name, strict)
    layout, first, size = _find(data, problems)
    frame = layout.width * layout.channels
    if size % frame:
        problems.found("half a frame at the end of the data", f"{size:,} bytes are no multiple of {frame}", first + size - size % frame,
                       REFETCH)
    samples = _samples(data, first, size // frame, layout, name)
    signal = _one_channel(samples, channel, name)
    if rate is not None and rate != layout.rate:
        if not resample:
            raise FormatError(name, f"the recording has {layout.rate:,} samples per second, {rate:,} are needed",
                              remedy="resample=True resamples it")
        signal = resampled(signal, layout.rate, rate)
    return Wav(signal, layout.rate if rate is None else rate, dict(problems.counts))


def resampled(signal, old: int, new: int) -> np.ndarray:
    """A signal (N,) of `old` samples per second at `new` ones, by scipy.signal.resample_poly: ceil(N new / old) samples."""
    for what, value in (("old", old), ("new", new)):
        if not RATES[0] <= value <= RATES[1] or int(value) != value:
            raise ValueError(f"the {what} rate must be a whole number of samples per second from {RATES[0]} to {RATES[1]:,}; got {value!r}")
    if new > 64 * old:
        raise ValueError(f"resampling from {old:,} to {new:,} samples per second would lengthen the signal more than 64 times; "
                         f"is the rate of the file right?")
    common = gcd(int(old), int(new))
    if max(old, new) // common > 50_000:        # the filter is 20 times as long
        raise ValueError(f"the rates {old:,} and {new:,} have no ratio of small numbers; resample to another rate, or with another program")
    if old == new or not len(signal):
        return np.asarray(signal, np.float64)
    from scipy.signal import resample_poly
    return resample_poly(np.asarray(signal, np.float64), int(new) // common, int(old) // common)


def _content(source, name):
    """(bytes, name) of a path or of bytes; a path is looked at before it is read whole."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        data, name = bytes(source), name or "WAV data"
        if not data:
            raise FormatError(name, "there are no bytes", remedy="it may not have been downloaded to the end; fetch it again")
        _check_magic(data[:12], name)
        return data, name
    path = existing(source)
    with path.open("rb") as file:
        head = file.read(12)
        _check_magic(head, name or path)
        if path.stat().st_size > 2 ** 32 + 8:
            raise FormatError(name or path, f"{path.stat().st_size:,} bytes are more than a WAV file can hold", remedy="cut it into pieces")
        return head + file.read(), name or path


def _check_magic(head, name):
    if head[:4] in (b"RIFX", b"RF64", b"FORM", b"fLaC", b"OggS", b"caff") or head[:3] == b"ID3":
        raise FormatError(name, f"the file begins with {bytes(head[:4])!r}: another sound format", 0, CONVERT)
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        raise FormatError(name, f'expected a WAV file, "RIFF", size, "WAVE"; it begins with {bytes(head)!r}', 0, "is it a sound file?")


def _find(data, problems) -> tuple[Layout, int, int]:
    """(layout, first byte, bytes) of the samples."""
    name, layout, at = problems.path, None, 12
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        first, there = at + 8, min(size, len(data) - at - 8)
        if kind == b"fmt ":
            layout = _layout(data[first:first + min(there, 40)], first, name)
        elif kind == b"data":
            if layout is None:
                raise FormatError(name, 'the "data" chunk comes before "fmt "', at, DAMAGED)
            if there < size:
                problems.found("the data are cut short", f"{size:,} bytes announced, {there:,} are there", at + 4, REFETCH)
            return layout, first, there
        at = first + size + size % 2
    missing = '"data" chunk' if layout else '"fmt " chunk'
    raise FormatError(name, f"there is no {missing}", min(at, len(data)), "the file is damaged or cut short; fetch it again")


def _layout(chunk, at, name) -> Layout:
    if len(chunk) < 16:
        raise FormatError(name, f'the "fmt " chunk must have at least 16 bytes; got {len(chunk)}', at, DAMAGED)
    tag, channels, rate, _, frame, bits = struct.unpack_from("<HHIIHH", chunk)
    if tag == EXTENSIBLE:
        if len(chunk) < 40 or chunk[26:40] != GUID:
            raise FormatError(name, "an extensible format that is neither PCM nor float", at, CONVERT)
        tag = struct.unpack_from("<H", chunk, 24)[0]
    if tag not in (PCM, FLOAT):
        raise FormatError(name, f"the samples are coded as {CODECS.get(tag, f'format {tag}')}; PCM and float are read", at, CONVERT)
    if not channels or not RATES[0] <= rate <= RATES[1]:
        raise FormatError(name, f"{channels} channels, {rate:,} samples per second cannot be", at + 2, DAMAGED)
    width = (bits + 7) // 8
    if width not in ((1, 2, 3, 4) if tag == PCM else (4, 8)) or bits % 8 and tag == FLOAT:
        kind = "PCM" if tag == PCM else "float"
        raise FormatError(name, f"{bits} bits per sample ({kind}); read are PCM up to 32 bits, float of 32 and 64", at + 14, CONVERT)
    if frame != width * channels:
        raise FormatError(name, f"{channels} channels of {bits} bits need {width * channels} bytes a frame; the file says {frame}", at + 12,
                          DAMAGED)
    return Layout(tag, channels, rate, width)


def _samples(data, first, frames, layout, name) -> np.ndarray:
    """(frames, channels) float64."""
    shape, n, width = (frames, layout.channels), frames * layout.channels, layout.width
    if layout.tag == FLOAT:
        samples = np.frombuffer(data, f"<f{width}", n, first).astype(np.float64)
        bad = ~np.isfinite(samples)
        if bad.any():
            at = int(bad.argmax())
            raise FormatError(name, f"a sample is {samples[at]}", first + at * width, "clean the recording first")
        return samples.reshape(shape)
    if width == 1:
        return (np.frombuffer(data, np.uint8, n, first).reshape(shape) - 128.0) / 128
    if width == 3:      # into the upper three bytes of 32 bits
        wide = np.zeros((n, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8, 3 * n, first).reshape(n, 3)
        return wide.view("<i4").reshape(shape) / 2.0 ** 31
    return np.frombuffer(data, f"<i{width}", n, first).reshape(shape) / 2.0 ** (8 * width - 1)


def _one_channel(samples, channel, name):
    channels = samples.shape[1]
    if channel == "mean":
        return samples.mean(1)
    if channel is None:
        if channels > 1:
            raise FormatError(name, f"the recording has {channels} channels, one is needed", remedy='choose: channel=0, ..., or "mean"')
        channel = 0
    if isinstance(channel, bool) or not isinstance(channel, (int, np.integer)) or not 0 <= channel < channels:
        raise ValueError(f'{name}: channel must be 0 ... {channels - 1}, or "mean"; got {channel!r}')
    return np.ascontiguousarray(samples[:, channel])


# ---- writing


def encoded(signal, rate: int, bits: int = 16) -> bytes:
    """The bytes of a PCM WAV file.  signal: (N,) or (N, channels), within [-1, 1]; rounded to the nearest step of 2^(1 - bits)."""
    signal = np.asarray(signal)
    float_frames = np.issubdtype(signal.dtype, np.floating) and (signal.ndim == 1 or signal.ndim == 2 and 0 < signal.shape[1] < 16384)
    if not float_frames:
        raise ValueError(f"expected a float signal (N,) or (N, channels) within [-1, 1]; got {signal.dtype} of shape {signal.shape}")
    if signal.size and not np.abs(signal).max() <= 1:
        raise ValueError(f"the signal must lie within [-1, 1], without NaN; its largest magnitude is {np.abs(signal).max()}; scale it")
    if bits not in (8, 16, 24, 32):
        raise ValueError(f"PCM is written with 8, 16, 24 or 32 bits; got {bits!r}")
    if not RATES[0] <= rate <= RATES[1] or int(rate) != rate:
        raise ValueError(f"rate must be a whole number of samples per second from {RATES[0]} to {RATES[1]:,}; got {rate!r}")
    channels, width = 1 if signal.ndim == 1 else signal.shape[1], bits // 8
    if signal.size * width > 2 ** 32 - 64:
        raise ValueError(f"{signal.size * width:,} bytes of samples are more than a WAV file can hold; cut the recording into pieces")
    half = 2.0 ** (bits - 1)
    whole = np.clip(np.rint(signal.astype(np.float64) * half), -half, half - 1)
    if bits == 8:
        data = (whole + 128).astype(np.uint8).tobytes()
    elif bits == 24:
        data = whole.astype("<i4").reshape(-1, 1).view(np.uint8)[:, :3].tobytes()
    else:
        data = whole.astype(f"<i{width}").tobytes()
    pad = b"\0" * (len(data) % 2)
    frame = channels * width
    layout = struct.pack("<4sIHHIIHH", b"fmt ", 16, PCM, channels, int(rate), int(rate) * frame % 2 ** 32, frame, bits)
    head = struct.pack("<4sI4s", b"RIFF", 4 + len(layout) + 8 + len(data) + len(pad), b"WAVE")
    return head + layout + struct.pack("<4sI", b"data", len(data)) + data + pad


def write(path, signal, rate: int, bits: int = 16) -> None:
    """Write a signal as a PCM WAV file (see `encoded`); an existing file stays whole until the new one is."""
    data = encoded(signal, rate, bits)
    with files.whole(path) as part:
        part.write_bytes(data)
