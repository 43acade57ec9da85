"""Regression: float targets in data sets, fit, evaluate, predict; metrics; saved sets."""

import h5py
import numpy as np
import pytest
from scipy import stats

import numsnn as ns
from numsnn.datasets import Dataset, saved
from numsnn.formats import FormatError

STEPS, N = 12, 40


def walks(per_step=False, seed=0):
    """Where random walks end, and where they went on average; with per_step where they are."""
    x = np.random.default_rng(seed).normal(size=(STEPS, N, 2)).astype(np.float32)
    path = np.cumsum(x, 0) / 3
    return Dataset(x, path if per_step else path[-1], name="walks", time_first=True)


def network(per_step=False, seed=0):
    last = () if per_step else (ns.OverTime("last"),)
    return ns.Network(ns.Dense(2, 8), ns.LIF(8, tau_mem=20), ns.Dense(8, 2), ns.LI(2, tau_mem=20), *last,
                      device="reference", seed=seed)


def trained(data, valid=None, loss=None, per_step=False, **more):
    net = network(per_step)
    history = ns.fit(net, data, valid, loss=loss or ns.loss.MSE(), optimizer=ns.optim.Adam(0.02),
                     progress=False, **{"epochs": 5, "batch_size": 16, **more})
    return net, history


@pytest.mark.parametrize("loss", [ns.loss.MSE(), ns.loss.MAE(), ns.loss.Huber(), ns.loss.Cosine()], ids=repr)
@pytest.mark.parametrize("per_step", [False, True])
def test_it_learns_and_keeps_the_epoch_of_the_smallest_loss(loss, per_step):
    train, valid = walks(per_step).split(0.25)
    net, history = trained(train, valid, loss, per_step)
    assert history["loss"][-1] < history["loss"][0]
    best = history.best()
    assert best["valid_loss"] == min(history["valid_loss"])
    assert "valid_accuracy" not in history and "valid_mse" in history
    found = ns.evaluate(net, valid, loss=loss, rates=False)
    assert found.loss == best["valid_loss"]
    assert {name: found.metrics[name] for name in ("mse", "mae", "r2", "correlation")} == found.metrics


def test_early_stopping_by_the_validation_loss():
    train, valid = walks().split(0.25)
    valid.y = valid.y[::-1]                                     # nothing to learn for them
    _, history = trained(train, valid, epochs=60, patience=2)
    assert len(history) < 60 and len(history) - 1 - history.best()["epoch"] == 2


def test_evaluate_and_predict_agree_with_the_network():
    data, net = walks(per_step=True), network(True)
    y, _ = net.run(data.x)
    assert ns.predict(net, data, batch_size=7).tobytes() == y.tobytes()
    mask, lengths = np.random.default_rng(1).random((STEPS, N)) < 0.6, np.arange(N) % STEPS + 1
    masked = Dataset(data.x, data.y, mask=mask, lengths=lengths)
    found = ns.evaluate(net, masked, batch_size=7, loss=ns.loss.MSE("mean"))
    counts = mask & (np.arange(STEPS)[:, None] < lengths)
    t, y = data.y[counts].astype(float), net.run(data.x, lengths=lengths)[0][counts].astype(float)
    assert found.n == counts.sum() and not found.confusion.size and np.isnan(found.accuracy)
    assert np.allclose(found.targets["mse"], ((y - t) ** 2).mean(0))
    assert np.allclose(found.targets["mae"], np.abs(y - t).mean(0))
    assert np.allclose(found.targets["r2"], 1 - ((y - t) ** 2).sum(0) / ((t - t.mean(0)) ** 2).sum(0))
    assert np.allclose(found.targets["correlation"], [stats.pearsonr(t[:, k], y[:, k])[0] for k in (0, 1)])
    assert all(np.isclose(found.metrics[name], each.mean()) for name, each in found.targets.items())
    each = ((y - t) ** 2).mean(1)
    of = np.broadcast_to(np.arange(N), counts.shape)[counts]
    assert np.isclose(found.loss, np.sum([each[of == b].mean() for b in range(N) if (of == b).any()]) / N)
    assert "walks" not in str(found) and "correlation" in str(found) and "\n1 " in str(found)


def test_the_loss_of_classes_is_measured_too():
    data = Dataset(walks().x, np.arange(N) % 2, classes=("a", "b"))
    net = network()
    found = ns.evaluate(net, data, batch_size=7, loss=ns.loss.CrossEntropy())
    assert np.isclose(found.loss, ns.loss.CrossEntropy()(net.run(data.x)[0], data.y)[0])
    assert found.metrics == {"accuracy": found.accuracy} and "loss" in str(found)
    assert ns.evaluate(net, data).loss is None
    one_name = Dataset(data.x, np.zeros(N, int), classes=("a",))
    assert ns.evaluate(net, one_name).classes == ("a", "1")


def test_metrics_by_hand():
    found = ns.metrics.regression([[1.0, 5], [2, 5], [3, 5], [9, 9]], [[2, 5], [2, 4], [2, 6], [0, 0]],
                                  mask=[1, 1, 1, 0])
    assert found["mse"].tolist() == [2 / 3, 2 / 3] and found["mae"].tolist() == [2 / 3, 2 / 3]
    assert found["r2"][0] == 0 and np.isnan(found["r2"][1])             # the second target does not vary
    assert np.isnan(found["correlation"]).all()                         # nor does the first prediction
    exact = ns.metrics.regression([[1.0], [2], [4]], [[1.0], [2], [4]])
    assert exact["r2"] == 1 and np.isclose(exact["correlation"], 1)
    assert np.isnan(ns.metrics.regression(np.ones((3, 1)), np.ones((3, 1)), [0, 0, 0])["mse"]).all()
    with pytest.raises(ValueError, match=r"one shape .*got \(3, 1\) and \(3, 2\)"):
        ns.metrics.regression(np.ones((3, 1)), np.ones((3, 2)))


@pytest.mark.parametrize(("labels", "words"), [
    ([0, -1], r"labels of 2 classes must be integers, 0 ... 1; got int64, -1 ... 0"),
    ([0, 2], "got int64, 0 ... 2"), ([0.0, 1.0], "got float64"), ([[0], [0, 1]], "expected one array")])
def test_labels_that_are_none_have_no_confusion_matrix(labels, words):
    with pytest.raises(ValueError, match=words):
        ns.metrics.confusion_matrix(labels, [0, 1], 2)
    with pytest.raises(ValueError, match="expected booleans, or 0 and 1; got 0.5"):
        ns.metrics.accuracy([0, 1], [0, 1], [0.5, 1])


def test_truncated_bptt_cuts_targets_of_steps_only():
    """Segments as long as the sequence are the whole of it; B = 40 targets of a sequence are no steps."""
    for per_step in (False, True):
        data = walks(per_step)
        whole, cut = (trained(data, per_step=per_step, epochs=1, tbptt=tbptt) for tbptt in (None, STEPS))
        assert np.allclose(whole[1]["loss"], cut[1]["loss"])
        assert np.isfinite(trained(data, per_step=per_step, epochs=1, tbptt=5)[1]["loss"]).all()


def test_a_function_trains_as_the_loss_that_it_is():
    def square(y, target):
        d = y - target
        return (d.astype(float) ** 2).mean(), 2 * d / d.size

    losses = [trained(walks(), walks(seed=1), loss)[1] for loss in (ns.loss.MSE(), square)]
    for key in ("loss", "valid_loss", "valid_r2"):
        assert np.allclose(losses[0][key], losses[1][key], rtol=1e-5), key


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize("kind", ["sequences", "steps", "steps with lengths", "labels with lengths"])
def test_saved_sets_train_to_the_same_bits(kind, memory, tmp_path):
    """A set with labels for each step and lengths, too, which could be saved and not be read."""
    data = walks("steps" in kind)
    lengths, mask = np.arange(N) % STEPS + 1, np.random.default_rng(1).random((STEPS, N)) < 0.8
    if kind == "steps with lengths":
        data = Dataset(data.x, data.y, lengths=lengths, mask=mask)
    if kind == "labels with lengths":
        data = Dataset(data.x, (data.x[..., 0] > 0).astype(int), lengths=lengths, mask=mask)
    data.save(tmp_path / "d.h5")
    back = saved.load(tmp_path / "d.h5", memory=memory)
    assert back.y.dtype == data.y.dtype and np.array_equal(back.y, data.y)
    assert data.lengths is None and back.lengths is None or np.array_equal(back.lengths, data.lengths)
    per_step = kind != "sequences"
    loss = ns.loss.CrossEntropy() if "labels" in kind else ns.loss.MSE()
    results = [trained(d, d, loss, per_step, epochs=1) for d in (data, back)]
    (one, first), (other, second) = results
    assert all(p.tobytes() == other.params[name].tobytes() for name, p in one.params.items())
    for row in (first.epochs[0], second.epochs[0]):
        del row["seconds"]
    assert first.epochs == second.epochs


def test_damaged_targets_of_saved_sets(tmp_path):
    path = tmp_path / "d.h5"
    for y, words in ((np.full((N, 2), np.nan), "targets must be finite"),
                     (np.full(N, -1), "classes from 0 on"),
                     (np.zeros(N), "y should hold labels or targets"), (np.zeros((N - 1, 2)), "do not fit"),
                     (np.zeros((STEPS - 1, N, 2)), f"labels of 11 steps for sequences of up to {STEPS}")):
        walks().save(path)
        with h5py.File(path, "r+") as file:
            del file["y"]
            file["y"] = y
        with pytest.raises(FormatError, match=words):
            saved.load(path)


def test_what_does_not_fit_is_said():
    data, classes = walks(), Dataset(walks().x, np.arange(N) % 2)
    with pytest.raises(ValueError, match="integer labels.*One-hot labels are labels.argmax"):
        trained(data, loss=ns.loss.CrossEntropy())
    with pytest.raises(ValueError, match=r"answers \(16, 2\), but 'walks' has targets \(16, 1\)"):
        ns.evaluate(network(), Dataset(data.x, data.y[:, :1], name="walks"), batch_size=16)
    with pytest.raises(ValueError, match="a target per step needs OverTime"):
        ns.evaluate(network(per_step=True), data)
    with pytest.raises(ValueError, match="labels up to 2, but the network has 2 outputs"):
        ns.evaluate(network(), Dataset(data.x, np.arange(N) % 3), loss=ns.loss.CrossEntropy("mean"))
    empty = Dataset(np.zeros((5, 0, 2)), [], name="nothing")
    for call in (ns.predict, ns.evaluate):
        with pytest.raises(ValueError, match=f"'nothing' is empty; there is nothing to {call.__name__}"):
            call(network(), empty)
        with pytest.raises(TypeError, match=f"{call.__name__} takes a Dataset; got ndarray.*net.run"):
            call(network(), data.x)
    assert len(classes.folds(4)) == len(data.folds(4)) == 4
    assert "2 targets" in repr(data)


def test_answers_of_batches_that_were_cut_are_padded():
    lengths = np.arange(N) % STEPS + 1
    by_length = np.argsort(lengths)
    data = Dataset(walks().x[:, by_length], np.zeros(N, int), lengths=lengths[by_length])
    answers = ns.predict(network(per_step=True), data, batch_size=10, answers=True)
    assert np.array_equal(answers, network(per_step=True).run(data.x, lengths=data.lengths)[0])


def test_the_curve_of_a_regression():
    _, history = trained(walks(), walks(seed=1), epochs=2)
    figure = ns.plot.training_curve(history)
    assert figure.axes[1].get_ylabel() == "loss"
    assert figure.axes[1].get_legend().get_texts()[0].get_text() == "valid"
