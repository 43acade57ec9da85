"""A whole test run on two cores: a second process takes files of tests from the end of the list.

It starts when the jobs (beside.py) are done, with a copy of all that was compiled until then: two processes
that write Numba's cache at once mix it up.  Who makes a file's folder tests that file.  What the second
process reports is reported by the first one, too, which then runs what nobody has reported.
"""

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from beside import ENVIRONMENT, Job, marked

MANY = 1000         # tests: with fewer, starting and collecting take longer than they save
FOLDER = "NUMSNN_TESTS_FOLDER"      # what the second process is told
REPORTS = "reports.jsonl"


def is_second():
    return FOLDER in os.environ


def files(items):
    """The tests file by file; those that wait for jobs apart."""
    found = itertools.groupby(items, lambda item: (item.path, marked(item) is not None))
    return [list(group) for _, group in found]


def claimed(folder, groups):
    """Those files that this process takes, each once the one before it runs."""
    for group in groups:
        with contextlib.suppress(FileExistsError):
            Path(folder, str(group[0].path).replace(os.sep, "_")).mkdir()
            yield group


def run(session, groups, after_each=lambda: None):
    """What pytest does with tests, with these."""
    groups = iter(groups)
    following = next(groups, [])
    while following:
        now, following = following, next(groups, [])
        for item, then in itertools.pairwise([*now, following[0] if following else None]):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=then)
            after_each()
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)


def plugin_of(session, folder):
    """The plugin of pytest that runs the tests in this process; None: pytest itself does."""
    option = session.config.option
    if is_second():
        return Itself(session)
    alone = len(session.items) < MANY or option.usepdb or option.maxfail
    return None if alone else Second(session, folder)


class Itself:
    """The second process."""

    def __init__(self, session):
        self.config, self.folder = session.config, os.environ[FOLDER]

    def pytest_runtestloop(self, session):
        groups = [group for group in files(session.items) if marked(group[0]) is None]
        run(session, claimed(self.folder, reversed(groups)))
        return True

    def pytest_runtest_logreport(self, report):
        data = self.config.hook.pytest_report_to_serializable(config=self.config, report=report)
        with open(Path(self.folder, REPORTS), "a") as file:
            file.write(json.dumps(data) + "\n")


class Second:
    """The second process, as the first one sees it."""

    def __init__(self, session, folder):
        self.session, self.folder, self.job = session, Path(folder), Job(self.start)
        self.read, self.reported, self.left = 0, set(), []
        (self.folder / REPORTS).touch()

    def start(self, folder, said):
        """The process; folder: where its compiled code goes."""
        _copy_of(os.environ["NUMBA_CACHE_DIR"], Path(folder, "numba"))
        call = self.session.config.invocation_params
        environment = {**ENVIRONMENT, FOLDER: str(self.folder), "NUMBA_CACHE_DIR": str(Path(folder, "numba"))}
        command = [sys.executable, "-m", "pytest", *call.args, "-p", "no:cacheprovider"]
        return subprocess.Popen(command, cwd=call.dir, env=environment, stdout=said, stderr=subprocess.STDOUT)

    def pytest_runtestloop(self, session):
        groups = files(session.items)
        waiting = [group for group in groups if marked(group[0]) is not None]
        alone = [group for group in groups if marked(group[0]) is None]
        mine = []

        def kept(group):
            mine.append(group[0].path)
            return group
        run(session, itertools.chain(map(kept, claimed(self.folder, alone)), waiting), self.report)
        self.job.finished()
        self.report()
        theirs = [group for group in alone if group[0].path not in mine]
        self.left = [item for item in itertools.chain(*theirs) if item.nodeid not in self.reported]
        run(session, files(self.left))
        return True

    def pytest_terminal_summary(self, terminalreporter):
        _, said = self.job.finished()
        if self.left:
            terminalreporter.write_line(f"the second process did not report {len(self.left)} tests; it said:")
            terminalreporter.write_line(said[-5000:])
        for line in said.splitlines():
            if line.startswith("compilations:"):
                terminalreporter.write_line(f"{line} in the second process")

    def report(self):
        """Report what it has reported since the last time."""
        config = self.session.config
        with open(self.folder / REPORTS) as file:
            file.seek(self.read)
            for line in iter(file.readline, ""):
                if not line.endswith("\n"):
                    break
                self.read = file.tell()
                report = config.hook.pytest_report_from_serializable(config=config, data=json.loads(line))
                if report.when == "teardown":
                    self.reported.add(report.nodeid)
                config.hook.pytest_runtest_logreport(report=report)


def _copy_of(cache, copy):
    """A copy of Numba's cache, while another process writes there: what is renamed meanwhile stays behind."""
    def copied(source, target):
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(source, target)
    shutil.copytree(cache, copy, copy_function=copied, dirs_exist_ok=True)
