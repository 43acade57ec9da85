"""A small part of the random calls of tests/benchmarks/fuzz_calls.py: always the same ones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from beside import ENVIRONMENT, cache_of_jobs

CAMPAIGN = Path(__file__).parent / "benchmarks" / "fuzz_calls.py"


def start(folder, said):
    environment = {**ENVIRONMENT, "PYTHONPATH": os.pathsep.join(sys.path), "NUMBA_CACHE_DIR": cache_of_jobs()}
    command = [sys.executable, str(CAMPAIGN), "--calls", "1500", "--processes", "1", "--seed", "18"]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=subprocess.STDOUT)


@pytest.mark.beside(start=start)
def test_random_calls_answer_or_refuse_with_a_sentence(beside):
    status, said = beside.finished()
    assert status == 0, said[-3000:]
    assert "1,500 calls" in said
