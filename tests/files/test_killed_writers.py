"""A little of tests/benchmarks/kill_writers.py: writers killed at any moment lose nothing."""

import os
import sys
from pathlib import Path

import pytest
from scripts import run_script

BENCHMARKS = Path(__file__).parents[1] / "benchmarks" / "kill_writers.py"
SCRIPT = """
import sys, tempfile, warnings
from pathlib import Path
warnings.simplefilter("ignore")
import kill_writers
for kind in sys.argv[1:]:
    with tempfile.TemporaryDirectory() as folder:
        kill_writers.campaign(kind, 6, Path(folder))
"""


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="the writers are forked")
def test_killed_writers_lose_nothing():
    done = run_script(SCRIPT, "checkpoint", "convert", beside=BENCHMARKS)
    assert done.returncode == 0, done.stderr
