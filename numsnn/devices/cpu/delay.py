"""A time step of delays in the compiled step of a whole network (step.py)."""

from functools import lru_cache

from numpy.typing import DTypeLike

from ..contract import Delays
from ..jit import fingerprint
from .addresses import at, shifted
from .rows import U
from .step import StepLayer, kernel_of, real_of


@lru_cache(None)
def _delay(real):
    """fixed: addresses of the steps and of where each past begins, n, length of all pasts."""
    mark = fingerprint()

    def delay(fixed, x, before, after, y, work, batch):
        mark  # noqa: B018  part of the cache key
        steps, first = at(fixed, fixed[0]), at(fixed, fixed[1])
        units, total = U(fixed[2]), U(fixed[3])
        x, y, before, after = shifted(x, U(0)), shifted(y, U(0)), shifted(before, U(0)), shifted(after, U(0))
        for b in range(batch):
            for n in range(units):
                begin, d, now = b * total + U(first[n]), U(steps[n]), x[b * units + n]
                y[b * units + n] = before[begin] if d > U(0) else now
                for k in range(U(1), d):
                    after[begin + k - U(1)] = before[begin + k]
                if d > U(0):
                    after[begin + d - U(1)] = now

    return kernel_of(delay, real)


def delay_step(delays: Delays, dtype: DTypeLike) -> StepLayer:
    n, total = len(delays.steps), len(delays.feature)
    return StepLayer(_delay(real_of(dtype)), (delays.steps, delays.first, n, total), (total,), n, 0)
