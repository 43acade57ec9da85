"""Where everything lies in a convolution on the CPU: planes, and vectors of places.

A picture (C, H, W) is copied into planes with zeros around it, rows of `width` places; with a stride, each
phase (row mod stride, column mod stride) of a channel has a plane of its own.  What a tap (c, i, j) of the
kernel sees for the output at place q = row * width + column is then planes[offset[c, i, j] + q], a constant
shift, and vectors of neighbouring places can be loaded from anywhere.

Vectors of places lie within the rows of the picture, and results go where they belong.  Where that would
waste too much (narrow pictures), they run through all places, and results are `wide`: the last places of
their rows belong to no output and are left out later.
"""

from functools import lru_cache
from typing import Any, NamedTuple

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
    phases: np.ndarray          # PHASE numbers for each: its first number and distance of rows in a channel
                                # of the picture; its first place, rows and columns; first and last tap; first
                                # and last vector of `inputs`, whether they lie within rows
    taps: int                   # of a channel
    order: np.ndarray           # (K,): 0, 1 ...
    offset: np.ndarray          # (K,)
    tap: np.ndarray             # (taps,) by phase: i * (columns of the kernel) + j
    shift: np.ndarray           # (taps,) by phase, descending
    run: np.ndarray             # (taps,): so many taps from this one on shift by one less each
    place: np.ndarray           # (H * W,): of a unit in its plane; -1 where no tap sees it
    phase: np.ndarray           # (H * W,)


def span(left: int, stride: int, size: int, out: int) -> tuple[int, int]:
    """The places o of range(out) for which left + o * stride lies in range(size): (first, last)."""
    first = min(max(-(left // stride), 0), out)
    return first, max(min((size - 1 - left) // stride + 1, out), first)


def vectors(
        rows: int, columns: int, width: int, n: int, first: int = 0,
        target: tuple[int, int] | None = None, waste: float = 1.15) -> Vectors:
    """Vectors of n over rows x columns places from `first` on.

    target: (first, distance of rows), None: they must be wide.
    """
    of_row, through = -(-columns // n), -(-rows * width // n)
    if target is None or columns < n or rows * of_row > waste * through:
        return Vectors(first + np.arange(through) * n, np.arange(through) * n, False)
    row = np.arange(rows)[:, None]
    column = np.minimum(np.arange(of_row) * n, columns - n)     # the last vector of a row may overlap another
    source = first + row * width + column
    return Vectors(source.ravel(), (target[0] + row * target[1] + column).ravel(), True)


def vectors_once(rows: int, columns: int, width: int, n: int) -> tuple[np.ndarray, int, bool]:
    """(first places of vectors that do not overlap, distance of rows, whether rows are whole vectors)."""
    of_row, through = -(-columns // n), -(-rows * width // n)
    if rows * of_row > through:
        return np.arange(through) * n, width, False
    source = np.arange(rows)[:, None] * width + np.arange(of_row) * n
    return source.ravel(), of_row * n, of_row * n == columns


def runs_of(kind: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """How many neighbours from each one on have its kind, and shifts that fall by one."""
    run = np.ones(kind.size, np.int64)
    for t in reversed(range(kind.size - 1)):
        if kind[t] == kind[t + 1] and shift[t] == shift[t + 1] + 1:
            run[t] += run[t + 1]
    return run


def whole(value: Any) -> Any:
    """Arrays in the integers of the kernels."""
    return value.astype(np.int64).ravel() if isinstance(value, np.ndarray) else value


class _Taps(NamedTuple):
    """The taps of a channel, and what they see."""
    rows: int                   # of a plane
    width: int                  # of a plane
    kinds: np.ndarray           # the phases that are seen, ascending: (row mod stride) * stride + column mod
                                # stride
    kind: np.ndarray            # (taps,): the number of the phase that a tap sees
    shift: np.ndarray           # (taps,)
    order: np.ndarray           # (taps,): by phase, and by descending shift


def _taps_of(g):
    rows, width = (o + d * (k - 1) // s
                   for o, d, k, s in zip(g.out, g.dilation, g.kernel, g.stride, strict=True))
    i, j = np.indices(g.kernel).reshape(2, -1) * np.reshape(g.dilation, (2, 1))
    sh, sw = g.stride
    shift = i // sh * width + j // sw
    kinds, kind = np.unique(i % sh * sw + j % sw, return_inverse=True)
    return _Taps(rows, width, kinds, kind, shift, np.lexsort((-shift, kind)))


class _Phases(NamedTuple):
    """What lies in each phase."""
    numbers: list[tuple]        # PHASE for each
    inputs: list[Vectors]       # of each
    place: np.ndarray           # (H, W): of a unit in its plane; -1 where no tap sees it
    phase: np.ndarray           # (H, W)


def _phases_of(g, n, taps):
    found = _Phases([], [], np.full(g.size, -1), np.zeros(g.size))
    (sh, sw), width, kinds = g.stride, taps.width, taps.kinds
    vectors_before = 0
    for f, (top, left) in enumerate(zip(kinds // sw - g.padding[0], kinds % sw - g.padding[1], strict=True)):
        r0, r1 = span(top, sh, g.size[0], taps.rows)
        c0, c1 = span(left, sw, g.size[1], width)
        row, column = np.arange(r0, r1), np.arange(c0, c1)
        seen = np.ix_(top + row * sh, left + column * sw)
        found.place[seen] = row[:, None] * width + column
        found.phase[seen] = f
        first, down = (top + r0 * sh) * g.size[1] + left + c0 * sw, sh * g.size[1]
        target = (first, down) if sw == 1 else None
        inputs = vectors(r1 - r0, c1 - c0, width, n, r0 * width + c0, target)
        first_tap, last_tap = np.searchsorted(taps.kind[taps.order], (f, f + 1))
        vectors_after = vectors_before + len(inputs.source)
        found.inputs.append(inputs)
        found.numbers.append((first, down, r0 * width + c0, r1 - r0, c1 - c0, first_tap, last_tap,
                              vectors_before, vectors_after, inputs.within))
        vectors_before = vectors_after
    return found


@lru_cache(None)
def planned(g: Geometry, n: int) -> Plan:
    """For vectors of n numbers."""
    taps = _taps_of(g)
    width, plane, reach = taps.width, taps.rows * taps.width, int(taps.shift.max())
    phases = _phases_of(g, n, taps)
    n_phases, shift = len(taps.kinds), taps.shift[taps.order]
    offset = (np.arange(g.channels)[:, None] * n_phases + taps.kind) * plane + taps.shift
    outputs = vectors(*g.out, width, n, target=(0, g.out[1]))
    summed, pitch, ready = vectors_once(*g.out, width, n)
    return Plan(
        lanes=n,
        planes=n_phases,
        width=width,
        plane=plane,
        reach=reach,
        spread=reach + plane + width + COLUMNS * n,
        outputs=Vectors(whole(outputs.source), whole(outputs.target), outputs.within),
        inputs=Vectors(whole(np.concatenate([v.source for v in phases.inputs])),
                       whole(np.concatenate([v.target for v in phases.inputs])), False),
        summed=whole(summed),
        pitch=pitch,
        ready=ready,
        phases=whole(np.array(phases.numbers)),
        taps=shift.size,
        order=np.arange(offset.size),
        offset=whole(offset),
        tap=whole(taps.order),
        shift=whole(shift),
        run=runs_of(taps.kind[taps.order], shift),
        place=whole(phases.place),
        phase=whole(phases.phase))


@lru_cache(None)
def input_terms(g: Geometry, n: int, out: int) -> tuple[np.ndarray, np.ndarray]:
    """The terms of dplanes, by phase, output channel and tap.

    (Index in the weights of a channel, index in the gradients.)
    """
    p, channel = planned(g, n), np.arange(out)[:, None]
    in_weights, in_gradients = [], []
    for numbers in p.phases.reshape(-1, PHASE):
        taps = slice(*numbers[5:7])
        in_weights.append((channel * g.channels * p.taps + p.tap[taps]).ravel())
        in_gradients.append((channel * p.spread + p.reach - p.shift[taps]).ravel())
    return whole(np.concatenate(in_weights)), whole(np.concatenate(in_gradients))
