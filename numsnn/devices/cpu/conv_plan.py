"""Where everything lies in a convolution on the CPU: planes, and vectors of places.

A picture (C, H, W) is copied into planes with zeros around it, rows of `width` places; with a stride, each phase (row mod stride, column mod
stride) of a channel has a plane of its own.  What a tap (c, i, j) of the kernel sees for the output at place q = row * width + column is
then planes[offset[c, i, j] + q], a constant shift, and vectors of neighbouring places can be loaded from anywhere.

Vectors of places lie within the rows of the picture, and results go where they belong.  Where that would waste too much (narrow pictures),
they run through all places, and results are `wide`: the last places of their rows belong to no output and are left out later.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..contract import Geometry
from .lanes import COLUMNS

PHASE = 10          # numbers that describe a phase


class Vectors(NamedTuple):
    """Vectors of places."""
    source: np.ndarray          # first place of each
    target: np.ndarray          # where it is written
    within: bool                # whether they lie within rows and are written where they belong


class Plan(NamedTuple):
    """Where everything lies."""
    lanes: int                  # numbers in a vector
    planes: int                 # of a channel
    width: int                  # places of a row
    plane: int                  # places of a plane
    reach: int                  # the largest shift
    spread: int                 # of gradients: `reach` zeros, a plane, the rest of a block of vectors
    outputs: Vectors
    inputs: Vectors             # of the input gradient, phase after phase
    summed: np.ndarray          # places of vectors that meet each output once, for the weight gradient
    pitch: int                  # distance of rows in gradients that lie like these vectors
    ready: bool                 # whether all gradients do
    phases: np.ndarray          # PHASE numbers for each: its first number and distance of rows in a channel of the picture; its first place,
                                # rows and columns; first and last tap; first and last vector of `inputs`, whether they lie within rows
    taps: int                   # of a channel
    order: np.ndarray           # (K,): 0, 1 ...
    offset: np.ndarray          # (K,)
    tap: np.ndarray             # (taps,) by phase: i * (columns of the kernel) + j
    shift: np.ndarray           # (taps,) by phase, descending
    run: np.ndarray             # (taps,): so many taps from this one on shift by one less each
    place: np.ndarray           # (H * W,): of a unit in its plane; -1 where no tap sees it
    phase: np.ndarray           # (H * W,)


def span(left, stride, size, out):
    """The places o of range(out) for which left + o * stride lies in range(size): (first, last)."""
    first = min(max(-(left // stride), 0), out)
    return first, max(min((size - 1 - left) // stride + 1, out), first)


def vectors(rows, columns, width, n, first=0, target=None, waste=1.15):
    """Vectors of n over rows x columns places from `first` on; target: (first, distance of rows), None: they must be wide."""
    of_row, through = -(-columns // n), -(-rows * width // n)
    if target is None or columns < n or rows * of_row > waste * through:
        return Vectors(first + np.arange(through) * n, np.arange(through) * n, False)
    row, column = np.arange(rows)[:, None], np.minimum(np.arange(of_row) * n, columns - n)
    return Vectors((first + row * width + column).ravel(), (target[0] + row * target[1] + column).ravel(), True)


def vectors_once(rows, columns, width, n):
    """(first places of vectors that do not overlap, distance of rows, whether rows are whole vectors)."""
    of_row, through = -(-columns // n), -(-rows * width // n)
    if rows * of_row > through:
        return np.arange(through) * n, width, False
    return (np.arange(rows)[:, None] * width + np.arange(of_row) * n).ravel(), of_row * n, of_row * n == columns


def runs_of(kind, shift):
    """How many neighbours from each one on have its kind, and shifts that fall by one."""
    run = np.ones(kind.size, np.int64)
    for t in reversed(range(kind.size - 1)):
        if kind[t] == kind[t + 1] and shift[t] == shift[t + 1] + 1:
            run[t] += run[t + 1]
    return run


def whole(value):
    """Arrays in the integers of the kernels."""
    return value.astype(np.int64).ravel() if isinstance(value, np.ndarray) else value


@lru_cache(None)
def planned(g: Geometry, n: int) -> Plan:
    """For vectors of n numbers."""
    rows, width = (o + d * (k - 1) // s for o, d, k, s in zip(g.out, g.dilation, g.kernel, g.stride, strict=True))
    (i, j), (sh, sw) = np.indices(g.kernel).reshape(2, -1) * np.reshape(g.dilation, (2, 1)), g.stride
    kind, shift = i % sh * sw + j % sw, i // sh * width + j // sw
    kinds, kind = np.unique(kind, return_inverse=True)
    tap, plane, reach = np.lexsort((-shift, kind)), rows * width, int(shift.max())
    phases, inputs, place, phase = [], [], np.full(g.size, -1), np.zeros(g.size)
    for f, (top, left) in enumerate(zip(kinds // sw - g.padding[0], kinds % sw - g.padding[1], strict=True)):
        (r0, r1), (c0, c1) = span(top, sh, g.size[0], rows), span(left, sw, g.size[1], width)
        h, w = np.arange(r0, r1), np.arange(c0, c1)
        seen = np.ix_(top + h * sh, left + w * sw)
        place[seen], phase[seen] = h[:, None] * width + w, f
        first, down = (top + r0 * sh) * g.size[1] + left + c0 * sw, sh * g.size[1]
        before = sum(len(v.source) for v in inputs)
        inputs.append(vectors(r1 - r0, c1 - c0, width, n, r0 * width + c0, (first, down) if sw == 1 else None))
        phases.append((first, down, r0 * width + c0, r1 - r0, c1 - c0, *np.searchsorted(kind[tap], (f, f + 1)),
                       before, before + len(inputs[-1].source), inputs[-1].within))
    offset = (np.arange(g.channels)[:, None] * len(kinds) + kind) * plane + shift
    outputs, (summed, pitch, ready) = vectors(*g.out, width, n, 0, (0, g.out[1])), vectors_once(*g.out, width, n)
    return Plan(n, len(kinds), width, plane, reach, reach + plane + width + COLUMNS * n, Vectors(*map(whole, outputs)),
                Vectors(*(whole(np.concatenate([v[m] for v in inputs])) for m in (0, 1)), False),
                *map(whole, (summed, pitch, ready, np.array(phases), tap.size, np.arange(offset.size), offset, tap, shift[tap],
                             runs_of(kind[tap], shift[tap]), place, phase)))


@lru_cache(None)
def input_terms(g: Geometry, n: int, out: int):
    """The terms of dplanes: (index in the weights of a channel, index in the gradients), by phase, output channel and tap."""
    p, channel = planned(g, n), np.arange(out)[:, None]
    taps = [slice(*phase[5:7]) for phase in p.phases.reshape(-1, PHASE)]
    return (whole(np.concatenate([(channel * g.channels * p.taps + p.tap[t]).ravel() for t in taps])),
            whole(np.concatenate([(channel * p.spread + p.reach - p.shift[t]).ravel() for t in taps])))
