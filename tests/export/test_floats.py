"""A network as plain operations, and these as C in float32."""

import numpy as np
import pytest
from exported import NETWORKS, ROUNDED, Compiled, as_given, inputs, needs_compiler, network

import numsnn as ns
from numsnn.export import ExportError
from numsnn.export.c_float import Float
from numsnn.export.expression import MEANINGS, Trace
from numsnn.export.float_run import FloatRun
from numsnn.export.lowering import lower
from numsnn.neurons.model import Functions


@pytest.mark.parametrize("name", NETWORKS)
def test_a_program_is_the_network(name, rng):
    net = NETWORKS[name]()
    run, state = FloatRun(lower(net), 3), None
    for now in inputs(net, rng, 12, 3):
        y, state = net.step(as_given(net, now), state)
        mine = run.step(now)
        if name in ROUNDED:
            np.testing.assert_allclose(mine, y.reshape(3, -1), 1e-5, 1e-5)
        else:
            np.testing.assert_array_equal(mine, y.reshape(3, -1))


@needs_compiler
@pytest.mark.parametrize("name", NETWORKS)
def test_c_has_the_same_bits(name, rng, tmp_path):
    net = NETWORKS[name]()
    program = lower(net)
    compiled, run = Compiled(program, Float(program, "net"), tmp_path), FloatRun(program, 1)
    for now in inputs(net, rng, 12, 1):
        answer, = run.step(now)
        np.testing.assert_array_equal(compiled.step(now[0]), answer)
        assert compiled.decision == answer.argmax()


@needs_compiler
@pytest.mark.parametrize("layers", [(ns.Dense(30, 5), ns.LIF(5)), (ns.Conv1d(2, 4, 3), ns.LIF()),
                                    (ns.Embedding(9, 5), ns.LIF(5))])
def test_events(layers, rng, tmp_path):
    program = lower(network(*layers, **({"input_shape": (2, 9)} if isinstance(layers[0], ns.Conv1d) else {})))
    n = 9 if program.input.kind == "token" else program.input.n
    arithmetic = Float(program, "net")
    by_events, by_values = (Compiled(program, arithmetic, tmp_path, events=True) for _ in range(2))
    for _ in range(10):
        spikes = np.flatnonzero(rng.random(n) < 0.3)[:1 if program.input.kind == "token" else None]
        if program.input.kind == "token":
            spikes, values = spikes if spikes.size else np.array([3]), spikes if spikes.size else [3]
        else:
            values = np.isin(np.arange(n), spikes)
        # units that do not exist are ignored, wherever they stand
        given = np.concatenate((spikes, [n, 65535]))
        np.testing.assert_array_equal(by_events.step_events(given), by_values.step(values))
    assert 20 in np.frombuffer(by_events.state, "u4")


@needs_compiler
def test_it_is_cpp_as_well(tmp_path, rng):
    net = NETWORKS["pictures"]()
    program = lower(net)
    compiled = Compiled(program, Float(program, "net"), tmp_path, language="c++11")
    x = inputs(net, rng, 1, 1)[0]
    np.testing.assert_array_equal(compiled.step(x[0]), FloatRun(program, 1).step(x)[0])


@pytest.mark.parametrize("name", ns.neurons.NEURONS)
def test_a_traced_step_is_the_step(name, rng):
    model = ns.neurons.NEURONS[name]
    layer = ns.population(model)(3)
    given = [cls(*(rng.uniform(-1, 1, 50).astype("f4") for _ in cls._fields))
             for cls in (model.Inputs, model.State, model.Params)]
    trace, numbers = Trace(), {}
    values = [type(a)(*(trace.input(f"{type(a).__name__}.{f}") for f in a._fields)) for a in given]
    k = layer.surrogate.typed(np.float32)
    spike, act = map(trace.rewritten, (layer.surrogate.spike, layer.activation.value))
    traced = Functions(spike, None, k, act)
    plain = Functions(layer.surrogate.spike, None, k, layer.activation.value)
    results = [v for part in trace.call(model.step, *values, traced) for v in part]
    for names, arrays in zip(values, given, strict=True):
        numbers |= {v.index: a for v, a in zip(names, arrays, strict=True)}
    for v in trace.needed(*results):
        if v.op == "const":
            numbers[v.index] = v.number
        elif v.op != "input":
            numbers[v.index] = MEANINGS[v.op](*(numbers[a.index] for a in v.args))
    wanted = [a for part in model.step(*given, plain) for a in part]
    for result, a in zip(results, wanted, strict=True):
        np.testing.assert_array_equal(np.broadcast_to(numbers[result.index], 50), np.broadcast_to(a, 50))


def test_what_cannot_be_exported_is_said():
    with pytest.raises(ValueError, match="needs the whole sequence"):
        lower(network(ns.Dense(5, 3), ns.Reverse()))
    with pytest.raises(ExportError, match="float64 is not exported"):
        lower(ns.Network(ns.Dense(5, 3), device="reference", dtype="float64"))
    with pytest.raises(ExportError, match="leave the PoolTime out"):
        lower(network(ns.Dense(5, 3), ns.PoolTime(2)))
    with pytest.raises(ExportError, match="how many inputs"):
        lower(network(ns.Activation()))


def test_what_is_not_in_the_dialect_is_said():
    trace = Trace()
    x = trace.input("x")
    with pytest.raises(TypeError, match="a branch on a value"):
        trace.call(lambda x: x if x > 0 else -x, x)
    with pytest.raises(TypeError, match="not exact in float32"):
        trace.call(lambda x: 0.1 * x, x)
    with pytest.raises(TypeError, match="cannot be taken apart"):
        trace.call(lambda x: np.exp(x), x)
