"""Networks in whole numbers: the twin in NumPy, its C, and what it keeps of the network."""

import copy
import json
import pickle

import numpy as np
import pytest
from exported import NETWORKS, Compiled, inputs, needs_compiler, network

import numsnn as ns
from numsnn.export import c_integers, fixed, quantise
from numsnn.export.c_integers import Integers
from numsnn.export.integers import IntegerProgram
from numsnn.export.lowering import lower
from numsnn.export.measure import measure
from numsnn.export.whole_run import IntegerRun

SANITIZED = ("-fsanitize=undefined", "-fno-sanitize-recover")


def whole(name, rng, **bits):
    """(network, integer program) of a network measured on random inputs."""
    net = NETWORKS[name]()
    program = lower(net)
    return net, IntegerProgram(program, measure(program, inputs(net, rng, 15, 8)).ranges, **bits)


def differences(integers, compiled, net, rng, steps=40):
    """Steps in which C and twin differ; the second half of the inputs is far beyond what was measured."""
    run = IntegerRun(integers, 1)
    kind = integers.format(integers.program.input)
    x = np.concatenate((inputs(net, rng, steps // 2, 1), inputs(net, rng, steps // 2, 1, 100.0)))
    q = np.clip(np.rint(x * 2.0 ** kind.fraction), kind.low, kind.high).astype(np.int64)
    return sum(not np.array_equal(compiled.step(now[0]), run.step(now)[0]) for now in q)


@needs_compiler
@pytest.mark.parametrize("name", NETWORKS)
def test_c_has_the_numbers_of_the_twin(name, rng, tmp_path):
    bits = [{}, {"weights": 4, "states": 12}, {"weights": 16, "states": 32}][len(name) % 3]
    net, integers = whole(name, rng, **bits)
    compiled = Compiled(integers.program, Integers(integers, "net"), tmp_path)
    assert differences(integers, compiled, net, rng) == 0


@needs_compiler
@pytest.mark.parametrize("name", ["ALIF_recurrent", "pictures", "sequences", "mean_softmax_3", "feedback",
                                  "delays_of_synapses", "delays_recurrent_of_synapses"])
def test_nothing_overflows(name, rng, tmp_path):
    net, integers = whole(name, rng)
    compiled = Compiled(integers.program, Integers(integers, "net"), tmp_path, flags=SANITIZED)
    assert differences(integers, compiled, net, rng) == 0


@needs_compiler
@pytest.mark.parametrize("mutant", ["rounding", "shift", "order", "saturation"])
def test_mutants_are_found(mutant, rng, tmp_path, monkeypatch):
    net, integers = whole("ALIF_recurrent", rng)
    if mutant == "order":           # membrane and adaptation change places
        operation, = (op for op in integers.expressions if len(getattr(op, "writes", ())) == 4)
        operation.writes[1], operation.writes[3] = operation.writes[3], operation.writes[1]
        compiled = Compiled(integers.program, Integers(integers, "net"), tmp_path)
        operation.writes[1], operation.writes[3] = operation.writes[3], operation.writes[1]
    else:
        printed = Integers.expression

        def changed(self, value, args):
            text = printed(self, value, args)
            if mutant == "rounding" and value.op == "right":
                return f"{args[0]} >> {value.number}"
            return f"{text} * 2" if mutant == "shift" and value.op == "left" else text
        monkeypatch.setattr(Integers, "expression", changed)
        if mutant == "saturation":
            without = c_integers.SATURATE.replace("q < {low} ? {low} : ", "")
            monkeypatch.setattr(c_integers, "SATURATE", without)
        compiled = Compiled(integers.program, Integers(integers, "net"), tmp_path)
    assert differences(integers, compiled, net, rng, 400) > 0


@pytest.mark.parametrize("name", ["ALIF_recurrent", "LSTM_recurrent", "LIAFGRU", "pictures", "residual",
                                  "mean_softmax_3", "conv_lstm", "delays_of_synapses",
                                  "delays_recurrent_of_synapses"])
def test_answers_are_near_those_of_floats(name, rng):
    net = NETWORKS[name]()
    x = inputs(net, rng, 20, 16)
    given = x.reshape(20, 16, *net.input_shape)
    y, _ = net.run(given)
    for weights, states, near in ((8, 16, 0.06), (16, 32, 3e-3)):
        made = quantise(net, given, weights=weights, states=states)
        q, _ = made.run(given)
        assert np.abs(q - y).mean() <= near * np.abs(y).mean()


def test_pieces_steps_and_padding(rng):
    net = NETWORKS["ALIF_recurrent"]()
    x = inputs(net, rng, 12, 4)
    made = quantise(net, x)
    y, state = made.run(x)
    _, middle = made.run(x[:5])
    second, end = made.run(x[5:], middle)
    np.testing.assert_array_equal(second, y)
    assert all(np.array_equal(state[key], end[key]) for key in state)
    by_step = None
    for now in x:
        last, by_step = made.step(now, by_step)
    np.testing.assert_array_equal(last, y)
    lengths = np.array([12, 7, 1, 0])
    padded, _ = made.run(x, lengths=lengths)
    for b in range(3):
        np.testing.assert_array_equal(padded[b], made.run(x[:lengths[b], b:b + 1])[0][0])


def test_evaluate_and_report(rng, tmp_path):
    net = network(ns.Dense(5, 8), ns.ALIF(8, recurrent=True), ns.Dense(8, 3), ns.LI(3), ns.OverTime("sum"))
    data = ns.Dataset(inputs(net, rng, 20, 30), np.arange(30) % 3)
    made = quantise(net, data)
    report = made.report
    assert ns.evaluate(made, data).accuracy == report.accuracy
    assert ns.evaluate(net, data).accuracy == report.accuracy_float
    assert 0.9 <= report.agreement <= 1
    # v, eta and spikes; v; the sum and the answer in 32 bits, the count; filled up to words
    assert report.state == 8 * 5 + 3 * 2 + 2 * 3 * 4 + 4 + 2
    report.save(tmp_path / "report.json")
    found = json.loads((tmp_path / "report.json").read_text())
    assert [layer["name"] for layer in found["layers"]] == list(net.layers)
    assert "8-bit weights, 16-bit states" in str(report) and repr(made).startswith("IntegerNetwork")


def test_operations_and_bytes_are_counted_by_hand(rng):
    net = network(ns.Dense(2, 3), ns.Repeat(4), ns.LIAF(3, activation="sigmoid"), ns.Dense(3, 5))
    x = np.ones((6, 4, 2), np.float32)
    of_8, of_4 = (quantise(net, x, weights=bits).report.layers for bits in (8, 4))
    once = quantise(network(ns.Dense(2, 3), ns.LIAF(3, activation="sigmoid")), x).report.layers
    assert of_8[0].additions == of_8[0].multiplications == 2 * 3            # once a step
    assert of_8[1].additions == 4 * once[1].additions > 0
    assert of_8[1].multiplications == 4 * once[1].multiplications > 0
    assert of_8[2].additions == 4 * 3 * 5
    assert of_8[2].constants - of_4[2].constants == 15 - 8                  # 15 weights, two in a byte
    late = network(ns.Dense(2, 3, delays=ns.Delays(4, kernels=2), bias=False), ns.LI(3))
    late.layers["dense0"].params["delay"][...] = 4
    late.round_delays()
    layer = quantise(late, x).report.layers[0]
    assert layer.additions == layer.multiplications == 2 * 2 * 3
    assert (layer.constants, layer.state) == (2 * 12, 4 * 4 * 3)            # weights and lags; on its way
    y, (whole, _) = net.run(x[:, :3])[0], quantise(net, x).run(x[:, :3], lengths=[6, 2, 6])
    assert whole.shape == y.shape == (24, 3, 5)                             # an answer for each turn
    np.testing.assert_allclose(whole[:, 0], y[:, 0], atol=0.05)
    assert not whole[8:, 1].any()
    np.testing.assert_array_equal(whole[:8, 1], whole[:8, 0])


def test_bad_input_is_refused(rng):
    net = NETWORKS["LIF"]()
    x = inputs(net, rng, 5, 2)
    for more, said in (({"weights": 3}, "weights must be"), ({"states": 20}, "states must be"),
                       ({"weights": True}, "weights must be"), ({"headroom": 0.5}, "headroom must be")):
        with pytest.raises(ValueError, match=said):
            quantise(net, x, **more)
    with pytest.raises(ValueError, match="expected x of shape"):
        quantise(net, x[:, :, :3])
    with pytest.raises(ValueError, match="empty"):
        quantise(net, x[:0])
    made = quantise(net, x)
    with pytest.raises(ValueError, match="at least one step"):
        made.run(x[:0])
    _, state = made.run(x)
    for wrong in ({"lif0_v": np.zeros((2, 6), int)}, "state", {key: q + 0.5 for key, q in state.items()},
                  {key: q + 10 ** 12 for key, q in state.items()}):
        with pytest.raises(ValueError, match="pass what run or step"):
            made.run(x, wrong)
    with pytest.raises(ValueError, match="input reaches 1e.30 on the calibration data"):
        quantise(net, np.full((5, 2, 5), 1e30, np.float32))
    net.layers["dense0"].params["bias"][...] = 1e20
    with pytest.raises(ValueError, match="dense0 reaches 1e.20 on the calibration data"):
        quantise(net, x)


def test_it_is_a_value(rng):
    made = quantise(NETWORKS["ALIF_recurrent"](), inputs(NETWORKS["ALIF_recurrent"](), rng, 5, 2))
    x = inputs(made.net, rng, 9, 3)
    for twin in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        np.testing.assert_array_equal(twin.run(x)[0], made.run(x)[0])


def test_tables_state_their_error():
    for name in fixed.DOMAINS:
        table, fraction = fixed._table(name, 12, fixed.DOMAINS[name])
        x = np.arange(table.low, table.low + (len(table.values) - 1 << table.shift) + 1)
        exact = fixed.CALLS[name](x / 2.0 ** 12)
        worst = np.abs(fixed.looked_up(x, table) / 2.0 ** fraction - exact).max()
        assert worst == table.error < 2e-3 * np.abs(exact).max()


def test_rounding_is_one_rule(rng):
    q = rng.integers(-1000, 1000, 500)
    np.testing.assert_array_equal(fixed.right(q, 3), np.floor(q / 8 + 0.5))


def test_tables_of_one_name_have_one_content(rng):
    given = {(name, low, high, fraction) for name in fixed.DOMAINS for low in (0.0, -1.0)
             for high in (1.5, 1.75, 2.0) for fraction in (10, 11, 12)}
    tables = {fixed._table(name, fraction, (low, high))[0] for name, low, high, fraction in given}
    assert len({table.name for table in tables}) == len({table._replace(error=0.0) for table in tables})
