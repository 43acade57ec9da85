"""Convolution on the CPU: event by event where the input is Spikes, as products of unrolled patches (im2col and BLAS) else.

An image is (C, H, W), one for each row (t, b).  Each image is one product of its own, so that the result of an image depends on nothing
but itself; events of an image are added in ascending order into (position, channel) buffers, whose inner loop runs over channels.
"""

from functools import lru_cache

import numpy as np
from numba import njit

from ..elementwise import ONE
from ..spikes import Spikes
from . import blas
from .jit import OPTIONS, fingerprint, jitable, prepare
from .rows import multiply, multiply_blas


@jitable
def span(left, stride, size, out):
    """The places o of range(out) for which left + o * stride lies in range(size): (first, last)."""
    first = (stride - 1 - left) // stride if left < 0 else 0
    last = (size - 1 - left) // stride + 1 if left < size else 0
    return min(first, out), max(min(last, out), min(first, out))


@jitable
def unroll(x, g, columns):
    """columns[(c, i, j), (oh, ow)] = x[c, oh * stride + i * dilation - padding, ...], 0 outside."""
    k = 0
    for c in range(g.channels):
        for i in range(g.kernel[0]):
            for j in range(g.kernel[1]):
                left = j * g.dilation[1] - g.padding[1]
                first, last = span(left, g.stride[1], g.size[1], g.out[1])
                for oh in range(g.out[0]):
                    h, at = oh * g.stride[0] + i * g.dilation[0] - g.padding[0], oh * g.out[1]
                    if h < 0 or h >= g.size[0]:
                        for ow in range(g.out[1]):
                            columns[k, at + ow] = 0
                        continue
                    row = (c * g.size[0] + h) * g.size[1] + left
                    for ow in range(first):
                        columns[k, at + ow] = 0
                    if g.stride[1] == 1:
                        for ow in range(first, last):
                            columns[k, at + ow] = x[row + ow]
                    else:
                        for ow in range(first, last):
                            columns[k, at + ow] = x[row + ow * g.stride[1]]
                    for ow in range(last, g.out[1]):
                        columns[k, at + ow] = 0
                k += 1


@jitable
def roll(columns, g, dx):
    """The adjoint of `unroll`: dx += columns."""
    k = 0
    for c in range(g.channels):
        for i in range(g.kernel[0]):
            for j in range(g.kernel[1]):
                left = j * g.dilation[1] - g.padding[1]
                first, last = span(left, g.stride[1], g.size[1], g.out[1])
                for oh in range(g.out[0]):
                    h, at = oh * g.stride[0] + i * g.dilation[0] - g.padding[0], oh * g.out[1]
                    if h < 0 or h >= g.size[0]:
                        continue
                    row = (c * g.size[0] + h) * g.size[1] + left
                    if g.stride[1] == 1:
                        for ow in range(first, last):
                            dx[row + ow] += columns[k, at + ow]
                    else:
                        for ow in range(first, last):
                            dx[row + ow * g.stride[1]] += columns[k, at + ow]
                k += 1


@jitable
def reach(position, i, padding, dilation, stride, size):
    """Where the output is that sees an input position through kernel place i, -1 if there is none."""
    o = position + padding - i * dilation
    return o // stride if o >= 0 and o % stride == 0 and o // stride < size else -1


@jitable
def factor(multiplicity, e):
    """How often an entry counts."""
    if multiplicity is None:
        return ONE
    return multiplicity[e]


@lru_cache(None)
def forward_kernels(with_blas):
    """(from values, from events)."""
    prepare()
    product, mark = multiply_blas if with_blas else multiply, fingerprint()

    @njit(**OPTIONS)
    def from_values(x, weight, bias, g, y, columns):
        mark  # noqa: B018  part of the cache key
        for r in range(len(x)):
            unroll(x[r], g, columns)
            product(weight, columns, y[r])
            for o in range(len(bias)):
                for p in range(y.shape[2]):
                    y[r, o, p] += bias[o]

    @njit(**OPTIONS)
    def from_events(entries, weight, bias, g, y, sums):
        mark  # noqa: B018  part of the cache key
        start, count, index, multiplicity = entries
        area = g.size[0] * g.size[1]
        for r in range(len(y)):
            for p in range(sums.shape[0]):
                for o in range(sums.shape[1]):
                    sums[p, o] = bias[o]
            for e in range(start[r], start[r] + count[r]):
                c, rest = np.int64(index[e]) // area, np.int64(index[e]) % area
                h, w = rest // g.size[1], rest % g.size[1]
                many = factor(multiplicity, e)
                for i in range(g.kernel[0]):
                    oh = reach(h, i, g.padding[0], g.dilation[0], g.stride[0], g.out[0])
                    if oh >= 0:
                        for j in range(g.kernel[1]):
                            ow = reach(w, j, g.padding[1], g.dilation[1], g.stride[1], g.out[1])
                            if ow >= 0:
                                p = oh * g.out[1] + ow
                                for o in range(sums.shape[1]):
                                    sums[p, o] += many * weight[c, i, j, o]
            for o in range(sums.shape[1]):
                for p in range(sums.shape[0]):
                    y[r, o, p] = sums[p, o]

    return from_values, from_events


@lru_cache(None)
def backward_kernels(with_blas):
    """(weight gradient from values, weight gradient from events, input gradient)."""
    prepare()
    product, mark = multiply_blas if with_blas else multiply, fingerprint()

    @njit(**OPTIONS)
    def weight_from_values(x, dy, g, dweight, columns, part):
        mark  # noqa: B018  part of the cache key
        for r in range(len(x)):
            unroll(x[r], g, columns)
            product(dy[r], columns.T, part)
            for o in range(part.shape[0]):
                for k in range(part.shape[1]):
                    dweight[o, k] += part[o, k]

    @njit(**OPTIONS)
    def weight_from_events(entries, dy, g, dweight, grad):
        mark  # noqa: B018  part of the cache key
        start, count, index, multiplicity = entries
        area = g.size[0] * g.size[1]
        for r in range(len(dy)):
            if count[r] == 0:
                continue
            for o in range(grad.shape[1]):
                for p in range(grad.shape[0]):
                    grad[p, o] = dy[r, o, p]
            for e in range(start[r], start[r] + count[r]):
                c, rest = np.int64(index[e]) // area, np.int64(index[e]) % area
                h, w = rest // g.size[1], rest % g.size[1]
                many = factor(multiplicity, e)
                for i in range(g.kernel[0]):
                    oh = reach(h, i, g.padding[0], g.dilation[0], g.stride[0], g.out[0])
                    if oh >= 0:
                        for j in range(g.kernel[1]):
                            ow = reach(w, j, g.padding[1], g.dilation[1], g.stride[1], g.out[1])
                            if ow >= 0:
                                p = oh * g.out[1] + ow
                                for o in range(grad.shape[1]):
                                    dweight[c, i, j, o] += many * grad[p, o]

    @njit(**OPTIONS)
    def input_gradient(dy, weight_t, g, dx, columns):
        mark  # noqa: B018  part of the cache key
        for r in range(len(dy)):
            product(weight_t, dy[r], columns)
            roll(columns, g, dx[r])

    return weight_from_values, weight_from_events, input_gradient


def conv_forward(x, weight, bias, geometry):
    steps, batch, _ = x.shape
    from_values, from_events = forward_kernels(blas.usable())
    out, dtype = weight.shape[0], weight.dtype
    places = geometry.out[0] * geometry.out[1]
    y = np.empty((steps * batch, out, places), dtype)
    if isinstance(x, Spikes):
        from_events(_entries(x), np.ascontiguousarray(np.moveaxis(weight, 0, 3)), bias, geometry, y, np.empty((places, out), dtype))
    else:
        matrix = np.ascontiguousarray(weight.reshape(out, -1))
        from_values(x.reshape(steps * batch, -1), matrix, bias, geometry, y, np.empty((matrix.shape[1], places), dtype))
    return y.reshape(steps, batch, -1)


def conv_backward(x, weight, dy, geometry, want_dx):
    steps, batch, _ = x.shape
    weight_from_values, weight_from_events, input_gradient = backward_kernels(blas.usable())
    out, dtype = weight.shape[0], weight.dtype
    places = geometry.out[0] * geometry.out[1]
    dy = np.ascontiguousarray(dy).reshape(steps * batch, out, places)
    matrix = np.ascontiguousarray(weight.reshape(out, -1))
    columns = np.empty((matrix.shape[1], places), dtype)
    if isinstance(x, Spikes):
        last = np.zeros((*weight.shape[1:], out), dtype)
        weight_from_events(_entries(x), dy, geometry, last, np.empty((places, out), dtype))
        dweight = np.ascontiguousarray(np.moveaxis(last, 3, 0))
    else:
        dweight = np.zeros_like(matrix)
        weight_from_values(x.reshape(steps * batch, -1), dy, geometry, dweight, columns, np.empty_like(matrix))
    dx = None
    if want_dx:
        dx = np.zeros((steps * batch, int(np.prod(x.shape[2:]))), dtype)
        input_gradient(dy, np.ascontiguousarray(matrix.T), geometry, dx, columns)
        dx = dx.reshape(x.shape)
    return dweight.reshape(weight.shape), dy.sum((0, 2)), dx


def _entries(x):
    return x.start, x.count, x.index, x.multiplicity
