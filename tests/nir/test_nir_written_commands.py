"""NIR files on the command line: convert there and back, evaluate, energy, export."""

import numpy as np
import pytest

import numsnn as ns
from numsnn import cli, nir
from numsnn.datasets.saved import load
from numsnn.recipes import RECIPES
from numsnn.recipes.recipe import Data


@pytest.fixture
def made(tmp_path):
    """A folder with net.h5, net.nir and data.h5."""
    net = ns.Network(ns.Dense(4, 3), ns.LIF(3), ns.LI(3), ns.OverTime("mean"), device="reference")
    ns.save(net, tmp_path / "net.h5")
    nir.write(net, tmp_path / "net.nir", unit=1e-3)
    x = (np.random.default_rng(0).random((10, 12, 4)) < 0.5).astype(np.float32)
    ns.Dataset(x, np.arange(12) % 3).save(tmp_path / "data.h5")
    return tmp_path, net


def refused(capsys, *arguments):
    assert cli.main(list(map(str, arguments))) == 2
    message = capsys.readouterr().err.strip().split("\n")
    assert len(message) == 1, message
    return message[0]


def test_convert_there_and_back(made, capsys):
    folder, net = made
    there, back = folder / "there.nir", folder / "back.h5"
    assert cli.main(["convert", str(folder / "net.h5"), str(there), "--set", "unit=1e-3"]) == 0
    assert there.read_bytes() == (folder / "net.nir").read_bytes()
    assert cli.main(["convert", str(there), str(back)]) == 0
    assert ns.load(back, device="reference").same_as(net)
    assert "a checkpoint" in capsys.readouterr().out

    assert "exists already" in refused(capsys, "convert", there, back)
    new = folder / "new"
    message = refused(capsys, "convert", folder / "net.h5", new, "--set", "dt=1")
    assert "no option 'dt' of a checkpoint; there are unit, lossy" in message
    assert "no option 'unit' of a NIR file" in refused(capsys, "convert", there, new, "--set", "unit=1")
    assert "dt must be a positive" in refused(capsys, "convert", there, new, "--set", "dt=fast")
    assert "--skip-bad" in refused(capsys, "convert", there, new, "--skip-bad")
    ns.save(ns.Network(ns.ALIF(3), device="reference"), folder / "alif.h5")
    assert "NIR cannot express" in refused(capsys, "convert", folder / "alif.h5", new)
    assert not new.exists()
    assert cli.main(["convert", str(folder / "alif.h5"), str(new), "--set", "lossy=metadata"]) == 0


def test_evaluate_and_energy(made, capsys):
    folder, net = made
    data = ["--data", str(folder / "data.h5"), "--device", "reference"]
    expected = str(ns.evaluate(net, load(folder / "data.h5")))
    for name in ("net.nir", "net.h5"):
        assert cli.main(["evaluate", str(folder / name), *data]) == 0
        assert capsys.readouterr().out.strip() == expected.strip()
    assert cli.main(["energy", str(folder / "net.nir"), *data]) == 0
    assert (folder / "energy.png").exists()
    capsys.readouterr()

    def says(*arguments):
        return refused(capsys, "evaluate", folder / "net.nir", "--device", "reference", *arguments)
    assert "its data are not known; add --recipe NAME or --data FILE.h5" in says()
    assert "add --recipe NAME, or give --data a file" in says("--data", folder)
    assert "srnn-ecg" in says("--recipe", "none")
    assert "--last is for a checkpoint" in says(*data, "--last")
    assert "no option 'colour'" in says(*data, "--set", "colour=1")
    assert "is for a NIR file" in refused(capsys, "evaluate", folder / "net.h5", *data, "--set", "dt=1")


def test_the_data_of_a_recipe(made, capsys, monkeypatch):
    folder, _ = made
    data = load(folder / "data.h5")
    small = RECIPES["srnn-ecg"]._replace(data=lambda *asked: Data(data, data, data))
    monkeypatch.setitem(RECIPES, "srnn-ecg", small)
    asked = ["evaluate", str(folder / "net.nir"), "--recipe", "srnn-ecg", "--device", "reference"]
    assert cli.main(asked) == 0
    said = capsys.readouterr().out
    assert "SYNTHETIC" in said and "accuracy" in said
    assert cli.main([*asked, "--report", str(folder / "report")]) == 0
    assert "the network of" in (folder / "report" / "report.md").read_text()


def test_export(made, capsys):
    folder, _ = made
    assert cli.main(["export", str(folder / "net.nir"), str(folder / "c")]) == 0
    assert (folder / "c" / "net.c").exists()
    message = refused(capsys, "export", folder / "net.nir", folder / "c8", "--numbers", "int8")
    assert "add --recipe NAME or --data FILE.h5" in message
    assert cli.main(["export", str(folder / "net.nir"), str(folder / "c8"), "--numbers", "int8",
                     "--data", str(folder / "data.h5")]) == 0
