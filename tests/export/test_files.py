"""What `ns.export_c` and `numsnn export` write."""

import json
import re
import subprocess

import leaky
import numpy as np
import pytest
from exported import NETWORKS, inputs, needs_compiler, network

import numsnn as ns
from numsnn import recipes
from numsnn.cli import main
from numsnn.datasets import synthetic
from numsnn.export import ExportError, export_c, quantise


def made_and_run(folder):
    return subprocess.run(["make", "-C", folder, "test"], capture_output=True, text=True, check=False)


@needs_compiler
@pytest.mark.parametrize("numbers", ["float32", "int8", "q15"])
@pytest.mark.parametrize("name", ["ALIF_recurrent", "embedding", "pictures"])
def test_the_written_test_passes(name, numbers, rng, tmp_path):
    net = NETWORKS[name]()
    x = inputs(net, rng, 40, 3)
    calibration = x[:, :, 0].astype(int) if name == "embedding" else x.reshape(40, 3, *net.input_shape)
    made = export_c(net, tmp_path / "out", "some", numbers=numbers, calibration=calibration)
    assert [path.name for path in made.files][:4] == ["some.h", "some.c", "some_test.c", "Makefile"]
    done = made_and_run(tmp_path / "out")
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert "some: 64 steps, every number as expected" in done.stdout
    test = tmp_path / "out" / "some_test.c"
    changed = re.sub(r"(answers\[\d+\]\[\d+\] = \{\s*\{)[^,}]+", r"\g<1>77", test.read_text())
    test.write_text(changed)
    done = made_and_run(tmp_path / "out")
    assert done.returncode != 0 and "step 0, output 0 is" in done.stdout


def test_same_bytes_again(rng, tmp_path):
    net = NETWORKS["LIF"]()
    x = inputs(net, rng, 20, 4)
    for folder in ("a", "b"):
        export_c(quantise(net, x), tmp_path / folder, "some", calibration=x)
    for path in sorted((tmp_path / "a").iterdir()):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_files_of_others_stay(tmp_path):
    net = NETWORKS["LIF"]()
    (tmp_path / "Makefile").write_text("all:\n")
    with pytest.raises(ValueError, match="was not written by numsnn"):
        export_c(net, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["Makefile"]


def test_bad_input_writes_nothing(tmp_path):
    net, out = NETWORKS["LIF"](), tmp_path / "out"
    for name in ("", "2nd", "a-b", "while", "x" * 60, None, 3):
        with pytest.raises(ValueError, match="identifier of C"):
            export_c(net, out, name)
    with pytest.raises(ValueError, match="numbers must be one of"):
        export_c(net, out, numbers="int3")
    with pytest.raises(ValueError, match="needs calibration"):
        export_c(net, out, numbers="int8")
    with pytest.raises(ValueError, match="expected x of shape"):
        export_c(net, out, calibration=np.zeros((5, 2, 3), "f4"))
    with pytest.raises(ValueError, match="events must be True, False or None; got 'yes'"):
        export_c(net, out, events="yes")
    of_4 = quantise(net, np.zeros((5, 2, 5), "f4"), weights=4)
    with pytest.raises(ValueError, match="weights of 4 and states of 16 bits already; numbers='int8'"):
        export_c(of_4, out, numbers="int8")
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is a file; give a folder"):
        export_c(net, tmp_path / "file")
    spoilt = NETWORKS["LIF"]()
    next(iter(spoilt.layers.values())).params["weight"][:] = np.nan
    with pytest.raises(ExportError, match="not finite"):
        export_c(spoilt, out)
    with pytest.raises(ValueError, match="needs the whole sequence"):
        export_c(network(ns.Dense(5, 3), ns.Reverse()), out)
    assert not out.exists()


def test_short_sequences_follow_one_another_in_the_test(rng, tmp_path):
    net = NETWORKS["LIF"]()
    export_c(net, tmp_path, "few", calibration=inputs(net, rng, 3, 40))
    assert "inputs[64][5]" in (tmp_path / "few_test.c").read_text()


def test_indices_of_wide_inputs(rng, tmp_path):
    """More inputs than 16 bits can name."""
    net = network(ns.Dense(65_537, 1), ns.LIF(1))
    export_c(net, tmp_path, "wide", calibration=np.ones((1, 1, 65_537), "f4"))
    assert "const uint32_t *indices, uint32_t count" in (tmp_path / "wide.h").read_text()


@needs_compiler
def test_names_of_layers_that_are_none_of_c(rng, tmp_path):
    """As networks of other libraries have them: numbers, dots, words that the C has already."""
    net = network(ns.Dense(5, 6, name="0"), ns.LIF(6, name="1-lif", recurrent=True),
                  ns.Dense(6, 6, name="events"),
                  ns.LIF(6, name="output"), ns.Dense(6, 3, name="ignored"), ns.LI(3, name="while"))
    x = (inputs(net, rng, 20, 2) > 0).astype("f4")
    for numbers in ("float32", "int8"):
        export_c(net, tmp_path / numbers, "odd", numbers=numbers, calibration=x)
        done = made_and_run(tmp_path / numbers)
        assert done.returncode == 0, done.stderr


@needs_compiler
def test_a_model_of_ones_own_exports(rng, tmp_path, own_models):
    model = ns.neurons.register("ExportedLeaky", leaky)
    layer = ns.population(model)(6, leak=("uniform", 0.5, 0.9))
    net = network(ns.Dense(5, 6, weight=("uniform", -2, 2)), layer)
    x = inputs(net, rng, 20, 2)
    export_c(net, tmp_path, "own", calibration=x)
    done = made_and_run(tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_command(tmp_path, capsys, monkeypatch):
    recipe = recipes.get("srnn-ecg")
    few = synthetic.ecg(6, steps=60)
    with_few = recipe._replace(data=lambda *_: recipes.Data(few, few, few))
    monkeypatch.setattr(recipes, "get", lambda name: with_few)
    settings = {**recipe.options, "hidden": 4}
    net, path = recipe.network(settings, 0, "reference"), tmp_path / "checkpoint.h5"
    facts = {"recipe": "srnn-ecg", "options": settings, "seed": 0, "history": [], "epoch": 0}
    ns.save(net, path, optimizer=recipe.optimizer(settings), facts=facts)
    out = tmp_path / "out"
    assert main(["export", str(path), str(out), "--name", "ecg", "--numbers", "int8"]) == 0
    said = capsys.readouterr().out
    assert "8-bit weights, 16-bit states" in said and "SYNTHETIC" in said
    assert "SHA-256 begins" in (out / "ecg.h").read_text()
    assert json.loads((out / "ecg_report.json").read_text())["weights"] == 8
    assert main(["export", str(path), str(out), "--name", "a-b"]) == 2
    assert "identifier of C" in capsys.readouterr().err
    ns.save(net, path)
    assert main(["export", str(path), str(out), "--name", "ecg", "--numbers", "int8"]) == 2
    assert "no data are known" in capsys.readouterr().err
    assert main(["export", str(path), str(out), "--name", "ecg"]) == 0
