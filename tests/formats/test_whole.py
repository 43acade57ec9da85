"""Files appear whole or not at all: full disks, writers side by side, links, modes, what is no file."""

import contextlib
import os
import stat

import numpy as np
import pytest
from disks import full_after

from numsnn import formats
from numsnn.datasets import Dataset, converted
from numsnn.datasets.listing import Item, Listing
from numsnn.formats import idx, shd, storage, wav
from numsnn.formats.whole import as_json, growing, whole, whole_hdf5, writable, write_bytes, write_json
from numsnn.reports import plot
from numsnn.signals.events import Events

h5py = pytest.importorskip("h5py")


def events(n=4000):
    rng = np.random.default_rng(0)
    return Events(np.sort(rng.integers(0, 10**6, n)), x=rng.integers(0, 9, n), y=rng.integers(0, 9, n),
                  p=rng.integers(0, 2, n), shape=(2, 9, 9))


def listing():
    return Listing("x", "", (2, 9, 9), 1e-6, ("a",), [Item(f"r{i}", 0, "", events) for i in range(3)])


def spikes():
    return [shd.Train(np.linspace(0, 1, 500), np.arange(500), 0) for _ in range(9)]


WRITERS = {
    "data set": lambda path: Dataset(np.ones((9, 300, 7), "f4"), np.zeros(300, int)).save(path),
    "converted": lambda path: converted.write(path, listing()),
    "stream": lambda path: converted.write_stream(path, formats.stream(recorded(path))),
    "SHD": lambda path: shd.write(path, spikes(), ["a"]),
    "events, HDF5": lambda path: formats.write(path, events(), "hdf5"),
    "events, NPZ": lambda path: formats.write(path, events(), "npz"),
    "events, DAT": lambda path: formats.write(path, events(), "dat"),
    "events, CSV": lambda path: formats.write(path, events(), "csv"),
    "IDX": lambda path: idx.write(path, np.zeros((99, 99), np.uint8)),
    "sound": lambda path: wav.write(path, np.zeros(9999), 8000),
    "picture": lambda path: plot.save(plot.figure(3, 3)[0], path.with_suffix(".png")),
    "JSON": lambda path: write_json(path, list(range(9999))),
}


def recorded(path):
    """A recording in another folder."""
    found = path.parent.with_name("recorded.dat")
    if not found.exists():
        formats.write(found, events(), "dat")
    return found


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_the_old_file_and_nothing_else(name, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / ("a.png" if name == "picture" else "a.file")
    recorded(path)
    path.write_bytes(b"what was there")
    for n in (0, 3000):
        with full_after(n), pytest.raises(OSError, match="cannot be written, and is as it was before"):
            WRITERS[name](path)
        assert os.listdir(folder) == [path.name]
        assert path.read_bytes() == b"what was there"
    WRITERS[name](path)
    assert os.listdir(folder) == [path.name]
    assert path.stat().st_size > 3000


def test_hdf5_survives_a_disk_that_is_full_at_any_moment(tmp_path):
    path = tmp_path / "a.h5"
    path.write_bytes(b"what was there")
    for n in range(0, 16_000, 1117):
        with full_after(n), pytest.raises(OSError, match="cannot be written"), whole_hdf5(path) as file:
            grown = file.create_dataset("z", (0,), "f4", maxshape=(None,), chunks=(64,), compression="gzip")
            for i in range(40):
                file[f"group{i}/x"] = np.arange(90.0)
                grown.resize(len(grown) + 50, 0)
                grown[-50:] = np.arange(50) % 7
                assert grown[-1] == 0                       # the library goes on, in memory
        assert os.listdir(tmp_path) == ["a.h5"]
    assert path.read_bytes() == b"what was there"


def test_interrupted_in_the_middle_of_a_write(tmp_path, monkeypatch):
    """Ctrl-C while HDF5 writes: it is raised once the library is done."""
    def stopped(self, view):
        raise KeyboardInterrupt
    monkeypatch.setattr(storage.Storage, "_write", stopped)
    with pytest.raises(KeyboardInterrupt), whole_hdf5(tmp_path / "a.h5") as file:
        file["x"] = np.arange(9000)
    assert not os.listdir(tmp_path)


def test_what_goes_wrong_in_a_long_write_is_told_before_its_end(tmp_path):
    with full_after(5000), pytest.raises(OSError, match="cannot be written"), \
            whole_hdf5(tmp_path / "a.h5") as file:
        for i in range(100):
            file[f"x{i}"] = np.arange(1000)
            storage.check(file)
        raise AssertionError("nobody said so")


def test_an_addition_that_did_not_come_to_its_end_is_undone(tmp_path, monkeypatch):
    """Killed after any of its writes, the file is afterwards what it was before."""
    path = tmp_path / "a.h5"
    with storage.storing(path, "w", libver=converted.LIBVER) as file:
        file.create_dataset("x", data=np.arange(50), maxshape=(None,), chunks=(16,), compression="gzip")
    before, write = path.read_bytes(), storage.Storage._write
    for n in range(40):
        left = iter(range(n))

        def dying(self, view, left=left):
            if next(left, None) is None:
                raise ZeroDivisionError                     # nothing more is written
            write(self, view)

        monkeypatch.setattr(storage.Storage, "_write", dying)
        monkeypatch.setattr(storage, "roll_back", lambda path: None)
        monkeypatch.setattr(storage, "FAILURES", (ZeroDivisionError,))
        with contextlib.suppress(ZeroDivisionError), storage.adding(path, libver=converted.LIBVER) as file:
            file["x"].resize(120, 0)
            file["x"][30:] = 7
            file.attrs["more"] = "text"
        monkeypatch.undo()
        if not storage.undo_of(path).exists():
            break                                           # it came to its end
        storage.roll_back(path)
        assert path.read_bytes() == before and os.listdir(tmp_path) == ["a.h5"]
    assert 3 < n < 39
    with h5py.File(path, "r") as file:
        assert file["x"][30:].tolist() == [7] * 90


def test_writers_of_one_path_have_names_of_their_own(tmp_path):
    path = tmp_path / "a"
    with whole(path) as one, whole(path) as other, whole(path) as third:
        assert len({one, other, third}) == 3
        for i, part in enumerate((one, other, third)):
            part.write_text(str(i))
    assert path.read_text() == "0"                          # the last one that was complete
    with pytest.raises(RuntimeError), whole(path) as one, whole(path) as other:
        one.write_text("1")
        other.write_text("2")
        raise RuntimeError
    assert path.read_text() == "0" and os.listdir(tmp_path) == ["a"]


def test_the_rest_of_a_killed_writer_is_removed_and_that_of_a_live_one_is_not(tmp_path):
    path = tmp_path / "a"
    for name in ("a.part", "a.0123abcd.part"):
        (tmp_path / name).write_text("left behind")
    (tmp_path / "b.part").write_text("of another file")
    with whole(path) as part:
        part.write_text("slow")
        write_bytes(path, b"fast")
        assert part.read_text() == "slow"
    assert path.read_text() == "slow" and sorted(os.listdir(tmp_path)) == ["a", "b.part"]


def test_two_conversions_to_one_path(tmp_path):
    with growing(tmp_path / "a.h5"), pytest.raises(ValueError, match="is being written by another process"):
        converted.write(tmp_path / "a.h5", listing())


def test_links_are_followed_and_modes_kept(tmp_path):
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / "a", tmp_path / "link"
    link.symlink_to(target)
    write_bytes(link, b"1")                                 # a link to what is not there yet
    assert link.is_symlink() and target.read_bytes() == b"1"
    for mode in (0o600, 0o640, 0o664):
        target.chmod(mode)
        write_bytes(link, b"2")
        with growing(link) as part:
            part.write_bytes(b"3")
        assert link.is_symlink() and stat.S_IMODE(target.stat().st_mode) == mode
    before = os.umask(0o027)
    write_bytes(tmp_path / "new", b"")
    os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


def test_what_is_no_regular_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    for path in (tmp_path / "pipe", tmp_path / "circle", tmp_path, "/dev/null"):
        for call in (writable, lambda path: write_bytes(path, b"")):
            with pytest.raises(ValueError, match="which no file can replace"):
                call(path)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode) and (tmp_path / "circle").is_symlink()
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_where_no_file_can_be_written(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder .*; make it first"):
        writable(tmp_path / "no" / "folder" / "a")
    writable(tmp_path / "a")
    assert not os.listdir(tmp_path)
    if os.getuid():                                         # root may write anywhere
        (tmp_path / "a").touch(0o400)
        with pytest.raises(PermissionError, match="write-protected"):
            writable(tmp_path / "a")
        tmp_path.chmod(0o500)
        with pytest.raises(PermissionError, match="cannot be written"):
            writable(tmp_path / "b")


@pytest.mark.parametrize("name", ("a" * 255, "ä" * 127))
def test_long_names(name, tmp_path):
    write_bytes(tmp_path / name, b"1")
    assert os.listdir(tmp_path) == [name]


def test_numbers_of_numpy_as_json():
    thing = {"a": np.float32(0.5), "b": [np.int64(3), np.bool_(True)], "c": np.arange(2), "d": (1, None)}
    assert as_json(thing) == '{"a": 0.5, "b": [3, true], "c": [0, 1], "d": [1, null]}'
    with pytest.raises(TypeError, match="only numbers, texts, lists and dicts can be saved; got <object"):
        as_json([object()])
