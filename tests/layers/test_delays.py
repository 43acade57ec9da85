"""Dense with delays: against plain loops and PyTorch, pieces of sequences, gradients, what is refused."""

from functools import lru_cache
from itertools import pairwise

import numpy as np
import pytest
from compare import by_threads

import numsnn as ns
from numsnn.devices import get
from numsnn.devices.contract import Lagged

WIDTHS = [("gaussian", 1.5), ("gaussian", 0.2), ("triangle", 2.5), ("triangle", 1.0), ("gaussian", 0)]
LENGTHS = np.array([7, 3, 0, 5, 1])
SIZES = 4, 6
MOST = 3


@lru_cache(None)
def network(shape="gaussian", sigma=1.5, kernels=2, device="cpu", **more):
    """One layer alone; shared, because nothing here changes it."""
    delays = ns.Delays(MOST, kernels=kernels, shape=shape, sigma=sigma)
    return ns.Network(ns.Dense(*SIZES, delays=delays, bias=("normal", 0, 1)), device=device, seed=3, **more)


def data(kind="values"):
    rng = np.random.default_rng(1)
    shape = (7, 5, SIZES[0])
    return {"values": rng.normal(0, 1, shape) * (rng.random(shape) < 0.7), "spikes": rng.random(shape) < 0.4,
            "counts": rng.integers(0, 3, shape)}[kind]


def share(k, d, shape, sigma):
    """Of one lag, unnormalised, number by number; from the text of `ns.Delays`."""
    if sigma == 0:
        return float(k == round(d))
    return np.exp(-((k - d) / sigma) ** 2 / 2) if shape == "gaussian" else max(0.0, sigma - abs(k - d))


def kernel(net, shape, sigma):
    """The weights of all lags, (max + 1, n_in, n_out), in float64."""
    layer = net.layers["dense0"]
    found = np.zeros((MOST + 1, *SIZES))
    for (row, j), d in np.ndenumerate(layer.params["delay"].astype(float)):
        e = np.array([share(k, d, shape, sigma) for k in range(MOST + 1)])
        found[:, row % SIZES[0], j] += layer.params["weight"][row, j] * e / e.sum()
    return found


def plain(net, x, weights, lengths=None):
    """(y, the current of the steps that follow), by a loop over inputs' steps and lags."""
    lengths = np.full(x.shape[1], len(x)) if lengths is None else lengths
    sums = np.zeros((len(x) + MOST, x.shape[1], SIZES[1]))
    for b, n in enumerate(lengths):
        for t in range(n):
            for k in range(MOST + 1):
                sums[t + k, b] += x[t, b].astype(float) @ weights[k]
    coming = np.array([sums[n:n + MOST, b] for b, n in enumerate(lengths)])
    return sums[:len(x)] + net.params["dense0.bias"], coming


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("kind", ["values", "spikes", "counts"])
@pytest.mark.parametrize("width", WIDTHS)
def test_against_a_plain_loop(width, kind, device):
    net, x = network(*width, device=device, dtype="float64"), data(kind)
    for lengths in (None, LENGTHS):
        y, state = net.run(x, lengths=lengths)
        expected, coming = plain(net, x, kernel(net, *width), lengths)
        assert np.abs(y - expected).max() < 1e-13
        assert np.abs(state["dense0"].current - coming).max() < 1e-13


@pytest.mark.parametrize("width", WIDTHS)
def test_against_a_convolution_over_time_of_pytorch(width):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    net, x = network(*width, dtype="float64"), data()
    y, _, tape = net.forward(x)
    dy = np.random.default_rng(2).normal(size=y.shape)
    _, _, dx = net.backward(tape, dy, want_dx=True)
    padded = torch.tensor(np.concatenate((np.zeros((MOST, 5, SIZES[0])), x)).transpose(1, 2, 0))
    padded.requires_grad_()
    weights = torch.tensor(kernel(net, *width)[::-1].transpose(2, 1, 0).copy())    # correlates: lags reversed
    theirs = torch.nn.functional.conv1d(padded, weights, torch.tensor(net.params["dense0.bias"]))
    theirs.backward(torch.tensor(dy.transpose(1, 2, 0)))
    assert np.abs(y - theirs.detach().numpy().transpose(2, 0, 1)).max() < 1e-13
    assert np.abs(dx - padded.grad.numpy().transpose(2, 0, 1)[MOST:]).max() < 1e-13


# ---- bits


@pytest.mark.parametrize("kind", ["values", "spikes", "counts"])
@pytest.mark.parametrize("sigma", [1.5, 0])
def test_devices_pieces_and_steps_have_the_same_bits(kind, sigma):
    x = data(kind)
    x = x.astype("f4") if kind == "values" else x
    whole, after = network(sigma=sigma).run(x)
    for device in ("reference", "cpu"):
        net = network(sigma=sigma, device=device)
        for ends in ([0, 7], [0, 1, 4, 7]):
            state, parts = None, []
            for first, last in pairwise(ends):
                part, state = net.run(x[first:last], state)
                parts.append(part)
            assert np.concatenate(parts).tobytes() == whole.tobytes()
            assert state["dense0"].current.tobytes() == after["dense0"].current.tobytes()
        state = None
        for now, then in zip(x, whole, strict=True):
            y, state = net.step(now, state)
            assert y.tobytes() == then.tobytes()
        assert (net._steppers[5] is not None) == (device == "cpu")      # in one compiled call


def test_a_compiled_step_sees_what_has_changed():
    net, x = network(sigma=1.5, device="cpu"), data("values").astype("f4")
    layer, seen = net.layers["dense0"], []
    changes = {"nothing": lambda: None, "weights": lambda: np.negative(*[layer.params["weight"]] * 2),
               "delays": lambda: np.floor(*[layer.params["delay"]] * 2),
               "width": lambda: layer.narrow_delays(0.5), "whole": layer.round_delays,
               "whole weights": lambda: np.negative(*[layer.params["weight"]] * 2),
               "bias": lambda: layer.params["bias"].fill(3)}
    for what, change in changes.items():
        change()
        y = np.stack([net.step(x[0], net.run(x)[1])[0], net.step(x[1])[0]])
        assert y[0].tobytes() == net.run(x[:1], net.run(x)[1])[0][0].tobytes(), what
        assert y[1].tobytes() == net.run(x[1:2])[0][0].tobytes(), what
        assert y.tobytes() not in seen, what
        seen.append(y.tobytes())


def test_spikes_are_values_to_the_bit_and_padded_steps_are_not_remembered():
    x, net = data("spikes"), network(chunk=2)
    y = net.run(x.astype("f4"), net.run(x, lengths=LENGTHS)[1])[0]
    for b, n in enumerate(LENGTHS):
        whole, _ = net.run(np.concatenate((x[:n, b:b + 1], x[:, b:b + 1])))
        assert whole[n:].tobytes() == y[:, b:b + 1].tobytes()


def test_threads_change_nothing():
    rng = np.random.default_rng(4)
    x, labels = rng.random((40, 24, 30)) < 0.2, rng.integers(0, 4, 24)
    delays = ns.Delays(MOST)
    net = ns.Network(ns.Dense(30, 50, delays=delays), ns.LIF(50, v_threshold=0.2),
                     ns.Dense(50, 4, delays=delays), ns.OverTime("mean"))
    by_threads(lambda: net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels))


# ---- gradients


def stack(device, *width, **more):
    shape, sigma = width
    delays = ns.Delays(MOST, kernels=2, shape=shape, sigma=sigma)
    return ns.Network(ns.Dense(4, 5, delays=delays), ns.LIF(5), ns.Dense(5, 3, delays=delays, bias=False),
                      ns.OverTime("sum"), device=device, **more)


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("width", WIDTHS)
def test_gradients(width, device):
    x, labels = data(), np.array([0, 1, 2, 1, 0])
    for lengths in (None, LENGTHS):
        errors = ns.check_gradients(stack(device, *width), x, labels, lengths=lengths, samples=30)
        assert len(errors) == 5 and max(errors.values()) < 1e-7


@pytest.mark.parametrize("kind", ["spikes", "counts"])
@pytest.mark.parametrize("sigma", [1.5, 0])
def test_gradients_of_events_are_those_of_values(sigma, kind):
    net, x, labels = stack("cpu", "gaussian", sigma, dtype="float64"), data(kind), np.array([0, 1, 2, 1, 0])
    loss = ns.loss.CrossEntropy()
    of_events = net.loss_and_gradients(loss, x, labels, lengths=LENGTHS)
    of_values = net.loss_and_gradients(loss, x.astype(float), labels, lengths=LENGTHS)
    in_pieces = net.loss_and_gradients(loss, x, labels, lengths=LENGTHS, checkpoint_every=2)
    assert of_events.loss == of_values.loss == in_pieces.loss
    for name, grad in of_events.grads.items():
        assert np.abs(grad).max() > 1e-4 or (name.endswith("delay") and sigma == 0)
        assert np.abs(grad - of_values.grads[name]).max() < 1e-14
        assert np.abs(grad - in_pieces.grads[name]).max() < 1e-14


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("sigma", [1.5, 0])
def test_the_backward_pass_is_the_transpose(device, sigma):
    """<dy, y> + <dafter, after> = <dx, x> + <dcoming, coming>, without bias."""
    rng, net = np.random.default_rng(5), network(sigma=sigma, device=device, dtype="float64")
    lagged = net.layers["dense0"].prepare(None)._replace(bias=np.zeros(SIZES[1]))
    x, coming, loops = data().astype(float), rng.normal(size=(5, MOST, SIZES[1])), get(device)
    for lengths in (None, LENGTHS):
        y, after = loops.lagged_forward(lagged, x, coming, lengths)
        dy, dafter = rng.normal(size=y.shape), rng.normal(size=after.shape)
        dweight, _, dcoming, dx = loops.lagged_backward(lagged, x, dy, dafter, lengths, True)
        out = (dy * y).sum() + (dafter * after).sum()
        assert abs(out - (dx * x).sum() - (dcoming * coming).sum()) < 1e-12
        assert abs(out - (dweight * lagged.weight).sum() - (dcoming * coming).sum()) < 1e-12
        assert isinstance(lagged, Lagged)


def test_in_a_cycle():
    """Lockstep takes the layer one step at a time."""
    loop = ns.Network(ns.Previous("late", shape=5), ns.Concatenate("input", "previous0"), ns.Dense(9, 5),
                      ns.LIF(5), ns.Dense(5, 5, delays=ns.Delays(2), name="late"), ns.Dense(5, 3),
                      ns.OverTime("mean"), input_shape=4, device="reference")
    assert max(ns.check_gradients(loop, data(), np.array([0, 1, 2, 1, 0]), lengths=LENGTHS).values()) < 1e-7


# ---- widths


def test_delays_that_are_rounded_have_one_lag():
    net = stack("cpu", "gaussian", 0.1)
    x = data("spikes")
    wide, layer = net.layers["dense0"].prepare(None), net.layers["dense0"]
    assert wide.weight.shape == (4, MOST + 1, 5) and wide.lag is None
    layer.round_delays()
    assert layer.sigma == 0 and np.array_equal(layer.params["delay"], np.rint(layer.params["delay"]))
    whole = layer.prepare(None)
    assert np.array_equal(whole.lag.reshape(8, 5), layer.params["delay"])
    assert np.shares_memory(whole.weight, layer.params["weight"])
    y = net.run(x)[0]
    layer.round_delays()
    assert net.run(x)[0].tobytes() == y.tobytes()
    with_lags = ns.Network(ns.Dense(4, 5, delays=ns.Delays(MOST, kernels=2, sigma=0)))
    with_lags.layers["dense0"].params = dict(layer.params)
    assert np.allclose(with_lags.run(x)[0], plain_of(layer, x), atol=1e-6)


def plain_of(layer, x):
    y = np.zeros((*x.shape[:2], layer.n_out))
    for (row, j), d in np.ndenumerate(layer.params["delay"].astype(int)):
        y[d:, :, j] += layer.params["weight"][row, j] * x[:len(x) - d, :, row % layer.n_in]
    return y


def test_a_narrow_gaussian_and_triangle_at_whole_delays_are_the_rounded_ones():
    for shape, sigma in (("gaussian", 0.1), ("triangle", 1.0)):
        layer = ns.Network(ns.Dense(4, 5, delays=ns.Delays(5, shape=shape, sigma=sigma))).layers["dense0"]
        layer.params["delay"] = np.rint(layer.params["delay"])
        lags = np.arange(6)[:, None] == layer.params["delay"][:, None]
        expected = lags * layer.params["weight"][:, None]
        assert np.abs(layer.prepare(None).weight - expected).max() < 1e-7


def test_annealing(tmp_path):
    """Widths by epoch, whole delays at the end; resumed to the bit; positions stay within bounds."""
    def made():
        return ns.Network(ns.Dense(4, 5, delays=ns.Delays(4)), ns.LIF(5, v_threshold=0.3),
                          ns.Dense(5, 3, delays=ns.Delays(2, shape="triangle")), ns.OverTime("mean"),
                          device="reference")

    train, widths = ns.Dataset(data("spikes"), np.arange(5) % 3), []
    how = {"loss": ns.loss.CrossEntropy(), "batch_size": 5, "progress": False, "keep_best": False}

    def fit(net, epochs, **more):
        optimizer = ns.optim.Adam(0.02, factors={"*.delay": 100})
        seen = lambda epoch: widths.append([epoch.net.layers[name].sigma for name in ("dense0", "dense1")])
        ns.fit(net, train, epochs=epochs, optimizer=optimizer, callbacks=[ns.AnnealDelays(over=3), seen],
               **how, **more)

    whole = made()
    fit(whole, 5, checkpoint=tmp_path / "whole.h5")
    assert np.allclose(widths, [[2, 1], [1, 1], [0.5, 1], [0, 0], [0, 0]])
    delay = whole.params["dense0.delay"]
    assert 0 <= delay.min() and delay.max() <= 4
    for epochs, resume in ((2, False), (5, True)):
        again = made()
        fit(again, epochs, checkpoint=tmp_path / "again.h5", resume=resume)
    assert again.same_as(whole)
    assert ns.load(tmp_path / "again.h5").same_as(whole)


def test_annealing_ends_where_it_shall():
    for shape, end in (("gaussian", 0.1), ("triangle", None)):
        net = ns.Network(ns.Dense(4, 5, delays=ns.Delays(7, shape=shape)), dtype="float64")
        anneal, layer = ns.AnnealDelays(over=4, end=end), net.layers["dense0"]
        for epoch, sigma in enumerate((3.5, None, None, end or 1.0, 0.0)):
            anneal.before_epoch(net, epoch)
            assert sigma is None or layer.sigma == sigma


@pytest.mark.filterwarnings("ignore::numsnn.TrainingWarning")     # it begins without a spike
def test_delays_are_found():
    """A pattern of spikes that differs only in their order in time is told apart by delays alone."""
    x = np.zeros((8, 2, 2), bool)
    x[0, 0, 0] = x[4, 0, 1] = x[4, 1, 0] = x[0, 1, 1] = True
    net = ns.Network(ns.Dense(2, 2, delays=ns.Delays(6), weight=("constant", 0.6), bias=False),
                     ns.LIF(2, tau_mem=0.5), ns.OverTime("sum"), device="reference", seed=1)
    weight = net.params["dense0.weight"].copy()
    ns.fit(net, ns.Dataset(x, [0, 1]), loss=ns.loss.CrossEntropy(), epochs=60, batch_size=2, progress=False,
           keep_best=False, callbacks=[ns.AnnealDelays(over=50)],
           optimizer=ns.optim.Adam(0.1, factors={"*.weight": 0}))
    assert np.array_equal(net.params["dense0.weight"], weight)
    assert (net.run(x)[0].argmax(1) == [0, 1]).all()
    lag = net.layers["dense0"].prepare(None).lag[0]
    assert lag[0, 0] == lag[1, 0] + 4 and lag[1, 1] == lag[0, 1] + 4


# ---- what it is


def test_saved_and_described(tmp_path):
    net = stack("reference", "triangle", 2.0)
    net.layers["dense0"].narrow_delays(0.5)
    ns.save(net, tmp_path / "n.h5")
    again = ns.load(tmp_path / "n.h5")
    assert again.same_as(net) and again.layers["dense0"].sigma == pytest.approx(2 ** 0.5)
    layer = net.layers["dense0"]
    assert type(layer) is ns.DelayedDense and repr(layer) == "Dense(4, 5, Delays(3, kernels=2, 'triangle'))"
    for cls in (ns.Dense, ns.DelayedDense):
        assert cls.from_config(layer.config()).config() == layer.config()
    assert "dense0: delays 0 ... 3 steps, sigma 1.41" in net.summary() and "70 delays" in net.summary()
    assert ns.Delays(25).sigma == 12.5 and ns.Delays(1, shape="triangle").sigma == 1
    assert type(ns.Dense(4, 5)) is ns.Dense and "delays" not in ns.Dense(4, 5).config()


def test_operations_and_export():
    x = data("spikes")
    net = ns.Network(ns.Dense(4, 5, delays=ns.Delays(MOST, kernels=2)), ns.LIF(5), device="reference")
    assert ns.energy.operations(net, x).layers["dense0"].ac == x.sum() * 5 * (MOST + 1)
    with pytest.raises(ns.ExportError, match=r"dense0: delays that are not whole .*net\.round_delays"):
        ns.export_c(net, "never")
    net.layers["dense0"].round_delays()
    assert ns.energy.operations(net, x).layers["dense0"].ac == x.sum() * 5 * 2


def test_initial_values():
    weight = np.arange(40.0).reshape(8, 5)
    position = np.full((8, 5), 2.5)
    net = ns.Network(ns.Dense(4, 5, delays=ns.Delays(3, kernels=2, position=position), weight=weight))
    assert np.array_equal(net.params["dense0.weight"], weight)
    assert (net.params["dense0.delay"] == 2.5).all()
    drawn = ns.Network(ns.Dense(40, 50, delays=ns.Delays(3, kernels=2))).params["dense0.weight"]
    assert 0.95 < np.abs(drawn).max() / np.sqrt(6 / (2 * 40 + 50)) <= 1


@pytest.mark.parametrize(("make", "said"), [
    (lambda: ns.Delays(0), "Delays: max must be a positive integer; got 0"),
    (lambda: ns.Delays(2.5), "Delays: max must be a positive integer"),
    (lambda: ns.Delays(1 << 17), "max must be 65,536 steps at most; got 131072. Take longer time steps"),
    (lambda: ns.Delays(3, kernels=0), "Delays: kernels must be a positive integer; got 0"),
    (lambda: ns.Delays(3, shape="box"), "shape must be one of 'gaussian', 'triangle'; got 'box'"),
    (lambda: ns.Delays(3, sigma=0.01), "sigma must be a number of steps from 0.1 on for a gaussian, or 0"),
    (lambda: ns.Delays(3, shape="triangle", sigma=0.5), "sigma must be a number of steps from 1 on for a"),
    (lambda: ns.Delays(3, sigma=np.inf), "Delays: sigma must be a number of steps"),
    (lambda: ns.Dense(2, 3, delays=25), r"delays must be Delays, such as ns\.Delays\(max=25\); got 25"),
    (lambda: ns.Dense(1000, 1000, delays=ns.Delays(500)), "501,000,000 weights of all lags, more than"),
    (lambda: ns.Network(ns.Dense(2, 3, delays=ns.Delays(3, position=4))), "delay lies within .0, 3.; got 4"),
    (lambda: ns.Network(ns.Dense(2, 3, delays=ns.Delays(3, position="some"))), "unknown initialiser 'some'"),
    (lambda: ns.Network(ns.Dense(2, 3, delays=ns.Delays(3)), input_shape=4), "expects 2 inputs, but 4"),
    (lambda: ns.AnnealDelays(over=0), "AnnealDelays: over must be a positive integer; got 0"),
    (lambda: ns.AnnealDelays(over=3, end=0), "AnnealDelays: end must be a positive number of steps, or None"),
    (lambda: ns.AnnealDelays(3).before_epoch(ns.Network(ns.Dense(2, 3)), 0), "no layer of this network has"),
    (lambda: ns.AnnealDelays(2, end=0.01).before_epoch(network().clone(), 1), "from 0.1 on for a gaussian")])
def test_refused(make, said):
    with pytest.raises((ValueError, TypeError), match=said):
        make()


def test_positions_outside_of_bounds():
    net = network().clone()
    with pytest.raises(ValueError, match=r"'dense0\.delay': delay lies within \(0, 3\); got -1"):
        net.params["dense0.delay"] = np.full((8, 6), -1.0)
    with pytest.raises(ValueError, match=r"'dense0\.sigma': must be a number of steps from 0\.1 on"):
        net.layers["dense0"].fixed["sigma"] = [-1.0]
    net.layers["dense0"].params["delay"].fill(9)
    assert net.params.project() == 2 * 4 * 6 and (net.params["dense0.delay"] == 3).all()
