"""What came of a sweep: an outcome for each point, tables of them, and one picture."""

from __future__ import annotations

import csv
import io
import json
import signal
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..formats.whole import write_text
from ..reports import plot
from .grid import Point

LOG, NUMBERS = "log.txt", "metrics.json"
TABLE, SUMMARY, PICTURE = "sweep.csv", "sweep.md", "sweep.png"
MEASURED = ("test_accuracy", "last_test_accuracy", "valid_accuracy", "best_epoch", "parameters")


class Outcome(NamedTuple):
    """How a point ended.  found: MEASURED by name, empty where it failed; error: why, or ""."""
    point: Point
    found: dict[str, float]
    error: str = ""


def finished(folder: Path) -> bool:
    """Whether a training has written its report."""
    return (folder / NUMBERS).is_file()


def outcome(point: Point, folder: Path, code: int | None = None) -> Outcome:
    """That of the training in a folder.  code: with which its process ended."""
    if code in (None, 0) and finished(folder):
        try:
            return Outcome(point, _measured(json.loads((folder / NUMBERS).read_text(encoding="utf-8"))))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            return Outcome(point, {}, f"{folder / NUMBERS} is damaged ({error}); remove the folder")
    return Outcome(point, {}, _why(folder, code))


def _measured(metrics):
    best = metrics["best_epoch"] or len(metrics["epochs"])
    row, last = metrics["epochs"][best - 1], metrics["epochs"][-1]
    return {"test_accuracy": row["test_accuracy"], "last_test_accuracy": last["test_accuracy"],
            "valid_accuracy": row["valid_accuracy"],
            "best_epoch": best, "parameters": metrics["parameters"]}


def _why(folder, code):
    """A sentence on a training without a report: the last line that it said, or how it was killed."""
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}; the next start goes on from its checkpoint"
    log = folder / LOG
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.is_file() else []
    return lines[-1].strip() if lines else "not run yet"


def write(outcomes: Sequence[Outcome], out: Path, title: str) -> str:
    """Write sweep.csv (a row for each point), sweep.md and sweep.png; the text of sweep.md."""
    write_text(out / TABLE, _csv(outcomes))
    text = f"# {title}\n\n{_summary(outcomes)}\n{_failures(outcomes)}"
    write_text(out / SUMMARY, text)
    groups = {name: [one.found["test_accuracy"] for one in there if one.found]
              for name, there in by_setting(outcomes).items()}
    if any(groups.values()):
        plot.save(plot.by_setting({name: there for name, there in groups.items() if there}, "test accuracy",
                                  title), out / PICTURE)
    return text


def by_setting(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """The outcomes of all seeds of each combination of settings."""
    groups: dict[str, list[Outcome]] = {}
    for one in outcomes:
        groups.setdefault(one.point.setting, []).append(one)
    return groups


def _csv(outcomes):
    options = list(outcomes[0].point.settings) if outcomes else []
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([*options, "seed", *MEASURED, "error"])
    for one in outcomes:
        found = [one.found.get(key, "") for key in MEASURED]
        rows.writerow([*one.point.settings.values(), one.point.seed, *found, one.error])
    return text.getvalue()


def _summary(outcomes):
    """A table with a row for each combination of settings: over its seeds, of the chosen epoch."""
    columns = ("settings", "seeds", "mean", "median", "deviation", "lowest", "highest", "last epoch, median",
               "parameters")
    lines = [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    for name, there in by_setting(outcomes).items():
        found = [one.found for one in there if one.found]
        seeds = f"{len(found)} of {len(there)}"
        if not found:
            lines.append(f"| {_cell(name)} | {seeds} |" + " |" * 7)
            continue
        test, last = ([row[key] for row in found] for key in ("test_accuracy", "last_test_accuracy"))
        numbers = (statistics.mean(test), statistics.median(test),
                   statistics.stdev(test) if len(test) > 1 else 0.0, min(test), max(test),
                   statistics.median(last))
        cells = [_cell(name), seeds, *(f"{number:.4f}" for number in numbers), f"{found[0]['parameters']:,}"]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "Test accuracy of the epoch that the validation part chose, over the seeds."]
    return "\n".join(lines)


def _failures(outcomes):
    failed = [one for one in outcomes if one.error]
    if not failed:
        return ""
    rows = [f"| {_cell(one.point.setting)} | {one.point.seed} | {_cell(one.error)} |" for one in failed]
    return "\n".join(["", "| failed | seed | why |", "| --- | --- | --- |", *rows, ""])


def _cell(text):
    return text.replace("|", "\\|").replace("\n", " ")
