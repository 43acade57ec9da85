"""Shared fixtures; at the end the number and the seconds of compilations, the cost of this test run."""

import gc
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
import second
from beside import Queue, marked

# where compiled code lies, so that it can be copied for a second process; Numba reads it when it is imported
os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(__file__).resolve().parents[1] / ".numba_cache"))

gc.set_threshold(200_000, 20, 100)      # compiling makes millions of small objects: an eighth of its time

try:
    from numba.core import event

    _recorder = event.RecordingListener()
    event.register("numba:compile", _recorder)
except ImportError:
    _recorder = None


def pytest_terminal_summary(terminalreporter):
    if _recorder is None:
        return
    open_, seconds, count = [], 0.0, 0
    for time, what in _recorder.buffer:
        if what.is_start:
            open_.append(time)
        elif open_:
            start = open_.pop()
            is_outermost = not open_        # nested compilations are part of the outer one
            if is_outermost:
                seconds += time - start
                count += 1
    terminalreporter.write_line(f"compilations: {count}, {seconds:.0f} s")


# ---- the quick part: what most changes break, and what needs little compiling

QUICK = (
    "signals/test_encode", "signals/test_events", "signals/test_spikes", "signals/test_mel", "neurons/",
    "network/test_bptt.py::test_golden_hard_spike_gradients", "formats/test_formats_idx",
    "formats/test_formats_wav", "datasets/test_datasets", "reports/", "test_loss", "test_optim",
    "test_layering", "test_moved", "test_style", "guide/test_guide.py::test_pages",
    "guide/test_guide.py::test_links", "guide/test_guide.py::test_the_command",
    "typing/test_typing.py::test_sig", "typing/test_typing.py::test_a_neurons")


def is_quick(item):
    return item.nodeid.partition("tests/")[2].startswith(QUICK)


# ---- long commands run beside the other tests, see helpers/beside.py

_jobs = Queue()
_folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)


def pytest_collection_modifyitems(items):
    for item in items:
        if is_quick(item):
            item.add_marker(pytest.mark.quick)
    items.sort(key=lambda item: marked(item) is not None)       # those that wait for them come last


def pytest_collection_finish(session):
    if session.config.option.collectonly:
        return
    plugin = second.plugin_of(session, _folder.name)
    if plugin is not None:
        session.config.pluginmanager.register(plugin)
    if not second.is_second():
        _jobs.begin(session.items, getattr(plugin, "job", None))


@pytest.fixture
def beside(request):
    return _jobs.jobs[request.node.nodeid]


def pytest_sessionfinish():
    _jobs.close()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def own_models():
    """What a test registers is gone after it."""
    from numsnn.layers.factory import POPULATIONS
    from numsnn.neurons import NEURONS
    from numsnn.neurons.elementwise import ELEMENTWISE
    tables = (NEURONS, POPULATIONS)
    before = [dict(table) for table in tables]
    functions = list(ELEMENTWISE)
    yield
    for table, old in zip(tables, before, strict=True):
        table.clear()
        table.update(old)
    ELEMENTWISE[:] = functions


@pytest.fixture(scope="session")
def data_folder():
    """The folder of real data sets: NUMSNN_DATA, or ../shared/data beside the checkout."""
    folder = Path(os.environ.get("NUMSNN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set NUMSNN_DATA to the folder that holds qtdb_coded/")
    return folder
