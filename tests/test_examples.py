"""The examples run: the scripts of the tables with --quick, on stand-in data."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
CALLS = (("02_gradient_by_hand.py",), ("07_mnist_liaf.py", "--quick"), ("07_mnist_liaf.py", "--quick", "--neuron", "lif"), ("08_nmnist.py", "--quick"), ("09_babi.py", "--quick"),
         ("10_ecg_cells.py", "--quick", "--cells", "lif", "relu", "gru", "bilstm", "arlif"),
         ("11_fashion_rows.py", "--quick", "--cells", "arlif", "lif", "rnn"))


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_runs(call, tmp_path):
    done = subprocess.run([sys.executable, str(EXAMPLES / call[0]), *call[1:]], cwd=tmp_path, capture_output=True, text=True, timeout=600,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(done.stdout) > 100 and "nan" not in done.stdout


@pytest.mark.parametrize("name", [path.name for path in sorted(EXAMPLES.glob("*.py")) if "--quick" in path.read_text()])
def test_scripts_of_tables_ask_for_their_data(name, tmp_path):
    done = subprocess.run([sys.executable, str(EXAMPLES / name)], cwd=tmp_path, capture_output=True, text=True, timeout=120,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=False)
    assert done.returncode == 2 and "or add --quick" in done.stderr
