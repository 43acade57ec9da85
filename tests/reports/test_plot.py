"""Figures: they are drawn, hold what they should, and leave pyplot alone."""

import subprocess
import sys

import numpy as np

from numsnn.reports import plot
from numsnn.training.train import History


def test_training_curve_marks_the_best_epoch(tmp_path):
    history = History([{"epoch": i, "loss": 10.0 ** -i, "valid_accuracy": accuracy, "test_accuracy": 0.4}
                       for i, accuracy in enumerate((0.2, 0.9, 0.5))])
    fig = plot.training_curve(history, "title")
    left, right = fig.axes
    assert left.get_yscale() == "log"
    labels = [line.get_label() for line in right.get_lines()]
    assert [label for label in labels if not label.startswith("_")] == ["valid", "test", "chosen: epoch 2"]
    assert plot.save(fig, tmp_path / "a.png").stat().st_size > 5_000


def test_confusion_shows_the_share_of_each_true_class(tmp_path):
    fig = plot.confusion(np.array([[8, 2], [0, 400]]), ("a", "b"))
    assert {t.get_text() for t in fig.axes[0].texts} == {"80", "20", "100"}
    assert fig.axes[0].get_yticklabels()[1].get_text() == "b   F1 1.00"
    plot.save(fig, tmp_path / "c.png")


def test_sequence(tmp_path, rng):
    steps, labels = 200, np.repeat(np.arange(4), 50)
    v, theta = rng.normal(size=steps), np.full(steps, 0.5)
    fig = plot.sequence(np.arange(steps) / 250, rng.random((steps, 3)) < 0.1, rng.random((steps, 12)) < 0.2,
                        ("neuron", v, theta, v > theta), {"true": labels, "predicted": labels}, "abcd")
    assert len(fig.axes) == 4
    assert len(fig.axes[3].collections) == 8, "a band for each run of equal labels"
    assert plot.save(fig, tmp_path / "s.png").stat().st_size > 20_000


def test_pyplot_is_not_touched():
    code = ("import sys, numpy as np; from numsnn import plot; plot.confusion(np.eye(2), 'ab'); "
            "print('matplotlib.pyplot' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
