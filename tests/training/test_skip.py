"""Batches whose gradients overflow on the way back through time, and that may be left out."""

import numpy as np
import pytest

import numsnn as ns

FEW, MANY = 4, 60       # steps; over many of them gradients grow beyond float32


def network():
    hidden = ns.LIF(8, recurrent=True, recurrent_init=("uniform", 20, 40),
                    surrogate={"name": "superspike", "slope": 1e-4})
    return ns.Network(ns.Dense(3, 8), hidden, ns.Dense(8, 2), ns.LI(2), ns.OverTime("last"), seed=0)


def data(steps):
    rng = np.random.default_rng(0)
    return ns.Dataset(rng.random((MANY, len(steps), 3)) < 0.5, np.arange(len(steps)) % 2, lengths=steps,
                      time_first=True)


def fit(net, steps, epochs=1, optimizer=None, **how):
    return ns.fit(net, data(steps), loss=ns.loss.CrossEntropy(), optimizer=optimizer or ns.optim.Adam(1e-3),
                  epochs=epochs, batch_size=2, **{"progress": False, **how})


def test_it_updates_nothing():
    net, optimizer = network(), ns.optim.Adam(1e-3)
    before = net.arrays()
    history = fit(net, [MANY, MANY], 2, optimizer, skip=1)
    assert history["skipped"] == [1, 1] and optimizer.steps == 0 and history["gradient_norm"] == [0, 0]
    for name, array in net.arrays().items():
        np.testing.assert_array_equal(array, before[name], name)


def test_finite_gradients_whose_squares_are_not():
    steps = [13, 13]        # on the way to the overflow
    with pytest.raises(ns.TrainingDiverged, match=r"batch 1: .* whose square is too large for float32"):
        fit(network(), steps)
    assert fit(network(), steps, skip=1)["skipped"] == [1]


def test_the_others_do():
    """Each batch's gradients from the weights that the one before left, those of long ones left out."""
    steps = np.where(np.arange(12) % 6 == 0, MANY, FEW)
    net, other, optimizer = network(), network(), ns.optim.Adam(1e-3)
    history, losses, norms = fit(net, steps, skip=2), [], []
    batches = data(steps).batches(2, rng=np.random.default_rng([0, 0]))
    for batch in batches:
        result = other.loss_and_gradients(ns.loss.CrossEntropy(), batch.x, batch.y, lengths=batch.lengths)
        losses.append(result.loss)
        if batch.lengths.max() < MANY:
            norms.append(np.sqrt(sum((g.astype(float) ** 2).sum() for g in result.grads.values())))
            optimizer.update(other.params, result.grads)
    assert history["skipped"] == [6 - len(norms)] and 4 <= len(norms) < 6
    assert history["loss"][0] == pytest.approx(np.mean(losses))
    assert history["gradient_norm"][0] == pytest.approx(np.mean(norms))
    for name, array in net.arrays().items():
        np.testing.assert_array_equal(array, other.arrays()[name], name)


def test_one_more_than_allowed_ends_it():
    for skip in (0, 1):
        with pytest.raises(ns.TrainingDiverged, match=rf"batch {skip + 1}: .* way back through time.*skip="):
            fit(network(), [MANY] * 4, skip=skip)


def test_histories_without_it_are_as_ever(capsys):
    assert "skipped" not in fit(network(), [FEW, FEW])
    fit(network(), [MANY, MANY], skip=1, progress=True)
    assert "1 of 1 batches skipped, gradients not finite" in capsys.readouterr().err


@pytest.mark.parametrize(("change", "said"), [
    ({"skip": -1}, "skip must be a number of batches of an epoch, from 0 on; got -1"),
    ({"skip": 1.5}, "skip must be a number of batches"),
    ({"skip": 1, "tbptt": 5}, "skip leaves out whole batches, and tbptt .* leave one of both out"),
    ({"skip": 1, "rule": "fptt"}, "skip leaves out whole batches, and tbptt .* leave one of both out")])
def test_refused(change, said):
    with pytest.raises(ValueError, match=said):
        fit(network(), [FEW, FEW], **change)
