"""QT Database: ECG waves of two leads, a label for every step.

It comes as the SRNN's authors coded it, or from raw PhysioNet records.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..checked import checked
from ..formats import mat, wfdb
from ..formats.problems import FormatError
from ..packages import needed
from ..signals.encode import level_crossing
from ..signals.spikes import Spikes
from .dataset import Dataset

CLASSES = ("P", "PQ", "QR", "RS", "ST", "TP")
FIRST = 10              # the first steps do not count, as in the authors' code
FILES = {"train": "QTDB_train.mat", "test": "QTDB_test.mat"}
CITATION = ("Laguna et al., A database for evaluation of algorithms for measurement of QT ..., "
            "Computers in Cardiology 24 (1997); "
            "Goldberger et al., PhysioBank ..., Circulation 101 (2000). Coding: Yin, Corradi, Bohte 2020.")
FROM = "the records (.hea, .dat, .q1c) are at physionet.org, QT Database 1.0.0, and may stay in one zip file"

# how the coded set was cut from the records, as found by comparing the two
ANNOTATOR = "q1c"
RATE = 250              # Hz
STEPS = 1300            # of a sequence
STRIDE = 1000           # from the begin of a sequence to that of the next
SHORTEST = 150          # steps of the last sequence of a record
BEFORE = 150            # steps without label before the first annotation
LONGEST_TP = 149        # steps
DELAY = 19              # steps by which labels come later than the signal
FIRST_TEST = "sele0133"
LEFT_OUT = ("sel104", "sel116")
TP = CLASSES.index("TP")
UNLABELLED = len(CLASSES)
BEAT = re.compile(r"\(p\)\(N\)\(?t+\)")                  # annotations of a complete beat
THRESHOLDS = {"mV": 0.03, "range": 0.013}


@checked
def coded(folder: Path | str, part: str) -> Dataset:
    """A part ("train" or "test") of the coded QT Database.

    folder holds QTDB_train.mat and QTDB_test.mat of the authors' repository: x (N, 1301, 4) spikes of two
    leads, up and down; y (N, 1301, 6) one-hot.  The last step is a filler (x is -1 there) and is dropped:
    1300 steps remain.  Steps without a label are class 0, as in the published accuracies; `labelled` tells
    them apart.  Steps before 10 do not count.
    """
    if part not in FILES:
        raise ValueError(f"QTDB has the parts {', '.join(map(repr, FILES))}; got {part!r}")
    path = Path(folder) / FILES[part]
    x, y = _read(path)
    if not np.isin(x[:, :-1], (0, 1)).all():
        raise ValueError(f"{path}: expected spikes 0 or 1 in x before the last step; "
                         f"got values from {x.min()} to {x.max()}")
    x = np.moveaxis(x[:, :-1], 1, 0)
    y = np.moveaxis(y[:, :-1], 1, 0)
    counts = np.broadcast_to(np.arange(len(x))[:, None] >= FIRST, x.shape[:2])
    return Dataset(Spikes.from_dense(x.astype(bool)), y.argmax(-1), mask=counts, labelled=y.any(-1),
                   classes=CLASSES, time_first=True, name=f"QTDB, {part}",
                   source=f"QT Database (PhysioNet), level-crossing coded: {path.name}")


class Windows(NamedTuple):
    """Sequences cut from records, time first.

    signal: (T, B, 2) float64, mV, behind the end of a record its last value.
    labels: (T, B) uint8, index into CLASSES or UNLABELLED.
    lengths: (B,) steps before the end of the record.
    records: (B,) the name of the record of each.
    problems: what was wrong in the files and skipped, kind -> how often (strict=False).
    """
    signal: np.ndarray
    labels: np.ndarray
    lengths: np.ndarray
    records: tuple[str, ...]
    problems: Counter


@checked
def names(source: Path | str, part: str | None = None) -> list[str]:
    """The records of a part that are in a folder or zip file.

    The split is that of the coded set: in the order of their names, records before sele0133 are for training,
    the others for the test, so that no record is in both.  sel104 and sel116 are in neither, as there.
    """
    if part not in (None, *FILES):
        raise ValueError(f"QTDB has the parts {', '.join(map(repr, FILES))}; got {part!r}")
    found = [name for name in wfdb.records(source) if name not in LEFT_OUT]
    if part is None:
        return found
    return [name for name in found if (name < FIRST_TEST) == (part == "train")]


@checked
def waves(annotations: wfdb.Annotations) -> np.ndarray:
    """(n, 6) samples of the complete normal beats.

    They are: begin of P, end of P, begin of QRS, its peak, end of QRS, end of T.
    """
    letters = "".join(annotations.symbols)
    found = []
    for beat in BEAT.finditer(letters):
        if beat.end() < len(letters):
            marks = [beat.start() + i for i in range(6)] + [beat.end() - 1]
            found.append(annotations.sample[marks])
    return np.array(found, np.int64).reshape(-1, 7)[:, [0, 2, 3, 4, 5, 6]]


@checked
def timeline(annotations: wfdb.Annotations) -> tuple[np.ndarray, np.ndarray]:
    """(sample, label) of each step of the annotated part of a record; both empty without a complete beat.

    Labels are uint8 as in `Windows`.  150 steps without label stand before the first annotation.  A beat is
    complete if P, QRS and T are annotated with their limits (the begin of T may be missing) and something
    follows; its steps are P, PQ, QR, RS, ST, up to the end of T.  TP fills the time to the next complete
    beat, 149 steps at most: what is left then is cut out, with the first step of P.  Behind the last beat it
    ends before the last annotation.
    """
    beats = waves(annotations)
    if not len(beats):
        return np.zeros(0, np.int64), np.zeros(0, np.uint8)
    first, last = annotations.sample[[0, -1]]
    samples = [np.arange(max(first - BEFORE, 0), first)]
    labels = [np.full(len(samples[0]), UNLABELLED)]
    end_of_beat = first
    for begin, *limits in beats:
        pause = np.arange(end_of_beat, min(begin, end_of_beat + LONGEST_TP))
        if begin - end_of_beat >= LONGEST_TP:
            begin += 1                                      # the first step of P is cut out, too
        end_of_beat = limits[-1]
        durations = np.diff(np.maximum.accumulate([begin, *limits]))
        samples += [pause, np.arange(begin, end_of_beat)]
        labels += [np.full(len(pause), TP), np.repeat(np.arange(TP), durations)]
    pause = np.arange(end_of_beat, min(end_of_beat + LONGEST_TP, max(last - 1, end_of_beat)))
    samples.append(pause)
    labels.append(np.full(len(pause), TP))
    return np.concatenate(samples), np.concatenate(labels).astype(np.uint8)


@checked
def signals(source: Path | str, part: str | None = None, records: Iterable[str] | None = None, delay: int = 0,
            strict: bool = True) -> Windows:
    """The annotated parts of raw records (`timeline`), cut into sequences of 1300 steps that begin every
    1000.

    A rest below 150 steps is left out.
    source: folder or zip file of WFDB records (.hea, .dat, .q1c).
    part: see `names`; records: take these instead.
    delay: steps by which the labels come later than the signal.
    strict: see `wfdb.read`.
    """
    problems: Counter[str] = Counter()
    cut = []
    for name in names(source, part) if records is None else records:
        cut += _cut(source, name, delay, strict, problems)
    if not cut:
        raise ValueError(f"no record with complete beats in {source}, part {part!r}. {FROM}")
    signal, labels, lengths, of = zip(*cut, strict=True)
    return Windows(np.stack(signal, 1), np.stack(labels, 1), np.array(lengths), of, problems)


def _cut(source, name, delay, strict, problems):
    """The windows of a record: (signal (T, 2), labels (T,), length, name)."""
    annotations = wfdb.annotations(source, name, ANNOTATOR, strict)
    problems += annotations.problems
    if not len(waves(annotations)):
        return
    record = wfdb.read(source, name, strict)
    last = int(annotations.sample[-1])
    problems += record.problems
    n_samples, n_signals = record.adc.shape
    if n_signals != 2 or record.header.rate != RATE or not 0 <= last < n_samples:
        raise FormatError(f"{source}, {name}", f"expected 2 signals at {RATE} Hz that reach to the last "
                                               f"annotation, sample {last:,}; got {n_signals} at "
                                               f"{record.header.rate:g} Hz with {n_samples:,} samples")
    samples, labels = timeline(annotations)
    signal = record.physical()[samples]
    for begin in range(0, max(len(samples) - SHORTEST, 0) + 1, STRIDE):
        steps = begin + np.arange(STEPS)
        late = steps - delay
        known = (late >= 0) & (late < len(samples))
        late_labels = np.where(known, labels[np.where(known, late, 0)], UNLABELLED)
        length = min(STEPS, len(samples) - begin)
        yield signal[np.minimum(steps, len(samples) - 1)], late_labels.astype(np.uint8), length, name


@checked
def raw(source: Path | str, part: str | None = None, records: Iterable[str] | None = None, *,
        unit: str = "mV", threshold: float | None = None, delay: int = DELAY, strict: bool = True) -> Dataset:
    """The QT Database from its raw records, in the form of `coded`.

    x is (1300, B, 4), spikes of two leads, up and down; y is (1300, B).

    source, part, records, strict: see `signals`.
    unit, threshold: of the level crossing (Savitzky-Golay filter 5, 3): "mV", by default 0.03; or "range", a
    part of the range of each lead in each sequence, by default 0.013, which comes closer to the coded set.
    delay: steps by which labels follow the signal.  In the coded set it is 19 (76 ms): the network is asked
    about a wave 76 ms after the samples came.  As there, the first `delay` steps are called P, and in the
    next ones only P is labelled.  0: labels where the waves are.

    The program that made the coded set is not published.  What is said here was found by comparing the set
    with the records.  Its labels are reproduced: `timeline`, windows, delay and split give every label of all
    its 642 sequences whose record we had (90 of 105 records).  Its spikes are not: even its own sequences,
    where two overlap and show the same samples, agree in 68 % of their spikes only, as much at their
    beginning as later, so the spikes depend on more than the samples around them (noise, or a state).  Ours
    agree with the coded ones in 68 % ("range"; mean rate 0.080, theirs 0.078) or 64 % ("mV"; 0.062), counted
    step by step.
    """
    if unit not in THRESHOLDS:
        raise ValueError(f"unit must be {' or '.join(map(repr, THRESHOLDS))}; got {unit!r}")
    if not 0 <= delay < STEPS // 2:
        raise ValueError(f"delay must be from 0 to {STEPS // 2 - 1} steps; got {delay!r}")
    threshold = THRESHOLDS[unit] if threshold is None else threshold
    signal, labels, lengths, of, problems = signals(source, part, records, delay, strict)
    if unit == "range":
        signal = signal / (np.ptp(signal, 0) + np.finfo(float).tiny)
    spikes = level_crossing(signal, threshold)
    spikes &= (np.arange(STEPS)[:, None] < lengths)[:, :, None]
    labels[:2 * delay][labels[:2 * delay] > 0] = UNLABELLED
    labels[:delay] = 0
    labelled = labels != UNLABELLED
    counts = np.broadcast_to(np.arange(STEPS)[:, None] >= FIRST, labels.shape)
    origin = (f"QT Database (PhysioNet), {len(set(of))} records, "
              f"coded by numsnn: threshold {threshold} {unit}, delay {delay}")
    skipped = f"; skipped: {dict(problems)}" if problems else ""
    return Dataset(Spikes.from_dense(spikes), np.where(labelled, labels, 0), mask=counts, labelled=labelled,
                   groups=np.array(of), classes=CLASSES, time_first=True,
                   name=f"QTDB from raw records{', ' * bool(part)}{part or ''}",
                   source=f"{origin}{skipped}. {CITATION}")


def _read(path):
    """(x, y) of a MATLAB 5 file, or an error that says what is wrong with it."""
    loadmat = needed("scipy.io", "a MATLAB file").loadmat
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; --data (or the folder argument) must name the folder that "
                                f"holds {' and '.join(FILES.values())}")
    try:
        mat.check(path)
        content = loadmat(path)
    except Exception as error:      # scipy raises many kinds for damaged files
        raise ValueError(f"{path} cannot be read as a MATLAB 5 file ({type(error).__name__}: {error}); "
                         f"it may be damaged or incomplete, fetch it again") from error
    for key, last in (("x", 4), ("y", 6)):
        a = content.get(key)
        if a is None or a.ndim != 3 or a.shape[2] != last or not np.issubdtype(a.dtype, np.number):
            got = "none" if a is None else f"{a.dtype} of shape {a.shape}"
            raise ValueError(f"{path}: expected an array {key} of shape (N, T, {last}); got {got}")
        if not np.isfinite(a).all():
            raise ValueError(f"{path}: {key} holds NaN or infinity")
    x, y = content["x"], content["y"]
    if x.shape[:2] != y.shape[:2] or not x.size or x.shape[1] < FIRST + 2:
        raise ValueError(f"{path}: expected x (N, T, 4) and y (N, T, 6) of equal, non-zero N and "
                         f"T > {FIRST + 1}; got {x.shape} and {y.shape}")
    return x, y
