"""Losses of one's own: functions and objects, what they are handed, and what comes back is checked."""

import numpy as np
import pytest

import numsnn as ns
from numsnn.loss import Own, as_loss


def square(y, target):
    d = y - target
    return float((d ** 2).sum()) / len(y), 2 * d / len(y)


def square_of_steps(y, target, mask=None, lengths=None):
    """MSE() of one output a step, as a function."""
    counts = np.ones(y.shape[:2]) if mask is None else mask.astype(float)
    if lengths is not None:
        counts *= np.arange(len(y))[:, None] < lengths
    d = (y - target) * counts[..., None]
    return (d ** 2).sum() / y.shape[1], 2 * d / y.shape[1]


class Called:
    """An object that is called."""

    def __call__(self, y, target, **more):
        self.more = more
        return square(y, target)


class Fourth(ns.loss.Loss):
    """A loss by rows, which goes through a batch in chunks."""

    def targets(self, labels, shape):
        return labels

    def rows(self, y, targets, weights):
        d = y - targets
        return float(weights @ (d ** 4).sum(1)), (4 * weights[:, None] * d ** 3).astype(y.dtype)


class CallOnly(ns.loss.Loss):
    def __call__(self, y, labels, mask=None, lengths=None):
        return square(y, labels)


def network(per_step=False, **more):
    last = () if per_step else (ns.OverTime("mean"),)
    return ns.Network(ns.Dense(3, 6), ns.LIF(6), ns.Dense(6, 1), ns.LI(1), *last, device="reference", seed=1,
                      dtype="float64", **more)


def same(one, other):
    assert np.isclose(one.loss, other.loss, rtol=1e-12)
    assert all(np.allclose(g, other.grads[name], rtol=1e-10, atol=1e-14) for name, g in one.grads.items())


@pytest.mark.parametrize("loss", [square, Called(), CallOnly()], ids=["function", "object", "derived"])
def test_a_function_is_a_loss(loss, rng):
    """The gradients of a batch are those of MSE, although that goes chunk by chunk."""
    x, target = rng.normal(size=(9, 5, 3)) * 3, rng.normal(size=(5, 1))
    net = network(chunk=2)
    same(net.loss_and_gradients(loss, x, target), net.loss_and_gradients(ns.loss.MSE(), x, target))


def test_mask_and_lengths_are_handed_on(rng):
    x, target = rng.normal(size=(9, 5, 3)) * 3, rng.normal(size=(9, 5, 1))
    mask, lengths = rng.random((9, 5)) < 0.6, [9, 3, 5, 1, 0]
    net = network(per_step=True)
    how = {"mask": mask, "lengths": lengths}
    same(net.loss_and_gradients(square_of_steps, x, target, **how),
         net.loss_and_gradients(ns.loss.MSE(), x, target, **how))
    called = Called()
    net.loss_and_gradients(called, x, target, lengths=lengths)
    assert called.more["mask"] is None and called.more["lengths"].tolist() == lengths
    with pytest.raises(ValueError, match=r"data have mask, which loss square does not take.*mask=None\)"):
        net.loss_and_gradients(square, x, target, mask=mask)
    with pytest.raises(ValueError, match="the data have lengths, which loss square does not take"):
        net.loss_and_gradients(square, x, target, lengths=lengths)
    once = network().loss_and_gradients(square, x, target[0], lengths=lengths)    # the answer heeds them
    assert np.isfinite(once.loss)


def test_a_loss_by_rows_goes_in_chunks(rng):
    x, target = rng.normal(size=(9, 5, 3)) * 3, rng.normal(size=(5, 1))
    same(network(chunk=2).loss_and_gradients(Fourth(), x, target),
         network(chunk=5).loss_and_gradients(Fourth(), x, target))
    assert as_loss(Fourth()).by_chunks and not as_loss(square).by_chunks
    with pytest.raises(ValueError, match="checkpoint_every does not go with Own.square., which sees"):
        network().loss_and_gradients(square, x, target, checkpoint_every=3)
    with pytest.raises(ValueError, match="chunk cannot be given"):
        network().loss_and_gradients(square, x, target, chunk=2)
    with pytest.raises(ValueError, match="memory= keeps to a budget .* but Own.square. sees all of it"):
        ns.fit(network(), ns.Dataset(x, target), loss=square, optimizer=ns.optim.SGD(0.1), epochs=1,
               batch_size=5, memory=10**9)


def test_an_own_loss_changes_nothing_of_the_answer(rng):
    def greedy(y, target):
        y -= target
        target += 1
        return square(y, 0)

    x, target = rng.normal(size=(9, 5, 3)) * 3, rng.normal(size=(5, 1))
    before = target.copy()
    result = network().loss_and_gradients(greedy, x, target)
    assert np.array_equal(result.y, network().run(x)[0]) and np.array_equal(target, before)


def nothing():
    return 1.0


def wants_more(y, target, weight):
    return weight, y


@pytest.mark.parametrize(("loss", "words"), [
    (ns.loss.CrossEntropy, r"loss=CrossEntropy is a class; make a loss of it: loss=CrossEntropy\(\)"),
    (Called, r"make a loss of it: loss=Called\(\)"),
    ("mse", "a function .y, target. -> .value, dy.; got 'mse'"),
    (None, "got None"),
    (ns.loss, "got <module"),
    (nothing, r"loss nothing\(\) cannot be called as nothing\(y, target\)"),
    (wants_more, "missing a required argument: 'weight'")])
def test_what_is_no_loss_is_refused_everywhere(loss, words, rng):
    x, y = rng.normal(size=(9, 5, 3)), np.zeros((5, 1))
    data, net = ns.Dataset(x, y), network()
    calls = [(net.loss_and_gradients, (loss, x, y), {}), (ns.check_loss, (loss, y, y), {}),
             (ns.fit, (net, data), {"loss": loss, "optimizer": ns.optim.SGD(0.1), "epochs": 0,
                                    "batch_size": 5})]
    if loss is not None:                                # there: CrossEntropy(), and no loss
        calls += [(ns.evaluate, (net, data), {"loss": loss}),
                  (ns.check_gradients, (net, x, y), {"loss": loss})]
    for call, arguments, named in calls:
        with pytest.raises(TypeError, match=words):
            call(*arguments, **named)


@pytest.mark.parametrize(("gives", "words"), [
    (lambda y: 1.0, r"must return \(value, dy\), a number and an array of y's shape; got float"),
    (lambda y: (1.0, y[:, 0]), r"of y's shape \(4, 2\); got shapes \(\) and \(4,\)"),
    (lambda y: (1.0, 0.0), r"got shapes \(\) and \(\)"),
    (lambda y: (y.sum(1), y), r"got shapes \(4,\) and \(4, 2\)"),
    (lambda y: (None, y), "must return"),
    (lambda y: (1.0, "abc"), "could not convert string to float"),
    (lambda y: (np.nan, y), "gave the value nan for an answer that is finite"),
    (lambda y: (1.0, y / 0), "gave a gradient that is not finite")])
def test_what_comes_back_is_checked(gives, words):
    with pytest.raises(ValueError, match=words), np.errstate(all="ignore"):
        Own(lambda y, target: gives(y))(np.ones((4, 2)), np.zeros((4, 2)))


def test_rows_of_another_shape_are_refused():
    class Wrong(Fourth):
        def rows(self, y, targets, weights):
            return 1.0, y[:1]

    with pytest.raises(ValueError, match=r"Wrong.rows must return .* y's shape \(4, 2\); got \(1, 2\)"):
        Wrong()(np.ones((4, 2)), np.zeros((4, 2)))


# ---- the proof


def half(y, target):
    value, dy = square(y, target)
    return value, dy / 2


def tiny_and_wrong(y, target):
    """Of a size at which an absolute tolerance sees nothing."""
    value, dy = square(y, target)
    return 1e-9 * value, 0.99e-9 * dy


def test_check_loss_proves_what_is_right_and_finds_what_is_wrong(rng):
    y, target = rng.normal(size=(6, 4, 3)), rng.normal(size=(6, 4, 3))
    mask, lengths = rng.random((6, 4)) < 0.7, [6, 2, 4, 0]
    for loss in (ns.loss.MSE(), ns.loss.MAE("mean"), ns.loss.Huber(delta=0.5), ns.loss.Cosine(), Fourth()):
        assert ns.check_loss(loss, y, target, mask=mask, lengths=lengths) < 1e-7
    assert ns.check_loss(square, y[0], target[0]) < 1e-7
    assert ns.check_loss(ns.loss.CrossEntropy(label_smoothing=0.1), 100 * y[0], np.array([0, 1, 2, 0])) < 1e-6
    for wrong in (half, tiny_and_wrong):
        with pytest.raises(ns.GradientError, match="differs from central differences by .* at y"):
            ns.check_loss(wrong, y[0], target[0])
    with pytest.raises(ValueError, match="needs an answer of finite numbers"):
        ns.check_loss(square, np.full((2, 2), np.nan), np.zeros((2, 2)))
