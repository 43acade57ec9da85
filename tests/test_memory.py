"""States recomputed instead of kept: the same loss, answer and gradients, in less memory."""

import tracemalloc

import numpy as np
import pytest

import numsnn as ns

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
        tracemalloc.start()
        net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels, checkpoint_every=every)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
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
