"""Losses: values, gradients against differences, normalisation, masks, what is refused."""

import json

import numpy as np
import pytest

import numsnn as ns


def softmax(y):
    e = np.exp(y - y.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


WEIGHTS = np.array([0.5, 2.0, 0.0, 1.5, 1.0])


def smoothed(steps="sum"):
    return ns.loss.CrossEntropy(steps, label_smoothing=0.1, class_weights=WEIGHTS)


def smooth_value(y, i):
    q = 0.9 * np.eye(len(y))[i] + 0.1 / len(y)
    return WEIGHTS[i] * (q @ -np.log(softmax(y)))


def spike_count(steps="sum"):
    return ns.loss.SpikeCount(3, 0.5, steps)


def spike_rate(steps="sum"):
    return ns.loss.SpikeRate(0.8, 0.1, steps)


def from_targets(correct, incorrect):
    return lambda y, i: sum((y[c] - (correct if c == i else incorrect)) ** 2 for c in range(len(y)))


def huber(steps="sum"):
    return ns.loss.Huber(steps, delta=0.7)


def huber_value(y, i):
    d = np.abs(y - np.eye(len(y))[i])
    return np.mean([a * a / 2 if a <= 0.7 else 0.7 * (a - 0.35) for a in d])


def anything(y):
    return y


def counts(y):
    return 3 * np.abs(y)


# a loss, what makes answers for it from random numbers, and its value for one row and label
CASES = {"CrossEntropy": (ns.loss.CrossEntropy, anything, lambda y, i: -np.log(softmax(y)[i])),
         "smoothed": (smoothed, anything, smooth_value),
         "NLL": (ns.loss.NLL, softmax, lambda y, i: -np.log(y[i])),
         "MSE": (ns.loss.MSE, anything, lambda y, i: np.mean((y - np.eye(len(y))[i]) ** 2)),
         "MAE": (ns.loss.MAE, anything, lambda y, i: np.mean(np.abs(y - np.eye(len(y))[i]))),
         "Huber": (huber, anything, huber_value),
         "Cosine": (ns.loss.Cosine, anything, lambda y, i: 1 - y[i] / np.sqrt(y @ y)),
         "SpikeCount": (spike_count, counts, from_targets(3, 0.5)),
         "SpikeRate": (spike_rate, softmax, from_targets(0.8, 0.1))}


@pytest.mark.parametrize("name", CASES)
def test_values_and_normalisation(name, rng):
    make, prepare, one = CASES[name]
    y, labels = prepare(rng.normal(size=(7, 5, 5))), rng.integers(0, 5, (7, 5))
    lengths, mask = np.array([7, 3, 1, 7, 0]), rng.random((7, 5)) < 0.7
    rows = np.array([[one(y[t, b], labels[t, b]) for b in range(5)] for t in range(7)])
    counted = mask & (np.arange(7)[:, None] < lengths)
    means = (rows * counted).sum(0) / np.maximum(counted.sum(0), 1)
    assert np.isclose(make()(y[0], labels[0])[0], rows[0].mean())
    assert np.isclose(make()(y, labels)[0], rows.sum(0).mean())
    assert np.isclose(make(steps="mean")(y, labels)[0], rows.mean())
    assert np.isclose(make()(y, labels, mask, lengths)[0], (rows * counted).sum() / 5)
    assert np.isclose(make(steps="mean")(y, labels, mask, lengths)[0], means.mean())
    assert not make()(y, labels, mask, lengths)[1][~counted].any()


@pytest.mark.parametrize("name", CASES)
def test_gradient_against_central_differences(name, rng):
    make, prepare, _ = CASES[name]
    y = prepare(rng.normal(size=(3, 4, 5)))
    labels, mask = rng.integers(0, 5, (3, 4)), rng.random((3, 4)) < 0.7
    _, dy = make()(y, labels, mask)
    for i in np.ndindex(y.shape):
        above, below = y.copy(), y.copy()
        above[i] += 1e-6
        below[i] -= 1e-6
        difference = make()(above, labels, mask)[0] - make()(below, labels, mask)[0]
        assert abs(difference / 2e-6 - dy[i]) < 1e-8


def test_mse_takes_targets_of_the_answers_shape(rng):
    y, target = rng.normal(size=(2, 4, 5, 3))
    loss, dy = ns.loss.MSE()(y, target)
    assert np.isclose(loss, ((y - target) ** 2).mean(-1).sum(0).mean())
    assert np.allclose(dy, 2 * (y - target) / 3 / 5)


def test_losses_of_regression_by_hand():
    """Differences 0, 3 and -0.5, 1; the vectors (3, 4) and (4, 3) have the cosine 24 / 25."""
    y, target = np.array([[1.0, 5.0], [2.5, 2.0]]), np.array([[1.0, 2.0], [3.0, 1.0]])
    loss, dy = ns.loss.MAE()(y, target)
    assert loss == (3 + 1.5) / 4
    assert np.array_equal(dy, np.array([[0, 1], [-1, 1]]) / 4)
    loss, dy = ns.loss.Huber(delta=2)(y, target)
    assert loss == (2 * (3 - 1) + 0.125 + 0.5) / 4
    assert np.array_equal(dy, np.array([[0, 2], [-0.5, 1]]) / 4)
    loss, dy = ns.loss.Cosine()(np.array([[3.0, 4.0]], np.float32), np.array([[4.0, 3.0]]))
    assert np.isclose(loss, 1 / 25)
    assert np.allclose(dy, (24 / 25 * np.array([0.6, 0.8]) - [0.8, 0.6]) / 5)
    loss, dy = ns.loss.Cosine()(np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([[1.0, 0.0], [0.0, 0.0]]))
    assert loss == 1 and not dy.any(), "what points nowhere has no angle"


def test_an_answer_of_integers_has_a_gradient_of_floats():
    loss, dy = ns.loss.MSE()([[1, 0]], [[0.5, 0.5]])
    assert loss == 0.25 and dy.tolist() == [[0.5, -0.5]]
    with pytest.raises(ValueError, match="MSE: y: expected one array"):
        ns.loss.MSE()([[1], [1, 2]], [[0, 0], [0, 0]])
    with pytest.raises(ValueError, match="MSE: y is a masked array"):
        ns.loss.MSE()(np.ma.array([[1.0, 0]], mask=[[1, 0]]), [[0, 0]])


def test_lengths_may_be_a_list(rng):
    y, labels = rng.normal(size=(5, 3, 4)), rng.integers(0, 4, (5, 3))
    loss, dy = ns.loss.CrossEntropy()(y, labels, lengths=[5, 2, 0])
    want, dwant = ns.loss.CrossEntropy()(y, labels, lengths=np.array([5, 2, 0]))
    assert loss == want and np.array_equal(dy, dwant)
    padded = (np.arange(5)[:, None] >= [5, 2, 0])
    assert not dy[padded].any() and dy[~padded].any()


def test_extreme_answers_stay_finite():
    y = np.array([[1e30, -1e30, 0]], np.float32)
    for label in range(3):
        loss, dy = ns.loss.CrossEntropy()(y, np.array([label]))
        assert np.isfinite(loss)
        assert np.isfinite(dy).all()
    loss, dy = ns.loss.NLL()(np.array([[0.0, 1.0]]), np.array([0]))
    assert np.isfinite(loss)
    assert np.isfinite(dy).all()


@pytest.mark.parametrize(("call", "message"), (
    (lambda loss: loss(np.zeros(3), np.zeros(3, int)), r"expected y \(B, C\)"),
    (lambda loss: loss(np.zeros((4, 2, 3)), np.zeros(2, int)),
     r"expected integer labels of shape \(4, 2\).*got int64 of shape \(2,\)"),
    (lambda loss: loss(np.zeros((2, 3)), np.zeros(2)), "got float64"),
    (lambda loss: loss(np.zeros((2, 3)), np.array([0, 3])),
     "labels must lie in 0 ... 2 for 3 outputs; got 0 ... 3"),
    (lambda loss: loss(np.zeros((2, 3)), np.array([0, -1])), "got -1 ... 0"),
    (lambda loss: loss(np.zeros((2, 3)), np.array([0, 1]), mask=np.ones(2)),
     "mask is for a decision per step"),
    (lambda loss: loss(np.zeros((4, 2, 3)), np.zeros((4, 2), int), mask=np.ones((2, 4))),
     r"expected a mask \(T, B\) = \(4, 2\)"),
    (lambda loss: ns.loss.MSE(steps="some"), "steps must be 'sum' or 'mean'"),
    (lambda loss: loss(np.zeros((4, 2, 3)), np.zeros((4, 2), int), lengths=[2.5, 3]), "expected 2 integers"),
    (lambda loss: loss(np.zeros((4, 2, 3)), np.zeros((4, 2), int), lengths=[5, 3]), "lie in 0 ... T = 4"),
    (lambda loss: loss(np.zeros((4, 2, 3)), np.zeros((4, 2), int), mask=np.full((4, 2), 0.5)),
     "expected booleans, or 0 and 1; got 0.5"),
    (lambda loss: loss(np.zeros((4, 2, 3)), np.zeros((2, 4), int)), "Time comes first"),
    (lambda loss: loss(np.zeros((4, 2, 3)), np.zeros(2, int)), r"end it with OverTime\("),
    (lambda loss: loss(np.zeros((2, 3)), np.eye(3)[:2]), r"One-hot labels are labels.argmax\(-1\)"),
    (lambda loss: loss(np.zeros((0, 3)), np.zeros(0, int)), "a batch of no samples has no loss"),
    (lambda loss: loss(np.zeros((2, 3)), [[0], [1, 2]]), "expected one array; got what makes none"),
    (lambda loss: loss(np.zeros((2, 3)), np.ma.array([0, 1], mask=[0, 1])), "is a masked array"),
    (lambda loss: ns.loss.MAE()(np.zeros((2, 3)), np.zeros((2, 1))), "targets of the answer's shape"),
    (lambda loss: ns.loss.Cosine()(np.zeros((2, 3)), np.full((2, 3), np.nan)), "targets must be finite"),
    (lambda loss: loss(np.full((2, 3), np.nan), np.zeros(2, int)), "y must be finite; got nan"),
    (lambda loss: ns.loss.Huber(delta=0), "delta must be a positive number; got 0"),
))
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(ns.loss.CrossEntropy())


def test_label_smoothing_against_torch(rng):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    y, labels = rng.normal(size=(9, 6)), rng.integers(0, 6, 9)
    yt = torch.tensor(y, requires_grad=True)
    want = torch.nn.functional.cross_entropy(yt, torch.tensor(labels), label_smoothing=0.2)
    want.backward()
    loss, dy = ns.loss.CrossEntropy(label_smoothing=0.2)(y, labels)
    assert abs(loss - want.item()) < 1e-12
    assert np.abs(dy - yt.grad.numpy()).max() < 1e-12


@pytest.mark.parametrize(("arguments", "words"), [
    ({"label_smoothing": 1.5}, "must lie in 0"),
    ({"class_weights": [1, -1]}, "finite numbers from 0 on"),
    ({"class_weights": 3}, "one for each class")])
def test_refused_options_of_the_cross_entropy(arguments, words):
    with pytest.raises(ValueError, match=words):
        ns.loss.CrossEntropy(**arguments)
    with pytest.raises(ValueError, match="3 class_weights for 4 outputs"):
        ns.loss.CrossEntropy(class_weights=[1, 1, 1])(np.zeros((2, 4)), np.array([0, 1]))


def test_spike_count_by_hand():
    """Counts (5, 0, 1) and (2, 2, 2), labels 0 and 2, targets 4 and 1.

    The losses are 1 + 1 + 0 and 1 + 1 + 4, the mean of which is 4.
    """
    y = np.array([[5.0, 0.0, 1.0], [2.0, 2.0, 2.0]], np.float32)
    loss, dy = ns.loss.SpikeCount(4, 1)(y, np.array([0, 2]))
    assert loss == 4.0
    assert dy.dtype == np.float32
    assert np.array_equal(dy, [[1, -1, 0], [1, 1, -2]])             # 2 (y - target) / B
    assert ns.loss.SpikeRate(1, 0)(y, np.array([0, 2]))[0] == (16 + 0 + 1 + 4 + 4 + 1) / 2


def test_the_answer_of_a_network_is_the_count():
    """What OverTime("sum") and OverTime("mean") hand out is counted by hand.

    A loss chunk by chunk is the loss of the whole batch.
    """
    x = np.random.default_rng(1).random((9, 5, 4)) < 0.5
    labels, lengths = np.array([0, 1, 2, 0, 1]), np.array([9, 4, 7, 9, 1])
    for reduce, loss in (("sum", ns.loss.SpikeCount(4, 1)), ("mean", ns.loss.SpikeRate(0.6, 0.05))):
        net = ns.Network(ns.Dense(4, 3, weight=("uniform", 0, 1)), ns.LIF(3), ns.OverTime(reduce),
                         dtype="float64", chunk=2)
        result = net.loss_and_gradients(loss, x, labels, lengths=lengths)
        _, _, seen = net.run(x, lengths=lengths, record={"lif0": "spike"})
        spikes = seen["lif0"]["spike"]
        total, want = 0.0, 0.0
        for b in range(5):
            for c in range(3):
                count = sum(spikes[t, b, c] for t in range(lengths[b]))
                y = count if reduce == "sum" else count / lengths[b]
                target = loss.correct if c == labels[b] else loss.incorrect
                total += count
                want += (y - target) ** 2 / 5
        assert total > 0
        assert np.isclose(result.loss, want, rtol=1e-14)


def test_spike_count_against_torch(rng):
    """snnTorch's mse_count_loss is 1 / (C T) of ours.

    It is the mean square of the same differences over batch and classes, divided by T.
    """
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    spikes, labels, steps = (rng.random((10, 6, 4)) < 0.3).astype(float), rng.integers(0, 4, 6), 10
    count = torch.tensor(spikes, requires_grad=True).sum(0)
    target = torch.nn.functional.one_hot(torch.tensor(labels), 4) * (7.0 - 2.0) + 2.0
    value = torch.nn.functional.mse_loss(count, target.double()) / steps
    (want,) = torch.autograd.grad(value, count)
    loss, dy = ns.loss.SpikeCount(7, 2)(spikes.sum(0), labels)
    assert abs(loss / (4 * steps) - value.item()) < 1e-12
    assert np.abs(dy / (4 * steps) - want.numpy()).max() < 1e-12


@pytest.mark.parametrize(("make", "words"), [
    (lambda: ns.loss.SpikeCount(-1, 0),
     "SpikeCount: correct and incorrect are numbers of spikes, 0 or more; got correct=-1"),
    (lambda: ns.loss.SpikeCount(5, -0.5), "got incorrect=-0.5"),
    (lambda: ns.loss.SpikeCount(np.inf, 0), "got correct=inf"),
    (lambda: ns.loss.SpikeCount(np.nan, 0), "got correct=nan"),
    (lambda: ns.loss.SpikeCount(True, 0), "got correct=True"),
    (lambda: ns.loss.SpikeCount([5, 1], 0), r"got correct=\[5, 1\]"),
    (lambda: ns.loss.SpikeRate(1.5, 0), "spikes per step, 0 ... 1; got correct=1.5"),
    (lambda: ns.loss.SpikeRate(0.5, -0.1), "got incorrect=-0.1"),
    (lambda: ns.loss.SpikeRate(0.5, 0, "none"), "steps must be"),
    (lambda: ns.loss.SpikeCount(5, 1)(np.zeros((2, 3)), np.zeros((2, 3))),
     r"expected integer labels of shape \(2,\)")])
def test_refused_targets_of_spike_losses(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_config_and_repr_name_every_argument():
    for loss in (ns.loss.Huber(delta=2), ns.loss.Cosine("mean"),
                 ns.loss.SpikeCount(5, 1, "mean"), ns.loss.SpikeRate(0.5, 0.01), ns.loss.MSE("mean"),
                 ns.loss.CrossEntropy(label_smoothing=0.1)):
        config = json.loads(json.dumps(loss.config()))
        again = getattr(ns.loss, config.pop("loss"))(**config)
        assert again.config() == loss.config()
        assert eval(repr(loss), vars(ns.loss)).config() == loss.config()
