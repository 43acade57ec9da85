"""Whole networks on the CUDA device against the reference (see on_cuda.py): answers, gradients, chunks."""

import numpy as np
import pytest
from cuda_compare import EPS, HOST, SIMULATED, close, same, small  # noqa: F401
from cuda_networks import ANSWERS, X, srnn

import numsnn as ns


@pytest.mark.parametrize(("answer", "given"), [
    *((answer, "spikes") for answer in ANSWERS),
    ("sum", "values"),
    ("per step", "values"),
    ("each of softmax", "values"),
])
def test_network(answer, given):
    """The answer, the loss, all gradients, the state; padding; in one go and in two."""
    host, there, loss = srnn("reference", answer), srnn("cuda", answer), ns.loss.CrossEntropy()
    x = ns.Spikes.from_dense(X) if given == "spikes" else (X * 0.7).astype(np.float32)
    lengths = np.array([5, 2, 4]) if given == "spikes" else None
    (y, state), (y_there, state_there) = (net.run(x, lengths=lengths) for net in (host, there))
    assert isinstance(y_there, np.ndarray) and same(y_there, y, 100)
    for name, s in state.items():
        s_there = state_there[name]
        assert (s is None) == (s_there is None)
        assert all(same(a, b, 100) for a, b in zip(s_there or (), s or (), strict=True))
    labels = np.random.default_rng(5).integers(0, 4, y.shape[:-1])
    wanted, found = (net.loss_and_gradients(loss, x, labels, lengths=lengths) for net in (host, there))
    assert abs(found.loss - wanted.loss) <= 20 * EPS * wanted.loss
    assert wanted.grads.keys() == found.grads.keys()
    for name, g in wanted.grads.items():
        assert close(found.grads[name], g, 100), name
    assert sum(map(np.any, wanted.grads.values())) >= len(wanted.grads) - 5
    if lengths is None:
        first, state = there.run(x[:2])
        second, _ = there.run(x[2:], state)
        whole = np.concatenate((first, second)) if y.ndim == 3 else second
        assert np.array_equal(whole, y_there)


def agreed(made, x, labels, **more):
    """The reference's loss and gradients of made(device), with which those of the GPU agree."""
    nets = [made(device) for device in ("reference", "cuda")]
    wanted, found = (net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels, **more) for net in nets)
    assert close(found.y, wanted.y, 100)
    assert all(close(found.grads[name], g, 300) for name, g in wanted.grads.items())
    return wanted


@pytest.mark.parametrize("neuron", [ns.LIAF, ns.LIF])
def test_network_of_pictures(neuron):
    """LIAF-Net's kind of stack: convolution, neurons with settings per channel, pooling, a dense layer.

    Values and spikes between them.
    """
    def made(device):
        by_channel = neuron(per_channel="v_threshold", learn="v_threshold", v_threshold=0.1)
        return ns.Network(ns.Conv2d(1, 2, 3, padding=1), by_channel, ns.AvgPool2d(2), ns.Conv2d(2, 2, 2),
                          neuron(v_threshold=0.1), ns.Flatten(), ns.Dense(4, 3), ns.OverTime("mean"),
                          device=device, seed=3, input_shape=(1, 4, 6))

    x = ns.Spikes.from_dense(np.random.default_rng(11).random((3, 2, 24)) < 0.5)
    assert np.any(agreed(made, x, np.array([0, 2])).grads["conv0.weight"])


def test_groups_of_channels():
    def made(device):
        return ns.Network(ns.Conv2d(2, 4, 3, padding=1, groups=2), ns.LIF(v_threshold=0.1),
                          ns.Conv2d(4, 4, 2, groups=4, bias=False), ns.Flatten(), ns.Dense(12, 3),
                          ns.OverTime("mean"), device=device, seed=3, input_shape=(2, 2, 4))

    x = ns.Spikes.from_dense(np.random.default_rng(11).random((3, 2, 16)) < 0.5)
    wanted = agreed(made, x, np.array([0, 2]))
    assert np.any(wanted.grads["conv0.weight"]) and np.any(wanted.grads["conv1.weight"])


def test_branches_that_are_added():
    def made(device):
        return ns.Network(ns.Dense(5, 6), ns.Residual(ns.LIF(v_threshold=0.1), ns.Dense(6, 6)), ns.LIAF(6),
                          ns.Add("liaf0", "lif0"), ns.Dense(6, 3), ns.OverTime("mean"), device=device, seed=5)

    wanted = agreed(made, ns.Spikes.from_dense(X), np.array([0, 2, 1]), lengths=np.array([5, 2, 4]))
    assert np.any(wanted.grads["dense0.weight"])


@pytest.mark.parametrize("lengths", [None, (5, 2, 4)], ids=["whole", "padded"])
def test_delays_scales_and_thresholds(lengths):
    def made(device):
        return ns.Network(ns.Delay(2), ns.Dense(5, 6, weight=("normal", 0, 1)), ns.Scale(("normal", 1, 0.3)),
                          ns.Threshold(v_threshold=0.1, learn="v_threshold"), ns.Delay((0, 3, 1, 1, 7, 2)),
                          ns.Dense(6, 3), ns.OverTime("mean"), device=device, seed=5)

    more = {} if lengths is None else {"lengths": np.array(lengths)}
    wanted = agreed(made, ns.Spikes.from_dense(X), np.array([0, 2, 1]), **more)
    assert all(np.any(wanted.grads[name]) for name in ("scale0.scale", "threshold0.v_threshold"))
    host, there, x = made("reference"), made("cuda"), np.random.default_rng(3).random(X.shape, np.float32)
    for net in (host, there):
        whole, state = net.run(x)
        parts, after = net.run(x[2:], net.run(x[:2])[1])
        assert np.array_equal(parts, whole)
        assert all(np.array_equal(a, b) for a, b in zip(after["delay1"], state["delay1"], strict=True))
    assert close(there.run(x)[0], host.run(x)[0], 100)


@pytest.mark.parametrize("per", ["neuron", "layer"])
def test_learned_delays(per):
    """Of spikes and of values, between two steps, at both ends and whole; in pieces; a step of training."""
    def made(device):
        net = ns.Network(ns.Dense(5, 6, weight=("normal", 0, 1)), ns.LIF(6, v_threshold=0.3),
                         ns.Delay(max=4, per=per), ns.Dense(6, 3), ns.Delay(max=2, delay=("uniform", 0, 2)),
                         ns.OverTime("mean"), device=device, seed=5)
        if per == "neuron":
            net.params["delay0.delay"] = [0, 4, 2, 0.25, 3.5, 1.75]
        return net

    wanted = agreed(made, ns.Spikes.from_dense(X), np.array([0, 2, 1]), lengths=np.array([5, 2, 4]))
    assert all(np.any(wanted.grads[name]) for name in ("delay0.delay", "delay1.delay"))
    host, there, x = made("reference"), made("cuda"), np.random.default_rng(3).random(X.shape, np.float32)
    for net in (host, there):
        whole, state = net.run(x)
        parts, after = net.run(x[2:], net.run(x[:2])[1])
        assert close(parts, whole, 10)
        assert all(close(a, b, 10) for a, b in zip(after["delay0"], state["delay0"], strict=True))
    assert close(there.run(x)[0], host.run(x)[0], 100)
    for net in (host, there):
        ns.optim.Adam(0.1).update(net.params, wanted.grads)
        assert net.round_delays() and not np.any(np.asarray(net.params["delay0.delay"]) % 1)
    assert np.array_equal(there.params["delay0.delay"], host.params["delay0.delay"])
    assert close(there.run(x)[0], host.run(x)[0], 100)


@pytest.mark.parametrize("sigma", [1.0, 0])
def test_delays_of_synapses(sigma):
    """Spikes and values, padded; in one go and in two."""
    def made(device):
        delays = ns.Delays(3, kernels=2, sigma=sigma)
        return ns.Network(ns.Dense(5, 6, delays=delays, weight=("normal", 0, 1)), ns.LIF(6, v_threshold=0.1),
                          ns.Dense(6, 3, delays=ns.Delays(2, shape="triangle")), ns.OverTime("mean"),
                          device=device, seed=5)

    wanted = agreed(made, ns.Spikes.from_dense(X), np.array([0, 2, 1]), lengths=np.array([5, 2, 4]))
    assert np.any(wanted.grads["dense0.weight"]) and np.any(wanted.grads["dense1.delay"])
    assert np.any(wanted.grads["dense0.delay"]) == (sigma > 0)
    host, there, x = made("reference"), made("cuda"), np.random.default_rng(3).random(X.shape, np.float32)
    whole, state = there.run(x)
    assert close(whole, host.run(x)[0], 100)
    parts, after = there.run(x[2:], there.run(x[:2])[1])
    assert np.array_equal(parts, whole)
    assert np.array_equal(after["dense0"].current, state["dense0"].current)


@pytest.mark.parametrize("axonal", [True, False])
@pytest.mark.parametrize("sigma", [2.5, 0])
def test_delays_in_a_recurrence(sigma, axonal):
    """Spikes and four currents, padded; in one go and in two; the same bytes again."""
    def made(device):
        first, second = (ns.Delays(most, axonal=axonal, shape="triangle", sigma=sigma) for most in (3, 2))
        return ns.Network(ns.Dense(5, 40, weight=("normal", 0, 1)),
                          ns.LIF(40, v_threshold=0.3, recurrent=first, learn="tau_mem"), ns.Dense(40, 12),
                          ns.LSTM(3, recurrent=second), ns.OverTime("mean"), device=device, seed=5)

    labels, lengths = np.array([0, 2, 1]), np.array([5, 2, 4])
    wanted = agreed(made, ns.Spikes.from_dense(X), labels, lengths=lengths)
    assert np.any(wanted.grads["lif0.recurrent"])
    assert all(np.any(wanted.grads[f"{name}.delay"]) == (sigma > 0) for name in ("lif0", "lstm0"))
    host, there, x = made("reference"), made("cuda"), np.random.default_rng(3).random(X.shape, np.float32)
    whole, state = there.run(x)
    assert close(whole, host.run(x)[0], 100)
    parts, after = there.run(x[2:], there.run(x[:2])[1])
    assert np.array_equal(parts, whole)
    assert all(np.array_equal(a, b) for a, b in zip(after["lif0"], state["lif0"], strict=True))
    one, other = (there.loss_and_gradients(ns.loss.CrossEntropy(), x, labels).grads for _ in range(2))
    assert all(np.asarray(g).tobytes() == np.asarray(other[name]).tobytes() for name, g in one.items())
    for net in (host, there):
        ns.optim.Adam(0.1).update(net.params, wanted.grads)
        net.round_delays()
    assert np.array_equal(np.asarray(there.params["lif0.delay"]), host.params["lif0.delay"])
    assert close(there.run(x)[0], host.run(x)[0], 100)


def test_tokens():
    def made(device):
        return ns.Network(ns.Embedding(5, 6, weight=("normal", 0, 1)), ns.LIAF(6, recurrent=True),
                          ns.Dense(6, 3), ns.OverTime("last"), device=device, seed=4)

    tokens = np.random.default_rng(12).integers(0, 5, (4, 3))
    agreed(made, tokens, np.array([0, 2, 1]), lengths=np.array([4, 1, 3]))


def test_forward_and_backward_apart_and_again():
    """The gradient of the input, of other losses, and the same bytes the second time."""
    host, there, x = srnn("reference"), srnn("cuda"), (X * 0.7).astype(np.float32)
    dy = np.random.default_rng(6).standard_normal((3, 4)).astype(np.float32)
    results = []
    for net in (host, there, there):
        y, _, tape = net.forward(x)
        grads, _, dx = net.backward(tape, dy, want_dx=True)
        results.append({"y": y, "dx": dx, **{name: np.asarray(g) for name, g in grads.items()}})
    for name, wanted in results[0].items():
        assert close(results[1][name], wanted, 100), name
        assert results[1][name].tobytes() == results[2][name].tobytes(), name
    weighted = ns.loss.CrossEntropy(label_smoothing=0.1, class_weights=[1, 2, 1, 0.5])
    for loss in (ns.loss.MSE(), ns.loss.NLL(), weighted):
        wanted, found = (net.loss_and_gradients(loss, x, np.array([0, 3, 1])) for net in (host, there))
        assert abs(found.loss - wanted.loss) <= 1e-5 * abs(wanted.loss)
        assert all(close(found.grads[name], g, 200) for name, g in wanted.grads.items())


def test_chunks_and_recomputed_states():
    """A batch in chunks of samples, a sequence in pieces of time, both: the numbers of the whole; twice."""
    lengths = np.array([5, 2, 4])
    by_answer = {
        "sum": (ns.Spikes.from_dense(X), np.array([0, 3, 1])),
        "per step": ((X * 0.7).astype(np.float32), np.random.default_rng(9).integers(0, 4, (5, 3))),
    }
    both = {"chunk": 2, "checkpoint_every": 2}
    for answer, how in (("sum", {"chunk": 2}), ("sum", {"checkpoint_every": 2}), ("per step", both)):
        host, there = srnn("reference", answer), srnn("cuda", answer)
        loss, (x, labels) = ns.loss.CrossEntropy(), by_answer[answer]
        wanted = host.loss_and_gradients(loss, x, labels, lengths=lengths)
        found, again = (there.loss_and_gradients(loss, x, labels, lengths=lengths, **how) for _ in range(2))
        assert abs(found.loss - wanted.loss) <= 20 * EPS * wanted.loss
        assert close(found.y, wanted.y, 100)
        for name, g in wanted.grads.items():
            assert close(found.grads[name], g, 100), name
            assert np.asarray(found.grads[name]).tobytes() == np.asarray(again.grads[name]).tobytes(), name
        for name, s in wanted.state.items():
            assert all(close(a, b, 100) for a, b in zip(found.state[name] or (), s or (), strict=True))


def test_parameters_are_set_and_copied():
    net = srnn("cuda")
    net.params["dense0.weight"] = np.ones((5, 9))
    assert np.array_equal(net.params["dense0.weight"], np.ones((5, 9)))
    assert isinstance(net.params.copy()["dense0.weight"], np.ndarray)
    with pytest.raises(ValueError, match="finite"):
        net.params["dense0.weight"] = np.full((5, 9), np.nan)
    moved = net.clone(device="reference")
    assert np.array_equal(moved.params["alif0.recurrent"], net.params["alif0.recurrent"])
    x = ns.Spikes.from_dense(X)
    assert np.array_equal(net.run(x)[0], net.clone().run(x)[0])
    assert not np.array_equal(net.run(x)[0], srnn("cuda").run(x)[0])


def test_what_the_device_cannot_do_is_refused():
    wide = ns.LIF(6145, recurrent=True, recurrent_init="zeros")
    with pytest.raises(ValueError, match='cannot run layer lif0.*6144 neurons.*use device="cpu"'):
        ns.Network(wide, device="cuda", input_shape=6145)
    net = srnn("cuda")
    with pytest.raises(ValueError, match=r"expected x of shape \(T, B, 5\)"):
        net.run(np.zeros((3, 2, 4), np.float32))


def test_what_does_not_fit_is_refused_before_anything_is_written():
    """States that lie on the device, tapes, gradients and moments: what tests/network/test_doors.py has."""
    net, x, optimizer = srnn("cuda"), ns.Spikes.from_dense(X), ns.optim.Adam(clip_norm=1.0)
    y, state, tape = net.forward(x)
    fields = state["alif0"]
    few, none = srnn("cuda").run(x.select([0]))[1]["alif0"], np.full(fields.v.shape, np.nan, np.float32)
    for bad, what in ((few.v, "v holds 1 samples, but the input 3"), (none, "v is not finite"),
                      (net.loops.put(none), "v is not finite"),
                      (np.zeros((3, 1)), r"v must have shape \(3, 9\)")):
        other = {**state, "alif0": fields._replace(v=bad)}
        for call in (net.run, net.forward):
            with pytest.raises(ValueError, match=r"^state\['alif0'\]." + what):
                call(x, other)
        with pytest.raises(ValueError, match=r"dstate\['alif0'\]." + what):
            net.backward(tape, np.ones_like(y), other)
    with pytest.raises(ValueError, match="of another network"):
        srnn("cuda").backward(tape, np.ones_like(y))
    grads, _ = net.backward(tape, np.ones_like(y))
    optimizer.update(net.params, grads)
    before, moments = net.arrays(), np.asarray(optimizer.state["mean"]["dense0.bias"])
    for bad in (np.full(9, np.nan, np.float32), net.loops.put(np.full(9, np.inf, np.float32)), np.ones(8)):
        with pytest.raises(ValueError, match="the gradient of dense0.bias"):
            optimizer.update(net.params, {**grads, "dense0.bias": bad})
    with pytest.raises(ValueError, match="with another network"):
        optimizer.update(srnn("cuda").params, grads)
    assert all(np.array_equal(a, before[name]) for name, a in net.arrays().items())
    assert np.array_equal(optimizer.state["mean"]["dense0.bias"], moments) and optimizer.steps == 1


def test_steps_are_counted_beyond_what_float32_counts():
    for start in (0, 3):
        host, there = (ns.Network(ns.Dense(1, 2), ns.OverTime("mean", start=start), device=device)
                       for device in ("reference", "cuda"))
        begin = host.initial_state(2)["overtime0"]._replace(
            value=np.full((2, 2), 2.0**22), steps=np.full((2, 1), 2.0**23 - 2), rounds=np.ones((2, 1)))
        state = {"dense0": None, "overtime0": begin}
        x = np.ones((5, 2, 1), np.float32)
        (y, after), (wanted, right) = there.run(x, state), host.run(x, state)
        assert np.array_equal(after["overtime0"].steps, np.full((2, 1), 3))
        assert np.array_equal(after["overtime0"].rounds, right["overtime0"].rounds)
        assert close(y, wanted, 10)


@pytest.mark.gpu
def test_spikes_are_the_cpus_up_to_the_first_that_lies_at_its_threshold():
    """Sums are fused on a GPU.  Until the first spike that one has and the other has not, trains are equal.

    There v is at the threshold to within what rounding can do.
    """
    steps, batch, n = (5, 2, 9) if SIMULATED else (200, 64, 128)
    rng = np.random.default_rng(8)
    x = ns.Spikes.from_dense(rng.random((steps, batch, 40)) < 0.2)
    fields = ("spike", "v", "theta")

    def recorded(device):
        neurons = ns.ALIF(n, recurrent=True, v_threshold=0.1, tau_mem=5.0, tau_adp=20.0)
        net = ns.Network(ns.Dense(40, n, weight=("normal", 0, 1.5)), neurons, device=device, seed=2)
        seen = net.run(x, record={"alif0": fields})[2]["alif0"]
        return [seen[field] for field in fields]

    (here, v, theta), (there, *_) = recorded("cpu"), recorded("cuda")
    differ, flips = here != there, 0
    bound = 4 * EPS * steps * 40 * np.abs(v).max()
    for b in range(batch):
        if differ[:, b].any():
            flips += 1
            t = int(differ[:, b].any(1).argmax())
            assert np.abs(v[t, b] - theta[t, b])[differ[t, b]].max() <= bound
    print(f"{flips} of {batch} samples with a flip in {steps} steps; rate {here.mean():.3f}")
    assert 0.005 < here.mean() < 0.6 and (flips == 0 or not (SIMULATED or HOST))
