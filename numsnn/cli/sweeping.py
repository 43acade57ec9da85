"""numsnn sweep: a recipe over seeds and settings, several trainings at a time, here or over MPI."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from pathlib import Path

from .about import SAME, about_run, refuse_another
from .settings import pairs


def sweep(options: Namespace) -> None:
    """Train all points that are not finished; then the table of all, and an error where some failed."""
    from .. import recipes, sweeps
    comm = _communicator() if options.mpi else None
    recipe = recipes.get(options.recipe)
    if options.published:
        recipe = recipe.as_published()
    points = sweeps.grid(sweeps.seeds_of(options.seeds), sweeps.values_of(pairs(options.set)))

    processes, threads = _shares(options, len(points))
    out = Path(options.out or f"runs/{recipe.name}-sweep")
    _check(options, recipe, points, out)
    root = comm is None or comm.rank == 0
    if root:
        if options.data is None:
            print("NOTE: no --data given. The data are SYNTHETIC.", file=sys.stderr)
        together = processes if comm is None else comm.size - 1
        print(f"{len(points)} trainings, {together} at a time, threads of each: {threads}", flush=True)
    done = sweeps.run(points, out, _shared(options, threads), processes=processes, comm=comm, said=_say)
    if root:
        _tell(sweeps.write(done, out, f"{recipe.name}: {len(points)} trainings"), done, out)


def _check(options, recipe, points, out):
    """Refuse settings that do not fit the recipe, and folders that hold other trainings."""
    runs = [about_run(options, recipe, recipe.configured(point.settings), point.seed) for point in points]
    for point, about in zip(points, runs, strict=True):
        refuse_another(point.folder(out), {key: about[key] for key in (*SAME, "epochs_asked")},
                       damaged="remove its folder")


def _tell(text, done, out):
    print(f"\n{text}\nwritten to {out}: sweep.csv, sweep.md, sweep.png")
    failed = sum(bool(one.error) for one in done)
    if failed:
        raise ValueError(f"{failed} of {len(done)} trainings failed, see above and log.txt in their folders; "
                         f"the same command again keeps those that are finished")


def _say(outcome, number, of_all):
    found = f"test accuracy {outcome.found['test_accuracy']:.4f}" if outcome.found else outcome.error
    print(f"{number}/{of_all}  {outcome.point.setting}, seed {outcome.point.seed}: {found}", flush=True)


def _shares(options, points):
    """(trainings at a time, threads of each): the cores, shared out."""
    cores = _cores()
    if options.processes is not None and options.processes < 1:
        raise ValueError(f"--processes must be at least 1; got {options.processes}")
    if options.threads is not None and options.threads < 1:
        raise ValueError(f"--threads must be at least 1; got {options.threads}")
    processes = options.processes or max(1, min(points, cores // (options.threads or 1)))
    return processes, options.threads or max(1, cores // processes)


def _cores():
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _shared(options, threads):
    """Arguments of `numsnn train` that all points have."""
    given = [options.recipe, "--threads", str(threads), "--device", options.device]
    for name in ("data", "epochs", "batch_size"):
        value = getattr(options, name)
        if value is not None:
            given += [f"--{name.replace('_', '-')}", str(value)]
    return given + ["--published"] * options.published


def _communicator():
    """All ranks, of which the first hands out the trainings."""
    from ..ranks import mpi
    comm = mpi.library("--mpi").COMM_WORLD
    if comm.size < 2:
        raise ValueError("--mpi takes at least 2 ranks, one of which hands out the trainings: mpiexec -n 3 "
                         "numsnn sweep ... --mpi; without --mpi, processes of this machine run them")
    return comm
