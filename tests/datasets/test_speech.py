"""Spoken words: the real sets, Speech Commands made by hand, spikes in SHD layout, damaged files."""

import hashlib
import zipfile
from collections import Counter

import numpy as np
import pytest
from mutations import modest, mutations, survives

from numsnn.datasets import shd as reader, speech
from numsnn.formats import FormatError, shd, wav
from numsnn.signals.audio import cochlea, log_mel, normalise

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")


@pytest.fixture(scope="module")
def digits(data_folder):
    path = data_folder / "fsdd" / "fsdd_recordings.zip"
    if not path.is_file():
        pytest.skip(f"no Free Spoken Digits at {path}")
    return path


@pytest.fixture(scope="module")
def words(data_folder):
    path = data_folder / "speech_commands_3words" / "speech_commands_v0.01_3words.zip"
    if not path.is_file():
        pytest.skip(f"no Speech Commands at {path}")
    return path


# ---- Free Spoken Digits


def test_the_real_spoken_digits(digits):
    parts = {part: list(speech.fsdd(digits, part)) for part in ("train", "test")}
    assert [len(p) for p in parts.values()] == [2700, 300]
    assert len({r.name for p in parts.values() for r in p}) == 3000
    for part, each in (("train", 45), ("test", 5)):
        expected = {(digit, speaker): each for digit in range(10) for speaker in SPEAKERS}
        assert Counter((r.label, r.speaker) for r in parts[part]) == expected
    seconds = [len(r.signal) / 8000 for p in parts.values() for r in p]
    assert 0.14 < min(seconds) < 0.15
    assert 2.2 < max(seconds) < 2.3
    assert max(np.abs(r.signal).max() for r in parts["test"]) <= 1


def test_the_validation_parts_of_the_spoken_digits(digits):
    whole = {r.name for r in speech.fsdd(digits, "train")}
    for hold_out, n in (("index", 300), ("theo", 450), (("george", "lucas"), 900)):
        train, valid = ([*speech.fsdd(digits, part, hold_out=hold_out)] for part in ("train", "valid"))
        assert (len(train), len(valid)) == (2700 - n, n)
        assert {r.name for r in train} | {r.name for r in valid} == whole
        if hold_out == "index":
            assert {r.speaker for r in valid} == set(SPEAKERS)
        else:
            held = {hold_out} if isinstance(hold_out, str) else set(hold_out)
            assert {r.speaker for r in valid} == held == set(SPEAKERS) - {r.speaker for r in train}
    for hold_out, message in ((None, "no validation part of its own"),
                              ("nobody", "some of the speakers george"),
                              ((), "some of the speakers"),
                              (SPEAKERS, "some of the speakers")):
        with pytest.raises(ValueError, match=message):
            speech.fsdd(digits, "valid", hold_out=hold_out)
    with pytest.raises(ValueError, match="part must be one of 'train', 'valid', 'test'; got 'all'"):
        speech.fsdd(digits, "all")


@pytest.fixture
def few(digits, tmp_path):
    """A folder of 36 real recordings, of every digit and speaker some."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    with zipfile.ZipFile(digits) as archive:
        for i, name in enumerate(sorted(archive.namelist())):
            if i % 87 == 3 or name in ("3_theo_0.wav", "8_lucas_4.wav"):
                (folder / name).write_bytes(archive.read(name))
    return folder


def test_folder_and_zip_hold_the_same(few, tmp_path):
    with zipfile.ZipFile(tmp_path / "few.zip", "w") as archive:
        for path in few.iterdir():
            archive.write(path, f"free-spoken-digit-dataset/recordings/{path.name}")
        archive.writestr("free-spoken-digit-dataset/README.md", "text")
    for part in ("train", "test"):
        a, b, c = ([*speech.fsdd(source, part)] for source in (few, tmp_path / "few.zip", few.parent))
        assert len(a) == len(b) == len(c) > 1
        for x, y in zip(a, b, strict=True):
            assert (x.label, x.speaker, x.signal.tobytes()) == (y.label, y.speaker, y.signal.tobytes())


def test_spikes_of_digits_in_shd_layout(few, tmp_path):
    import h5py
    n = speech.fsdd_spikes(few, tmp_path / "train.h5", "train", units=64)
    signals = list(speech.fsdd(few, "train"))
    assert n == len(signals) > 20
    with h5py.File(tmp_path / "train.h5") as file:
        assert file["spikes/times"].dtype == h5py.vlen_dtype(np.float16)
        assert file["spikes/units"].dtype == h5py.vlen_dtype(np.uint16)
        assert [k.decode() for k in file["extra/keys"]] == list(speech.DIGITS)
        names = [s.decode() for s in file["extra/meta_info/name"]]
        assert names == sorted(names)
        assert [names[i] for i in file["extra/speaker"]] == [r.speaker for r in signals]
        assert file["labels"][()].tolist() == [r.label for r in signals]
        for i, r in enumerate(signals):
            times, units = cochlea(normalise(r.signal), 8000, 64)
            assert (file["spikes/times"][i] == times.astype(np.float16)).all()
            assert (file["spikes/units"][i] == units).all()
        assert b"Free Spoken Digit Dataset" in file.attrs["source"]
        assert b"Cochlea(8000, 64" in file.attrs["source"]
    listing = reader.layout(tmp_path / "train.h5")
    assert listing.shape == (64,)
    assert listing.classes == speech.DIGITS
    data = listing.dataset(memory=True)
    assert data.y.tolist() == [r.label for r in signals]
    lengths = data.lengths * 0.01
    assert (lengths <= [len(r.signal) / 8000 + 0.01 for r in signals]).all()
    rest, held = data.hold_out(str(names.index("theo")))
    assert len(held) == sum(r.speaker == "theo" for r in signals)
    assert len(rest) + len(held) == n
    speech.fsdd_spikes(few, tmp_path / "again.h5", "train", units=64)
    with h5py.File(tmp_path / "train.h5") as a, h5py.File(tmp_path / "again.h5") as b:
        for key in ("spikes/times", "spikes/units"):
            assert all((x == y).all() for x, y in zip(a[key], b[key], strict=True))


def test_memory_does_not_grow_with_the_number_of_recordings(few, tmp_path):
    recordings = list(speech.fsdd(few, "train"))[:4]
    speech.write_spikes(tmp_path / "x.h5", recordings, speech.DIGITS, 8000, units=64)          # compiles
    for times in (1, 40):
        many = (r for _ in range(times) for r in recordings)
        with modest(6_000_000):
            n = speech.write_spikes(tmp_path / "x.h5", many, speech.DIGITS, 8000, units=64)
        assert n == 4 * times


def test_ones_own_recordings(tmp_path, rng):
    """Any iterable of recordings becomes a file; speakers are counted as they come."""
    mine = [speech.Recording(f"r{i}", i % 2, speaker, 0.2 * rng.uniform(-1, 1, 4000))
            for i, speaker in enumerate(("ann", "bob", "ann"))]
    options = {"units": 32, "dtype": "float32", "source": "mine", "threshold": 10.0}
    assert speech.write_spikes(tmp_path / "mine.h5", iter(mine), ("yes", "no"), 16000, **options) == 3
    listing = reader.layout(tmp_path / "mine.h5")
    assert [(item.label, item.group) for item in listing.items] == [(0, "0"), (1, "1"), (0, "0")]
    events = listing.items[0].read()
    times, units = cochlea(normalise(mine[0].signal), 16000, 32, threshold=10.0)
    assert np.allclose(events.t, times.astype(np.float32), atol=1e-9)
    assert (events.place == units).all()


# ---- the layout


def test_the_shd_writer(tmp_path, rng):
    import h5py
    trains = [shd.Train(np.sort(rng.uniform(0, 1.4, n)), rng.integers(0, 20, n), n % 3, n % 2)
              for n in (0, 1, 500, 7, *range(70))]
    speakers = {"gender": ["f", "m"], "age": [31, 44]}
    assert shd.write(tmp_path / "x.h5", trains, "abc", units=20, speakers=speakers, source="test") == 74
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["spikes/times"].shape == (74,)
        for i, train in enumerate(trains):
            assert (file["spikes/times"][i] == train.times.astype(np.float16)).all()
            assert (file["spikes/units"][i] == train.units).all()
        assert file["extra/meta_info/gender"][()].tolist() == [b"f", b"m"]
        assert file["extra/meta_info/age"][()].tolist() == [31, 44]
        assert dict(file.attrs) == {"channels": 20, "source": b"test"}
    assert [p.name for p in tmp_path.iterdir()] == ["x.h5"]


def test_what_the_shd_writer_refuses_leaves_the_old_file(tmp_path):
    good = shd.Train([0.1, 0.2], [0, 1], 0)
    shd.write(tmp_path / "x.h5", [good], "ab", units=2)
    old = (tmp_path / "x.h5").read_bytes()
    for change, message in (
            ({"times": [0.2, 0.1]}, "recording 1: times must be finite, in seconds from 0, and ascend"),
            ({"times": [-0.1, 0.1]}, "recording 1: times must"),
            ({"times": [0.1, np.nan]}, "recording 1: times must"),
            ({"times": [0.1, 1e5]}, "too late for float16.*float32"),
            ({"units": [0, 2]}, r"units must lie in 0 \.\.\. 1"),
            ({"units": [0, -1]}, "units must lie"),
            ({"units": [0.0, 1.0]}, "integer units"),
            ({"units": [0]}, "expected times"),
            ({"label": 2}, "label 2"),
            ({"label": -1}, "label -1"),
            ({"speaker": 70000}, "speaker 70000")):
        with pytest.raises(ValueError, match=message):
            shd.write(tmp_path / "x.h5", [good, good._replace(**change)], "ab", units=2)
    fine = {"path": tmp_path / "x.h5", "recordings": [good], "classes": "ab", "units": 2}
    for options, message in (({"dtype": "int16"}, "times are float16"),
                             ({"units": 0}, "1 to 65536 units"),
                             ({"classes": ()}, "at least one class"),
                             ({"recordings": []}, "no recording to write")):
        with pytest.raises(ValueError, match=message):
            shd.write(**{**fine, **options})

    def broken():
        yield good
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        shd.write(tmp_path / "x.h5", broken(), "ab", units=2)
    assert (tmp_path / "x.h5").read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["x.h5"]


# ---- Speech Commands


def test_the_real_speech_commands(words):
    three = ("bed", "cat", "happy")
    found = {part: list(speech.commands(words, part, classes=three)) for part in speech.PARTS}
    everything = [r for part in found.values() for r in part]
    assert len(everything) == 360
    assert Counter(r.label for r in everything) == {0: 120, 1: 120, 2: 120}
    assert {len(r.signal) for r in everything} == {16000}
    speakers = {part: {r.speaker for r in recordings} for part, recordings in found.items()}
    assert len(set.union(*speakers.values())) == 329
    assert sum(map(len, speakers.values())) == 329, "no speaker is in two parts"
    assert 0.7 < len(found["train"]) / 360 < 0.87
    with zipfile.ZipFile(words) as archive:
        lengths = [len(wav.read(archive.read(name), rate=16000).signal) for name in archive.namelist()]
    assert sum(n == 16000 for n in lengths) == 319
    assert max(lengths) == 16000


def test_the_published_rule():
    """As in the data set's own paper and programs: a percentage of the hash of what is before _nohash_."""
    shares = Counter()
    for i in range(3000):
        name = f"{i:08x}_nohash_{i % 4}.wav"
        number = int(hashlib.sha1(f"{i:08x}".encode()).hexdigest(), 16)
        percent = (number % (2 ** 27 - 1 + 1)) * (100.0 / (2 ** 27 - 1))
        want = "train"
        if percent < 20:
            want = "valid" if percent < 10 else "test"
        assert speech.commands_part(f"some/folder/{name}") == speech.commands_part(name) == want
        shares[want] += 1
    assert 250 < shares["valid"] < 350
    assert 250 < shares["test"] < 350
    assert speech.commands_part("a_nohash_0.wav", 0.5, 0.5) != "train"


@pytest.fixture
def commands(tmp_path, rng):
    """A small set in the form of the real one, with lists; samples of a recording are its number / 1000."""
    folder, number = tmp_path / "speech_commands_v0.02", 0
    own_words = ("yes", "no", "go", "cat", "tree")
    for word in (*own_words, "_background_noise_"):
        (folder / word).mkdir(parents=True)
    for word in own_words:
        for speaker in ("aa", "bb", "cc", "dd"):
            for k in range(2):
                number += 1
                signal = np.full(16000 - 100 * k, number / 1000)
                wav.write(folder / word / f"{speaker}_nohash_{k}.wav", signal, 16000)
    for name in ("white", "pink"):
        wav.write(folder / "_background_noise_" / f"{name}.wav", 0.5 * rng.uniform(-1, 1, 160_000), 16000)
    (folder / "_background_noise_" / "README.md").write_text("text")
    for name, speaker in (("validation_list.txt", "bb"), ("testing_list.txt", "cc")):
        lines = [f"{word}/{speaker}_nohash_{k}.wav\n" for word in own_words for k in (0, 1)]
        (folder / name).write_text("".join(lines))
    return folder


def test_speech_commands_by_the_lists(commands):
    who = {"train": {"aa", "dd"}, "valid": {"bb"}, "test": {"cc"}}
    for part, speakers in who.items():
        found = list(speech.commands(commands, part))
        assert {r.speaker for r in found} == speakers
        assert len(found) == 10 * len(speakers)
        assert {speech.WORDS[r.label] for r in found} == {"yes", "no", "go", "cat", "tree"}
        for r in found:
            assert speech.WORDS[r.label] == r.name.split("/")[-2]
            assert r.signal.shape == (16000,)
            assert (r.signal[-100:] == (0 if "_1.wav" in r.name else r.signal[0])).all(), "padded at the end"
    assert len(speech.WORDS) == 35
    assert list(speech.WORDS) == sorted(speech.WORDS)
    (commands / "validation_list.txt").unlink()
    (commands / "testing_list.txt").unlink()
    by_rule = {s: speech.commands_part(f"{s}_nohash_0.wav") for s in ("aa", "bb", "cc", "dd")}
    for part in set(by_rule.values()):
        expected = {speaker for speaker, its_part in by_rule.items() if its_part == part}
        assert {r.speaker for r in speech.commands(commands, part)} == expected


def test_twelve_classes(commands):
    names = speech.class_names(12)
    assert len(names) == 12
    twelve = lambda **options: list(speech.commands(commands, "train", classes=12, **options))
    count = lambda recordings: Counter(names[r.label] for r in recordings)
    found = twelve(unknown=0.5, silence=0.5)
    counts = count(found)
    assert counts == {"yes": 4, "no": 4, "go": 4, "unknown": 6, "silence": 6}
    assert {r.name.split("/")[-2] for r in found if names[r.label] == "unknown"} <= {"cat", "tree"}
    silence = [r for r in found if names[r.label] == "silence"]
    assert {r.signal.shape for r in silence} == {(16000,)}
    assert all(0 < np.abs(r.signal).max() <= 0.5 for r in silence)
    assert count(twelve(unknown=None, silence=0)) == {"yes": 4, "no": 4, "go": 4, "unknown": 8}
    again, other = (twelve(unknown=0.5, silence=0.5, seed=s) for s in (0, 1))
    key = lambda rs: [(r.name, r.signal.tobytes()) for r in rs]
    assert key(found) == key(again) != key(other)
    limited = count(twelve(limit=1, unknown=None, silence=1))
    assert limited == {"yes": 1, "no": 1, "go": 1, "unknown": 2, "silence": 3}


def test_the_parts_take_their_noise_from_different_stretches(commands):
    folder = commands / "_background_noise_"
    noise = {name: wav.read(folder / f"{name}.wav").signal for name in ("white", "pink")}
    for part, (first, last) in {"train": (0, 0.8), "valid": (0.8, 0.9), "test": (0.9, 1)}.items():
        names = ("yes", "silence")
        for r in speech.commands(commands, part, classes=names, silence=2.0):
            if names[r.label] == "silence":
                whole = noise["white" if "white" in r.name else "pink"]
                piece = r.signal[:500] / np.abs(r.signal[:500]).max()
                windows = np.lib.stride_tricks.sliding_window_view(whole, 500)
                at = []
                for i, window in enumerate(windows):
                    may_be = abs(window[0] * piece[1] - window[1] * piece[0]) < 1e-6
                    if may_be and np.allclose(window / np.abs(window).max(), piece, atol=1e-3):
                        at.append(i)
                assert len(at) == 1
                assert first * 160_000 <= at[0] <= last * 160_000 - 16000


def test_speech_commands_as_features(words, commands):
    data = speech.speech_commands(words, "test", classes=("bed", "cat", "happy"), window=0.03, floor=1.0)
    recordings = list(speech.commands(words, "test", classes=("bed", "cat", "happy")))
    assert data.x.shape == (101, len(recordings), 120)
    assert data.x.dtype == np.float32
    assert data.y.tolist() == [r.label for r in recordings]
    assert data.classes == ("bed", "cat", "happy")
    for i in (0, len(recordings) // 2, -1):
        assert (data.x[:, i] == log_mel(recordings[i].signal, 16000, window=0.03, floor=1.0)).all()
    rest, held = data.hold_out(recordings[0].speaker)
    assert len(rest) + len(held) == len(data)
    small = speech.speech_commands(commands, "valid", classes=12, deltas=0)
    assert small.x.shape == (101, 8, 40)
    assert small.classes[-2:] == ("unknown", "silence")


def test_refusals(commands, tmp_path):
    for classes in (20, 0, "yes", ("yes", "yes"), ()):
        with pytest.raises(ValueError, match="classes must be 35, 12, or different words"):
            speech.commands(commands, "train", classes=classes)
    message = "holds no recordings word/speaker_nohash_k.wav of the train part for the words dog"
    with pytest.raises(ValueError, match=message):
        speech.commands(commands, "train", classes=("dog",))
    with pytest.raises(FileNotFoundError, match="no folder or zip file"):
        speech.commands(tmp_path / "none", "train")
    with pytest.raises(ValueError, match="holds no recordings named digit_speaker_index.wav"):
        speech.fsdd(commands, "train")
    wav.write(commands / "yes" / "aa_nohash_0.wav", np.zeros(16001), 16000)
    with pytest.raises(FormatError, match="yes/aa_nohash_0.wav: expected up to a second of sound; got 16001"):
        list(speech.commands(commands, "train"))
    wav.write(commands / "yes" / "aa_nohash_0.wav", np.zeros(8000), 8000)
    message = "yes/aa_nohash_0.wav: the recording has 8,000 samples per second, 16,000 are needed"
    with pytest.raises(FormatError, match=message):
        list(speech.commands(commands, "train"))
    for path in (commands / "_background_noise_").glob("*.wav"):
        path.unlink()
    with pytest.raises(ValueError, match="of which silence is made: add them, or give silence=0"):
        list(speech.commands(commands, "valid", classes=12))


def test_damaged_zip_files(few, tmp_path, rng):
    with zipfile.ZipFile(tmp_path / "whole.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(few.iterdir())[:3]:
            archive.writestr(path.name, path.read_bytes())
    content = (tmp_path / "whole.zip").read_bytes()
    path, n = tmp_path / "damaged.zip", 0
    list(speech.fsdd(tmp_path / "whole.zip", "train"))          # what is loaded once does not count
    damaged_tails = (content[:-250] + tail for tail in mutations(content[-250:], 60))
    for damaged in (*mutations(content, 60), *damaged_tails):
        path.write_bytes(damaged)
        for part in ("train", "test"):
            survives(lambda part=part: list(speech.fsdd(path, part)), 20 * len(content) + 400_000)
            n += 1
    assert n == 240
    path.write_bytes(b"not a zip file")
    message = "damaged.zip: cannot be read as a zip file.*a tar file must be unpacked first"
    with pytest.raises(FormatError, match=message):
        speech.fsdd(path, "train")
