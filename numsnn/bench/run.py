"""The run of `numsnn bench`: cases, peers, growth, first calls; a table, JSON and a plot."""

import os
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import devices, optim
from ..devices import threads
from ..reports import plot
from .cases import CASES, Driven, Problem, parts, scaled
from .measure import Machine, Part, exponent, interleaved, machine, peak_memory

POINTS = (0.25, 0.5, 1.0, 2.0)
NAMES = {"steps": "T", "batch": "B", "units": "N", "rate": "rate"}


class Run(NamedTuple):
    """What all cases of a run share."""
    device: str
    tiny: bool
    runs: int
    peers: dict
    others: dict
    limits: Machine
    growth: bool
    first: bool
    say: Callable


def bench(names: Sequence[str], *, runs: int = 15, tiny: bool = False, peers: str | None = None,
          growth: bool = False, first: bool = False, out: Path | str | None = None, device: str = "cpu",
          batches: tuple[int, ...] = (), say: Callable[[str], object] = print) -> dict:
    """Run cases; what was found, as it goes to JSON.

    out: file for the plot of the growth.  batches: numbers of samples in place of the cases' own.
    """
    _check(names, runs, device)
    limits = _limits(tiny, device)
    agreeing, others = _peers(peers)
    run = Run(device, tiny, runs, agreeing, others, limits, growth, first, say)
    found: dict = {"machine": limits._asdict(), "cases": {}}
    say(f"{limits.threads} threads, {limits.cores} cores, {limits.kind}; "
        f"a large product {limits.flops / 1e9:,.0f} GFLOP/s, a large copy {limits.copy / 1e9:.1f} GB/s\n")
    say("| case | | best | median | peak memory | limit |\n| --- | --- | --- | --- | --- | --- |")
    for name in names:
        for size in _sizes(CASES[name], tiny, batches):
            label = f"{name}, B = {size.batch}" if batches and "batch" in CASES[name].grows else name
            found["cases"][label] = _case(name, label, size, run)
    if growth and out is not None:
        grown = {label: facts["growth"] for label, facts in found["cases"].items() if facts.get("growth")}
        if grown:
            plot.save(_drawn(grown), out)
    return found


def _check(names, runs, device):
    unknown = [name for name in names if name not in CASES]
    if unknown:
        raise ValueError(f"no case {unknown[0]!r}; there are {', '.join(CASES)}")
    if runs < 1:
        raise ValueError(f"runs must be at least 1; got {runs}")
    there = on_device(device)
    elsewhere = sorted(set(names) - set(there))
    if elsewhere:
        raise ValueError(f"case {elsewhere[0]} does not run on device {device!r}; "
                         f"there are {', '.join(there)}")


def on_device(device: str) -> list[str]:
    """The names of the cases that run on a device."""
    here = devices.get(device)
    return [name for name, case in CASES.items() if case.runs_on(here)]


def _peers(path):
    """(steps that must agree with ours, steps that are of the same size only), by name."""
    if path is None:
        return {}, {}
    if not Path(path).is_file():
        raise ValueError(f"--peers: there is no file {path}")
    given = runpy.run_path(path)
    peers, others = given.get("PEERS"), given.get("OTHERS", {})
    if not isinstance(peers, dict) or not isinstance(others, dict):
        wanted = "PEERS = {name: function(case, problem)}, and OTHERS likewise if at all"
        raise ValueError(f"--peers: {path} does not define {wanted}")   # noqa: TRY004  what a user gave
    return peers, others


def _limits(tiny, device):
    """Matrices large enough that the device is busy, and sizes at which a simulator gets done."""
    if devices.get(device).HOST:
        return machine(256, 8) if tiny else machine()
    return machine(8, 1e-3, device) if tiny else machine(4096, 1024, device)


def _sizes(case, tiny, batches):
    size = case.tiny if tiny else case.size
    if batches and "batch" in case.grows:
        return [size._replace(batch=batch) for batch in batches]
    return [size]


def _case(name, label, size, run):
    """Time a case and those that stand beside it; what was found."""
    case, device = CASES[name], run.device
    made = _made(case, size, device)
    own, theirs = _parts(made, device), {}
    facts = {"about": case.about, "device": device, "size": size._asdict(), "parts": {}, "peers": {}}
    if isinstance(made, Problem):
        theirs |= _agreeing(name, made, own, run.peers, facts, run.say)
    if isinstance(made, Driven) or isinstance(made, Problem) and made.trains:
        theirs |= _others(name, made, run.others, facts)
    if isinstance(made, Problem) and run.limits.threads > 1:
        whole = list(own)[-1]
        own[f"{whole}, one thread"] = Part(_on_one_thread(own[whole].run))
    times = interleaved({**own, **theirs}, run.runs)
    for part, spec in own.items():
        facts["parts"][part] = _of_part(label, part, spec, times[part], run)
    whole = [times[part] for part in _whole(own)]
    for peer in theirs:
        facts["peers"][peer] |= _of_peer(label, peer, times[peer], whole, facts["peers"][peer], run.say)
    if run.growth and case.grows:
        facts["growth"] = _growth(case, size, run, label)
    if run.first and isinstance(made, Problem) and made.trains:
        facts["first_call"] = seconds = _first(name, run)
        run.say(f"| {name} | first step, nothing compiled | {_time(seconds['empty'])} | | | |\n"
                f"| {name} | first step, loops in the cache | {_time(seconds['cached'])} | | | |")
    return facts


def _whole(own):
    """Names of the parts that together are what is compared: a step or a run, or all."""
    return [part for part in ("step", "run") if part in own] or list(own)


def _of_part(label, part, spec, times, run):
    """Facts of a part of ours: times, memory, how far from the machine's limits it is."""
    here, limit = devices.get(run.device), {}
    kernels = here.busy(spec.run) if part == "step" else None
    if kernels is not None:
        limit["in_kernels"] = kernels / times.best
    if spec.flops:
        limit["of_peak"] = spec.flops / times.best / run.limits.flops
    if spec.bytes:
        limit["of_copy"] = spec.bytes / times.best / run.limits.copy
    peak = peak_memory(spec, here.held)
    shown = ", ".join(f"{100 * value:.0f} % {key.replace('_', ' ')}" for key, value in limit.items())
    run.say(f"| {label} | {part} | {_time(times.best)} | {_time(times.median)} "
            f"| {peak / 1e6:,.1f} MB | {shown} |")
    return {**times._asdict(), "peak_bytes": peak, **limit}


def _of_peer(label, peer, times, whole, known, say):
    """Facts of a peer's step beside the whole of ours."""
    ratio = {key: getattr(times, key) / sum(getattr(part, key) for part in whole)
             for key in ("best", "median")}
    other = " (its own neurons)" if known.get("other_neurons") else ""
    say(f"| {label} | {peer}{other} | {_time(times.best)} | {_time(times.median)} "
        f"| | {ratio['median']:.1f} x ours |")
    return {**times._asdict(), "ratio": ratio}


def _on_one_thread(run):
    def alone():
        with threads.limited(1):
            run()
    return alone


def _made(case, size, device):
    made = case.make(size, device)
    return scaled(made) if isinstance(made, Problem) else made


def _parts(made, device):
    """What is timed, until the device has done it."""
    finish = devices.get(device).finish
    return {name: part._replace(wait=finish) for name, part in parts(made).items()}


def _others(name, problem, others, facts):
    """Steps of the same size that compute something else."""
    steps = {label: Part(step) for label, make in others.items() if (step := make(name, problem)) is not None}
    facts["peers"] |= {label: {"other_neurons": True} for label in steps}
    return steps


def _agreeing(name, problem, own, others, facts, say):
    """The steps of peers that compute the same loss and gradients, or the same answers."""
    steps = {}
    for peer, make in others.items():
        step = make(name, problem)
        if step is None:
            continue
        if not problem.trains:
            steps |= _answering(name, peer, own["run"].run(), step, facts, say)
            continue
        (loss, grads), (their_loss, theirs) = own["step"].run(), step()
        worst = _difference(grads, theirs)
        facts["peers"][peer] = {"loss": [float(loss), float(their_loss)], "gradient_difference": worst}
        same_loss = abs(loss - their_loss) <= 1e-3 * abs(loss)
        same_gradients = worst <= 2e-2 and not set(grads) - set(theirs)
        if same_loss and same_gradients:
            steps[peer] = Part(step)
        else:
            say(f"{peer} computes something else ({name}): loss {loss:.5f} and {their_loss:.5f}, "
                f"gradients differ by {worst:.1e}; it is not timed")
    return steps


def _answering(name, peer, ours, run, facts, say):
    """A peer's run, where nine of ten of its answers are ours.

    A last bit may turn one spike, and that the answer to a long sequence; another equation turns them all.
    """
    difference = np.abs(np.asarray(run()) - ours).max(-1)
    others = float((difference > 1e-3 * np.abs(ours).max()).mean())
    facts["peers"][peer] = {"other_answers": others}
    if others <= 0.1:
        return {peer: Part(run)}
    say(f"{peer} computes something else ({name}): {100 * others:.1f} % of the answers differ; "
        f"it is not timed")
    return {}


def _difference(grads, theirs):
    """The largest of the differences of gradients, each relative to the largest number of ours."""
    worst = []
    for key, given in grads.items():
        ours = np.asarray(given)
        if key not in theirs or not np.abs(ours).max() > 0:
            continue
        other = np.asarray(theirs[key].cpu() if hasattr(theirs[key], "cpu") else theirs[key])
        worst.append(float(np.abs(other - ours).max() / np.abs(ours).max()))
    return max(worst)


def _growth(case, size, run, label):
    grown = {}
    for what in case.grows:
        sizes = _points(getattr(size, what))
        seconds = [_step_seconds(case, size._replace(**{what: point}), run) for point in sizes]
        k = exponent(sizes, seconds)
        grown[what] = {"sizes": sizes, "seconds": seconds, "exponent": k}
        all_sizes = ", ".join(f"{point:g}" for point in sizes)
        all_times = ", ".join(_time(s) for s in seconds)
        run.say(f"| {label} | with {NAMES[what]} = {all_sizes} | {all_times} | | | ~ {NAMES[what]}^{k:.2f} |")
    return grown


def _points(value):
    """A quarter to twice of a size; whole numbers stay whole, and at least 1."""
    if isinstance(value, int):
        return [type(value)(max(value * p, 1)) for p in POINTS]
    return [type(value)(value * p) for p in POINTS]


def _step_seconds(case, size, run):
    """Best time of a step; of all parts where there is no step."""
    own = _parts(_made(case, size, run.device), run.device)
    pick = {part: own[part] for part in _whole(own)}
    return sum(times.best for times in interleaved(pick, max(3, run.runs // 3)).values())


def _first(name, run):
    """Seconds from the program's start to the end of the first step, with an empty cache and a full one."""
    script = ("import sys; from numsnn.bench.run import first_step; "
              "first_step(sys.argv[1], sys.argv[2] == 'tiny', sys.argv[3])")
    command = [sys.executable, "-c", script, name, "tiny" if run.tiny else "all", run.device]
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder, "PYTHONPATH": os.pathsep.join(sys.path)}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)    # or "cached" would read all modules as text again
        for cache in ("empty", "cached"):
            started = time.perf_counter()
            done = subprocess.run(command, check=False, env=environment)
            if done.returncode:
                raise OSError(f"the first step of {name} failed in a new process; what it said stands above")
            seconds[cache] = time.perf_counter() - started
    return seconds


def first_step(name: str, tiny: bool, device: str) -> None:
    """One step of a case, rates as they come, and nothing that a step does not need."""
    case = CASES[name]
    problem = case.make(case.tiny if tiny else case.size, device)
    result = problem.net.loss_and_gradients(problem.loss, problem.x, problem.labels, state=problem.state)
    optim.Adam(1e-9).update(problem.net.params, result.grads)


def _drawn(grown):
    """Time of a step over T, B, N and rate, one row for each case; dotted: in proportion."""
    fig, axes = plot.figure(8, 2.1 * len(grown), len(grown), 4, squeeze=False, sharey="row")
    for row, (name, curves) in zip(axes, grown.items(), strict=True):
        every = [1e3 * s for curve in curves.values() for s in curve["seconds"]]
        limits = min(every) / 1.6, max(every) * 1.6
        for ax, what in zip(row, NAMES, strict=True):
            if what in curves:
                _draw(ax, name, what, curves[what], limits)
            else:
                ax.set_visible(False)
        row[0].set_ylabel("ms per step")
    return fig


def _draw(ax, name, what, curve, limits):
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter
    sizes, ms = curve["sizes"], [1e3 * s for s in curve["seconds"]]
    proportional = [ms[-1] * size / sizes[-1] for size in sizes]
    ax.loglog(sizes, ms, "o-", color=plot.COLOURS[0], ms=3.5, lw=1.2)
    ax.loglog(sizes, proportional, ":", color=plot.INK, lw=0.8)
    ax.set(xlabel=NAMES[what], title=f"{name}: ~ {NAMES[what]}$^{{{curve['exponent']:.2f}}}$", ylim=limits)
    ax.set_xticks(sizes, [f"{size:g}" for size in sizes])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.yaxis.set(major_locator=LogLocator(subs=(1, 2, 5)), major_formatter=StrMethodFormatter("{x:g}"),
                 minor_locator=NullLocator())


def _time(seconds):
    if seconds < 1e-3:
        return f"{seconds * 1e6:.1f} us"
    if seconds < 1:
        return f"{seconds * 1e3:.1f} ms"
    return f"{seconds:.2f} s"
