"""BatchNorm and LayerNorm: values, gradients, running statistics, padding, chunks, what is refused."""

import json

import numpy as np
import pytest
from compare import central_difference

import numsnn as ns
from numsnn.devices.reference import device as reference
from numsnn.layers.layer import Context

SHAPES = ((5,), (3, 7), (4, 3, 2))      # features, channels x length, pictures


def ready(layer, shape, dtype="float64"):
    """A layer by itself, connected and built."""
    layer.connect(shape)
    layer.build(np.random.default_rng(0), np.dtype(dtype), 1.0)
    return layer


def forward(layer, x, lengths=None, tape=True):
    prepared = layer.prepare(Context(reference, None))
    return layer.forward(x.copy(), None, prepared, Context(reference, lengths, tape))


def backward(layer, tape, dy, lengths=None):
    prepared = layer.prepare(Context(reference, None))
    return layer.backward(tape, dy, None, None, prepared, Context(reference, lengths, True))


def valid(x, lengths):
    """(T, B): whether a step is one of its sample."""
    return np.array([[t < lengths[b] for b in range(x.shape[1])] for t in range(x.shape[0])])


@pytest.mark.parametrize("ragged", (False, True), ids=("whole", "ragged"))
@pytest.mark.parametrize("shape", SHAPES, ids=len)
def test_batch_norm_against_torch(shape, ragged):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    rng = np.random.default_rng(1)
    gain, bias = rng.normal(1, 0.3, shape[0]), rng.normal(size=shape[0])
    mine = ready(ns.BatchNorm(momentum=0.3, eps=1e-3, gain=gain, bias=bias), shape)
    kind = torch.nn.BatchNorm2d if len(shape) == 3 else torch.nn.BatchNorm1d
    theirs = kind(shape[0], eps=1e-3, momentum=0.3, dtype=torch.float64)
    theirs.load_state_dict({"weight": torch.tensor(gain), "bias": torch.tensor(bias)}, strict=False)
    n = int(np.prod(shape))
    for batch in range(3):
        x, dy = rng.normal(batch - 1, 2, (6, 4, n)), rng.normal(size=(6, 4, n))
        lengths = np.array([6, 1, 0, 4]) if ragged else np.full(4, 6)
        on = valid(x, lengths)
        xt = torch.tensor(x[on].reshape(-1, *shape), requires_grad=True)
        yt = theirs(xt)
        theirs.zero_grad()
        yt.backward(torch.tensor(dy[on].reshape(-1, *shape)))
        result = forward(mine, x, lengths)
        g = backward(mine, result.tape, dy, lengths)
        for a, b in ((result.y[on], yt.detach()), (g.dx[on], xt.grad)):
            assert np.abs(a - b.numpy().reshape(a.shape)).max() < 1e-10
        by_channel = (
            (g.params["gain"], theirs.weight.grad),
            (g.params["bias"], theirs.bias.grad),
            (mine.fixed["running_mean"], theirs.running_mean),
            (mine.fixed["running_var"], theirs.running_var),
        )
        for a, b in by_channel:
            assert np.abs(a - b.numpy()).max() < 1e-10
        assert not result.y[~on].any()
        assert not g.dx[~on].any()
    theirs.eval()
    x = rng.normal(size=(3, 2, n))
    want = theirs(torch.tensor(x.reshape(-1, *shape))).detach().numpy().reshape(x.shape)
    assert np.abs(forward(mine, x, tape=False).y - want).max() < 1e-10


@pytest.mark.parametrize("options", ({}, {"v_threshold": 0.7, "alpha": 1.3}), ids=("plain", "tdBN"))
@pytest.mark.parametrize("shape", SHAPES, ids=len)
def test_batch_norm_against_finite_differences(shape, options):
    rng = np.random.default_rng(2)
    layer = ready(ns.BatchNorm(gain=("normal", 1, 0.3), bias=("normal", 0, 0.5), **options), shape)
    n, lengths = int(np.prod(shape)), np.array([4, 0, 2])
    x, weights = rng.normal(1, 2, (4, 3, n)), rng.normal(size=(4, 3, n))
    value = lambda: (forward(layer, x, lengths).y * weights).sum()
    g = backward(layer, forward(layer, x, lengths).tape, weights, lengths)
    pairs = [(x, g.dx), *((layer.params[name], g.params[name]) for name in ("gain", "bias"))]
    for a, grad in pairs:
        for place in np.ndindex(a.shape):
            assert abs(grad[place] - central_difference(value, a, place)) < 1e-6


def test_threshold_dependent_batch_norm_against_its_formula():
    """Equation 5 of Zheng et al.

    x_hat = alpha V_th (x - E[x]) / sqrt(Var[x] + eps),
    y = lambda x_hat + beta, lambda = 1 and beta = 0 at first.
    """
    x = np.random.default_rng(3).normal(4, 3, (5, 6, 2 * 9))
    y = forward(ready(ns.BatchNorm(v_threshold=0.5, alpha=1.5, eps=1e-4), (2, 3, 3)), x).y.reshape(5, 6, 2, 9)
    for c in range(2):
        every = x.reshape(5, 6, 2, 9)[:, :, c]
        want = 1.5 * 0.5 * (every - every.mean()) / np.sqrt(every.var() + 1e-4)
        assert np.abs(y[:, :, c] - want).max() < 1e-12
        assert abs(y[:, :, c].std() - 0.75) < 1e-4


def test_inference_is_an_affine_map_of_each_value():
    rng = np.random.default_rng(4)
    layer = ready(ns.BatchNorm(gain=("normal", 1, 0.3), bias=("normal", 0, 0.5)), (3, 4))
    layer.fixed["running_mean"][...] = rng.normal(size=3)
    layer.fixed["running_var"][...] = rng.uniform(0.5, 2, 3)
    kept = {k: v.copy() for k, v in layer.fixed.items()}
    x, lengths = rng.normal(size=(5, 4, 12)), np.array([5, 0, 3, 1])
    y = forward(layer, x, lengths, tape=False).y
    for t, b, n in np.ndindex(x.shape):
        c = n // 4
        gain, bias = layer.params["gain"][c], layer.params["bias"][c]
        centred, deviation = x[t, b, n] - kept["running_mean"][c], np.sqrt(kept["running_var"][c] + 1e-5)
        want = gain * centred / deviation + bias
        assert abs(y[t, b, n] - (want if t < lengths[b] else 0)) < 1e-12
    assert all(np.array_equal(layer.fixed[k], v) for k, v in kept.items())
    apart = [forward(layer, x[t:t + 1, b:b + 1], tape=False).y for t in range(5) for b in range(4)]
    assert np.array_equal(np.reshape(apart, x.shape), forward(layer, x, tape=False).y)


@pytest.mark.parametrize(("shape", "rows"), [((2,), 60000), ((2, 64, 64), 24)], ids=("features", "pictures"))
def test_sums_of_many_float32_values(shape, rows):
    """A channel that does not vary: y = error of the mean / sqrt(eps).

    A pairwise sum (blocks of 128 by 8 accumulators: 16 + 3 additions, then a tree) has a relative error up
    to (12 + log2 n) eps / 2, one in float64 less, and m is rounded once; one accumulator in float32 has
    n eps / 2.
    """
    eps32, n = np.finfo(np.float32).eps, int(np.prod(shape))
    x = np.full((rows, 1, n), 0.1, np.float32)
    y = forward(ready(ns.BatchNorm(), shape, "float32"), x).y
    assert y.dtype == np.float32
    assert np.abs(y).max() <= (13 + np.log2(rows * n)) * eps32 / 2 * 0.1 / np.sqrt(1e-5)
    x = np.random.default_rng(5).normal(30, 1, (rows, 1, n)).astype(np.float32)
    dy = np.random.default_rng(6).normal(0, 1, x.shape).astype(np.float32)
    one, other = (ready(ns.BatchNorm(), shape, dtype) for dtype in ("float32", "float64"))
    single, double = forward(one, x), forward(other, x.astype(np.float64))
    # The rounding of x - m costs 30 eps / 2 for m and as much for the difference, then come a few operations
    # on values up to 6 standard deviations.
    bound = (30 + 6 * 6) * eps32
    assert np.abs(single.y - double.y).max() < bound
    single_dx = backward(one, single.tape, dy).dx
    double_dx = backward(other, double.tape, dy.astype(np.float64)).dx
    assert np.abs(single_dx - double_dx).max() < bound


def network(chunk=None, device="cpu", **more):
    return ns.Network(ns.Dense(4, 9), ns.BatchNorm(v_threshold=1.0, gain=("normal", 1, 0.2)),
                      ns.LIF(9, surrogate="gaussian"), ns.Dense(9, 6), ns.BatchNorm(bias=("normal", 0, 0.2)),
                      ns.LayerNorm(), ns.LI(6), ns.Dense(6, 3), ns.OverTime("mean"),
                      seed=1, chunk=chunk, device=device, **more)


def data(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(0.5, 1, (8, 7, 4)), rng.integers(0, 3, 7), np.array([8, 3, 1, 8, 5, 2, 7])


def test_network_gradients():
    x, labels, lengths = data()
    assert max(ns.check_gradients(network(), x, labels).values()) < 1e-6
    assert max(ns.check_gradients(network(), x, labels, lengths=lengths).values()) < 1e-6


def test_training_sees_the_whole_batch_whatever_the_chunks_and_threads():
    x, _, lengths = data(1)
    before, found = ns.get_num_threads(), []
    try:
        for chunk, threads in ((1, 1), (3, 2), (7, 1)):
            ns.set_num_threads(threads)
            net = network(chunk)
            y, _, tape = net.forward(x, lengths=lengths)
            grads, _ = net.backward(tape, np.ones_like(y))
            running = [net.layers[name].fixed[key] for name in ("norm0", "norm1")
                       for key in ("running_mean", "running_var")]
            found.append((y, running, grads))
    finally:
        ns.set_num_threads(before)
    y, running, grads = found[0]
    for other_y, other_running, other_grads in found[1:]:
        assert np.array_equal(other_y, y)
        assert all(map(np.array_equal, other_running, running))
        for name, g in grads.items():       # sums over samples in another order: K = 56 terms
            bound = 56 * np.finfo(np.float32).eps * max(1, np.abs(g).max())
            assert np.abs(other_grads[name] - g).max() <= bound, name


def test_inference_and_saved_statistics(tmp_path):
    x, labels, _ = data(2)
    net = network()
    fresh = net.run(x)[0]
    for _ in range(3):
        net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels)
    y, _ = net.run(x)
    assert not np.array_equal(y, fresh)                                     # the statistics have moved
    assert np.array_equal(net.run(x)[0], y)                                 # and stay in inference
    _, state = net.run(x[:3])
    assert np.array_equal(net.run(x[3:], state)[0], y)
    assert np.array_equal(net.clone(chunk=1).run(x)[0], y)
    ns.save(net, tmp_path / "n.h5")
    assert np.array_equal(ns.load(tmp_path / "n.h5").run(x)[0], y)


def test_a_batch_without_valid_steps_changes_nothing():
    # The last segments of truncated BPTT can be like this.
    x, nothing = np.ones((3, 2, 5)), np.zeros(2, int)
    layer = ready(ns.BatchNorm(), (5,))
    result = forward(layer, x, nothing)
    g = backward(layer, result.tape, x, nothing)
    given = (result.y, g.dx, g.params["gain"], g.params["bias"], layer.fixed["running_mean"])
    assert not any(a.any() for a in given)
    assert np.array_equal(layer.fixed["running_var"], np.ones(5))


def test_config_goes_through_json():
    layers = (
        ns.BatchNorm(momentum=0.2, eps=1e-3, gain=2.0, bias=("normal", 0, 1), v_threshold=0.5, alpha=2.0,
                     name="n"),
        ns.LayerNorm(eps=1e-3, gain=2.0, axes="channels", name="n"),
    )
    for layer in layers:
        config = json.loads(json.dumps(layer.config()))
        assert type(layer).from_config(config).config() == layer.config() | {"bias": config["bias"]}


def test_layer_norm_against_its_formula_and_torch():
    rng = np.random.default_rng(2)
    x, gain, bias = rng.normal(3, 5, (4, 3, 6)), rng.normal(size=6), rng.normal(size=6)
    layer = ns.LayerNorm(gain=gain, bias=bias, eps=1e-3)
    net = ns.Network(layer, input_shape=6, dtype="float64", device="reference")
    y, _, tape = net.forward(x)
    for t, b in np.ndindex(4, 3):
        want = gain * (x[t, b] - x[t, b].mean()) / np.sqrt(x[t, b].var() + 1e-3) + bias
        assert np.abs(y[t, b] - want).max() < 1e-12
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    xt, g, c = (torch.tensor(a, requires_grad=True) for a in (x, gain, bias))
    dy = rng.normal(size=y.shape)
    torch.nn.functional.layer_norm(xt, (6,), g, c, 1e-3).backward(torch.tensor(dy))
    grads, _, dx = net.backward(tape, dy, want_dx=True)
    for mine, theirs in ((dx, xt), (grads["norm0.gain"], g), (grads["norm0.bias"], c)):
        assert np.abs(mine - theirs.grad.numpy()).max() < 1e-11


def test_layer_norm_over_channels_against_torch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    rng = np.random.default_rng(3)
    x, dy = rng.normal(3, 5, (4, 3, 5 * 6)), rng.normal(size=(4, 3, 5 * 6))
    gain, bias = rng.normal(size=5), rng.normal(size=5)
    layer = ready(ns.LayerNorm(gain=gain, bias=bias, eps=1e-3, axes="channels"), (5, 2, 3))
    result = forward(layer, x)
    g = backward(layer, result.tape, dy)
    places_last = lambda a: np.moveaxis(a.reshape(4, 3, 5, 6), 2, 3)
    xt, gt, ct = (torch.tensor(a, requires_grad=True) for a in (places_last(x), gain, bias))
    yt = torch.nn.functional.layer_norm(xt, (5,), gt, ct, 1e-3)
    yt.backward(torch.tensor(places_last(dy)))
    ours = (places_last(result.y), places_last(g.dx), g.params["gain"], g.params["bias"])
    for mine, theirs in zip(ours, (yt.detach(), xt.grad, gt.grad, ct.grad), strict=True):
        assert np.abs(mine - theirs.numpy()).max() < 1e-11


@pytest.mark.parametrize(("make", "words"), [
    (lambda: ns.BatchNorm(momentum=0),
     "momentum, the weight of the new value, must be above 0 and at most 1; got 0"),
    (lambda: ns.BatchNorm(eps=-1), "eps must be positive; got -1"),
    (lambda: ns.BatchNorm(v_threshold=0.0), "v_threshold and alpha must be positive"),
    (lambda: ns.BatchNorm(alpha=2.0), "alpha=2.0 multiplies v_threshold, which is not given"),
    (lambda: ns.Network(ns.BatchNorm()), "norm0: needs to know how many features arrive"),
    (lambda: ns.Network(ns.BatchNorm(gain=np.ones(4)), input_shape=(3, 2, 2)),
     r"norm0.gain: expected a number or an array of shape \(3,\), got shape \(4,\)"),
    (lambda: ns.Network(ns.BatchNorm(), input_shape=3).forward(np.ones((1, 1, 3))),
     "norm0: expects at least two values of each feature .* got 1 .a single valid step of all 1 samples"),
    (lambda: ns.Network(ns.BatchNorm(), input_shape=3).forward(np.ones((2, 2, 3)), lengths=np.array([1, 0])),
     "got 1 .a single valid step of all 2 samples"),
    (lambda: ns.LayerNorm(eps=0), "eps must be positive"),
    (lambda: ns.LayerNorm(axes="rows"), "axes must be 'all' or 'channels'; got 'rows'"),
    (lambda: ns.Network(ns.LayerNorm()), "norm0: needs to know how many features arrive"),
])
def test_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
