"""An absolute refractory time: after a spike there is none for so many steps.

    free_t = 1 where wait_{t-1} = 0, else 0
    s_t    = free_t s'_t                               s': the spike of the neuron without it
    v_t    = after the reset where free_t, else u_t      a spike that is held back resets nothing
    wait_t = n where s_t, else max(wait_{t-1} - 1, 0)    n = refractory / dt, rounded

The membrane goes on meanwhile: what it reaches counts when the time is over.  No gradient flows through a
spike that could not be.  Source: Gerstner & Kistler 2002, section 4.2 (a threshold that is infinite).
"""

from typing import Any

import numpy as np

from .elementwise import HALF, ONE, ZERO, elementwise, greater, greater_equal, maximum


@elementwise
def held_back(out, v, wait, n):
    """(spike, membrane after it, steps to wait) of a neuron's Out and its membrane after the reset."""
    free = greater_equal(ZERO, wait)
    spike = free * out.spike
    fired = greater(spike, HALF)
    return spike, free * v + (ONE - free) * out.v, fired * n + (ONE - fired) * maximum(wait - ONE, ZERO)


@elementwise
def held_back_adjoint(out, wait, dspike, dv, dwait):
    """Gradients of (out.spike, out.v, v, wait); a spike in the smooth twin is one from 1/2 on."""
    free = greater_equal(ZERO, wait)
    fired = greater(free * out.spike, HALF)
    return free * dspike, (ONE - free) * dv, free * dv, (ONE - fired) * greater(wait, ONE) * dwait


def steps(time: Any, dt: float) -> Any:
    """A refractory time as a number of steps."""
    return np.rint(time / dt)
