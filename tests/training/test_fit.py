"""fit: callbacks, interrupts, what it says of its progress, and the arguments it refuses."""

import io
import sys
import warnings

import numpy as np
import pytest
from test_train import arguments, network, task

import numsnn as ns
from numsnn.datasets import Dataset
from numsnn.training.history import History
from numsnn.training.progress import Progress
from numsnn.training.train import evaluate, fit, predict, warm_up


@pytest.fixture(scope="module")
def parts():
    return task(80).split(0.25, seed=1)


def bytes_of(net):
    return b"".join(a.tobytes() for a in net.arrays().values())


# ---- callbacks and interrupts


def test_callbacks_are_called_in_order_and_only_true_ends(parts):
    called = []

    def first(epoch):
        called.append("first")
        return np.bool_(epoch.epoch == 1)

    def second(epoch):
        called.append("second")
        assert epoch.history.epochs[-1]["seconds"] > 0
        return False

    history = fit(network(), parts[0], **arguments(callbacks=[first, second]))
    assert called == ["first", "second"] * 2
    assert len(history) == 2


@pytest.mark.parametrize("answer", (1, 0, "stop", []))
def test_a_callback_returns_a_truth_value_or_nothing(answer, parts):
    def tell(epoch):
        return answer

    with pytest.raises(TypeError, match=r"callback tell returned .*; a callback returns True to end"):
        fit(network(), parts[0], **arguments(callbacks=[tell]))


@pytest.mark.parametrize("error", (KeyboardInterrupt, RuntimeError("mine")))
def test_whatever_ends_a_training_the_best_weights_are_there(error, parts, tmp_path):
    train, valid = parts
    kept = []

    def callback(epoch):
        kept.append(bytes_of(epoch.net))
        if epoch.epoch == 3:
            raise error

    net, path = network(), tmp_path / "c.h5"
    kind = error if isinstance(error, type) else type(error)
    with pytest.raises(kind) as caught:
        fit(net, train, valid, monitor="valid_loss", callbacks=(callback,), **arguments(checkpoint=path))
    best = History(ns.files.checkpoint.load_training(path).facts["history"]).best("valid_loss")
    assert bytes_of(net) == kept[best["epoch"]]
    if kind is RuntimeError:
        assert caught.value is error
        return
    assert str(caught.value) == (
        f"stopped after 4 finished epochs; the network has the weights of epoch {best['epoch'] + 1}, "
        f"the best by valid_loss ({best['valid_loss']:.4g}); they are in {path}, to resume from")
    assert caught.value.__suppress_context__


def test_ctrl_c_of_a_command_is_a_sentence_and_130(monkeypatch, capsys):
    from numsnn.cli import COMMANDS, main

    def interrupted(options):
        raise KeyboardInterrupt("stopped after 2 finished epochs")

    monkeypatch.setitem(COMMANDS, "recipes", interrupted)
    assert main(["recipes"]) == 130
    assert capsys.readouterr().err == "\nnumsnn recipes: stopped after 2 finished epochs\n"


# ---- what is said of its progress


def test_what_takes_long_once_is_not_counted_on(monkeypatch):
    clock = iter([0.0, 60.0, 61.0, 62.0, 63.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    bar = Progress(0, 11, 4, True, first=True, summed=True, shown=("valid_accuracy", "valid_loss"))
    for number in range(4):
        bar.batch(number, 1.0)
    row = {"loss": 312.5, "projected": 0, "seconds": 65.0, "valid_accuracy": 0.5, "valid_loss": 2.0}
    bar.epoch_done(row)
    assert sys.stderr.getvalue() == ("epoch  1/11: loss 312.5 (summed over steps), valid 0.5000, "
                                     "valid loss 2, 65.00 s, about 60 s to go\n")


def test_lines_say_where_a_loss_is_a_sum_and_nothing_without_a_place_to_say_it(monkeypatch, capsys):
    data = task(20, per_step=True)
    for loss, unit in ((ns.loss.CrossEntropy(), " (summed over steps)"), (ns.loss.CrossEntropy("mean"), "")):
        fit(network(True), data, **arguments(loss=loss, epochs=1, progress=True))
        line = capsys.readouterr().err
        assert line.startswith("epoch 1/1: loss ")
        assert f"{unit}, " in line
        assert ("summed" in line) == bool(unit)
    monkeypatch.setattr(sys, "stderr", None)
    fit(network(True), data, **arguments(epochs=1, progress=True))


# ---- arguments


def other_data(**changes):
    x, y = np.ones((20, 8, 6), bool), np.arange(8) % 2
    return Dataset(**({"x": x, "y": y} | changes))


@pytest.mark.parametrize(("change", "message"), (
    ({"epochs": 2.5}, "epochs must not be negative, and be an integer; got 2.5"),
    ({"epochs": True}, "epochs must .* got True"), ({"epochs": None}, "epochs must .* got None"),
    ({"seed": None}, "seed must .* got None"), ({"seed": -1}, "seed must not be negative"),
    ({"batch_size": 2.0}, "batch_size must be a positive integer; got 2.0"),
    ({"tbptt": True}, "tbptt must be an integer"), ({"tbptt": 4.0}, "tbptt must be an integer"),
    ({"patience": 3}, "patience=3 needs something to wait for: give the validation set"),
    ({"patience": 0, "monitor": "loss"}, "patience must be a positive integer; got 0"),
    ({"checkpoint_every": 1.5}, "checkpoint_every must be a positive integer; got 1.5"),
    ({"monitor": "valid_loss"}, "loss, learning_rate, gradient_norm, projected; got 'valid_loss'; there is"),
    ({"monitor": "los"}, "monitor must be a number of this training's history"),
    ({"monitor": "gradient_norm"}, 'give direction="max" or direction="min"'),
    ({"monitor": "loss", "direction": "down"}, "direction must be .* got 'down'"),
    ({"direction": "min"}, "direction is that of monitor"),
    ({"watch": {"valid": task(8)}}, "names of text other than \"valid\""),
    ({"watch": {1: task(8)}}, "got 1"),
    ({"watch": {"test": task(8)[:0]}}, "the watched set 'test' is empty"),
    ({"watch": {"test": task(8, per_step=True)}},
     "'test' has 6 features and a label for each step, the training set 6 features and a label for each seq"),
    ({"watch": {"test": other_data(x=np.ones((20, 8, 5), bool))}}, "'test' has 5 features"),
    ({"watch": {"test": other_data(y=np.arange(8))}}, "labels up to 7, but the network has 2 outputs")))
def test_numbers_and_sets_that_do_not_fit_are_refused_before_the_first_epoch(change, message):
    net = network()
    before = bytes_of(net)
    with pytest.raises(ValueError, match=message), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit(net, task(8), **(arguments(batch_size=4, epochs=1) | change))
    assert bytes_of(net) == before


@pytest.mark.parametrize(("change", "message"), (
    ({"optimizer": "adam"}, r"numsnn\.optim, such as ns\.optim\.Adam\(1e-3\); got the text 'adam'"),
    ({"optimizer": ns.optim.Adam}, "got the class Adam, without brackets"),
    ({"facts": [1]}, "facts must be a dict .*; got a list"),
    ({"keep_best": 1}, "keep_best must be True or False; got 1"),
    ({"step_inside": None}, "step_inside must be True or False"),
    ({"progress": "yes"}, "progress must be True or False"),
    ({"callbacks": print}, r"callbacks must be a sequence .* write callbacks=\(function,\)"),
    ({"callbacks": [3]}, "a callback is a function of an Epoch; got a int"),
    ({"callbacks": 3}, "callbacks must be a sequence of functions"),
    ({"regularisers": ns.regularise.WeightL2(1.0)}, "regularisers must be a sequence"),
    ({"regularisers": [ns.regularise.RateBand]}, "got the class RateBand, without brackets"),
    ({"watch": task(8)}, "watch must be a dict of data sets by name"),
    ({"watch": {"test": (1, 2)}}, r"fit, watch\['test'\], takes a Dataset; got tuple. Write Dataset\(x, y\)"),
    ({"valid": ([], [])}, "fit, valid, takes a Dataset; got tuple")))
def test_things_of_another_kind_are_refused(change, message):
    with pytest.raises(TypeError, match=message):
        fit(network(), task(8), **(arguments(batch_size=4, epochs=1) | change))


def refused(net, data, message):
    """Each door that takes a network and a data set refuses them with a TypeError that says this."""
    how = {"loss": ns.loss.CrossEntropy(), "optimizer": ns.optim.Adam()}
    for door, more in ((fit, arguments()), (evaluate, {}), (predict, {}), (warm_up, how)):
        with pytest.raises(TypeError, match=message):
            door(net, data, **more)


def test_a_pair_in_place_of_a_data_set_and_a_data_set_in_place_of_a_network():
    data, net = task(8), network()
    refused(net, (data.x, data.y), r"takes a Dataset; got tuple. Write Dataset\(x, y\)")
    refused(net, data.x, r"takes a Dataset; got ndarray.*there is net\.run\(x\)")
    refused(data, data, "the first argument is a Network; got a Dataset")
    with pytest.raises(TypeError, match="rates must be True or False; got 'all'"):
        evaluate(net, data, rates="all")
    with pytest.raises(ValueError, match="there is nothing to predict"):
        predict(net, data[:0])


def test_warming_up_writes_nothing_and_knows_the_arguments_of_fit(tmp_path):
    path, called = tmp_path / "c.h5", []
    how = {"loss": ns.loss.CrossEntropy(), "optimizer": ns.optim.Adam()}
    with warnings.catch_warnings():
        warnings.simplefilter("error", ns.TrainingWarning)
        warm_up(network(), task(8), **how, checkpoint=path, callbacks=(called.append,), patience=3, epochs=9)
    assert not path.exists()
    assert not called
    with pytest.raises(TypeError, match="'tbtt' is no argument of fit"):
        warm_up(network(), task(8), **how, tbtt=3)
