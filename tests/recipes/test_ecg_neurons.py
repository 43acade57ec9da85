"""ECG with adLIF and BRF: the papers' sizes, settings and bounds; a step of training on the reference."""

import numpy as np
import pytest

import numsnn as ns
from numsnn import cli, recipes
from numsnn.datasets import synthetic

RESONATORS = 36 * 4 + 36 * 36 + 2 * 36 + 6 * 36 + 6


@pytest.mark.parametrize(("name", "parameters"), (("ecg-adlif", 36 * 4 + 36 + 36 * 36 + 4 * 36 + 6 * 36 + 6),
                                                  ("ecg-rf", RESONATORS), ("ecg-brf", RESONATORS),
                                                  ("ecg-hrf", RESONATORS)))
def test_it_trains_within_its_bounds(name, parameters):
    recipe = recipes.get(name)
    net = recipe.network(recipe.options, seed=1, device="reference")
    assert net.n_params == parameters
    few = synthetic.ecg(8, seed=1).select(np.arange(8))
    few = ns.Dataset(few.x[:120], few.y[:120])
    history = ns.fit(net, few, loss=recipe.loss, optimizer=recipe.optimizer(recipe.options), epochs=12,
                     batch_size=4, progress=False)
    assert history["loss"][-1] < history["loss"][0]
    hidden = net.layers[name.replace("ecg-", "") + "0"]
    for setting in hidden.learn:
        assert not hidden.bound(setting).outside(hidden.values()[setting]).any()


def test_adlif_begins_within_the_papers_ranges():
    recipe = recipes.get("ecg-adlif")
    values = recipe.network(recipe.options, seed=2).layers["adlif0"].values()
    for setting, (low, high) in {"tau_mem": (5, 25), "tau_adp": (60, 300), "a": (0, 1), "b": (0, 2)}.items():
        assert low <= values[setting].min() and values[setting].max() <= high
        assert np.ptp(values[setting]) > 0.6 * (high - low)


def test_both_ways():
    recipe = recipes.get("ecg-rf")
    options = recipe.configured({"bidirectional": "true", "hidden": "26"})
    net = recipe.network(options, device="reference")
    assert net.n_params == 2 * (4 * 26 + 26 * 26 + 2 * 26) + 52 * 6 + 6 <= 2000


def test_two_layers():
    recipe = recipes.get("ecg-adlif")
    net = recipe.network(recipe.configured({"layers": "2", "dropout": "0.1"}), device="reference")
    assert [layer.kind for layer in net.layers.values()] == ["dense", "adlif", "dropout", "dense", "adlif",
                                                             "dense", "li"]
    assert net.n_params == 1842 + 36 * 36 + 36 + 36 * 36 + 4 * 36


@pytest.mark.parametrize(("arguments", "epochs", "until"), [
    ([], 80, 80), (["--epochs", "3"], 3, 400), (["--data", "qtdb"], 400, 400)])
def test_synthetic_data_are_for_a_rehearsal(arguments, epochs, until, monkeypatch, tmp_path, capsys):
    """Fewer epochs, over which the rate falls as far."""
    told = {}

    def fit(*_, optimizer, **more):
        told.update(more, falls=[optimizer.schedule(epoch) for epoch in (0, until // 2, until)])
        raise RuntimeError("seen")
    monkeypatch.setattr("numsnn.training.train.fit", fit)
    monkeypatch.setattr("numsnn.datasets.qtdb.coded", lambda _, part: synthetic.ecg(20, seed=3, part=part))
    with pytest.raises(RuntimeError, match="seen"):
        cli.main(["train", "srnn-ecg", "--out", str(tmp_path / "out"), *arguments])
    assert told["epochs"] == epochs
    assert told["falls"] == pytest.approx([1, 0.5, 0], abs=1e-12)
    assert (f"for {epochs} epochs" in capsys.readouterr().out) == ("--data" not in arguments)
