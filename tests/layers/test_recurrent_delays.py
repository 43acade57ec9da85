"""Delays in a recurrence: against a plain loop, bits, gradients, files, what is refused."""

import copy
import pickle
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pytest
from compare import by_threads, normal_like, same_bits, same_states
from test_delays import share

import numsnn as ns

WIDTHS = [("gaussian", 1.5), ("triangle", 2.5), ("triangle", 1.0), ("gaussian", 0)]
LENGTHS = np.array([9, 3, 0, 5, 1])
LABELS = np.array([0, 1, 2, 1, 0])
MOST, N = 3, 6


def late(shape="triangle", sigma=2.5, axonal=True, **more):
    return ns.Delays(MOST, axonal=axonal, shape=shape, sigma=sigma, **more)


@lru_cache(None)
def network(shape="triangle", sigma=2.5, axonal=True, device="cpu", **more):
    """Shared, because nothing here changes it."""
    return ns.Network(ns.Dense(4, N, weight=("normal", 0, 1)),
                      ns.LIF(N, v_threshold=0.4, tau_mem=5, name="late",
                             recurrent=late(shape, sigma, axonal)),
                      device=device, **{"seed": 3, "chunk": 2, **more})


def data(kind="spikes"):
    rng = np.random.default_rng(1)
    return rng.random((9, 5, 4)) < 0.4 if kind == "spikes" else rng.normal(0, 1, (9, 5, 4))


def plain(net, x, shape, sigma, lengths):
    """(spikes, what is on its way), neuron by neuron from the text of `Population`, in float64."""
    p = {name: a.astype(float) for name, a in net.params.items()}
    steps, batch = x.shape[:2]
    delay, v_of = p["late.delay"], p["late.recurrent"]
    axonal = delay.ndim == 1
    spikes, coming = np.zeros((steps, batch, N)), np.zeros((batch, MOST + 1, N))
    e = np.array([[share(k, d, shape, sigma) for d in delay.ravel()] for k in range(MOST + 1)])
    e = (e / e.sum(0)).reshape(MOST + 1, *delay.shape)

    def given(k, spiked):
        """What so many steps later arrives of it: of neurons what they handed out, of synapses currents."""
        return e[k] * spiked if axonal else spiked @ (e[k] * v_of)

    def arriving(t, b):
        """What the steps before step t give to it; as if the sample ended where it does."""
        return sum((given(k, spikes[t - 1 - k, b]) for k in range(MOST + 1) if 0 <= t - 1 - k < lengths[b]),
                   np.zeros(N))

    for b in range(batch):
        v = np.zeros(N)
        for t in range(lengths[b]):
            current = x[t, b] @ p["dense0.weight"] + p["dense0.bias"] + p["late.recurrent_bias"]
            current = current + (arriving(t, b) @ v_of if axonal else arriving(t, b))
            v = np.exp(-1 / 5) * v + current
            spikes[t, b] = v > 0.4
            v = v - spikes[t, b] * 0.4
        for k in range(MOST + 1):
            coming[b, k] = sum((given(j, spikes[lengths[b] + k - 1 - j, b]) for j in range(k, MOST + 1)
                                if lengths[b] + k - 1 - j >= 0), np.zeros(N))
    return spikes, coming


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("axonal", [True, False])
@pytest.mark.parametrize("width", WIDTHS)
def test_against_a_plain_loop(width, axonal, device):
    net = network(*width, axonal, device, dtype="float64")
    for x in (data(), data("values")):
        for lengths in (None, LENGTHS):
            y, state = net.run(x, lengths=lengths)
            spikes, coming = plain(net, x.astype(float), *width,
                                   np.full(5, 9) if lengths is None else lengths)
            assert 0.1 < spikes.mean() < 0.6
            assert np.array_equal(y, spikes)
            assert np.abs(state["late"].coming - coming).max() < 1e-14


@pytest.mark.parametrize("axonal", [True, False])
def test_a_delay_of_nothing_is_a_recurrence_without_delays(axonal):
    at_once = ns.Network(ns.Dense(4, N), ns.LIF(N, v_threshold=0.3, recurrent=True, name="late"), seed=3)
    whole = late(sigma=0, position=0, axonal=axonal)
    net = ns.Network(ns.Dense(4, N), ns.LIF(N, v_threshold=0.3, recurrent=whole, name="late"), seed=3)
    for name in at_once.params:
        net.params[name] = at_once.params[name]
    x, loss = data(), ns.loss.CrossEntropy()
    assert net.run(x)[0].tobytes() == at_once.run(x)[0].tobytes()
    ones, others = (n.extended(ns.Dense(N, 3), ns.OverTime("sum")).loss_and_gradients(loss, x, LABELS).grads
                    for n in (net, at_once))
    assert max(np.abs(ones[name] - others[name]).max() for name in others) < 1e-6


# ---- bits


@pytest.mark.parametrize("axonal", [True, False])
@pytest.mark.parametrize("sigma", [2.5, 0])
def test_devices_pieces_and_steps_have_the_same_bits(sigma, axonal):
    x = data()
    whole, after = network(sigma=sigma, axonal=axonal).run(x)
    assert after["late"].coming.any() and after["late"].coming.shape == (5, MOST + 1, N)
    for device in ("reference", "cpu"):
        net = network(sigma=sigma, axonal=axonal, device=device)
        for ends in ([0, 9], [0, 1, 5, 9]):
            state, parts = None, []
            for first, last in pairwise(ends):
                part, state = net.run(x[first:last], state)
                parts.append(part)
            assert np.concatenate(parts).tobytes() == whole.tobytes() and same_states(state, after)
        state = None
        for now, then in zip(x, whole, strict=True):
            y, state = net.step(now, state)
            assert y.tobytes() == then.tobytes()
        assert same_states(state, after)
        padded, state = net.run(x, lengths=LENGTHS)
        again = net.run(x, state)[0]
        for b, n in enumerate(LENGTHS):
            both, _ = net.run(np.concatenate((x[:n, b:b + 1], x[:, b:b + 1])))
            assert both[:n].tobytes() == padded[:n, b:b + 1].tobytes()
            assert both[n:].tobytes() == again[:, b:b + 1].tobytes()
    assert net._steppers[5] is not None


@pytest.mark.parametrize("axonal", [True, False])
def test_a_compiled_step_sees_new_delays(axonal):
    net = network(axonal=axonal).clone()
    x = data()
    for delay in (2.75, 1.25, 1, 1):
        net.params["late.delay"].fill(delay)
        net.params["late.recurrent"][...] *= -1.5
        if delay == 1:
            net.round_delays()
        whole, state = net.run(x)[0], None
        for now, then in zip(x, whole, strict=True):
            y, state = net.step(now, state)
            assert y.tobytes() == then.tobytes()
    assert net.layers["late"].sigma == 0 and (net.params["late.delay"] == 1).all()


@pytest.mark.parametrize("axonal", [True, False])
def test_threads_change_nothing(axonal):
    rng = np.random.default_rng(4)
    x, labels = rng.random((40, 24, 30)) < 0.2, rng.integers(0, 4, 24)
    net = ns.Network(ns.Dense(30, 70), ns.LIF(70, v_threshold=0.5, recurrent=late(axonal=axonal)),
                     ns.Dense(70, 4), ns.OverTime("mean"))
    done = by_threads(lambda: net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels))
    reference = net.to("reference").loss_and_gradients(ns.loss.CrossEntropy(), x, labels)
    assert reference.y.tobytes() == done.y.tobytes()
    for name, g in reference.grads.items():
        assert np.abs(g - done.grads[name]).max() < 1e-5 * np.abs(g).max()


# ---- gradients


@lru_cache(None)
def stack(shape, sigma, axonal, device, **more):
    return network(shape, sigma, axonal, device, **more).extended(ns.Dense(N, 3), ns.OverTime("sum"))


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("axonal", [True, False])
@pytest.mark.parametrize("width", WIDTHS)
def test_gradients(width, axonal, device):
    for lengths in (None, LENGTHS):
        net = stack(*width, axonal, device)
        errors = ns.check_gradients(net, data(), LABELS, lengths=lengths, samples=30)
        assert "late.delay" in errors and max(errors.values()) < 1e-7


@pytest.mark.parametrize("axonal", [True, False])
@pytest.mark.parametrize("width", WIDTHS)
def test_gradients_of_spikes(width, axonal):
    """The same on both devices, and in pieces; those of delays where these are not whole."""
    loss, found = ns.loss.CrossEntropy(), []
    for device in ("reference", "cpu"):
        net = stack(*width, axonal, device, dtype="float64")
        for pieces in (None, 2):
            done = net.loss_and_gradients(loss, data(), LABELS, lengths=LENGTHS, checkpoint_every=pieces)
            found.append(done.grads)
    for name, grad in found[0].items():
        assert np.abs(grad).max() > 1e-4 or (name.endswith("delay") and not width[1])
        assert all(np.abs(grad - other[name]).max() < 1e-13 for other in found)


@pytest.mark.parametrize("axonal", [True, False])
def test_gradients_without_blas(axonal, monkeypatch):
    loss, found = ns.loss.CrossEntropy(), []
    for usable in (True, False):
        monkeypatch.setattr("numsnn.devices.cpu.blas.usable", lambda usable=usable: usable)
        net = stack("triangle", 2.5, axonal, "cpu", dtype="float64")
        found.append(net.loss_and_gradients(loss, data(), LABELS).grads)
    assert all(np.abs(g - found[1][name]).max() < 1e-13 for name, g in found[0].items())


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("axonal", [True, False])
def test_gradients_of_what_is_on_its_way(device, axonal):
    """Of the state before the first step, by differences, and of that after the last."""
    net, rng = network(axonal=axonal, device=device, dtype="float64").smoothed(), np.random.default_rng(5)
    state, x = net.initial_state(5), data("values")
    state["late"] = normal_like(state["late"], rng)
    dy, d = rng.normal(size=(9, 5, N)), normal_like(state["late"], rng)

    def value():
        y, after = net.run(x, state, lengths=LENGTHS)
        return (dy * y).sum() + sum((a * b).sum() for a, b in zip(after["late"], d, strict=True))

    tape = net.forward(x, state, lengths=LENGTHS)[2]
    _, dstate = net.backward(tape, dy, {"late": d})
    for array, gradient in zip(state["late"], dstate["late"], strict=True):
        for i in rng.permutation(array.size)[:20]:
            at = np.unravel_index(i, array.shape)
            before, found = array[at], []
            for array[at] in (before + 1e-5, before - 1e-5):
                found.append(value())
            array[at] = before
            assert abs((found[0] - found[1]) / 2e-5 - gradient[at]) < 1e-7


OTHERS = {"a model that carries its spikes": lambda by: ns.ALIF(N, recurrent=by, learn="tau_adp"),
          "four currents, and values that recur": lambda by: ns.LSTM(N, recurrent=by),
          "a threshold that follows the rate": lambda by: ns.ARLIF(N, recurrent=by, rate_low=0.4)}


@pytest.mark.parametrize("delays", [late(), late(axonal=False), late(axonal=False, sigma=0)])
@pytest.mark.parametrize("kind", OTHERS)
def test_other_models(kind, delays):
    layer = OTHERS[kind](delays)
    net = ns.Network(ns.Dense(4, N * len(layer.model.feedforward)), layer, ns.Dense(N, 3), ns.OverTime("sum"))
    x = data()
    assert max(ns.check_gradients(net, x, LABELS, lengths=LENGTHS, samples=20).values()) < 1e-7
    y, after = net.run(x)
    there, state = net.to("reference").run(x[:4])
    there, state = net.to("reference").run(x[4:], state)
    assert same_states(state, after) and there.shape == y.shape
    state = None
    for now in x:
        _, state = net.step(now, state)
    assert same_states(state, after)
    ones, others = (n.loss_and_gradients(ns.loss.CrossEntropy(), x, LABELS).grads
                    for n in (net, net.to("reference")))
    assert all(np.abs(g - others[name]).max() <= 1e-5 * np.abs(g).max() for name, g in ones.items())

# ---- training


def test_annealing(tmp_path):
    """From wide to whole; resumed to the bit; positions stay within bounds."""
    def made():
        return ns.Network(ns.Dense(4, N), ns.LIF(N, v_threshold=0.3, recurrent=late("gaussian", None)),
                          ns.Dense(N, 3), ns.OverTime("mean"), device="reference", seed=1)

    train, widths = ns.Dataset(data(), LABELS), []

    def fit(net, epochs, **more):
        seen = lambda epoch: widths.append(epoch.net.layers["lif0"].sigma)
        ns.fit(net, train, epochs=epochs, optimizer=ns.optim.Adam(0.02, factors={"*.delay": 100}),
               callbacks=[ns.AnnealDelays(over=3), seen], loss=ns.loss.CrossEntropy(), batch_size=5,
               progress=False, keep_best=False, **more)

    whole = made()
    begun = whole.params["lif0.delay"].copy()
    fit(whole, 5, checkpoint=tmp_path / "whole.h5")
    assert np.allclose(widths, [1.5, 0.75 ** 0.5, 0.5, 0, 0])
    delay = whole.params["lif0.delay"]
    assert 0 <= delay.min() and delay.max() <= MOST and (delay == np.rint(delay)).all()
    assert (delay != np.rint(begun)).any()
    for epochs, resume in ((2, False), (5, True)):
        again = made()
        fit(again, epochs, checkpoint=tmp_path / "again.h5", resume=resume)
    assert again.same_as(whole) and ns.load(tmp_path / "again.h5").same_as(whole)


@pytest.mark.filterwarnings("ignore::numsnn.TrainingWarning")
def test_a_delay_is_found():
    """A spike that shall come back six steps later, and not earlier, finds its delay."""
    target = np.zeros((10, 1, 1))
    target[[1, 8]] = 1
    x = np.zeros((10, 1, 1))
    x[1] = 1
    delays = ns.Delays(8, axonal=True, sigma=4.0, position=3.0)
    net = ns.Network(ns.LIF(1, tau_mem=0.5, v_threshold=0.9, recurrent=delays, recurrent_init=2.0,
                            recurrent_bias_init=False, output="v"), device="reference", dtype="float64")
    optimizer = ns.optim.Adam(0.05, factors={"*.recurrent": 0})
    anneal = ns.AnnealDelays(over=200)
    for epoch in range(201):
        anneal.before_epoch(net, epoch)
        if epoch < 200:
            y, _, tape = net.forward(x)
            grads, _ = net.backward(tape, 2 * (y - target))
            optimizer.update(net.params, grads)
    assert net.params["lif0.delay"] == 6


# ---- what it is


def test_saved_copied_and_described(tmp_path):
    net = network().clone()
    layer = net.layers["late"]
    layer.narrow_delays(0.5)
    x = data()
    _, state = net.run(x)
    ns.save(net, tmp_path / "n.h5")
    for again in (ns.load(tmp_path / "n.h5"), pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        assert again.same_as(net) and again.run(x, state)[0].tobytes() == net.run(x, state)[0].tobytes()
    assert again.layers["late"].sigma == pytest.approx(2.5 ** 0.5)
    assert same_bits(pickle.loads(pickle.dumps(state))["late"], state["late"])
    assert repr(layer) == "LIF(6, recurrent=Delays(3, axonal=True, 'triangle'))"
    assert ns.LIF.from_config(layer.config()).config() == layer.config()
    assert "spikes come back after 1 ... 4 steps, sigma 1.58114: 0.1 kB" in net.summary()
    assert "6 delays" in net.summary() and "late.delay (0, 3)" in net.summary()
    of_synapses = network(axonal=False)
    assert "late.delay (0, 3)" in of_synapses.summary() and "36 delays" in of_synapses.summary()
    assert "0.1 kB of each sample are on their way, weights of all lags 0.0 MB" in of_synapses.summary()
    ns.save(of_synapses, tmp_path / "s.h5")
    assert ns.load(tmp_path / "s.h5").run(x)[0].tobytes() == of_synapses.run(x)[0].tobytes()
    without = ns.LIF(4, recurrent=True)
    assert without.delays is None and without.config()["recurrent"] == "spike"
    given = np.array([0.0, 1, 2, 3, 0.5, 2.5])
    begun = ns.Network(ns.LIF(N, recurrent=late(position=given), recurrent_init="orthogonal"))
    assert np.array_equal(begun.params["lif0.delay"], given)
    v = begun.params["lif0.recurrent"]
    assert np.abs(v @ v.T - np.eye(N)).max() < 1e-6


def test_rounding():
    net = network().clone()
    delay = net.params["late.delay"].copy()
    assert net.round_delays() == N and net.round_delays() == 0
    assert np.array_equal(net.params["late.delay"], np.rint(delay)) and net.layers["late"].sigma == 0
    assert "whole steps" in net.summary()


def test_operations():
    """Whole: additions of spikes that come back; spread: products, and a share for each lag."""
    x, net = data(), network(sigma=0)
    spikes, wide = net.run(x)[0], network(sigma=2.5)
    counted = ns.energy.operations(net, x).layers["late"]
    simple = ns.energy.operations(ns.Network(ns.Dense(4, N), ns.LIF(N), seed=3), x).layers["lif0"]
    assert counted.ac >= int(spikes[:-1].sum()) * N and simple.mac <= counted.mac
    assert ns.energy.operations(wide, x).layers["late"].mac - counted.mac == 9 * 5 * N * N


def test_warned_of():
    net = ns.Network(ns.LIF(N, recurrent=ns.Delays(20, axonal=True, shape="triangle", sigma=1,
                                                   position=[0, 1, 7, 8, 9, 20])),
                     ns.Dense(N, 2), ns.OverTime("mean"), device="reference")
    x = np.random.default_rng(0).random((9, 4, N)) < 0.9
    train = ns.Dataset(x, np.array([0, 1, 0, 1]))
    how = {"epochs": 1, "batch_size": 4, "loss": ns.loss.CrossEntropy(), "progress": False}
    with pytest.warns(ns.TrainingWarning, match=r"lif0: 3 of 6 delays are so long that what recurs never"):
        ns.fit(net, train, optimizer=ns.optim.Adam(1e-3), **how)
    assert any("lif0: 3 of 6 delays" in said for said in ns.diagnose(net, train).findings)


# ---- what is refused


@pytest.mark.parametrize(("make", "said"), [
    (lambda: ns.Delays(3, axonal=1), "axonal must be True or False; got 1"),
    (lambda: ns.Dense(2, 3, delays=late()), r"of synapses; one for each input .* ns\.Delay\(max=3\)"),
    (lambda: ns.Network(ns.LIF(1 << 10, recurrent=ns.Delays(1 << 10))), "have 1,074,790,400 weights of all"),
    (lambda: ns.export_c(network(axonal=False), "never"), "late: delays that are not whole steps cannot be"),
    (lambda: ns.LIF(4, recurrent=late(kernels=2)), "comes back once, but its delays have kernels=2"),
    (lambda: ns.GRU(4, reset_after=False, recurrent=late()), "delays cannot be in the recurrence of GRUBe"),
    (lambda: ns.LIF(4, recurrent={"max": 0}), "Delays: max must be a positive integer; got 0"),
    (lambda: ns.Network(ns.LIF(4, recurrent=late(position=4))), r"delay lies within \(0, 3\); got 4"),
    (lambda: ns.MembraneNorm(ns.LIAF(4, recurrent=late()), ns.LayerNorm()), "must not be recurrent"),
    (lambda: ns.rules.EProp(network()), "it has delays in its recurrence, for which there are no traces"),
    (lambda: ns.export_c(network(), "never"), "late: delays that are not whole steps cannot be"),
    (lambda: ns.nir.write(network(), "never.nir"), "delays that are spread over steps have no place"),
    (lambda: network().run(data(), {"dense0": None, "late": network().initial_state(5)["late"]._replace(
        coming=np.zeros((5, N)))}), r"coming must have shape \(5, 4, 6\); got shape \(5, 6\)"),
    (lambda: network().layers["late"].fixed.__setitem__("sigma", [0.5]), "must be a number of steps from 1"),
    (lambda: network().params.__setitem__("late.delay", np.full(N, 9.0)), r"within \(0, 3\); got 9")])
def test_refused(make, said):
    with pytest.raises((ValueError, TypeError, ns.ExportError), match=said):
        make()
