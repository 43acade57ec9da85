"""Populations with several currents to a neuron: LSTM, GRU, SimpleRNN (against PyTorch) and LIAF's cells."""

import naive
import numpy as np
import pytest
from compare import central_difference, normal_like, same_states

import numsnn as ns
from numsnn import devices
from numsnn.devices.cpu import blas
from numsnn.layers.layer import Context

CELLS = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1, "LIAFLSTM": 4, "LIAFGRU": 3}       # currents to a neuron
KINDS = [*((kind, {}) for kind in CELLS), ("GRU", {"reset_after": False})]
DEVICES = ("reference", "cpu")


def network(kind, n=5, n_in=3, n_out=4, *, device="cpu", dtype="float64", seed=0, **more):
    """Dense, a gated population, Dense, integrator."""
    currents = ns.Dense(n_in, CELLS[kind] * n, weight=("normal", 0, 1), bias=("normal", 0, 0.5))
    return ns.Network(currents, getattr(ns, kind)(n, **more), ns.Dense(n, n_out), ns.LI(n_out, tau_mem=5),
                      device=device, dtype=dtype, seed=seed)


def data(steps=9, batch=5, n_in=3, n_out=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(0.3, 1.2, (steps, batch, n_in)), rng.integers(0, n_out, (steps, batch))


# ---- PyTorch

# kind -> (class in PyTorch, which of our gates is PyTorch's first, second ..., our options for the same)
TORCH = {
    "LSTM": ("LSTM", (0, 1, 2, 3), {"forget_bias": 0.0}),
    "GRU": ("GRU", (1, 0, 2), {}),
    "SimpleRNN": ("RNN", (0,), {}),
}
NAMES = {"dense0.weight": "weight_ih_l0", "cell.recurrent": "weight_hh_l0", "dense0.bias": "bias_ih_l0",
         "cell.recurrent_bias": "bias_hh_l0"}


def to_torch(a, order):
    """Our gates on the last axis in PyTorch's order on the first one."""
    gates = np.split(a, len(order), axis=-1)
    return np.concatenate([gates[g].T for g in order])


def from_torch(a, order):
    gates = np.split(a, len(order))
    return np.concatenate([gates[order.index(g)] for g in range(len(order))]).T


def run_torch(cell, x, first):
    """(the answer, field -> last state) of a cell of PyTorch."""
    if "c" in first:
        y, (analog, c) = cell(x, (first["analog"], first["c"]))
        return y, {"analog": analog, "c": c}
    y, analog = cell(x, first["analog"])
    return y, {"analog": analog}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", TORCH)
def test_values_and_gradients_against_pytorch(kind, device):
    """Same weights, both biases, random initial state, random gradients of all that comes out; float64."""
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of the classic cells")
    name, order, options = TORCH[kind]
    rng, (steps, batch, n_in, n) = np.random.default_rng(1), (11, 4, 3, 6)
    population = getattr(ns, kind)(n, recurrent_bias_init=("normal", 0, 1), name="cell", **options)
    net = ns.Network(ns.Dense(n_in, CELLS[kind] * n, bias=("normal", 0, 1)), population, dtype="float64",
                     device=device)
    cell = getattr(torch.nn, name)(n_in, n, dtype=torch.float64)
    with torch.no_grad():
        for ours, theirs in NAMES.items():
            getattr(cell, theirs).copy_(torch.tensor(to_torch(net.params[ours], order)))
    x, dy = rng.normal(size=(steps, batch, n_in)), rng.normal(size=(steps, batch, n))
    state = net.initial_state(batch)
    state["cell"] = normal_like(state["cell"], rng)
    first = {field: torch.tensor(a[None], requires_grad=True) for field, a in state["cell"]._asdict().items()}
    x_t = torch.tensor(x, requires_grad=True)
    y_t, last = run_torch(cell, x_t, first)
    y, after, tape = net.forward(x, state)
    assert np.abs(y - y_t.detach().numpy()).max() < 1e-12
    dafter = normal_like(after["cell"], rng)
    for field, a in after["cell"]._asdict().items():
        assert np.abs(a - last[field].detach().numpy()[0]).max() < 1e-12, field
    grads, dstate, dx = net.backward(tape, dy, {"cell": dafter}, want_dx=True)
    value = (y_t * torch.tensor(dy)).sum()
    for field, d in dafter._asdict().items():
        value = value + (last[field][0] * torch.tensor(d)).sum()
    value.backward()
    assert np.abs(dx - x_t.grad.numpy()).max() < 1e-10
    for field, d in dstate["cell"]._asdict().items():
        assert np.abs(d - first[field].grad.numpy()[0]).max() < 1e-10, field
    for ours, theirs in NAMES.items():
        wanted = from_torch(getattr(cell, theirs).grad.numpy(), order)
        assert np.abs(grads[ours] - wanted).max() < 1e-10, ours


# ---- gradients


BIAS = {"recurrent_bias_init": ("normal", 0, 1)}
RESET_BEFORE = {"reset_after": False}
LEARN = ("alpha", "v_threshold")
CASES = [
    *((kind, {}, device) for kind in CELLS for device in DEVICES),
    ("GRU", RESET_BEFORE, "cpu"),
    ("LSTM", {"learn": "forget_bias", **BIAS, "activation": "selu"}, "reference"),
    ("LSTM", {"recurrent": False}, "reference"),
    ("LSTM", {"recurrent": "c"}, "reference"),
    ("GRU", BIAS, "reference"),
    ("GRU", {"recurrent": False}, "reference"),
    ("GRU", RESET_BEFORE, "reference"),
    ("GRU", {**RESET_BEFORE, "activation": "selu", **BIAS}, "reference"),
    ("GRU", {**RESET_BEFORE, "recurrent": False}, "reference"),
    ("LIAFLSTM", {"learn": ("alpha", "beta", "v_threshold", "v_reset"), "surrogate": "atan",
                  "recurrent": True, "v_reset": -0.1}, "reference"),
    ("LIAFLSTM", {"learn": LEARN, "shared": "alpha", "surrogate": "gaussian", "output": "spike",
                  "recurrent": "spike"}, "reference"),
    ("LIAFGRU", {"learn": LEARN, "surrogate": "gaussian", "output": "analog", "activation": "tanh",
                 "v_threshold": 0.1}, "reference"),
    ("LIAFGRU", {"learn": LEARN, "surrogate": "atan", "recurrent": "spike", **BIAS}, "reference"),
]


@pytest.mark.parametrize(("kind", "more", "device"), CASES, ids=str)
def test_gradients_against_central_differences(kind, more, device):
    x, labels = data()
    net = network(kind, device=device, **more)
    loss, lengths = ns.loss.CrossEntropy(steps="mean"), np.array([9, 4, 0, 9, 7])
    errors = ns.check_gradients(net, x, labels, lengths=lengths, loss=loss)
    assert errors.keys() == net.params.keys()
    assert max(errors.values()) < 1e-7, errors


@pytest.mark.parametrize("device", DEVICES)
def test_gradient_of_rates(device):
    """dhidden["rate"] is the gradient of the mean number of spikes per valid step, as `record` gives it.

    Here beside a gradient of the spikes.
    """
    rng, lengths = np.random.default_rng(3), np.array([8, 3, 0, 7])
    population = ns.ALIF(6, recurrent=True, v_threshold=0.2)
    net = ns.Network(ns.Dense(3, 6), population, dtype="float64", device=device).smoothed()
    layer, x = net.layers["alif0"], rng.normal(0.5, 1, (8, 4, 6))
    context = Context(devices.get(device), lengths, True, ("rate", "spike"))
    drate, dspike = rng.normal(size=(4, 6)), rng.normal(size=(8, 4, 6))
    valid = np.arange(8)[:, None, None] < lengths[:, None]
    prepared, state = layer.prepare(context), layer.initial_state(4)

    def value():
        seen = layer.forward(x.copy(), state, prepared, context).seen
        assert np.allclose(seen["rate"], (seen["spike"] * valid).sum(0) / np.maximum(lengths, 1)[:, None])
        return (seen["rate"] * drate).sum() + (seen["spike"] * dspike).sum()

    tape = layer.forward(x.copy(), state, prepared, context).tape
    zero = type(state)(*map(np.zeros_like, state))
    dx = layer.backward(tape, np.zeros_like(x), zero, {"rate": drate, "spike": dspike}, prepared, context).dx
    assert np.abs(dx[:, :2]).max() > 0.01
    for i in rng.permutation(x.size)[:60]:
        at = np.unravel_index(i, x.shape)
        assert abs(central_difference(value, x, at) - dx[at]) < 1e-7, at


# ---- forward


@pytest.mark.parametrize("device", DEVICES)
def test_reset_before_the_product(device, rng):
    """GRU(reset_after=False) against Keras' formula; only with the reset gate open it is the other kind."""
    population = ns.GRU(6, reset_after=False, recurrent_bias_init=("normal", 0, 0.5))
    net = ns.Network(population, input_shape=18, dtype="float64", device=device)
    x, state = rng.normal(size=(11, 3, 18)), net.initial_state(3)
    state["gru0"] = type(state["gru0"])(rng.normal(size=(3, 6)))
    y, last = net.run(x, state)
    weight, bias = net.params["gru0.recurrent"], net.params["gru0.recurrent_bias"]
    for b in range(3):
        want = naive.gru_before(x[:, b], state["gru0"].analog[b], weight, bias)
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
    """Without BLAS the gradients are equal to rounding; what stands after the end of a sequence has none."""
    net = network("GRU", n=7, reset_after=False, dtype="float32")
    x, labels = data(steps=12, batch=9)
    x = x.astype(np.float32)
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
    with_leak = network("LIAFLSTM", device=device, recurrent="analog")
    assert np.abs(liaf.clone().run(x)[0] - with_leak.run(x)[0]).max() > 1e-3


@pytest.mark.parametrize("dtype", ("float32", "float64"))
@pytest.mark.parametrize(("kind", "more"), KINDS, ids=str)
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
    assert same_states(final, state)
    state = None
    for t in range(20):
        z, state = net.step(x[t], state)
        assert z.tobytes() == y[t].tobytes()


POPULATIONS = {
    "ALIF": lambda: ns.ALIF(6, recurrent="v", tau_mem=3, beta=0.2),
    "LIF": lambda: ns.LIF(6, recurrent="v", v_threshold=0.2),
    "LIF v": lambda: ns.LIF(6, recurrent="v", v_threshold=0.2, reset="hard", output="v"),
    "LIAF v": lambda: ns.LIAF(6, recurrent="v", output="spike"),
    "LIAF": lambda: ns.LIAF(6, recurrent="analog", output="spike"),
}


@pytest.mark.parametrize("make", POPULATIONS.values(), ids=POPULATIONS)
def test_values_recur_beside_spikes(make):
    """What recurs is not the spike, but spikes are handed out as events or listed on the tape.

    Inference, training, parts of a sequence and the reference agree bit for bit.
    """
    x = data(steps=16)[0]
    net = ns.Network(ns.Dense(3, 6, weight=("normal", 0, 1)), make(), dtype="float64")
    y, _, seen = net.run(x, record="rate")
    assert 0.05 < next(iter(seen.values()))["rate"].mean() < 0.95
    reference = net.clone(device="reference")
    for other in (net.forward(x)[0], reference.run(x)[0], net.clone(device="reference").forward(x)[0]):
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
    sizes = {}
    for kind in TORCH:
        net = ns.Network(ns.Dense(m, CELLS[kind] * n), getattr(ns, kind)(n))
        sizes[kind] = sum(p.size for p in net.params.values())
    assert sizes == {"LSTM": 80_384, "GRU": 3 * n * (m + n + 2), "SimpleRNN": 20_096}
    assert ns.Network(ns.Dense(m, 3 * n), ns.GRU(n, reset_after=False)).n_params == 3 * n * (m + n + 1)
    without = ns.Network(ns.ALIF(4, recurrent=True, recurrent_bias_init=False))
    assert "alif0.recurrent_bias" not in without.params


def test_a_missing_recurrent_bias_is_a_bias_of_zero():
    x, labels = data()
    some = (("LSTM", "cpu"), ("LSTM", "reference"), ("GRU", "reference"), ("LIAFLSTM", "reference"))
    for kind, device in some:
        without = network(kind, recurrent_bias_init=False, recurrent=True, device=device)
        zero = network(kind, recurrent_bias_init="zeros", recurrent=True, device=device)
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
    message = (r"LSTM\(128\) takes 4 \* 128 = 512 currents, but 128 inputs arrive: "
               r"put Dense\(128, 512\) before it")
    with pytest.raises(ValueError, match=message):
        ns.Network(ns.Dense(28, 128), ns.LSTM(128))
    with pytest.raises(ValueError, match="GRU hands out analog; got 'v'"):
        ns.GRU(3, recurrent="v")


@pytest.mark.parametrize(("kind", "more"), KINDS, ids=str)
def test_saved_and_loaded(kind, more, tmp_path):
    net = network(kind, dtype="float32", activation="sigmoid", recurrent=kind != "LSTM", seed=4, **more)
    ns.save(net, tmp_path / "net.h5")
    back, x = ns.load(tmp_path / "net.h5"), data()[0]
    assert back.run(x)[0].tobytes() == net.run(x)[0].tobytes()
    assert back.layers[f"{kind.lower()}0"].config() == net.layers[f"{kind.lower()}0"].config()
    assert repr(back) == repr(net)
    is_unusual = kind in ("LSTM", "LIAFLSTM")
    assert ("recurrent" in repr(net)) == is_unusual
