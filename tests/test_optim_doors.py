"""What an optimiser refuses: before anything is changed, by name."""

import copy
import pickle

import numpy as np
import pytest

import numsnn as ns
from numsnn import optim

MAKERS = {"SGD": lambda **more: optim.SGD(0.1, 0.9, **more), "Adam": optim.Adam, "AdamW": optim.AdamW,
          "Adamax": optim.Adamax}


@pytest.fixture(params=("cpu", "reference"))
def device(request, monkeypatch):
    monkeypatch.setattr(optim.devices, "fastest", lambda: ns.devices.get(request.param))


def params():
    return {"w": np.ones((2, 3), np.float32), "b": np.arange(3, dtype=np.float32)}


def gradients():
    return {name: np.full_like(p, 0.5) for name, p in params().items()}


def everything(optimizer, p):
    """All that a step changes, as bytes."""
    kept = [a.tobytes() for slot in optimizer.state.values() for a in slot.values()]
    return [a.tobytes() for a in p.values()], kept, optimizer.steps


BAD = {
    "nan": np.array([np.nan, 1, 1]), "inf": np.array([1, np.inf, 1]), "-inf": np.array([1, 1, -np.inf]),
    "too large": np.full(3, 1e300), "one too many": np.ones(4), "none": np.ones(0),
    "another axis": np.ones((3, 1)),
    "a number": 1.0, "complex": np.ones(3, complex), "objects": np.ones(3, object), "text": "abc",
    "words": np.array(["a", "b", "c"]), "None": None, "ragged": [[1], [1, 2]], "dates": np.zeros(3, "m8[s]"),
    "masked": np.ma.masked_array(np.ones(3), [1, 0, 0])}


@pytest.mark.parametrize("clip", (None, 1.0), ids=("", "clipped"))
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_gradients_that_do_not_fit(make, clip, device):
    """Nothing changes, not even what stands before the one that does not fit."""
    optimizer, p = make(clip_norm=clip), params()
    optimizer.update(p, gradients())
    before = everything(optimizer, p)
    for what, bad in BAD.items():
        with pytest.raises((ValueError, TypeError), match="gradient of b"):
            optimizer.update(p, {**gradients(), "b": bad})
        assert everything(optimizer, p) == before, what
    optimizer.update(p, {"w": gradients()["w"].tolist(), "b": [1, 2, 3]})
    assert optimizer.steps == 2 and all(np.isfinite(a).all() for a in p.values())


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_parameters_and_moments_that_do_not_fit(make, device):
    optimizer, p = make(), params()
    optimizer.update(p, gradients())
    before = everything(optimizer, p)
    read_only = np.ones(3, np.float32)
    read_only.flags.writeable = False
    for bad in (np.ones(4, np.float32), np.ones(3_000_000, np.float32), np.ones((3, 1), np.float32),
                np.ones(3), np.ones(3, np.float16), np.ones(3, int), [1.0, 1, 1], 1.0, None, read_only):
        with pytest.raises((ValueError, TypeError), match="b"):
            optimizer.update({**p, "b": bad}, {**gradients(), "b": np.ones(np.shape(bad))})
    for given in ((5, gradients()), (p, 5), (p, [1]), (None, None)):
        with pytest.raises(TypeError, match="expected arrays by name"):
            optimizer.update(*given)
    assert everything(optimizer, p) == before
    slot = optimizer.slots[-1]
    for kept in (np.zeros(2, np.float32), np.zeros(3), [0.0, 0, 0], None):
        other = copy.deepcopy(optimizer)
        other.state[slot]["b"] = kept
        with pytest.raises(ValueError, match=f"holds the {slot} of b as .*make a new optimizer"):
            other.update(p, gradients())


def test_squares_that_are_none(device):
    """Finite gradients whose squares are not would stop a parameter for good."""
    p, large = {"w": np.ones(2, np.float32)}, {"w": np.array([1e20, 1], np.float32)}
    with pytest.raises(ValueError, match=r"w reaches 1e\+20, whose square is too large for float32"):
        optim.Adam().update(p, large)
    for fine in (optim.SGD(1e-20), optim.Adamax(), optim.Adam(clip_norm=1.0)):
        fine.update(p, large)
        assert np.isfinite(p["w"]).all()
    with pytest.raises(ValueError, match="w is too large for a norm"):
        optim.SGD(0.1, clip_norm=1.0).update({"w": np.ones(2)}, {"w": np.array([1e200, 1])})


@pytest.mark.parametrize(("call", "message"), (
    (lambda: optim.Adam(learning_rate=0.1), "no argument 'learning_rate'; there are lr, betas, eps, sch"),
    (lambda: optim.SGD(0.1, beta=0.9), "no argument 'beta'; there are lr, momentum, nesterov"),
    (lambda: optim.Adam("0.1"), "learning rate must be a positive number; got '0.1'"),
    (lambda: optim.Adam(True), "learning rate"), (lambda: optim.Adam(None), "learning rate"),
    (lambda: optim.Adam(np.inf), "learning rate"), (lambda: optim.Adam(10**400), "learning rate"),
    (lambda: optim.Adam(1j), "learning rate"), (lambda: optim.Adam([0.1]), "learning rate"),
    (lambda: optim.Adam(betas=0.9), "betas must be two numbers"),
    (lambda: optim.Adam(betas=(0.9, 0.99, 0.999)), "betas must be two"),
    (lambda: optim.Adam(betas="ab"), "betas must be two"),
    (lambda: optim.Adam(betas=(0.9, 1.0)), "betas must be at least 0 and below 1; got 1.0"),
    (lambda: optim.Adam(betas=(-0.1, 0.9)), "betas"), (lambda: optim.Adam(betas=("a", 0.9)), "betas"),
    (lambda: optim.Adam(betas=(np.nan, 0.9)), "betas"), (lambda: optim.Adam(eps=0), "eps must be a positive"),
    (lambda: optim.Adam(eps=-1e-8), "eps"), (lambda: optim.Adamax(eps=np.nan), "eps"),
    (lambda: optim.SGD(0.1, 1.0), "momentum must be at least 0 and below 1"),
    (lambda: optim.SGD(0.1, -0.5), "momentum"), (lambda: optim.SGD(0.1, "0.9"), "momentum"),
    (lambda: optim.SGD(0.1, nesterov="no"), "nesterov must be True or False; got 'no'"),
    (lambda: optim.AdamW(weight_decay=-1), "weight_decay must be a number from 0 on"),
    (lambda: optim.SGD(0.1, weight_decay=np.nan), "weight_decay"),
    (lambda: optim.SGD(0.1, clip_norm="1"), "clip_norm must be positive, or None"),
    (lambda: optim.SGD(0.1, clip_norm=np.nan), "clip_norm"),
    (lambda: optim.SGD(0.1, clip_norm=True), "clip_norm"),
    (lambda: optim.Adam(schedule="cosine"), "schedule: expected a schedule such as ns.optim.Cosine"),
    (lambda: optim.Adam(schedule=optim.Cosine), "schedule: expected a schedule"),
    (lambda: optim.Adam(schedule=lambda epoch: 1.0), "schedule: expected a schedule"),
    (lambda: optim.Adam(schedule=0.5), "schedule: expected a schedule"),
    (lambda: optim.WarmUp(3, then=5), "WarmUp: then: expected a schedule"),
    (lambda: optim.Adam(factors=["*.tau_*"]), "factors must be a dict"),
    (lambda: optim.Adam(factors={"a": "3"}), "the factor of 'a' must be a number from 0 on"),
    (lambda: optim.Adam(factors={"a": -1}), "the factor of 'a'"),
    (lambda: optim.Adam(factors={3: 1.0}), "by names of parameters"),
    (lambda: optim.Step(0), "Step: every must be a positive integer"),
    (lambda: optim.Step(2, "a"), "Step: factor"),
    (lambda: optim.Step(2, -1), "Step: factor"), (lambda: optim.Exponential(np.inf), "Exponential: factor"),
    (lambda: optim.MultiStep(3), "MultiStep: expected a list of epochs"),
    (lambda: optim.MultiStep([1, 2.5]), "a milestone must be an integer from 0 on"),
    (lambda: optim.Cosine(0), "Cosine: epochs"), (lambda: optim.Cosine(5, floor=2), "Cosine: floor"),
    (lambda: optim.Linear(0), "Linear: epochs"), (lambda: optim.WarmUp(-1), "WarmUp: epochs"),
    (lambda: optim.optimizer_from({**optim.Adam().config(), "optimizer": "Adm"}), "unknown optimizer 'Adm'"),
    (lambda: optim.schedule_from({"schedule": "Cos"}), "unknown schedule 'Cos'; there are Constant"),
))
def test_settings(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_settings_of_numpy_become_plain_numbers():
    """So that a checkpoint can hold them."""
    optimizer = optim.SGD(np.float32(0.5), np.float64(0.5), nesterov=np.bool_(True), clip_norm=np.int64(3),
                          factors={"w": np.float32(2)}, weight_decay=np.float16(0.5),
                          schedule=optim.Step(np.int64(2), np.float32(0.5)))
    plain = optim.SGD(0.5, 0.5, nesterov=True, clip_norm=3, factors={"w": 2}, weight_decay=0.5,
                      schedule=optim.Step(2, 0.5))
    assert repr(optimizer.config()).replace(" ", "") == repr(plain.config()).replace(" ", "")


def test_factors_and_schedules_are_looked_at_in_a_step(device):
    p = params()
    for factors, what in (({"wieght": 2}, "no parameter is named 'wieght'; there are w, b"),
                          ({"*.tau_*": 2}, "no parameter is named")):
        with pytest.raises(ValueError, match=what):
            optim.Adam(factors=factors).update(p, gradients())

    class Odd(optim.Schedule):
        def __call__(self, epoch):
            return (1.0, np.nan, -1.0)[epoch]

    optimizer = optim.SGD(0.1, schedule=Odd())
    optimizer.update(p, gradients())
    before = everything(optimizer, p)
    for optimizer.epoch in (1, 2):
        with pytest.raises(ValueError, match="the learning rate of w in epoch"):
            optimizer.update(p, gradients())
    assert everything(optimizer, p) == before


def twin(seed=0):
    return ns.Network(ns.Dense(4, 3), ns.LI(3), ns.OverTime("mean"), seed=seed, device="reference")


def gradient_of(net):
    return {name: np.ones_like(p) for name, p in net.params.items()}


def test_an_optimiser_belongs_to_one_network(device):
    one, other = twin(), twin(1)
    optimizer = optim.Adam()
    for _ in range(2):
        optimizer.update(one.params, gradient_of(one))
    before = everything(optimizer, other.params)
    with pytest.raises(ValueError, match="2 steps with another network.*make a new optimizer"):
        optimizer.update(other.params, gradient_of(other))
    assert everything(optimizer, other.params) == before
    del one
    with pytest.raises(ValueError, match="with another network"):
        optimizer.update(other.params, gradient_of(other))
    for free in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        free.update(other.params, gradient_of(other))
        assert free.steps == 3
    plain = dict(other.params)
    optim.Adam().update(plain, gradient_of(other))
    optimizer.reset()
    optimizer.update(other.params, gradient_of(other))
    assert optimizer.steps == 1


def test_moments_from_elsewhere_are_looked_at_once():
    net, optimizer = twin(), optim.Adam()
    optimizer.update(net.params, gradient_of(net))
    other = optim.Adam()
    other.go_on_from(optimizer)
    other.state = copy.deepcopy(other.state)
    other.state["square"]["dense0.bias"][1] = np.nan
    with pytest.raises(ValueError, match="holds a square of dense0.bias that is not finite"):
        other.update(net.params, gradient_of(net))


def test_fit_refuses_the_optimiser_of_another_network(tmp_path, rng):
    data = ns.Dataset(rng.normal(size=(3, 6, 4)).astype(np.float32), rng.integers(0, 3, 6))
    how = {"loss": ns.loss.CrossEntropy(), "epochs": 1, "batch_size": 3, "progress": False}
    one, other, optimizer = twin(), twin(1), optim.Adam()
    ns.fit(one, data, optimizer=optimizer, checkpoint=tmp_path / "one.h5", **how)
    before = other.arrays()
    with pytest.raises(ValueError, match="steps with another network"):
        ns.fit(other, data, optimizer=optimizer, **how)
    assert all((a == before[name]).all() for name, a in other.arrays().items())
    ns.fit(one, data, optimizer=optimizer, **how)
    resumed = {**how, "epochs": 2, "checkpoint": tmp_path / "one.h5", "resume": True}
    ns.fit(twin(), data, optimizer=optimizer, **resumed)       # its moments come from the file
    assert optimizer.steps == 4
