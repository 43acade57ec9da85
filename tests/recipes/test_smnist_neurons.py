"""MNIST pixel by pixel with balanced resonators: sizes, ranges, the authors' schedule, gradients."""

import numpy as np
import pytest

import numsnn as ns
from numsnn import cli, recipes

NAMES = ("smnist-brf", "psmnist-brf")


@pytest.mark.parametrize(("name", "fastest"), (("smnist-brf", 50), ("psmnist-brf", 85)))
def test_the_papers_size_and_ranges(name, fastest):
    recipe = recipes.get(name)
    net = recipe.network(recipe.options, seed=1)
    assert net.n_params == 68_874
    values = net.layers["brf0"].values()
    assert 15 <= values["omega"].min() < 17 and fastest - 2 < values["omega"].max() <= fastest
    assert 0.1 <= values["damping"].min() and values["damping"].max() <= 1
    assert net.dt == 0.01


def test_as_published():
    recipe = recipes.get("smnist-brf").as_published()
    assert (recipe.epochs, recipe.batch_size, recipe.options["decay"]) == (300, 256, 300)
    net = recipe.network(recipe.options)
    glorot = (6 / 513) ** 0.5           # of pixel and recurrence as one matrix
    for weight in (net.params["dense0.weight"], net.params["brf0.recurrent"]):
        assert 0.95 * glorot < np.abs(weight).max() <= glorot * (1 + 1e-6)
    optimizer = recipe.optimizer(recipe.options)
    optimizer.epoch = 150
    assert optimizer.rate("dense0.weight") == pytest.approx(0.05)
    with pytest.raises(ValueError, match="ecg-brf has no other training than its own"):
        recipes.get("ecg-brf").as_published()


@pytest.mark.parametrize("name", NAMES)
def test_gradients(name, rng):
    recipe = recipes.get(name)
    net = recipe.network(recipe.configured({"hidden": 5, "gain": 40.0}))
    x = rng.random((20, 3, 1))
    errors = ns.check_gradients(net, x, rng.integers(0, 10, 3), samples=5)
    assert set(errors) == set(net.params) and max(errors.values()) < 1e-6


def test_one_epoch_from_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train = ["train", "psmnist-brf", "--set", "hidden=4", "--out", "run", "--published"]
    assert cli.main([*train, "--epochs", "1"]) == 0
    assert "stand-in for MNIST" in capsys.readouterr().out
    assert cli.main([*train, "--epochs", "2", "--resume"]) == 0
    assert cli.main(["train", "ecg-brf", "--published", "--out", "other"]) == 2
    assert "has no other training than its own; leave out --published" in capsys.readouterr().err
    assert cli.main(["train", "smnist-brf", "--set", "coding=latency", "--out", "other"]) == 2
    assert "option coding must be one of window" in capsys.readouterr().err
