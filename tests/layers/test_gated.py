"""Populations with several currents to a neuron: LSTM, GRU and SimpleRNN against PyTorch, LIAF's cells, gates in their order."""

import naive
import numpy as np
import pytest

import numsnn as ns
from numsnn import devices
from numsnn.devices.cpu import blas
from numsnn.layers.layer import Context

CELLS = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1, "LIAFLSTM": 4, "LIAFGRU": 3}
DEVICES = ("reference", "cpu")


def network(kind, n=5, n_in=3, n_out=4, *, device="cpu", dtype="float64", seed=0, **more):
    """Dense, a gated population, Dense, integrator."""
    return ns.Network(ns.Dense(n_in, CELLS[kind] * n, weight=("normal", 0, 1), bias=("normal", 0, 0.5)), getattr(ns, kind)(n, **more),
                      ns.Dense(n, n_out), ns.LI(n_out, tau_mem=5), device=device, dtype=dtype, seed=seed)


def data(steps=9, batch=5, n_in=3, n_out=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(0.3, 1.2, (steps, batch, n_in)), rng.integers(0, n_out, (steps, batch))


# ---- PyTorch

# gates of PyTorch as blocks of ours, and which parameters there are on our side
TORCH = {"LSTM": ("LSTM", (0, 1, 2, 3), {"forget_bias": 0.0}), "GRU": ("GRU", (1, 0, 2), {}), "SimpleRNN": ("RNN", (0,), {})}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", TORCH)
def test_values_and_gradients_against_pytorch(kind, device):
    """Same weights, both biases, random initial state, random gradients of everything that comes out; float64."""
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of the classic cells")
    name, order, options = TORCH[kind]
    rng, (steps, batch, n_in, n) = np.random.default_rng(1), (11, 4, 3, 6)
    net = ns.Network(ns.Dense(n_in, CELLS[kind] * n, bias=("normal", 0, 1)),
                     getattr(ns, kind)(n, recurrent_bias_init=("normal", 0, 1), name="cell", **options), dtype="float64", device=device)
    cell = getattr(torch.nn, name)(n_in, n, dtype=torch.float64)

    def blocks(a, back=False):
        """Our gates on the last axis in PyTorch's order on the first one, or back."""
        if back:
            return np.concatenate([np.split(a, len(order))[order.index(g)] for g in range(len(order))]).T
        return np.concatenate([np.split(a, len(order), axis=-1)[g].T for g in order])

    names = {"dense0.weight": "weight_ih_l0", "cell.recurrent": "weight_hh_l0", "dense0.bias": "bias_ih_l0",
             "cell.recurrent_bias": "bias_hh_l0"}
    with torch.no_grad():
        for ours, theirs in names.items():
            getattr(cell, theirs).copy_(torch.tensor(blocks(net.params[ours])))
    x, dy = rng.normal(size=(steps, batch, n_in)), rng.normal(size=(steps, batch, n))
    state = net.initial_state(batch)
    state["cell"] = type(state["cell"])(*(rng.normal(size=a.shape) for a in state["cell"]))
    first = {field: torch.tensor(a[None], requires_grad=True) for field, a in state["cell"]._asdict().items()}
    x_t = torch.tensor(x, requires_grad=True)
    y_t, last = cell(x_t, (first["analog"], first["c"]) if kind == "LSTM" else first["analog"])
    last = dict(zip(("analog", "c"), last, strict=True)) if kind == "LSTM" else {"analog": last}
    y, after, tape = net.forward(x, state)
    assert np.abs(y - y_t.detach().numpy()).max() < 1e-12
    dafter = type(after["cell"])(*(rng.normal(size=(batch, n)) for _ in after["cell"]))
    for field, a in after["cell"]._asdict().items():
        assert np.abs(a - last[field].detach().numpy()[0]).max() < 1e-12, field
    grads, dstate, dx = net.backward(tape, dy, {"cell": dafter}, want_dx=True)
    ((y_t * torch.tensor(dy)).sum() + sum((last[f][0] * torch.tensor(d)).sum() for f, d in dafter._asdict().items())).backward()
    assert np.abs(dx - x_t.grad.numpy()).max() < 1e-10
    for field, d in dstate["cell"]._asdict().items():
        assert np.abs(d - first[field].grad.numpy()[0]).max() < 1e-10, field
    for ours, theirs in names.items():
        assert np.abs(grads[ours] - blocks(getattr(cell, theirs).grad.numpy(), back=True)).max() < 1e-10, ours


# ---- gradients


@pytest.mark.parametrize(("kind", "more", "device"), [(kind, {}, device) for kind in CELLS for device in DEVICES] + [("GRU", {"reset_after": False}, "cpu")] + [(*c, "reference") for c in (
    ("LSTM", {"learn": "forget_bias", "recurrent_bias_init": ("normal", 0, 1), "activation": "selu"}), ("LSTM", {"recurrent": False}),
    ("LSTM", {"recurrent": "c"}), ("GRU", {"recurrent_bias_init": ("normal", 0, 1)}), ("GRU", {"recurrent": False}),
    ("GRU", {"reset_after": False}), ("GRU", {"reset_after": False, "activation": "selu", "recurrent_bias_init": ("normal", 0, 1)}),
    ("GRU", {"reset_after": False, "recurrent": False}),
    ("LIAFLSTM", {"learn": ("alpha", "beta", "v_threshold", "v_reset"), "surrogate": "atan", "recurrent": True, "v_reset": -0.1}),
    ("LIAFLSTM", {"learn": ("alpha", "v_threshold"), "shared": "alpha", "surrogate": "gaussian", "output": "spike", "recurrent": "spike"}),
    ("LIAFGRU", {"learn": ("alpha", "v_threshold"), "surrogate": "gaussian", "output": "analog", "activation": "tanh", "v_threshold": 0.1}),
    ("LIAFGRU", {"learn": ("alpha", "v_threshold"), "surrogate": "atan", "recurrent": "spike", "recurrent_bias_init": ("normal", 0, 1)}),
)], ids=str)
def test_gradients_against_central_differences(kind, more, device):
    x, labels = data()
    net = network(kind, device=device, **more)
    errors = ns.check_gradients(net, x, labels, lengths=np.array([9, 4, 0, 9, 7]), loss=ns.loss.CrossEntropy(steps="mean"))
    assert errors.keys() == net.params.keys()
    assert max(errors.values()) < 1e-7, errors


@pytest.mark.parametrize("device", DEVICES)
def test_gradient_of_rates(device):
    """dhidden["rate"] is the gradient of the mean number of spikes per valid step, as `record` gives it; beside one of the spikes."""
    rng, lengths = np.random.default_rng(3), np.array([8, 3, 0, 7])
    net = ns.Network(ns.Dense(3, 6), ns.ALIF(6, recurrent=True, v_threshold=0.2), dtype="float64", device=device).smoothed()
    layer, x = net.layers["alif0"], rng.normal(0.5, 1, (8, 4, 6))
    context = Context(devices.get(device), lengths, True, ("rate", "spike"))
    drate, dspike = rng.normal(size=(4, 6)), rng.normal(size=(8, 4, 6))
    valid = np.arange(8)[:, None, None] < lengths[:, None]
    prepared, state = layer.prepare(context), layer.initial_state(4)

    def value():
        seen = layer.forward(x.copy(), state, prepared, context).seen
        assert np.allclose(seen["rate"], (seen["spike"] * valid).sum(0) / np.maximum(lengths, 1)[:, None])
        return (seen["rate"] * drate).sum() + (seen["spike"] * dspike).sum()

    tape, zero = layer.forward(x.copy(), state, prepared, context).tape, type(state)(*map(np.zeros_like, state))
    dx = layer.backward(tape, np.zeros_like(x), zero, {"rate": drate, "spike": dspike}, prepared, context).dx
    assert np.abs(dx[:, :2]).max() > 0.01
    for i in rng.permutation(x.size)[:60]:
        at = np.unravel_index(i, x.shape)
        before = x[at]
        x[at] = before + 1e-6
        above = value()
        x[at] = before - 1e-6
        below = value()
        x[at] = before
        assert abs((above - below) / 2e-6 - dx[at]) < 1e-7, at


# ---- forward


@pytest.mark.parametrize("device", DEVICES)
def test_reset_before_the_product(device, rng):
    """GRU(reset_after=False) against the formula of Keras; with the reset gate open both kinds are one, else they differ."""
    net = ns.Network(ns.GRU(6, reset_after=False, recurrent_bias_init=("normal", 0, 0.5)), input_shape=18, dtype="float64", device=device)
    x, state = rng.normal(size=(11, 3, 18)), net.initial_state(3)
    state["gru0"] = type(state["gru0"])(rng.normal(size=(3, 6)))
    y, last = net.run(x, state)
    for b in range(3):
        want = naive.gru_before(x[:, b], state["gru0"].analog[b], net.params["gru0.recurrent"], net.params["gru0.recurrent_bias"])
        assert np.abs(y[:, b] - np.array([[v.x for v in h] for h in want])).max() < 1e-14
    assert np.array_equal(last["gru0"].analog, y[-1])
    after = ns.Network(ns.GRU(6), input_shape=18, dtype="float64", device=device)
    for name in after.params:
        after.params[name] = net.params[name]
    assert np.abs(after.run(x)[0] - net.run(x)[0]).max() > 0.01
    x[..., 6:12] = 1e3
    assert np.abs(after.run(x)[0] - net.run(x)[0]).max() < 1e-14
    assert np.abs(net.run(x)[0]).max() > 0.1


def test_reset_before_the_product_by_threads_of_plain_loops(rng, monkeypatch):
    """Without BLAS the gradients are the same to rounding, and whatever stands after the end of a sequence has none."""
    net = network("GRU", n=7, reset_after=False, dtype="float32")
    x, labels = (a.astype(a.dtype if a.dtype.kind == "i" else np.float32) for a in data(steps=12, batch=9))
    lengths = np.array([12, 3, 0, 7, 12, 1, 5, 12, 2])
    with_blas = net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels, lengths=lengths).grads
    x[np.arange(12)[:, None] >= lengths] = 1e30
    again = net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels, lengths=lengths).grads
    monkeypatch.setattr(blas, "usable", lambda: False)
    plain = net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels, lengths=lengths).grads
    for name, g in with_blas.items():
        assert np.array_equal(g, again[name]) and np.abs(g).max() > 0, name
        assert np.abs(g - plain[name]).max() < 64 * np.finfo(np.float32).eps * np.abs(g).max(), name


@pytest.mark.parametrize("device", DEVICES)
def test_without_leak_liaf_gates_are_an_lstm(device):
    """alpha = beta = 0: no membrane is left, and the same bits come out; the gradients agree too."""
    x, labels = data()
    lstm = network("LSTM", device=device, forget_bias=0.0)
    liaf = network("LIAFLSTM", device=device, recurrent="analog", alpha=0.0)
    for name, theirs in zip(lstm.params, liaf.params, strict=True):
        liaf.params[theirs] = lstm.params[name]
    y, z = lstm.run(x)[0], liaf.run(x)[0]
    assert np.array_equal(y, z)
    assert np.abs(y).max() > 0.01
    a, b = (net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels).grads for net in (lstm, liaf))
    for name, theirs in zip(a, b, strict=True):
        assert np.abs(a[name] - b[theirs]).max() < 1e-13, name
    assert np.abs(liaf.clone().run(x)[0] - network("LIAFLSTM", device=device, recurrent="analog").run(x)[0]).max() > 1e-3     # with the leak


@pytest.mark.parametrize("dtype", ("float32", "float64"))
@pytest.mark.parametrize(("kind", "more"), [*((kind, {}) for kind in CELLS), ("GRU", {"reset_after": False})], ids=str)
def test_devices_chunks_of_time_and_steps_give_the_same_bits(kind, more, dtype):
    x = data(steps=20, batch=19)[0].astype(dtype)
    net = network(kind, n=37, dtype=dtype, **more)
    lengths = np.random.default_rng(2).integers(0, 21, 19)
    y, final = net.run(x)
    for device, chunk in (("reference", None), ("cpu", 3)):
        other = net.clone(device=device, chunk=chunk)
        assert other.run(x)[0].tobytes() == y.tobytes()
        assert other.run(x, lengths=lengths)[0].tobytes() == net.run(x, lengths=lengths)[0].tobytes()
    state, pieces = None, []
    for part in (x[:7], x[7:8], x[8:]):
        z, state = net.run(part, state)
        pieces.append(z)
    assert np.concatenate(pieces).tobytes() == y.tobytes()
    assert all(a.tobytes() == b.tobytes() for name in final if final[name] for a, b in zip(final[name], state[name], strict=True))
    state = None
    for t in range(20):
        z, state = net.step(x[t], state)
        assert z.tobytes() == y[t].tobytes()


@pytest.mark.parametrize("make", (
    lambda: ns.ALIF(6, recurrent="v", tau_mem=3, beta=0.2), lambda: ns.LIF(6, recurrent="v", v_threshold=0.2),
    lambda: ns.LIF(6, recurrent="v", v_threshold=0.2, reset="hard", output="v"), lambda: ns.LIAF(6, recurrent="v", output="spike"),
    lambda: ns.LIAF(6, recurrent="analog", output="spike")), ids=("ALIF", "LIF", "LIF v", "LIAF v", "LIAF"))
def test_values_recur_beside_spikes(make):
    """What recurs is not the spike, but spikes are handed out as events or listed on the tape: inference, training, parts of a
    sequence and the reference agree bit for bit."""
    x = data(steps=16)[0]
    net = ns.Network(ns.Dense(3, 6, weight=("normal", 0, 1)), make(), dtype="float64")
    y, _, seen = net.run(x, record="rate")
    assert 0.05 < next(iter(seen.values()))["rate"].mean() < 0.95
    for other in (net.forward(x)[0], net.clone(device="reference").run(x)[0], net.clone(device="reference").forward(x)[0]):
        assert other.tobytes() == y.tobytes()
    first, state = net.run(x[:5])
    assert np.concatenate((first, net.run(x[5:], state)[0])).tobytes() == y.tobytes()


def test_spikes_may_arrive_at_gates():
    """A gated population straight behind Spikes: as if they were values."""
    x = np.random.default_rng(0).random((8, 3, 12)) < 0.4
    net = ns.Network(ns.LSTM(3), dtype="float64", input_shape=12)
    assert net.run(x)[0].tobytes() == net.run(x.astype(float))[0].tobytes()


# ---- shapes, sizes, messages


def test_number_of_parameters_is_that_of_keras():
    m, n = 28, 128
    sizes = {kind: sum(p.size for p in ns.Network(ns.Dense(m, CELLS[kind] * n), getattr(ns, kind)(n)).params.values()) for kind in TORCH}
    assert sizes == {"LSTM": 80_384, "GRU": 3 * n * (m + n + 2), "SimpleRNN": 20_096}
    assert ns.Network(ns.Dense(m, 3 * n), ns.GRU(n, reset_after=False)).n_params == 3 * n * (m + n + 1)
    assert "alif0.recurrent_bias" not in ns.Network(ns.ALIF(4, recurrent=True, recurrent_bias_init=False)).params


def test_a_missing_recurrent_bias_is_a_bias_of_zero():
    x, labels = data()
    for kind, device in (("LSTM", "cpu"), ("LSTM", "reference"), ("GRU", "reference"), ("LIAFLSTM", "reference")):
        without, zero = (network(kind, recurrent_bias_init=value, recurrent=True, device=device) for value in (False, "zeros"))
        assert np.array_equal(without.run(x)[0], zero.run(x)[0])
        a, b = (net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels).grads for net in (without, zero))
        assert set(b) - set(a) == {f"{kind.lower()}0.recurrent_bias"}
        assert all(np.array_equal(a[name], b[name]) for name in a)


def test_recurrent_weights_are_orthogonal_over_all_gates():
    w = ns.Network(ns.LSTM(16), dtype="float64", input_shape=64).params["lstm0.recurrent"]
    assert w.shape == (16, 64)
    assert np.abs(w @ w.T - np.eye(16)).max() < 1e-13
    assert ns.Network(ns.LIAFGRU(16)).params["liafgru0.recurrent_bias"].shape == (48,)


def test_gates_before_the_population_and_neurons_after_it():
    net = ns.Network(ns.Dense(3, 24), ns.LSTM((2, 3, 1)), input_shape=3)
    assert net.run(np.zeros((4, 1, 3)))[0].shape == (4, 1, 2, 3, 1)
    with pytest.raises(ValueError, match=r"LSTM\(128\) takes 4 \* 128 = 512 currents, but 128 inputs arrive: put Dense\(128, 512\) before it"):
        ns.Network(ns.Dense(28, 128), ns.LSTM(128))
    with pytest.raises(ValueError, match="GRU hands out analog; got 'v'"):
        ns.GRU(3, recurrent="v")


@pytest.mark.parametrize(("kind", "more"), [*((kind, {}) for kind in CELLS), ("GRU", {"reset_after": False})], ids=str)
def test_saved_and_loaded(kind, more, tmp_path):
    net = network(kind, dtype="float32", activation="sigmoid", recurrent=kind != "LSTM", seed=4, **more)
    ns.save(net, tmp_path / "net.h5")
    back, x = ns.load(tmp_path / "net.h5"), data()[0]
    assert back.run(x)[0].tobytes() == net.run(x)[0].tobytes()
    assert back.layers[f"{kind.lower()}0"].config() == net.layers[f"{kind.lower()}0"].config()
    assert repr(back) == repr(net)
    assert ("recurrent" in repr(net)) == (kind in ("LSTM", "LIAFLSTM"))         # said where it is not what one expects
