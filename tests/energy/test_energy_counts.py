"""Operations counted from a run against a loop over every spike and synapse; what is refused."""

import numpy as np
import pytest

import numsnn as ns
from numsnn import energy
from numsnn.energy import Count, formula, operations

LENGTHS = np.array([9, 4, 0, 7])


def spikes(rng, *shape, rate=0.3):
    return rng.random(shape) < rate


def recorded(net, x, lengths, **record):
    """What layers hand out, (T, B, N), zero on padded steps."""
    _, _, seen = net.run(x, lengths=lengths, record=record)
    valid = np.arange(len(x))[:, None, None] < lengths[:, None]
    return {name: next(iter(fields.values())).reshape(len(x), len(lengths), -1) * valid
            for name, fields in seen.items()}


def steps_of(lengths):
    return [(t, b) for b, n in enumerate(lengths) for t in range(n)]


def integers(count):
    numbers = count.mac, count.ac, count.update_mac, count.update_ac, count.compare
    assert all(value == int(value) for value in numbers)
    return count


@pytest.mark.parametrize("real", [False, True])
def test_dense_and_recurrent(rng, real):
    """Every step, sample, spike and synapse by itself; two of the seven hidden neurons do not adapt."""
    beta = np.array([1.8, 0, 1.8, 1.8, 0, 1.8, 1.8])
    hidden = ns.ALIF(7, recurrent=True, beta=beta, v_threshold=0.1)
    net = ns.Network(ns.Dense(5, 7, weight=("normal", 1.0)), hidden, ns.Dense(7, 3), ns.LI(3))
    x = rng.normal(size=(9, 4, 5)) if real else rng.integers(0, 3, (9, 4, 5))
    s = recorded(net, x, LENGTHS, alif0="spike")["alif0"]
    assert 0.1 < s[:4, 0].mean() < 0.9
    mac = ac = update_ac = recurrent = after = 0
    for t, b in steps_of(LENGTHS):
        for i in range(5):
            for _ in range(7):
                if real:
                    mac += 1
                else:
                    ac += x[t, b, i]
        for j in range(7):
            if t and s[t - 1, b, j]:
                recurrent += sum(1 for _ in range(7))
                update_ac += 2 if beta[j] else 1
            after += 3 * s[t, b, j]
    found = operations(net, x, lengths=LENGTHS)
    steps = LENGTHS.sum()
    assert integers(found.layers["dense0"]) == Count(mac=mac, ac=ac)
    assert found.layers["alif0"] == Count(ac=recurrent, update_mac=steps * (7 + 5), update_ac=update_ac,
                                          compare=steps * 7)
    assert found.layers["dense1"] == Count(ac=after)
    assert found.layers["li0"] == Count(update_mac=steps * 3)
    assert (found.samples, found.steps) == (4, steps)
    assert found.rates["alif0"] == pytest.approx(s.sum() / (7 * steps), rel=1e-12)
    assert ("input" in found.rates) is not real
    assert found.total == sum(found.layers.values(), Count())
    assert found.per_step.ac * steps == pytest.approx(found.total.ac)


CONVOLUTIONS = [{}, {"stride": 2, "padding": 1},
                {"kernel": (3, 2), "stride": (2, 1), "padding": (0, 2), "dilation": (1, 2)},
                {"kernel": 1, "stride": 3}]


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
                        y = row * g.stride[0] + i * g.dilation[0] - g.padding[0]
                        z = column * g.stride[1] + j * g.dilation[1] - g.padding[1]
                        if 0 <= y < 6 and 0 <= z < 7:
                            total += 3 * (2 if real else x[t, b, :, y, z].sum())
    assert total > 0
    found = integers(operations(net, x, lengths=lengths).layers["conv0"])
    assert found == (Count(mac=total) if real else Count(ac=total))


def test_pools_pass_spikes_on(rng):
    """A spike goes to every window it lies in, and from there to every synapse; those of maxima compare."""
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
    """Beside each other: spikes stay spikes and real numbers real; sums of spikes are spikes.

    What is one step late loses the last step.
    """
    net = ns.Network(ns.Dense(4, 6, weight=("normal", 2.0)), ns.LIF(6, name="a"),
                     ns.From("dense0"), ns.Concatenate("a", "from0"), ns.Dense(12, 3, name="mixed"),
                     ns.From("a"), ns.Dense(6, 6, weight=("normal", 2.0)), ns.LIF(6, name="b"),
                     ns.Add("a", "b"), ns.Dense(6, 3, name="sum"),
                     ns.Previous("a"), ns.Dense(6, 3, name="late"),
                     ns.Add("mixed", "sum", "late"), ns.LI(3))
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
    net = ns.Network(ns.Dense(4, 5, weight=("normal", 2.0)), ns.Repeat(3),
                     ns.Previous("b"), ns.Dense(5, 5, name="back"), ns.Add("repeat0", "back"),
                     ns.LIF(5, name="b"), ns.Reverse(), ns.Dense(5, 2, name="out"), ns.OverTime("mean"))
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
    updates = 5 * 3 * LENGTHS.sum()
    assert found.layers["b"] == Count(update_mac=updates, update_ac=every, compare=updates)


def test_what_comes_back_late_may_be_real(rng):
    """A membrane that is fed back: real numbers meet the synapses after Previous, at every step."""
    net = ns.Network(ns.Dense(4, 5), ns.Previous("v"), ns.Dense(5, 5, name="back"), ns.Add("dense0", "back"),
                     ns.LI(5, name="v"), ns.Dense(5, 2))
    found = operations(net, spikes(rng, 6, 2, 4))
    assert found.layers["back"] == Count(mac=12 * 25)
    assert found.layers["add0"] == Count(ac=12 * 5)


def test_pooled_time_and_a_late_answer(rng):
    """Of three steps one: all spikes go on; the largest compares.

    An answer that begins late sums the steps that are left.
    """
    x, lengths = spikes(rng, 9, 3, 4), np.array([9, 6, 3])
    every = sum(x[t, b].sum() for t, b in steps_of(lengths))
    largest = sum(x[3 * t:3 * t + 3, b].any(0).sum() for t, b in steps_of(lengths // 3))
    for reduce, want in (("mean", every), ("sum", every), ("max", largest)):
        net = ns.Network(ns.PoolTime(3, reduce), ns.Dense(4, 5), ns.LI(5), ns.OverTime("sum", start=2),
                         input_shape=4)
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
    hidden = formula("ALIF", 4, 6, rate_in=found.rates["input"], rate=None, recurrent=True)
    one = hidden + formula("Dense", 6, 2)
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


RESETS = [(ns.LIF, {}, 1), (ns.LIF, {"reset": "none"}, 0), (ns.LIF, {"reset_when": "next"}, None),
          (ns.LIAF, {}, 1), (ns.LIAF, {"output": "spike"}, 1)]


@pytest.mark.parametrize(("layer", "options", "resets"), RESETS)
def test_resets(rng, layer, options, resets):
    """Once for each spike; a reset in the next step not for the spikes of the last."""
    net = ns.Network(ns.Dense(4, 6, weight=("normal", 2.0)), layer(6, **options), ns.Dense(6, 2))
    x, name = spikes(rng, 9, 4, 4), layer.__name__.lower() + "0"
    s = recorded(net, x, LENGTHS, **{name: "spike"})[name]
    before_the_last = sum(s[t - 1, b].sum() for t, b in steps_of(LENGTHS) if t)
    want = before_the_last if resets is None else resets * s.sum()
    assert s.sum() > 0
    found, steps = operations(net, x, lengths=LENGTHS), LENGTHS.sum()
    assert found.layers[name] == Count(update_mac=6 * steps, update_ac=want, compare=6 * steps)
    analog = net.layers[name].output == "analog"
    assert found.layers["dense1"] == (Count(mac=12 * steps) if analog else Count(ac=2 * s.sum()))


def test_variables_that_do_nothing_are_none(rng):
    """ARLIF: a trace with beta = 0, a diagonal kernel with weight 0.

    The kernel is a product that a spike does not change.
    """
    from numsnn.layers.arlif import ARLIF
    x = rng.normal(size=(9, 4, 5)) * 3
    for more, carried, changed in (({}, 1, 1), ({"threshold": "trace"}, 2, 2), ({"self_weight": 0.1}, 2, 1)):
        net = ns.Network(ns.Dense(5, 6), ARLIF(6, name="a", **more), ns.Dense(6, 2))
        s = recorded(net, x, LENGTHS, a="spike")["a"]
        found, steps = operations(net, x, lengths=LENGTHS), LENGTHS.sum()
        assert s.sum() > 0
        assert found.layers["a"] == Count(update_mac=6 * carried * steps, update_ac=changed * s.sum(),
                                          compare=6 * steps)
        assert found.layers["dense1"] == Count(mac=12 * steps)


def test_layers_around_others(rng):
    """A norm within the membrane costs both; in TimeDistributed nothing is carried from step to step."""
    x = rng.normal(size=(5, 2, 3)) * 4
    normed = ns.MembraneNorm(ns.LIAF(4, output="spike"), ns.LayerNorm())
    net = ns.Network(ns.Dense(3, 4), normed, ns.Dense(4, 2))
    s = recorded(net, x, np.array([5, 5]), membranenorm0="spike")["membranenorm0"].sum()
    found = operations(net, x)
    assert found.layers["membranenorm0"] == Count(mac=80, ac=40, update_mac=40, update_ac=s, compare=40)
    assert found.layers["dense1"] == Count(ac=2 * s)
    population = ns.ALIF(4, v_threshold=0.01, recurrent=True)
    net = ns.Network(ns.TimeDistributed(ns.Dense(3, 4)), ns.TimeDistributed(population), ns.Dense(4, 2))
    found = operations(net, x)
    assert found.layers["timedistributed0"] == Count(mac=10 * 12)
    assert found.layers["timedistributed1"] == Count(update_mac=80, compare=40)
    assert found.layers["dense0"].ac == 2 * round(found.rates["timedistributed1"] * 40) > 0


def test_a_silent_network_costs_its_first_layer_and_updates(rng):
    net = ns.Network(ns.Dense(5, 7), ns.LIF(7, recurrent=True, v_threshold=1e6),
                     ns.Dense(7, 4), ns.LIF(4, v_threshold=1e6))
    found = operations(net, spikes(rng, 8, 3, 5))
    assert found.layers["dense0"].ac > 0
    assert found.total == found.layers["dense0"] + Count(update_mac=24 * 11, compare=24 * 11)
    assert found.rates["lif0"] == found.rates["lif1"] == 0


def test_padded_steps_do_not_count(rng):
    """A padded batch is the sum of its samples, each cut to its length."""
    net = ns.Network(ns.Dense(5, 7, weight=("normal", 1.0)), ns.ALIF(7, recurrent=True), ns.Dense(7, 6),
                     ns.LIF(6), ns.Previous("lif0"), ns.Dense(6, 3), ns.LI(3),
                     ns.OverTime("mean", of="softmax", start=3))
    x = spikes(rng, 9, 4, 5)
    alone = [operations(net, x[:n, b:b + 1]) for b, n in enumerate(LENGTHS) if n]
    whole = operations(net, x, lengths=LENGTHS)
    assert whole.layers == sum(alone[1:], alone[0]).layers
    assert whole.steps == LENGTHS.sum()


def test_pieces_of_a_batch(rng, monkeypatch):
    net = ns.Network(ns.Dense(5, 7, weight=("normal", 1.0)), ns.ALIF(7, recurrent=True), ns.Dense(7, 3),
                     ns.LI(3))
    x, calls, run = spikes(rng, 9, 11, 5), [], net.run
    whole = operations(net, x)

    def seen(x, **more):
        calls.append(x.shape[1])
        return run(x, **more)

    monkeypatch.setattr(energy.run, "PIECE", 4 * 9 * 12 * 3)
    monkeypatch.setattr(net, "run", seen)
    assert operations(net, x) == whole
    assert calls == [3, 3, 3, 2]


def test_every_layer_has_a_rule():
    assert len(ns.layers.LAYERS) > 25
    for name, layer in ns.layers.LAYERS.items():
        known = any(cls.__name__ in energy.KINDS for cls in layer.__mro__)
        assert known, f"{name}: nobody has said what operations it makes"


def test_refusals(rng):
    class Mystery(ns.Layer):
        def forward(self, x, state, prepared, context):
            return ns.layers.layer.Result(x, None)

    x = spikes(rng, 5, 2, 4)
    unknown = "nobody has said what operations a Mystery makes; add it to numsnn.energy.KINDS"
    with pytest.raises(ValueError, match=unknown):
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
