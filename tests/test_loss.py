"""Losses: values, gradients against differences, normalisation, masks, what is refused."""

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


CASES = {"CrossEntropy": (ns.loss.CrossEntropy, lambda y: y, lambda y, i: -np.log(softmax(y)[i])),
         "smoothed": (smoothed, lambda y: y, smooth_value),
         "NLL": (ns.loss.NLL, softmax, lambda y, i: -np.log(y[i])),
         "MSE": (ns.loss.MSE, lambda y: y, lambda y, i: np.mean((y - np.eye(len(y))[i]) ** 2))}


@pytest.mark.parametrize("name", CASES)
def test_values_and_normalisation(name, rng):
    make, prepare, one = CASES[name]
    y, labels = prepare(rng.normal(size=(7, 5, 5))), rng.integers(0, 5, (7, 5))
    lengths, mask = np.array([7, 3, 1, 7, 0]), rng.random((7, 5)) < 0.7
    rows = np.array([[one(y[t, b], labels[t, b]) for b in range(5)] for t in range(7)])
    counts = mask & (np.arange(7)[:, None] < lengths)
    assert np.isclose(make()(y[0], labels[0])[0], rows[0].mean())
    assert np.isclose(make()(y, labels)[0], rows.sum(0).mean())
    assert np.isclose(make(steps="mean")(y, labels)[0], rows.mean())
    assert np.isclose(make()(y, labels, mask, lengths)[0], (rows * counts).sum() / 5)
    assert np.isclose(make(steps="mean")(y, labels, mask, lengths)[0], ((rows * counts).sum(0) / np.maximum(counts.sum(0), 1)).mean())
    assert not make()(y, labels, mask, lengths)[1][~counts].any()


@pytest.mark.parametrize("name", CASES)
def test_gradient_against_central_differences(name, rng):
    make, prepare, _ = CASES[name]
    y, labels, mask = prepare(rng.normal(size=(3, 4, 5))), rng.integers(0, 5, (3, 4)), rng.random((3, 4)) < 0.7
    _, dy = make()(y, labels, mask)
    for i in np.ndindex(y.shape):
        above, below = y.copy(), y.copy()
        above[i] += 1e-6
        below[i] -= 1e-6
        assert abs((make()(above, labels, mask)[0] - make()(below, labels, mask)[0]) / 2e-6 - dy[i]) < 1e-8


def test_mse_takes_targets_of_the_answers_shape(rng):
    y, target = rng.normal(size=(2, 4, 5, 3))
    loss, dy = ns.loss.MSE()(y, target)
    assert np.isclose(loss, ((y - target) ** 2).mean(-1).sum(0).mean())
    assert np.allclose(dy, 2 * (y - target) / 3 / 5)


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
    (lambda loss: loss(np.zeros((4, 2, 3)), np.zeros(2, int)), r"expected integer labels of shape \(4, 2\).*got int64 of shape \(2,\)"),
    (lambda loss: loss(np.zeros((2, 3)), np.zeros(2)), "got float64"),
    (lambda loss: loss(np.zeros((2, 3)), np.array([0, 3])), "labels must lie in 0 ... 2 for 3 outputs; got 0 ... 3"),
    (lambda loss: loss(np.zeros((2, 3)), np.array([0, -1])), "got -1 ... 0"),
    (lambda loss: loss(np.zeros((2, 3)), np.array([0, 1]), mask=np.ones(2)), "mask is for a decision per step"),
    (lambda loss: loss(np.zeros((4, 2, 3)), np.zeros((4, 2), int), mask=np.ones((2, 4))), r"expected a mask \(T, B\) = \(4, 2\)"),
    (lambda loss: ns.loss.MSE(steps="some"), "steps must be 'sum' or 'mean'"),
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
    ({"label_smoothing": 1.5}, "must lie in 0"), ({"class_weights": [1, -1]}, "finite numbers from 0 on"), ({"class_weights": 3}, "one for each class")])
def test_refused_options_of_the_cross_entropy(arguments, words):
    with pytest.raises(ValueError, match=words):
        ns.loss.CrossEntropy(**arguments)
    with pytest.raises(ValueError, match="3 class_weights for 4 outputs"):
        ns.loss.CrossEntropy(class_weights=[1, 1, 1])(np.zeros((2, 4)), np.array([0, 1]))
