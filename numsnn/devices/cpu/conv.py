"""Convolution on the CPU: what its compiled loops (conv_kernels.py) are given, and what they give."""

from typing import NamedTuple

import numpy as np

from ...signals.spikes import Spikes
from .. import buffers
from ..contract import Geometry
from .conv_kernels import (
    forward_from_events,
    forward_from_values,
    input_gradient_kernel,
    weight_gradient_from_events,
    weight_gradient_from_values,
)
from .conv_plan import input_terms, planned
from .dense import entries
from .lanes import lanes

# numbers that a group of pictures and gradients may fill: their weight gradient is added in one go
CACHED = 1 << 17


class Rows(NamedTuple):
    """Where the rows (t, b) of a sequence lie, which may be some samples of a larger array (buffers.flat)."""
    batch: int
    pitch: int          # numbers from a time step to the next
    units: int


def conv_forward(
        x: Spikes | np.ndarray, weight: np.ndarray, bias: np.ndarray, geometry: Geometry,
        into: np.ndarray | None = None) -> np.ndarray:
    """The convolution of each row; see contract.py."""
    steps, batch, _ = x.shape
    rows, out, dtype = steps * batch, len(weight), weight.dtype
    p = planned(geometry, lanes(dtype))
    shape = (steps, batch, out * geometry.out[0] * geometry.out[1])
    y = buffers.empty(shape, dtype) if into is None else into
    if isinstance(x, Spikes):
        last = _channels_last(weight, p)
        width = last.shape[2]
        biases = np.zeros((geometry.out[0] * p.width, width), dtype)
        biases[:, :out] = bias
        sums = np.zeros((p.reach + p.plane + p.lanes) * width, dtype)
        wide = np.empty(width * p.spread, dtype)
        forward_from_events()(rows, entries(x), last, biases, geometry, p, _placed(y), sums, wide)
    else:
        planes, wide = np.zeros(_of_planes(geometry, p), dtype), np.empty(out * p.spread, dtype)
        forward_from_values()(
            rows, _placed(x, dtype), weight.reshape(out, -1), bias, geometry, p, _placed(y), planes, wide)
    return y


def conv_backward(
        x: Spikes | np.ndarray, weight: np.ndarray, dy: np.ndarray, geometry: Geometry, want_dx: bool,
        into: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The gradients of `conv_forward`; see contract.py."""
    out, dtype = len(weight), weight.dtype
    p = planned(geometry, lanes(dtype))
    grad, dbias = _placed(dy, dtype), np.zeros(out, dtype)
    of = _weight_from_events if isinstance(x, Spikes) else _weight_from_values
    dweight = of(x, weight, grad, geometry, p, dbias)
    dx = None
    if want_dx:
        rows = x.shape[0] * x.shape[1]
        dx = buffers.empty(x.shape, dtype) if into is None else into
        dx.fill(0)
        input_gradient_kernel()(
            rows, grad, weight.reshape(out, -1), np.zeros(geometry.channels, dtype),
            input_terms(geometry, p.lanes, out), geometry, p, _placed(dx),
            np.zeros(out * p.spread, dtype), np.empty(geometry.channels * p.spread, dtype))
    return dweight.reshape(weight.shape), dbias, dx


def _weight_from_values(x, weight, grad, geometry, p, dbias):
    """The weight gradient (O, C * kh * kw); dbias += its sums."""
    (steps, batch, _), out, dtype = x.shape, len(weight), weight.dtype
    dweight = np.zeros((out, weight[0].size), dtype)
    in_planes, in_wide = _of_planes(geometry, p), out * p.summed.size * p.lanes
    group = max(1, min(steps * batch, CACHED // (in_planes + in_wide)))
    weight_gradient_from_values()(
        steps * batch, _placed(x, dtype), grad, geometry, p, dweight, dbias,
        np.zeros((group, in_planes), dtype), np.zeros((group, in_wide), dtype))
    return dweight


def _weight_from_events(x, weight, grad, geometry, p, dbias):
    """The weight gradient (O, C, kh * kw); dbias += its sums."""
    (steps, batch, _), out, dtype = x.shape, len(weight), weight.dtype
    width = _filled_up(out, p)
    last = np.zeros((geometry.channels, p.taps, width), dtype)
    weight_gradient_from_events()(
        steps * batch, entries(x), grad, geometry, p, last, dbias, np.zeros(width * p.spread, dtype),
        np.zeros((p.reach + p.plane + p.lanes) * width, dtype))
    dweight = np.empty((out, geometry.channels, p.taps), dtype)
    dweight[:, :, p.tap] = np.moveaxis(last[:, :, :out], 2, 0)
    return dweight


def _placed(a, dtype=None):
    """(a vector, where its rows lie) of (T, B, N)."""
    a = buffers.laid(a if dtype is None or a.dtype == dtype else a.astype(dtype))
    return buffers.flat(a), Rows(max(a.shape[1], 1), a.strides[0] // a.itemsize, a.shape[2])


def _of_planes(g, p):
    """Numbers in the planes of a picture, with the space that the last vectors need."""
    return g.channels * p.planes * p.plane + p.width + p.lanes


def _filled_up(channels, p):
    """Whole vectors of channels."""
    return -(-channels // p.lanes) * p.lanes


def _channels_last(weight, p):
    """The weights (C, taps by phase, O), O filled up to whole vectors."""
    out, channels = weight.shape[:2]
    last = np.zeros((channels, p.taps, _filled_up(out, p)), weight.dtype)
    last[:, :, :out] = np.moveaxis(weight.reshape(out, channels, -1)[:, :, p.tap], 0, 2)
    return last
