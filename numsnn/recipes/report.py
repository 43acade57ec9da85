"""The report of a training: metrics.json, figures, report.md."""

import json
import platform
import sys
from pathlib import Path

import numpy as np

from ..devices.threads import get_num_threads
from ..network.network import Network
from ..packages import needed
from ..reports import plot
from ..training.metrics import scores
from ..training.train import Evaluation, History, evaluate
from . import Data, Recipe


def write(out: Path, recipe: Recipe, net: Network, history: History, data: Data, about: dict) -> str:
    """Evaluate the network on the test set and write metrics.json, the figures and report.md to `out`.

    about: recipe, options, seed, data, versions: what the run was, as config.json has it.
    Returns the text of the report.
    """
    test = evaluate(net, data.test)
    metrics = _metrics(net, history, test, about)
    (out / "metrics.json").write_text(json.dumps(metrics, indent=1))
    figures = _figures(out, recipe, net, history, data, test)
    text = _text(recipe, net, metrics, test, data)
    pictures = "\n".join(f"![{figure}]({figure})" for figure in figures)
    (out / "report.md").write_text(f"# {recipe.name}\n\n```\n{text}\n```\n\n{pictures}\n")
    return text


def _metrics(net, history, test: Evaluation, about):
    best, tests = history.best(), history["test_accuracy"]
    by_class = {score: dict(zip(test.classes, map(float, values), strict=True))
                for score, values in scores(test.confusion).items()}
    return {**about, "epochs": history.epochs, "best_epoch": None if best is None else best["epoch"] + 1,
            "test": {"accuracy": test.accuracy, "accuracy_labelled": test.accuracy_labelled,
                     "last_accuracy": tests[-1] if tests else None,
                     "best_epoch_accuracy": max(tests, default=None), "decisions": test.n,
                     "classes": test.classes, "confusion": test.confusion.tolist(), **by_class},
            "rates": test.rates, "parameters": net.n_params,
            "seconds_per_epoch": float(np.median(history["seconds"])) if len(history) else None,
            "threads": get_num_threads(), "machine": platform.machine()}


def _figures(out, recipe, net, history, data, test):
    """The names of the files that were drawn; none, and a word, without Matplotlib."""
    try:
        needed("matplotlib", "figures")
    except ImportError as error:
        print(f"no figures: {error}", file=sys.stderr)
        return []
    files = []
    if len(history):
        curve = plot.training_curve(history, f"{recipe.name}: {data.train.name}")
        files.append(plot.save(curve, out / "training.png"))
    confusion = plot.confusion(test.confusion, test.classes, f"{test.name}: accuracy {test.accuracy:.3f}")
    files.append(plot.save(confusion, out / "confusion.png"))
    if recipe.figure is not None:
        files.append(plot.save(recipe.figure(net, data.test), out / "sequence.png"))
    return [file.name for file in files]


def _text(recipe, net, metrics, test, data):
    lines = [f"{recipe.summary}; {recipe.expected}", f"data: {data.test.source}", "", net.summary(), "",
             f"chosen: {_chosen(metrics, data)}", str(test)]
    found = metrics["test"]
    if found["last_accuracy"] is not None:
        lines.append(f"test accuracy of the last epoch {found['last_accuracy']:.4f}, "
                     f"of the best epoch on test {found['best_epoch_accuracy']:.4f}")
    if metrics["seconds_per_epoch"]:
        lines.append(f"{metrics['seconds_per_epoch']:.2f} s per epoch (median) "
                     f"with {metrics['threads']} threads")
    return "\n".join(lines)


def _chosen(metrics, data):
    """Which epoch's weights were tested, and why."""
    if metrics["best_epoch"] is None:
        return "no epoch was trained"
    return (f"epoch {metrics['best_epoch']} of {len(metrics['epochs'])}, "
            f"the best on the {len(data.valid)} validation sequences")
