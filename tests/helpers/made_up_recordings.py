"""A listing of small recordings that are made up, the same ones each time."""

import numpy as np

from numsnn.datasets.listing import Item, Listing
from numsnn.signals.events import Events


def recording(i, n=200):
    """n + i events on 6 x 5 pixels within 40 ms."""
    rng = np.random.default_rng(i)
    n += i
    t = np.sort(rng.integers(0, 40_000, n))
    x, y, p = rng.integers(0, 6, n), rng.integers(0, 5, n), rng.integers(0, 2, n)
    return Events(t, x=x, y=y, p=p, shape=(2, 5, 6))


def some(n=23):
    """n recordings of two classes in three groups."""
    items = [Item(f"r{i}", i % 2, f"g{i % 3}", lambda i=i: recording(i)) for i in range(n)]
    return Listing("some", "made up", (2, 5, 6), 1e-6, ("a", "b"), items)
