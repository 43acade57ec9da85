"""`ns.report`: a folder for any network and data set; what is in it is what was measured."""

import json
import sys
import warnings

import numpy as np
import pytest

import numsnn as ns
from numsnn import cli
from numsnn.datasets import Dataset, Sequences
from numsnn.reports import example, plot, writing

T, B = 24, 9


@pytest.fixture
def drawn(monkeypatch):
    """Figures by the name of their file, not written: the layout of a figure takes longer than the report."""
    figures = {}

    def keep(fig, path):
        figures[path.name] = fig
        return path
    monkeypatch.setattr(plot, "save", keep)
    return figures


def network(*layers, **more):
    return ns.Network(*layers, device="reference", **more)


def spiking(answer="mean"):
    return network(ns.Dense(5, 8), ns.ALIF(8, recurrent=True, v_threshold=0.1, learn=("tau_mem", "tau_adp")),
                   ns.Dense(8, 3), ns.LI(3, learn="tau_mem"), ns.OverTime(answer))


class Later(Sequences):
    """Sequences that are read when they are asked for, each of another length."""
    units = 5

    def __init__(self, x, lengths):
        self.values, self.steps = x, lengths

    def __len__(self):
        return self.values.shape[1]

    def fetch(self, samples, rng=None):
        return self.values[:, samples], self.steps[samples]


def data_of(rng, kind):
    x = (rng.random((T, B, 5)) < 0.2).astype(np.float32)
    y, lengths = rng.integers(0, 3, B), rng.integers(T // 2, T, B)
    if kind == "spikes":
        return Dataset(ns.Spikes.from_dense(x), y, classes="abc", name="spikes", lengths=lengths)
    if kind == "lazy":
        return Dataset(Later(x, lengths), y, name="lazy")
    if kind == "steps":
        return Dataset(x, rng.integers(0, 3, (T, B)), mask=rng.random((T, B)) < 0.7, time_first=True,
                       labelled=rng.random((T, B)) < 0.5, lengths=lengths, name="steps")
    targets = rng.normal(size=(T, B, 3) if kind == "trace" else (B, 3)).astype(np.float32)
    return Dataset(x, targets, name=kind, lengths=lengths, time_first=True)


@pytest.mark.parametrize(("kind", "answer"), [("spikes", "mean"), ("lazy", "sum"), ("steps", "each"),
                                              ("targets", "mean"), ("trace", "each")])
def test_data_of_every_kind(kind, answer, rng, tmp_path, drawn):
    data, net = data_of(rng, kind), spiking(answer)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = ns.report(net, data, tmp_path / "new" / "folder")
    first = "answers" if data.has_targets else "confusion"
    assert set(found.files) == {"page", "numbers", first, "rates", "energy", "parameters", "sequence"}
    numbers = json.loads(found.files["numbers"].read_text())
    measured = ns.evaluate(net, data)
    assert numbers["parameters"] == net.n_params
    assert numbers["rates"]["alif0"]["dead"] == measured.rates["alif0"]["dead"]
    assert numbers["energy"]["pJ_per_inference"] == found.energy.energy() > 0
    if data.has_targets:
        assert numbers["test"]["mse"] == measured.metrics["mse"]
        assert len(numbers["test"]["targets"]["mae"]) == 3
        dots = drawn["answers.png"].axes[0].collections[0].get_offsets()
        assert len(dots) == measured.n
    else:
        assert np.sum(numbers["test"]["confusion"]) == measured.n
    page = found.files["page"].read_text()
    assert all(f"]({name})" in page for name in drawn)
    assert str(measured) in page and net.summary() in page
    printed = str(found)
    assert all(path.name in printed for path in found.files.values())


def test_the_picture_of_a_sequence_has_a_scale_for_each_membrane(rng, drawn):
    net = network(ns.Dense(5, 8), ns.ALIF(8, v_threshold=0.1), ns.Dense(8, 3, weight=("normal", 0.0, 1e3)),
                  ns.ALIF(3, v_threshold=100.0, output="v"))
    fig = example(net, data_of(rng, "steps"))
    labels = [axis.get_ylabel() for axis in fig.axes if axis.get_ylabel()]
    first, second = (name for name in labels if "neuron" in name)
    assert first.startswith("alif0, neuron") and second.startswith("alif1, neuron")
    assert labels[:3] == ["input", "alif0", "alif1"]
    bands = fig.axes[labels.index(second) + 1]
    assert [text.get_text() for text in bands.get_yticklabels()] == ["true", "predicted"]


OTHERS = {      # layers, features of a step, what the picture of a sequence shows between input and labels
    "no population": ((ns.Dense(5, 3), ns.OverTime("mean")), 5, []),
    "gated": ((ns.Dense(5, 16), ns.LSTM(4), ns.Dense(4, 3), ns.OverTime("last")), 5, ["lstm0"]),
    "pictures": ((ns.Conv2d(2, 3, 3, padding=1), ns.LIF(v_threshold=0.2), ns.Flatten(), ns.Dense(48, 3),
                  ns.OverTime("sum")), 32, ["lif0", "lif0, neuron"]),
    "both directions": ((ns.Bidirectional(lambda: (ns.Dense(5, 4), ns.LIF(4))), ns.Dense(8, 3),
                         ns.OverTime("mean")), 5, ["lif0", "lif1", "lif0, neuron", "lif1, neuron"]),
    "fewer steps": ((ns.Dense(5, 4), ns.LIF(4), ns.PoolTime(3), ns.Dense(4, 3), ns.OverTime("mean")), 5,
                    ["lif0", "lif0, neuron"]),
    "tokens": ((ns.Embedding(7, 5), ns.Dense(5, 3), ns.OverTime("mean")), 1, []),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_networks_of_every_kind(kind, rng):
    layers, units, expected = OTHERS[kind]
    net = network(*layers, input_shape=(2, 4, 4) if kind == "pictures" else None)
    x = rng.integers(0, 3, (T, B, units))
    data = Dataset(x if kind == "tokens" else x.astype(np.float32), rng.integers(0, 3, B), name=kind)
    fig = example(net, data, 2)
    labels = [axis.get_ylabel().rstrip(" 0123456789") for axis in fig.axes if axis.get_ylabel()]
    assert labels == ["input", *(name.rstrip(" 0123456789") for name in expected)]
    rows = [text.get_text() for text in fig.axes[-1].get_yticklabels()]
    goes_step_by_step = kind not in ("both directions", "fewer steps", "tokens")
    assert rows == ["true", "answer so far" if goes_step_by_step else "answer"]
    assert f"{kind}: sequence 3" in fig.get_suptitle()


def test_the_history_and_the_facts(rng, tmp_path, drawn):
    history = ns.History([{"epoch": i, "loss": 1.0, "valid_accuracy": a, "test_accuracy": a, "seconds": 2.0}
                          for i, a in enumerate((0.25, 0.75, 0.5))])
    found = ns.report(spiking(), data_of(rng, "spikes"), tmp_path, history=history, title="a run",
                      facts={"seed": np.int64(3), "loss": float("nan")})
    numbers = json.loads(found.files["numbers"].read_text())
    assert numbers["best_epoch"] == 2 and numbers["seed"] == 3 and numbers["loss"] is None
    assert numbers["test"]["last_accuracy"] == 0.5 and numbers["test"]["best_epoch_accuracy"] == 0.75
    assert "epoch 2 of 3 is the best on the validation data" in found.text
    by_loss = ns.History([{"epoch": 0, "loss": 2.0}, {"epoch": 1, "loss": 1.0}], monitor="loss")
    assert writing._of_training(by_loss) == ["epoch 2 of 2 is the best by loss", ""]
    assert found.files["page"].read_text().startswith("# a run\n")
    assert drawn["training.png"].get_suptitle() == "a run"


def test_what_has_no_energy_says_why(rng, tmp_path, drawn, monkeypatch):
    def refuse(*arguments, **keywords):
        raise ValueError("layer odd0 is of no kind that is counted")
    monkeypatch.setattr(writing, "table", refuse)
    found = ns.report(spiking(), data_of(rng, "spikes"), tmp_path)
    assert found.energy is None and "energy" not in found.files
    assert "no energy: layer odd0 is of no kind that is counted" in found.text


def test_wrong_arguments_write_nothing(rng, tmp_path):
    net, data = spiking(), data_of(rng, "spikes")
    (tmp_path / "file").write_text("")
    for arguments, more, message in [
            ((net, data, tmp_path / "file"), {}, "is a file; name a folder"),
            ((net, data, tmp_path / "file" / "below"), {}, "is a file; name a folder"),
            ((net, data[:0], tmp_path / "new"), {}, "is empty"),
            ((net, data.x, tmp_path / "new"), {}, "data must be a Dataset; got Spikes"),
            ((data, net, tmp_path / "new"), {}, "net must be a Network; got Dataset"),
            ((net, data, None), {}, "a path; got NoneType"),
            ((net, data, tmp_path / "new"), {"history": []}, "history must be a History or None; got list"),
            ((net, data, tmp_path / "new"), {"facts": {"a": object()}}, "facts go to a JSON file"),
            ((net, data, tmp_path / "new"), {"batch_size": 0}, "batch_size must be a positive integer"),
            ((net, data, tmp_path / "new"), {"constants": "x"}, "constants are fp32"),
            ((spiking("each"), data, tmp_path / "new"), {}, "a label")]:
        with pytest.raises((ValueError, TypeError), match=message):
            ns.report(*arguments, **more)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    with pytest.raises(ValueError, match="has the sequences 0 to 8; got 9"):
        example(net, data, 9)


def test_without_matplotlib_one_sentence(rng, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(ImportError, match="a report needs the package matplotlib.*pip install matplotlib"):
        ns.report(spiking(), data_of(rng, "spikes"), tmp_path / "new")
    with pytest.raises(ImportError, match="pip install matplotlib"):
        plot.confusion(np.eye(2))
    assert not list(tmp_path.iterdir())


def test_from_the_command_line(tmp_path, capsys, monkeypatch, rng, drawn):
    net, data = spiking(), data_of(rng, "spikes")
    row = {"epoch": 0, "loss": 1.0, "valid_accuracy": 0.5}
    found = "mine", net, data, {"history": [row]}
    monkeypatch.setattr("numsnn.cli.commands._tested", lambda options, instead: found)
    path = tmp_path / "a.h5"
    ns.save(net, path, facts={"recipe": "mine", "history": [row], "seed": 0, "epoch": 0},
            optimizer=ns.optim.Adam(0.01))
    assert cli.main(["evaluate", str(path), "--report", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "weights of the best epoch" in printed and "report.md" in printed and "training.png" in drawn
    assert cli.main(["evaluate", str(path), "--report", str(path)]) == 2
    assert "is a file; name a folder" in capsys.readouterr().err


def test_what_hears_a_sequence_backwards_is_drawn_in_its_order(rng, monkeypatch):
    """Of two populations that get the same, the second in reverse, the pictures are alike."""
    net = ns.Network(ns.From("input"), ns.LIF(4, v_threshold=0.5, tau_mem=1e-3, name="there", reset="none"),
                     ns.From("input"), ns.Reverse(), ns.LIF(4, v_threshold=0.5, tau_mem=1e-3, name="back",
                     reset="none"), ns.Reverse(name="again"), ns.Add("there", "again"), input_shape=4,
                     dt=1.0, device="reference")
    drawn = {}
    monkeypatch.setattr(sys.modules[example.__module__], "sequence",
                        lambda *given, **more: drawn.update(given[2]))
    data = ns.Dataset(rng.random((9, 2, 4)) < 0.4, rng.integers(0, 4, (9, 2)), time_first=True)
    example(net, data)
    assert drawn["there"].any() and not np.array_equal(drawn["there"], drawn["there"][::-1])
    np.testing.assert_array_equal(drawn["there"], drawn["back"])
