"""The report of a network on a data set: a folder of pictures, numbers and a page that shows them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..checked import checked
from ..datasets import Dataset
from ..devices.threads import get_num_threads
from ..energy import FP32, Constants, Table, preset, table
from ..formats.whole import write_json, write_text
from ..layers.layer import positive_integer
from ..network.network import Network
from ..packages import needed
from ..training.evaluation import Evaluation, counted, evaluate, predict
from ..training.history import History
from ..training.metrics import scores
from . import plot
from .example import example

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SAMPLES = 256           # sequences of which energy and rates of neurons are measured
PAGE, NUMBERS = "report.md", "metrics.json"


class Report(NamedTuple):
    """What `report` wrote; print it for a table.

    files: what -> path, the page first.  text: the table.  evaluation, energy: what was measured; energy is
    None where it cannot be counted, which the text says.
    """
    folder: Path
    files: dict[str, Path]
    text: str
    evaluation: Evaluation
    energy: Table | None

    def __str__(self) -> str:
        width = max(map(len, self.files))
        listed = [f"{what:<{width}}  {path.name}" for what, path in self.files.items()]
        return "\n".join([self.text, "", f"written to {self.folder}", *listed])


@checked
def report(net: Network, data: Dataset, folder: Path | str, *, history: History | None = None,
           title: str = "", intro: str = "", constants: Constants | str | tuple = FP32, batch_size: int = 64,
           draw: Callable[[Network, Dataset], Figure] | None = None,
           facts: dict[str, Any] | None = None) -> Report:
    """Write what a network does with a data set to a folder: pictures, numbers, and a page that shows them.

    report.md       the page, in Markdown: summary of the network, table of the classes, pictures
    metrics.json    the numbers
    confusion.png   of classes; answers.png: targets and answers of a regression
    rates.png       spikes per step of the neurons of each layer, dead and saturated ones
    energy.png      energy of an inference, beside others of the network's size (numsnn.energy)
    sequence.png    one sequence: input, spikes, membranes, answers
    parameters.png  distributions of all learned arrays, time constants among them
    training.png    curves of `history`, where one is given

    data: of any kind that the network can be evaluated on.  The folder is made where it is missing; files of
    these names in it are written over, others stay.  constants: of the energy.  Energy and the rates of
    neurons are measured on up to 256 sequences, spread evenly over the data.
    title, intro: above the page's table.  draw(net, data): the picture of a sequence in place of our own.
    facts: what else metrics.json is to hold.

    Raises ValueError for data that do not fit the network, ImportError without Matplotlib, before anything is
    written.
    """
    out = _checked(net, data, folder, history, facts)
    few = data[np.unique(np.linspace(0, len(data) - 1, min(len(data), SAMPLES)).astype(int))]
    found = evaluate(net, data, batch_size=positive_integer(batch_size, "batch_size"))
    energy, no_energy = _energy(net, few, preset(constants), batch_size)
    metrics = _metrics(net, found, energy, history, facts or {})
    name = title or f"{data.name or 'data'}: {len(data):,} sequences"
    figures = _figures(net, few, found, energy, history, name, batch_size)
    figures["sequence"] = draw(net, data) if draw is not None else example(net, data)
    text = _text(net, data, found, energy, no_energy, intro, history)
    out.mkdir(parents=True, exist_ok=True)
    drawn = {what: plot.save(fig, out / f"{what}.png") for what, fig in figures.items()}
    write_json(out / NUMBERS, _plain(metrics))
    write_text(out / PAGE, _page(name, text, drawn))
    files = {"page": out / PAGE, "numbers": out / NUMBERS, **drawn}
    return Report(out, files, text, found, energy)


def _checked(net, data, folder, history, facts):
    """The folder; what cannot be reported on is refused before anything runs."""
    needed("matplotlib", "a report")
    for what, thing, kind in (("net", net, Network), ("data", data, Dataset),
                              ("history", history, (History, type(None)))):
        if not isinstance(thing, kind):
            known = kind.__name__ if isinstance(kind, type) else "History or None"
            raise TypeError(f"report: {what} must be a {known}; got {type(thing).__name__}")
    try:
        json.dumps(_plain(facts))
    except TypeError as error:
        raise TypeError(f"report: facts go to a JSON file; {error}") from None
    if not isinstance(folder, (str, Path)):
        raise TypeError(f"report: folder is where the files go, a path; got {type(folder).__name__}")
    if not len(data):
        raise ValueError(f"data set {data.name!r} is empty; there is nothing to report on")
    return checked_folder(folder)


def checked_folder(folder: Path | str) -> Path:
    """The folder of a report; ValueError where a file has its name, or that of a folder that it is in."""
    folder = Path(folder)
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise ValueError(f"report: {there} is a file; name a folder, which is made where it is missing")
    return folder


# ---- what is measured


def _energy(net, few, constants, batch_size) -> tuple[Table | None, str]:
    """(the table, ""), or (None, why there is none)."""
    try:
        return table(net, few, constants=constants, batch_size=batch_size), ""
    except (ValueError, TypeError) as error:
        return None, str(error)


def _rates(net, few, batch_size) -> dict[str, np.ndarray]:
    """Layer -> the mean rate of each of its neurons."""
    seen = [net.run(batch.x, lengths=batch.lengths, record="rate")[2] for batch in few.batches(batch_size)]
    return {name: np.concatenate([found[name]["rate"] for found in seen]).mean(0).ravel() for name in seen[0]}


def _metrics(net, found, energy, history, facts) -> dict[str, Any]:
    test = _of_targets(found) if found.targets else _of_classes(found)
    metrics = {**facts, "test": test, "rates": found.rates, "parameters": net.n_params}
    if history is not None:
        best, tests = history.best(), _tests(history)
        metrics |= {"epochs": history.epochs, "best_epoch": None if best is None else best["epoch"] + 1,
                    "seconds_per_epoch": _seconds(history)}
        metrics["test"] |= {"last_accuracy": tests[-1] if tests else None,
                            "best_epoch_accuracy": max(tests, default=None)}
    if energy is not None:
        metrics["energy"] = {"pJ_per_inference": energy.energy(), "samples": energy.samples,
                             "constants": str(energy.constants)}
    return metrics


def _of_classes(found) -> dict[str, Any]:
    by_class = {score: dict(zip(found.classes, map(float, values), strict=True))
                for score, values in scores(found.confusion).items()}
    return {"accuracy": found.accuracy, "accuracy_labelled": found.accuracy_labelled, "decisions": found.n,
            "classes": found.classes, "confusion": found.confusion.tolist(), **by_class}


def _of_targets(found) -> dict[str, Any]:
    return {**found.metrics, "decisions": found.n, "targets": found.targets}


def _plain(value):
    """As JSON has it: what is no number, such as the accuracy over no decision, is null."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value


# ---- pictures and words


def _figures(net, few, found, energy, history, name, batch_size) -> dict[str, Figure]:
    figures = {}
    if history is not None and len(history):
        figures["training"] = plot.training_curve(history, name)
    if few.has_targets:
        pairs = _pairs(net, few, batch_size)
        figures["answers"] = plot.answers(*pairs, f"{found.name}, {len(few):,} sequences")
    else:
        figures["confusion"] = plot.confusion(found.confusion, found.classes,
                                              f"{found.name}: accuracy {found.accuracy:.3f}")
    if found.rates:
        figures["rates"] = plot.rates(_rates(net, few, batch_size), f"{found.name}, {len(few):,} sequences")
    if energy is not None:
        figures["energy"] = plot.energy(energy)
    if net.n_params:
        figures["parameters"] = plot.parameters(_neurons_first(net), f"{net.n_params:,} parameters")
    return figures


def _pairs(net, few, batch_size) -> tuple[np.ndarray, np.ndarray]:
    """(targets, answers), (n, K) each, of what counts."""
    answers = predict(net, few, batch_size=batch_size)
    counts = counted(few)
    if counts is None:
        counts = np.ones(few.y.shape[:-1], bool)
    return few.y[counts], answers[counts]


def _neurons_first(net) -> dict[str, np.ndarray]:
    """The learned arrays: time constants, thresholds ... before weights and biases."""
    ends = ("weight", "bias", "recurrent")
    weights = [name for name in net.params if name.rpartition(".")[2].endswith(ends)]
    order = [name for name in net.params if name not in weights] + weights
    return {name: np.asarray(net.params[name]) for name in order}


def _text(net, data, found, energy, no_energy, intro, history) -> str:
    lines = [intro] if intro else []
    lines += [f"data: {data.source}"] if data.source else []
    lines += ["", net.summary(), "", *_of_training(history), str(found)]
    if energy is None:
        lines += ["", f"no energy: {no_energy}"]
    else:
        counted = "" if energy.samples == len(data) else f", counted on {energy.samples} of {len(data):,}"
        lines += ["", f"energy of an inference: {_joule(energy.energy())}{counted} ({energy.constants})"]
    return "\n".join(lines).strip("\n")


def _of_training(history) -> list[str]:
    """What the history says in words."""
    if history is None:
        return []
    best, tests = history.best(), _tests(history)
    if best is None:
        return [f"{len(history)} epochs of training" if len(history) else "no epoch was trained"]
    monitor = history.monitor or "valid_"
    by = "on the validation data" if monitor.startswith("valid_") else f"by {monitor}"
    lines = [f"epoch {best['epoch'] + 1} of {len(history)} is the best {by}"]
    if tests:
        lines.append(f"test accuracy of the last epoch {tests[-1]:.4f}, "
                     f"of the best epoch on test {max(tests):.4f}")
    seconds = _seconds(history)
    if seconds:
        lines.append(f"{seconds:.2f} s per epoch (median) with {get_num_threads()} threads")
    return [*lines, ""]


def _tests(history) -> list[float]:
    """Accuracies of each epoch on a set that was watched under the name of test."""
    return _known(history, "test_accuracy")


def _seconds(history) -> float | None:
    """Of an epoch, the median; None where it is not known."""
    known = _known(history, "seconds")
    return float(np.median(known)) if known else None


def _known(history, key) -> list[float]:
    """What the epochs have under this key; a history may hold none of it."""
    return [epoch[key] for epoch in history if epoch.get(key) is not None]


def _joule(picojoule):
    from ..energy.count import UNITS, unit
    scale = unit(picojoule)
    return f"{picojoule / UNITS[scale]:.4g} {scale}"


def _page(name, text, drawn):
    pictures = "\n\n".join(f"## {what}\n\n![{what}]({path.name})" for what, path in drawn.items())
    return f"# {name}\n\n```\n{text}\n```\n\n{pictures}\n"
