"""e-prop: where it must be BPTT it is, for every model; with recurrence it is BPTT with that path cut."""

import tracemalloc

import numpy as np
import pytest

import numsnn as ns
from numsnn.layers import Population
from numsnn.layers.models import __all__ as MODELS

STEPS, BATCH, N_IN, N = 12, 3, 4, 3
LEARN = {"LIF": ("tau_mem", "v_threshold"), "ALIF": ("tau_mem", "tau_adp", "beta", "v_threshold")}


def data(rng, classes=N, steps=STEPS):
    return rng.normal(0.5, 1, (steps, BATCH, N_IN)), rng.integers(0, classes, (steps, BATCH))


def eprop(net, x, labels, **how):
    trace = ns.rules.EProp(net, batch=x.shape[1], **how)
    for x_t, labels_t in zip(x, labels, strict=True):
        trace.step(x_t, labels_t)
    return trace


def same(found, wanted, bound=1e-7):
    """Equal to a bound, and not for being zero."""
    assert found.keys() == wanted.keys()
    for name, w in wanted.items():
        assert found[name].shape == w.shape, name
        scale = np.abs(w).max()
        assert scale > 0, name
        assert np.abs(found[name] - w).max() <= bound * scale, name


# ---- where e-prop is BPTT


def learnable(kind):
    """The settings of a model that can be learned together."""
    found: list = []
    for name in kind.model.Settings._fields:
        try:
            kind(2, learn=(*found, name))
        except ValueError:
            continue
        found.append(name)
    return tuple(found)


def served():
    """The layers of all models that are populations and nothing else."""
    kinds = [getattr(ns.layers.models, name) for name in MODELS]
    return [kind for kind in kinds if kind.forward is Population.forward]


def alone(kind):
    """A population that hands out what a loss sees in each step."""
    gates = len(kind.model.feedforward)
    population = kind(N, recurrent=False, learn=learnable(kind), surrogate="gaussian")
    dense = ns.Dense(N_IN, gates * N, weight=("normal", 0, 2), bias=("normal", 0.5, 0.5))
    return ns.Network(dense, population, dtype="float64", device="reference", seed=1)


def test_most_models_are_served():
    assert len(served()) >= 20


@pytest.mark.parametrize("kind", served(), ids=lambda kind: kind.__name__)
def test_a_population_without_recurrence(kind, rng):
    net = alone(kind)
    x, _ = data(rng)
    if net.layers[next(reversed(net.layers))].model.name == "SiLIF":
        x = 30 * x          # (1 - alpha) I: few steps of small currents bring it to no threshold
    target = rng.normal(size=(STEPS, BATCH, N))
    wanted = net.loss_and_gradients(ns.loss.MSE(), x, target)
    trace = eprop(net, x, target, loss=ns.loss.MSE())
    assert trace.loss == pytest.approx(wanted.loss, rel=1e-12)
    grads = trace.gradients()
    assert grads.keys() == wanted.grads.keys()
    for name, w in wanted.grads.items():
        assert np.abs(grads[name] - w).max() <= 1e-7 * max(1e-6, np.abs(w).max()), name
    assert np.abs(wanted.grads["dense0.weight"]).max() > 0


def layered(over=None, device="reference", dtype="float64", recurrent=False, learn=LEARN["ALIF"], **more):
    """Hidden adaptive neurons, and a readout whose neurons leak alike."""
    hidden = ns.ALIF(5, recurrent=recurrent, learn=learn, tau_mem=5, tau_adp=10, v_threshold=0.1,
                     recurrent_bias_init=("normal", 0, 0.2))
    layers = [ns.Dense(N_IN, 5, bias=("normal", 0, 1)), hidden, ns.Dense(5, N),
              ns.LI(N, tau_mem=4, learn="tau_mem"), *([] if over is None else [over])]
    return ns.Network(*layers, dtype=dtype, device=device, seed=2, **more)


@pytest.mark.parametrize("over", (None, ns.OverTime("each", of="softmax")), ids=("membrane", "softmax"))
def test_hidden_neurons_before_a_readout(over, rng):
    net, (x, labels) = layered(over), data(rng)
    loss = ns.loss.CrossEntropy() if over is None else ns.loss.NLL()
    same(eprop(net, x, labels, loss=loss).gradients(), net.loss_and_gradients(loss, x, labels).grads)


@pytest.mark.parametrize("over", (("sum", 0), ("mean", 3), ("last", 0)), ids=lambda over: over[0])
def test_an_answer_at_the_end(over, rng):
    net, (x, labels) = layered(ns.OverTime(over[0], start=over[1])), data(rng)
    trace = ns.rules.EProp(net, batch=BATCH)
    for t, x_t in enumerate(x):
        trace.step(x_t, labels[0] if t == STEPS - 1 else None)
    wanted = net.loss_and_gradients(ns.loss.CrossEntropy(), x, labels[0])
    assert trace.loss == pytest.approx(wanted.loss)
    same(trace.gradients(), wanted.grads)


def test_lengths_and_masks_of_a_batch(rng):
    """As fit has them: chunks, some steps at a time, a mean over the steps that count."""
    net, steps, batch = layered(), 70, 19
    x, labels = rng.random((steps, batch, N_IN)) < 0.4, rng.integers(0, N, (steps, batch))
    how = {"mask": rng.random((steps, batch)) < 0.7, "lengths": rng.integers(0, steps + 1, batch)}
    for loss in (ns.loss.CrossEntropy("mean"), ns.loss.CrossEntropy()):
        rule = ns.rules.batch.Rule(net, loss, "eprop", {}, seed=0)
        found = rule.loss_and_gradients(net, loss, x, labels, rng=np.random.default_rng(0), **how)
        wanted = net.loss_and_gradients(loss, x, labels, **how)
        assert found.loss == pytest.approx(wanted.loss)
        same(found.grads, wanted.grads)
    np.testing.assert_array_equal(found.y, wanted.y)
    for name, fields in wanted.state.items():
        for a, b in zip(fields or (), found.state[name] or (), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("reduce", ("mean", "last"))
def test_lengths_of_an_answer_at_the_end(reduce, rng):
    net, loss = layered(ns.OverTime(reduce)), ns.loss.CrossEntropy()
    x, labels = rng.random((40, 5, N_IN)) < 0.4, rng.integers(0, N, 5)
    how = {"mask": None, "lengths": np.array([40, 33, 32, 7, 1])}
    rule = ns.rules.batch.Rule(net, loss, "eprop", {}, seed=0)
    found = rule.loss_and_gradients(net, loss, x, labels, rng=np.random.default_rng(0), **how)
    same(found.grads, net.loss_and_gradients(loss, x, labels, **how).grads)
    np.testing.assert_array_equal(found.y, net.run(x, lengths=how["lengths"])[0])


# ---- where it is not


def cut(net, x):
    """(net, x) of the same neurons, what recurred coming from outside: BPTT there knows no recurrent path."""
    _, _, seen = net.run(x, record={"alif0": "spike"})
    before = np.concatenate((np.zeros_like(seen["alif0"]["spike"][:1]), seen["alif0"]["spike"][:-1]))
    outside = ns.Network(ns.Dense(N_IN + 5, 5), ns.ALIF(5, learn=LEARN["ALIF"]), ns.Dense(5, N),
                         ns.LI(N, tau_mem=4, learn="tau_mem"), dtype="float64", device="reference")
    for name, p in net.params.items():
        if name in outside.params and name not in ("dense0.weight", "dense0.bias"):
            outside.params[name] = p
    outside.params["dense0.weight"] = np.concatenate((net.params["dense0.weight"],
                                                      net.params["alif0.recurrent"]))
    outside.params["dense0.bias"] = net.params["dense0.bias"] + net.params["alif0.recurrent_bias"]
    return outside, np.concatenate((x, before), 2)


def test_with_recurrence_it_is_bptt_with_the_recurrent_path_cut(rng):
    net, (x, labels) = layered(recurrent=True), data(rng)
    grads, loss = eprop(net, x, labels).gradients(), ns.loss.CrossEntropy()
    outside, more = cut(net, x)
    wanted = outside.loss_and_gradients(loss, more, labels).grads
    weight, bias = wanted.pop("dense0.weight"), wanted["dense0.bias"]
    wanted |= {"dense0.weight": weight[:N_IN], "alif0.recurrent": weight[N_IN:], "alif0.recurrent_bias": bias}
    same(grads, wanted)
    whole = net.loss_and_gradients(loss, x, labels).grads
    assert np.abs(grads["dense0.weight"] - whole["dense0.weight"]).max() > 1e-3     # the path matters


def deep():
    lower = ns.LIF(5, tau_mem=4, v_threshold=0.3, learn="tau_mem")
    return ns.Network(ns.Dense(N_IN, 5, bias=("normal", 0, 1)), lower, ns.Dense(5, 4),
                      ns.LIF(4, tau_mem=6, v_threshold=0.1), ns.Dense(4, N), ns.LI(N),
                      dtype="float64", device="reference", seed=3)


def split(net, first, last):
    """The layers first ... last of a network, as one."""
    layers = list(net.layers.values())[first:last]
    part = ns.Network(*(type(layer).from_config(layer.config()) for layer in layers), dtype="float64",
                      device="reference")
    for own, layer in zip(part.layers.values(), layers, strict=True):
        for name, p in layer.params.items():
            own.params[name] = p
    return part


def of_lower(net, x, signal_of):
    """BPTT of the first population alone, with a learning signal (T, B, N) that a function makes."""
    lower = split(net, 0, 2)
    spikes, _, tape = lower.forward(x)
    grads, _ = lower.backward(tape, signal_of(spikes))
    return grads


def test_the_exact_signal_of_a_step_passes_the_layers_above_in_that_step(rng):
    net, (x, labels) = deep(), data(rng)
    upper = split(net, 2, 6)

    def signal(spikes):
        state, found = None, []
        for z, label in zip(spikes, labels, strict=True):
            y, state, tape = upper.forward(z[None], state)
            _, dy = ns.loss.CrossEntropy()(y, label[None])
            found.append(upper.backward(tape, dy, want_dx=True)[2])
        return np.concatenate(found)
    grads = eprop(net, x, labels, kappa=0).gradients()
    wanted = of_lower(net, x, signal)
    same({name: grads[name] for name in wanted}, wanted)


@pytest.mark.parametrize("spatial", ("exact", "direct"))
def test_the_random_way_back(spatial, rng):
    net, (x, labels) = deep(), data(rng)
    trace = eprop(net, x, labels, kappa=0, feedback="random", spatial=spatial, rng=np.random.default_rng(5))
    to_lower, to_middle = trace.feedback.drawn
    gain = 1 - np.exp(-1 / 20)          # of the LI
    middle, dense = split(net, 3, 4), split(net, 2, 3)

    def signal(spikes):
        y, _ = split(net, 2, 6).run(spikes)
        error = gain * ns.loss.CrossEntropy()(y, labels)[1]
        if spatial == "direct":
            return error @ to_lower
        state, found = None, []
        for current, e in zip(dense.run(spikes)[0], error @ to_middle, strict=True):
            _, state, tape = middle.forward(current[None], state)
            found.append(middle.backward(tape, e[None], want_dx=True)[2])
        return np.concatenate(found) @ to_lower
    grads, wanted = trace.gradients(), of_lower(net, x, signal)
    same({name: grads[name] for name in wanted}, wanted)


def test_adaptive_matrices_follow_the_weights(rng):
    net, (x, labels) = layered(), data(rng)
    trace = eprop(net, x, labels, feedback="adaptive", rng=np.random.default_rng(5))
    drawn = trace.feedback.drawn[0].copy()
    step = rng.normal(size=(5, N))
    net.params["dense1.weight"] += step
    trace.gradients()
    trace.step(x[0], labels[0])
    np.testing.assert_allclose(trace.matrices[0], drawn + step.T, atol=1e-12)


# ---- bits, threads, memory


def test_devices_and_pieces_give_the_same_bits(rng):
    """Step by step or some steps at once, in NumPy or compiled; what is answered is what `net.step` gives."""
    nets = [layered(recurrent=True, dtype="float32", device=device) for device in ("reference", "cpu")]
    x, labels = rng.random((STEPS, BATCH, N_IN)).astype("f4"), rng.integers(0, N, (STEPS, BATCH))
    grads, state = [], None
    for net in nets:
        trace = ns.rules.EProp(net, batch=BATCH)
        y = np.stack([trace.step(*given) for given in zip(x, labels, strict=True)])
        grads.append(trace.gradients())
        trace.reset()
        for piece in (slice(0, 5), slice(5, 12)):
            shape = len(x[piece]), BATCH, N
            trace.run(x[piece], trace.loss_function.check(shape, labels[piece]))
        grads.append(trace.gradients())
    for name, first in grads[0].items():
        assert np.abs(first).max() > 0, name
        for other in grads[1:]:
            np.testing.assert_array_equal(first, other[name], name)
    for x_t, y_t in zip(x, y, strict=True):
        answer, state = nets[1].step(x_t, state)
        np.testing.assert_array_equal(answer, y_t)


def test_several_currents_and_products_of_each_in_compiled_loops(rng):
    """Recurrent gated neurons, more of them than fill a row of traces."""
    x, labels = data(rng, classes=11)
    found = []
    for device in ("reference", "cpu"):
        net = ns.Network(ns.Dense(N_IN, 44), ns.LSTM(11, recurrent=True), dtype="float64", device=device)
        found.append(eprop(net, x, labels).gradients())
    same(found[1], found[0], bound=1e-14)


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_a_sequence_goes_on_from_a_state(device, rng):
    net = layered(ns.OverTime("mean"), recurrent=True, dtype="float32", device=device)
    x = rng.random((STEPS, BATCH, N_IN)).astype("f4")
    trace = ns.rules.EProp(net, batch=BATCH)
    trace.reset(net.run(x[:5])[1])
    for t in range(5, STEPS):
        y = trace.step(x[t])
        if t == 7:
            kept = trace.state
    np.testing.assert_array_equal(y, net.run(x)[0])
    trace.reset(kept)
    for x_t in x[8:]:
        y = trace.step(x_t)
    np.testing.assert_array_equal(y, net.run(x)[0])


def test_any_number_of_threads_gives_the_same_bytes(rng):
    x, y = rng.random((60, 40, N_IN)) < 0.4, rng.integers(0, N, (60, 40))
    found, threads = [], ns.get_num_threads()
    try:
        for n in (1, 3):
            ns.set_num_threads(n)
            net = layered(recurrent=True, dtype="float32", device="cpu")
            ns.fit(net, ns.Dataset(x, y, time_first=True), loss=ns.loss.CrossEntropy(), batch_size=40,
                   optimizer=ns.optim.Adam(1e-2), epochs=1, progress=False, rule="eprop")
            found.append(net.arrays())
    finally:
        ns.set_num_threads(threads)
    for name, a in found[0].items():
        np.testing.assert_array_equal(a, found[1][name], name)


def test_memory_does_not_grow_with_the_number_of_steps(rng):
    net = layered(recurrent=True)
    x, labels = rng.random((200, BATCH, N_IN)), rng.integers(0, N, (200, BATCH))
    trace, peaks = eprop(net, x, labels), []        # what is made once is there, and Python's spare tuples
    for steps in (20, 200):
        tracemalloc.start()
        for t in range(steps):
            trace.step(x[t], labels[t])
        trace.gradients()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0] + 2000, peaks


def test_it_learns_while_a_sequence_goes_on(rng):
    """What is changed after `gradients` counts from the next step on; traces go on."""
    net, (x, labels) = layered(), data(rng)
    trace, loss = eprop(net, x[:6], labels[:6]), ns.loss.CrossEntropy()
    ns.optim.SGD(0.5).update(net.params, trace.gradients())
    state = trace.state
    y = trace.step(x[6], labels[6])
    np.testing.assert_array_equal(y, net.step(x[6], state)[0])
    assert trace.loss == pytest.approx(loss(y[None], labels[6:7])[0])
