"""Is it right?  The tests of the CUDA device on the card, and random networks against the CPU.

Processes side by side: kernels are compiled by the CPU, for which most of the time goes.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from notes import SMALL, note, own_cache, seconds_left

DAY = Path(__file__).resolve().parent
HALF = max((os.cpu_count() or 1) // 2, 1)       # of the cores are for the tests, half for the networks
NETWORKS = int(os.environ.get("GPU_DAY_NETWORKS", "6" if SMALL else "200"))
COUNTS = re.compile(r"^\W*(\d+ (?:passed|failed|error|skipped|deselected).*?) in [\d.]+s", re.MULTILINE)
COUNT = re.compile(r"(\d+) (passed|failed|skipped|error)")


def tests(folder):
    """{name: (process, text file)}: all of on_cuda*.py in shares; small: those that are marked gpu."""
    plugin = ["-p", "host_kernels"] if "HOST_GPU" in os.environ else []
    plugin += ["-m", "gpu"] if SMALL else []
    files = map(str, sorted(DAY.parent.glob("devices/on_cuda*.py")))
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "share", *plugin, *files]
    path = f"{DAY}{os.pathsep}{os.environ['PYTHONPATH']}"
    for own in range(HALF):
        more = {"GPU_DAY_SHARE": f"{own}/{HALF}", "PYTHONPATH": path}
        yield f"tests {own}", started(command, Path(folder, f"tests{own}.txt"), **more)


def networks(folder):
    """{name: (process, file of results)} of the workers that share the random networks."""
    workers = min(HALF, NETWORKS)
    for worker in range(workers):
        results = Path(folder, f"networks{worker}.jsonl")
        command = [sys.executable, DAY / "random_networks.py", results, worker, NETWORKS, workers]
        process, _ = started(list(map(str, command)), results.with_suffix(".txt"))
        yield f"networks {worker}", (process, results)


def started(command, text, **more):
    environment = {**os.environ, **own_cache(text), **more}
    with text.open("w") as out:
        return subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment), text


def waited(processes):
    """{name: exit status, None where the time was up}."""
    status = {}
    for name, (process, _) in processes.items():
        try:
            status[name] = process.wait(max(seconds_left(), 0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            status[name] = None
    return status


def of_tests(processes, status):
    """How many tests passed, failed ...; what the others said is printed."""
    found = Counter()
    for name, (_, text) in processes.items():
        said = text.read_text()
        summary = COUNTS.search(said)
        for count, how in COUNT.findall(summary[1] if summary else ""):
            found[how] += int(count)
        found["shares without a result"] += summary is None
        print(f"\n---- {name}: {summary[1] if summary else 'no result'}")
        if status[name] not in (0, 5):          # 5: a share of no tests
            print(said[-8000:])
    return found


def of_networks(processes):
    """What the random networks gave, together."""
    rows = []
    for _, file in processes.values():
        print(file.with_suffix(".txt").read_text()[-2000:])
        rows += [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
    for row in sorted(rows, key=lambda row: row["seed"]):
        print(json.dumps(row))
    wrong = [row for row in rows if row["wrong"]]

    def largest(key):
        worst = max(rows, key=lambda row: row.get(key, 0.0), default={})
        return [worst.get(key, 0.0), worst.get("seed")]

    rates = [row["rate"] for row in rows if row.get("rate") is not None]
    return {"done": len(rows), "of": NETWORKS, "wrong": [[r["seed"], *r["wrong"]] for r in wrong],
            "samples": sum(row.get("samples", 0) for row in rows),
            "flips": sum(row.get("flips", 0) for row in rows), "spiking": len(rates),
            "silent": sum(rate < 1e-3 for rate in rates),
            "overflow": sum("overflows" in row for row in rows),
            "largest": {key: largest(key) for key in ("distance", "answer", "loss", "gradient")},
            "twice": sum(row.get("twice") is True for row in rows),
            "pieces": sum(row.get("pieces") is True for row in rows)}


def main(folder):
    with tempfile.TemporaryDirectory() as own:
        first, second = dict(tests(own)), dict(networks(own))
        status = waited(first | second)
        note(folder, "correctness", tests=of_tests(first, status), networks=of_networks(second),
             stopped=[name for name, ended in status.items() if ended is None])


main(sys.argv[1])
