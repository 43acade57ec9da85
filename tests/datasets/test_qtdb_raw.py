"""The QT Database from its raw records.

They are compared, label by label, with the set that the SRNN's authors coded; and a record is made here.
"""

import numpy as np
import pytest

from numsnn.datasets import qtdb
from numsnn.formats import FormatError, wfdb

ABSENT = {"train": 96, "test": 21}         # sequences of the coded set whose records are not among our 90


@pytest.fixture(scope="module")
def records(data_folder):
    path = data_folder / "qtdb" / "qtdb_records.zip"
    if not path.is_file():
        pytest.skip(f"no records of the QT Database at {path}")
    return path


@pytest.fixture(scope="module")
def both(records, data_folder):
    """Part -> (from raw records, as coded by the authors)."""
    folder = data_folder / "qtdb_coded"
    if not folder.is_dir():
        pytest.skip(f"no coded QT Database in {folder}")
    return {part: (qtdb.raw(records, part, unit="range"), qtdb.coded(folder, part)) for part in qtdb.FILES}


def matches(ours, theirs):
    """For each of our sequences the one of theirs that has the same labels in every step, or -1."""
    key = lambda data, b: data.y[:, b].tobytes() + data.labelled[:, b].tobytes()
    places = {key(theirs, b): b for b in range(len(theirs))}
    return np.array([places.get(key(ours, b), -1) for b in range(len(ours))])


@pytest.mark.parametrize("part", ["train", "test"])
def test_the_labels_of_the_coded_set_are_made_again_bit_for_bit(both, part):
    """Each sequence of our records is in the authors' part, in their order, with their label in each step."""
    ours, theirs = both[part]
    found = matches(ours, theirs)
    assert (found >= 0).all()
    assert (np.diff(found) > 0).all()
    assert len(theirs) - len(ours) == ABSENT[part]
    assert (ours.mask == theirs.mask[:, found]).all()
    assert ours.classes == theirs.classes


def test_the_split_is_by_record(both, records):
    train, test = (set(both[part][0].groups) for part in ("train", "test"))
    assert (len(train), len(test)) == (64, 17)
    assert not train & test
    assert max(train) < min(test) == "sele0133"
    assert len(qtdb.names(records)) == 88
    assert not set(qtdb.LEFT_OUT) & set(qtdb.names(records))


@pytest.mark.parametrize("part", ["train", "test"])
def test_the_spikes_resemble_the_coded_ones(both, part):
    """As many, in the same step in two of three cases, and one step earlier or later less often."""
    ours, theirs = both[part]
    x, other = ours.x.dense(bool), theirs.x.dense(bool)[:, matches(ours, theirs)]
    assert 0.9 < x.mean() / other.mean() < 1.1
    inner, agree = x[10:-10], []
    for shift in (-1, 0, 1):
        shifted = other[10 + shift:1290 + shift]
        agree.append(2 * (inner & shifted).sum() / (inner.sum() + shifted.sum()))
    assert agree[1] > 0.66
    assert agree[1] == max(agree)


def test_the_coded_spikes_do_not_follow_from_the_samples_alone(both):
    """Two coded sequences of a record share 300 samples; a third of their spikes there differ.

    So none of ours could agree in all.
    """
    ours, theirs = both["train"]
    x, where, records = theirs.x.dense(bool), matches(ours, theirs), ours.groups
    agree = np.zeros((2, 2))
    for b in range(len(ours) - 1):
        if records[b] == records[b + 1] and ours.labelled[-1, b + 1]:
            first, second = x[1000:, where[b]], x[:300, where[b + 1]]
            for half in (0, 1):
                one, two = (s[5 + 145 * half:150 + 145 * half] for s in (first, second))
                agree[half] += 2 * (one & two).sum(), one.sum() + two.sum()
    early, late = agree[:, 0] / agree[:, 1]
    assert 0.64 < early < 0.72
    assert abs(early - late) < 0.02


def test_some_records_in_millivolts_and_without_delay(records):
    coded = qtdb.raw(records, records=["sel100", "sele0612"], delay=0)
    assert coded.x.shape == (1300, 6 + 10, 4)
    assert set(coded.groups) == {"sel100", "sele0612"}
    assert "0.03 mV, delay 0" in coded.source
    # without delay the R peak stands where QR turns into RS
    windows = qtdb.signals(records, records=["sel100"])
    assert windows.signal.shape == (1300, 6, 2)
    assert windows.lengths.tolist() == [1300] * 5 + [1029]
    for b in range(6):
        turns = np.flatnonzero((windows.labels[:-1, b] == 2) & (windows.labels[1:, b] == 3))
        for t in turns[(turns > 20) & (turns < 1270)]:
            assert abs(int(windows.signal[t - 20:t + 20, b, 0].argmax()) - 20) <= 3
    assert not coded.x.dense()[1100:, 5].any(), "nothing spikes behind the end of a record"
    with pytest.raises(ValueError, match="no record with complete beats"):
        qtdb.raw(records, records=["sel102"])


# ---- a record made here: 4 beats of 200 steps, the third one after a pause

LIMITS = (0, 20, 30, 40, 50, 100)          # begin and end of P, begin, peak and end of QRS, end of T
BEATS = (400, 600, 1300, 1500)


def word(code, interval):
    return (code << 10 | interval).to_bytes(2, "little")


@pytest.fixture
def folder(tmp_path):
    write(tmp_path)
    return tmp_path


def write(folder, beats=BEATS, name="sel1", samples=2000, rate=250, tail=30):
    """A record with spikes of 1 mV at the R peaks."""
    signal = np.zeros((samples, 2), "<i2")
    marks = []
    for t in beats:
        signal[t + 40] = 200
        marks += [(t, 39), (t + 10, 24), (t + 20, 40)]                                  # P
        marks += [(t + 30, 39), (t + 40, 1), (t + 50, 40), (t + 80, 27), (t + 100, 40)]  # QRS, T
    marks += [(marks[-1][0] + tail, 29)] if tail else []
    times = np.diff([0] + [t for t, _ in marks])
    (folder / f"{name}.hea").write_text(f"{name} 2 {rate} {samples}\n" + f"{name}.dat 16 200 12 0 0\n" * 2)
    (folder / f"{name}.dat").write_bytes(signal.tobytes())
    words = [word(code, int(t)) for (_, code), t in zip(marks, times, strict=True)]
    (folder / f"{name}.q1c").write_bytes(b"".join(words) + b"\0\0")


def test_waves_and_timeline_by_hand(folder):
    found = wfdb.annotations(folder, "sel1", "q1c")
    assert qtdb.waves(found).tolist() == [[t + limit for limit in LIMITS] for t in BEATS]
    samples, labels = qtdb.timeline(found)
    beat, gap = [(0, 20), (1, 10), (2, 10), (3, 10), (4, 50)], [(5, 100)]
    expected = [(6, 150), *beat, *gap, *beat, (5, 149), (0, 19), *beat[1:], *gap, *beat, (5, 29)]
    assert labels.tolist() == [c for c, n in expected for _ in range(n)]
    assert samples.tolist() == [*range(250, 700 + 149), *range(1301, 1600 + 29)]
    windows = qtdb.signals(folder, delay=7)
    assert windows.labels.shape == (1300, 1)
    assert windows.labels[:, 0].tolist() == [6] * 7 + labels.tolist() + [6] * (1300 - 7 - len(labels))
    assert (windows.signal[:len(samples), 0, 0] > 0).sum() == 4


def test_the_last_beat_needs_something_behind_it(tmp_path):
    write(tmp_path, tail=0)
    found = wfdb.annotations(tmp_path, "sel1", "q1c")
    assert len(qtdb.waves(found)) == 3
    samples, _ = qtdb.timeline(found)
    assert samples[-1] == 1300 + 100 + 149 - 1, "TP goes on to the last annotation, at most 149 steps"


def test_the_delay_of_the_coded_set(folder):
    plain, late = (qtdb.raw(folder, delay=delay) for delay in (0, 19))
    assert (plain.y[38:-19] == late.y[57:]).all()
    assert late.labelled[:19].all()
    assert not late.y[:38].any()
    assert not late.labelled[19:38].any()
    assert (plain.x.dense() == late.x.dense()).all()


def test_what_is_refused(folder):
    for options, message in (({"part": "valid"}, "parts 'train', 'test'; got 'valid'"),
                             ({"unit": "V"}, "unit must be 'mV' or 'range'; got 'V'"),
                             ({"delay": -1}, "delay must be from 0"),
                             ({"part": "test"}, "no record with complete beats in .*part 'test'.*physionet")):
        with pytest.raises(ValueError, match=message):
            qtdb.raw(folder, **options)
    with pytest.raises(FileNotFoundError, match="no folder or zip file"):
        qtdb.raw(folder / "none")
    for change in ({"rate": 360}, {"samples": 1620}):
        write(folder, **change)
        message = "expected 2 signals at 250 Hz that reach to the last annotation, sample 1,630"
        with pytest.raises(FormatError, match=message):
            qtdb.raw(folder)


def test_skipped_problems_are_told(folder):
    (folder / "sel1.q1c").write_bytes((folder / "sel1.q1c").read_bytes()[:-2])
    with pytest.raises(FormatError, match="no end mark"):
        qtdb.raw(folder)
    assert "skipped: {'no end mark': 1}" in qtdb.raw(folder, strict=False).source


def test_mutated_annotations(folder):
    from mutations import mutations, survives
    taken = 0
    for content in mutations((folder / "sel1.q1c").read_bytes(), 150):
        (folder / "sel1.q1c").write_bytes(content)
        taken += survives(lambda: qtdb.raw(folder, strict=False), 32 << 20)
    assert 0 < taken < 150
