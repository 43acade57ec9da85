"""The command line, as a user types it: results, files, and bad input in one sentence with exit code 2."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from disks import full_after

import numsnn
from numsnn import cli, formats
from numsnn.recipes import RECIPES, get
from numsnn.signals.events import Events


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with one epoch of the recipe on synthetic data."""
    out = tmp_path_factory.mktemp("run") / "ecg"
    assert cli.main(["train", "srnn-ecg", "--epochs", "1", "--out", str(out)]) == 0
    return out


def refused(capsys, *arguments):
    """The one message of a command that is refused."""
    assert cli.main(list(arguments)) == 2
    message = capsys.readouterr().err.strip().split("\n")
    assert len(message) == 1, message
    return message[0]


def test_train_writes_everything(trained):
    assert {path.name for path in trained.iterdir()} == {
        "checkpoint.h5", "config.json", "metrics.json", "report.md",
        "training.png", "confusion.png", "sequence.png", "energy.png", "parameters.png", "rates.png"}
    metrics = json.loads((trained / "metrics.json").read_text())
    assert metrics["synthetic"] is True
    assert metrics["parameters"] == 1818
    assert len(metrics["epochs"]) == 1
    test = metrics["test"]
    assert test["accuracy"] == test["last_accuracy"] == test["best_epoch_accuracy"]
    assert 0.1 < test["accuracy"] < 1
    assert test["decisions"] == 141 * 1290 == np.sum(test["confusion"])
    assert set(test["f1"]) == {"P", "PQ", "QR", "RS", "ST", "TP"}
    assert set(metrics["rates"]) == {"alif0", "alif1"}
    report = (trained / "report.md").read_text()
    assert "SYNTHETIC" in report
    assert "1,734 weights and biases" in report
    for png in trained.glob("*.png"):
        assert png.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert png.stat().st_size > 10_000


def test_resume_evaluate_info_recipes(trained, capsys):
    assert cli.main(["train", "srnn-ecg", "--epochs", "2", "--out", str(trained), "--resume"]) == 0
    assert len(json.loads((trained / "metrics.json").read_text())["epochs"]) == 2
    capsys.readouterr()
    checkpoint = str(trained / "checkpoint.h5")
    assert cli.main(["evaluate", checkpoint]) == 0
    printed = capsys.readouterr().out
    accuracy = json.loads((trained / "metrics.json").read_text())["test"]["accuracy"]
    assert "SYNTHETIC" in printed
    assert f"accuracy {accuracy:.4f}" in printed
    assert cli.main(["diagnose", checkpoint, "--samples", "4"]) == 0
    assert "gradient end > begin" in capsys.readouterr().out
    assert cli.main(["info", checkpoint]) == 0
    assert "epoch 2 done" in capsys.readouterr().out
    assert cli.main(["recipes"]) == 0
    assert "srnn-ecg" in capsys.readouterr().out


def test_bad_input(trained, tmp_path, capsys):
    def train(*arguments):
        return refused(capsys, "train", "srnn-ecg", *arguments)

    out = str(tmp_path / "new")
    assert "unknown recipe 'srnn-egc'; there are " in refused(capsys, "train", "srnn-egc")
    assert "no option 'betta'; there are hidden" in train("--set", "betta=1")
    assert "option beta of recipe srnn-ecg is a float" in train("--set", "beta=high")
    assert "--set takes OPTION=VALUE" in train("--set", "beta")
    assert "--epochs must be at least 1; got 0" in train("--epochs", "0")
    assert "unknown device 'tpu'" in train("--device", "tpu", "--out", out)
    assert "positive integer; got 0" in train("--threads", "0", "--out", out)
    assert "no file" in train("--data", str(tmp_path), "--out", out)
    assert "larger than the training set, which has 556" in train("--batch-size", "999", "--out", out)
    assert "unknown surrogate 'step'" in train("--set", "surrogate=step", "--out", out)
    assert "holds a training already; add --resume" in train("--out", str(trained))
    assert "was trained with seed = 0" in train("--out", str(trained), "--resume", "--seed", "1")
    assert "no checkpoint" in refused(capsys, "evaluate", str(tmp_path / "none.h5"))
    damaged = tmp_path / "damaged.h5"
    damaged.write_bytes((trained / "checkpoint.h5").read_bytes()[:5000])
    assert "damaged, cut short" in refused(capsys, "evaluate", str(damaged))
    assert "damaged, cut short" in refused(capsys, "info", str(damaged))
    run = tmp_path / "run"
    run.mkdir()
    (run / "checkpoint.h5").write_bytes(damaged.read_bytes())
    assert "damaged, cut short" in train("--out", str(run), "--resume")
    written_before = (run / "checkpoint.h5").read_bytes()
    assert written_before == damaged.read_bytes(), "nothing already written is lost"


def test_warmup(capsys):
    assert cli.main(["warmup"]) == 0
    assert capsys.readouterr().out.startswith("srnn-ecg: ")
    assert cli.main(["warmup", "srnn-eeg"]) == 2
    assert "srnn-eeg" in capsys.readouterr().err


def test_argument_errors_exit_with_2():
    for arguments in ([], ["fly"], ["train"], ["train", "srnn-ecg", "--epochs", "two"]):
        command = [sys.executable, "-m", "numsnn", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert "usage:" in done.stderr


def test_the_recipe_is_the_papers():
    recipe = get("srnn-ecg")
    assert len(RECIPES) >= 1
    net = recipe.network(recipe.configured({}), device="reference")
    assert net.n_params == 1818
    optimizer = recipe.optimizer(recipe.configured({}))
    factors = {name: round(optimizer.rate(name) / optimizer.rate("dense0.weight"), 6)
               for name in net.params if "tau" in name}
    assert factors == {"alif0.tau_mem": 3, "alif0.tau_adp": 3, "alif1.tau_mem": 2, "alif1.tau_adp": 2}
    other = recipe.network(recipe.configured({"v_threshold": "0.1", "beta": "1.8"}), device="reference")
    assert other.layers["alif0"].fixed["beta"][0] == np.float32(1.8)
    assert other.layers["alif1"].fixed["v_threshold"][0] == np.float32(0.1)


# ---- convert and info of data


def events_file(tmp_path, name="clip.aedat4"):
    from numsnn import formats
    from numsnn.signals.events import Events
    rng = np.random.default_rng(0)
    path = tmp_path / name
    x, y, p = rng.integers(0, 20, 500), rng.integers(0, 10, 500), rng.integers(0, 2, 500)
    formats.write(path, Events(np.arange(0, 5000, 10), x=x, y=y, p=p, shape=(2, 10, 20)))
    return path


def test_convert_and_info(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = events_file(tmp_path)
    assert cli.main(["info", str(path), "--plot", "frames"]) == 0
    said = capsys.readouterr().out
    for part in ("aedat4", "sensor 20 x 10", "500 events in 0.00499 s", "first events"):
        assert part in said, part
    assert (tmp_path / "clip.aedat4.frames.png").stat().st_size > 5000
    assert cli.main(["convert", str(path), "out.h5"]) == 0
    assert "500 events" in capsys.readouterr().out
    for kind in ("raster", "surface"):
        assert cli.main(["info", "out.h5", "--plot", kind, "--out", f"{kind}.png"]) == 0
        assert (tmp_path / f"{kind}.png").is_file()
    assert "1 recordings of 20 x 10 pixels" in capsys.readouterr().out
    assert "exists already" in refused(capsys, "convert", str(path), "out.h5")


def test_convert_a_data_set(tmp_path, capsys):
    from numsnn import formats
    for digit in (0, 7):
        (tmp_path / "Train" / str(digit)).mkdir(parents=True)
        formats.write(tmp_path / "Train" / str(digit) / "1.bin", formats.read(events_file(tmp_path)))
    out = tmp_path / "n.h5"
    options = ["--dataset", "nmnist", "--set", "first_saccade=true"]
    assert cli.main(["convert", str(tmp_path), str(out), *options]) == 0
    assert "2 recordings of N-MNIST, train" in capsys.readouterr().out
    assert cli.main(["info", str(out), "--recording", "1"]) == 0
    assert "recording 1 (Train/7/1.bin, label 7): 500 events" in capsys.readouterr().out
    assert "recordings 0 to 1; got 9" in refused(capsys, "info", str(out), "--recording", "9")


def test_convert_a_set_of_sequences(tmp_path, capsys):
    from numsnn.formats import idx
    rng = np.random.default_rng(0)
    for part in ("train", "t10k"):
        idx.write(tmp_path / f"{part}-images-idx3-ubyte", rng.integers(0, 256, (7, 28, 28)).astype(np.uint8))
        idx.write(tmp_path / f"{part}-labels-idx1-ubyte", np.arange(7, dtype=np.uint8))
    out = tmp_path / "m.h5"
    options = ["--dataset", "mnist", "--part", "test", "--set", "steps=28"]
    assert cli.main(["convert", str(tmp_path), str(out), *options]) == 0
    assert "7 sequences of" in capsys.readouterr().out
    assert cli.main(["info", str(out)]) == 0
    assert "data set that numsnn saved" in capsys.readouterr().out
    import h5py
    with h5py.File(out) as file:
        told = {"input": str(tmp_path), "steps": 28, "dataset": "mnist", "part": "test"}
        assert json.loads(file.attrs["options"]) == told
        assert file.attrs["numsnn_version"].decode() == numsnn.__version__
        assert b"MNIST" in file.attrs["source"]


def test_bad_input_of_convert_and_info(tmp_path, capsys):
    def convert(path, *arguments):
        return refused(capsys, "convert", str(path), out, *arguments)

    def info(path):
        return refused(capsys, "info", str(path))

    path, out = events_file(tmp_path), str(tmp_path / "o.h5")
    cut = tmp_path / "cut.aedat4"
    cut.write_bytes(path.read_bytes()[:-20])
    assert "damaged packet" in convert(cut)
    assert "is a folder; say --dataset" in convert(tmp_path)
    assert "no data set 'imagenet'" in convert(tmp_path, "--dataset", "imagenet")
    assert "holds no recordings of N-MNIST" in convert(tmp_path, "--dataset", "nmnist")
    known = "data set nmnist has no option 'colour'; it has first_saccade, strict"
    assert known in convert(tmp_path, "--dataset", "nmnist", "--set", "colour=1")
    assert "has no option 'camera'" in convert(path, "--set", "camera=dvs128")
    assert "no format 'mp4'" in convert(path, "--format", "mp4")
    assert "there is no folder" in refused(capsys, "convert", str(path), str(tmp_path / "a" / "b.h5"))
    assert not (tmp_path / "o.h5").exists()
    assert not (tmp_path / "o.h5.part").exists()
    assert "no file" in info(tmp_path / "none.bin")
    (tmp_path / "empty.bin").touch()
    assert "the file is empty" in info(tmp_path / "empty.bin")
    (tmp_path / "x.jpg").write_bytes(b"\xff\xd8 picture")
    assert "cannot tell its format" in info(tmp_path / "x.jpg")


def test_a_full_disk_and_folders_that_are_not_there(tmp_path, capsys):
    """One sentence, exit status 2, nothing left behind."""
    rng = np.random.default_rng(0)
    recording = Events(np.sort(rng.integers(0, 10**6, 5000)), x=rng.integers(0, 9, 5000),
                       y=rng.integers(0, 9, 5000), p=rng.integers(0, 2, 5000), shape=(2, 9, 9))
    formats.write(tmp_path / "a.dat", recording, "dat")
    (tmp_path / "out").mkdir()
    into = tmp_path / "out" / "a"
    commands = (("convert", tmp_path / "a.dat", f"{into}.h5"),
                ("info", tmp_path / "a.dat", "--plot", "raster", "--out", f"{into}.png"))
    for command in commands:        # once where there is room: compiled code and fonts are kept on disk, too
        assert cli.main([*map(str, command[:-1]), str(tmp_path / "first") + Path(command[-1]).suffix]) == 0
    for command in commands:
        with full_after(3000):
            assert "cannot be written, and is as it was before" in refused(capsys, *map(str, command))
        assert not list((tmp_path / "out").iterdir())
    os.mkfifo(f"{into}.png")
    assert "which no file can replace" in refused(capsys, *map(str, commands[1]))
    assert "there is no folder" in refused(capsys, "bench", "--json", str(tmp_path / "no" / "b.json"))


def test_a_reader_that_has_heard_enough():
    """numsnn guide | head: no message, the status that programs of Unix have then."""
    reader = subprocess.Popen([sys.executable, "-c", "pass"], stdin=subprocess.PIPE)
    reader.wait()
    done = subprocess.run([sys.executable, "-m", "numsnn", "guide", "own-neuron"], stdout=reader.stdin,
                          stderr=subprocess.PIPE, text=True, check=False)
    reader.stdin.close()
    assert done.returncode == 141 and not done.stderr
