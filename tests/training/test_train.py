"""fit, evaluate, predict: learning, reproducibility, resuming bit for bit, stopping, what is refused."""

import json
import signal
import subprocess
import time

import numpy as np
import pytest
from scripts import command, environment_of, run_script

import numsnn as ns
from numsnn.datasets import Dataset
from numsnn.files.checkpoint import CheckpointError, describe, load_training
from numsnn.training.train import TrainingDiverged, evaluate, fit, predict


def task(n=60, steps=20, per_step=False, seed=0):
    """Which of two groups of inputs spikes more; with per_step which of them did in the last steps."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, (steps, n)) if per_step else rng.integers(0, 2, n)
    rate = np.where(np.arange(6) < 3, y[..., None], 1 - y[..., None]) * 0.5 + 0.05
    return Dataset(rng.random((steps, n, 6)) < rate, y, classes=("left", "right"), name="task",
                   time_first=True)


def network(per_step=False, device="reference", seed=0, **more):
    last = () if per_step else (ns.OverTime("mean"),)
    hidden = ns.ALIF(8, recurrent=True, tau_mem=3, tau_adp=5, learn=("tau_mem", "tau_adp"),
                     init_state="author")
    return ns.Network(ns.Dense(6, 8), hidden, ns.Dense(8, 2), ns.LI(2, tau_mem=2), *last, device=device,
                      seed=seed, **more)


def arguments(**more):
    optimizer = ns.optim.Adam(0.02, schedule=ns.optim.Step(3))
    return {"loss": ns.loss.CrossEntropy(), "optimizer": optimizer, "epochs": 6, "batch_size": 16,
            "progress": False, **more}


def everything(net, optimizer, history):
    """The bytes of a training: parameters, optimiser, history without the clock."""
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in history.epochs]
    parameters = [p.tobytes() for p in net.params.values()]
    kept = [slot[name].tobytes() for slot in optimizer.state.values() for name in net.params]
    return b"".join([*parameters, *kept]) + json.dumps(rows).encode()


def test_it_learns_and_keeps_the_best_epoch():
    train, valid = task(200).split(0.2, seed=1)
    net = network(device="cpu")
    history = fit(net, train, valid, watch={"train": train}, **arguments(epochs=12))
    assert evaluate(net, train).accuracy > 0.95
    assert history["loss"][-1] < history["loss"][0]
    assert "loss" in history
    assert "accuracy" not in history
    assert [row["loss"] for row in history] == history["loss"]
    best = history.best()
    assert best["valid_accuracy"] == max(history["valid_accuracy"])
    assert evaluate(net, valid).accuracy == best["valid_accuracy"]
    assert history["valid_accuracy"].index(best["valid_accuracy"]) == best["epoch"]
    assert [row["epoch"] for row in history.epochs] == list(range(12))


def test_same_seed_same_bytes_and_another_seed_others():
    data, results = task(), []
    for seed in (1, 1, 2):
        net, a = network(), arguments(seed=seed)
        results.append(everything(net, a["optimizer"], fit(net, data, **a)))
    assert results[0] == results[1] != results[2]


@pytest.mark.parametrize("device", ("reference", "cpu"))
@pytest.mark.parametrize("stop", (1, 4))
def test_interrupted_and_resumed_is_bit_for_bit_uninterrupted(stop, device, tmp_path):
    train, valid = task(per_step=True).split(0.2)
    whole, a = network(True, device), arguments(checkpoint=tmp_path / "whole.h5", keep_best=False, tbptt=8)
    expected = everything(whole, a["optimizer"], fit(whole, train, valid, **a))
    path = tmp_path / "part.h5"
    interrupted = arguments(epochs=stop, checkpoint=path, keep_best=False, tbptt=8)
    fit(network(True, device), train, valid, **interrupted)
    again = network(True, device, seed=9)
    b = arguments(checkpoint=path, resume=True, keep_best=False, tbptt=8)
    with pytest.raises(ValueError, match="trained with seed 0, this run has seed 3"):
        fit(again, train, valid, **b, seed=3)
    assert everything(again, b["optimizer"], fit(again, train, valid, **b)) == expected
    one, two = (load_training(tmp_path / f"{name}.h5") for name in ("whole", "part"))
    assert {k: v.tobytes() for k, v in one.best.items()} == {k: v.tobytes() for k, v in two.best.items()}


SCRIPT = """
import sys
from test_train import *
from pathlib import Path
train, valid = task(per_step=True).split(0.2)
net, a = network(True), arguments(epochs=40, checkpoint=Path(sys.argv[1]), resume=True, keep_best=False)
history = fit(net, train, valid, **a)
Path(sys.argv[1] + ".done").write_bytes(everything(net, a["optimizer"], history))
"""


def test_killed_at_any_moment_and_resumed(tmp_path):
    """kill -9 again and again: the checkpoint can always be read, and the end is that of a calm training."""
    def written():
        return path.stat().st_mtime_ns if path.exists() else 0

    assert run_script(SCRIPT, tmp_path / "calm.h5", beside=__file__).returncode == 0
    path, rng, kills = tmp_path / "killed.h5", np.random.default_rng(0), 0
    while not (tmp_path / "killed.h5.done").exists():
        process = subprocess.Popen(command(SCRIPT, path), env=environment_of(__file__))
        deadline = time.time() + 60
        before = written()
        while process.poll() is None and time.time() < deadline and written() == before:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.05))            # somewhere in the next epochs and writes
        if process.poll() is None and kills < 8:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
        if path.exists():
            assert describe(path)["training"]["epoch"] >= 0
    assert kills >= 3
    assert (tmp_path / "killed.h5.done").read_bytes() == (tmp_path / "calm.h5.done").read_bytes()


def test_killed_in_the_middle_of_a_write(tmp_path):
    """The process dies with half of the second checkpoint written: the first one is still whole."""
    path = tmp_path / "c.h5"
    script = f"""
import os, signal
from test_train import *
from numsnn.files import checkpoint
write, calls = checkpoint._write, []
def dying(file, group, arrays):
    calls.append(group)
    write(file, group, arrays)
    file.flush()
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
checkpoint._write = dying
fit(network(), task(), **arguments(checkpoint={str(path)!r}))
"""
    assert run_script(script, beside=__file__).returncode == -signal.SIGKILL
    assert path.with_name("c.h5.part").exists()
    assert describe(path)["training"]["epoch"] == 0
    a = arguments(checkpoint=path, resume=True)
    assert len(fit(network(), task(), **a)) == 6
    assert not path.with_name("c.h5.part").exists()


def test_truncated_bptt_learns_with_the_state_carried_on():
    data = task(200, steps=24, per_step=True)
    for inside in (True, False):
        net = network(True, device="cpu")
        fit(net, data, **arguments(tbptt=6, step_inside=inside, epochs=12))
        assert evaluate(net, data).accuracy > 0.8
    whole, cut = network(True), network(True)
    fit(whole, data, **arguments(epochs=1))
    fit(cut, data, **arguments(epochs=1, tbptt=24))
    pairs = zip(whole.params.values(), cut.params.values(), strict=True)
    assert all(a.tobytes() == b.tobytes() for a, b in pairs)
    sequence = task(60, steps=24)
    net = network()
    fit(net, sequence, **arguments(tbptt=8, epochs=8))
    assert evaluate(net, sequence).accuracy > 0.8


def test_early_stopping_and_callbacks():
    train, valid = task().split(0.2)
    seen = []
    history = fit(network(), train, valid, **arguments(epochs=30, callbacks=(seen.append,), patience=3))
    assert len(history) < 30
    assert len(history) - 1 - history.best()["epoch"] == 3
    assert [e.epoch for e in seen] == list(range(len(history)))
    assert sum(e.is_best for e in seen) >= 1
    history = fit(network(), train, **arguments(callbacks=(lambda e: e.epoch == 2,)))
    assert len(history) == 3


def test_predict_and_evaluate_agree_with_the_network():
    data, net = task(per_step=True), network(True)
    answers, classes = (predict(net, data, batch_size=7, answers=as_they_are, seed=None)
                        for as_they_are in (True, False))
    assert answers.tobytes() == net.run(data.x)[0].tobytes()
    assert (classes == answers.argmax(-1)).all()
    e = evaluate(net, data, batch_size=7, seed=None)
    assert e.accuracy == (classes == data.y).mean()
    assert e.confusion.sum() == data.y.size == e.n
    assert "left" in str(e)
    assert e.rates.keys() == {"alif0"}
    mask = np.arange(20)[:, None] >= np.full(60, 5)
    masked = Dataset(data.x, data.y, mask=mask, lengths=np.full(60, 15), labelled=data.y == 1)
    e = evaluate(net, masked, seed=None)
    right = (classes == data.y)[5:15]
    assert e.accuracy == right.mean()
    assert e.n == 10 * 60
    assert e.accuracy_labelled == right[(data.y == 1)[5:15]].mean()


def test_divergence_names_epoch_batch_and_layer():
    data = task()
    net = network()
    net.params["alif0.recurrent"][...] = np.float32(3e38)
    place = r"epoch 1, batch 1: .*layer alif0 at time step \d"
    with pytest.raises(TrainingDiverged, match=place), np.errstate(all="ignore"):
        fit(net, data, **arguments())
    net = network()
    net.layers["dense1"].params["bias"][0] = np.nan
    with pytest.raises(TrainingDiverged, match="the loss is nan; parameter dense1.bias holds nan already"):
        fit(net, data, **arguments())


@pytest.mark.parametrize(("change", "message"), (
    ({"batch_size": 61}, "batch_size 61 is larger than the training set, which has 60 sequences"),
    ({"batch_size": 0}, "batch_size must be a positive integer; got 0"),
    ({"epochs": -1}, "epochs must not be negative"),
    ({"tbptt": 0}, "tbptt at least one step"),
))
def test_bad_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        fit(network(), task(), **arguments(**change))


def test_bad_data():
    empty = Dataset(np.zeros((5, 0, 6), bool), np.zeros(0, int), name="nothing")
    with pytest.raises(ValueError, match="training set 'nothing' is empty"):
        fit(network(), empty, **arguments())
    with pytest.raises(ValueError, match="validation set 'nothing' is empty"):
        fit(network(), task(), empty, **arguments())
    with pytest.raises(ValueError, match="'nothing' is empty; there is nothing to evaluate"):
        evaluate(network(), empty)
    with pytest.raises(ValueError, match="a label per step needs OverTime"):
        evaluate(network(per_step=True), task())
    with pytest.raises(ValueError, match=r"sample 1 is nan at step 0, feature 2"):
        x = np.zeros((5, 3, 6))
        x[0, 1, 2] = np.nan
        Dataset(x, np.zeros(3, int))
    with pytest.raises(ValueError, match=r"expected integer labels of shape \(3,\)"):
        Dataset(np.zeros((5, 3, 6)), np.zeros(4, int))
    with pytest.raises(ValueError, match="leaves a part empty"):
        task(3).split(0.01)


def test_resume_with_another_network_names_the_difference(tmp_path):
    path = tmp_path / "c.h5"
    fit(network(), task(), **arguments(epochs=1, checkpoint=path))
    other = ns.Network(ns.Dense(6, 9), ns.LIF(9), ns.Dense(9, 2), ns.LI(2), ns.OverTime("mean"),
                       device="reference")
    with pytest.raises(ValueError, match=r"layer 0 \(dense0\) has n_out = 8 there, 9 here"):
        fit(other, task(), **arguments(checkpoint=path, resume=True))


def test_checkpoint_round_trip_and_damage(tmp_path):
    import h5py
    path, net = tmp_path / "c.h5", network()
    ns.save(net, path)
    twin = ns.load(path)
    assert twin.run(task().x)[0].tobytes() == net.run(task().x)[0].tobytes()
    assert not list(tmp_path.glob("*.part"))
    with pytest.raises(CheckpointError, match="no training to continue"):
        load_training(path)
    content = path.read_bytes()
    for no_hdf5 in (b"", b"hello", content[:len(content) // 2], content[:600]):
        path.write_bytes(no_hdf5)
        with pytest.raises(CheckpointError, match="cannot be opened as HDF5"):
            ns.load(path)
    with pytest.raises(CheckpointError, match="no checkpoint"):
        ns.load(tmp_path / "none.h5")
    with h5py.File(path, "w") as file:
        file["x"] = 1
    with pytest.raises(CheckpointError, match="not a checkpoint of numsnn"):
        ns.load(path)
    for key, message in (("version", "has format version 99; this numsnn reads version 1; update numsnn"),
                         ("missing", "params/dense0/bias is missing"),
                         ("shape", "finite numbers of shape"),
                         ("config", "damaged|Expecting")):
        path.write_bytes(content)
        with h5py.File(path, "r+") as file:
            if key == "version":
                file.attrs["format_version"] = 99
            elif key == "config":
                del file["config"]
                file["config"] = "{]"
            else:
                del file["params/dense0/bias"]
                if key == "shape":
                    file["params/dense0/bias"] = np.zeros(3)
        with pytest.raises(CheckpointError, match=message):
            ns.load(path)


def test_best_and_last_weights_of_a_checkpoint(tmp_path):
    train, valid = task().split(0.3)
    path, net = tmp_path / "c.h5", network()
    history = fit(net, train, valid, **arguments(checkpoint=path))
    assert history.best()["epoch"] < len(history) - 1
    best, last = ns.load(path), ns.load(path, which="last")
    assert best.params["dense0.weight"].tobytes() == net.params["dense0.weight"].tobytes()
    assert last.params["dense0.weight"].tobytes() != best.params["dense0.weight"].tobytes()
    with pytest.raises(ValueError, match="'best' or 'last'"):
        ns.load(path, which="first")


def test_warming_up_changes_nothing():
    """Arrays, the state of the optimiser and later trainings are as without it."""
    data = ns.datasets.synthetic.ecg(6, seed=3)

    def trained(warm):
        net = ns.Network(ns.Dense(4, 5), ns.ALIF(5, recurrent=True), ns.Dense(5, 6), ns.LI(6))
        optimizer, loss = ns.optim.Adam(1e-2), ns.loss.CrossEntropy()
        if warm:
            before = net.arrays()
            assert ns.warm_up(net, data, loss=ns.loss.CrossEntropy(), optimizer=optimizer) > 0
            assert optimizer.steps == 0
            assert all(a.tobytes() == before[name].tobytes() for name, a in net.arrays().items())
        ns.fit(net, data, loss=loss, optimizer=optimizer, epochs=1, batch_size=6, progress=False)
        return net.arrays()

    a, b = trained(True), trained(False)
    assert all(a[name].tobytes() == b[name].tobytes() for name in a)
