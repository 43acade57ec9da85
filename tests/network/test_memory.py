"""States recomputed instead of kept: the same loss, answer and gradients, in less memory; memory that is predicted, and a budget that is kept."""

import threading
from itertools import count

import numpy as np
import pytest

import numsnn as ns
from numsnn.devices import threads
from numsnn.devices.buffers import held

T = 13


def srnn(**more):
    return ns.Network(ns.Dense(5, 9, weight=("normal", 0, 1)), ns.ALIF(9, recurrent=True, v_threshold=0.1, learn=("tau_mem", "tau_adp")), ns.Dense(9, 4), *more.pop("last"),
                      dtype="float64", **more)


NETWORKS = {
    "per step": lambda: srnn(last=(ns.ALIF(4, output="v"),)),
    "spikes": lambda: srnn(last=(ns.LIF(4, v_threshold=0.1),)),
    **{reduce: (lambda reduce=reduce: srnn(last=(ns.LI(4, learn="tau_mem"), ns.OverTime(reduce, of="softmax", start=2)))) for reduce in ("sum", "mean", "max", "last")},
    "gates": lambda: ns.Network(ns.Dense(5, 12), ns.GRU(4, reset_after=False), ns.Dropout(0.3), ns.Dense(4, 16), ns.LSTM(4), ns.OverTime("last"), dtype="float64"),
    "pictures": lambda: ns.Network(ns.Reshape(1, 1, 5), ns.Conv2d(1, 3, (1, 3)), ns.LIAF(), ns.MaxPool2d((1, 2), stride=1), ns.Dense(6, 4), ns.OverTime("mean"),
                                   dtype="float64", input_shape=5),
    "feedback": lambda: ns.Network(ns.Dense(5, 4, name="in"), ns.Previous("n"), ns.Dense(4, 4), ns.Add("in", "dense0"), ns.LIF(4, v_threshold=0.1, name="n"), dtype="float64"),
}


def data(net, seed=0):
    rng = np.random.default_rng(seed)
    steps = net.layers[next(reversed(net.layers))].answers_each_step
    return rng.normal(0.5, 1, (T, 11, 5)), rng.integers(0, 4, (T, 11) if steps else 11)


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_same_with_recomputed_states(kind):
    net, loss, lengths = NETWORKS[kind](), ns.loss.CrossEntropy(), np.array([13, 5, 1, 13, 8, 12, 4, 3, 13, 9, 7])
    x, labels = data(net)
    for given, n in ((x, None), (x, lengths), (x > 0.5, None)):
        want = net.loss_and_gradients(loss, given, labels, lengths=n, rng=np.random.default_rng(1))
        for every in (1, 4, 12, 13, 50):
            got = net.loss_and_gradients(loss, given, labels, lengths=n, rng=np.random.default_rng(1), checkpoint_every=every)
            assert got.loss == want.loss and got.y.tobytes() == want.y.tobytes()
            assert all(a.tobytes() == b.tobytes() for name, s in want.state.items() if s is not None for a, b in zip(s, got.state[name], strict=True))
            for name, g in want.grads.items():
                assert np.abs(got.grads[name] - g).max() <= 64 * np.finfo(float).eps * np.abs(g).max(), (every, name)
        assert max(np.abs(g).max() for g in want.grads.values()) > 1e-3


def test_training_with_recomputed_states_is_the_same():
    """In float32 up to the order of sums; the answers of the first batches agree closely."""
    train = ns.datasets.synthetic.ecg(24, seed=1)
    ends = []
    for every in (None, 200):
        net = ns.Network(ns.Dense(4, 8), ns.ALIF(8, recurrent=True), ns.Dense(8, 6), ns.LI(6), dtype="float64")
        ns.fit(net, train, loss=ns.loss.CrossEntropy(), optimizer=ns.optim.Adam(1e-2), epochs=1, batch_size=12, progress=False, checkpoint_every=every)
        ends.append(net.params.copy())
    for name, p in ends[0].items():
        assert np.abs(p - ends[1][name]).max() < 1e-9, name


def test_it_takes_less_memory():
    net = ns.Network(ns.Dense(5, 64), ns.ALIF(64, recurrent=True), ns.Dense(64, 4), ns.LI(4), ns.OverTime("mean"))
    rng = np.random.default_rng(0)
    x, labels, peaks = rng.normal(size=(2000, 8, 5)), rng.integers(0, 4, 8), []
    for every in (None, 45):
        net.loss_and_gradients(ns.loss.CrossEntropy(), x[:50], labels, checkpoint_every=every)
        peaks.append(held(lambda: net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels, checkpoint_every=every)))      # noqa: B023
    assert peaks[1] < peaks[0] / 4


@pytest.mark.parametrize(("layers", "message"), (
    ((ns.Bidirectional(lambda: (ns.Dense(5, 4), ns.LIF(4))),), "needs the whole sequence"),
    ((ns.Dense(5, 4), ns.BatchNorm(), ns.LIF(4)), "layer norm0 needs the whole batch"),
    ((ns.Repeat(2), ns.Dense(5, 4), ns.LIF(4)), "layer repeat0 changes the number of steps")), ids=("bidirectional", "norm", "repeat"))
def test_what_cannot_go_in_pieces_is_refused(layers, message):
    net = ns.Network(*layers, input_shape=5)
    x, labels = data(net)
    labels = labels if len(labels) == T else np.zeros((T, 11), int)
    with pytest.raises(ValueError, match=message):
        net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels, checkpoint_every=4)


@pytest.mark.parametrize("every", (0, -3, 2.5, True, "all"))
def test_bad_numbers(every):
    net = NETWORKS["per step"]()
    with pytest.raises(ValueError, match="checkpoint_every must be a positive number of steps, or None; got"):
        net.loss_and_gradients(ns.loss.CrossEntropy(), *data(net), checkpoint_every=every)
    with pytest.raises(ValueError, match="checkpoint_every does not go with regularisers"):
        net.loss_and_gradients(ns.loss.CrossEntropy(), *data(net), checkpoint_every=3, regularisers=(ns.regularise.WeightL2(1e-3),))


# ---- prediction

SIZES = {
    "ecg": (lambda: ns.Network(ns.Dense(4, 36), ns.ALIF(36, recurrent=True, learn=("tau_mem", "tau_adp")), ns.Dense(36, 6), ns.ALIF(6, output="v")), (700, 40, 0.08)),
    "shd": (lambda: ns.Network(ns.Dense(300, 64), ns.ALIF(64, recurrent=True), ns.Dense(64, 64), ns.ALIF(64, recurrent=True), ns.Dense(64, 10), ns.LI(10),
                               ns.OverTime("sum", of="softmax")), (250, 33, 0.05)),
    "values": (lambda: ns.Network(ns.Dense(30, 4 * 40), ns.LSTM(40), ns.Dense(40, 5), ns.OverTime("last")), (300, 20, None)),
    "pictures": (lambda: ns.Network(ns.Conv2d(2, 8, 5), ns.LIAF(), ns.AvgPool2d(2), ns.Dense(8 * 15 * 15, 10), ns.OverTime("mean"), input_shape=(2, 34, 34)), (40, 12, 0.02)),
    "norm": (lambda: ns.Network(ns.Dense(30, 40), ns.BatchNorm(), ns.LIF(40), ns.Dense(40, 5)), (300, 30, 0.1)),
    "short": (lambda: ns.Network(ns.Dense(30, 40), ns.LIF(40), ns.Dense(40, 5)), (10, 3, 0.1)),
}


class Meeting(ns.loss.CrossEntropy):
    """A loss at which two threads wait for each other, both with the tape of a chunk in their hands, however busy the machine is."""

    def __init__(self, chunks):
        super().__init__()
        self.calls, self.paired, self.barrier = count(), chunks - chunks % 2, threading.Barrier(2)

    def weighted(self, *given):
        if next(self.calls) < self.paired:
            self.barrier.wait(60)
        return super().weighted(*given)


@pytest.mark.parametrize("n_threads", (1, 2))
@pytest.mark.parametrize("kind", SIZES)
def test_predicted_memory(kind, n_threads):
    make, (steps, batch, rate) = SIZES[kind]
    net, rng = make(), np.random.default_rng(1)
    x = rng.random((steps, batch, int(np.prod(net.input_shape)))).astype(np.float32)
    x = x if rate is None else ns.Spikes.from_dense(x < rate)
    labels = rng.integers(0, 5, (steps, batch) if net.layers[next(reversed(net.layers))].answers_each_step else batch)
    for every in (None,) if kind == "norm" else (None, -(-steps // 9)):
        with threads.limited(n_threads):
            predicted = net.memory(steps, batch, rate=rate, checkpoint_every=every)
            net.loss_and_gradients(ns.loss.CrossEntropy(), x[:2], labels[:2] if labels.ndim == 2 else labels, checkpoint_every=every and 1)
            loss = Meeting(predicted.chunks) if predicted.threads == 2 else ns.loss.CrossEntropy()
            found = held(lambda: net.loss_and_gradients(loss, x, labels, checkpoint_every=every))        # noqa: B023
        # two threads that meet between forward and backward need not be at their peaks at the same time
        assert 0.9 < predicted.total / found < (1.1 if n_threads == 1 else 1.35), (every, str(predicted), found)


def test_a_budget_is_kept():
    make, (steps, batch, rate) = SIZES["ecg"]
    rng, net, chosen = np.random.default_rng(0), make(), []
    data = ns.Dataset(rng.random((steps, batch, 4)) < rate, rng.integers(0, 6, (steps, batch)))
    plain, inner = net.memory(steps, 20, rate=rate).total, net.loss_and_gradients

    def watched(*given, **how):
        chosen.append((how["checkpoint_every"], held(lambda: inner(*given, **how))))
        return inner(*given, **how)

    net.loss_and_gradients = watched
    settings = {"loss": ns.loss.CrossEntropy(), "optimizer": ns.optim.Adam(1e-3), "epochs": 1, "batch_size": 20, "progress": False}
    for share in (2.0, 0.5):
        ns.fit(net, data, memory=int(share * plain), **settings)
    assert [every for every, _ in chosen[:2]] == [None, None] and all(1 < every < steps for every, _ in chosen[2:])
    assert all(found <= share * plain for (_, found), share in zip(chosen, (2.0, 2.0, 0.5, 0.5), strict=True))
    with pytest.raises(ValueError, match=r"a training step of 700 steps and 20 samples takes .* MB of arrays, at least .* the budget is 0.1 MB. Use smaller batches"):
        ns.fit(net, data, memory=100_000, **settings)
    for memory in (0, -5, 1.5, True):
        with pytest.raises(ValueError, match="memory must be a positive number of bytes"):
            ns.fit(net, data, memory=memory, **settings)
    with pytest.raises(ValueError, match="give one of memory, checkpoint_every, tbptt and regularisers"):
        ns.fit(net, data, memory=10 ** 9, checkpoint_every=3, **settings)


def test_a_budget_where_states_cannot_be_recomputed():
    make, (steps, batch, rate) = SIZES["norm"]
    rng = np.random.default_rng(0)
    data = ns.Dataset(rng.random((steps, batch, 30)) < rate, rng.integers(0, 5, (steps, batch)))
    with pytest.raises(ValueError, match=r"takes .* MB of arrays; the budget is 0.1 MB, and its states cannot be recomputed .*norm0 needs the whole batch"):
        ns.fit(make(), data, loss=ns.loss.CrossEntropy(), optimizer=ns.optim.Adam(1e-3), epochs=1, batch_size=batch, progress=False, memory=100_000)


def test_bad_sizes():
    net = NETWORKS["per step"]()
    for given, message in (((0, 4), "T must be a positive integer; got 0"), ((4, 2.5), "B must be a positive integer; got 2.5")):
        with pytest.raises(ValueError, match=message):
            net.memory(*given)
    with pytest.raises(ValueError, match="rate is spikes per input and step, 0 to 1; got 2"):
        net.memory(4, 4, rate=2)
    assert "MB" in str(net.memory(4, 4)) and net.memory(50, 4, checkpoint_every=5).checkpoint_every == 5
