"""The examples run: the scripts of the tables with --quick, on stand-in data."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
CALLS = (("02_gradient_by_hand.py",),
         ("07_mnist_liaf.py", "--quick"),
         ("07_mnist_liaf.py", "--quick", "--neuron", "lif"),
         ("08_nmnist.py", "--quick"),
         ("09_babi.py", "--quick"),
         ("10_ecg_cells.py", "--quick", "--cells", "lif", "relu", "gru", "bilstm", "arlif"),
         ("11_fashion_rows.py", "--quick", "--cells", "arlif", "lif", "rnn"))


TAKE_DATA = [path.name for path in sorted(EXAMPLES.glob("*.py")) if "--quick" in path.read_text()]


def run(script, *arguments, folder, seconds):
    command = [sys.executable, str(EXAMPLES / script), *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(command, cwd=folder, env=environment, timeout=seconds, check=False,
                          capture_output=True, text=True)


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_runs(call, tmp_path):
    done = run(*call, folder=tmp_path, seconds=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(done.stdout) > 100 and "nan" not in done.stdout


@pytest.mark.parametrize("name", TAKE_DATA)
def test_scripts_of_tables_ask_for_their_data(name, tmp_path):
    done = run(name, folder=tmp_path, seconds=120)
    assert done.returncode == 2 and "or add --quick" in done.stderr
