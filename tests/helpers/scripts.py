"""Python in a process of its own, where a test needs an empty cache, another processor or a death."""

import os
import subprocess
import sys
from pathlib import Path

HELPERS = Path(__file__).parent


def run_script(code, *arguments, beside=None, **environment):
    """`python -c code arguments`, finished; it finds the helpers and what lies beside the file `beside`."""
    return subprocess.run(command(code, *arguments), capture_output=True, text=True, check=False,
                          env=environment_of(beside, **environment))


def command(code, *arguments):
    return [sys.executable, "-c", code, *map(str, arguments)]


def environment_of(beside=None, **more):
    folders = [HELPERS] if beside is None else [HELPERS, Path(beside).parent]
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([*map(str, folders), *([inherited] if inherited else [])])
    added = {name: str(value) for name, value in more.items()}
    return {**os.environ, "PYTHONPATH": path, **added}
