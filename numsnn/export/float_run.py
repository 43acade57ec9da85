"""A `Program` in NumPy, for a batch of samples: the proof of the lowering, and the ranges for integers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..devices.reference import device as reference
from .expression import MEANINGS
from .program import (
    Convolution,
    Copy,
    Count,
    Lagged,
    Linear,
    Loop,
    Map,
    Normalise,
    Program,
    Softmax,
    Windows,
)
from .program_run import ProgramRun


class FloatRun(ProgramRun):
    """A program in float32.  watch: sees (Array or Value, what it holds)."""

    def __init__(self, program: Program, batch: int, watch: Callable | None = None):
        super().__init__(program, batch, _begin)
        self.watch = watch or (lambda what, values: None)

    def _do(self, operation):
        super()._do(operation)
        if not isinstance(operation, (Loop, Map, Count)):
            self.watch(operation.y, self.values[operation.y])

    def _map(self, operation):
        found = {}
        for value in operation.trace.needed(*(write.value for write in operation.writes)):
            if value.op == "input":
                found[value.index] = self._read(value.number, operation.n)
            elif value.op == "const":
                found[value.index] = value.number
            else:
                found[value.index] = MEANINGS[value.op](*(found[a.index] for a in value.args))
            self.watch(value, found[value.index])
        for array, value in operation.writes:
            self.values[array][:] = found[value.index]
            self.watch(array, self.values[array])

    def _linear(self, operation):
        x, weight = self.values[operation.x], self.values[operation.weight].reshape(-1, operation.y.n)
        if operation.x.kind == "token":
            self.values[operation.y][:] = weight[x[:, 0].astype(int)]
            return
        y = self.values[operation.y]
        if operation.start is not operation.y:
            y[:] = 0 if operation.start is None else self.values[operation.start]
        reference.add_rows(y, weight, x)

    def _lagged(self, operation):
        """Row after row, as the C adds them."""
        x, y, width = self.values[operation.x], self.values[operation.y], operation.width
        weight, lag = (self.values[a].reshape(-1, width) for a in (operation.weight, operation.lag))
        y[:] = 0
        if operation.start is not None:
            y[:, :-width] = self.values[operation.start]
        places = lag.astype(int) * width + np.arange(width)
        for k, (to, w) in enumerate(zip(places, weight, strict=True)):
            given = x[:, k // operation.rows, None]
            y[:, to] = np.where(given != 0, y[:, to] + given * w, y[:, to])

    def _convolution(self, operation):
        """Sums in ascending order of input channels, rows and columns, as the C has them."""
        g, y = operation.geometry, self.values[operation.y]
        weight = self.values[operation.weight].reshape(-1, g.channels, *g.kernel)
        padded, patches = reference._patches(self.values[operation.x], g)
        seen = patches(padded)
        pictures = y.reshape(self.batch, len(weight), *g.out)
        pictures[:] = self.values[operation.bias][:, None, None]
        for c, i, j in np.ndindex(g.channels, *g.kernel):
            pictures += seen[:, None, c, i, j] * weight[:, c, i, j, None, None]

    def _windows(self, operation):
        x, g = self.values[operation.x][None].copy(), operation.geometry
        if operation.reduce == "max":
            y, _ = reference.max_pool_forward(x, g)
        else:
            y = reference.sum_pool_forward(x, g, operation.factor)
        self.values[operation.y][:] = y[0]

    def _softmax(self, operation):
        self.values[operation.y][:] = reference.softmax(self.values[operation.x][None].copy())[0]

    def _normalise(self, operation):
        """Sums in ascending order, and the root, as the C has them."""
        x = self.values[operation.x].reshape(self.batch, -1, operation.places)
        n = np.float32(x.shape[1])
        centred = x - np.add.accumulate(x, 1)[:, -1:] / n
        var = np.add.accumulate(centred * centred, 1)[:, -1:] / n
        scale = np.float32(1) / root(var + np.float32(operation.eps))
        gain, bias = (self.values[a][:, None] for a in (operation.gain, operation.bias))
        self.values[operation.y][:] = (centred * scale * gain + bias).reshape(self.batch, -1)

    def _count(self, operation):
        self.values[operation.array] += 1

    def _copy(self, operation):
        x = self.values[operation.x]
        self.values[operation.y][:, operation.offset:operation.offset + operation.x.n] = x


def _begin(array):
    return np.zeros(array.n, np.float32) if array.values is None else array.values.reshape(-1)


def root(x: np.ndarray) -> np.ndarray:
    """The square root of float32 by four steps of Heron's method: within 1 ulp, without a library of C."""
    half = np.float32(0.5)
    y = ((x.view(np.uint32) >> np.uint32(1)) + np.uint32(0x1FBD1DF5)).view(np.float32)
    for _ in range(4):
        y = half * (y + x / y)
    return y


FloatRun.doing = {
    Map: FloatRun._map, Linear: FloatRun._linear, Lagged: FloatRun._lagged,
    Convolution: FloatRun._convolution,
    Windows: FloatRun._windows, Softmax: FloatRun._softmax, Normalise: FloatRun._normalise,
    Count: FloatRun._count, Copy: FloatRun._copy}
