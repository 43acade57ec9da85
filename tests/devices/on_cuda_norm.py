"""LayerNorm, BatchNorm, Activation and Dropout on the CUDA device against the reference (see on_cuda.py).

Values, gradients, padding, masks, networks.
"""

from functools import partial

import numpy as np
import pytest
from cuda_compare import EPS, SIMULATED, SMALL, close, same, small  # noqa: F401

import numsnn as ns
from numsnn.devices.cuda import (
    array as cuda_array,
    dense as cuda_dense,
    device as cuda,
    layer_norm as cuda_layer_norm,
    norm as cuda_norm,
)
from numsnn.devices.reference import device as reference
from numsnn.layers.layer import Context
from numsnn.neurons.activation import ACTIVATIONS

STEPS, BATCH = (5, 3) if SIMULATED else (70, 9)
if SIMULATED:
    SHAPES = {"features": (5,), "sequences": (3, 7), "pictures": (2, 2, 3)}
else:
    SHAPES = {"features": (300,), "sequences": (5, 333), "pictures": (7, 9, 21)}
LENGTHS = {"whole": None, "padded": np.array([STEPS, 0, STEPS - 2] * (BATCH // 3))}


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """Runs, segments and blocks of which little data needs several."""
    if SMALL:
        monkeypatch.setattr(cuda_dense, "SEGMENT", 4)
        monkeypatch.setattr(cuda_norm, "SEGMENT", 3)
        monkeypatch.setattr(cuda_layer_norm, "THREADS", 4)
        monkeypatch.setattr(cuda_layer_norm, "ACROSS", 2)


def ready(make, shape, loops, seed=0):
    """A layer by itself, its parameters where the device works."""
    layer = make()
    layer.connect(shape)
    layer.build(np.random.default_rng(seed), np.dtype("float32"), 1.0)
    layer.params = {key: loops.put(a) for key, a in layer.params.items()}
    return layer


def data(shape, kind="values", seed=1):
    """(x, dy) of a layer; x (T, B, N)."""
    rng, size = np.random.default_rng(seed), (STEPS, BATCH, int(np.prod(shape)))
    if kind == "spikes":
        x = ns.Spikes.from_dense(rng.random(size) < 0.4)
    else:
        x = rng.normal(0.7, 1.3, size).astype(np.float32)
    return x, rng.standard_normal(size).astype(np.float32)


def given(loops, x):
    """What a network would hand to a layer: memory of its own."""
    return loops.put(x if isinstance(x, ns.Spikes) else x.copy())


def passes(layer, loops, x, dy, lengths=None, state=None, want_dx=True):
    """{name: array on the host} of a training pass, all of which lay where the device works."""
    context = Context(loops, lengths, True, want_dx=want_dx)
    result = layer.forward(given(loops, x), state, None, context)
    back = layer.backward(result.tape, loops.put(dy.copy()), state, None, None, context)
    done = {"y": result.y, "dx": back.dx, **back.params}
    own = np.ndarray if loops.HOST else cuda_array.Array
    assert all(a is None or isinstance(a, own) for a in done.values())
    assert all(isinstance(a, np.ndarray) for a in layer.fixed.values())
    return {name: None if a is None else np.array(a) for name, a in (done | layer.fixed).items()}


def check(found, wanted, terms):
    assert found.keys() == wanted.keys()
    for name, a in wanted.items():
        assert np.any(a) and close(found[name], a, terms), name


# ---- BatchNorm


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize(("where", "kind", "options"), [
    *((where, "values", {}) for where in SHAPES),
    ("pictures", "values", {"v_threshold": 0.7, "alpha": 1.3}),
    ("sequences", "spikes", {}),
])
def test_batch_norm(where, kind, options, lengths):
    """Training, then inference by the running estimates.

    Padded steps give exactly 0, and so do their gradients.
    """
    shape, lengths = SHAPES[where], LENGTHS[lengths]
    x, dy = data(shape, kind)
    make = partial(ns.BatchNorm, gain=("normal", 1, 0.3), bias=("normal", 0, 0.5), momentum=0.3, **options)
    here, there = (ready(make, shape, loops) for loops in (reference, cuda))
    terms = STEPS * BATCH * int(np.prod(shape[1:]))     # of a channel
    wanted, found = passes(here, reference, x, dy, lengths), passes(there, cuda, x, dy, lengths)
    check(found, wanted, terms)
    if lengths is not None:
        padded = np.arange(STEPS)[:, None] >= lengths
        assert padded.any() and not found["y"][padded].any() and not found["dx"][padded].any()
    there.fixed = {name: a.copy() for name, a in here.fixed.items()}
    y = here.forward(given(reference, x), None, None, Context(reference, lengths)).y
    y_there = there.forward(given(cuda, x), None, None, Context(cuda, lengths)).y
    assert close(y_there, y, 4)     # the factor has three roundings more than the host's, which is in float64
    assert all(np.array_equal(there.fixed[name], a) for name, a in here.fixed.items())


def test_batch_norm_again_and_without_the_gradient_of_its_input():
    """The same bytes; dx is left out."""
    (x, dy), results = data(SHAPES["pictures"]), []
    for want_dx in (True, True, False):
        layer = ready(lambda: ns.BatchNorm(gain=("normal", 1, 0.3)), SHAPES["pictures"], cuda)
        results.append(passes(layer, cuda, x, dy, LENGTHS["padded"], want_dx=want_dx))
    first, again, without_dx = results
    for name, a in first.items():
        assert again[name].tobytes() == a.tobytes()
        assert without_dx[name] is None if name == "dx" else without_dx[name].tobytes() == a.tobytes()


def test_batch_norm_of_nothing_and_of_one_value():
    """No valid steps: zeros, no gradients, running estimates as they were.  A single one is refused."""
    layer, (x, dy) = ready(ns.BatchNorm, (5,), cuda), data((5,))
    for steps in (STEPS, 0):
        found = passes(layer, cuda, x[:steps], dy[:steps], np.zeros(BATCH, int))
        assert found["y"].shape == found["dx"].shape == x[:steps].shape
        assert np.array_equal(found["running_var"], np.ones(5))
        assert not any(np.any(found[name]) for name in ("y", "dx", "gain", "bias", "running_mean"))
    with pytest.raises(ValueError, match="got 1 .a single valid step"):
        passes(layer, cuda, x, dy, np.array([0, 1] + [0] * (BATCH - 2)))


def test_channels_far_from_zero():
    """Means first, then what is left: m^2 is 10^4 times the variance, m has an error of `terms` roundings."""
    x, dy = data((5,))
    x += np.float32(130)
    here, there = (passes(ready(ns.BatchNorm, (5,), loops), loops, x, dy) for loops in (reference, cuda))
    assert close(there["y"], here["y"], 100 * STEPS * BATCH / 4)
    assert close(there["running_var"], here["running_var"], STEPS * BATCH)
    assert np.abs(here["y"]).max() < 5


# ---- LayerNorm


@pytest.mark.parametrize("where", [*SHAPES, "wide"])
@pytest.mark.parametrize("axes", ["all", "channels"])
def test_layer_norm(axes, where):
    """Blocks with fewer lanes than features, and of pictures with fewer places than there are."""
    shape = (SHAPES | {"wide": (11,) if SIMULATED else (1111,)})[where]
    x, dy = data(shape)
    make = partial(ns.LayerNorm, gain=("normal", 1, 0.3), bias=("normal", 0, 0.5), axes=axes, eps=1e-3)
    here, there = (ready(make, shape, loops) for loops in (reference, cuda))
    terms = max(STEPS * BATCH * int(np.prod(shape[1:])), int(np.prod(shape)))
    wanted, found = passes(here, reference, x, dy), passes(there, cuda, x, dy)
    check(found, wanted, terms)
    again = passes(there, cuda, x, dy, want_dx=False)
    assert again["dx"] is None
    assert all(again[name].tobytes() == found[name].tobytes() for name in ("y", "gain", "bias"))
    assert np.array_equal(there.forward(given(cuda, x), None, None, Context(cuda, None)).y, found["y"])
    empty = passes(there, cuda, x[:0], dy[:0])
    assert empty["y"].shape == x[:0].shape and not np.any(empty["gain"])


def test_layer_norm_of_spikes():
    x, dy = data((5,), "spikes")
    here, there = (passes(ready(ns.LayerNorm, (5,), loops), loops, x, dy) for loops in (reference, cuda))
    check(there, {name: a for name, a in here.items() if name in there}, STEPS * BATCH)


# ---- pointwise


@pytest.mark.parametrize("function", ACTIVATIONS)
def test_activation(function):
    """The dialect's functions: the same bits in the simulator, the slope's too."""
    x, dy = data((5,))
    x[0, 0, :2] = 0, -0.0
    spikes, _ = data((5,), "spikes")
    for given_x in (3 * x, spikes):
        found, wanted = (passes(ready(partial(ns.Activation, function), (5,), loops), loops, given_x, dy)
                         for loops in (cuda, reference))
        assert all(same(found[name], wanted[name], 8) for name in ("y", "dx"))


@pytest.mark.parametrize("probability", [0, 0.3, 0.9])
def test_random_masks_are_the_references(probability):
    """Bit for bit, whatever the keys and steps, on a real GPU too; without a key a sample stays as it is."""
    rng, largest = np.random.default_rng(2), (1 << 24) - 1
    key = rng.integers(1, 1 << 24, (BATCH, 2)).astype(np.float32)
    done = rng.integers(0, 1 << 24, (BATCH, 1)).astype(np.float32)
    key[1], key[2], done[2] = 0, (largest, 0), largest
    shape = (STEPS, BATCH, 7)
    wanted, found = (loops.random_factors(key, done, shape, probability) for loops in (reference, cuda))
    assert np.asarray(found).tobytes() == wanted.tobytes() and found.dtype == np.float32
    assert (wanted[:, 1] == 1).all()
    assert len(np.unique(wanted[:, [0, 2]])) == (2 if probability else 1)


@pytest.mark.parametrize("per_step", [False, True])
def test_dropout(per_step):
    """The bits of the reference: forward, backward, in pieces, the state; inference leaves everything in."""
    x, dy = data((6,))
    lengths, layer = np.array([3, STEPS, 1] * (BATCH // 3)), ns.Dropout(0.4, per_step=per_step)
    layer.connect((6,))
    layer.build(None, np.float32, 1.0)
    begin, results = layer.initial_state(BATCH, np.random.default_rng(3)), []
    for loops in (reference, cuda):
        found, state = [], begin
        for piece in (slice(0, 2), slice(2, STEPS)):
            context = Context(loops, np.clip(lengths - piece.start, 0, piece.stop - piece.start), True)
            done = layer.forward(given(loops, x[piece]), state, None, context)
            state = done.state
            back = layer.backward(done.tape, loops.put(dy[piece].copy()), None, None, None, context)
            found += [done.y, back.dx]
        results.append([*found, *state])
        spikes = given(loops, data((6,), "spikes")[0])
        assert layer.forward(spikes, begin, None, Context(loops, None)).y is spikes
    assert all(np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in zip(*results, strict=True))
    assert (np.asarray(results[1][0]) == 0).any()


# ---- networks


def stack(device):
    return ns.Network(ns.Dense(4, 5), ns.BatchNorm(v_threshold=1.0, gain=("normal", 1, 0.2)),
                      ns.LIF(5, v_threshold=0.1), ns.LayerNorm(), ns.Activation("selu"),
                      ns.Dropout(0.4), ns.Dropout(0.2, per_step=True),
                      ns.Dense(5, 4), ns.BatchNorm(bias=("normal", 0, 0.2)), ns.LI(4, learn="tau_mem"),
                      ns.OverTime("mean"), device=device, seed=1)


def pictures(device):
    """A convolution that is a stage by itself between two norms."""
    return ns.Network(ns.LayerNorm(axes="channels"), ns.Conv2d(2, 2, 2), ns.BatchNorm(),
                      ns.Conv2d(2, 2, 2, padding=1, bias=False), ns.BatchNorm(v_threshold=0.5),
                      ns.LIF(v_threshold=0.2), ns.BatchNorm(), ns.Flatten(), ns.Dense(24, 3),
                      ns.OverTime("mean"), device=device, seed=2, input_shape=(2, 4, 3))


@pytest.mark.parametrize(("make", "padded"), [(stack, False), (stack, True), (pictures, True)])
def test_network(make, padded):
    """Stages of a BatchNorm beside others: the answer, the loss, all gradients, running estimates.

    The same bytes twice; then inference.
    """
    nets = [make(device) for device in ("reference", "cuda", "cuda")]
    x = np.random.default_rng(4).standard_normal((3, 2, *nets[0].input_shape)).astype(np.float32)
    labels, lengths = np.array([2, 1]), np.array([3, 2]) if padded else None
    given = ns.loss.CrossEntropy(), x, labels
    wanted, found, again = (net.loss_and_gradients(*given, lengths=lengths, rng=np.random.default_rng(5))
                            for net in nets)
    assert close(found.y, wanted.y, 100) and abs(found.loss - wanted.loss) < 1e-5 * wanted.loss
    assert wanted.grads.keys() == found.grads.keys()
    # the gradient of a constant before a BatchNorm is the rounding of zero
    constants = ("dense0.bias", "dense1.bias") if make is stack else ("norm0.bias", "conv0.bias")
    largest = max(np.abs(g).max() for g in wanted.grads.values())
    for name, g in wanted.grads.items():
        if name in constants:
            assert np.abs(np.asarray(found.grads[name]) - g).max() < 1e-5 * largest, name
        else:
            assert close(found.grads[name], g, 500), name
        assert np.asarray(again.grads[name]).tobytes() == np.asarray(found.grads[name]).tobytes(), name
    assert sum(map(np.any, wanted.grads.values())) >= len(wanted.grads) - 2
    norms = [name for name, layer in nets[0].layers.items() if isinstance(layer, ns.BatchNorm)]
    for name in norms:
        here, there = (net.layers[name].fixed for net in nets[:2])
        assert close(there["running_var"], here["running_var"], 100)
        # a mean is right to within roundings of the values, which it may be far smaller than
        error = np.abs(there["running_mean"] - here["running_mean"]).max()
        assert error <= 400 * EPS * np.sqrt(here["running_var"].max())
    assert len(norms) == (2 if make is stack else 3)
    assert all(isinstance(p, cuda_array.Array) for name, p in nets[1].params.items() if "norm" in name)
    nets[1].restore(nets[0].arrays())
    assert close(nets[1].run(x, lengths=lengths)[0], nets[0].run(x, lengths=lengths)[0], 100)


def test_what_moves_between_host_and_gpu():
    """Of a norm: down the moments of the batch, once for each BatchNorm; up running estimates in inference.

    Of Dropout: its state.
    """
    net, loss, labels = stack("cuda"), ns.loss.CrossEntropy(), np.array([0, 2])
    x = np.random.default_rng(6).standard_normal((3, 2, 4)).astype(np.float32)

    def moved(run):
        run()
        cuda_array.transfers.clear()
        run()
        return cuda_array.transfers["up"], cuda_array.transfers["down"]

    up, down = moved(lambda: net.loss_and_gradients(loss, x, labels, rng=np.random.default_rng(5)))
    plain = ns.Network(ns.Dense(4, 5), ns.LIF(5, v_threshold=0.1), ns.Dense(5, 4), ns.LI(4, learn="tau_mem"),
                       ns.OverTime("mean"), device="cuda", seed=1)
    up_plain, down_plain = moved(lambda: plain.loss_and_gradients(loss, x, labels))
    assert down - down_plain == 2
    assert up - up_plain <= 5       # of the five, three are gradients of states at the ends of stages
    assert moved(lambda: net.run(x))[0] - moved(lambda: plain.run(x))[0] == 2


def test_files_and_pieces(tmp_path):
    """Running estimates and parameters go with the network; inference in pieces has the same bytes."""
    net, x = stack("cuda"), np.random.default_rng(6).standard_normal((3, 2, 4)).astype(np.float32)
    net.loss_and_gradients(ns.loss.CrossEntropy(), x, np.array([0, 2]), rng=np.random.default_rng(5))
    y = net.run(x)[0]
    ns.save(net, tmp_path / "n.h5")
    assert ns.load(tmp_path / "n.h5").run(x)[0].tobytes() == y.tobytes()
    assert close(ns.load(tmp_path / "n.h5", device="reference").run(x)[0], y, 100)
    _, state = net.run(x[:1])
    assert net.run(x[1:], state)[0].tobytes() == y.tobytes()
    first, state, tape = net.forward(x[:2], rng=np.random.default_rng(7))
    second, after, _ = net.forward(x[2:], state)
    assert np.isfinite(second).all()
    assert after["dropout1"].steps.ravel().tolist() == [3, 3]
    assert np.array_equal(after["dropout0"].keep, state["dropout0"].keep)
    grads, dstate = net.backward(tape, np.ones_like(first))
    assert set(grads) == set(net.params) and dstate.keys() == state.keys()
