"""WFDB: records of the QT Database with their checksums, files made by hand byte by byte, damaged ones."""

import zipfile

import numpy as np
import pytest
from mutations import mutations, survives

from numsnn.formats import FormatError, wfdb
from numsnn.formats.source import Source

A, B = [5, -3, 2047, -2048, 100], [-1, 0, 1, 2, -2000]          # the two signals of the record made by hand


def pack_212(samples):
    """Two 12-bit samples in three bytes, written the slow way: 24 bits, then cut."""
    raw = b""
    firsts = samples[::2]
    seconds = [*samples[1::2], None][:len(firsts)]
    for first, second in zip(firsts, seconds, strict=True):
        one, two = first & 0xFFF, (second or 0) & 0xFFF
        raw += bytes([one & 0xFF, one >> 8 | two >> 8 << 4])
        if second is not None:
            raw += bytes([two & 0xFF])
    return raw


def word(code, interval):
    return (code << 10 | interval).to_bytes(2, "little")


def checksum(samples):
    return (sum(samples) + 0x8000) % 0x10000 - 0x8000


HEADER = (f"hand 2 250/360 5\n# 69 M\nhand.dat 212 200(10)/mV 11 1024 {A[0]} {checksum(A)} 0 MLII\n"
          f"hand.dat 212 100 12 7 {B[0]} {checksum(B)} 0 V5 second lead\n#drug\n")
ANNOTATIONS = (word(39, 1000) + word(62, 1) + word(24, 20) + word(60, 3) + word(61, 0xFF)
               + word(59, 0) + b"\x01\x00\x00\x00"              # skip 65536: the high word stands first
               + word(1, 5) + word(63, 3) + b"abc\0" + word(40, 6) + word(0, 0))


@pytest.fixture
def hand(tmp_path):
    """A folder with a record of two signals."""
    (tmp_path / "hand.hea").write_text(HEADER)
    (tmp_path / "hand.dat").write_bytes(pack_212([s for pair in zip(A, B, strict=True) for s in pair]))
    (tmp_path / "hand.atr").write_bytes(ANNOTATIONS)
    return tmp_path


@pytest.fixture(scope="module")
def qtdb(data_folder):
    path = data_folder / "qtdb" / "qtdb_records.zip"
    if not path.is_file():
        pytest.skip(f"no records of the QT Database at {path}")
    return path


def test_the_records_of_the_qt_database(qtdb):
    """All 90 have 2 signals; strict reading verifies the first sample and the checksum of each.

    Nobody here wrote these.
    """
    names = wfdb.records(qtdb)
    assert names == (qtdb.parent / "RECORDS").read_text().split()
    assert len(names) == 90
    for name in names:
        record = wfdb.read(qtdb, name)
        assert record.adc.shape in ((225000, 2), (224993, 2), (224999, 2))
        assert record.header.rate == 250
        for signal in record.header.signals:
            assert signal.checksum is not None
            assert signal.initial is not None
            assert signal.units == "mV"
        assert not record.problems
        assert abs(np.nanmedian(record.physical())) < 12


def test_the_annotations_of_the_qt_database(qtdb):
    counts = {}
    for name in wfdb.records(qtdb):
        found = wfdb.annotations(qtdb, name, "q1c")
        assert (np.diff(found.sample) >= 0).all()
        assert 0 < found.sample[0] <= found.sample[-1] < 225000
        for symbol in found.symbols:
            counts[symbol] = counts.get(symbol, 0) + 1
    beats = {symbol: n for symbol, n in counts.items() if symbol not in "()ptu"}
    assert beats == {"N": 3054, "A": 30, "B": 50, "Q": 7, "V": 8}
    for suffix in ("atr", "man", "pu", "pu0", "pu1", "q2c", "qt1", "qt2"):
        assert not wfdb.annotations(qtdb, "sel100", suffix).problems
    manual = wfdb.annotations(qtdb, "sel100", "q1c")
    reference = wfdb.annotations(qtdb, "sel100", "atr")
    assert len(reference.sample) > 1000
    # the manual R peaks are beats of the reference annotation too
    peaks = manual.sample[manual.code == 1]
    assert np.abs(peaks[:, None] - reference.sample).min(1).max() <= 3


def test_a_record_made_by_hand(hand, tmp_path):
    record = wfdb.read(hand, "hand")
    assert record.adc.dtype == np.int16
    assert record.adc.T.tolist() == [A, B]
    first, second = record.header.signals
    header = record.header
    assert (header.name, header.rate, header.counter, header.samples) == ("hand", 250, 360, 5)
    assert header.comments == ("69 M", "drug")
    assert (first.gain, first.baseline, first.zero) == (200, 10, 1024)
    assert (first.units, first.description) == ("mV", "MLII")
    assert (second.gain, second.baseline, second.description) == (100, 7, "V5 second lead")
    mv = record.physical()
    assert mv[:3, 0].tolist() == [(a - 10) / 200 for a in A[:3]]
    assert np.isnan(mv[3, 0]), "-2048 marks a missing sample"
    with zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("hand.hea", "hand.dat", "hand.atr"):
            archive.write(hand / name, f"inside/{name}")
    for source in (tmp_path / "all.zip", tmp_path / "all.zip" / "inside"):
        assert wfdb.records(source) == ["hand"]
        assert wfdb.read(source, "hand").adc.tobytes() == record.adc.tobytes()
    with pytest.raises(FileNotFoundError, match="all.zip/elsewhere/hand.hea"):
        wfdb.read(tmp_path / "all.zip" / "elsewhere", "hand")


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7])
def test_one_signal_of_each_format(tmp_path, n):
    samples = [-2047, 2046, -1, 0, 1, 1024, -1025][:n]
    for kind, raw in ((212, pack_212(samples)), (16, np.array(samples, "<i2").tobytes())):
        header = tmp_path / "one.hea"
        header.write_text(f"one 1 100 {n}\nsignal.bin {kind} 0 0 0 {samples[0]} {checksum(samples)}\n")
        (tmp_path / "signal.bin").write_bytes(raw)
        assert wfdb.read(tmp_path, "one").adc[:, 0].tolist() == samples
        # the shortest header: 250 Hz, samples from the size
        header.write_text(f"one 1\nsignal.bin {kind}\n")
        record = wfdb.read(tmp_path, "one")
        assert record.adc[:, 0].tolist() == samples
        signal, = record.header.signals
        assert (record.header.rate, signal.gain, signal.checksum) == (250, 200, None)
        header.write_text(f"one 1 100 {n}\nsignal.bin {kind}+2\n")
        (tmp_path / "signal.bin").write_bytes(b"XX" + raw)
        assert wfdb.read(tmp_path, "one").adc[:, 0].tolist() == samples


def test_annotations_made_by_hand(hand):
    found = wfdb.annotations(hand, "hand", "atr")
    assert found.sample.tolist() == [1000, 1020, 66561, 66567]
    assert found.symbols == ["(", "p", "N", ")"]
    assert found.channel.tolist() == [1, 1, 1, 1]
    assert found.num.tolist() == [0, 3, 3, 3]
    assert found.subtype.tolist() == [0, -1, 0, 0]
    assert found.aux == ("", "", "abc", "")


def read_with(folder, name, strict=True):
    """What reads this file of the record made by hand: its annotations, or its signals and header."""
    if name == "hand.atr":
        return wfdb.annotations(folder, "hand", "atr", strict)
    return wfdb.read(folder, "hand", strict)


def test_what_is_wrong_is_told_or_counted(hand):
    dat = (hand / "hand.dat").read_bytes()
    back_in_time = word(1, 9) + word(59, 0) + b"\xff\xff\xfe\xff" + word(1, 0) + word(0, 0)
    for name, content, message, kind in (
            ("hand.dat", bytes([dat[0] + 1]) + dat[1:],
             "signal 0: expected 5, got 6", "first sample differs from the header"),
            ("hand.dat", dat[:-1] + b"\0", "checksum differs: signal 1", "checksum differs"),
            ("hand.dat", dat[:-3], "holds 4 of 5 samples", "signal file is too short"),
            ("hand.dat", dat + b"\0\0", "17 bytes, 15 were expected", "signal file is too long"),
            ("hand.hea", HEADER.encode() + b"more\n",
             "line 6: line that belongs to nothing: more", "line that belongs to nothing"),
            ("hand.atr", ANNOTATIONS[:-2], "no end mark", "no end mark"),
            ("hand.atr", ANNOTATIONS + b"\1\0", "bytes after the end", "bytes after the end"),
            ("hand.atr", ANNOTATIONS[:-1], "odd number of bytes", "odd number of bytes"),
            ("hand.atr", word(55, 1) + ANNOTATIONS, "byte 0: unknown code: 55", "unknown code"),
            ("hand.atr", word(61, 1) + ANNOTATIONS,
             "modifies an annotation before the first", "modifies an annotation before the first"),
            ("hand.atr", back_in_time, "sample 7", "time runs backwards")):
        kept = (hand / name).read_bytes()
        (hand / name).write_bytes(content)
        with pytest.raises(FormatError, match=message):
            read_with(hand, name)
        assert kind in read_with(hand, name, strict=False).problems
        (hand / name).write_bytes(kept)


CANNOT_BE_READ = (
    ("hand.hea", b"", "the file is empty"),
    ("hand.hea", b"# only this\n", "expected a line"),
    ("hand.hea", b"\x89PNG\r\n\x1a\n", "expected a line"),
    ("hand.hea", b"hand/3 2 250 5\n", "several segments"),
    ("hand.hea", b"hand 0 250 5\n", "at least one signal"),
    ("hand.hea", b"hand 3 250 5\nhand.dat 212\n", "3 signals are announced, 1 are described"),
    ("hand.hea", b"hand 1 0 5\nhand.dat 212\n", "the rate must be positive"),
    ("hand.hea", b"hand 1 250 5\nhand.dat 8\n", "formats 16 and 212 .* are read; got 8"),
    ("hand.hea", b"hand 1 250 5\nhand.dat 212x4\n", "one sample per frame"),
    ("hand.hea", b"hand 1 250 5\n../hand.dat 212\n", "signal file beside the header"),
    ("hand.hea", b"hand 1 250 5\nhand.dat 212 1e999\n", "gain must be a number"),
    ("hand.hea", b"hand 2 250 5\nhand.dat 212\nhand.dat 16\n", "differ in format"),
    ("hand.dat", b"", "the file is empty"),
    ("hand.dat", b"\0", "no sample in it|too short"),
    ("hand.atr", b"", "the file is empty"),
)


def test_files_that_cannot_be_read(hand, tmp_path):
    for name, content, message in CANNOT_BE_READ:
        kept = (hand / name).read_bytes()
        (hand / name).write_bytes(content)
        with pytest.raises(FormatError, match=message):
            read_with(hand, name)
        (hand / name).write_bytes(kept)
    (hand / "hand.dat").unlink()
    for folder, record, message in ((hand, "hand", "no file .*hand.dat"),
                                    (hand, "none", "no file .*none.hea"),
                                    (tmp_path / "none", "hand", "no folder or zip file .*none")):
        with pytest.raises(FileNotFoundError, match=message):
            wfdb.read(folder, record)
    with pytest.raises(ValueError, match="letters, digits"):
        wfdb.read(hand, "../hand")


def test_a_signal_that_cannot_be_as_long_as_its_header_says_takes_no_memory(hand):
    from mutations import modest
    (hand / "hand.hea").write_text("hand 1 250 999999999999999\nhand.dat 212\n")
    with modest(1 << 20):
        with pytest.raises(FormatError, match="holds 10 of 999,999,999,999,999 samples"):
            wfdb.read(hand, "hand")
        assert len(wfdb.read(hand, "hand", strict=False).adc) == 10


@pytest.mark.parametrize("name", ["hand.hea", "hand.dat", "hand.atr"])
@pytest.mark.parametrize("strict", [True, False])
def test_mutated_files(hand, name, strict):
    taken = 0
    for content in mutations((hand / name).read_bytes(), 400):
        (hand / name).write_bytes(content)
        taken += survives(lambda: read_with(hand, name, strict), 1 << 20)
    assert 0 < taken < 400


def test_mutated_zip_files(hand, tmp_path):
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("hand.hea", "hand.dat"):
            archive.write(hand / name, name)
    taken = 0
    for content in mutations(path.read_bytes(), 400):
        path.write_bytes(content)
        taken += survives(lambda: wfdb.read(path, "hand"), 4 << 20)
    assert 0 < taken < 400


def test_zip_files_that_promise_too_much_or_twice(tmp_path):
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for place in "ab":
            archive.writestr(f"{place}/x.hea", "x")
        archive.writestr("big", bytes(1 << 22))
        archive.writestr("empty", b"")
    source = Source(path)
    assert source.names() == ["big", "empty", "x.hea"]
    with pytest.raises(FileNotFoundError, match=r"holds 2 files x.hea \(a/x.hea, b/x.hea\); name the folder"):
        source.read("x.hea", 10)
    assert Source(path / "b").read("x.hea", 10) == b"x"
    for name, message in (("big", "has 4,194,304 bytes, more than the 1,000"),
                          ("empty", "the file is empty")):
        with pytest.raises(FormatError, match=message):
            source.read(name, 1000)
    raw = bytearray(path.read_bytes())
    at = raw.rindex(b"PK\1\2", 0, raw.rindex(b"empty"))
    at = raw.rindex(b"PK\1\2", 0, at)
    raw[at + 24:at + 28] = (1 << 31).to_bytes(4, "little")
    path.write_bytes(raw)
    with pytest.raises(FormatError, match="claims to hold 2,147,483,648 bytes in 4,0"):
        Source(path).read("big", 1 << 40)


@pytest.mark.parametrize("lines, words", [
    ("r 1 360,5 3\nr.dat 16", "line 1: .*'360,5' is not a rate"),
    ("r 1 360Hz 3\nr.dat 16", "'360Hz' is not a rate"),
    ("r 1 360 3x\nr.dat 16", "'3x' is not a number of samples"),
    ("r 1 360/1000(x) 3\nr.dat 16", "is not a rate"),
    ("r 1 360 3 10.05\nr.dat 16 200,5", "line 2: .*'200,5' is not a gain"),
    ("r 1 360 3 noon\nr.dat 16", "'noon' is not a time"),
    ("r 1 360 3 10:05:00 1989-04-25\nr.dat 16", "is not a date"),
    ("r 1 360 3\nr.dat 16 200 12bit 0", "'12bit' is not a resolution"),
    ("r 1 360 3\nr.dat 16 200 12 0 1 2.5", "'2.5' is not a checksum"),
])
def test_wfdb_fields_that_cannot_be_parsed(tmp_path, lines, words):
    (tmp_path / "r.dat").write_bytes(bytes(6))
    (tmp_path / "r.hea").write_text(lines + "\n")
    for strict in (True, False):
        with pytest.raises(FormatError, match=words):
            wfdb.read(tmp_path, "r", strict)


@pytest.mark.parametrize("code", ["utf-8", "latin-1"])
def test_wfdb_units(tmp_path, code):
    (tmp_path / "r.dat").write_bytes(bytes(6))
    header = "r 1 360 3 10:05:00 25/04/1989\nr.dat 16 200/\xb5V 12 0 0 0 0 V5 lead\n"
    (tmp_path / "r.hea").write_bytes(header.encode(code))
    signal, = wfdb.read(tmp_path, "r").header.signals
    assert (signal.units, signal.gain, signal.description) == ("\xb5V", 200, "V5 lead")
