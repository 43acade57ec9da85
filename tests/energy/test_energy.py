"""Operations counted from a run against a loop over every spike and synapse; formulas against the numbers of the papers; the command."""

import numpy as np
import pytest

import numsnn as ns
from numsnn import cli, energy
from numsnn.energy import FP32, INT32, Count, formula, operations

LENGTHS = np.array([9, 4, 0, 7])


def spikes(rng, *shape, rate=0.3):
    return rng.random(shape) < rate


def recorded(net, x, lengths, **record):
    """What layers hand out, (T, B, N), zero on padded steps."""
    _, _, seen = net.run(x, lengths=lengths, record=record)
    return {name: next(iter(a.values())).reshape(len(x), len(lengths), -1) * (np.arange(len(x))[:, None, None] < lengths[:, None])
            for name, a in seen.items()}


def steps_of(lengths):
    return [(t, b) for b, n in enumerate(lengths) for t in range(n)]


def integers(count):
    assert all(value == int(value) for value in (count.mac, count.ac, count.update_mac, count.update_ac, count.compare))
    return count


# ---- counts against loops


@pytest.mark.parametrize("real", [False, True])
def test_dense_and_recurrent(rng, real):
    """Every step, sample, spike and synapse by itself; two of the seven hidden neurons do not adapt."""
    beta = np.array([1.8, 0, 1.8, 1.8, 0, 1.8, 1.8])
    net = ns.Network(ns.Dense(5, 7, weight=("normal", 1.0)), ns.ALIF(7, recurrent=True, beta=beta, v_threshold=0.1), ns.Dense(7, 3), ns.LI(3))
    x = rng.normal(size=(9, 4, 5)) if real else rng.integers(0, 3, (9, 4, 5))
    s = recorded(net, x, LENGTHS, alif0="spike")["alif0"]
    assert 0.1 < s[:4, 0].mean() < 0.9
    mac = ac = update_ac = recurrent = after = 0
    for t, b in steps_of(LENGTHS):
        for i in range(5):
            for _ in range(7):
                mac, ac = (mac + 1, ac) if real else (mac, ac + x[t, b, i])
        for j in range(7):
            if t and s[t - 1, b, j]:
                recurrent += sum(1 for _ in range(7))
                update_ac += 2 if beta[j] else 1
            after += 3 * s[t, b, j]
    found = operations(net, x, lengths=LENGTHS)
    steps = LENGTHS.sum()
    assert integers(found.layers["dense0"]) == Count(mac=mac, ac=ac)
    assert found.layers["alif0"] == Count(ac=recurrent, update_mac=steps * (7 + 5), update_ac=update_ac, compare=steps * 7)
    assert found.layers["dense1"] == Count(ac=after)
    assert found.layers["li0"] == Count(update_mac=steps * 3)
    assert (found.samples, found.steps) == (4, steps)
    assert found.rates["alif0"] == pytest.approx(s.sum() / (7 * steps), rel=1e-12)
    assert ("input" in found.rates) is not real
    assert found.total == sum(found.layers.values(), Count())
    assert found.per_step.ac * steps == pytest.approx(found.total.ac)


CONVOLUTIONS = [{}, {"stride": 2, "padding": 1}, {"kernel": (3, 2), "stride": (2, 1), "padding": (0, 2), "dilation": (1, 2)}, {"kernel": 1, "stride": 3}]


@pytest.mark.parametrize("options", CONVOLUTIONS)
@pytest.mark.parametrize("real", [False, True])
def test_convolution_with_edges(rng, options, real):
    """Only places of the kernel that lie on the picture."""
    convolution = ns.Conv2d(2, 3, **options)
    net = ns.Network(convolution, ns.LIF(convolution.connect((2, 6, 7))), input_shape=(2, 6, 7))
    x = rng.normal(size=(5, 3, 2, 6, 7)) if real else spikes(rng, 5, 3, 2, 6, 7)
    lengths, g, total = np.array([5, 2, 3]), convolution.geometry, 0
    for t, b in steps_of(lengths):
        for row in range(g.out[0]):
            for column in range(g.out[1]):
                for i in range(g.kernel[0]):
                    for j in range(g.kernel[1]):
                        y, z = row * g.stride[0] + i * g.dilation[0] - g.padding[0], column * g.stride[1] + j * g.dilation[1] - g.padding[1]
                        if 0 <= y < 6 and 0 <= z < 7:
                            total += 3 * (2 if real else x[t, b, :, y, z].sum())
    assert total > 0
    assert integers(operations(net, x, lengths=lengths).layers["conv0"]) == (Count(mac=total) if real else Count(ac=total))


def test_pools_pass_spikes_on(rng):
    """A spike goes to every window it lies in, and from there to every synapse; windows of largest values compare."""
    net = ns.Network(ns.AvgPool2d(2, stride=1), ns.Dense(2 * 3 * 4, 5), ns.LIF(5), input_shape=(2, 4, 5))
    x = spikes(rng, 6, 2, 2, 4, 5)
    windows = sum(x[..., i:i + 3, j:j + 4].sum() for i in range(2) for j in range(2))
    found = operations(net, x)
    assert found.layers["pool0"] == Count()
    assert found.layers["dense0"] == Count(ac=5 * windows)
    net = ns.Network(ns.MaxPool2d(2), ns.Dense(2 * 2 * 2, 5), ns.LIF(5), input_shape=(2, 4, 4))
    largest = x[..., :4].reshape(6, 2, 2, 2, 2, 2, 2).any((4, 6)).sum()
    found = operations(net, x[..., :4])
    assert found.layers["pool0"] == Count(compare=6 * 2 * 8 * 3)
    assert found.layers["dense0"] == Count(ac=5 * largest)
    net = ns.Network(ns.AvgPool2d(2), ns.Dense(8, 5), ns.LIF(5), input_shape=(2, 4, 4))
    found = operations(net, x[..., :4].astype(np.float32))
    assert found.layers["pool0"] == Count(ac=12 * 8 * 3, mac=12 * 8)
    assert found.layers["dense0"] == Count(mac=12 * 8 * 5)


def test_joins(rng):
    """Beside each other: spikes stay spikes and real numbers real; sums of spikes are spikes; what is one step late loses the last step."""
    net = ns.Network(ns.Dense(4, 6, weight=("normal", 2.0)), ns.LIF(6, name="a"), ns.From("dense0"), ns.Concatenate("a", "from0"), ns.Dense(12, 3, name="mixed"),
                     ns.From("a"), ns.Dense(6, 6, weight=("normal", 2.0)), ns.LIF(6, name="b"), ns.Add("a", "b"), ns.Dense(6, 3, name="sum"), ns.Previous("a"),
                     ns.Dense(6, 3, name="late"), ns.Add("mixed", "sum", "late"), ns.LI(3))
    x = spikes(rng, 9, 4, 4)
    s = recorded(net, x, LENGTHS, a="spike", b="spike")
    found, steps = operations(net, x, lengths=LENGTHS), LENGTHS.sum()
    late = sum(s["a"][t - 1, b].sum() for t, b in steps_of(LENGTHS) if t)
    assert s["a"].sum() > late > 0 < s["b"].sum()
    assert found.layers["mixed"] == Count(ac=3 * s["a"].sum(), mac=3 * 6 * steps)
    assert found.layers["sum"] == Count(ac=3 * (s["a"].sum() + s["b"].sum()))
    assert found.layers["late"] == Count(ac=3 * late)
    assert found.layers["add0"] == Count()
    assert found.layers["add1"] == Count(ac=3 * 2 * steps)


def test_feedback_repeat_and_direction(rng):
    net = ns.Network(ns.Dense(4, 5, weight=("normal", 2.0)), ns.Repeat(3), ns.Previous("b"), ns.Dense(5, 5, name="back"), ns.Add("repeat0", "back"), ns.LIF(5, name="b"),
                     ns.Reverse(), ns.Dense(5, 2, name="out"), ns.OverTime("mean"))
    x = spikes(rng, 9, 4, 4)
    _, _, seen = net.run(x, lengths=LENGTHS, record={"b": "spike"})
    s = seen["b"]["spike"]
    found = operations(net, x, lengths=LENGTHS)
    every = sum(s[t, b].sum() for t, b in steps_of(3 * LENGTHS))
    early = sum(s[t, b].sum() for t, b in steps_of(3 * LENGTHS - (LENGTHS > 0)))
    assert every > early > 0
    assert found.layers["dense0"] == Count(ac=5 * sum(x[t, b].sum() for t, b in steps_of(LENGTHS)))
    assert found.layers["back"] == Count(ac=5 * early)
    assert found.layers["out"] == Count(ac=2 * every)
    assert found.layers["overtime0"] == Count(ac=2 * 3 * LENGTHS.sum())
    assert found.layers["b"] == Count(update_mac=5 * 3 * LENGTHS.sum(), update_ac=every, compare=5 * 3 * LENGTHS.sum())


def test_what_comes_back_late_may_be_real(rng):
    """A membrane that is fed back: real numbers meet the synapses after Previous, at every step."""
    net = ns.Network(ns.Dense(4, 5), ns.Previous("v"), ns.Dense(5, 5, name="back"), ns.Add("dense0", "back"), ns.LI(5, name="v"), ns.Dense(5, 2))
    found = operations(net, spikes(rng, 6, 2, 4))
    assert found.layers["back"] == Count(mac=12 * 25)
    assert found.layers["add0"] == Count(ac=12 * 5)


def test_pooled_time_and_a_late_answer(rng):
    """Of three steps one: all spikes go on; the largest compares.  An answer that begins late sums the steps that are left."""
    x, lengths = spikes(rng, 9, 3, 4), np.array([9, 6, 3])
    every = sum(x[t, b].sum() for t, b in steps_of(lengths))
    for reduce, want in (("mean", every), ("sum", every), ("max", sum(x[3 * t:3 * t + 3, b].any(0).sum() for t, b in steps_of(lengths // 3)))):
        net = ns.Network(ns.PoolTime(3, reduce), ns.Dense(4, 5), ns.LI(5), ns.OverTime("sum", start=2), input_shape=4)
        found = operations(net, x, lengths=lengths)
        assert found.layers["pooltime0"] == Count(compare=6 * 4 * 2 * (reduce == "max"))
        assert found.layers["dense0"] == Count(ac=5 * want)
        assert found.layers["overtime0"] == Count(ac=5 * (1 + 0 + 0))
    real = operations(net, x.astype(np.float32), lengths=lengths)
    assert real.layers["dense0"] == Count(mac=5 * 4 * 6)


def test_analog_values_in_place_of_spikes(rng):
    """The ReLU-SRNN: each addition becomes a MAC, as the formula with rate=None has it."""
    net = ns.Network(ns.Dense(4, 6), ns.ALIF(6, recurrent=True), ns.Dense(6, 2))
    net = net.smoothed()
    found = operations(net, spikes(rng, 7, 3, 4))
    one = formula("ALIF", 4, 6, rate_in=found.rates["input"], rate=None, recurrent=True) + formula("Dense", 6, 2)
    for field in ("mac", "ac", "update_mac", "update_ac", "compare"):
        assert getattr(found.per_step, field) == pytest.approx(getattr(one.count, field), rel=1e-12)
    assert "alif0" not in found.rates


def test_embedding_reads_rows(rng):
    net = ns.Network(ns.Embedding(7, 5), ns.LIF(5))
    assert operations(net, rng.integers(0, 7, (6, 3))).layers["embedding0"] == Count()
    many = spikes(rng, 6, 3, 7)
    more = sum(max(int(n) - 1, 0) for n in many.sum(2).ravel())
    assert more > 0
    assert operations(net, ns.Spikes.from_dense(many)).layers["embedding0"] == Count(ac=5 * more)


def test_spikes_of_either_sign(rng):
    from numsnn.recipes.srnn_gsc import Ternary
    net, x = ns.Network(Ternary(0.5), ns.Dense(4, 3), ns.LI(3), input_shape=4), rng.normal(size=(6, 2, 4))
    found = operations(net, x)
    assert (x > 0.5).any() and (x < -0.5).any()
    assert found.layers["ternary0"] == Count(compare=2 * 48)
    assert found.layers["dense0"] == Count(ac=3 * (np.abs(x) > 0.5).sum())


RESETS = [(ns.LIF, {}, 1), (ns.LIF, {"reset": "none"}, 0), (ns.LIF, {"reset_when": "next"}, None), (ns.LIAF, {}, 1), (ns.LIAF, {"output": "spike"}, 1)]


@pytest.mark.parametrize(("layer", "options", "resets"), RESETS)
def test_resets(rng, layer, options, resets):
    """Once for each spike; a reset in the next step not for the spikes of the last."""
    net = ns.Network(ns.Dense(4, 6, weight=("normal", 2.0)), layer(6, **options), ns.Dense(6, 2))
    x, name = spikes(rng, 9, 4, 4), layer.__name__.lower() + "0"
    s = recorded(net, x, LENGTHS, **{name: "spike"})[name]
    want = resets * s.sum() if resets is not None else sum(s[t - 1, b].sum() for t, b in steps_of(LENGTHS) if t)
    assert s.sum() > 0
    found, steps = operations(net, x, lengths=LENGTHS), LENGTHS.sum()
    assert found.layers[name] == Count(update_mac=6 * steps, update_ac=want, compare=6 * steps)
    assert found.layers["dense1"] == (Count(mac=12 * steps) if net.layers[name].output == "analog" else Count(ac=2 * s.sum()))


def test_variables_that_do_nothing_are_none(rng):
    """ARLIF: a trace with beta = 0, a diagonal kernel with weight 0; the kernel is a product that a spike does not change."""
    from numsnn.layers.arlif import ARLIF
    x = rng.normal(size=(9, 4, 5)) * 3
    for more, carried, changed in (({}, 1, 1), ({"threshold": "trace"}, 2, 2), ({"self_weight": 0.1}, 2, 1)):
        net = ns.Network(ns.Dense(5, 6), ARLIF(6, name="a", **more), ns.Dense(6, 2))
        s = recorded(net, x, LENGTHS, a="spike")["a"]
        found, steps = operations(net, x, lengths=LENGTHS), LENGTHS.sum()
        assert s.sum() > 0
        assert found.layers["a"] == Count(update_mac=6 * carried * steps, update_ac=changed * s.sum(), compare=6 * steps)
        assert found.layers["dense1"] == Count(mac=12 * steps)


def test_layers_around_others(rng):
    """A norm within the membrane costs both; in TimeDistributed nothing is carried from step to step."""
    x = rng.normal(size=(5, 2, 3)) * 4
    net = ns.Network(ns.Dense(3, 4), ns.MembraneNorm(ns.LIAF(4, output="spike"), ns.LayerNorm()), ns.Dense(4, 2))
    s = recorded(net, x, np.array([5, 5]), membranenorm0="spike")["membranenorm0"].sum()
    found = operations(net, x)
    assert found.layers["membranenorm0"] == Count(mac=80, ac=40, update_mac=40, update_ac=s, compare=40)
    assert found.layers["dense1"] == Count(ac=2 * s)
    net = ns.Network(ns.TimeDistributed(ns.Dense(3, 4)), ns.TimeDistributed(ns.ALIF(4, v_threshold=0.01, recurrent=True)), ns.Dense(4, 2))
    found = operations(net, x)
    assert found.layers["timedistributed0"] == Count(mac=10 * 12)
    assert found.layers["timedistributed1"] == Count(update_mac=80, compare=40)
    assert found.layers["dense0"].ac == 2 * round(found.rates["timedistributed1"] * 40) > 0


def test_a_silent_network_costs_its_first_layer_and_updates(rng):
    net = ns.Network(ns.Dense(5, 7), ns.LIF(7, recurrent=True, v_threshold=1e6), ns.Dense(7, 4), ns.LIF(4, v_threshold=1e6))
    found = operations(net, spikes(rng, 8, 3, 5))
    assert found.layers["dense0"].ac > 0
    assert found.total == found.layers["dense0"] + Count(update_mac=24 * 11, compare=24 * 11)
    assert found.rates["lif0"] == found.rates["lif1"] == 0


def test_padded_steps_do_not_count(rng):
    """A padded batch is the sum of its samples, each cut to its length."""
    net = ns.Network(ns.Dense(5, 7, weight=("normal", 1.0)), ns.ALIF(7, recurrent=True), ns.Dense(7, 6), ns.LIF(6), ns.Previous("lif0"), ns.Dense(6, 3), ns.LI(3),
                     ns.OverTime("mean", of="softmax", start=3))
    x = spikes(rng, 9, 4, 5)
    alone = [operations(net, x[:n, b:b + 1]) for b, n in enumerate(LENGTHS) if n]
    whole = operations(net, x, lengths=LENGTHS)
    assert whole.layers == sum(alone[1:], alone[0]).layers
    assert whole.steps == LENGTHS.sum()


def test_pieces_of_a_batch(rng, monkeypatch):
    net = ns.Network(ns.Dense(5, 7, weight=("normal", 1.0)), ns.ALIF(7, recurrent=True), ns.Dense(7, 3), ns.LI(3))
    x, calls, run = spikes(rng, 9, 11, 5), [], net.run
    whole = operations(net, x)
    monkeypatch.setattr(energy.run, "PIECE", 4 * 9 * 12 * 3)
    monkeypatch.setattr(net, "run", lambda x, **more: calls.append(x.shape[1]) or run(x, **more))
    assert operations(net, x) == whole
    assert calls == [3, 3, 3, 2]


def test_every_layer_has_a_rule():
    assert len(ns.layers.LAYERS) > 25
    for name, layer in ns.layers.LAYERS.items():
        assert any(cls.__name__ in energy.KINDS for cls in layer.__mro__), f"{name}: nobody has said what operations it makes"


def test_refusals(rng):
    class Mystery(ns.Layer):
        def forward(self, x, state, prepared, context):
            return ns.layers.layer.Result(x, None)

    x = spikes(rng, 5, 2, 4)
    with pytest.raises(ValueError, match="nobody has said what operations a Mystery makes; add it to numsnn.energy.KINDS"):
        operations(ns.Network(ns.Dense(4, 3), Mystery()), x)
    net = ns.Network(ns.Dense(4, 3), ns.LIF(3))
    with pytest.raises(ValueError, match="no time step to count"):
        operations(net, x, lengths=np.array([0, 0]))
    with pytest.raises(ValueError, match="no time step to count"):
        operations(net, x[:, :0])
    with pytest.raises(ValueError, match="fp32, int32, or two energies"):
        energy.table(net, x, constants="bf16")
    for wrong in ("1", "1,2,3", "-1,2", "nan,1", (1,), None):
        with pytest.raises(ValueError, match="fp32, int32"):
            energy.preset(wrong)
    with pytest.raises(ValueError, match="no formula for 'lstm'; there are Dense"):
        formula("lstm", 3, 4)
    with pytest.raises(ValueError, match="a size must be a positive integer; got 0"):
        formula("LSTM", 0, 4)
    with pytest.raises(ValueError, match="rate_in is a number of spikes"):
        formula("LIF", 3, 4, rate_in=-0.1)


# ---- formulas


def ecg(hidden):
    """The network of the ECG task at its measured rates (input .0790, hidden .344, output .0038)."""
    return formula(hidden, 4, 36, rate_in=0.07895, rate=0.344, recurrent=True) + formula("ALIF", 36, 6, rate_in=0.344, rate=0.0038)


def test_the_papers_energies_of_the_ecg_network():
    """pJ per step, to the digits given: 710 and 208 as LIF, 887 as ALIF; the LSTM 30,305 and 21,082; ratios 42.7, 101, 34, 65."""
    lstm = formula("LSTM", 4, 36) + formula("Dense", 36, 6)
    assert [round(ecg("LIF").count.energy(c)) for c in (FP32, INT32)] == [710, 208]
    assert round(ecg("ALIF").count.energy("fp32")) == 887
    assert [round(lstm.count.energy(c)) for c in ("fp32", "int32")] == [30305, 21082]
    ratios = [lstm.count.energy(c) / ecg(h).count.energy(c) for h in ("LIF", "ALIF") for c in (FP32, INT32)]
    assert [round(r, 1) for r in ratios] == [42.7, 101.4, 34.2, 65.0]


@pytest.mark.parametrize(("rate_in", "want"), [(0.03, (258, 706)), (0.013, (299, 752))])
def test_the_papers_ratios_of_shd(rate_in, want):
    """Rates are given with two digits, which decide over half a percent of the ratio."""
    rate = 0.11
    srnn = formula("ALIF", 700, 128, rate_in=rate_in, rate=rate, recurrent=True) + formula("ALIF", 128, 128, rate_in=rate, rate=rate, recurrent=True) \
        + formula("LI", 128, 20, rate_in=rate)
    lstm = formula("LSTM", 700, 128) + formula("LSTM", 128, 128) + formula("Dense", 128, 20)
    assert [lstm.count.energy(c) / srnn.count.energy(c) for c in (FP32, INT32)] == pytest.approx(want, rel=5e-3)
    assert srnn.parameters == 142_376 - 2 * 128 * 2 - 20          # all but the time constants


def test_counts_as_the_papers_write_them():
    """m = 3, n = 4, rates .5 and .25, by hand."""
    for name, want in {"Dense": 12, "SimpleRNN": 12 + 16 + 16, "GRU": 3 * 28 + 48, "LSTM": 4 * 28 + 68}.items():
        assert formula(name, 3, 4).count.all_mac == want
        assert formula(name, 3, 4, bidirectional=True).count.all_mac == 2 * want
    assert formula("LIF", 3, 4, rate_in=0.5, rate=0.25, recurrent=True).count == Count(ac=12 * 0.5 + 16 * 0.25, update_ac=4 * 0.25, update_mac=4, compare=4)
    assert formula("ALIF", 3, 4, rate_in=0.5, rate=0.25, recurrent=True).count == Count(ac=12 * 0.5 + 16 * 0.25, update_ac=8 * 0.25, update_mac=8, compare=4)
    assert formula("ALIF", 3, 4, rate=None, recurrent=True).count.all_mac == 12 + 16 + 2 * 4 + 2 * 4        # ReLU-SRNN
    assert formula("LI", 3, 4, rate_in=0.5).count == Count(ac=6, update_mac=4)
    assert formula("DenseLIAF", 3, 4).count == Count(mac=12, update_mac=4, compare=4)
    assert formula("DenseLIF", 3, 4, rate_in=0.5).count == Count(ac=6, update_mac=4, compare=4)
    assert formula("ConvLIAF", 2, 5, 3, (6, 7)).count == Count(mac=2 * 5 * 9 * 42, update_mac=5 * 42, compare=5 * 42)
    assert formula("ConvLIF", 2, 5, 3, (6, 7), rate_in=0.5, rate=0.1).count == Count(ac=5 * 9 * 42, update_mac=210, update_ac=21, compare=210)
    assert formula("ConvLSTM2D", 2, 5, 3, (6, 7)).count == Count(mac=4 * 9 * 7 * 5 * 42, update_mac=17 * 5 * 42)
    assert formula("Conv3D", 2, 5, (3, 2), 42, steps=4).count == Count(mac=4 * 6 * 2 * 5 * 42)


def test_parameters_as_the_papers_count_them():
    assert {name: formula(name, 28, 128).parameters for name in ("ARLIF", "SimpleRNN", "GRU", "LSTM")} == {
        "ARLIF": 3712, "SimpleRNN": 20_096, "GRU": 60_672, "LSTM": 80_384}
    assert ecg("ALIF").parameters == 1734
    assert formula("GRU", 28, 128, reset_after=False).parameters == 3 * 128 * 157
    assert formula("ConvLSTM2D", 2, 5, 3, 42).parameters == 4 * (9 * 7 * 5 + 5)
    assert formula("ConvLIAF", 2, 5, 3, 42).parameters == 9 * 10 + 5
    assert formula("Conv3D", 2, 5, 3, 42, steps=3).parameters == 27 * 10 + 5


# ---- formulas and counts say the same


def test_the_reset_gate_before_the_product_is_counted_as_its_formula(rng):
    net = ns.Network(ns.Dense(5, 18), ns.GRU(6, reset_after=False))
    found, one = operations(net, rng.normal(size=(8, 2, 5))), formula("GRU", 5, 6, reset_after=False)
    assert found.per_step == one.count and net.n_params == one.parameters


@pytest.mark.parametrize(("name", "gates"), [("SimpleRNN", 1), ("GRU", 3), ("LSTM", 4)])
def test_gated_layers_are_counted_as_their_formulas(rng, name, gates):
    net = ns.Network(ns.Dense(5, gates * 6), getattr(ns, name)(6), ns.Dense(6, 3))
    found, one = operations(net, rng.normal(size=(8, 2, 5))), formula(name, 5, 6) + formula("Dense", 6, 3)
    assert found.per_step == one.count
    assert net.n_params == one.parameters
    rows = energy.table(net, rng.normal(size=(8, 2, 5)))
    assert rows.ratio([peer.name for peer in rows.peers].index(name)) == pytest.approx(1)


def test_spiking_layers_are_counted_as_their_formulas(rng):
    """At the rates of the run; recurrence differs by the spikes of the last step, which the formula lets recur."""
    net = ns.Network(ns.Dense(5, 7, weight=("normal", 2.0)), ns.LIF(7), ns.Dense(7, 4, weight=("normal", 2.0)), ns.LIF(4, recurrent=True))
    x = spikes(rng, 20, 6, 5)
    found = operations(net, x)
    one = formula("LIF", 5, 7, rate_in=found.rates["input"], rate=found.rates["lif0"]) \
        + formula("LIF", 7, 4, rate_in=found.rates["lif0"], rate=found.rates["lif1"], recurrent=True)
    last = recorded(net, x, np.full(6, 20), lif1="spike")["lif1"][-1].sum()
    want = one.count + Count(ac=-4 * float(last) / 120)
    for field in ("mac", "ac", "update_mac", "update_ac", "compare"):
        assert getattr(found.per_step, field) == pytest.approx(getattr(want, field), rel=1e-12)
    assert net.n_params == one.parameters


# ---- the table, its figure, the command


def test_table(rng):
    net = ns.Network(ns.Dense(4, 36, weight=("normal", 2.0)), ns.ALIF(36, recurrent=True, beta=0.0), ns.Dense(36, 6), ns.ALIF(6, output="v"))
    data = ns.Dataset(spikes(rng, 20, 5, 4), rng.integers(0, 6, (20, 5)), name="made up")
    found = energy.table(net, data, batch_size=2)
    by_name = {peer.name: i for i, peer in enumerate(found.peers)}
    assert found.energy(by_name["LSTM"]) == pytest.approx(20 * 6588 * 4.6)
    assert found.energy(by_name["bidirectional LSTM"]) == pytest.approx(20 * (2 * 6372 + 2 * 216) * 4.6)
    assert found.peers[by_name["LSTM"]].parameters == 4 * 36 * 41 + 36 * 6 + 6
    assert found.energy() == pytest.approx(operations(net, data.x).per_inference.energy(FP32))
    assert found.ratio(by_name["GRU"]) == pytest.approx(found.energy(by_name["GRU"]) / found.energy())
    text = str(found)
    assert "made up: 5 samples of 20 steps" in text and "fp32 (45 nm, Horowitz 2014): 4.6 pJ per MAC, 0.9 pJ per AC" in text
    assert "4-36-6" in text and "6,588" in text
    assert "given: 2 pJ per MAC, 1 pJ per AC" in str(energy.table(net, data.x, constants=(2, 1)))
    assert found._replace(constants=INT32).energy(by_name["LSTM"]) == pytest.approx(20 * 6588 * 3.2)


def test_what_is_not_replaced_costs_the_same(rng):
    """A soft-max over time and a norm: the LSTM beside an LSTM has the ratio 1."""
    net = ns.Network(ns.Dense(5, 24), ns.BatchNorm(), ns.LSTM(6), ns.Dense(6, 3), ns.OverTime("sum", of="softmax"))
    found = energy.table(net, rng.normal(size=(8, 2, 5)))
    lstm = next(i for i, peer in enumerate(found.peers) if peer.name == "LSTM")
    assert found.peers[lstm].count == found.peers[0].count
    assert found.peers[lstm].parameters == net.n_params


def test_peers_of_pictures_and_of_other_graphs(rng):
    net = ns.Network(ns.Conv2d(2, 4, 3, padding=1), ns.LIF((4, 8, 8)), ns.AvgPool2d(2), ns.Dense(64, 10), ns.LI(10), input_shape=(2, 8, 8))
    sizes, found = energy.peers(net)
    found = dict(found)
    assert sizes == "2x8x8-4x8x8-10"
    assert found["ConvLSTM2D"].count == (formula("ConvLSTM2D", 2, 4, 3, 64) + formula("Dense", 64, 10)).count
    assert found["Conv3D"].count == (formula("Conv3D", 2, 4, 3, 64) + formula("Dense", 64, 10)).count
    assert found["Conv2d at every step"].parameters == 2 * 4 * 9 + 4 + 650
    # artificial layers stay what they are; two projections into a population are one matrix; a direction is a cell
    net = ns.Network(ns.Dense(5, 8), ns.Activation(), ns.Dense(8, 8), ns.Activation(), ns.Dense(8, 8), ns.Activation(), ns.Dense(8, 6), ns.LIF(6), ns.Dense(6, 2),
                     ns.LI(2))
    sizes, found = energy.peers(net)
    assert sizes == "5-8-8-8-6-2"
    assert dict(found)["LSTM"].count.mac == 40 + 64 + 64 + 4 * 6 * 14 + 12
    net = ns.Network(ns.Dense(5, 6), ns.From("input"), ns.Dense(5, 6), ns.Add("dense0", "dense1"), ns.LIF(6), ns.Dense(6, 4), ns.LIF(4), ns.Dense(4, 2), ns.LI(2))
    assert dict(energy.peers(net)[1])["LSTM"].count.mac == 4 * 6 * 16 + 4 * 4 * 10 + 8
    assert dict(energy.peers(net)[1])["bidirectional LSTM"].count.mac == 2 * 4 * 6 * 16 + 2 * 4 * 4 * 16 + 16
    net = ns.Network(ns.Bidirectional(lambda: (ns.Dense(5, 6), ns.LIF(6))), ns.Dense(12, 2), ns.LI(2))
    found = dict(energy.peers(net)[1])
    assert found["LSTM"].count.mac == 2 * 4 * 6 * 11 + 24
    assert "bidirectional LSTM" not in found
    net = ns.Network(ns.Dense(5, 6), ns.Repeat(4), ns.LIF(6), ns.Dense(6, 2), ns.LI(2))
    assert dict(energy.peers(net)[1])["LSTM"].count.mac == 4 * (4 * 6 * 11 + 12)
    net = ns.Network(ns.Embedding(9, 5), ns.Dense(5, 6), ns.LIAF(6), ns.Dense(6, 9), ns.LI(9))
    sizes, found = energy.peers(net)
    assert sizes == "9-5-6-9"
    assert dict(found)["GRU"].parameters == 3 * 6 * 13 + 63
    assert {peer.name: peer.parameters for peer in energy.table(net, rng.integers(0, 9, (4, 2))).peers}["GRU"] == 45 + 3 * 6 * 13 + 63
    assert "LSTM" not in str(energy.table(ns.Network(ns.LIF(3)), spikes(rng, 4, 2, 3)))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    out = tmp_path_factory.mktemp("energy") / "ecg"
    assert cli.main(["train", "srnn-ecg", "--epochs", "1", "--out", str(out)]) == 0
    return out / "checkpoint.h5"


def test_the_command(checkpoint, tmp_path, capsys):
    assert cli.main(["energy", str(checkpoint)]) == 0
    printed = capsys.readouterr().out
    for part in ("SYNTHETIC", "141 samples of 1,300 steps", "fp32 (45 nm, Horowitz 2014)", "alif0", "bidirectional LSTM", "6,588", "30,305", "1,818"):
        assert part in printed, part
    drawn = checkpoint.with_name("energy.png")
    assert drawn.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" and drawn.stat().st_size > 10_000
    assert cli.main(["energy", str(checkpoint), "--constants", "int32", "--batch", "7", "--out", str(tmp_path / "e.png")]) == 0
    assert "21,082" in capsys.readouterr().out and (tmp_path / "e.png").is_file()
    assert cli.main(["energy", str(checkpoint), "--constants", "2,0.5", "--out", str(tmp_path / "f.png")]) == 0
    assert "given: 2 pJ per MAC, 0.5 pJ per AC" in capsys.readouterr().out


def test_bad_input_of_the_command(checkpoint, tmp_path, capsys):
    def refused(*arguments):
        assert cli.main(["energy", *map(str, arguments)]) == 2
        message = capsys.readouterr().err.strip().split("\n")
        assert len(message) == 1, message
        return message[0]

    plain = tmp_path / "plain.h5"
    ns.save(ns.Network(ns.Dense(4, 3), ns.LIF(3)), plain)
    assert "not written by `numsnn train`, so that its data are not known; use ns.energy.table" in refused(plain)
    assert "no checkpoint" in refused(tmp_path / "none.h5")
    assert "constants are fp32, int32, or two energies" in refused(checkpoint, "--constants", "fp8")
    assert "batch_size must be a positive integer; got 0" in refused(checkpoint, "--batch", "0")
    assert "no file" in refused(checkpoint, "--data", tmp_path)
