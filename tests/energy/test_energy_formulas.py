"""Formulas against the papers' numbers and against counts; a network's table beside peers; the command."""

import pytest

import numsnn as ns
from numsnn import cli, energy
from numsnn.energy import FP32, INT32, Count, formula, operations


def spikes(rng, *shape, rate=0.3):
    return rng.random(shape) < rate


# ---- formulas


def ecg(hidden):
    """The network of the ECG task at its measured rates (input .0790, hidden .344, output .0038)."""
    first = formula(hidden, 4, 36, rate_in=0.07895, rate=0.344, recurrent=True)
    return first + formula("ALIF", 36, 6, rate_in=0.344, rate=0.0038)


def test_the_papers_energies_of_the_ecg_network():
    """pJ per step, to the digits given: 710 and 208 as LIF, 887 as ALIF; the LSTM 30,305 and 21,082.

    Ratios 42.7, 101, 34, 65.
    """
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
    first = formula("ALIF", 700, 128, rate_in=rate_in, rate=rate, recurrent=True)
    second = formula("ALIF", 128, 128, rate_in=rate, rate=rate, recurrent=True)
    srnn = first + second + formula("LI", 128, 20, rate_in=rate)
    lstm = formula("LSTM", 700, 128) + formula("LSTM", 128, 128) + formula("Dense", 128, 20)
    ratios = [lstm.count.energy(c) / srnn.count.energy(c) for c in (FP32, INT32)]
    assert ratios == pytest.approx(want, rel=5e-3)
    time_constants = 2 * 128 * 2 + 20
    assert srnn.parameters == 142_376 - time_constants


def test_counts_as_the_papers_write_them():
    """m = 3, n = 4, rates .5 and .25, by hand."""
    macs = {"Dense": 12, "SimpleRNN": 12 + 16 + 16, "GRU": 3 * 28 + 48, "LSTM": 4 * 28 + 68}
    for name, want in macs.items():
        assert formula(name, 3, 4).count.all_mac == want
        assert formula(name, 3, 4, bidirectional=True).count.all_mac == 2 * want
    lif = formula("LIF", 3, 4, rate_in=0.5, rate=0.25, recurrent=True)
    assert lif.count == Count(ac=12 * 0.5 + 16 * 0.25, update_ac=4 * 0.25, update_mac=4, compare=4)
    alif = formula("ALIF", 3, 4, rate_in=0.5, rate=0.25, recurrent=True)
    assert alif.count == Count(ac=12 * 0.5 + 16 * 0.25, update_ac=8 * 0.25, update_mac=8, compare=4)
    relu_srnn = formula("ALIF", 3, 4, rate=None, recurrent=True)
    assert relu_srnn.count.all_mac == 12 + 16 + 2 * 4 + 2 * 4
    assert formula("LI", 3, 4, rate_in=0.5).count == Count(ac=6, update_mac=4)
    assert formula("DenseLIAF", 3, 4).count == Count(mac=12, update_mac=4, compare=4)
    assert formula("DenseLIF", 3, 4, rate_in=0.5).count == Count(ac=6, update_mac=4, compare=4)
    conv_liaf = formula("ConvLIAF", 2, 5, 3, (6, 7))
    assert conv_liaf.count == Count(mac=2 * 5 * 9 * 42, update_mac=5 * 42, compare=5 * 42)
    conv_lif = formula("ConvLIF", 2, 5, 3, (6, 7), rate_in=0.5, rate=0.1)
    assert conv_lif.count == Count(ac=5 * 9 * 42, update_mac=210, update_ac=21, compare=210)
    conv_lstm = formula("ConvLSTM2D", 2, 5, 3, (6, 7))
    assert conv_lstm.count == Count(mac=4 * 9 * 7 * 5 * 42, update_mac=17 * 5 * 42)
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
    """At the rates of the run; recurrence differs by the last step's spikes, which the formula lets recur."""
    net = ns.Network(ns.Dense(5, 7, weight=("normal", 2.0)), ns.LIF(7),
                     ns.Dense(7, 4, weight=("normal", 2.0)), ns.LIF(4, recurrent=True))
    x = spikes(rng, 20, 6, 5)
    found = operations(net, x)
    rates = found.rates
    first = formula("LIF", 5, 7, rate_in=rates["input"], rate=rates["lif0"])
    one = first + formula("LIF", 7, 4, rate_in=rates["lif0"], rate=rates["lif1"], recurrent=True)
    _, _, seen = net.run(x, record={"lif1": "spike"})
    last = seen["lif1"]["spike"][-1].sum()
    want = one.count + Count(ac=-4 * float(last) / 120)
    for field in ("mac", "ac", "update_mac", "update_ac", "compare"):
        assert getattr(found.per_step, field) == pytest.approx(getattr(want, field), rel=1e-12)
    assert net.n_params == one.parameters


# ---- the table, its figure, the command


def test_table(rng):
    net = ns.Network(ns.Dense(4, 36, weight=("normal", 2.0)), ns.ALIF(36, recurrent=True, beta=0.0),
                     ns.Dense(36, 6), ns.ALIF(6, output="v"))
    data = ns.Dataset(spikes(rng, 20, 5, 4), rng.integers(0, 6, (20, 5)), name="made up", time_first=True)
    found = energy.table(net, data, batch_size=2)
    by_name = {peer.name: i for i, peer in enumerate(found.peers)}
    assert found.energy(by_name["LSTM"]) == pytest.approx(20 * 6588 * 4.6)
    assert found.energy(by_name["bidirectional LSTM"]) == pytest.approx(20 * (2 * 6372 + 2 * 216) * 4.6)
    assert found.peers[by_name["LSTM"]].parameters == 4 * 36 * 41 + 36 * 6 + 6
    assert found.energy() == pytest.approx(operations(net, data.x).per_inference.energy(FP32))
    assert found.ratio(by_name["GRU"]) == pytest.approx(found.energy(by_name["GRU"]) / found.energy())
    text = str(found)
    for part in ("made up: 5 samples of 20 steps", "4-36-6", "6,588",
                 "fp32 (45 nm, Horowitz 2014): 4.6 pJ per MAC, 0.9 pJ per AC"):
        assert part in text, part
    assert "given: 2 pJ per MAC, 1 pJ per AC" in str(energy.table(net, data.x, constants=(2, 1)))
    assert found._replace(constants=INT32).energy(by_name["LSTM"]) == pytest.approx(20 * 6588 * 3.2)


def test_what_is_not_replaced_costs_the_same(rng):
    """A soft-max over time and a norm: the LSTM beside an LSTM has the ratio 1."""
    net = ns.Network(ns.Dense(5, 24), ns.BatchNorm(), ns.LSTM(6), ns.Dense(6, 3),
                     ns.OverTime("sum", of="softmax"))
    found = energy.table(net, rng.normal(size=(8, 2, 5)))
    lstm = next(i for i, peer in enumerate(found.peers) if peer.name == "LSTM")
    assert found.peers[lstm].count == found.peers[0].count
    assert found.peers[lstm].parameters == net.n_params


def test_peers_of_pictures_and_of_other_graphs(rng):
    net = ns.Network(ns.Conv2d(2, 4, 3, padding=1), ns.LIF((4, 8, 8)), ns.AvgPool2d(2),
                     ns.Dense(64, 10), ns.LI(10), input_shape=(2, 8, 8))
    sizes, found = energy.peers(net)
    found = dict(found)
    assert sizes == "2x8x8-4x8x8-10"
    assert found["ConvLSTM2D"].count == (formula("ConvLSTM2D", 2, 4, 3, 64) + formula("Dense", 64, 10)).count
    assert found["Conv3D"].count == (formula("Conv3D", 2, 4, 3, 64) + formula("Dense", 64, 10)).count
    assert found["Conv2d at every step"].parameters == 2 * 4 * 9 + 4 + 650
    # artificial layers stay what they are; two projections into a population are one matrix; a direction is
    # a cell
    net = ns.Network(ns.Dense(5, 8), ns.Activation(), ns.Dense(8, 8), ns.Activation(),
                     ns.Dense(8, 8), ns.Activation(), ns.Dense(8, 6), ns.LIF(6), ns.Dense(6, 2), ns.LI(2))
    sizes, found = energy.peers(net)
    assert sizes == "5-8-8-8-6-2"
    assert dict(found)["LSTM"].count.mac == 40 + 64 + 64 + 4 * 6 * 14 + 12
    net = ns.Network(ns.Dense(5, 6), ns.From("input"), ns.Dense(5, 6), ns.Add("dense0", "dense1"), ns.LIF(6),
                     ns.Dense(6, 4), ns.LIF(4), ns.Dense(4, 2), ns.LI(2))
    found = dict(energy.peers(net)[1])
    assert found["LSTM"].count.mac == 4 * 6 * 16 + 4 * 4 * 10 + 8
    assert found["bidirectional LSTM"].count.mac == 2 * 4 * 6 * 16 + 2 * 4 * 4 * 16 + 16
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
    table = energy.table(net, rng.integers(0, 9, (4, 2)))
    parameters = {peer.name: peer.parameters for peer in table.peers}
    assert parameters["GRU"] == 45 + 3 * 6 * 13 + 63
    assert "LSTM" not in str(energy.table(ns.Network(ns.LIF(3)), spikes(rng, 4, 2, 3)))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    out = tmp_path_factory.mktemp("energy") / "ecg"
    assert cli.main(["train", "srnn-ecg", "--epochs", "1", "--out", str(out)]) == 0
    return out / "checkpoint.h5"


def test_the_command(checkpoint, tmp_path, capsys):
    assert cli.main(["energy", str(checkpoint)]) == 0
    printed = capsys.readouterr().out
    for part in ("SYNTHETIC", "141 samples of 1,300 steps", "fp32 (45 nm, Horowitz 2014)", "alif0",
                 "bidirectional LSTM", "6,588", "30,305", "1,818"):
        assert part in printed, part
    drawn = checkpoint.with_name("energy.png")
    assert drawn.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" and drawn.stat().st_size > 10_000
    e, f = tmp_path / "e.png", tmp_path / "f.png"
    assert cli.main(["energy", str(checkpoint), "--constants", "int32", "--batch", "7", "--out", str(e)]) == 0
    assert "21,082" in capsys.readouterr().out and e.is_file()
    assert cli.main(["energy", str(checkpoint), "--constants", "2,0.5", "--out", str(f)]) == 0
    assert "given: 2 pJ per MAC, 0.5 pJ per AC" in capsys.readouterr().out


def test_bad_input_of_the_command(checkpoint, tmp_path, capsys):
    def refused(*arguments):
        assert cli.main(["energy", *map(str, arguments)]) == 2
        message = capsys.readouterr().err.strip().split("\n")
        assert len(message) == 1, message
        return message[0]

    plain = tmp_path / "plain.h5"
    ns.save(ns.Network(ns.Dense(4, 3), ns.LIF(3)), plain)
    not_ours = ("not written by `numsnn train`, so that its data are not known; "
                "add --recipe NAME or --data FILE.h5, or use ns.energy.table")
    assert not_ours in refused(plain)
    assert "no checkpoint" in refused(tmp_path / "none.h5")
    assert "constants are fp32, int32, or two energies" in refused(checkpoint, "--constants", "fp8")
    assert "batch_size must be a positive integer; got 0" in refused(checkpoint, "--batch", "0")
    assert "no file" in refused(checkpoint, "--data", tmp_path)
