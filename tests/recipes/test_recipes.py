"""Recipes beyond the ECG one: their networks have the papers' sizes, their data the form they ask for, and they train."""

import numpy as np
import pytest

import numsnn as ns
from numsnn import cli, recipes
from numsnn.datasets import synthetic_gestures


def test_gesture_network_has_the_authors_size():
    """Their file of 892,187 values holds 890,902 learned ones, 11 of them without effect, and the running statistics."""
    recipe = recipes.get("srnn-dvs128")
    net = recipe.network(recipe.options)
    assert net.n_params == 890_902 - 11
    statistics = sum(a.size for layer in net.layers.values() if isinstance(layer, ns.BatchNorm) for a in layer.fixed.values())
    assert net.n_params + 11 + statistics + 5 == 892_187        # PyTorch also counts batches, once a norm
    assert net.layers["second"].shape_out == (128,) and net.input_shape == (2, 128, 128)


def test_gesture_gradients():
    recipe = recipes.get("srnn-dvs128")
    net = recipe.network(recipe.options | {"size": 32, "channels": 3, "hidden": 5, "surrogate": "gaussian"})
    rng = np.random.default_rng(0)
    x, labels = rng.integers(0, 3, (3, 4, 2, 32, 32)) * (rng.random((3, 4, 2, 32, 32)) < 0.2), rng.integers(0, 11, 4)
    assert max(ns.check_gradients(net, ns.Spikes.from_dense(x.reshape(3, 4, -1)), labels, samples=4).values()) < 1e-6


def test_gestures_train_from_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ["--set", "size=32", "--set", "channels=4", "--set", "hidden=8"]
    assert cli.main(["train", "srnn-dvs128", *small, "--epochs", "1", "--out", "run"]) == 0
    out = capsys.readouterr().out
    assert "SYNTHETIC" in out and (tmp_path / "run" / "sequence.png").stat().st_size > 10_000
    assert cli.main(["evaluate", "run/checkpoint.h5"]) == 0
    assert "hand clapping" in capsys.readouterr().out
    assert cli.main(["train", "srnn-dvs128", "--set", "size=50", "--out", "other"]) == 2
    assert "32, 64 or 128 pixels; got 50" in capsys.readouterr().err


def test_synthetic_gestures():
    events, labels = synthetic_gestures.gestures(12, size=32, seconds=0.5, seed=3)
    again, _ = synthetic_gestures.gestures(12, size=32, seconds=0.5, seed=3)
    assert events == again and labels.tolist() == [*range(11), 0] and len(events) == 12
    assert events.shape == (2, 32, 32) and 0.3 < events.durations.min() and events.durations.max() <= 0.5
    x = events.frames(n=1)[0].sum(1)
    right, left = x[:, :, :16].sum((1, 2)), x[:, :, 16:].sum((1, 2))
    named = dict(zip(synthetic_gestures.GESTURES, zip(right, left, strict=False), strict=False))
    assert named["right hand wave"][0] > 3 * named["right hand wave"][1] and named["left hand wave"][1] > 3 * named["left hand wave"][0]
    clapping = named["hand clapping"]
    assert 0.5 < clapping[0] / clapping[1] < 2


@pytest.mark.parametrize("n", (4, 7))
def test_parts_of_equal_numbers_of_events(n):
    events, _ = synthetic_gestures.gestures(2, size=16, seconds=0.3)
    step, parts = events.steps(n=n, by="number")
    for r in range(2):
        sizes = np.bincount(step[events.offsets[r]:events.offsets[r + 1]], minlength=n)
        assert parts[r] == n == len(sizes) and (sizes[:-1] == sizes.sum() // n).all() and sizes[-1] == sizes.sum() - sizes[:-1].sum()
    with pytest.raises(ValueError, match='or with n= parts "number"'):
        events.steps(0.1, by="number")
