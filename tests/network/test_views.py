"""Layers that hand out views, foreign types or read-only arrays; and counts of very many steps."""

import numpy as np
import pytest

import numsnn as ns
from numsnn.devices import buffers
from numsnn.layers.layer import Gradients, Result, values

DEVICES = ("reference", "cpu")


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("reduce", ("sum", "mean", "max"))
def test_pooled_time_is_read_where_it_lies(reduce, device):
    """One sample and one feature alone, the last chunk of many, and several of both."""
    of = {"sum": np.sum, "mean": np.mean, "max": np.max}[reduce]
    for batch, n in ((1, 1), (17, 1), (3, 2)):
        x = np.arange(12 * batch * n, dtype=np.float32).reshape(12, batch, n)
        right = of(x.reshape(4, 3, batch, n), 1)
        dense = ns.Dense(n, 2, weight=np.ones((n, 2)))
        net = ns.Network(ns.PoolTime(3, reduce), dense, input_shape=n, device=device)
        assert np.allclose(net.run(x)[0], np.repeat(right.sum(2)[..., None], 2, 2), rtol=1e-6), (batch, n)
        net = ns.Network(ns.PoolTime(3, reduce), ns.OverTime("sum"), input_shape=n, device=device)
        assert np.allclose(net.run(x)[0], right.sum(0), rtol=1e-6), (batch, n)


class Odd(ns.Layer):
    """y = x, in a form that its user did not think about."""

    keeps_shape = True

    def __init__(self, form):
        super().__init__()
        self.form = form

    def build(self, rng, dtype, dt):
        self.dtype = np.dtype(dtype)

    def forward(self, x, state, prepared, context):
        return Result(self.form(values(x, self.dtype)), None)

    def backward(self, tape, dy, dstate, dhidden, prepared, context):
        return Gradients(self.form(np.ascontiguousarray(dy)), None, {})


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def every_other(a):
    wide = np.full((2 * len(a), *a.shape[1:]), 7, a.dtype)
    wide[::2] = a
    return wide[::2]


FORMS = {
    "time apart": every_other,
    "backwards": lambda a: a[::-1].copy()[::-1],
    "features apart": lambda a: np.repeat(a, 2, 2)[:, :, ::2],
    "samples first": lambda a: a.transpose(1, 0, 2).copy().transpose(1, 0, 2),
    "features first": np.asfortranarray,
    "doubles": lambda a: a.astype(np.float64),
    "read-only": read_only,
}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_layers_may_hand_out_what_they_like(form, device, rng):
    """The same answers and gradients as with plain arrays, whatever takes them; of one sample and of many."""
    def made(form, n):
        takers = ns.Dense(n, 3), ns.LIF(3, learn="tau_mem"), Odd(form), ns.LI(3), Odd(form)
        return ns.Network(Odd(form), *takers, ns.OverTime("sum"), input_shape=n, device=device)

    for batch, n in ((1, 1), (17, 1), (17, 2)):
        x = rng.normal(0.5, 1, (6, batch, n)).astype(np.float32)
        odd, plain = (made(f, n).loss_and_gradients(ns.loss.CrossEntropy(), x, np.arange(batch) % 3)
                      for f in (form, np.copy))
        assert odd.y.tobytes() == plain.y.tobytes()
        assert all(odd.grads[key].tobytes() == g.tobytes() for key, g in plain.grads.items())


def test_the_loops_themselves_take_views(rng):
    """Called as they are, without a network around them."""
    here, there = (ns.devices.get(device) for device in DEVICES)
    weight, bias = rng.normal(size=(1, 2)).astype(np.float32), np.ones(2, np.float32)
    for form in (FORMS[name] for name in FORMS if name not in ("doubles",)):
        x = form(rng.normal(size=(6, 1, 1)).astype(np.float32))
        dy = form(rng.normal(size=(6, 1, 2)).astype(np.float32))
        assert there.dense_forward(x, weight, bias).tobytes() == here.dense_forward(x, weight, bias).tobytes()
        for a, b in zip(here.dense_backward(x, weight, dy, True), there.dense_backward(x, weight, dy, True),
                        strict=True):
            assert np.allclose(a, b, rtol=1e-5)


def test_what_lies_apart_is_laid_together():
    a = np.arange(4 * 6 * 5, dtype=np.float32).reshape(4, 6, 5)
    for view in (a[:, 2:4], a[:, :, 1:2][:, 3:4], a[::2], a[::-1], a[:, ::2], a[:, :, ::2], a[:1, 1:3], a[:0],
                 a.T, a[::-2, 1:2, 2:3], np.broadcast_to(a[:1], (4, 6, 5))):
        laid = buffers.laid(view)
        flat, pitch = buffers.flat(laid), laid.strides[0] // laid.itemsize
        steps, batch, n = view.shape
        rows = [flat[t * pitch:t * pitch + batch * n] for t in range(steps)]
        assert np.array_equal(np.array(rows).reshape(view.shape), view)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("done", (2**24 - 2, 2**24, 2**24 + 1, 2**23 - 1, 2**26 + 3))
def test_steps_are_counted_beyond_what_float32_counts(done, device):
    net = ns.Network(ns.Dense(1, 2), ns.OverTime("mean", start=3), device=device)
    value = np.full((2, 2), 0.5, np.float32)
    rest, rounds = ([[count]] * 2 for count in (done % 2**23, done // 2**23))
    state = {"dense0": None, "overtime0": net.initial_state(0)["overtime0"]._replace(
        value=value * done, steps=np.array(rest, "f4"), rounds=np.array(rounds, "f4"))}
    x = np.ones((5, 2, 1), np.float32)
    for t in range(5):
        y, state = net.step(x[t], state)
        own = state["overtime0"]
        assert int(own.steps[0, 0]) + 2**23 * int(own.rounds[0, 0]) == done + t + 1
        assert y.tobytes() == (own.value / np.float32(done + t + 1 - 3)).tobytes()


@pytest.mark.parametrize("device", DEVICES)
def test_a_count_that_a_state_holds_in_one_number(device):
    net = ns.Network(ns.Dense(1, 2), ns.OverTime("mean"), device=device)
    state = {"dense0": None, "overtime0": net.initial_state(1)["overtime0"]._replace(
        value=np.zeros((1, 2)), steps=np.full((1, 1), 2.0**24))}
    for call in (net.step, lambda x, s: net.run(x[None], s)):
        own = call(np.ones((1, 1), "f4"), state)[1]["overtime0"]
        assert (own.steps[0, 0], own.rounds[0, 0]) == (1, 2)
