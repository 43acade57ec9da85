"""A small part of the random calls of tests/benchmarks/fuzz_calls.py: always the same ones."""

import subprocess
import sys
from pathlib import Path

CAMPAIGN = Path(__file__).parent / "benchmarks" / "fuzz_calls.py"


def test_random_calls_answer_or_refuse_with_a_sentence():
    command = [sys.executable, CAMPAIGN, "--calls", "1500", "--processes", "1", "--seed", "18"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert "1,500 calls" in done.stdout
