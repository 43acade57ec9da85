"""Recordings converted to HDF5: the same events, interruption, damaged files, constant memory."""

import multiprocessing
import os
import signal
import struct
import time

import numpy as np
import pytest
from made_up_recordings import some

import numsnn as ns
from numsnn import formats
from numsnn.datasets import converted
from numsnn.datasets.listing import Item, Listing
from numsnn.datasets.recordings import Bins
from numsnn.formats import FormatError
from numsnn.signals.events import Events

h5py = pytest.importorskip("h5py")


def test_converted_recordings_are_the_same(tmp_path):
    listing = some()
    assert converted.write(tmp_path / "a.h5", listing, {"seed": 1}) == 0
    back = converted.listing(tmp_path / "a.h5")
    for key in ("name", "shape", "tick", "classes"):
        assert getattr(back, key) == getattr(listing, key), key
    for one, other in zip(listing.items, back.items, strict=True):
        assert (one.name, one.label, one.group) == (other.name, other.label, other.group)
        assert one.read() == other.read()
    with h5py.File(tmp_path / "a.h5") as file:
        assert {key: file.attrs[key].decode() for key in ("options", "numsnn_version", "source")} == {
            "options": '{"seed": 1}', "numsnn_version": ns.__version__, "source": "made up"}
    x, y = (thing.dataset(Bins(dt=1e-3)).x for thing in (listing, back))
    assert np.array_equal(x.dense(), y.dense())
    sound = Item("0", 0, "", lambda: Events([0.1, 0.25], [3, 699], shape=700, tick=1.0))
    sounds = Listing("s", "", (700,), 1.0, ("a",), [sound])
    converted.write(tmp_path / "b.h5", sounds)
    assert converted.listing(tmp_path / "b.h5").items[0].read() == sounds.items[0].read()


def _convert_slowly(path, after):
    listing = some()
    converted.SECONDS = 0.0

    def slow(done, n, name):
        if done >= after:
            path.with_name("reached").touch()
            time.sleep(60)
    converted.write(path, listing, None, slow)


def test_an_interrupted_conversion_goes_on(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    process = spawn.Process(target=_convert_slowly, args=(tmp_path / "a.h5", 9))
    process.start()
    part = tmp_path / "a.h5.part"
    for _ in range(1200):
        time.sleep(0.05)
        if (tmp_path / "reached").exists():
            break
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not (tmp_path / "a.h5").exists()
    with h5py.File(part, "r+") as file:                # a recording that was being written
        file["events/t"].resize(len(file["events/t"]) + 7, 0)
    read = []
    assert converted.write(tmp_path / "a.h5", some(), None, lambda done, n, name: read.append(done)) == 9
    assert read[0] == 9 and not part.exists()
    for one, other in zip(some().items, converted.listing(tmp_path / "a.h5").items, strict=True):
        assert one.read() == other.read()
    # another conversion's rest, and one that cannot be read, are not continued
    for content in (None, b"\x89HDF\r\n\x1a\n damaged"):
        if content:
            part.write_bytes(content)
        else:
            converted._create(part, some(), converted._about(some(), {"other": 1}))
        assert converted.write(tmp_path / "a.h5", some()) == 0


def test_damaged_converted_files(tmp_path):
    path = tmp_path / "a.h5"
    converted.write(path, some())
    good = path.read_bytes()
    path.write_bytes(good[:len(good) // 2])
    with pytest.raises(FormatError, match="cannot be read"):
        converted.listing(path)
    path.write_bytes(good)
    with h5py.File(path, "r+") as file:
        file["offsets"][3] = 10**9
    with pytest.raises(FormatError, match="do not fit together"):
        converted.listing(path)


def test_one_file_is_converted_in_constant_memory(tmp_path):
    import tracemalloc
    n = 1_500_000
    rng = np.random.default_rng(0)
    address = rng.integers(0, 128, n) << 1 | rng.integers(0, 128, n) << 8
    data = np.stack((address, np.arange(n)), 1).astype(">u4").tobytes()
    (tmp_path / "a.aedat").write_bytes(b"#!AER-DAT2.0\r\n" + data)
    converted.write_stream(tmp_path / "warm.h5", formats.stream(tmp_path / "a.aedat"))
    tracemalloc.start()
    assert converted.write_stream(tmp_path / "a.h5", formats.stream(tmp_path / "a.aedat")) == n
    # all events would be 20 MB in the file, 31 MB as columns, twice that to join
    assert tracemalloc.get_traced_memory()[1] < 60e6
    tracemalloc.stop()
    events = converted.listing(tmp_path / "a.h5").items[0].read()
    assert events.n_events == n and struct.unpack(">II", data[:8])[1] == events.t[0]
