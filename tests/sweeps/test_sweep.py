"""Sweeps: the grid, trainings in processes of their own and over MPI, one that is killed, one that fails."""

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from beside import ENVIRONMENT

from numsnn import cli, sweeps
from numsnn.sweeps import Point

SWEEP = (sys.executable, "-m", "numsnn", "sweep")
RECIPE = ("srnn-ecg", "--epochs", "3", "--seeds", "0", "--set", "hidden=3,4", "--threads", "1")


# ---- the grid


def test_every_setting_with_every_seed():
    points = sweeps.grid([0, 7], {"lr": ["0.01", "0.02"], "hidden": ["36"]})
    assert points == [Point(seed, {"lr": lr, "hidden": "36"}) for lr in ("0.01", "0.02") for seed in (0, 7)]
    assert points[3].folder(Path("out")) == Path("out/lr=0.02,hidden=36/seed7")
    assert sweeps.grid([1], {}) == [Point(1, {})]
    assert Point(1, {}).folder(Path("out")) == Path("out/default/seed1")
    assert Point(1, {"a": "../b/c"}).folder(Path("out")) == Path("out/a=..%2Fb%2Fc/seed1")
    with pytest.raises(ValueError, match="at most 100,000 points; these seeds and settings make 250,000"):
        sweeps.grid(range(500), {"lr": ["1"] * 500})


def test_seeds():
    assert sweeps.seeds_of("0-3, 7") == [0, 1, 2, 3, 7]
    for text in ("", "3-1", "a", "1,,2", "-1", "0-99999999", "1" * 30):
        with pytest.raises(ValueError, match="--seeds"):
            sweeps.seeds_of(text)
    with pytest.raises(ValueError, match="names a seed twice"):
        sweeps.seeds_of("0-3,2")


def test_values():
    assert sweeps.values_of({"lr": "0.01, 0.02", "hidden": "3"}) == {"lr": ["0.01", "0.02"], "hidden": ["3"]}
    for text in ("", "1,", "1,1"):
        with pytest.raises(ValueError, match=r"--set lr=.*: expected different values between commas"):
            sweeps.values_of({"lr": text})


@pytest.mark.parametrize(("arguments", "message"), (
    (("srnn-ecg", "--set", "width=1,2"), "recipe srnn-ecg has no option 'width'"),
    (("srnn-ecg", "--set", "hidden=1,x"), "option hidden of recipe srnn-ecg is a int such as 36; got 'x'"),
    (("srnn-ecg", "--processes", "0"), "--processes must be at least 1; got 0"),
    (("srnn-ecg", "--epochs", "0"), "--epochs must be at least 1; got 0"),
    (("no-recipe",), "unknown recipe 'no-recipe'")))
def test_bad_input_is_refused_before_anything_runs(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["sweep", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


# ---- trainings


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The folder of a sweep of two trainings."""
    out = tmp_path_factory.mktemp("sweep") / "undisturbed"
    assert cli.main(["sweep", *RECIPE, "--out", str(out), "--processes", "2"]) == 0
    return out


def test_tables_and_picture(undisturbed, capsys):
    rows = table(undisturbed)
    facts = [(row["hidden"], row["seed"], row["parameters"]) for row in rows]
    assert facts == [("3", "0", "69"), ("4", "0", "90")]
    assert all(0.05 < float(row["test_accuracy"]) < 1 and not row["error"] for row in rows)
    summary = (undisturbed / "sweep.md").read_text()
    for row in rows:
        accuracy = f"{float(row['test_accuracy']):.4f}"
        assert f"| hidden={row['hidden']} | 1 of 1 | {accuracy} | {accuracy} | 0.0000 |" in summary
    assert (undisturbed / "sweep.png").stat().st_size > 5000
    before = (undisturbed / "sweep.csv").read_bytes()
    begun = time.monotonic()
    assert cli.main(["sweep", *RECIPE, "--out", str(undisturbed)]) == 0        # all are kept
    assert time.monotonic() - begun < 10
    assert (undisturbed / "sweep.csv").read_bytes() == before
    other = [argument.replace("3,4", "3,4,5") if argument != "3" else "2" for argument in RECIPE]
    capsys.readouterr()
    assert cli.main(["sweep", *other, "--out", str(undisturbed)]) == 2
    assert "was trained with epochs_asked = 3, this command says 2" in capsys.readouterr().err


def test_one_that_is_killed_goes_on(undisturbed, tmp_path):
    out = tmp_path / "killed"
    command = [*SWEEP, *RECIPE, "--out", str(out), "--processes", "1"]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as sweep:
        _wait_for(out / "hidden=3" / "seed0" / "checkpoint.h5", sweep)
        os.kill(_training(sweep.pid), signal.SIGKILL)
        said = sweep.communicate()[0].decode()
    assert sweep.returncode == 2
    assert "hidden=3, seed 0: killed by SIGKILL; the next start goes on from its checkpoint" in said
    assert "1 of 2 trainings failed" in said
    again = subprocess.run(command, check=False, env=ENVIRONMENT, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert (out / "sweep.csv").read_bytes() == (undisturbed / "sweep.csv").read_bytes()
    assert (out / "sweep.md").read_bytes() == (undisturbed / "sweep.md").read_bytes()


def test_trainings_end_with_their_sweep(tmp_path):
    out = tmp_path / "orphans"
    command = [*SWEEP, "srnn-ecg", "--seeds", "0", "--epochs", "10000", "--set", "hidden=3", "--threads", "1",
               "--out", str(out)]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL) as sweep:
        _wait_for(out / "hidden=3" / "seed0" / "config.json", sweep)
        training = _training(sweep.pid)
        sweep.kill()
    until = time.monotonic() + 30
    while _runs(training):
        assert time.monotonic() < until, "the training went on without its sweep"
        time.sleep(0.1)


def test_a_training_that_fails_is_a_row(tmp_path, capsys):
    out = tmp_path / "failing"
    sweep = ["sweep", "srnn-ecg", "--epochs", "1", "--seeds", "0", "--set", "hidden=3", "--set",
             "schedule=cosine,warm", "--threads", "1", "--out", str(out)]
    assert cli.main(sweep) == 2
    assert "1 of 2 trainings failed" in capsys.readouterr().err
    fine, failed = table(out)
    assert float(fine["test_accuracy"]) > 0.05 and not failed["test_accuracy"]
    assert "option schedule of recipe srnn-ecg must be one of cosine, step; got 'warm'" in failed["error"]
    assert re.search(r"\| hidden=3,schedule=warm \| 0 \| .*got 'warm' \|", (out / "sweep.md").read_text())


def test_over_mpi(undisturbed, tmp_path):
    pytest.importorskip("mpi4py.futures", reason="mpi4py is not installed")
    places = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    mpiexec = shutil.which("mpiexec", path=places)
    if mpiexec is None:
        pytest.skip("no mpiexec is installed")
    out = tmp_path / "mpi"
    command = [mpiexec, "-n", "3", *SWEEP, *RECIPE, "--out", str(out), "--mpi"]
    done = subprocess.run(command, check=False, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "2 trainings, 2 at a time" in done.stdout
    assert (out / "sweep.csv").read_bytes() == (undisturbed / "sweep.csv").read_bytes()


# ---- helpers


def table(out):
    with open(out / "sweep.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _wait_for(path, process):
    until = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None and time.monotonic() < until, f"{path} does not come"
        time.sleep(0.05)


def _training(sweep):
    """The process that a sweep started."""
    children = Path(f"/proc/{sweep}/task/{sweep}/children")
    if not children.exists():
        pytest.skip("this system does not list the children of a process")
    threads = Path(f"/proc/{sweep}/task").iterdir()
    return int("".join((thread / "children").read_text() for thread in threads).split()[0])


def _runs(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().split(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
