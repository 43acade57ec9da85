"""Long commands that run beside the other tests, on another core.

    @pytest.mark.beside(start=start)   start(folder, said) -> process; called after collection
    def test_it(beside): ...           comes last; beside.finished(): (exit status, what it said)
"""

import subprocess
import sys
import tempfile
from pathlib import Path


class Running:
    """A process that writes what it says to a file, so that it never waits for a reader."""

    def __init__(self, start):
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.text = Path(self.folder.name, "said.txt")
        with open(self.text, "w") as said:
            self.process = start(self.folder.name, said)

    def finished(self):
        status = self.process.wait()
        return status, self.text.read_text()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


def marked(item):
    """What a test wants to have running, or None."""
    marker = item.get_closest_marker("beside")
    return None if marker is None else marker.kwargs["start"]


def pytest_of(files, folder, said, environment, *options):
    """A process that tests files; its compiled code lies in a folder of its own.

    Two processes that write Numba's cache at once mix it up.
    """
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, *map(str, files)]
    return subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT,
                            env={**environment, "NUMBA_CACHE_DIR": str(folder)})
