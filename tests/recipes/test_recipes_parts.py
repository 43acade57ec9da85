"""Parts that the SRNN's recipes need: the code of 1, 0 and -1, Adamax, its schedule, values in groups."""

import numpy as np
import pytest

import numsnn as ns
from numsnn import optim
from numsnn.layers import Ternary
from numsnn.layers.initialise import initial
from numsnn.optim import Adamax, Linear
from numsnn.signals import encode


def test_ternary_is_the_encoder(rng):
    x = rng.normal(0, 0.2, (6, 4, 5)).astype(np.float32)
    net = ns.Network(Ternary(0.1), input_shape=5)
    np.testing.assert_array_equal(net.run(x)[0], encode.ternary(x, np.float32(0.1)))
    assert net.params["ternary0.v_threshold"].tolist() == [np.float32(0.1)] and net.n_params == 1
    net.params["ternary0.v_threshold"][...] = -1
    assert net.params.project() == 1 and net.params["ternary0.v_threshold"][0] == 0


def test_ternary_gradients(rng):
    net = ns.Network(Ternary(0.2, surrogate="gaussian"), ns.Dense(5, 3), ns.OverTime("mean"), input_shape=5)
    x, labels, lengths = rng.normal(0, 0.5, (6, 3, 5)), rng.integers(0, 3, 3), np.array([6, 3, 5])
    assert max(ns.check_gradients(net, x, labels, lengths=lengths).values()) < 1e-6
    smooth, x, dy = net.smoothed(), rng.normal(0, 0.5, (6, 3, 5)), rng.normal(0, 1, (3, 3))
    _, _, tape = smooth.forward(x)
    dx, step = smooth.backward(tape, dy, want_dx=True)[2], 1e-6
    for place in ((0, 0, 0), (5, 2, 4), (2, 1, 3)):
        moved = np.zeros_like(x)
        moved[place] = step
        numeric = ((smooth.run(x + moved)[0] - smooth.run(x - moved)[0]) * dy).sum() / (2 * step)
        assert abs(numeric - dx[place]) < 1e-8


def test_ternary_is_saved(tmp_path, rng):
    net = ns.Network(Ternary(0.3, surrogate="triangle"), ns.Dense(4, 2), input_shape=4)
    net.params["ternary0.v_threshold"][...] = 0.25
    ns.save(net, tmp_path / "net.h5")
    x = rng.normal(size=(3, 2, 4))
    np.testing.assert_array_equal(ns.load(tmp_path / "net.h5").run(x)[0], net.run(x)[0])
    for wrong in (-0.1, np.inf, True):
        with pytest.raises(ValueError, match="v_threshold must be a number from 0 on"):
            Ternary(wrong)


def test_linear_schedule():
    schedule = Linear(200)
    assert [schedule(epoch) for epoch in (0, 50, 200, 300)] == [1, 0.75, 0, 0]
    assert optim.schedule_from(schedule.config())(100) == 0.5
    assert isinstance(optim.optimizer_from(Adamax(1e-3, schedule=schedule).config()), Adamax)


def test_adamax_against_torch(rng):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle")
    p, optimizer = {"w": rng.normal(size=(3, 4))}, Adamax(0.01, betas=(0.8, 0.9), eps=1e-3)
    theirs = torch.nn.Parameter(torch.tensor(p["w"]))
    other = torch.optim.Adamax([theirs], lr=0.01, betas=(0.8, 0.9), eps=1e-3)
    for _ in range(20):
        g = rng.normal(size=(3, 4)) * rng.choice((1e-4, 1.0), (3, 4))
        optimizer.update(p, {"w": g})
        theirs.grad = torch.tensor(g)
        other.step()
    rounding = 20 * 8 * np.finfo(np.float64).eps
    np.testing.assert_allclose(p["w"], theirs.detach().numpy(), rtol=0, atol=rounding)


def test_multi_normal():
    three_groups = ("multi_normal", (20, 200, -5), (0.0, 1.0, 0.5))
    drawn = initial(three_groups, np.random.default_rng(0), (1003,), "tau")
    assert (drawn[:334] == 20).all() and (drawn[334:668] > 190).all() and (drawn[668:] < 0).all()
    for group, mean, std in ((drawn[334:668], 200, 1.0), (drawn[668:], -5, 0.5)):
        n = len(group)
        assert abs(group.mean() - mean) < 5 * std / n ** 0.5
        assert abs(group.std() / std - 1) < 5 / (2 * n) ** 0.5
    rows = initial(("multi_normal", [1, 2], [0, 0]), np.random.default_rng(0), (2, 3), "w")
    assert rows.tolist() == [[1, 1, 1], [2, 2, 2]]
    neurons = ns.ALIF(4, tau_mem=("multi_normal", [20.0, 5.0], [0.0, 0.0]))
    assert ns.Network(neurons).layers["alif0"].fixed["tau_mem"].tolist() == [20, 20, 5, 5]
    assert ns.ALIF.from_config(neurons.config()).settings.tau_mem == neurons.settings.tau_mem
    for means, stds in (([1, 2], [1]), ([], []), ([1, 2, 3], [1, 1, 1]), (5, 1)):
        with pytest.raises(ValueError, match="tau: initialiser"):
            initial(("multi_normal", means, stds), np.random.default_rng(0), (2,), "tau")
