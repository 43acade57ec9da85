"""Graphs: branches, skip connections, concatenation, feedback; gradients, bits, files, what is refused."""

import json

import numpy as np
import pytest
from compare import check_gradients_of, dot, normal_like, same_bits, same_states

import numsnn as ns
from numsnn.signals.spikes import Spikes

DEVICES = ("reference", "cpu")


def data(seed=0, steps=7, batch=5, n=4, classes=3):
    rng = np.random.default_rng(seed)
    return rng.normal(0.5, 1, (steps, batch, n)), rng.integers(0, classes, batch)


def feedback(device="reference", **more):
    """Two populations, the second one feeding back into the first, as in the SRNN for gestures."""
    first = ns.ALIF(6, v_threshold=0.1, learn=("tau_mem", "tau_adp"), surrogate="gaussian", name="first")
    second = ns.LIF(5, v_threshold=0.1, surrogate="gaussian", name="second")
    return ns.Network(ns.Dense(4, 6, weight=("normal", 0, 2)),
                      ns.Previous("second", name="late"),
                      ns.Dense(5, 6, weight=("normal", 0, 2), name="back"), ns.Add("dense0", "back"), first,
                      ns.Dense(6, 5, weight=("normal", 0, 2)), second,
                      ns.Dense(5, 3), ns.LI(3, tau_mem=3), ns.OverTime("mean"), seed=1, device=device, **more)


def branches(device="reference", **more):
    a = ns.LIF(6, surrogate="gaussian", v_threshold=0.2, name="a")
    b = ns.LIF(5, surrogate="gaussian", v_threshold=0.2, name="b")
    return ns.Network(ns.Dense(4, 6), a, ns.Dense(6, 5), b,
                      ns.From("a"), ns.Dense(6, 4), ns.Activation("tanh", name="c"),
                      ns.Concatenate("b", "c", "a", name="all"),
                      ns.Residual(ns.Dense(15, 15), ns.Activation("tanh")),
                      ns.Residual(ns.Dense(15, 7), shortcut=ns.Dense(15, 7)),
                      ns.Previous("add1"), ns.Add("previous0", "add1"),
                      ns.Dense(7, 3), ns.OverTime("mean"), seed=1, device=device, **more)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("make", [feedback, branches])
@pytest.mark.parametrize("lengths", [None, np.array([7, 3, 1, 0, 5])])
def test_gradients(make, device, lengths):
    x, labels = data()
    assert max(ns.check_gradients(make(device), x, labels, lengths=lengths).values()) < 1e-6


@pytest.mark.parametrize("make", [feedback, branches])
def test_gradients_of_state_input_and_hidden_fields(make):
    net, rng = make(dtype="float64").smoothed(), np.random.default_rng(3)
    x, lengths = rng.normal(size=(6, 3, 4)), np.array([6, 2, 4])
    state = net.initial_state(3)
    for name in state:
        if name != "overtime0":
            state[name] = normal_like(state[name], rng, 0.3)
    y, after, tape = net.forward(x, state, lengths=lengths)
    layer = "first" if make is feedback else "a"
    dy = rng.normal(size=y.shape)
    hidden = {"spike": rng.normal(size=(6, 3, 6)), "rate": rng.normal(size=(3, 6))}
    hidden["spike"] *= np.arange(6)[:, None, None] < lengths[:, None]
    dafter = {name: normal_like(s, rng) for name, s in after.items()}
    dafter["overtime0"] = type(dafter["overtime0"])(*(np.zeros_like(a) for a in dafter["overtime0"]))

    def value():
        y, after, seen = net.run(x, state, lengths=lengths, record={layer: tuple(hidden)})
        of_hidden = dot((seen[layer][field] for field in hidden), hidden.values())
        of_state = sum(dot(s, dafter[name]) for name, s in after.items() if s is not None)
        return (y * dy).sum() + of_hidden + of_state

    grads, dstate, dx = net.backward(tape, dy, dafter, {layer: hidden}, want_dx=True)
    pairs = [(net.params[k], grads[k]) for k in grads] + [(x, dx)]
    for name, s in state.items():
        if s is not None and name != "overtime0":
            pairs += zip(s, dstate[name], strict=True)
    assert len(pairs) > 12
    check_gradients_of(value, pairs, rng, 5)


@pytest.mark.parametrize("device", DEVICES)
def test_feedback_is_the_recurrence_of_a_population(device):
    """Previous and Dense around a population are its own recurrence: equal answers, gradients and state."""
    rng = np.random.default_rng(0)
    x, labels = data()
    v, bias = rng.normal(size=(6, 6)), rng.normal(size=6)
    more = {"dtype": "float64", "device": device}
    settings = {"v_threshold": 0.3, "tau_mem": 4.0, "surrogate": "gaussian"}
    inner = ns.LIF(6, recurrent=True, recurrent_init=v, recurrent_bias_init=bias, **settings)
    own = ns.Network(ns.Dense(4, 6, weight=("normal", 0, 2)), inner, ns.Dense(6, 3), ns.OverTime("mean"),
                     **more)
    net = ns.Network(ns.Dense(4, 6, weight=own.params["dense0.weight"]),
                     ns.Previous("lif0"), ns.Dense(6, 6, weight=v, bias=bias, name="v"),
                     ns.Add("dense0", "v"), ns.LIF(6, **settings),
                     ns.Dense(6, 3, weight=own.params["dense1.weight"], name="out"), ns.OverTime("mean"),
                     **more)
    loss = ns.loss.CrossEntropy()
    a, b = (n.loss_and_gradients(loss, x, labels) for n in (own, net))
    assert abs(a.loss - b.loss) < 1e-12
    assert np.abs(a.y - b.y).max() < 1e-12
    assert own.run(x, record="rate")[2]["lif0"]["rate"].mean() > 0.05
    names = {"dense0.weight": "dense0.weight", "lif0.recurrent": "v.weight", "lif0.recurrent_bias": "v.bias",
             "dense1.weight": "out.weight"}
    for mine, theirs in names.items():
        assert np.abs(a.grads[mine] - b.grads[theirs]).max() < 1e-12
    assert np.abs(a.state["lif0"].v - b.state["lif0"].v).max() < 1e-12


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("make", [feedback, branches])
def test_chunks_steps_and_threads_give_the_same_bits(make, device):
    x, labels = data(steps=9)
    net = make(device)
    y, state = net.run(x)
    _, middle = net.run(x[:4])
    rest, after = net.run(x[4:], middle)
    assert rest.tobytes() == y.tobytes()
    one = None
    for t in range(9):
        last, one = net.step(x[t], one)
    assert last.tobytes() == y.tobytes()
    assert same_states(state, after)
    assert same_states(state, one)
    by_chunks = make(device, chunk=2)
    assert by_chunks.run(x)[0].tobytes() == y.tobytes()
    results = []
    for n in (1, 3):
        ns.set_num_threads(n)
        results.append(by_chunks.loss_and_gradients(ns.loss.CrossEntropy(), x, labels))
    assert all(results[0].grads[name].tobytes() == results[1].grads[name].tobytes() for name in net.params)


def test_devices_give_the_same_bits():
    x, _ = data(steps=9)
    for make in (feedback, branches):
        _, states, seen = make(DEVICES[0]).run(x, record="rate")
        _, others, other_seen = make(DEVICES[1]).run(x, record="rate")
        populations = {name: s for name, s in states.items() if name in ("first", "second", "a", "b")}
        assert same_states(populations, others)
        for name in seen:
            assert seen[name]["rate"].tobytes() == other_seen[name]["rate"].tobytes()


def test_padding_changes_nothing():
    """A padded sample answers as it does alone and unpadded, in a cycle too."""
    x, _ = data(steps=9)
    lengths = np.array([9, 4, 1, 6, 9])
    for make in (feedback, branches):
        net = make()
        y, state, seen = net.run(x, lengths=lengths, record="rate")
        for b, n in enumerate(lengths):
            one = slice(b, b + 1)
            alone, alone_state, alone_seen = net.run(x[:n, one], record="rate")
            assert alone.tobytes() == y[one].tobytes()
            for name, s in alone_state.items():
                assert s is None or same_bits(s, (a[one] for a in state[name]))
            for name in seen:
                assert np.allclose(alone_seen[name]["rate"], seen[name]["rate"][one], rtol=1e-12, atol=0)


def test_a_cycle_without_steps_or_samples():
    """Nothing in, nothing out, gradients of zero."""
    net = feedback(dtype="float64")
    for steps, batch in ((0, 3), (4, 0)):
        y, state, tape = net.forward(np.zeros((steps, batch, 4)))
        grads, _, dx = net.backward(tape, np.ones_like(y), want_dx=True)
        assert y.shape == (batch, 3)
        assert dx.shape == (steps, batch, 4)
        assert state["first"].v.shape == (batch, 6)
        assert grads.keys() == net.params.keys()
        assert not any(g.any() for name, g in grads.items() if name != "dense2.bias")


def test_pictures():
    """A residual block of pictures with a strided shortcut, and channels beside each other."""
    block = ns.Residual(ns.Conv2d(3, 4, 3, stride=2, padding=1), ns.LayerNorm(),
                        shortcut=(ns.Conv2d(3, 4, 1, stride=2),))
    net = ns.Network(ns.Conv2d(2, 3, 3, padding=1), ns.LIAF((3, 6, 6), name="stem"), block,
                     ns.Concatenate("add0", "add0"), ns.Conv2d(8, 2, 3), ns.Dense(2, 3), ns.OverTime("mean"),
                     input_shape=(2, 6, 6), dtype="float64")
    rng = np.random.default_rng(0)
    assert net.layers["concatenate0"].shape_out == (8, 3, 3)
    x, labels = rng.normal(size=(3, 2, 2, 6, 6)), np.array([0, 2])
    assert max(ns.check_gradients(net, x, labels).values()) < 1e-6


def shown(*repeat, device):
    return ns.Network(ns.Dense(4, 6, weight=("normal", 0, 1)), *repeat, ns.LIAF(6),
                      ns.Dense(6, 3, name="out"), ns.OverTime("mean"), dtype="float64", device=device)


@pytest.mark.parametrize("device", DEVICES)
def test_repeat_computes_a_still_frame_once(device):
    """A frame and Repeat are the frame shown several times, answers and gradients; lengths count frames."""
    rng = np.random.default_rng(0)
    short, long = shown(ns.Repeat(4), device=device), shown(device=device)
    for name in short.params:
        long.params[name] = short.params[name]
    x, labels, lengths = rng.normal(size=(2, 3, 4)), np.array([0, 1, 2]), np.array([2, 1, 2])
    a = short.loss_and_gradients(ns.loss.CrossEntropy(), x, labels, lengths=lengths)
    b = long.loss_and_gradients(ns.loss.CrossEntropy(), np.repeat(x, 4, 0), labels, lengths=lengths * 4)
    assert np.abs(a.y - b.y).max() < 1e-14
    assert all(np.abs(a.grads[name] - b.grads[name]).max() < 1e-13 for name in a.grads)
    assert short.run(x > 0)[0].tobytes() == long.run(np.repeat(x > 0, 4, 0))[0].tobytes()
    y, _ = short.step(x[0])
    assert y.tobytes() == long.run(np.repeat(x[:1], 4, 0))[0].tobytes()


def test_any_layer_can_be_recorded():
    x, _ = data()
    for net in (branches(), feedback()):
        _, _, seen = net.run(x, record={name: "y" for name in net.layers})
        assert seen.keys() == net.layers.keys()
        for name, layer in net.layers.items():
            want = (7, 5, layer.size_out) if layer.answers_each_step else (5, 3)
            assert seen[name]["y"].shape == want
        for name, node in net.graph.nodes.items():
            if isinstance(node.layer, ns.Add):
                assert np.array_equal(seen[name]["y"], sum(seen[source]["y"] for source in node.sources))
            if isinstance(node.layer, ns.Previous):
                y, of_source = seen[name]["y"], seen[node.sources[0]]["y"]
                assert np.array_equal(y[1:], of_source[:-1])
                assert not y[0].any()


def test_saved_and_loaded(tmp_path):
    x, _ = data()
    for make in (feedback, branches):
        net = make()
        ns.save(net, tmp_path / "net.h5")
        other = ns.load(tmp_path / "net.h5")
        assert other.run(x)[0].tobytes() == net.run(x)[0].tobytes()
        assert json.loads(json.dumps(net.config())) == json.loads(json.dumps(other.config()))
        assert repr(other) == repr(net)
        assert "Previous(" in net.summary()


def test_joined_spikes():
    rng = np.random.default_rng(0)
    parts = [rng.integers(0, 3, (4, 3, n)) * (rng.random((4, 3, n)) < 0.4) for n in (5, 1, 70000)]
    spikes = [Spikes.from_dense(p) for p in parts]
    assert np.array_equal(Spikes.join(spikes, 2).dense(), np.concatenate(parts, 2))
    for axis in (0, 1):
        pair = [parts[0], np.concatenate((parts[0], parts[0][::-1]), axis) > 0]
        joined = Spikes.join([Spikes.from_dense(p) for p in pair], axis)
        assert np.array_equal(joined.dense(), np.concatenate(pair, axis))
        whole = Spikes.from_dense(parts[0])
        cut = [whole[:1], whole[1:]] if axis == 0 else [whole.select([0]), whole.select([1, 2])]
        assert Spikes.join(cut, axis).index is whole.index
        assert np.array_equal(Spikes.join(cut, axis).dense(), parts[0])
    assert np.array_equal(Spikes.from_dense(parts[0]).repeated(3).dense(), np.repeat(parts[0], 3, 0))


@pytest.mark.parametrize(("layers", "message"), [
    (lambda: (ns.Dense(4, 4), ns.Add("dense0", "lif0"), ns.LIF(4)),
     "layer add0: takes what 'lif0' hands out, but no such layer stands before it.*a loop within a step"),
    (lambda: (ns.Dense(4, 4), ns.Add("add0", "dense0")), "layer add0: takes what 'add0' hands out"),
    (lambda: (ns.Dense(4, 4), ns.From("nowhere")), "no such layer stands before it; there are input, dense0"),
    (lambda: (ns.Dense(4, 4), ns.Previous("nowhere", shape=4), ns.Add("dense0", "previous0")),
     "layer previous0: there is no layer 'nowhere'"),
    (lambda: (ns.Dense(4, 4), ns.From("input"), ns.Dense(4, 3)),
     "layer dense0: nothing takes what it hands out"),
    (lambda: (ns.Dense(4, 4, name="a"), ns.Dense(4, 5, name="b"), ns.Add("a", "b")),
     r"layer add0: its sources must have the same shape: a has \(4,\), b has \(5,\)"),
    (lambda: (ns.Residual(ns.Dense(4, 5)),), r"same shape: dense0 has \(5,\), input has \(4,\).*shortcut="),
    (lambda: (ns.Conv2d(1, 2, 3, name="a"), ns.From("input"), ns.Conv2d(1, 2, 5, name="b"),
              ns.Concatenate("a", "b")),
     "same size of pictures"),
    (lambda: (ns.Dense(4, 4), ns.Repeat(3), ns.Add("repeat0", "dense0")),
     "do not keep the same steps: repeat0 has 3 .*, dense0 has 1"),
    (lambda: (ns.Dense(4, 4), ns.Previous("lif0"), ns.Repeat(2), ns.Add("dense0", "repeat0"), ns.LIF(4)),
     "layer repeat0: stands within a cycle"),
    (lambda: (ns.Dense(4, 4), ns.Previous("lif0", shape=5), ns.Dense(5, 4), ns.Add("dense0", "dense1"),
              ns.LIF(4)),
     r"layer previous0: hands out \(5,\), but its source lif0 has \(4,\)"),
    (lambda: (ns.Dense(4, 4), ns.Previous("norm0"), ns.Add("dense0", "previous0"), ns.LayerNorm()),
     "the shape of norm0 is not known here; give shape="),
    (lambda: (ns.Dense(4, 4), ns.Previous("previous0", shape=4), ns.Add("dense0", "previous0")),
     "is a Previous itself"),
    (lambda: (ns.Dense(4, 4), ns.OverTime(), ns.Dense(4, 4)),
     "layer dense1: needs a sequence, but overtime0 answers once per sequence"),
    (lambda: (ns.Dense(4, 4), ns.LIF(4, name="input")), "cannot be named 'input'"),
])
def test_what_is_refused(layers, message):
    with pytest.raises(ValueError, match=message):
        ns.Network(*layers(), input_shape=(1, 8, 8) if "pictures" in message else None)


def test_what_the_layers_refuse():
    refused = (
        (lambda: ns.Add(), "names of layers"),
        (lambda: ns.Concatenate("a", 3), "names of layers"),
        (lambda: ns.Repeat(0), "positive"),
        (lambda: ns.layers.Residual(), "Residual is made of layers"),
        (lambda: ns.Previous("a", shape=0), "positive"),
    )
    for call, message in refused:
        with pytest.raises(ValueError, match=message):
            call()
