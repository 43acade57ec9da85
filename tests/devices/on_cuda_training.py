"""Training on the CUDA device (see on_cuda.py): memory, benchmarks, what goes up and down, epochs."""

import copy
import pickle
from functools import lru_cache, partial

import numpy as np
import pytest
from cuda_compare import SIMULATED, close, small  # noqa: F401
from cuda_networks import X, srnn

import numsnn as ns
from numsnn import bench
from numsnn.bench import cases, measure, run
from numsnn.datasets import Dataset
from numsnn.datasets.batch import Batch
from numsnn.devices.cuda import array as cuda_array, device as cuda, driver as cuda_driver
from numsnn.network.memory import Plan
from numsnn.training.step import Step, train_batch


def test_memory_is_predicted_and_a_budget_kept(monkeypatch):
    monkeypatch.setattr(ns.network.memory, "STEPS", (4, 8))
    monkeypatch.setattr(ns.network.memory, "FEWEST", 2)
    monkeypatch.setattr(cuda_array, "ALIGNED", 8)       # the arrays are small
    net = ns.Network(ns.Dense(5, 9), ns.LIF(9, v_threshold=0.1), ns.Dense(9, 4), ns.OverTime("sum"),
                     device="cuda")
    rng, loss, memory = np.random.default_rng(10), ns.loss.CrossEntropy(), ns.network.memory
    steps, batch = (16, 4) if SIMULATED else (200, 64)
    x, labels = ns.Spikes.from_dense(rng.random((steps, batch, 5)) < 0.4), rng.integers(0, 4, batch)
    totals = []
    for how in ({}, {"chunk": batch // 2}, {"chunk": batch // 2, "checkpoint_every": steps // 4}):
        predicted = memory.predict(net, steps, batch, x.rate, how.get("checkpoint_every"), how.get("chunk"))
        found = cuda_array.held(lambda: net.loss_and_gradients(loss, x, labels, **how))     # noqa: B023
        assert 0.9 < predicted.total / found < 1.1, (how, str(predicted), found)
        totals.append(predicted.total)
    assert 0.9 < net.memory(steps, batch, rate=x.rate).total / totals[0] < 1.1
    assert totals[0] > totals[1] > totals[2]
    monkeypatch.setattr(memory, "predict", lru_cache(None)(memory.predict))
    assert memory.within(net, int(1.2 * totals[0]), *x.shape[:2], x.rate) == (None, None)
    assert memory.within(net, int(1.2 * totals[1]), *x.shape[:2], x.rate) == (None, batch // 2)

    def proportional(net, steps, batch, rate, every, chunk):
        chunk = chunk or batch
        return memory.Memory((every or 99) * chunk, 0, batch // chunk, 1, every)

    monkeypatch.setattr(memory, "predict", proportional)
    first, second = (8, 4) if SIMULATED else (7, 4)     # halves of the steps: 8, 4; 100, 50, 25, 13, 7, 4
    assert memory.within(net, 2 * 9, *x.shape[:2], x.rate) == (first, 2)
    assert memory.within(net, 2 * 5, *x.shape[:2], x.rate) == (second, 2)
    with pytest.raises(ValueError, match=f"{steps} steps and {batch} samples takes .* MB of arrays, at least "
                                         f".* in .* chunks; the budget is 0.0 MB. Use smaller batches"):
        memory.within(net, 1, *x.shape[:2], x.rate)
    history = ns.fit(net, Dataset(x, labels), loss=loss, optimizer=ns.optim.Adam(1e-3), epochs=1,
                     batch_size=batch, progress=False, memory=int(1.2 * totals[1]))
    assert len(history) == 1


PEERS = """
def reference(case, problem):
    net = problem.net.clone(device="reference")
    return lambda: net.loss_and_gradients(problem.loss, problem.x, problem.labels, state=problem.state)[:2]

PEERS = {"reference": reference}
"""


def test_benchmarks_of_the_device(monkeypatch, tmp_path, capsys):
    """The cases run there, at several sizes of batch, beside a peer that must agree."""
    tiny = {
        "ecg": bench.Size(3, 2, 3, 0.3), "lif": bench.Size(3, 2, 5, 0.0),
        "dense-lif": bench.Size(2, 2, 3, 0.0), "adam": bench.Size(2, 1, 2, 0.05),
    }
    for name, size in tiny.items():
        monkeypatch.setitem(bench.CASES, name, bench.CASES[name]._replace(tiny=size))
    peers = tmp_path / "peers.py"
    peers.write_text(PEERS)
    if SIMULATED:
        monkeypatch.setattr(measure, "WARM", 0.0)
        monkeypatch.setattr(cases, "scaled", lambda problem: problem)
        monkeypatch.setattr(run, "scaled", lambda problem: problem)
    result = bench.bench(list(tiny), runs=1, tiny=True, peers=str(peers), device="cuda", batches=(1, 2))
    found = result["cases"]
    assert list(found) == ["ecg, B = 1", "ecg, B = 2", "lif, B = 1", "lif, B = 2", "dense-lif", "adam"]
    ecg = found["ecg, B = 2"]
    step = ecg["parts"]["step"]
    assert step["peak_bytes"] > 0 and (step["in_kernels"] >= 0 or SIMULATED)
    assert ecg["peers"]["reference"]["ratio"]["best"] > 0
    keys = {*found["lif, B = 1"]["parts"]["forward"], *found["dense-lif"]["parts"]["forward"]}
    assert {"of_copy", "of_peak"} <= keys
    with pytest.raises(ValueError, match="case decode does not run on device 'cuda'"):
        bench.bench(["decode"], device="cuda")
    assert "| ecg, B = 1 | step |" in capsys.readouterr().out


def test_a_batch_that_is_sent_ahead():
    """The same numbers as one that is not.

    It goes up while a step before it runs, and what it went through is held as long as it is.
    """
    net, loss, labels = srnn("cuda"), ns.loss.CrossEntropy(), np.array([0, 3, 1])
    for x in (X, (X * 0.7).astype(np.float32)):
        wanted = net.loss_and_gradients(loss, x, labels)
        sent = net.sent(x)
        owner = (sent.bits if isinstance(sent, ns.Spikes) else sent).owner
        assert net.sent(sent) is sent
        assert owner.arrival.event is not None and owner.arrival.held
        cuda_array.transfers.clear()
        found = net.loss_and_gradients(loss, sent, labels)
        assert owner.arrival.event is None and found.loss == wanted.loss
        for name, g in wanted.grads.items():
            assert np.asarray(g).tobytes() == np.asarray(found.grads[name]).tobytes()
        with pytest.raises(ValueError, match=r"expected x of shape \(T, B, 5\)"):
            net.sent(np.zeros((3, 2, 4), np.float32))


def test_what_is_sent_takes_memory_after_its_last_user():
    """Kernels that were started may still write to memory that nobody holds any more."""
    x = np.arange(700, dtype=np.float32)
    for _ in range(4 if SIMULATED else 30):
        _ = cuda_array.put(x) + x
        del _
        assert np.array_equal(cuda.send(x + 1), x + 1)
        _ = cuda.send(x + 2)      # nobody waits for it
        del _
        assert np.array_equal(cuda_array.put(x) + x, 2 * x)


def test_of_a_choice_of_samples_only_their_lists_go_up(monkeypatch):
    """Samples of a set share its lists, which may be a thousand times theirs."""
    whole = ns.Spikes.from_dense(np.random.default_rng(4).random((5, 40, 33)) < 0.3)
    few = whole.select([31, 2])[1:4]
    sizes, upload = [], cuda_driver.upload

    def counted(memory, first, host, stream):
        sizes.append(host.nbytes)
        upload(memory, first, host, stream)

    monkeypatch.setattr(cuda_driver, "upload", counted)
    assert np.array_equal(cuda.put(few).dense(), few.dense())
    assert sum(sizes) == 2 * few.n_spikes + (8 + 4) * 6


def test_training_on_batches_that_a_thread_sends_and_others(monkeypatch):
    rng, trained = np.random.default_rng(7), []
    spikes = ns.Spikes.from_dense(rng.random((5, 9, 5)) < 0.4)
    values = rng.standard_normal((5, 9, 5)).astype(np.float32)
    for x in (spikes, values):
        data = Dataset(x, np.arange(9) % 4)
        for aside in (cuda.ASIDE, False):
            net = srnn("cuda")
            with monkeypatch.context() as patch:
                patch.setattr(cuda, "ASIDE", aside)
                ns.fit(net, data, loss=ns.loss.CrossEntropy(), optimizer=ns.optim.Adam(1e-2), epochs=2,
                       batch_size=2, progress=False)
            trained.append({name: np.asarray(p).tobytes() for name, p in net.params.items()})
    assert trained[0] == trained[1] != trained[2] == trained[3]


def test_what_moves_between_host_and_gpu_in_a_training_step():
    """Weights, states, currents, spikes and gradients stay there.

    Up go the batch, labels, what few settings give, and states; down, in one copy, the loss, gradients of
    settings, and the squares of all gradients, which norm, clipping and the check of finiteness share.
    """
    labels = np.array([0, 3, 1])
    batch = Batch(ns.Spikes.from_dense(X), labels, None, None, np.arange(3))
    makes = [partial(ns.optim.Adam, 1e-3, clip_norm=0.1), partial(ns.optim.Adam, 1e-3),
             partial(ns.optim.SGD, 0.1)]
    for make in makes:
        net, apart, loss = srnn("cuda"), srnn("cuda"), ns.loss.CrossEntropy()
        step = Step(net, loss, make(), None, False, (), lambda batch: Plan(None, None))
        other = make()
        for again in (False, True):
            cuda_array.transfers.clear()
            train_batch(step, batch, np.random.default_rng(0), "here")
            assert cuda_array.transfers["down"] == 1 and cuda_array.transfers["up"] <= 15 - again
            other.update(apart.params, apart.loss_and_gradients(loss, batch.x, labels).grads)
        assert sum(isinstance(p, cuda_array.Array) for p in net.params.values()) == 6
        for name, p in apart.params.items():
            assert np.asarray(net.params[name]).tobytes() == np.asarray(p).tobytes(), name


def test_squares_of_gradients_that_an_optimiser_is_told():
    """Too large for a number, they say nothing of the gradients, which SGD does not square."""
    net, sgd = srnn("cuda"), ns.optim.SGD(0.1)
    grads = {name: 0.0 * p for name, p in net.params.items()}
    for value in (1e30, np.nan):
        grads["dense0.bias"][...] = value
        norm, squares = cuda.norm_and_squares(list(grads.values()))
        assert not np.isfinite(norm) and len(squares) == len(grads)
        if value == 1e30:
            sgd.update(net.params, grads, squares=squares)
            assert np.all(np.asarray(net.params["dense0.bias"]) < -1e28)
    with pytest.raises(ValueError, match="gradient of dense0.bias is not finite"):
        sgd.update(net.params, grads, squares=squares)
    with pytest.raises(ValueError, match="squares: expected 9 numbers, one for each gradient"):
        sgd.update(net.params, grads, squares=[1.0])


def test_what_is_made_once_arrays_have_come_down():
    """In one copy; sums keep their order, whatever is added to what."""
    a, b, c = (np.array(values, np.float32) for values in ([1e8, 1], [-5e7, 2], [1, 3]))

    def late():
        put = [cuda_array.put(values) for values in (a, b, c)]
        found = cuda.later(("a", "b"), (put[0], None, put[1]), lambda a, _, b: {"a": a, "b": 2 * b})
        return found["a"], found["b"], cuda.later(("c",), put[2:], lambda c: {"c": c})["c"]

    x, y, z = late()
    cuda_array.transfers.clear()
    sums = {"left": x + y + z, "right": x + (y + z), "host": a + (y + z), "own": a}
    _, found, squares = cuda.arrived(0.0, sums)
    assert cuda_array.transfers["down"] == 1
    wanted = {"left": a + 2 * b + c, "right": a + (2 * b + c), "host": a + (2 * b + c), "own": a}
    assert all(np.array_equal(found[name], values) for name, values in wanted.items())
    assert wanted["left"][0] != wanted["right"][0]
    assert np.allclose(squares, [np.vdot(a, a) for a in wanted.values()])
    x, y, z = late()
    assert np.array_equal(x, a) and np.array_equal(b + z, b + c)
    loss, _ = cuda.softmax_cross_entropy(np.zeros((1, 2), np.float32), np.zeros(1, int), np.ones(1))
    assert abs(float(loss + 1) - 1 - np.log(2)) < 1e-6


@pytest.mark.parametrize("make", [
    partial(ns.optim.SGD, 0.1, 0.9),
    partial(ns.optim.AdamW, 1e-2, clip_norm=0.5),
    partial(ns.optim.Adamax, 1e-2, weight_decay=0.1),
], ids=("SGD", "AdamW", "Adamax"))
def test_training(make, tmp_path):
    """Epochs of training there and here end close together; twice there, at the same bytes.

    A checkpoint moves between devices, and training goes on.
    """
    rng = np.random.default_rng(7)
    data = Dataset(ns.Spikes.from_dense(rng.random((4, 3, 5)) < 0.4), rng.integers(0, 4, 3))

    def trained(net, optimizer, epochs=2, **how):
        ns.fit(net, data, data, loss=ns.loss.CrossEntropy(), optimizer=optimizer, epochs=epochs,
               batch_size=2, progress=False, keep_best=False, **how)
        return net

    host, there = trained(srnn("reference"), make()), trained(srnn("cuda"), make())
    for name, p in host.params.items():
        assert close(there.params[name], p, 2000), name
    if not isinstance(make(), ns.optim.AdamW):
        return
    again, file = srnn("cuda"), tmp_path / "c.h5"
    trained(again, make(), 1, checkpoint=file)
    trained(again, make(), 2, checkpoint=file, resume=True)
    moved = ns.load(file, which="last", device="reference")
    for name, p in there.params.items():
        p = np.asarray(p)
        assert np.asarray(again.params[name]).tobytes() == p.tobytes() == moved.params[name].tobytes(), name
    assert np.array_equal(ns.predict(there, data), ns.predict(moved, data))
    assert ns.evaluate(there, data).rates.keys() == {"alif0"}


def test_copies_and_pickles():
    """A network on the GPU is a value as any other; its arrays travel by way of the host."""
    net = srnn("cuda")
    y = net.run(X)[0]
    for again in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), net.to("cpu").to("cuda")):
        assert again.device == "cuda" and again.same_as(net)
        assert again.run(X)[0].tobytes() == y.tobytes()
        again.params["dense0.weight"] = np.zeros(np.shape(net.params["dense0.weight"]))
        assert not again.same_as(net) and net.run(X)[0].tobytes() == y.tobytes()


def test_a_forked_process_is_told_that_it_has_no_gpu(monkeypatch):
    monkeypatch.setattr(cuda_driver, "PROCESS", -1)
    monkeypatch.setattr(cuda_driver, "SIMULATED", False)
    with pytest.raises(OSError, match=r"forked from one which uses it; start .*spawn"):
        cuda_array.zeros(3, np.float32).memory  # noqa: B018
