"""Long commands that run beside the other tests, one after the other, on another core.

    @pytest.mark.beside(start=start)    start(folder, said) gives a process; called in the background
    def test_it(beside): ...            comes last; beside.finished(): (exit status, what it said)
"""

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

ENVIRONMENT = dict(os.environ)      # of the test run: that of the moment may be what a test has put there
STARTING = threading.Lock()         # held while a job starts: it takes no limits, and its memory is its own


class Job:
    """A process that is started when those before it have ended; what it says goes to a file."""

    def __init__(self, start):
        self.start, self.done, self.status = start, threading.Event(), None
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.text = Path(self.folder.name, "said.txt")

    def run(self, running):
        try:
            with STARTING, open(self.text, "w") as said:
                process = self.start(self.folder.name, said)
            running.append(process)
            self.status = process.wait()
        finally:
            self.done.set()

    def finished(self):
        self.done.wait()
        return self.status, self.text.read_text()


class Queue:
    """All jobs of a test run, by the test that waits for each; `last` comes after them."""

    def __init__(self):
        self.jobs, self.running, self.closed, self.last = {}, [], False, None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def begin(self, items, last=None):
        self.jobs = {item.nodeid: Job(marked(item)) for item in items if marked(item) is not None}
        self.last = last
        self.thread.start()

    def _run(self):
        for job in (*self.jobs.values(), *([self.last] if self.last else [])):
            if not self.closed:
                job.run(self.running)

    def close(self):
        self.closed = True
        for process in self.running:
            process.kill()
        for job in self.jobs.values():
            job.folder.cleanup()


def marked(item):
    """What a test wants to have running, or None."""
    marker = item.get_closest_marker("beside")
    return None if marker is None else marker.kwargs["start"]


def cache_of_jobs():
    """Where compiled code of jobs lies: two processes that write Numba's cache at once mix it up.

    Jobs come one after the other, and share it.
    """
    return str(Path(_cache.name, "numba"))


_cache = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)


def pytest_of(files, said, environment, *options):
    """A process that tests files."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, *map(str, files)]
    return subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=environment)
