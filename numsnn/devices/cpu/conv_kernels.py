"""Compiled loops of convolutions without unrolled patches.

Products of shifted planes (see conv_plan.py) in vectors (see lanes.py); k = (c, i, j), ascending:

    y[o, q]        = bias[o] + sum_k weight[o, k] planes[offset[k] + q]             by one accumulator
    dweight[o, k] += sum_q dy[o, q] planes[offset[k] + q]
    dplanes[c, u]  = sum_{o, taps of the phase} weight[o, c, tap] dy[o, u - shift[tap]]

An image is (C, H, W), one for each row (t, b).  Each is summed by itself, every place by the same
instructions: its result depends on nothing but itself.  Events are added in ascending order, all channels of
a place at a time: their sums are laid out (place, channel) and transposed at the end.
"""

from functools import lru_cache

import numpy as np
from numba import njit

from ...neurons.elementwise import ONE
from ..jit import OPTIONS, fingerprint, jitable, prepare
from .conv_plan import PHASE
from .fields import private
from .lanes import (
    COLUMNS,
    ROWS,
    accumulate,
    copy,
    correlations,
    products,
    total,
    transpose,
)

# ---- places


@jitable
def begin(r, rows):
    """Where row r begins."""
    return r // rows.batch * rows.pitch + r % rows.batch * rows.units


@jitable
def region(p, f):
    """Where phase f lies.

    (First number of a channel, distance of rows) in the picture, (first place) in the plane, rows, columns.
    """
    at = PHASE * f
    return p.phases[at], p.phases[at + 1], p.phases[at + 2], p.phases[at + 3], p.phases[at + 4]


@jitable
def taps(p, f):
    """First and last tap that sees phase f."""
    return p.phases[PHASE * f + 5], p.phases[PHASE * f + 6]


@jitable
def runs(p, f):
    """First and last vector of the input gradient in phase f; whether they lie within rows."""
    return p.phases[PHASE * f + 7], p.phases[PHASE * f + 8], p.phases[PHASE * f + 9] != 0


# ---- pieces


@jitable
def fill(x, at, g, p, planes, to):
    """The picture x[at : ] into planes[to : ]."""
    for c in range(g.channels):
        for f in range(p.planes):
            source, down, target, rows, columns = region(p, f)
            source += at + c * g.size[0] * g.size[1]
            target += to + (c * p.planes + f) * p.plane
            if g.stride[1] == 1:
                copy((x, source, down), (planes, target, p.width), rows, columns)
            else:
                for m in range(rows):
                    for n in range(columns):
                        planes[target + m * p.width + n] = x[source + m * down + n * g.stride[1]]


@jitable
def crop(wide, f, g, p, dx, at):
    """The adjoint of `fill` for phase f of a wide input gradient."""
    for c in range(g.channels):
        target, down, _, rows, columns = region(p, f)
        target += at + c * g.size[0] * g.size[1]
        if g.stride[1] == 1:
            copy((wide, c * p.spread, p.width), (dx, target, down), rows, columns)
        else:
            for m in range(rows):
                for n in range(columns):
                    dx[target + m * down + n * g.stride[1]] = wide[c * p.spread + m * p.width + n]


@jitable
def narrow(wide, distance, g, p, y, at, channels):
    """y[at : ] from wide outputs, channels in some distance."""
    rows, columns = g.out
    for o in range(channels):
        copy((wide, o * distance, p.width), (y, at + o * rows * columns, columns), rows, columns)


@jitable
def widen(dy, at, g, wide, to, distance, channels):
    """The gradient dy[at : ] into wide[to : ]; distance: (of channels, of rows)."""
    rows, columns = g.out
    for o in range(channels):
        source = (dy, at + o * rows * columns, columns)
        copy(source, (wide, to + o * distance[0], distance[1]), rows, columns)


@jitable
def sum_places(dy, at, channels, places, dbias):
    """dbias[o] += the sum of a gradient dy[at : ] over places."""
    for o in range(channels):
        dbias[o] += total((dy, at + o * places), places)


@jitable
def factor(multiplicity, e):
    """How often an entry counts."""
    if multiplicity is None:
        return ONE
    return multiplicity[e]


@jitable
def multiply(start, channels, weight, terms, values, out, places):
    """`products` of any size.

    start: array, weight: (array, distance of rows), places: (source, target, first vector, last vector).
    """
    for v in range(places[2], places[3], COLUMNS):
        for i in range(0, channels, ROWS):
            rows = (weight[0], i * weight[1], weight[1])
            products((start, i), rows, terms, values, (out[0], out[1] + i * out[2], out[2]),
                     (places[0], places[1], v), min(ROWS, channels - i), min(COLUMNS, places[3] - v))


# ---- forward


@lru_cache(None)
def forward_from_values():
    """The kernel of the forward pass from values."""
    prepare()
    mark = fingerprint()

    @njit(**OPTIONS)
    def from_values(rows, x, weight, bias, g, p, y, planes, wide):
        mark  # noqa: B018  part of the cache key
        (x, of_x), (y, of_y) = x, y
        (channels, k), many = weight.shape, p.outputs.source.size
        area, distance = g.out[0] * g.out[1], many * p.lanes
        x, weight, bias, p, y, planes, wide = private((x, weight, bias, p, y, planes, wide))
        for r in range(rows):
            to = begin(r, of_y)
            fill(x, begin(r, of_x), g, p, planes, 0)
            out = (y, to, area) if p.outputs.within else (wide, 0, distance)
            places = (p.outputs.source, p.outputs.target, 0, many)
            multiply(bias, channels, (weight, k), (p.order, p.offset, 0, k), (planes, 0), out, places)
            if not p.outputs.within:
                narrow(wide, distance, g, p, y, to, channels)

    return from_values


@lru_cache(None)
def forward_from_events():
    """The kernel of the forward pass from Spikes; biases: (places, channels in whole vectors)."""
    prepare()
    mark = fingerprint()

    @njit(**OPTIONS)
    def from_events(rows, entries, weight, biases, g, p, y, sums, wide):
        mark  # noqa: B018  part of the cache key
        (y, of_y), many, (biased, width) = y, p.outputs.source.size, biases.shape
        inside, area = g.size[0] * g.size[1], g.out[0] * g.out[1]
        start, count, index, multiplicity = private(entries)
        weight, biases, p, y, sums, wide = private((weight, biases, p, y, sums, wide))
        places, distance = of_y.units, area if p.outputs.within else many * p.lanes
        channels = places // area
        direct = p.outputs.within and channels == width
        silent = -1         # where the output of a row without events lies
        for r in range(rows):
            here = begin(r, of_y)
            if count[r] == 0 and silent >= 0:
                copy((y, silent, 0), (y, here, 0), 1, places)
                continue
            silent = here if count[r] == 0 else silent
            copy((biases, 0, 0), (sums, p.reach * width, 0), 1, biased * width)
            for e in range(start[r], start[r] + count[r]):
                c, unit = np.int64(index[e]) // inside, np.int64(index[e]) % inside
                if p.place[unit] >= 0:
                    t, last = taps(p, p.phase[unit])
                    while t < last:
                        to = (p.reach + p.place[unit] - p.shift[t]) * width
                        accumulate((sums, to), factor(multiplicity, e),
                                   (weight, (c * p.taps + t) * width), p.run[t] * width)
                        t += p.run[t]
            out, to = (y, here) if direct else (wide, 0)
            for v in range(many):
                first = (p.reach + p.outputs.source[v]) * width
                for o in range(0, width, p.lanes):
                    target = to + o * distance + p.outputs.target[v]
                    transpose((sums, first + o, width), (out, target, distance))
            if not p.outputs.within:
                narrow(wide, distance, g, p, y, here, channels)
            elif not direct:
                copy((wide, 0, 0), (y, here, 0), 1, places)

    return from_events


# ---- backward


@lru_cache(None)
def weight_gradient_from_values():
    """The kernel of the weight gradient from values."""
    prepare()
    mark = fingerprint()

    @njit(**OPTIONS)
    def weight_from_values(rows, x, dy, g, p, dweight, dbias, planes, wide):
        mark  # noqa: B018  part of the cache key
        (x, of_x), (dy, of_dy), (channels, k) = x, dy, dweight.shape
        (group, of_planes), of_wide = planes.shape, wide.shape[1]
        area, many = g.out[0] * g.out[1], p.summed.size
        ready = p.ready and of_dy.pitch == of_dy.batch * of_dy.units
        x, dy, p, dweight, dbias, planes, wide = private((x, dy, p, dweight, dbias, planes, wide))
        for first in range(0, rows, group):
            pictures = min(group, rows - first)
            for r in range(pictures):
                at = begin(first + r, of_dy)
                sum_places(dy, at, channels, area, dbias)
                fill(x, begin(first + r, of_x), g, p, planes, r * of_planes)
                if not ready:
                    widen(dy, at, g, wide, r * of_wide, (many * p.lanes, p.pitch), channels)
            if ready:
                grad, at, across, on = dy, first * of_dy.units, area, of_dy.units
            else:
                grad, at, across, on = wide, 0, many * p.lanes, of_wide
            for i in range(0, channels, ROWS):
                for j in range(0, k, COLUMNS):
                    correlations((grad, at + i * across, across, on), (planes, p.offset, j, of_planes),
                                 (p.summed, many), pictures, (dweight, i * k + j, k),
                                 min(ROWS, channels - i), min(COLUMNS, k - j))

    return weight_from_values


@lru_cache(None)
def weight_gradient_from_events():
    """The kernel of the weight gradient from Spikes; dweight: (C, taps, channels in whole vectors)."""
    prepare()
    mark = fingerprint()

    @njit(**OPTIONS)
    def weight_from_events(rows, entries, dy, g, p, dweight, dbias, wide, grad):
        mark  # noqa: B018  part of the cache key
        (dy, of_dy), many, channels, width = dy, p.outputs.source.size, dbias.size, dweight.shape[2]
        inside, area = g.size[0] * g.size[1], g.out[0] * g.out[1]
        start, count, index, multiplicity = private(entries)
        dy, p, dweight, dbias, wide, grad = private((dy, p, dweight, dbias, wide, grad))
        distance = area if p.outputs.within else many * p.lanes
        direct = p.outputs.within and channels == width
        for r in range(rows):
            here = begin(r, of_dy)
            sum_places(dy, here, channels, area, dbias)
            if count[r] == 0:
                continue
            if not p.outputs.within:
                widen(dy, here, g, wide, 0, (distance, p.width), channels)
            elif not direct:
                copy((dy, here, 0), (wide, 0, 0), 1, of_dy.units)
            source, at = (dy, here) if direct else (wide, 0)
            for v in range(many):
                first = (p.reach + p.outputs.source[v]) * width
                for o in range(0, width, p.lanes):
                    place = at + o * distance + p.outputs.target[v]
                    transpose((source, place, distance), (grad, first + o, width))
            for e in range(start[r], start[r] + count[r]):
                c, unit = np.int64(index[e]) // inside, np.int64(index[e]) % inside
                if p.place[unit] >= 0:
                    t, last = taps(p, p.phase[unit])
                    while t < last:
                        place = (p.reach + p.place[unit] - p.shift[t]) * width
                        accumulate((dweight, (c * p.taps + t) * width), factor(multiplicity, e),
                                   (grad, place), p.run[t] * width)
                        t += p.run[t]

    return weight_from_events


@lru_cache(None)
def input_gradient_kernel():
    """The kernel of the input gradient; terms: see conv_plan.input_terms."""
    prepare()
    mark = fingerprint()

    @njit(**OPTIONS)
    def input_gradient(rows, dy, weight, start, terms, g, p, dx, wide, planes):
        mark  # noqa: B018  part of the cache key
        (dy, of_dy), (dx, of_dx), channels = dy, dx, weight.shape[0]
        dy, weight, start, (in_weights, in_gradients) = private((dy, weight, start, terms))
        p, dx, wide, planes = private((p, dx, wide, planes))
        for r in range(rows):
            here = begin(r, of_dx)
            widen(dy, begin(r, of_dy), g, wide, p.reach, (p.spread, p.width), channels)
            for f in range(p.planes):
                (tap, last_tap), (first, last, within) = taps(p, f), runs(p, f)
                out = (dx, here, g.size[0] * g.size[1]) if within else (planes, 0, p.spread)
                of_phase = (in_weights, in_gradients, channels * tap, channels * last_tap)
                multiply(start, g.channels, (weight, p.taps), of_phase, (wide, 0), out,
                         (p.inputs.source, p.inputs.target, first, last))
                if not within:
                    crop(planes, f, g, p, dx, here)

    return input_gradient
