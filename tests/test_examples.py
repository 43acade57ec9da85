"""The examples run: the scripts of the tables with --quick, on stand-in data."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from beside import ENVIRONMENT, cache_of_jobs

EXAMPLES = Path(__file__).parent.parent / "examples"
CALLS = (("02_gradient_by_hand.py",),
         ("07_mnist_liaf.py", "--quick"),
         ("07_mnist_liaf.py", "--quick", "--neuron", "lif"),
         ("08_nmnist.py", "--quick"),
         ("09_babi.py", "--quick"),
         ("10_ecg_cells.py", "--quick", "--cells", "lif", "relu", "gru", "bilstm", "arlif"),
         ("11_fashion_rows.py", "--quick", "--cells", "arlif", "lif", "rnn"),
         ("12_microcontroller.py", "--epochs", "2"),
         ("13_nir.py", "--epochs", "2"),
         ("15_new_patient.py", "--quick"))


TAKE_DATA = [path.name for path in sorted(EXAMPLES.glob("*.py")) if "--quick" in path.read_text()]


def example(call, folder, said):
    """An example, running in a folder."""
    environment = {**ENVIRONMENT, "PYTHONPATH": os.pathsep.join(sys.path), "NUMBA_CACHE_DIR": cache_of_jobs()}
    command = [sys.executable, str(EXAMPLES / call[0]), *call[1:]]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=subprocess.STDOUT)


def beside_others(call):
    marks = pytest.mark.beside(start=partial(example, call))
    return pytest.param(call, id=" ".join(call), marks=marks)


@pytest.mark.parametrize("call", list(map(beside_others, CALLS)))
def test_runs(call, beside):
    status, said = beside.finished()
    assert status == 0, said[-2000:]
    assert len(said) > 100 and "nan" not in said


@pytest.mark.parametrize("name", TAKE_DATA)
def test_scripts_of_tables_ask_for_their_data(name, tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, str(EXAMPLES / name)], cwd=tmp_path, env=environment, timeout=120,
                          check=False, capture_output=True, text=True)
    assert done.returncode == 2 and "or add --quick" in done.stderr
