"""Optimisers by their formulas, groups, clipping, projection, schedules."""

import json

import numpy as np
import pytest

import numsnn as ns
from numsnn import optim


def steps(optimizer, n=5, seed=0):
    """Parameters after each of n steps on random gradients, and these gradients; float64."""
    rng = np.random.default_rng(seed)
    params = {"a": rng.normal(size=(3, 2)), "b.tau_mem": rng.normal(size=4)}
    path, grads = [{k: v.copy() for k, v in params.items()}], []
    for _ in range(n):
        grads.append({k: rng.normal(size=v.shape) for k, v in params.items()})
        optimizer.update(params, grads[-1])
        path.append({k: v.copy() for k, v in params.items()})
    return path, grads


def test_sgd_momentum_nesterov_decay():
    for momentum, nesterov, decay in ((0, False, 0), (0.9, False, 0), (0.9, True, 0.01)):
        path, grads = steps(optim.SGD(0.1, momentum, nesterov=nesterov, weight_decay=decay))
        p, m = path[0]["a"].copy(), np.zeros((3, 2))
        for g, after in zip(grads, path[1:], strict=True):
            d = g["a"] + decay * p
            m = momentum * m + d
            p = p - 0.1 * (d + momentum * m if nesterov else m)
            assert np.allclose(p, after["a"], rtol=1e-14, atol=0)


@pytest.mark.parametrize("decoupled", (False, True))
def test_adam_and_adamw(decoupled):
    make = optim.AdamW if decoupled else optim.Adam
    path, grads = steps(make(0.1, (0.8, 0.95), 1e-6, weight_decay=0.02))
    p, m, v = path[0]["a"].copy(), 0, 0
    for k, (g, after) in enumerate(zip(grads, path[1:], strict=True), 1):
        d = g["a"] if decoupled else g["a"] + 0.02 * p
        if decoupled:
            p = p - 0.1 * 0.02 * p
        m, v = 0.8 * m + 0.2 * d, 0.95 * v + 0.05 * d ** 2
        p = p - 0.1 * (m / (1 - 0.8 ** k)) / (np.sqrt(v / (1 - 0.95 ** k)) + 1e-6)
        assert np.allclose(p, after["a"], rtol=1e-12, atol=0)


def test_factors_multiply_by_name():
    optimizer = optim.SGD(0.1, factors={"*.tau_*": 3, "b.*": 2}, schedule=optim.Step(2, 0.5))
    assert optimizer.rate("a") == 0.1
    assert np.isclose(optimizer.rate("b.tau_mem"), 0.6)
    optimizer.epoch = 5
    assert np.isclose(optimizer.rate("b.tau_mem"), 0.15)


def test_clipping_by_the_norm_of_all_gradients():
    params = {"a": np.zeros(2), "b": np.zeros(1)}
    optim.SGD(1.0, clip_norm=6.5).update(params, {"a": np.array([3.0, 4.0]), "b": np.array([12.0])})
    assert np.allclose(params["a"], [-1.5, -2])
    assert np.allclose(params["b"], -6)
    optim.SGD(1.0, clip_norm=100).update(params, {"a": np.array([3.0, 4.0])})
    assert np.allclose(params["a"], [-4.5, -6])


def test_time_constants_are_projected_and_counted():
    net = ns.Network(ns.ALIF(3, learn=("tau_mem", "beta"), tau_mem=[1, 2, 30]), dt=0.5, device="reference")
    count = optim.SGD(1.0).update(net.params, {"alif0.tau_mem": np.array([10, 1.97, 1], np.float32),
                                               "alif0.beta": np.full(3, 9, np.float32)})
    assert count == 2
    assert np.allclose(net.params["alif0.tau_mem"], [0.05, 0.05, 29])
    assert (net.params["alif0.beta"] < 0).all()


def test_schedules():
    values = {optim.Constant(): [1, 1, 1, 1],
              optim.Step(2, 0.1): [1, 1, 0.1, 0.1],
              optim.MultiStep([1, 3], 0.5): [1, 0.5, 0.5, 0.25],
              optim.Exponential(0.5): [1, 0.5, 0.25, 0.125],
              optim.Cosine(2, 0.2): [1, 0.6, 0.2, 0.2],
              optim.WarmUp(2, optim.Exponential(0.5)): [0.5, 1, 1, 0.5]}
    for schedule, expected in values.items():
        assert np.allclose([schedule(e) for e in range(4)], expected), schedule
        again = optim.schedule_from(json.loads(json.dumps(schedule.config())))
        assert [again(e) for e in range(4)] == [schedule(e) for e in range(4)]


def test_config_makes_the_same_optimizer():
    for optimizer in (optim.SGD(0.1, 0.9, nesterov=True),
                      optim.Adam(0.01, eps=1e-5, factors={"*.tau_*": 2}, clip_norm=1.0),
                      optim.AdamW(0.01, schedule=optim.WarmUp(3, optim.Cosine(10)))):
        twin = optim.optimizer_from(json.loads(json.dumps(optimizer.config())))
        assert json.dumps(twin.config()) == json.dumps(optimizer.config())
        assert steps(twin)[0][-1]["a"].tobytes() == steps(optimizer)[0][-1]["a"].tobytes()


def test_float32_stays_float32(rng):
    params = {"a": np.ones(3, np.float32)}
    for optimizer in (optim.SGD(0.1, 0.9), optim.Adam(), optim.AdamW()):
        optimizer.update(params, {"a": rng.normal(size=3).astype(np.float32)})
        assert params["a"].dtype == np.float32
        assert all(s["a"].dtype == np.float32 for s in optimizer.state.values())


@pytest.mark.parametrize(("call", "message"), (
    (lambda: optim.Adam(0), "learning rate must be a positive number; got 0"),
    (lambda: optim.SGD(np.nan), "got nan"),
    (lambda: optim.SGD(0.1, clip_norm=0), "clip_norm must be positive"),
    (lambda: optim.SGD(0.1).update({"a": np.zeros(2)}, {"b": np.zeros(2)}),
     "unknown parameter 'b'; there are a"),
    (lambda: optim.SGD(0.1).update({"a": np.zeros(2)}, {"a": np.zeros(3)}),
     r"gradient of a has shape \(3,\), the parameter \(2,\)"),
))
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


OPTIMIZERS = {"SGD": (optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
              "nesterov": (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
              "Adam": (optim.Adam, {"lr": 1e-2, "clip_norm": 0.5}),
              "AdamW": (optim.AdamW, {"lr": 1e-2}),
              "Adamax": (optim.Adamax, {"lr": 1e-2})}


@pytest.mark.parametrize("dtype", ("float32", "float64"))
@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_compiled_steps_have_the_bits_of_the_reference(make, dtype, monkeypatch):
    """Gradients over twenty orders of magnitude, zeros among them.

    A parameter that is not contiguous is changed in its place too.
    """
    def path(device):
        monkeypatch.setattr(optim.devices, "fastest", lambda: ns.devices.get(device))
        rng = np.random.default_rng(0)
        kind, settings = make
        optimizer = kind(**settings)

        def gradient(p):
            value = rng.standard_normal(p.shape)
            size = 10.0 ** rng.integers(-18, 2, p.shape)
            kept = rng.random(p.shape) < 0.8
            return (value * size * kept).astype(dtype)

        params = {"a": rng.standard_normal((61, 7)).astype(dtype),
                  "b": rng.standard_normal((5, 8)).astype(dtype)[:, ::2]}
        for _ in range(7):
            optimizer.update(params, {name: gradient(p) for name, p in params.items()})
        slots = [a for slot in optimizer.state.values() for a in slot.values()]
        return [a.tobytes() for a in (*params.values(), *slots)]

    found = path("cpu")
    assert found == path("reference")
    assert found[1] != np.random.default_rng(0).standard_normal((5, 4)).astype(dtype).tobytes()
