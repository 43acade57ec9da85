"""Types: the package and a user's script are clean, signatures of neurons are current."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import numsnn as ns
from numsnn.layers import POPULATIONS, models, stubs

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SCRIPT = HERE / "user_script.py"


def mypy(*arguments):
    pytest.importorskip("mypy", reason="the package mypy is not installed: pip install mypy")
    command = [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """What mypy knows of the package."""
    return tmp_path_factory.mktemp("mypy")


def test_the_package_and_a_users_script(tmp_path, cache):
    done = mypy("--strict", "--cache-dir", tmp_path, "--follow-imports=silent", SCRIPT)
    assert done.returncode == 0, done.stdout
    done = mypy("--cache-dir", cache, "-p", "numsnn")
    assert done.returncode == 0, done.stdout


def test_wrong_use_is_found(tmp_path, cache):
    """The hints say something: wrong names and types are errors."""
    script = tmp_path / "wrong.py"
    script.write_text("import numsnn as ns\n"
                      "ns.ALIF(4, tau_men=3.0)\n"
                      "ns.LIF(4, reset='sft')\n"
                      "ns.Dense('3', 4)\n"
                      "ns.nothing\n")
    done = mypy("--cache-dir", cache, script)
    wrong = {line.split(":")[1] for line in done.stdout.splitlines() if ": error:" in line}
    assert wrong == {"2", "3", "4", "5"}, done.stdout


def test_the_script_runs():
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_signatures_of_neurons_are_current():
    ns.population("LIFNext")            # what others ask for in the same process changes nothing
    assert stubs.PATH.read_text() == stubs.text(), "run python -m numsnn.layers.stubs"


@pytest.mark.parametrize("name", models.__all__)
def test_a_neurons_class_is_in_the_stub_with_every_argument(name):
    tree = ast.parse(stubs.PATH.read_text())
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    made = next(node for node in classes[name].body if isinstance(node, ast.FunctionDef))
    arguments = [a.arg for a in (*made.args.args[1:], *made.args.kwonlyargs)]
    assert arguments == list(inspect.signature(POPULATIONS[name]).parameters)
    assert name in ns.__all__


def test_all_names_are_there():
    assert len(set(ns.__all__)) == len(ns.__all__)
    for name in ns.__all__:
        assert hasattr(ns, name), name
