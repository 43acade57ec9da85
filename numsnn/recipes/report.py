"""The report of a training: metrics.json, figures, report.md."""

import json
import platform
from pathlib import Path

import numpy as np

from ..devices.threads import get_num_threads
from ..network.network import Network
from ..reports import plot
from ..training.metrics import scores
from ..training.train import Evaluation, History, evaluate
from . import Data, Recipe


def write(out: Path, recipe: Recipe, net: Network, history: History, data: Data, about: dict) -> str:
    """Evaluate the network on the test set and write metrics.json, the figures and report.md to `out`; the text of the report.

    about: recipe, options, seed, data, versions: what the run was, as config.json has it.
    """
    test = evaluate(net, data.test)
    metrics = _metrics(net, history, test, about)
    (out / "metrics.json").write_text(json.dumps(metrics, indent=1))
    figures = _figures(out, recipe, net, history, data, test)
    text = _text(recipe, net, metrics, test, data)
    (out / "report.md").write_text(f"# {recipe.name}\n\n```\n{text}\n```\n\n" + "\n".join(f"![{f}]({f})" for f in figures) + "\n")
    return text


def _metrics(net, history, test: Evaluation, about):
    best, tests = history.best(), history["test_accuracy"]
    return {**about, "epochs": history.epochs, "best_epoch": None if best is None else best["epoch"] + 1,
            "test": {"accuracy": test.accuracy, "accuracy_labelled": test.accuracy_labelled,
                     "last_accuracy": tests[-1] if tests else None, "best_epoch_accuracy": max(tests, default=None),
                     "decisions": test.n, "classes": test.classes, "confusion": test.confusion.tolist(),
                     **{k: dict(zip(test.classes, map(float, v), strict=True)) for k, v in scores(test.confusion).items()}},
            "rates": test.rates, "parameters": net.n_params,
            "seconds_per_epoch": float(np.median(history["seconds"])) if len(history) else None,
            "threads": get_num_threads(), "machine": platform.machine()}


def _figures(out, recipe, net, history, data, test):
    figures = []
    if len(history):
        figures.append(plot.save(plot.training_curve(history, f"{recipe.name}: {data.train.name}"), out / "training.png").name)
    figures.append(plot.save(plot.confusion(test.confusion, test.classes, f"{test.name}: accuracy {test.accuracy:.3f}"),
                             out / "confusion.png").name)
    if recipe.figure is not None:
        figures.append(plot.save(recipe.figure(net, data.test), out / "sequence.png").name)
    return figures


def _text(recipe, net, metrics, test, data):
    t = metrics["test"]
    chosen = "no epoch was trained" if metrics["best_epoch"] is None else \
        f"epoch {metrics['best_epoch']} of {len(metrics['epochs'])}, the best on the {len(data.valid)} validation sequences"
    lines = [f"{recipe.summary}; {recipe.expected}", f"data: {data.test.source}", "", net.summary(), "",
             f"chosen: {chosen}", str(test)]
    if t["last_accuracy"] is not None:
        lines.append(f"test accuracy of the last epoch {t['last_accuracy']:.4f}, of the best epoch on test {t['best_epoch_accuracy']:.4f}")
    if metrics["seconds_per_epoch"]:
        lines.append(f"{metrics['seconds_per_epoch']:.2f} s per epoch (median) with {metrics['threads']} threads")
    return "\n".join(lines)
