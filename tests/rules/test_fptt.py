"""FPTT: against its equations, and where its penalty is nothing against truncated BPTT."""

import numpy as np
import pytest
from test_fit_by_rule import STEPS, data, network, trained

import numsnn as ns


def test_fit_makes_the_steps_of_the_paper():
    """One epoch of one batch, plain gradient descent, the equations written out."""
    net, alpha, beta, lr, every = network(dtype="float64"), 0.3, 0.4, 0.5, 7
    byhand, loss, batch = net.clone(), ns.loss.CrossEntropy(), data()
    ns.fit(net, batch, loss=loss, optimizer=ns.optim.SGD(lr), epochs=1, batch_size=len(batch), progress=False,
           rule={"name": "fptt", "every": every, "alpha": alpha, "beta": beta}, keep_best=False)
    order = np.random.default_rng([0, 0]).permutation(len(batch))
    x, y = batch.x[:, order], batch.y[:, order]
    state = byhand.initial_state(len(batch), np.random.default_rng([0, 0, 0]))
    mean, multiplier = byhand.arrays(), {name: 0 * p for name, p in byhand.params.items()}
    for first in range(0, STEPS, every):
        piece = slice(first, first + every)
        result = byhand.loss_and_gradients(loss, x[piece], y[piece], state=state)
        state = result.state
        for name, p in byhand.params.items():
            p -= lr * (result.grads[name] + alpha * (p - mean[name]) - multiplier[name])
            multiplier[name] = multiplier[name] - alpha * (p - mean[name])
            mean[name] = (1 - beta) * mean[name] + beta * p - beta / alpha * multiplier[name]
    for name, p in byhand.params.items():
        np.testing.assert_allclose(net.params[name], p, rtol=1e-9, atol=1e-12, err_msg=name)


def test_a_penalty_of_next_to_nothing_is_truncated_bptt():
    """The first update of all has none: average and estimate are as they begin."""
    how = {"epochs": 1, "keep_best": False}
    first, _ = trained(rule={"name": "fptt", "every": STEPS, "alpha": 1e-12}, **how)
    wanted, _ = trained(tbptt=STEPS, **how)
    for name, p in wanted.params.items():
        np.testing.assert_allclose(first.params[name], p, atol=1e-5, err_msg=name)
    held, _ = trained(rule={"name": "fptt", "every": 5, "alpha": 5.0}, **how)
    free, _ = trained(tbptt=5, **how)
    assert any(np.abs(held.params[name] - p).max() > 1e-3 for name, p in free.params.items())


def test_it_learns_and_goes_on_from_its_checkpoint_bit_for_bit(tmp_path):
    rule, file = {"name": "fptt", "every": 5}, tmp_path / "t.h5"
    whole, history = trained(rule=rule, keep_best=False, epochs=6)
    losses = [row["loss"] for row in history.epochs]
    assert losses[-1] < losses[0] - 0.05
    trained(rule=rule, epochs=3, keep_best=False, checkpoint=file)
    resumed, _ = trained(rule=rule, epochs=6, keep_best=False, checkpoint=file, resume=True)
    for name, a in whole.arrays().items():
        np.testing.assert_array_equal(a, resumed.arrays()[name], name)


@pytest.mark.parametrize("how, words", (
    ({"rule": {"name": "fptt", "every": 0}}, "every must be"),
    ({"rule": {"name": "fptt", "alpha": 0}}, "alpha"),
    ({"rule": {"name": "fptt", "beta": 2.0}}, "beta"), ({"rule": "fptt", "tbptt": 5}, "tbptt"),
    ({"rule": "fptt", "step_inside": False}, "step_inside"), ({"rule": "fptt", "memory": 10000}, "memory")),
    ids=str)
def test_bad_settings_are_refused(how, words):
    with pytest.raises(ValueError, match=words):
        trained(**how)


def test_gradients_that_do_not_fit_are_refused():
    net = network()
    with pytest.raises(ValueError, match="is missing"):
        ns.rules.FPTT(net.params).gradients({})
    with pytest.raises(TypeError, match=r"net\.params"):
        ns.rules.FPTT(net)
