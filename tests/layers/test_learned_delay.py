"""Delay by real steps: against lines between them, pieces, lengths, lists, gradients, bounds, files."""

import h5py
import numpy as np
import pytest
from compare import same_bits, same_states
from scipy.interpolate import make_interp_spline
from test_delay import LENGTHS, data, delayed

import numsnn as ns
from numsnn.signals.spikes import Spikes

REAL = np.array([0.0, 4.0, 2.0, 0.25, 3.5, 1.75])


def learned(delay=REAL, most=4, **more):
    of_layer = {key: more.pop(key) for key in ("learn", "per") if key in more}
    layer = ns.Delay(max=most, delay=delay, **of_layer)
    return ns.Network(layer, **{"input_shape": 6, "device": "reference", **more})


def between(x, delays):
    """The line through the steps of each feature, read so much earlier: SciPy's."""
    ahead = int(np.ceil(np.max(delays)))
    rest = np.concatenate((np.zeros((ahead, *x.shape[1:])), x))
    steps = np.arange(-ahead, len(x))
    columns = [make_interp_spline(steps, rest[:, :, n], k=1)(steps[ahead:] - d)
               for n, d in enumerate(np.broadcast_to(delays, x.shape[2]))]
    return np.stack(columns, 2)


@pytest.mark.parametrize("device", ("reference", "cpu"))
@pytest.mark.parametrize("delay", (REAL, 1.3, 4.0), ids=("each", "all", "longest"))
def test_real_delays_against_a_line_through_the_steps(delay, device):
    net = learned(delay, device=device, dtype="float64", chunk=2)
    for x in (data().astype(float), data("counts")):
        assert np.abs(net.run(x)[0] - between(x, delay)).max() < 1e-12
    one = learned(1.3, per="layer", device=device)
    assert one.params["delay0.delay"].shape == (1,)
    assert np.array_equal(one.run(data())[0], learned(1.3, device=device).run(data())[0])


@pytest.mark.parametrize("device", ("reference", "cpu"))
def test_real_delays_in_pieces_and_steps(device):
    x, counts, net = data(), data("counts"), learned(device=device)
    for given in (x, Spikes.from_dense(counts)):
        whole, after = net.run(given)
        first, state = net.run(given[:3])
        rest, state = net.run(given[3:], state)
        assert np.concatenate((first, rest)).tobytes() == whole.tobytes() and same_states(state, after)
    assert whole.tobytes() == learned().run(counts)[0].tobytes()
    whole, after = net.run(x)
    assert whole.tobytes() == learned().run(x)[0].tobytes()
    state = None
    for now, then in zip(x, whole, strict=True):
        y, state = net.step(now, state)
        assert y.tobytes() == then.tobytes()
    assert same_states(state, after) and after["delay0"].past.shape == (5, 4 * 6)
    padded, state = net.run(x, lengths=LENGTHS)
    again = net.run(x, state)[0]
    for b, n in enumerate(LENGTHS):
        both = np.concatenate((x[:n, b:b + 1], x[:, b:b + 1]))
        assert np.abs(again[:, b] - between(both, REAL)[n:, 0]).max() < 1e-5
        assert np.array_equal(padded[:n, b], whole[:n, b])


def test_a_compiled_step_sees_new_delays():
    net, x = learned(device="cpu"), data()
    for delay in (REAL, REAL[::-1], np.rint(REAL)):
        net.params["delay0.delay"][...] = delay
        state = None
        for now, then in zip(x, between(x, delay), strict=True):
            y, state = net.step(now, state)
            assert np.abs(y - then).max() < 1e-5
    assert net._steppers[5] is not None


@pytest.fixture(scope="module")
def trained():
    """(network, x, labels): delays after spikes, after values and in a loop."""
    rng = np.random.default_rng(3)
    net = ns.Network(
        ns.Delay(max=3), ns.Dense(4, 6, weight=("normal", 0, 1)), ns.LIF(6, v_threshold=0.5),
        ns.Delay(max=5),
        ns.Previous("late", shape=6), ns.Concatenate("delay1", "previous0"), ns.Dense(12, 6), ns.LIF(6),
        ns.Delay(max=2, per="layer", name="late"), ns.Dense(6, 3), ns.OverTime("mean"),
        input_shape=4, chunk=2)
    return net, rng.normal(0.5, 1, (9, 5, 4)), rng.integers(0, 3, 5)


@pytest.mark.parametrize("device", ("reference", "cpu"))
@pytest.mark.parametrize("lengths", (None, np.array([9, 3, 1, 5, 9])), ids=("whole", "padded"))
def test_gradients_of_delays(trained, lengths, device):
    net, x, labels = trained[0].to(device), *trained[1:]
    errors = ns.check_gradients(net, x, labels, lengths=lengths)
    assert {"delay0.delay", "delay1.delay", "late.delay"} < errors.keys()
    assert max(errors.values()) < 1e-7
    grads = net.smoothed().loss_and_gradients(ns.loss.CrossEntropy(), x, labels, lengths=lengths).grads
    assert all(np.abs(grads[name]).max() > 1e-4 for name in errors)


def test_at_whole_delays_the_gradient_is_of_the_side_that_there_is():
    """To longer delays, at the longest to shorter ones: y is a line there, and its slope exact."""
    rng, begin = np.random.default_rng(4), np.array([0.0, 1, 2, 3, 4, 4])
    x, dy = rng.normal(size=(7, 5, 6)), rng.normal(size=(7, 5, 6))
    for device in ("reference", "cpu"):
        net = learned(begin, device=device, dtype="float64")
        grads, _ = net.backward(net.forward(x)[2], dy)
        step = np.where(begin < 4, 0.25, -0.25)
        change = between(x, begin + step) - between(x, begin)
        assert np.abs(grads["delay0.delay"] - (dy * change).sum((0, 1)) / step).max() < 1e-11


def test_the_backward_pass_of_real_delays_is_the_transpose():
    for lengths in (None, LENGTHS):
        for device in ("reference", "cpu"):
            net, rng = learned(device=device, dtype="float64"), np.random.default_rng(2)
            state = net.initial_state(5)["delay0"]
            state = state._replace(past=rng.normal(size=state.past.shape))
            x, dy = rng.normal(size=(7, 5, 6)), rng.normal(size=(7, 5, 6))
            y, after, tape = net.forward(x, {"delay0": state}, lengths=lengths)
            dafter = state._replace(past=rng.normal(size=state.past.shape))
            _, dstate, dx = net.backward(tape, dy, {"delay0": dafter}, want_dx=True)
            out = (dy * y).sum() + (dafter.past * after["delay0"].past).sum()
            given = (dx * x).sum() + (dstate["delay0"].past * state.past).sum()
            assert abs(out - given) < 1e-12


def test_threads_and_pieces_of_time_give_the_same_gradients(trained):
    net, x, labels = trained
    loss, before, found = ns.loss.CrossEntropy(), ns.get_num_threads(), []
    for n in (1, 2):
        ns.set_num_threads(n)
        found.append(net.loss_and_gradients(loss, x, labels).grads)
    ns.set_num_threads(before)
    assert all(g.tobytes() == found[1][name].tobytes() for name, g in found[0].items())
    stack = ns.Network(ns.Dense(4, 6), ns.LIF(6), ns.Delay(max=5), ns.Dense(6, 3), ns.OverTime("mean"))
    whole = stack.loss_and_gradients(loss, x, labels).grads
    pieces = stack.loss_and_gradients(loss, x, labels, checkpoint_every=2).grads
    assert all(np.allclose(whole[name], pieces[name], atol=1e-6) for name in whole)


@pytest.mark.parametrize("device", ("reference", "cpu"))
def test_rounded_delays_shift_lists(device, monkeypatch):
    """The numbers of the values, without an array of them; in pieces, padded, with counts on their way."""
    counts = data("counts")
    x, net = Spikes.from_dense(counts), learned(device=device)
    assert net.round_delays() == 3 and net.round_delays() == 0
    assert np.array_equal(net.params["delay0.delay"], [0, 4, 2, 0, 4, 2])       # of halves the even one
    layer, wanted = net.layers["delay0"], delayed(counts, np.rint(REAL).astype(int))
    start = layer.initial_state(5)
    monkeypatch.setattr(Spikes, "dense", None)
    monkeypatch.setattr(Spikes, "from_dense", None)
    for lengths in (None, LENGTHS):
        parts, state = [], start
        for first, last in ((0, 2), (2, 2), (2, 7)):
            of_piece = None if lengths is None else np.clip(lengths - first, 0, last - first)
            context = ns.layers.layer.Context(net.loops, of_piece)
            result = layer.forward(x[first:last], state, layer.prepare(context), context)
            assert isinstance(result.y, Spikes)
            parts.append(result.y)
            state = result.state
        monkeypatch.undo()
        found = np.concatenate([part.dense() for part in parts])
        _check_rows(parts[-1])
        if lengths is None:
            assert np.array_equal(found, wanted)
        else:
            assert all(np.array_equal(found[:n, b], wanted[:n, b]) for b, n in enumerate(lengths))
        values = net.run(counts.astype("f4"), lengths=lengths)[1]["delay0"]
        assert state.past.tobytes() == values.past.tobytes()


def _check_rows(spikes):
    """What the public door says of such lists."""
    _, entry = spikes.entries()
    offsets = np.concatenate(([0], np.cumsum(spikes.count)))
    again = Spikes(spikes.shape, offsets, spikes.index[entry], spikes.multiplicity[entry])
    assert np.array_equal(again.dense(), spikes.dense())


def test_values_on_their_way_are_not_made_counts():
    """What arrived before as values comes out as values: negative ones, and what float32 cannot hold."""
    counts = data("counts")
    for dtype, scale in (("float32", -1.0), ("float64", 0.1)):
        net = learned(np.rint(REAL), dtype=dtype)
        x = np.abs(data().astype(dtype)) * scale
        state = net.run(x)[1]
        both = net.run(np.concatenate((x, counts.astype(dtype))))[0][7:]
        assert net.run(Spikes.from_dense(counts), state)[0].tobytes() == both.tobytes()


def test_learned_delays_stay_within_their_bounds():
    net = learned(np.array([0.0, 4, 2, 0.5, 3.5, 1]))
    ns.optim.SGD(1.0).update(net.params, {"delay0.delay": np.array([9, -9, -9, 0.25, 0.25, 0], "f4")})
    assert np.array_equal(net.params["delay0.delay"], [0, 4, 4, 0.25, 3.25, 1])
    text = net.summary()
    assert "Delay(max=4)" in text and "bounds: delay0.delay (0, 4)" in text
    assert "delay0: 24 values of each sample are on their way, 0.1 kB" in text
    fixed = learned(learn=False)
    assert not fixed.params and np.array_equal(fixed.layers["delay0"].fixed["delay"], REAL)
    grads, _ = fixed.backward(fixed.forward(data())[2], data())
    assert grads == {} and np.array_equal(fixed.run(data())[0], learned().run(data())[0])
    assert fixed.round_delays() == 3 and "learn=False" in fixed.summary()
    nested = ns.Network(ns.TimeDistributed(ns.Delay(max=4)), input_shape=6)
    assert nested.round_delays() == 6
    drawn = learned(None, 9, seed=1).params["delay0.delay"]
    assert 0 <= drawn.min() < 3 and 6 < drawn.max() <= 9
    for bad in (-0.5, 4.5, np.nan):
        with pytest.raises(ValueError, match=r"delay0\.delay'.*(from 0, for what has not arrived|finite)"):
            net.params["delay0.delay"] = np.full(6, bad)


def test_delays_that_diverged_read_nothing_else():
    """A NaN, which a training that diverges writes in place, makes what comes out NaN, and no more."""
    for device in ("reference", "cpu"):
        net = learned(device=device)
        net.params["delay0.delay"][1] = np.nan
        y = net.run(data())[0]
        assert np.isnan(y[:, :, 1]).all() and np.array_equal(y[:, :, 2:], learned().run(data())[0][:, :, 2:])


def test_real_delays_are_saved_written_and_counted(tmp_path):
    for more in ({}, {"per": "layer", "delay": 1.25}, {"learn": False}, {"delay": ("uniform", 1, 2)}):
        net = learned(**more)
        ns.save(net, tmp_path / "n.h5")
        assert ns.load(tmp_path / "n.h5").same_as(net)
        ns.nir.write(net, tmp_path / "n.nir", unit=1e-3)
        again = ns.nir.read(tmp_path / "n.nir", device="reference")
        assert again.layers["delay0"].learn == net.layers["delay0"].learn
        assert same_bits(again.arrays().values(), net.arrays().values())
    with h5py.File(tmp_path / "n.nir") as file:
        seconds = file["node/nodes/delay0/delay"][()]
    assert np.allclose(seconds, net.params["delay0.delay"] * 1e-3, rtol=1e-6)
    net = ns.Network(ns.Delay(max=4, delay=REAL), ns.Dense(6, 3), input_shape=6, device="reference")
    spikes = data("counts") > 0
    layers = ns.energy.operations(net, spikes).layers
    assert layers["delay0"].mac == 2 * spikes[:, :, 3:].sum()
    assert layers["dense0"].mac == 3 * 3 * 7 * 5
    assert layers["dense0"].ac == 3 * delayed(spikes, (0, 4, 2, 9, 9, 9)).sum()
    with pytest.raises(ns.export.ExportError, match=r"delay0: delays that are not whole .*round_delays\(\)"):
        ns.export_c(net, tmp_path / "c")
    assert ns.Delay(max=4, per="layer").config() == {
        "max": 4, "delay": None, "learn": True, "per": "layer", "name": None}


@pytest.mark.parametrize(("given", "message"), (
    ({"max": 0}, "max, the longest delay, must be a whole number of steps from 1 to 65,536; got 0; with"),
    ({"max": -3}, "max, the longest delay, must be a whole number of steps from 1"),
    ({"max": 2.5}, "got 2.5"), ({"max": True}, "got True"), ({"max": 65_537}, "got 65537"),
    ({"steps": 3, "max": 4}, "takes either steps, which are whole and stay as they are, or the longest"),
    ({"steps": 3, "learn": True}, "delay, learn and per are of real delays, of which max= says the longest"),
    ({"steps": 3, "per": "layer"}, "of which max= says"), ({"delay": 3}, "of which max= says"),
    ({"max": 4, "per": "channel"}, "per must be 'neuron' or 'layer'; got 'channel'"),
    ({"max": 4, "learn": "yes"}, "learn must be True or False; got 'yes'"),
    ({"steps": -1}, "a negative delay would hand out what has not arrived yet"),
    ({}, "got None; for delays that are learned say max= instead")), ids=str)
def test_what_is_no_delay_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        ns.Delay(**given)


@pytest.mark.parametrize(("delay", "message"), (
    (5.0, r"delay is a number of steps from 0, for what has not arrived cannot be .* to max = 4; got 5"),
    (-0.1, "from 0, for what has not arrived"),
    (np.zeros(5), r"expected a number or an array of shape \(6,\)"),
    ([1, "late"], "expected a number, an array .*, the name of an initialiser or a function; got a list"),
    ("unifrm", "unknown initialiser 'unifrm'"), (np.full(6, np.inf), "expected finite numbers")))
def test_delays_that_do_not_fit_are_refused(delay, message):
    with pytest.raises(ValueError, match=f"delay0.*{message}"):
        learned(delay)
    with pytest.raises(ValueError, match="hold 20,000,000 values of each sample, more than 16,777,216"):
        learned(1.0, 20_000, input_shape=1000)


def pairs(n, seed, steps=30, apart=8):
    """Two channels, four times each, spike once, so many steps apart: which was first?"""
    rng = np.random.default_rng(seed)
    first, began, sample = rng.integers(0, 2, n), rng.integers(0, steps - apart - 10, n), np.arange(n)
    x = np.zeros((steps, n, 2), bool)
    x[began, sample, first] = x[began + apart, sample, 1 - first] = True
    return ns.Dataset(np.repeat(x, 4, 2), first, name="pairs")


def test_learned_delays_find_what_is_apart():
    """Neurons that forget within two steps cannot tell, nor with delays below 3 that stay."""
    train, test, accuracy = pairs(256, 0), pairs(200, 1), {}
    begin = {"max": 10, "delay": ("uniform", 0, 3)}
    for how, late in (("none", ()), ("fixed", (ns.Delay(**begin, learn=False),)),
                      ("learned", (ns.Delay(**begin),))):
        net = ns.Network(*late, ns.Dense(8, 12), ns.LIF(12, tau_mem=2.0), ns.Dense(12, 2),
                         ns.OverTime("sum"), input_shape=8, seed=1)
        factors = {"*.delay": 10} if net.params.keys() & {"delay0.delay"} else {}
        ns.fit(net, train, epochs=20, batch_size=32, loss=ns.loss.CrossEntropy(), progress=False,
               optimizer=ns.optim.Adam(1e-2, factors=factors))
        accuracy[how] = ns.evaluate(net, test).accuracy
    assert accuracy["none"] < 0.75 and accuracy["fixed"] < 0.85 and accuracy["learned"] > 0.97
    assert net.params["delay0.delay"].max() > 6 and net.round_delays()
    assert ns.evaluate(net, test).accuracy > 0.97
