"""MNIST pixel by pixel with delays in the recurrence: size, first values, schedules, gradients."""

import numpy as np
import pytest

import numsnn as ns
from numsnn import cli, recipes

RECIPE = recipes.get("psmnist-delrec")


def test_the_papers_size_and_first_values():
    net = RECIPE.network(RECIPE.options, seed=1)
    assert net.n_params == 155_666
    for name, n in (("lif0", 64), ("lif1", 212), ("lif2", 212)):
        layer = net.layers[name]
        delay, v = layer.params["delay"], layer.params["recurrent"]
        assert layer.n == n and 0 <= delay.min() and delay.max() <= 40 and 7 < delay.mean() < 13
        assert np.abs(v @ v.T - np.eye(n)).max() < 1e-5
        assert layer._coefficients().alpha[0] == 0.5 and layer.sigma == 11
        assert layer.surrogate(np.array([-1.0, 0.0, 0.5])).tolist() == [0, 1, 0.5]
    assert 0.95 / 4 < np.abs(net.params["dense1.weight"]).max() <= 1 / 4          # twice 1 / sqrt(64)
    assert np.abs(net.params["dense1.bias"]).max() <= 1 / 8
    late = RECIPE.network(RECIPE.configured({"feedforward": 30}))
    assert type(late.layers["dense0"]) is ns.Dense and late.layers["dense2"].delays.max == 30


def test_as_published():
    recipe = RECIPE.as_published()
    assert (recipe.epochs, recipe.batch_size) == (200, 256)
    optimizer, (anneal,) = recipe.optimizer(recipe.options), recipe.further(recipe.options)["callbacks"]
    assert anneal.over == 200
    optimizer.epoch = 60                # three tenths
    assert optimizer.rate("dense0.weight") == pytest.approx(1e-3)
    assert optimizer.rate("lif0.delay") == pytest.approx(5e-2)
    optimizer.epoch = 130
    assert optimizer.rate("lif0.delay") == pytest.approx(2.5e-2)
    net = recipe.network(recipe.options)
    assert "dropout0" in net.layers and np.abs(net.params["dense1.weight"]).max() <= 1 / 8


def test_gradients(rng):
    net = RECIPE.network(RECIPE.configured({"hidden": "5-4", "longest": 4, "spread": 2.5}))
    errors = ns.check_gradients(net, rng.random((20, 3, 1)), rng.integers(0, 10, 3), samples=5)
    assert set(errors) == set(net.params) and max(errors.values()) < 1e-6


def test_delays_are_whole_in_the_end(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train = ["train", "psmnist-delrec", "--set", "hidden=4-4", "--set", "narrowed=1", "--out", "run"]
    assert cli.main([*train, "--epochs", "1"]) == 0
    assert "spikes come back after 1 ... 41 steps, sigma 11" in capsys.readouterr().out
    assert cli.main([*train, "--epochs", "2", "--resume"]) == 0
    last = ns.load(tmp_path / "run" / "checkpoint.h5", which="last")
    assert last.layers["lif0"].sigma == 0
