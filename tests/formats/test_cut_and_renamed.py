"""Content decides over the names of files; cut files are said to be; what systems leave is left out."""

import struct
import zipfile

import numpy as np
import pytest
from event_files import AEDAT3, WRITABLE, aedat3_packet, evt21_bytes, put, recording, refused, rows

from numsnn import cli, formats
from numsnn.formats import FormatError, aedat4, contents, mat
from numsnn.formats.source import Source, is_wanted

# ---- names that say something else


def one_of_each(folder):
    """Format -> a file of it with its own suffix, and its events; those that can hold them, the same ones."""
    events = recording(60)
    made = {}
    for name in WRITABLE:
        path = folder / f"a{formats.FORMATS[name].suffixes[0]}"
        formats.write(path, events, name)
        made[name] = path.read_bytes(), events
    at = [(t, x, y, p) for t, x, y, p in rows(events)]
    made["bs3"] = b"".join((x << 44 | y << 32 | p << 24 | t).to_bytes(7, "big") for t, x, y, p in at), events
    made["aedat3"] = AEDAT3 + aedat3_packet(at), events
    return made


def test_content_decides_over_the_name(tmp_path):
    """Each format under the suffix of each other: the right events, or a sentence."""
    read, said = 0, 0
    known = {name: f.suffixes for name, f in formats.FORMATS.items()}
    suffixes = sorted({suffix for own in known.values() for suffix in own} | {".xyz", ""})
    for name, (content, events) in one_of_each(tmp_path).items():
        for suffix in suffixes:
            path = put(tmp_path, content, f"renamed{suffix}")
            try:
                got = formats.read(path)
            except FormatError:
                said += 1
                assert suffix not in known[name], (name, suffix)
                continue
            read += 1
            assert rows(got) == rows(events), (name, suffix)
    assert read > 100 and said > 20


@pytest.mark.parametrize("content, words", [
    (b"RIFF\x24\0\0\0WAVEfmt ", "a WAV file"),
    (b"MATLAB 5.0 MAT-file", "a MATLAB file"),
    (b"\x1f\x8b\x08\0", "a gzip file"),
    (b"\0\0\x08\x01\0\0\0\x03abc", "an IDX file"),
    (b"\x93NUMPY\x01\0", "a NumPy array"),
    (b"one line of text\nand another\n", "cannot tell its format"),
])
@pytest.mark.parametrize("suffix", [".bin", ".bs3", ".aedat", ".raw"])
def test_files_without_events(tmp_path, content, words, suffix):
    refused(put(tmp_path, content, f"a{suffix}"), words)


def test_archives_are_told_apart(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.bin", "w") as archive:
        archive.writestr("inside/00001.bin", b"12345")
    refused(tmp_path / "a.bin", "a zip archive with 1 files.*ARCHIVE.zip/MEMBER")


def test_a_line_of_geometry_is_no_dat_header(tmp_path):
    text = b"%geometry:1280,720\n1,2,1,10\n3,4,0,20\n"
    assert formats.guess(put(tmp_path, text, "a.csv")) == "csv"
    assert contents.guess(put(tmp_path, b"% a comment\n1,2,3,0\n4,5,6,1\n", "a.txt"), {}) == "csv"


def test_what_is_more_wrong_than_right_is_not_read_even_if_not_strict(tmp_path):
    junk = np.random.default_rng(0).integers(0, 256, 700, np.uint8).tobytes()
    for suffix in (".bin", ".bs2", ".bs3"):
        refused(put(tmp_path, junk, f"a{suffix}"), "cannot be events of this format", strict=False)


def test_polarities_that_are_none(tmp_path):
    channel = (1 << 44 | 2 << 32 | 5 << 24 | 9).to_bytes(7, "big")
    refused(put(tmp_path, channel, "a.bs3"), "bits are set that such an event has not")
    head = b"% Data file containing CD events\n% Version 2\n" + bytes((12, 8))
    sign = struct.pack("<II", 7, 9 | 3 << 28)
    refused(put(tmp_path, head + sign, "a.dat"), "bits are set that such an event has not")


# ---- cut short


def test_cut_files_say_so_whoever_reads_them(tmp_path, capsys):
    """Reading, converting and describing say the same of a file whose last bytes are missing."""
    made = one_of_each(tmp_path)
    made["evt21"] = b"% evt 2.1\n% end\n" + evt21_bytes([8 << 60 | 1 << 32, 1 << 60 | 5]), None
    for name, (content, _) in made.items():
        if name == "csv":                           # has its own tests
            continue
        path = put(tmp_path, content[:-1], f"cut{formats.FORMATS[name].suffixes[0]}")
        with pytest.raises(FormatError) as error:
            formats.read(path)
        capsys.readouterr()
        assert cli.main(["convert", str(path), str(tmp_path / "out.h5")]) == 2
        assert error.value.problem in capsys.readouterr().err
        status = cli.main(["info", str(path)])
        said = capsys.readouterr()
        assert status == 2 or "SKIPPED" in said.out, (name, said)
    assert not (tmp_path / "out.h5").exists()


def test_aedat4_tells_where_it_should_end(tmp_path):
    content = bytearray(aedat4.header_bytes(4, 4) + b"table")
    end = len(content) - 5
    at = bytes(content).index(struct.pack("<q", -1))
    content[at:at + 8] = struct.pack("<q", end)
    assert formats.read(put(tmp_path, bytes(content))).n_events == 0
    path = put(tmp_path, bytes(content[:-5]))
    refused(path, "cut short, the table at the end of the file is missing")
    stream = formats.stream(path, strict=False)
    assert stream.read().n_events == 0 and sum(stream.problems.counts.values()) == 1


@pytest.mark.parametrize("packed", [False, True])
def test_matlab_files_that_are_cut(tmp_path, packed, capsys):
    from scipy.io import savemat
    path = tmp_path / "a.mat"
    savemat(path, {"x": np.arange(999.0), "y": np.ones(3)}, do_compression=packed)
    mat.check(path)
    assert cli.main(["info", str(path)]) == 0
    content = path.read_bytes()
    for size in (100, 128 + 4, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(FormatError, match="cut short"):
            mat.check(path)
        assert cli.main(["info", str(path)]) == 2
        assert "cut short" in capsys.readouterr().err
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(126) + b"IM" + bytes(999))
    with pytest.raises(FormatError, match="no MATLAB 5 file"):
        mat.check(path)


# ---- what systems leave behind


def test_what_systems_leave_in_archives_is_no_recording(tmp_path):
    from numsnn.datasets import cameras, speech
    left = ("__MACOSX/Train/3/._00000.bin", "Train/3/._00000.bin", ".Trash/Train/3/00001.bin",
            "__MACOSX/Train/3/00002.bin")
    formats.write(tmp_path / "00000.bin", recording(5), "bin")
    with zipfile.ZipFile(tmp_path / "mac.zip", "w") as archive:
        archive.write(tmp_path / "00000.bin", "Train/3/00000.bin")
        for name in (*left, "__MACOSX/bed/._a.wav", ".hidden.wav", "bed/a.wav"):
            archive.writestr(name, b"Mac OS X        ")
    assert [item.name for item in cameras.nmnist(tmp_path / "mac.zip").items] == ["Train/3/00000.bin"]
    assert Source(tmp_path / "mac.zip").names(".bin") == ["00000.bin"]
    assert speech.Sounds(tmp_path / "mac.zip").names == ["bed/a.wav"]
    (tmp_path / "folder" / "Train" / "3").mkdir(parents=True)
    for name in ("00000.bin", "._00000.bin", ".DS_Store", "Thumbs.db", "desktop.ini"):
        (tmp_path / "folder" / "Train" / "3" / name).write_bytes(b"12345")
    assert [item.name for item in cameras.nmnist(tmp_path / "folder").items] == ["Train/3/00000.bin"]
    assert Source(tmp_path / "folder" / "Train" / "3").names() == ["00000.bin"]
    assert is_wanted("a/b.c/d.bin") and not is_wanted("a/@eaDir/d.bin")
