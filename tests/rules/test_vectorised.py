"""The loop over a row of traces stays vectorised: LLVM gives that up silently, and a step takes five times as
long."""

import re

import numpy as np
from numba import njit

from numsnn.devices.cpu.eligibility import Traces, advance
from numsnn.devices.cpu.fields import private
from numsnn.devices.cpu.rows import U
from numsnn.devices.eligibility import Factors
from numsnn.neurons import NEURONS

WIDE, ROWS = 16, 3
PACKED = re.compile(r"= fmul <\d+ x float>")


def run():
    """(machine code, sums) of one step of rows of an ALIF neuron's traces."""
    @njit(error_model="numpy")
    def step(traces, states, drive, x, signal, factors):
        state, out, sums = private(traces)
        advance(Traces(state, out, sums), U(0), U(ROWS), U(WIDE), private(states), private(drive),
                private(x), U(0), private(signal), factors)

    State, f = NEURONS["ALIF"].State, np.float32
    draw = np.random.default_rng(0).normal
    arrays = [draw(size=ROWS * WIDE).astype(f) for _ in range(5)]
    traces = Traces(State(*arrays[:3]), *arrays[3:])
    states = State(*(draw(size=4 * WIDE).astype(f) for _ in range(3)))
    drive, x, signal = (draw(size=n).astype(f) for n in (4 * WIDE, ROWS, WIDE))
    factors = Factors(f(0.9), f(1))
    wanted = [a.reshape(ROWS, WIDE).copy() for a in arrays]
    step(traces, states, drive, x, signal, factors)
    eps, jacobian = wanted[:3], [s.reshape(4, WIDE) for s in states]
    into = drive.reshape(4, WIDE)[:, None] * x[:, None]
    e = [sum(j[i] * one for j, one in zip(jacobian, eps, strict=True)) + into[i] for i in range(4)]
    filtered = f(0.9) * wanted[3] + e[3]
    for a, b in zip(arrays, (*e[:3], filtered, wanted[4] + signal * filtered), strict=True):
        np.testing.assert_allclose(a.reshape(ROWS, WIDE), b, rtol=1e-5, atol=1e-5)
    return "".join(step.inspect_llvm().values())


def test_rows_of_traces_are_vectorised():
    assert PACKED.search(run())
