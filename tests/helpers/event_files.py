"""Event files built byte by byte, and recordings to put into files."""

import struct

import h5py
import numpy as np
import pytest

from numsnn import formats
from numsnn.formats import FormatError
from numsnn.signals.events import Events

WRITABLE = ("bin", "bs2", "aedat2", "aedat4", "dat", "evt2", "evt3", "hdf5", "npz", "csv")
AEDAT3 = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n"
FOUR = [(5, 1, 2, 1), (9, 127, 0, 0), (9, 3, 127, 1), (1000, 64, 65, 0)]


def recording(n, seed=0, width=34, height=34, step=300):
    rng = np.random.default_rng(seed)
    t = np.cumsum(rng.integers(0, step, n))
    x, y, p = rng.integers(0, width, n), rng.integers(0, height, n), rng.integers(0, 2, n)
    return Events(t, x=x, y=y, p=p, shape=(2, height, width))


def aedat2_bytes(events, header=b"#!AER-DAT2.0\r\n# a comment\r\n"):
    return header + b"".join(struct.pack(">II", p | x << 1 | y << 8, t) for t, x, y, p in events)


def aedat3_packet(events, capacity=None, overflow=0, valid=None):
    n = len(events)
    capacity = n if capacity is None else capacity
    valid = [1] * n if valid is None else valid
    body = b"".join(struct.pack("<II", valid[i] | p << 1 | y << 2 | x << 17, t)
                    for i, (t, x, y, p) in enumerate(events))
    head = struct.pack("<hhiiiiii", 1, 1, 8, 4, overflow, capacity, n, n)
    return head + body.ljust(8 * capacity, b"\0")


def shd_file(path, times, units, labels, speakers=(4, 5, 4), keys=(b"zero", b"one"), dtype=np.float16):
    with h5py.File(path, "w") as file:
        t = file.create_dataset("spikes/times", (len(times),), h5py.vlen_dtype(dtype))
        u = file.create_dataset("spikes/units", (len(times),), h5py.vlen_dtype(np.uint16))
        for i, (a, b) in enumerate(zip(times, units, strict=True)):
            t[i], u[i] = np.array(a, dtype), np.array(b, np.uint16)
        file["labels"] = np.array(labels, np.uint16)
        file["extra/speaker"] = np.array(speakers)
        file["extra/keys"] = np.array(keys)


def evt21_bytes(words, upper_first=False):
    """Words of EVT 2.1, whole or with the upper half first."""
    if not upper_first:
        return struct.pack(f"<{len(words)}Q", *words)
    return b"".join(struct.pack("<II", word >> 32, word & 0xFFFFFFFF) for word in words)


def rows(events):
    return [tuple(int(c) for c in row) for row in zip(*events.columns, strict=True)]


def put(folder, content, name="x"):
    path = folder / name
    path.write_bytes(content)
    return path


def refused(path, words, format=None, **options):
    """Reading ends in an error with these words (a pattern)."""
    with pytest.raises(FormatError, match=words):
        formats.read(path, format, **options)
