"""Event files: real ones, ones built byte by byte, round trips, mutations, and what is refused and how."""

import struct
import zipfile

import numpy as np
import pytest
from event_files import AEDAT3, FOUR, WRITABLE, aedat2_bytes, aedat3_packet, recording
from hypothesis import given, settings, strategies as st
from mutations import mutations, survives

from numsnn import formats
from numsnn.formats import FormatError, aedat4, lz4
from numsnn.signals.events import Events

SENSOR = {"bin": (34, 34), "bs2": (128, 128), "aedat2": (128, 128)}


def same(a, b):
    return all(np.array_equal(c, d) for c, d in zip(a.columns, b.columns, strict=True))


def options(name):
    return {"sensor": (128, 128)} if name == "bs2" else {}


# ---- real files


@pytest.mark.parametrize("name, n", [("1.bs2", 63_471), ("5.bs2", 181_179), ("7.bs2", 159_617)])
def test_dvs_clips(data_folder, name, n):
    events = formats.read(data_folder / "dvs_gesture_clips" / name)
    assert events.n_events == n
    assert events.shape == (2, 128, 128)
    assert abs(events.durations[0] - 1.45) < 1e-3


def test_bs3_is_the_same_clip(data_folder):
    folder = data_folder / "dvs_gesture_clips"
    assert formats.read(folder / "1.bs3", sensor=(128, 128)) == formats.read(folder / "1.bs2")


def test_aedat4_of_a_davis(data_folder):
    path = data_folder / "aedat" / "davis.aedat4"
    events = formats.read(path)
    assert events.n_events == 117_667
    assert events.shape == (2, 260, 346)
    assert abs(events.durations[0] - 0.13) < 1e-3
    assert aedat4.contents(path) == {"EVTS": 117_667, "FRME": 3, "IMUS": 130, "TRIG": 15}


def test_nmnist_subset(data_folder):
    from numsnn.datasets.cameras import nmnist
    archive = data_folder / "nmnist" / "nmnist_subset.zip"
    train, test = nmnist(archive, "train"), nmnist(archive, "test")
    for part, want in ((train, [87, 106, 93, 86, 95, 81, 82, 98, 80, 92]),
                       (test, [6, 10, 5, 5, 10, 7, 5, 6, 0, 6])):
        assert np.bincount([item.label for item in part.items], minlength=10).tolist() == want
    sizes = [item.read().n_events for item in test.items]
    assert 3000 < np.mean(sizes) < 5500
    events = train.items[0].read()
    content = zipfile.ZipFile(archive).read(train.items[0].name)
    want = [(x, y, third >> 7, (third & 127) * 65536 + fourth * 256 + fifth)
            for x, y, third, fourth, fifth in zip(*[iter(content)] * 5, strict=True)]
    assert np.array_equal(np.array(want).T, [events.x, events.y, events.p, events.t])


# ---- bytes built here


def bits(*fields):
    """Fields (value, number of bits), the first highest, as bytes big-endian."""
    value, total = 0, 0
    for field, n in fields:
        value, total = value << n | field, total + n
    return value.to_bytes(total // 8, "big")


def rows(events):
    return [tuple(int(c) for c in row) for row in zip(*events.columns, strict=True)]


def file(tmp_path, content, name="x"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_aedat2_by_hand(tmp_path):
    assert rows(formats.read(file(tmp_path, aedat2_bytes(FOUR)))) == FOUR
    special = aedat2_bytes(FOUR) + struct.pack(">II", 1 << 15, 2000)
    assert rows(formats.read(file(tmp_path, special))) == FOUR
    wrapped = aedat2_bytes([(2**32 - 1, 1, 1, 1), (0, 2, 2, 0), (7, 3, 3, 1)])
    assert formats.read(file(tmp_path, wrapped)).t.tolist() == [2**32 - 1, 2**32, 2**32 + 7]
    davis = b"#!AER-DAT2.0\r\n" + struct.pack(">IIII", 200 << 22 | 300 << 12 | 1 << 11, 4, 1 << 31, 5)
    assert rows(formats.read(file(tmp_path, davis), camera="davis346")) == [(4, 300, 200, 1)]


def test_aedat2_whose_first_data_byte_looks_like_a_comment(tmp_path):
    """Address 0x23......: readers that skip lines beginning with # lose events here."""
    first = struct.pack(">II", 0x23000A03 & 0xFFFF7FFF, 10) + struct.pack(">II", 0x23410D0A & 0xFFFF7FFF, 11)
    path = file(tmp_path, b"#!AER-DAT2.0\r\n# a comment\r\n" + first + aedat2_bytes([(20, 1, 2, 1)], b""))
    assert formats.read(path).t.tolist() == [10, 11, 20]


def test_orientation_is_an_option(tmp_path):
    path = file(tmp_path, aedat2_bytes(FOUR))
    got = formats.read(path, swap=True, flip_x=True, flip_y=True, flip_polarity=True)
    assert rows(got) == [(t, 127 - y, 127 - x, 1 - p) for t, x, y, p in FOUR]


def test_aedat3_by_hand(tmp_path):
    later = [(t + 2000, x, y, p) for t, x, y, p in FOUR]
    other = struct.pack("<hhiiiiii", 3, 1, 36, 4, 0, 2, 2, 2) + bytes(72)
    not_full = aedat3_packet(FOUR, capacity=9)
    one_invalid = aedat3_packet(later, valid=[1, 0, 1, 1])
    after_overflow = aedat3_packet(FOUR, overflow=1)
    path = file(tmp_path, AEDAT3 + not_full + other + one_invalid + after_overflow)
    want = FOUR + [later[0], *later[2:]] + [(t + 2**31, *rest) for t, *rest in FOUR]
    assert rows(formats.read(path)) == want


def test_bin_overflow_rule(tmp_path):
    one = bits((1, 8), (2, 8), (1, 1), (8_000_000, 23))
    overflow = bits((0, 8), (240, 8), (0, 1), (0, 23))
    other = bits((3, 8), (4, 8), (0, 1), (8_000_000, 23))
    path = file(tmp_path, one + overflow + other)
    assert rows(formats.read(path, "bin")) == [(8_000_000, 1, 2, 1), (8_008_192, 3, 4, 0)]


def test_bs3_by_hand(tmp_path):
    content = bits((1025, 12), (2047, 12), (1, 8), (70_000, 24))
    assert rows(formats.read(file(tmp_path, content, "a.bs3"))) == [(70_000, 1025, 2047, 1)]


def test_dat_by_hand(tmp_path):
    event = struct.pack("<II", 77, 639 | 479 << 14 | 1 << 28)
    content = b"% Data file\n% Width 640\n% Height 480\n" + bytes((12, 8)) + event
    events = formats.read(file(tmp_path, content))
    assert rows(events) == [(77, 639, 479, 1)]
    assert events.shape == (2, 480, 640)


def test_evt2_by_hand(tmp_path):
    words = [1 << 28 | 9 << 11,                         # an event before the first time
             8 << 28 | 3,
             1 << 28 | 5 << 22 | 100 << 11 | 50,
             10 << 28,
             0 << 28 | 63 << 22 | 7 << 11 | 8]
    content = b"% evt 2.0\n% geometry 640x480\n% end\n" + struct.pack("<5I", *words)
    assert rows(formats.read(file(tmp_path, content))) == [(3 * 64 + 5, 100, 50, 1), (3 * 64 + 63, 7, 8, 0)]


def test_evt3_by_hand(tmp_path):
    one = [8 << 12 | 0xFFF, 6 << 12 | 10, 0 << 12 | 300, 2 << 12 | 1 << 11 | 77]
    vector_of_12_and_8 = [3 << 12 | 0 << 11 | 1260, 4 << 12 | 0b100000000101, 5 << 12 | 0b00000011]
    clock_goes_over = [8 << 12 | 0, 6 << 12 | 1, 2 << 12 | 5]
    words = one + vector_of_12_and_8 + clock_goes_over
    header = b"% evt 3.0\n% format EVT3;height=720;width=1280\n% end\n"
    content = header + struct.pack(f"<{len(words)}H", *words)
    t = 0xFFF << 12 | 10
    vector = [(t, x, 300, 0) for x in (1260, 1262, 1271, 1272, 1273)]
    events = formats.read(file(tmp_path, content))
    assert rows(events) == [(t, 77, 300, 1), *vector, (2**24 + 1, 5, 300, 0)]
    assert events.shape == (2, 720, 1280)


def lz4_literals(data):
    """A frame of one block of literals and a match back into them, by hand."""
    n = len(data)
    token = bytes([min(n, 15) << 4 | 3])
    if n >= 15:
        token += bytes([255] * ((n - 15) // 255) + [(n - 15) % 255])
    block = token + data + struct.pack("<H", n) + bytes([0 << 4])
    head = struct.pack("<IBBB", lz4.MAGIC, 0x60, 0x40, 0)
    return head + struct.pack("<I", len(block)) + block + struct.pack("<I", 0)


def test_lz4_by_hand():
    for n in (8, 15, 270, 1000):
        data = bytes(np.random.default_rng(n).integers(0, 256, n, np.uint8))
        frame = np.frombuffer(lz4_literals(data), np.uint8)
        assert lz4.decompress(frame, 1 << 20).tobytes() == data + data[:7]
    with pytest.raises(lz4.LZ4Error):
        lz4.decompress(np.frombuffer(lz4_literals(data)[:-20], np.uint8), 1 << 20)
    with pytest.raises(lz4.LZ4Error):
        lz4.decompress(np.frombuffer(lz4_literals(data), np.uint8), 100)


# ---- round trips


@pytest.mark.parametrize("name", WRITABLE)
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 400), st.integers(0, 2**32), st.integers(1, 100_000))
def test_round_trip(name, tmp_path_factory, n, seed, step):
    """Several pieces of the clock, gaps of all sizes, files without events."""
    limit = 8_000_000 if name == "bs2" else 1 << 31
    events = recording(n, seed, step=max(1, min(step, limit // max(n, 1))))
    path = tmp_path_factory.mktemp("trip") / "x"
    formats.write(path, events, name)
    if n == 0 and path.stat().st_size == 0:
        with pytest.raises(FormatError, match="empty"):
            formats.read(path, name)
    else:
        assert same(formats.read(path, name, **options(name)), events)


@pytest.mark.parametrize("name", WRITABLE)
def test_large_files_are_read_in_pieces(name, tmp_path):
    """More events than a piece holds, longer than the clocks of the formats."""
    n = 120_000
    events = recording(n, step=60 if name == "bs2" else 1000)
    formats.write(tmp_path / "x", events, name)
    assert same(formats.read(tmp_path / "x", name, **options(name)), events)
    sizes = [len(columns.t) for columns in formats.stream(tmp_path / "x", name, **options(name))]
    assert sum(sizes) == n and (len(sizes) > 1 or name in ("hdf5", "npz", "csv"))


def test_formats_are_guessed(tmp_path):
    for name in WRITABLE:
        path = tmp_path / f"x{formats.FORMATS[name].suffixes[0]}"
        formats.write(path, recording(5), name)
        assert formats.guess(path) == name


# ---- what is refused


def test_bad_events_are_named_or_skipped_and_counted(tmp_path):
    late, outside = (3, 1, 1, 1), (2000, 1, 40, 1)
    for bad, words in ((late, "time runs backwards: 3 after 1000"),
                       (outside, "outside the sensor: x = 1, y = 40")):
        events = [(5, 1, 2, 1), (1000, 3, 4, 0), bad, (3000, 5, 6, 1)]
        content = b"".join(bits((x, 8), (y, 8), (p, 1), (t, 23)) for t, x, y, p in events)
        path = file(tmp_path, content, "a.bin")
        with pytest.raises(FormatError, match=f"a.bin, byte 10: .*{words}"):
            formats.read(path)
        stream = formats.stream(path, strict=False)
        assert rows(stream.read()) == [(5, 1, 2, 1), (1000, 3, 4, 0), (3000, 5, 6, 1)]
        assert sum(stream.problems.counts.values()) == 1


@pytest.mark.parametrize("name, content, words", [
    ("a.bin", b"", "the file is empty"),
    ("a.bin", bytes(7), "ends inside a record: 2 bytes are left over"),
    ("a.xyz", b"whatever", "cannot tell its format"),
    ("a.aedat", aedat2_bytes(FOUR)[:-3], "ends inside a record"),
    ("a.aedat", AEDAT3 + aedat3_packet(FOUR)[:40],
     "ends inside a record: 4 bytes are left over, 20 are missing"),
    ("a.aedat", AEDAT3 + struct.pack("<hhiiiiii", 1, 1, 8, 4, 0, 5, 6, 6), "damaged packet"),
    ("a.aedat", AEDAT3[:40], "the header does not end"),
    ("a.aedat4", b"#!AER-DAT4.0\r\n" + struct.pack("<I", 1 << 30), "cut short"),
    ("a.raw", b"% evt 3.0\n% end\n" + struct.pack("<2H", 8 << 12, 9 << 12), "unknown kind of record: type 9"),
    ("a.dat", b"% Data\n" + bytes((3, 4)), "expected a kind of event"),
    ("a.csv", b"t,x,y,p\n1,2,3\n", "line 2: not an event"),
    ("a.npz", b"PK\x03\x04nonsense", "cannot be read as a NumPy archive"),
    ("a.h5", b"\x89HDF\r\n\x1a\nnonsense", "cannot be read as HDF5"),
])
def test_foreign_and_damaged_files(tmp_path, name, content, words):
    with pytest.raises(FormatError, match=words):
        formats.read(file(tmp_path, content, name))


def test_zstd_gets_a_clear_message(tmp_path):
    content = bytearray(aedat4.header_bytes(4, 4))
    content[14 + 28:14 + 32] = struct.pack("<i", 3)
    with pytest.raises(FormatError, match="ZSTD"):
        formats.read(file(tmp_path, bytes(content)))


def test_writers_refuse_what_does_not_fit(tmp_path):
    big = recording(10, width=400, height=300)
    for name in ("bin", "bs2", "aedat2"):
        with pytest.raises(ValueError, match="pixels"):
            formats.write(tmp_path / "x", big, name)
    with pytest.raises(ValueError, match="one recording"):
        formats.write(tmp_path / "x.dat", Events.concatenate([big, big]))
    with pytest.raises(ValueError, match="say format="):
        formats.write(tmp_path / "x.bs3", big)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [*WRITABLE, "aedat3"])
def test_mutations(name, tmp_path):
    """Damaged files: an answer or one clear error, nothing else, and no memory out of proportion."""
    path = tmp_path / "x"
    if name == "aedat3":
        path.write_bytes(AEDAT3 + b"".join(aedat3_packet(FOUR, capacity=6) for _ in range(5)))
    else:
        formats.write(path, recording(60), name)
    answers = 0
    for i, bad in enumerate(mutations(path.read_bytes(), 240)):
        path.write_bytes(bad)
        answers += survives(lambda strict=bool(i % 2): formats.read(path, name, strict=strict), 80e6)
    assert answers > 5


@pytest.mark.parametrize("name", ("evt2", "evt3"))
def test_evt_data_that_look_like_a_line_of_the_header(name, tmp_path):
    """The first byte of the data is a %, and a line's end comes later: `% end` ends the header."""
    header = f"% evt {name[-1]}.0\n% geometry 34x34\n% end\n".encode()
    words = {"evt2": struct.pack("<3I", 8 << 28 | 0x25, 1 << 22 | 2 << 11 | 3, 10 << 22 | 10 << 11 | 10),
             "evt3": struct.pack("<6H", 8 << 12 | 0x25, 6 << 12 | 1, 3, 2 << 12 | 2, 10, 2 << 12 | 10)}[name]
    events = formats.read(file(tmp_path, header + words), name)
    assert words.startswith(b"%")
    assert b"\n" in words
    assert list(zip(events.x.tolist(), events.y.tolist(), strict=True)) == [(2, 3), (10, 10)]
