"""gpu_day.sh without a GPU: parts of it in the simulator; what it runs can fail (on_gpu_day.py)."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from beside import ENVIRONMENT, cache_of_jobs, pytest_of

TESTS = Path(__file__).resolve().parents[1]
SIMULATED = {**ENVIRONMENT, "NUMBA_ENABLE_CUDASIM": "1", "OPENBLAS_NUM_THREADS": "1"}


def start(folder, said):
    return pytest_of([Path(__file__).with_name("on_gpu_day.py")], said,
                     {**SIMULATED, "NUMBA_CACHE_DIR": cache_of_jobs()})


@pytest.mark.beside(start=start)
def test_what_it_runs_can_fail(beside):
    status, said = beside.finished()
    assert status == 0, said[-6000:]
    assert " passed" in said and "skipped" not in said


@pytest.mark.skipif(not shutil.which("timeout"), reason="needs the command timeout")
def test_parts_and_their_summary(tmp_path):
    environment = {**SIMULATED, "GPU_DAY": "small", "PYTHON": sys.executable, "PROFILE_SECONDS": "0.05"}
    command = ["sh", TESTS / "gpu_day.sh", tmp_path / "out", "about", "profile"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (tmp_path / "out" / "summary.txt").read_text()
    said = done.stdout.splitlines()
    assert "== about: done" in said and "== profile: stopped by its time limit" in said
    assert any(line.startswith("the CUDA simulator: copy ") for line in said)
    found = json.loads((tmp_path / "out" / "found.json").read_text())
    assert found["about"]["versions"]["numpy"] != "-" and found["about"]["copy"] > 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "about.txt", "profile.txt", "found.json", "summary.txt"}


def test_how_it_is_called():
    done = subprocess.run(["sh", TESTS / "gpu_day.sh"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stdout.startswith("gpu_day.sh OUT [part ...]")
