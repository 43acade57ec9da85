"""What the parts of gpu_day.sh share: sizes, time limits, and the file in which each notes what it finds.

notes.py OUT PART STATUS notes how a part ended.
"""

import json
import os
import sys
import time
from pathlib import Path

if "HOST_GPU" in os.environ:
    import host_kernels  # noqa: F401  kernels become functions of the host, see devices/host_gpu

SMALL = os.environ.get("GPU_DAY") == "small"
BEGUN = time.monotonic()


def seconds_left():
    """Until the part is stopped, but for a few seconds in which it notes what it has."""
    return float(os.environ.get("GPU_DAY_SECONDS", "inf")) - 4 - (time.monotonic() - BEGUN)


def own_cache(text):
    """For the environment of a process whose text goes there: two that write Numba's cache mix it up."""
    return {"NUMBA_CACHE_DIR": str(text.with_suffix(".numba"))}


def read(folder):
    """{part: what it found} of all parts so far."""
    path = Path(folder, "found.json")
    return json.loads(path.read_text()) if path.is_file() else {}


def note(folder, part, **found):
    """Add to what a part found, at once: who is stopped by the time limit leaves what it knew."""
    everything = read(folder)
    everything.setdefault(part, {}).update(found)
    new = Path(folder, "found.new")
    new.write_text(json.dumps(everything, indent=1, default=float))
    new.replace(Path(folder, "found.json"))


if __name__ == "__main__":
    out, name, status = sys.argv[1:]
    ended = {"0": "done", "124": "stopped by its time limit", "137": "killed by its time limit"}
    note(out, name, ended=ended.get(status, f"failed ({status}), see {name}.txt"))
