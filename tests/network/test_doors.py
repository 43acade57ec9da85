"""Whatever comes from outside is checked before a loop reads it: every entry with what does not fit."""

import copy

import numpy as np
import pytest

import numsnn as ns

T, B, N_IN, N, N_OUT = 6, 5, 4, 8, 3
DEVICES = ("reference", "cpu")


def network(device="reference", n=N, **more):
    return ns.Network(ns.Dense(N_IN, n), ns.LIF(n, recurrent=True, learn="tau_mem"), ns.Dense(n, N_OUT),
                      ns.LI(N_OUT), ns.OverTime("mean"), device=device, **more)


def sequence(batch=B):
    return np.random.default_rng(0).normal(0.5, 1, (T, batch, N_IN)).astype(np.float32)


def wrong(a):
    """(what, an array that must not pass for `a`): every axis, length and type, and numbers that are none."""
    a = np.asarray(a)
    for axis in range(a.ndim):
        for n in (0, 1, a.shape[axis] - 1, a.shape[axis] + 1, 100_000):
            if n not in (a.shape[axis], -1):
                yield f"axis {axis} of {n}", np.zeros((*a.shape[:axis], n, *a.shape[axis + 1:]), a.dtype)
    if len(set(a.shape)) > 1:
        yield "transposed", a.T
    yield "one axis more", a[None]
    yield "one axis less", a[0]
    if a.ndim > 1:
        yield "flat", a.ravel()
    for bad in (np.nan, np.inf, -np.inf):
        yield str(bad), np.where(np.arange(a.size).reshape(a.shape) == a.size - 1, bad, a)
    yield "too large", np.full(a.shape, 1e300)
    yield "complex", a.astype(complex)
    yield "objects", a.astype(object)
    yield "text", a.astype(str)
    yield "dates", np.zeros(a.shape, "m8[s]")
    yield "masked", np.ma.masked_array(a, np.ones(a.shape))
    yield "ragged", [[1.0], [1.0, 2.0]]
    yield "None", None
    yield "a word", "weights"


def refused(what, call, *given, **named):
    """The message of the one sentence with which a call is refused; `what` stands in it."""
    with pytest.raises((ValueError, TypeError, KeyError)) as caught:
        call(*given, **named)
    said = str(caught.value)
    assert 10 < len(said) < 400 and type(caught.value) in (ValueError, TypeError, KeyError), said
    assert what in said, said
    return said


LOSS, LABELS = ns.loss.CrossEntropy(), np.zeros(B, int)


def bits(net, x):
    return net.run(x)[0].tobytes()


@pytest.mark.parametrize("device", DEVICES)
def test_input(device):
    net, x = network(device), sequence()
    for what, bad in wrong(x):
        if not what.startswith(("axis 0", "axis 1")):       # other steps and samples are as good
            for call in (net.run, net.forward, net.sent):
                refused("", call, bad)
            refused("", net.loss_and_gradients, LOSS, bad, LABELS)
    for what, bad in wrong(x[0]):
        if not what.startswith("axis 0"):
            refused("", net.step, bad)


@pytest.mark.parametrize("device", DEVICES)
def test_states(device):
    net, x = network(device), sequence()
    _, state, tape = net.forward(x)
    _, stepped = net.step(x[0])
    dy = np.ones((B, N_OUT), np.float32)
    before = bits(net, x)

    def refused_everywhere(what, given):
        for call, first in ((net.run, x), (net.forward, x), (net.step, x[0])):
            assert "dstate" not in refused(what, call, first, state=given)
        refused(what, net.loss_and_gradients, LOSS, x, LABELS, state=given)
        assert "dstate" in refused(what, net.backward, tape, dy, given)

    for name, fields in state.items():
        for field in getattr(fields, "_fields", ()):
            for _, bad in wrong(getattr(fields, field)):
                bad_state = {**state, name: fields._replace(**{field: bad})}
                refused_everywhere(f"state[{name!r}].{field}", bad_state)
    for given in (5, "state", [state], tuple(state.values()), {**state, "other": None},
                  {**state, "dense0": state["lif0"]}, {**state, "lif0": tuple(state["lif0"])},
                  {**state, "lif0": state["li0"]}, {**state, "lif0": state["lif0"].v}):
        refused_everywhere("state", given)
    for missing in ({}, {"lif0": state["lif0"]}, {**state, "lif0": None}):
        refused("is missing", net.run, x, missing)
    for given in (stepped, copy.deepcopy(stepped)):
        given["lif0"].v[0, 0] = np.nan
        assert "v[0, 0] is nan" in refused("state['lif0'].v is not finite", net.step, x[0], given)
    assert bits(net, x) == before


@pytest.mark.parametrize("device", DEVICES)
def test_what_fits_in_another_form_is_taken(device):
    """Lists, other precisions, views and states of other calls give the same bits."""
    net, x = network(device), sequence()
    y, state = net.run(x)
    again = net.run(x, state)[0].tobytes()
    wide = {name: s and type(s)(*(np.asarray(a, np.float64) for a in s)) for name, s in state.items()}
    strided = {name: s and type(s)(*(np.repeat(a, 2, 1)[:, ::2] for a in s)) for name, s in state.items()}
    turned = {name: s and type(s)(*(np.asfortranarray(a) for a in s)) for name, s in state.items()}
    listed = {name: s and type(s)(*(a.tolist() for a in s)) for name, s in state.items()}
    for form in (wide, strided, turned, listed):
        assert net.run(x, form)[0].tobytes() == again
        assert net.step(x[0], form)[0].tobytes() == net.step(x[0], state)[0].tobytes()
    assert net.run(x.tolist())[0].tobytes() == net.run(np.asfortranarray(x))[0].tobytes() == y.tobytes()
    _, _, tape = net.forward(x)
    dy = np.random.default_rng(1).normal(size=(B, N_OUT))
    grads, dstate = net.backward(tape, dy.tolist(), {"lif0": state["lif0"], "li0": None})
    other, dother = net.backward(tape, np.asfortranarray(dy), {"lif0": wide["lif0"]})
    assert all(grads[key].tobytes() == other[key].tobytes() for key in grads)
    assert dstate["lif0"].v.tobytes() == dother["lif0"].v.tobytes()


@pytest.mark.parametrize("device", DEVICES)
def test_gradients_and_tapes(device):
    net, x = network(device), sequence()
    y, state, tape = net.forward(x)
    dy = np.ones_like(y)
    for _, bad in wrong(dy):
        refused("dy", net.backward, tape, bad)
    for shape, field in (((T, B, N), "spike"), ((B, N), "rate"), ((T, B, N), "v")):
        for _, bad in wrong(np.ones(shape, np.float32)):
            refused(f"[{field!r}]", net.backward, tape, dy, dhidden={"lif0": {field: bad}})
    for given in (5, [1], {"lif0": dy}, {"lif0": 1}, {"no": {"v": dy}}, {"dense0": {"v": dy}},
                  {"lif0": {"theta2": dy}}):
        refused("", net.backward, tape, dy, dhidden=given)
    for other in (network(device), network(device, n=5)):
        refused("tape: it is of another network", net.backward, other.forward(x)[2], dy)
    for given in (None, y, state, 3, (y, state, tape)):
        refused("tape: expected what forward returned", net.backward, given, dy)
    assert net.backward(tape, dy)[0].keys() == net.params.keys()


@pytest.mark.parametrize("lengths", (
    [1], [[1] * B], [1.0] * B, [True] * B, [-1] + [2] * (B - 1), [T + 1] * B, ["a"] * B, 3, "abc",
    np.full(B, 2**64 - 1, np.uint64), np.ma.masked_array([1] * B, [True] * B)), ids=str)
def test_lengths(lengths):
    net, x = network(), sequence()
    for call in (net.run, net.forward):
        refused("lengths", call, x, lengths=lengths)
    refused("lengths", net.loss_and_gradients, LOSS, x, LABELS, lengths=lengths)


@pytest.mark.parametrize("device", DEVICES)
def test_parameters(device):
    """By net.params, by a layer, by restore: the same checks, and what fits is copied into its place."""
    net, x = network(device), sequence()
    net.step(x[0])
    before, arrays = bits(net, x), net.arrays()
    for name, a in arrays.items():
        held, key = layer_arrays(net, name), name.partition(".")[2]
        for _, bad in wrong(a):
            refused(name, held.__setitem__, key, bad)
            refused(name, held.update, {key: bad})
            refused(name, net.restore, {"dense0.bias": np.ones(N), name: bad})
            if name in net.params:
                refused(name, net.params.__setitem__, name, bad)
    dense = net.layers["dense0"]
    refused("must be positive; got -1", net.params.__setitem__, "lif0.tau_mem", np.full(N, -1.0))
    refused("must be positive", net.layers["li0"].fixed.__setitem__, "tau_mem", np.zeros(N_OUT))
    refused("there are weight, bias", dense.params.__setitem__, "wieght", 1)
    refused("cannot be deleted", dense.params.pop, "bias")
    refused("weight, bias", setattr, dense, "params", {"weight": arrays["dense0.weight"]})
    refused("by name", net.restore, [1])
    assert bits(net, x) == before
    assert net.arrays().keys() == arrays.keys()


def layer_arrays(net, name):
    layer, _, key = name.partition(".")
    layer = net.layers[layer]
    return layer.params if key in layer.params else layer.fixed


@pytest.mark.parametrize("device", DEVICES)
def test_new_parameters_count_in_run_and_step_alike(device):
    net, x = network(device), sequence()
    changes = {"dense0.weight": np.full((N_IN, N), 0.3), "dense1.bias": np.ones(N_OUT),
               "lif0.v_threshold": np.full(N, 1e6), "li0.tau_mem": np.full(N_OUT, 3)}
    net.step(x[0])
    for name, value in changes.items():
        arrays, key = layer_arrays(net, name), name.partition(".")[2]
        before, place = net.step(x[0])[0], arrays[key]
        arrays[key] = value
        assert arrays[key] is place
        assert net.step(x[0])[0].tobytes() == net.run(x[:1])[0].tobytes() != before.tobytes(), name
    dense = net.layers["dense0"]
    weight = dense.params["weight"]
    dense.params = {"weight": np.zeros((N_IN, N)), "bias": np.ones(N)}
    dense.params |= {"weight": np.full((N_IN, N), 0.1)}
    assert dense.params["weight"] is weight and (weight == np.float32(0.1)).all()
    assert net.step(x[0])[0].tobytes() == net.run(x[:1])[0].tobytes()


def test_layers_within_layers_share_what_is_set():
    net = ns.Network(ns.MembraneNorm(ns.LIAF(4), ns.LayerNorm()), ns.TimeDistributed(ns.Dense(4, 2)),
                     input_shape=4, device="reference")
    for name, key in (("membranenorm0", "gain"), ("timedistributed0", "weight")):
        layer = net.layers[name]
        inner = next(part for part in layer.inside() if key in part.params)
        inner.params[key] = np.full(layer.params[key].shape, 0.5)
        assert layer.params[key] is inner.params[key] and (layer.params[key] == 0.5).all()
        refused(f"{name}.{key}", inner.params.__setitem__, key, np.ones(9))


@pytest.mark.parametrize(("what", "given"), (
    ("seed", None), ("seed", -1), ("seed", 1.5), ("seed", "a"), ("dt", "1"), ("dt", True), ("dt", None),
    ("dtype", "float16"), ("dtype", None), ("dtype", 5), ("dtype", "no"), ("chunk", 0), ("chunk", 1.0),
    ("chunk", True), ("device", 3)), ids=str)
def test_settings_of_networks(what, given):
    refused(what, ns.Network, ns.LIF(3), **{"device": "reference", what: given})


def test_networks():
    assert ns.Network(ns.LIF(3), seed=np.int64(3), device="reference").config()["seed"] == 3
    for reduce in ("sum", "mean", "max", "last"):
        refused("input_shape", ns.Network, ns.OverTime(reduce), device="reference")
    with np.errstate(over="ignore"):
        refused("dense0.weight is not finite", ns.Network, ns.Dense(2, 3, weight=1e300), device="reference")
    net = network()
    for batch in (-1, 1.5, None, "3"):
        refused("batch", net.initial_state, batch)
    for rng in (5, "seed", np.random):
        refused("rng must be a generator", net.forward, sequence(), rng=rng)
    for record in ({"lif0": 5}, {"lif0": None}, 5, "no", {"no": "v"}, {"lif0": "no"}, [1]):
        refused("", net.run, sequence(), record=record)


@pytest.mark.parametrize("device", DEVICES)
def test_no_samples_and_no_steps(device):
    net, x = network(device), sequence()
    y, state = net.run(x[:, :0])
    assert y.shape == (0, N_OUT) and state["lif0"].v.shape == (0, N)
    y, state = net.step(x[0, :0])
    assert y.shape == (0, N_OUT) and net.step(x[0, :0], state)[0].shape == (0, N_OUT)
    y, state = net.run(x[:0])
    assert y.shape == (B, N_OUT) and not y.any()
    assert net.run(x, state)[0].tobytes() == net.run(x)[0].tobytes()
    for none in (x[:0], x[:, :0]):
        y, state, tape = net.forward(none)
        grads, _ = net.backward(tape, np.zeros_like(y))
        assert not any(grad.any() for grad in grads.values())
    pictures = ns.Network(ns.Conv2d(1, 2, 3, padding=1), ns.LIF(), input_shape=(1, 4, 4), device=device)
    for shape in ((0, 1, 4, 4), (0, 16)):
        assert pictures.step(np.zeros(shape, np.float32))[0].shape == (0, 2, 4, 4)


def test_messages_say_what_was_expected_and_what_came():
    net, x = network(), sequence()
    state = net.run(x)[1]
    state["lif0"] = state["lif0"]._replace(v=np.zeros((B, 1)))
    refused("state['lif0'].v must have shape (5, 8); got shape (5, 1)", net.run, x, state)
    big = x.astype(np.float64)
    big[2, 1, 3] = 1e300
    refused("the input is not finite: x[2, 1, 3] is 1e+300, too large for float32", net.run, big)
    refused("too large for float32", net.step, big[2])
    assert np.isfinite(network(dtype="float64").run(big)[0]).all()


def test_what_is_no_regulariser_is_refused():
    net = ns.Network(ns.Dense(4, 3), ns.LIF(3), device="reference")
    for given in ("rate", [[1, 2]]):
        with pytest.raises(ValueError, match=r"regularisers must be such as ns\.regularise has"):
            net.loss_and_gradients(ns.loss.CrossEntropy(), np.zeros((5, 2, 4), "f4"), np.array([0, 1]),
                                   regularisers=given)
