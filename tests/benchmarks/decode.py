"""How fast event files are decoded: million events a second on one core, from files of at least 100 MB.

Method: a recording of random events (a walk over the sensor, microseconds apart) is written by our own
writers, AEDAT 3.1 and EVT 3.0 with vectors by builders below; each file is read once to warm the page cache
and compile, then --runs times piece by piece into reused columns (`formats.stream`); the best and the median
are printed.  Small files: the recordings of --small, read whole one by one.
"""

import argparse
import resource
import struct
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np

from numsnn import formats
from numsnn.formats.piecewise import Columns

WIDTH, HEIGHT = 128, 128


def recording(n, seed=0, width=WIDTH, height=HEIGHT):
    rng = np.random.default_rng(seed)
    t = np.cumsum(rng.integers(0, 3, n))
    x = rng.integers(0, width, n, np.uint16)
    y = rng.integers(0, height, n, np.uint16)
    return Columns(t, x, y, rng.integers(0, 2, n, np.uint8))


def aedat3(path, c, capacity=4096):
    """Packets of `capacity` events; the last is not full."""
    with open(path, "wb") as file:
        file.write(b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n")
        data = 1 | c.p.astype(np.uint32) << 1 | c.y.astype(np.uint32) << 2 | c.x.astype(np.uint32) << 17
        events = np.stack((data, (c.t & 0x7FFFFFFF).astype(np.uint32)), 1).astype("<u4")
        for i in range(0, len(events), capacity):
            part = events[i:i + capacity]
            n, overflows = len(part), int(c.t[i] >> 31)
            file.write(struct.pack("<hhiiiiii", 1, 0, 8, 4, overflows, capacity, n, n))
            file.write(part.tobytes() + b"\0" * (8 * (capacity - n)))


def evt3_vectors(path, n, seed=0):
    """Runs of neighbouring pixels as vectors of twelve: what a moving edge gives."""
    rng = np.random.default_rng(seed)
    k = n // 6
    words = np.empty((k, 4), np.uint16)
    words[:, 0] = 6 << 12 | np.sort(rng.integers(0, 4096, k))
    words[:, 1] = rng.integers(0, 720, k)
    words[:, 2] = 3 << 12 | rng.integers(0, 2, k) << 11 | rng.integers(0, 1200, k)
    words[:, 3] = 4 << 12 | rng.integers(1, 4096, k)
    header, time_high = b"% evt 3.0\n% geometry 1280x720\n% end\n", np.array([8 << 12], "<u2")
    Path(path).write_bytes(header + time_high.tobytes() + words.astype("<u2").tobytes())


def measure(path, name, runs, **options):
    seconds, events = [], 0
    for _ in range(runs + 1):
        start, events = time.perf_counter(), 0
        for columns in formats.stream(path, name, **options):
            events += len(columns.t)
        seconds.append(time.perf_counter() - start)
    best, median = min(seconds[1:]), float(np.median(seconds[1:]))
    size = Path(path).stat().st_size
    print(f"{name:14} {size / 1e6:8.0f} MB {events / 1e6:8.1f} M events   "
          f"best {events / best / 1e6:7.0f} M/s   median {events / median / 1e6:7.0f} M/s   "
          f"{size / best / 1e9:5.2f} GB/s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--events", type=int, default=22_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--small", help="an archive of small recordings, such as nmnist_subset.zip")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        large_files(Path(folder), options.events, options.runs)
    if options.small:
        small_files(options.small)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"peak memory {peak:.0f} MB, with the recording that was written")


def large_files(folder, n, runs):
    """Write and measure a file of each format."""
    events = recording(n)
    for name in ("bin", "aedat2", "dat", "evt2", "evt3", "aedat4"):
        c = events._replace(x=events.x % 34, y=events.y % 34) if name == "bin" else events
        pieces = [c.part(i, i + (1 << 20)) for i in range(0, len(c.t), 1 << 20)]
        formats.write(folder / name, pieces, name, sensor=(34, 34) if name == "bin" else (WIDTH, HEIGHT))
        measure(folder / name, name, runs)
        (folder / name).unlink()
    aedat3(folder / "aedat3", events)
    measure(folder / "aedat3", "aedat3", runs)
    evt3_vectors(folder / "evt3", 6 * n // 2)
    measure(folder / "evt3", "evt3", runs)


def small_files(path):
    """Files of an archive, read whole one by one; the second time counts."""
    archive = zipfile.ZipFile(path)
    names = [name for name in archive.namelist() if name.endswith((".bin", ".bs2"))]
    with tempfile.TemporaryDirectory() as folder:
        archive.extractall(folder)
        for _ in range(2):
            start = time.perf_counter()
            for name in names:
                formats.read(Path(folder) / name, "bin")
            seconds = time.perf_counter() - start
        print(f"{len(names)} small files read whole: {len(names) / seconds:,.0f} files/s")


if __name__ == "__main__":
    main()
