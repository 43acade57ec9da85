"""What is put into loops has no machine code of its own; loops are made without looking for garbage."""

import gc

import numba
import numpy as np
import pytest
from numba.core import event

from numsnn.devices import pipelines
from numsnn.devices.jit import OPTIONS, jitable


class Lowering(event.Listener):
    """Whether garbage is looked for while code is made, one entry a function."""

    def __init__(self):
        self.seen = []

    def on_start(self, event):
        pass

    def on_end(self, event):
        if event.data["name"].startswith("native_lowering"):
            self.seen.append(gc.isenabled())


@jitable
def doubled_and_one_more(x):
    return 2 * x + 1


def test_a_loop_and_what_is_put_into_it():
    def loop(values):
        for i in range(len(values)):
            values[i] = doubled_and_one_more(values[i])

    compiled = numba.njit(**OPTIONS | {"cache": False})(loop)
    listener = Lowering()
    with event.install_listener("numba:run_pass", listener):
        compiled(values := np.arange(5.0))
    np.testing.assert_array_equal(values, [1, 3, 5, 7, 9])
    assert listener.seen == [False, False] and gc.isenabled()
    symbols = compiled.targetctx.codegen()._engine._defined_symbols
    there = [name for name in symbols if "NumbaEnv" not in name and "test_a_loop_and_what" in name]
    assert there and not any("cfunc" in name for name in there)
    assert not any("doubled_and_one_more" in name for name in symbols if "NumbaEnv" not in name)


def test_numba_is_one_whose_ways_are_known():
    """Of another one pipelines.py compiles everything, which works and takes longer: see what has changed."""
    assert pipelines.KNOWN


def test_an_error_leaves_garbage_collected():
    def wrong(values):
        return values.nothing_of_the_kind

    with pytest.raises(numba.TypingError):
        numba.njit(**OPTIONS | {"cache": False})(wrong)(np.zeros(2))
    assert gc.isenabled()
