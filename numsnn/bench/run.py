"""The run of `numsnn bench`: cases, peers, growth, first calls; a table, JSON and a plot."""

import os
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import devices
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


def bench(names: list, *, runs: int = 15, tiny: bool = False, peers: str | None = None, growth: bool = False, first: bool = False, out: str | None = None,
          device: str = "cpu", batches: tuple = (), say=print) -> dict:
    """Run cases; what was found, as it goes to JSON.  out: file for the plot of the growth.  batches: numbers of samples in place of the cases' own."""
    unknown = [name for name in names if name not in CASES]
    if unknown:
        raise ValueError(f"no case {unknown[0]!r}; there are {', '.join(CASES)}")
    if runs < 1:
        raise ValueError(f"runs must be at least 1; got {runs}")
    elsewhere = sorted(set(names) - set(on_device(device)))
    if elsewhere:
        raise ValueError(f"case {elsewhere[0]} does not run on device {device!r}; there are {', '.join(on_device(device))}")
    limits = _limits(tiny, device)
    run = Run(device, tiny, runs, *_peers(peers), limits, growth, first, say)
    found = {"machine": limits._asdict(), "cases": {}}
    say(f"{limits.threads} threads, {limits.cores} cores, {limits.kind}; a large product {limits.flops / 1e9:,.0f} GFLOP/s, a large copy {limits.copy / 1e9:.1f} GB/s\n")
    say("| case | | best | median | peak memory | limit |\n| --- | --- | --- | --- | --- | --- |")
    for name in names:
        for size in _sizes(CASES[name], tiny, batches):
            label = f"{name}, B = {size.batch}" if batches and "batch" in CASES[name].grows else name
            found["cases"][label] = _case(name, label, size, run)
    if growth and out is not None:
        grown = {name: c["growth"] for name, c in found["cases"].items() if c.get("growth")}
        if grown:
            plot.save(_drawn(grown), out)
    return found


def on_device(device: str) -> list:
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
        raise ValueError(f"--peers: {path} does not define PEERS = {{name: function(case, problem)}}, and OTHERS likewise if at all")     # noqa: TRY004  what the user handed in
    return peers, others


def _limits(tiny, device):
    """Matrices large enough that the device is busy, and sizes at which a simulator gets done."""
    if devices.get(device).HOST:
        return machine(256, 8) if tiny else machine()
    return machine(8, 1e-3, device) if tiny else machine(4096, 1024, device)


def _sizes(case, tiny, batches):
    size = case.tiny if tiny else case.size
    return [size._replace(batch=batch) for batch in batches] if batches and "batch" in case.grows else [size]


def _case(name, label, size, run):
    case, device, say = CASES[name], run.device, run.say
    made = _made(case, size, device)
    own, facts = _parts(made, device), {"about": case.about, "device": device, "size": size._asdict(), "parts": {}, "peers": {}}
    theirs = _agreeing(name, made, own, run.peers, facts, say) if isinstance(made, Problem) else {}
    theirs |= _others(name, made, run.others, facts) if isinstance(made, (Problem, Driven)) else {}
    if isinstance(made, Problem) and run.limits.threads > 1:
        own["step, one thread"] = Part(_on_one_thread(own["step"].run))
    times, here = interleaved({**own, **theirs}, run.runs), devices.get(device)
    for part, spec in own.items():
        t, limit = times[part], {}
        kernels = here.busy(spec.run) if part == "step" else None
        if kernels is not None:
            limit["in_kernels"] = kernels / t.best
        if spec.flops:
            limit["of_peak"] = spec.flops / t.best / run.limits.flops
        if spec.bytes:
            limit["of_copy"] = spec.bytes / t.best / run.limits.copy
        facts["parts"][part] = {**t._asdict(), "peak_bytes": peak_memory(spec, here.held), **limit}
        shown = ", ".join(f"{100 * value:.0f} % {key.replace('_', ' ')}" for key, value in limit.items())
        say(f"| {label} | {part} | {_time(t.best)} | {_time(t.median)} | {facts['parts'][part]['peak_bytes'] / 1e6:,.1f} MB | {shown} |")
    whole = [times[part] for part in (["step"] if "step" in own else own)]
    for peer in theirs:
        t, ratio = times[peer], {key: getattr(times[peer], key) / sum(getattr(part, key) for part in whole) for key in ("best", "median")}
        facts["peers"][peer] |= {**t._asdict(), "ratio": ratio}
        other = " (its own neurons)" if facts["peers"][peer].get("other_neurons") else ""
        say(f"| {label} | {peer}{other} | {_time(t.best)} | {_time(t.median)} | | {ratio['median']:.1f} x ours |")
    if run.growth and case.grows:
        facts["growth"] = _growth(case, size, run, label)
    if run.first and isinstance(made, Problem):
        facts["first_call"] = _first(name, run)
        say(f"| {name} | first step, nothing compiled | {_time(facts['first_call']['empty'])} | | | |\n"
            f"| {name} | first step, loops in the cache | {_time(facts['first_call']['cached'])} | | | |")
    return facts


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
    """The steps of peers that compute the same loss and gradients."""
    steps = {}
    for peer, make in others.items():
        step = make(name, problem)
        if step is None:
            continue
        (loss, grads), (their_loss, theirs) = own["step"].run(), step()
        theirs = {k: np.asarray(g.cpu() if hasattr(g, "cpu") else g) for k, g in theirs.items()}
        worst = max(float(np.abs(theirs[k] - g).max() / np.abs(g).max()) for k, g in ((k, np.asarray(g)) for k, g in grads.items()) if k in theirs and np.abs(g).max() > 0)
        facts["peers"][peer] = {"loss": [float(loss), float(their_loss)], "gradient_difference": worst}
        if not abs(loss - their_loss) <= 1e-3 * abs(loss) or not worst <= 2e-2 or set(grads) - set(theirs):
            say(f"{peer} computes something else ({name}): loss {loss:.5f} and {their_loss:.5f}, gradients differ by {worst:.1e}; it is not timed")
            continue
        steps[peer] = Part(step)
    return steps


def _growth(case, size, run, label):
    grown = {}
    for what in case.grows:
        value = getattr(size, what)
        sizes = [type(value)(max(value * p, 1) if isinstance(value, int) else value * p) for p in POINTS]
        seconds = []
        for s in sizes:
            own = _parts(_made(case, size._replace(**{what: s}), run.device), run.device)
            pick = {"step": own["step"]} if "step" in own else own
            seconds.append(sum(t.best for t in interleaved(pick, max(3, run.runs // 3)).values()))
        grown[what] = {"sizes": sizes, "seconds": seconds, "exponent": exponent(sizes, seconds)}
        run.say(f"| {label} | with {NAMES[what]} = {', '.join(f'{s:g}' for s in sizes)} | {', '.join(_time(s) for s in seconds)} | | | "
            f"~ {NAMES[what]}^{grown[what]['exponent']:.2f} |")
    return grown


def _first(name, run):
    """Seconds from the start of the program to the end of the first step, with an empty cache of loops and with a full one."""
    script = "import sys; from numsnn.bench.run import first_step; first_step(sys.argv[1], sys.argv[2] == 'tiny', sys.argv[3])"
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        for cache in ("empty", "cached"):
            started = time.perf_counter()
            done = subprocess.run([sys.executable, "-c", script, name, "tiny" if run.tiny else "all", run.device], check=False,
                                  env={**os.environ, "NUMBA_CACHE_DIR": folder, "PYTHONPATH": os.pathsep.join(sys.path)})
            if done.returncode:
                raise OSError(f"the first step of {name} failed in a new process; what it said stands above")
            seconds[cache] = time.perf_counter() - started
    return seconds


def first_step(name: str, tiny: bool, device: str) -> None:
    """One step of a case, rates as they come."""
    parts(CASES[name].make(CASES[name].tiny if tiny else CASES[name].size, device))["step"].run()


def _drawn(grown):
    """Time of a step over T, B, N and rate, one row for each case; dotted: in proportion."""
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter
    fig, axes = plot.figure(8, 2.1 * len(grown), len(grown), 4, squeeze=False, sharey="row")
    for row, (name, curves) in zip(axes, grown.items(), strict=True):
        every = [1e3 * s for c in curves.values() for s in c["seconds"]]
        for ax, what in zip(row, NAMES, strict=True):
            if what not in curves:
                ax.set_visible(False)
                continue
            c = curves[what]
            ms = [1e3 * s for s in c["seconds"]]
            ax.loglog(c["sizes"], ms, "o-", color=plot.COLOURS[0], ms=3.5, lw=1.2)
            ax.loglog(c["sizes"], [ms[-1] * s / c["sizes"][-1] for s in c["sizes"]], ":", color=plot.INK, lw=0.8)
            ax.set(xlabel=NAMES[what], title=f"{name}: ~ {NAMES[what]}$^{{{c['exponent']:.2f}}}$", ylim=(min(every) / 1.6, max(every) * 1.6))
            ax.set_xticks(c["sizes"], [f"{s:g}" for s in c["sizes"]])
            ax.xaxis.set_minor_locator(NullLocator())
            ax.yaxis.set(major_locator=LogLocator(subs=(1, 2, 5)), major_formatter=StrMethodFormatter("{x:g}"), minor_locator=NullLocator())
        row[0].set_ylabel("ms per step")
    return fig


def _time(seconds):
    return f"{seconds * 1e6:.1f} us" if seconds < 1e-3 else f"{seconds * 1e3:.1f} ms" if seconds < 10 else f"{seconds:.1f} s"

