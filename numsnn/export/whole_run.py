"""The twin in NumPy of the C in whole numbers: every intermediate number is the same."""

from __future__ import annotations

import numpy as np

from .fixed import divided, right, run
from .integers import OF_ONE, STEPS, IntegerProgram
from .program import (
    Array,
    Convolution,
    Copy,
    Count,
    Lagged,
    Linear,
    Map,
    Normalise,
    Softmax,
    Windows,
)
from .program_run import ProgramRun


class IntegerRun(ProgramRun):
    """A program in whole numbers for so many samples."""

    def __init__(self, integers: IntegerProgram, batch: int):
        self.integers = integers
        self.saturated: dict[Array, int] = {}
        self.stores: dict[Array, int] = {}
        super().__init__(integers.program, batch, self._begin)

    def _begin(self, array):
        known = array.kind == "state" or array.kind == "constant" and array in self.integers.formats
        return self.integers.numbers(array) if known else np.zeros(array.n, np.int64)

    def _store(self, array, q, place=slice(None)):
        """Saturated to what the array holds, and counted."""
        kind = self.integers.format(array)
        kept = np.clip(q, kind.low, kind.high)
        self.saturated[array] = self.saturated.get(array, 0) + int((kept != q).sum())
        self.stores[array] = self.stores.get(array, 0) + kept.size
        self.values[array][:, place] = kept

    def _map(self, operation):
        expression = self.integers.expressions[operation]
        found = run(expression.operations, expression.results, lambda read: self._read(read, operation.n))
        for write, q in zip(operation.writes, found, strict=True):
            self._store(write.array, np.broadcast_to(q, (self.batch, operation.n)))

    def _linear(self, operation):
        w = self.integers.weights[operation]
        x = self.values[operation.x]
        total = w.q[x[:, 0]] if operation.x.kind == "token" else x @ w.q
        start = 0 if operation.start is None else self.values[operation.start]
        self._store(operation.y, start + shifted(total, w.shift))

    def _lagged(self, operation):
        x, w = self.values[operation.x], self.integers.weights[operation].q
        total = np.zeros((self.batch, operation.y.n), np.int64)
        if operation.start is not None:
            total[:, :-operation.width] = self.values[operation.start]
        lag = self.integers.numbers(operation.lag).reshape(w.shape)
        for k, to in enumerate(lag * operation.width + np.arange(operation.width)):
            total[:, to] += x[:, k // operation.rows, None] * w[k]
        self._store(operation.y, total)

    def _convolution(self, operation):
        w, g = self.integers.weights[operation], operation.geometry
        padded = self._pictures(operation)
        total = np.zeros((self.batch, len(w.q), *g.out), np.int64)
        for c, i, j in np.ndindex(g.channels, *g.kernel):
            rows = slice(i * g.dilation[0], i * g.dilation[0] + (g.out[0] - 1) * g.stride[0] + 1, g.stride[0])
            columns = slice(j * g.dilation[1], j * g.dilation[1] + (g.out[1] - 1) * g.stride[1] + 1,
                            g.stride[1])
            total += padded[:, None, c, rows, columns] * w.q[:, c, i, j, None, None]
        moved = shifted(total, w.shift[:, None, None]) + self.values[operation.bias][:, None, None]
        self._store(operation.y, moved.reshape(self.batch, -1))

    def _pictures(self, operation):
        """What a convolution or windows see, with the padding around it."""
        g = operation.geometry
        x = self.values[operation.x].reshape(self.batch, g.channels, *g.size)
        return np.pad(x, ((0, 0), (0, 0), *((p, p) for p in g.padding)))

    def _one(self, operation, q):
        expression = self.integers.expressions[operation]
        return run(expression.operations, expression.results, lambda read: q)[0]

    def _windows(self, operation):
        g = operation.geometry
        x, places = self._pictures(operation), []
        for i, j in np.ndindex(*g.kernel):
            rows = slice(i, i + (g.out[0] - 1) * g.stride[0] + 1, g.stride[0])
            columns = slice(j, j + (g.out[1] - 1) * g.stride[1] + 1, g.stride[1])
            places.append(x[:, :, rows, columns])
        total = np.max(places, 0) if operation.reduce == "max" else np.sum(places, 0)
        self._store(operation.y, self._one(operation, total.reshape(self.batch, -1)))

    def _copy(self, operation):
        q = self._one(operation, self.values[operation.x])
        self._store(operation.y, q, slice(operation.offset, operation.offset + operation.x.n))

    def _softmax(self, operation):
        x = self.values[operation.x]
        e = self._one(operation, x - x.max(1, keepdims=True))
        self._store(operation.y, (e << OF_ONE) // np.maximum(e.sum(1, keepdims=True), 1))

    def _normalise(self, operation):
        """Deviations over the root of their mean square, in OF_ONE - 4 fraction bits."""
        x = self.values[operation.x].reshape(self.batch, -1, operation.places)
        width = x.shape[1]
        shorter, fraction = self.integers.normalised(operation)
        x = right(x, shorter) if shorter else x
        d = x * width - x.sum(1, keepdims=True)                 # width times the deviations
        squares = (d * d).sum(1, keepdims=True) // width
        eps = max(1, round(operation.eps * width ** 2 * 4.0 ** fraction))
        root = whole_root(squares + eps)
        normal = np.clip(divided(d << (OF_ONE - 4), root), -(1 << 18), 1 << 18)
        expression = self.integers.expressions[operation]
        coefficient = {a: self.values[a][:, None] for a in (operation.gain, operation.bias)}
        found, = run(expression.operations, expression.results,
                     lambda read: coefficient.get(read.array, normal))
        self._store(operation.y, np.broadcast_to(found, x.shape).reshape(self.batch, -1))

    def _count(self, operation):
        steps = self.values[operation.array]
        np.minimum(steps + 1, STEPS, out=steps)


IntegerRun.doing = {
    Map: IntegerRun._map, Linear: IntegerRun._linear, Lagged: IntegerRun._lagged,
    Convolution: IntegerRun._convolution,
    Windows: IntegerRun._windows, Softmax: IntegerRun._softmax, Normalise: IntegerRun._normalise,
    Count: IntegerRun._count, Copy: IntegerRun._copy}


def shifted(total: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """total / 2^shift, halves up; to the left where shift is negative."""
    n = np.maximum(shift, 0)
    half = np.where(n > 0, 1 << np.maximum(n - 1, 0), 0)
    return ((total + half) >> n) << np.maximum(-shift, 0)


def whole_root(q: np.ndarray) -> np.ndarray:
    """The whole part of the square root of whole numbers below 2^62, bit by bit."""
    root = np.zeros_like(q)
    for bit in range(30, -1, -1):
        larger = root | (1 << bit)
        root = np.where(larger * larger <= q, larger, root)
    return root

