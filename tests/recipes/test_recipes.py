"""The gesture recipe: its network has the paper's size, its data the form that it asks for, and it trains."""

import numpy as np
import pytest

import numsnn as ns
from numsnn import cli, recipes
from numsnn.datasets import synthetic_gestures


def test_gesture_network_has_the_authors_size():
    """Their file of 892,187 values holds running statistics and 890,902 learned ones, 11 without effect."""
    recipe = recipes.get("srnn-dvs128")
    net = recipe.network(recipe.options)
    assert net.n_params == 890_902 - 11
    norms = [layer for layer in net.layers.values() if isinstance(layer, ns.BatchNorm)]
    statistics = sum(a.size for norm in norms for a in norm.fixed.values())
    assert net.n_params + 11 + statistics + 5 == 892_187        # PyTorch also counts batches, once a norm
    assert net.layers["second"].shape_out == (128,) and net.input_shape == (2, 128, 128)


def test_gesture_gradients():
    recipe = recipes.get("srnn-dvs128")
    net = recipe.network(recipe.options | {"size": 32, "channels": 3, "hidden": 5, "surrogate": "gaussian"})
    rng = np.random.default_rng(0)
    shape = (3, 4, 2, 32, 32)
    counts = rng.integers(0, 3, shape) * (rng.random(shape) < 0.2)
    labels = rng.integers(0, 11, 4)
    x = ns.Spikes.from_dense(counts.reshape(3, 4, -1))
    assert max(ns.check_gradients(net, x, labels, samples=4).values()) < 1e-6


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
    sides = dict(zip(synthetic_gestures.GESTURES, zip(right, left, strict=False), strict=False))
    on_right, on_left = sides["right hand wave"]
    assert on_right > 3 * on_left
    on_right, on_left = sides["left hand wave"]
    assert on_left > 3 * on_right
    on_right, on_left = sides["hand clapping"]
    assert 0.5 < on_right / on_left < 2


@pytest.mark.parametrize("n", (4, 7))
def test_parts_of_equal_numbers_of_events(n):
    events, _ = synthetic_gestures.gestures(2, size=16, seconds=0.3)
    step, parts = events.steps(n=n, by="number")
    for r in range(2):
        sizes = np.bincount(step[events.offsets[r]:events.offsets[r + 1]], minlength=n)
        assert parts[r] == n == len(sizes)
        assert (sizes[:-1] == sizes.sum() // n).all()
        assert sizes[-1] == sizes.sum() - sizes[:-1].sum()
    with pytest.raises(ValueError, match='or with n= parts "number"'):
        events.steps(0.1, by="number")
