"""Spoken words: Free Spoken Digits and Google Speech Commands.

They come as recordings, as spikes of a cochlea, as log-mel features.

Free Spoken Digits (Jackson et al., github.com/Jakobovski/free-spoken-digit-dataset):
`digit_speaker_index.wav`, 8 kHz; 10 digits,
6 speakers, 50 times each.  The published split: indices 0 ... 4 are the test part (300 recordings), 5 ... 49
the training part (2700).

Speech Commands (Warden, arXiv 1804.03209): `word/speaker_nohash_k.wav`, 16 kHz, up to a second.
validation_list.txt and testing_list.txt say what is not for training; without them the rule by which they
were made: sha1 of the name without `_nohash_...`, mod 2^27, below a tenth of 2^27 - 1: validation, below a
fifth: test.  So a speaker is in one part only.  `_background_noise_` holds long recordings of noise.

A source is a folder or a zip file, as it was downloaded; folders on the way to the recordings do not matter.
Recordings of one's own become spikes by `write_spikes`.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ..checked import checked, what_it_is
from ..formats import shd, wav
from ..formats.problems import FormatError
from ..formats.source import RATIO, is_wanted
from ..signals import audio
from .dataset import Dataset

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PARTS = ("train", "valid", "test")
FSDD_RATE, COMMANDS_RATE = 8000, 16000
FSDD_NAME = re.compile(r"(\d)_([a-z]+)_(\d+)\.wav")
LARGEST = 64 * 2 ** 20          # bytes of a file; the longest recording of both sets has 3 MB
NOISE = "_background_noise_"
CORE = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
OTHERS = ("backward", "bed", "bird", "cat", "dog", "follow", "forward", "happy", "house", "learn", "marvin",
          "sheila", "tree", "visual", "wow")
WORDS = tuple(sorted((*CORE, *DIGITS, *OTHERS)))


class Recording(NamedTuple):
    """One spoken word."""
    name: str               # of its file
    label: int              # index into the classes
    speaker: str
    signal: np.ndarray      # (T,) float64, full scale 1


class Sounds:
    """The sound files and lists below a folder or in a zip file: names, by path from the top, and what is in
    them."""

    @checked
    def __init__(self, path: Path | str):
        self.path = Path(path)
        self.zip = None
        if self.path.is_dir():
            wanted = (p for p in self.path.rglob("*") if p.suffix in (".wav", ".txt"))
            self.names = sorted(filter(is_wanted, (p.relative_to(self.path).as_posix() for p in wanted)))
            return
        if not self.path.is_file():
            raise FileNotFoundError(f"no folder or zip file {self.path}")
        try:
            self.zip = zipfile.ZipFile(self.path)
        except Exception as error:      # zipfile raises many kinds for damaged files
            raise FormatError(self.path, f"cannot be read as a zip file ({type(error).__name__}: {error})",
                              remedy="give the folder of the recordings or a zip file of it; "
                                     "a tar file must be unpacked first") from error
        of_sounds = (name for name in self.zip.namelist() if name.endswith((".wav", ".txt")))
        self.names = sorted(filter(is_wanted, of_sounds))

    def where(self, name: str) -> str:
        """How an error names this file."""
        return f"{self.path}/{name}"

    def read(self, name: str) -> bytes:
        """The bytes of a file."""
        if self.zip is not None:
            return self._unpacked(self.zip, name)
        self._check_size(name, (self.path / name).stat().st_size)
        return (self.path / name).read_bytes()

    def _check_size(self, name, size):
        if size > LARGEST:
            raise FormatError(self.where(name),
                              f"has {size:,} bytes, more than the {LARGEST:,} of any recording of these sets")

    def _unpacked(self, archive, name):
        """The bytes of a member of the zip file."""
        info = archive.getinfo(name)
        size, packed = info.file_size, info.compress_size
        self._check_size(name, size)
        # zipfile believes the sizes, and reserves memory for them
        known_method = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        if not known_method or packed > self.path.stat().st_size or size > RATIO * packed + 64:
            raise FormatError(self.where(name),
                              f"claims to hold {size:,} bytes in {packed:,}, method {info.compress_type}",
                              remedy="members must be stored or deflated; the zip file may be damaged")
        try:
            return archive.read(name)
        except Exception as error:      # as above
            raise FormatError(self.where(name), f"cannot be unpacked ({type(error).__name__}: {error})",
                              remedy="the zip file may be damaged, fetch it again") from error

    def signal(self, name: str, rate: int) -> np.ndarray:
        """The samples of a recording, which must have this rate."""
        return wav.read(self.read(name), rate=rate, name=self.where(name)).signal


def _part(part):
    if part not in PARTS:
        raise ValueError(f"part must be one of {', '.join(map(repr, PARTS))}; got {part!r}")


@checked
def write_spikes(path: Path | str, recordings: Iterable[Recording], classes: Sequence[str], rate: int, *,
                 units: int = 700, rms: float = 0.1, dtype: DTypeLike = "float16",
                 speakers: Iterable[str] = (), source: str = "", **settings: Any) -> int:
    """Write recordings of sound as spikes of a cochlea, in the layout of the Spiking Heidelberg Digits.

    The answer is how many they were.

    recordings: read one at a time, whatever their number.
    classes: names of the labels.  rate: samples per second.
    rms: the root mean square to which each recording is scaled first, since speakers and microphones differ
    by 20 dB and more.
    units, settings: of `audio.Cochlea`.  dtype: of the times, see `formats.shd.write`.  source: what the
    recordings are.
    speakers: names in the order in which extra/speaker counts them; others are appended as they come.  They
    are in extra/meta_info/name.
    """
    ear = audio.Cochlea(rate, units, **settings)
    known = list(speakers)

    def trains():
        for r in recordings:
            if not isinstance(r, Recording):
                raise TypeError(f"write_spikes: recordings must be Recordings; got {what_it_is(r)}")
            if r.speaker not in known:
                known.append(r.speaker)
            times, places = ear.run(audio.normalise(r.signal, rms))[:2]
            yield shd.Train(times, places, r.label, known.index(r.speaker))

    from .. import __version__
    origin = f"{source or 'recordings of sound'}; RMS {rms:g} through {ear!r}"
    return shd.write(path, trains(), classes, units=units, dtype=dtype, speakers={"name": known},
                     numsnn_version=__version__, source=origin)


# ---- Free Spoken Digits


@checked
def fsdd(source: Path | str, part: str, *,
         hold_out: str | Iterable[str] | None = None) -> Iterator[Recording]:
    """The recordings of a part of Free Spoken Digits, label = digit, in the order of their names.

    hold_out: what the validation part is and the training part is not: None (there is no validation part),
    "index" (of each speaker and digit the recordings 5 ... 9: 300), or the name of a speaker, or several
    (their training recordings).  The test part is always the published one.
    """
    _part(part)
    files = Sounds(source)
    found = _digits(files)
    held = _held_out(hold_out, {f.speaker for f in found}, part)

    def part_of(f):
        if f.number < 5:
            return "test"
        return "valid" if held(f.speaker, f.number) else "train"

    wanted = [f for f in found if part == part_of(f)]
    return (Recording(f.name, f.digit, f.speaker, files.signal(f.name, FSDD_RATE)) for f in wanted)


class _Digit(NamedTuple):
    """What the name of a recording says."""
    name: str
    digit: int
    speaker: str
    number: int


def _digits(files):
    """The recordings, in the order of their names."""
    found = []
    for name in files.names:
        match = FSDD_NAME.fullmatch(PurePosixPath(name).name)
        if match:
            found.append(_Digit(name, int(match[1]), match[2], int(match[3])))
    if not found:
        raise ValueError(f"{files.path} holds no recordings named digit_speaker_index.wav; "
                         f"give the folder recordings/ or a zip file of it")
    return found


def _held_out(hold_out, speakers, part):
    """(speaker, index) -> is it for validation?"""
    if hold_out is None:
        if part == "valid":
            raise ValueError('Free Spoken Digits has no validation part of its own: say hold_out="index", '
                             'or the speakers to hold out')
        return lambda speaker, index: False
    if hold_out == "index":
        return lambda speaker, index: index < 10
    names = {hold_out} if isinstance(hold_out, str) else set(hold_out)
    if not names or not names < speakers:
        raise ValueError(f'hold_out must be None, "index", or some of the speakers '
                         f'{", ".join(sorted(speakers))}; got {hold_out!r}')
    return lambda speaker, index: speaker in names


@checked
def fsdd_spikes(source: Path | str, path: Path | str, part: str, *,
                hold_out: str | Iterable[str] | None = None, **options: Any) -> int:
    """Write a part of Free Spoken Digits as spikes, see `write_spikes`; the number of recordings.

    extra/speaker counts the speakers in alphabetical order, the same in every part.
    options: units, rms, dtype, settings of the cochlea.
    """
    speakers = sorted({f.speaker for f in _digits(Sounds(source))})
    recordings = fsdd(source, part, hold_out=hold_out)
    return write_spikes(path, recordings, DIGITS, FSDD_RATE, speakers=speakers,
                        source=f"Free Spoken Digit Dataset (CC BY-SA 4.0), {part} part", **options)


# ---- Google Speech Commands


@checked
def commands_part(name: str, valid: float = 0.1, test: float = 0.1) -> str:
    """The part that the published rule gives a file name: "train", "valid" or "test"."""
    stem = re.sub(r"_nohash_.*$", "", PurePosixPath(name).name)
    number = int(hashlib.sha1(stem.encode()).hexdigest(), 16)
    share = number % 2 ** 27 / (2 ** 27 - 1)
    if share < valid:
        return "valid"
    return "test" if share < valid + test else "train"


@checked
def commands(source: Path | str, part: str, *, classes: int | Sequence[str] = 35, unknown: float | None = 0.1,
             silence: float = 0.1, limit: int | None = None, seed: int = 0) -> Iterator[Recording]:
    """The recordings of a part of Speech Commands, word by word.

    Each is a second long; shorter ones are padded with zeros at the end.

    classes: 35, the words of version 0.02 in alphabetical order (0.01 has 30 of them); 12, the ten command
    words, "unknown", "silence"; or a sequence of words, among which "unknown" and "silence" have that
    meaning.
    unknown: recordings of the other words, as many as this share of the words' own, drawn at random; None:
    all.
    silence: pieces of the background noise, as many as this share of the words' own, at random loudness.
    limit: at most so many recordings of a word.
    seed: of the draws.

    The share of noise of each part comes from its own stretch of the noise recordings (80, 10, 10 %); this
    and the shares are ours.
    """
    _part(part)
    files = Sounds(source)
    names = class_names(classes)
    files_of = _by_word(files, part)
    chosen = []
    for word in names:
        chosen += [(word, name) for name in files_of.get(word, [])[:limit]]
    if not chosen:
        raise ValueError(f"{source} holds no recordings word/speaker_nohash_k.wav of the {part} part for the "
                         f"words {', '.join(names[:12])}")
    n_own = len(chosen)
    rng = np.random.default_rng([seed, PARTS.index(part)])
    if "unknown" in names:
        others = []
        for word in sorted(files_of):
            if word not in names:
                others += files_of[word][:limit]
        n = len(others) if unknown is None else min(len(others), round(unknown * n_own))
        chosen += [("unknown", others[i]) for i in np.sort(rng.permutation(len(others))[:n])]
    spoken = (Recording(name, names.index(word), _speaker(name), _second(files, name))
              for word, name in chosen)
    if "silence" not in names or not silence:
        return spoken
    return _then_noise(spoken, files, part, round(silence * n_own), names.index("silence"), rng)


@checked
def class_names(classes: int | Sequence[str]) -> tuple[str, ...]:
    """The names of the classes of `commands`."""
    if isinstance(classes, (int, np.integer)):
        names = {35: WORDS, 12: (*CORE, "unknown", "silence")}.get(classes, ())
    else:
        names = tuple(classes)
    if not names or isinstance(classes, str) or not all(isinstance(name, str) for name in names) \
            or len(set(names)) < len(names):
        raise ValueError(f"classes must be 35, 12, or different words; got {classes!r}")
    return names


def _by_word(files, part) -> dict[str, list[str]]:
    """word -> names of the part's recordings, sorted."""
    listed = _listed(files)
    words: dict[str, list[str]] = {}
    for name in files.names:
        path = PurePosixPath(name)
        if path.suffix == ".wav" and "_nohash_" in path.name and len(path.parts) > 1:
            word = path.parts[-2]
            own_part = listed.get(f"{word}/{path.name}", "train") if listed else commands_part(name)
            if part == own_part:
                words.setdefault(word, []).append(name)
    return words


def _listed(files) -> dict[str, str]:
    """word/file -> its part, from the lists of the validation part and of the test part."""
    part_of_list = {"validation_list.txt": "valid", "testing_list.txt": "test"}
    listed: dict[str, str] = {}
    for name in files.names:
        part = part_of_list.get(PurePosixPath(name).name)
        if part:
            text = files.read(name).decode(errors="replace")
            listed |= dict.fromkeys(text.split(), part)
    return listed


def _speaker(name):
    return PurePosixPath(name).name.split("_nohash_")[0]


def _second(files, name):
    signal = files.signal(name, COMMANDS_RATE)
    if not 0 < len(signal) <= COMMANDS_RATE:
        raise FormatError(files.where(name), f"expected up to a second of sound; "
                                             f"got {len(signal)} samples at {COMMANDS_RATE} a second",
                          remedy="is it a file of Speech Commands?")
    return np.pad(signal, (0, COMMANDS_RATE - len(signal)))


def _then_noise(spoken, files, part, n, label, rng):
    yield from spoken
    of_noise = (name for name in files.names if PurePosixPath(name).parent.name == NOISE)
    names = [name for name in of_noise if name.endswith(".wav")]
    if not names:
        raise ValueError(f"{files.path} has no {NOISE}/*.wav, of which silence is made: add them, "
                         f"or give silence=0")
    first, last = {"train": (0, 0.8), "valid": (0.8, 0.9), "test": (0.9, 1)}[part]
    pieces_of_each = rng.multinomial(n, [1 / len(names)] * len(names))
    for name, pieces in zip(names, pieces_of_each, strict=True):
        noise = files.signal(name, COMMANDS_RATE) if pieces else np.empty(0)
        noise = noise[int(first * len(noise)):int(last * len(noise))]
        for _ in range(pieces):
            at = rng.integers(0, max(1, len(noise) - COMMANDS_RATE + 1))
            piece = noise[at:at + COMMANDS_RATE] * rng.uniform()
            yield Recording(f"{name}@{at}", label, NOISE, np.pad(piece, (0, COMMANDS_RATE - len(piece))))


@checked
def speech_commands(source: Path | str, part: str, *, classes: int | Sequence[str] = 35,
                    unknown: float | None = 0.1, silence: float = 0.1, limit: int | None = None,
                    seed: int = 0, **features: Any) -> Dataset:
    """A part of Speech Commands as log-mel features with their deltas.

    x is (101, B, 120) float32, groups: the speakers.  The whole training part of 35 words is 4 GB.
    classes, unknown, silence, limit, seed: see `commands`; features: of `audio.log_mel`.
    """
    rows, labels, speakers = [], [], []
    recordings = commands(source, part, classes=classes, unknown=unknown, silence=silence, limit=limit,
                          seed=seed)
    for r in recordings:
        rows.append(audio.log_mel(r.signal, COMMANDS_RATE, **features))
        labels.append(r.label)
        speakers.append(r.speaker)
    x = np.empty((len(rows[0]), len(rows), rows[0].shape[1]), np.float32)
    for i in reversed(range(len(rows))):
        x[:, i] = rows.pop()
    return Dataset(x, np.array(labels), groups=speakers, classes=class_names(classes),
                   name=f"Speech Commands, {part}",
                   source=f"Google Speech Commands (CC BY 4.0), log-mel features: {Path(source).name}")
