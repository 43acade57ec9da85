"""Runs the points of a sweep: each in a process of its own, several at a time, here or over MPI.

A point writes its checkpoint as it goes: one that was killed goes on from there when the sweep is started
again, one that is finished is kept.  The process of a point ends with the sweep that started it, however that
ends: it watches a pipe whose other end only the sweep holds.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from ..packages import needed
from .grid import Point
from .results import LOG, Outcome, finished, outcome

WATCHED = ("import os, sys, threading\n"
           "def end():\n"
           "    os.read(0, 1)\n"
           "    os._exit(75)\n"
           "threading.Thread(target=end, daemon=True).start()\n"
           "from numsnn.cli import main\n"
           "sys.exit(main(sys.argv[1:]))\n")


def run(points: Sequence[Point], out: Path, command: Sequence[str], *, processes: int = 1, comm: Any = None,
        said: Callable[[Outcome, int, int], None] | None = None) -> list[Outcome]:
    """Train all points that are not finished; the outcomes, in the order of the points.

    out: folder of the sweep.  command: arguments of `numsnn train` that all points share, the recipe first.
    processes: trainings at a time on this machine; comm: an MPI communicator whose ranks run them instead
    (the root hands them out).  said(outcome, number, of all): called as each point ends.
    Over MPI the other ranks get an empty list.
    """
    left = [point for point in points if not finished(point.folder(out))]
    work = partial(_train, out=out, command=tuple(command))
    with _pool(processes, comm) as pool:
        if pool is None:
            return []
        number = len(points) - len(left)
        for done in _as_they_end(pool, work, left):
            number += 1
            if said is not None:
                said(done, number, len(points))
    return [outcome(point, point.folder(out)) for point in points]


def _as_they_end(pool: Executor, work: Callable[[Point], Outcome],
                 points: Sequence[Point]) -> Iterator[Outcome]:
    waiting = [pool.submit(work, point) for point in points]
    try:
        for future in as_completed(waiting):
            yield future.result()
    except BaseException:
        for future in waiting:
            future.cancel()
        raise


@contextmanager
def _pool(processes, comm):
    if comm is not None:
        with needed("mpi4py.futures", "--mpi").MPICommExecutor(comm, root=0) as pool:
            yield pool
    else:
        with ThreadPoolExecutor(processes) as pool:
            yield pool


def _train(point: Point, out: Path, command: Sequence[str]) -> Outcome:
    """Run a point to its end, and say how it ended."""
    folder = point.folder(out)
    folder.mkdir(parents=True, exist_ok=True)
    settings = [word for pair in point.settings.items() for word in ("--set", "=".join(pair))]
    arguments = ["train", *command, "--seed", str(point.seed), *settings, "--out", str(folder), "--resume"]
    with open(folder / LOG, "wb") as log, \
            subprocess.Popen([sys.executable, "-c", WATCHED, *arguments], stdin=subprocess.PIPE, stdout=log,
                             stderr=subprocess.STDOUT, env=_environment()) as process:
        code = process.wait()
    return outcome(point, folder, code)


def _environment():
    """That of this process, in which numsnn is found also where it is not installed."""
    home = str(Path(__file__).parents[2])
    path = [*filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)), home]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path)}
