"""Steps of optimisers on the CPU."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from ..jit import compiled, fingerprint, jitable, prepare
from .fields import gather, private, scatter


@lru_cache(None)
def kernel(rule):
    """The loop, specialised for the rule of an optimiser."""
    prepare()
    rule = jitable(rule)
    mark = fingerprint(rule)

    @compiled(mark, rule)
    def update(p, g, slots, k):
        mark  # noqa: B018  part of the cache key
        n, p, g, slots = p.size, private(p), private(g), private(slots)
        for i in range(n):
            p[i], after = rule(p[i], g[i], gather(slots, i), k)
            scatter(slots, i, after)

    return update


def update(rule: Callable, p: np.ndarray, g: np.ndarray, slots: Any, k: Any) -> None:
    kernel(rule)(p, g, slots, k)
