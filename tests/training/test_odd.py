"""What fit says is odd before its first epoch, and that it says nothing of what is in order."""

import warnings

import numpy as np
import pytest
from test_train import arguments, network, task

import numsnn as ns
from numsnn.datasets import Dataset
from numsnn.training.train import fit


@pytest.fixture(scope="module")
def parts():
    return task(80).split(0.25, seed=1)


def said(net, train, valid=None, **more):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        fit(net, train, valid, **(arguments(epochs=1, batch_size=4) | more))
    assert all(w.category is ns.TrainingWarning and w.filename == __file__ for w in found)
    return [str(w.message) for w in found]


def small(tau=3.0, dt=1.0, v_threshold=1.0, weight="kaiming_uniform", **more):
    return ns.Network(ns.Dense(6, 8, weight=weight), ns.LIF(8, tau_mem=tau, v_threshold=v_threshold),
                      ns.Dense(8, 2), ns.LI(2, tau_mem=2 * dt), ns.OverTime("mean"), dt=dt,
                      device="reference", **more)


def test_nothing_is_said_of_what_is_in_order(parts):
    assert said(small(), *parts) == []
    assert said(network(), *parts, epochs=0) == []
    normed = ns.Network(ns.Dense(6, 8, weight=np.full((6, 8), 1e-3)), ns.BatchNorm(), ns.LIF(8),
                        ns.Dense(8, 2), ns.OverTime("mean"), device="reference")
    assert said(normed, parts[0]) == []


@pytest.mark.parametrize(("change", "sentence"), (
    ({"v_threshold": 100.0}, "layer lif0 does not spike on 16 sequences: its input stays far below"),
    ({"weight": np.zeros((6, 8)), "v_threshold": 0.01}, "layer lif0 does not spike"),
    ({"tau": 0.02}, "lif0.tau_mem is 0.02 time steps (dt=1): all is forgotten from one step to the next"),
    ({"tau": 20.0, "dt": 1e-3}, "lif0.tau_mem is 2e+04 time steps (dt=0.001), the sequences have 20: it")))
def test_networks_that_are_odd(change, sentence, parts):
    found = said(small(**change), *parts)
    assert len(found) == 1
    assert found[0].startswith(sentence)


def test_delays_as_long_as_the_sequences(parts):
    net = ns.Network(ns.Delay((0, 3, 19, 20, 20, 25)), ns.Dense(6, 2), ns.OverTime("mean"),
                     device="reference")
    found = said(net, *parts)
    assert len(found) == 1
    assert found[0].startswith("delay0: 3 of 6 delays are no shorter than the sequences, 20 steps: of these")
    assert found[0] in ns.diagnose(net, parts[0]).findings


def test_data_that_are_odd(parts):
    train, valid = parts
    assert said(network(), train.select(train.y == 1), train.select(train.y == 1)) == [
        "all labels of the training set 'task' are 1 (right): there is nothing to learn from them"]
    found = said(network(), train.select(train.y == 1), valid)
    assert found[1:] == ["the validation set has classes that the training set lacks: 0 (left)"]
    zeros = Dataset(np.zeros((20, 8, 6)), np.arange(8) % 2, name="nothing")
    silent = ["the inputs of the training set 'nothing' are all 0: there is nothing to learn from"]
    assert said(network(), zeros) == silent
    as_spikes = Dataset(ns.Spikes.from_dense(zeros.x), zeros.y, name="nothing")
    assert said(network(), as_spikes) == silent
    steps = task(16, per_step=True)
    masked = Dataset(steps.x, steps.y, mask=np.zeros(steps.y.shape, bool), name="masked", time_first=True)
    assert said(network(True), masked) == [
        "no label of the training set 'masked' counts: its mask or lengths leave all out"]
    shown = Dataset(steps.x, steps.y, mask=steps.y == 0, name="shown", time_first=True)
    assert said(network(True), shown)[0].startswith("all labels of the training set 'shown' are 0")


def test_targets_that_are_all_alike(parts):
    train = parts[0]
    same = Dataset(train.x, np.full((len(train), 2), 0.5), name="same")
    found = said(network(), same, loss=ns.loss.MSE())
    assert found[0].startswith("all targets of the training set 'same' are 0.5, 0.5")
    other = Dataset(train.x, np.arange(2.0 * len(train)).reshape(-1, 2) / 100)
    history = fit(network(), other, other, **arguments(loss=ns.loss.MSE(), epochs=2))
    assert history.monitor == "valid_loss"
    assert history["valid_mse"] == pytest.approx(history["valid_loss"])
    assert history.best()["valid_loss"] == min(history["valid_loss"])
