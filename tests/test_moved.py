"""Import paths of version 0.1 still work, each with a warning that names the new one."""

import subprocess
import sys
import warnings
from importlib import import_module

import pytest

import numsnn as ns
from numsnn.moved import MOVED, new_name

PATHS = (*MOVED, "numsnn.audio.ear", "numsnn.datasets.formats.aedat4", "numsnn.encode.trains",
         "numsnn.io.checkpoint", "numsnn.loops.threads", "numsnn.loops.contract")


@pytest.mark.parametrize("old", PATHS)
def test_an_old_path_is_the_new_module(old):
    sys.modules.pop(old, None)
    now = new_name(old)
    with pytest.warns(DeprecationWarning, match=rf"{old} is now {now}; the old name goes"):
        module = import_module(old)
    assert module is import_module(now)
    assert module.__spec__.name == now
    assert sys.modules[old] is module


def test_the_line_that_imports_is_warned(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("from numsnn.datasets import formats\nimport numsnn as ns\nns.events\n")
    command = [sys.executable, "-W", "always", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "script.py:1: DeprecationWarning: numsnn.datasets.formats is now numsnn.formats" in done.stderr
    assert "script.py:3: DeprecationWarning: numsnn.events is now numsnn.signals.events" in done.stderr


def test_public_names_do_not_warn():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for name in ns.__all__:
            getattr(ns, name)
    assert not caught


def test_other_names_are_unknown():
    with pytest.raises(AttributeError, match="module 'numsnn' has no attribute 'nothing'"):
        ns.nothing  # noqa: B018
    with pytest.raises(ModuleNotFoundError):
        import_module("numsnn.nothing")
