"""What a history holds, its files, and what chooses the best epoch."""

import numpy as np
import pytest
from test_train import arguments, network, task

import numsnn as ns
from numsnn.training.history import History
from numsnn.training.train import evaluate, fit


@pytest.fixture(scope="module")
def parts():
    return task(80).split(0.25, seed=1)


def bytes_of(net):
    return b"".join(a.tobytes() for a in net.arrays().values())


# ---- the history


def test_an_epoch_holds_loss_rate_norm_and_what_the_validation_set_gives(parts):
    train, valid = parts
    net = network()
    optimizer = ns.optim.Adam(0.02, schedule=ns.optim.Step(2, 0.1), factors={"dense0.*": 3.0})
    history = fit(net, train, valid, watch={"train": train}, keep_best=False,
                  **arguments(optimizer=optimizer, epochs=3))
    assert history.keys() == ["epoch", "loss", "learning_rate", "gradient_norm", "projected", "valid_loss",
                              "valid_accuracy", "train_loss", "train_accuracy", "seconds"]
    assert history["learning_rate"] == pytest.approx([0.02, 0.02, 0.002])
    now = evaluate(net, valid, loss=ns.loss.CrossEntropy())
    assert (history["valid_loss"][-1], history["valid_accuracy"][-1]) == (now.loss, now.accuracy)
    assert all(type(value) in (int, float) for row in history for value in row.values())


@pytest.mark.parametrize("how", ({}, {"tbptt": 7, "step_inside": False}))
@pytest.mark.parametrize("device", ("reference", "cpu"))
def test_the_norm_is_that_of_the_gradients_before_clipping(parts, device, how):
    train = parts[0]
    net, batch = network(device=device), next(train.batches(len(train), np.random.default_rng([0, 0])))
    history = fit(net, train, **arguments(epochs=1, batch_size=len(train), **how,
                                          optimizer=ns.optim.SGD(1e-9, clip_norm=1e-3)))
    net, sums, state = network(device=device), None, None
    state = net.initial_state(len(train), np.random.default_rng([0, 0, 0]))
    for first in range(0, 20, how.get("tbptt", 20)):
        piece = batch.x[first:first + how.get("tbptt", 20)]
        _, grads, _, state = net.loss_and_gradients(ns.loss.CrossEntropy(), piece, batch.y, state=state)
        sums = grads if sums is None else {name: sums[name] + g for name, g in grads.items()}
    norm = np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in sums.values()))
    assert history["gradient_norm"][0] == pytest.approx(norm, rel=1e-5)
    assert norm > 1e-3


def test_a_norm_too_large_for_a_number_is_no_divergence():
    from numsnn.devices.reference import totals
    assert totals.euclidean([np.full(5, 3e30, "f4")]) == np.inf
    assert totals.finite([np.full(5, 3e30, "f4")]) == [True]
    many = np.random.default_rng(0).normal(size=30_000).astype("f4")
    assert totals.euclidean([many, many[:5]]) == pytest.approx(
        np.linalg.norm(np.append(many, many[:5]).astype("f8")), rel=1e-6)
    assert np.isnan(totals.euclidean([np.array([1, np.nan], "f4")]))


ROWS = [{"epoch": 0, "loss": 0.1 + 0.2, "valid_accuracy": float("nan"), "seconds": 1e-9},
        {"epoch": 1, "loss": float("inf"), "valid_accuracy": 0.5, "seconds": 2.0, "test_accuracy": 0.25}]


@pytest.mark.parametrize("name", ("h.csv", "h.json", "H.CSV"))
def test_saved_and_loaded_is_the_same(name, tmp_path):
    History(ROWS).save(tmp_path / name)
    back = History.load(tmp_path / name, monitor="valid_accuracy")
    assert back.keys() == History(ROWS).keys()
    for one, two in zip(ROWS, back, strict=True):
        assert one.keys() == two.keys()
        for a, b in zip(one.values(), two.values(), strict=True):
            assert type(a) is type(b)
            assert a == b or not np.isfinite(a) and not np.isfinite(b)      # JSON has no inf and no nan
    assert back.best()["epoch"] == 1
    History().save(tmp_path / name)
    assert len(History.load(tmp_path / name)) == 0


def test_a_table_is_csv_and_other_endings_are_refused(tmp_path):
    History(ROWS).save(tmp_path / "h.csv")
    lines = (tmp_path / "h.csv").read_text().splitlines()
    assert lines == ["epoch,loss,valid_accuracy,seconds,test_accuracy", "0,0.30000000000000004,nan,1e-09,",
                     "1,inf,0.5,2.0,0.25"]
    for name in ("h.txt", "h", "h.json.gz"):
        with pytest.raises(ValueError, match=r"kept as \.csv or \.json; got"):
            History(ROWS).save(tmp_path / name)
        assert not (tmp_path / name).exists()


@pytest.mark.parametrize(("name", "text"), (
    ("h.csv", "epoch,loss\n1"), ("h.csv", "[{}]\nx"), ("h.csv", "a,b\n1,2\n"), ("h.json", "{}"),
    ("h.json", "[1]"), ("h.json", "[{"), ("h.json", ""), ("h.json", "[" * 100_000)))
def test_what_is_no_history_is_refused(name, text, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=rf"{name} is no history that numsnn wrote"):
        History.load(tmp_path / name)


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(KeyError, match="no 'valid_acc' in this history; it has epoch, loss, valid_accuracy"):
        History(ROWS)["valid_acc"]
    assert History(ROWS)["test_accuracy"] == [None, 0.25]
    assert "3 epochs" not in repr(History(ROWS))
    assert "History(2 epochs; in the last loss inf, valid_accuracy 0.5" in repr(History(ROWS))


# ---- the best epoch


def test_best_knows_which_way_is_better():
    history = History([{"epoch": i, "loss": loss, "valid_loss": loss, "mine": loss}
                       for i, loss in enumerate((3.0, float("nan"), 1.0, 1.0, 2.0))])
    assert history.best("loss")["epoch"] == history.best()["epoch"] == 2
    assert history.best("mine", "max")["epoch"] == 0
    with pytest.raises(ValueError, match="larger or a smaller mine is better"):
        history.best("mine")
    with pytest.raises(KeyError, match="no 'valid_f1'"):
        history.best("valid_f1")
    assert History().best() is None


@pytest.mark.parametrize(("monitor", "direction", "choose"), (
    ("valid_loss", None, np.argmin), ("loss", None, np.argmin), ("train_accuracy", None, np.argmax),
    ("gradient_norm", "max", np.argmax), ("valid_accuracy", "min", np.argmin), (None, None, np.argmax)))
def test_the_best_epoch_by_any_number_of_the_history(monitor, direction, choose, parts):
    train, valid = parts
    kept, net = [], network()
    history = fit(net, train, valid, watch={"train": train}, monitor=monitor, direction=direction,
                  callbacks=[lambda e: kept.append((bytes_of(e.net), e.is_best))], **arguments(epochs=5))
    best = int(choose(history[monitor or "valid_accuracy"]))
    assert history.best()["epoch"] == best
    assert bytes_of(net) == kept[best][0]
    assert [is_best for _, is_best in kept][best:] == [True] + [False] * (4 - best)


def test_patience_by_a_loss_without_a_validation_set(parts):
    optimizer = ns.optim.SGD(1e-12)                 # it stays where it is, but for random initial states
    history = fit(network(), parts[0], monitor="gradient_norm", direction="min", patience=2,
                  **arguments(epochs=50, optimizer=optimizer))
    assert len(history) - 1 - history.best()["epoch"] == 2
    assert len(history) < 50


def test_a_training_is_resumed_with_what_it_was_monitored_by(parts, tmp_path):
    train, valid = parts
    path = tmp_path / "c.h5"
    whole = network()
    whole_history = fit(whole, train, valid, monitor="valid_loss", **arguments(epochs=4))
    fit(network(), train, valid, monitor="valid_loss", **arguments(epochs=2, checkpoint=path))
    with pytest.raises(ValueError, match="best epoch by valid_loss, this run asks for valid_accuracy"):
        fit(network(), train, valid, **arguments(epochs=4, checkpoint=path, resume=True))
    net = network()
    history = fit(net, train, valid, monitor="valid_loss",
                  **arguments(epochs=4, checkpoint=path, resume=True))
    assert history["valid_loss"] == whole_history["valid_loss"]
    assert bytes_of(net) == bytes_of(whole)
