"""Damaged files by the thousand, for every reader.

    python tests/benchmarks/fuzz.py [--n 10000] [--data FOLDER]

Method: files that our writers make, that the tests build by hand, and where --data is given real ones (the
first 20 kB of each), are changed at random (cut short, bytes changed, left out, put in, repeated; the same
ones each time) and read, in turns strictly and not.  A reader may answer, or refuse with ValueError
(FormatError) or FileNotFoundError.  Any other exception, more memory than --memory, or more than ten seconds
for a file is a defect; the file is kept and the script ends with 1.
"""

import argparse
import struct
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from scipy.io import savemat

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
import nir_files
from event_files import AEDAT3, FOUR, WRITABLE, aedat3_packet, evt21_bytes, recording, shd_file
from mutations import mutations, survives

from numsnn import formats
from numsnn.datasets import converted, shd
from numsnn.datasets.listing import Item, Listing
from numsnn.formats import babi, idx, mat, wav, wfdb


def seeds(folder, data):
    """(name, file, reader(path, strict)) of good files."""
    for name in WRITABLE:
        formats.write(folder / name, recording(60), name)
        yield name, folder / name, lambda path, strict, name=name: formats.read(path, name, strict=strict)
        yield f"{name}, any", folder / name, lambda path, strict: formats.read(path, strict=strict)
    (folder / "aedat3").write_bytes(AEDAT3 + b"".join(aedat3_packet(FOUR, capacity=6) for _ in range(5)))
    yield "aedat3", folder / "aedat3", lambda path, strict: formats.read(path, "aedat3", strict=strict)
    yield "aedat3, any", folder / "aedat3", lambda path, strict: formats.read(path, strict=strict)
    for name, content in by_hand():
        (folder / name).write_bytes(content)
        known = name.split()[0]
        yield name, folder / name, lambda path, strict, known=known: formats.read(path, known, strict=strict)
        yield f"{name}, any", folder / name, lambda path, strict: formats.read(path, strict=strict)
    for name, content in hdf5_of_the_field().items():
        with h5py.File(folder / name, "w") as file:
            for key, value in content.items():
                file[key] = value
        yield name, folder / name, lambda path, strict: formats.read(path, strict=strict)
    savemat(folder / "mat", {"x": np.arange(60.0)})
    yield "mat", folder / "mat", lambda path, strict: mat.check(path)
    shd_file(folder / "shd", [[0.1, 0.2], [0.3]], [[1, 2], [3]], [0, 1], speakers=[1, 2])
    yield "shd", folder / "shd", lambda path, strict: read_all(shd.layout(path, strict=strict))
    events = recording(60)
    listing = Listing("x", "", events.shape, 1e-6, ("a",), [Item("a", 0, "", lambda: events)])
    converted.write(folder / "converted", listing)
    yield "converted", folder / "converted", lambda path, strict: read_all(converted.listing(path))
    idx.write(folder / "idx", np.arange(60, dtype=np.uint8).reshape(3, 4, 5))
    yield "idx", folder / "idx", lambda path, strict: idx.read(path)
    wav.write(folder / "wav", np.sin(np.arange(200) / 9), 8000)
    yield "wav", folder / "wav", lambda path, strict: wav.read(path)
    story = "1 Mary moved to the bathroom.\n2 John went home.\n3 Where is Mary? \tbathroom\t1\n"
    (folder / "babi").write_text(story * 5)
    yield "babi", folder / "babi", lambda path, strict: babi.read(path, strict=strict)
    nir_files.write(folder / "nir", nir_files.small())
    yield "nir", folder / "nir", lambda path, strict: nir_files.read(path)
    nir_files.write(folder / "nir, compressed", nir_files.small(), compression="gzip")
    yield "nir, compressed", folder / "nir, compressed", lambda path, strict: nir_files.read(path)
    nir_files.ours(folder / "nir, ours")
    yield "nir, ours", folder / "nir, ours", lambda path, strict: nir_files.read(path, strict)
    if data is not None:
        yield from real(folder, data)


def by_hand():
    """(format, bytes) of those that numsnn does not write."""
    places = recording(60)
    events = [(int(t), int(x), int(y), int(p)) for t, x, y, p in zip(*places.columns, strict=True)]
    bs3 = [(x << 44 | y << 32 | p << 24 | t).to_bytes(7, "big") for t, x, y, p in events]
    words = [word for t, x, y, p in events
             for word in (8 << 60 | (t >> 6) << 32, p << 60 | (t & 63) << 54 | x << 43 | y << 32 | 1)]
    head = b"#!AER-DAT2.0\r\n# AEChip: NAS\r\n#End Of ASCII Header\r\n"
    yield "bs3", b"".join(bs3)
    yield "evt21", b"% evt 2.1\n% geometry 34x34\n% end\n" + evt21_bytes(words)
    yield "evt21 upper first", b"% evt 2.1\n% geometry 34x34\n" + evt21_bytes(words, upper_first=True)
    yield "nas", head + b"".join(struct.pack(">II", x, t) for t, x, _, _ in events)
    yield "nas of two bytes", head + b"".join(struct.pack(">HI", x, t) for t, x, _, _ in events)


def hdf5_of_the_field():
    """Name -> contents by key."""
    t, x, y, p = columns = recording(60).columns
    records = np.zeros(60, np.dtype([("x", "u2"), ("y", "u2"), ("p", "i2"), ("t", "i8")]))
    for name, column in zip("txyp", columns, strict=True):
        records[name] = column
    return {"dsec": {"events/t": t, "events/x": x, "events/y": y, "events/p": p, "t_offset": 10**9},
            "xs": {"events/ts": t * 1e-6, "events/xs": x, "events/ys": y, "events/ps": p},
            "v2e": {"events": np.stack(columns, 1)}, "CD": {"CD/events": records}}


def read_all(listing):
    return [item.read() for item in listing.items]


def real(folder, data):
    """The begin of real files; a record of the QT Database in its three parts."""
    import zipfile
    davis = (data / "aedat" / "davis.aedat4").read_bytes()[:60_000]
    (folder / "davis").write_bytes(davis)
    yield "aedat4, LZ4", folder / "davis", lambda path, strict: formats.read(path, "aedat4", strict=strict)
    with zipfile.ZipFile(data / "qtdb" / "qtdb_records.zip") as archive:
        name = next(n for n in archive.namelist() if n.endswith("sel100.hea"))
        parts = {suffix: archive.read(name[:-3] + suffix) for suffix in ("hea", "dat", "q1c")}
    for suffix, content in parts.items():
        (folder / f"sel100.{suffix}").write_bytes(content)
    yield "hea", folder / "sel100.hea", lambda path, strict: wfdb.header(folder, "sel100", strict)
    annotations = lambda path, strict: wfdb.annotations(folder, "sel100", "q1c", strict)
    yield "signals", folder / "sel100.dat", lambda path, strict: wfdb.read(folder, "sel100", strict)
    yield "annotations", folder / "sel100.q1c", annotations


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--memory", type=float, default=300e6, help="bytes that a reader may take")
    parser.add_argument("--only", help="one format")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, path, read in seeds(Path(folder), options.data):
            if options.only and options.only != name:
                continue
            content, started = path.read_bytes(), time.perf_counter()
            good = fuzz(name, path, read, options)
            path.write_bytes(content)
            seconds = time.perf_counter() - started
            print(f"{name:22} {options.n:,} mutations, {good:,} answered, the others refused; "
                  f"{seconds:.0f} s", flush=True)


def fuzz(name, path, read, options):
    """Read mutations of the file in its place; how many were answered."""
    good = 0
    survives(partial(read, path, True), options.memory)         # compiles what it needs
    for i, bad in enumerate(mutations(path.read_bytes(), options.n, 1)):
        path.write_bytes(bad)
        begin = time.perf_counter()
        try:
            good += survives(partial(read, path, bool(i % 2)), options.memory)
            assert time.perf_counter() - begin < 10, "more than ten seconds"
        except BaseException:
            Path("fuzz-defect").write_bytes(bad)
            print(f"{name}: mutation {i} is a defect; the file is kept as fuzz-defect", flush=True)
            raise
    return good


if __name__ == "__main__":
    main()
