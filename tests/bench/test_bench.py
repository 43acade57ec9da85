"""`numsnn bench` with tiny sizes: it runs, its numbers hang together, peers must agree before they are timed.

No time is judged.
"""

import json

import numpy as np
import pytest

from numsnn import bench, cli

PEERS = """
import time

def same(case, problem):
    net = problem.net.clone(device="reference")
    def step():
        result = net.loss_and_gradients(problem.loss, problem.x, problem.labels, state=problem.state)
        return result.loss, result.grads
    return step if case == "ecg" else None

def other(case, problem):
    inner = same(case, problem)
    return inner and (lambda: (inner()[0] + 1.0, inner()[1]))

PEERS = {"reference": same, "something else": other}
OTHERS = {"of this size": lambda case, problem: (lambda: None), "of none": lambda case, problem: None}
"""


def test_cases_and_growth(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "peers.py").write_text(PEERS)
    names = ["ecg", "convlif", "lif", "stream-ecg", "adam"]
    assert cli.main(["bench", *names, "--tiny", "--runs", "1", "--growth", "--peers", "peers.py",
                     "--json", "out.json"]) == 0
    said, found = capsys.readouterr().out, json.loads((tmp_path / "out.json").read_text())
    cases, machine = found["cases"], found["machine"]
    assert list(cases) == names
    assert machine["flops"] > 1e8 and machine["copy"] > 1e8
    ecg = cases["ecg"]
    assert set(ecg["parts"]) - {"step, one thread"} == {"forward", "backward", "step"}
    assert set(ecg["growth"]) == {"steps", "batch", "units", "rate"}
    for part in (ecg["parts"][name] for name in ("forward", "backward", "step")):
        assert 0 < part["best"] <= part["median"] and part["peak_bytes"] > 0 and 0 < part["of_peak"] < 1
    assert ecg["peers"]["reference"]["gradient_difference"] < 1e-4
    assert ecg["peers"]["reference"]["ratio"]["best"] > 0
    assert "best" not in ecg["peers"]["something else"]
    assert "something else computes something else (ecg)" in said
    assert ecg["peers"]["of this size"]["other_neurons"]
    assert "| ecg | of this size (its own neurons) |" in said
    assert "of none" not in said
    assert set(cases["convlif"]["peers"]) == {"of this size"}
    assert set(cases["stream-ecg"]["parts"]) == {"net.step"}
    assert set(cases["lif"]["parts"]["forward"]) >= {"of_copy"}
    assert (tmp_path / "growth.png").stat().st_size > 10_000


def test_rates_are_those_of_the_case():
    """Hidden populations spike as the case's name says, the input too."""
    problem = bench.cases.scaled(bench.CASES["shd"].make(bench.Size(60, 6, 24, 0.05), "cpu"))
    seen = problem.net.run(problem.x, record="rate")[2]
    assert abs(problem.x.rate - 0.05) < 0.005
    assert all(abs(seen[name]["rate"].mean() - 0.11) < 0.03 for name in ("alif0", "alif1"))


def test_a_single_sequence_makes_spikes():
    """Gains found by one sequence left its network silent."""
    problem = bench.CASES["one-ecg"].make(bench.Size(200, 1, 12, 0.08), "cpu")
    seen = problem.net.run(problem.x, record="rate")[2]
    assert problem.x.shape == (200, 1, 4) and problem.labels.shape == (200, 1)
    assert abs(seen["alif0"]["rate"].mean() - 0.34) < 0.1


def test_operations():
    """A dense network of values takes, forward, 2 per weight and step; backward twice that.

    There is no dx of the first layer.
    """
    import numsnn as ns
    net = ns.Network(ns.Dense(5, 7), ns.Dense(7, 3))
    x = np.ones((4, 2, 5), np.float32)
    ahead, back = bench.cases.operations(net, x)
    assert ahead == 2 * (35 + 21) * 8 and back == 2 * (35 + 21 + 21) * 8


def test_exponent():
    assert bench.exponent([1, 2, 4, 8], [3, 12, 48, 192]) == pytest.approx(2)


@pytest.mark.parametrize(("arguments", "message"), (
    (["nothing"], "no case 'nothing'; there are shd, ecg"),
    (["ecg", "--runs", "0"], "runs must be at least 1; got 0"),
    (["ecg", "--peers", "none.py"], "there is no file none.py"),
    (["--json", "no/where.json"], "make it first")))
def test_bad_input(arguments, message, capsys):
    assert cli.main(["bench", "--tiny", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_file_without_peers(tmp_path, capsys):
    (tmp_path / "peers.py").write_text("x = 1")
    assert cli.main(["bench", "ecg", "--tiny", "--peers", str(tmp_path / "peers.py")]) == 2
    assert "does not define PEERS" in capsys.readouterr().err
